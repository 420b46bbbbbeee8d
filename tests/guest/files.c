/* Names, links, sizes and attributes: link, rename, unlink, truncate, holes, getdents, xattr, statx, times. */
#include "check.h"
#include <dirent.h>
#include <linux/fs.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

static ino_t inode(const char *path) {
    struct stat st;
    CHECK_OK(lstat(path, &st));
    return st.st_ino;
}

TEST(hard_links) {
    struct stat st;
    check_scratch();
    check_write_file("a", "x");
    CHECK_OK(link("a", "b"));
    CHECK_EQ(inode("a"), inode("b"));
    CHECK_OK(stat("a", &st));
    CHECK_EQ(st.st_nlink, 2);
    CHECK_ERRNO(link("a", "b"), EEXIST);
    CHECK_ERRNO(link("none", "c"), ENOENT);
    CHECK_OK(mkdir("d", 0700));
    CHECK_ERRNO(link("d", "e"), EPERM);
    CHECK_ERRNO(link("a", "none/c"), ENOENT);
    CHECK_ERRNO(link("a", "/dev/guest-x"), EXDEV);
    CHECK_OK(symlink("a", "s"));
    CHECK_OK(link("s", "s2"));
    CHECK_EQ(inode("s2"), inode("s"));
    CHECK_OK(linkat(AT_FDCWD, "s", AT_FDCWD, "s3", AT_SYMLINK_FOLLOW));
    CHECK_EQ(inode("s3"), inode("a"));
    int fd = CHECK_OK(open("a", O_RDWR));
    CHECK_OK(unlink("a"));
    CHECK_OK(unlink("b"));
    CHECK_OK(unlink("s3"));
    CHECK_OK(fstat(fd, &st));
    CHECK_EQ(st.st_nlink, 0);
    CHECK_EQ(write(fd, "still here", 10), 10);
    CHECK_ERRNO(unlink("a"), ENOENT);
}

TEST(symbolic_links) {
    char buf[8];
    check_scratch();
    CHECK_OK(symlink("target that is long", "s"));
    CHECK_EQ(readlink("s", buf, sizeof buf), 8);
    CHECK_ERRNO(readlink("s", buf, 0), EINVAL);
    CHECK_ERRNO(readlink(".", buf, 8), EINVAL);
    CHECK_ERRNO(symlink("", "empty"), ENOENT);
    CHECK_ERRNO(symlink("x", "s"), EEXIST);
    struct stat st;
    CHECK_OK(lstat("s", &st));
    CHECK_EQ(st.st_size, 19);
    CHECK_EQ(st.st_mode, S_IFLNK | 0777);
    CHECK_ERRNO(stat("s", &st), ENOENT);
    /* forty are followed, not forty-one */
    check_write_file("l0", "x");
    char from[8], to[8];
    for (int i = 1; i <= 41; i++) {
        snprintf(from, sizeof from, "l%d", i - 1);
        snprintf(to, sizeof to, "l%d", i);
        CHECK_OK(symlink(from, to));
    }
    CHECK_OK(access("l40", F_OK));
    CHECK_ERRNO(access("l41", F_OK), ELOOP);
}

TEST(directories) {
    struct stat st;
    check_scratch();
    CHECK_OK(stat(".", &st));
    CHECK_OK(mkdir("d", 0700));
    CHECK_ERRNO(mkdir("d", 0700), EEXIST);
    CHECK_ERRNO(mkdir("none/d", 0700), ENOENT);
    CHECK_OK(mkdir("d/e/", 0700));
    CHECK_ERRNO(rmdir("d"), ENOTEMPTY);
    CHECK_ERRNO(rmdir("d/."), EINVAL);
    CHECK_ERRNO(rmdir("d/.."), ENOTEMPTY);
    CHECK_ERRNO(unlink("d"), EISDIR);
    check_write_file("f", "x");
    CHECK_ERRNO(rmdir("f"), ENOTDIR);
    CHECK_ERRNO(unlink("f/"), ENOTDIR);
    CHECK_ERRNO(unlinkat(AT_FDCWD, "f", 1), EINVAL);
    CHECK_OK(chdir("d/e"));
    CHECK_OK(rmdir("../e"));
    CHECK_ERRNO(open("f", O_RDWR | O_CREAT, 0600), ENOENT);
    CHECK_OK(stat(".", &st));
    char path[PATH_MAX];
    CHECK_ERRNO(syscall(SYS_getcwd, path, sizeof path), ENOENT);
    CHECK_OK(chdir(".."));
    CHECK_ERRNO(syscall(SYS_getcwd, path, 2), ERANGE);
}

