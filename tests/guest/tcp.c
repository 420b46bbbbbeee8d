/* TCP over the loopback device: addresses, backlog, readiness, ends and resets, options, urgent data. */
#include "check.h"
#include <arpa/inet.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

static int listener, client, server;
static struct sockaddr_in at;

static short ready(int fd, short events) {
    struct pollfd p = {.fd = fd, .events = events};
    CHECK_OK(poll(&p, 1, 0));
    return p.revents;
}
#define EVERYTHING (POLLIN | POLLPRI | POLLOUT | POLLRDHUP | POLLRDNORM | POLLWRNORM)
#define READABLE (POLLIN | POLLRDNORM)
#define WRITABLE (POLLOUT | POLLWRNORM)

static int listening(int backlog) {
    socklen_t len = sizeof at;
    int fd = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
    at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CHECK_OK(bind(fd, (void *)&at, sizeof at));
    CHECK_OK(listen(fd, backlog));
    CHECK_OK(getsockname(fd, (void *)&at, &len));
    CHECK_EQ(len, sizeof at);
    return fd;
}

static int connecting(void) {
    int fd = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
    CHECK_OK(connect(fd, (void *)&at, sizeof at));
    return fd;
}

static void joined(void) {
    listener = listening(5);
    client = connecting();
    server = CHECK_OK(accept(listener, NULL, NULL));
}

static int option(int fd, int level, int name) {
    int value = -1;
    socklen_t len = sizeof value;
    CHECK_OK(getsockopt(fd, level, name, &value, &len));
    return value;
}

static int state(int fd) {
    struct tcp_info info;
    socklen_t len = sizeof info;
    CHECK_OK(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len));
    return info.tcpi_state;
}

TEST(creating) {
    CHECK_ERRNO(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP), EPROTONOSUPPORT);
    CHECK_ERRNO(socket(AF_INET, SOCK_SEQPACKET, 0), ESOCKTNOSUPPORT);
    CHECK_ERRNO(socketpair(AF_INET, SOCK_STREAM, 0, (int[2]){}), EOPNOTSUPP);
    int fd = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
    CHECK_EQ(option(fd, SOL_SOCKET, SO_TYPE), SOCK_STREAM);
    CHECK_EQ(option(fd, SOL_SOCKET, SO_DOMAIN), AF_INET);
    CHECK_EQ(option(fd, SOL_SOCKET, SO_PROTOCOL), IPPROTO_TCP);
    CHECK_EQ(option(fd, SOL_SOCKET, SO_ACCEPTCONN), 0);
    CHECK_EQ(ready(fd, EVERYTHING), WRITABLE | POLLHUP);
    CHECK_ERRNO(recv(fd, &at, 1, 0), ENOTCONN);
    CHECK_ERRNO(send(fd, &at, 1, MSG_NOSIGNAL), EPIPE);
    CHECK_ERRNO(shutdown(fd, SHUT_WR), ENOTCONN);
    CHECK_ERRNO(accept(fd, NULL, NULL), EINVAL);
    socklen_t len = sizeof at;
    CHECK_ERRNO(getpeername(fd, (void *)&at, &len), ENOTCONN);
    CHECK_OK(getsockname(fd, (void *)&at, &len));
    CHECK_EQ(at.sin_family, AF_INET);
    CHECK_EQ(at.sin_port, 0);
}

