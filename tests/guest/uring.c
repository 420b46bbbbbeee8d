/* io_uring(7) by the bare calls: rings, files, sockets, links, timeouts, polls, registration. */
#include "check.h"
#include <linux/io_uring.h>
#include <linux/time_types.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

static struct {
    int fd;
    unsigned *sq_head, *sq_tail, *sq_array, *sq_flags, *cq_head, *cq_tail, sq_mask, cq_mask, pending;
    struct io_uring_sqe *sqes;
    struct io_uring_cqe *cqes;
    struct io_uring_params p;
} ring;

static bool setup(unsigned entries, unsigned flags) {
    memset(&ring, 0, sizeof ring);
    ring.p.flags = flags;
    ring.fd = syscall(SYS_io_uring_setup, entries, &ring.p);
    if (ring.fd < 0)
        return false;
    CHECK(ring.p.features & IORING_FEAT_SINGLE_MMAP);
    size_t len = ring.p.cq_off.cqes + ring.p.cq_entries * sizeof(struct io_uring_cqe);
    size_t len2 = ring.p.sq_off.array + ring.p.sq_entries * 4;
    char *rings = CHECK_OK(mmap(NULL, len > len2 ? len : len2, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring.fd, IORING_OFF_SQ_RING));
    ring.sqes = CHECK_OK(mmap(NULL, ring.p.sq_entries * sizeof(struct io_uring_sqe), PROT_READ | PROT_WRITE, MAP_SHARED, ring.fd, IORING_OFF_SQES));
    ring.sq_head = (void *)(rings + ring.p.sq_off.head);
    ring.sq_tail = (void *)(rings + ring.p.sq_off.tail);
    ring.sq_array = (void *)(rings + ring.p.sq_off.array);
    ring.sq_flags = (void *)(rings + ring.p.sq_off.flags);
    ring.cq_head = (void *)(rings + ring.p.cq_off.head);
    ring.cq_tail = (void *)(rings + ring.p.cq_off.tail);
    ring.cqes = (void *)(rings + ring.p.cq_off.cqes);
    ring.sq_mask = *(unsigned *)(rings + ring.p.sq_off.ring_mask);
    ring.cq_mask = *(unsigned *)(rings + ring.p.cq_off.ring_mask);
    return true;
}

/* A kernel of the host may forbid it; the sandbox does not. */
#define SETUP(n, flags)                                                                                                \
    if (!setup(n, flags)) {                                                                                            \
        CHECK(errno == EPERM || errno == ENOSYS);                                                                      \
        check_skip("io_uring is not allowed here");                                                                    \
    }

static struct io_uring_sqe *sqe(int op, int fd, const void *addr, unsigned len, uint64_t off, uint64_t data) {
    unsigned tail = *ring.sq_tail, index = tail & ring.sq_mask;
    struct io_uring_sqe *s = &ring.sqes[index];
    memset(s, 0, sizeof *s);
    s->opcode = op, s->fd = fd, s->addr = (uint64_t)addr, s->len = len, s->off = off, s->user_data = data;
    ring.sq_array[index] = index;
    __atomic_store_n(ring.sq_tail, tail + 1, __ATOMIC_RELEASE);
    ring.pending++;
    return s;
}

static int enter(unsigned wait) {
    unsigned n = ring.pending;
    ring.pending = 0;
    return syscall(SYS_io_uring_enter, ring.fd, n, wait, wait ? IORING_ENTER_GETEVENTS : 0, NULL, 0);
}

struct completion {
    uint64_t user_data;
    int res;
    unsigned flags;
};

/* The next completion. */
static struct completion next(void) {
    while (__atomic_load_n(ring.cq_tail, __ATOMIC_ACQUIRE) == *ring.cq_head)
        CHECK_OK(syscall(SYS_io_uring_enter, ring.fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0));
    struct io_uring_cqe *at = &ring.cqes[*ring.cq_head & ring.cq_mask];
    struct completion cqe = {at->user_data, at->res, at->flags};
    __atomic_store_n(ring.cq_head, *ring.cq_head + 1, __ATOMIC_RELEASE);
    return cqe;
}

static bool empty(void) {
    return __atomic_load_n(ring.cq_tail, __ATOMIC_ACQUIRE) == *ring.cq_head;
}

#define EXPECT(data, result)                                                                                           \
    do {                                                                                                               \
        struct completion got = next();                                                                              \
        CHECK_EQ(got.user_data, data);                                                                                 \
        CHECK_EQ(got.res, result);                                                                                     \
    } while (0)

