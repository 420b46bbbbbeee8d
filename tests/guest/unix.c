/* Unix sockets: stream, datagram, packet; names, peers, ancillary data, shutdown, options. */
#include "check.h"
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

static int sv[2];

static struct sockaddr_un name(const char *path) {
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    strcpy(addr.sun_path, path);
    return addr;
}

static int bound(int type, const char *path) {
    struct sockaddr_un addr = name(path);
    int fd = CHECK_OK(socket(AF_UNIX, type, 0));
    CHECK_OK(bind(fd, (void *)&addr, sizeof addr));
    return fd;
}

static int connect_to(int fd, const char *path) {
    struct sockaddr_un addr = name(path);
    return connect(fd, (void *)&addr, sizeof addr);
}

TEST(creating) {
    CHECK_ERRNO(socket(AF_UNIX, 77, 0), EINVAL);
    CHECK_ERRNO(socket(AF_UNIX, SOCK_STREAM, 5), EPROTONOSUPPORT);
    CHECK_ERRNO(socket(99, SOCK_STREAM, 0), EAFNOSUPPORT);
    CHECK_ERRNO(socket(AF_UNIX, SOCK_RDM, 0), ESOCKTNOSUPPORT);
    CHECK_ERRNO(socketpair(AF_UNIX, SOCK_STREAM, 0, (int *)8), EFAULT);
    CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sv));
    CHECK_EQ(fcntl(sv[0], F_GETFD), FD_CLOEXEC);
    CHECK(fcntl(sv[1], F_GETFL) & O_NONBLOCK);
    int value;
    socklen_t len = sizeof value;
    CHECK_OK(getsockopt(sv[0], SOL_SOCKET, SO_TYPE, &value, &len));
    CHECK_EQ(value, SOCK_STREAM);
    CHECK_OK(getsockopt(sv[0], SOL_SOCKET, SO_DOMAIN, &value, &len));
    CHECK_EQ(value, AF_UNIX);
    CHECK_OK(getsockopt(sv[0], SOL_SOCKET, SO_ACCEPTCONN, &value, &len));
    CHECK_EQ(value, 0);
    CHECK_ERRNO(getsockopt(sv[0], SOL_SOCKET, 9999, &value, &len), ENOPROTOOPT);
    CHECK_ERRNO(getsockopt(0, SOL_SOCKET, SO_TYPE, &value, &len), ENOTSOCK);
    CHECK_ERRNO(listen(sv[0], 1), EINVAL);
    CHECK_ERRNO(accept(sv[0], NULL, NULL), EINVAL);
}

