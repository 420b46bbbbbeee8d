/* User and group ids, capabilities, securebits, namespaces of users, pids and hosts. */
#include "check.h"
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/fsuid.h>

static void expect_uids(uid_t r, uid_t e, uid_t s) {
    uid_t ruid, euid, suid;
    CHECK_OK(getresuid(&ruid, &euid, &suid));
    CHECK_EQ(ruid, r);
    CHECK_EQ(euid, e);
    CHECK_EQ(suid, s);
    CHECK_EQ(setfsuid(-1), (int)e);
}

static struct __user_cap_data_struct caps[2];

static uint64_t effective(void) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    CHECK_OK(syscall(SYS_capget, &header, caps));
    return caps[0].effective | (uint64_t)caps[1].effective << 32;
}

static uint64_t permitted(void) {
    effective();
    return caps[0].permitted | (uint64_t)caps[1].permitted << 32;
}

TEST(uid_calls_of_root) {
    check_need_root();
    CHECK_OK(setresuid(1, 2, 3));
    expect_uids(1, 2, 3);
    CHECK_ERRNO(setresuid(4, -1, -1), EPERM);
    CHECK_OK(setresuid(3, 1, 2));
    expect_uids(3, 1, 2);
    CHECK_OK(seteuid(2));
    expect_uids(3, 2, 2);
    CHECK_ERRNO(setuid(77), EPERM);
    CHECK_OK(setuid(3));
    expect_uids(3, 3, 2);
    CHECK_OK(setreuid(-1, 2));
    expect_uids(3, 2, 2); /* the effective id differs from the old real one: saved follows */
    CHECK_ERRNO(setgroups(0, NULL), EPERM);
    CHECK_ERRNO(setgid(5), EPERM);
    CHECK_ERRNO(chroot("/"), EPERM);
}

TEST(setuid_of_root_sets_all) {
    check_need_root();
    CHECK_OK(setuid(1234));
    expect_uids(1234, 1234, 1234);
    CHECK_ERRNO(setuid(0), EPERM);
    CHECK_EQ(effective(), 0);
    CHECK_EQ(permitted(), 0);
}

TEST(groups) {
    check_need_root();
    gid_t list[] = {30, 10, 20}, got[8];
    CHECK_OK(setgroups(3, list));
    CHECK_EQ(getgroups(0, NULL), 3);
    CHECK_EQ(getgroups(8, got), 3);
    CHECK(got[0] == 10 && got[1] == 20 && got[2] == 30); /* Linux sorts them */
    CHECK_ERRNO(getgroups(2, got), EINVAL);
    CHECK_ERRNO(setgroups(65537, list), EINVAL);
    CHECK_OK(setresgid(5, 6, 7));
    gid_t r, e, s;
    CHECK_OK(getresgid(&r, &e, &s));
    CHECK(r == 5 && e == 6 && s == 7);
    /* a file of a supplementary group */
    check_scratch();
    check_write_file("f", "x");
    CHECK_OK(chown("f", 0, 20));
    CHECK_OK(chmod("f", 0040));
    CHECK_OK(chmod(".", 0755));
    CHECK_OK(setresuid(1234, 1234, 1234));
    CHECK_OK(open("f", O_RDONLY));
    CHECK_ERRNO(open("f", O_WRONLY), EACCES);
}

TEST(capabilities_follow_the_effective_uid) {
    check_need_root();
    uint64_t all = permitted();
    CHECK(all != 0);
    CHECK_OK(seteuid(1234));
    CHECK_EQ(effective(), 0);
    CHECK_EQ(permitted(), all);
    CHECK_OK(seteuid(0));
    CHECK_EQ(effective(), all);
    CHECK_OK(prctl(PR_SET_KEEPCAPS, 1));
    CHECK_OK(setresuid(1234, 1234, 1234));
    CHECK_EQ(effective(), 0);
    CHECK_EQ(permitted(), all);
    CHECK_EQ(prctl(PR_GET_KEEPCAPS), 1);
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    caps[0].effective = 1 << CAP_KILL;
    caps[1].effective = 0;
    CHECK_OK(syscall(SYS_capset, &header, caps));
    CHECK_EQ(effective(), 1 << CAP_KILL);
    CHECK_OK(kill(getppid(), 0));
    caps[0].permitted = caps[0].effective = 0;
    caps[1].permitted = 0;
    CHECK_OK(syscall(SYS_capset, &header, caps));
    caps[0].permitted = 1 << CAP_KILL;
    CHECK_ERRNO(syscall(SYS_capset, &header, caps), EPERM);
    header.version = 1;
    CHECK_ERRNO(syscall(SYS_capget, &header, caps), EINVAL);
    CHECK_EQ(header.version, _LINUX_CAPABILITY_VERSION_3);
    header.pid = 99999999;
    CHECK_ERRNO(syscall(SYS_capget, &header, caps), ESRCH);
}

