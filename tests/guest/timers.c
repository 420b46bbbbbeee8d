/* Clocks and timers: clock_gettime(2), nanosleep(2), setitimer(2), POSIX timers, timerfd_create(2). */
#include "check.h"
#include <poll.h>
#include <sys/timerfd.h>
#include <sys/timex.h>
#include <sys/times.h>

#define MS 1000000LL

static volatile sig_atomic_t count;
static siginfo_t info;

static void on_signal(int sig, siginfo_t *i, void *context) {
    (void)sig, (void)context;
    info = *i;
    count++;
}

static void handle(int sig, int flags) {
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | flags};
    CHECK_OK(sigaction(sig, &action, NULL));
}

TEST(clocks_go_forward) {
    clockid_t clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID, CLOCK_MONOTONIC_RAW,
                          CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME, CLOCK_TAI};
    for (unsigned i = 0; i < sizeof clocks / sizeof *clocks; i++) {
        struct timespec t, raw, resolution;
        long long last = 0;
        for (int n = 0; n < 1000; n++) {
            CHECK_OK(clock_gettime(clocks[i], &t));
            CHECK(t.tv_nsec >= 0 && t.tv_nsec < 1000 * MS);
            CHECK(t.tv_sec * 1000 * MS + t.tv_nsec >= last);
            last = t.tv_sec * 1000 * MS + t.tv_nsec;
        }
        /* the call and the vDSO agree */
        CHECK_OK(syscall(SYS_clock_gettime, clocks[i], &raw));
        long long diff = raw.tv_sec * 1000 * MS + raw.tv_nsec - last;
        CHECK(diff >= (i == 5 || i == 6 ? 0 : -MS) && diff < 500 * MS);
        CHECK_OK(clock_getres(clocks[i], &resolution));
        CHECK(resolution.tv_sec == 0 && resolution.tv_nsec >= 1 && resolution.tv_nsec <= 10 * MS);
    }
    struct timespec t;
    CHECK_ERRNO(clock_gettime(77, &t), EINVAL);
    CHECK_ERRNO(clock_getres(77, &t), EINVAL);
    CHECK_ERRNO(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, 8), EFAULT);
    CHECK_OK(clock_getres(CLOCK_MONOTONIC, NULL));
    struct timeval tv;
    CHECK_OK(gettimeofday(&tv, NULL));
    CHECK(llabs(tv.tv_sec - time(NULL)) <= 1);
    CHECK(times(NULL) != -1);
}

TEST(cpu_clocks_count_work_not_sleep) {
    long long start = check_now(CLOCK_PROCESS_CPUTIME_ID);
    check_sleep_ms(30);
    CHECK(check_now(CLOCK_PROCESS_CPUTIME_ID) - start < 25 * MS);
    long long end = check_now(CLOCK_THREAD_CPUTIME_ID) + 20 * MS;
    while (check_now(CLOCK_THREAD_CPUTIME_ID) < end)
        ;
    CHECK(check_now(CLOCK_PROCESS_CPUTIME_ID) - start >= 19 * MS);
    clockid_t other;
    CHECK_ZERO(clock_getcpuclockid(getppid(), &other));
    check_now(other);
    CHECK_EQ(clock_getcpuclockid(99999999, &other), ESRCH);
}

TEST(nanosleep_and_its_errors) {
    struct timespec t = {0, 20 * MS}, left = {7, 7}, bad[] = {{0, 1000 * MS}, {0, -1}, {-1, 0}};
    long long start = check_now(CLOCK_MONOTONIC);
    CHECK_OK(nanosleep(&t, &left));
    CHECK(check_now(CLOCK_MONOTONIC) - start >= 20 * MS);
    CHECK_EQ(left.tv_sec, 7);
    for (int i = 0; i < 3; i++)
        CHECK_ERRNO(nanosleep(&bad[i], NULL), EINVAL);
    CHECK_ERRNO(syscall(SYS_nanosleep, 8, NULL), EFAULT);
    CHECK_EQ(clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &t, NULL), EINVAL);
    CHECK_EQ(clock_nanosleep(99, 0, &t, NULL), EINVAL);
    long long end = check_now(CLOCK_REALTIME) + 20 * MS;
    t = (struct timespec){end / (1000 * MS), end % (1000 * MS)};
    CHECK_ZERO(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &t, NULL));
    CHECK(check_now(CLOCK_REALTIME) >= end);
    t.tv_sec -= 100;
    CHECK_ZERO(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &t, NULL));
    /* interrupted: the rest is told, unless the time was absolute */
    handle(SIGALRM, SA_RESTART);
    struct itimerval timer = {{0, 0}, {0, 10000}};
    CHECK_OK(setitimer(ITIMER_REAL, &timer, NULL));
    t = (struct timespec){5, 0};
    CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, 0, &t, &left), EINTR);
    CHECK(left.tv_sec == 4);
}