TEST(streams_flow_and_end) {
    char buf[8];
    CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    CHECK_EQ(write(sv[0], "abcdef", 6), 6);
    CHECK_EQ(recv(sv[1], buf, 3, MSG_PEEK), 3);
    CHECK_EQ(recv(sv[1], buf, 4, 0), 4);
    CHECK_EQ(recv(sv[1], buf, 8, MSG_DONTWAIT), 2);
    CHECK_ERRNO(recv(sv[1], buf, 8, MSG_DONTWAIT), EAGAIN);
    CHECK_OK(shutdown(sv[0], SHUT_WR));
    CHECK_EQ(read(sv[1], buf, 8), 0);
    CHECK(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    CHECK_ERRNO(write(sv[0], "x", 1), EPIPE);
    CHECK_EQ(write(sv[1], "back", 4), 4);
    CHECK_OK(close(sv[1]));
    CHECK_EQ(read(sv[0], buf, 8), 4);
    CHECK_EQ(read(sv[0], buf, 8), 0);
    CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    CHECK_EQ(write(sv[0], "unread", 6), 6);
    CHECK_OK(close(sv[1]));
    CHECK_ERRNO(read(sv[0], buf, 8), ECONNRESET);
    CHECK_EQ(read(sv[0], buf, 8), 0);
    CHECK_ERRNO(shutdown(sv[0], 5), EINVAL);
    signal(SIGPIPE, SIG_DFL);
    CHECK_ERRNO(send(sv[0], "x", 1, MSG_NOSIGNAL), EPIPE);
}

TEST(names_listen_accept) {
    check_scratch();
    struct sockaddr_un addr;
    socklen_t len = sizeof addr;
    int server = bound(SOCK_STREAM, "s");
    addr = name("s");
    int other = CHECK_OK(socket(AF_UNIX, SOCK_STREAM, 0));
    CHECK_ERRNO(bind(other, (void *)&addr, sizeof addr), EADDRINUSE);
    addr = name("s2");
    CHECK_ERRNO(bind(server, (void *)&addr, sizeof addr), EINVAL);
    CHECK_ERRNO(access("s2", F_OK), ENOENT);
    CHECK_ERRNO(connect_to(other, "s"), ECONNREFUSED);
    CHECK_ERRNO(connect_to(other, "none"), ENOENT);
    CHECK_OK(listen(server, 1));
    CHECK_OK(connect_to(other, "s"));
    CHECK_ERRNO(connect_to(other, "s"), EISCONN);
    int peer = CHECK_OK(accept4(server, (void *)&addr, &len, SOCK_CLOEXEC | SOCK_NONBLOCK));
    CHECK_EQ(len, 2); /* the client has no name */
    CHECK(fcntl(peer, F_GETFL) & O_NONBLOCK);
    len = sizeof addr;
    CHECK_OK(getpeername(other, (void *)&addr, &len));
    CHECK_STR(addr.sun_path, "s");
    CHECK_EQ(len, 4);
    struct ucred cred;
    len = sizeof cred;
    CHECK_OK(getsockopt(peer, SOL_SOCKET, SO_PEERCRED, &cred, &len));
    CHECK_EQ(cred.pid, getpid());
    CHECK_EQ(cred.uid, geteuid());
    CHECK_OK(fcntl(server, F_SETFL, O_NONBLOCK));
    CHECK_ERRNO(accept(server, NULL, NULL), EAGAIN);
    int dgram = CHECK_OK(socket(AF_UNIX, SOCK_DGRAM, 0));
    CHECK_ERRNO(connect_to(dgram, "s"), EPROTOTYPE);
    CHECK_ERRNO(open("s", O_RDWR), ENXIO);
    struct stat st;
    CHECK_OK(stat("s", &st));
    CHECK(S_ISSOCK(st.st_mode));
    /* a full queue of connections */
    for (int i = 0; i < 2; i++)
        CHECK_OK(connect_to(CHECK_OK(socket(AF_UNIX, SOCK_STREAM, 0)), "s"));
    CHECK_ERRNO(connect_to(CHECK_OK(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0)), "s"), EAGAIN);
    CHECK_OK(close(server));
    CHECK_ERRNO(connect_to(CHECK_OK(socket(AF_UNIX, SOCK_STREAM, 0)), "s"), ECONNREFUSED);
}

TEST(abstract_and_automatic_names) {
    struct sockaddr_un addr = {.sun_family = AF_UNIX}, got;
    socklen_t len = sizeof got;
    int n = snprintf(addr.sun_path + 1, 100, "guest-%d", getpid());
    int a = CHECK_OK(socket(AF_UNIX, SOCK_DGRAM, 0)), b = CHECK_OK(socket(AF_UNIX, SOCK_DGRAM, 0));
    CHECK_OK(bind(a, (void *)&addr, 3 + n));
    CHECK_ERRNO(bind(b, (void *)&addr, 3 + n), EADDRINUSE);
    CHECK_OK(getsockname(a, (void *)&got, &len));
    CHECK_EQ(len, 3 + n);
    CHECK_EQ(got.sun_path[0], 0);
    CHECK_OK(bind(b, (void *)&addr, 2)); /* the family alone: the kernel finds a name */
    len = sizeof got;
    CHECK_OK(getsockname(b, (void *)&got, &len));
    CHECK_EQ(len, 8);
    CHECK_OK(connect(b, (void *)&addr, 3 + n));
    CHECK_ERRNO(connect(a, (void *)&addr, 4 + n), ECONNREFUSED); /* a trailing NUL is part of the name */
    CHECK_EQ(send(b, "hi", 2, 0), 2);
    char buf[4];
    len = sizeof got;
    CHECK_EQ(recvfrom(a, buf, 4, 0, (void *)&got, &len), 2);
    CHECK_EQ(len, 8);
    CHECK_ERRNO(bind(b, (void *)&addr, 1), EINVAL);
    CHECK_ERRNO(bind(b, (void *)&addr, sizeof addr + 1), EINVAL);
}

