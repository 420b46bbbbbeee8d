/* futex(2): waiting and waking, requeuing, bit sets, timeouts, operations, robust lists, across processes. */
#include "check.h"
#include <linux/futex.h>

static long futex(void *addr, int op, unsigned val, const void *timeout, void *addr2, unsigned val3) {
    return syscall(SYS_futex, addr, op, val, timeout, addr2, val3);
}

static unsigned word, word2;
static atomic_int woken;

static void *wait_on_word(void *arg) {
    (void)arg;
    CHECK_OK(futex(&word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0));
    atomic_fetch_add(&woken, 1);
    return NULL;
}

static pthread_t threads[8];

static void start_waiters(int n, void *(*run)(void *)) {
    for (long i = 0; i < n; i++)
        CHECK_ZERO(pthread_create(&threads[i], NULL, run, (void *)i));
}

/* Wakes until n were woken in all, as waiters may not have come to sleep yet. */
static void wake_all(void *addr, int op, int n) {
    int got = 0;
    CHECK_EVENTUALLY((got += CHECK_OK(futex(addr, op, n - got, NULL, NULL, 0))) == n);
}

static void join(int n) {
    for (int i = 0; i < n; i++)
        CHECK_ZERO(pthread_join(threads[i], NULL));
}

TEST(wait_checks_the_value) {
    struct timespec bad = {0, 1000000000}, negative = {-1, 0};
    word = 1;
    CHECK_ERRNO(futex(&word, FUTEX_WAIT, 0, NULL, NULL, 0), EAGAIN);
    CHECK_ERRNO(futex(&word, FUTEX_WAIT, 1, &bad, NULL, 0), EINVAL);
    CHECK_ERRNO(futex(&word, FUTEX_WAIT, 1, &negative, NULL, 0), EINVAL);
    CHECK_ERRNO(futex((char *)&word + 1, FUTEX_WAIT, 1, NULL, NULL, 0), EINVAL);
    CHECK_ERRNO(futex((void *)8, FUTEX_WAIT, 1, NULL, NULL, 0), EFAULT);
    CHECK_ERRNO(futex((void *)-4096L, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0), EFAULT);
    CHECK_ERRNO(futex(&word, 99, 1, NULL, NULL, 0), ENOSYS);
    CHECK_ERRNO(futex(&word, FUTEX_WAIT_BITSET, 1, NULL, NULL, 0), EINVAL);
    CHECK_ERRNO(futex(&word, FUTEX_WAKE_BITSET, 1, NULL, NULL, 0), EINVAL);
    CHECK_ERRNO(futex(&word, FUTEX_WAKE | FUTEX_CLOCK_REALTIME, 1, NULL, NULL, 0), ENOSYS);
    CHECK_EQ(futex(&word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0), 0);
}

TEST(timeouts) {
    struct timespec t = {0, 20000000};
    long long start = check_now(CLOCK_MONOTONIC);
    CHECK_ERRNO(futex(&word, FUTEX_WAIT, 0, &t, NULL, 0), ETIMEDOUT);
    CHECK(check_now(CLOCK_MONOTONIC) - start >= 20000000);
    /* WAIT_BITSET's is absolute, on either clock */
    long long end = check_now(CLOCK_MONOTONIC) + 20000000;
    t = (struct timespec){end / 1000000000, end % 1000000000};
    CHECK_ERRNO(futex(&word, FUTEX_WAIT_BITSET, 0, &t, NULL, FUTEX_BITSET_MATCH_ANY), ETIMEDOUT);
    CHECK(check_now(CLOCK_MONOTONIC) >= end);
    end = check_now(CLOCK_REALTIME) + 20000000;
    t = (struct timespec){end / 1000000000, end % 1000000000};
    CHECK_ERRNO(futex(&word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, &t, NULL, 1), ETIMEDOUT);
    CHECK(check_now(CLOCK_REALTIME) >= end);
    t = (struct timespec){0, 0};
    CHECK_ERRNO(futex(&word, FUTEX_WAIT_BITSET, 0, &t, NULL, 1), ETIMEDOUT);
}