TEST(itimer_real_fires_and_repeats) {
    handle(SIGALRM, 0);
    struct itimerval timer = {{0, 5000}, {0, 10000}}, old;
    CHECK_OK(setitimer(ITIMER_REAL, &timer, NULL));
    while (count < 3)
        pause();
    CHECK_EQ(info.si_code, SI_KERNEL);
    CHECK_OK(getitimer(ITIMER_REAL, &old));
    CHECK_EQ(old.it_interval.tv_usec, 5000);
    CHECK(old.it_value.tv_usec > 0 && old.it_value.tv_usec <= 5000);
    timer = (struct itimerval){{0, 0}, {0, 0}};
    CHECK_OK(setitimer(ITIMER_REAL, &timer, &old));
    CHECK_EQ(old.it_interval.tv_usec, 5000);
    CHECK_OK(getitimer(ITIMER_REAL, &old));
    CHECK_EQ(old.it_value.tv_usec, 0);
    timer.it_value.tv_usec = 1000000;
    CHECK_ERRNO(setitimer(ITIMER_REAL, &timer, NULL), EINVAL);
    CHECK_ERRNO(setitimer(3, &timer, NULL), EINVAL);
    CHECK_EQ(alarm(100), 0);
    CHECK_EQ(alarm(0), 100);
}

TEST(itimer_prof_and_virtual_count_cpu) {
    handle(SIGVTALRM, 0);
    handle(SIGPROF, 0);
    struct itimerval timer = {{0, 0}, {0, 20000}};
    CHECK_OK(setitimer(ITIMER_VIRTUAL, &timer, NULL));
    check_sleep_ms(40);
    CHECK_EQ(count, 0);
    while (count == 0)
        ;
    CHECK_EQ(info.si_signo, SIGVTALRM);
    CHECK_OK(setitimer(ITIMER_PROF, &timer, NULL));
    while (count == 1)
        ;
    CHECK_EQ(info.si_signo, SIGPROF);
}

TEST(posix_timers) {
    timer_t id;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value.sival_int = 1234};
    struct itimerspec spec = {{0, 0}, {0, 10 * MS}}, got;
    handle(SIGRTMIN, 0);
    CHECK_OK(timer_create(CLOCK_MONOTONIC, &event, &id));
    CHECK_OK(timer_settime(id, 0, &spec, NULL));
    while (count == 0)
        pause();
    CHECK_EQ(info.si_code, SI_TIMER);
    CHECK_EQ(info.si_value.sival_int, 1234);
    CHECK_EQ(info.si_overrun, 0);
    CHECK_OK(timer_gettime(id, &got));
    CHECK_EQ(got.it_value.tv_nsec, 0);
    /* what fires while blocked is one signal that tells how many were missed */
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    CHECK_OK(sigprocmask(SIG_BLOCK, &set, NULL));
    spec = (struct itimerspec){{0, 2 * MS}, {0, 2 * MS}};
    CHECK_OK(timer_settime(id, 0, &spec, NULL));
    check_sleep_ms(25);
    CHECK_EQ(sigwaitinfo(&set, &info), SIGRTMIN);
    CHECK(info.si_overrun >= 9);
    CHECK(timer_getoverrun(id) >= 9);
    spec.it_value.tv_nsec = 1000 * MS;
    CHECK_ERRNO(timer_settime(id, 0, &spec, NULL), EINVAL);
    CHECK_OK(timer_delete(id));
    CHECK_ERRNO(timer_delete(id), EINVAL);
    CHECK_ERRNO(syscall(SYS_timer_gettime, 999, &got), EINVAL);
    event.sigev_signo = 77;
    CHECK_ERRNO(timer_create(CLOCK_MONOTONIC, &event, &id), EINVAL);
    event.sigev_notify = 99;
    CHECK_ERRNO(timer_create(CLOCK_MONOTONIC, &event, &id), EINVAL);
    CHECK_ERRNO(timer_create(99, NULL, &id), EINVAL);
}

