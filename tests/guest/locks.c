/* File locks: POSIX record locks, open file description locks, flock(2), leases' errors, deadlock detection. */
#include "check.h"
#include <sys/file.h>

static int set_lock(int fd, int cmd, int type, off_t start, off_t len) {
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};
    return fcntl(fd, cmd, &lock);
}

/* The type of the lock that stands against one of this kind, F_UNLCK if none. */
static struct flock get_lock(int fd, int cmd, int type, off_t start, off_t len) {
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};
    CHECK_OK(fcntl(fd, cmd, &lock));
    return lock;
}

static int file(void) {
    check_scratch();
    return CHECK_OK(open("f", O_RDWR | O_CREAT, 0600));
}

TEST(record_locks_between_processes) {
    int fd = file();
    CHECK_OK(set_lock(fd, F_SETLK, F_WRLCK, 10, 10));
    CHECK_OK(set_lock(fd, F_SETLK, F_RDLCK, 100, 10));
    pid_t parent = getpid(), pid = check_fork();
    if (pid == 0) {
        CHECK_ERRNO(set_lock(fd, F_SETLK, F_RDLCK, 0, 0), EAGAIN);
        CHECK_ERRNO(set_lock(fd, F_SETLK, F_WRLCK, 19, 1), EAGAIN);
        CHECK_OK(set_lock(fd, F_SETLK, F_WRLCK, 20, 10));
        CHECK_OK(set_lock(fd, F_SETLK, F_RDLCK, 105, 1));
        CHECK_ERRNO(set_lock(fd, F_SETLK, F_WRLCK, 105, 1), EAGAIN);
        struct flock lock = get_lock(fd, F_GETLK, F_WRLCK, 0, 0);
        CHECK_EQ(lock.l_type, F_WRLCK);
        CHECK_EQ(lock.l_pid, parent);
        CHECK_EQ(lock.l_start, 10);
        CHECK_EQ(lock.l_len, 10);
        CHECK_EQ(get_lock(fd, F_GETLK, F_WRLCK, 0, 10).l_type, F_UNLCK);
        _exit(0);
    }
    check_wait(pid);
    /* the child's locks went with it */
    CHECK_OK(set_lock(fd, F_SETLK, F_WRLCK, 0, 0));
}

TEST(ranges_split_and_join) {
    int fd = file();
    CHECK_OK(set_lock(fd, F_SETLK, F_WRLCK, 0, 100));
    CHECK_OK(set_lock(fd, F_SETLK, F_UNLCK, 40, 20));
    CHECK_OK(set_lock(fd, F_SETLK, F_RDLCK, 80, 40));
    pid_t pid = check_fork();
    if (pid == 0) {
        struct flock lock = get_lock(fd, F_GETLK, F_WRLCK, 0, 0);
        CHECK_EQ(lock.l_len, 40);
        lock = get_lock(fd, F_GETLK, F_WRLCK, 40, 0);
        CHECK(lock.l_start == 60 && lock.l_len == 20 && lock.l_type == F_WRLCK);
        lock = get_lock(fd, F_GETLK, F_WRLCK, 80, 0);
        CHECK(lock.l_start == 80 && lock.l_len == 40 && lock.l_type == F_RDLCK);
        CHECK_OK(set_lock(fd, F_SETLK, F_WRLCK, 40, 20));
        _exit(0);
    }
    check_wait(pid);
    /* negative lengths count back, relative starts from the offset */
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = -5};
    CHECK_OK(fcntl(fd, F_SETLK, &lock));
    lock.l_len = -20;
    CHECK_ERRNO(fcntl(fd, F_SETLK, &lock), EINVAL);
    lock = (struct flock){.l_type = 9, .l_whence = SEEK_SET};
    CHECK_ERRNO(fcntl(fd, F_SETLK, &lock), EINVAL);
    lock = (struct flock){.l_type = F_WRLCK, .l_whence = 9};
    CHECK_ERRNO(fcntl(fd, F_SETLK, &lock), EINVAL);
    int ro = CHECK_OK(open("f", O_RDONLY));
    CHECK_ERRNO(set_lock(ro, F_SETLK, F_WRLCK, 0, 1), EBADF);
}

TEST(any_close_releases_record_locks) {
    int fd = file();
    CHECK_OK(set_lock(fd, F_SETLK, F_WRLCK, 0, 0));
    CHECK_OK(close(CHECK_OK(open("f", O_RDONLY))));
    pid_t pid = check_fork();
    if (pid == 0) {
        CHECK_OK(set_lock(fd, F_SETLK, F_WRLCK, 0, 0));
        _exit(0);
    }
    check_wait(pid);
}

TEST(waiting_for_a_lock) {
    int fd = file();
    CHECK_OK(set_lock(fd, F_SETLK, F_WRLCK, 0, 1));
    pid_t pid = check_fork();
    if (pid == 0) {
        CHECK_OK(set_lock(fd, F_SETLKW, F_WRLCK, 0, 0));
        _exit(0);
    }
    check_until_sleeping(pid);
    CHECK_EQ(waitpid(pid, NULL, WNOHANG), 0);
    CHECK_OK(set_lock(fd, F_SETLK, F_UNLCK, 0, 1));
    check_wait(pid);
}

