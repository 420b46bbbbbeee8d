/* Packet sockets and packet filters, in a network namespace of one's own that has only lo. */
#include "check.h"
#include <arpa/inet.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#define LO 1

static unsigned char buf[70000];

static void alone(bool up) {
    check_need_root();
    if (unshare(CLONE_NEWNET) == -1)
        check_skip("may not make a network namespace");
    if (up) {
        struct ifreq r = {.ifr_name = "lo", .ifr_flags = IFF_UP};
        int fd = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
        CHECK_OK(ioctl(fd, SIOCSIFFLAGS, &r));
        close(fd);
    }
}

static struct sockaddr_ll on(int device, int protocol) {
    struct sockaddr_ll a = {.sll_family = AF_PACKET, .sll_protocol = htons(protocol), .sll_ifindex = device};
    return a;
}

static int bound(int type, int protocol) {
    int fd = CHECK_OK(socket(AF_PACKET, type, 0));
    struct sockaddr_ll a = on(LO, protocol);
    CHECK_OK(bind(fd, (void *)&a, sizeof a));
    return fd;
}

static int udp_at(int port) {
    int fd = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CHECK_OK(bind(fd, (void *)&a, sizeof a));
    return fd;
}

static void send_to(int fd, int port, const char *text) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CHECK_EQ(sendto(fd, text, strlen(text), 0, (void *)&a, sizeof a), (long)strlen(text));
}

static bool waits(int fd) {
    struct pollfd p = {fd, POLLIN, 0};
    return poll(&p, 1, 100) == 1 && p.revents & POLLIN;
}

static struct sockaddr_ll from;
static ssize_t next(int fd) {
    socklen_t len = sizeof from;
    memset(&from, 0xee, sizeof from);
    ssize_t n = CHECK_OK(recvfrom(fd, buf, sizeof buf, MSG_DONTWAIT, (void *)&from, &len));
    CHECK_EQ(len, sizeof from);
    CHECK_EQ(from.sll_family, AF_PACKET);
    return n;
}

static unsigned sum(const void *data, int len, unsigned sum) {
    const unsigned char *p = data;
    for (int i = 0; i < len; i++)
        sum += p[i] << (i % 2 ? 0 : 8);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}

TEST(frames_of_loopback) {
    alone(true);
    int all = bound(SOCK_RAW, ETH_P_ALL), a = udp_at(1000), b = udp_at(1001);
    send_to(a, 1001, "hello");
    CHECK(waits(b) && waits(all));
    /* What goes out is seen first, then as it comes in again. */
    for (int type = PACKET_OUTGOING; type >= 0; type -= PACKET_OUTGOING) {
        CHECK_EQ(next(all), 14 + 20 + 8 + 5);
        CHECK_EQ(from.sll_pkttype, type);
        CHECK_EQ(from.sll_ifindex, LO);
        CHECK_EQ(from.sll_hatype, ARPHRD_LOOPBACK);
        CHECK_EQ(ntohs(from.sll_protocol), ETH_P_IP);
        CHECK_EQ(from.sll_halen, 6);
        CHECK(memcmp(buf, "\0\0\0\0\0\0\0\0\0\0\0\0\x08\0", 14) == 0);
        CHECK_EQ(sum(buf + 14, 20, 0), 0xffff);
        struct udphdr *u = (void *)(buf + 34);
        CHECK_EQ(ntohs(u->dest), 1001);
        CHECK_EQ(ntohs(u->source), 1000);
        CHECK_EQ(ntohs(u->len), 13);
        CHECK(memcmp(buf + 42, "hello", 5) == 0);
    }
    CHECK(!waits(all));
}

TEST(packets_without_header) {
    alone(true);
    int all = bound(SOCK_DGRAM, ETH_P_ALL), ip = bound(SOCK_DGRAM, ETH_P_IP), six = bound(SOCK_DGRAM, ETH_P_IPV6);
    int a = udp_at(1000), b = udp_at(1001);
    send_to(a, 1001, "abc");
    CHECK(waits(b) && waits(ip));
    /* Who wants one protocol sees what comes in only. */
    CHECK_EQ(next(ip), 31);
    CHECK_EQ(from.sll_pkttype, PACKET_HOST);
    CHECK_EQ(buf[0], 0x45);
    CHECK(!waits(ip));
    CHECK(!waits(six));
    CHECK_EQ(next(all), 31);
    CHECK_EQ(from.sll_pkttype, PACKET_OUTGOING);
    CHECK_EQ(recv(all, buf, 10, MSG_DONTWAIT | MSG_TRUNC), 31);
}

