/* io_setup(2), io_submit(2), io_getevents(2), io_cancel(2), io_destroy(2), by the bare calls. */
#include "check.h"
#include <linux/aio_abi.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/uio.h>

static aio_context_t setup(unsigned n) {
    aio_context_t ctx = 0;
    CHECK_OK(syscall(SYS_io_setup, n, &ctx));
    CHECK(ctx != 0);
    return ctx;
}

static long submit(aio_context_t ctx, struct iocb *block) {
    return syscall(SYS_io_submit, ctx, 1L, &block);
}

static long get(aio_context_t ctx, long min, long n, struct io_event *events, struct timespec *t) {
    return syscall(SYS_io_getevents, ctx, min, n, events, t);
}

static struct iocb request(int op, int fd, void *buf, size_t len, long long at) {
    struct iocb block = {.aio_lio_opcode = op, .aio_fildes = fd, .aio_buf = (uint64_t)buf, .aio_nbytes = len, .aio_offset = at, .aio_data = 77};
    return block;
}

TEST(contexts_are_bounded_and_named) {
    aio_context_t ctx = 0, other = 5;
    CHECK_ERRNO(syscall(SYS_io_setup, 0, &ctx), EINVAL);
    CHECK_ERRNO(syscall(SYS_io_setup, 1, &other), EINVAL);
    CHECK_ERRNO(syscall(SYS_io_setup, -1, &ctx), EINVAL);
    CHECK_ERRNO(syscall(SYS_io_setup, 1 << 20, &ctx), EAGAIN);
    CHECK_ERRNO(syscall(SYS_io_setup, 1, NULL), EFAULT);
    ctx = setup(4);
    pid_t pid = check_fork();
    if (pid == 0) { /* a child has none */
        CHECK_ERRNO(syscall(SYS_io_destroy, ctx), EINVAL);
        _exit(0);
    }
    check_wait(pid);
    CHECK_OK(syscall(SYS_io_destroy, ctx));
    CHECK_ERRNO(syscall(SYS_io_destroy, ctx), EINVAL);
    CHECK_ERRNO(get(ctx, 0, 1, NULL, NULL), EINVAL);
}

TEST(files_are_written_and_read) {
    char in[8] = "", out[] = "abcdefgh";
    aio_context_t ctx = setup(8);
    int fd = CHECK_OK(open("aio.data", O_RDWR | O_CREAT | O_TRUNC, 0600)), efd = CHECK_OK(eventfd(0, 0));
    struct iocb w = request(IOCB_CMD_PWRITE, fd, out, 8, 4);
    w.aio_flags = IOCB_FLAG_RESFD;
    w.aio_resfd = efd;
    w.aio_key = 9;
    CHECK_EQ(submit(ctx, &w), 1);
    CHECK_EQ(w.aio_key, 0);
    struct io_event event;
    CHECK_EQ(get(ctx, 1, 1, &event, NULL), 1);
    CHECK_EQ(event.res, 8);
    CHECK_EQ(event.data, 77);
    CHECK_EQ(event.obj, (uint64_t)&w);
    uint64_t n;
    CHECK_EQ(read(efd, &n, 8), 8);
    CHECK_EQ(n, 1);
    struct iovec iov[2] = {{in, 3}, {in + 3, 5}};
    struct iocb r = request(IOCB_CMD_PREADV, fd, iov, 2, 4);
    struct iocb s = request(IOCB_CMD_FSYNC, fd, NULL, 0, 0);
    struct iocb *both[] = {&r, &s};
    CHECK_EQ(syscall(SYS_io_submit, ctx, 2L, both), 2);
    struct io_event events[4];
    struct timespec none = {0, 0};
    CHECK_EQ(get(ctx, 2, 4, events, NULL), 2);
    CHECK(memcmp(in, out, 8) == 0);
    CHECK_EQ(get(ctx, 1, 4, events, &none), 0);
    CHECK_EQ(get(ctx, 0, 4, events, NULL), 0);
    CHECK_ERRNO(get(ctx, 2, 1, events, NULL), EINVAL);
    CHECK_ERRNO(get(ctx, -1, 1, events, NULL), EINVAL);
    unlink("aio.data");
}

