/* System V IPC and message queues beyond the plain calls: limits, listings, undo, order, namespaces, the mqueue file system. */
#include "check.h"
#include <mqueue.h>
#include <poll.h>
#include <sys/ipc.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

static int semop_one(int id, int n, int op, int flags) {
    struct sembuf buf = {n, op, flags};
    return semop(id, &buf, 1);
}

/* A wait for zero is over even if the value does not stay zero. */
TEST(short_zero_is_seen) {
    int id = CHECK_OK(semget(IPC_PRIVATE, 1, 0600));
    CHECK_OK(semctl(id, 0, SETVAL, 1));
    pid_t pid = check_fork();
    if (pid == 0) {
        CHECK_OK(semop_one(id, 0, 0, 0));
        _exit(0);
    }
    CHECK_EVENTUALLY(semctl(id, 0, GETZCNT) == 1);
    CHECK_OK(semctl(id, 0, SETVAL, 0));
    CHECK_OK(semctl(id, 0, SETVAL, 1));
    check_wait(pid);
    CHECK_OK(semctl(id, 0, IPC_RMID));
}

TEST(waiters_are_served_in_order) {
    int id = CHECK_OK(semget(IPC_PRIVATE, 2, 0600));
    pid_t pids[4];
    for (int i = 0; i < 4; i++) {
        pids[i] = check_fork();
        if (pids[i] == 0) {
            CHECK_OK(semop_one(id, 0, -1, 0));
            _exit(0);
        }
        CHECK_EVENTUALLY(semctl(id, 0, GETNCNT) == i + 1);
    }
    for (int i = 0; i < 4; i++) {
        CHECK_OK(semop_one(id, 0, 1, 0));
        check_wait(pids[i]);
    }
    CHECK_OK(semctl(id, 0, IPC_RMID));
}

TEST(undo) {
    int id = CHECK_OK(semget(IPC_PRIVATE, 2, 0600));
    CHECK_OK(semctl(id, 0, SETVAL, 5));
    pid_t pid = check_fork();
    if (pid == 0) {
        CHECK_OK(semop_one(id, 0, -2, SEM_UNDO));
        CHECK_OK(semop_one(id, 0, -1, SEM_UNDO));
        CHECK_OK(semop_one(id, 1, 4, SEM_UNDO));
        _exit(0);
    }
    check_wait(pid);
    CHECK_EQ(semctl(id, 0, GETVAL), 5);
    CHECK_EQ(semctl(id, 1, GETVAL), 0);
    CHECK_EQ(semctl(id, 0, GETPID), pid);
    /* SETVAL forgets what was to be undone */
    pid = check_fork();
    if (pid == 0) {
        CHECK_OK(semop_one(id, 0, -2, SEM_UNDO));
        CHECK_OK(semctl(id, 0, SETVAL, 9));
        _exit(0);
    }
    check_wait(pid);
    CHECK_EQ(semctl(id, 0, GETVAL), 9);
    /* an undo wakes who waits */
    CHECK_OK(semctl(id, 0, SETVAL, 1));
    int go[2];
    CHECK_OK(pipe(go));
    pid = check_fork();
    if (pid == 0) {
        char c;
        CHECK_OK(semop_one(id, 0, -1, SEM_UNDO));
        CHECK_EQ(write(go[1], "x", 1), 1);
        CHECK_EVENTUALLY(semctl(id, 0, GETNCNT) == 1);
        (void)c;
        _exit(0);
    }
    char c;
    CHECK_EQ(read(go[0], &c, 1), 1);
    CHECK_OK(semop_one(id, 0, -1, 0));
    check_wait(pid);
    CHECK_OK(semctl(id, 0, IPC_RMID));
}

static void on_alarm(int sig) {
    (void)sig;
}

/* Never made again, not even with SA_RESTART. */
TEST(signals_end_semop) {
    int id = CHECK_OK(semget(IPC_PRIVATE, 1, 0600));
    struct sigaction sa = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    CHECK_OK(sigaction(SIGUSR1, &sa, NULL));
    pid_t pid = check_fork();
    if (pid == 0) {
        CHECK_ERRNO(semop_one(id, 0, -1, 0), EINTR);
        _exit(0);
    }
    CHECK_EVENTUALLY(semctl(id, 0, GETNCNT) == 1);
    CHECK_OK(kill(pid, SIGUSR1));
    check_wait(pid);
    CHECK_EQ(semctl(id, 0, GETNCNT), 0);
    CHECK_OK(semctl(id, 0, IPC_RMID));
}

