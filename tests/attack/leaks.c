/* What the host is like: its kernel, its processes, its mounts, its other containers, the sandbox's own memory. */
#include "attack.h"

#include <sys/ptrace.h>
#include <sys/utsname.h>

static char text[1 << 20];

static const char *whole(const char *path) {
    int fd = open(path, O_RDONLY | O_NONBLOCK);
    size_t have = 0;
    ssize_t got;
    text[0] = 0;
    if (fd < 0)
        return text;
    while (have < sizeof text - 1 && (got = read(fd, text + have, sizeof text - 1 - have)) > 0)
        have += got;
    text[have] = 0;
    close(fd);
    return text;
}

/* The driver gives words of the host that must be found nowhere. */
static void search(const char *path, int count, char **words) {
    whole(path);
    for (int i = 0; i < count; i++)
        if (*words[i] && strstr(text, words[i]))
            leak("%s has \"%s\"", path, words[i]);
}

static void walk(const char *dir, int depth, int count, char **words) {
    DIR *d = opendir(dir);
    struct dirent *entry;
    if (!d)
        return;
    while ((entry = readdir(d))) {
        char path[PATH_MAX];
        struct stat st;
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
        if (lstat(path, &st) != 0)
            continue;
        if (S_ISDIR(st.st_mode) && depth > 0)
            walk(path, depth - 1, count, words);
        /* our own arguments have the words */
        else if (S_ISREG(st.st_mode) && !strstr(path, "cmdline") && !strstr(path, "mem") && !strstr(path, "kmsg"))
            search(path, count, words);
        else if (S_ISLNK(st.st_mode)) {
            ssize_t n = readlink(path, text, sizeof text - 1);
            text[n > 0 ? n : 0] = 0;
            for (int i = 0; i < count; i++)
                if (*words[i] && strstr(text, words[i]))
                    leak("%s leads to \"%s\"", path, words[i]);
        }
    }
    closedir(d);
}

static void addresses(void) {
    /* Memory of the sandbox's own would be here if it were ours: reading it must fail, not answer. */
    const uint64_t places[] = {0x7ffffffff000, 0x7fffffffe000, 0x7fffffffd000, 0x7fffffffc000, 0xffffffff81000000,
                               0xffff888000000000};
    int mem = open("/proc/self/mem", O_RDWR);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        char bytes[64];
        struct iovec mine = {bytes, sizeof bytes}, there = {(void *)places[i], sizeof bytes};
        snprintf(text, sizeof text, "%lx-", (unsigned long)places[i]);
        if (strstr(whole("/proc/self/maps"), text))
            continue;
        if (pread(mem, bytes, sizeof bytes, places[i]) > 0 || pwrite(mem, bytes, sizeof bytes, places[i]) > 0)
            leak("/proc/self/mem at %#lx", (unsigned long)places[i]);
        if (process_vm_readv(getpid(), &mine, 1, &there, 1, 0) > 0)
            leak("process_vm_readv at %#lx", (unsigned long)places[i]);
    }
    close(mem);
}

static void others(int host_pid) {
    /* Only what is in our own /proc exists. */
    for (int pid = 1; pid < 40000; pid++) {
        char path[64];
        struct stat st;
        snprintf(path, sizeof path, "/proc/%d", pid);
        bool shown = stat(path, &st) == 0;
        if (kill(pid, 0) == 0 && !shown)
            leak("process %d lives and is not shown", pid);
    }
    if (host_pid > 0) {
        if (kill(host_pid, 0) == 0 || errno != ESRCH)
            leak("a process of the host can be signalled");
        if (ptrace(PTRACE_SEIZE, host_pid, 0, 0) == 0 || errno != ESRCH)
            leak("a process of the host can be traced");
        if (syscall(SYS_pidfd_open, host_pid, 0) >= 0)
            leak("a process of the host can be opened");
    }
}

int main(int argc, char **argv) {
    struct utsname name;
    if (argc < 3)
        return 2;
    uname(&name);
    for (int i = 2; i < argc; i++)
        if (*argv[i] && (strstr(name.release, argv[i]) || strstr(name.version, argv[i]) || strstr(name.nodename, argv[i])))
            leak("uname has \"%s\"", argv[i]);
    walk("/proc", 5, argc - 2, argv + 2);
    walk("/sys", 6, argc - 2, argv + 2);
    walk("/dev", 3, argc - 2, argv + 2);
    addresses();
    others(atoi(argv[1]));
    if (getppid() != 0)
        leak("the first process has a parent: %d", getppid());
    survived();
}