TEST(what_cannot_be_asked_is_refused) {
    char byte = 0;
    aio_context_t ctx = setup(2);
    int fds[2];
    CHECK_OK(pipe(fds));
    struct iocb block = request(IOCB_CMD_PREAD, -1, &byte, 1, 0), *list[2] = {&block, NULL};
    CHECK_ERRNO(submit(ctx, &block), EBADF);
    block.aio_fildes = fds[1];
    CHECK_ERRNO(submit(ctx, &block), EBADF);
    block.aio_fildes = fds[0];
    block.aio_lio_opcode = 99;
    CHECK_ERRNO(submit(ctx, &block), EINVAL);
    block.aio_lio_opcode = IOCB_CMD_FSYNC;
    block.aio_buf = block.aio_nbytes = 0;
    CHECK_ERRNO(submit(ctx, &block), EINVAL);
    block = request(IOCB_CMD_PWRITE, fds[1], &byte, 1, 0);
    block.aio_flags = IOCB_FLAG_RESFD;
    block.aio_resfd = fds[0];
    CHECK_ERRNO(submit(ctx, &block), EINVAL);
    block.aio_flags = 0;
    block.aio_reserved2 = 1;
    CHECK_ERRNO(submit(ctx, &block), EINVAL);
    block.aio_reserved2 = 0;
    CHECK_EQ(syscall(SYS_io_submit, ctx, 2L, list), 1); /* the second is a null pointer */
    CHECK_ERRNO(syscall(SYS_io_submit, ctx, -1L, list), EINVAL);
    CHECK_EQ(syscall(SYS_io_submit, ctx, 0L, list), 0);
    CHECK_ERRNO(syscall(SYS_io_submit, ctx, 1L, (void *)-1), EFAULT);
    CHECK_ERRNO(syscall(SYS_io_submit, 0x1234L, 1L, list), EINVAL);
}

TEST(polls_end_when_the_file_is_ready) {
    char byte = 1;
    aio_context_t ctx = setup(4);
    int fds[2], efd = CHECK_OK(eventfd(0, 0));
    CHECK_OK(pipe(fds));
    struct iocb block = request(IOCB_CMD_POLL, fds[0], (void *)POLLIN, 0, 0);
    block.aio_flags = IOCB_FLAG_RESFD;
    block.aio_resfd = efd;
    CHECK_EQ(submit(ctx, &block), 1);
    struct io_event event;
    struct timespec none = {0, 0};
    CHECK_EQ(get(ctx, 0, 1, &event, &none), 0);
    CHECK_EQ(write(fds[1], &byte, 1), 1);
    struct pollfd p = {efd, POLLIN, 0};
    CHECK_EQ(poll(&p, 1, 10000), 1);
    CHECK_EQ(get(ctx, 1, 1, &event, NULL), 1);
    CHECK(event.res & POLLIN);
    CHECK_EQ(submit(ctx, &block), 1); /* ready at once */
    CHECK_EQ(get(ctx, 1, 1, &event, NULL), 1);
    CHECK_EQ(read(fds[0], &byte, 1), 1);
    CHECK_EQ(submit(ctx, &block), 1);
    struct io_event result;
    CHECK_ERRNO(syscall(SYS_io_cancel, ctx, &block, &result), EINPROGRESS);
    CHECK_EQ(get(ctx, 1, 1, &event, NULL), 1);
    CHECK_EQ(event.res, 0);
    CHECK_ERRNO(syscall(SYS_io_cancel, ctx, &block, &result), EINVAL);
    CHECK_EQ(submit(ctx, &block), 1);
    CHECK_OK(syscall(SYS_io_destroy, ctx));
}

TEST(a_full_context_takes_no_more) {
    aio_context_t ctx = setup(1);
    int fds[2];
    long n = 0;
    CHECK_OK(pipe(fds));
    struct iocb block = request(IOCB_CMD_POLL, fds[0], (void *)POLLIN, 0, 0);
    while (submit(ctx, &block) == 1)
        CHECK(n++ < 100000);
    CHECK_EQ(errno, EAGAIN);
    CHECK(n > 0);
    CHECK_OK(syscall(SYS_io_destroy, ctx));
}