TEST(a_ring_is_checked_and_sized) {
    SETUP(5, 0);
    CHECK_EQ(ring.p.sq_entries, 8);
    CHECK_EQ(ring.p.cq_entries, 16);
    CHECK_EQ(ring.sq_mask, 7);
    CHECK(fcntl(ring.fd, F_GETFD) & FD_CLOEXEC);
    for (int i = 0; i < 8; i++)
        sqe(IORING_OP_NOP, -1, NULL, 0, 0, i);
    CHECK_EQ(enter(8), 8);
    CHECK_EQ(*ring.sq_head, 8);
    for (int i = 0; i < 8; i++)
        EXPECT(i, 0);
    CHECK(empty());
    CHECK_EQ(enter(0), 0);
    struct io_uring_params p = {0};
    CHECK_ERRNO(syscall(SYS_io_uring_setup, 0, &p), EINVAL);
    CHECK_ERRNO(syscall(SYS_io_uring_setup, 40000, &p), EINVAL);
    CHECK_ERRNO(syscall(SYS_io_uring_setup, 4, NULL), EFAULT);
    p.flags = 1u << 31;
    CHECK_ERRNO(syscall(SYS_io_uring_setup, 4, &p), EINVAL);
    p = (struct io_uring_params){.flags = IORING_SETUP_CQSIZE, .cq_entries = 2};
    CHECK_ERRNO(syscall(SYS_io_uring_setup, 4, &p), EINVAL);
    p = (struct io_uring_params){.resv = {1}};
    CHECK_ERRNO(syscall(SYS_io_uring_setup, 4, &p), EINVAL);
    int fds[2];
    CHECK_OK(pipe(fds));
    CHECK_ERRNO(syscall(SYS_io_uring_enter, fds[0], 0, 0, 0, NULL, 0), EOPNOTSUPP);
    CHECK_ERRNO(syscall(SYS_io_uring_enter, -1, 0, 0, 0, NULL, 0), EBADF);
    CHECK_ERRNO(syscall(SYS_io_uring_enter, ring.fd, 0, 0, 1u << 31, NULL, 0), EINVAL);
}

TEST(nonsense_is_answered) {
    SETUP(4, IORING_SETUP_SUBMIT_ALL);
    char c;
    sqe(200, -1, NULL, 0, 0, 1);
    sqe(IORING_OP_READ, 99, &c, 1, 0, 2);
    sqe(IORING_OP_NOP, -1, NULL, 0, 0, 3)->flags = 0x80;
    CHECK_EQ(enter(3), 3);
    EXPECT(1, -EINVAL);
    EXPECT(2, -EBADF);
    EXPECT(3, -EINVAL);
    *ring.sq_tail += 1; /* an index that there is not */
    ring.sq_array[3] = 77;
    syscall(SYS_io_uring_enter, ring.fd, 1, 0, 0, NULL, 0);
    CHECK(empty());
    CHECK_EQ(*ring.sq_head, 4);
}

TEST(files) {
    SETUP(8, 0);
    char a[] = "hello ", b[] = "world", in[16] = "";
    struct iovec iov[2] = {{a, 6}, {b, 5}};
    sqe(IORING_OP_OPENAT, AT_FDCWD, "uring.data", 0600, 0, 1)->open_flags = O_RDWR | O_CREAT | O_TRUNC;
    CHECK_EQ(enter(1), 1);
    int fd = next().res;
    CHECK(fd >= 0);
    sqe(IORING_OP_WRITEV, fd, iov, 2, 0, 2)->flags = IOSQE_IO_LINK;
    sqe(IORING_OP_FSYNC, fd, NULL, 0, 0, 3)->flags = IOSQE_IO_LINK;
    sqe(IORING_OP_READ, fd, in, 16, 0, 4);
    CHECK_EQ(enter(3), 3);
    EXPECT(2, 11);
    EXPECT(3, 0);
    EXPECT(4, 11);
    CHECK_STR(in, "hello world");
    sqe(IORING_OP_WRITE, fd, "!", 1, -1, 5)->flags = IOSQE_IO_LINK; /* at the position, which has not moved */
    sqe(IORING_OP_READ, fd, in, 1, 0, 6);
    enter(2);
    EXPECT(5, 1);
    EXPECT(6, 1);
    CHECK_EQ(in[0], '!');
    struct statx stx;
    sqe(IORING_OP_STATX, AT_FDCWD, "uring.data", STATX_SIZE, (uint64_t)&stx, 7)->flags = IOSQE_IO_LINK;
    sqe(IORING_OP_CLOSE, fd, NULL, 0, 0, 8);
    enter(2);
    EXPECT(7, 0);
    CHECK_EQ(stx.stx_size, 11);
    EXPECT(8, 0);
    CHECK_ERRNO(close(fd), EBADF);
    sqe(IORING_OP_CLOSE, ring.fd, NULL, 0, 0, 9);
    sqe(IORING_OP_UNLINKAT, AT_FDCWD, "uring.data", 0, 0, 10);
    enter(2);
    EXPECT(9, -EBADF);
    EXPECT(10, 0);
    CHECK_ERRNO(access("uring.data", F_OK), ENOENT);
}