TEST(outgoing_may_be_ignored) {
    alone(true);
    int all = bound(SOCK_RAW, ETH_P_ALL), a = udp_at(1000), yes = 1;
    CHECK_OK(setsockopt(all, SOL_PACKET, 23 /* PACKET_IGNORE_OUTGOING */, &yes, sizeof yes));
    send_to(a, 1000, "x");
    CHECK(waits(all));
    next(all);
    CHECK_EQ(from.sll_pkttype, PACKET_HOST);
    CHECK(!waits(all));
}

static int udp6_at(int port) {
    int fd = CHECK_OK(socket(AF_INET6, SOCK_DGRAM, 0));
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = in6addr_loopback};
    CHECK_OK(bind(fd, (void *)&a, sizeof a));
    return fd;
}

TEST(a_frame_is_delivered) {
    alone(true);
    int raw = CHECK_OK(socket(AF_PACKET, SOCK_RAW, 0)), cooked = CHECK_OK(socket(AF_PACKET, SOCK_DGRAM, 0));
    int to = udp6_at(1001), all = bound(SOCK_RAW, ETH_P_ALL);
    unsigned char frame[14 + 40 + 8 + 2] = {[12] = 0x86, 0xdd, 0x60, [19] = 10, IPPROTO_UDP, 9, [37] = 1, [53] = 1};
    struct udphdr *u = (void *)(frame + 54);
    *u = (struct udphdr){.source = htons(77), .dest = htons(1001), .len = htons(10)};
    memcpy(u + 1, "hi", 2);
    u->check = htons(~sum(frame + 22, 42, IPPROTO_UDP + 10));
    struct sockaddr_ll a = on(LO, ETH_P_IPV6);
    CHECK_EQ(sendto(raw, frame, sizeof frame, 0, (void *)&a, sizeof a), sizeof frame);
    struct sockaddr_in6 who;
    socklen_t len = sizeof who;
    CHECK(waits(to));
    CHECK_EQ(recvfrom(to, buf, 99, 0, (void *)&who, &len), 2);
    CHECK_EQ(ntohs(who.sin6_port), 77);
    CHECK(waits(all));
    a.sll_halen = 6;
    CHECK_EQ(sendto(cooked, frame + 14, sizeof frame - 14, 0, (void *)&a, sizeof a), sizeof frame - 14);
    CHECK(waits(to));
    CHECK_EQ(recv(to, buf, 99, 0), 2);
    /* A bound socket needs no address. */
    CHECK_OK(bind(raw, (void *)&a, sizeof a));
    CHECK_EQ(send(raw, frame, sizeof frame, 0), sizeof frame);
    CHECK(waits(to));
}

TEST(nobody_sends_from_127_by_a_frame) {
    alone(true);
    int raw = CHECK_OK(socket(AF_PACKET, SOCK_DGRAM, 0)), to = udp_at(1001);
    unsigned char packet[20 + 8 + 2];
    struct iphdr *ip = (void *)packet;
    struct udphdr *u = (void *)(packet + 20);
    *ip = (struct iphdr){.version = 4, .ihl = 5, .tot_len = htons(30), .ttl = 9, .protocol = IPPROTO_UDP,
                         .saddr = htonl(INADDR_LOOPBACK), .daddr = htonl(INADDR_LOOPBACK)};
    ip->check = htons(~sum(ip, 20, 0));
    *u = (struct udphdr){.source = htons(77), .dest = htons(1001), .len = htons(10)};
    struct sockaddr_ll a = on(LO, ETH_P_IP);
    a.sll_halen = 6;
    CHECK_EQ(sendto(raw, packet, sizeof packet, 0, (void *)&a, sizeof a), sizeof packet);
    CHECK(!waits(to));
}

