/* fork(2), vfork(2), clone(2): copy-on-write, what is inherited, what is not, and in which order things happen. */
#include "check.h"
#include <linux/sched.h>

#define PAGE 4096L
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

TEST(private_memory_is_copied_both_ways) {
    enum { pages = 300 };
    unsigned char *p = mmap(NULL, pages * PAGE, RW, ANON, -1, 0);
    for (int i = 0; i < pages; i++)
        p[i * PAGE] = i;
    int go[2], done[2];
    char c;
    CHECK_OK(pipe(go));
    CHECK_OK(pipe(done));
    pid_t pid = check_fork();
    if (pid == 0) {
        for (int i = 0; i < pages; i += 2)
            p[i * PAGE] = 200;
        CHECK_EQ(write(done[1], "x", 1), 1);
        CHECK_EQ(read(go[0], &c, 1), 1);
        for (int i = 1; i < pages; i += 2)
            CHECK_EQ(p[i * PAGE], i % 256);
        _exit(0);
    }
    CHECK_EQ(read(done[0], &c, 1), 1);
    for (int i = 0; i < pages; i++)
        CHECK_EQ(p[i * PAGE], i % 256);
    memset(p, 7, pages * PAGE);
    CHECK_EQ(write(go[1], "x", 1), 1);
    check_wait(pid);
    CHECK_EQ(p[0], 7);
}

TEST(generations_stay_apart) {
    int *p = mmap(NULL, PAGE, RW, ANON, -1, 0);
    int *shared = mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    p[0] = 1;
    pid_t pid = check_fork();
    if (pid == 0) {
        p[1] = 2;
        pid_t grandchild = check_fork();
        if (grandchild == 0) {
            CHECK_EQ(p[0] + p[1], 3);
            p[0] = p[1] = 50;
            shared[0]++;
            _exit(0);
        }
        check_wait(grandchild);
        CHECK_EQ(p[0] + p[1], 3);
        shared[0]++;
        _exit(0);
    }
    check_wait(pid);
    CHECK_EQ(p[0] + p[1], 1);
    CHECK_EQ(shared[0], 2);
}

TEST(kernel_writes_break_sharing_too) {
    char *p = mmap(NULL, PAGE, RW, ANON, -1, 0);
    int fds[2];
    strcpy(p, "parent");
    CHECK_OK(pipe(fds));
    CHECK_EQ(write(fds[1], "child!", 6), 6);
    pid_t pid = check_fork();
    if (pid == 0) {
        CHECK_EQ(read(fds[0], p, 6), 6);
        CHECK_STR(p, "child!");
        _exit(0);
    }
    check_wait(pid);
    CHECK_STR(p, "parent");
}

TEST(files_share_their_offset_and_flags) {
    check_scratch();
    int fd = CHECK_OK(open("f", O_RDWR | O_CREAT, 0600));
    pid_t pid = check_fork();
    if (pid == 0) {
        CHECK_EQ(write(fd, "abcdef", 6), 6);
        CHECK_OK(fcntl(fd, F_SETFL, O_APPEND));
        CHECK_OK(fcntl(fd, F_SETFD, FD_CLOEXEC));
        CHECK_OK(close(0));
        _exit(0);
    }
    check_wait(pid);
    CHECK_EQ(lseek(fd, 0, SEEK_CUR), 6);
    CHECK(fcntl(fd, F_GETFL) & O_APPEND);
    CHECK_EQ(fcntl(fd, F_GETFD), 0);
    CHECK_OK(fcntl(0, F_GETFD));
}

static void nothing(int sig) {
    (void)sig;
}

TEST(what_a_child_inherits) {
    sigset_t set, got;
    struct sigaction action;
    stack_t stack = {.ss_sp = mmap(NULL, 4 * PAGE, RW, ANON, -1, 0), .ss_size = 4 * PAGE}, stack_got;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    CHECK_OK(sigprocmask(SIG_BLOCK, &set, NULL));
    CHECK(signal(SIGUSR2, nothing) != SIG_ERR);
    CHECK_OK(sigaltstack(&stack, NULL));
    CHECK_OK(raise(SIGUSR1));
    umask(031);
    struct itimerval timer = {{0, 0}, {1000, 0}};
    CHECK_OK(setitimer(ITIMER_REAL, &timer, NULL));
    CHECK_OK(prctl(PR_SET_NAME, "parental"));
    CHECK_OK(prctl(PR_SET_PDEATHSIG, SIGUSR1));
    pid_t parent = getpid(), group = getpgrp(), session = getsid(0);
    pid_t pid = check_fork();
    if (pid == 0) {
        char name[16];
        int sig;
        CHECK_EQ(getppid(), parent);
        CHECK(getpid() != parent && getpid() == syscall(SYS_gettid));
        CHECK_EQ(getpgrp(), group);
        CHECK_EQ(getsid(0), session);
        CHECK_OK(sigprocmask(SIG_BLOCK, NULL, &got));
        CHECK(sigismember(&got, SIGUSR1));
        CHECK_OK(sigpending(&got));
        CHECK(!sigismember(&got, SIGUSR1));
        CHECK_OK(sigaction(SIGUSR2, NULL, &action));
        CHECK(action.sa_handler == nothing);
        CHECK_OK(sigaltstack(NULL, &stack_got));
        CHECK(stack_got.ss_sp == stack.ss_sp && stack_got.ss_flags == 0);
        CHECK_EQ(umask(0), 031);
        CHECK_OK(getitimer(ITIMER_REAL, &timer));
        CHECK_EQ(timer.it_value.tv_sec, 0);
        CHECK_EQ(alarm(0), 0);
        CHECK_OK(prctl(PR_GET_NAME, name));
        CHECK_STR(name, "parental");
        CHECK_OK(prctl(PR_GET_PDEATHSIG, &sig));
        CHECK_EQ(sig, 0);
        struct rusage usage;
        CHECK_OK(getrusage(RUSAGE_CHILDREN, &usage));
        CHECK_EQ(usage.ru_utime.tv_sec + usage.ru_utime.tv_usec, 0);
        _exit(0);
    }
    check_wait(pid);
}

