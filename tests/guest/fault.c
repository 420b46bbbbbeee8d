/* Faults: which signal, si_code and si_addr each kind raises, and that the handler can repair and go on. */
#include "check.h"
#include <setjmp.h>
#include <ucontext.h>

#define PAGE 4096L
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static sigjmp_buf back;
static siginfo_t seen;
static ucontext_t seen_context;

static void on_fault(int sig, siginfo_t *info, void *context) {
    (void)sig;
    seen = *info;
    seen_context = *(ucontext_t *)context;
    siglongjmp(back, 1);
}

static void catch(int sig) {
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    CHECK_OK(sigaction(sig, &action, NULL));
}

/* Runs the statement, which must raise this signal. */
#define RAISES(sig, code, statement)                                                                                   \
    do {                                                                                                               \
        catch(sig);                                                                                                    \
        memset(&seen, 0, sizeof seen);                                                                                 \
        if (sigsetjmp(back, 1) == 0) {                                                                                 \
            statement;                                                                                                 \
            check_fail(__FILE__, __LINE__, "%s raised nothing", #statement);                                           \
        }                                                                                                              \
        CHECK_EQ(seen.si_signo, sig);                                                                                  \
        CHECK_EQ(seen.si_code, code);                                                                                  \
    } while (0)

TEST(unmapped_is_maperr) {
    volatile char *p = mmap(NULL, PAGE, RW, ANON, -1, 0);
    CHECK_OK(munmap((void *)p, PAGE));
    RAISES(SIGSEGV, SEGV_MAPERR, p[123] = 1);
    CHECK(seen.si_addr == p + 123);
    CHECK_EQ(seen.si_errno, 0);
    CHECK_EQ(seen_context.uc_mcontext.gregs[REG_TRAPNO], 14);
    CHECK_EQ(seen_context.uc_mcontext.gregs[REG_CR2], (long)p + 123);
    CHECK_EQ(seen_context.uc_mcontext.gregs[REG_ERR] & 6, 6);
    RAISES(SIGSEGV, SEGV_MAPERR, (void)p[5]);
    CHECK(seen.si_addr == p + 5);
    CHECK_EQ(seen_context.uc_mcontext.gregs[REG_ERR] & 6, 4);
    RAISES(SIGSEGV, SEGV_MAPERR, (void)*(volatile char *)NULL);
    CHECK(seen.si_addr == NULL);
}

TEST(protection_is_accerr) {
    volatile char *p = mmap(NULL, 2 * PAGE, RW, ANON, -1, 0);
    p[0] = 1;
    CHECK_OK(mprotect((void *)p, PAGE, PROT_READ));
    RAISES(SIGSEGV, SEGV_ACCERR, p[7] = 1);
    CHECK(seen.si_addr == p + 7);
    CHECK_EQ(p[0], 1);
    CHECK_OK(mprotect((void *)p, PAGE, PROT_NONE));
    RAISES(SIGSEGV, SEGV_ACCERR, (void)p[8]);
    CHECK(seen.si_addr == p + 8);
    CHECK_OK(mprotect((void *)p, PAGE, RW));
    CHECK_EQ(p[0], 1);
    /* data is not executable */
    RAISES(SIGSEGV, SEGV_ACCERR, ((void (*)(void))p)());
    CHECK(seen.si_addr == p);
    CHECK_EQ(seen_context.uc_mcontext.gregs[REG_RIP], (long)p);
}

TEST(non_canonical_has_no_address) {
    RAISES(SIGSEGV, SI_KERNEL, (void)*(volatile char *)0x8000000000000000);
    CHECK(seen.si_addr == NULL);
    CHECK_EQ(seen_context.uc_mcontext.gregs[REG_TRAPNO], 13);
}

TEST(beyond_the_end_of_a_file_is_sigbus) {
    check_scratch();
    int fd = CHECK_OK(open("f", O_RDWR | O_CREAT, 0600));
    CHECK_OK(ftruncate(fd, PAGE + 10));
    volatile char *p = mmap(NULL, 4 * PAGE, RW, MAP_SHARED, fd, 0);
    CHECK(p != MAP_FAILED);
    p[PAGE + 9] = 1;
    p[2 * PAGE - 1] = 1; /* the rest of the last page is there */
    RAISES(SIGBUS, BUS_ADRERR, p[2 * PAGE + 5] = 1);
    CHECK(seen.si_addr == p + 2 * PAGE + 5);
    CHECK_OK(ftruncate(fd, 4 * PAGE));
    p[2 * PAGE + 5] = 1;
    CHECK_OK(ftruncate(fd, 0));
    RAISES(SIGBUS, BUS_ADRERR, (void)p[0]);
    CHECK_OK(ftruncate(fd, PAGE));
    CHECK_EQ(p[9], 0);
    volatile char *q = mmap(NULL, 2 * PAGE, RW, MAP_PRIVATE, fd, 0);
    RAISES(SIGBUS, BUS_ADRERR, q[PAGE] = 1);
    CHECK(seen.si_addr == q + PAGE);
}

TEST(arithmetic_and_instructions) {
    volatile int zero = 0;
    RAISES(SIGFPE, FPE_INTDIV, zero = 100 / zero);
    CHECK(seen.si_addr == (void *)seen_context.uc_mcontext.gregs[REG_RIP]);
    RAISES(SIGILL, ILL_ILLOPN, __asm__ volatile("ud2"));
    CHECK(seen.si_addr == (void *)seen_context.uc_mcontext.gregs[REG_RIP]);
    RAISES(SIGTRAP, SI_KERNEL, __asm__ volatile("int3"));
    RAISES(SIGSEGV, SI_KERNEL, __asm__ volatile("hlt"));
    CHECK(seen.si_addr == NULL);
    RAISES(SIGSEGV, SI_KERNEL, __asm__ volatile("int $0x42"));
    /* floating point, once its exception is unmasked */
    unsigned csr = 0x1f80 & ~0x200u;
    volatile double d = 0;
    RAISES(SIGFPE, FPE_FLTDIV, __asm__ volatile("ldmxcsr %0" ::"m"(csr)); d = 1 / d);
}

TEST(single_step_traps) {
    RAISES(SIGTRAP, TRAP_TRACE, __asm__ volatile("pushf; orl $0x100, (%%rsp); popf; nop; nop" ::: "memory", "cc"));
}

static char *guard;

static void on_repair(int sig, siginfo_t *info, void *context) {
    (void)sig, (void)context;
    CHECK(info->si_addr >= (void *)guard && info->si_addr < (void *)(guard + PAGE));
    CHECK_OK(mprotect(guard, PAGE, RW));
}

TEST(a_handler_can_repair_and_go_on) {
    struct sigaction action = {.sa_sigaction = on_repair, .sa_flags = SA_SIGINFO};
    CHECK_OK(sigaction(SIGSEGV, &action, NULL));
    guard = mmap(NULL, PAGE, PROT_NONE, ANON, -1, 0);
    for (int i = 0; i < 100; i++) {
        CHECK_OK(mprotect(guard, PAGE, PROT_NONE));
        ((volatile char *)guard)[i] = i;
        CHECK_EQ(guard[i], i);
    }
}

TEST(system_calls_answer_efault_instead) {
    char *p = mmap(NULL, 2 * PAGE, RW, ANON, -1, 0);
    int fds[2];
    CHECK_OK(pipe(fds));
    CHECK_OK(mprotect(p + PAGE, PAGE, PROT_NONE));
    CHECK_ERRNO(write(fds[1], p + PAGE, 1), EFAULT);
    CHECK_EQ(write(fds[1], p + PAGE - 3, 3), 3);
    CHECK_ERRNO(read(fds[0], p + PAGE, 3), EFAULT);
    CHECK_ERRNO(pipe((int *)(p + PAGE)), EFAULT);
    CHECK_ERRNO(open(p + PAGE, O_RDONLY), EFAULT);
    CHECK_ERRNO(clock_gettime(CLOCK_THREAD_CPUTIME_ID, (void *)(p + 2 * PAGE - 8)), EFAULT);
    memset(p + PAGE - 4, 'x', 4);
    CHECK_ERRNO(open(p + PAGE - 4, O_RDONLY), EFAULT);
}

TEST(a_blocked_or_ignored_fault_kills) {
    for (int i = 0; i < 2; i++) {
        pid_t pid = check_fork();
        if (pid == 0) {
            struct rlimit none = {0, 0};
            setrlimit(RLIMIT_CORE, &none);
            sigset_t set;
            sigemptyset(&set);
            sigaddset(&set, SIGSEGV);
            catch(SIGSEGV);
            if (i == 0)
                sigprocmask(SIG_BLOCK, &set, NULL);
            else
                signal(SIGSEGV, SIG_IGN);
            *(volatile int *)8 = 1;
            _exit(0);
        }
        check_killed(pid, SIGSEGV);
    }
}

static void overflow(int depth) {
    volatile char frame[512];
    frame[0] = depth;
    if (depth >= 0)
        overflow(depth + 1);
    frame[1] = frame[0];
}

TEST(stack_overflow_reaches_the_alternate_stack) {
    struct rlimit small = {1 << 20, 1 << 20};
    CHECK_OK(setrlimit(RLIMIT_STACK, &small));
    stack_t alternate = {.ss_sp = mmap(NULL, 16 * PAGE, RW, ANON, -1, 0), .ss_size = 16 * PAGE};
    CHECK_OK(sigaltstack(&alternate, NULL));
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    CHECK_OK(sigaction(SIGSEGV, &action, NULL));
    char here;
    if (sigsetjmp(back, 1) == 0)
        overflow(0);
    CHECK_EQ(seen.si_signo, SIGSEGV);
    long depth = &here - (char *)seen.si_addr;
    CHECK(depth > 900 * 1024 && depth < 1200 * 1024);
}
