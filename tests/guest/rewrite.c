/* Programs whose code may be rewritten while it runs: what they do with it, and with the places that a kernel might want. */
#include "check.h"
#include <asm/prctl.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <ucontext.h>

#define PAGE 4096L
#define OFTEN 3000

/* A site of our own, in one instruction of five bytes and the call. */
__attribute__((noinline, aligned(64))) static long own_getpid(void) {
    long r;
    __asm__ volatile(".globl own_site\nown_site: mov $39, %%eax\nsyscall" : "=a"(r) : : "rcx", "r11", "memory");
    return r;
}
extern const unsigned char own_site[];
static const unsigned char original[7] = {0xb8, 39, 0, 0, 0, 0x0f, 0x05};

static void call_often(void) {
    pid_t pid = getpid();
    for (int i = 0; i < OFTEN; i++)
        CHECK_EQ(own_getpid(), pid);
}

TEST(registers_and_flags_survive_calls) {
    for (int i = 0; i < OFTEN; i++) {
        unsigned long in = 0x1111111111111111ul * (i % 15 + 1), rbx = 0, r12 = 0, r15 = 0, rdi = 0, r8 = 0, flags = 0;
        long result;
        __asm__ volatile("mov %7, %%rbx\n mov %7, %%r12\n mov %7, %%r15\n mov %7, %%rdi\n mov %7, %%r8\n"
                         "mov $0x7fffffff, %%eax\n add %8, %%eax\n"
                         "mov $102, %%eax\n syscall\n"
                         "pushfq\n pop %6\n"
                         "mov %%rbx, %1\n mov %%r12, %2\n mov %%r15, %3\n mov %%rdi, %4\n mov %%r8, %5"
                         : "=&a"(result), "=&m"(rbx), "=&m"(r12), "=&m"(r15), "=&m"(rdi), "=&m"(r8), "=&r"(flags)
                         : "r"(in), "r"(i & 1)
                         : "rbx", "r12", "r15", "rdi", "r8", "rcx", "r11", "memory", "cc");
        CHECK_EQ(result, getuid());
        CHECK_EQ(rbx, in);
        CHECK_EQ(r12, in);
        CHECK_EQ(r15, in);
        CHECK_EQ(rdi, in);
        CHECK_EQ(r8, in);
        /* An overflow, and a sign, just if one was added. */
        CHECK_EQ(flags >> 11 & 1, i & 1);
        CHECK_EQ(flags >> 7 & 1, i & 1);
    }
}

TEST(data_below_the_stack_pointer_survives) {
    for (int i = 0; i < OFTEN; i++) {
        long r, word;
        __asm__ volatile("mov %2, -8(%%rsp)\n mov %2, -128(%%rsp)\n mov $39, %%eax\n syscall\n"
                         "mov -8(%%rsp), %1\n sub -128(%%rsp), %1"
                         : "=&a"(r), "=&r"(word)
                         : "r"((long)i + 1)
                         : "rcx", "r11", "memory", "cc");
        CHECK_EQ(word, 0);
    }
}

TEST(six_arguments_arrive) {
    int fd = memfd_create("six", 0);
    CHECK_OK(fd);
    CHECK_OK(ftruncate(fd, 8 * PAGE));
    for (int i = 0; i < OFTEN / 10; i++) {
        char *p = (char *)syscall(SYS_mmap, NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (i % 8) * PAGE);
        CHECK(p != MAP_FAILED);
        if (i >= 8)
            CHECK_EQ(p[0], i % 8 + 1);
        p[0] = i % 8 + 1;
        CHECK_OK(munmap(p, PAGE));
    }
}

