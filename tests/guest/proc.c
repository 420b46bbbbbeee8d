/* /proc: what its files say about us, in the format Linux prints; symbolic links; errors. */
#include "check.h"
#include <dirent.h>
#include <sys/utsname.h>

static char text[65536];

/* The rest of the line that starts with this key in a file of "Key:\tvalue" lines. */
static const char *field(const char *path, const char *key) {
    static char value[512];
    check_read_file(path, text, sizeof text);
    for (char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        if (strncmp(line, key, strlen(key)) == 0 && line[strlen(key)] == ':') {
            line += strlen(key) + 1;
            line += strspn(line, " \t");
            snprintf(value, sizeof value, "%.*s", (int)strcspn(line, "\n"), line);
            return value;
        }
    check_fail(__FILE__, __LINE__, "no %s in %s", key, path);
}

TEST(status) {
    char want[64];
    CHECK_OK(prctl(PR_SET_NAME, "na me)"));
    CHECK_STR(field("/proc/self/status", "Name"), "na me)");
    CHECK_STR(field("/proc/self/status", "State"), "R (running)");
    snprintf(want, sizeof want, "%d", getpid());
    CHECK_STR(field("/proc/self/status", "Tgid"), want);
    CHECK_STR(field("/proc/self/status", "Pid"), want);
    snprintf(want, sizeof want, "%d", getppid());
    CHECK_STR(field("/proc/self/status", "PPid"), want);
    snprintf(want, sizeof want, "%d\t%d\t%d\t%d", getuid(), geteuid(), geteuid(), geteuid());
    CHECK_STR(field("/proc/self/status", "Uid"), want);
    CHECK_STR(field("/proc/self/status", "Threads"), "1");
    CHECK(strstr(field("/proc/self/status", "VmRSS"), " kB") != NULL);
    CHECK_STR(field("/proc/self/status", "NoNewPrivs"), "0");
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    CHECK_OK(sigprocmask(SIG_BLOCK, &set, NULL));
    signal(SIGINT, SIG_IGN);
    CHECK_STR(field("/proc/self/status", "SigBlk"), "0000000000000001");
    CHECK_STR(field("/proc/self/status", "SigIgn") + 15, "2");
    CHECK(strlen(field("/proc/self/status", "CapEff")) == 16);
}

TEST(stat_line) {
    CHECK_OK(prctl(PR_SET_NAME, "a ) b"));
    check_read_file("/proc/self/stat", text, sizeof text);
    int pid, ppid, group, session, n = 0;
    char state;
    CHECK_EQ(sscanf(text, "%d (a ) b) %c %d %d %d%n", &pid, &state, &ppid, &group, &session, &n), 5);
    CHECK(pid == getpid() && ppid == getppid() && group == getpgrp() && session == getsid(0) && state == 'R');
    int fields = 6;
    for (char *p = text + n; *p; p++)
        fields += *p == ' ';
    CHECK_EQ(fields, 52);
    CHECK(text[strlen(text) - 1] == '\n');
    check_read_file("/proc/self/comm", text, sizeof text);
    CHECK_STR(text, "a ) b\n");
    check_write_file("/proc/self/comm", "renamed");
    char name[16];
    CHECK_OK(prctl(PR_GET_NAME, name));
    CHECK_STR(name, "renamed");
    check_read_file("/proc/self/statm", text, sizeof text);
    long size, resident;
    CHECK_EQ(sscanf(text, "%ld %ld", &size, &resident), 2);
    CHECK(size > 10 && resident > 0 && resident <= size);
}

TEST(links) {
    char path[PATH_MAX], want[PATH_MAX];
    path[CHECK_OK(readlink("/proc/self", path, sizeof path - 1))] = 0;
    CHECK_EQ(atoi(path), getpid());
    path[CHECK_OK(readlink("/proc/thread-self", path, sizeof path - 1))] = 0;
    snprintf(want, sizeof want, "%d/task/%d", getpid(), getpid());
    CHECK_STR(path, want);
    check_scratch();
    CHECK(getcwd(want, sizeof want) != NULL);
    path[CHECK_OK(readlink("/proc/self/cwd", path, sizeof path - 1))] = 0;
    CHECK_STR(path, want);
    path[CHECK_OK(readlink("/proc/self/root", path, sizeof path - 1))] = 0;
    CHECK_STR(path, "/");
    struct stat a, b;
    CHECK_OK(stat("/proc/self/exe", &a));
    CHECK(S_ISREG(a.st_mode) && a.st_size > 100000);
    path[CHECK_OK(readlink("/proc/self/exe", path, sizeof path - 1))] = 0;
    CHECK_OK(stat(path, &b));
    CHECK(a.st_ino == b.st_ino && a.st_dev == b.st_dev);
    check_write_file("f", "x");
    int fd = CHECK_OK(open("f", O_RDWR));
    snprintf(want, sizeof want, "/proc/self/fd/%d", fd);
    path[CHECK_OK(readlink(want, path, sizeof path - 1))] = 0;
    CHECK(strcmp(path + strlen(path) - 2, "/f") == 0);
    CHECK_OK(unlink("f"));
    path[CHECK_OK(readlink(want, path, sizeof path - 1))] = 0;
    CHECK(strcmp(path + strlen(path) - 12, "/f (deleted)") == 0);
    CHECK_OK(open(want, O_RDONLY)); /* the link leads to the file all the same */
    int fds[2];
    CHECK_OK(pipe(fds));
    CHECK_OK(fstat(fds[0], &a));
    snprintf(want, sizeof want, "/proc/self/fd/%d", fds[0]);
    path[CHECK_OK(readlink(want, path, sizeof path - 1))] = 0;
    snprintf(want, sizeof want, "pipe:[%lu]", a.st_ino);
    CHECK_STR(path, want);
    CHECK_ERRNO(readlink("/proc/self/fd/99", path, sizeof path), ENOENT);
}

TEST(descriptor_listing) {
    DIR *dir = opendir("/proc/self/fd");
    int seen = 0;
    CHECK(dir != NULL);
    CHECK_OK(dup2(1, 200));
    for (struct dirent *d; (d = readdir(dir));)
        seen |= strcmp(d->d_name, "200") == 0 ? 1 : strcmp(d->d_name, "1") == 0 ? 2 : 0;
    CHECK_EQ(seen, 3);
    check_scratch();
    check_write_file("f", "0123456789");
    int fd = CHECK_OK(open("f", O_RDWR | O_APPEND | O_CLOEXEC));
    char path[64];
    CHECK_OK(lseek(fd, 7, SEEK_SET));
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
    CHECK_STR(field(path, "pos"), "7");
    CHECK_EQ(strtol(field(path, "flags"), NULL, 8), O_RDWR | O_APPEND | O_CLOEXEC | 0100000);
}

TEST(maps_show_what_was_mapped) {
    char want[128];
    char *p = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK_OK(mprotect(p + 4096, 4096, PROT_READ | PROT_EXEC));
    check_scratch();
    check_write_file("mapped file", "x");
    int fd = CHECK_OK(open("mapped file", O_RDWR));
    char *f = mmap(NULL, 8192, PROT_READ, MAP_SHARED, fd, 4096);
    check_read_file("/proc/self/maps", text, sizeof text);
    snprintf(want, sizeof want, "%lx-%lx r-xp 00000000 00:00 0 \n", (long)p + 4096, (long)p + 8192);
    CHECK(strstr(text, want) != NULL);
    snprintf(want, sizeof want, "%lx-%lx r--s 00001000 ", (long)f, (long)f + 8192);
    char *line = strstr(text, want);
    CHECK(line != NULL);
    char *end = strchr(line, '\n');
    CHECK(memcmp(end - 12, "/mapped file", 12) == 0);
    CHECK_EQ(end - 12 - line > 60, 1);
    char *stack = strstr(text, "[stack]");
    CHECK(stack != NULL && strstr(text, "[vdso]") != NULL);
    unsigned long last = 0, from, to;
    for (line = text; *line; line = strchr(line, '\n') + 1) {
        CHECK_EQ(sscanf(line, "%lx-%lx", &from, &to), 2);
        CHECK(from >= last && to > from);
        last = to;
    }
    CHECK_STR(field("/proc/self/smaps", "MMUPageSize"), "4 kB");
}

TEST(memory_can_be_read_and_written) {
    static char value[] = "before";
    int fd = CHECK_OK(open("/proc/self/mem", O_RDWR));
    char buf[8];
    CHECK_EQ(pread(fd, buf, 7, (long)value), 7);
    CHECK_STR(buf, "before");
    CHECK_EQ(pwrite(fd, "after!", 6, (long)value), 6);
    CHECK_STR(value, "after!");
    CHECK_ERRNO(pread(fd, buf, 1, 8), EIO);
    char *ro = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK_EQ(pwrite(fd, "forced", 6, (long)ro), 6); /* as a debugger would */
    CHECK_STR(ro, "forced");
}

TEST(arguments_and_environment) {
    size_t n = check_read_file("/proc/self/cmdline", text, sizeof text);
    CHECK(n > 4 && text[n - 1] == 0);
    CHECK(strcmp(strrchr(text, '/') ? strrchr(text, '/') + 1 : text, "proc") == 0);
    n = check_read_file("/proc/self/environ", text, sizeof text);
    CHECK(memmem(text, n, "HOME=", 5) != NULL || getenv("HOME") == NULL);
    n = check_read_file("/proc/self/auxv", text, sizeof text);
    CHECK(n % 16 == 0 && n >= 16 * 15);
    check_read_file("/proc/self/limits", text, sizeof text);
    CHECK(strncmp(text, "Limit                     Soft Limit           Hard Limit           Units     \n", 79) == 0);
}

static void *sleeper(void *arg) {
    prctl(PR_SET_NAME, "second");
    atomic_store((atomic_int *)arg, syscall(SYS_gettid));
    for (;;)
        pause();
    return NULL;
}

TEST(threads_have_entries) {
    pthread_t thread;
    atomic_int tid = 0;
    char path[64];
    CHECK_ZERO(pthread_create(&thread, NULL, sleeper, &tid));
    CHECK_EVENTUALLY(tid != 0);
    snprintf(path, sizeof path, "/proc/self/task/%d/comm", tid);
    check_read_file(path, text, sizeof text);
    CHECK_STR(text, "second\n");
    snprintf(path, sizeof path, "/proc/self/task/%d/status", tid);
    char want[16];
    snprintf(want, sizeof want, "%d", getpid());
    CHECK_STR(field(path, "Tgid"), want);
    CHECK_STR(field("/proc/self/status", "Threads"), "2");
    struct stat st;
    CHECK_OK(stat("/proc/self/task", &st));
    CHECK_EQ(st.st_nlink, 4);
    snprintf(path, sizeof path, "/proc/%d/comm", tid); /* reachable, though not listed */
    CHECK_OK(access(path, F_OK));
}

TEST(a_zombie_has_little_left) {
    pid_t pid = check_fork();
    if (pid == 0)
        _exit(0);
    check_until_state(pid, "Z");
    char path[64], buf[64];
    snprintf(path, sizeof path, "/proc/%d/cmdline", pid);
    CHECK_EQ(check_read_file(path, text, sizeof text), 0);
    snprintf(path, sizeof path, "/proc/%d/exe", pid);
    CHECK_ERRNO(readlink(path, buf, sizeof buf), ENOENT);
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    CHECK_STR(field(path, "State"), "Z (zombie)");
    int fd = CHECK_OK(open(path, O_RDONLY));
    check_wait(pid);
    CHECK_ERRNO(read(fd, buf, sizeof buf), ESRCH);
    CHECK_ERRNO(open(path, O_RDONLY), ENOENT);
}

TEST(system_files) {
    struct utsname uts;
    CHECK_OK(uname(&uts));
    CHECK_STR(uts.sysname, "Linux");
    CHECK_STR(uts.machine, "x86_64");
    check_read_file("/proc/sys/kernel/osrelease", text, sizeof text);
    text[strlen(text) - 1] = 0;
    CHECK_STR(text, uts.release);
    check_read_file("/proc/version", text, sizeof text);
    CHECK(strncmp(text, "Linux version ", 14) == 0 && strstr(text, uts.release) != NULL);
    CHECK(atol(field("/proc/meminfo", "MemTotal")) > 1000);
    CHECK(atol(field("/proc/meminfo", "MemAvailable")) > 0);
    check_read_file("/proc/uptime", text, sizeof text);
    double up, idle;
    CHECK_EQ(sscanf(text, "%lf %lf", &up, &idle), 2);
    check_read_file("/proc/loadavg", text, sizeof text);
    int running, total, last;
    CHECK_EQ(sscanf(text, "%*f %*f %*f %d/%d %d", &running, &total, &last), 3);
    check_read_file("/proc/stat", text, sizeof text);
    CHECK(strncmp(text, "cpu  ", 5) == 0 && strstr(text, "\nbtime ") != NULL && strstr(text, "\nprocesses ") != NULL);
    check_read_file("/proc/cpuinfo", text, sizeof text);
    CHECK(strncmp(text, "processor\t: 0\n", 14) == 0);
    check_read_file("/proc/filesystems", text, sizeof text);
    CHECK(strstr(text, "nodev\tproc\n") != NULL && strstr(text, "nodev\ttmpfs\n") != NULL);
    check_read_file("/proc/self/mounts", text, sizeof text);
    CHECK(strstr(text, " /proc proc ") != NULL);
    check_read_file("/proc/self/mountinfo", text, sizeof text);
    CHECK(strstr(text, " / /proc ") != NULL && strstr(text, " - proc ") != NULL);
    check_read_file("/proc/sys/kernel/pid_max", text, sizeof text);
    CHECK(atoi(text) >= 32768);
    check_read_file("/proc/self/cgroup", text, sizeof text);
    check_read_file("/proc/sys/kernel/random/uuid", text, sizeof text);
    CHECK_EQ(strlen(text), 37);
    CHECK_ERRNO(mkdir("/proc/x", 0700), ENOENT);
    CHECK_ERRNO(open("/proc/x", O_RDWR | O_CREAT, 0600), ENOENT);
    CHECK_ERRNO(open("/proc/99999999", O_RDONLY), ENOENT);
    if (geteuid() == 0)
        CHECK_ERRNO(write(CHECK_OK(open("/proc/version", O_WRONLY)), "x", 1), EIO);
}