TEST(datagrams_keep_their_bounds) {
    char buf[8];
    CHECK_OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, sv));
    CHECK_EQ(send(sv[0], "first one", 9, 0), 9);
    CHECK_EQ(send(sv[0], "", 0, 0), 0);
    CHECK_EQ(send(sv[0], "third", 5, 0), 5);
    CHECK_EQ(recv(sv[1], buf, 4, MSG_TRUNC | MSG_PEEK), 9);
    struct iovec iov = {buf, 4};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    CHECK_EQ(recvmsg(sv[1], &msg, 0), 4);
    CHECK_EQ(msg.msg_flags, MSG_TRUNC);
    CHECK_EQ(recv(sv[1], buf, 8, 0), 0);
    CHECK_EQ(recv(sv[1], buf, 8, 0), 5);
    CHECK_OK(close(sv[1]));
    CHECK_ERRNO(send(sv[0], "x", 1, MSG_NOSIGNAL), ECONNREFUSED);
    int alone = CHECK_OK(socket(AF_UNIX, SOCK_DGRAM, 0));
    CHECK_ERRNO(send(alone, "x", 1, 0), ENOTCONN);
    CHECK_OK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv));
    CHECK_EQ(send(sv[0], "abc", 3, 0), 3);
    CHECK_EQ(send(sv[0], "de", 2, MSG_EOR), 2);
    CHECK_EQ(recv(sv[1], buf, 8, 0), 3);
    CHECK_OK(close(sv[0]));
    CHECK_EQ(recv(sv[1], buf, 8, 0), 2);
    CHECK_EQ(recv(sv[1], buf, 8, 0), 0);
    struct mmsghdr many[2] = {{.msg_hdr = msg}, {.msg_hdr = msg}};
    CHECK_OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, sv));
    CHECK_EQ(sendmmsg(sv[0], many, 2, 0), 2);
    CHECK_EQ(many[1].msg_len, 4);
    CHECK_EQ(recvmmsg(sv[1], many, 2, 0, NULL), 2);
}

static char control[1024];

static void send_fds(int to, const int *fds, int n) {
    struct iovec iov = {"x", 1};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(n * 4)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(n * 4), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(c), fds, n * 4);
    CHECK_EQ(sendmsg(to, &msg, 0), 1);
}

static struct msghdr receive(int from, size_t room, int flags) {
    static char buf[16];
    static struct iovec iov;
    iov = (struct iovec){buf, sizeof buf};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = room};
    CHECK(recvmsg(from, &msg, flags) > 0);
    return msg;
}