TEST(limits_and_listings) {
    struct shminfo info;
    struct shm_info used;
    struct seminfo sems;
    struct msginfo msgs;
    int id = CHECK_OK(shmget(IPC_PRIVATE, 10000, 0640));
    int max = CHECK_OK(shmctl(0, IPC_INFO, (void *)&info));
    CHECK_EQ(info.shmmni, 4096);
    CHECK_EQ(CHECK_OK(shmctl(0, SHM_INFO, (void *)&used)), max);
    CHECK(used.used_ids >= 1 && used.shm_tot >= 3);
    struct shmid_ds ds;
    int found = 0;
    for (int i = 0; i <= max; i++)
        found |= shmctl(i, SHM_STAT, &ds) == id;
    CHECK(found);
    CHECK_ERRNO(shmctl(id, 99, &ds), EINVAL);
    CHECK_ERRNO(shmctl(-1, IPC_STAT, &ds), EINVAL);
    CHECK_ERRNO(shmctl(id, IPC_STAT, (void *)8), EFAULT);
    CHECK_OK(semctl(0, 0, IPC_INFO, &sems));
    CHECK_EQ(sems.semmsl, 32000);
    CHECK_OK(semctl(0, 0, SEM_INFO, &sems));
    CHECK_OK(msgctl(0, IPC_INFO, (void *)&msgs));
    CHECK_EQ(msgs.msgmax, 8192);
    CHECK_OK(msgctl(0, MSG_INFO, (void *)&msgs));
    char text[65536], want[64];
    check_read_file("/proc/sysvipc/shm", text, sizeof text);
    snprintf(want, sizeof want, " %10d   640 %21d ", id, 10000);
    CHECK(strstr(text, want) != NULL);
    check_read_file("/proc/sys/kernel/sem", text, sizeof text);
    CHECK_STR(text, "32000\t1024000000\t500\t32000\n");
    CHECK_OK(shmctl(id, IPC_RMID, NULL));
    check_read_file("/proc/sysvipc/shm", text, sizeof text);
    CHECK(strstr(text, want) == NULL);
    CHECK_ERRNO(shmat(id, NULL, 0) == (void *)-1 ? -1 : 0, EINVAL);
}

TEST(set_and_permissions) {
    check_need_root();
    int id = CHECK_OK(msgget(IPC_PRIVATE, 0600));
    struct msqid_ds ds;
    CHECK_OK(msgctl(id, IPC_STAT, &ds));
    CHECK_EQ(ds.msg_qbytes, 16384);
    ds.msg_perm.uid = 1234;
    ds.msg_perm.mode = 0640;
    ds.msg_qbytes = 100;
    CHECK_OK(msgctl(id, IPC_SET, &ds));
    pid_t pid = check_fork();
    if (pid == 0) {
        struct {
            long type;
            char text[64];
        } m = {1, "text"};
        CHECK_OK(setresgid(4321, 4321, 4321));
        CHECK_OK(setresuid(1234, 1234, 1234));
        CHECK_OK(msgsnd(id, &m, 64, 0));
        CHECK_ERRNO(msgsnd(id, &m, 64, IPC_NOWAIT), EAGAIN);
        ds.msg_qbytes = 1 << 20;
        CHECK_ERRNO(msgctl(id, IPC_SET, &ds), EPERM);
        CHECK_OK(setresuid(-1, -1, -1));
        _exit(0);
    }
    check_wait(pid);
    CHECK_OK(msgctl(id, IPC_STAT, &ds));
    CHECK_EQ(ds.msg_perm.uid, 1234);
    CHECK_EQ(ds.msg_perm.cuid, 0);
    CHECK_EQ(ds.msg_perm.mode, 0640);
    CHECK_EQ(ds.msg_cbytes, 64);
    struct {
        long type;
        char text[64];
    } copy;
    CHECK_EQ(msgrcv(id, &copy, 64, 0, 040000 /* MSG_COPY */ | IPC_NOWAIT), 64);
    CHECK_EQ(msgrcv(id, &copy, 64, 1, IPC_NOWAIT), 64);
    CHECK_OK(msgctl(id, IPC_RMID, NULL));
}

