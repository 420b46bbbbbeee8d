/* add_key(2), request_key(2), keyctl(2), by the bare calls. */
#include "check.h"
#include <linux/keyctl.h>

static long add(const char *type, const char *name, const void *data, size_t len, long ring) {
    return syscall(SYS_add_key, type, name, data, len, ring);
}

static long ctl(int op, long a, long b, long c, long d) {
    return syscall(SYS_keyctl, op, a, b, c, d);
}

static long request(const char *type, const char *name, const char *info, long ring) {
    return syscall(SYS_request_key, type, name, info, ring);
}

TEST(keys_are_added_found_and_read) {
    char text[128] = "";
    long key = CHECK_OK(add("user", "one", "first", 5, KEY_SPEC_PROCESS_KEYRING));
    CHECK_EQ(add("user", "one", "second", 6, KEY_SPEC_PROCESS_KEYRING), key); /* is the same with another payload */
    CHECK_EQ(ctl(KEYCTL_READ, key, 0, 0, 0), 6);
    CHECK_EQ(ctl(KEYCTL_READ, key, (long)text, sizeof text, 0), 6);
    CHECK_STR(text, "second");
    CHECK_EQ(request("user", "one", NULL, 0), key);
    CHECK_EQ(ctl(KEYCTL_SEARCH, KEY_SPEC_PROCESS_KEYRING, (long)"user", (long)"one", 0), key);
    CHECK_ERRNO(request("user", "other", NULL, 0), ENOKEY);
    char want[64];
    snprintf(want, sizeof want, "user;%d;%d;3f010000;one", geteuid(), getegid());
    CHECK_EQ(ctl(KEYCTL_DESCRIBE, key, (long)text, sizeof text, 0), strlen(want) + 1);
    CHECK_STR(text, want);
    CHECK_OK(ctl(KEYCTL_UPDATE, key, (long)"3", 1, 0));
    CHECK_EQ(ctl(KEYCTL_READ, key, 0, 0, 0), 1);
    int serial = 0;
    CHECK_EQ(ctl(KEYCTL_READ, KEY_SPEC_PROCESS_KEYRING, (long)&serial, 4, 0), 4);
    CHECK_EQ(serial, key);
    CHECK_OK(ctl(KEYCTL_UNLINK, key, KEY_SPEC_PROCESS_KEYRING, 0, 0));
    CHECK_ERRNO(request("user", "one", NULL, 0), ENOKEY);
}

TEST(what_is_wrong_is_refused) {
    CHECK_ERRNO(add("nonsense", "a", "b", 1, KEY_SPEC_PROCESS_KEYRING), ENODEV);
    CHECK_ERRNO(add(".dot", "a", "b", 1, KEY_SPEC_PROCESS_KEYRING), EPERM);
    CHECK_ERRNO(add("keyring", ".dot", NULL, 0, KEY_SPEC_PROCESS_KEYRING), EPERM);
    CHECK_ERRNO(add("keyring", "a", "b", 1, KEY_SPEC_PROCESS_KEYRING), EINVAL);
    CHECK_ERRNO(add("user", "a", NULL, 0, KEY_SPEC_PROCESS_KEYRING), EINVAL);
    CHECK_ERRNO(add("user", "a", NULL, 8, KEY_SPEC_PROCESS_KEYRING), EFAULT);
    CHECK_ERRNO(add("user", "a", "b", 1, 0), EINVAL);
    CHECK_ERRNO(add("logon", "nocolon", "b", 1, KEY_SPEC_PROCESS_KEYRING), EINVAL);
    long key = CHECK_OK(add("user", "a", "b", 1, KEY_SPEC_PROCESS_KEYRING));
    CHECK_ERRNO(add("user", "c", "d", 1, key), ENOTDIR);
    CHECK_ERRNO(ctl(KEYCTL_CLEAR, key, 0, 0, 0), ENOTDIR);
    long logon = CHECK_OK(add("logon", "a:b", "c", 1, KEY_SPEC_PROCESS_KEYRING));
    CHECK_ERRNO(ctl(KEYCTL_READ, logon, 0, 0, 0), EOPNOTSUPP);
    CHECK_ERRNO(ctl(KEYCTL_SETPERM, key, 0x80000000L, 0, 0), EINVAL);
    CHECK_ERRNO(ctl(9999, 0, 0, 0, 0), EOPNOTSUPP);
}

TEST(a_revoked_key_says_so) {
    long key = CHECK_OK(add("user", "r", "b", 1, KEY_SPEC_PROCESS_KEYRING));
    CHECK_OK(ctl(KEYCTL_REVOKE, key, 0, 0, 0));
    CHECK_ERRNO(ctl(KEYCTL_READ, key, 0, 0, 0), EKEYREVOKED);
    CHECK_ERRNO(ctl(KEYCTL_SEARCH, KEY_SPEC_PROCESS_KEYRING, (long)"user", (long)"r", 0), EKEYREVOKED);
    CHECK_ERRNO(request("user", "r", NULL, 0), ENOKEY); /* another keyring has none at all */
    long again = CHECK_OK(add("user", "r", "b", 1, KEY_SPEC_PROCESS_KEYRING));
    CHECK(again != key);
    CHECK_OK(ctl(KEYCTL_INVALIDATE, again, 0, 0, 0));
    CHECK_ERRNO(request("user", "r", NULL, 0), ENOKEY);
}

