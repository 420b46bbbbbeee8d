/* Namespaces, pidfds, chosen pids, file capabilities, execve against other threads, and small calls about tasks. */
#include "check.h"
#include <linux/capability.h>
#include <linux/kcmp.h>
#include <linux/membarrier.h>
#include <linux/sched.h>
#include <poll.h>
#include <sys/personality.h>
#include <sys/utsname.h>
#include <sys/xattr.h>

#define P_PIDFD_ 3

int check_helper(int argc, char **argv) {
    if (strcmp(argv[1], "@exit42") == 0)
        return 42;
    if (strcmp(argv[1], "@caps") == 0) {
        struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
        struct __user_cap_data_struct data[2];
        CHECK_OK(syscall(SYS_capget, &header, data));
        printf("%x %x %d\n", data[0].permitted, data[0].effective, prctl(PR_GET_DUMPABLE));
        return 0;
    }
    (void)argc;
    return 99;
}

static void on_signal(int sig) {
    (void)sig;
}

static long clone3(struct clone_args *args) {
    return syscall(SYS_clone3, args, sizeof *args);
}

static int pidfd_open_(pid_t pid, unsigned flags) {
    return syscall(SYS_pidfd_open, pid, flags);
}

static void self_path(char *path) {
    ssize_t len = CHECK_OK(readlink("/proc/self/exe", path, PATH_MAX - 1));
    path[len] = 0;
}

static void *busy(void *arg) {
    for (;;)
        if (arg != NULL)
            check_sleep_ms(1);
        else
            getppid();
    return NULL;
}

TEST(a_dying_init_takes_its_namespace_along) {
    check_need_root();
    int alive[2];
    CHECK_OK(pipe(alive));
    pid_t pid = CHECK_OK((pid_t)syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0));
    if (pid == 0) {
        CHECK_EQ(getpid(), 1);
        CHECK_EQ(getppid(), 0);
        for (int i = 0; i < 3; i++)
            if (check_fork() == 0) {
                signal(SIGTERM, SIG_IGN);
                /* an orphan goes to this init */
                if (check_fork() == 0) {
                    for (;;)
                        pause();
                }
                if (i == 0)
                    _exit(0);
                for (;;)
                    pause();
            }
        /* signals without a handler do not end an init from inside */
        CHECK_OK(kill(1, SIGTERM));
        CHECK_OK(kill(1, SIGKILL));
        int status;
        CHECK_OK(wait(&status));
        CHECK_EQ(status, 0);
        _exit(7);
    }
    CHECK_OK(close(alive[1]));
    CHECK_EQ(check_status(pid), 7 << 8);
    /* the end of the pipe says that nobody is left */
    char c;
    struct pollfd end = {alive[0], POLLIN, 0};
    CHECK_EQ(poll(&end, 1, 5000), 1);
    CHECK_EQ(read(alive[0], &c, 1), 0);
}

TEST(an_init_can_be_killed_from_outside) {
    check_need_root();
    pid_t pid = CHECK_OK((pid_t)syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0));
    if (pid == 0)
        for (;;)
            pause();
    CHECK_OK(kill(pid, SIGTERM));
    check_sleep_ms(20);
    CHECK_EQ(waitpid(pid, NULL, WNOHANG), 0);
    CHECK_OK(kill(pid, SIGKILL));
    check_killed(pid, SIGKILL);
}

TEST(namespaces_can_be_entered) {
    check_need_root();
    char name[65];
    pid_t pid = check_fork();
    if (pid == 0) {
        int old = CHECK_OK(open("/proc/self/ns/uts", O_RDONLY));
        struct stat before, after;
        CHECK_OK(fstat(old, &before));
        CHECK_OK(gethostname(name, sizeof name));
        CHECK_OK(unshare(CLONE_NEWUTS));
        CHECK_OK(stat("/proc/self/ns/uts", &after));
        CHECK(before.st_ino != after.st_ino);
        CHECK_OK(sethostname("elsewhere", 9));
        CHECK_ERRNO(setns(old, CLONE_NEWIPC), EINVAL);
        CHECK_OK(setns(old, CLONE_NEWUTS));
        CHECK_OK(stat("/proc/self/ns/uts", &after));
        CHECK_EQ(before.st_ino, after.st_ino);
        struct utsname uts;
        CHECK_OK(uname(&uts));
        CHECK_STR(uts.nodename, name);
        int null = CHECK_OK(open("/dev/null", O_RDONLY));
        CHECK_ERRNO(setns(null, 0), EINVAL);
        CHECK_ERRNO(setns(77, 0), EBADF);
        _exit(0);
    }
    check_wait(pid);
}

