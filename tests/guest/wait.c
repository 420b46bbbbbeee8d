/* wait4(2), waitid(2), process groups, sessions, orphans and subreapers. */
#include "check.h"

static pid_t pausing_child(void) {
    pid_t pid = check_fork();
    if (pid == 0)
        for (;;)
            pause();
    return pid;
}

TEST(status_of_each_ending) {
    int status;
    pid_t pid = check_fork();
    if (pid == 0)
        _exit(0x1ff);
    CHECK_EQ(check_status(pid), 0xff00);
    pid = pausing_child();
    CHECK_OK(kill(pid, SIGKILL));
    CHECK_EQ(check_status(pid), SIGKILL);
    pid = pausing_child();
    CHECK_OK(kill(pid, SIGSTOP));
    CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
    CHECK_EQ(status, SIGSTOP << 8 | 0x7f);
    CHECK_EQ(waitpid(pid, &status, WUNTRACED | WNOHANG), 0);
    CHECK_OK(kill(pid, SIGCONT));
    CHECK_EQ(waitpid(pid, &status, WCONTINUED), pid);
    CHECK_EQ(status, 0xffff);
    CHECK_OK(kill(pid, SIGTERM));
    CHECK_EQ(check_status(pid), SIGTERM);
}

TEST(errors) {
    int status;
    CHECK_ERRNO(waitpid(-1, &status, 0), ECHILD);
    CHECK_ERRNO(waitpid(-1, &status, 0x10000000), EINVAL);
    CHECK_ERRNO(waitpid(getpid(), &status, 0), ECHILD);
    CHECK_ERRNO(waitpid(INT_MIN, &status, 0), ESRCH);
    siginfo_t info;
    CHECK_ERRNO(waitid(P_ALL, 0, &info, 0), EINVAL);
    CHECK_ERRNO(waitid(P_ALL, 0, &info, WEXITED), ECHILD);
    CHECK_ERRNO(waitid(7, 0, &info, WEXITED), EINVAL);
    CHECK_ERRNO(waitid(P_PID, 0, &info, WEXITED), EINVAL);
    CHECK_ERRNO(waitid(P_PIDFD, 99, &info, WEXITED), EBADF);
    pid_t pid = check_fork();
    if (pid == 0)
        _exit(0);
    check_until_state(pid, "Z");
    CHECK_ERRNO(wait4(pid, (int *)8, 0, NULL), EFAULT);
    /* it was reaped all the same */
    CHECK_ERRNO(waitpid(pid, &status, 0), ECHILD);
}

TEST(waitid_fills_siginfo) {
    siginfo_t info;
    pid_t pid = check_fork();
    if (pid == 0)
        _exit(7);
    CHECK_OK(waitid(P_PID, pid, &info, WEXITED | WNOWAIT));
    CHECK_EQ(info.si_signo, SIGCHLD);
    CHECK_EQ(info.si_code, CLD_EXITED);
    CHECK_EQ(info.si_pid, pid);
    CHECK_EQ(info.si_uid, getuid());
    CHECK_EQ(info.si_status, 7);
    CHECK_EQ(check_status(pid), 7 << 8);
    pid = pausing_child();
    memset(&info, 1, sizeof info);
    CHECK_OK(waitid(P_ALL, 0, &info, WEXITED | WNOHANG));
    CHECK_EQ(info.si_pid, 0);
    CHECK_EQ(info.si_signo, 0);
    CHECK_OK(kill(pid, SIGSTOP));
    CHECK_OK(waitid(P_PID, pid, &info, WSTOPPED));
    CHECK_EQ(info.si_code, CLD_STOPPED);
    CHECK_EQ(info.si_status, SIGSTOP);
    CHECK_OK(kill(pid, SIGCONT));
    CHECK_OK(waitid(P_PID, pid, &info, WCONTINUED));
    CHECK_EQ(info.si_code, CLD_CONTINUED);
    CHECK_EQ(info.si_status, SIGCONT);
    CHECK_OK(kill(pid, SIGKILL));
    CHECK_OK(waitid(P_PID, pid, &info, WEXITED));
    CHECK_EQ(info.si_code, CLD_KILLED);
    CHECK_EQ(info.si_status, SIGKILL);
}

