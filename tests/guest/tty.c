/* Pseudo-terminals: line discipline, control characters, packet mode, sizes, controlling terminals and job control. */
#include "check.h"
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>

static int master, slave;

static void open_pty(void) {
    int zero = 0, n;
    char path[32];
    master = open("/dev/ptmx", O_RDWR | O_NOCTTY);
    if (master == -1)
        check_skip("no /dev/ptmx");
    CHECK_OK(ioctl(master, TIOCSPTLCK, &zero));
    CHECK_OK(ioctl(master, TIOCGPTN, &n));
    snprintf(path, sizeof path, "/dev/pts/%d", n);
    slave = CHECK_OK(open(path, O_RDWR | O_NOCTTY));
}

static struct termios get(void) {
    struct termios t;
    CHECK_OK(tcgetattr(slave, &t));
    return t;
}

static void set(struct termios t) {
    CHECK_OK(tcsetattr(slave, TCSANOW, &t));
}

static void put(const char *text) {
    CHECK_EQ(write(master, text, strlen(text)), (long)strlen(text));
}

/* What the other side can read now is this. */
static void expect(int fd, const char *want) {
    char buf[4096] = "";
    size_t have = 0;
    struct pollfd p = {fd, POLLIN, 0};
    while (have < strlen(want) && poll(&p, 1, 2000) == 1 && (p.revents & POLLIN))
        have += CHECK_OK(read(fd, buf + have, sizeof buf - 1 - have));
    CHECK_STR(buf, want);
    CHECK_EQ(poll(&p, 1, 0) == 1 && (p.revents & POLLIN), 0);
}

TEST(defaults) {
    struct termios t;
    struct winsize size = {1, 2, 3, 4};
    open_pty();
    t = get();
    CHECK_EQ(t.c_iflag, ICRNL | IXON);
    CHECK_EQ(t.c_oflag, OPOST | ONLCR);
    CHECK_EQ(t.c_cflag & (CSIZE | CREAD), CS8 | CREAD);
    CHECK_EQ(t.c_lflag, ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN);
    CHECK(t.c_cc[VINTR] == 3 && t.c_cc[VQUIT] == 28 && t.c_cc[VERASE] == 127 && t.c_cc[VKILL] == 21 && t.c_cc[VEOF] == 4);
    CHECK(t.c_cc[VMIN] == 1 && t.c_cc[VTIME] == 0 && t.c_cc[VSUSP] == 26 && t.c_cc[VWERASE] == 23 && t.c_cc[VLNEXT] == 22);
    CHECK_OK(ioctl(slave, TIOCGWINSZ, &size));
    CHECK(size.ws_row == 0 && size.ws_col == 0);
    CHECK(isatty(slave) && isatty(master));
    CHECK_ERRNO(tcgetattr(CHECK_OK(open("/dev/null", O_RDWR)), &t), ENOTTY);
    struct stat st;
    CHECK_OK(fstat(slave, &st));
    CHECK(S_ISCHR(st.st_mode) && st.st_rdev >> 8 == 136);
}

TEST(locked_until_unlocked) {
    int one = 1, zero = 0, n;
    char path[32];
    open_pty();
    master = CHECK_OK(open("/dev/ptmx", O_RDWR | O_NOCTTY));
    CHECK_OK(ioctl(master, TIOCGPTN, &n));
    snprintf(path, sizeof path, "/dev/pts/%d", n);
    CHECK_ERRNO(open(path, O_RDWR | O_NOCTTY), EIO);
    CHECK_OK(ioctl(master, TIOCGPTLCK, &n));
    CHECK_EQ(n, 1);
    CHECK_OK(ioctl(master, TIOCSPTLCK, &zero));
    CHECK_OK(close(CHECK_OK(open(path, O_RDWR | O_NOCTTY))));
    CHECK_OK(ioctl(master, TIOCSPTLCK, &one));
    CHECK_ERRNO(open(path, O_RDWR | O_NOCTTY), EIO);
    CHECK_OK(close(master));
    CHECK_ERRNO(open(path, O_RDWR | O_NOCTTY), ENOENT);
}