TEST(a_pidfd_leads_into_namespaces) {
    check_need_root();
    int ready[2];
    char c;
    CHECK_OK(pipe(ready));
    pid_t pid = check_fork();
    if (pid == 0) {
        CHECK_OK(unshare(CLONE_NEWUTS | CLONE_NEWIPC));
        CHECK_OK(sethostname("inner", 5));
        CHECK_EQ(write(ready[1], "x", 1), 1);
        for (;;)
            pause();
    }
    CHECK_EQ(read(ready[0], &c, 1), 1);
    int pidfd = CHECK_OK(pidfd_open_(pid, 0));
    CHECK_ERRNO(setns(pidfd, 0), EINVAL);
    CHECK_OK(setns(pidfd, CLONE_NEWUTS | CLONE_NEWIPC));
    char name[65];
    CHECK_OK(gethostname(name, sizeof name));
    CHECK_STR(name, "inner");
    CHECK_OK(kill(pid, SIGKILL));
    check_killed(pid, SIGKILL);
    CHECK_ERRNO(setns(pidfd, CLONE_NEWUTS), ESRCH);
}

TEST(children_go_to_the_pid_namespace_of_unshare) {
    check_need_root();
    pid_t pid = check_fork();
    if (pid == 0) {
        CHECK_OK(unshare(CLONE_NEWPID));
        pthread_t thread;
        CHECK_EQ(pthread_create(&thread, NULL, busy, NULL), EINVAL);
        pid_t first = check_fork();
        if (first == 0)
            _exit(getpid() == 1 ? 0 : 1);
        check_wait(first);
        /* its init is gone */
        CHECK_ERRNO(fork(), ENOMEM);
        _exit(0);
    }
    check_wait(pid);
}

TEST(a_user_namespace_maps_ids) {
    check_need_root();
    int ready[2], go[2];
    char c, text[128];
    CHECK_OK(pipe(ready));
    CHECK_OK(pipe(go));
    pid_t pid = check_fork();
    if (pid == 0) {
        CHECK_OK(setresgid(4000, 4000, 4000));
        CHECK_OK(setresuid(3000, 3000, 3000));
        CHECK_OK(unshare(CLONE_NEWUSER));
        CHECK_EQ(getuid(), 65534);
        CHECK_EQ(write(ready[1], "x", 1), 1);
        CHECK_EQ(read(go[0], &c, 1), 1);
        CHECK_EQ(getuid(), 5);
        CHECK_EQ(getegid(), 6);
        CHECK_OK(setresuid(7, 7, 7));
        CHECK_ERRNO(setresuid(100, 100, 100), EINVAL);
        CHECK_EQ(geteuid(), 7);
        _exit(0);
    }
    CHECK_EQ(read(ready[0], &c, 1), 1);
    snprintf(text, sizeof text, "/proc/%d/uid_map", pid);
    int fd = CHECK_OK(open(text, O_WRONLY));
    CHECK_EQ(write(fd, "5 3000 10\n", 10), 10);
    CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
    CHECK_ERRNO(write(fd, "5 3000 10\n", 10), EPERM);
    CHECK_OK(close(fd));
    snprintf(text, sizeof text, "/proc/%d/gid_map", pid);
    fd = CHECK_OK(open(text, O_WRONLY));
    CHECK_EQ(write(fd, "6 4000 1\n", 9), 9);
    CHECK_OK(close(fd));
    CHECK_EQ(write(go[1], "x", 1), 1);
    check_wait(pid);
}

TEST(pids_can_be_chosen) {
    check_need_root();
    pid_t wanted = 0;
    for (pid_t candidate = 5000; candidate < 6000; candidate++)
        if (kill(candidate, 0) == -1 && errno == ESRCH) {
            wanted = candidate;
            break;
        }
    struct clone_args args = {.exit_signal = SIGCHLD, .set_tid = (uintptr_t)&wanted, .set_tid_size = 1};
    pid_t pid = CHECK_OK(clone3(&args));
    if (pid == 0)
        _exit(getpid() == wanted ? 0 : 1);
    CHECK_EQ(pid, wanted);
    wanted = getpid();
    CHECK_ERRNO(clone3(&args), EEXIST);
    wanted = -5;
    CHECK_ERRNO(clone3(&args), EINVAL);
    args.set_tid_size = 40;
    CHECK_ERRNO(clone3(&args), EINVAL);
    check_wait(pid);
}

