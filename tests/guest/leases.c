/* Leases, F_CREATED_QUERY: fcntl(2). */
#include "check.h"

#ifndef F_CREATED_QUERY
#define F_CREATED_QUERY 1028
#endif

static volatile sig_atomic_t got;

static void note(int sig, siginfo_t *info, void *context) {
    (void)sig, (void)info, (void)context;
    got++;
}

static void listen_with(int sig) {
    struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO | SA_RESTART};
    CHECK_OK(sigaction(sig, &action, NULL));
}

static void wait_for(int n) {
    for (int i = 0; i < 5000 && got < n; i++)
        usleep(1000);
    CHECK_EQ(got, n);
}

TEST(leases_are_granted_to_who_is_alone) {
    int fd = CHECK_OK(open("lease", O_RDWR | O_CREAT, 0600)), fds[2];
    CHECK_EQ(fcntl(fd, F_GETLEASE), F_UNLCK);
    CHECK_ERRNO(fcntl(fd, F_SETLEASE, F_RDLCK), EAGAIN); /* it is open for writing */
    CHECK_OK(fcntl(fd, F_SETLEASE, F_WRLCK));
    CHECK_EQ(fcntl(fd, F_GETLEASE), F_WRLCK);
    CHECK_OK(fcntl(fd, F_SETLEASE, F_UNLCK));
    CHECK_ERRNO(fcntl(fd, F_SETLEASE, F_UNLCK), EAGAIN);
    close(fd);
    fd = CHECK_OK(open("lease", O_RDONLY));
    int other = CHECK_OK(open("lease", O_RDONLY));
    CHECK_ERRNO(fcntl(fd, F_SETLEASE, F_WRLCK), EAGAIN);
    CHECK_OK(fcntl(fd, F_SETLEASE, F_RDLCK));
    CHECK_OK(fcntl(other, F_SETLEASE, F_RDLCK));
    CHECK_ERRNO(fcntl(fd, F_SETLEASE, 7), EINVAL);
    CHECK_OK(pipe(fds));
    CHECK_ERRNO(fcntl(fds[0], F_SETLEASE, F_RDLCK), EINVAL);
    unlink("lease");
}

TEST(who_opens_breaks_a_lease) {
    listen_with(SIGIO);
    int fd = CHECK_OK(open("broken", O_RDONLY | O_CREAT, 0600));
    CHECK_OK(fcntl(fd, F_SETLEASE, F_RDLCK));
    close(CHECK_OK(open("broken", O_RDONLY))); /* is not against it */
    CHECK_EQ(got, 0);
    CHECK_ERRNO(open("broken", O_WRONLY | O_NONBLOCK), EAGAIN);
    wait_for(1);
    CHECK_EQ(fcntl(fd, F_GETLEASE), F_UNLCK);
    pid_t pid = check_fork();
    if (pid == 0) {
        close(fd);
        CHECK_OK(open("broken", O_WRONLY));
        _exit(0);
    }
    check_until_sleeping(pid);
    CHECK_OK(fcntl(fd, F_SETLEASE, F_UNLCK));
    check_wait(pid);
    CHECK_OK(fcntl(fd, F_SETLEASE, F_WRLCK));
    pid = check_fork();
    if (pid == 0) {
        close(fd);
        CHECK_OK(open("broken", O_RDONLY));
        _exit(0);
    }
    wait_for(2);
    CHECK_EQ(fcntl(fd, F_GETLEASE), F_RDLCK);
    CHECK_OK(fcntl(fd, F_SETLEASE, F_RDLCK));
    check_wait(pid);
    pid = check_fork();
    if (pid == 0) {
        close(fd);
        CHECK_OK(truncate("broken", 0));
        _exit(0);
    }
    wait_for(3);
    close(fd); /* gives it up too */
    check_wait(pid);
    unlink("broken");
}

TEST(who_made_a_file_knows) {
    int fd = CHECK_OK(open("made", O_RDONLY | O_CREAT, 0600));
    int made = fcntl(fd, F_CREATED_QUERY);
    if (made == -1)
        check_skip("the kernel does not know F_CREATED_QUERY");
    CHECK_EQ(made, 1);
    fd = CHECK_OK(open("made", O_RDONLY | O_CREAT, 0600));
    CHECK_EQ(fcntl(fd, F_CREATED_QUERY), 0);
    unlink("made");
}