TEST(what_cannot_be_sent) {
    alone(true);
    int raw = CHECK_OK(socket(AF_PACKET, SOCK_RAW, 0));
    struct sockaddr_ll a = on(99, ETH_P_IP);
    CHECK_ERRNO(send(raw, buf, 60, 0), ENXIO);
    CHECK_ERRNO(sendto(raw, buf, 60, 0, (void *)&a, sizeof a), ENXIO);
    a.sll_ifindex = LO;
    CHECK_ERRNO(sendto(raw, buf, 60, 0, (void *)&a, 10), EINVAL);
    CHECK_ERRNO(sendto(raw, buf, 9, 0, (void *)&a, sizeof a), EINVAL);
    CHECK_ERRNO(sendto(raw, buf, 66000, 0, (void *)&a, sizeof a), EMSGSIZE);
    CHECK_ERRNO(connect(raw, (void *)&a, sizeof a), EOPNOTSUPP);
    CHECK_ERRNO(listen(raw, 1), EOPNOTSUPP);
    CHECK_ERRNO(shutdown(raw, SHUT_RD), EOPNOTSUPP);
    CHECK_ERRNO(recv(raw, buf, 9, MSG_DONTWAIT), EAGAIN);
    CHECK_ERRNO(recv(raw, buf, 9, MSG_DONTWAIT | MSG_OOB), EINVAL);
    int two[2];
    CHECK_ERRNO(socketpair(AF_PACKET, SOCK_RAW, 0, two), EOPNOTSUPP);
}

TEST(a_device_that_is_down) {
    alone(false);
    int raw = CHECK_OK(socket(AF_PACKET, SOCK_RAW, 0));
    struct sockaddr_ll a = on(LO, ETH_P_ALL);
    CHECK_ERRNO(sendto(raw, buf, 60, 0, (void *)&a, sizeof a), ENETDOWN);
    CHECK_OK(bind(raw, (void *)&a, sizeof a));
    CHECK_ERRNO(recv(raw, buf, 60, MSG_DONTWAIT), ENETDOWN);
    CHECK_ERRNO(recv(raw, buf, 60, MSG_DONTWAIT), EAGAIN);
}

TEST(names) {
    alone(true);
    int fd = CHECK_OK(socket(AF_PACKET, SOCK_RAW, htons(ETH_P_IP)));
    struct sockaddr_ll a;
    socklen_t len = sizeof a;
    CHECK_OK(getsockname(fd, (void *)&a, &len));
    CHECK_EQ(len, 12);
    CHECK_EQ(ntohs(a.sll_protocol), ETH_P_IP);
    CHECK_EQ(a.sll_ifindex, 0);
    a = on(LO, 0);
    CHECK_OK(bind(fd, (void *)&a, sizeof a));
    len = sizeof a;
    CHECK_OK(getsockname(fd, (void *)&a, &len));
    CHECK_EQ(len, 18);
    CHECK_EQ(ntohs(a.sll_protocol), ETH_P_IP);
    CHECK_EQ(a.sll_ifindex, LO);
    CHECK_EQ(a.sll_hatype, ARPHRD_LOOPBACK);
    CHECK_ERRNO(getpeername(fd, (void *)&a, &len), EOPNOTSUPP);
    a = on(99, 0);
    CHECK_ERRNO(bind(fd, (void *)&a, sizeof a), ENODEV);
    CHECK_ERRNO(bind(fd, (void *)&a, sizeof a - 1), EINVAL);
    a.sll_family = AF_INET;
    CHECK_ERRNO(bind(fd, (void *)&a, sizeof a), EINVAL);
    int value;
    len = sizeof value;
    CHECK_OK(getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &value, &len));
    CHECK_EQ(value, AF_PACKET);
}

TEST(privilege_and_types) {
    alone(true);
    CHECK_ERRNO(socket(AF_PACKET, SOCK_STREAM, 0), ESOCKTNOSUPPORT);
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    CHECK_OK(syscall(SYS_capget, &head, data));
    data[0].effective &= ~(1u << CAP_NET_RAW);
    CHECK_OK(syscall(SYS_capset, &head, data));
    CHECK_ERRNO(socket(AF_PACKET, SOCK_RAW, 0), EPERM);
    CHECK_ERRNO(socket(AF_PACKET, SOCK_STREAM, 0), EPERM);
}

