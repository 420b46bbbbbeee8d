/* epoll(7), poll(2), select(2): level and edge triggers, one-shot, exclusive, nesting, masks, errors. */
#include "check.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/socket.h>

static int ep;

static int ctl(int op, int fd, uint32_t events, uint64_t data) {
    struct epoll_event event = {.events = events, .data.u64 = data};
    return epoll_ctl(ep, op, fd, &event);
}

/* The events of the one descriptor that is ready, 0 if none is. */
static uint32_t ready(int timeout) {
    struct epoll_event event[4];
    int n = CHECK_OK(epoll_wait(ep, event, 4, timeout));
    CHECK(n <= 1);
    return n ? event[0].events : 0;
}

static int event_fd(unsigned value) {
    return CHECK_OK(eventfd(value, EFD_NONBLOCK));
}

static void signal_fd(int fd) {
    uint64_t one = 1;
    CHECK_EQ(write(fd, &one, 8), 8);
}

static void drain_fd(int fd) {
    uint64_t n;
    CHECK_EQ(read(fd, &n, 8), 8);
}

TEST(errors) {
    struct epoll_event event;
    check_scratch();
    CHECK_ERRNO(epoll_create(0), EINVAL);
    CHECK_ERRNO(epoll_create1(1), EINVAL);
    ep = CHECK_OK(epoll_create1(EPOLL_CLOEXEC));
    CHECK_EQ(fcntl(ep, F_GETFD), FD_CLOEXEC);
    int fd = event_fd(0);
    CHECK_OK(ctl(EPOLL_CTL_ADD, fd, EPOLLIN, 1));
    CHECK_ERRNO(ctl(EPOLL_CTL_ADD, fd, EPOLLIN, 1), EEXIST);
    CHECK_ERRNO(ctl(EPOLL_CTL_DEL, 99, 0, 0), EBADF);
    CHECK_ERRNO(ctl(EPOLL_CTL_ADD, ep, EPOLLIN, 1), EINVAL);
    CHECK_ERRNO(ctl(77, fd, EPOLLIN, 1), EINVAL);
    CHECK_ERRNO(epoll_ctl(ep, EPOLL_CTL_MOD, fd, NULL), EFAULT);
    CHECK_ERRNO(epoll_ctl(fd, EPOLL_CTL_ADD, ep, &event), EINVAL);
    int file = CHECK_OK(open("f", O_RDWR | O_CREAT, 0600));
    CHECK_ERRNO(ctl(EPOLL_CTL_ADD, file, EPOLLIN, 1), EPERM);
    CHECK_ERRNO(epoll_wait(ep, &event, 0, 0), EINVAL);
    CHECK_ERRNO(epoll_wait(fd, &event, 1, 0), EINVAL);
    signal_fd(fd);
    CHECK_ERRNO(epoll_wait(ep, (void *)8, 1, 0), EFAULT);
    CHECK_EQ(epoll_wait(ep, &event, 1, 0), 1);
    CHECK_OK(ctl(EPOLL_CTL_DEL, fd, 0, 0));
    CHECK_ERRNO(ctl(EPOLL_CTL_DEL, fd, 0, 0), ENOENT);
    CHECK_ERRNO(ctl(EPOLL_CTL_MOD, fd, 0, 0), ENOENT);
}

TEST(level_edge_and_oneshot) {
    ep = CHECK_OK(epoll_create1(0));
    int fd = event_fd(0);
    CHECK_OK(ctl(EPOLL_CTL_ADD, fd, EPOLLIN, 7));
    CHECK_EQ(ready(0), 0);
    signal_fd(fd);
    CHECK_EQ(ready(1000), EPOLLIN);
    CHECK_EQ(ready(0), EPOLLIN);
    drain_fd(fd);
    CHECK_EQ(ready(0), 0);
    CHECK_OK(ctl(EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLET, 7));
    signal_fd(fd);
    CHECK_EQ(ready(0), EPOLLIN);
    CHECK_EQ(ready(0), 0);
    signal_fd(fd); /* not drained, yet a new edge */
    CHECK_EQ(ready(0), EPOLLIN);
    CHECK_OK(ctl(EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLET, 7)); /* looks anew */
    CHECK_EQ(ready(0), EPOLLIN);
    CHECK_OK(ctl(EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLONESHOT, 7));
    CHECK_EQ(ready(0), EPOLLIN);
    signal_fd(fd);
    CHECK_EQ(ready(0), 0);
    CHECK_OK(ctl(EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLOUT | EPOLLONESHOT, 7));
    CHECK_EQ(ready(0), EPOLLIN | EPOLLOUT);
}

