/* Signals: masks, queues and their order, restarting, handler flags, waiting for signals, who may send what. */
#include "check.h"

static volatile sig_atomic_t count, last;
static siginfo_t info;
static int order[64], order_len;

static void on_signal(int sig) {
    count++;
    last = sig;
}

static void on_info(int sig, siginfo_t *i, void *context) {
    (void)context;
    count++;
    last = sig;
    info = *i;
    order[order_len++ % 64] = sig << 16 | (i->si_value.sival_int & 0xffff);
}

static void handle(int sig, int flags) {
    struct sigaction action = {.sa_flags = flags};
    if (flags & SA_SIGINFO)
        action.sa_sigaction = on_info;
    else
        action.sa_handler = on_signal;
    CHECK_OK(sigaction(sig, &action, NULL));
}

static sigset_t set_of(int sig) {
    sigset_t set;
    sigemptyset(&set);
    if (sig)
        sigaddset(&set, sig);
    return set;
}

static void block(int sig) {
    sigset_t set = set_of(sig);
    CHECK_OK(sigprocmask(SIG_BLOCK, &set, NULL));
}

static void unblock_all(void) {
    sigset_t set = set_of(0);
    CHECK_OK(sigprocmask(SIG_SETMASK, &set, NULL));
}

TEST(raw_calls_check_their_arguments) {
    unsigned long set = ~0UL, old;
    CHECK_ERRNO(syscall(SYS_rt_sigprocmask, SIG_BLOCK, &set, NULL, 4), EINVAL);
    CHECK_ERRNO(syscall(SYS_rt_sigprocmask, 3, &set, NULL, 8), EINVAL);
    CHECK_OK(syscall(SYS_rt_sigprocmask, 3, NULL, &old, 8));
    CHECK_ERRNO(syscall(SYS_rt_sigprocmask, SIG_BLOCK, 8, NULL, 8), EFAULT);
    CHECK_OK(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &set, NULL, 8));
    CHECK_OK(syscall(SYS_rt_sigprocmask, SIG_SETMASK, NULL, &old, 8));
    CHECK_EQ(old, ~(1UL << (SIGKILL - 1) | 1UL << (SIGSTOP - 1)));
    set = 0;
    CHECK_OK(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &set, NULL, 8));
    CHECK_ERRNO(syscall(SYS_rt_sigaction, SIGUSR1, NULL, NULL, 16), EINVAL);
    CHECK_ERRNO(syscall(SYS_rt_sigaction, 65, NULL, NULL, 8), EINVAL);
    CHECK_ERRNO(syscall(SYS_rt_sigaction, 0, NULL, NULL, 8), EINVAL);
    struct sigaction action = {.sa_handler = on_signal};
    CHECK_ERRNO(sigaction(SIGKILL, &action, NULL), EINVAL);
    CHECK_ERRNO(sigaction(SIGSTOP, &action, NULL), EINVAL);
    CHECK_OK(sigaction(SIGKILL, NULL, &action));
    CHECK_ERRNO(kill(getpid(), 65), EINVAL);
    CHECK_ERRNO(kill(getpid(), -1), EINVAL);
    CHECK_ERRNO(kill(99999999, 0), ESRCH);
    CHECK_OK(kill(getpid(), 0));
    CHECK_ERRNO(syscall(SYS_rt_sigsuspend, &set, 4), EINVAL);
    CHECK_ERRNO(syscall(SYS_rt_sigpending, &set, 16), EINVAL);
}

TEST(a_blocked_signal_waits) {
    sigset_t pending;
    handle(SIGUSR1, 0);
    block(SIGUSR1);
    CHECK_OK(raise(SIGUSR1));
    CHECK_OK(kill(getpid(), SIGUSR1));
    CHECK_EQ(count, 0);
    CHECK_OK(sigpending(&pending));
    CHECK(sigismember(&pending, SIGUSR1));
    unblock_all();
    /* once for the thread's queue, once for the process's */
    CHECK_EQ(count, 2);
    block(SIGUSR1);
    for (int i = 0; i < 5; i++)
        CHECK_OK(kill(getpid(), SIGUSR1));
    unblock_all();
    CHECK_EQ(count, 3);
    /* ignoring discards what waits */
    block(SIGUSR1);
    CHECK_OK(raise(SIGUSR1));
    CHECK(signal(SIGUSR1, SIG_IGN) != SIG_ERR);
    CHECK_OK(sigpending(&pending));
    CHECK(!sigismember(&pending, SIGUSR1));
}

