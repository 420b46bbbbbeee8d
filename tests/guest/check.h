/*
 * The frame of a guest program: a list of cases, each run in a child of its own, so that one that dies does not take
 * the others along. Prints "ok NAME", "skip NAME: why" or "FAIL NAME: where: what" for each, nothing else.
 *
 * A case may use the alarm clock, descriptors and signals as it likes, and its working directory: check_scratch() makes
 * a new one. `program CASE...` runs just these. An argument that starts with '@' calls check_helper(), for programs
 * that execute themselves.
 */
#ifndef CHECK_H
#define CHECK_H

#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHECK_SKIPPED 77
#define CHECK_SECONDS 20
#define CHECK_MAX 128

static struct {
    const char *name;
    void (*run)(void);
} check_cases[CHECK_MAX];
static int check_count;
static const char *check_name = "?";

int check_helper(int argc, char **argv) __attribute__((weak));

/* A case: TEST(name) { ... }. They run in the order of the file. */
#define TEST(id)                                                                                                       \
    static void id(void);                                                                                              \
    __attribute__((constructor)) static void check_register_##id(void) {                                              \
        check_cases[check_count].name = #id;                                                                           \
        check_cases[check_count++].run = id;                                                                           \
    }                                                                                                                  \
    static void id(void)

__attribute__((format(printf, 3, 4), noreturn, unused)) static void check_fail(const char *file, int line,
                                                                              const char *format, ...) {
    char text[512];
    int saved = errno;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    dprintf(1, "FAIL %s: %s:%d: %s (errno %d %s)\n", check_name, file, line, text, saved, strerrorname_np(saved));
    _exit(1);
}

/* The C library calls kill() and others leaves: without this, what a handler wrote meanwhile would not be seen. */
#define check_barrier() __asm__ volatile("" ::: "memory")

