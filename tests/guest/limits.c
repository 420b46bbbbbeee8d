/* getrlimit(2), prlimit(2), setpriority(2), sched_*(2): what is set, inherited, enforced. */
#include "check.h"
#include <sys/sysinfo.h>

TEST(get_set_and_errors) {
    struct rlimit limit, old;
    CHECK_ERRNO(getrlimit(99, &limit), EINVAL);
    CHECK_ERRNO(getrlimit(RLIMIT_NOFILE, (void *)8), EFAULT);
    CHECK_OK(getrlimit(RLIMIT_CORE, &old));
    limit = (struct rlimit){10, 5};
    CHECK_ERRNO(setrlimit(RLIMIT_CORE, &limit), EINVAL);
    limit = (struct rlimit){4096, 8192};
    CHECK_OK(prlimit(0, RLIMIT_CORE, &limit, &old));
    CHECK_OK(getrlimit(RLIMIT_CORE, &limit));
    CHECK(limit.rlim_cur == 4096 && limit.rlim_max == 8192);
    CHECK_ERRNO(prlimit(99999999, RLIMIT_CORE, NULL, &old), ESRCH);
    pid_t pid = check_fork();
    if (pid == 0) {
        CHECK_OK(getrlimit(RLIMIT_CORE, &limit));
        CHECK(limit.rlim_cur == 4096 && limit.rlim_max == 8192);
        CHECK_OK(prlimit(getppid(), RLIMIT_CORE, NULL, &old));
        CHECK_EQ(old.rlim_cur, 4096);
        _exit(0);
    }
    check_wait(pid);
}

TEST(raising_needs_privilege) {
    check_need_root();
    struct rlimit limit = {10, 100};
    CHECK_OK(setrlimit(RLIMIT_MSGQUEUE, &limit));
    CHECK_OK(setresuid(1234, 1234, 1234));
    limit.rlim_max = 101;
    CHECK_ERRNO(setrlimit(RLIMIT_MSGQUEUE, &limit), EPERM);
    limit = (struct rlimit){100, 100};
    CHECK_OK(setrlimit(RLIMIT_MSGQUEUE, &limit));
    limit.rlim_max = limit.rlim_cur = 50;
    CHECK_OK(setrlimit(RLIMIT_MSGQUEUE, &limit));
}