TEST(realtime_signals_queue_in_order) {
    int a = SIGRTMIN + 2, b = SIGRTMIN + 1;
    struct sigaction action = {.sa_sigaction = on_info, .sa_flags = SA_SIGINFO};
    sigfillset(&action.sa_mask);
    CHECK_OK(sigaction(a, &action, NULL));
    CHECK_OK(sigaction(b, &action, NULL));
    CHECK_OK(sigaction(SIGUSR2, &action, NULL));
    block(a), block(b), block(SIGUSR2);
    for (int i = 0; i < 3; i++) {
        CHECK_OK(sigqueue(getpid(), a, (union sigval){.sival_int = i}));
        CHECK_OK(sigqueue(getpid(), b, (union sigval){.sival_int = i}));
        CHECK_OK(sigqueue(getpid(), SIGUSR2, (union sigval){.sival_int = i}));
    }
    unblock_all();
    CHECK_EQ(order_len, 7);
    int want[] = {SIGUSR2 << 16, b << 16, b << 16 | 1, b << 16 | 2, a << 16, a << 16 | 1, a << 16 | 2};
    /* a full sa_mask: each handler ends before the next begins */
    for (int i = 0; i < 7; i++)
        CHECK_EQ(order[i], want[i]);
    CHECK_EQ(info.si_code, SI_QUEUE);
    CHECK_EQ(info.si_pid, getpid());
    CHECK_EQ(info.si_uid, getuid());
}

TEST(siginfo_of_kill_and_tgkill) {
    handle(SIGUSR1, SA_SIGINFO);
    CHECK_OK(kill(getpid(), SIGUSR1));
    CHECK_EQ(info.si_code, SI_USER);
    CHECK_EQ(info.si_pid, getpid());
    CHECK_OK(syscall(SYS_tgkill, getpid(), getpid(), SIGUSR1));
    CHECK_EQ(info.si_code, SI_TKILL);
    pid_t pid = check_fork();
    if (pid == 0) {
        /* what looks like the kernel's cannot be sent to others */
        siginfo_t forged = {.si_signo = SIGUSR1, .si_code = SI_USER};
        CHECK_ERRNO(syscall(SYS_rt_sigqueueinfo, getppid(), SIGUSR1, &forged), EPERM);
        forged.si_code = SI_TKILL;
        CHECK_ERRNO(syscall(SYS_rt_sigqueueinfo, getppid(), SIGUSR1, &forged), EPERM);
        CHECK_OK(syscall(SYS_rt_sigqueueinfo, getpid(), 0, &forged));
        _exit(0);
    }
    check_wait(pid);
}

TEST(handler_flags) {
    handle(SIGUSR1, SA_RESETHAND);
    CHECK_OK(raise(SIGUSR1));
    struct sigaction action;
    CHECK_OK(sigaction(SIGUSR1, NULL, &action));
    CHECK(action.sa_handler == SIG_DFL);
    handle(SIGUSR1, SA_RESTART | SA_NODEFER);
    CHECK_OK(sigaction(SIGUSR1, NULL, &action));
    CHECK_EQ(action.sa_flags & (SA_RESTART | SA_NODEFER | SA_SIGINFO), SA_RESTART | SA_NODEFER);
}

static volatile int depth, deepest;

static void on_nested(int sig) {
    if (++depth > deepest)
        deepest = depth;
    if (count++ < 5)
        raise(sig);
    depth--;
}

