/* Many signals at once: none is lost, none comes twice, nothing they interrupt is hurt; frames that nobody made. */
#include "check.h"
#include <sys/signalfd.h>
#include <ucontext.h>

#define THREADS 4
#define ROUNDS 200

static pid_t tids[THREADS];
static atomic_int received[THREADS], ready, finished;
static _Thread_local int me;

static void on_rt(int sig, siginfo_t *info, void *context) {
    (void)sig, (void)info, (void)context;
    atomic_fetch_add(&received[me], 1);
}

static void *storm(void *arg) {
    me = (long)arg;
    tids[me] = syscall(SYS_gettid);
    atomic_fetch_add(&ready, 1);
    while (ready < THREADS)
        sched_yield();
    union sigval value = {.sival_int = me};
    for (int i = 0; i < ROUNDS; i++)
        for (int to = 0; to < THREADS; to++) {
            siginfo_t info = {.si_signo = SIGRTMIN, .si_code = SI_QUEUE, .si_value = value};
            while (syscall(SYS_rt_tgsigqueueinfo, getpid(), tids[to], SIGRTMIN, &info) == -1)
                CHECK_EQ(errno, EAGAIN);
        }
    atomic_fetch_add(&finished, 1);
    while (finished < THREADS || received[me] < THREADS * ROUNDS)
        sched_yield();
    return NULL;
}

TEST(realtime_signals_between_threads_all_arrive) {
    pthread_t threads[THREADS];
    struct sigaction action = {.sa_sigaction = on_rt, .sa_flags = SA_SIGINFO | SA_RESTART};
    CHECK_OK(sigaction(SIGRTMIN, &action, NULL));
    for (long i = 0; i < THREADS; i++)
        CHECK_ZERO(pthread_create(&threads[i], NULL, storm, (void *)i));
    for (int i = 0; i < THREADS; i++) {
        CHECK_ZERO(pthread_join(threads[i], NULL));
        CHECK_EQ(received[i], THREADS * ROUNDS);
    }
}

static volatile sig_atomic_t ticks;

static void on_tick(int sig) {
    (void)sig;
    ticks++;
    __asm__ volatile("pxor %%xmm0, %%xmm0; pxor %%xmm1, %%xmm1; pxor %%xmm2, %%xmm2" ::: "xmm0", "xmm1", "xmm2");
}

TEST(a_fast_timer_hurts_no_computation) {
    struct sigaction action = {.sa_handler = on_tick, .sa_flags = SA_RESTART};
    struct itimerval timer = {{0, 500}, {0, 500}};
    CHECK_OK(sigaction(SIGALRM, &action, NULL));
    CHECK_OK(setitimer(ITIMER_REAL, &timer, NULL));
    int fds[2];
    CHECK_OK(pipe(fds));
    double sum = 0, want = 0;
    long n = 0;
    while (ticks < 200) {
        char c = n;
        CHECK_EQ(write(fds[1], &c, 1), 1);
        for (int i = 1; i < 300; i++)
            sum += 1.0 / i;
        if (n++ == 0)
            want = sum;
        CHECK_EQ(read(fds[0], &c, 1), 1);
        CHECK_EQ(c, (char)(n - 1));
    }
    timer = (struct itimerval){{0, 0}, {0, 0}};
    CHECK_OK(setitimer(ITIMER_REAL, &timer, NULL));
    double expected = 0;
    for (long i = 0; i < n; i++)
        for (int j = 1; j < 300; j++)
            expected += 1.0 / j;
    CHECK(sum == expected && want > 0);
}

static void *spin_and_sleep(void *arg) {
    volatile long *count = arg;
    for (;;) {
        ++*count;
        struct timespec t = {0, 100000};
        if (*count % 3 == 0)
            nanosleep(&t, NULL);
    }
    return NULL;
}

TEST(stops_and_continues_of_many_threads) {
    pid_t pid = check_fork();
    if (pid == 0) {
        static volatile long counts[THREADS];
        pthread_t thread;
        for (int i = 0; i < THREADS - 1; i++)
            CHECK_ZERO(pthread_create(&thread, NULL, spin_and_sleep, (void *)&counts[i]));
        spin_and_sleep((void *)&counts[THREADS - 1]);
    }
    int status;
    for (int i = 0; i < 50; i++) {
        CHECK_OK(kill(pid, SIGSTOP));
        CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
        CHECK_EQ(status, SIGSTOP << 8 | 0x7f);
        CHECK_OK(kill(pid, SIGCONT));
        CHECK_EQ(waitpid(pid, &status, WCONTINUED), pid);
        CHECK_EQ(status, 0xffff);
    }
    CHECK_OK(kill(pid, SIGSTOP));
    CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
    CHECK_OK(kill(pid, SIGKILL));
    check_killed(pid, SIGKILL);
}

