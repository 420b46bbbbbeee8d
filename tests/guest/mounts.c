/* Mounts: who owns what is mounted, and how mounts spread between peers and slaves. */
#include "check.h"
#include <sys/mount.h>
#include <sys/statfs.h>

static void write_file(const char *path, const char *text) {
    int fd = CHECK_OK(open(path, O_WRONLY));
    CHECK_EQ(write(fd, text, strlen(text)), (long)strlen(text));
    CHECK_OK(close(fd));
}

/* A mount namespace of our own in which nothing spreads, at a scratch directory. */
static void private_mounts(void) {
    if (unshare(CLONE_NEWNS) != 0)
        check_skip("may not mount");
    CHECK_OK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
    check_scratch();
}

static void tmpfs(const char *at) {
    CHECK_OK(mount("x", at, "tmpfs", 0, NULL));
}

static void touch(const char *path) {
    CHECK_OK(close(CHECK_OK(open(path, O_CREAT | O_WRONLY, 0600))));
}

static bool is_there(const char *path) {
    return access(path, F_OK) == 0;
}

/* In a child that has its own copy of the mounts. */
#define IN_ANOTHER_NAMESPACE(...)                                                                                      \
    do {                                                                                                               \
        pid_t child_ = check_fork();                                                                                   \
        if (child_ == 0) {                                                                                             \
            CHECK_OK(unshare(CLONE_NEWNS));                                                                            \
            __VA_ARGS__;                                                                                               \
            _exit(0);                                                                                                  \
        }                                                                                                              \
        check_wait(child_);                                                                                            \
    } while (0)

TEST(tmpfs_belongs_to_whoever_mounts_it) {
    struct stat st;
    check_scratch();
    CHECK_OK(chmod(".", 0755));
    CHECK_OK(mkdir("t", 0777));
    if (getuid() != 0)
        check_skip("not root");
    pid_t child = check_fork();
    if (child == 0) {
        CHECK_OK(setgid(77));
        CHECK_OK(setuid(66));
        CHECK_OK(prctl(PR_SET_DUMPABLE, 1));
        if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
            _exit(0);
        write_file("/proc/self/setgroups", "deny");
        write_file("/proc/self/uid_map", "5 66 1");
        write_file("/proc/self/gid_map", "6 77 1");
        CHECK_OK(mount("x", "t", "tmpfs", 0, "mode=755"));
        CHECK_OK(stat("t", &st));
        CHECK(st.st_uid == 5 && st.st_gid == 6);
        touch("t/file");
        CHECK_ERRNO(mount("x", "t", "tmpfs", 0, "uid=66"), EINVAL);
        CHECK_OK(mount("x", "t", "tmpfs", 0, "uid=5"));
        _exit(0);
    }
    check_wait(child);
}

TEST(mounts_spread_between_peers) {
    private_mounts();
    CHECK_OK(mkdir("a", 0700));
    tmpfs("a");
    CHECK_OK(mount(NULL, "a", NULL, MS_SHARED, NULL));
    CHECK_OK(mkdir("a/sub", 0700));
    CHECK_OK(mkdir("b", 0700));
    CHECK_OK(mount("a", "b", NULL, MS_BIND, NULL));
    tmpfs("b/sub");
    touch("b/sub/file");
    CHECK(is_there("a/sub/file"));
    /* what is mounted there is shared as well */
    CHECK_OK(mkdir("a/sub/deep", 0700));
    tmpfs("a/sub/deep");
    touch("a/sub/deep/file");
    CHECK(is_there("b/sub/deep/file"));
    CHECK_OK(umount("b/sub/deep"));
    CHECK(!is_there("a/sub/deep/file"));
    CHECK_OK(umount("a/sub"));
    CHECK(!is_there("b/sub/file"));
    IN_ANOTHER_NAMESPACE(tmpfs("a/sub"); touch("a/sub/other"));
    CHECK(is_there("a/sub/other") && is_there("b/sub/other"));
    IN_ANOTHER_NAMESPACE(CHECK_OK(umount("b/sub")));
    CHECK(!is_there("a/sub/other") && !is_there("b/sub/other"));
    /* private ones do not take part */
    CHECK_OK(mount(NULL, "b", NULL, MS_PRIVATE, NULL));
    tmpfs("a/sub");
    touch("a/sub/file");
    CHECK(!is_there("b/sub/file"));
}