TEST(canonical_editing) {
    open_pty();
    put("abc\x7f\x7fxy\r");
    expect(master, "abc\b \b\b \bxy\r\n");
    expect(slave, "axy\n");
    put("one two\x17more\n");
    expect(slave, "one more\n");
    expect(master, "one two\b \b\b \b\b \bmore\r\n");
    put("gone\x15left\n");
    expect(slave, "left\n");
    expect(master, "gone\b \b\b \b\b \b\b \bleft\r\n");
    put("\x16\x03\x01z\n"); /* the next character literally; control characters echo as ^X */
    expect(slave, "\x03\x01z\n");
    expect(master, "^\b^C^Az\r\n");
    /* a line at a time, and only once it ends */
    put("first\nsecond\npart");
    char buf[64];
    CHECK_EQ(read(slave, buf, sizeof buf), 6);
    CHECK_EQ(read(slave, buf, 3), 3);
    CHECK_EQ(read(slave, buf, sizeof buf), 4);
    CHECK_OK(fcntl(slave, F_SETFL, O_NONBLOCK));
    CHECK_ERRNO(read(slave, buf, sizeof buf), EAGAIN);
    CHECK_OK(fcntl(slave, F_SETFL, 0));
    put("\x04"); /* end of file after some characters hands them over */
    CHECK_EQ(read(slave, buf, sizeof buf), 4);
    put("\x04"); /* alone it is the end */
    CHECK_EQ(read(slave, buf, sizeof buf), 0);
}

TEST(raw_mode_and_min) {
    open_pty();
    struct termios t = get();
    cfmakeraw(&t);
    set(t);
    put("a\r\x03\x04\x7f");
    expect(slave, "a\r\x03\x04\x7f");
    CHECK_EQ(write(slave, "x\ny", 3), 3);
    expect(master, "x\ny");
    t.c_cc[VMIN] = 0;
    set(t);
    char buf[8];
    CHECK_EQ(read(slave, buf, 8), 0);
    t.c_cc[VTIME] = 1;
    set(t);
    long long start = check_now(CLOCK_MONOTONIC);
    CHECK_EQ(read(slave, buf, 8), 0);
    CHECK(check_now(CLOCK_MONOTONIC) - start >= 90000000);
    t.c_cc[VMIN] = 3;
    t.c_cc[VTIME] = 0;
    set(t);
    pid_t pid = check_fork();
    if (pid == 0) {
        CHECK_EQ(read(slave, buf, 8), 3);
        _exit(0);
    }
    check_until_sleeping(pid);
    put("1");
    check_sleep_ms(2);
    put("2");
    CHECK_EQ(waitpid(pid, NULL, WNOHANG), 0);
    put("3");
    check_wait(pid);
}

TEST(output_processing) {
    open_pty();
    struct termios t = get();
    CHECK_EQ(write(slave, "a\nb\r", 4), 4);
    expect(master, "a\r\nb\r");
    t.c_oflag = OPOST | OCRNL | XTABS;
    set(t);
    CHECK_EQ(write(slave, "a\tb\r\n", 5), 5);
    expect(master, "a       b\n\n");
    t.c_oflag = OPOST | OLCUC;
    set(t);
    CHECK_EQ(write(slave, "abc", 3), 3);
    expect(master, "ABC");
    t.c_oflag = 0;
    t.c_iflag = INLCR | IGNCR;
    t.c_lflag = ICANON;
    set(t);
    put("x\ry\x04");
    expect(slave, "xy");
    expect(master, "");
    t.c_lflag = ICANON | ECHONL;
    t.c_iflag = ICRNL;
    set(t);
    put("hidden\r");
    expect(slave, "hidden\n");
    expect(master, "\n");
}

TEST(flow_flush_and_queues) {
    int n;
    open_pty();
    put("abc\n");
    CHECK_EVENTUALLY(ioctl(slave, FIONREAD, &n) == 0 && n == 4);
    CHECK_OK(tcflush(slave, TCIFLUSH));
    CHECK_OK(ioctl(slave, FIONREAD, &n));
    CHECK_EQ(n, 0);
    expect(master, "abc\r\n");
    struct termios t = get();
    t.c_lflag &= ~ECHO;
    set(t);
    put("\x13x\n"); /* ^S stops output; that the x is there shows that it was seen */
    CHECK_EVENTUALLY(ioctl(slave, FIONREAD, &n) == 0 && n == 2);
    pid_t pid = check_fork();
    if (pid == 0) {
        CHECK_EQ(write(slave, "out", 3), 3);
        _exit(0);
    }
    struct pollfd p = {master, POLLIN, 0};
    CHECK_EQ(poll(&p, 1, 20), 0);
    put("\x11");
    expect(master, "out");
    check_wait(pid);
    CHECK_ERRNO(tcflush(slave, 9), EINVAL);
    CHECK_OK(tcdrain(slave));
}