static atomic_int taken;

static void *take_some(void *arg) {
    sigset_t *set = arg;
    siginfo_t info;
    for (;;) {
        struct timespec t = {0, 50000000};
        int sig = sigtimedwait(set, &info, &t);
        if (sig > 0)
            atomic_fetch_add(&taken, 1);
        else if (errno == EAGAIN && finished)
            return NULL;
    }
}

TEST(several_threads_wait_for_the_same_signal) {
    sigset_t set;
    pthread_t threads[3];
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 1);
    CHECK_ZERO(pthread_sigmask(SIG_BLOCK, &set, NULL));
    for (int i = 0; i < 3; i++)
        CHECK_ZERO(pthread_create(&threads[i], NULL, take_some, &set));
    for (int i = 0; i < 500; i++)
        while (sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = i}) == -1)
            CHECK_EQ(errno, EAGAIN);
    CHECK_EVENTUALLY(taken == 500);
    finished = 1;
    for (int i = 0; i < 3; i++)
        CHECK_ZERO(pthread_join(threads[i], NULL));
    CHECK_EQ(taken, 500);
}

TEST(signalfd_reads_its_own_process_after_fork) {
    sigset_t set;
    struct signalfd_siginfo info;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    CHECK_OK(sigprocmask(SIG_BLOCK, &set, NULL));
    int fd = CHECK_OK(signalfd(-1, &set, 0));
    pid_t pid = check_fork();
    if (pid == 0) {
        CHECK_EQ(read(fd, &info, sizeof info), (long)sizeof info);
        CHECK_EQ(info.ssi_pid, (unsigned)getppid());
        CHECK_EQ(info.ssi_signo, SIGUSR1);
        _exit(0);
    }
    check_until_sleeping(pid);
    CHECK_OK(kill(pid, SIGUSR1));
    check_wait(pid);
    CHECK_OK(fcntl(fd, F_SETFL, O_NONBLOCK));
    CHECK_ERRNO(read(fd, &info, sizeof info), EAGAIN);
}

TEST(pidfd_send_signal) {
    pid_t pid = check_fork();
    if (pid == 0)
        for (;;)
            pause();
    int fd = CHECK_OK(syscall(SYS_pidfd_open, pid, 0));
    CHECK_OK(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0));
    CHECK_ERRNO(syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 64), EINVAL);
    CHECK_ERRNO(syscall(SYS_pidfd_send_signal, 0, SIGTERM, NULL, 0), EBADF);
    siginfo_t info = {.si_signo = SIGUSR1, .si_code = SI_QUEUE};
    CHECK_ERRNO(syscall(SYS_pidfd_send_signal, fd, SIGTERM, &info, 0), EINVAL);
    CHECK_OK(syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0));
    check_killed(pid, SIGTERM);
    CHECK_ERRNO(syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0), ESRCH);
}

/* Frames of noise: the process may die of them in any way, but it dies, or goes on, alone. */
TEST(forged_frames_end_only_their_maker) {
    unsigned seed = 12345;
    for (int round = 0; round < 60; round++) {
        seed = seed * 1103515245 + 12345;
        pid_t pid = check_fork();
        if (pid == 0) {
            struct rlimit none = {0, 0};
            setrlimit(RLIMIT_CORE, &none);
            alarm(5);
            static unsigned char area[16384] __attribute__((aligned(64)));
            unsigned state = seed;
            for (unsigned i = 0; i < sizeof area; i++) {
                state = state * 1664525 + 1013904223;
                area[i] = round % 3 == 0 ? state >> 24 : 0;
            }
            /* some with a pointer to an image that claims to be of any length */
            unsigned long image = (unsigned long)area + 8192;
            memcpy(area + 4096 + 40 + 184, &image, sizeof image);
            unsigned magic[] = {0x46505853, round % 2 ? 0xffffffff : 832 + 4, 7, 0, round % 2 ? 0xfffffff0 : 832};
            memcpy(area + 8192 + 464, magic, sizeof magic);
            if (round % 4 == 1)
                memset(area + 8192 + 24, 0xff, 4);
            __asm__ volatile("mov %0, %%rsp\n mov $15, %%eax\n syscall" ::"r"(area + 4096) : "rax", "memory");
            _exit(0);
        }
        int status = check_status(pid);
        CHECK(WIFSIGNALED(status));
        CHECK(WTERMSIG(status) != SIGALRM);
    }
}