TEST(binding) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int one = 1, fd = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0)), other = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
    CHECK_ERRNO(bind(fd, (void *)&a, 8), EINVAL);
    a.sin_family = AF_INET6;
    CHECK_ERRNO(bind(fd, (void *)&a, sizeof a), EAFNOSUPPORT);
    a.sin_family = AF_INET;
    a.sin_addr.s_addr = inet_addr("203.0.113.7");
    CHECK_ERRNO(bind(fd, (void *)&a, sizeof a), EADDRNOTAVAIL);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK_OK(bind(fd, (void *)&a, sizeof a));
    CHECK_OK(getsockname(fd, (void *)&a, &len));
    CHECK(ntohs(a.sin_port) >= 1024);
    CHECK_ERRNO(bind(fd, (void *)&a, sizeof a), EINVAL);
    CHECK_ERRNO(bind(other, (void *)&a, sizeof a), EADDRINUSE);
    a.sin_addr.s_addr = htonl(INADDR_ANY);
    CHECK_ERRNO(bind(other, (void *)&a, sizeof a), EADDRINUSE);
    a.sin_addr.s_addr = inet_addr("127.0.0.2");
    CHECK_OK(bind(other, (void *)&a, sizeof a));
    int third = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
    CHECK_OK(setsockopt(third, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
    CHECK_ERRNO(bind(third, (void *)&a, sizeof a), EADDRINUSE);
    CHECK_OK(setsockopt(other, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
    CHECK_OK(bind(third, (void *)&a, sizeof a));
    CHECK_OK(listen(third, 1));
    CHECK_ERRNO(listen(other, 1), EADDRINUSE);
}

TEST(ports_shared_among_listeners) {
    int one = 1, a = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0)), b = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
    at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    CHECK_OK(setsockopt(a, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one));
    CHECK_OK(bind(a, (void *)&at, sizeof at));
    CHECK_OK(getsockname(a, (void *)&at, &len));
    CHECK_ERRNO(bind(b, (void *)&at, sizeof at), EADDRINUSE);
    CHECK_OK(setsockopt(b, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one));
    CHECK_OK(bind(b, (void *)&at, sizeof at));
    CHECK_OK(listen(a, 100));
    CHECK_OK(listen(b, 100));
    for (int i = 0; i < 64; i++)
        connecting();
    CHECK_EQ(ready(a, POLLIN), POLLIN);
    CHECK_EQ(ready(b, POLLIN), POLLIN);
}

TEST(connecting_and_accepting) {
    struct sockaddr_in name;
    socklen_t len = sizeof name;
    listener = listening(5);
    CHECK_EQ(option(listener, SOL_SOCKET, SO_ACCEPTCONN), 1);
    CHECK_EQ(ready(listener, EVERYTHING), 0);
    CHECK_EQ(state(listener), TCP_LISTEN);
    client = connecting();
    CHECK_EQ(ready(listener, EVERYTHING), READABLE);
    CHECK_EQ(ready(client, EVERYTHING), WRITABLE);
    server = CHECK_OK(accept4(listener, (void *)&name, &len, SOCK_NONBLOCK | SOCK_CLOEXEC));
    CHECK_EQ(fcntl(server, F_GETFD), FD_CLOEXEC);
    CHECK(fcntl(server, F_GETFL) & O_NONBLOCK);
    struct sockaddr_in own;
    CHECK_OK(getsockname(client, (void *)&own, &len));
    CHECK(memcmp(&own, &name, sizeof own) == 0);
    CHECK_OK(getpeername(client, (void *)&name, &len));
    CHECK(memcmp(&name, &at, sizeof at) == 0);
    CHECK_ERRNO(connect(client, (void *)&at, sizeof at), EISCONN);
    CHECK_ERRNO(connect(listener, (void *)&at, sizeof at), EISCONN);
    CHECK_ERRNO(listen(client, 1), EINVAL);
    CHECK_ERRNO(recv(listener, &name, 1, 0), ENOTCONN);
    CHECK_EQ(state(client), TCP_ESTABLISHED);
    CHECK_OK(fcntl(listener, F_SETFL, O_NONBLOCK));
    CHECK_ERRNO(accept(listener, NULL, NULL), EAGAIN);
}

TEST(refused) {
    listener = listening(1);
    CHECK_OK(close(listener));
    int fd = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
    CHECK_ERRNO(connect(fd, (void *)&at, sizeof at), ECONNREFUSED);
    CHECK_ERRNO(connect(fd, (void *)&at, sizeof at), ECONNREFUSED);
    CHECK_EQ(option(fd, SOL_SOCKET, SO_ERROR), 0);
    fd = CHECK_OK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    CHECK_ERRNO(connect(fd, (void *)&at, sizeof at), EINPROGRESS);
    CHECK_EQ(ready(fd, EVERYTHING), READABLE | WRITABLE | POLLERR | POLLHUP | POLLRDHUP);
    CHECK_EQ(option(fd, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
    CHECK_EQ(option(fd, SOL_SOCKET, SO_ERROR), 0);
    CHECK_ERRNO(connect(fd, (void *)&at, sizeof at), ECONNABORTED);
    CHECK_ERRNO(connect(fd, (void *)&at, sizeof at), EINPROGRESS);
    CHECK_ERRNO(connect(fd, (void *)&at, sizeof at), ECONNREFUSED);
}

TEST(without_waiting) {
    listener = listening(5);
    client = CHECK_OK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    CHECK_ERRNO(connect(client, (void *)&at, sizeof at), EINPROGRESS);
    CHECK_EQ(ready(client, EVERYTHING), WRITABLE);
    CHECK_EQ(option(client, SOL_SOCKET, SO_ERROR), 0);
    CHECK_OK(connect(client, (void *)&at, sizeof at));
    CHECK_ERRNO(connect(client, (void *)&at, sizeof at), EISCONN);
}

TEST(a_full_backlog_makes_wait) {
    int fds[2];
    listener = listening(0);
    client = connecting();
    fds[0] = CHECK_OK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    CHECK_ERRNO(connect(fds[0], (void *)&at, sizeof at), EINPROGRESS);
    CHECK_EQ(ready(fds[0], EVERYTHING), 0);
    CHECK_ERRNO(connect(fds[0], (void *)&at, sizeof at), EALREADY);
    CHECK_EQ(state(fds[0]), TCP_SYN_SENT);
    CHECK_ERRNO(send(fds[0], "x", 1, 0), EAGAIN);
    CHECK_OK(accept(listener, NULL, NULL));
    struct pollfd p = {.fd = fds[0], .events = POLLOUT};
    CHECK_EQ(poll(&p, 1, 5000), 1);
    CHECK_EQ(p.revents, POLLOUT);
    CHECK_OK(accept(listener, NULL, NULL));
}

TEST(streams_flow_and_end) {
    char buf[16];
    joined();
    CHECK_EQ(write(client, "abcdef", 6), 6);
    CHECK_EQ(recv(server, buf, 3, MSG_PEEK), 3);
    int n;
    CHECK_OK(ioctl(server, FIONREAD, &n));
    CHECK_EQ(n, 6);
    CHECK_EQ(recv(server, buf, 4, 0), 4);
    CHECK_EQ(recv(server, buf, 16, MSG_DONTWAIT), 2);
    CHECK(memcmp(buf, "ef", 2) == 0);
    CHECK_ERRNO(recv(server, buf, 16, MSG_DONTWAIT), EAGAIN);
    CHECK_EQ(write(client, "0123456789", 10), 10);
    CHECK_EQ(recv(server, NULL, 4, MSG_TRUNC), 4);
    CHECK_EQ(recv(server, buf, 6, MSG_WAITALL), 6);
    CHECK(memcmp(buf, "456789", 6) == 0);
    CHECK_EQ(write(client, "z", 1), 1);
    CHECK_OK(shutdown(client, SHUT_WR));
    CHECK_EVENTUALLY(state(client) == TCP_FIN_WAIT2);
    CHECK_EQ(state(server), TCP_CLOSE_WAIT);
    CHECK_EQ(ready(server, EVERYTHING), READABLE | WRITABLE | POLLRDHUP);
    CHECK_EQ(ready(client, EVERYTHING), WRITABLE);
    CHECK_EQ(read(server, buf, 16), 1);
    CHECK_EQ(read(server, buf, 16), 0);
    CHECK_ERRNO(send(client, "x", 1, MSG_NOSIGNAL), EPIPE);
    CHECK_EQ(write(server, "back", 4), 4);
    CHECK_EQ(read(client, buf, 16), 4);
    CHECK_OK(shutdown(server, SHUT_WR));
    CHECK_EQ(read(client, buf, 16), 0);
    CHECK_EQ(ready(server, EVERYTHING), READABLE | WRITABLE | POLLRDHUP | POLLHUP);
    CHECK_EQ(ready(client, EVERYTHING), READABLE | WRITABLE | POLLRDHUP | POLLHUP);
    CHECK_EQ(state(server), TCP_CLOSE);
    CHECK_ERRNO(shutdown(server, SHUT_WR), ENOTCONN);
    socklen_t len = sizeof at;
    CHECK_ERRNO(getpeername(server, (void *)&at, &len), ENOTCONN);
}

TEST(a_closed_peer) {
    char buf[4];
    joined();
    CHECK_OK(close(client));
    CHECK_EQ(ready(server, EVERYTHING), READABLE | WRITABLE | POLLRDHUP);
    CHECK_EQ(read(server, buf, 4), 0);
    CHECK_EQ(write(server, "x", 1), 1);
    CHECK_EQ(ready(server, EVERYTHING), READABLE | WRITABLE | POLLRDHUP | POLLHUP | POLLERR);
    CHECK_EQ(read(server, buf, 4), 0);
    CHECK_ERRNO(send(server, "x", 1, MSG_NOSIGNAL), EPIPE);
    CHECK_EQ(ready(server, EVERYTHING), READABLE | WRITABLE | POLLRDHUP | POLLHUP);
    CHECK(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    CHECK_ERRNO(write(server, "x", 1), EPIPE);
}

TEST(unread_bytes_make_a_reset) {
    char buf[4];
    joined();
    CHECK_EQ(write(server, "unread", 6), 6);
    CHECK_EQ(write(client, "to read", 7), 7);
    CHECK_OK(close(client));
    CHECK_EQ(ready(server, EVERYTHING), READABLE | WRITABLE | POLLRDHUP | POLLHUP | POLLERR);
    CHECK_EQ(read(server, buf, 2), 2);
    CHECK_EQ(option(server, SOL_SOCKET, SO_ERROR), ECONNRESET);
    CHECK_EQ(read(server, buf, 4), 4);
    CHECK_EQ(read(server, buf, 4), 1);
    CHECK_EQ(read(server, buf, 4), 0);
    CHECK_ERRNO(send(server, "x", 1, MSG_NOSIGNAL), EPIPE);
}

TEST(lingering_for_nothing_is_a_reset) {
    char buf[4];
    struct linger none = {1, 0};
    joined();
    CHECK_OK(setsockopt(client, SOL_SOCKET, SO_LINGER, &none, sizeof none));
    CHECK_OK(close(client));
    CHECK_ERRNO(read(server, buf, 4), ECONNRESET);
    CHECK_EQ(read(server, buf, 4), 0);
    CHECK_OK(close(server));
    CHECK_OK(close(listener));
    /* Nothing waits: the port is free at once. */
    int fd = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
    CHECK_OK(bind(fd, (void *)&at, sizeof at));
}

TEST(who_closes_first_waits) {
    char buf[4];
    int one = 1;
    joined();
    CHECK_OK(close(server));
    CHECK_EQ(read(client, buf, 4), 0);
    CHECK_OK(close(client));
    CHECK_OK(close(listener));
    int fd = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
    CHECK_ERRNO(bind(fd, (void *)&at, sizeof at), EADDRINUSE);
    CHECK_OK(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
    CHECK_ERRNO(bind(fd, (void *)&at, sizeof at), EADDRINUSE);
}

TEST(an_ended_listener_resets) {
    char buf[4];
    listener = listening(5);
    client = connecting();
    CHECK_OK(shutdown(listener, SHUT_RD));
    CHECK_ERRNO(accept(listener, NULL, NULL), EINVAL);
    CHECK_ERRNO(read(client, buf, 4), ECONNRESET);
    CHECK_EQ(ready(listener, EVERYTHING), WRITABLE | POLLHUP);
    /* The port was not asked for: it is another now. */
    CHECK_OK(listen(listener, 5));
    int old = at.sin_port;
    socklen_t len = sizeof at;
    CHECK_OK(getsockname(listener, (void *)&at, &len));
    CHECK(at.sin_port != old);
    CHECK_EQ(at.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
    client = connecting();
    CHECK_OK(close(listener));
    CHECK_ERRNO(read(client, buf, 4), ECONNRESET);
}

TEST(forgetting_a_connection) {
    char buf[4];
    struct sockaddr nobody = {.sa_family = AF_UNSPEC};
    joined();
    CHECK_OK(connect(client, &nobody, sizeof nobody));
    CHECK_ERRNO(read(server, buf, 4), ECONNRESET);
    CHECK_ERRNO(read(client, buf, 4), ECONNRESET);
    CHECK_ERRNO(read(client, buf, 4), ENOTCONN);
    CHECK_OK(connect(client, (void *)&at, sizeof at));
    CHECK_EQ(write(client, "x", 1), 1);
}

TEST(urgent_data) {
    char buf[8];
    int one = 1, mark;
    joined();
    CHECK_ERRNO(recv(server, buf, 1, MSG_OOB), EINVAL);
    CHECK_EQ(send(client, "abc", 3, MSG_OOB), 3);
    CHECK_EQ(send(client, "de", 2, 0), 2);
    CHECK_EQ(ready(server, EVERYTHING), READABLE | WRITABLE | POLLPRI);
    CHECK_OK(ioctl(server, SIOCATMARK, &mark));
    CHECK_EQ(mark, 0);
    CHECK_EQ(recv(server, buf, 8, 0), 2);
    CHECK_OK(ioctl(server, SIOCATMARK, &mark));
    CHECK_EQ(mark, 1);
    CHECK_EQ(recv(server, buf, 8, MSG_OOB), 1);
    CHECK_EQ(buf[0], 'c');
    CHECK_ERRNO(recv(server, buf, 8, MSG_OOB), EINVAL);
    CHECK_EQ(recv(server, buf, 8, 0), 2);
    CHECK_EQ(buf[0], 'd');
    CHECK_OK(setsockopt(server, SOL_SOCKET, SO_OOBINLINE, &one, sizeof one));
    CHECK_EQ(send(client, "xy", 2, MSG_OOB), 2);
    CHECK_ERRNO(recv(server, buf, 8, MSG_OOB), EINVAL);
    CHECK_EQ(recv(server, buf, 8, 0), 1);
    CHECK_EQ(recv(server, buf, 8, 0), 1);
    CHECK_EQ(buf[0], 'y');
}

TEST(options) {
    joined();
    CHECK_EQ(option(client, IPPROTO_TCP, TCP_NODELAY), 0);
    int five = 5, zero = 0, minus = -1;
    CHECK_OK(setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &five, sizeof five));
    CHECK_EQ(option(client, IPPROTO_TCP, TCP_NODELAY), 1);
    CHECK_EQ(option(client, IPPROTO_TCP, TCP_KEEPIDLE), 7200);
    CHECK_OK(setsockopt(client, IPPROTO_TCP, TCP_KEEPIDLE, &five, sizeof five));
    CHECK_EQ(option(client, IPPROTO_TCP, TCP_KEEPIDLE), 5);
    CHECK_ERRNO(setsockopt(client, IPPROTO_TCP, TCP_KEEPIDLE, &zero, sizeof zero), EINVAL);
    CHECK_ERRNO(setsockopt(client, IPPROTO_TCP, TCP_USER_TIMEOUT, &minus, sizeof minus), EINVAL);
    CHECK_ERRNO(setsockopt(client, IPPROTO_TCP, 9999, &five, sizeof five), ENOPROTOOPT);
    CHECK_ERRNO(setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &five, 2), EINVAL);
    CHECK_EQ(option(client, IPPROTO_IP, IP_TTL), 64);
    CHECK_OK(setsockopt(client, IPPROTO_IP, IP_TTL, &five, sizeof five));
    CHECK_EQ(option(client, IPPROTO_IP, IP_TTL), 5);
    CHECK_ERRNO(setsockopt(client, IPPROTO_IP, IP_TTL, &zero, sizeof zero), EINVAL);
    CHECK_ERRNO(getsockopt(client, IPPROTO_UDP, 1, &zero, &(socklen_t){4}), EOPNOTSUPP);
    CHECK_OK(setsockopt(client, SOL_SOCKET, SO_KEEPALIVE, &five, sizeof five));
    CHECK_EQ(option(client, SOL_SOCKET, SO_KEEPALIVE), 1);
    int size = 8192;
    CHECK_OK(setsockopt(client, SOL_SOCKET, SO_SNDBUF, &size, sizeof size));
    CHECK_EQ(option(client, SOL_SOCKET, SO_SNDBUF), 16384);
    int one = 1;
    CHECK_OK(setsockopt(client, SOL_SOCKET, SO_SNDBUF, &one, sizeof one));
    CHECK_EQ(option(client, SOL_SOCKET, SO_SNDBUF), 4608);
    CHECK_OK(setsockopt(client, SOL_SOCKET, SO_RCVBUF, &one, sizeof one));
    CHECK_EQ(option(client, SOL_SOCKET, SO_RCVBUF), 2304);
    char name[16];
    socklen_t len = sizeof name;
    CHECK_OK(getsockopt(client, IPPROTO_TCP, TCP_CONGESTION, name, &len));
    CHECK_ERRNO(setsockopt(client, IPPROTO_TCP, TCP_CONGESTION, "nosuch", 6), ENOENT);
}

TEST(both_families_meet) {
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};
    socklen_t len = sizeof six;
    int one = 1, fd = CHECK_OK(socket(AF_INET6, SOCK_STREAM, 0));
    if (bind(fd, (void *)&six, sizeof six) == -1)
        check_skip("no IPv6");
    CHECK_OK(listen(fd, 5));
    CHECK_OK(getsockname(fd, (void *)&six, &len));
    at = (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = six.sin6_port, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    client = connecting();
    server = CHECK_OK(accept(fd, (void *)&six, &len));
    CHECK_EQ(len, sizeof six);
    CHECK(IN6_IS_ADDR_V4MAPPED(&six.sin6_addr));
    six.sin6_addr = in6addr_loopback;
    six.sin6_port = at.sin_port;
    client = CHECK_OK(socket(AF_INET6, SOCK_STREAM, 0));
    CHECK_OK(connect(client, (void *)&six, sizeof six));
    server = CHECK_OK(accept(fd, (void *)&six, &len));
    CHECK(IN6_IS_ADDR_LOOPBACK(&six.sin6_addr));
    int other = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
    at.sin_addr.s_addr = htonl(INADDR_ANY);
    CHECK_ERRNO(bind(other, (void *)&at, sizeof at), EADDRINUSE);
    CHECK_OK(close(fd));
    six = (struct sockaddr_in6){.sin6_family = AF_INET6};
    fd = CHECK_OK(socket(AF_INET6, SOCK_STREAM, 0));
    CHECK_OK(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one));
    CHECK_OK(bind(fd, (void *)&six, sizeof six));
    CHECK_OK(getsockname(fd, (void *)&six, &len));
    at.sin_port = six.sin6_port;
    CHECK_OK(bind(other, (void *)&at, sizeof at));
}

static void *writer(void *arg) {
    static char block[1 << 16];
    long left = (long)arg;
    for (long i = 0; i < (long)sizeof block; i++)
        block[i] = i % 251;
    while (left > 0) {
        ssize_t n = write(client, block, left < (long)sizeof block ? left : (long)sizeof block);
        if (n <= 0)
            return (void *)1;
        left -= n;
    }
    CHECK_OK(shutdown(client, SHUT_WR));
    return NULL;
}

TEST(much_data_arrives_whole) {
    static char buf[100000];
    long total = 20 << 20, got = 0;
    pthread_t thread;
    joined();
    CHECK_ZERO(pthread_create(&thread, NULL, writer, (void *)total));
    for (ssize_t n; (n = CHECK_OK(read(server, buf, sizeof buf))) > 0; got += n)
        for (ssize_t i = 0; i < n; i += 997)
            CHECK_EQ((unsigned char)buf[i], (got + i) % 65536 % 251);
    CHECK_EQ(got, total);
    void *result;
    CHECK_ZERO(pthread_join(thread, &result));
    CHECK(result == NULL);
}

TEST(a_full_window_makes_wait) {
    static char block[65536];
    joined();
    CHECK_OK(fcntl(client, F_SETFL, O_NONBLOCK));
    long sent = 0;
    for (ssize_t n; (n = write(client, block, sizeof block)) > 0;)
        sent += n;
    CHECK_EQ(errno, EAGAIN);
    CHECK(sent >= 100000);
    CHECK_EQ(ready(client, POLLOUT), 0);
    int epoll = CHECK_OK(epoll_create1(0));
    struct epoll_event event = {.events = EPOLLOUT | EPOLLET};
    CHECK_OK(epoll_ctl(epoll, EPOLL_CTL_ADD, client, &event));
    CHECK_EQ(epoll_wait(epoll, &event, 1, 0), 0);
    for (long got = 0; got < sent;)
        got += CHECK_OK(read(server, block, sizeof block));
    CHECK_EQ(epoll_wait(epoll, &event, 1, 5000), 1);
    CHECK_EQ(event.events, EPOLLOUT);
    CHECK_EQ(epoll_wait(epoll, &event, 1, 0), 0);
}

TEST(low_water) {
    char buf[8];
    int four = 4;
    joined();
    CHECK_OK(setsockopt(server, SOL_SOCKET, SO_RCVLOWAT, &four, sizeof four));
    CHECK_EQ(write(client, "ab", 2), 2);
    CHECK_EQ(ready(server, POLLIN), 0);
    CHECK_EQ(write(client, "cd", 2), 2);
    CHECK_EQ(ready(server, POLLIN), POLLIN);
    CHECK_EQ(read(server, buf, 8), 4);
    CHECK_EQ(write(client, "ef", 2), 2);
    CHECK_EQ(recv(server, buf, 8, MSG_DONTWAIT), 2);
}

TEST(timeouts) {
    char buf[4];
    struct timeval time = {0, 50000};
    joined();
    CHECK_OK(setsockopt(server, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time));
    CHECK_ERRNO(recv(server, buf, 4, 0), EAGAIN);
    CHECK_OK(setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time));
    CHECK_ERRNO(accept(listener, NULL, NULL), EAGAIN);
}

TEST(files_are_sent) {
    char buf[16];
    joined();
    check_scratch();
    check_write_file("f", "hello file");
    int fd = CHECK_OK(open("f", O_RDONLY)), p[2];
    CHECK_EQ(sendfile(client, fd, NULL, 100), 10);
    CHECK_EQ(read(server, buf, 16), 10);
    CHECK_OK(pipe(p));
    CHECK_EQ(write(p[1], "through", 7), 7);
    CHECK_EQ(splice(p[0], NULL, client, NULL, 7, 0), 7);
    CHECK_EQ(splice(server, NULL, p[1], NULL, 100, 0), 7);
    CHECK_EQ(read(p[0], buf, 16), 7);
}

TEST(devices) {
    struct ifreq request = {.ifr_name = "lo"};
    int fd = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
    CHECK_OK(ioctl(fd, SIOCGIFINDEX, &request));
    CHECK_EQ(request.ifr_ifindex, 1);
    CHECK_EQ(if_nametoindex("lo"), 1);
    char name[IF_NAMESIZE];
    CHECK_STR(if_indextoname(1, name), "lo");
    CHECK_OK(ioctl(fd, SIOCGIFFLAGS, &request));
    CHECK_EQ(request.ifr_flags & (IFF_UP | IFF_LOOPBACK | IFF_RUNNING), IFF_UP | IFF_LOOPBACK | IFF_RUNNING);
    CHECK_OK(ioctl(fd, SIOCGIFADDR, &request));
    CHECK_EQ(((struct sockaddr_in *)&request.ifr_addr)->sin_addr.s_addr, htonl(INADDR_LOOPBACK));
    CHECK_OK(ioctl(fd, SIOCGIFNETMASK, &request));
    CHECK_EQ(((struct sockaddr_in *)&request.ifr_addr)->sin_addr.s_addr, htonl(0xff000000));
    CHECK_OK(ioctl(fd, SIOCGIFMTU, &request));
    CHECK_EQ(request.ifr_mtu, 65536);
    strcpy(request.ifr_name, "nosuch0");
    CHECK_ERRNO(ioctl(fd, SIOCGIFINDEX, &request), ENODEV);
    struct if_nameindex *list = if_nameindex();
    CHECK(list != NULL);
    CHECK_STR(list[0].if_name, "lo");
}

static volatile sig_atomic_t urgent_signals;
static void on_urgent(int sig) {
    (void)sig;
    urgent_signals++;
}

TEST(urgent_data_is_signalled_to_the_owner) {
    int got = 1;
    /* Its own group: another may have no number here. */
    CHECK_OK(setpgid(0, 0));
    int own = -getpgrp();
    joined();
    signal(SIGURG, on_urgent);
    CHECK_OK(ioctl(server, SIOCGPGRP, &got));
    CHECK_EQ(got, 0);
    /* Nobody owns it: nobody hears. */
    CHECK_EQ(send(client, "a", 1, MSG_OOB), 1);
    CHECK_OK(fcntl(server, F_SETOWN, getpid()));
    CHECK_OK(ioctl(server, SIOCGPGRP, &got));
    CHECK_EQ(got, getpid());
    CHECK_EQ(send(client, "b", 1, 0), 1);
    check_sleep_ms(30);
    CHECK_EQ(urgent_signals, 0);
    CHECK_EQ(send(client, "c", 1, MSG_OOB), 1);
    CHECK_EVENTUALLY(urgent_signals == 1);
    CHECK_OK(ioctl(server, SIOCSPGRP, &own));
    CHECK_EQ(fcntl(server, F_GETOWN), own);
    CHECK_EQ(send(client, "d", 1, MSG_OOB), 1);
    CHECK_EVENTUALLY(urgent_signals == 2);
    own = 0;
    CHECK_OK(ioctl(server, SIOCSPGRP, &own));
    CHECK_EQ(send(client, "e", 1, MSG_OOB), 1);
    check_sleep_ms(30);
    CHECK_EQ(urgent_signals, 2);
    int pipes[2];
    CHECK_OK(pipe(pipes));
    CHECK_ERRNO(ioctl(pipes[0], SIOCSPGRP, &own), ENOTTY);
}