TEST(memberships) {
    alone(true);
    int fd = bound(SOCK_RAW, ETH_P_ALL);
    struct packet_mreq m = {.mr_ifindex = LO, .mr_type = PACKET_MR_PROMISC};
    CHECK_OK(setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &m, sizeof m));
    CHECK_OK(setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &m, sizeof m));
    CHECK_OK(setsockopt(fd, SOL_PACKET, PACKET_DROP_MEMBERSHIP, &m, sizeof m));
    CHECK_OK(setsockopt(fd, SOL_PACKET, PACKET_DROP_MEMBERSHIP, &m, sizeof m));
    /* One that is not there is not missed. */
    CHECK_OK(setsockopt(fd, SOL_PACKET, PACKET_DROP_MEMBERSHIP, &m, sizeof m));
    CHECK_ERRNO(setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &m, 8), EINVAL);
    m.mr_alen = 7;
    CHECK_ERRNO(setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &m, sizeof m), EINVAL);
    m.mr_ifindex = 99;
    CHECK_ERRNO(setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &m, sizeof m), ENODEV);
}

TEST(statistics_and_auxiliary_data) {
    alone(true);
    int fd = bound(SOCK_RAW, ETH_P_ALL), a = udp_at(1000), yes = 1;
    CHECK_OK(setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &yes, sizeof yes));
    CHECK_OK(setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &yes, sizeof yes));
    for (int i = 0; i < 3; i++)
        send_to(a, 1000, "abcd");
    CHECK(waits(fd));
    struct tpacket_stats stats;
    socklen_t len = sizeof stats;
    CHECK_OK(getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &stats, &len));
    CHECK_EQ(stats.tp_packets, 6);
    CHECK_EQ(stats.tp_drops, 0);
    CHECK_OK(getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &stats, &len));
    CHECK_EQ(stats.tp_packets, 0);
    char control[200];
    struct iovec iov = {buf, 20};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    CHECK_EQ(recvmsg(fd, &m, MSG_DONTWAIT), 20);
    CHECK_EQ(m.msg_flags, MSG_TRUNC);
    bool aux = false, stamp = false;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        if (c->cmsg_level == SOL_PACKET && c->cmsg_type == PACKET_AUXDATA) {
            struct tpacket_auxdata d;
            memcpy(&d, CMSG_DATA(c), sizeof d);
            CHECK_EQ(d.tp_len, 46);
            CHECK_EQ(d.tp_snaplen, 46);
            CHECK_EQ(d.tp_net, 14);
            CHECK(d.tp_status & TP_STATUS_USER);
            aux = true;
        }
        stamp |= c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_TIMESTAMPNS;
    }
    CHECK(aux && stamp);
}

TEST(time_of_the_last_packet) {
    alone(true);
    int fd = bound(SOCK_RAW, ETH_P_ALL), a = udp_at(1000);
    struct timeval t = {0};
    send_to(a, 1000, "x");
    CHECK(waits(fd));
    next(fd);
    /* The first call may be the one that turns the clock on. */
    ioctl(fd, 0x8906 /* SIOCGSTAMP */, &t);
    send_to(a, 1000, "x");
    CHECK(waits(fd));
    next(fd);
    CHECK_OK(ioctl(fd, 0x8906, &t));
    CHECK(llabs((long long)t.tv_sec - time(NULL)) < 5);
}