/* The expression holds. */
#define CHECK(expr)                                                                                                    \
    do {                                                                                                               \
        check_barrier();                                                                                               \
        if (!(expr))                                                                                                   \
            check_fail(__FILE__, __LINE__, "%s", #expr);                                                               \
    } while (0)

/* Two integers are equal. */
#define CHECK_EQ(got, want)                                                                                            \
    do {                                                                                                               \
        check_barrier();                                                                                               \
        long long check_got = (long long)(got), check_want = (long long)(want);                                        \
        if (check_got != check_want)                                                                                   \
            check_fail(__FILE__, __LINE__, "%s is %lld (%#llx), want %s = %lld (%#llx)", #got, check_got, check_got,   \
                       #want, check_want, check_want);                                                                 \
    } while (0)

/* Two strings are equal. */
#define CHECK_STR(got, want)                                                                                           \
    do {                                                                                                               \
        check_barrier();                                                                                               \
        const char *check_got = (got), *check_want = (want);                                                           \
        if (strcmp(check_got, check_want) != 0)                                                                        \
            check_fail(__FILE__, __LINE__, "%s is \"%s\", want \"%s\"", #got, check_got, check_want);                  \
    } while (0)

/* The call does not return -1; the value is what it returned. */
#define CHECK_OK(call)                                                                                                 \
    ({                                                                                                                 \
        errno = 0;                                                                                                     \
        __typeof__(call) check_result = (call);                                                                        \
        if ((long)check_result == -1)                                                                                  \
            check_fail(__FILE__, __LINE__, "%s failed", #call);                                                        \
        check_result;                                                                                                  \
    })

/* The call returns -1 and sets this errno. */
#define CHECK_ERRNO(call, want)                                                                                        \
    do {                                                                                                               \
        errno = 0;                                                                                                     \
        long check_result = (long)(call);                                                                              \
        if (check_result != -1)                                                                                        \
            check_fail(__FILE__, __LINE__, "%s returned %ld, want -1 and %s", #call, check_result, #want);             \
        if (errno != (want))                                                                                           \
            check_fail(__FILE__, __LINE__, "%s: wrong errno, want %s", #call, #want);                                  \
    } while (0)

/* The pthread-style call returns 0. */
#define CHECK_ZERO(call)                                                                                               \
    do {                                                                                                               \
        int check_result = (call);                                                                                     \
        if (check_result != 0)                                                                                         \
            check_fail(__FILE__, __LINE__, "%s returned %d", #call, check_result);                                     \
    } while (0)

/* Ends the case: the machine cannot run it. */
__attribute__((noreturn, unused)) static void check_skip(const char *why) {
    dprintf(1, "skip %s: %s\n", check_name, why);
    _exit(CHECK_SKIPPED);
}

__attribute__((unused)) static void check_need_root(void) {
    if (geteuid() != 0)
        check_skip("needs root");
}

/* fork(2); the child must leave by _exit(0), a failed check ends it with 1. */
__attribute__((unused)) static pid_t check_fork(void) {
    return CHECK_OK(fork());
}

__attribute__((unused)) static int check_status(pid_t pid) {
    int status;
    pid_t got;
    do
        got = waitpid(pid, &status, 0);
    while (got == -1 && errno == EINTR);
    CHECK_EQ(got, pid);
    return status;
}

/* The child exits with 0. */
#define check_wait(pid) CHECK_EQ(check_status(pid), 0)
/* The child is killed by this signal. */
#define check_killed(pid, sig) CHECK_EQ(check_status(pid) & 0x7f, sig)

/* A new empty working directory. */
__attribute__((unused)) static void check_scratch(void) {
    char path[] = "case.XXXXXX";
    CHECK(mkdtemp(path) != NULL);
    CHECK_OK(chdir(path));
}

__attribute__((unused)) static void check_write_file(const char *path, const char *text) {
    int fd = CHECK_OK(open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644));
    CHECK_EQ(write(fd, text, strlen(text)), (long)strlen(text));
    CHECK_OK(close(fd));
}

/* Reads a file of up to `size` - 1 bytes and ends it with a NUL; returns its length. */
__attribute__((unused)) static size_t check_read_file(const char *path, char *buf, size_t size) {
    int fd = CHECK_OK(open(path, O_RDONLY));
    size_t have = 0;
    ssize_t got;
    while (have < size - 1 && (got = CHECK_OK(read(fd, buf + have, size - 1 - have))) > 0)
        have += got;
    buf[have] = 0;
    CHECK_OK(close(fd));
    return have;
}

__attribute__((unused)) static long long check_now(clockid_t clock) {
    struct timespec t;
    CHECK_OK(clock_gettime(clock, &t));
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

__attribute__((unused)) static void check_sleep_ms(long ms) {
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&t, &t) == -1)
        CHECK_EQ(errno, EINTR);
}

/* The letter of a task's state in /proc/PID/stat. */
__attribute__((unused)) static char check_state(pid_t pid) {
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    check_read_file(path, text, sizeof text);
    char *end = strrchr(text, ')');
    CHECK(end != NULL);
    return end[2];
}

/* Waits until the task is in one of these states, so that it surely sleeps in the call it was seen to enter. */
__attribute__((unused)) static void check_until_state(pid_t pid, const char *states) {
    for (int i = 0; i < 5000; i++) {
        if (strchr(states, check_state(pid)))
            return;
        usleep(1000);
    }
    check_fail(__FILE__, __LINE__, "pid %d never came into a state of %s", pid, states);
}

#define check_until_sleeping(pid) check_until_state(pid, "S")

/* Waits for a condition that another thread or process brings about. */
#define CHECK_EVENTUALLY(expr)                                                                                         \
    do {                                                                                                               \
        int check_tries = 0;                                                                                           \
        while (!(expr)) {                                                                                              \
            if (++check_tries > 5000)                                                                                  \
                check_fail(__FILE__, __LINE__, "never: %s", #expr);                                                    \
            usleep(1000);                                                                                              \
        }                                                                                                              \
    } while (0)

static int check_run(int index) {
    int status;
    check_name = check_cases[index].name;
    pid_t pid = fork();
    if (pid == -1) {
        dprintf(1, "FAIL %s: fork (errno %d)\n", check_name, errno);
        return 1;
    }
    if (pid == 0) {
        alarm(CHECK_SECONDS);
        check_cases[index].run();
        _exit(0);
    }
    while (waitpid(pid, &status, 0) == -1)
        if (errno != EINTR) {
            dprintf(1, "FAIL %s: waitpid (errno %d)\n", check_name, errno);
            return 1;
        }
    if (WIFSIGNALED(status))
        dprintf(1, "FAIL %s: killed by signal %d\n", check_name, WTERMSIG(status));
    else if (WEXITSTATUS(status) == 0)
        dprintf(1, "ok %s\n", check_name);
    return !(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == CHECK_SKIPPED));
}

int main(int argc, char **argv) {
    int failed = 0;
    if (argc > 1 && argv[1][0] == '@')
        return check_helper ? check_helper(argc, argv) : 99;
    for (int i = 0; i < check_count; i++) {
        bool wanted = argc == 1;
        for (int a = 1; a < argc; a++)
            wanted |= strcmp(argv[a], check_cases[i].name) == 0;
        if (wanted)
            failed |= check_run(i);
    }
    return failed;
}

#endif