TEST(descriptors_travel) {
    check_scratch();
    CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    int pipes[2], got[2];
    CHECK_OK(pipe(pipes));
    send_fds(sv[0], pipes, 2);
    CHECK_OK(close(pipes[1]));
    struct msghdr msg = receive(sv[1], sizeof control, MSG_CMSG_CLOEXEC);
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    CHECK(c != NULL && c->cmsg_type == SCM_RIGHTS);
    CHECK_EQ(c->cmsg_len, CMSG_LEN(8));
    memcpy(got, CMSG_DATA(c), 8);
    CHECK_EQ(fcntl(got[1], F_GETFD), FD_CLOEXEC);
    CHECK_EQ(write(got[1], "through", 7), 7);
    char buf[8];
    CHECK_EQ(read(pipes[0], buf, 8), 7);
    /* no room: closed, and told */
    send_fds(sv[0], pipes, 1);
    msg = receive(sv[1], 0, 0);
    CHECK_EQ(msg.msg_flags & MSG_CTRUNC, MSG_CTRUNC);
    /* room for one of two */
    int two[2] = {pipes[0], pipes[0]};
    send_fds(sv[0], two, 2);
    msg = receive(sv[1], CMSG_SPACE(4), 0);
    CHECK_EQ(msg.msg_controllen, CMSG_SPACE(4)); /* alignment leaves room for the second */
    CHECK_EQ(CMSG_FIRSTHDR(&msg)->cmsg_len, CMSG_LEN(8));
    /* room for less than one, and for one and a half without alignment's help */
    send_fds(sv[0], two, 2);
    msg = receive(sv[1], CMSG_LEN(3), 0);
    CHECK_EQ(msg.msg_flags & MSG_CTRUNC, MSG_CTRUNC);
    send_fds(sv[0], two, 2);
    msg = receive(sv[1], CMSG_LEN(7), 0);
    CHECK_EQ(msg.msg_flags & MSG_CTRUNC, MSG_CTRUNC);
    CHECK_EQ(CMSG_FIRSTHDR(&msg)->cmsg_len, CMSG_LEN(4));
    /* messages with descriptors are not joined with what follows */
    CHECK_EQ(write(sv[0], "a", 1), 1);
    send_fds(sv[0], pipes, 1);
    CHECK_EQ(write(sv[0], "b", 1), 1);
    CHECK_EQ(recv(sv[1], buf, 8, 0), 2);
    CHECK_EQ(recv(sv[1], buf, 8, 0), 1);
    /* what nobody takes is closed with the socket */
    CHECK_OK(pipe(pipes));
    send_fds(sv[0], &pipes[1], 1);
    CHECK_OK(close(pipes[1]));
    CHECK_OK(close(sv[0]));
    CHECK_OK(close(sv[1]));
    CHECK_EQ(read(pipes[0], buf, 8), 0);
    int bad = 99;
    CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    struct iovec iov = {"x", 1};
    msg = (struct msghdr){.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(4)};
    c = CMSG_FIRSTHDR(&msg);
    *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(4), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(c), &bad, 4);
    CHECK_ERRNO(sendmsg(sv[0], &msg, 0), EBADF);
    c->cmsg_len = 4;
    CHECK_ERRNO(sendmsg(sv[0], &msg, 0), EINVAL);
}

/* Each socket waits in the queue of the next: when the last one goes, all go, however many. */
TEST(a_long_chain_of_sockets_in_queues_goes) {
    int pipes[2];
    char byte;
    CHECK_OK(pipe(pipes));
    int inner = pipes[1];
    for (int i = 0; i < 30000; i++) {
        CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
        send_fds(sv[0], &inner, 1);
        CHECK_OK(close(inner));
        CHECK_OK(close(sv[0]));
        inner = sv[1];
    }
    CHECK_OK(close(inner));
    CHECK_EQ(read(pipes[0], &byte, 1), 0);
}

TEST(descriptors_under_way_count_against_a_limit) {
    check_need_root();
    CHECK_OK(setresuid(4321, 4321, 4321));
    struct rlimit limit = {20, 20};
    CHECK_OK(setrlimit(RLIMIT_NOFILE, &limit));
    CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    for (int i = 0; i < 4; i++)
        send_fds(sv[0], (int[]){0, 0, 0, 0, 0}, 5);
    struct iovec iov = {"x", 1};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(20)};
    int sent = 0;
    while (sent < 10 && sendmsg(sv[0], &msg, 0) == 1)
        sent++;
    CHECK_EQ(errno, ETOOMANYREFS);
    receive(sv[1], 0, 0);
    receive(sv[1], 0, 0);
    CHECK_EQ(sendmsg(sv[0], &msg, 0), 1);
}

static struct sockaddr_un names[2];

static void *connects_to_the_other(void *arg) {
    long self = (long)arg;
    for (int i = 0; i < 300; i++) {
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        unlink(names[self].sun_path);
        if (bind(fd, (void *)&names[self], sizeof names[self]) == 0)
            for (int j = 0; j < 10; j++)
                connect(fd, (void *)&names[!self], sizeof names[0]);
        close(fd);
    }
    return NULL;
}

TEST(sockets_may_connect_to_each_other_at_once) {
    check_scratch();
    names[0] = name("left");
    names[1] = name("right");
    pthread_t threads[2];
    for (long i = 0; i < 2; i++)
        CHECK_ZERO(pthread_create(&threads[i], NULL, connects_to_the_other, (void *)i));
    for (int i = 0; i < 2; i++)
        CHECK_ZERO(pthread_join(threads[i], NULL));
}