TEST(a_ring_in_memory) {
    alone(true);
    for (int type = SOCK_DGRAM; type <= SOCK_RAW; type++) {
        int fd = bound(type, ETH_P_ALL), a = udp_at(1000), version = TPACKET_V2, length = TPACKET_V2;
        socklen_t len = sizeof length;
        CHECK_OK(getsockopt(fd, SOL_PACKET, PACKET_HDRLEN, &length, &len));
        CHECK_EQ(length, sizeof(struct tpacket2_hdr));
        CHECK_OK(setsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version));
        CHECK_ERRNO(mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), EINVAL);
        struct tpacket_req bad[] = {{4095, 2, 1024, 8}, {4096, 2, 1024, 9}, {4096, 2, 40, 8}, {4096, 2, 1025, 6}, {4096, 0, 1024, 1}};
        for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
            CHECK_ERRNO(setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &bad[i], sizeof *bad), EINVAL);
        struct tpacket_req req = {4096, 2, 1024, 8};
        CHECK_OK(setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &req, sizeof req));
        CHECK_ERRNO(setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &req, sizeof req), EBUSY);
        CHECK_ERRNO(setsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version), EBUSY);
        char *ring = CHECK_OK(mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
        CHECK(!waits(fd));
        char text[1200];
        memset(text, 'x', sizeof text - 1);
        text[sizeof text - 1] = 0;
        int header = type == SOCK_RAW ? 14 : 0;
        /* Four packets fill it, each seen twice; what comes then is lost. */
        for (int i = 0; i < 5; i++)
            send_to(a, 1000, i == 3 ? text : "hello");
        CHECK(waits(fd));
        for (int i = 0; i < 8; i++) {
            struct tpacket2_hdr *h = (void *)(ring + i * 1024);
            struct sockaddr_ll *from = (void *)(ring + i * 1024 + TPACKET_ALIGN(sizeof *h));
            CHECK_EQ(h->tp_status & TP_STATUS_USER, TP_STATUS_USER);
            CHECK_EQ(h->tp_len, header + 28 + (i / 2 == 3 ? 1199 : 5));
            CHECK_EQ(h->tp_net, 80);
            CHECK_EQ(h->tp_mac, 80 - header);
            CHECK_EQ(h->tp_snaplen, i / 2 == 3 ? 1024u - h->tp_mac : h->tp_len);
            CHECK_EQ(from->sll_pkttype, i % 2 ? PACKET_HOST : PACKET_OUTGOING);
            CHECK_EQ(ring[i * 1024 + h->tp_net], 0x45);
            CHECK(memcmp(ring + i * 1024 + h->tp_net + 28, i / 2 == 3 ? "xxxxx" : "hello", 5) == 0);
            CHECK(h->tp_sec > 1000000000);
        }
        struct tpacket_stats stats;
        len = sizeof stats;
        CHECK_OK(getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &stats, &len));
        CHECK_EQ(stats.tp_packets, 10);
        CHECK_EQ(stats.tp_drops, 2);
        for (int i = 0; i < 8; i++)
            ((struct tpacket2_hdr *)(ring + i * 1024))->tp_status = TP_STATUS_KERNEL;
        CHECK(!waits(fd));
        send_to(a, 1000, "again");
        CHECK(waits(fd));
        CHECK(memcmp(ring + 80 + 28, "again", 5) == 0);
        req = (struct tpacket_req){0};
        CHECK_ERRNO(setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &req, sizeof req), EBUSY);
        CHECK_OK(munmap(ring, 8192));
        CHECK_OK(setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &req, sizeof req));
        close(fd);
        close(a);
    }
}

/* Lets UDP packets to a port pass, up to `length` bytes, counted from where the network header is. */
static void filter_port(int fd, int port, unsigned length) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, SKF_NET_OFF + 9),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 0, 4),
        BPF_STMT(BPF_LDX | BPF_W | BPF_IMM, 2),
        BPF_STMT(BPF_LD | BPF_H | BPF_IND, SKF_NET_OFF + 20),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, port, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, length),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    CHECK_OK(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program));
}

TEST(filter_of_frames) {
    alone(true);
    int fd = bound(SOCK_RAW, ETH_P_ALL), a = udp_at(1000), b = udp_at(1001);
    filter_port(fd, 1001, 36);
    send_to(a, 1000, "no");
    send_to(a, 1001, "yes");
    CHECK(waits(b) && waits(fd));
    CHECK_EQ(next(fd), 36);
    CHECK_EQ(ntohs(*(uint16_t *)(buf + 34)), 1000);
    CHECK_EQ(recv(fd, buf, 99, MSG_DONTWAIT | MSG_TRUNC), 36);
    CHECK(!waits(fd));
    struct tpacket_stats stats;
    socklen_t len = sizeof stats;
    CHECK_OK(getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &stats, &len));
    CHECK_EQ(stats.tp_packets, 2);
    CHECK_OK(setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &len, sizeof len));
    CHECK_ERRNO(setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &len, sizeof len), ENOENT);
    send_to(a, 1000, "now");
    CHECK(waits(fd));
}

TEST(filter_knows_more_than_bytes) {
    alone(true);
    int fd = bound(SOCK_DGRAM, ETH_P_ALL), a = udp_at(1000);
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF + SKF_AD_PKTTYPE),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_OUTGOING, 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF + SKF_AD_PROTOCOL),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IP, 0, 2),
        BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
        BPF_STMT(BPF_RET | BPF_A, 0),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    CHECK_OK(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program));
    send_to(a, 1000, "12345");
    CHECK(waits(fd));
    CHECK_EQ(next(fd), 33);
    CHECK_EQ(from.sll_pkttype, PACKET_OUTGOING);
    CHECK(!waits(fd));
    /* Headers in front of what the socket gets. */
    code[0] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_H | BPF_ABS, SKF_LL_OFF + 12);
    code[1] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IP, 3, 4);
    CHECK_OK(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program));
    send_to(a, 1000, "1");
    CHECK(waits(fd));
    CHECK_EQ(next(fd), 29);
}