TEST(rename_and_its_flags) {
    check_scratch();
    check_write_file("a", "a");
    check_write_file("b", "b");
    ino_t a = inode("a"), b = inode("b");
    CHECK_OK(rename("a", "b"));
    CHECK_EQ(inode("b"), a);
    CHECK_ERRNO(rename("a", "c"), ENOENT);
    check_write_file("a", "a");
    b = inode("a");
    CHECK_ERRNO(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE), EEXIST);
    CHECK_OK(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_EXCHANGE));
    CHECK_EQ(inode("b"), b);
    CHECK_EQ(inode("a"), a);
    CHECK_ERRNO(renameat2(AT_FDCWD, "a", AT_FDCWD, "none", RENAME_EXCHANGE), ENOENT);
    CHECK_ERRNO(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_EXCHANGE | RENAME_NOREPLACE), EINVAL);
    CHECK_ERRNO(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", 64), EINVAL);
    CHECK_OK(mkdir("d", 0700));
    CHECK_OK(mkdir("d/sub", 0700));
    CHECK_OK(mkdir("full", 0700));
    check_write_file("full/f", "x");
    CHECK_ERRNO(rename("a", "d"), EISDIR);
    CHECK_ERRNO(rename("d", "a"), ENOTDIR);
    CHECK_ERRNO(rename("d", "full"), ENOTEMPTY);
    CHECK_ERRNO(rename("d", "d/sub/x"), EINVAL);
    CHECK_ERRNO(rename("d/sub", "d"), ENOTEMPTY);
    CHECK_ERRNO(rename("d/.", "x"), EBUSY);
    CHECK_ERRNO(rename("a", "/proc/a"), EXDEV);
    CHECK_OK(rename("d/sub", "empty"));
    CHECK_OK(rename("full", "empty"));
    CHECK_OK(access("empty/f", F_OK));
    /* two names of one file: nothing happens */
    CHECK_OK(link("a", "a2"));
    CHECK_OK(rename("a", "a2"));
    CHECK_OK(access("a", F_OK));
    CHECK_OK(rename("a", "a"));
}

TEST(sizes_and_holes) {
    check_scratch();
    struct stat st;
    char buf[100];
    int fd = CHECK_OK(open("f", O_RDWR | O_CREAT, 0600));
    CHECK_EQ(pwrite(fd, "end", 3, 1 << 20), 3);
    CHECK_OK(fstat(fd, &st));
    CHECK_EQ(st.st_size, (1 << 20) + 3);
    CHECK(st.st_blocks < 512);
    CHECK_EQ(pread(fd, buf, 10, 1000), 10);
    CHECK_EQ(buf[0] | buf[9], 0);
    CHECK_EQ(lseek(fd, 0, SEEK_DATA), 1 << 20);
    CHECK_EQ(lseek(fd, 0, SEEK_HOLE), 0);
    CHECK_EQ(lseek(fd, 1 << 20, SEEK_HOLE), (1 << 20) + 3);
    CHECK_ERRNO(lseek(fd, (1 << 20) + 3, SEEK_DATA), ENXIO);
    CHECK_ERRNO(lseek(fd, -1, SEEK_SET), EINVAL);
    CHECK_ERRNO(lseek(fd, 0, 9), EINVAL);
    CHECK_EQ(pread(fd, buf, 10, 1 << 20), 3);
    CHECK_EQ(pread(fd, buf, 10, 1 << 21), 0);
    CHECK_ERRNO(pread(fd, buf, 10, -1), EINVAL);
    CHECK_OK(ftruncate(fd, 10));
    CHECK_OK(ftruncate(fd, 5000));
    CHECK_ERRNO(ftruncate(fd, -1), EINVAL);
    CHECK_ERRNO(truncate(".", 0), EISDIR);
    CHECK_OK(fallocate(fd, 0, 0, 20000));
    CHECK_OK(fstat(fd, &st));
    CHECK_EQ(st.st_size, 20000);
    CHECK_OK(fallocate(fd, FALLOC_FL_KEEP_SIZE, 20000, 20000));
    CHECK_OK(fstat(fd, &st));
    CHECK_EQ(st.st_size, 20000);
    CHECK_EQ(pwrite(fd, "xxxxxxxxxxxx", 12, 8190), 12);
    CHECK_OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 8192, 4096));
    CHECK_EQ(pread(fd, buf, 4, 8190), 4);
    CHECK(memcmp(buf, "xx\0\0", 4) == 0);
    CHECK_ERRNO(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 4096), EOPNOTSUPP);
    CHECK_ERRNO(fallocate(fd, 0, 0, 0), EINVAL);
    CHECK_ERRNO(fallocate(fd, 0, -1, 1), EINVAL);
}