TEST(deadlocks_are_found) {
    int fd = file();
    CHECK_OK(set_lock(fd, F_SETLK, F_WRLCK, 0, 1));
    pid_t pid = check_fork();
    if (pid == 0) {
        CHECK_OK(set_lock(fd, F_SETLK, F_WRLCK, 1, 1));
        CHECK_OK(set_lock(fd, F_SETLKW, F_WRLCK, 0, 1));
        _exit(0);
    }
    CHECK_EVENTUALLY(get_lock(fd, F_GETLK, F_WRLCK, 1, 1).l_type != F_UNLCK);
    check_until_sleeping(pid);
    CHECK_ERRNO(set_lock(fd, F_SETLKW, F_WRLCK, 1, 1), EDEADLK);
    CHECK_OK(set_lock(fd, F_SETLK, F_UNLCK, 0, 1));
    check_wait(pid);
}

TEST(ofd_locks_belong_to_the_open_file) {
    int fd = file(), other = CHECK_OK(open("f", O_RDWR)), dup_fd = CHECK_OK(dup(fd));
    CHECK_OK(set_lock(fd, F_OFD_SETLK, F_WRLCK, 0, 10));
    CHECK_OK(set_lock(dup_fd, F_OFD_SETLK, F_WRLCK, 0, 10));
    CHECK_ERRNO(set_lock(other, F_OFD_SETLK, F_RDLCK, 5, 1), EAGAIN);
    CHECK_ERRNO(set_lock(fd, F_SETLK, F_RDLCK, 5, 1), EAGAIN);
    CHECK_EQ(get_lock(other, F_OFD_GETLK, F_RDLCK, 0, 0).l_pid, -1);
    struct flock lock = {.l_type = F_WRLCK, .l_pid = 5};
    CHECK_ERRNO(fcntl(fd, F_OFD_SETLK, &lock), EINVAL);
    CHECK_OK(close(fd));
    CHECK_ERRNO(set_lock(other, F_OFD_SETLK, F_RDLCK, 5, 1), EAGAIN);
    CHECK_OK(close(dup_fd));
    CHECK_OK(set_lock(other, F_OFD_SETLK, F_RDLCK, 5, 1));
}

TEST(flock_is_apart_and_converts) {
    int fd = file(), other = CHECK_OK(open("f", O_RDONLY));
    CHECK_OK(flock(fd, LOCK_SH));
    CHECK_OK(flock(other, LOCK_SH));
    CHECK_ERRNO(flock(fd, LOCK_EX | LOCK_NB), EWOULDBLOCK);
    CHECK_OK(flock(other, LOCK_UN));
    CHECK_OK(flock(fd, LOCK_EX | LOCK_NB));
    CHECK_ERRNO(flock(other, LOCK_SH | LOCK_NB), EWOULDBLOCK);
    /* record locks do not see it */
    CHECK_OK(set_lock(fd, F_SETLK, F_WRLCK, 0, 0));
    CHECK_ERRNO(flock(fd, 0), EINVAL);
    CHECK_ERRNO(flock(99, LOCK_SH), EBADF);
    pid_t pid = check_fork();
    if (pid == 0) {
        CHECK_OK(flock(other, LOCK_EX));
        _exit(0);
    }
    check_until_sleeping(pid);
    CHECK_OK(close(fd));
    /* the child still holds a copy of fd, so the lock stays until it lets go: it waits for itself */
    CHECK_EQ(waitpid(pid, NULL, WNOHANG), 0);
    CHECK_OK(kill(pid, SIGKILL));
    check_killed(pid, SIGKILL);
    CHECK_OK(flock(other, LOCK_EX | LOCK_NB));
}

static void on_signal(int sig) {
    (void)sig;
}

TEST(a_signal_interrupts_the_wait) {
    int fd = file();
    CHECK_OK(set_lock(fd, F_SETLK, F_WRLCK, 0, 1));
    pid_t pid = check_fork();
    if (pid == 0) {
        struct sigaction action = {.sa_handler = on_signal};
        CHECK_OK(sigaction(SIGUSR1, &action, NULL));
        CHECK_ERRNO(set_lock(fd, F_SETLKW, F_WRLCK, 0, 0), EINTR);
        _exit(0);
    }
    check_until_sleeping(pid);
    CHECK_OK(kill(pid, SIGUSR1));
    check_wait(pid);
}

/* Threads that open the file and append to it under a lock: what one has written the next sees, whoever looks it up. */
static void *append_under_lock(void *count) {
    char block[512];
    memset(block, 'x', sizeof block);
    struct flock lock = {.l_whence = SEEK_SET, .l_len = 1};
    for (int i = 0; i < *(int *)count; i++) {
        int fd = CHECK_OK(open("appended", O_RDWR));
        lock.l_type = F_WRLCK;
        CHECK_OK(fcntl(fd, F_OFD_SETLKW, &lock));
        CHECK_OK(lseek(fd, 0, SEEK_END));
        CHECK_EQ(write(fd, block, sizeof block), (ssize_t)sizeof block);
        close(fd);
    }
    return NULL;
}

TEST(appends_under_a_lock_are_all_there) {
    check_scratch();
    int fd = CHECK_OK(open("appended", O_RDWR | O_CREAT, 0600)), count = 50;
    pthread_t threads[6];
    for (int i = 0; i < 6; i++)
        CHECK_ZERO(pthread_create(&threads[i], NULL, append_under_lock, &count));
    for (int i = 0; i < 6; i++)
        CHECK_ZERO(pthread_join(threads[i], NULL));
    CHECK_EQ(lseek(fd, 0, SEEK_END), 6 * 50 * 512);
}