TEST(filter_of_udp) {
    int a = udp_at(0), fd = udp_at(0);
    struct sockaddr_in to;
    socklen_t len = sizeof to;
    CHECK_OK(getsockname(fd, (void *)&to, &len));
    /* The header of UDP comes first; the payload must begin with 'y', and loses all but two bytes. */
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 8),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 'y', 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 10),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    struct sock_fprog program = {4, code};
    CHECK_OK(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program));
    send_to(a, ntohs(to.sin_port), "no");
    send_to(a, ntohs(to.sin_port), "yes");
    CHECK(waits(fd));
    CHECK_EQ(recv(fd, buf, 99, 0), 2);
    CHECK(buf[0] == 'y' && buf[1] == 'e');
    CHECK(!waits(fd));
}

TEST(filter_of_unix_datagrams) {
    int two[2];
    CHECK_OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, two));
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 'y', 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 99),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    struct sock_fprog program = {4, code};
    CHECK_OK(setsockopt(two[1], SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program));
    CHECK_EQ(send(two[0], "no", 2, 0), 2);
    CHECK_EQ(send(two[0], "yes", 3, 0), 3);
    CHECK_EQ(recv(two[1], buf, 99, MSG_DONTWAIT), 3);
    CHECK_ERRNO(recv(two[1], buf, 99, MSG_DONTWAIT), EAGAIN);
}

TEST(filters_that_are_refused) {
    int fd = udp_at(0);
    struct sock_filter good = BPF_STMT(BPF_RET | BPF_K, 1), code[2] = {good, good};
    struct sock_fprog program = {1, code};
    struct sock_filter bad[] = {
        BPF_STMT(BPF_LD | BPF_MEM, 0),           BPF_STMT(BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF + 1),
        BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 0),  BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 32),
        BPF_STMT(BPF_JMP | BPF_JA, 1),           BPF_STMT(0xffff, 0),
        BPF_STMT(BPF_ST, 16),                    BPF_STMT(BPF_LDX | BPF_W | BPF_ABS, 0),
        BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, 0),
    };
    program.len = 2;
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        code[0] = bad[i];
        CHECK_ERRNO(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program), EINVAL);
    }
    program.len = 0;
    CHECK_ERRNO(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program), EINVAL);
    program.len = 1;
    CHECK_ERRNO(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program - 1), EINVAL);
    program.filter = (void *)8;
    CHECK_ERRNO(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program), EFAULT);
    program.filter = NULL;
    CHECK_ERRNO(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program), EINVAL);
    CHECK_ERRNO(setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, &fd, sizeof fd), EINVAL);
    int none = 999;
    CHECK_ERRNO(setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, &none, sizeof none), EBADF);
}

TEST(filters_are_read_and_locked) {
    int fd = udp_at(0), one = 1, zero = 0;
    struct sock_filter code[] = {BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0), BPF_STMT(BPF_RET | BPF_A, 0)}, back[8];
    struct sock_fprog program = {2, code};
    socklen_t len = 0;
    CHECK_OK(getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, back, &len));
    CHECK_EQ(len, 0);
    CHECK_OK(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program));
    CHECK_OK(getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, back, &len));
    CHECK_EQ(len, 2);
    CHECK_OK(getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, back, &len));
    CHECK(memcmp(back, code, sizeof code) == 0);
    len = 1;
    CHECK_ERRNO(getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, back, &len), EINVAL);
    CHECK_OK(setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &zero, sizeof zero));
    CHECK_OK(setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &one, sizeof one));
    CHECK_ERRNO(setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &zero, sizeof zero), EPERM);
    CHECK_ERRNO(setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &zero, sizeof zero), EPERM);
    CHECK_ERRNO(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program), EPERM);
    int value = 0;
    len = sizeof value;
    CHECK_OK(getsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &value, &len));
    CHECK_EQ(value, 1);
}
