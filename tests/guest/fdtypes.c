/* eventfd(2), signalfd(2), inotify(7), memfd_create(2) with seals, pidfd_open(2). */
#include "check.h"
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>

static short polled(int fd) {
    struct pollfd p = {fd, POLLIN | POLLOUT, 0};
    CHECK(poll(&p, 1, 0) >= 0);
    return p.revents;
}

TEST(eventfd_counts) {
    uint64_t n = 0xfffffffffffffffe;
    int fd = CHECK_OK(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    CHECK_EQ(polled(fd), POLLOUT);
    CHECK_ERRNO(read(fd, &n, 8), EAGAIN);
    CHECK_ERRNO(read(fd, &n, 7), EINVAL);
    n = 3;
    CHECK_EQ(write(fd, &n, 8), 8);
    CHECK_EQ(write(fd, &n, 8), 8);
    CHECK_EQ(polled(fd), POLLIN | POLLOUT);
    CHECK_EQ(read(fd, &n, 8), 8);
    CHECK_EQ(n, 6);
    n = -1;
    CHECK_ERRNO(write(fd, &n, 8), EINVAL);
    n = -2;
    CHECK_EQ(write(fd, &n, 8), 8);
    CHECK_EQ(polled(fd), POLLIN);
    n = 1;
    CHECK_ERRNO(write(fd, &n, 8), EAGAIN);
    CHECK_EQ(read(fd, &n, 8), 8);
    CHECK_EQ(n, -2);
    CHECK_ERRNO(write(fd, &n, 4), EINVAL);
    CHECK_EQ(lseek(fd, 1, SEEK_SET), 0); /* there is no position, and yet no error */
    CHECK_ERRNO(eventfd(0, 0x40), EINVAL);
    fd = CHECK_OK(eventfd(2, EFD_SEMAPHORE));
    CHECK_EQ(read(fd, &n, 8), 8);
    CHECK_EQ(n, 1);
    CHECK_EQ(read(fd, &n, 8), 8);
    pid_t pid = check_fork();
    if (pid == 0) {
        CHECK_EQ(read(fd, &n, 8), 8);
        _exit(0);
    }
    check_until_sleeping(pid);
    n = 1;
    CHECK_EQ(write(fd, &n, 8), 8);
    check_wait(pid);
}

TEST(signalfd_takes_blocked_signals) {
    sigset_t set;
    struct signalfd_siginfo info[3];
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGRTMIN);
    CHECK_OK(sigprocmask(SIG_BLOCK, &set, NULL));
    int fd = CHECK_OK(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
    CHECK_ERRNO(read(fd, info, sizeof info), EAGAIN);
    CHECK_ERRNO(read(fd, info, 100), EINVAL);
    CHECK_OK(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 5}));
    CHECK_OK(kill(getpid(), SIGUSR1));
    CHECK_EQ(polled(fd), POLLIN);
    CHECK_EQ(read(fd, info, sizeof info), 2 * (long)sizeof *info);
    CHECK_EQ(info[0].ssi_signo, SIGUSR1);
    CHECK_EQ(info[0].ssi_pid, getpid());
    CHECK_EQ(info[1].ssi_signo, SIGRTMIN);
    CHECK_EQ(info[1].ssi_code, SI_QUEUE);
    CHECK_EQ(info[1].ssi_int, 5);
    CHECK_EQ(polled(fd), 0);
    /* the set can be changed */
    sigdelset(&set, SIGUSR1);
    CHECK_EQ(signalfd(fd, &set, 0), fd);
    CHECK_OK(kill(getpid(), SIGUSR1));
    CHECK_ERRNO(read(fd, info, sizeof info), EAGAIN);
    CHECK_ERRNO(signalfd(0, &set, 0), EINVAL);
    CHECK_ERRNO(signalfd(-1, &set, 0x11), EINVAL);
    CHECK_ERRNO(syscall(SYS_signalfd4, -1, &set, 4, 0), EINVAL);
}

static char events[4096];
static size_t events_len, events_at;

static struct inotify_event *next_event(int fd) {
    if (events_at == events_len) {
        events_len = CHECK_OK(read(fd, events, sizeof events));
        events_at = 0;
    }
    struct inotify_event *event = (void *)(events + events_at);
    events_at += sizeof *event + event->len;
    return event;
}