TEST(a_failure_ends_a_chain) {
    SETUP(8, 0);
    char c;
    sqe(IORING_OP_READ, 99, &c, 1, 0, 1)->flags = IOSQE_IO_LINK;
    sqe(IORING_OP_NOP, -1, NULL, 0, 0, 2)->flags = IOSQE_IO_LINK;
    sqe(IORING_OP_NOP, -1, NULL, 0, 0, 3);
    sqe(IORING_OP_NOP, -1, NULL, 0, 0, 4);
    CHECK_EQ(enter(4), 4);
    int seen = 0;
    for (int i = 0; i < 4; i++) {
        struct completion cqe = next();
        int want = cqe.user_data == 1 ? -EBADF : cqe.user_data == 4 ? 0 : -ECANCELED;
        CHECK_EQ(cqe.res, want);
        seen |= 1 << cqe.user_data;
    }
    CHECK_EQ(seen, 0x1e);
    sqe(IORING_OP_READ, 99, &c, 1, 0, 1)->flags = IOSQE_IO_HARDLINK;
    sqe(IORING_OP_NOP, -1, NULL, 0, 0, 2);
    enter(2);
    EXPECT(1, -EBADF);
    EXPECT(2, 0);
    sqe(IORING_OP_NOP, -1, NULL, 0, 0, 5)->flags = IOSQE_CQE_SKIP_SUCCESS;
    sqe(IORING_OP_NOP, -1, NULL, 0, 0, 6);
    enter(1);
    EXPECT(6, 0);
    CHECK(empty());
}

TEST(pipes_wait_for_data) {
    SETUP(8, 0);
    char in[8] = "";
    int fds[2], efd = CHECK_OK(eventfd(0, EFD_NONBLOCK));
    CHECK_OK(pipe(fds));
    CHECK_OK(syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_EVENTFD, &efd, 1));
    CHECK_ERRNO(syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_EVENTFD, &efd, 1), EBUSY);
    sqe(IORING_OP_READ, fds[0], in, 8, 0, 1);
    CHECK_EQ(enter(0), 1);
    CHECK(empty());
    CHECK_EQ(write(fds[1], "abc", 3), 3);
    struct pollfd p = {efd, POLLIN, 0};
    CHECK_EQ(poll(&p, 1, 10000), 1);
    EXPECT(1, 3);
    CHECK_STR(in, "abc");
    CHECK_OK(syscall(SYS_io_uring_register, ring.fd, IORING_UNREGISTER_EVENTFD, NULL, 0));
    p = (struct pollfd){ring.fd, POLLIN, 0};
    CHECK_EQ(poll(&p, 1, 0), 0);
    sqe(IORING_OP_READ, fds[0], in, 8, 0, 2);
    enter(0);
    pid_t pid = check_fork();
    if (pid == 0) {
        check_until_sleeping(getppid());
        CHECK_EQ(write(fds[1], "x", 1), 1);
        _exit(0);
    }
    CHECK_EQ(poll(&p, 1, 10000), 1); /* of the ring itself */
    EXPECT(2, 1);
    check_wait(pid);
    sqe(IORING_OP_READ, fds[0], in, 8, 0, 3);
    enter(0);
    CHECK_OK(fcntl(fds[0], F_SETFL, O_NONBLOCK)); /* changes nothing for requests */
    sqe(IORING_OP_READ, fds[0], in, 8, 0, 4)->rw_flags = 8; /* RWF_NOWAIT */
    enter(1);
    EXPECT(4, -EAGAIN);
    sqe(IORING_OP_ASYNC_CANCEL, -1, (void *)3, 0, 0, 5);
    enter(2);
    int sum = 0;
    for (int i = 0; i < 2; i++) {
        struct completion cqe = next();
        CHECK_EQ(cqe.res, cqe.user_data == 3 ? -ECANCELED : 0);
        sum += cqe.user_data;
    }
    CHECK_EQ(sum, 8);
    sqe(IORING_OP_ASYNC_CANCEL, -1, (void *)3, 0, 0, 6);
    enter(1);
    EXPECT(6, -ENOENT);
}

