/* UDP, ping sockets and raw ICMP over the loopback device. */
#include "check.h"
#include <arpa/inet.h>
#include <linux/errqueue.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static struct sockaddr_in at;

static short ready(int fd, short events) {
    struct pollfd p = {.fd = fd, .events = events};
    CHECK_OK(poll(&p, 1, 0));
    return p.revents;
}

static struct sockaddr_in name_of(int fd) {
    struct sockaddr_in name;
    socklen_t len = sizeof name;
    CHECK_OK(getsockname(fd, (void *)&name, &len));
    return name;
}

static int bound(void) {
    int fd = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
    at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CHECK_OK(bind(fd, (void *)&at, sizeof at));
    at = name_of(fd);
    return fd;
}

TEST(datagrams_arrive_one_by_one) {
    char buf[16];
    struct sockaddr_in from;
    socklen_t len = sizeof from;
    int to = bound(), fd = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0)), n;
    CHECK_EQ(ready(fd, POLLIN | POLLOUT), POLLOUT);
    CHECK_ERRNO(send(fd, "x", 1, 0), EDESTADDRREQ);
    /* Even a send that fails takes a port. */
    CHECK(name_of(fd).sin_port != 0);
    CHECK_EQ(sendto(fd, "hello", 5, 0, (void *)&at, sizeof at), 5);
    CHECK_EQ(sendto(fd, "", 0, 0, (void *)&at, sizeof at), 0);
    CHECK_EQ(sendto(fd, "third", 5, 0, (void *)&at, sizeof at), 5);
    CHECK_EQ(ready(to, POLLIN | POLLOUT), POLLIN | POLLOUT);
    CHECK_OK(ioctl(to, FIONREAD, &n));
    CHECK_EQ(n, 5);
    CHECK_EQ(recvfrom(to, buf, 3, MSG_PEEK | MSG_TRUNC, (void *)&from, &len), 5);
    CHECK_EQ(from.sin_port, name_of(fd).sin_port);
    CHECK_EQ(from.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
    CHECK_EQ(recv(to, buf, 3, 0), 3);
    CHECK_EQ(recv(to, buf, 16, 0), 0);
    CHECK_EQ(recv(to, buf, 16, 0), 5);
    CHECK_ERRNO(recv(to, buf, 16, MSG_DONTWAIT), EAGAIN);
    CHECK_ERRNO(sendto(fd, buf, 1, 0, (void *)&at, 8), EINVAL);
    static char big[70000];
    CHECK_ERRNO(sendto(fd, big, 65508, 0, (void *)&at, sizeof at), EMSGSIZE);
    CHECK_EQ(sendto(fd, big, 65507, 0, (void *)&at, sizeof at), 65507);
    CHECK_EQ(recv(to, big, sizeof big, 0), 65507);
    at.sin_port = 0;
    CHECK_ERRNO(sendto(fd, "x", 1, 0, (void *)&at, sizeof at), EINVAL);
    CHECK_ERRNO(listen(fd, 1), EOPNOTSUPP);
    CHECK_ERRNO(accept(fd, NULL, NULL), EOPNOTSUPP);
    at.sin_port = htons(9);
    at.sin_addr.s_addr = htonl(INADDR_BROADCAST);
    CHECK_ERRNO(shutdown(fd, SHUT_RD), ENOTCONN);
    CHECK_EQ(recv(fd, buf, 16, 0), 0);
}

TEST(connected_sockets_hear_their_peer_only) {
    char buf[16];
    int a = bound(), b = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0)), c = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
    struct sockaddr_in name = at;
    CHECK_OK(connect(b, (void *)&name, sizeof name));
    CHECK_EQ(name_of(b).sin_addr.s_addr, htonl(INADDR_LOOPBACK));
    name = name_of(b);
    CHECK_OK(connect(a, (void *)&name, sizeof name));
    CHECK_EQ(sendto(c, "x", 1, 0, (void *)&at, sizeof at), 1);
    CHECK_ERRNO(recv(a, buf, 16, MSG_DONTWAIT), EAGAIN);
    CHECK_EQ(write(b, "y", 1), 1);
    CHECK_EQ(read(a, buf, 16), 1);
    CHECK_EQ(buf[0], 'y');
    struct sockaddr nobody = {.sa_family = AF_UNSPEC};
    CHECK_OK(connect(a, &nobody, sizeof nobody));
    socklen_t len = sizeof name;
    CHECK_ERRNO(getpeername(a, (void *)&name, &len), ENOTCONN);
    /* A port that was not asked for is lost with the peer, the address stays. */
    CHECK_EQ(name_of(a).sin_port, 0);
    CHECK_EQ(name_of(a).sin_addr.s_addr, htonl(INADDR_LOOPBACK));
    CHECK_OK(bind(a, (void *)&at, sizeof at));
    CHECK_EQ(sendto(c, "z", 1, 0, (void *)&at, sizeof at), 1);
    CHECK_EQ(read(a, buf, 16), 1);
}