TEST(detach_in_pieces) {
    int id = CHECK_OK(shmget(IPC_PRIVATE, 4 * 4096, 0600));
    char *a = shmat(id, NULL, 0);
    CHECK(a != (void *)-1);
    a[3 * 4096] = 7;
    CHECK_OK(munmap(a + 4096, 4096));
    struct shmid_ds ds;
    CHECK_OK(shmctl(id, IPC_STAT, &ds));
    CHECK_EQ(ds.shm_nattch, 2);
    CHECK_OK(shmdt(a));
    CHECK_OK(shmctl(id, IPC_STAT, &ds));
    CHECK_EQ(ds.shm_nattch, 0);
    CHECK_EQ(ds.shm_lpid, getpid());
    char *b = shmat(id, NULL, SHM_RDONLY);
    CHECK_EQ(b[3 * 4096], 7);
    CHECK_ERRNO(mprotect(b, 4096, PROT_READ | PROT_WRITE), EACCES);
    /* over something else */
    char *c = mmap(NULL, 8 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(shmat(id, c, SHM_REMAP) == c);
    CHECK_EQ(c[3 * 4096], 7);
    CHECK_OK(shmdt(c));
    CHECK_OK(shmdt(b));
    CHECK_OK(shmctl(id, IPC_RMID, NULL));
    CHECK_ERRNO(shmctl(id, IPC_STAT, &ds), EINVAL);
}

TEST(namespaces) {
    check_need_root();
    int id = CHECK_OK(semget(0x1234567, 1, IPC_CREAT | 0600));
    pid_t pid = check_fork();
    if (pid == 0) {
        if (unshare(CLONE_NEWIPC) != 0)
            _exit(0);
        CHECK_ERRNO(semget(0x1234567, 1, 0600), ENOENT);
        CHECK_ERRNO(semctl(id, 0, GETVAL), EINVAL);
        mqd_t q = mq_open("/apart", O_CREAT | O_RDWR, 0600, NULL);
        CHECK(q != -1);
        _exit(0);
    }
    check_wait(pid);
    CHECK(mq_open("/apart", O_RDWR) == -1 && errno == ENOENT);
    CHECK_OK(semctl(id, 0, IPC_RMID));
}

TEST(queue_order_and_poll) {
    char name[32], buf[64];
    unsigned prio;
    snprintf(name, sizeof name, "/order-%d", getpid());
    struct mq_attr attr = {.mq_maxmsg = 4, .mq_msgsize = 64};
    mqd_t q = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
    CHECK(q != -1);
    struct pollfd p = {q, POLLIN | POLLOUT, 0};
    CHECK_EQ(CHECK_OK(poll(&p, 1, 0)), 1);
    CHECK_EQ(p.revents, POLLOUT);
    CHECK_OK(mq_send(q, "b1", 3, 2));
    CHECK_OK(mq_send(q, "a", 2, 1));
    CHECK_OK(mq_send(q, "b2", 3, 2));
    CHECK_OK(mq_send(q, "", 0, 7));
    CHECK_EQ(CHECK_OK(poll(&p, 1, 0)), 1);
    CHECK_EQ(p.revents, POLLIN);
    check_read_file("/proc/sys/fs/mqueue/msg_max", buf, sizeof buf);
    CHECK_STR(buf, "10\n");
    CHECK_EQ(read(q, buf, 15), 15);
    CHECK_EQ(strncmp(buf, "QSIZE:8        ", 15), 0);
    CHECK_EQ(mq_receive(q, buf, 64, &prio), 0);
    CHECK_EQ(mq_receive(q, buf, 64, &prio), 3);
    CHECK_STR(buf, "b1");
    CHECK_EQ(mq_receive(q, buf, 64, &prio), 3);
    CHECK_STR(buf, "b2");
    CHECK_EQ(prio, 2);
    CHECK_EQ(mq_receive(q, buf, 64, NULL), 2);
    /* a full queue makes the sender wait */
    for (int i = 0; i < 4; i++)
        CHECK_OK(mq_send(q, "x", 1, 0));
    pid_t pid = check_fork();
    if (pid == 0) {
        CHECK_OK(mq_send(q, "late", 4, 0));
        _exit(0);
    }
    check_until_sleeping(pid);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(mq_receive(q, buf, 64, NULL), 1);
    CHECK_EQ(mq_receive(q, buf, 64, NULL), 4);
    check_wait(pid);
    struct timespec bad = {0, -1};
    CHECK_ERRNO(mq_timedreceive(q, buf, 64, NULL, &bad), EINVAL);
    /* it lives on without its name */
    CHECK_OK(mq_unlink(name));
    CHECK_OK(mq_send(q, "y", 1, 0));
    CHECK_EQ(mq_receive(q, buf, 64, NULL), 1);
    CHECK_OK(mq_close(q));
    int fd = CHECK_OK(open("/dev/null", O_RDWR));
    CHECK_ERRNO(mq_send(fd, "y", 1, 0), EBADF);
}

TEST(queue_names_and_limits) {
    struct mq_attr attr = {.mq_maxmsg = 0, .mq_msgsize = 64};
    CHECK(mq_open("/limits", O_RDWR | O_CREAT, 0600, &attr) == -1 && errno == EINVAL);
    CHECK(mq_open("/limits", O_RDWR) == -1 && errno == ENOENT);
    CHECK(mq_open("/a/b", O_RDWR | O_CREAT, 0600, NULL) == -1 && errno == EACCES);
    CHECK_ERRNO(syscall(SYS_mq_open, "/x", O_RDWR | O_CREAT, 0600, NULL), EACCES);
    CHECK_ERRNO(syscall(SYS_mq_open, "", O_RDWR, 0600, NULL), ENOENT);
    char longest[300];
    memset(longest, 'n', sizeof longest);
    longest[0] = '/';
    longest[299] = 0;
    CHECK(mq_open(longest, O_RDWR | O_CREAT, 0600, NULL) == -1 && errno == ENAMETOOLONG);
    struct rlimit none = {1000, 1000};
    CHECK_OK(setrlimit(RLIMIT_MSGQUEUE, &none));
    CHECK(mq_open("/limits", O_RDWR | O_CREAT, 0600, NULL) == -1 && errno == EMFILE);
}

TEST(mounted_queues) {
    check_need_root();
    check_scratch();
    if (unshare(CLONE_NEWNS | CLONE_NEWIPC) != 0)
        check_skip("no namespaces");
    CHECK_OK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
    CHECK_OK(mkdir("mq", 0755));
    CHECK_OK(mount("mqueue", "mq", "mqueue", 0, NULL));
    struct stat st;
    CHECK_OK(stat("mq", &st));
    CHECK_EQ(st.st_mode, S_IFDIR | 01777);
    mqd_t q = mq_open("/seen", O_RDWR | O_CREAT, 0640, NULL);
    CHECK(q != -1);
    CHECK_OK(stat("mq/seen", &st));
    CHECK_EQ(st.st_mode, S_IFREG | 0640);
    CHECK_EQ(st.st_size, 80);
    CHECK_OK(close(CHECK_OK(open("mq/made", O_WRONLY | O_CREAT, 0644))));
    struct mq_attr attr;
    q = mq_open("/made", O_RDWR);
    CHECK(q != -1);
    CHECK_OK(mq_getattr(q, &attr));
    CHECK_EQ(attr.mq_maxmsg, 10);
    CHECK_OK(unlink("mq/seen"));
    CHECK(mq_open("/seen", O_RDWR) == -1 && errno == ENOENT);
    CHECK_ERRNO(mkdir("mq/dir", 0755), EPERM);
    CHECK_OK(umount("mq"));
}

static volatile sig_atomic_t notified;
static siginfo_t notice;

static void on_notice(int sig, siginfo_t *si, void *context) {
    (void)sig;
    (void)context;
    notice = *si;
    notified++;
}

TEST(notification) {
    char name[32], buf[8192];
    snprintf(name, sizeof name, "/notify-%d", getpid());
    mqd_t q = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, NULL);
    CHECK(q != -1);
    struct sigaction sa = {.sa_sigaction = on_notice, .sa_flags = SA_SIGINFO | SA_RESTART};
    CHECK_OK(sigaction(SIGUSR2, &sa, NULL));
    struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2, .sigev_value.sival_int = 99};
    CHECK_OK(mq_notify(q, &ev));
    pid_t pid = check_fork();
    if (pid == 0) {
        CHECK_ERRNO(mq_notify(q, &ev), EBUSY);
        CHECK_OK(mq_notify(q, NULL));
        CHECK_OK(mq_send(q, "x", 1, 0));
        _exit(0);
    }
    check_wait(pid);
    CHECK_EVENTUALLY(notified == 1);
    CHECK_EQ(notice.si_code, SI_MESGQ);
    CHECK_EQ(notice.si_pid, pid);
    CHECK_EQ(notice.si_value.sival_int, 99);
    /* once only, and only for the first message */
    CHECK_OK(mq_notify(q, &ev));
    CHECK_OK(mq_send(q, "x", 1, 0));
    CHECK_EQ(notified, 1);
    CHECK_OK(mq_notify(q, NULL));
    ev.sigev_signo = 99;
    CHECK_ERRNO(mq_notify(q, &ev), EINVAL);
    CHECK_EQ(mq_receive(q, buf, sizeof buf, NULL), 1);
    CHECK_OK(mq_unlink(name));
}