TEST(getdents_sees_every_entry_once) {
    check_scratch();
    char name[32], buf[1024];
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "entry-%d", i);
        if (i % 2)
            CHECK_OK(mkdir(name, 0700));
        else
            check_write_file(name, "");
    }
    int seen[200] = {0}, dots = 0;
    int fd = CHECK_OK(open(".", O_RDONLY | O_DIRECTORY));
    CHECK_ERRNO(syscall(SYS_getdents64, fd, buf, 8), EINVAL);
    long n;
    while ((n = CHECK_OK(syscall(SYS_getdents64, fd, buf, sizeof buf))) > 0)
        for (struct dirent64 *d = (void *)buf; (char *)d < buf + n; d = (void *)((char *)d + d->d_reclen)) {
            int i;
            CHECK(d->d_ino != 0 && d->d_reclen % 8 == 0);
            if (sscanf(d->d_name, "entry-%d", &i) == 1) {
                CHECK(d->d_type == (i % 2 ? DT_DIR : DT_REG) || d->d_type == DT_UNKNOWN);
                seen[i]++;
            } else
                dots += strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0;
        }
    for (int i = 0; i < 200; i++)
        CHECK_EQ(seen[i], 1);
    CHECK_EQ(dots, 2);
    CHECK_EQ(syscall(SYS_getdents64, fd, buf, sizeof buf), 0);
    CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
    CHECK(syscall(SYS_getdents64, fd, buf, sizeof buf) > 0);
    check_write_file("f", "");
    CHECK_ERRNO(syscall(SYS_getdents64, open("f", O_RDONLY), buf, sizeof buf), ENOTDIR);
}

TEST(extended_attributes) {
    check_scratch();
    check_write_file("f", "x");
    char buf[64];
    if (setxattr("f", "user.a", "value", 5, XATTR_CREATE) == -1 && errno == EOPNOTSUPP)
        check_skip("filesystem has no user attributes");
    CHECK_ERRNO(setxattr("f", "user.a", "v", 1, XATTR_CREATE), EEXIST);
    CHECK_ERRNO(setxattr("f", "user.b", "v", 1, XATTR_REPLACE), ENODATA);
    CHECK_ERRNO(setxattr("f", "user.b", "v", 1, 4), EINVAL);
    CHECK_ERRNO(setxattr("f", "nonsense", "v", 1, 0), EOPNOTSUPP);
    CHECK_ERRNO(setxattr("f", "user.", "v", 1, 0), EINVAL);
    CHECK_ERRNO(setxattr("f", "", "v", 1, 0), ERANGE);
    CHECK_ERRNO(setxattr("f", "user.big", "v", 65537, 0), E2BIG);
    CHECK_EQ(getxattr("f", "user.a", NULL, 0), 5);
    CHECK_EQ(getxattr("f", "user.a", buf, sizeof buf), 5);
    CHECK(memcmp(buf, "value", 5) == 0);
    CHECK_ERRNO(getxattr("f", "user.a", buf, 4), ERANGE);
    CHECK_ERRNO(getxattr("f", "user.b", buf, sizeof buf), ENODATA);
    CHECK_OK(setxattr("f", "user.empty", "", 0, 0));
    CHECK_EQ(getxattr("f", "user.empty", buf, sizeof buf), 0);
    CHECK(listxattr("f", buf, sizeof buf) >= 18);
    CHECK_ERRNO(listxattr("f", buf, 3), ERANGE);
    CHECK_OK(removexattr("f", "user.a"));
    CHECK_ERRNO(removexattr("f", "user.a"), ENODATA);
    CHECK_OK(symlink("f", "s"));
    CHECK_ERRNO(lsetxattr("s", "user.a", "v", 1, 0), EPERM);
}