TEST(nobody_hears) {
    char buf[64];
    int gone = bound(), one = 1, fd = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
    CHECK_OK(close(gone));
    CHECK_EQ(sendto(fd, "x", 1, 0, (void *)&at, sizeof at), 1);
    CHECK_ERRNO(recv(fd, buf, 16, MSG_DONTWAIT), EAGAIN);
    CHECK_OK(connect(fd, (void *)&at, sizeof at));
    CHECK_EQ(write(fd, "x", 1), 1);
    CHECK_EQ(ready(fd, POLLIN | POLLOUT), POLLOUT | POLLERR);
    CHECK_ERRNO(read(fd, buf, 16), ECONNREFUSED);
    CHECK_ERRNO(recv(fd, buf, 16, MSG_DONTWAIT), EAGAIN);
    CHECK_EQ(write(fd, "x", 1), 1);
    CHECK_ERRNO(write(fd, "x", 1), ECONNREFUSED);
    /* The queue of errors says who and why. */
    CHECK_OK(setsockopt(fd, IPPROTO_IP, IP_RECVERR, &one, sizeof one));
    CHECK_EQ(write(fd, "payload", 7), 7);
    struct sockaddr_in name;
    union { char bytes[256]; struct cmsghdr align; } control;
    struct iovec iov = {buf, sizeof buf};
    struct msghdr msg = {.msg_name = &name, .msg_namelen = sizeof name, .msg_iov = &iov, .msg_iovlen = 1,
                         .msg_control = &control, .msg_controllen = sizeof control};
    CHECK_EQ(recvmsg(fd, &msg, MSG_ERRQUEUE), 7);
    CHECK_EQ(msg.msg_flags, MSG_ERRQUEUE);
    CHECK_EQ(name.sin_port, at.sin_port);
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
    CHECK(cmsg != NULL);
    CHECK_EQ(cmsg->cmsg_level, IPPROTO_IP);
    CHECK_EQ(cmsg->cmsg_type, IP_RECVERR);
    struct sock_extended_err *error = (void *)CMSG_DATA(cmsg);
    CHECK_EQ(error->ee_errno, ECONNREFUSED);
    CHECK_EQ(error->ee_origin, SO_EE_ORIGIN_ICMP);
    CHECK_EQ(error->ee_type, ICMP_DEST_UNREACH);
    CHECK_EQ(error->ee_code, ICMP_PORT_UNREACH);
    CHECK_ERRNO(recvmsg(fd, &msg, MSG_ERRQUEUE), EAGAIN);
}

TEST(control_messages) {
    char buf[16];
    int to = bound(), one = 1, ttl = 7, fd = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
    CHECK_OK(setsockopt(to, IPPROTO_IP, IP_PKTINFO, &one, sizeof one));
    CHECK_OK(setsockopt(to, IPPROTO_IP, IP_RECVTTL, &one, sizeof one));
    CHECK_OK(setsockopt(to, IPPROTO_IP, IP_RECVTOS, &one, sizeof one));
    CHECK_OK(setsockopt(to, SOL_SOCKET, SO_TIMESTAMP, &one, sizeof one));
    CHECK_OK(setsockopt(fd, IPPROTO_IP, IP_TTL, &ttl, sizeof ttl));
    CHECK_EQ(sendto(fd, "x", 1, 0, (void *)&at, sizeof at), 1);
    union { char bytes[256]; struct cmsghdr align; } control;
    struct iovec iov = {buf, sizeof buf};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    CHECK_EQ(recvmsg(to, &msg, 0), 1);
    int seen = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_TIMESTAMP)
            seen |= 1;
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TTL) {
            CHECK_EQ(*(int *)CMSG_DATA(c), 7);
            seen |= 2;
        }
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) {
            CHECK_EQ(c->cmsg_len, CMSG_LEN(1));
            seen |= 4;
        }
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo *info = (void *)CMSG_DATA(c);
            CHECK_EQ(info->ipi_ifindex, 1);
            CHECK_EQ(info->ipi_addr.s_addr, htonl(INADDR_LOOPBACK));
            seen |= 8;
        }
    }
    CHECK_EQ(seen, 15);
    /* The sender chooses its address for one packet. */
    struct sockaddr_in from;
    msg = (struct msghdr){.msg_name = &at, .msg_namelen = sizeof at, .msg_iov = &iov, .msg_iovlen = 1,
                          .msg_control = &control, .msg_controllen = CMSG_SPACE(sizeof(struct in_pktinfo))};
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(struct in_pktinfo)), .cmsg_level = IPPROTO_IP, .cmsg_type = IP_PKTINFO};
    *(struct in_pktinfo *)CMSG_DATA(c) = (struct in_pktinfo){.ipi_spec_dst.s_addr = inet_addr("127.0.0.3")};
    CHECK_EQ(sendmsg(fd, &msg, 0), 16);
    socklen_t len = sizeof from;
    CHECK_EQ(recvfrom(to, buf, 16, 0, (void *)&from, &len), 16);
    CHECK_EQ(from.sin_addr.s_addr, inet_addr("127.0.0.3"));
}

