/* Syscall user dispatch: calls that come back as SIGSYS. */
#include "check.h"
#include <ucontext.h>

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#endif
#define OFF 0
#define ON 1

static volatile char selector;
static volatile int seen, code, number, arch_ok;
static void *volatile where;

static void on_sys(int sig, siginfo_t *info, void *context) {
    ucontext_t *uc = context;
    (void)sig;
    selector = 0;
    seen++;
    code = info->si_code;
    number = info->si_syscall;
    where = info->si_call_addr;
    arch_ok = info->si_arch == 0xc000003e && uc->uc_mcontext.gregs[REG_RIP] == (long)info->si_call_addr;
    /* The registers are those of before the call: the number is still there, and nothing was made of it. */
    if (uc->uc_mcontext.gregs[REG_RAX] == info->si_syscall)
        uc->uc_mcontext.gregs[REG_RAX] = 4711;
}

static void catch(void) {
    struct sigaction sa = {.sa_sigaction = on_sys, .sa_flags = SA_SIGINFO};
    CHECK_OK(sigaction(SIGSYS, &sa, NULL));
}

TEST(a_blocked_call_comes_back_as_a_signal) {
    catch();
    CHECK_OK(prctl(PR_SET_SYSCALL_USER_DISPATCH, ON, 0, 0, &selector));
    CHECK_EQ(syscall(SYS_getpid), getpid());
    selector = 1;
    long got = syscall(SYS_getppid);
    CHECK_EQ(got, 4711);
    CHECK_EQ(seen, 1);
    CHECK_EQ(code, 2);
    CHECK_EQ(number, SYS_getppid);
    CHECK(arch_ok);
    selector = 1;
    CHECK_EQ(syscall(0xf000), 4711); /* one that no kernel has */
    CHECK_EQ(number, 0xf000);
    for (int i = 0; i < 2000; i++) {
        selector = 1;
        got = syscall(SYS_getuid);
        if (got != 4711)
            break;
    }
    CHECK_EQ(got, 4711);
    CHECK_EQ(seen, 2002);
    CHECK_OK(prctl(PR_SET_SYSCALL_USER_DISPATCH, OFF, 0, 0, 0));
    selector = 1;
    CHECK_EQ(syscall(SYS_getpid), getpid());
}

TEST(calls_from_a_range_of_code_pass) {
    catch();
    /* All of the address space but the last page. */
    CHECK_OK(prctl(PR_SET_SYSCALL_USER_DISPATCH, ON, 1, 0x7fffffffe000, &selector));
    selector = 1;
    CHECK_EQ(syscall(SYS_getppid), getppid());
    CHECK_EQ(seen, 0);
}

TEST(children_and_programs_do_not_have_it) {
    catch();
    CHECK_OK(prctl(PR_SET_SYSCALL_USER_DISPATCH, ON, 0, 0, &selector));
    pid_t child = check_fork();
    if (child == 0) {
        selector = 1;
        _exit(syscall(SYS_getpid) == 4711);
    }
    check_wait(child);
    child = check_fork();
    if (child == 0) {
        CHECK_OK(prctl(PR_SET_SYSCALL_USER_DISPATCH, ON, 0, 0, &selector));
        /* Another case, in a program of its own. */
        execl("/proc/self/exe", "dispatch", "calls_from_a_range_of_code_pass", (char *)NULL);
        _exit(3);
    }
    check_wait(child);
}

TEST(a_bad_byte_kills) {
    pid_t child = check_fork();
    if (child == 0) {
        catch();
        CHECK_OK(prctl(PR_SET_SYSCALL_USER_DISPATCH, ON, 0, 0, &selector));
        selector = 7;
        syscall(SYS_getppid);
        _exit(0);
    }
    check_killed(child, SIGSYS);
    child = check_fork();
    if (child == 0) {
        catch();
        char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        CHECK_OK(prctl(PR_SET_SYSCALL_USER_DISPATCH, ON, 0, 0, page));
        munmap(page, 4096);
        syscall(SYS_getppid);
        _exit(0);
    }
    check_killed(child, SIGSEGV);
}

TEST(bad_arguments) {
    CHECK_ERRNO(prctl(PR_SET_SYSCALL_USER_DISPATCH, OFF, 1, 0, 0), EINVAL);
    CHECK_ERRNO(prctl(PR_SET_SYSCALL_USER_DISPATCH, OFF, 0, 1, 0), EINVAL);
    CHECK_ERRNO(prctl(PR_SET_SYSCALL_USER_DISPATCH, OFF, 0, 0, &selector), EINVAL);
    CHECK_ERRNO(prctl(PR_SET_SYSCALL_USER_DISPATCH, 99, 0, 0, 0), EINVAL);
    CHECK_ERRNO(prctl(PR_SET_SYSCALL_USER_DISPATCH, ON, 5, 0, &selector), EINVAL);
    CHECK_ERRNO(prctl(PR_SET_SYSCALL_USER_DISPATCH, ON, -5L, 10, &selector), EINVAL);
    CHECK_ERRNO(prctl(PR_SET_SYSCALL_USER_DISPATCH, ON, 0, 0, -1L), EFAULT);
}
