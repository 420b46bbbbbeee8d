/* Futexes with owners, and the younger futex calls: FUTEX_LOCK_PI and its kin, futex_waitv(2), futex_wake(2). */
#include "check.h"
#include <linux/futex.h>

#define WAITERS 0x80000000u
#define OWNER_DIED 0x40000000u

static unsigned word, word2;

static long futex(void *addr, int op, unsigned val, const void *timeout, void *addr2, unsigned val3) {
    return syscall(SYS_futex, addr, op, val, timeout, addr2, val3);
}

static unsigned tid(void) {
    return syscall(SYS_gettid);
}

TEST(an_uncontended_lock_names_its_owner) {
    CHECK_OK(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    CHECK_EQ(word, tid());
    CHECK_ERRNO(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0), EDEADLK);
    CHECK_OK(futex(&word, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    CHECK_EQ(word, 0);
    CHECK_ERRNO(futex(&word, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0), EPERM);
    word = 0x1fffffff; /* nobody */
    CHECK_ERRNO(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0), ESRCH);
    word = 0;
    CHECK_OK(futex(&word, FUTEX_TRYLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
}

static void *lock_and_add(void *arg) {
    for (int i = 0; i < 500; i++) {
        unsigned expected = 0;
        if (!atomic_compare_exchange_strong((_Atomic unsigned *)&word, &expected, tid()))
            CHECK_OK(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
        CHECK_EQ(word & 0x3fffffff, tid());
        ++*(volatile long *)arg;
        expected = tid();
        if (!atomic_compare_exchange_strong((_Atomic unsigned *)&word, &expected, 0))
            CHECK_OK(futex(&word, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    }
    return NULL;
}

TEST(contended_locks_are_handed_over) {
    pthread_t threads[4];
    long sum = 0;
    for (int i = 0; i < 4; i++)
        CHECK_ZERO(pthread_create(&threads[i], NULL, lock_and_add, &sum));
    for (int i = 0; i < 4; i++)
        CHECK_ZERO(pthread_join(threads[i], NULL));
    CHECK_EQ(sum, 2000);
    CHECK_EQ(word & 0x3fffffff, 0);
}

static void *try_it(void *arg) {
    struct timespec soon = {0, 0};
    long long end = check_now(CLOCK_REALTIME) + 10000000;
    soon = (struct timespec){end / 1000000000, end % 1000000000};
    (void)arg;
    CHECK_ERRNO(futex(&word, FUTEX_TRYLOCK_PI_PRIVATE, 0, NULL, NULL, 0), EAGAIN);
    CHECK_ERRNO(futex(&word, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0), EPERM);
    CHECK_ERRNO(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, &soon, NULL, 0), ETIMEDOUT);
    CHECK(check_now(CLOCK_REALTIME) >= end);
    CHECK(word & WAITERS);
    return NULL;
}

TEST(a_lock_that_stays_taken_times_out) {
    pthread_t thread;
    CHECK_OK(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    CHECK_ZERO(pthread_create(&thread, NULL, try_it, NULL));
    CHECK_ZERO(pthread_join(thread, NULL));
    CHECK_OK(futex(&word, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    CHECK_EQ(word, 0);
}

TEST(the_c_library_s_pi_mutex) {
    pthread_mutexattr_t attr;
    pthread_mutex_t *mutex = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK_ZERO(pthread_mutexattr_init(&attr));
    CHECK_ZERO(pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT));
    CHECK_ZERO(pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST));
    CHECK_ZERO(pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED));
    CHECK_ZERO(pthread_mutex_init(mutex, &attr));
    int fds[2];
    char c;
    CHECK_OK(pipe(fds));
    pid_t pid = check_fork();
    if (pid == 0) {
        CHECK_ZERO(pthread_mutex_lock(mutex));
        CHECK_EQ(write(fds[1], "x", 1), 1);
        check_until_sleeping(getppid());
        _exit(0); /* with the lock, while the parent waits for it */
    }
    CHECK_EQ(read(fds[0], &c, 1), 1);
    CHECK_EQ(pthread_mutex_lock(mutex), EOWNERDEAD);
    CHECK_ZERO(pthread_mutex_consistent(mutex));
    CHECK_ZERO(pthread_mutex_unlock(mutex));
    CHECK_ZERO(pthread_mutex_lock(mutex));
    CHECK_ZERO(pthread_mutex_unlock(mutex));
    check_wait(pid);
}

static atomic_int inside;

static void *wait_then_own(void *arg) {
    (void)arg;
    CHECK_OK(futex(&word, FUTEX_WAIT_REQUEUE_PI_PRIVATE, 0, NULL, &word2, 0));
    CHECK_EQ(word2 & 0x3fffffff, tid());
    CHECK_EQ(atomic_fetch_add(&inside, 1), 0);
    check_sleep_ms(1);
    CHECK_EQ(atomic_fetch_sub(&inside, 1), 1);
    CHECK_OK(futex(&word2, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    return NULL;
}

TEST(waiters_move_to_a_lock) {
    pthread_t threads[3];
    CHECK_ERRNO(futex(&word, FUTEX_CMP_REQUEUE_PI_PRIVATE, 2, (void *)1L, &word2, 0), EINVAL);
    CHECK_ERRNO(futex(&word, FUTEX_CMP_REQUEUE_PI_PRIVATE, 1, (void *)1L, &word2, 5), EAGAIN);
    for (int i = 0; i < 3; i++)
        CHECK_ZERO(pthread_create(&threads[i], NULL, wait_then_own, NULL));
    int moved = 0;
    CHECK_EVENTUALLY((moved += CHECK_OK(futex(&word, FUTEX_CMP_REQUEUE_PI_PRIVATE, 1, (void *)10L, &word2, 0))) == 3);
    for (int i = 0; i < 3; i++)
        CHECK_ZERO(pthread_join(threads[i], NULL));
    CHECK_EQ(word2 & 0x3fffffff, 0);
}

struct waitv {
    uint64_t val, addr;
    uint32_t flags, reserved;
};

static void *wake_second(void *arg) {
    (void)arg;
    CHECK_EVENTUALLY(CHECK_OK(futex(&word2, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0)) == 1);
    return NULL;
}

TEST(waitv_tells_which) {
    struct waitv list[2] = {{0, (uintptr_t)&word, 0x82, 0}, {0, (uintptr_t)&word2, 0x82, 0}};
    if (syscall(449, list, 0, 0, NULL, 0) == -1 && errno == ENOSYS)
        check_skip("no futex_waitv");
    CHECK_ERRNO(syscall(449, list, 0, 0, NULL, 0), EINVAL);
    CHECK_ERRNO(syscall(449, list, 2, 1, NULL, 0), EINVAL);
    list[1].val = 1;
    CHECK_ERRNO(syscall(449, list, 2, 0, NULL, 0), EAGAIN);
    list[1].val = 0;
    struct timespec past = {0, 0};
    CHECK_ERRNO(syscall(449, list, 2, 0, &past, CLOCK_MONOTONIC), ETIMEDOUT);
    pthread_t thread;
    CHECK_ZERO(pthread_create(&thread, NULL, wake_second, NULL));
    CHECK_EQ(syscall(449, list, 2, 0, NULL, 0), 1);
    CHECK_ZERO(pthread_join(thread, NULL));
    /* nothing is left behind on the other word */
    CHECK_EQ(futex(&word, FUTEX_WAKE_PRIVATE, 8, NULL, NULL, 0), 0);
}