static volatile sig_atomic_t chld_count;
static siginfo_t chld_info;

static void on_chld(int sig, siginfo_t *info, void *context) {
    (void)sig, (void)context;
    chld_count++;
    chld_info = *info;
}

TEST(sigchld_and_its_options) {
    struct sigaction action = {.sa_sigaction = on_chld, .sa_flags = SA_SIGINFO};
    CHECK_OK(sigaction(SIGCHLD, &action, NULL));
    pid_t pid = pausing_child();
    CHECK_OK(kill(pid, SIGSTOP));
    CHECK_EVENTUALLY(chld_count == 1);
    CHECK_EQ(chld_info.si_code, CLD_STOPPED);
    CHECK_EQ(chld_info.si_status, SIGSTOP);
    CHECK_EQ(chld_info.si_pid, pid);
    CHECK_OK(kill(pid, SIGCONT));
    CHECK_EVENTUALLY(chld_count == 2);
    CHECK_EQ(chld_info.si_code, CLD_CONTINUED);
    action.sa_flags |= SA_NOCLDSTOP;
    CHECK_OK(sigaction(SIGCHLD, &action, NULL));
    CHECK_OK(kill(pid, SIGSTOP));
    check_until_state(pid, "T");
    CHECK_EQ(chld_count, 2);
    CHECK_OK(kill(pid, SIGKILL));
    CHECK_EVENTUALLY(chld_count == 3);
    CHECK_EQ(chld_info.si_code, CLD_KILLED);
    check_killed(pid, SIGKILL);
    /* no zombies */
    action.sa_flags = SA_NOCLDWAIT | SA_SIGINFO;
    CHECK_OK(sigaction(SIGCHLD, &action, NULL));
    pid = check_fork();
    if (pid == 0)
        _exit(0);
    CHECK_ERRNO(waitpid(pid, NULL, 0), ECHILD);
    CHECK_EVENTUALLY(chld_count == 4);
    signal(SIGCHLD, SIG_IGN);
    pid = check_fork();
    if (pid == 0)
        _exit(0);
    CHECK_ERRNO(waitpid(pid, NULL, 0), ECHILD);
}

TEST(process_groups) {
    pid_t a = pausing_child(), b = pausing_child();
    int status;
    CHECK_OK(setpgid(a, a));
    CHECK_OK(setpgid(b, a));
    CHECK_EQ(getpgid(b), a);
    CHECK_ERRNO(waitpid(-b, &status, WNOHANG), ECHILD);
    CHECK_EQ(waitpid(-a, &status, WNOHANG), 0);
    CHECK_ERRNO(waitpid(0, &status, WNOHANG), ECHILD);
    CHECK_OK(kill(-a, SIGKILL));
    CHECK(waitpid(-a, &status, 0) > 0);
    CHECK(waitpid(-a, &status, 0) > 0);
    CHECK_ERRNO(kill(-a, 0), ESRCH);
    CHECK_ERRNO(setpgid(0, -1), EINVAL);
    CHECK_ERRNO(setpgid(99999999, 0), ESRCH);
    CHECK_ERRNO(setpgid(0, 99999999), EPERM);
    CHECK_ERRNO(setpgid(getppid(), 0), ESRCH);
    CHECK_ERRNO(getpgid(99999999), ESRCH);
}

int check_helper(int argc, char **argv) {
    (void)argc, (void)argv;
    for (;;)
        pause();
}

TEST(setpgid_after_exec_and_other_session) {
    pid_t pid = check_fork();
    if (pid == 0) {
        execl("/proc/self/exe", "x", "@", NULL);
        _exit(1);
    }
    CHECK_EVENTUALLY(({
        char path[64], text[64];
        snprintf(path, sizeof path, "/proc/%d/cmdline", pid);
        check_read_file(path, text, sizeof text);
        text[0] == 'x';
    }));
    CHECK_ERRNO(setpgid(pid, pid), EACCES);
    CHECK_OK(kill(pid, SIGKILL));
    check_killed(pid, SIGKILL);
    int fds[2];
    char c;
    CHECK_OK(pipe(fds));
    pid = check_fork();
    if (pid == 0) {
        CHECK_EQ(CHECK_OK(setsid()), getpid());
        CHECK_EQ(getpgrp(), getpid());
        CHECK_EQ(getsid(0), getpid());
        CHECK_ERRNO(setsid(), EPERM);
        CHECK_ERRNO(setpgid(0, 0), EPERM);
        CHECK_EQ(write(fds[1], "x", 1), 1);
        pause();
    }
    CHECK_EQ(read(fds[0], &c, 1), 1);
    CHECK_EQ(getsid(pid), pid);
    CHECK_ERRNO(setpgid(pid, getpgrp()), EPERM);
    CHECK_OK(kill(pid, SIGKILL));
    check_killed(pid, SIGKILL);
}

