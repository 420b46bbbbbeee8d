/* memfd_secret(2): memory that only who has mapped it can look at. FS_IOC_FIEMAP: where files have data. */
#include "check.h"
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>

#ifndef SYS_memfd_secret
#define SYS_memfd_secret 447
#endif

static int secret(unsigned flags) {
    int fd = syscall(SYS_memfd_secret, flags);
    if (fd == -1 && errno == ENOSYS)
        check_skip("switched off in this kernel");
    return fd;
}

TEST(a_secret_file_is_only_mapped) {
    int fd = CHECK_OK(secret(O_CLOEXEC));
    char c = 1;
    CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
    CHECK_OK(ftruncate(fd, 8192));
    CHECK_ERRNO(ftruncate(fd, 4096), EINVAL); /* once */
    CHECK_ERRNO(read(fd, &c, 1), EINVAL);
    CHECK_ERRNO(write(fd, &c, 1), EINVAL);
    CHECK_ERRNO(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0), EINVAL);
    CHECK_ERRNO(fcntl(fd, F_GET_SEALS), EINVAL);
    char *p = CHECK_OK(mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    strcpy(p + 4090, "crosses a page");
    CHECK_STR(p + 4090, "crosses a page");
    pid_t child = check_fork();
    if (child == 0) {
        p[0] = 'c';
        _exit(0);
    }
    check_wait(child);
    CHECK_EQ(p[0], 'c');
    struct stat st;
    CHECK_OK(fstat(fd, &st));
    CHECK_EQ(st.st_size, 8192);
}

TEST(others_do_not_see_secret_memory) {
    int fd = CHECK_OK(secret(0));
    CHECK_OK(ftruncate(fd, 4096));
    char *p = CHECK_OK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    strcpy(p, "hidden");
    char got[8] = "";
    struct iovec mine = {got, 7}, theirs = {p, 7};
    CHECK_ERRNO(process_vm_readv(getpid(), &mine, 1, &theirs, 1, 0), EFAULT);
    CHECK_ERRNO(process_vm_writev(getpid(), &mine, 1, &theirs, 1, 0), EFAULT);
    int mem = CHECK_OK(open("/proc/self/mem", O_RDONLY));
    CHECK_ERRNO(pread(mem, got, 7, (off_t)p), EIO);
    CHECK_STR(p, "hidden");
    int pipes[2];
    CHECK_OK(pipe(pipes));
    CHECK_EQ(write(pipes[1], p, 7), 7); /* its owner may copy it */
    CHECK_EQ(read(pipes[0], got, 7), 7);
    CHECK_STR(got, "hidden");
}

TEST(secret_flags_and_limits) {
    CHECK_OK(secret(0));
    CHECK_ERRNO(secret(1), EINVAL);
    struct rlimit none = {4096, 4096};
    int fd = CHECK_OK(secret(0));
    CHECK_OK(ftruncate(fd, 1 << 20));
    if (geteuid() == 0)
        CHECK_OK(setresuid(65534, 65534, 65534));
    CHECK_OK(setrlimit(RLIMIT_MEMLOCK, &none));
    CHECK_ERRNO(mmap(NULL, 1 << 20, PROT_READ, MAP_SHARED, fd, 0), EAGAIN);
}

static int map_extents(int fd, struct fiemap *m, unsigned count, unsigned flags) {
    memset(m, 0, sizeof *m + count * sizeof m->fm_extents[0]);
    m->fm_length = ~0ULL;
    m->fm_extent_count = count;
    m->fm_flags = flags;
    return ioctl(fd, FS_IOC_FIEMAP, m);
}

TEST(fiemap_tells_where_data_is) {
    char room[sizeof(struct fiemap) + 8 * sizeof(struct fiemap_extent)];
    struct fiemap *m = (void *)room;
    struct statfs fs;
    check_scratch();
    CHECK_OK(statfs(".", &fs));
    int fd = CHECK_OK(open("f", O_RDWR | O_CREAT, 0600));
    if (fs.f_type == 0x01021994) {
        CHECK_ERRNO(map_extents(fd, m, 8, 0), EOPNOTSUPP);
        return;
    }
    CHECK_OK(map_extents(fd, m, 8, 0));
    CHECK_EQ(m->fm_mapped_extents, 0);
    char *data = malloc(1 << 16);
    memset(data, 'x', 1 << 16);
    CHECK_EQ(write(fd, data, 1 << 16), 1 << 16);
    CHECK_OK(map_extents(fd, m, 8, FIEMAP_FLAG_SYNC));
    CHECK(m->fm_mapped_extents >= 1);
    unsigned long long covered = 0;
    for (unsigned i = 0; i < m->fm_mapped_extents; i++)
        covered += m->fm_extents[i].fe_length;
    CHECK_EQ(covered, 1 << 16);
    CHECK_EQ(m->fm_extents[0].fe_logical, 0);
    CHECK(m->fm_extents[m->fm_mapped_extents - 1].fe_flags & FIEMAP_EXTENT_LAST);
    CHECK_OK(map_extents(fd, m, 0, 0)); /* only counts */
    CHECK(m->fm_mapped_extents >= 1);
    CHECK_ERRNO(map_extents(fd, m, 8, 0x8000), EBADR);
    CHECK_EQ(m->fm_flags, 0x8000);
    m->fm_length = 0;
    m->fm_flags = 0;
    CHECK_ERRNO(ioctl(fd, FS_IOC_FIEMAP, m), EINVAL);
    CHECK_ERRNO(ioctl(fd, FS_IOC_FIEMAP, NULL), EFAULT);
    int pipes[2];
    CHECK_OK(pipe(pipes));
    CHECK_ERRNO(map_extents(pipes[0], m, 8, 0), EOPNOTSUPP);
}
