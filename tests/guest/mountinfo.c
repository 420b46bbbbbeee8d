/* statmount(2), listmount(2), mount_setattr(2), cachestat(2), by the bare calls. */
#include "check.h"
#include <linux/mount.h>
#include <sys/mount.h>

#define NR_cachestat 451
#define NR_statmount 457
#define NR_listmount 458
#define UNIQUE 0x4000 /* STATX_MNT_ID_UNIQUE */
#define ROOT UINT64_MAX

struct request {
    uint32_t size, spare;
    uint64_t id, param;
};

struct told {
    uint32_t size, opts;
    uint64_t mask;
    uint32_t dev[2];
    uint64_t magic;
    uint32_t sb_flags, fs_type;
    uint64_t id, parent;
    uint32_t id_old, parent_old;
    uint64_t attr, propagation, peers, master, from;
    uint32_t root, point;
    uint64_t rest[50];
    char text[4096];
};

static long list_mounts(uint64_t id, uint64_t after, uint64_t *ids, size_t n, unsigned flags) {
    struct request request = {24, 0, id, after};
    return syscall(NR_listmount, &request, ids, n, flags);
}

static long tell(uint64_t id, uint64_t mask, struct told *told, size_t size) {
    struct request request = {24, 0, id, mask};
    return syscall(NR_statmount, &request, told, size, 0);
}

static uint64_t id_of(const char *path) {
    struct statx stx;
    CHECK_OK(statx(AT_FDCWD, path, 0, UNIQUE, &stx));
    CHECK(stx.stx_mask & UNIQUE);
    return ((uint64_t *)&stx)[0x90 / 8]; /* stx_mnt_id */
}