#define EXPECT(fd, want, want_name)                                                                                    \
    do {                                                                                                               \
        struct inotify_event *event = next_event(fd);                                                                  \
        CHECK_EQ(event->mask, want);                                                                                   \
        CHECK_STR(event->len ? event->name : "", want_name);                                                           \
    } while (0)

TEST(inotify_tells_what_happens) {
    check_scratch();
    int in = CHECK_OK(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    CHECK_OK(mkdir("d", 0700));
    int wd = CHECK_OK(inotify_add_watch(in, "d", IN_ALL_EVENTS));
    CHECK_EQ(inotify_add_watch(in, "d", IN_ALL_EVENTS), wd);
    CHECK_ERRNO(read(in, events, sizeof events), EAGAIN);
    check_write_file("d/f", "x");
    EXPECT(in, IN_CREATE, "f");
    EXPECT(in, IN_OPEN, "f");
    EXPECT(in, IN_MODIFY, "f");
    EXPECT(in, IN_CLOSE_WRITE, "f");
    char c;
    int fd = CHECK_OK(open("d/f", O_RDONLY));
    CHECK_EQ(read(fd, &c, 1), 1);
    CHECK_OK(close(fd));
    EXPECT(in, IN_OPEN, "f");
    EXPECT(in, IN_ACCESS, "f");
    EXPECT(in, IN_CLOSE_NOWRITE, "f");
    CHECK_OK(chmod("d/f", 0600));
    EXPECT(in, IN_ATTRIB, "f");
    CHECK_OK(rename("d/f", "d/g"));
    struct inotify_event *event = next_event(in);
    CHECK_EQ(event->mask, IN_MOVED_FROM);
    unsigned cookie = event->cookie;
    CHECK(cookie != 0);
    event = next_event(in);
    CHECK_EQ(event->mask, IN_MOVED_TO);
    CHECK_EQ(event->cookie, cookie);
    CHECK_STR(event->name, "g");
    CHECK_EQ(event->len % 16, 0);
    CHECK_OK(mkdir("d/sub", 0700));
    EXPECT(in, IN_CREATE | IN_ISDIR, "sub");
    CHECK_OK(rmdir("d/sub"));
    EXPECT(in, IN_DELETE | IN_ISDIR, "sub");
    CHECK_OK(unlink("d/g"));
    EXPECT(in, IN_DELETE, "g");
    CHECK_OK(rmdir("d"));
    EXPECT(in, IN_DELETE_SELF, "");
    EXPECT(in, IN_IGNORED, "");
    CHECK_ERRNO(inotify_rm_watch(in, wd), EINVAL);
}

TEST(inotify_options_and_errors) {
    check_scratch();
    int in = CHECK_OK(inotify_init1(IN_NONBLOCK));
    check_write_file("f", "x");
    CHECK_ERRNO(inotify_add_watch(in, "none", IN_OPEN), ENOENT);
    CHECK_ERRNO(inotify_add_watch(in, "f", 0), EINVAL);
    CHECK_ERRNO(inotify_add_watch(in, "f", IN_OPEN | IN_ONLYDIR), ENOTDIR);
    CHECK_ERRNO(inotify_add_watch(0, "f", IN_OPEN), EINVAL);
    CHECK_ERRNO(inotify_init1(1), EINVAL);
    int wd = CHECK_OK(inotify_add_watch(in, "f", IN_ATTRIB | IN_ONESHOT));
    CHECK_OK(chmod("f", 0600));
    CHECK_OK(chmod("f", 0644));
    EXPECT(in, IN_ATTRIB, "");
    EXPECT(in, IN_IGNORED, "");
    CHECK_ERRNO(read(in, events, sizeof events), EAGAIN);
    wd = CHECK_OK(inotify_add_watch(in, "f", IN_OPEN));
    CHECK_ERRNO(inotify_add_watch(in, "f", IN_OPEN | IN_MASK_CREATE), EEXIST);
    CHECK_EQ(inotify_add_watch(in, "f", IN_MODIFY | IN_MASK_ADD), wd);
    int fd = CHECK_OK(open("f", O_WRONLY));
    for (int i = 0; i < 3; i++)
        CHECK_EQ(write(fd, "y", 1), 1);
    /* a short buffer takes no part of an event; equal neighbours are one */
    CHECK_ERRNO(read(in, events, 8), EINVAL);
    EXPECT(in, IN_OPEN, "");
    EXPECT(in, IN_MODIFY, "");
    CHECK_OK(inotify_rm_watch(in, wd));
    EXPECT(in, IN_IGNORED, "");
    CHECK_ERRNO(inotify_rm_watch(in, wd), EINVAL);
}

TEST(memfd_and_seals) {
    char buf[8];
    int fd = CHECK_OK(memfd_create("name", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    CHECK_EQ(fcntl(fd, F_GET_SEALS), 0);
    CHECK_OK(ftruncate(fd, 8192));
    char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(p != MAP_FAILED);
    strcpy(p, "hi");
    CHECK_EQ(read(fd, buf, 3), 3);
    CHECK_STR(buf, "hi");
    CHECK_ERRNO(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EBUSY);
    CHECK_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
    CHECK_ERRNO(ftruncate(fd, 0), EPERM);
    CHECK_OK(ftruncate(fd, 16384));
    CHECK_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
    CHECK_ERRNO(ftruncate(fd, 20000), EPERM);
    CHECK_ERRNO(pwrite(fd, "x", 1, 16384), EPERM);
    CHECK_OK(munmap(p, 4096));
    CHECK_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
    CHECK_ERRNO(write(fd, "x", 1), EPERM);
    CHECK_ERRNO(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), EPERM);
    p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    CHECK(p != MAP_FAILED);
    p[0] = 'H';
    CHECK_ERRNO(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), EPERM);
    CHECK_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL));
    CHECK_ERRNO(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL), EPERM);
    CHECK_EQ(fcntl(fd, F_GET_SEALS), F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
    fd = CHECK_OK(memfd_create("", 0));
    CHECK_EQ(fcntl(fd, F_GET_SEALS), F_SEAL_SEAL);
    CHECK_ERRNO(fcntl(0, F_GET_SEALS), EINVAL);
    CHECK_ERRNO(memfd_create("x", 0x100), EINVAL);
    char name[300];
    memset(name, 'n', sizeof name);
    name[250] = 0;
    CHECK_ERRNO(memfd_create(name, 0), EINVAL);
    char link[64], path[32];
    fd = CHECK_OK(memfd_create("shown", 0));
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    link[CHECK_OK(readlink(path, link, 63))] = 0;
    CHECK_STR(link, "/memfd:shown (deleted)");
    CHECK_OK(open(path, O_RDWR));
}

