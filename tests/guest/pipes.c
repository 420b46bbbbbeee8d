/* Pipes and FIFOs: blocking, ends, atomicity, sizes, splice(2), tee(2), vmsplice(2), sendfile(2). */
#include "check.h"
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>

static int fds[2];

static void make(int flags) {
    CHECK_OK(pipe2(fds, flags));
}

static long fill(int fd) {
    static char block[4096];
    long total = 0, n;
    while ((n = write(fd, block, sizeof block)) > 0)
        total += n;
    CHECK_EQ(errno, EAGAIN);
    return total;
}

TEST(ends_and_errors) {
    char c;
    make(O_CLOEXEC | O_NONBLOCK);
    CHECK_EQ(fcntl(fds[0], F_GETFD), FD_CLOEXEC);
    CHECK_EQ(fcntl(fds[1], F_GETFL) & (O_NONBLOCK | O_ACCMODE), O_NONBLOCK | O_WRONLY);
    CHECK_ERRNO(read(fds[1], &c, 1), EBADF);
    CHECK_ERRNO(write(fds[0], &c, 1), EBADF);
    CHECK_ERRNO(read(fds[0], &c, 1), EAGAIN);
    CHECK_ERRNO(lseek(fds[0], 0, SEEK_CUR), ESPIPE);
    CHECK_ERRNO(pread(fds[0], &c, 1, 0), ESPIPE);
    CHECK_ERRNO(pipe2(fds, 0x1234), EINVAL);
    struct stat st;
    CHECK_OK(fstat(fds[0], &st));
    CHECK(S_ISFIFO(st.st_mode));
    CHECK_EQ(write(fds[1], "abc", 3), 3);
    int n;
    CHECK_OK(ioctl(fds[0], FIONREAD, &n));
    CHECK_EQ(n, 3);
    CHECK_OK(close(fds[1]));
    struct pollfd p = {fds[0], POLLIN, 0};
    CHECK_EQ(poll(&p, 1, 0), 1);
    CHECK_EQ(p.revents, POLLIN | POLLHUP);
    char buf[8];
    CHECK_EQ(read(fds[0], buf, 8), 3);
    CHECK_EQ(read(fds[0], buf, 8), 0);
}

