/* seccomp(2): actions, threads, tracers, listeners, and what is refused. */
#include "check.h"
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/user.h>

#define NR offsetof(struct seccomp_data, nr)
#define RET(value) BPF_STMT(BPF_RET | BPF_K, value)

/* `action` for one call, everything else is allowed. */
static int install(unsigned nr, unsigned action, unsigned flags) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, NR),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
        RET(action),
        RET(SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {4, code};
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

static void no_new_privs(void) {
    CHECK_OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

TEST(errno_and_kill) {
    no_new_privs();
    CHECK_EQ(prctl(PR_GET_SECCOMP), 0);
    CHECK_OK(install(SYS_getppid, SECCOMP_RET_ERRNO | 77, 0));
    CHECK_EQ(prctl(PR_GET_SECCOMP), 2);
    CHECK_ERRNO(syscall(SYS_getppid), 77);
    /* the newest of equals, and the strictest of all */
    CHECK_OK(install(SYS_getppid, SECCOMP_RET_ERRNO | 78, 0));
    CHECK_ERRNO(syscall(SYS_getppid), 78);
    CHECK_OK(install(SYS_getppid, SECCOMP_RET_LOG, 0));
    CHECK_ERRNO(syscall(SYS_getppid), 78);
    CHECK_OK(install(SYS_getpgid, SECCOMP_RET_ERRNO | 0, 0));
    CHECK_EQ(syscall(SYS_getpgid, 999999), 0);
    pid_t pid = check_fork();
    if (pid == 0) {
        CHECK_ERRNO(syscall(SYS_getppid), 78);
        CHECK_OK(install(SYS_getppid, SECCOMP_RET_KILL_PROCESS, 0));
        syscall(SYS_getppid);
        _exit(0);
    }
    check_killed(pid, SIGSYS);
    char text[8192];
    check_read_file("/proc/self/status", text, sizeof text);
    CHECK(strstr(text, "Seccomp:\t2\n") != NULL);
    CHECK(strstr(text, "Seccomp_filters:\t4\n") != NULL);
}

static siginfo_t caught;
static long caught_rax;

static void on_sys(int sig, siginfo_t *si, void *context) {
    (void)sig;
    caught = *si;
    ucontext_t *uc = context;
    caught_rax = uc->uc_mcontext.gregs[REG_RAX];
    uc->uc_mcontext.gregs[REG_RAX] = 1234;
}

TEST(trap) {
    no_new_privs();
    struct sigaction sa = {.sa_sigaction = on_sys, .sa_flags = SA_SIGINFO};
    CHECK_OK(sigaction(SIGSYS, &sa, NULL));
    CHECK_OK(install(SYS_getppid, SECCOMP_RET_TRAP | 5, 0));
    CHECK_EQ(syscall(SYS_getppid), 1234);
    CHECK_EQ(caught.si_code, 1 /* SYS_SECCOMP */);
    CHECK_EQ(caught.si_errno, 5);
    CHECK_EQ(caught.si_syscall, SYS_getppid);
    CHECK_EQ(caught.si_arch, AUDIT_ARCH_X86_64);
    CHECK_EQ(caught_rax, SYS_getppid);
    CHECK(caught.si_call_addr != NULL);
}

TEST(what_is_refused) {
    struct sock_filter bad = BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 64), ok = RET(SECCOMP_RET_ALLOW);
    struct sock_fprog program = {1, &ok};
    pid_t pid = check_fork();
    if (pid == 0) {
        if (geteuid() == 0) {
            CHECK_OK(setresuid(1234, 1234, 1234));
            CHECK_ERRNO(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program), EACCES);
        }
        _exit(0);
    }
    check_wait(pid);
    no_new_privs();
    CHECK_ERRNO(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0x1000, &program), EINVAL);
    CHECK_ERRNO(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, NULL), EFAULT);
    program.len = 0;
    CHECK_ERRNO(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program), EINVAL);
    program.len = 5000;
    CHECK_ERRNO(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program), EINVAL);
    program.len = 1;
    program.filter = &bad;
    CHECK_ERRNO(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program), EINVAL);
    CHECK_ERRNO(syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 1, NULL), EINVAL);
    CHECK_ERRNO(syscall(SYS_seccomp, 77, 0, NULL), EINVAL);
    unsigned action = SECCOMP_RET_USER_NOTIF;
    CHECK_OK(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action));
    action = 0x12340000;
    CHECK_ERRNO(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action), EOPNOTSUPP);
    struct seccomp_notif_sizes sizes;
    CHECK_OK(syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes));
    CHECK_EQ(sizes.seccomp_notif, sizeof(struct seccomp_notif));
    CHECK_EQ(sizes.seccomp_notif_resp, sizeof(struct seccomp_notif_resp));
}

