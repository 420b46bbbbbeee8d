/* The signal frame: registers and FPU state are saved, shown and restored; alternate stacks; leaving without returning. */
#include "check.h"
#include <cpuid.h>
#include <setjmp.h>
#include <ucontext.h>

static volatile sig_atomic_t count;
static char *stack_of_handler;

static void trash_vectors(int sig) {
    (void)sig;
    count++;
    __asm__ volatile("pcmpeqd %%xmm0, %%xmm0; pcmpeqd %%xmm7, %%xmm7; pcmpeqd %%xmm15, %%xmm15; fldpi; fldz" ::
                         : "xmm0", "xmm7", "xmm15");
    unsigned csr = 0x1fc0;
    __asm__ volatile("ldmxcsr %0" ::"m"(csr));
}

TEST(vector_and_x87_state_survive) {
    CHECK(signal(SIGUSR1, trash_vectors) != SIG_ERR);
    double a[2] = {1.5, -2.25}, b[2] = {0, 0};
    double x87 = 0;
    unsigned csr = 0x1f80 | 0x6000, csr_after = 0;
    long pid = getpid(), number = SYS_kill;
    __asm__ volatile("ldmxcsr %4\n movupd %3, %%xmm7\n fld1\n"
                     "mov %5, %%rax\n mov %6, %%rdi\n mov $10, %%rsi\n syscall\n"
                     "movupd %%xmm7, %0\n fstpl %1\n stmxcsr %2\n"
                     : "=m"(b), "=m"(x87), "=m"(csr_after)
                     : "m"(a), "m"(csr), "r"(number), "r"(pid)
                     : "rax", "rdi", "rsi", "rcx", "r11", "xmm7", "memory");
    CHECK_EQ(count, 1);
    CHECK(b[0] == 1.5 && b[1] == -2.25);
    CHECK(x87 == 1);
    CHECK_EQ(csr_after & 0xffc0, csr & 0xffc0);
    csr = 0x1f80;
    __asm__ volatile("ldmxcsr %0" ::"m"(csr));
}

__attribute__((target("avx"))) static void avx_case(void) {
    long pid = getpid(), number = SYS_kill;
    double a[4] = {1, 2, 3, 4}, b[4];
    __asm__ volatile("vmovupd %1, %%ymm9\n mov %2, %%rax\n mov %3, %%rdi\n mov $10, %%rsi\n syscall\n vmovupd %%ymm9, %0"
                     : "=m"(b)
                     : "m"(a), "r"(number), "r"(pid)
                     : "rax", "rdi", "rsi", "rcx", "r11", "xmm9", "memory");
    CHECK(memcmp(a, b, sizeof a) == 0);
}

__attribute__((target("avx"))) static void trash_ymm(int sig) {
    (void)sig;
    count++;
    __asm__ volatile("vzeroall" ::: "xmm9");
}

TEST(upper_halves_survive) {
    if (!__builtin_cpu_supports("avx"))
        check_skip("no AVX");
    CHECK(signal(SIGUSR1, trash_ymm) != SIG_ERR);
    avx_case();
    CHECK_EQ(count, 1);
}

static void on_context(int sig, siginfo_t *info, void *context) {
    ucontext_t *u = context;
    CHECK_EQ(sig, SIGUSR1);
    CHECK_EQ(info->si_signo, sig);
    CHECK_EQ(u->uc_mcontext.gregs[REG_RBX], 0x1111222233334444);
    CHECK_EQ(u->uc_mcontext.gregs[REG_R12], 0x5555666677778888);
    CHECK_EQ(u->uc_mcontext.gregs[REG_RAX], 0);
    CHECK(u->uc_mcontext.fpregs != NULL);
    CHECK_EQ((uintptr_t)u->uc_mcontext.fpregs % 64, 0);
    /* the frame is aligned as at a call */
    CHECK_EQ((uintptr_t)__builtin_frame_address(0) % 16, 0);
    unsigned *sw = (unsigned *)((char *)u->uc_mcontext.fpregs + 464);
    if (sw[0] == 0x46505853)
        CHECK_EQ(*(unsigned *)((char *)u->uc_mcontext.fpregs + sw[1] - 4), 0x46505845);
    unsigned low, high;
    memcpy(&low, &u->uc_mcontext.fpregs->_xmm[6], 4);
    CHECK_EQ(low, 0xabcdef01);
    high = 0x12345678;
    memcpy(&u->uc_mcontext.fpregs->_xmm[6], &high, 4);
    u->uc_mcontext.gregs[REG_RBX] = 99;
    u->uc_mcontext.gregs[REG_RAX] = 77;
    sigaddset(&u->uc_sigmask, SIGUSR2);
    count++;
}

TEST(the_handler_sees_and_changes_registers) {
    struct sigaction action = {.sa_sigaction = on_context, .sa_flags = SA_SIGINFO};
    CHECK_OK(sigaction(SIGUSR1, &action, NULL));
    long pid = getpid(), rbx = 0, rax = 0;
    unsigned in = 0xabcdef01, out = 0;
    __asm__ volatile("movd %3, %%xmm6\n mov $0x1111222233334444, %%rbx\n mov $0x5555666677778888, %%r12\n"
                     "mov $62, %%eax\n mov %4, %%rdi\n mov $10, %%esi\n syscall\n"
                     "mov %%rbx, %0\n mov %%rax, %1\n movd %%xmm6, %2"
                     : "=m"(rbx), "=m"(rax), "=m"(out)
                     : "m"(in), "r"(pid)
                     : "rax", "rbx", "r12", "rdi", "rsi", "rcx", "r11", "xmm6", "memory");
    CHECK_EQ(count, 1);
    CHECK_EQ(rbx, 99);
    CHECK_EQ(rax, 77);
    CHECK_EQ(out, 0x12345678);
    sigset_t now;
    CHECK_OK(sigprocmask(SIG_BLOCK, NULL, &now));
    CHECK(sigismember(&now, SIGUSR2) && !sigismember(&now, SIGUSR1));
}

