/* ptrace(2): stops, registers, memory, signals, events, group stops, and how tracing ends. */
#include "check.h"
#include <elf.h>
#include <sys/ptrace.h>
#include <sys/user.h>

#define TRACE(request, pid, addr, data) ptrace(request, pid, (void *)(long)(addr), (void *)(long)(data))

static volatile long shared_word = 0x1122334455667788;
static volatile int hits;

static void on_usr1(int sig) {
    (void)sig;
    hits++;
}

/* Waits for a stop and returns its status above the low byte: the signal, the event above it. */
static int stop_of(pid_t pid) {
    int status;
    CHECK_EQ(CHECK_OK(waitpid(pid, &status, __WALL)), pid);
    CHECK(WIFSTOPPED(status));
    return status >> 8;
}

/* A child that is traced by us and stopped by its own SIGSTOP. */
static pid_t traced_child(void (*body)(void)) {
    pid_t pid = check_fork();
    if (pid == 0) {
        CHECK_OK(TRACE(PTRACE_TRACEME, 0, 0, 0));
        raise(SIGSTOP);
        body();
        _exit(0);
    }
    CHECK_EQ(stop_of(pid), SIGSTOP);
    return pid;
}

static void nothing(void) {
}

static void one_getppid(void) {
    if (syscall(SYS_getppid) == 4242)
        _exit(42);
}

static void raise_usr1(void) {
    signal(SIGUSR1, on_usr1);
    raise(SIGUSR1);
    _exit(hits);
}

TEST(memory_and_user_area) {
    pid_t pid = traced_child(nothing);
    errno = 0;
    CHECK_EQ(TRACE(PTRACE_PEEKDATA, pid, &shared_word, 0), 0x1122334455667788);
    CHECK_EQ(errno, 0);
    CHECK_OK(TRACE(PTRACE_POKEDATA, pid, &shared_word, 7));
    CHECK_EQ(TRACE(PTRACE_PEEKDATA, pid, &shared_word, 0), 7);
    CHECK_EQ(shared_word, 0x1122334455667788);
    /* text is read-only, and written all the same */
    long text = TRACE(PTRACE_PEEKTEXT, pid, one_getppid, 0);
    CHECK_OK(TRACE(PTRACE_POKETEXT, pid, one_getppid, text));
    CHECK_ERRNO(TRACE(PTRACE_PEEKDATA, pid, 8, 0), EIO);
    CHECK_ERRNO(TRACE(PTRACE_POKEDATA, pid, 8, 0), EIO);
    struct user_regs_struct regs;
    CHECK_OK(TRACE(PTRACE_GETREGS, pid, 0, &regs));
    CHECK_EQ(TRACE(PTRACE_PEEKUSER, pid, offsetof(struct user, regs.rsp), 0), regs.rsp);
    CHECK_EQ(TRACE(PTRACE_PEEKUSER, pid, offsetof(struct user, regs.orig_rax), 0), regs.orig_rax);
    CHECK_EQ(regs.cs, 0x33);
    CHECK_ERRNO(TRACE(PTRACE_PEEKUSER, pid, 3, 0), EIO);
    CHECK_ERRNO(TRACE(PTRACE_PEEKUSER, pid, 4096, 0), EIO);
    CHECK_ERRNO(TRACE(PTRACE_POKEUSER, pid, offsetof(struct user, regs.cs), 0x10), EIO);
    CHECK_EQ(TRACE(PTRACE_PEEKUSER, pid, offsetof(struct user, u_debugreg[0]), 0), 0);
    CHECK_OK(TRACE(PTRACE_KILL, pid, 0, 0));
    check_killed(pid, SIGKILL);
}

