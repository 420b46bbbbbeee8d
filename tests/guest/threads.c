/* Threads: TLS, ids, exit in every order, what is shared and what is each thread's own, exec among threads. */
#include "check.h"
#include <asm/prctl.h>

static __thread int tls_value = 5;
static __thread char tls_zero[1000];

static void *use_tls(void *arg) {
    long me = (long)arg;
    CHECK_EQ(tls_value, 5);
    for (int i = 0; i < 1000; i++)
        CHECK_EQ(tls_zero[i], 0);
    tls_value = me;
    memset(tls_zero, me, sizeof tls_zero);
    for (int i = 0; i < 200; i++) {
        sched_yield();
        CHECK_EQ(tls_value, me);
        CHECK_EQ(tls_zero[i], (char)me);
    }
    return (void *)(me * 2);
}

TEST(each_thread_has_its_own_tls) {
    pthread_t threads[20];
    for (long i = 0; i < 20; i++)
        CHECK_ZERO(pthread_create(&threads[i], NULL, use_tls, (void *)(i + 10)));
    for (long i = 0; i < 20; i++) {
        void *result;
        CHECK_ZERO(pthread_join(threads[i], &result));
        CHECK_EQ((long)result, (i + 10) * 2);
    }
    CHECK_EQ(tls_value, 5);
}

TEST(arch_prctl_bases) {
    unsigned long fs, gs = 77;
    CHECK_OK(syscall(SYS_arch_prctl, ARCH_GET_FS, &fs));
    CHECK_EQ(fs, (unsigned long)pthread_self());
    static unsigned long words[2] = {0x1234, 0x5678};
    CHECK_OK(syscall(SYS_arch_prctl, ARCH_SET_GS, words));
    CHECK_OK(syscall(SYS_arch_prctl, ARCH_GET_GS, &gs));
    CHECK_EQ(gs, (unsigned long)words);
    unsigned long got;
    __asm__ volatile("mov %%gs:8, %0" : "=r"(got));
    CHECK_EQ(got, 0x5678);
    CHECK_ERRNO(syscall(SYS_arch_prctl, ARCH_SET_GS, 1UL << 47), EPERM);
    CHECK_ERRNO(syscall(SYS_arch_prctl, ARCH_GET_FS, 8), EFAULT);
    CHECK_ERRNO(syscall(SYS_arch_prctl, 0x9999, 0), EINVAL);
    /* survives a switch to others */
    pid_t pid = check_fork();
    if (pid == 0) {
        __asm__ volatile("mov %%gs:0, %0" : "=r"(got));
        CHECK_EQ(got, 0x1234);
        _exit(0);
    }
    check_wait(pid);
    usleep(1000);
    __asm__ volatile("mov %%gs:0, %0" : "=r"(got));
    CHECK_EQ(got, 0x1234);
}

static pid_t other_tid;

static void *tell_ids(void *arg) {
    (void)arg;
    other_tid = syscall(SYS_gettid);
    CHECK(other_tid != getpid());
    CHECK_OK(prctl(PR_SET_NAME, "other thread with a long name"));
    return NULL;
}

TEST(ids_and_names) {
    pthread_t thread;
    char name[16];
    CHECK_OK(prctl(PR_SET_NAME, "main"));
    CHECK_ZERO(pthread_create(&thread, NULL, tell_ids, NULL));
    CHECK_ZERO(pthread_join(thread, NULL));
    CHECK_OK(prctl(PR_GET_NAME, name));
    CHECK_STR(name, "main");
    CHECK_EVENTUALLY(syscall(SYS_tgkill, getpid(), other_tid, 0) == -1 && errno == ESRCH);
    CHECK_ERRNO(syscall(SYS_tgkill, getpid(), -1, 0), EINVAL);
    CHECK_ERRNO(syscall(SYS_tgkill, 0, getpid(), 0), EINVAL);
    CHECK_OK(syscall(SYS_tgkill, getpid(), getpid(), 0));
}

static void *change_shared(void *arg) {
    (void)arg;
    CHECK_OK(chdir("/"));
    umask(077);
    CHECK_OK(close(0));
    CHECK(signal(SIGUSR1, SIG_IGN) != SIG_ERR);
    sigset_t set;
    sigfillset(&set);
    CHECK_ZERO(pthread_sigmask(SIG_BLOCK, &set, NULL));
    return NULL;
}