TEST(vfork_shares_memory_and_suspends) {
    static volatile int value, exited;
    pid_t pid = vfork();
    if (pid == 0) {
        value = 5;
        struct timespec t = {0, 30000000};
        nanosleep(&t, NULL);
        exited = 1;
        _exit(3);
    }
    CHECK(pid > 0);
    CHECK_EQ(value, 5);
    CHECK_EQ(exited, 1);
    CHECK_EQ(WEXITSTATUS(check_status(pid)), 3);
}

static int clone_child(void *arg) {
    (*(int *)arg)++;
    close(0);
    return 4;
}

TEST(clone_shares_what_it_is_told) {
    static int counter;
    char *stack = (char *)mmap(NULL, 16 * PAGE, RW, ANON, -1, 0) + 16 * PAGE;
    pid_t pid = CHECK_OK(clone(clone_child, stack, CLONE_VM | CLONE_FILES | SIGCHLD, &counter));
    CHECK_EQ(WEXITSTATUS(check_status(pid)), 4);
    CHECK_EQ(counter, 1);
    CHECK_ERRNO(fcntl(0, F_GETFD), EBADF);
    CHECK_OK(open("/", O_RDONLY));
    pid = CHECK_OK(clone(clone_child, stack, SIGCHLD, &counter));
    check_status(pid);
    CHECK_EQ(counter, 1);
    CHECK_OK(fcntl(0, F_GETFD));
}

TEST(clone_tids_and_errors) {
    static int parent_tid, child_tid = -1;
    pid_t pid = CHECK_OK(syscall(SYS_clone, CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | SIGCHLD, 0, &parent_tid, &child_tid, 0));
    if (pid == 0) {
        CHECK_EQ(child_tid, getpid());
        _exit(0);
    }
    CHECK_EQ(parent_tid, pid);
    CHECK_EQ(child_tid, -1);
    check_wait(pid);
    CHECK_ERRNO(syscall(SYS_clone, CLONE_SIGHAND, 0, 0, 0, 0), EINVAL);
    CHECK_ERRNO(syscall(SYS_clone, CLONE_THREAD | CLONE_SIGHAND, 0, 0, 0, 0), EINVAL);
    CHECK_ERRNO(syscall(SYS_clone, CLONE_FS | CLONE_NEWNS, 0, 0, 0, 0), EINVAL);
    CHECK_ERRNO(syscall(SYS_clone, CLONE_NEWUSER | CLONE_FS, 0, 0, 0, 0), EINVAL);
    CHECK_ERRNO(syscall(SYS_clone, CLONE_PIDFD | CLONE_PARENT_SETTID, 0, &parent_tid, 0, 0), EINVAL);
}

TEST(clone3_checks_its_arguments) {
    struct clone_args args = {.exit_signal = SIGCHLD};
    int pidfd = -1;
    args.flags = CLONE_PIDFD;
    args.pidfd = (uintptr_t)&pidfd;
    pid_t pid = CHECK_OK(syscall(SYS_clone3, &args, sizeof args));
    if (pid == 0)
        _exit(9);
    CHECK(fcntl(pidfd, F_GETFD) == FD_CLOEXEC);
    siginfo_t info;
    CHECK_OK(waitid(P_PIDFD, pidfd, &info, WEXITED));
    CHECK_EQ(info.si_pid, pid);
    CHECK_EQ(info.si_status, 9);
    CHECK_ERRNO(syscall(SYS_clone3, &args, 8), EINVAL);
    CHECK_ERRNO(syscall(SYS_clone3, &args, 8192), E2BIG);
    CHECK_ERRNO(syscall(SYS_clone3, NULL, sizeof args), EFAULT);
    args = (struct clone_args){.exit_signal = 100};
    CHECK_ERRNO(syscall(SYS_clone3, &args, sizeof args), EINVAL);
    args = (struct clone_args){.exit_signal = SIGCHLD, .stack_size = 4096};
    CHECK_ERRNO(syscall(SYS_clone3, &args, sizeof args), EINVAL);
    args = (struct clone_args){.flags = CLONE_DETACHED};
    CHECK_ERRNO(syscall(SYS_clone3, &args, sizeof args), EINVAL);
    args = (struct clone_args){.flags = CLONE_THREAD | CLONE_SIGHAND | CLONE_VM, .exit_signal = SIGCHLD};
    CHECK_ERRNO(syscall(SYS_clone3, &args, sizeof args), EINVAL);
    char big[sizeof args + 8];
    memset(big, 0, sizeof big);
    big[sizeof args] = 1;
    CHECK_ERRNO(syscall(SYS_clone3, big, sizeof big), E2BIG);
}

TEST(many_children_at_once) {
    pid_t pids[60];
    for (int i = 0; i < 60; i++) {
        pids[i] = check_fork();
        if (pids[i] == 0)
            _exit(i);
    }
    for (int i = 59; i >= 0; i--)
        CHECK_EQ(WEXITSTATUS(check_status(pids[i])), i);
    CHECK_ERRNO(wait(NULL), ECHILD);
}
