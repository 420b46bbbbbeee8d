/* Small things that conformance suites ask for: namespace and pidfd ioctls, barriers, sticky timeouts, next ids, owners. */
#include "check.h"
#include <sys/ioctl.h>
#include <sys/msg.h>
#include <sys/personality.h>
#include <sys/reboot.h>
#include <sys/select.h>

#define NS_IO(n) _IO(0xb7, n)

TEST(namespace_ioctls) {
    check_need_root();
    int fd = CHECK_OK(open("/proc/self/ns/uts", O_RDONLY));
    CHECK_EQ(ioctl(fd, NS_IO(3)), CLONE_NEWUTS);
    CHECK_ERRNO(ioctl(fd, NS_IO(2)), EINVAL);
    CHECK_ERRNO(ioctl(fd, NS_IO(4), &fd), EINVAL);
    pid_t pid = check_fork();
    if (pid == 0) {
        if (unshare(CLONE_NEWUSER) != 0)
            _exit(0);
        int own = CHECK_OK(open("/proc/self/ns/user", O_RDONLY));
        CHECK_EQ(ioctl(own, NS_IO(3)), CLONE_NEWUSER);
        CHECK_ERRNO(ioctl(own, NS_IO(2)), EPERM); /* out of sight */
        CHECK_ERRNO(ioctl(fd, NS_IO(1)), EPERM);
        _exit(0);
    }
    check_wait(pid);
}

struct info {
    uint64_t mask, cgroup;
    uint32_t pid, tgid, ppid, ids[8];
    int32_t exit_code;
};

TEST(pidfd_info) {
    struct info info = {.mask = 8};
    pid_t pid = check_fork();
    if (pid == 0)
        _exit(5);
    int fd = CHECK_OK(syscall(SYS_pidfd_open, pid, 0));
    unsigned long get = _IOC(_IOC_READ | _IOC_WRITE, 0xff, 11, sizeof info);
    if (ioctl(fd, get, &info) != 0 && (errno == ENOTTY || errno == EINVAL))
        check_skip("an older kernel");
    CHECK_EQ(info.pid, pid);
    CHECK_EQ(info.ppid, getpid());
    CHECK_EQ(info.mask & 3, 3);
    CHECK_ERRNO(ioctl(fd, get, NULL), EINVAL);
    check_status(pid);
    info.mask = 0;
    CHECK_ERRNO(ioctl(fd, get, &info), ESRCH);
}

TEST(sticky_timeouts) {
    struct timeval t = {0, 3000};
    CHECK_EQ(select(0, NULL, NULL, NULL, &t), 0);
    CHECK_EQ(t.tv_usec, 0);
    CHECK_OK(personality(PER_LINUX | STICKY_TIMEOUTS));
    t.tv_usec = 3000;
    CHECK_EQ(select(0, NULL, NULL, NULL, &t), 0);
    CHECK_EQ(t.tv_usec, 3000);
}

TEST(global_barriers) {
    long offered = CHECK_OK(syscall(SYS_membarrier, 0, 0));
    CHECK_EQ(offered & 7, 7);
    CHECK_OK(syscall(SYS_membarrier, 1, 0));
    CHECK_OK(syscall(SYS_membarrier, 4, 0));
    CHECK_OK(syscall(SYS_membarrier, 2, 0));
}

TEST(reboot_needs_the_right) {
    check_need_root();
    pid_t pid = check_fork();
    if (pid == 0) {
        CHECK_OK(setresuid(1234, 1234, 1234));
        CHECK_ERRNO(reboot(RB_DISABLE_CAD), EPERM);
        _exit(0);
    }
    check_wait(pid);
}

TEST(next_ids) {
    check_need_root();
    if (unshare(CLONE_NEWIPC) != 0 || access("/proc/sys/kernel/msg_next_id", W_OK) != 0)
        check_skip("not to be chosen");
    int fd = open("/proc/sys/kernel/msg_next_id", O_WRONLY);
    if (fd == -1)
        check_skip("a kernel without checkpoints");
    if (write(fd, "99", 2) == -1)
        check_skip("not to be chosen");
    int id = CHECK_OK(msgget(IPC_PRIVATE, 0600));
    CHECK_EQ(id, 99);
    CHECK_OK(msgctl(id, IPC_RMID, NULL));
}

/* Owners that are nobody in particular survive a change through the descriptor. */
TEST(owner_through_a_descriptor) {
    check_need_root();
    check_scratch();
    int fd = CHECK_OK(open("file", O_RDWR | O_CREAT, 0644));
    CHECK_OK(fchown(fd, 700, 701));
    CHECK_OK(fchown(fd, 702, -1));
    CHECK_EQ(write(fd, "x", 1), 1);
    struct stat st;
    CHECK_OK(fstat(fd, &st));
    CHECK_EQ(st.st_uid, 702);
    CHECK_EQ(st.st_gid, 701);
}