TEST(what_threads_share) {
    pthread_t thread;
    char path[100];
    sigset_t set;
    CHECK_ZERO(pthread_create(&thread, NULL, change_shared, NULL));
    CHECK_ZERO(pthread_join(thread, NULL));
    CHECK(getcwd(path, sizeof path) != NULL);
    CHECK_STR(path, "/");
    CHECK_EQ(umask(0), 077);
    CHECK_ERRNO(fcntl(0, F_GETFD), EBADF);
    CHECK(signal(SIGUSR1, SIG_DFL) == SIG_IGN);
    CHECK_ZERO(pthread_sigmask(SIG_BLOCK, NULL, &set));
    CHECK(!sigismember(&set, SIGUSR1));
}

static void *exit_process(void *arg) {
    (void)arg;
    _exit(42);
}

static void *sleep_for_ever(void *arg) {
    for (;;)
        pause();
    return arg;
}

TEST(exit_group_takes_all_threads) {
    pid_t pid = check_fork();
    if (pid == 0) {
        pthread_t thread;
        for (int i = 0; i < 5; i++)
            CHECK_ZERO(pthread_create(&thread, NULL, sleep_for_ever, NULL));
        CHECK_ZERO(pthread_create(&thread, NULL, exit_process, NULL));
        sleep_for_ever(NULL);
    }
    CHECK_EQ(WEXITSTATUS(check_status(pid)), 42);
}

static void *outlive_leader(void *arg) {
    pid_t leader = getpid();
    (void)arg;
    /* the leader is a zombie, yet the process lives */
    CHECK_EVENTUALLY(check_state(leader) == 'Z');
    CHECK_OK(kill(leader, 0));
    CHECK_EQ(getpid(), leader);
    _exit(17);
}

TEST(a_process_outlives_its_leader) {
    pid_t pid = check_fork();
    if (pid == 0) {
        pthread_t thread;
        CHECK_ZERO(pthread_create(&thread, NULL, outlive_leader, NULL));
        syscall(SYS_exit, 5);
    }
    CHECK_EQ(WEXITSTATUS(check_status(pid)), 17);
}

static void *die_by_signal(void *arg) {
    (void)arg;
    CHECK_OK(syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGTERM));
    return NULL;
}

TEST(a_signal_to_one_thread_kills_all) {
    pid_t pid = check_fork();
    if (pid == 0) {
        pthread_t thread;
        CHECK_ZERO(pthread_create(&thread, NULL, die_by_signal, NULL));
        sleep_for_ever(NULL);
    }
    check_killed(pid, SIGTERM);
}

int check_helper(int argc, char **argv) {
    CHECK_EQ(argc, 3);
    /* only one thread is left, and it has become the leader */
    CHECK_EQ(getpid(), syscall(SYS_gettid));
    CHECK_EQ(getpid(), atoi(argv[2]));
    CHECK_EQ(CHECK_OK(open("/proc/self/task", O_RDONLY | O_DIRECTORY)) >= 0, 1);
    return 23;
}

static void *exec_from_thread(void *arg) {
    char pid[20];
    (void)arg;
    snprintf(pid, sizeof pid, "%d", getpid());
    execl("/proc/self/exe", "threads", "@exec", pid, NULL);
    _exit(1);
}

TEST(exec_from_a_thread_takes_over_the_pid) {
    pid_t pid = check_fork();
    if (pid == 0) {
        pthread_t thread;
        for (int i = 0; i < 3; i++)
            CHECK_ZERO(pthread_create(&thread, NULL, sleep_for_ever, NULL));
        CHECK_ZERO(pthread_create(&thread, NULL, exec_from_thread, NULL));
        sleep_for_ever(NULL);
    }
    CHECK_EQ(WEXITSTATUS(check_status(pid)), 23);
}

static void *fork_from_thread(void *arg) {
    (void)arg;
    pid_t pid = check_fork();
    if (pid == 0) {
        CHECK_EQ(getpid(), syscall(SYS_gettid));
        char path[64];
        snprintf(path, sizeof path, "/proc/self/task/%d", getpid());
        CHECK_OK(access(path, F_OK));
        _exit(0);
    }
    return (void *)(long)pid;
}

TEST(children_belong_to_the_process) {
    pthread_t thread;
    void *pid;
    CHECK_ZERO(pthread_create(&thread, NULL, fork_from_thread, NULL));
    CHECK_ZERO(pthread_join(thread, &pid));
    check_wait((pid_t)(long)pid);
}

static atomic_int total;

static void *short_life(void *arg) {
    atomic_fetch_add(&total, 1);
    return arg;
}

TEST(hundreds_of_short_threads) {
    for (int round = 0; round < 20; round++) {
        pthread_t threads[20];
        for (int i = 0; i < 20; i++)
            CHECK_ZERO(pthread_create(&threads[i], NULL, short_life, NULL));
        for (int i = 0; i < 20; i++)
            CHECK_ZERO(pthread_join(threads[i], NULL));
    }
    CHECK_EQ(total, 400);
}