static void on_red_zone(int sig) {
    volatile char big[4096];
    memset((char *)big, sig, sizeof big);
    count++;
}

TEST(the_red_zone_is_left_alone) {
    CHECK(signal(SIGUSR1, on_red_zone) != SIG_ERR);
    long pid = getpid(), got = 0;
    __asm__ volatile("movq $0x7777, -8(%%rsp)\n movq $0x8888, -128(%%rsp)\n"
                     "mov $62, %%eax\n mov %1, %%rdi\n mov $10, %%esi\n syscall\n"
                     "mov -8(%%rsp), %%rax\n add -128(%%rsp), %%rax\n mov %%rax, %%rbx\n"
                     : "=b"(got)
                     : "r"(pid)
                     : "rax", "rdi", "rsi", "rcx", "r11", "memory");
    CHECK_EQ(count, 1);
    CHECK_EQ(got, 0x7777 + 0x8888);
}

static void on_stack(int sig) {
    char here;
    stack_t now;
    (void)sig;
    stack_of_handler = &here;
    CHECK_OK(sigaltstack(NULL, &now));
    CHECK_EQ(now.ss_flags, SS_ONSTACK);
    CHECK_ERRNO(sigaltstack(&now, NULL), EPERM);
    count++;
}

TEST(alternate_stacks) {
    size_t size = 65536;
    char *base = malloc(size);
    stack_t stack = {.ss_sp = base, .ss_size = size}, old;
    CHECK_OK(sigaltstack(&stack, &old));
    CHECK_EQ(old.ss_flags, SS_DISABLE);
    struct sigaction action = {.sa_handler = on_stack, .sa_flags = SA_ONSTACK};
    CHECK_OK(sigaction(SIGUSR1, &action, NULL));
    CHECK_OK(raise(SIGUSR1));
    CHECK(stack_of_handler > base && stack_of_handler < base + size);
    CHECK_OK(sigaltstack(NULL, &old));
    CHECK_EQ(old.ss_flags, 0);
    CHECK(old.ss_sp == base && old.ss_size == size);
    stack.ss_size = 1024;
    CHECK_ERRNO(sigaltstack(&stack, NULL), ENOMEM);
    stack.ss_flags = 0x1234;
    CHECK_ERRNO(sigaltstack(&stack, NULL), EINVAL);
    CHECK_ERRNO(sigaltstack((void *)8, NULL), EFAULT);
    stack = (stack_t){.ss_flags = SS_DISABLE, .ss_sp = base, .ss_size = 1};
    CHECK_OK(sigaltstack(&stack, NULL));
    CHECK_OK(sigaltstack(NULL, &old));
    CHECK_EQ(old.ss_flags, SS_DISABLE);
}

static void on_autodisarm(int sig) {
    stack_t now;
    (void)sig;
    CHECK_OK(sigaltstack(NULL, &now));
    CHECK_EQ(now.ss_flags, SS_DISABLE);
    count++;
}

TEST(autodisarm) {
    stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536, .ss_flags = 1U << 31}, now;
    CHECK_OK(sigaltstack(&stack, NULL));
    struct sigaction action = {.sa_handler = on_autodisarm, .sa_flags = SA_ONSTACK};
    CHECK_OK(sigaction(SIGUSR1, &action, NULL));
    CHECK_OK(raise(SIGUSR1));
    CHECK_EQ(count, 1);
    CHECK_OK(sigaltstack(NULL, &now));
    CHECK_EQ((unsigned)now.ss_flags, 1U << 31);
    CHECK(now.ss_sp == stack.ss_sp);
}

static sigjmp_buf back;

static void on_jump(int sig) {
    count++;
    siglongjmp(back, sig);
}

TEST(siglongjmp_restores_the_mask) {
    struct sigaction action = {.sa_handler = on_jump, .sa_flags = SA_ONSTACK};
    stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536}, now;
    CHECK_OK(sigaltstack(&stack, NULL));
    CHECK_OK(sigaction(SIGUSR1, &action, NULL));
    for (int i = 0; i < 100; i++)
        if (sigsetjmp(back, 1) == 0) {
            raise(SIGUSR1);
            CHECK(false);
        }
    CHECK_EQ(count, 100);
    CHECK_OK(sigaltstack(NULL, &now));
    CHECK_EQ(now.ss_flags, 0);
}

TEST(a_frame_that_does_not_fit_kills) {
    pid_t pid = check_fork();
    if (pid == 0) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        char *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        signal(SIGUSR1, on_red_zone);
        signal(SIGSEGV, on_red_zone);
        long self = getpid();
        __asm__ volatile("mov %0, %%rsp\n mov $62, %%eax\n mov %1, %%rdi\n mov $10, %%esi\n syscall\n"
                         "mov $60, %%eax\n xor %%edi, %%edi\n syscall" ::"r"(page + 4096), "r"(self)
                         : "rax", "rdi", "rsi", "rcx", "r11", "memory");
    }
    check_killed(pid, SIGSEGV);
}

TEST(a_broken_frame_kills) {
    pid_t pid = check_fork();
    if (pid == 0) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        __asm__ volatile("mov $8, %%rsp\n mov $15, %%eax\n syscall\n mov $60, %%eax\n xor %%edi, %%edi\n syscall" ::: "rax");
    }
    check_killed(pid, SIGSEGV);
}