TEST(packet_mode) {
    int one = 1;
    char buf[16];
    open_pty();
    CHECK_OK(ioctl(master, TIOCPKT, &one));
    CHECK_EQ(write(slave, "hi", 2), 2);
    CHECK_EQ(read(master, buf, 16), 3);
    CHECK(memcmp(buf, "\0hi", 3) == 0);
    CHECK_OK(tcflush(slave, TCIFLUSH));
    struct pollfd p = {master, POLLIN | POLLPRI, 0};
    CHECK_EQ(poll(&p, 1, 1000), 1);
    CHECK(p.revents & POLLPRI);
    CHECK_EQ(read(master, buf, 16), 1);
    CHECK_EQ(buf[0], TIOCPKT_FLUSHREAD);
}

TEST(hang_up) {
    char buf[8];
    open_pty();
    CHECK_OK(close(slave));
    CHECK_ERRNO(read(master, buf, 8), EIO);
    open_pty();
    put("rest\n");
    CHECK_OK(close(master));
    CHECK_EQ(read(slave, buf, 8), 0);
    CHECK_ERRNO(write(slave, "x", 1), EIO);
    struct pollfd p = {slave, POLLIN | POLLOUT, 0};
    CHECK_EQ(poll(&p, 1, 0), 1);
    CHECK(p.revents & POLLHUP);
    struct termios t;
    CHECK_ERRNO(tcgetattr(slave, &t), EIO);
}

static volatile sig_atomic_t count;

static void on_signal(int sig) {
    (void)sig;
    count++;
}

/* A child that leads a session with the terminal as its own. */
static pid_t session(void) {
    pid_t pid = check_fork();
    if (pid == 0) {
        CHECK_OK(setsid());
        CHECK_OK(ioctl(slave, TIOCSCTTY, 0));
    }
    return pid;
}

TEST(controlling_terminal) {
    open_pty();
    pid_t pid = session();
    if (pid == 0) {
        CHECK_EQ(tcgetpgrp(slave), getpid());
        CHECK_EQ(tcgetsid(slave), getpid());
        CHECK_OK(open("/dev/tty", O_RDWR));
        CHECK_ERRNO(tcsetpgrp(slave, 999999), ESRCH);
        CHECK_ERRNO(tcsetpgrp(slave, getppid()), EPERM);
        CHECK_OK(ioctl(slave, TIOCSCTTY, 0));
        signal(SIGHUP, SIG_IGN);
        CHECK_OK(ioctl(slave, TIOCNOTTY));
        CHECK_ERRNO(open("/dev/tty", O_RDWR), ENXIO);
        CHECK_ERRNO(tcgetpgrp(slave), ENOTTY);
        _exit(0);
    }
    check_wait(pid);
    CHECK_ERRNO(ioctl(slave, TIOCSCTTY, 0), EPERM);
}

TEST(characters_send_signals) {
    open_pty();
    pid_t pid = session();
    if (pid == 0)
        for (;;)
            pause();
    check_until_sleeping(pid);
    put("lost");
    expect(master, "lost");
    put("\x03");
    check_killed(pid, SIGINT);
    expect(master, "^C");
    put("\n"); /* what had been typed is gone */
    expect(slave, "\n");
    expect(master, "\r\n");
    pid = session();
    if (pid == 0) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        for (;;)
            pause();
    }
    check_until_sleeping(pid);
    put("\x1c");
    check_killed(pid, SIGQUIT);
}

TEST(window_size_changes_are_told) {
    struct winsize size = {24, 80, 0, 0}, got;
    open_pty();
    pid_t pid = session();
    if (pid == 0) {
        CHECK(signal(SIGWINCH, on_signal) != SIG_ERR);
        CHECK_OK(ioctl(master, TIOCSWINSZ, &size));
        CHECK_EQ(count, 1);
        CHECK_OK(ioctl(master, TIOCSWINSZ, &size)); /* nothing changed */
        CHECK_EQ(count, 1);
        CHECK_OK(ioctl(slave, TIOCGWINSZ, &got));
        CHECK(got.ws_row == 24 && got.ws_col == 80);
        _exit(0);
    }
    check_wait(pid);
}