TEST(credentials_travel) {
    int one = 1;
    CHECK_OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, sv));
    CHECK_OK(setsockopt(sv[1], SOL_SOCKET, SO_PASSCRED, &one, sizeof one));
    pid_t pid = check_fork();
    if (pid == 0) {
        CHECK_EQ(write(sv[0], "x", 1), 1);
        _exit(0);
    }
    struct msghdr msg = receive(sv[1], sizeof control, 0);
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    struct ucred cred;
    CHECK(c != NULL && c->cmsg_type == SCM_CREDENTIALS);
    CHECK_EQ(c->cmsg_len, CMSG_LEN(sizeof cred));
    memcpy(&cred, CMSG_DATA(c), sizeof cred);
    CHECK_EQ(cred.pid, pid);
    CHECK_EQ(cred.uid, getuid());
    check_wait(pid);
}

TEST(peeks_go_on_where_the_last_ended) {
    char buf[8];
    int at = 1;
    socklen_t len = sizeof at;
    CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    CHECK_OK(setsockopt(sv[1], SOL_SOCKET, SO_PEEK_OFF, &at, len));
    CHECK_EQ(write(sv[0], "abcdef", 6), 6);
    CHECK_EQ(recv(sv[1], buf, 2, MSG_PEEK), 2);
    CHECK(memcmp(buf, "bc", 2) == 0);
    CHECK_OK(getsockopt(sv[1], SOL_SOCKET, SO_PEEK_OFF, &at, &len));
    CHECK_EQ(at, 3);
    CHECK_EQ(recv(sv[1], buf, 2, 0), 2);
    CHECK(memcmp(buf, "ab", 2) == 0);
    CHECK_EQ(recv(sv[1], buf, 8, MSG_PEEK), 3);
    CHECK(memcmp(buf, "def", 3) == 0);
    CHECK_ERRNO(recv(sv[1], buf, 8, MSG_PEEK | MSG_DONTWAIT), EAGAIN);
    CHECK_OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, sv));
    at = 0;
    CHECK_OK(setsockopt(sv[1], SOL_SOCKET, SO_PEEK_OFF, &at, len));
    CHECK_EQ(send(sv[0], "one", 3, 0), 3);
    CHECK_EQ(send(sv[0], "three", 5, 0), 5);
    CHECK_EQ(recv(sv[1], buf, 2, MSG_PEEK), 2);
    CHECK_EQ(recv(sv[1], buf, 8, MSG_PEEK), 1);
    CHECK_EQ(recv(sv[1], buf, 8, MSG_PEEK), 5);
    CHECK_ERRNO(recv(sv[1], buf, 8, MSG_PEEK | MSG_DONTWAIT), EAGAIN);
}

TEST(buffers_fill_and_options_hold) {
    static char block[4096];
    int value = 8192;
    socklen_t len = sizeof value;
    CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv));
    CHECK_OK(setsockopt(sv[0], SOL_SOCKET, SO_SNDBUF, &value, len));
    CHECK_OK(getsockopt(sv[0], SOL_SOCKET, SO_SNDBUF, &value, &len));
    CHECK_EQ(value, 16384);
    while (write(sv[0], block, sizeof block) > 0)
        ;
    CHECK_EQ(errno, EAGAIN);
    struct pollfd p = {sv[0], POLLOUT, 0};
    CHECK_EQ(poll(&p, 1, 0), 0);
    while (read(sv[1], block, sizeof block) > 0)
        ;
    CHECK_EQ(poll(&p, 1, 0), 1);
    struct timeval t = {0, 20000};
    CHECK_OK(fcntl(sv[1], F_SETFL, 0));
    CHECK_OK(setsockopt(sv[1], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t));
    long long start = check_now(CLOCK_MONOTONIC);
    CHECK_ERRNO(read(sv[1], block, 1), EAGAIN);
    CHECK(check_now(CLOCK_MONOTONIC) - start >= 19000000);
    CHECK_EQ(write(sv[0], "abcd", 4), 4);
    pid_t pid = check_fork();
    if (pid == 0) {
        check_sleep_ms(5);
        CHECK_EQ(write(sv[0], "efgh", 4), 4);
        _exit(0);
    }
    t.tv_sec = 10;
    CHECK_OK(setsockopt(sv[1], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t));
    CHECK_EQ(recv(sv[1], block, 8, MSG_WAITALL), 8);
    check_wait(pid);
    value = 3;
    CHECK_OK(setsockopt(sv[1], SOL_SOCKET, SO_PEEK_OFF, &value, len));
}
