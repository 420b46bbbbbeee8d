/* mmap(2), munmap(2), mremap(2), mprotect(2), brk(2), madvise(2): results, errors, what is left in the pages. */
#include "check.h"

#define PAGE 4096L
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static char *map(long pages) {
    char *p = mmap(NULL, pages * PAGE, RW, ANON, -1, 0);
    CHECK(p != MAP_FAILED);
    return p;
}

/* Whether a page is mapped, without touching it. */
static bool mapped(void *p) {
    unsigned char vec;
    if (mincore(p, PAGE, &vec) == 0)
        return true;
    CHECK_EQ(errno, ENOMEM);
    return false;
}

TEST(mmap_anonymous_is_zeroed) {
    char *p = map(64);
    for (long i = 0; i < 64 * PAGE; i++)
        CHECK_EQ(p[i], 0);
    memset(p, 1, 64 * PAGE);
    CHECK_OK(munmap(p, 64 * PAGE));
    CHECK(!mapped(p));
}

TEST(mmap_errors) {
    check_scratch();
    CHECK_ERRNO(mmap(NULL, 0, RW, ANON, -1, 0), EINVAL);
    CHECK_ERRNO(mmap(NULL, PAGE, RW, MAP_ANONYMOUS, -1, 0), EINVAL);
    CHECK_ERRNO(mmap(NULL, PAGE, RW, MAP_PRIVATE, -1, 0), EBADF);
    CHECK_ERRNO(mmap(NULL, -PAGE, RW, ANON, -1, 0), ENOMEM);
    CHECK_ERRNO(mmap((void *)1, PAGE, RW, ANON | MAP_FIXED, -1, 0), EINVAL);
    CHECK_ERRNO(mmap((void *)(1UL << 47), PAGE, RW, ANON | MAP_FIXED, -1, 0), ENOMEM);
    CHECK_ERRNO(syscall(SYS_mmap, NULL, PAGE, RW, ANON, -1, 1), EINVAL);
    check_write_file("f", "x");
    int ro = CHECK_OK(open("f", O_RDONLY));
    int wo = CHECK_OK(open("f", O_WRONLY));
    int path = CHECK_OK(open("f", O_PATH));
    int dir = CHECK_OK(open(".", O_RDONLY));
    CHECK_ERRNO(mmap(NULL, PAGE, RW, MAP_SHARED, ro, 0), EACCES);
    CHECK(mmap(NULL, PAGE, RW, MAP_PRIVATE, ro, 0) != MAP_FAILED);
    CHECK_ERRNO(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, wo, 0), EACCES);
    CHECK_ERRNO(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, wo, 0), EACCES);
    CHECK_ERRNO(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, path, 0), EBADF);
    CHECK_ERRNO(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, dir, 0), ENODEV);
    CHECK_ERRNO(mmap(NULL, PAGE, PROT_READ, MAP_SHARED_VALIDATE | MAP_SYNC, ro, 0), EOPNOTSUPP);
}

TEST(mmap_hint_fixed_and_noreplace) {
    char *p = map(3);
    CHECK_OK(munmap(p + PAGE, PAGE));
    CHECK(mmap(p + PAGE, PAGE, RW, ANON, -1, 0) == p + PAGE);
    CHECK(mmap(p + PAGE, PAGE, RW, ANON, -1, 0) != p + PAGE);
    CHECK_ERRNO(mmap(p + PAGE, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0), EEXIST);
    p[PAGE] = 5;
    CHECK(mmap(p + PAGE, PAGE, RW, ANON | MAP_FIXED, -1, 0) == p + PAGE);
    CHECK_EQ(p[PAGE], 0);
    /* a hint need not be aligned */
    CHECK_OK(munmap(p + PAGE, PAGE));
    CHECK(mmap(p + PAGE + 7, PAGE, RW, ANON, -1, 0) == p + PAGE);
}

TEST(munmap_corners) {
    char *p = map(4);
    CHECK_ERRNO(munmap(p + 1, PAGE), EINVAL);
    CHECK_ERRNO(munmap(p, 0), EINVAL);
    CHECK_ERRNO(munmap((void *)(1UL << 47), PAGE), EINVAL);
    CHECK_ERRNO(munmap(p, 1UL << 47), EINVAL);
    CHECK_OK(munmap(p + PAGE, 1));
    CHECK(mapped(p) && !mapped(p + PAGE) && mapped(p + 2 * PAGE));
    CHECK_OK(munmap(p, 4 * PAGE));
    CHECK_OK(munmap(p, 4 * PAGE));
}