TEST(a_write_without_reader_raises_sigpipe) {
    make(0);
    CHECK_OK(close(fds[0]));
    struct pollfd p = {fds[1], POLLOUT, 0};
    CHECK_EQ(poll(&p, 1, 0), 1);
    CHECK_EQ(p.revents & POLLERR, POLLERR);
    CHECK(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    CHECK_ERRNO(write(fds[1], "x", 1), EPIPE);
    CHECK_EQ(write(fds[1], "x", 0), 0);
    pid_t pid = check_fork();
    if (pid == 0) {
        signal(SIGPIPE, SIG_DFL);
        CHECK_EQ(write(fds[1], "x", 1), 1);
        _exit(0);
    }
    check_killed(pid, SIGPIPE);
}

TEST(capacity_and_atomicity) {
    make(O_NONBLOCK);
    CHECK_EQ(fcntl(fds[0], F_GETPIPE_SZ), 65536);
    CHECK_EQ(fill(fds[1]), 65536);
    struct pollfd p = {fds[1], POLLOUT, 0};
    CHECK_EQ(poll(&p, 1, 0), 0);
    char buf[8192];
    CHECK_EQ(read(fds[0], buf, 100), 100);
    /* room for less than the write: all of up to PIPE_BUF or nothing */
    CHECK_ERRNO(write(fds[1], buf, 4096), EAGAIN);
    CHECK_EQ(read(fds[0], buf, 4096), 4096);
    CHECK_EQ(write(fds[1], buf, 4096), 4096);
    CHECK_EQ(fcntl(fds[0], F_SETPIPE_SZ, 100000), 131072);
    CHECK_EQ(fcntl(fds[1], F_GETPIPE_SZ), 131072);
    CHECK(fill(fds[1]) >= 61440);
    CHECK_ERRNO(fcntl(fds[0], F_SETPIPE_SZ, 4096), EBUSY);
    CHECK_ERRNO(fcntl(fds[0], F_SETPIPE_SZ, 0x80000001), EINVAL);
    CHECK_ERRNO(fcntl(0, F_SETPIPE_SZ, 4096), EBADF);
}

TEST(small_writes_do_not_mix) {
    make(0);
    enum { writers = 4, rounds = 100, size = 1000 };
    pid_t pids[writers];
    for (int w = 0; w < writers; w++)
        if ((pids[w] = check_fork()) == 0) {
            char block[size];
            memset(block, 'a' + w, size);
            for (int i = 0; i < rounds; i++)
                CHECK_EQ(write(fds[1], block, size), size);
            _exit(0);
        }
    CHECK_OK(close(fds[1]));
    static char all[writers * rounds * size];
    size_t have = 0;
    long n;
    while ((n = CHECK_OK(read(fds[0], all + have, sizeof all - have))) > 0)
        have += n;
    CHECK_EQ(have, sizeof all);
    for (size_t i = 0; i < have; i++)
        CHECK_EQ(all[i], all[i - i % size]);
    for (int w = 0; w < writers; w++)
        check_wait(pids[w]);
}

TEST(blocking_until_the_other_end_acts) {
    make(0);
    char c;
    pid_t pid = check_fork();
    if (pid == 0) {
        CHECK_OK(close(fds[1]));
        CHECK_EQ(read(fds[0], &c, 1), 1);
        CHECK_EQ(read(fds[0], &c, 1), 0);
        _exit(0);
    }
    CHECK_OK(close(fds[0]));
    check_until_sleeping(pid);
    CHECK_EQ(write(fds[1], "x", 1), 1);
    check_until_sleeping(pid);
    CHECK_OK(close(fds[1]));
    check_wait(pid);
    /* a large write blocks until all is taken */
    make(0);
    static char big[300000], got[300000];
    memset(big, 'b', sizeof big);
    pid = check_fork();
    if (pid == 0) {
        CHECK_EQ(write(fds[1], big, sizeof big), (long)sizeof big);
        _exit(0);
    }
    CHECK_OK(close(fds[1]));
    size_t have = 0;
    long n;
    while ((n = CHECK_OK(read(fds[0], got + have, sizeof got - have))) > 0)
        have += n;
    CHECK_EQ(have, sizeof big);
    CHECK(memcmp(big, got, have) == 0);
    check_wait(pid);
}

TEST(fifo_open_rules) {
    check_scratch();
    CHECK_OK(mkfifo("f", 0600));
    CHECK_ERRNO(open("f", O_WRONLY | O_NONBLOCK), ENXIO);
    int rd = CHECK_OK(open("f", O_RDONLY | O_NONBLOCK));
    char c;
    CHECK_EQ(read(rd, &c, 1), 0); /* no writer: end of file, not EAGAIN */
    int wr = CHECK_OK(open("f", O_WRONLY | O_NONBLOCK));
    CHECK_ERRNO(read(rd, &c, 1), EAGAIN);
    CHECK_EQ(write(wr, "z", 1), 1);
    CHECK_OK(close(wr));
    CHECK_EQ(read(rd, &c, 1), 1);
    CHECK_OK(close(rd));
    pid_t pid = check_fork();
    if (pid == 0) {
        int fd = CHECK_OK(open("f", O_WRONLY));
        CHECK_EQ(write(fd, "q", 1), 1);
        _exit(0);
    }
    check_until_sleeping(pid);
    rd = CHECK_OK(open("f", O_RDONLY));
    CHECK_EQ(read(rd, &c, 1), 1);
    check_wait(pid);
    CHECK_OK(open("f", O_RDWR));
}

TEST(splice_tee_vmsplice) {
    check_scratch();
    int a[2], b[2];
    char buf[32] = "";
    check_write_file("in", "hello splice");
    int in = CHECK_OK(open("in", O_RDONLY)), out = CHECK_OK(open("out", O_RDWR | O_CREAT, 0600));
    CHECK_OK(pipe2(a, O_NONBLOCK));
    CHECK_OK(pipe2(b, O_NONBLOCK));
    CHECK_ERRNO(splice(in, NULL, out, NULL, 5, 0), EINVAL);
    loff_t offset = 6;
    CHECK_EQ(splice(in, &offset, a[1], NULL, 100, 0), 6);
    CHECK_EQ(offset, 12);
    CHECK_EQ(lseek(in, 0, SEEK_CUR), 0);
    CHECK_ERRNO(splice(in, NULL, a[1], &offset, 1, 0), ESPIPE);
    CHECK_EQ(tee(a[0], b[1], 100, 0), 6);
    CHECK_ERRNO(tee(in, b[1], 100, 0), EINVAL);
    CHECK_ERRNO(tee(a[0], a[1], 100, 0), EINVAL);
    CHECK_EQ(splice(a[0], NULL, out, NULL, 100, 0), 6);
    CHECK_EQ(read(b[0], buf, 32), 6);
    CHECK_STR(buf, "splice");
    check_read_file("out", buf, sizeof buf);
    CHECK_STR(buf, "splice");
    CHECK_ERRNO(splice(a[0], NULL, out, NULL, 1, SPLICE_F_NONBLOCK), EAGAIN);
    struct iovec iov[2] = {{"ab", 2}, {"cd", 2}};
    CHECK_EQ(vmsplice(a[1], iov, 2, 0), 4);
    CHECK_EQ(splice(a[0], NULL, b[1], NULL, 3, 0), 3);
    CHECK_EQ(read(b[0], buf, 32), 3);
    CHECK_EQ(splice(in, NULL, a[1], NULL, 0, 0), 0);
    CHECK_OK(close(b[1]));
    CHECK_EQ(splice(b[0], NULL, a[1], NULL, 10, 0), 0);
    CHECK_ERRNO(splice(99, NULL, a[1], NULL, 10, 0), EBADF);
    int append = CHECK_OK(open("out", O_WRONLY | O_APPEND));
    CHECK_ERRNO(splice(a[0], NULL, append, NULL, 1, 0), EINVAL);
}

TEST(sendfile_and_copy_file_range) {
    check_scratch();
    char buf[32] = "";
    check_write_file("in", "0123456789");
    int in = CHECK_OK(open("in", O_RDONLY)), out = CHECK_OK(open("out", O_RDWR | O_CREAT, 0600));
    make(0);
    off_t offset = 3;
    CHECK_EQ(sendfile(fds[1], in, &offset, 4), 4);
    CHECK_EQ(offset, 7);
    CHECK_EQ(read(fds[0], buf, 32), 4);
    CHECK_STR(buf, "3456");
    CHECK_EQ(sendfile(out, in, NULL, 100), 10);
    CHECK_EQ(sendfile(out, in, NULL, 100), 0);
    offset = -1;
    CHECK_ERRNO(sendfile(out, in, &offset, 1), EINVAL);
    loff_t from = 2, to = 0;
    CHECK_EQ(copy_file_range(in, &from, out, &to, 3, 0), 3);
    CHECK_EQ(from, 5);
    CHECK_ERRNO(copy_file_range(in, NULL, out, NULL, 3, 1), EINVAL);
    CHECK_ERRNO(copy_file_range(in, NULL, fds[1], NULL, 3, 0), EINVAL);
    from = 0, to = 2;
    CHECK_ERRNO(copy_file_range(out, &from, out, &to, 5, 0), EINVAL);
    check_read_file("out", buf, sizeof buf);
    CHECK_STR(buf, "2343456789");
}

TEST(vectors) {
    make(0);
    char a[3], b[5];
    struct iovec out[3] = {{"one", 3}, {NULL, 0}, {"two", 3}}, in[2] = {{a, 3}, {b, 5}};
    CHECK_EQ(writev(fds[1], out, 3), 6);
    CHECK_EQ(readv(fds[0], in, 2), 6);
    CHECK(memcmp(a, "one", 3) == 0 && memcmp(b, "two", 3) == 0);
    CHECK_ERRNO(writev(fds[1], out, -1), EINVAL);
    CHECK_ERRNO(writev(fds[1], out, 1025), EINVAL);
    CHECK_EQ(writev(fds[1], out, 0), 0);
    out[1].iov_len = -1;
    CHECK_ERRNO(writev(fds[1], out, 3), EINVAL);
    out[1] = (struct iovec){(void *)8, 1};
    CHECK_ERRNO(writev(fds[1], (void *)8, 2), EFAULT);
}