TEST(the_gs_base_is_the_programs) {
    unsigned long base = 1, area[4] = {7, 8, 9, 10};
    CHECK_OK(syscall(SYS_arch_prctl, ARCH_GET_GS, &base));
    CHECK_EQ(base, 0);
    call_often();
    CHECK_OK(syscall(SYS_arch_prctl, ARCH_SET_GS, area));
    for (int i = 0; i < OFTEN; i++) {
        unsigned long word;
        CHECK_EQ(own_getpid(), getpid());
        __asm__ volatile("mov %%gs:16, %0" : "=r"(word));
        CHECK_EQ(word, 9);
    }
    CHECK_EQ(area[0] + area[1] + area[3], 25);
    CHECK_OK(syscall(SYS_arch_prctl, ARCH_GET_GS, &base));
    CHECK_EQ(base, (unsigned long)area);
    CHECK_OK(syscall(SYS_arch_prctl, ARCH_SET_GS, 0));
    call_often();
}

TEST(the_syscall_instruction_can_be_jumped_to) {
    call_often();
    for (int i = 0; i < OFTEN; i++) {
        long r;
        /* From behind it runs into the rest of own_getpid, which returns. */
        __asm__ volatile("call *%1" : "=a"(r) : "r"(own_site + 5), "0"(SYS_getppid) : "rcx", "r11", "memory", "cc");
        CHECK_EQ(r, getppid());
    }
}

TEST(code_that_becomes_writable_is_the_original) {
    call_often();
    unsigned char *page = (unsigned char *)((unsigned long)own_site & -PAGE);
    CHECK_OK(mprotect(page, 2 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC));
    CHECK(memcmp(own_site, original, sizeof original) == 0);
    /* getppid instead. */
    ((unsigned char *)own_site)[1] = 110;
    CHECK_EQ(own_getpid(), getppid());
    ((unsigned char *)own_site)[1] = 39;
    CHECK_OK(mprotect(page, 2 * PAGE, PROT_READ | PROT_EXEC));
    call_often();
}

TEST(a_debugger_sees_the_original) {
    int ready[2];
    char c;
    CHECK_OK(pipe(ready));
    pid_t pid = check_fork();
    if (pid == 0) {
        call_often();
        CHECK_EQ(write(ready[1], "x", 1), 1);
        for (;;)
            own_getpid();
    }
    CHECK_EQ(read(ready[0], &c, 1), 1);
    CHECK_OK(ptrace(PTRACE_ATTACH, pid, 0, 0));
    int status;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK(WIFSTOPPED(status));
    unsigned char code[8];
    long word = ptrace(PTRACE_PEEKTEXT, pid, own_site, 0);
    memcpy(code, &word, sizeof word);
    CHECK(memcmp(code, original, sizeof original) == 0);
    /* Steps, until it has been at the site and behind it. */
    int at = 0, behind = 0;
    for (int i = 0; i < 200 && !(at && behind); i++) {
        struct user_regs_struct regs;
        CHECK_OK(ptrace(PTRACE_GETREGS, pid, 0, &regs));
        at |= regs.rip == (unsigned long)own_site;
        behind |= at && regs.rip == (unsigned long)own_site + 7;
        CHECK_OK(ptrace(PTRACE_SINGLESTEP, pid, 0, 0));
        CHECK_EQ(waitpid(pid, &status, 0), pid);
        CHECK(WIFSTOPPED(status));
    }
    CHECK(at && behind);
    CHECK_OK(kill(pid, SIGKILL));
    CHECK_EQ(waitpid(pid, &status, 0), pid);
}