TEST(statx_and_times) {
    check_scratch();
    check_write_file("f", "hello");
    struct statx x;
    CHECK_OK(statx(AT_FDCWD, "f", 0, STATX_ALL, &x));
    CHECK_EQ(x.stx_mask & STATX_BASIC_STATS, STATX_BASIC_STATS);
    CHECK_EQ(x.stx_size, 5);
    CHECK_EQ(x.stx_nlink, 1);
    CHECK_EQ(x.stx_ino, inode("f"));
    CHECK_ERRNO(statx(AT_FDCWD, "f", 0, 0x80000000, &x), EINVAL);
    CHECK_ERRNO(statx(AT_FDCWD, "f", 0x6000, STATX_ALL, &x), EINVAL);
    CHECK_ERRNO(statx(AT_FDCWD, "f", 0x1, STATX_ALL, &x), EINVAL);
    CHECK_ERRNO(statx(AT_FDCWD, "", 0, STATX_ALL, &x), ENOENT);
    CHECK_OK(statx(AT_FDCWD, "", AT_EMPTY_PATH, STATX_ALL, &x));
    CHECK(S_ISDIR(x.stx_mode));
    struct timespec times[2] = {{1000, 123456789}, {2000, 987654321}};
    struct stat st;
    CHECK_OK(utimensat(AT_FDCWD, "f", times, 0));
    CHECK_OK(stat("f", &st));
    CHECK_EQ(st.st_atim.tv_sec, 1000);
    CHECK_EQ(st.st_mtim.tv_nsec, 987654321);
    times[0].tv_nsec = UTIME_OMIT;
    times[1].tv_nsec = UTIME_NOW;
    CHECK_OK(utimensat(AT_FDCWD, "f", times, 0));
    CHECK_OK(stat("f", &st));
    CHECK_EQ(st.st_atim.tv_sec, 1000);
    CHECK(llabs(st.st_mtim.tv_sec - time(NULL)) <= 2);
    times[0].tv_nsec = 1000000000;
    CHECK_ERRNO(utimensat(AT_FDCWD, "f", times, 0), EINVAL);
    /* a write moves mtime and ctime, a chmod ctime alone */
    struct timespec old[2] = {{5, 0}, {5, 0}};
    CHECK_OK(utimensat(AT_FDCWD, "f", old, 0));
    CHECK_OK(chmod("f", 04711));
    CHECK_OK(stat("f", &st));
    CHECK_EQ(st.st_mtim.tv_sec, 5);
    CHECK_EQ(st.st_mode, S_IFREG | 04711);
    CHECK(st.st_ctim.tv_sec > 1000);
    check_write_file("f", "x");
    CHECK_OK(stat("f", &st));
    CHECK(st.st_mtim.tv_sec > 1000);
    struct statfs fs;
    CHECK_OK(statfs("f", &fs));
    CHECK(fs.f_bsize > 0 && fs.f_namelen == 255);
}

TEST(ownership_and_special_files) {
    check_need_root();
    check_scratch();
    struct stat st;
    check_write_file("f", "x");
    CHECK_OK(chmod("f", 06755));
    CHECK_OK(chown("f", 1234, -1));
    CHECK_OK(stat("f", &st));
    CHECK_EQ(st.st_uid, 1234);
    CHECK_EQ(st.st_gid, 0);
    CHECK_EQ(st.st_mode & 07777, 0755);
    CHECK_OK(chmod("f", 04755));
    pid_t pid = check_fork();
    if (pid == 0) {
        CHECK_OK(chmod(".", 0755));
        CHECK_OK(setresuid(1234, 1234, 1234));
        int fd = CHECK_OK(open("f", O_WRONLY));
        CHECK_EQ(write(fd, "y", 1), 1);
        CHECK_OK(fstat(fd, &st));
        CHECK_EQ(st.st_mode & 07777, 0755); /* a write takes the set-uid bit off */
        CHECK_ERRNO(mknod("dev", S_IFCHR | 0600, makedev(1, 3)), EACCES);
        _exit(0);
    }
    check_wait(pid);
    CHECK_OK(mknod("fifo", S_IFIFO | 0600, 0));
    CHECK_OK(mknod("sock", S_IFSOCK | 0600, 0));
    CHECK_ERRNO(open("sock", O_RDWR), ENXIO);
    CHECK_ERRNO(mknod("bad", S_IFDIR | 0600, 0), EPERM);
    CHECK_ERRNO(mknod("bad", 0050000 | 0600, 0), EINVAL);
    CHECK_OK(mkdir("g", 0755));
    CHECK_OK(chown("g", 0, 77));
    CHECK_OK(chmod("g", 02755));
    check_write_file("g/f", "x");
    CHECK_OK(mkdir("g/d", 0755));
    CHECK_OK(stat("g/f", &st));
    CHECK_EQ(st.st_gid, 77);
    CHECK_OK(stat("g/d", &st));
    CHECK(st.st_gid == 77 && (st.st_mode & S_ISGID));
}

TEST(devices_stay_at_their_start) {
    const char *devices[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"};
    for (int i = 0; i < 5; i++) {
        int fd = CHECK_OK(open(devices[i], O_RDWR));
        for (int whence = SEEK_SET; whence <= SEEK_HOLE; whence++) {
            CHECK_EQ(lseek(fd, -5, whence), 0);
            CHECK_EQ(lseek(fd, 1L << 40, whence), 0);
        }
        CHECK_ERRNO(lseek(fd, 0, 9), EINVAL);
        CHECK_OK(close(fd));
    }
}
