/* open(2) and its kin: flags, modes, errors, O_TMPFILE, O_APPEND, O_PATH, openat2(2), descriptors. */
#include "check.h"
#include <linux/openat2.h>

static long openat2(int dir, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve) {
    struct open_how how = {flags, mode, resolve};
    return syscall(SYS_openat2, dir, path, &how, sizeof how);
}

TEST(flags_and_errors) {
    check_scratch();
    umask(022);
    CHECK_ERRNO(open("f", O_RDWR), ENOENT);
    int fd = CHECK_OK(open("f", O_RDWR | O_CREAT | O_EXCL, 0777));
    struct stat st;
    CHECK_OK(fstat(fd, &st));
    CHECK_EQ(st.st_mode, S_IFREG | 0755);
    CHECK_ERRNO(open("f", O_RDWR | O_CREAT | O_EXCL, 0777), EEXIST);
    CHECK_ERRNO(open("f", O_RDONLY | O_DIRECTORY), ENOTDIR);
    CHECK_ERRNO(open("f/x", O_RDONLY), ENOTDIR);
    CHECK_ERRNO(open("f/", O_RDONLY), ENOTDIR);
    CHECK_ERRNO(open(".", O_WRONLY), EISDIR);
    CHECK_ERRNO(open(".", O_RDONLY | O_CREAT, 0600), EISDIR);
    CHECK_ERRNO(open("new/", O_RDWR | O_CREAT, 0600), EISDIR);
    CHECK_ERRNO(open("", O_RDONLY), ENOENT);
    char name[5000];
    memset(name, 'n', 4999);
    name[4999] = 0;
    CHECK_ERRNO(open(name, O_RDONLY), ENAMETOOLONG);
    name[256] = 0;
    CHECK_ERRNO(open(name, O_RDONLY), ENAMETOOLONG);
    name[255] = 0;
    CHECK_OK(open(name, O_RDWR | O_CREAT, 0600));
    CHECK_OK(symlink("loop", "loop"));
    CHECK_ERRNO(open("loop", O_RDONLY), ELOOP);
    CHECK_OK(symlink("f", "link"));
    CHECK_ERRNO(open("link", O_RDONLY | O_NOFOLLOW), ELOOP);
    CHECK_OK(symlink("nowhere", "dangling"));
    CHECK_ERRNO(open("dangling", O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST);
    CHECK_OK(open("dangling", O_RDWR | O_CREAT, 0600));
    CHECK_OK(access("nowhere", F_OK));
    CHECK_ERRNO(openat(99, "f", O_RDONLY), EBADF);
    CHECK_ERRNO(openat(fd, "f", O_RDONLY), ENOTDIR);
    CHECK_OK(openat(99, "/", O_RDONLY));
    CHECK_ERRNO(open("f", O_RDONLY | O_TMPFILE), EINVAL);
}

TEST(truncate_append_and_status_flags) {
    check_scratch();
    check_write_file("f", "0123456789");
    struct stat st;
    int fd = CHECK_OK(open("f", O_WRONLY | O_APPEND));
    CHECK_EQ(lseek(fd, 2, SEEK_SET), 2);
    CHECK_EQ(write(fd, "ab", 2), 2);
    CHECK_EQ(lseek(fd, 0, SEEK_CUR), 12);
    CHECK_EQ(pwrite(fd, "c", 1, 0), 1); /* appends all the same */
    CHECK_OK(fstat(fd, &st));
    CHECK_EQ(st.st_size, 13);
    CHECK_EQ(lseek(fd, 0, SEEK_CUR), 12);
    CHECK_OK(fcntl(fd, F_SETFL, O_NONBLOCK));
    CHECK_EQ(fcntl(fd, F_GETFL) & ~0100000, O_WRONLY | O_NONBLOCK);
    CHECK_EQ(pwrite(fd, "Z", 1, 0), 1);
    CHECK_ERRNO(read(fd, &st, 1), EBADF);
    char text[32];
    check_read_file("f", text, sizeof text);
    CHECK_STR(text, "Z123456789abc");
    CHECK_OK(close(CHECK_OK(open("f", O_RDONLY | O_TRUNC))));
    CHECK_OK(fstat(fd, &st));
    CHECK_EQ(st.st_size, 0);
    int rd = CHECK_OK(open("f", O_RDONLY));
    CHECK_ERRNO(write(rd, "x", 1), EBADF);
    CHECK_ERRNO(ftruncate(rd, 0), EINVAL);
}

TEST(o_tmpfile) {
    check_scratch();
    char path[64];
    struct stat st;
    int fd = open(".", O_RDWR | O_TMPFILE, 0640);
    if (fd == -1 && errno == EOPNOTSUPP)
        check_skip("filesystem has no O_TMPFILE");
    CHECK(fd >= 0);
    CHECK_OK(fstat(fd, &st));
    CHECK_EQ(st.st_nlink, 0);
    CHECK_EQ(write(fd, "secret", 6), 6);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    CHECK_OK(linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
    CHECK_OK(fstat(fd, &st));
    CHECK_EQ(st.st_nlink, 1);
    check_read_file("named", path, sizeof path);
    CHECK_STR(path, "secret");
    fd = CHECK_OK(open(".", O_RDWR | O_TMPFILE | O_EXCL, 0600));
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    CHECK_ERRNO(linkat(AT_FDCWD, path, AT_FDCWD, "never", AT_SYMLINK_FOLLOW), ENOENT);
}

TEST(o_path) {
    check_scratch();
    check_write_file("f", "x");
    char c;
    int fd = CHECK_OK(open("f", O_PATH));
    CHECK_ERRNO(read(fd, &c, 1), EBADF);
    CHECK_ERRNO(fchmod(fd, 0600), EBADF);
    CHECK_ERRNO(lseek(fd, 0, SEEK_SET), EBADF);
    CHECK_ERRNO(fcntl(fd, F_SETFL, 0), EBADF);
    CHECK_EQ(fcntl(fd, F_GETFL) & O_PATH, O_PATH);
    struct stat st;
    CHECK_OK(fstat(fd, &st));
    CHECK_OK(symlink("f", "link"));
    fd = CHECK_OK(open("link", O_PATH | O_NOFOLLOW));
    CHECK_OK(fstat(fd, &st));
    CHECK(S_ISLNK(st.st_mode));
    char target[8] = "";
    CHECK_EQ(readlinkat(fd, "", target, sizeof target), 1);
    CHECK_STR(target, "f");
    int dir = CHECK_OK(open(".", O_PATH));
    CHECK_OK(openat(dir, "f", O_RDONLY));
    CHECK_OK(fchdir(dir));
}

TEST(descriptors) {
    check_scratch();
    int fd = CHECK_OK(open("/dev/null", O_RDWR));
    CHECK_EQ(fcntl(fd, F_DUPFD, 100), 100);
    CHECK_EQ(fcntl(fd, F_DUPFD_CLOEXEC, 100), 101);
    CHECK_EQ(fcntl(101, F_GETFD), FD_CLOEXEC);
    CHECK_EQ(dup2(fd, 50), 50);
    CHECK_EQ(dup2(fd, fd), fd);
    CHECK_ERRNO(dup3(fd, fd, 0), EINVAL);
    CHECK_ERRNO(dup3(fd, 51, 1), EINVAL);
    CHECK_EQ(dup3(fd, 51, O_CLOEXEC), 51);
    CHECK_ERRNO(dup2(99, 5), EBADF);
    CHECK_ERRNO(dup2(fd, -1), EBADF);
    CHECK_ERRNO(dup2(fd, 1 << 20), EBADF);
    CHECK_ERRNO(fcntl(fd, F_DUPFD, -1), EINVAL);
    CHECK_ERRNO(fcntl(fd, F_DUPFD, 1 << 30), EINVAL);
    CHECK_ERRNO(fcntl(fd, 9999, 0), EINVAL);
    CHECK_OK(syscall(SYS_close_range, 50, 51, 0));
    CHECK_ERRNO(close(50), EBADF);
    CHECK_OK(syscall(SYS_close_range, 100, ~0U, 4));
    CHECK_EQ(fcntl(100, F_GETFD), FD_CLOEXEC);
    CHECK_ERRNO(syscall(SYS_close_range, 6, 5, 0), EINVAL);
    struct rlimit limit;
    CHECK_OK(getrlimit(RLIMIT_NOFILE, &limit));
    limit.rlim_cur = fd + 1;
    CHECK_OK(setrlimit(RLIMIT_NOFILE, &limit));
    CHECK_ERRNO(open("/dev/null", O_RDONLY), EMFILE);
    CHECK_ERRNO(dup(fd), EMFILE);
    CHECK_ERRNO(fcntl(fd, F_DUPFD, fd + 1), EINVAL);
    int fds[2];
    CHECK_ERRNO(pipe(fds), EMFILE);
}

TEST(openat2_resolve) {
    check_scratch();
    CHECK_OK(mkdir("d", 0700));
    CHECK_OK(mkdir("d/e", 0700));
    check_write_file("d/e/f", "x");
    CHECK_OK(symlink("/", "d/abs"));
    CHECK_OK(symlink("..", "d/up"));
    CHECK_OK(symlink("e/f", "d/in"));
    int d = CHECK_OK(open("d", O_PATH));
    CHECK_OK(openat2(d, "e/f", O_RDONLY, 0, RESOLVE_BENEATH));
    CHECK_OK(openat2(d, "e/../in", O_RDONLY, 0, RESOLVE_BENEATH));
    CHECK_ERRNO(openat2(d, "..", O_RDONLY, 0, RESOLVE_BENEATH), EXDEV);
    CHECK_ERRNO(openat2(d, "up/d/in", O_RDONLY, 0, RESOLVE_BENEATH), EXDEV);
    CHECK_ERRNO(openat2(d, "/", O_RDONLY, 0, RESOLVE_BENEATH), EXDEV);
    CHECK_ERRNO(openat2(d, "abs", O_RDONLY, 0, RESOLVE_BENEATH), EXDEV);
    CHECK_OK(openat2(d, "abs/e/f", O_RDONLY, 0, RESOLVE_IN_ROOT));
    CHECK_OK(openat2(d, "../../../in", O_RDONLY, 0, RESOLVE_IN_ROOT));
    CHECK_ERRNO(openat2(d, "in", O_RDONLY, 0, RESOLVE_NO_SYMLINKS), ELOOP);
    CHECK_ERRNO(openat2(d, "up/d", O_RDONLY, 0, RESOLVE_NO_SYMLINKS), ELOOP);
    CHECK_ERRNO(openat2(d, "/proc/self/exe", O_RDONLY, 0, RESOLVE_NO_MAGICLINKS), ELOOP);
    CHECK_ERRNO(openat2(d, "/proc/self/stat", O_RDONLY, 0, RESOLVE_NO_XDEV), EXDEV);
    CHECK_ERRNO(openat2(d, "in", O_RDONLY, 0, RESOLVE_BENEATH | RESOLVE_IN_ROOT), EINVAL);
    CHECK_ERRNO(openat2(d, "in", O_RDONLY, 0, 0x1000), EINVAL);
    CHECK_ERRNO(openat2(d, "in", O_RDONLY, 0700, 0), EINVAL);
    CHECK_ERRNO(openat2(d, "in", O_RDONLY | (1ULL << 40), 0, 0), EINVAL);
    CHECK_ERRNO(openat2(d, "in", O_RDWR | O_CREAT, 010000, 0), EINVAL);
    CHECK_ERRNO(openat2(d, "in", O_PATH | O_RDWR, 0, 0), EINVAL);
    struct open_how how = {0};
    char big[64] = {0};
    CHECK_ERRNO(syscall(SYS_openat2, d, "in", &how, 8), EINVAL);
    CHECK_OK(syscall(SYS_openat2, d, "in", big, sizeof big));
    big[60] = 1;
    CHECK_ERRNO(syscall(SYS_openat2, d, "in", big, sizeof big), E2BIG);
}

TEST(permissions_of_others) {
    check_need_root();
    check_scratch();
    CHECK_OK(chmod(".", 0755));
    CHECK_OK(mkdir("closed", 0700));
    check_write_file("closed/f", "x");
    check_write_file("private", "x");
    CHECK_OK(chmod("private", 0600));
    check_write_file("public", "x");
    CHECK_OK(chmod("public", 0644));
    int dir = CHECK_OK(open(".", O_RDONLY));
    pid_t pid = check_fork();
    if (pid == 0) {
        CHECK_OK(setresgid(1234, 1234, 1234));
        CHECK_OK(setresuid(1234, 1234, 1234));
        CHECK_ERRNO(openat(dir, "closed/f", O_RDONLY), EACCES);
        CHECK_ERRNO(openat(dir, "private", O_RDONLY), EACCES);
        CHECK_ERRNO(openat(dir, "public", O_WRONLY), EACCES);
        CHECK_OK(openat(dir, "public", O_RDONLY));
        CHECK_ERRNO(openat(dir, "public", O_RDONLY | O_TRUNC), EACCES);
        CHECK_ERRNO(openat(dir, "new", O_RDWR | O_CREAT, 0600), EACCES);
        CHECK_ERRNO(openat(dir, "public", O_RDONLY | O_NOATIME), EPERM);
        CHECK_ERRNO(fchmodat(dir, "public", 0777, 0), EPERM);
        CHECK_ERRNO(fchownat(dir, "public", 1234, -1, 0), EPERM);
        CHECK_ERRNO(unlinkat(dir, "public", 0), EACCES);
        CHECK_ERRNO(faccessat(dir, "private", R_OK, 0), EACCES);
        _exit(0);
    }
    check_wait(pid);
    /* root may read everything, and execute only what anyone may */
    CHECK_OK(access("private", R_OK | W_OK));
    CHECK_ERRNO(access("private", X_OK), EACCES);
}

TEST(a_mode_without_write_still_lets_its_creator_write) {
    check_scratch();
    int fd = CHECK_OK(open("f", O_RDWR | O_CREAT, 0));
    CHECK_EQ(write(fd, "x", 1), 1);
    CHECK_OK(ftruncate(fd, 100));
}