TEST(background_groups_are_stopped) {
    int status;
    open_pty();
    pid_t leader = session();
    if (leader == 0) {
        pid_t job = check_fork();
        if (job == 0) {
            char c;
            CHECK_OK(setpgid(0, 0));
            CHECK_EQ(read(slave, &c, 1), 1);
            _exit(c);
        }
        CHECK_EQ(waitpid(job, &status, WUNTRACED), job);
        CHECK_EQ(WSTOPSIG(status), SIGTTIN);
        CHECK_OK(tcsetpgrp(slave, job));
        CHECK_OK(kill(-job, SIGCONT));
        put("k\n");
        CHECK_EQ(waitpid(job, &status, WUNTRACED), job);
        CHECK_EQ(status, 'k' << 8);
        /* now in the background ourselves: setting attributes stops, unless SIGTTOU is ignored */
        signal(SIGTTOU, SIG_IGN);
        CHECK_OK(tcsetpgrp(slave, getpgrp()));
        struct termios t = get();
        t.c_lflag |= TOSTOP;
        set(t);
        job = check_fork();
        if (job == 0) {
            CHECK_OK(setpgid(0, 0));
            CHECK_EQ(write(slave, "x", 1), 1); /* ignored: writes */
            signal(SIGTTOU, SIG_DFL);
            CHECK_EQ(write(slave, "y", 1), 1);
            _exit(0);
        }
        CHECK_EQ(waitpid(job, &status, WUNTRACED), job);
        CHECK_EQ(WSTOPSIG(status), SIGTTOU);
        CHECK_OK(kill(job, SIGKILL));
        check_killed(job, SIGKILL);
        _exit(0);
    }
    check_wait(leader);
}

TEST(the_leader_takes_the_terminal_along) {
    open_pty();
    int fds[2];
    char c;
    CHECK_OK(pipe(fds));
    pid_t leader = session();
    if (leader == 0) {
        pid_t job = check_fork();
        if (job == 0) {
            CHECK(signal(SIGHUP, on_signal) != SIG_ERR);
            CHECK_EQ(write(fds[1], "r", 1), 1);
            CHECK_EVENTUALLY(count > 0);
            CHECK_ERRNO(open("/dev/tty", O_RDWR), ENXIO);
            CHECK_EQ(write(fds[1], "d", 1), 1);
            _exit(0);
        }
        CHECK_EQ(read(fds[0], &c, 1), 1);
        _exit(0);
    }
    check_wait(leader);
    CHECK_EQ(read(fds[0], &c, 1), 1);
    CHECK_EQ(c, 'd');
}

TEST(locked_settings_stay) {
    struct termios t, locked;
    int soft = 0;
    open_pty();
    memset(&locked, 1, sizeof locked);
    CHECK_OK(ioctl(slave, 0x5456 /* TIOCGLCKTRMIOS */, &locked));
    CHECK(locked.c_iflag == 0 && locked.c_lflag == 0 && locked.c_cc[VINTR] == 0);
    locked.c_lflag = ECHO;
    locked.c_cc[VINTR] = 1;
    if (ioctl(slave, 0x5457 /* TIOCSLCKTRMIOS */, &locked) != 0) {
        CHECK_EQ(errno, EPERM);
        check_skip("no CAP_SYS_ADMIN");
    }
    t = get();
    t.c_lflag &= ~(ECHO | ICANON);
    t.c_cc[VINTR] = t.c_cc[VQUIT] = 'q';
    set(t);
    t = get();
    CHECK_EQ(t.c_lflag & (ECHO | ICANON), ECHO);
    CHECK(t.c_cc[VINTR] == 3 && t.c_cc[VQUIT] == 'q');
    CHECK_OK(ioctl(master, 0x5456, &locked));
    CHECK_EQ(locked.c_lflag, ECHO);
    CHECK_OK(ioctl(slave, TIOCGSOFTCAR, &soft));
    CHECK_EQ(soft, (get().c_cflag & CLOCAL) != 0);
    soft = 1;
    CHECK_OK(ioctl(slave, TIOCSSOFTCAR, &soft));
    CHECK(get().c_cflag & CLOCAL);
}