TEST(mprotect_splits_and_checks) {
    char *p = map(4);
    CHECK_OK(mprotect(p + PAGE, PAGE, PROT_READ));
    p[0] = p[2 * PAGE] = 1;
    CHECK_ERRNO(mprotect(p + 1, PAGE, RW), EINVAL);
    CHECK_ERRNO(mprotect(p, PAGE, 0x40000), EINVAL);
    CHECK_OK(mprotect(p, 0, RW));
    CHECK_OK(munmap(p + 2 * PAGE, PAGE));
    CHECK_ERRNO(mprotect(p, 4 * PAGE, PROT_NONE), ENOMEM);
    CHECK_ERRNO(mprotect(p, PAGE, RW | PROT_GROWSDOWN), EINVAL);
    /* what came before the hole was changed */
    CHECK_ERRNO(syscall(SYS_rt_sigprocmask, SIG_BLOCK, p, NULL, 8), EFAULT);
    CHECK_OK(mprotect(p, PAGE, PROT_READ));
    CHECK_EQ(p[0], 1);
}

TEST(mremap_grows_shrinks_moves) {
    char *p = map(8);
    CHECK_OK(munmap(p + 4 * PAGE, 4 * PAGE));
    for (int i = 0; i < 4; i++)
        p[i * PAGE] = i + 1;
    CHECK(mremap(p, 4 * PAGE, 2 * PAGE, 0) == p);
    CHECK(!mapped(p + 2 * PAGE));
    CHECK(mremap(p, 2 * PAGE, 4 * PAGE, 0) == p);
    CHECK_EQ(p[PAGE], 2);
    CHECK_EQ(p[2 * PAGE], 0);
    char *wall = mmap(p + 4 * PAGE, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0);
    CHECK(wall == p + 4 * PAGE);
    CHECK_ERRNO(mremap(p, 4 * PAGE, 6 * PAGE, 0), ENOMEM);
    char *q = mremap(p, 4 * PAGE, 600 * PAGE, MREMAP_MAYMOVE);
    CHECK(q != MAP_FAILED && q != p);
    CHECK(!mapped(p) && mapped(wall));
    CHECK_EQ(q[PAGE], 2);
    char *to = map(2);
    CHECK(mremap(q, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to);
    CHECK_EQ(to[0], 1);
    CHECK(!mapped(q) && mapped(q + PAGE));
}

TEST(mremap_errors) {
    char *p = map(4), *other = map(1);
    CHECK_ERRNO(mremap(p + 1, PAGE, PAGE, 0), EINVAL);
    CHECK_ERRNO(mremap(p, PAGE, 0, 0), EINVAL);
    CHECK_ERRNO(mremap(p, PAGE, PAGE, 16), EINVAL);
    CHECK_ERRNO(mremap(p, PAGE, PAGE, MREMAP_FIXED, other), EINVAL);
    CHECK_ERRNO(mremap(p, 4 * PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p + PAGE), EINVAL);
    CHECK_ERRNO(mremap(p, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, other + 1), EINVAL);
    CHECK_ERRNO(mremap(p, PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL), EINVAL);
    CHECK_OK(munmap(other, PAGE));
    CHECK_ERRNO(mremap(other, PAGE, 2 * PAGE, MREMAP_MAYMOVE), EFAULT);
    CHECK_ERRNO(mremap(p, 0, PAGE, MREMAP_MAYMOVE), EINVAL);
}

TEST(mremap_duplicates_shared_and_dontunmap_empties) {
    char *p = mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(p != MAP_FAILED);
    char *q = mremap(p, 0, PAGE, MREMAP_MAYMOVE);
    CHECK(q != MAP_FAILED && q != p);
    p[3] = 9;
    CHECK_EQ(q[3], 9);
    char *a = map(1);
    a[0] = 7;
    char *b = mremap(a, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
    CHECK(b != MAP_FAILED && b != a);
    CHECK_EQ(b[0], 7);
    CHECK_EQ(a[0], 0);
}

TEST(brk_moves_the_end) {
    char *start = (char *)syscall(SYS_brk, 0);
    CHECK((char *)syscall(SYS_brk, start + 3 * PAGE) == start + 3 * PAGE);
    start[3 * PAGE - 1] = 1;
    CHECK((char *)syscall(SYS_brk, start + 1) == start + 1);
    CHECK((char *)syscall(SYS_brk, start + 3 * PAGE) == start + 3 * PAGE);
    CHECK_EQ(start[3 * PAGE - 1], 0);
    /* below the start and absurdly high: nothing changes, the old end is the answer */
    CHECK((char *)syscall(SYS_brk, 1) == start + 3 * PAGE);
    CHECK((char *)syscall(SYS_brk, -1L) == start + 3 * PAGE);
}

TEST(madvise_dontneed_drops_and_remove_punches) {
    char *p = map(4);
    memset(p, 1, 4 * PAGE);
    CHECK_OK(madvise(p + PAGE, 2 * PAGE, MADV_DONTNEED));
    CHECK_EQ(p[0], 1);
    CHECK_EQ(p[PAGE], 0);
    CHECK_EQ(p[2 * PAGE + 5], 0);
    CHECK_EQ(p[3 * PAGE], 1);
    CHECK_ERRNO(madvise(p + 1, PAGE, MADV_DONTNEED), EINVAL);
    CHECK_ERRNO(madvise(p, PAGE, 12345), EINVAL);
    CHECK_OK(madvise(p, 0, MADV_DONTNEED));
    CHECK_OK(munmap(p + PAGE, PAGE));
    CHECK_ERRNO(madvise(p, 3 * PAGE, MADV_DONTNEED), ENOMEM);
    CHECK_EQ(p[0], 0);
    CHECK_EQ(p[2 * PAGE], 0);
    char *s = mmap(NULL, 2 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    s[0] = s[PAGE] = 4;
    CHECK_OK(madvise(s, 2 * PAGE, MADV_DONTNEED));
    CHECK_EQ(s[0], 4);
    CHECK_OK(madvise(s, PAGE, MADV_REMOVE));
    CHECK_EQ(s[0], 0);
    CHECK_EQ(s[PAGE], 4);
    CHECK_ERRNO(madvise(p, PAGE, MADV_REMOVE), EINVAL);
}

TEST(madvise_fork_behaviour) {
    char *p = map(3);
    memset(p, 1, 3 * PAGE);
    CHECK_OK(madvise(p, PAGE, MADV_DONTFORK));
    CHECK_OK(madvise(p + PAGE, PAGE, MADV_WIPEONFORK));
    pid_t pid = check_fork();
    if (pid == 0) {
        CHECK(!mapped(p));
        CHECK_EQ(p[PAGE], 0);
        CHECK_EQ(p[2 * PAGE], 1);
        _exit(0);
    }
    check_wait(pid);
    CHECK_EQ(p[PAGE], 1);
}

TEST(msync_mincore_mlock) {
    char *p = map(2);
    unsigned char vec[2];
    CHECK_OK(msync(p, 2 * PAGE, MS_SYNC));
    CHECK_ERRNO(msync(p, PAGE, MS_SYNC | MS_ASYNC), EINVAL);
    CHECK_ERRNO(msync(p + 1, PAGE, MS_SYNC), EINVAL);
    CHECK_ERRNO(mincore(p + 1, PAGE, vec), EINVAL);
    CHECK_ERRNO(mincore(p, PAGE, (void *)1), EFAULT);
    CHECK_OK(mlock(p, PAGE));
    CHECK_OK(munlock(p, PAGE));
    CHECK_OK(munmap(p + PAGE, PAGE));
    CHECK_ERRNO(msync(p, 2 * PAGE, MS_ASYNC), ENOMEM);
    CHECK_ERRNO(mlock(p, 2 * PAGE), ENOMEM);
}

/* What a private mapping has of its own goes with the end of the file, not with a hole in it. */
TEST(truncation_takes_private_copies) {
    int fd = CHECK_OK(memfd_create("cut", 0));
    CHECK_OK(ftruncate(fd, 3 * PAGE));
    char *p = mmap(NULL, 3 * PAGE, RW, MAP_PRIVATE, fd, 0);
    CHECK(p != MAP_FAILED);
    memset(p, 'x', 3 * PAGE);
    CHECK_OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PAGE, PAGE));
    CHECK_EQ(p[PAGE], 'x');
    CHECK_OK(ftruncate(fd, PAGE + 1));
    CHECK_OK(ftruncate(fd, 3 * PAGE));
    CHECK(p[0] == 'x' && p[PAGE] == 'x' && p[2 * PAGE - 1] == 'x' && p[2 * PAGE] == 0);
    p[2 * PAGE] = 'y';
    CHECK_OK(ftruncate(fd, 0));
    CHECK_OK(ftruncate(fd, 3 * PAGE));
    CHECK(p[0] == 0 && p[PAGE] == 0 && p[2 * PAGE] == 0);
}