TEST(nodefer_nests_and_the_default_does_not) {
    struct sigaction action = {.sa_handler = on_nested, .sa_flags = SA_NODEFER};
    CHECK_OK(sigaction(SIGUSR1, &action, NULL));
    CHECK_OK(raise(SIGUSR1));
    CHECK_EQ(deepest, 6);
    count = deepest = 0;
    action.sa_flags = 0;
    CHECK_OK(sigaction(SIGUSR1, &action, NULL));
    CHECK_OK(raise(SIGUSR1));
    CHECK_EQ(deepest, 1);
    CHECK_EQ(count, 6);
}

TEST(sigsuspend_swaps_the_mask) {
    handle(SIGUSR1, 0);
    block(SIGUSR1);
    CHECK_OK(raise(SIGUSR1));
    sigset_t none = set_of(0), now;
    CHECK_ERRNO(sigsuspend(&none), EINTR);
    CHECK_EQ(count, 1);
    CHECK_OK(sigprocmask(SIG_BLOCK, NULL, &now));
    CHECK(sigismember(&now, SIGUSR1));
}

TEST(sigtimedwait_takes_from_the_queue) {
    int rt = SIGRTMIN + 3;
    sigset_t set = set_of(rt);
    sigaddset(&set, SIGUSR1);
    CHECK_OK(sigprocmask(SIG_BLOCK, &set, NULL));
    struct timespec zero = {0, 0}, some = {0, 20000000}, bad = {0, -1};
    CHECK_ERRNO(sigtimedwait(&set, &info, &zero), EAGAIN);
    long long before = check_now(CLOCK_MONOTONIC);
    CHECK_ERRNO(sigtimedwait(&set, &info, &some), EAGAIN);
    CHECK(check_now(CLOCK_MONOTONIC) - before >= 20000000);
    CHECK_ERRNO(sigtimedwait(&set, &info, &bad), EINVAL);
    CHECK_OK(sigqueue(getpid(), rt, (union sigval){.sival_int = 1}));
    CHECK_OK(sigqueue(getpid(), rt, (union sigval){.sival_int = 2}));
    CHECK_OK(kill(getpid(), SIGUSR1));
    CHECK_EQ(sigtimedwait(&set, &info, &zero), SIGUSR1);
    CHECK_EQ(sigwaitinfo(&set, &info), rt);
    CHECK_EQ(info.si_value.sival_int, 1);
    CHECK_EQ(sigwaitinfo(&set, &info), rt);
    CHECK_EQ(info.si_value.sival_int, 2);
    CHECK_ERRNO(syscall(SYS_rt_sigtimedwait, &set, NULL, &zero, 4), EINVAL);
    /* a handled signal outside the set interrupts */
    handle(SIGALRM, SA_RESTART);
    struct itimerval timer = {{0, 0}, {0, 10000}};
    CHECK_OK(setitimer(ITIMER_REAL, &timer, NULL));
    CHECK_ERRNO(sigwaitinfo(&set, NULL), EINTR);
}

/* Sends this process a signal as soon as it sleeps. */
static pid_t poke(int sig) {
    pid_t target = getpid(), pid = check_fork();
    if (pid == 0) {
        check_until_sleeping(target);
        CHECK_OK(kill(target, sig));
        _exit(0);
    }
    return pid;
}

TEST(restart_or_eintr) {
    int fds[2];
    char c;
    CHECK_OK(pipe(fds));
    handle(SIGUSR1, 0);
    pid_t pid = poke(SIGUSR1);
    CHECK_ERRNO(read(fds[0], &c, 1), EINTR);
    check_wait(pid);
    handle(SIGUSR1, SA_RESTART);
    pid = check_fork();
    if (pid == 0) {
        pid_t parent = getppid();
        check_until_sleeping(parent);
        CHECK_OK(kill(parent, SIGUSR1));
        check_sleep_ms(5);
        check_until_sleeping(parent);
        CHECK_EQ(write(fds[1], "y", 1), 1);
        _exit(0);
    }
    CHECK_EQ(read(fds[0], &c, 1), 1);
    CHECK_EQ(c, 'y');
    CHECK_EQ(count, 2);
    check_wait(pid);
    /* never restarted, whatever the flag says */
    struct timespec t = {10, 0}, left;
    pid = poke(SIGUSR1);
    CHECK_ERRNO(nanosleep(&t, &left), EINTR);
    CHECK(left.tv_sec >= 8);
    check_wait(pid);
    pid = poke(SIGUSR1);
    CHECK_ERRNO(pause(), EINTR);
    check_wait(pid);
    /* an ignored signal interrupts nothing */
    CHECK(signal(SIGUSR2, SIG_IGN) != SIG_ERR);
    pid = poke(SIGUSR2);
    t = (struct timespec){0, 50000000};
    CHECK_OK(nanosleep(&t, NULL));
    check_wait(pid);
}