TEST(any_low_address_can_be_mapped) {
    call_often();
    /* What a kernel that rewrites code might use for itself. */
    for (unsigned long at = 0x5000000; at < 0x5200000; at += 16 * PAGE) {
        char *p = mmap((void *)at, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
        CHECK_EQ((unsigned long)p, at);
        CHECK_EQ(p[0], 0);
        p[0] = 1;
    }
    call_often();
    CHECK_OK(munmap((void *)0x5000000, 0x200000));
    call_often();
}

TEST(nothing_foreign_is_in_maps) {
    call_often();
    static char text[64 << 10];
    check_read_file("/proc/self/maps", text, sizeof text);
    CHECK(strstr(text, "[stack]") != NULL);
    CHECK(strstr(text, "50f0000-") == NULL);
}

static volatile int handled;
static void on_alarm(int sig, siginfo_t *info, void *context) {
    ucontext_t *uc = context;
    (void)sig, (void)info;
    /* Wherever it was, it was in code of the program. */
    unsigned long rip = uc->uc_mcontext.gregs[REG_RIP];
    if (rip >= 0x5000000 && rip < 0x5200000)
        handled = -1000000;
    handled++;
}

TEST(signals_find_the_program_in_its_own_code) {
    struct sigaction action = {.sa_sigaction = on_alarm, .sa_flags = SA_SIGINFO | SA_RESTART};
    CHECK_OK(sigaction(SIGALRM, &action, NULL));
    struct itimerval often = {{0, 500}, {0, 500}};
    CHECK_OK(setitimer(ITIMER_REAL, &often, NULL));
    while (handled >= 0 && handled < 40)
        call_often();
    struct itimerval never = {{0, 0}, {0, 0}};
    CHECK_OK(setitimer(ITIMER_REAL, &never, NULL));
    CHECK(handled >= 40);
}

TEST(a_call_that_waits_is_interrupted_and_made_again) {
    int p[2];
    CHECK_OK(pipe(p));
    struct sigaction action = {.sa_sigaction = on_alarm, .sa_flags = SA_SIGINFO | SA_RESTART};
    CHECK_OK(sigaction(SIGALRM, &action, NULL));
    pid_t parent = getpid(), pid = check_fork();
    if (pid == 0) {
        for (int i = 0; i < 300; i++) {
            CHECK_OK(kill(parent, SIGALRM));
            if (i % 3 == 0)
                usleep(200);
            CHECK_EQ(write(p[1], "x", 1), 1);
        }
        _exit(0);
    }
    for (int i = 0; i < 300; i++) {
        char c = 0;
        CHECK_EQ(read(p[0], &c, 1), 1);
        CHECK_EQ(c, 'x');
    }
    check_wait(pid);
    CHECK(handled > 0);
}

static void *caller(void *arg) {
    for (int i = 0; i < OFTEN; i++)
        if (own_getpid() != (long)arg)
            return (void *)1;
    return NULL;
}

TEST(threads_and_children_call_from_the_same_site) {
    pthread_t threads[6];
    for (int i = 0; i < 6; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, caller, (void *)(long)getpid()), 0);
    for (int i = 0; i < 5; i++) {
        pid_t pid = check_fork();
        if (pid == 0) {
            call_often();
            _exit(0);
        }
        check_wait(pid);
    }
    for (int i = 0; i < 6; i++) {
        void *wrong;
        CHECK_EQ(pthread_join(threads[i], &wrong), 0);
        CHECK(wrong == NULL);
    }
}

TEST(the_heap_grows_past_everything) {
    call_often();
    char *start = sbrk(0);
    CHECK(sbrk(100 << 20) == start);
    memset(start, 1, 100 << 20);
    call_often();
    CHECK(sbrk(-(100 << 20)) != (void *)-1);
}

/* Calls with another load of five bytes before them; the number comes earlier. */
static long with_edi(long nr, const char *path) {
    long r;
    __asm__ volatile("mov $0xffffff9c, %%edi\n syscall" : "=a"(r) : "0"(nr), "S"(path), "d"(0L) : "rdi", "rcx", "r11", "memory");
    return r;
}

static long with_esi(long nr, long fd) {
    long r;
    __asm__ volatile("mov $3, %%esi\n syscall" : "=a"(r) : "0"(nr), "D"(fd), "d"(0L) : "rsi", "rcx", "r11", "memory");
    return r;
}

static long with_edx(long nr, long fd, long to) {
    long r;
    __asm__ volatile("mov $1, %%edx\n syscall" : "=a"(r) : "0"(nr), "D"(fd), "S"(to) : "rdx", "rcx", "r11", "memory");
    return r;
}