TEST(wake_counts) {
    start_waiters(5, wait_on_word);
    wake_all(&word, FUTEX_WAKE_PRIVATE, 5);
    join(5);
    CHECK_EQ(woken, 5);
    CHECK_EQ(futex(&word, FUTEX_WAKE_PRIVATE, 5, NULL, NULL, 0), 0);
}

static void *wait_with_bit(void *arg) {
    CHECK_OK(futex(&word, FUTEX_WAIT_BITSET_PRIVATE, 0, NULL, NULL, 1u << (long)arg));
    atomic_fetch_or(&woken, 1 << (long)arg);
    return NULL;
}

TEST(bitsets_choose) {
    start_waiters(3, wait_with_bit);
    CHECK_EVENTUALLY(CHECK_OK(futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 8, NULL, NULL, 2)) == 1);
    CHECK_EVENTUALLY(woken == 2);
    CHECK_EQ(futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 8, NULL, NULL, 8), 0);
    wake_all(&word, FUTEX_WAKE_PRIVATE, 2);
    join(3);
    CHECK_EQ(woken, 7);
}

TEST(requeue_moves_waiters) {
    CHECK_ERRNO(futex(&word, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)5L, &word2, 77), EAGAIN);
    CHECK_ERRNO(futex(&word, FUTEX_REQUEUE_PRIVATE, -1, (void *)5L, &word2, 0), EINVAL);
    start_waiters(4, wait_on_word);
    int touched = 0;
    /* moved one by one until all four are over there */
    CHECK_EVENTUALLY((touched += CHECK_OK(futex(&word, FUTEX_CMP_REQUEUE_PRIVATE, 0, (void *)4L, &word2, 0))) == 4);
    CHECK_EQ(futex(&word, FUTEX_WAKE_PRIVATE, 8, NULL, NULL, 0), 0);
    CHECK_EQ(futex(&word2, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), 1);
    CHECK_EQ(futex(&word2, FUTEX_WAKE_PRIVATE, 8, NULL, NULL, 0), 3);
    join(4);
}

TEST(wake_op_changes_and_compares) {
    word2 = 5;
    /* word2 += 3; old value > 4 holds, so waiters of word2 would be woken too */
    CHECK_EQ(futex(&word, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1L, &word2, FUTEX_OP(FUTEX_OP_ADD, 3, FUTEX_OP_CMP_GT, 4)), 0);
    CHECK_EQ(word2, 8);
    CHECK_EQ(futex(&word, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1L, &word2, FUTEX_OP(FUTEX_OP_SET, 1, FUTEX_OP_CMP_EQ, 0)), 0);
    CHECK_EQ(futex(&word, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1L, &word2, FUTEX_OP(FUTEX_OP_OR, 6, FUTEX_OP_CMP_EQ, 0)), 0);
    CHECK_EQ(futex(&word, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1L, &word2, FUTEX_OP(FUTEX_OP_ANDN, 2, FUTEX_OP_CMP_EQ, 0)), 0);
    CHECK_EQ(word2, 5);
    CHECK_EQ(futex(&word, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1L, &word2,
                   FUTEX_OP((FUTEX_OP_XOR | FUTEX_OP_OPARG_SHIFT), 3, FUTEX_OP_CMP_EQ, 0)), 0);
    CHECK_EQ(word2, 13);
    start_waiters(1, wait_on_word);
    CHECK_EVENTUALLY(CHECK_OK(futex(&word2, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1L, &word,
                                    FUTEX_OP(FUTEX_OP_ADD, 0, FUTEX_OP_CMP_EQ, 0))) == 1);
    join(1);
}

TEST(shared_between_processes) {
    unsigned *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pid = check_fork();
    if (pid == 0) {
        CHECK_OK(futex(shared, FUTEX_WAIT, 0, NULL, NULL, 0));
        _exit(0);
    }
    check_until_sleeping(pid);
    /* a private wake does not reach it */
    CHECK_EQ(futex(shared, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), 0);
    CHECK_EVENTUALLY(CHECK_OK(futex(shared, FUTEX_WAKE, 1, NULL, NULL, 0)) == 1);
    check_wait(pid);
    /* the same file at two addresses is the same futex */
    check_scratch();
    int fd = CHECK_OK(open("f", O_RDWR | O_CREAT, 0600));
    CHECK_OK(ftruncate(fd, 4096));
    unsigned *a = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    unsigned *b = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    pid = check_fork();
    if (pid == 0) {
        CHECK_OK(futex(a, FUTEX_WAIT, 0, NULL, NULL, 0));
        _exit(0);
    }
    CHECK_EVENTUALLY(CHECK_OK(futex(b, FUTEX_WAKE, 1, NULL, NULL, 0)) == 1);
    check_wait(pid);
}