TEST(stop_and_continue_keep_a_sleep_going) {
    pid_t pid = check_fork();
    if (pid == 0) {
        long long start = check_now(CLOCK_MONOTONIC);
        struct timespec t = {0, 100000000};
        CHECK_OK(nanosleep(&t, NULL));
        CHECK(check_now(CLOCK_MONOTONIC) - start >= 100000000);
        _exit(0);
    }
    check_until_sleeping(pid);
    CHECK_OK(kill(pid, SIGSTOP));
    check_until_state(pid, "T");
    CHECK_OK(kill(pid, SIGCONT));
    check_wait(pid);
}

TEST(continue_discards_stops_and_the_reverse) {
    pid_t pid = check_fork();
    if (pid == 0) {
        sigset_t pending;
        block(SIGTSTP), block(SIGCONT);
        CHECK_OK(raise(SIGTSTP));
        CHECK_OK(sigpending(&pending));
        CHECK(sigismember(&pending, SIGTSTP));
        CHECK_OK(raise(SIGCONT));
        CHECK_OK(sigpending(&pending));
        CHECK(!sigismember(&pending, SIGTSTP));
        CHECK(sigismember(&pending, SIGCONT)); /* what is blocked is kept, though its default is to be ignored */
        CHECK_OK(raise(SIGTSTP));
        CHECK_OK(sigpending(&pending));
        CHECK(sigismember(&pending, SIGTSTP) && !sigismember(&pending, SIGCONT));
        _exit(0);
    }
    int status;
    CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
    CHECK_EQ(status, 0);
}

static pid_t main_tid;
static volatile pid_t handled_by;

static void on_which_thread(int sig) {
    (void)sig;
    handled_by = syscall(SYS_gettid);
}

static void *wait_for_it(void *arg) {
    sigset_t all = set_of(0);
    (void)arg;
    CHECK_ZERO(pthread_sigmask(SIG_SETMASK, &all, NULL));
    CHECK_EVENTUALLY(handled_by != 0);
    CHECK(handled_by != main_tid);
    return NULL;
}

TEST(a_process_signal_goes_to_a_thread_that_takes_it) {
    pthread_t thread;
    main_tid = getpid();
    CHECK(signal(SIGUSR1, on_which_thread) != SIG_ERR);
    block(SIGUSR1);
    CHECK_OK(kill(getpid(), SIGUSR1));
    CHECK_EQ(handled_by, 0);
    CHECK_ZERO(pthread_create(&thread, NULL, wait_for_it, NULL));
    CHECK_ZERO(pthread_join(thread, NULL));
}

TEST(permission_to_send) {
    check_need_root();
    pid_t root = check_fork();
    if (root == 0)
        for (;;)
            pause();
    pid_t pid = check_fork();
    if (pid == 0) {
        CHECK_OK(setresuid(1234, 1234, 1234));
        CHECK_ERRNO(kill(root, SIGTERM), EPERM);
        CHECK_ERRNO(kill(root, 0), EPERM);
        CHECK_OK(kill(root, SIGCONT)); /* within a session anyone may continue anyone */
        CHECK_OK(setsid());
        CHECK_ERRNO(kill(root, SIGCONT), EPERM);
        _exit(0);
    }
    check_wait(pid);
    CHECK_OK(kill(root, SIGKILL));
    check_killed(root, SIGKILL);
}