TEST(hang_up_and_errors_come_unasked) {
    int fds[2];
    ep = CHECK_OK(epoll_create1(0));
    CHECK_OK(pipe(fds));
    CHECK_OK(ctl(EPOLL_CTL_ADD, fds[0], 0, 1));
    CHECK_OK(close(fds[1]));
    CHECK_EQ(ready(0), EPOLLHUP);
    CHECK_OK(close(fds[0]));
    CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
    CHECK_OK(ctl(EPOLL_CTL_ADD, fds[0], EPOLLIN | EPOLLRDHUP, 1));
    CHECK_OK(shutdown(fds[1], SHUT_WR));
    CHECK_EQ(ready(0), EPOLLIN | EPOLLRDHUP);
    CHECK_OK(close(fds[1]));
    CHECK_EQ(ready(0), EPOLLIN | EPOLLRDHUP | EPOLLHUP);
}

TEST(closing_takes_out_unless_a_copy_is_left) {
    ep = CHECK_OK(epoll_create1(0));
    int fd = event_fd(1), copy = CHECK_OK(dup(fd));
    CHECK_OK(ctl(EPOLL_CTL_ADD, fd, EPOLLIN, 1));
    CHECK_OK(close(fd));
    CHECK_EQ(ready(0), EPOLLIN);
    CHECK_ERRNO(ctl(EPOLL_CTL_DEL, fd, 0, 0), EBADF);
    CHECK_OK(close(copy));
    CHECK_EQ(ready(0), 0);
    /* the same open file under two numbers is two entries */
    fd = event_fd(1), copy = CHECK_OK(dup(fd));
    CHECK_OK(ctl(EPOLL_CTL_ADD, fd, EPOLLIN, 1));
    CHECK_OK(ctl(EPOLL_CTL_ADD, copy, EPOLLIN, 2));
    struct epoll_event event[4];
    CHECK_EQ(epoll_wait(ep, event, 4, 0), 2);
}

TEST(ready_list_is_fair) {
    ep = CHECK_OK(epoll_create1(0));
    for (int i = 0; i < 3; i++)
        CHECK_OK(ctl(EPOLL_CTL_ADD, event_fd(1), EPOLLIN, i));
    int seen[3] = {0};
    for (int i = 0; i < 9; i++) {
        struct epoll_event event;
        CHECK_EQ(epoll_wait(ep, &event, 1, 0), 1);
        seen[event.data.u64]++;
    }
    CHECK(seen[0] == 3 && seen[1] == 3 && seen[2] == 3);
}

TEST(nested_instances) {
    int inner = CHECK_OK(epoll_create1(0)), fd = event_fd(0);
    ep = inner;
    CHECK_OK(ctl(EPOLL_CTL_ADD, fd, EPOLLIN, 1));
    int outer = ep = CHECK_OK(epoll_create1(0));
    CHECK_OK(ctl(EPOLL_CTL_ADD, inner, EPOLLIN, 2));
    CHECK_EQ(ready(0), 0);
    signal_fd(fd);
    CHECK_EQ(ready(0), EPOLLIN);
    struct pollfd p = {outer, POLLIN, 0};
    CHECK_EQ(poll(&p, 1, 0), 1);
    drain_fd(fd);
    CHECK_EQ(ready(0), 0);
    /* no loops, and not deeper than five */
    ep = inner;
    CHECK_ERRNO(ctl(EPOLL_CTL_ADD, outer, EPOLLIN, 3), ELOOP);
    int deepest = outer;
    for (int i = 0; i < 10; i++) {
        ep = CHECK_OK(epoll_create1(0));
        if (ctl(EPOLL_CTL_ADD, deepest, EPOLLIN, 1) == -1) {
            CHECK(errno == EINVAL || errno == ELOOP);
            return;
        }
        deepest = ep;
    }
    CHECK(false);
}

static atomic_int woken;

static void *wait_once(void *arg) {
    struct epoll_event event;
    (void)arg;
    if (CHECK_OK(epoll_wait(*(int *)arg, &event, 1, 500)) == 1)
        atomic_fetch_add(&woken, 1);
    return NULL;
}

TEST(nesting_has_a_limit_from_above_too) {
    int chain[8], e;
    chain[0] = CHECK_OK(epoll_create1(0));
    for (e = 1; e < 8; e++) {
        chain[e] = CHECK_OK(epoll_create1(0));
        struct epoll_event event = {.events = EPOLLIN};
        if (epoll_ctl(chain[e - 1], EPOLL_CTL_ADD, chain[e], &event) == -1)
            break;
    }
    CHECK_EQ(errno, ELOOP);
    CHECK_EQ(e, 5);
}

