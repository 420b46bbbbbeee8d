/* Netlink: devices, addresses, routes, a namespace of one's own. */
#include "check.h"
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <linux/if_addr.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

static char buf[65536];

static int route_socket(void) {
    struct sockaddr_nl name = {.nl_family = AF_NETLINK};
    int fd = CHECK_OK(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
    CHECK_OK(bind(fd, (void *)&name, sizeof name));
    return fd;
}

struct request {
    struct nlmsghdr head;
    union {
        struct ifinfomsg link;
        struct ifaddrmsg addr;
        struct rtmsg route;
    };
    char attrs[64];
};

static void attr(struct request *r, int type, const void *data, int len) {
    struct rtattr *a = (void *)((char *)r + NLMSG_ALIGN(r->head.nlmsg_len));
    a->rta_type = type;
    a->rta_len = RTA_LENGTH(len);
    memcpy(RTA_DATA(a), data, len);
    r->head.nlmsg_len = NLMSG_ALIGN(r->head.nlmsg_len) + RTA_ALIGN(a->rta_len);
}

/* Sends with NLM_F_ACK and returns the error number. */
static int ask(int fd, struct request *r) {
    r->head.nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
    r->head.nlmsg_seq = 99;
    CHECK_EQ(send(fd, r, r->head.nlmsg_len, 0), r->head.nlmsg_len);
    ssize_t n = CHECK_OK(recv(fd, buf, sizeof buf, 0));
    struct nlmsghdr *h = (void *)buf;
    CHECK(NLMSG_OK(h, n));
    CHECK_EQ(h->nlmsg_type, NLMSG_ERROR);
    CHECK_EQ(h->nlmsg_seq, 99);
    return -((struct nlmsgerr *)NLMSG_DATA(h))->error;
}

static void alone(void) {
    check_need_root();
    if (unshare(CLONE_NEWNET) == -1)
        check_skip("cannot make a network namespace");
}

static int lo_up(int fd, int up) {
    struct request r = {.head = {.nlmsg_len = NLMSG_LENGTH(sizeof r.link), .nlmsg_type = RTM_NEWLINK}};
    r.link = (struct ifinfomsg){.ifi_index = 1, .ifi_flags = up ? IFF_UP : 0, .ifi_change = IFF_UP};
    return ask(fd, &r);
}

TEST(creating) {
    CHECK_ERRNO(socket(AF_NETLINK, SOCK_STREAM, NETLINK_ROUTE), ESOCKTNOSUPPORT);
    CHECK_ERRNO(socket(AF_NETLINK, SOCK_RAW, 99), EPROTONOSUPPORT);
    int fd = route_socket();
    struct sockaddr_nl name;
    socklen_t len = sizeof name;
    CHECK_OK(getsockname(fd, (void *)&name, &len));
    CHECK_EQ(name.nl_family, AF_NETLINK);
    CHECK_EQ(name.nl_pid, getpid());
    int other = route_socket();
    CHECK_OK(getsockname(other, (void *)&name, &len));
    CHECK((int)name.nl_pid != getpid());
    CHECK_ERRNO(recv(fd, buf, sizeof buf, MSG_DONTWAIT), EAGAIN);
}

TEST(devices_are_listed) {
    struct request r = {.head = {.nlmsg_len = NLMSG_LENGTH(sizeof r.link), .nlmsg_type = RTM_GETLINK,
                                 .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP, .nlmsg_seq = 5}};
    int fd = route_socket(), lo = 0, done = 0;
    CHECK_OK(send(fd, &r, r.head.nlmsg_len, 0));
    CHECK(recv(fd, buf, 1, MSG_PEEK | MSG_TRUNC) > 16);
    while (!done) {
        ssize_t n = CHECK_OK(recv(fd, buf, sizeof buf, 0));
        for (struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
            CHECK_EQ(h->nlmsg_seq, 5);
            CHECK(h->nlmsg_flags & NLM_F_MULTI);
            if (h->nlmsg_type == NLMSG_DONE) {
                done = 1;
                break;
            }
            CHECK_EQ(h->nlmsg_type, RTM_NEWLINK);
            struct ifinfomsg *info = NLMSG_DATA(h);
            int left = IFLA_PAYLOAD(h);
            for (struct rtattr *a = IFLA_RTA(info); RTA_OK(a, left); a = RTA_NEXT(a, left))
                if (a->rta_type == IFLA_IFNAME && strcmp(RTA_DATA(a), "lo") == 0)
                    lo = info->ifi_index;
        }
    }
    CHECK_EQ(lo, 1);
}

TEST(addresses_are_listed) {
    struct ifaddrs *list;
    int four = 0, six = 0;
    CHECK_OK(getifaddrs(&list));
    for (struct ifaddrs *i = list; i; i = i->ifa_next) {
        if (strcmp(i->ifa_name, "lo") != 0 || !i->ifa_addr)
            continue;
        if (i->ifa_addr->sa_family == AF_INET) {
            CHECK_EQ(((struct sockaddr_in *)i->ifa_addr)->sin_addr.s_addr, htonl(INADDR_LOOPBACK));
            four++;
        }
        if (i->ifa_addr->sa_family == AF_INET6)
            six++;
    }
    CHECK_EQ(four, 1);
    CHECK(six <= 1);
}

TEST(errors) {
    struct request r = {.head = {.nlmsg_len = NLMSG_LENGTH(sizeof r.link), .nlmsg_type = RTM_GETLINK}};
    int fd = route_socket();
    r.link.ifi_index = 4321;
    CHECK_EQ(ask(fd, &r), ENODEV);
    r.link.ifi_index = 0;
    CHECK_EQ(ask(fd, &r), EINVAL);
    r.head.nlmsg_type = 0x3fe;
    CHECK_EQ(ask(fd, &r), EOPNOTSUPP);
}

TEST(a_new_namespace_has_lo_down) {
    alone();
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(9)};
    int fd = route_socket(), s = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
    CHECK_ERRNO(connect(s, (void *)&at, sizeof at), ENETUNREACH);
    struct ifreq flags = {.ifr_name = "lo"};
    CHECK_OK(ioctl(s, SIOCGIFFLAGS, &flags));
    CHECK_EQ(flags.ifr_flags & IFF_UP, 0);
    CHECK_EQ(lo_up(fd, 1), 0);
    CHECK_OK(ioctl(s, SIOCGIFFLAGS, &flags));
    CHECK_EQ(flags.ifr_flags & IFF_UP, IFF_UP);
    CHECK_OK(connect(s, (void *)&at, sizeof at));
    CHECK_EQ(lo_up(fd, 0), 0);
    CHECK_OK(ioctl(s, SIOCGIFFLAGS, &flags));
    CHECK_EQ(flags.ifr_flags & IFF_UP, 0);
}