TEST(a_peer_of_a_part_hears_of_that_part) {
    private_mounts();
    CHECK_OK(mkdir("a", 0700));
    tmpfs("a");
    CHECK_OK(mount(NULL, "a", NULL, MS_SHARED, NULL));
    CHECK_OK(mkdir("a/in", 0700));
    CHECK_OK(mkdir("a/in/sub", 0700));
    CHECK_OK(mkdir("a/out", 0700));
    CHECK_OK(mkdir("b", 0700));
    CHECK_OK(mount("a/in", "b", NULL, MS_BIND, NULL));
    tmpfs("a/in/sub");
    touch("a/in/sub/file");
    CHECK(is_there("b/sub/file"));
    tmpfs("a/out");
    CHECK_OK(umount("b/sub"));
    CHECK(!is_there("a/in/sub/file"));
}

TEST(slaves_hear_and_are_not_heard) {
    private_mounts();
    CHECK_OK(mkdir("a", 0700));
    tmpfs("a");
    CHECK_OK(mount(NULL, "a", NULL, MS_SHARED, NULL));
    CHECK_OK(mkdir("a/sub", 0700));
    CHECK_OK(mkdir("b", 0700));
    CHECK_OK(mount("a", "b", NULL, MS_BIND, NULL));
    CHECK_OK(mount(NULL, "b", NULL, MS_SLAVE, NULL));
    tmpfs("b/sub");
    touch("b/sub/mine");
    CHECK(!is_there("a/sub/mine"));
    CHECK_OK(umount("b/sub"));
    tmpfs("a/sub");
    touch("a/sub/theirs");
    CHECK(is_there("b/sub/theirs"));
    CHECK_OK(umount("a/sub"));
    CHECK(!is_there("b/sub/theirs"));
    /* a slave that has peers of its own tells them */
    CHECK_OK(mount(NULL, "b", NULL, MS_SHARED, NULL));
    CHECK_OK(mkdir("c", 0700));
    CHECK_OK(mount("b", "c", NULL, MS_BIND, NULL));
    tmpfs("a/sub");
    touch("a/sub/theirs");
    CHECK(is_there("b/sub/theirs") && is_there("c/sub/theirs"));
    tmpfs("c/sub");
    touch("c/sub/mine");
    CHECK(is_there("b/sub/mine") && !is_there("a/sub/mine"));
    /* private again, it hears nothing */
    CHECK_OK(umount("c/sub"));
    CHECK_OK(umount("a/sub"));
    CHECK_OK(mount(NULL, "b", NULL, MS_PRIVATE, NULL));
    tmpfs("a/sub");
    CHECK(!is_there("b/sub/theirs"));
}

TEST(trees_spread_whole) {
    private_mounts();
    CHECK_OK(mkdir("tree", 0700));
    tmpfs("tree");
    CHECK_OK(mkdir("tree/leaf", 0700));
    tmpfs("tree/leaf");
    touch("tree/leaf/file");
    CHECK_OK(mkdir("a", 0700));
    tmpfs("a");
    CHECK_OK(mount(NULL, "a", NULL, MS_SHARED, NULL));
    CHECK_OK(mkdir("a/sub", 0700));
    CHECK_OK(mkdir("b", 0700));
    CHECK_OK(mount("a", "b", NULL, MS_BIND, NULL));
    CHECK_OK(mount("tree", "a/sub", NULL, MS_BIND | MS_REC, NULL));
    CHECK(is_there("b/sub/leaf/file"));
    CHECK_OK(umount2("b/sub", MNT_DETACH));
    CHECK(!is_there("a/sub/leaf") && is_there("tree/leaf/file"));
    CHECK_OK(mount("tree", "a/sub", NULL, MS_MOVE, NULL));
    CHECK(is_there("b/sub/leaf/file") && is_there("a/sub/leaf/file") && !is_there("tree/leaf"));
    /* busy in one place is not busy in another: what can go, goes */
    CHECK_OK(chdir("b/sub/leaf"));
    CHECK_ERRNO(umount("../../../b/sub/leaf"), EBUSY);
}
