/* execve(2): arguments and environment, what is kept and what is reset, scripts, formats, limits, set-uid, auxv. */
#include "check.h"
#include <elf.h>
#include <sys/auxv.h>

extern char **environ;

static void on_signal(int sig) {
    (void)sig;
}

/* Runs ourselves with a command for check_helper() and tells the exit status. */
static int run(char *const argv[], char *const envp[]) {
    pid_t pid = check_fork();
    if (pid == 0) {
        execve("/proc/self/exe", argv, envp);
        _exit(errno == 0 ? 250 : errno);
    }
    int status = check_status(pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

#define RUN(...) run((char *[]){"exec", __VA_ARGS__, NULL}, (char *[]){"A=1", NULL})

static int check_auxv(void) {
    const Elf64_Ehdr *header = (void *)(getauxval(AT_PHDR) - sizeof(Elf64_Ehdr));
    CHECK(memcmp(header->e_ident, ELFMAG, 4) == 0);
    CHECK_EQ(getauxval(AT_PAGESZ), 4096);
    CHECK_EQ(getauxval(AT_PHENT), sizeof(Elf64_Phdr));
    CHECK_EQ(getauxval(AT_PHNUM), header->e_phnum);
    CHECK_EQ(getauxval(AT_ENTRY), header->e_entry);
    CHECK_EQ(getauxval(AT_CLKTCK), 100);
    CHECK_EQ(getauxval(AT_UID), getuid());
    CHECK_EQ(getauxval(AT_EGID), getegid());
    CHECK_EQ(getauxval(AT_SECURE), 0);
    CHECK_EQ(getauxval(AT_FLAGS), 0);
    CHECK_STR((char *)getauxval(AT_PLATFORM), "x86_64");
    CHECK_STR((char *)getauxval(AT_EXECFN), "/proc/self/exe");
    CHECK(getauxval(AT_HWCAP) != 0);
    unsigned char *random = (void *)getauxval(AT_RANDOM);
    int sum = 0;
    for (int i = 0; i < 16; i++)
        sum |= random[i];
    CHECK(sum != 0);
    /* the strings stand in order above the vectors */
    CHECK((char *)random < environ[0]);
    CHECK_EQ((uintptr_t)environ % 8, 0);
    CHECK(environ[0] < (char *)getauxval(AT_EXECFN));
    return 0;
}

static int check_reset(void) {
    struct sigaction action;
    sigset_t set;
    stack_t stack;
    CHECK_OK(sigaction(SIGUSR1, NULL, &action));
    CHECK(action.sa_handler == SIG_DFL);
    CHECK_OK(sigaction(SIGUSR2, NULL, &action));
    CHECK(action.sa_handler == SIG_IGN);
    CHECK_OK(sigprocmask(SIG_BLOCK, NULL, &set));
    CHECK(sigismember(&set, SIGTERM));
    CHECK_OK(sigpending(&set));
    CHECK(sigismember(&set, SIGTERM));
    CHECK_OK(sigaltstack(NULL, &stack));
    CHECK_EQ(stack.ss_flags, SS_DISABLE);
    CHECK_ERRNO(fcntl(100, F_GETFD), EBADF);
    CHECK_OK(fcntl(101, F_GETFD));
    CHECK_EQ(umask(0), 027);
    CHECK_EQ(alarm(0), 1000);
    char name[16];
    CHECK_OK(prctl(PR_GET_NAME, name));
    CHECK_STR(name, "exe");
    CHECK_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
    CHECK_EQ(prctl(PR_GET_DUMPABLE), 1);
    unsigned char vec;
    CHECK_ERRNO(mincore((void *)0x10000000, 4096, &vec), ENOMEM);
    return 0;
}

int check_helper(int argc, char **argv) {
    check_name = argv[1];
    if (strcmp(argv[1], "@auxv") == 0)
        return check_auxv();
    if (strcmp(argv[1], "@reset") == 0)
        return check_reset();
    if (strcmp(argv[1], "@count") == 0) {
        int n = 0;
        while (environ[n])
            n++;
        return argc * 10 + n;
    }
    if (strcmp(argv[1], "@uid") == 0) {
        CHECK_EQ(geteuid(), 0);
        CHECK_EQ(getuid(), 1234);
        CHECK_EQ(getauxval(AT_SECURE), 1);
        uid_t r, e, s;
        CHECK_OK(getresuid(&r, &e, &s));
        CHECK_EQ(s, 0);
        CHECK_EQ(prctl(PR_GET_DUMPABLE), 0);
        return 0;
    }
    if (strcmp(argv[1], "@notuid") == 0)
        return geteuid() == 1234 ? 0 : 1;
    /* a script's interpreter: exec @script[ optional argument] path arguments */
    if (strncmp(argv[1], "@script", 7) == 0) {
        if (argc == 5 && strcmp(argv[3], "./s") == 0)
            return 56;
        CHECK_EQ(argc, 4);
        CHECK_STR(argv[1], "@script one argument");
        CHECK_STR(argv[2], "./script");
        CHECK_STR(argv[3], "arg");
        return 55;
    }
    return 98;
}

TEST(arguments_and_environment) {
    CHECK_EQ(run((char *[]){"exec", "@count", "x", "", NULL}, (char *[]){"A=1", "B=", NULL}), 42);
    CHECK_EQ(run((char *[]){"exec", "@count", NULL}, (char *[]){NULL}), 20);
    CHECK_EQ(RUN("@auxv"), 0);
}

TEST(what_is_kept_and_what_is_reset) {
    pid_t pid = check_fork();
    if (pid == 0) {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        signal(SIGUSR1, on_signal);
        signal(SIGUSR2, SIG_IGN);
        sigprocmask(SIG_BLOCK, &set, NULL);
        raise(SIGTERM);
        stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536};
        CHECK_OK(sigaltstack(&stack, NULL));
        int fd = CHECK_OK(open("/", O_RDONLY));
        CHECK_OK(dup3(fd, 100, O_CLOEXEC));
        CHECK_OK(dup2(fd, 101));
        umask(027);
        alarm(1000);
        CHECK(mmap((void *)0x10000000, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED);
        execl("/proc/self/exe", "exec", "@reset", NULL);
        _exit(1);
    }
    check_wait(pid);
}

static void write_binary(const char *path, const void *bytes, size_t size, mode_t mode) {
    int fd = CHECK_OK(open(path, O_WRONLY | O_CREAT | O_TRUNC, 0700));
    CHECK_EQ(write(fd, bytes, size), (long)size);
    CHECK_OK(fchmod(fd, mode));
    CHECK_OK(close(fd));
}

/* The errno of executing a file. */
static int exec_errno(const char *path) {
    pid_t pid = check_fork();
    if (pid == 0) {
        execl(path, path, "arg", NULL);
        _exit(errno);
    }
    int status = check_status(pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

TEST(errors_and_formats) {
    Elf64_Ehdr header = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1}, .e_type = ET_EXEC,
                         .e_machine = EM_X86_64, .e_phentsize = sizeof(Elf64_Phdr), .e_phoff = 64, .e_phnum = 1};
    check_scratch();
    CHECK_EQ(exec_errno("none"), ENOENT);
    CHECK_EQ(exec_errno("."), EACCES);
    CHECK_EQ(exec_errno(""), ENOENT);
    write_binary("f", "text", 4, 0644);
    CHECK_EQ(exec_errno("./f"), EACCES);
    CHECK_EQ(exec_errno("./f/x"), ENOTDIR);
    write_binary("f", "text", 4, 0755);
    CHECK_EQ(exec_errno("./f"), ENOEXEC);
    write_binary("f", "", 0, 0755);
    CHECK_EQ(exec_errno("./f"), ENOEXEC);
    write_binary("f", &header, sizeof header, 0755);
    CHECK(exec_errno("./f") == ENOEXEC || exec_errno("./f") == EIO);
    header.e_type = ET_REL;
    write_binary("f", &header, sizeof header, 0755);
    CHECK_EQ(exec_errno("./f"), ENOEXEC);
    header.e_type = ET_EXEC;
    header.e_machine = EM_AARCH64;
    write_binary("f", &header, sizeof header, 0755);
    CHECK_EQ(exec_errno("./f"), ENOEXEC);
    header.e_machine = EM_X86_64;
    header.e_phentsize = 1;
    write_binary("f", &header, sizeof header, 0755);
    CHECK_EQ(exec_errno("./f"), ENOEXEC);
    int fd = CHECK_OK(open("f", O_WRONLY));
    CHECK_EQ(exec_errno("./f"), ETXTBSY);
    CHECK_OK(close(fd));
    CHECK_ERRNO(execve((char *)8, NULL, NULL), EFAULT);
    char *bad[] = {"x", (char *)8, NULL};
    CHECK_ERRNO(execve("/proc/self/exe", bad, NULL), EFAULT);
    /* the running program cannot be written */
    CHECK_ERRNO(open("/proc/self/exe", O_WRONLY), ETXTBSY);
}

TEST(scripts) {
    check_scratch();
    char self[PATH_MAX], text[PATH_MAX + 64];
    self[CHECK_OK(readlink("/proc/self/exe", self, sizeof self - 1))] = 0;
    if (strlen(self) > 200)
        check_skip("our own path is too long for a script's first line");
    snprintf(text, sizeof text, "#! %s  @script one argument \nrest", self);
    write_binary("script", text, strlen(text), 0755);
    CHECK_EQ(exec_errno("./script"), 55);
    write_binary("s", "#!/none\n", 8, 0755);
    CHECK_EQ(exec_errno("./s"), ENOENT);
    write_binary("s", "#!\n", 3, 0755);
    CHECK_EQ(exec_errno("./s"), ENOEXEC);
    write_binary("s", "#!./s\n", 6, 0755);
    CHECK_EQ(exec_errno("./s"), ELOOP);
    /* a script may run a script, but not without end */
    write_binary("s", "#!./script\n", 11, 0755);
    CHECK_EQ(exec_errno("./s"), 56);
}

TEST(fexecve_and_execveat) {
    int fd = CHECK_OK(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    char *argv[] = {"exec", "@count", NULL}, *envp[] = {NULL};
    pid_t pid = check_fork();
    if (pid == 0) {
        syscall(SYS_execveat, fd, "", argv, envp, AT_EMPTY_PATH);
        _exit(1);
    }
    CHECK_EQ(WEXITSTATUS(check_status(pid)), 20);
    CHECK_ERRNO(syscall(SYS_execveat, fd, "", argv, envp, 0), ENOENT);
    CHECK_ERRNO(syscall(SYS_execveat, 99, "x", argv, envp, 0), EBADF);
    CHECK_ERRNO(syscall(SYS_execveat, fd, "x", argv, envp, 0), ENOTDIR);
    CHECK_ERRNO(syscall(SYS_execveat, fd, "", argv, envp, 0x40000 | AT_EMPTY_PATH), EINVAL);
    CHECK_ERRNO(syscall(SYS_execveat, AT_FDCWD, "/proc/self/exe", argv, envp, AT_SYMLINK_NOFOLLOW), ELOOP);
}

TEST(limits_of_arguments) {
    enum { max = 131072 };
    char *big = malloc(max + 1);
    memset(big, 'x', max);
    big[max - 1] = 0;
    CHECK_EQ(RUN("@count", big), 31);
    big[max - 1] = 'x';
    big[max] = 0;
    CHECK_EQ(RUN("@count", big), E2BIG);
    /* a quarter of the stack limit in all */
    struct rlimit limit = {1 << 20, RLIM_INFINITY};
    pid_t pid = check_fork();
    if (pid == 0) {
        CHECK_OK(setrlimit(RLIMIT_STACK, &limit));
        big[100000] = 0;
        CHECK_EQ(RUN("@count", big, big), 41);
        CHECK_EQ(RUN("@count", big, big, big), E2BIG);
        _exit(0);
    }
    check_wait(pid);
}

TEST(set_user_id) {
    check_need_root();
    check_scratch();
    CHECK_OK(chmod(".", 0755));
    char block[65536];
    int in = CHECK_OK(open("/proc/self/exe", O_RDONLY)), out = CHECK_OK(open("suid", O_WRONLY | O_CREAT, 0755));
    long n;
    while ((n = CHECK_OK(read(in, block, sizeof block))) > 0)
        CHECK_EQ(write(out, block, n), n);
    CHECK_OK(fchmod(out, 04755));
    CHECK_OK(close(out));
    int dir = CHECK_OK(open(".", O_PATH));
    for (int round = 0; round < 2; round++) {
        pid_t pid = check_fork();
        if (pid == 0) {
            CHECK_OK(setresgid(1234, 1234, 1234));
            CHECK_OK(setresuid(1234, 1234, 1234));
            if (round == 1)
                CHECK_OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
            char *argv[] = {"suid", round ? "@notuid" : "@uid", NULL}, *envp[] = {NULL};
            syscall(SYS_execveat, dir, "suid", argv, envp, 0);
            _exit(errno);
        }
        check_wait(pid);
    }
}