TEST(many_at_once) {
    char buf[4][8];
    struct iovec iov[4];
    struct mmsghdr msgs[4] = {};
    int to = bound(), fd = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
    for (int i = 0; i < 4; i++) {
        iov[i] = (struct iovec){buf[i], i + 1};
        msgs[i].msg_hdr = (struct msghdr){.msg_name = &at, .msg_namelen = sizeof at, .msg_iov = &iov[i], .msg_iovlen = 1};
    }
    CHECK_EQ(sendmmsg(fd, msgs, 4, 0), 4);
    CHECK_EQ(msgs[3].msg_len, 4);
    for (int i = 0; i < 4; i++) {
        iov[i].iov_len = 8;
        msgs[i].msg_hdr.msg_name = NULL;
    }
    CHECK_EQ(recvmmsg(to, msgs, 4, MSG_DONTWAIT, NULL), 4);
    CHECK_EQ(msgs[0].msg_len, 1);
    CHECK_EQ(msgs[3].msg_len, 4);
    CHECK_ERRNO(recvmmsg(to, msgs, 4, MSG_DONTWAIT, NULL), EAGAIN);
}

TEST(corked) {
    char buf[16];
    int to = bound(), one = 1, zero = 0, fd = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
    CHECK_OK(connect(fd, (void *)&at, sizeof at));
    CHECK_EQ(send(fd, "ab", 2, MSG_MORE), 2);
    CHECK_ERRNO(recv(to, buf, 16, MSG_DONTWAIT), EAGAIN);
    CHECK_EQ(send(fd, "cd", 2, 0), 2);
    CHECK_EQ(recv(to, buf, 16, 0), 4);
    CHECK_OK(setsockopt(fd, IPPROTO_UDP, UDP_CORK, &one, sizeof one));
    CHECK_EQ(send(fd, "ef", 2, 0), 2);
    CHECK_EQ(send(fd, "gh", 2, 0), 2);
    CHECK_ERRNO(recv(to, buf, 16, MSG_DONTWAIT), EAGAIN);
    CHECK_OK(setsockopt(fd, IPPROTO_UDP, UDP_CORK, &zero, sizeof zero));
    CHECK_EQ(recv(to, buf, 16, 0), 4);
}