TEST(syscall_stops) {
    pid_t pid = traced_child(one_getppid);
    CHECK_OK(TRACE(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD));
    struct user_regs_struct regs;
    struct __ptrace_syscall_info info;
    CHECK_EQ(TRACE(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info), 24);
    CHECK_EQ(info.op, PTRACE_SYSCALL_INFO_NONE);
    do {
        CHECK_OK(TRACE(PTRACE_SYSCALL, pid, 0, 0));
        CHECK_EQ(stop_of(pid), SIGTRAP | 0x80);
        CHECK_OK(TRACE(PTRACE_GETREGS, pid, 0, &regs));
    } while (regs.orig_rax != SYS_getppid);
    CHECK_EQ((long)regs.rax, -ENOSYS);
    CHECK_EQ(TRACE(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info), 80);
    CHECK_EQ(info.op, PTRACE_SYSCALL_INFO_ENTRY);
    CHECK_EQ(info.arch, 0xc000003e);
    CHECK_EQ(info.entry.nr, SYS_getppid);
    CHECK_EQ(info.instruction_pointer, regs.rip);
    siginfo_t si;
    CHECK_OK(TRACE(PTRACE_GETSIGINFO, pid, 0, &si));
    CHECK_EQ(si.si_signo, SIGTRAP);
    CHECK_EQ(si.si_code, SIGTRAP | 0x80);
    CHECK_OK(TRACE(PTRACE_SYSCALL, pid, 0, 0));
    CHECK_EQ(stop_of(pid), SIGTRAP | 0x80);
    CHECK_EQ(TRACE(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info), 33);
    CHECK_EQ(info.op, PTRACE_SYSCALL_INFO_EXIT);
    CHECK_EQ(info.exit.rval, getpid());
    CHECK_EQ(info.exit.is_error, 0);
    CHECK_OK(TRACE(PTRACE_POKEUSER, pid, offsetof(struct user, regs.rax), 4242));
    CHECK_OK(TRACE(PTRACE_CONT, pid, 0, 0));
    CHECK_EQ(check_status(pid), 42 << 8);
}

/* The call is another, or none. */
TEST(calls_can_be_replaced) {
    pid_t pid = traced_child(one_getppid);
    struct user_regs_struct regs;
    do {
        CHECK_OK(TRACE(PTRACE_SYSCALL, pid, 0, 0));
        CHECK_EQ(stop_of(pid), SIGTRAP);
        CHECK_OK(TRACE(PTRACE_GETREGS, pid, 0, &regs));
    } while (regs.orig_rax != SYS_getppid);
    regs.orig_rax = SYS_getpid;
    CHECK_OK(TRACE(PTRACE_SETREGS, pid, 0, &regs));
    CHECK_OK(TRACE(PTRACE_SYSCALL, pid, 0, 0));
    CHECK_EQ(stop_of(pid), SIGTRAP);
    CHECK_EQ(TRACE(PTRACE_PEEKUSER, pid, offsetof(struct user, regs.rax), 0), pid);
    CHECK_OK(TRACE(PTRACE_CONT, pid, 0, 0));
    check_wait(pid);

    pid = traced_child(one_getppid);
    do {
        CHECK_OK(TRACE(PTRACE_SYSCALL, pid, 0, 0));
        CHECK_EQ(stop_of(pid), SIGTRAP);
        CHECK_OK(TRACE(PTRACE_GETREGS, pid, 0, &regs));
    } while (regs.orig_rax != SYS_getppid);
    CHECK_OK(TRACE(PTRACE_POKEUSER, pid, offsetof(struct user, regs.orig_rax), -1));
    CHECK_OK(TRACE(PTRACE_POKEUSER, pid, offsetof(struct user, regs.rax), 4242));
    CHECK_OK(TRACE(PTRACE_CONT, pid, 0, 0));
    CHECK_EQ(check_status(pid), 42 << 8);
}

TEST(emulated_calls) {
    pid_t pid = traced_child(one_getppid);
    struct user_regs_struct regs;
    for (;;) {
        CHECK_OK(TRACE(PTRACE_SYSEMU, pid, 0, 0));
        CHECK_EQ(stop_of(pid), SIGTRAP);
        CHECK_OK(TRACE(PTRACE_GETREGS, pid, 0, &regs));
        if (regs.orig_rax == SYS_getppid)
            break;
        CHECK_OK(TRACE(PTRACE_POKEUSER, pid, offsetof(struct user, regs.rax), 0));
    }
    CHECK_OK(TRACE(PTRACE_POKEUSER, pid, offsetof(struct user, regs.rax), 4242));
    CHECK_OK(TRACE(PTRACE_CONT, pid, 0, 0));
    CHECK_EQ(check_status(pid), 42 << 8);
}