TEST(pidfds_tell_the_end) {
    int pidfd = -1;
    struct clone_args args = {.flags = CLONE_PIDFD, .exit_signal = SIGCHLD, .pidfd = (uintptr_t)&pidfd};
    pid_t pid = CHECK_OK(clone3(&args));
    if (pid == 0) {
        check_sleep_ms(50);
        _exit(3);
    }
    CHECK(pidfd >= 0);
    CHECK_EQ(fcntl(pidfd, F_GETFD), FD_CLOEXEC);
    struct pollfd end = {pidfd, POLLIN, 0};
    CHECK_EQ(poll(&end, 1, 0), 0);
    CHECK_EQ(poll(&end, 1, 5000), 1);
    siginfo_t info;
    CHECK_OK(waitid(P_PIDFD_, pidfd, &info, WEXITED | WNOWAIT));
    CHECK_EQ(info.si_status, 3);
    CHECK_EQ(info.si_pid, pid);
    CHECK_OK(waitid(P_PIDFD_, pidfd, &info, WEXITED));
    CHECK_ERRNO(waitid(P_PIDFD_, pidfd, &info, WEXITED), ECHILD);
    CHECK_ERRNO(syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0), ESRCH);
    CHECK_ERRNO(pidfd_open_(pid, 0), ESRCH);
    CHECK_ERRNO(pidfd_open_(0, 0), EINVAL);
    CHECK_ERRNO(pidfd_open_(getpid(), 1), EINVAL);
}

TEST(a_nonblocking_pidfd_does_not_wait) {
    pid_t pid = check_fork();
    if (pid == 0)
        for (;;)
            pause();
    int pidfd = CHECK_OK(pidfd_open_(pid, O_NONBLOCK));
    siginfo_t info;
    CHECK_ERRNO(waitid(P_PIDFD_, pidfd, &info, WEXITED), EAGAIN);
    CHECK_OK(syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0));
    check_killed(pid, SIGKILL);
}

TEST(handlers_can_be_cleared_for_a_child) {
    signal(SIGUSR1, SIG_IGN);
    signal(SIGUSR2, on_signal);
    struct clone_args args = {.flags = CLONE_CLEAR_SIGHAND, .exit_signal = SIGCHLD};
    pid_t pid = CHECK_OK(clone3(&args));
    if (pid == 0) {
        struct sigaction action;
        CHECK_OK(sigaction(SIGUSR1, NULL, &action));
        CHECK(action.sa_handler == SIG_IGN);
        CHECK_OK(sigaction(SIGUSR2, NULL, &action));
        CHECK(action.sa_handler == SIG_DFL);
        _exit(0);
    }
    check_wait(pid);
    args.flags |= CLONE_SIGHAND | CLONE_VM;
    CHECK_ERRNO(clone3(&args), EINVAL);
}

static void *execute(void *path) {
    execl(path, "tasks", "@exit42", NULL);
    _exit(98);
}

TEST(execve_takes_the_place_of_the_leader) {
    char path[PATH_MAX];
    self_path(path);
    for (int round = 0; round < 12; round++) {
        pid_t pid = check_fork();
        if (pid == 0) {
            pthread_t thread;
            for (int i = 0; i < 4; i++)
                CHECK_ZERO(pthread_create(&thread, NULL, busy, i & 1 ? &thread : NULL));
            /* one of those that try at the same time wins */
            for (int i = 0; i < 1 + round % 3; i++)
                CHECK_ZERO(pthread_create(&thread, NULL, execute, path));
            if (round & 1)
                pthread_exit(NULL);
            for (;;)
                pause();
        }
        CHECK_EQ(check_status(pid), 42 << 8);
    }
}

TEST(file_capabilities_are_granted) {
    check_need_root();
    check_scratch();
    CHECK_OK(chmod(".", 0755));
    char path[PATH_MAX], text[64];
    self_path(path);
    int from = CHECK_OK(open(path, O_RDONLY)), to = CHECK_OK(open("caps", O_WRONLY | O_CREAT, 0755));
    char buf[65536];
    ssize_t got;
    while ((got = CHECK_OK(read(from, buf, sizeof buf))) > 0)
        CHECK_EQ(write(to, buf, got), got);
    CHECK_OK(fchmod(to, 0755));
    CHECK_OK(close(to));
    struct vfs_cap_data caps = {.magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE};
    caps.data[0].permitted = 1 << CAP_CHOWN | 1 << CAP_KILL;
    if (setxattr("caps", "security.capability", &caps, sizeof caps, 0) == -1)
        check_skip("no file capabilities here");
    for (int bound = 0; bound < 2; bound++) {
        int out[2];
        CHECK_OK(pipe(out));
        pid_t pid = check_fork();
        if (pid == 0) {
            CHECK_OK(dup2(out[1], 1));
            if (bound)
                CHECK_OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
            CHECK_OK(setresuid(2000, 2000, 2000));
            execl("caps", "caps", "@caps", NULL);
            _exit(98);
        }
        CHECK_OK(close(out[1]));
        got = CHECK_OK(read(out[0], text, sizeof text - 1));
        text[got] = 0;
        check_wait(pid);
        CHECK_STR(text, bound ? "0 0 1\n" : "21 21 0\n");
    }
    /* a write takes them away */
    to = CHECK_OK(open("caps", O_WRONLY));
    CHECK_EQ(write(to, "\177", 1), 1);
    CHECK_ERRNO(getxattr("caps", "security.capability", text, sizeof text), ENODATA);
}