static void *nothing(void *arg) {
    sigset_t set;
    sigfillset(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    pause();
    return arg;
}

TEST(a_posix_timer_can_aim_at_a_thread) {
    pthread_t thread;
    CHECK_ZERO(pthread_create(&thread, NULL, nothing, NULL));
    timer_t id;
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1};
    event._sigev_un._tid = syscall(SYS_gettid);
    handle(SIGUSR1, 0);
    CHECK_OK(timer_create(CLOCK_REALTIME, &event, &id));
    long long end = check_now(CLOCK_REALTIME) + 10 * MS;
    struct itimerspec spec = {{0, 0}, {end / (1000 * MS), end % (1000 * MS)}};
    CHECK_OK(timer_settime(id, TIMER_ABSTIME, &spec, NULL));
    while (count == 0)
        pause();
    CHECK(check_now(CLOCK_REALTIME) >= end);
    event._sigev_un._tid = 1 << 29;
    CHECK_ERRNO(timer_create(CLOCK_REALTIME, &event, &id), EINVAL);
}

TEST(timerfd) {
    uint64_t n;
    int fd = CHECK_OK(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
    CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
    CHECK_ERRNO(read(fd, &n, sizeof n), EAGAIN);
    CHECK_ERRNO(read(fd, &n, 4), EINVAL);
    CHECK_ERRNO(write(fd, &n, 8), EINVAL);
    struct itimerspec spec = {{0, 5 * MS}, {0, 10 * MS}}, got;
    CHECK_OK(timerfd_settime(fd, 0, &spec, NULL));
    struct pollfd p = {fd, POLLIN, 0};
    CHECK_EQ(poll(&p, 1, 0), 0);
    CHECK_EQ(poll(&p, 1, 5000), 1);
    CHECK_EQ(p.revents, POLLIN);
    check_sleep_ms(20);
    CHECK_EQ(read(fd, &n, sizeof n), 8);
    CHECK(n >= 4);
    CHECK_OK(timerfd_gettime(fd, &got));
    CHECK_EQ(got.it_interval.tv_nsec, 5 * MS);
    CHECK(got.it_value.tv_nsec > 0 && got.it_value.tv_nsec <= 5 * MS);
    spec = (struct itimerspec){{0, 0}, {0, 0}};
    CHECK_OK(timerfd_settime(fd, 0, &spec, &got));
    CHECK_ERRNO(read(fd, &n, sizeof n), EAGAIN);
    CHECK_ERRNO(timerfd_settime(fd, 8, &spec, NULL), EINVAL);
    CHECK_ERRNO(timerfd_settime(0, 0, &spec, NULL), EINVAL);
    CHECK_ERRNO(timerfd_create(CLOCK_PROCESS_CPUTIME_ID, 0), EINVAL);
    CHECK_ERRNO(timerfd_create(CLOCK_MONOTONIC, 1), EINVAL);
    spec.it_value.tv_nsec = -1;
    CHECK_ERRNO(timerfd_settime(fd, 0, &spec, NULL), EINVAL);
    /* absolute and in the past: at once; setting anew forgets what was not read */
    spec = (struct itimerspec){{0, 0}, {0, 1}};
    CHECK_OK(timerfd_settime(fd, TFD_TIMER_ABSTIME, &spec, NULL));
    CHECK_EQ(poll(&p, 1, 1000), 1);
    spec.it_value.tv_sec = 1000;
    CHECK_OK(timerfd_settime(fd, 0, &spec, NULL));
    CHECK_EQ(poll(&p, 1, 0), 0);
}

TEST(adjtimex_reads_without_privilege) {
    struct timex t = {.modes = 0};
    int state = adjtimex(&t);
    CHECK(state >= TIME_OK && state <= TIME_ERROR);
    CHECK(llabs(t.time.tv_sec - time(NULL)) <= 1);
}