TEST(signals_are_shown_and_chosen) {
    pid_t pid = traced_child(raise_usr1);
    CHECK_OK(TRACE(PTRACE_CONT, pid, 0, 0));
    CHECK_EQ(stop_of(pid), SIGUSR1);
    siginfo_t si;
    CHECK_OK(TRACE(PTRACE_GETSIGINFO, pid, 0, &si));
    CHECK_EQ(si.si_pid, pid);
    CHECK_EQ(si.si_code, SI_TKILL);
    CHECK_OK(TRACE(PTRACE_CONT, pid, 0, SIGUSR1));
    CHECK_EQ(check_status(pid), 1 << 8);

    pid = traced_child(raise_usr1);
    CHECK_OK(TRACE(PTRACE_CONT, pid, 0, 0));
    CHECK_EQ(stop_of(pid), SIGUSR1);
    CHECK_OK(TRACE(PTRACE_CONT, pid, 0, 0));
    CHECK_EQ(check_status(pid), 0);

    pid = traced_child(raise_usr1);
    CHECK_OK(TRACE(PTRACE_CONT, pid, 0, 0));
    CHECK_EQ(stop_of(pid), SIGUSR1);
    CHECK_ERRNO(TRACE(PTRACE_CONT, pid, 0, 65), EIO);
    CHECK_OK(TRACE(PTRACE_CONT, pid, 0, SIGTERM));
    check_killed(pid, SIGTERM);

    /* even what is ignored */
    signal(SIGUSR2, SIG_IGN);
    pid = traced_child(nothing);
    kill(pid, SIGUSR2);
    CHECK_OK(TRACE(PTRACE_CONT, pid, 0, 0));
    CHECK_EQ(stop_of(pid), SIGUSR2);
    CHECK_OK(TRACE(PTRACE_CONT, pid, 0, SIGUSR2));
    check_wait(pid);
}

TEST(queues_and_masks) {
    pid_t pid = traced_child(nothing);
    uint64_t mask = 0;
    CHECK_ERRNO(TRACE(PTRACE_GETSIGMASK, pid, 4, &mask), EINVAL);
    CHECK_OK(TRACE(PTRACE_GETSIGMASK, pid, 8, &mask));
    CHECK_EQ(mask, 0);
    mask = 1 << (SIGUSR1 - 1) | 1 << (SIGKILL - 1);
    CHECK_OK(TRACE(PTRACE_SETSIGMASK, pid, 8, &mask));
    CHECK_OK(TRACE(PTRACE_GETSIGMASK, pid, 8, &mask));
    CHECK_EQ(mask, 1 << (SIGUSR1 - 1));
    CHECK_OK(kill(pid, SIGUSR1));
    struct __ptrace_peeksiginfo_args args = {0, PTRACE_PEEKSIGINFO_SHARED, 4};
    siginfo_t si[4];
    CHECK_EQ(TRACE(PTRACE_PEEKSIGINFO, pid, &args, si), 1);
    CHECK_EQ(si[0].si_signo, SIGUSR1);
    CHECK_EQ(si[0].si_pid, getpid());
    args.flags = 0;
    CHECK_EQ(TRACE(PTRACE_PEEKSIGINFO, pid, &args, si), 0);
    CHECK_OK(TRACE(PTRACE_CONT, pid, 0, 0));
    check_wait(pid);
}

static void steps(void) {
    __asm__ volatile("nop; nop; nop; nop");
}

TEST(single_steps) {
    pid_t pid = traced_child(steps);
    struct user_regs_struct regs;
    int nops = 0;
    for (int i = 0; i < 20000 && nops < 4; i++) {
        CHECK_OK(TRACE(PTRACE_SINGLESTEP, pid, 0, 0));
        CHECK_EQ(stop_of(pid), SIGTRAP);
        CHECK_OK(TRACE(PTRACE_GETREGS, pid, 0, &regs));
        CHECK_EQ(regs.eflags & 0x100, 0);
        long text = TRACE(PTRACE_PEEKTEXT, pid, regs.rip, 0);
        nops = (text & 0xff) == 0x90 ? nops + 1 : 0;
    }
    CHECK_EQ(nops, 4);
    siginfo_t si;
    CHECK_OK(TRACE(PTRACE_GETSIGINFO, pid, 0, &si));
    CHECK_EQ(si.si_code, TRAP_TRACE);
    CHECK_OK(TRACE(PTRACE_CONT, pid, 0, 0));
    check_wait(pid);
}