TEST(file_size) {
    struct rlimit limit = {1000, RLIM_INFINITY};
    char block[600] = "";
    check_scratch();
    CHECK(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    CHECK_OK(setrlimit(RLIMIT_FSIZE, &limit));
    int fd = CHECK_OK(open("f", O_RDWR | O_CREAT, 0600));
    CHECK_EQ(write(fd, block, 600), 600);
    CHECK_EQ(write(fd, block, 600), 400);
    CHECK_ERRNO(write(fd, block, 600), EFBIG);
    CHECK_ERRNO(ftruncate(fd, 1001), EFBIG);
    CHECK_OK(ftruncate(fd, 1000));
    pid_t pid = check_fork();
    if (pid == 0) {
        limit.rlim_max = 0;
        CHECK_OK(prlimit(0, RLIMIT_CORE, &(struct rlimit){0, 0}, NULL));
        signal(SIGXFSZ, SIG_DFL);
        CHECK_EQ(pwrite(fd, block, 1, 1000), 1);
        _exit(0);
    }
    check_killed(pid, SIGXFSZ);
}

TEST(address_space) {
    struct rlimit limit = {256 << 20, RLIM_INFINITY};
    CHECK_OK(setrlimit(RLIMIT_AS, &limit));
    CHECK_ERRNO(mmap(NULL, 300 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), ENOMEM);
    char *p = mmap(NULL, 100 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(p != MAP_FAILED);
    CHECK_ERRNO(mremap(p, 100 << 20, 280 << 20, MREMAP_MAYMOVE), ENOMEM);
    char *end = (char *)syscall(SYS_brk, 0);
    CHECK((char *)syscall(SYS_brk, end + (200 << 20)) == end);
    CHECK_OK(munmap(p, 100 << 20));
    CHECK(mmap(NULL, 200 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
    limit.rlim_cur = 1 << 20;
    CHECK_OK(setrlimit(RLIMIT_DATA, &limit));
    CHECK((char *)syscall(SYS_brk, end + (4 << 20)) == end);
}

static volatile sig_atomic_t count;

static void on_signal(int sig) {
    (void)sig;
    count++;
}

TEST(cpu_time) {
    struct rlimit limit = {1, 2};
    CHECK_OK(setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}));
    pid_t pid = check_fork();
    if (pid == 0) {
        CHECK(signal(SIGXCPU, on_signal) != SIG_ERR);
        CHECK_OK(setrlimit(RLIMIT_CPU, &limit));
        for (;;)
            if (count && check_now(CLOCK_PROCESS_CPUTIME_ID) < 500000000)
                _exit(1);
    }
    check_killed(pid, SIGKILL);
}

TEST(processes_and_pending_signals) {
    struct rlimit limit = {3, 3};
    check_need_root();
    pid_t pid = check_fork();
    if (pid == 0) {
        CHECK_OK(setrlimit(RLIMIT_SIGPENDING, &limit));
        limit.rlim_cur = limit.rlim_max = 1;
        CHECK_OK(setrlimit(RLIMIT_NPROC, &limit));
        CHECK_OK(setresuid(54321, 54321, 54321));
        CHECK_ERRNO(fork(), EAGAIN);
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGRTMIN);
        CHECK_OK(sigprocmask(SIG_BLOCK, &set, NULL));
        for (int i = 0; i < 3; i++)
            CHECK_OK(sigqueue(getpid(), SIGRTMIN, (union sigval){0}));
        CHECK_ERRNO(sigqueue(getpid(), SIGRTMIN, (union sigval){0}), EAGAIN);
        _exit(0);
    }
    check_wait(pid);
}

TEST(nice_values) {
    errno = 0;
    CHECK_OK(setpriority(PRIO_PROCESS, 0, 15));
    CHECK_EQ(getpriority(PRIO_PROCESS, getpid()), 15);
    CHECK_EQ(syscall(SYS_getpriority, PRIO_PROCESS, 0), 5); /* the call itself answers 20 - nice */
    CHECK_OK(setpriority(PRIO_PROCESS, 0, 100));
    CHECK_EQ(getpriority(PRIO_PROCESS, 0), 19);
    CHECK_ERRNO(getpriority(9, 0), EINVAL);
    CHECK_ERRNO(getpriority(PRIO_PROCESS, 99999999), ESRCH);
    CHECK_ERRNO(setpriority(PRIO_PGRP, 99999999, 0), ESRCH);
    pid_t pid = check_fork();
    if (pid == 0) {
        CHECK_EQ(getpriority(PRIO_PROCESS, 0), 19);
        _exit(0);
    }
    check_wait(pid);
}

TEST(scheduler_calls) {
    struct sched_param param = {.sched_priority = 0};
    cpu_set_t set;
    CHECK_EQ(sched_getscheduler(0), SCHED_OTHER);
    CHECK_OK(sched_setscheduler(0, SCHED_BATCH, &param));
    CHECK_EQ(sched_getscheduler(0), SCHED_BATCH);
    param.sched_priority = 5;
    CHECK_ERRNO(sched_setscheduler(0, SCHED_OTHER, &param), EINVAL);
    CHECK_ERRNO(sched_setscheduler(0, 99, &param), EINVAL);
    CHECK_ERRNO(sched_setscheduler(-1, SCHED_OTHER, &param), EINVAL);
    CHECK_ERRNO(sched_getscheduler(99999999), ESRCH);
    CHECK_ERRNO(sched_getparam(0, NULL), EINVAL);
    CHECK_EQ(sched_get_priority_max(SCHED_FIFO), 99);
    CHECK_EQ(sched_get_priority_min(SCHED_RR), 1);
    CHECK_EQ(sched_get_priority_max(SCHED_OTHER), 0);
    CHECK_ERRNO(sched_get_priority_max(99), EINVAL);
    CHECK_OK(sched_yield());
    CHECK_OK(sched_getaffinity(0, sizeof set, &set));
    int cpus = CPU_COUNT(&set);
    CHECK(cpus >= 1);
    CHECK_ERRNO(syscall(SYS_sched_getaffinity, 0, 1, &set), EINVAL);
    CHECK_ERRNO(sched_getaffinity(-1, sizeof set, &set), ESRCH);
    CHECK_ERRNO(sched_setaffinity(-1, sizeof set, &set), ESRCH);
    int first = 0;
    while (!CPU_ISSET(first, &set))
        first++;
    CPU_ZERO(&set);
    CHECK_ERRNO(sched_setaffinity(0, sizeof set, &set), EINVAL);
    CPU_SET(first, &set);
    CHECK_OK(sched_setaffinity(0, sizeof set, &set));
    CHECK_OK(sched_getaffinity(0, sizeof set, &set));
    CHECK_EQ(CPU_COUNT(&set), 1);
    unsigned cpu, node;
    CHECK_OK(getcpu(&cpu, &node));
    CHECK(cpu < 4096);
    struct sysinfo info;
    CHECK_OK(sysinfo(&info));
    CHECK(info.totalram >= info.freeram && info.mem_unit >= 1 && info.procs >= 1 && info.uptime >= 0);
}