TEST(exclusive_rules) {
    ep = CHECK_OK(epoll_create1(0));
    int fd = event_fd(0);
    CHECK_OK(ctl(EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLEXCLUSIVE, 1));
    CHECK_ERRNO(ctl(EPOLL_CTL_MOD, fd, EPOLLIN, 1), EINVAL);
    CHECK_OK(ctl(EPOLL_CTL_DEL, fd, 0, 0));
    CHECK_ERRNO(ctl(EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT, 1), EINVAL);
    /* of several instances that wait for one edge, at least one wakes */
    int eps[3];
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) {
        ep = eps[i] = CHECK_OK(epoll_create1(0));
        CHECK_OK(ctl(EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLEXCLUSIVE | EPOLLET, i));
        CHECK_ZERO(pthread_create(&threads[i], NULL, wait_once, &eps[i]));
    }
    check_sleep_ms(20);
    signal_fd(fd);
    for (int i = 0; i < 3; i++)
        CHECK_ZERO(pthread_join(threads[i], NULL));
    CHECK(woken >= 1);
}

static void on_signal(int sig) {
    (void)sig;
}

TEST(timeouts_and_masks) {
    struct epoll_event event;
    ep = CHECK_OK(epoll_create1(0));
    long long start = check_now(CLOCK_MONOTONIC);
    CHECK_EQ(epoll_wait(ep, &event, 1, 20), 0);
    CHECK(check_now(CLOCK_MONOTONIC) - start >= 20000000);
    sigset_t blocked, none;
    sigemptyset(&none);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    CHECK_OK(sigprocmask(SIG_BLOCK, &blocked, NULL));
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    CHECK_OK(sigaction(SIGUSR1, &action, NULL));
    CHECK_OK(raise(SIGUSR1));
    CHECK_EQ(epoll_wait(ep, &event, 1, 0), 0);
    CHECK_ERRNO(epoll_pwait(ep, &event, 1, 1000, &none), EINTR);
    CHECK_OK(raise(SIGUSR1));
    CHECK_ERRNO(ppoll(NULL, 0, NULL, &none), EINTR);
    CHECK_OK(raise(SIGUSR1));
    CHECK_ERRNO(pselect(0, NULL, NULL, NULL, NULL, &none), EINTR);
    /* what is ready goes before the signal */
    CHECK_OK(ctl(EPOLL_CTL_ADD, event_fd(1), EPOLLIN, 1));
    CHECK_OK(raise(SIGUSR1));
    CHECK_EQ(epoll_pwait(ep, &event, 1, 1000, &none), 1);
}

TEST(poll_and_select) {
    int fds[2];
    CHECK_OK(pipe(fds));
    struct pollfd p[3] = {{fds[0], POLLIN, 0}, {-1, POLLIN, 9}, {99, POLLIN, 0}};
    CHECK_EQ(poll(p, 3, 0), 1);
    CHECK(p[0].revents == 0 && p[1].revents == 0 && p[2].revents == POLLNVAL);
    CHECK_EQ(write(fds[1], "x", 1), 1);
    CHECK_EQ(poll(p, 2, -1), 1);
    CHECK_EQ(p[0].revents, POLLIN);
    CHECK_ERRNO(poll((void *)8, 1, 0), EFAULT);
    CHECK_ERRNO(poll(p, 1 << 30, 0), EINVAL);
    fd_set in, out, ex;
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_ZERO(&ex);
    FD_SET(fds[0], &in);
    FD_SET(fds[1], &out);
    FD_SET(fds[0], &ex);
    struct timeval t = {5, 0};
    CHECK_EQ(select(fds[1] + 1, &in, &out, &ex, &t), 2);
    CHECK(FD_ISSET(fds[0], &in) && FD_ISSET(fds[1], &out) && !FD_ISSET(fds[0], &ex));
    CHECK_EQ(t.tv_sec, 4); /* Linux tells what is left */
    FD_SET(60, &in); /* one that every table has a slot for */
    CHECK_ERRNO(select(61, &in, NULL, NULL, NULL), EBADF);
    CHECK_ERRNO(select(-1, NULL, NULL, NULL, NULL), EINVAL);
    t.tv_usec = -1;
    CHECK_ERRNO(select(0, NULL, NULL, NULL, &t), EINVAL);
}