static int __attribute__((noinline)) answer(int x) {
    __asm__ volatile("" ::: "memory");
    return x + 1;
}

static int (*volatile ask)(int) = answer;

static void call_answer(void) {
    _exit(ask(6));
}

TEST(breakpoints_and_registers) {
    pid_t pid = traced_child(call_answer);
    long text = TRACE(PTRACE_PEEKTEXT, pid, answer, 0);
    CHECK_OK(TRACE(PTRACE_POKETEXT, pid, answer, (text & ~0xffL) | 0xcc));
    CHECK_OK(TRACE(PTRACE_CONT, pid, 0, 0));
    CHECK_EQ(stop_of(pid), SIGTRAP);
    siginfo_t si;
    CHECK_OK(TRACE(PTRACE_GETSIGINFO, pid, 0, &si));
    CHECK_EQ(si.si_code, SI_KERNEL);
    struct user_regs_struct regs;
    struct iovec iov = {&regs, sizeof regs};
    CHECK_OK(TRACE(PTRACE_GETREGSET, pid, NT_PRSTATUS, &iov));
    CHECK_EQ(iov.iov_len, sizeof regs);
    CHECK_EQ(regs.rip, (long)answer + 1);
    CHECK_EQ(regs.rdi, 6);
    CHECK_OK(TRACE(PTRACE_POKETEXT, pid, answer, text));
    regs.rip = (long)answer;
    regs.rdi = 40;
    CHECK_OK(TRACE(PTRACE_SETREGSET, pid, NT_PRSTATUS, &iov));
    iov.iov_len = 4;
    CHECK_ERRNO(TRACE(PTRACE_GETREGSET, pid, NT_PRSTATUS, &iov), EINVAL);
    iov.iov_len = 16;
    CHECK_OK(TRACE(PTRACE_GETREGSET, pid, NT_PRSTATUS, &iov));
    CHECK_EQ(iov.iov_len, 16);
    CHECK_ERRNO(TRACE(PTRACE_GETREGSET, pid, 0x7777, &iov), EINVAL);
    CHECK_OK(TRACE(PTRACE_CONT, pid, 0, 0));
    CHECK_EQ(check_status(pid), 41 << 8);
}

static volatile double number = 1.5;

static void keep_number(void) {
    double x = number;
    __asm__ volatile("movq %0, %%xmm7; movl $39, %%eax; syscall; movq %%xmm7, %0" : "+x"(x)::"rax", "rcx", "r11", "xmm7");
    _exit(x == 2.5 ? 0 : 9);
}

TEST(floating_point) {
    pid_t pid = traced_child(keep_number);
    struct user_regs_struct regs;
    do {
        CHECK_OK(TRACE(PTRACE_SYSCALL, pid, 0, 0));
        CHECK_EQ(stop_of(pid), SIGTRAP);
        CHECK_OK(TRACE(PTRACE_GETREGS, pid, 0, &regs));
    } while (regs.orig_rax != SYS_getpid);
    struct user_fpregs_struct fp;
    CHECK_OK(TRACE(PTRACE_GETFPREGS, pid, 0, &fp));
    double x;
    memcpy(&x, &fp.xmm_space[4 * 7], 8);
    CHECK(x == 1.5);
    static char state[16384];
    struct iovec iov = {state, sizeof state};
    CHECK_OK(TRACE(PTRACE_GETREGSET, pid, NT_X86_XSTATE, &iov));
    CHECK(iov.iov_len >= 576 && iov.iov_len < sizeof state);
    CHECK_EQ(memcmp(state, &fp, 464), 0);
    CHECK(((uint64_t *)state)[58] & 3); /* XCR0, where debuggers look for it */
    CHECK_OK(TRACE(PTRACE_SETREGSET, pid, NT_X86_XSTATE, &iov));
    iov.iov_len = 512;
    CHECK_OK(TRACE(PTRACE_GETREGSET, pid, NT_PRFPREG, &iov));
    CHECK_EQ(iov.iov_len, 512);
    fp.mxcsr = 0xffffffff;
    CHECK_ERRNO(TRACE(PTRACE_SETFPREGS, pid, 0, &fp), EINVAL);
    fp.mxcsr = 0x1f80;
    x = 2.5;
    memcpy(&fp.xmm_space[4 * 7], &x, 8);
    CHECK_OK(TRACE(PTRACE_SETFPREGS, pid, 0, &fp));
    CHECK_OK(TRACE(PTRACE_CONT, pid, 0, 0));
    check_wait(pid);
}