/* The sixth argument is what `stack` points to, which is the stack pointer meanwhile. */
__attribute__((noinline)) static long with_stack(long nr, const void *stack) {
    long r;
    __asm__ volatile("mov %%rsp, %%rbx\n mov %2, %%rsp\n .globl load_site\nload_site: mov 8(%%rsp), %%r9\n syscall\n mov %%rbx, %%rsp\n"
                     "mov %%r9, %0"
                     : "=a"(r)
                     : "0"(nr), "r"(stack)
                     : "rbx", "r9", "rcx", "r11", "memory");
    return r;
}
extern const unsigned char load_site[];

TEST(loads_before_calls_are_made) {
    int fd = memfd_create("loads", 0);
    CHECK_OK(fd);
    CHECK_OK(ftruncate(fd, 100));
    for (int i = 0; i < OFTEN; i++) {
        long stack[2] = {0, i};
        CHECK_EQ(with_edi(SYS_openat, "/does/not/exist"), -ENOENT);
        CHECK_EQ(with_edi(i & 1 ? SYS_faccessat : SYS_unlinkat, "/does/not/exist"), -ENOENT);
        CHECK_EQ(with_esi(SYS_fcntl, fd), fcntl(fd, F_GETFL));
        CHECK_EQ(with_edx(SYS_lseek, fd, 1), i + 1);
        CHECK_EQ(with_stack(SYS_getppid, stack), i);
    }
}

static volatile unsigned long fault_ip, fault_at;
static void on_fault(int sig, siginfo_t *info, void *context) {
    ucontext_t *uc = context;
    (void)sig;
    fault_ip = uc->uc_mcontext.gregs[REG_RIP];
    fault_at = (unsigned long)info->si_addr;
    uc->uc_mcontext.gregs[REG_RIP] += 5;
}

TEST(a_load_that_faults_does_so_where_it_is_written) {
    stack_t other = {.ss_sp = malloc(64 << 10), .ss_size = 64 << 10};
    CHECK_OK(sigaltstack(&other, NULL));
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    CHECK_OK(sigaction(SIGSEGV, &action, NULL));
    long stack[2] = {0, 5};
    for (int i = 0; i < OFTEN; i++)
        CHECK_EQ(with_stack(SYS_getppid, stack), 5);
    char *nothing = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(nothing != MAP_FAILED);
    with_stack(SYS_getppid, nothing);
    CHECK_EQ(fault_ip, (unsigned long)load_site);
    CHECK_EQ(fault_at, (unsigned long)nothing + 8);
    CHECK_EQ(with_stack(SYS_getppid, stack), 5);
}

/* The C library reads in another way where there are several threads. */
static void *read_all(void *arg) {
    int *fds = arg;
    long sum = 0;
    for (int i = 0; i < OFTEN; i++) {
        unsigned char c;
        if (read(fds[0], &c, 1) != 1)
            return (void *)-1;
        sum += c;
        if (write(fds[1], &c, 1) != 1)
            return (void *)-1;
    }
    return (void *)sum;
}

TEST(threads_read_what_others_write) {
    struct sigaction action = {.sa_sigaction = on_alarm, .sa_flags = SA_SIGINFO | SA_RESTART};
    CHECK_OK(sigaction(SIGALRM, &action, NULL));
    struct itimerval often = {{0, 700}, {0, 700}};
    CHECK_OK(setitimer(ITIMER_REAL, &often, NULL));
    int there[2], back[2];
    CHECK_OK(pipe(there));
    CHECK_OK(pipe(back));
    int fds[2] = {there[0], back[1]};
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, read_all, fds), 0);
    long sum = 0;
    for (int i = 0; i < OFTEN; i++) {
        unsigned char c = i, d = ~i;
        CHECK_EQ(write(there[1], &c, 1), 1);
        CHECK_EQ(read(back[0], &d, 1), 1);
        CHECK_EQ(c, d);
        sum += c;
    }
    void *result;
    CHECK_EQ(pthread_join(thread, &result), 0);
    CHECK_EQ((long)result, sum);
    CHECK(handled >= 0);
    /* Errors as well. */
    close(there[0]);
    for (int i = 0; i < 100; i++)
        CHECK(read(there[0], &sum, 1) == -1 && errno == EBADF);
}