TEST(sockets) {
    SETUP(16, 0);
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, from;
    socklen_t len = sizeof addr, from_len = sizeof from;
    int listener = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0)), client = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
    CHECK_OK(bind(listener, (void *)&addr, len));
    CHECK_OK(listen(listener, 5));
    CHECK_OK(getsockname(listener, (void *)&addr, &len));
    sqe(IORING_OP_ACCEPT, listener, &from, 0, (uint64_t)&from_len, 1);
    CHECK_EQ(enter(0), 1);
    CHECK(empty());
    sqe(IORING_OP_CONNECT, client, &addr, 0, sizeof addr, 2);
    CHECK_EQ(enter(2), 1);
    int server = -1;
    for (int i = 0; i < 2; i++) {
        struct completion cqe = next();
        if (cqe.user_data == 1)
            server = cqe.res;
        else
            CHECK_EQ(cqe.res, 0);
    }
    CHECK(server >= 0);
    CHECK_EQ(from_len, sizeof from);
    char in[16] = "";
    sqe(IORING_OP_RECV, server, in, sizeof in, 0, 3);
    CHECK_EQ(enter(0), 1);
    sqe(IORING_OP_SEND, client, "ping", 4, 0, 4);
    CHECK_EQ(enter(2), 1);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(next().res, 4);
    CHECK_STR(in, "ping");
    struct iovec iov = {in, sizeof in};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1}, out = message;
    struct iovec oiov = {"pong!", 5};
    out.msg_iov = &oiov;
    sqe(IORING_OP_RECVMSG, client, &message, 1, 0, 5);
    CHECK_EQ(enter(0), 1);
    sqe(IORING_OP_SENDMSG, server, &out, 1, 0, 6);
    CHECK_EQ(enter(2), 1);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(next().res, 5);
    sqe(IORING_OP_RECV, server, in, sizeof in, 0, 7);
    enter(0);
    sqe(IORING_OP_SHUTDOWN, client, NULL, SHUT_WR, 0, 8);
    CHECK_EQ(enter(2), 1);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(next().res, 0);
    sqe(IORING_OP_SEND, listener, "x", 1, 0, 9)->msg_flags = MSG_NOSIGNAL;
    enter(1);
    EXPECT(9, -EPIPE);
    sqe(IORING_OP_RECV, ring.fd, in, 1, 0, 10);
    enter(1);
    EXPECT(10, -ENOTSOCK);
}

TEST(timeouts) {
    SETUP(8, 0);
    struct __kernel_timespec soon = {0, 20000000}, late = {100, 0}, bad = {0, -1};
    sqe(IORING_OP_TIMEOUT, -1, &soon, 1, 0, 1);
    CHECK_EQ(enter(1), 1);
    EXPECT(1, -ETIME);
    sqe(IORING_OP_TIMEOUT, -1, &bad, 1, 0, 2);
    enter(1);
    EXPECT(2, -EINVAL);
    sqe(IORING_OP_TIMEOUT, -1, &late, 1, 2, 3); /* or two completions */
    sqe(IORING_OP_NOP, -1, NULL, 0, 0, 4);
    sqe(IORING_OP_NOP, -1, NULL, 0, 0, 5);
    enter(3);
    EXPECT(4, 0);
    EXPECT(5, 0);
    EXPECT(3, 0);
    sqe(IORING_OP_TIMEOUT, -1, &late, 1, 0, 6);
    enter(0);
    sqe(IORING_OP_TIMEOUT_REMOVE, -1, (void *)6, 0, 0, 7);
    enter(2);
    int sum = 0;
    for (int i = 0; i < 2; i++) {
        struct completion cqe = next();
        CHECK_EQ(cqe.res, cqe.user_data == 6 ? -ECANCELED : 0);
        sum += cqe.user_data;
    }
    CHECK_EQ(sum, 13);
    sqe(IORING_OP_TIMEOUT_REMOVE, -1, (void *)6, 0, 0, 8);
    enter(1);
    EXPECT(8, -ENOENT);
    struct io_uring_getevents_arg arg = {.ts = (uint64_t)&soon};
    CHECK_ERRNO(syscall(SYS_io_uring_enter, ring.fd, 0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &arg, sizeof arg), ETIME);
    CHECK_ERRNO(syscall(SYS_io_uring_enter, ring.fd, 0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &arg, 8), EINVAL);
}