static void fork_once(void) {
    pid_t pid = fork();
    if (pid == 0)
        _exit(3);
    waitpid(pid, NULL, 0);
    _exit(4);
}

TEST(fork_and_exit_events) {
    pid_t pid = traced_child(fork_once);
    CHECK_ERRNO(TRACE(PTRACE_SETOPTIONS, pid, 0, 0x40000000), EINVAL);
    CHECK_OK(TRACE(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACEFORK | PTRACE_O_TRACEEXIT));
    CHECK_OK(TRACE(PTRACE_CONT, pid, 0, 0));
    CHECK_EQ(stop_of(pid), SIGTRAP | PTRACE_EVENT_FORK << 8);
    unsigned long child = 0, code = 0;
    CHECK_OK(TRACE(PTRACE_GETEVENTMSG, pid, 0, &child));
    CHECK(child > 0 && child != (unsigned long)pid);
    CHECK_EQ(stop_of(child), SIGSTOP);
    CHECK_OK(TRACE(PTRACE_CONT, pid, 0, 0));
    CHECK_OK(TRACE(PTRACE_CONT, child, 0, 0));
    CHECK_EQ(stop_of(child), SIGTRAP | PTRACE_EVENT_EXIT << 8);
    CHECK_OK(TRACE(PTRACE_GETEVENTMSG, child, 0, &code));
    CHECK_EQ(code, 3 << 8);
    CHECK_OK(TRACE(PTRACE_CONT, child, 0, 0));
    /* its tracer first, then its parent */
    CHECK_EQ(check_status(child), 3 << 8);
    CHECK_EQ(stop_of(pid), SIGCHLD);
    CHECK_OK(TRACE(PTRACE_CONT, pid, 0, SIGCHLD));
    CHECK_EQ(stop_of(pid), SIGTRAP | PTRACE_EVENT_EXIT << 8);
    CHECK_OK(TRACE(PTRACE_CONT, pid, 0, 0));
    CHECK_EQ(check_status(pid), 4 << 8);
}

int check_helper(int argc, char **argv) {
    (void)argc;
    (void)argv;
    return 0;
}

static void exec_true(void) {
    execl("/proc/self/exe", "ptrace", "@end", NULL);
    _exit(9);
}

static void vfork_once(void) {
    if (vfork() == 0)
        _exit(0);
    wait(NULL);
}

TEST(exec_and_vfork_events) {
    pid_t pid = traced_child(exec_true);
    CHECK_OK(TRACE(PTRACE_CONT, pid, 0, 0));
    CHECK_EQ(stop_of(pid), SIGTRAP); /* the old way: a signal */
    CHECK_OK(TRACE(PTRACE_CONT, pid, 0, 0));
    check_wait(pid);

    pid = traced_child(exec_true);
    CHECK_OK(TRACE(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACEEXEC));
    CHECK_OK(TRACE(PTRACE_CONT, pid, 0, 0));
    CHECK_EQ(stop_of(pid), SIGTRAP | PTRACE_EVENT_EXEC << 8);
    unsigned long message;
    CHECK_OK(TRACE(PTRACE_GETEVENTMSG, pid, 0, &message));
    CHECK_EQ(message, pid);
    CHECK_OK(TRACE(PTRACE_CONT, pid, 0, 0));
    check_wait(pid);

    pid = traced_child(vfork_once);
    CHECK_OK(TRACE(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACEVFORK | PTRACE_O_TRACEVFORKDONE));
    CHECK_OK(TRACE(PTRACE_CONT, pid, 0, 0));
    CHECK_EQ(stop_of(pid), SIGTRAP | PTRACE_EVENT_VFORK << 8);
    CHECK_OK(TRACE(PTRACE_GETEVENTMSG, pid, 0, &message));
    CHECK_EQ(stop_of(message), SIGSTOP);
    CHECK_OK(TRACE(PTRACE_DETACH, message, 0, 0));
    CHECK_OK(TRACE(PTRACE_CONT, pid, 0, 0));
    int stop = stop_of(pid);
    if (stop == SIGCHLD) {
        CHECK_OK(TRACE(PTRACE_CONT, pid, 0, SIGCHLD));
        stop = stop_of(pid);
    }
    CHECK_EQ(stop, SIGTRAP | PTRACE_EVENT_VFORK_DONE << 8);
    CHECK_OK(TRACE(PTRACE_DETACH, pid, 0, 0));
    check_wait(pid);
}