TEST(strict) {
    pid_t pid = check_fork();
    if (pid == 0) {
        CHECK_OK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT));
        syscall(SYS_exit, 3);
    }
    CHECK_EQ(check_status(pid), 3 << 8);
    pid = check_fork();
    if (pid == 0) {
        CHECK_OK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT));
        syscall(SYS_getpid);
        syscall(SYS_exit, 3);
    }
    check_killed(pid, SIGKILL);
}

static atomic_int stage;
static atomic_long seen;

static void *spinner(void *arg) {
    (void)arg;
    stage = 1;
    while (stage != 2)
        sched_yield();
    errno = 0;
    syscall(SYS_getppid);
    seen = errno;
    return (void *)(long)prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
}

TEST(all_threads) {
    pthread_t t;
    CHECK_ZERO(pthread_create(&t, NULL, spinner, NULL));
    while (stage != 1)
        sched_yield();
    no_new_privs();
    CHECK_EQ(install(SYS_getppid, SECCOMP_RET_ERRNO | 99, SECCOMP_FILTER_FLAG_TSYNC), 0);
    stage = 2;
    void *bound;
    CHECK_ZERO(pthread_join(t, &bound));
    CHECK_EQ(seen, 99);
    CHECK_EQ((long)bound, 1);
}

static atomic_int own_tid;

static void *diverge(void *arg) {
    (void)arg;
    install(SYS_getpgrp, SECCOMP_RET_ERRNO | 1, 0);
    own_tid = syscall(SYS_gettid);
    while (stage != 2)
        sched_yield();
    return NULL;
}

TEST(a_thread_with_other_filters) {
    no_new_privs();
    pthread_t t;
    CHECK_ZERO(pthread_create(&t, NULL, diverge, NULL));
    while (own_tid == 0)
        sched_yield();
    CHECK_EQ(install(SYS_getppid, SECCOMP_RET_ERRNO | 99, SECCOMP_FILTER_FLAG_TSYNC), own_tid);
    CHECK_ERRNO(install(SYS_getppid, SECCOMP_RET_ERRNO | 99, SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH),
                ESRCH);
    CHECK(syscall(SYS_getppid) >= 0);
    stage = 2;
    CHECK_ZERO(pthread_join(t, NULL));
}

static void *killed_thread(void *arg) {
    install(SYS_getppid, SECCOMP_RET_KILL_THREAD, 0);
    syscall(SYS_getppid);
    stage = 7;
    return arg;
}

TEST(kill_one_thread) {
    no_new_privs();
    pthread_t t;
    CHECK_ZERO(pthread_create(&t, NULL, killed_thread, NULL));
    CHECK_ZERO(pthread_join(t, NULL));
    CHECK_EQ(stage, 0);
}

TEST(tracer_decides) {
    pid_t pid = check_fork();
    if (pid == 0) {
        no_new_privs();
        CHECK_OK(install(SYS_getppid, SECCOMP_RET_TRACE | 8, 0));
        CHECK_ERRNO(syscall(SYS_getppid), ENOSYS); /* nobody listens */
        CHECK_OK(ptrace(PTRACE_TRACEME, 0, 0, 0));
        raise(SIGSTOP);
        _exit(syscall(SYS_getppid) == 55 ? 5 : 6);
    }
    int status;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(status >> 8, SIGSTOP);
    CHECK_OK(ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESECCOMP));
    CHECK_OK(ptrace(PTRACE_CONT, pid, 0, 0));
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(status >> 8, SIGTRAP | PTRACE_EVENT_SECCOMP << 8);
    unsigned long message;
    CHECK_OK(ptrace(PTRACE_GETEVENTMSG, pid, 0, &message));
    CHECK_EQ(message, 8);
    CHECK_OK(ptrace(PTRACE_POKEUSER, pid, offsetof(struct user, regs.orig_rax), -1L));
    CHECK_OK(ptrace(PTRACE_POKEUSER, pid, offsetof(struct user, regs.rax), 55L));
    CHECK_OK(ptrace(PTRACE_CONT, pid, 0, 0));
    CHECK_EQ(check_status(pid), 5 << 8);
}