TEST(pidfd) {
    pid_t pid = check_fork();
    if (pid == 0)
        for (;;)
            pause();
    int fd = CHECK_OK(syscall(SYS_pidfd_open, pid, 0));
    CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
    CHECK_EQ(polled(fd), 0);
    CHECK_OK(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0));
    CHECK_ERRNO(syscall(SYS_pidfd_send_signal, fd, 99, NULL, 0), EINVAL);
    CHECK_ERRNO(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0x100), EINVAL);
    CHECK_ERRNO(syscall(SYS_pidfd_send_signal, 0, 0, NULL, 0), EBADF);
    int null = CHECK_OK(open("/dev/null", O_RDONLY));
    int copy = CHECK_OK(syscall(SYS_pidfd_getfd, CHECK_OK(syscall(SYS_pidfd_open, getpid(), 0)), null, 0));
    CHECK_EQ(fcntl(copy, F_GETFD), FD_CLOEXEC);
    CHECK_OK(syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0));
    struct pollfd p = {fd, POLLIN, 0};
    CHECK_EQ(poll(&p, 1, 5000), 1);
    CHECK_EQ(p.revents & POLLIN, POLLIN);
    check_killed(pid, SIGTERM);
    CHECK_ERRNO(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0), ESRCH);
    CHECK_ERRNO(syscall(SYS_pidfd_open, pid, 0), ESRCH);
    CHECK_ERRNO(syscall(SYS_pidfd_open, -1, 0), EINVAL);
    CHECK_ERRNO(syscall(SYS_pidfd_open, getpid(), 1), EINVAL);
}
