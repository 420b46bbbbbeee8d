/* Memory used by many threads and processes at once: faults, copy-on-write and mappings that race. */
#include "check.h"

#define PAGE 4096L
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define THREADS 4

static char *map(long pages, int flags) {
    char *p = mmap(NULL, pages * PAGE, RW, MAP_ANONYMOUS | flags, -1, 0);
    CHECK(p != MAP_FAILED);
    return p;
}

static void run(void *(*body)(void *)) {
    pthread_t threads[THREADS];
    for (long i = 0; i < THREADS; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, body, (void *)i), 0);
    for (int i = 0; i < THREADS; i++) {
        void *failed;
        CHECK_EQ(pthread_join(threads[i], &failed), 0);
        CHECK(failed == NULL);
    }
}

#define SHARED_PAGES 200
static char *cow_memory;
static pthread_barrier_t barrier;

/* Each thread writes its own byte of every page, all at the same page at the same time. */
static void *write_own_bytes(void *arg) {
    long me = (long)arg;
    pthread_barrier_wait(&barrier);
    for (long page = 0; page < SHARED_PAGES; page++)
        cow_memory[page * PAGE + me * 8] = (char)(me + 1);
    pthread_barrier_wait(&barrier);
    for (long page = 0; page < SHARED_PAGES; page++)
        for (long i = 0; i < THREADS; i++)
            if (cow_memory[page * PAGE + i * 8] != i + 1 || cow_memory[page * PAGE + 4000] != 42)
                return arg ? arg : (void *)1;
    return NULL;
}

TEST(first_writes_by_many_threads_are_all_kept) {
    for (int round = 0; round < 5; round++) {
        cow_memory = map(SHARED_PAGES, MAP_PRIVATE);
        for (long page = 0; page < SHARED_PAGES; page++)
            cow_memory[page * PAGE + 4000] = 42;
        int gate[2];
        CHECK_OK(pipe(gate));
        pid_t pid = CHECK_OK(fork());
        if (pid == 0) {
            /* Keeps the pages shared until told, then sees none of the writes. */
            char byte;
            close(gate[1]);
            while (read(gate[0], &byte, 1) > 0)
                ;
            for (long page = 0; page < SHARED_PAGES; page++)
                for (long i = 0; i < THREADS; i++)
                    CHECK_EQ(cow_memory[page * PAGE + i * 8], 0);
            _exit(0);
        }
        close(gate[0]);
        pthread_barrier_init(&barrier, NULL, THREADS);
        run(write_own_bytes);
        close(gate[1]);
        int status;
        CHECK_OK(waitpid(pid, &status, 0));
        CHECK_EQ(status, 0);
        munmap(cow_memory, SHARED_PAGES * PAGE);
    }
}

static void *map_and_unmap(void *arg) {
    unsigned seed = (unsigned)(long)arg;
    for (int i = 0; i < 300; i++) {
        long pages = 1 + rand_r(&seed) % 40;
        char *p = mmap(NULL, pages * PAGE, RW, ANON, -1, 0);
        if (p == MAP_FAILED)
            return (void *)1;
        for (long page = 0; page < pages; page++) {
            if (p[page * PAGE] != 0)
                return (void *)2;
            p[page * PAGE] = (char)(i | 1);
        }
        long middle = rand_r(&seed) % pages;
        if (mprotect(p + middle * PAGE, PAGE, PROT_READ) != 0 || p[middle * PAGE] != (char)(i | 1))
            return (void *)3;
        if (madvise(p, pages * PAGE, MADV_DONTNEED) != 0 || p[0] != 0 || p[middle * PAGE] != 0)
            return (void *)4;
        if (munmap(p, pages * PAGE) != 0)
            return (void *)5;
    }
    return NULL;
}

TEST(threads_map_and_unmap_at_once) { run(map_and_unmap); }

static atomic_bool stop;
static void *keep_writing(void *arg) {
    (void)arg;
    volatile long *words = (long *)cow_memory;
    for (long n = 1; !stop; n++) {
        words[0] = n;
        words[PAGE / 8] = n;
        if (words[0] != n || words[PAGE / 8] != n)
            return (void *)1;
    }
    return NULL;
}

TEST(forks_take_snapshots_while_a_thread_writes) {
    cow_memory = map(2, MAP_PRIVATE);
    pthread_t writer;
    CHECK_EQ(pthread_create(&writer, NULL, keep_writing, NULL), 0);
    for (int i = 0; i < 30; i++) {
        pid_t pid = CHECK_OK(fork());
        if (pid == 0) {
            volatile long *words = (long *)cow_memory;
            long first = words[0], second = words[PAGE / 8];
            /* The copy is of one moment: the first word is written before the second. */
            _exit(first - second == 0 || first - second == 1 ? (words[0] == first ? 0 : 3) : 2);
        }
        int status;
        CHECK_OK(waitpid(pid, &status, 0));
        CHECK_EQ(status, 0);
    }
    stop = true;
    void *failed;
    CHECK_EQ(pthread_join(writer, &failed), 0);
    CHECK(failed == NULL);
}

TEST(shared_memory_is_one_for_all) {
    atomic_long *counter = (atomic_long *)map(1, MAP_SHARED);
    for (int i = 0; i < 4; i++)
        if (CHECK_OK(fork()) == 0) {
            for (int n = 0; n < 10000; n++)
                atomic_fetch_add(counter, 1);
            _exit(0);
        }
    while (wait(NULL) > 0)
        ;
    CHECK_EQ(*counter, 40000);
}

/* Calls read into pages that another thread takes away and brings back: they fail or succeed, nothing else. */
static char *target;
static void *flip(void *arg) {
    (void)arg;
    while (!stop) {
        mprotect(target, PAGE, PROT_NONE);
        mprotect(target, PAGE, RW);
        mmap(target + PAGE, PAGE, RW, ANON | MAP_FIXED, -1, 0);
        munmap(target + PAGE, PAGE);
    }
    return NULL;
}

TEST(calls_race_with_mappings) {
    target = map(2, MAP_PRIVATE);
    int zero = CHECK_OK(open("/dev/zero", O_RDONLY));
    pthread_t flipper;
    CHECK_EQ(pthread_create(&flipper, NULL, flip, NULL), 0);
    for (int i = 0; i < 2000; i++) {
        ssize_t n = read(zero, target, 2 * PAGE);
        CHECK(n >= 0 || errno == EFAULT);
    }
    stop = true;
    CHECK_EQ(pthread_join(flipper, NULL), 0);
}