TEST(orphans_go_to_the_subreaper) {
    int fds[2], value;
    pid_t orphan;
    CHECK_OK(pipe(fds));
    CHECK_OK(prctl(PR_SET_CHILD_SUBREAPER, 1));
    CHECK_OK(prctl(PR_GET_CHILD_SUBREAPER, &value));
    CHECK_EQ(value, 1);
    pid_t pid = check_fork();
    if (pid == 0) {
        CHECK_OK(prctl(PR_GET_CHILD_SUBREAPER, &value));
        CHECK_EQ(value, 0);
        orphan = check_fork();
        if (orphan == 0) {
            pid_t parent = getppid();
            CHECK_OK(prctl(PR_SET_PDEATHSIG, SIGUSR1));
            sigset_t set;
            sigemptyset(&set);
            sigaddset(&set, SIGUSR1);
            sigprocmask(SIG_BLOCK, &set, NULL);
            orphan = getpid();
            CHECK_EQ(write(fds[1], &orphan, sizeof orphan), (long)sizeof orphan);
            CHECK_EQ(sigwaitinfo(&set, NULL), SIGUSR1);
            CHECK(getppid() != parent);
            _exit(31);
        }
        CHECK_EQ(read(fds[0], &orphan, sizeof orphan), (long)sizeof orphan);
        CHECK_EQ(write(fds[1], &orphan, sizeof orphan), (long)sizeof orphan);
        check_until_sleeping(orphan);
        _exit(0);
    }
    check_wait(pid);
    CHECK_EQ(read(fds[0], &orphan, sizeof orphan), (long)sizeof orphan);
    CHECK_EQ(WEXITSTATUS(check_status(orphan)), 31);
}

TEST(an_orphaned_stopped_group_is_hung_up) {
    CHECK_OK(prctl(PR_SET_CHILD_SUBREAPER, 1));
    int fds[2];
    pid_t stopped;
    CHECK_OK(pipe(fds));
    pid_t pid = check_fork();
    if (pid == 0) {
        stopped = pausing_child();
        CHECK_OK(setpgid(stopped, stopped));
        CHECK_OK(kill(stopped, SIGSTOP));
        check_until_state(stopped, "T");
        CHECK_EQ(write(fds[1], &stopped, sizeof stopped), (long)sizeof stopped);
        _exit(0);
    }
    check_wait(pid);
    CHECK_EQ(read(fds[0], &stopped, sizeof stopped), (long)sizeof stopped);
    /* while its new parent is in another group of the same session, the group is no orphan */
    if (getsid(0) == getsid(stopped))
        CHECK_OK(kill(stopped, SIGCONT)), CHECK_OK(kill(stopped, SIGHUP));
    check_killed(stopped, SIGHUP);
}

TEST(rusage_of_children_adds_up) {
    struct rusage usage, total;
    pid_t pid = check_fork();
    if (pid == 0) {
        long long end = check_now(CLOCK_PROCESS_CPUTIME_ID) + 50000000;
        while (check_now(CLOCK_PROCESS_CPUTIME_ID) < end)
            ;
        _exit(0);
    }
    CHECK_EQ(wait4(pid, NULL, 0, &usage), pid);
    CHECK_OK(getrusage(RUSAGE_CHILDREN, &total));
    long us = usage.ru_utime.tv_usec + usage.ru_stime.tv_usec + 1000000 * (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec);
    CHECK(us >= 30000);
    CHECK_EQ(total.ru_utime.tv_usec, usage.ru_utime.tv_usec);
    CHECK_EQ(total.ru_stime.tv_usec, usage.ru_stime.tv_usec);
    CHECK_ERRNO(getrusage(5, &usage), EINVAL);
}
