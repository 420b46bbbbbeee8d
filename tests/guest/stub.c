/* What an application may notice of how its code is run: nothing. Other gates into the kernel, the top of the address space,
 * the widest registers, and many of everything. */
#include "check.h"

#include <cpuid.h>
#include <setjmp.h>

#define TOP 0x7fffffffb000UL
#define TOP_END 0x7ffffffff000UL

static sigjmp_buf back;

static void jump_back(int sig) {
    siglongjmp(back, sig);
}

TEST(other_gates_answer_or_refuse) {
    signal(SIGSEGV, jump_back);
    if (sigsetjmp(back, 1) == 0) {
        long rax = 20, rbx = 0x1122334455667788, r12 = 0x99;
        register long kept __asm__("r12") = r12;
        __asm__ volatile("int $0x80" : "+a"(rax), "+b"(rbx), "+r"(kept)::"r8", "r9", "r10", "r11", "memory");
        CHECK((int)rax == getpid() || (int)rax == -ENOSYS);
        CHECK(rbx == 0x1122334455667788 && kept == r12);
    }
    long result = syscall(0x40000000 | SYS_getpid);
    CHECK(result == getpid() || (result == -1 && errno == ENOSYS));
    result = syscall(0x40000000 | SYS_fork);
    if (result == 0)
        _exit(0);
    CHECK(result > 0 || errno == ENOSYS);
}

TEST(numbers_that_no_call_has) {
    long numbers[] = {-1, 0x7274, 500, 1000, 0x7fffffff, -4096};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        errno = 0;
        CHECK(syscall(numbers[i], 1, 2, 3, 4, 5, 6) == -1);
        CHECK_EQ(errno, ENOSYS);
    }
}

TEST(the_top_is_ours_or_nobodys) {
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "r");
    CHECK(maps != NULL);
    while (fgets(line, sizeof line, maps)) {
        unsigned long start = strtoul(line, NULL, 16);
        CHECK(start < TOP || start > TOP_END);
    }
    fclose(maps);
    for (unsigned long at = TOP; at < TOP_END; at += 4096) {
        int pipes[2];
        char byte = 1;
        CHECK_OK(pipe(pipes));
        CHECK(write(pipes[1], (void *)at, 16) == -1 && errno == EFAULT);
        struct iovec local = {&byte, 1}, remote = {(void *)at, 1};
        CHECK(process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == -1);
        CHECK(mprotect((void *)at, 4096, PROT_READ | PROT_WRITE) == -1);
        CHECK(munmap((void *)at, 4096) == 0 || errno == EINVAL);
        char *page = mmap((void *)at, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        if (page == MAP_FAILED) {
            CHECK(errno == ENOMEM || errno == EINVAL);
        } else {
            CHECK_EQ(*page, 0);
            *page = 1;
            CHECK_OK(munmap(page, 4096));
        }
        close(pipes[0]);
        close(pipes[1]);
    }
}

static void call_from(unsigned long at, long number, long fd, void *buffer) {
    __asm__ volatile("mov %0, %%rax\n mov %1, %%rdi\n mov %2, %%rsi\n mov $64, %%edx\n mov $0x11, %%r10d\n mov %1, %%r8\n"
                     "xor %%r9d, %%r9d\n jmp *%3"
                     :
                     : "r"(number), "r"(fd), "r"(buffer), "r"(at)
                     : "rax", "rdi", "rsi", "rdx", "r8", "r9", "r10", "memory");
    __builtin_unreachable();
}

/* Whatever code is up there: with arbitrary registers it reads, writes and maps no file that is not ours. */
TEST(calls_from_the_top_gain_nothing) {
    signal(SIGSEGV, jump_back);
    signal(SIGBUS, jump_back);
    char *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(shared != MAP_FAILED);
    long numbers[] = {SYS_read, SYS_write, SYS_mmap, SYS_dup3, SYS_close, SYS_pread64, SYS_clone, SYS_munmap};
    volatile unsigned long at = TOP;
    volatile int found = 0;
    while (at + 1 < TOP_END) {
        if (sigsetjmp(back, 1) != 0) {
            at = (at | 4095) + 1;
            continue;
        }
        const volatile unsigned char *bytes = (const volatile unsigned char *)at;
        if (bytes[0] != 0x0f || bytes[1] != 0x05) {
            at++;
            continue;
        }
        size_t which = found++ % (sizeof numbers / sizeof *numbers);
        pid_t pid = fork();
        CHECK_OK(pid);
        if (pid == 0) {
            struct itimerval soon = {.it_value.tv_usec = 20000};
            signal(SIGSEGV, SIG_DFL);
            setitimer(ITIMER_REAL, &soon, NULL);
            for (int fd = 3; fd < 64; fd++)
                close(fd);
            call_from(at, numbers[which], 3 + found % 20, shared);
        }
        int status;
        CHECK(waitpid(pid, &status, 0) == pid);
        for (int i = 0; i < 4096; i++)
            CHECK_EQ(shared[i], 0);
        at++;
    }
    CHECK(getppid() > 0);
}