TEST(groups) {
    char buf[16];
    int a = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0)), b = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0)), one = 1;
    struct ip_mreqn join = {.imr_multiaddr.s_addr = inet_addr("239.1.2.3"), .imr_ifindex = 1};
    struct sockaddr_in any = {.sin_family = AF_INET};
    CHECK_OK(setsockopt(a, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
    CHECK_OK(setsockopt(b, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
    CHECK_OK(bind(a, (void *)&any, sizeof any));
    any = name_of(a);
    CHECK_OK(bind(b, (void *)&any, sizeof any));
    CHECK_OK(setsockopt(a, IPPROTO_IP, IP_ADD_MEMBERSHIP, &join, sizeof join));
    CHECK_ERRNO(setsockopt(a, IPPROTO_IP, IP_ADD_MEMBERSHIP, &join, sizeof join), EADDRINUSE);
    CHECK_OK(setsockopt(b, IPPROTO_IP, IP_ADD_MEMBERSHIP, &join, sizeof join));
    int fd = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
    struct in_addr through = {htonl(INADDR_LOOPBACK)};
    CHECK_OK(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &through, sizeof through));
    any.sin_addr = join.imr_multiaddr;
    CHECK_EQ(sendto(fd, "all", 3, 0, (void *)&any, sizeof any), 3);
    CHECK_EQ(recv(a, buf, 16, 0), 3);
    CHECK_EQ(recv(b, buf, 16, 0), 3);
    CHECK_OK(setsockopt(a, IPPROTO_IP, IP_DROP_MEMBERSHIP, &join, sizeof join));
    CHECK_ERRNO(setsockopt(a, IPPROTO_IP, IP_DROP_MEMBERSHIP, &join, sizeof join), EADDRNOTAVAIL);
    join.imr_multiaddr.s_addr = inet_addr("10.1.2.3");
    CHECK_ERRNO(setsockopt(a, IPPROTO_IP, IP_ADD_MEMBERSHIP, &join, sizeof join), EINVAL);
}

TEST(six) {
    char buf[16];
    struct sockaddr_in6 six = {.sin6_family = AF_INET6}, from;
    socklen_t len = sizeof six;
    int one = 1, to = CHECK_OK(socket(AF_INET6, SOCK_DGRAM, 0)), fd = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
    if (bind(to, (void *)&six, sizeof six) == -1)
        check_skip("no IPv6");
    CHECK_OK(getsockname(to, (void *)&six, &len));
    CHECK_OK(setsockopt(to, IPPROTO_IPV6, IPV6_RECVPKTINFO, &one, sizeof one));
    at = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = six.sin6_port, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CHECK_EQ(sendto(fd, "4", 1, 0, (void *)&at, sizeof at), 1);
    CHECK_EQ(recvfrom(to, buf, 16, 0, (void *)&from, &len), 1);
    CHECK(IN6_IS_ADDR_V4MAPPED(&from.sin6_addr));
    fd = CHECK_OK(socket(AF_INET6, SOCK_DGRAM, 0));
    six.sin6_addr = in6addr_loopback;
    CHECK_EQ(sendto(fd, "6", 1, 0, (void *)&six, sizeof six), 1);
    CHECK_EQ(recvfrom(to, buf, 16, 0, (void *)&from, &len), 1);
    CHECK(IN6_IS_ADDR_LOOPBACK(&from.sin6_addr));
}

TEST(raw_echo) {
    check_need_root();
    struct { struct icmphdr head; char data[8]; } echo = {.head = {.type = ICMP_ECHO, .un.echo.id = 77}, .data = "payload"};
    unsigned sum = 0;
    char buf[128];
    int fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
    if (fd == -1 && errno == EPERM)
        check_skip("needs CAP_NET_RAW");
    CHECK_OK(fd);
    for (size_t i = 0; i < sizeof echo / 2; i++)
        sum += ((unsigned short *)&echo)[i];
    echo.head.checksum = ~((sum & 0xffff) + (sum >> 16));
    at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    unsigned filter = ~(1u << ICMP_ECHOREPLY);
    CHECK_OK(setsockopt(fd, SOL_RAW, 1, &filter, sizeof filter));
    CHECK_EQ(sendto(fd, &echo, sizeof echo, 0, (void *)&at, sizeof at), (long)sizeof echo);
    CHECK_EQ(recv(fd, buf, sizeof buf, 0), (long)(sizeof echo + 20));
    struct iphdr *ip = (void *)buf;
    CHECK_EQ(ip->version, 4);
    CHECK_EQ(ip->protocol, IPPROTO_ICMP);
    struct icmphdr *reply = (void *)(buf + 20);
    CHECK_EQ(reply->type, ICMP_ECHOREPLY);
    CHECK_EQ(reply->un.echo.id, 77);
    CHECK(memcmp(reply + 1, "payload", 8) == 0);
}

TEST(udplite_has_ports_of_its_own) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, other = to;
    socklen_t len = sizeof to;
    char buf[16];
    int value;
    int a = socket(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE);
    if (a == -1 && errno == EPROTONOSUPPORT)
        check_skip("no UDP-Lite");
    int b = CHECK_OK(socket(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE)), udp = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
    CHECK_OK(bind(b, (struct sockaddr *)&to, len));
    CHECK_OK(getsockname(b, (struct sockaddr *)&to, &len));
    CHECK_OK(bind(udp, (struct sockaddr *)&to, len));
    CHECK_EQ(sendto(a, "lite", 4, 0, (struct sockaddr *)&to, len), 4);
    CHECK_EQ(recvfrom(b, buf, sizeof buf, 0, (struct sockaddr *)&other, &len), 4);
    CHECK(other.sin_addr.s_addr == htonl(INADDR_LOOPBACK) && other.sin_port != to.sin_port);
    CHECK_ERRNO(recv(udp, buf, sizeof buf, MSG_DONTWAIT), EAGAIN);
    for (int name = 10; name <= 11; name++) { /* UDPLITE_SEND_CSCOV, UDPLITE_RECV_CSCOV */
        const int asked[] = {0, 1, 8, 20, 70000}, kept[] = {0, 8, 8, 20, 65535};
        for (int i = 0; i < 5; i++) {
            len = sizeof value;
            CHECK_OK(setsockopt(a, 136, name, &asked[i], sizeof asked[i]));
            CHECK_OK(getsockopt(a, 136, name, &value, &len));
            CHECK_EQ(value, kept[i]);
        }
    }
    len = sizeof value;
    CHECK_OK(getsockopt(a, SOL_SOCKET, SO_PROTOCOL, &value, &len));
    CHECK_EQ(value, IPPROTO_UDPLITE);
}
