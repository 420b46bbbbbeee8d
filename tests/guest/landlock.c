/* landlock(7): what a task forbids itself with files. By the bare calls; each case restricts itself in a child. */
#include "check.h"
#include <linux/landlock.h>

#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif

#define FILES                                                                                                          \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE)
#define DIRS                                                                                                           \
    (LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |                     \
     LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SYM)

static int ruleset(uint64_t handled) {
    struct {
        uint64_t handled;
    } attr = {handled};
    int fd = syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
    if (fd < 0 && (errno == EOPNOTSUPP || errno == ENOSYS))
        check_skip("Landlock is off here");
    return fd;
}

static int allow(int fd, uint64_t access, const char *path) {
    struct landlock_path_beneath_attr attr = {.allowed_access = access, .parent_fd = CHECK_OK(open(path, O_PATH | O_CLOEXEC))};
    int result = syscall(SYS_landlock_add_rule, fd, LANDLOCK_RULE_PATH_BENEATH, &attr, 0), saved = errno;
    close(attr.parent_fd);
    errno = saved;
    return result;
}

static void wear(int fd) {
    CHECK_OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    CHECK_OK(syscall(SYS_landlock_restrict_self, fd, 0));
}

static void put(const char *path) {
    close(CHECK_OK(open(path, O_WRONLY | O_CREAT, 0600)));
}

static void tree(void) {
    mkdir("ll", 0700), mkdir("ll/in", 0700), mkdir("ll/in/deep", 0700), mkdir("ll/out", 0700);
    put("ll/in/a"), put("ll/in/deep/b"), put("ll/out/c");
}

TEST(arguments_are_checked) {
    int fd = CHECK_OK(ruleset(FILES));
    uint64_t none[2] = {0, 0}, more[2] = {FILES, 1};
    CHECK(syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) >= 3);
    CHECK_ERRNO(syscall(SYS_landlock_create_ruleset, none, 8, LANDLOCK_CREATE_RULESET_VERSION), EINVAL);
    CHECK_ERRNO(syscall(SYS_landlock_create_ruleset, none, 8, 0), ENOMSG);
    CHECK_ERRNO(syscall(SYS_landlock_create_ruleset, none, 7, 0), EINVAL);
    CHECK_ERRNO(syscall(SYS_landlock_create_ruleset, NULL, 8, 0), EFAULT);
    CHECK_ERRNO(syscall(SYS_landlock_create_ruleset, more, 8192, 0), E2BIG);
    CHECK_ERRNO(ruleset(1ULL << 60), EINVAL);
    CHECK_ERRNO(allow(fd, LANDLOCK_ACCESS_FS_READ_DIR, "/"), EINVAL); /* not handled */
    CHECK_ERRNO(allow(fd, 0, "/"), ENOMSG);
    CHECK_ERRNO(allow(1, FILES, "/"), EBADFD);
    CHECK_ERRNO(allow(-1, FILES, "/"), EBADF);
    struct landlock_path_beneath_attr attr = {.allowed_access = FILES, .parent_fd = fd};
    CHECK_ERRNO(syscall(SYS_landlock_add_rule, fd, LANDLOCK_RULE_PATH_BENEATH, &attr, 0), EBADFD);
    CHECK_ERRNO(syscall(SYS_landlock_add_rule, fd, 99, &attr, 0), EINVAL);
    CHECK_ERRNO(syscall(SYS_landlock_add_rule, fd, LANDLOCK_RULE_PATH_BENEATH, &attr, 1), EINVAL);
    CHECK_ERRNO(syscall(SYS_landlock_restrict_self, 1, 0), EBADFD);
    put("plain");
    int dirs = CHECK_OK(ruleset(DIRS));
    CHECK_ERRNO(allow(dirs, LANDLOCK_ACCESS_FS_READ_DIR, "plain"), EINVAL);
    unlink("plain");
}