static bool has_avx512(void) {
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE) || !__get_cpuid_count(7, 0, &a, &b, &c, &d) ||
        !(b & bit_AVX512F))
        return false;
    unsigned low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low & 0xe6) == 0xe6;
}

static void trash_wide(int sig) {
    (void)sig;
    __asm__ volatile("vpxorq %%zmm0, %%zmm0, %%zmm0\n vpxorq %%zmm17, %%zmm17, %%zmm17\n vpxorq %%zmm31, %%zmm31, %%zmm31\n"
                     "kxorw %%k1, %%k1, %%k1\n kxorw %%k7, %%k7, %%k7" ::
                         : "memory");
}

TEST(wide_registers_survive_signals_and_faults) {
    if (!has_avx512())
        check_skip("no AVX-512 here");
    signal(SIGUSR1, trash_wide);
    unsigned long in[8], out[24], masks[2];
    pid_t child = fork();
    CHECK_OK(child);
    for (int round = 0; round < 200; round++) {
        for (int i = 0; i < 8; i++)
            in[i] = 0x0101010101010101UL * (i + 1) + round + (child == 0 ? 0x1000 : 0);
        volatile char *fresh = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        long pid = getpid(), result;
        __asm__ volatile("vmovdqu64 (%[in]), %%zmm0\n vmovdqu64 (%[in]), %%zmm17\n vmovdqu64 (%[in]), %%zmm31\n"
                         "mov $0x5a5a, %%ecx\n kmovw %%ecx, %%k1\n mov $0x1234, %%ecx\n kmovw %%ecx, %%k7\n"
                         "movb $1, (%[fresh])\n"
                         "mov $62, %%eax\n mov %[pid], %%rdi\n mov $10, %%esi\n syscall\n mov %%rax, %[result]\n"
                         "mov $24, %%eax\n syscall\n"
                         "vmovdqu64 %%zmm0, (%[out])\n vmovdqu64 %%zmm17, 64(%[out])\n vmovdqu64 %%zmm31, 128(%[out])\n"
                         "kmovw %%k1, %%ecx\n mov %%rcx, (%[masks])\n kmovw %%k7, %%ecx\n mov %%rcx, 8(%[masks])"
                         : [result] "=&r"(result)
                         : [in] "r"(in), [out] "r"(out), [masks] "r"(masks), [pid] "r"(pid), [fresh] "r"(fresh)
                         : "rax", "rcx", "rdi", "rsi", "r11", "memory");
        CHECK_EQ(result, 0);
        for (int i = 0; i < 24; i++)
            CHECK(out[i] == in[i % 8]);
        CHECK(masks[0] == 0x5a5a && masks[1] == 0x1234);
        munmap((void *)fresh, 4096);
    }
    if (child == 0)
        _exit(0);
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_EQ(status, 0);
}

static pthread_barrier_t all_there;

static void *be_there(void *arg) {
    pthread_barrier_wait(&all_there);
    return arg;
}

TEST(a_thousand_threads_at_once) {
    enum { MANY = 1000 };
    static pthread_t threads[MANY];
    pthread_attr_t attributes;
    alarm(100);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 64 << 10);
    pthread_barrier_init(&all_there, NULL, MANY + 1);
    for (long i = 0; i < MANY; i++)
        CHECK_EQ(pthread_create(&threads[i], &attributes, be_there, (void *)i), 0);
    pthread_barrier_wait(&all_there);
    for (long i = 0; i < MANY; i++) {
        void *result;
        CHECK_EQ(pthread_join(threads[i], &result), 0);
        CHECK_EQ((long)result, i);
    }
}

TEST(five_hundred_processes_at_once) {
    enum { MANY = 500 };
    int pipes[2], up[2];
    alarm(100);
    CHECK_OK(pipe(pipes));
    CHECK_OK(pipe(up));
    for (int i = 0; i < MANY; i++) {
        pid_t pid = fork();
        CHECK_OK(pid);
        if (pid == 0) {
            char byte;
            close(pipes[1]);
            if (write(up[1], "x", 1) != 1)
                _exit(100);
            _exit(read(pipes[0], &byte, 1) == 0 ? i % 90 : 101);
        }
    }
    char byte;
    for (int i = 0; i < MANY; i++)
        CHECK(read(up[0], &byte, 1) == 1);
    close(pipes[1]);
    long sum = 0, expected = 0;
    for (int i = 0; i < MANY; i++) {
        int status;
        CHECK_OK(wait(&status));
        CHECK(WIFEXITED(status));
        sum += WEXITSTATUS(status);
        expected += i % 90;
    }
    CHECK_EQ(sum, expected);
}

static int descend(int depth, volatile int *stack_page) {
    *stack_page = depth;
    if (depth == 0)
        return 0;
    pid_t pid = fork();
    if (pid < 0)
        return 255;
    if (pid == 0) {
        volatile int own = 0;
        _exit(descend(depth - 1, &own));
    }
    int status;
    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || *stack_page != depth)
        return 255;
    return WEXITSTATUS(status) == 255 ? 255 : WEXITSTATUS(status) + 1;
}

TEST(a_deep_tree_of_forks) {
    volatile int page = 0;
    alarm(60);
    CHECK_EQ(descend(100, &page), 100);
}
