/* Time namespaces: offsets of the clocks that count from the start. */
#include "check.h"
#include <sys/sysinfo.h>
#include <sys/timerfd.h>
#include <poll.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif
#define HOUR 3600LL
#define SECOND 1000000000LL

static int set_offsets(const char *text) {
    int fd = CHECK_OK(open("/proc/self/timens_offsets", O_WRONLY));
    int n = write(fd, text, strlen(text)), saved = errno;
    close(fd);
    errno = saved;
    return n < 0 ? -1 : 0;
}

static void enter_new(void) {
    check_need_root();
    if (access("/proc/self/timens_offsets", F_OK) != 0)
        check_skip("no time namespaces");
    /* In a user namespace of our own we may set it, whatever we may outside. */
    if (unshare(CLONE_NEWUSER | CLONE_NEWTIME) != 0)
        check_skip("may not make a time namespace");
}

static long long bare(clockid_t clock) {
    struct timespec t;
    CHECK_OK(syscall(SYS_clock_gettime, clock, &t));
    return t.tv_sec * SECOND + t.tv_nsec;
}

static void check_moved(clockid_t clock, long long before, long long hours) {
    long long by = hours * HOUR * SECOND, slack = 60 * SECOND;
    CHECK(check_now(clock) - before >= by && check_now(clock) - before < by + slack);
    CHECK(bare(clock) - before >= by && bare(clock) - before < by + slack);
}

TEST(children_have_the_clocks_of_the_namespace) {
    char text[256];
    enter_new();
    if (set_offsets("monotonic 36000 0\nboottime 72000 500000000\n") != 0)
        check_skip("may not set the clocks of a time namespace");
    check_read_file("/proc/self/timens_offsets", text, sizeof text);
    CHECK_STR(text, "monotonic       36000         0\nboottime        72000 500000000\n");
    long long monotonic = check_now(CLOCK_MONOTONIC), boottime = check_now(CLOCK_BOOTTIME);
    long long raw = check_now(CLOCK_MONOTONIC_RAW), real = check_now(CLOCK_REALTIME);
    struct sysinfo before, after;
    CHECK_OK(sysinfo(&before));
    pid_t child = check_fork();
    if (child == 0) {
        check_moved(CLOCK_MONOTONIC, monotonic, 10);
        check_moved(CLOCK_MONOTONIC_RAW, raw, 10);
        check_moved(CLOCK_MONOTONIC_COARSE, monotonic - 100000000, 10);
        check_moved(CLOCK_BOOTTIME, boottime, 20);
        check_moved(CLOCK_REALTIME, real, 0);
        CHECK_OK(sysinfo(&after));
        CHECK(after.uptime - before.uptime >= 20 * HOUR && after.uptime - before.uptime < 20 * HOUR + 60);
        check_read_file("/proc/uptime", text, sizeof text);
        CHECK(atol(text) - before.uptime >= 20 * HOUR - 1 && atol(text) - after.uptime < 60);
        /* An absolute sleep and absolute timers end when these clocks say so. */
        struct timespec at;
        CHECK_OK(clock_gettime(CLOCK_MONOTONIC, &at));
        at.tv_sec++;
        long long start = check_now(CLOCK_REALTIME);
        CHECK_ZERO(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL));
        CHECK(check_now(CLOCK_REALTIME) - start >= SECOND / 2);
        int fd = CHECK_OK(timerfd_create(CLOCK_BOOTTIME, 0));
        struct itimerspec spec = {};
        CHECK_OK(clock_gettime(CLOCK_BOOTTIME, &spec.it_value));
        spec.it_value.tv_sec++;
        CHECK_OK(timerfd_settime(fd, TFD_TIMER_ABSTIME, &spec, NULL));
        struct pollfd p = {fd, POLLIN, 0};
        CHECK_EQ(poll(&p, 1, 100), 0);
        CHECK_EQ(poll(&p, 1, 15000), 1);
        _exit(0);
    }
    check_wait(child);
    /* Whoever makes the namespace does not enter it, and once a child has it stays as it is. */
    CHECK(check_now(CLOCK_MONOTONIC) - monotonic < HOUR * SECOND);
    CHECK_ERRNO(set_offsets("monotonic 1 0\n"), EACCES);
}

TEST(a_program_enters_by_execve_after_vfork_and_by_setns) {
    enter_new();
    if (set_offsets("boottime 72000 0\n") != 0)
        check_skip("may not set the clocks of a time namespace");
    long long boottime = check_now(CLOCK_BOOTTIME);
    int fd = CHECK_OK(open("/proc/self/ns/time_for_children", O_RDONLY));
    CHECK_OK(setns(fd, CLONE_NEWTIME));
    check_moved(CLOCK_BOOTTIME, boottime, 20);
    CHECK_ERRNO(set_offsets("boottime 0 0\n"), EACCES);
}

TEST(bad_offsets) {
    enter_new();
    CHECK_ERRNO(set_offsets("nonsense 1 0\n"), EINVAL);
    CHECK_ERRNO(set_offsets("monotonic 1\n"), EINVAL);
    CHECK_ERRNO(set_offsets("monotonic 1 1000000000\n"), EINVAL);
    if (set_offsets("monotonic 1 0\n") != 0)
        check_skip("may not set the clocks of a time namespace");
    CHECK_ERRNO(set_offsets("monotonic -100000000000 0\n"), ERANGE);
    CHECK_ERRNO(set_offsets("monotonic 99999999999 0\n"), ERANGE);
    CHECK_OK(set_offsets("1 5 0\n7 6 0\n"));
}