TEST(addresses_come_and_go) {
    alone();
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = inet_addr("10.9.8.7")};
    int fd = route_socket(), s = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
    CHECK_EQ(lo_up(fd, 1), 0);
    CHECK_ERRNO(bind(s, (void *)&at, sizeof at), EADDRNOTAVAIL);
    for (int i = 0; i < 2; i++) {
        struct request r = {.head = {.nlmsg_len = NLMSG_LENGTH(sizeof r.addr), .nlmsg_type = RTM_NEWADDR,
                                     .nlmsg_flags = NLM_F_CREATE | NLM_F_EXCL}};
        r.addr = (struct ifaddrmsg){.ifa_family = AF_INET, .ifa_prefixlen = 24, .ifa_index = 1};
        attr(&r, IFA_LOCAL, &at.sin_addr, 4);
        attr(&r, IFA_ADDRESS, &at.sin_addr, 4);
        CHECK_EQ(ask(fd, &r), i == 0 ? 0 : EEXIST);
    }
    CHECK_OK(bind(s, (void *)&at, sizeof at));
    for (int i = 0; i < 2; i++) {
        struct request r = {.head = {.nlmsg_len = NLMSG_LENGTH(sizeof r.addr), .nlmsg_type = RTM_DELADDR}};
        r.addr = (struct ifaddrmsg){.ifa_family = AF_INET, .ifa_prefixlen = 24, .ifa_index = 1};
        attr(&r, IFA_LOCAL, &at.sin_addr, 4);
        CHECK_EQ(ask(fd, &r), i == 0 ? 0 : EADDRNOTAVAIL);
    }
}