static void own_mounts(void) {
    if (unshare(CLONE_NEWNS) < 0)
        check_skip("may not unshare mounts");
    CHECK_OK(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
    mkdir("m", 0700);
    CHECK_OK(mount("words", "m", "tmpfs", MS_NODEV, "size=64k"));
}

TEST(mounts_are_listed_and_described) {
    uint64_t ids[64], ro = 1, nodev = 4;
    struct told told;
    if (list_mounts(ROOT, 0, ids, 64, 0) < 0 && errno == ENOSYS)
        check_skip("the kernel has no listmount");
    own_mounts();
    uint64_t id = id_of("m");
    long n = CHECK_OK(list_mounts(ROOT, 0, ids, 64, 0));
    CHECK(n >= 1 && ids[n - 1] == id);
    CHECK_EQ(list_mounts(ROOT, ids[n - 1], ids, 64, 0), 0);
    CHECK_EQ(list_mounts(ROOT, 0, ids, 1, 1), 1);
    CHECK_EQ(ids[0], id); /* from behind */
    CHECK_EQ(list_mounts(id, 0, ids, 64, 0), 0);
    CHECK_ERRNO(list_mounts(ROOT - 1, 0, ids, 64, 0), ENOENT);
    CHECK_ERRNO(list_mounts(5, 0, ids, 64, 0), EINVAL);
    CHECK_ERRNO(list_mounts(ROOT, 5, ids, 64, 0), EINVAL);
    CHECK_ERRNO(list_mounts(ROOT, 0, ids, 64, 8), EINVAL);
    CHECK_ERRNO(list_mounts(ROOT, 0, NULL, 64, 0), EFAULT);
    memset(&told, 0, sizeof told);
    CHECK_OK(tell(id, 1 | 2 | 8 | 0x10 | 0x20, &told, sizeof told));
    CHECK_EQ(told.mask, 1 | 2 | 8 | 0x10 | 0x20);
    CHECK_EQ(told.id, id);
    CHECK_EQ(told.magic, 0x01021994);
    CHECK_EQ(told.attr & (ro | nodev), nodev);
    CHECK_EQ(told.propagation, MS_PRIVATE);
    const char *text = (char *)&told + 512;
    CHECK_STR(text + told.fs_type, "tmpfs");
    CHECK_STR(text + told.root, "/");
    CHECK_STR(strrchr(text + told.point, '/'), "/m");
    CHECK_ERRNO(tell(id, 0x20, &told, 514), EOVERFLOW);
    CHECK_ERRNO(tell(7, 2, &told, sizeof told), EINVAL);
    CHECK_OK(umount("m"));
    CHECK_ERRNO(tell(id, 2, &told, sizeof told), ENOENT);
}

TEST(flags_of_mounts_are_set_and_cleared) {
    own_mounts();
    struct mount_attr attr = {.attr_set = 1};
    CHECK_OK(syscall(SYS_mount_setattr, AT_FDCWD, "m", 0, &attr, sizeof attr));
    CHECK_ERRNO(open("m/a", O_WRONLY | O_CREAT, 0600), EROFS);
    attr = (struct mount_attr){.attr_clr = 1, .attr_set = 8};
    CHECK_OK(syscall(SYS_mount_setattr, AT_FDCWD, "m", 0, &attr, sizeof attr));
    CHECK_OK(open("m/a", O_WRONLY | O_CREAT, 0700));
    CHECK_ERRNO(execl("m/a", "a", NULL), EACCES);
    attr = (struct mount_attr){.attr_set = 0x10}; /* noatime without saying what it replaces */
    CHECK_ERRNO(syscall(SYS_mount_setattr, AT_FDCWD, "m", 0, &attr, sizeof attr), EINVAL);
    attr = (struct mount_attr){.attr_clr = 0x70, .attr_set = 0x10};
    CHECK_OK(syscall(SYS_mount_setattr, AT_FDCWD, "m", 0, &attr, sizeof attr));
    attr = (struct mount_attr){.propagation = 3};
    CHECK_ERRNO(syscall(SYS_mount_setattr, AT_FDCWD, "m", 0, &attr, sizeof attr), EINVAL);
    attr = (struct mount_attr){.propagation = MS_SHARED};
    CHECK_OK(syscall(SYS_mount_setattr, AT_FDCWD, "m", 0, &attr, sizeof attr));
    CHECK_ERRNO(syscall(SYS_mount_setattr, AT_FDCWD, "m", 0x10000, &attr, sizeof attr), EINVAL);
    CHECK_ERRNO(syscall(SYS_mount_setattr, AT_FDCWD, "m", 0, &attr, 8), EINVAL);
    mkdir("m/d", 0700);
    attr = (struct mount_attr){.attr_set = 1};
    CHECK_ERRNO(syscall(SYS_mount_setattr, AT_FDCWD, "m/d", 0, &attr, sizeof attr), EINVAL);
}

TEST(pages_of_files_are_counted) {
    uint64_t range[2] = {0, 0}, stat[5];
    static char page[4096];
    int fd = CHECK_OK(syscall(SYS_memfd_create, "pages", 0)), fds[2];
    for (int i = 0; i < 5; i++)
        CHECK_EQ(write(fd, page, sizeof page), sizeof page);
    if (syscall(NR_cachestat, fd, range, stat, 0) < 0 && errno == ENOSYS)
        check_skip("the kernel has no cachestat");
    CHECK_EQ(stat[0], 5);
    range[0] = 4096, range[1] = 8192;
    CHECK_OK(syscall(NR_cachestat, fd, range, stat, 0));
    CHECK_EQ(stat[0], 2);
    CHECK_ERRNO(syscall(NR_cachestat, fd, range, stat, 1), EINVAL);
    CHECK_ERRNO(syscall(NR_cachestat, -1, range, stat, 0), EBADF);
    CHECK_ERRNO(syscall(NR_cachestat, fd, NULL, stat, 0), EFAULT);
    CHECK_ERRNO(syscall(NR_cachestat, fd, range, NULL, 0), EFAULT);
    CHECK_OK(pipe(fds));
}