static void *thread_body(void *arg) {
    (void)arg;
    return NULL;
}

static void one_thread(void) {
    pthread_t t;
    pthread_create(&t, NULL, thread_body, NULL);
    pthread_join(t, NULL);
}

TEST(threads) {
    pid_t pid = traced_child(one_thread);
    CHECK_OK(TRACE(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACECLONE));
    CHECK_OK(TRACE(PTRACE_CONT, pid, 0, 0));
    CHECK_EQ(stop_of(pid), SIGTRAP | PTRACE_EVENT_CLONE << 8);
    unsigned long tid;
    CHECK_OK(TRACE(PTRACE_GETEVENTMSG, pid, 0, &tid));
    CHECK_EQ(stop_of(tid), SIGSTOP);
    CHECK_ERRNO(kill(tid, 65), EINVAL);
    CHECK_OK(TRACE(PTRACE_CONT, tid, 0, 0));
    /* a thread's end is its tracer's to see */
    int status;
    CHECK_EQ(CHECK_OK(waitpid(tid, &status, __WALL)), (long)tid);
    CHECK_EQ(status, 0);
    CHECK_OK(TRACE(PTRACE_CONT, pid, 0, 0));
    check_wait(pid);
}

static void spin(void) {
    for (;;)
        hits++;
}

TEST(attach_and_detach) {
    pid_t pid = check_fork();
    if (pid == 0)
        spin();
    CHECK_OK(TRACE(PTRACE_ATTACH, pid, 0, 0));
    CHECK_EQ(stop_of(pid), SIGSTOP);
    CHECK_ERRNO(TRACE(PTRACE_ATTACH, pid, 0, 0), EPERM);
    CHECK_ERRNO(TRACE(PTRACE_ATTACH, getpid(), 0, 0), EPERM);
    CHECK_ERRNO(TRACE(PTRACE_ATTACH, 99999, 0, 0), ESRCH);
    char path[64], text[4096], want[32];
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    check_read_file(path, text, sizeof text);
    snprintf(want, sizeof want, "TracerPid:\t%d\n", getpid());
    CHECK(strstr(text, want) != NULL);
    CHECK(strstr(text, "State:\tt (tracing stop)") != NULL);
    CHECK_OK(TRACE(PTRACE_DETACH, pid, 0, 0));
    CHECK_ERRNO(TRACE(PTRACE_CONT, pid, 0, 0), ESRCH);
    check_read_file(path, text, sizeof text);
    CHECK(strstr(text, "TracerPid:\t0\n") != NULL);
    CHECK_OK(TRACE(PTRACE_ATTACH, pid, 0, 0));
    CHECK_EQ(stop_of(pid), SIGSTOP);
    CHECK_OK(TRACE(PTRACE_DETACH, pid, 0, SIGTERM));
    check_killed(pid, SIGTERM);
}

TEST(requests_need_a_stop) {
    pid_t pid = check_fork();
    if (pid == 0)
        spin();
    CHECK_OK(TRACE(PTRACE_SEIZE, pid, 0, 0));
    CHECK_ERRNO(TRACE(PTRACE_CONT, pid, 0, 0), ESRCH);
    CHECK_ERRNO(TRACE(PTRACE_PEEKDATA, pid, &shared_word, 0), ESRCH);
    CHECK_ERRNO(TRACE(PTRACE_DETACH, pid, 0, 0), ESRCH);
    CHECK_EQ(waitpid(pid, NULL, WNOHANG), 0);
    CHECK_OK(kill(pid, SIGKILL));
    check_killed(pid, SIGKILL);
}