TEST(changes_are_told) {
    alone();
    struct sockaddr_nl name = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
    int fd = route_socket(), ear = CHECK_OK(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
    CHECK_OK(bind(ear, (void *)&name, sizeof name));
    CHECK_EQ(lo_up(fd, 1), 0);
    struct pollfd p = {.fd = ear, .events = POLLIN};
    CHECK_EQ(poll(&p, 1, 5000), 1);
    CHECK(recv(ear, buf, sizeof buf, 0) > 0);
    CHECK_EQ(((struct nlmsghdr *)buf)->nlmsg_type, RTM_NEWLINK);
}

TEST(sockets_are_listed) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int s = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0)), fd = CHECK_OK(socket(AF_NETLINK, SOCK_DGRAM, NETLINK_SOCK_DIAG));
    CHECK_OK(bind(s, (void *)&at, sizeof at));
    CHECK_OK(listen(s, 17));
    CHECK_OK(getsockname(s, (void *)&at, &len));
    struct { struct nlmsghdr head; struct inet_diag_req_v2 req; } r = {
        .head = {.nlmsg_len = sizeof r, .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
        .req = {.sdiag_family = AF_INET, .sdiag_protocol = IPPROTO_TCP, .idiag_states = 1 << 10}};
    CHECK_EQ(send(fd, &r, sizeof r, 0), (long)sizeof r);
    int found = 0, done = 0;
    while (!done) {
        ssize_t n = CHECK_OK(recv(fd, buf, sizeof buf, 0));
        for (struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
            if (h->nlmsg_type == NLMSG_DONE) {
                done = 1;
                break;
            }
            struct inet_diag_msg *msg = NLMSG_DATA(h);
            CHECK_EQ(h->nlmsg_type, SOCK_DIAG_BY_FAMILY);
            if (msg->id.idiag_sport == at.sin_port) {
                struct stat st;
                CHECK_OK(fstat(s, &st));
                CHECK_EQ(msg->idiag_state, 10);
                CHECK_EQ(msg->idiag_wqueue, 17);
                CHECK_EQ(msg->idiag_inode, (unsigned)st.st_ino);
                found++;
            }
        }
    }
    CHECK_EQ(found, 1);
}

TEST(unix_sockets_are_listed_with_their_peers) {
    int pair[2], fd = CHECK_OK(socket(AF_NETLINK, SOCK_DGRAM, NETLINK_SOCK_DIAG)), l = CHECK_OK(socket(AF_UNIX, SOCK_STREAM, 0));
    struct sockaddr_un at = {.sun_family = AF_UNIX, .sun_path = "\0diag-test"};
    CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    CHECK_EQ(write(pair[0], "hello", 5), 5);
    CHECK_OK(bind(l, (void *)&at, sizeof(sa_family_t) + 10));
    CHECK_OK(listen(l, 7));
    struct stat first, second, third;
    CHECK_OK(fstat(pair[0], &first));
    CHECK_OK(fstat(pair[1], &second));
    CHECK_OK(fstat(l, &third));
    struct { struct nlmsghdr head; struct unix_diag_req req; } r = {
        .head = {.nlmsg_len = sizeof r, .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
        .req = {.sdiag_family = AF_UNIX, .udiag_states = -1, .udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_PEER | UDIAG_SHOW_RQLEN}};
    CHECK_EQ(send(fd, &r, sizeof r, 0), (long)sizeof r);
    int found = 0, done = 0;
    while (!done) {
        ssize_t n = CHECK_OK(recv(fd, buf, sizeof buf, 0));
        for (struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
            if (h->nlmsg_type == NLMSG_DONE) {
                done = 1;
                break;
            }
            struct unix_diag_msg *msg = NLMSG_DATA(h);
            CHECK_EQ(h->nlmsg_type, SOCK_DIAG_BY_FAMILY);
            unsigned ino = msg->udiag_ino;
            if (ino != (unsigned)second.st_ino && ino != (unsigned)third.st_ino)
                continue;
            found++;
            CHECK_EQ(msg->udiag_state, ino == (unsigned)third.st_ino ? 10 : 1);
            int len = h->nlmsg_len - NLMSG_LENGTH(sizeof *msg);
            for (struct rtattr *a = (void *)(msg + 1); RTA_OK(a, len); a = RTA_NEXT(a, len)) {
                if (a->rta_type == UNIX_DIAG_PEER)
                    CHECK_EQ(*(unsigned *)RTA_DATA(a), (unsigned)first.st_ino);
                if (a->rta_type == UNIX_DIAG_NAME)
                    CHECK(RTA_PAYLOAD(a) == 10 && !memcmp(RTA_DATA(a), at.sun_path, 10));
                if (a->rta_type == UNIX_DIAG_RQLEN) {
                    unsigned *queue = RTA_DATA(a);
                    CHECK_EQ(queue[0], ino == (unsigned)third.st_ino ? 0 : 5);
                    if (ino == (unsigned)third.st_ino)
                        CHECK_EQ(queue[1], 7);
                }
            }
        }
    }
    CHECK_EQ(found, 2);
}

TEST(proc_shows_sockets) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    char line[128];
    int s = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
    CHECK_OK(bind(s, (void *)&at, sizeof at));
    CHECK_OK(listen(s, 1));
    CHECK_OK(getsockname(s, (void *)&at, &len));
    snprintf(line, sizeof line, ": 0100007F:%04X 00000000:0000 0A", ntohs(at.sin_port));
    check_read_file("/proc/net/tcp", buf, sizeof buf);
    CHECK(strstr(buf, line) != NULL);
    s = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
    at.sin_port = 0;
    CHECK_OK(bind(s, (void *)&at, sizeof at));
    CHECK_OK(getsockname(s, (void *)&at, &len));
    snprintf(line, sizeof line, ": 0100007F:%04X 00000000:0000 07", ntohs(at.sin_port));
    check_read_file("/proc/net/udp", buf, sizeof buf);
    CHECK(strstr(buf, line) != NULL);
    for (const char **name = (const char *[]){"tcp6", "udp6", "raw", "dev", "route", "if_inet6", "snmp", "sockstat",
                                              "netlink", "arp", "unix", "packet", NULL}; *name; name++) {
        snprintf(line, sizeof line, "/proc/net/%s", *name);
        check_read_file(line, buf, sizeof buf);
    }
    alone();
    check_read_file("/proc/net/dev", buf, sizeof buf);
    CHECK(strstr(buf, "lo:") != NULL);
    CHECK(strstr(buf, "eth") == NULL);
}