TEST(old_programs_find_the_vsyscall_page) {
    long (*vtime)(long *) = (long (*)(long *))0xffffffffff600400;
    long (*vgetcpu)(unsigned *, unsigned *, void *) = (long (*)(unsigned *, unsigned *, void *))0xffffffffff600800;
    pid_t pid = check_fork();
    if (pid == 0) {
        long stored = 0, now = vtime(&stored);
        CHECK_EQ(now, stored);
        CHECK(labs(now - time(NULL)) <= 1);
        unsigned cpu = 12345, node = 12345;
        CHECK_EQ(vgetcpu(&cpu, &node, NULL), 0);
        CHECK(cpu < 4096 && node < 4096);
        _exit(0);
    }
    int status = check_status(pid);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV)
        check_skip("no vsyscall page here");
    CHECK_EQ(status, 0);
}

static volatile int stop_barrier;

static void *count(void *arg) {
    volatile long *value = arg;
    while (!stop_barrier)
        ++*value;
    return NULL;
}

TEST(membarrier_waits_for_other_threads) {
    long offered = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
    if (offered == -1 || !(offered & MEMBARRIER_CMD_PRIVATE_EXPEDITED))
        check_skip("no private barriers");
    CHECK_ERRNO(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0), EPERM);
    CHECK_EQ(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0), 0);
    long value = 0;
    pthread_t thread;
    CHECK_ZERO(pthread_create(&thread, NULL, count, &value));
    for (int i = 0; i < 50; i++)
        CHECK_EQ(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0), 0);
    stop_barrier = 1;
    CHECK_ZERO(pthread_join(thread, NULL));
    CHECK_ERRNO(syscall(SYS_membarrier, 1 << 20, 0, 0), EINVAL);
    CHECK_ERRNO(syscall(SYS_membarrier, 0, 5, 0), EINVAL);
}

TEST(kcmp_compares) {
    check_need_root();
    int fd = CHECK_OK(dup(0));
    pid_t me = getpid();
    if (syscall(SYS_kcmp, me, me, KCMP_VM, 0, 0) == -1 && errno == ENOSYS)
        check_skip("no kcmp");
    CHECK_EQ(syscall(SYS_kcmp, me, me, KCMP_FILE, 0, fd), 0);
    CHECK(syscall(SYS_kcmp, me, me, KCMP_FILE, 1, CHECK_OK(open("/", O_RDONLY))) > 0);
    CHECK_ERRNO(syscall(SYS_kcmp, me, me, KCMP_FILE, 0, 999), EBADF);
    CHECK_ERRNO(syscall(SYS_kcmp, me, me, 50, 0, 0), EINVAL);
    pid_t pid = CHECK_OK((pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0));
    if (pid == 0)
        for (;;)
            pause();
    CHECK_EQ(syscall(SYS_kcmp, me, pid, KCMP_FILES, 0, 0), 0);
    CHECK(syscall(SYS_kcmp, me, pid, KCMP_VM, 0, 0) > 0);
    CHECK(syscall(SYS_kcmp, me, pid, KCMP_FS, 0, 0) > 0);
    CHECK_OK(kill(pid, SIGKILL));
    check_killed(pid, SIGKILL);
    CHECK_ERRNO(syscall(SYS_kcmp, me, pid, KCMP_VM, 0, 0), ESRCH);
}

TEST(personality_is_stored_and_changes_uname) {
    CHECK_EQ(personality(0xffffffff), 0);
    CHECK_EQ(personality(UNAME26), 0);
    struct utsname uts;
    CHECK_OK(uname(&uts));
    CHECK(strncmp(uts.release, "2.6.", 4) == 0);
    pid_t pid = check_fork();
    if (pid == 0)
        _exit(personality(0xffffffff) == UNAME26 ? 0 : 1);
    check_wait(pid);
    CHECK_EQ(personality(0), UNAME26);
}

TEST(times_and_usage_agree) {
    struct rusage usage;
    struct timespec spent;
    do
        CHECK_OK(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent));
    while (spent.tv_nsec < 60000000 && spent.tv_sec == 0);
    CHECK_OK(getrusage(RUSAGE_SELF, &usage));
    long us = usage.ru_utime.tv_usec + usage.ru_stime.tv_usec + 1000000 * (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec);
    CHECK(us >= 40000 && us < 2000000);
    CHECK(usage.ru_maxrss > 100);
    CHECK_ERRNO(getrusage(5, &usage), EINVAL);
    CHECK_OK(getrusage(RUSAGE_THREAD, &usage));
}