TEST(seize_interrupt_listen) {
    pid_t pid = check_fork();
    if (pid == 0)
        spin();
    CHECK_ERRNO(TRACE(PTRACE_SEIZE, pid, 1, 0), EIO);
    CHECK_OK(TRACE(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACESYSGOOD));
    CHECK_OK(TRACE(PTRACE_INTERRUPT, pid, 0, 0));
    CHECK_EQ(stop_of(pid), SIGTRAP | PTRACE_EVENT_STOP << 8);
    CHECK_OK(TRACE(PTRACE_CONT, pid, 0, 0));
    /* a group stop, in which it stays */
    CHECK_OK(kill(pid, SIGSTOP));
    CHECK_EQ(stop_of(pid), SIGSTOP);
    CHECK_OK(TRACE(PTRACE_CONT, pid, 0, SIGSTOP));
    CHECK_EQ(stop_of(pid), SIGSTOP | PTRACE_EVENT_STOP << 8);
    CHECK_OK(TRACE(PTRACE_LISTEN, pid, 0, 0));
    CHECK_ERRNO(TRACE(PTRACE_CONT, pid, 0, 0), ESRCH);
    CHECK_EQ(waitpid(pid, NULL, WNOHANG | __WALL), 0);
    CHECK_OK(TRACE(PTRACE_INTERRUPT, pid, 0, 0));
    CHECK_EQ(stop_of(pid), SIGSTOP | PTRACE_EVENT_STOP << 8);
    CHECK_OK(TRACE(PTRACE_LISTEN, pid, 0, 0));
    CHECK_OK(kill(pid, SIGCONT));
    CHECK_EQ(stop_of(pid), SIGTRAP | PTRACE_EVENT_STOP << 8);
    CHECK_OK(TRACE(PTRACE_CONT, pid, 0, 0));
    CHECK_EQ(stop_of(pid), SIGCONT);
    CHECK_ERRNO(TRACE(PTRACE_LISTEN, pid, 0, 0), EIO);
    CHECK_OK(TRACE(PTRACE_CONT, pid, 0, SIGCONT));
    CHECK_OK(kill(pid, SIGKILL));
    check_killed(pid, SIGKILL);
}

TEST(group_stop_of_attached) {
    pid_t pid = traced_child(nothing);
    siginfo_t si;
    CHECK_OK(TRACE(PTRACE_GETSIGINFO, pid, 0, &si));
    CHECK_OK(TRACE(PTRACE_CONT, pid, 0, SIGSTOP));
    CHECK_EQ(stop_of(pid), SIGSTOP);
    CHECK_ERRNO(TRACE(PTRACE_GETSIGINFO, pid, 0, &si), EINVAL);
    CHECK_OK(TRACE(PTRACE_CONT, pid, 0, 0));
    check_wait(pid);
    /* one that sleeps stopped already */
    pid = check_fork();
    if (pid == 0) {
        raise(SIGSTOP);
        _exit(0);
    }
    int status;
    CHECK_EQ(CHECK_OK(waitpid(pid, &status, WUNTRACED)), pid);
    CHECK_OK(TRACE(PTRACE_SEIZE, pid, 0, 0));
    CHECK_EQ(stop_of(pid), SIGSTOP | PTRACE_EVENT_STOP << 8);
    CHECK_OK(TRACE(PTRACE_DETACH, pid, 0, 0));
    CHECK_OK(kill(pid, SIGCONT));
    check_wait(pid);
}

TEST(waitid_of_stops) {
    pid_t pid = check_fork();
    if (pid == 0) {
        CHECK_OK(TRACE(PTRACE_TRACEME, 0, 0, 0));
        raise(SIGUSR1);
        _exit(0);
    }
    siginfo_t si;
    CHECK_OK(waitid(P_PID, pid, &si, WSTOPPED | WNOWAIT));
    CHECK_EQ(si.si_code, CLD_TRAPPED);
    CHECK_EQ(si.si_status, SIGUSR1);
    CHECK_EQ(si.si_pid, pid);
    CHECK_OK(waitid(P_PID, pid, &si, WSTOPPED));
    si.si_pid = 7;
    CHECK_OK(waitid(P_PID, pid, &si, WSTOPPED | WNOHANG));
    CHECK_EQ(si.si_pid, 0);
    CHECK_OK(TRACE(PTRACE_CONT, pid, 0, 0));
    check_wait(pid);
}