static struct request new_link(const char *name, const char *kind) {
    struct request r = {.head = {.nlmsg_len = NLMSG_LENGTH(sizeof r.link), .nlmsg_type = RTM_NEWLINK}};
    if (name)
        attr(&r, IFLA_IFNAME, name, strlen(name) + 1);
    if (kind) {
        char info[32];
        struct rtattr *a = (void *)info;
        a->rta_type = IFLA_INFO_KIND;
        a->rta_len = RTA_LENGTH(strlen(kind));
        memcpy(RTA_DATA(a), kind, strlen(kind));
        attr(&r, IFLA_LINKINFO, info, RTA_ALIGN(a->rta_len));
    }
    r.head.nlmsg_flags = NLM_F_CREATE | NLM_F_EXCL;
    return r;
}

TEST(a_device_that_leads_nowhere) {
    alone();
    int fd = route_socket();
    struct request r = new_link(NULL, NULL);
    r.head.nlmsg_flags = 0;
    CHECK_EQ(ask(fd, &r), ENODEV);
    r = new_link("x0", "nosuchkind");
    CHECK_EQ(ask(fd, &r), EOPNOTSUPP);
    r = new_link("d0", "dummy");
    int result = ask(fd, &r);
    if (result == EOPNOTSUPP)
        check_skip("no devices of that kind");
    CHECK_EQ(result, 0);
    r = new_link("d0", "dummy");
    CHECK_EQ(ask(fd, &r), EEXIST);
    r = new_link("a/b", "dummy");
    CHECK_EQ(ask(fd, &r), EINVAL);
    int index = if_nametoindex("d0");
    CHECK(index > 1);
    struct request a = {.head = {.nlmsg_len = NLMSG_LENGTH(sizeof a.addr), .nlmsg_type = RTM_NEWADDR,
                                 .nlmsg_flags = NLM_F_CREATE | NLM_F_EXCL}};
    a.addr = (struct ifaddrmsg){.ifa_family = AF_INET, .ifa_prefixlen = 24, .ifa_index = index};
    struct in_addr ip = {htonl(0x0a010203)};
    attr(&a, IFA_LOCAL, &ip, sizeof ip);
    CHECK_EQ(ask(fd, &a), 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(0x0a010209)};
    int udp = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
    CHECK_ERRNO(sendto(udp, "x", 1, 0, (void *)&to, sizeof to), ENETUNREACH);
    CHECK_EQ(lo_up(fd, 1), 0);
    r = (struct request){.head = {.nlmsg_len = NLMSG_LENGTH(sizeof r.link), .nlmsg_type = RTM_NEWLINK}};
    r.link = (struct ifinfomsg){.ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
    CHECK_EQ(ask(fd, &r), 0);
    CHECK_EQ(sendto(udp, "x", 1, 0, (void *)&to, sizeof to), 1);
    /* Its own address is the machine's. */
    to.sin_addr = ip;
    int here = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
    CHECK_OK(bind(here, (void *)&to, sizeof to));
    CHECK_EQ(sendto(udp, "yz", 2, 0, (void *)&to, sizeof to), 2);
    CHECK_EQ(recv(here, buf, sizeof buf, 0), 2);
    r = (struct request){.head = {.nlmsg_len = NLMSG_LENGTH(sizeof r.link), .nlmsg_type = RTM_DELLINK}};
    r.link.ifi_index = index;
    CHECK_EQ(ask(fd, &r), 0);
    CHECK_EQ(if_nametoindex("d0"), 0);
    to.sin_addr.s_addr = htonl(0x0a010209);
    CHECK_ERRNO(sendto(udp, "x", 1, 0, (void *)&to, sizeof to), ENETUNREACH);
    r.link.ifi_index = 1;
    CHECK_EQ(ask(fd, &r), EOPNOTSUPP);
}

#include <linux/genetlink.h>
#include <linux/taskstats.h>

static void *generic_attr(int type) {
    struct nlmsghdr *h = (void *)buf;
    struct nlattr *a = (void *)((char *)NLMSG_DATA(h) + GENL_HDRLEN);
    int left = h->nlmsg_len - NLMSG_HDRLEN - GENL_HDRLEN;
    while (left >= (int)sizeof *a && a->nla_len >= sizeof *a) {
        if ((a->nla_type & NLA_TYPE_MASK) == type)
            return a + 1;
        left -= NLA_ALIGN(a->nla_len);
        a = (void *)((char *)a + NLA_ALIGN(a->nla_len));
    }
    return NULL;
}

/* Sends a generic request with one attribute; returns the error, 0 if the answer is in buf. */
static int generic(int fd, int family, int cmd, int type, const void *data, int len) {
    struct {
        struct nlmsghdr head;
        struct genlmsghdr genl;
        struct nlattr attr;
        char data[64];
    } r = {.head = {.nlmsg_type = family, .nlmsg_flags = NLM_F_REQUEST}, .genl = {.cmd = cmd, .version = 1}};
    r.attr.nla_type = type;
    r.attr.nla_len = sizeof r.attr + len;
    memcpy(r.data, data, len);
    r.head.nlmsg_len = NLMSG_HDRLEN + GENL_HDRLEN + NLA_ALIGN(r.attr.nla_len);
    CHECK_EQ(send(fd, &r, r.head.nlmsg_len, 0), r.head.nlmsg_len);
    CHECK_OK(recv(fd, buf, sizeof buf, 0));
    struct nlmsghdr *h = (void *)buf;
    return h->nlmsg_type == NLMSG_ERROR ? -((struct nlmsgerr *)NLMSG_DATA(h))->error : 0;
}

TEST(generic_families_are_found_by_name_and_tell_what_tasks_used) {
    check_need_root();
    int fd = CHECK_OK(socket(AF_NETLINK, SOCK_RAW, NETLINK_GENERIC));
    CHECK_EQ(generic(fd, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_NAME, "nobody", 7), ENOENT);
    CHECK_EQ(generic(fd, GENL_ID_CTRL, 99, CTRL_ATTR_FAMILY_NAME, "nobody", 7), EOPNOTSUPP);
    if (generic(fd, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_NAME, "TASKSTATS", 10) == ENOENT)
        check_skip("no task statistics in this kernel");
    CHECK_STR((char *)generic_attr(CTRL_ATTR_FAMILY_NAME), "TASKSTATS");
    int family = *(uint16_t *)generic_attr(CTRL_ATTR_FAMILY_ID);
    uint32_t pid = getpid(), nobody = 4000000;
    int error = generic(fd, family, TASKSTATS_CMD_GET, TASKSTATS_CMD_ATTR_PID, &pid, 4);
    if (error == EPERM)
        check_skip("may not ask for statistics");
    CHECK_EQ(error, 0);
    struct nlattr *inside = generic_attr(TASKSTATS_TYPE_AGGR_PID);
    CHECK(inside != NULL);
    CHECK_EQ(inside->nla_type, TASKSTATS_TYPE_PID);
    CHECK_EQ(*(uint32_t *)(inside + 1), pid);
    inside = (void *)((char *)inside + NLA_ALIGN(inside->nla_len));
    CHECK_EQ(inside->nla_type, TASKSTATS_TYPE_STATS);
    struct taskstats *stats = (void *)(inside + 1);
    CHECK_EQ(stats->ac_pid, pid);
    CHECK_EQ(stats->ac_ppid, (uint32_t)getppid());
    CHECK_STR(stats->ac_comm, "netlink");
    CHECK_EQ(generic(fd, family, TASKSTATS_CMD_GET, TASKSTATS_CMD_ATTR_TGID, &pid, 4), 0);
    CHECK(generic_attr(TASKSTATS_TYPE_AGGR_TGID) != NULL);
    CHECK_EQ(generic(fd, family, TASKSTATS_CMD_GET, TASKSTATS_CMD_ATTR_PID, &nobody, 4), ESRCH);
}