TEST(keyrings_link_and_never_themselves) {
    long a = CHECK_OK(add("keyring", "a", NULL, 0, KEY_SPEC_PROCESS_KEYRING));
    long b = CHECK_OK(add("keyring", "b", NULL, 0, a));
    long key = CHECK_OK(add("user", "deep", "x", 1, b));
    CHECK_EQ(request("user", "deep", NULL, 0), key);
    CHECK_ERRNO(ctl(KEYCTL_LINK, a, b, 0, 0), EDEADLK);
    CHECK_ERRNO(ctl(KEYCTL_LINK, a, a, 0, 0), EDEADLK);
    CHECK_OK(ctl(KEYCTL_LINK, key, a, 0, 0));
    CHECK_OK(ctl(KEYCTL_UNLINK, key, b, 0, 0));
    CHECK_ERRNO(ctl(KEYCTL_UNLINK, key, b, 0, 0), ENOENT);
    CHECK_OK(ctl(KEYCTL_MOVE, key, a, b, 0));
    CHECK_ERRNO(ctl(KEYCTL_MOVE, key, a, b, 0), ENOENT);
    CHECK_OK(ctl(KEYCTL_CLEAR, a, 0, 0, 0));
    CHECK_ERRNO(request("user", "deep", NULL, 0), ENOKEY);
}

TEST(rights_hold) {
    long key = CHECK_OK(add("user", "p", "x", 1, KEY_SPEC_PROCESS_KEYRING));
    CHECK_OK(ctl(KEYCTL_SETPERM, key, 0x29010000, 0, 0)); /* view, search and set attributes */
    CHECK_ERRNO(ctl(KEYCTL_UPDATE, key, (long)"y", 1, 0), EACCES);
    CHECK_ERRNO(ctl(KEYCTL_LINK, key, KEY_SPEC_THREAD_KEYRING, 0, 0), EACCES);
    CHECK_EQ(request("user", "p", NULL, 0), key);
    CHECK_OK(ctl(KEYCTL_SETPERM, key, 0x21010000, 0, 0)); /* who may not find it does not possess it */
    CHECK_ERRNO(ctl(KEYCTL_SEARCH, KEY_SPEC_PROCESS_KEYRING, (long)"user", (long)"p", 0), EACCES);
    CHECK_ERRNO(ctl(KEYCTL_SETPERM, key, 0x3f010000, 0, 0), EACCES);
}

TEST(sessions_are_inherited_and_others_not) {
    long session = CHECK_OK(ctl(KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0));
    CHECK_EQ(ctl(KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0, 0, 0), session);
    CHECK_OK(add("user", "s", "x", 1, KEY_SPEC_SESSION_KEYRING));
    CHECK_OK(add("user", "t", "x", 1, KEY_SPEC_THREAD_KEYRING));
    pid_t pid = check_fork();
    if (pid == 0) {
        CHECK_EQ(ctl(KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0, 0, 0), session);
        CHECK_OK(request("user", "s", NULL, 0));
        CHECK_ERRNO(request("user", "t", NULL, 0), ENOKEY);
        CHECK_ERRNO(ctl(KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 0, 0, 0), ENOKEY);
        _exit(0);
    }
    check_wait(pid);
    long user = CHECK_OK(ctl(KEYCTL_GET_KEYRING_ID, KEY_SPEC_USER_KEYRING, 0, 0, 0));
    CHECK_EQ(ctl(KEYCTL_GET_KEYRING_ID, KEY_SPEC_USER_KEYRING, 1, 0, 0), user);
}

TEST(keys_expire) {
    long key = CHECK_OK(add("user", "e", "x", 1, KEY_SPEC_PROCESS_KEYRING));
    CHECK_OK(ctl(KEYCTL_SET_TIMEOUT, key, 1, 0, 0));
    usleep(1500000);
    CHECK_ERRNO(ctl(KEYCTL_UPDATE, key, (long)"y", 1, 0), EKEYEXPIRED);
    CHECK_ERRNO(ctl(KEYCTL_SEARCH, KEY_SPEC_PROCESS_KEYRING, (long)"user", (long)"e", 0), EKEYEXPIRED);
}

TEST(users_have_quotas) {
    char name[32];
    long n = 0;
    pid_t pid = check_fork();
    if (pid == 0) {
        CHECK_OK(setuid(54321));
        do
            snprintf(name, sizeof name, "k%ld", n);
        while (add("user", name, "x", 1, KEY_SPEC_THREAD_KEYRING) >= 0 && n++ < 100000);
        CHECK_EQ(errno, EDQUOT);
        CHECK(n > 10 && n < 100000);
        _exit(0);
    }
    check_wait(pid);
}
