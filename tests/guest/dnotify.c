/* Signals of files: F_NOTIFY of directories, O_ASYNC with F_SETSIG. */
#include "check.h"
#include <dirent.h>
#include <poll.h>

static volatile sig_atomic_t count;
static volatile siginfo_t last;

static void on_signal(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)context;
    last = *info;
    count++;
}

static int watched_directory(void) {
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
    check_scratch();
    CHECK_OK(sigaction(SIGRTMIN, &action, NULL));
    CHECK_OK(sigaction(SIGIO, &action, NULL));
    int fd = CHECK_OK(open(".", O_RDONLY | O_DIRECTORY));
    if (fcntl(fd, F_NOTIFY, 0) != 0)
        check_skip("no dnotify");
    CHECK_OK(fcntl(fd, F_SETSIG, SIGRTMIN));
    return fd;
}

static int make(const char *name) {
    return CHECK_OK(open(name, O_CREAT | O_RDWR, 0600));
}

/* The expression raises this many signals. */
#define RAISES(times, expr)                                                                                            \
    do {                                                                                                               \
        count = 0;                                                                                                     \
        expr;                                                                                                          \
        CHECK_EQ(count, times);                                                                                        \
    } while (0)

TEST(each_kind_of_change) {
    int fd = watched_directory(), file;
    const unsigned kinds[] = {DN_ACCESS, DN_MODIFY, DN_CREATE, DN_DELETE, DN_RENAME, DN_ATTRIB};
    CHECK_OK(mkdir("sub", 0700));
    CHECK_OK(mkdir("../elsewhere", 0700));
    for (int i = 0; i < 6; i++) {
        unsigned kind = kinds[i];
        char byte;
        CHECK_OK(fcntl(fd, F_NOTIFY, 0));
        CHECK_OK(fcntl(fd, F_NOTIFY, kind | DN_MULTISHOT));
        RAISES(kind == DN_CREATE, file = make("a"));
        RAISES(kind == DN_MODIFY, CHECK_EQ(write(file, "x", 1), 1));
        RAISES(kind == DN_ACCESS, CHECK_EQ(pread(file, &byte, 1, 0), 1));
        RAISES(kind == DN_MODIFY, CHECK_OK(ftruncate(file, 0)));
        RAISES(kind == DN_ATTRIB, CHECK_OK(fchmod(file, 0640)));
        RAISES(0, CHECK_OK(close(file)));
        RAISES(kind == DN_CREATE || kind == DN_DELETE || kind == DN_RENAME, CHECK_OK(rename("a", "b")));
        RAISES(kind == DN_DELETE, CHECK_OK(rename("b", "../elsewhere/b")));
        RAISES(kind == DN_CREATE, CHECK_OK(rename("../elsewhere/b", "b")));
        RAISES(kind == DN_CREATE, CHECK_OK(link("b", "c")));
        RAISES(kind == DN_DELETE, CHECK_OK(unlink("c")));
        RAISES(kind == DN_CREATE, CHECK_OK(mkdir("d", 0700)));
        RAISES(kind == DN_DELETE, CHECK_OK(rmdir("d")));
        RAISES(kind == DN_ATTRIB, CHECK_OK(chmod(".", 0755)));
        RAISES(kind == DN_DELETE, CHECK_OK(unlink("b")));
        RAISES(0, CHECK_OK(close(make("sub/deep"))));
        CHECK_OK(unlink("sub/deep"));
    }
    CHECK_OK(rmdir("../elsewhere"));
}

TEST(what_the_signal_says) {
    int fd = watched_directory();
    CHECK_OK(fcntl(fd, F_NOTIFY, DN_CREATE));
    RAISES(1, CHECK_OK(close(make("a"))));
    CHECK(last.si_signo == SIGRTMIN && last.si_fd == fd && last.si_code == POLL_MSG);
    CHECK_EQ(last.si_band, POLLIN | POLLRDNORM | POLLMSG);
    /* once only, whatever else was asked for */
    RAISES(0, CHECK_OK(close(make("b"))));
    CHECK_OK(fcntl(fd, F_NOTIFY, DN_CREATE));
    CHECK_OK(fcntl(fd, F_NOTIFY, DN_DELETE));
    RAISES(1, CHECK_OK(unlink("a")));
    RAISES(0, CHECK_OK(close(make("c"))));
    CHECK_OK(fcntl(fd, F_SETSIG, 0));
    CHECK_OK(fcntl(fd, F_NOTIFY, DN_CREATE));
    RAISES(1, CHECK_OK(close(make("d"))));
    CHECK(last.si_signo == SIGIO && last.si_code == SI_KERNEL);
}

TEST(closing_any_descriptor_ends_it) {
    int fd = watched_directory();
    CHECK_OK(fcntl(fd, F_NOTIFY, DN_CREATE | DN_MULTISHOT));
    RAISES(1, CHECK_OK(close(make("a"))));
    CHECK_OK(close(CHECK_OK(dup(fd))));
    RAISES(0, CHECK_OK(close(make("b"))));
    /* a child's closing is its own affair */
    CHECK_OK(fcntl(fd, F_NOTIFY, DN_CREATE | DN_MULTISHOT));
    pid_t child = check_fork();
    if (child == 0) {
        CHECK_OK(close(fd));
        _exit(0);
    }
    check_wait(child);
    RAISES(1, CHECK_OK(close(make("c"))));
    CHECK_ERRNO(fcntl(make("c"), F_NOTIFY, DN_ACCESS), ENOTDIR);
    CHECK_OK(fcntl(make("c"), F_NOTIFY, 0));
    CHECK_ERRNO(fcntl(CHECK_OK(open(".", O_PATH)), F_NOTIFY, DN_ACCESS), EBADF);
}

TEST(readiness_names_the_descriptor) {
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
    int fds[2];
    CHECK_OK(sigaction(SIGRTMIN, &action, NULL));
    CHECK_OK(pipe(fds));
    CHECK_OK(fcntl(fds[0], F_SETSIG, SIGRTMIN));
    CHECK_OK(fcntl(fds[0], F_SETOWN, getpid()));
    CHECK_OK(fcntl(fds[0], F_SETFL, O_ASYNC));
    CHECK_EQ(write(fds[1], "x", 1), 1);
    CHECK_EVENTUALLY(count > 0);
    CHECK(last.si_fd == fds[0] && last.si_code == POLL_IN && last.si_band == (POLLIN | POLLRDNORM));
}