TEST(linked_timeouts_limit_what_is_before_them) {
    SETUP(8, 0);
    struct __kernel_timespec soon = {0, 20000000}, late = {100, 0};
    char c;
    int fds[2];
    CHECK_OK(pipe(fds));
    sqe(IORING_OP_READ, fds[0], &c, 1, 0, 1)->flags = IOSQE_IO_LINK;
    sqe(IORING_OP_LINK_TIMEOUT, -1, &soon, 1, 0, 2);
    CHECK_EQ(enter(2), 2);
    int seen = 0;
    for (int i = 0; i < 2; i++) {
        struct completion cqe = next();
        CHECK_EQ(cqe.res, cqe.user_data == 1 ? -ECANCELED : -ETIME);
        seen += cqe.user_data;
    }
    CHECK_EQ(seen, 3);
    CHECK_EQ(write(fds[1], "a", 1), 1);
    sqe(IORING_OP_READ, fds[0], &c, 1, 0, 1)->flags = IOSQE_IO_LINK;
    sqe(IORING_OP_LINK_TIMEOUT, -1, &late, 1, 0, 2);
    CHECK_EQ(enter(2), 2);
    for (int i = 0; i < 2; i++) {
        struct completion cqe = next();
        CHECK_EQ(cqe.res, cqe.user_data == 1 ? 1 : -ECANCELED);
    }
    sqe(IORING_OP_LINK_TIMEOUT, -1, &late, 1, 0, 3); /* of nothing */
    enter(1);
    EXPECT(3, -EINVAL);
}

TEST(polls) {
    SETUP(8, 0);
    char c;
    int fds[2];
    CHECK_OK(pipe(fds));
    sqe(IORING_OP_POLL_ADD, fds[0], NULL, 0, 0, 1)->poll32_events = POLLIN;
    CHECK_EQ(enter(0), 1);
    CHECK(empty());
    CHECK_EQ(write(fds[1], "a", 1), 1);
    EXPECT(1, POLLIN);
    CHECK_EQ(read(fds[0], &c, 1), 1);
    sqe(IORING_OP_POLL_ADD, fds[0], NULL, 0, 0, 2)->poll32_events = POLLIN;
    enter(0);
    sqe(IORING_OP_POLL_REMOVE, -1, (void *)2, 0, 0, 3);
    enter(2);
    for (int i = 0; i < 2; i++) {
        struct completion cqe = next();
        CHECK_EQ(cqe.res, cqe.user_data == 2 ? -ECANCELED : 0);
    }
    sqe(IORING_OP_POLL_ADD, fds[0], NULL, IORING_POLL_ADD_MULTI, 0, 4)->poll32_events = POLLIN;
    enter(0);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(write(fds[1], "a", 1), 1);
        struct completion cqe = next();
        CHECK_EQ(cqe.user_data, 4);
        CHECK_EQ(cqe.res, POLLIN);
        CHECK(cqe.flags & IORING_CQE_F_MORE);
        CHECK_EQ(read(fds[0], &c, 1), 1);
    }
}