static void on_alarm(int sig) {
    (void)sig;
}

TEST(signals_interrupt_or_restart) {
    struct sigaction action = {.sa_handler = on_alarm};
    struct itimerval timer = {{0, 0}, {0, 10000}};
    struct timespec t = {0, 100000000};
    CHECK_OK(sigaction(SIGALRM, &action, NULL));
    CHECK_OK(setitimer(ITIMER_REAL, &timer, NULL));
    CHECK_ERRNO(futex(&word, FUTEX_WAIT, 0, NULL, NULL, 0), EINTR);
    /* with a timeout and SA_RESTART it goes on for what is left */
    action.sa_flags = SA_RESTART;
    CHECK_OK(sigaction(SIGALRM, &action, NULL));
    CHECK_OK(setitimer(ITIMER_REAL, &timer, NULL));
    long long start = check_now(CLOCK_MONOTONIC);
    CHECK_ERRNO(futex(&word, FUTEX_WAIT, 0, &t, NULL, 0), EINTR);
    CHECK(check_now(CLOCK_MONOTONIC) - start < 90000000);
}

static int nothing(void *arg) {
    (void)arg;
    check_sleep_ms(5);
    return 0;
}

TEST(exit_clears_the_tid_and_wakes) {
    static int tid = 1;
    static char stack[65536] __attribute__((aligned(16)));
    int flags = CLONE_VM | CLONE_CHILD_CLEARTID | SIGCHLD;
    pid_t pid = CHECK_OK(clone(nothing, stack + sizeof stack, flags, NULL, NULL, NULL, &tid));
    while (*(volatile int *)&tid == 1)
        if (futex(&tid, FUTEX_WAIT, 1, NULL, NULL, 0) == -1)
            CHECK_EQ(errno, EAGAIN);
    check_wait(pid);
    CHECK_EQ(tid, 0);
}

static struct {
    struct robust_list node;
    unsigned futex;
} lock_a, lock_b;

static void *die_with_locks(void *arg) {
    static struct robust_list_head head;
    (void)arg;
    head.list.next = &lock_a.node;
    lock_a.node.next = &head.list;
    head.futex_offset = sizeof(struct robust_list);
    head.list_op_pending = &lock_b.node;
    lock_a.futex = lock_b.futex = syscall(SYS_gettid);
    lock_b.futex |= FUTEX_WAITERS;
    CHECK_OK(syscall(SYS_set_robust_list, &head, sizeof head));
    syscall(SYS_exit, 0);
    return NULL;
}

TEST(robust_lists_are_walked_at_exit) {
    pthread_t thread;
    CHECK_ERRNO(syscall(SYS_set_robust_list, NULL, 7), EINVAL);
    CHECK_ZERO(pthread_create(&thread, NULL, die_with_locks, NULL));
    CHECK_EVENTUALLY(*(volatile unsigned *)&lock_b.futex == (FUTEX_OWNER_DIED | FUTEX_WAITERS));
    CHECK_EQ(lock_a.futex, FUTEX_OWNER_DIED);
    /* the C library on top of it */
    pthread_mutexattr_t attr;
    pthread_mutex_t *mutex = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK_ZERO(pthread_mutexattr_init(&attr));
    CHECK_ZERO(pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST));
    CHECK_ZERO(pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED));
    CHECK_ZERO(pthread_mutex_init(mutex, &attr));
    pid_t pid = check_fork();
    if (pid == 0) {
        CHECK_ZERO(pthread_mutex_lock(mutex));
        _exit(0);
    }
    check_wait(pid);
    CHECK_EQ(pthread_mutex_lock(mutex), EOWNERDEAD);
}
