/* Small things that conformance suites ask for: namespace and pidfd ioctls, barriers, sticky timeouts, next ids, owners. */
#include "check.h"
#include <mqueue.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/personality.h>
#include <sys/reboot.h>
#include <sys/select.h>
#include <sys/socket.h>

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

/* Files that splice cannot take are refused at once, however empty the pipe is. */
TEST(splice_refuses_before_it_waits) {
    int ends[2];
    CHECK_OK(pipe(ends));
    int files[] = {CHECK_OK(eventfd(0, 0)), CHECK_OK(epoll_create1(0)), CHECK_OK(inotify_init())};
    for (int i = 0; i < 3; i++) {
        CHECK_ERRNO(splice(files[i], NULL, ends[1], NULL, 1, 0), EINVAL);
        CHECK_ERRNO(readahead(files[i], 0, 1), EINVAL);
    }
    CHECK_ERRNO(splice(CHECK_OK(open("/", O_RDONLY)), NULL, ends[1], NULL, 1, 0), EINVAL);
    CHECK_ERRNO(splice(ends[0], NULL, files[0], NULL, 1, 0), EINVAL);
    CHECK_ERRNO(splice(ends[0], NULL, files[1], NULL, 1, 0), EINVAL);
}

TEST(socket_families_and_types) {
    CHECK_ERRNO(socket(0, SOCK_STREAM, 0), EAFNOSUPPORT);
    CHECK_ERRNO(socket(0, 0, 0), EAFNOSUPPORT);
    CHECK_ERRNO(socket(0, 11, 0), EINVAL);
    CHECK_ERRNO(socket(46, 11, 0), EAFNOSUPPORT);
    CHECK_ERRNO(socket(AF_UNIX, 0, 0), ESOCKTNOSUPPORT);
    CHECK_ERRNO(socket(AF_UNIX, 6, 0), ESOCKTNOSUPPORT);
    CHECK_ERRNO(socket(AF_UNIX, 11, 0), EINVAL);
    CHECK_ERRNO(socket(AF_UNIX, 75, 0), EINVAL);
    int two[2];
    CHECK_ERRNO(socketpair(0, SOCK_STREAM, 0, two), EAFNOSUPPORT);
}

TEST(zero_device_limits_its_mappings) {
    int fd = CHECK_OK(open("/dev/zero", O_RDONLY));
    char *page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    CHECK(page != MAP_FAILED);
    CHECK_ERRNO(mprotect(page, 4096, PROT_WRITE), EACCES);
    CHECK(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED && errno == EACCES);
    CHECK(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_GROWSDOWN, fd, 0) == MAP_FAILED && errno == EINVAL);
    fd = CHECK_OK(open("/dev/zero", O_WRONLY));
    CHECK(mmap(NULL, 4096, PROT_WRITE, MAP_PRIVATE, fd, 0) == MAP_FAILED && errno == EACCES);
}

TEST(sealed_files_may_get_room) {
    int fd = CHECK_OK(memfd_create("sealed", MFD_ALLOW_SEALING));
    CHECK_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
    CHECK_OK(fallocate(fd, 0, 0, 8192));
    CHECK_ERRNO(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), EPERM);
    CHECK_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
    CHECK_OK(fallocate(fd, 0, 0, 8192));
    CHECK_ERRNO(fallocate(fd, 0, 0, 8193), EPERM);
    CHECK_ERRNO(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 8193), EPERM);
}