static void send_fd(int via, int fd) {
    char c = 0, space[CMSG_SPACE(sizeof fd)] = {0};
    struct iovec iov = {&c, 1};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
    cmsg->cmsg_level = SOL_SOCKET;
    cmsg->cmsg_type = SCM_RIGHTS;
    cmsg->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(cmsg), &fd, sizeof fd);
    CHECK_OK(sendmsg(via, &msg, 0));
}

static int receive_fd(int via) {
    char c, space[CMSG_SPACE(sizeof(int))];
    struct iovec iov = {&c, 1};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    CHECK_EQ(CHECK_OK(recvmsg(via, &msg, 0)), 1);
    int fd;
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof fd);
    return fd;
}

TEST(listener) {
    int pair[2];
    CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    pid_t pid = check_fork();
    if (pid == 0) {
        no_new_privs();
        int fd = CHECK_OK(install(SYS_getppid, SECCOMP_RET_USER_NOTIF, SECCOMP_FILTER_FLAG_NEW_LISTENER));
        CHECK_ERRNO(install(SYS_getppid, SECCOMP_RET_USER_NOTIF, SECCOMP_FILTER_FLAG_NEW_LISTENER), EBUSY);
        send_fd(pair[1], fd);
        close(fd);
        CHECK_EQ(syscall(SYS_getppid), 321);
        CHECK_ERRNO(syscall(SYS_getppid), EHOSTDOWN);
        CHECK(syscall(SYS_getppid) > 0);
        int got = syscall(SYS_getppid);
        CHECK_EQ(write(got, "hi", 2), 2);
        CHECK_EQ(fcntl(got, F_GETFD), FD_CLOEXEC);
        CHECK_ERRNO(syscall(SYS_getppid), ENOSYS); /* the listener is gone */
        _exit(0);
    }
    int fd = receive_fd(pair[0]);
    struct pollfd p = {fd, POLLIN, 0};
    CHECK_EQ(CHECK_OK(poll(&p, 1, 5000)), 1);
    CHECK_EQ(p.revents, POLLIN);
    struct seccomp_notif req = {0};
    struct seccomp_notif_resp resp = {0};
    req.pid = 1;
    CHECK_ERRNO(ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &req), EINVAL);
    for (int i = 0; i < 3; i++) {
        memset(&req, 0, sizeof req);
        CHECK_OK(ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &req));
        CHECK_EQ(req.pid, pid);
        CHECK_EQ(req.data.nr, SYS_getppid);
        CHECK_OK(ioctl(fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &req.id));
        memset(&resp, 0, sizeof resp);
        resp.id = req.id;
        if (i == 0)
            resp.val = 321;
        else if (i == 1)
            resp.error = -EHOSTDOWN;
        else
            resp.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
        CHECK_OK(ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &resp));
    }
    memset(&req, 0, sizeof req);
    CHECK_OK(ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &req));
    int pipes[2];
    CHECK_OK(pipe(pipes));
    struct seccomp_notif_addfd add = {req.id, SECCOMP_ADDFD_FLAG_SEND, pipes[1], 0, O_CLOEXEC};
    CHECK(CHECK_OK(ioctl(fd, SECCOMP_IOCTL_NOTIF_ADDFD, &add)) > 2);
    char two[2];
    CHECK_EQ(read(pipes[0], two, 2), 2);
    CHECK_OK(close(fd));
    check_wait(pid);
}

TEST(bad_programs_never_run) {
    no_new_privs();
    unsigned seed = 12345;
    for (int i = 0; i < 60; i++) {
        struct sock_filter code[8];
        for (int j = 0; j < 8; j++) {
            seed = seed * 1103515245 + 12345;
            code[j] = (struct sock_filter){seed >> 16 & 0xff, seed >> 3 & 3, seed >> 5 & 3, seed >> 24};
        }
        struct sock_fprog program = {8, code};
        pid_t pid = check_fork();
        if (pid == 0) {
            syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
            syscall(SYS_exit_group, 0);
            *(volatile int *)0 = 0; /* the filter does not let it go */
        }
        check_status(pid);
    }
}