TEST(tracer_death) {
    int pipes[2];
    CHECK_OK(pipe(pipes));
    pid_t sleeper = check_fork();
    if (sleeper == 0)
        for (;;)
            pause();
    for (int kills = 0; kills < 2; kills++) {
        pid_t tracer = check_fork();
        if (tracer == 0) {
            CHECK_OK(TRACE(PTRACE_SEIZE, sleeper, 0, kills ? PTRACE_O_EXITKILL : 0));
            CHECK_OK(TRACE(PTRACE_INTERRUPT, sleeper, 0, 0));
            CHECK_EQ(stop_of(sleeper), SIGTRAP | PTRACE_EVENT_STOP << 8);
            _exit(0);
        }
        check_wait(tracer);
        if (!kills)
            CHECK_EQ(waitpid(sleeper, NULL, WNOHANG), 0);
    }
    check_killed(sleeper, SIGKILL);
}

/* A parent does not see the end of its child before a stranger who traces it has. */
TEST(stranger_waits_first) {
    pid_t child = check_fork();
    if (child == 0)
        for (;;)
            pause();
    int go[2], up[2];
    CHECK_OK(pipe(go));
    CHECK_OK(pipe(up));
    pid_t tracer = check_fork();
    if (tracer == 0) {
        char c;
        CHECK_OK(TRACE(PTRACE_SEIZE, child, 0, 0));
        CHECK_EQ(write(up[1], "x", 1), 1);
        CHECK_EQ(read(go[0], &c, 1), 1);
        int status;
        CHECK_EQ(CHECK_OK(waitpid(child, &status, 0)), child);
        CHECK_EQ(status, SIGKILL);
        _exit(0);
    }
    char c;
    CHECK_EQ(read(up[0], &c, 1), 1);
    CHECK_OK(kill(child, SIGKILL));
    check_sleep_ms(30);
    CHECK_EQ(waitpid(child, NULL, WNOHANG), 0);
    CHECK_EQ(write(go[1], "x", 1), 1);
    check_killed(child, SIGKILL);
    check_wait(tracer);
}

TEST(interrupted_call_goes_on) {
    int pipes[2];
    CHECK_OK(pipe(pipes));
    pid_t pid = check_fork();
    if (pid == 0) {
        char c = 0;
        CHECK_EQ(read(pipes[0], &c, 1), 1);
        _exit(c);
    }
    check_until_sleeping(pid);
    CHECK_OK(TRACE(PTRACE_SEIZE, pid, 0, 0));
    CHECK_OK(TRACE(PTRACE_INTERRUPT, pid, 0, 0));
    CHECK_EQ(stop_of(pid), SIGTRAP | PTRACE_EVENT_STOP << 8);
    struct user_regs_struct regs;
    CHECK_OK(TRACE(PTRACE_GETREGS, pid, 0, &regs));
    CHECK_EQ(regs.orig_rax, SYS_read);
    CHECK_EQ((long)regs.rax, -512);
    CHECK_OK(TRACE(PTRACE_SETREGS, pid, 0, &regs));
    CHECK_OK(TRACE(PTRACE_DETACH, pid, 0, 0));
    CHECK_EQ(write(pipes[1], "\5", 1), 1);
    CHECK_EQ(check_status(pid), 5 << 8);
}

TEST(others_may_not) {
    check_need_root();
    pid_t victim = check_fork();
    if (victim == 0)
        for (;;)
            pause();
    pid_t pid = check_fork();
    if (pid == 0) {
        CHECK_OK(setresgid(1234, 1234, 1234));
        CHECK_OK(setresuid(1234, 1234, 1234));
        CHECK_ERRNO(TRACE(PTRACE_ATTACH, victim, 0, 0), EPERM);
        CHECK_ERRNO(TRACE(PTRACE_SEIZE, victim, 0, 0), EPERM);
        _exit(0);
    }
    check_wait(pid);
    CHECK_OK(kill(victim, SIGKILL));
    check_killed(victim, SIGKILL);
}