TEST(files_are_opened_where_that_is_allowed) {
    int fd = CHECK_OK(ruleset(FILES | DIRS));
    tree();
    CHECK_OK(allow(fd, LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR, "ll/in"));
    CHECK_OK(allow(fd, LANDLOCK_ACCESS_FS_WRITE_FILE, "ll/in/deep"));
    int before = CHECK_OK(open("ll/out/c", O_RDWR));
    wear(fd);
    close(CHECK_OK(open("ll/in/a", O_RDONLY)));
    CHECK_ERRNO(open("ll/in/a", O_RDWR), EACCES);
    close(CHECK_OK(open("ll/in/deep/b", O_RDWR)));
    close(CHECK_OK(open("ll/in", O_RDONLY | O_DIRECTORY)));
    CHECK_ERRNO(open("ll/out/c", O_RDONLY), EACCES);
    CHECK_ERRNO(open("ll/out", O_RDONLY | O_DIRECTORY), EACCES);
    close(CHECK_OK(open("ll/out/c", O_PATH)));
    struct stat st;
    CHECK_OK(stat("ll/out/c", &st)); /* is not forbidden */
    CHECK_EQ(write(before, "x", 1), 1); /* what is open stays open */
    CHECK_ERRNO(open("ll/in/new", O_WRONLY | O_CREAT, 0600), EACCES);
    CHECK_ERRNO(mkdir("ll/in/dir", 0700), EACCES);
    CHECK_ERRNO(symlink("x", "ll/in/link"), EACCES);
    CHECK_ERRNO(unlink("ll/in/a"), EACCES);
    CHECK_ERRNO(rmdir("ll/out"), EACCES);
    pid_t pid = check_fork();
    if (pid == 0) { /* children are bound too */
        CHECK_ERRNO(open("ll/out/c", O_RDONLY), EACCES);
        _exit(0);
    }
    check_wait(pid);
}

TEST(names_change_where_that_is_allowed) {
    int fd = CHECK_OK(ruleset(FILES | DIRS));
    tree();
    CHECK_OK(allow(fd, FILES | DIRS, "ll/in"));
    wear(fd);
    put("ll/in/new");
    CHECK_OK(rename("ll/in/new", "ll/in/newer"));
    CHECK_OK(unlink("ll/in/newer"));
    CHECK_OK(mkdir("ll/in/dir", 0700));
    CHECK_OK(rmdir("ll/in/dir"));
    put("ll/in/x");
    CHECK_ERRNO(rename("ll/in/x", "ll/in/deep/x"), EXDEV); /* nothing moves to another directory unless it is said */
    CHECK_ERRNO(link("ll/in/x", "ll/in/deep/x"), EXDEV);
    CHECK_ERRNO(rename("ll/in/x", "ll/out/x"), EACCES);
    CHECK_OK(link("ll/in/x", "ll/in/y"));
}

TEST(moving_never_gains_rights) {
    uint64_t refer = LANDLOCK_ACCESS_FS_REFER;
    int fd = CHECK_OK(ruleset(FILES | DIRS | refer));
    tree();
    uint64_t names = DIRS | refer;
    CHECK_OK(allow(fd, names, "ll/in"));
    CHECK_OK(allow(fd, names | FILES, "ll/out"));
    wear(fd);
    CHECK_OK(rename("ll/out/c", "ll/in/c"));
    CHECK_ERRNO(rename("ll/in/a", "ll/out/a"), EXDEV);
    CHECK_OK(rename("ll/in/a", "ll/in/deep/a"));
}

TEST(truncation_is_a_right) {
    uint64_t truncates = LANDLOCK_ACCESS_FS_TRUNCATE;
    int fd = CHECK_OK(ruleset(truncates));
    tree();
    CHECK_OK(allow(fd, truncates, "ll/in"));
    wear(fd);
    CHECK_OK(truncate("ll/in/a", 0));
    CHECK_ERRNO(truncate("ll/out/c", 0), EACCES);
    CHECK_ERRNO(open("ll/out/c", O_WRONLY | O_TRUNC), EACCES);
    int out = CHECK_OK(open("ll/out/c", O_WRONLY)), in = CHECK_OK(open("ll/in/a", O_WRONLY));
    CHECK_ERRNO(ftruncate(out, 0), EACCES);
    CHECK_OK(ftruncate(in, 0));
}

TEST(rulesets_add_up_to_sixteen) {
    int fd = CHECK_OK(ruleset(LANDLOCK_ACCESS_FS_MAKE_SOCK));
    tree();
    CHECK_OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    for (int i = 0; i < 16; i++)
        CHECK_OK(syscall(SYS_landlock_restrict_self, fd, 0));
    CHECK_ERRNO(syscall(SYS_landlock_restrict_self, fd, 0), E2BIG);
    CHECK_ERRNO(mknod("ll/in/sock", S_IFSOCK | 0600, 0), EACCES);
    CHECK_OK(mknod("ll/in/fifo", S_IFIFO | 0600, 0));
}

TEST(programs_are_run_where_that_is_allowed) {
    int fd = CHECK_OK(ruleset(LANDLOCK_ACCESS_FS_EXECUTE));
    wear(fd);
    char *argv[] = {"x", NULL};
    CHECK_ERRNO(execv("/proc/self/exe", argv), EACCES);
}