TEST(bounding_ambient_and_securebits) {
    check_need_root();
    CHECK_EQ(prctl(PR_CAPBSET_READ, CAP_CHOWN), 1);
    CHECK_OK(prctl(PR_CAPBSET_DROP, CAP_CHOWN));
    CHECK_EQ(prctl(PR_CAPBSET_READ, CAP_CHOWN), 0);
    CHECK_ERRNO(prctl(PR_CAPBSET_READ, 99), EINVAL);
    CHECK_ERRNO(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0), EPERM); /* not inheritable */
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    effective();
    caps[0].inheritable = 1 << CAP_KILL;
    CHECK_OK(syscall(SYS_capset, &header, caps));
    CHECK_OK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0));
    CHECK_EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_KILL, 0, 0), 1);
    CHECK_OK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0));
    CHECK_EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_KILL, 0, 0), 0);
    CHECK_EQ(prctl(PR_GET_SECUREBITS), 0);
    CHECK_OK(prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED));
    CHECK_ERRNO(prctl(PR_SET_SECUREBITS, 0), EPERM);
    uint64_t before = effective();
    CHECK_OK(setresuid(1234, 1234, 1234));
    CHECK_EQ(effective(), before);
}

TEST(threads_have_their_own) {
    check_need_root();
    /* the call is the thread's; the C library makes it the process's */
    pid_t pid = check_fork();
    if (pid == 0) {
        CHECK_OK(syscall(SYS_setresuid, -1, 1234, -1));
        CHECK_EQ(geteuid(), 1234);
        CHECK_EQ(getuid(), 0);
        _exit(0);
    }
    check_wait(pid);
}

TEST(no_new_privs) {
    CHECK_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
    CHECK_ERRNO(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0), EINVAL);
    CHECK_ERRNO(prctl(PR_SET_NO_NEW_PRIVS, 1, 1, 0, 0), EINVAL);
    CHECK_OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    CHECK_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
    pid_t pid = check_fork();
    if (pid == 0) {
        CHECK_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
        _exit(0);
    }
    check_wait(pid);
}

TEST(prctl_corners) {
    char name[16];
    int value;
    CHECK_ERRNO(prctl(12345), EINVAL);
    CHECK_ERRNO(prctl(PR_SET_NAME, 8), EFAULT);
    CHECK_ERRNO(prctl(PR_SET_PDEATHSIG, 99), EINVAL);
    CHECK_ERRNO(prctl(PR_SET_DUMPABLE, 2), EINVAL);
    CHECK_OK(prctl(PR_SET_DUMPABLE, 0));
    CHECK_EQ(prctl(PR_GET_DUMPABLE), 0);
    CHECK_OK(prctl(PR_SET_NAME, "0123456789abcdefghij"));
    CHECK_OK(prctl(PR_GET_NAME, name));
    CHECK_STR(name, "0123456789abcde");
    CHECK_OK(prctl(PR_SET_TIMERSLACK, 1000));
    CHECK_EQ(prctl(PR_GET_TIMERSLACK), 1000);
    CHECK_OK(prctl(PR_GET_TSC, &value));
    CHECK_EQ(value, PR_TSC_ENABLE);
}

TEST(a_new_pid_namespace_counts_from_one) {
    check_need_root();
    if (unshare(CLONE_NEWPID) == -1)
        check_skip("no pid namespaces");
    pid_t pid = check_fork();
    if (pid == 0) {
        CHECK_EQ(getpid(), 1);
        CHECK_EQ(getppid(), 0);
        /* signals from inside that it does not handle do not reach it */
        CHECK_OK(kill(1, SIGTERM));
        CHECK_OK(kill(1, SIGKILL));
        pid_t child = check_fork();
        if (child == 0) {
            CHECK_EQ(getpid(), 2);
            CHECK_EQ(getppid(), 1);
            for (;;)
                pause();
        }
        CHECK_EQ(child, 2);
        _exit(7); /* takes the other along */
    }
    CHECK(pid > 1);
    CHECK_EQ(WEXITSTATUS(check_status(pid)), 7);
    CHECK_ERRNO(fork(), ENOMEM);
}

TEST(host_names_are_the_namespace_s) {
    char name[65];
    check_need_root();
    if (unshare(CLONE_NEWUTS) == -1)
        check_skip("no uts namespaces");
    CHECK_OK(sethostname("inner", 5));
    CHECK_OK(gethostname(name, sizeof name));
    CHECK_STR(name, "inner");
    CHECK_ERRNO(sethostname(name, 65), EINVAL);
    CHECK_ERRNO(sethostname((char *)8, 5), EFAULT);
}