TEST(shrinking_onto_another_place) {
    char *p = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *to = mmap(NULL, 4 * 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *p = 7;
    CHECK_OK(mprotect(p + 3 * 4096, 4096, PROT_READ));
    CHECK(mremap(p, 4 * 4096, 2 * 4096, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to);
    CHECK_EQ(*to, 7);
    p = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (syscall(462, p + 3 * 4096, 4096, 0) != 0)
        check_skip("no mseal");
    CHECK(mremap(p, 4 * 4096, 2 * 4096, MREMAP_MAYMOVE | MREMAP_FIXED, to) == MAP_FAILED && errno == EPERM);
}

/* A directory hears of files that were removed from it, unless the watch says otherwise. */
TEST(events_of_unlinked_files) {
    check_scratch();
    char events[512];
    for (int excluded = 0; excluded < 2; excluded++) {
        int watch = CHECK_OK(inotify_init1(IN_NONBLOCK));
        CHECK_OK(inotify_add_watch(watch, ".", IN_MODIFY | (excluded ? IN_EXCL_UNLINK : 0)));
        int fd = CHECK_OK(open("gone", O_RDWR | O_CREAT, 0600));
        CHECK_OK(unlink("gone"));
        CHECK_EQ(write(fd, "x", 1), 1);
        if (excluded)
            CHECK_ERRNO(read(watch, events, sizeof events), EAGAIN);
        else
            CHECK_EQ(read(watch, events, sizeof events), 32);
        close(fd);
        close(watch);
    }
}

TEST(mounts_can_be_waited_for) {
    check_need_root();
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        check_skip("no mount namespace");
    check_scratch();
    CHECK_OK(mkdir("here", 0700));
    struct pollfd mounts = {.fd = CHECK_OK(open("/proc/self/mounts", O_RDONLY)), .events = POLLPRI};
    CHECK_EQ(poll(&mounts, 1, 0), 0);
    CHECK_OK(mount("none", "here", "tmpfs", 0, NULL));
    CHECK_EQ(poll(&mounts, 1, -1), 1);
    CHECK_EQ(mounts.revents, POLLPRI | POLLERR);
    CHECK_EQ(poll(&mounts, 1, 0), 0);
    int epoll = CHECK_OK(epoll_create1(0));
    struct epoll_event event = {.events = EPOLLPRI};
    CHECK_OK(epoll_ctl(epoll, EPOLL_CTL_ADD, mounts.fd, &event));
    CHECK_OK(umount("here"));
    CHECK_EQ(epoll_wait(epoll, &event, 1, -1), 1);
    /* What comes and goes by itself is no place for a mount. */
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", mounts.fd);
    int link = CHECK_OK(open(path, O_PATH | O_NOFOLLOW));
    snprintf(path, sizeof path, "/proc/self/fd/%d", link);
    CHECK_ERRNO(mount("/proc/version", path, NULL, MS_BIND, NULL), ENOENT);
}

/* The reading end of a pipe hears of what can be read, not of the room that its own reading makes. */
TEST(one_signal_for_what_can_be_read) {
    int ends[2];
    CHECK_OK(pipe(ends));
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    CHECK_OK(sigprocmask(SIG_BLOCK, &set, NULL));
    CHECK_OK(fcntl(ends[0], F_SETOWN, getpid()));
    CHECK_OK(fcntl(ends[0], F_SETSIG, SIGUSR1));
    CHECK_OK(fcntl(ends[0], F_SETFL, O_ASYNC));
    CHECK_EQ(write(ends[1], "x", 1), 1);
    CHECK_EQ(sigwaitinfo(&set, NULL), SIGUSR1);
    char byte;
    CHECK_EQ(read(ends[0], &byte, 1), 1);
    struct timespec soon = {0, 20000000};
    CHECK_ERRNO(sigtimedwait(&set, NULL, &soon), EAGAIN);
}

TEST(no_futex_beyond_the_end) {
    check_scratch();
    int fd = CHECK_OK(open("file", O_RDWR | O_CREAT, 0600));
    CHECK_OK(ftruncate(fd, 4096));
    int *word = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK_EQ(syscall(SYS_futex, word, 1, 1, NULL, NULL, 0), 0);
    CHECK_OK(ftruncate(fd, 0));
    CHECK_ERRNO(syscall(SYS_futex, word, 1, 1, NULL, NULL, 0), EFAULT);
}

TEST(free_room_of_a_device) {
    struct stat st;
    char room[32];
    CHECK_OK(stat("/dev/shm", &st));
    CHECK_OK(syscall(SYS_ustat, (unsigned)st.st_dev, room));
    CHECK_ERRNO(syscall(SYS_ustat, (unsigned)st.st_dev, (void *)-1), EFAULT);
    CHECK_ERRNO(syscall(SYS_ustat, 0xfffffffeu, room), EINVAL);
}

/* mq_notify with SIGEV_THREAD, as the C library does it: a cookie comes out of a netlink socket. */
TEST(cookies_of_message_queues) {
    mqd_t queue = mq_open("/cookies", O_RDWR | O_CREAT | O_NONBLOCK, 0600, NULL);
    if (queue == -1)
        check_skip("no message queues");
    mq_unlink("/cookies");
    int netlink = CHECK_OK(socket(AF_NETLINK, SOCK_RAW, 0)), other = CHECK_OK(socket(AF_UNIX, SOCK_DGRAM, 0));
    char cookie[32] = "cookie", got[33];
    struct sigevent event = {.sigev_notify = SIGEV_THREAD, .sigev_signo = netlink, .sigev_value.sival_ptr = cookie};
    struct sigevent bad = event;
    bad.sigev_value.sival_ptr = NULL;
    CHECK_ERRNO(syscall(SYS_mq_notify, queue, &bad), EFAULT);
    bad.sigev_value.sival_ptr = cookie;
    bad.sigev_signo = other;
    CHECK_ERRNO(syscall(SYS_mq_notify, queue, &bad), EINVAL);
    bad.sigev_signo = -1;
    CHECK_ERRNO(syscall(SYS_mq_notify, queue, &bad), EBADF);
    CHECK_OK(syscall(SYS_mq_notify, queue, &event));
    CHECK_ERRNO(syscall(SYS_mq_notify, queue, &event), EBUSY);
    CHECK_OK(mq_send(queue, "x", 1, 0));
    CHECK_EQ(recv(netlink, got, sizeof got, 0), 32);
    CHECK(memcmp(got, cookie, 31) == 0 && got[31] == 1);
    CHECK_OK(syscall(SYS_mq_notify, queue, &event));
    CHECK_OK(syscall(SYS_mq_notify, queue, NULL));
    CHECK_EQ(recv(netlink, got, sizeof got, 0), 32);
    CHECK_EQ(got[31], 2);
}