TEST(registered_files_and_buffers) {
    SETUP(8, 0);
    static char memory[8192];
    struct iovec iov = {memory, sizeof memory};
    int fds[2], list[3];
    CHECK_OK(pipe(fds));
    list[0] = fds[0], list[1] = -1, list[2] = fds[1];
    CHECK_OK(syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_FILES, list, 3));
    CHECK_ERRNO(syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_FILES, list, 3), EBUSY);
    CHECK_OK(syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_BUFFERS, &iov, 1));
    close(fds[0]), close(fds[1]);
    memcpy(memory, "fixed", 5);
    sqe(IORING_OP_WRITE_FIXED, 2, memory, 5, 0, 1)->flags = IOSQE_FIXED_FILE;
    sqe(IORING_OP_READ_FIXED, 0, memory + 4096, 100, 0, 2)->flags = IOSQE_FIXED_FILE;
    sqe(IORING_OP_WRITE_FIXED, 1, memory, 5, 0, 3)->flags = IOSQE_FIXED_FILE;
    sqe(IORING_OP_WRITE_FIXED, 2, memory + 8190, 5, 0, 4)->flags = IOSQE_FIXED_FILE;
    enter(4);
    int results[5] = {0};
    for (int i = 0; i < 4; i++) {
        struct completion cqe = next();
        results[cqe.user_data] = cqe.res;
    }
    CHECK_EQ(results[1], 5);
    CHECK_EQ(results[2], 5);
    CHECK_EQ(results[3], -EBADF);
    CHECK_EQ(results[4], -EFAULT);
    CHECK(memcmp(memory + 4096, "fixed", 5) == 0);
    int more[2] = {ring.fd, 0};
    struct io_uring_files_update update = {.offset = 1, .fds = (uint64_t)more};
    CHECK_ERRNO(syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_FILES_UPDATE, &update, 5), EINVAL);
    CHECK_OK(pipe(fds));
    more[0] = fds[1];
    CHECK_EQ(syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_FILES_UPDATE, &update, 1), 1);
    sqe(IORING_OP_WRITE, 1, "x", 1, 0, 5)->flags = IOSQE_FIXED_FILE;
    enter(1);
    EXPECT(5, 1);
    CHECK_OK(syscall(SYS_io_uring_register, ring.fd, IORING_UNREGISTER_FILES, NULL, 0));
    CHECK_ERRNO(syscall(SYS_io_uring_register, ring.fd, IORING_UNREGISTER_FILES, NULL, 0), ENXIO);
    CHECK_OK(syscall(SYS_io_uring_register, ring.fd, IORING_UNREGISTER_BUFFERS, NULL, 0));
    CHECK_ERRNO(syscall(SYS_io_uring_register, ring.fd, IORING_UNREGISTER_BUFFERS, NULL, 0), ENXIO);
    CHECK_ERRNO(syscall(SYS_io_uring_register, ring.fd, 9999, NULL, 0), EINVAL);
}

TEST(completions_that_find_no_room_are_kept) {
    SETUP(4, 0); /* room for 8 completions */
    for (int i = 0; i < 12; i++) {
        sqe(IORING_OP_NOP, -1, NULL, 0, 0, i);
        CHECK_EQ(enter(0), 1);
    }
    CHECK(*ring.sq_flags & IORING_SQ_CQ_OVERFLOW);
    for (int i = 0; i < 12; i++)
        EXPECT(i, 0);
    CHECK(empty());
}

TEST(a_drain_waits_for_all_before_it) {
    SETUP(8, 0);
    char c;
    int fds[2];
    CHECK_OK(pipe(fds));
    sqe(IORING_OP_READ, fds[0], &c, 1, 0, 1);
    sqe(IORING_OP_NOP, -1, NULL, 0, 0, 2)->flags = IOSQE_IO_DRAIN;
    sqe(IORING_OP_NOP, -1, NULL, 0, 0, 3);
    CHECK_EQ(enter(0), 3);
    CHECK(empty());
    CHECK_EQ(write(fds[1], "a", 1), 1);
    EXPECT(1, 1);
    EXPECT(2, 0);
    EXPECT(3, 0);
}

static void *asks(void *arg) {
    sqe(IORING_OP_READ, *(int *)arg, NULL, 1, 0, 1);
    enter(0);
    return NULL;
}

TEST(a_thread_that_ends_takes_its_requests_along) {
    SETUP(4, 0);
    int fds[2];
    pthread_t thread;
    CHECK_OK(pipe(fds));
    CHECK_EQ(pthread_create(&thread, NULL, asks, &fds[0]), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_EQ(write(fds[1], "a", 1), 1); /* Linux notices then */
    EXPECT(1, -ECANCELED);
}

TEST(rings_do_not_travel) {
    SETUP(4, 0);
    int sv[2];
    char byte = 0, control[CMSG_SPACE(4)] = "";
    struct iovec iov = {&byte, 1};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET, header->cmsg_type = SCM_RIGHTS, header->cmsg_len = CMSG_LEN(4);
    memcpy(CMSG_DATA(header), &ring.fd, 4);
    CHECK_ERRNO(sendmsg(sv[0], &message, 0), EINVAL);
}
