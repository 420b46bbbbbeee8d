/* System V semaphores, messages and shared memory; POSIX message queues. */
#include "check.h"
#include <mqueue.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

static int semop_one(int id, int n, int op, int flags) {
    struct sembuf buf = {n, op, flags};
    return semop(id, &buf, 1);
}

TEST(semaphores) {
    int id = CHECK_OK(semget(IPC_PRIVATE, 3, 0600));
    CHECK_OK(semctl(id, 0, SETVAL, 2));
    CHECK_EQ(semctl(id, 0, GETVAL), 2);
    CHECK_OK(semop_one(id, 0, -2, 0));
    CHECK_ERRNO(semop_one(id, 0, -1, IPC_NOWAIT), EAGAIN);
    CHECK_OK(semop_one(id, 0, 0, IPC_NOWAIT));
    /* all or nothing */
    struct sembuf two[2] = {{1, 1, 0}, {2, -1, IPC_NOWAIT}};
    CHECK_ERRNO(semop(id, two, 2), EAGAIN);
    CHECK_EQ(semctl(id, 1, GETVAL), 0);
    CHECK_ERRNO(semop_one(id, 3, 1, 0), EFBIG);
    CHECK_ERRNO(semctl(id, 3, GETVAL), EINVAL);
    CHECK_ERRNO(semctl(id, 0, SETVAL, 40000), ERANGE);
    CHECK_OK(semctl(id, 0, SETVAL, 32767));
    CHECK_ERRNO(semop_one(id, 0, 1, 0), ERANGE);
    CHECK_OK(semctl(id, 0, SETVAL, 0));
    pid_t pid = check_fork();
    if (pid == 0) {
        CHECK_OK(semop_one(id, 0, -3, 0));
        CHECK_OK(semop_one(id, 1, 5, SEM_UNDO));
        _exit(0);
    }
    CHECK_EVENTUALLY(semctl(id, 0, GETNCNT) == 1);
    CHECK_OK(semop_one(id, 0, 2, 0));
    CHECK_EQ(semctl(id, 0, GETNCNT), 1);
    CHECK_OK(semop_one(id, 0, 1, 0));
    check_wait(pid);
    CHECK_EQ(semctl(id, 1, GETVAL), 0);
    CHECK_EQ(semctl(id, 0, GETPID), pid);
    struct timespec t = {0, 10000000};
    struct sembuf wait = {0, -1, 0};
    CHECK_ERRNO(semtimedop(id, &wait, 1, &t), EAGAIN);
    pid = check_fork();
    if (pid == 0) {
        CHECK_ERRNO(semop_one(id, 0, -1, 0), EIDRM);
        _exit(0);
    }
    CHECK_EVENTUALLY(semctl(id, 0, GETNCNT) == 1);
    CHECK_OK(semctl(id, 0, IPC_RMID));
    check_wait(pid);
    CHECK_ERRNO(semctl(id, 0, GETVAL), EINVAL);
}

TEST(keys_and_permissions) {
    key_t key = 0x47550000 + getpid();
    CHECK_ERRNO(semget(key, 1, 0600), ENOENT);
    int id = CHECK_OK(semget(key, 2, IPC_CREAT | IPC_EXCL | 0600));
    CHECK_ERRNO(semget(key, 2, IPC_CREAT | IPC_EXCL | 0600), EEXIST);
    CHECK_EQ(semget(key, 1, 0), id);
    CHECK_ERRNO(semget(key, 3, 0), EINVAL);
    CHECK_ERRNO(semget(IPC_PRIVATE, 0, 0600), EINVAL);
    struct semid_ds ds;
    CHECK_OK(semctl(id, 0, IPC_STAT, &ds));
    CHECK_EQ(ds.sem_nsems, 2);
    CHECK_EQ(ds.sem_perm.mode, 0600);
    CHECK_EQ(ds.sem_perm.cuid, geteuid());
    if (geteuid() == 0) {
        pid_t pid = check_fork();
        if (pid == 0) {
            CHECK_OK(setresuid(1234, 1234, 1234));
            CHECK_ERRNO(semget(key, 1, 0400), EACCES);
            CHECK_ERRNO(semctl(id, 0, GETVAL), EACCES);
            CHECK_ERRNO(semctl(id, 0, IPC_RMID), EPERM);
            _exit(0);
        }
        check_wait(pid);
    }
    CHECK_OK(semctl(id, 0, IPC_RMID));
}

static struct {
    long type;
    char text[32];
} message;

static int post(int id, long type, const char *text) {
    message.type = type;
    strcpy(message.text, text);
    return msgsnd(id, &message, strlen(text) + 1, IPC_NOWAIT);
}

TEST(messages) {
    int id = CHECK_OK(msgget(IPC_PRIVATE, 0600));
    CHECK_OK(post(id, 3, "three"));
    CHECK_OK(post(id, 1, "one"));
    CHECK_OK(post(id, 2, "two"));
    CHECK_OK(post(id, 3, "again"));
    CHECK_ERRNO(post(id, 0, "x"), EINVAL);
    CHECK_ERRNO(msgsnd(id, &message, 8193, IPC_NOWAIT), EINVAL);
    CHECK_EQ(msgrcv(id, &message, 32, 2, 0), 4);
    CHECK_STR(message.text, "two");
    CHECK_EQ(msgrcv(id, &message, 32, -2, 0), 4); /* the lowest of up to two */
    CHECK_STR(message.text, "one");
    CHECK_ERRNO(msgrcv(id, &message, 2, 0, 0), E2BIG);
    CHECK_EQ(msgrcv(id, &message, 2, 0, MSG_NOERROR), 2);
    CHECK_EQ(message.type, 3);
    CHECK_ERRNO(msgrcv(id, &message, 32, 3, IPC_NOWAIT | MSG_EXCEPT), ENOMSG);
    CHECK_EQ(msgrcv(id, &message, 32, 0, 0), 6);
    CHECK_ERRNO(msgrcv(id, &message, 32, 0, IPC_NOWAIT), ENOMSG);
    struct msqid_ds ds;
    CHECK_OK(msgctl(id, IPC_STAT, &ds));
    CHECK_EQ(ds.msg_qnum, 0);
    CHECK_EQ(ds.msg_lspid, getpid());
    pid_t pid = check_fork();
    if (pid == 0) {
        CHECK_EQ(msgrcv(id, &message, 32, 9, 0), 3);
        CHECK_ERRNO(msgrcv(id, &message, 32, 9, 0), EIDRM);
        _exit(0);
    }
    CHECK_OK(post(id, 9, "hi"));
    CHECK_EVENTUALLY(({ msgctl(id, IPC_STAT, &ds); ds.msg_lrpid == pid; }));
    check_until_sleeping(pid);
    CHECK_OK(msgctl(id, IPC_RMID, NULL));
    check_wait(pid);
}

TEST(shared_memory) {
    int id = CHECK_OK(shmget(IPC_PRIVATE, 5000, 0600));
    char *a = shmat(id, NULL, 0), *b = shmat(id, NULL, SHM_RDONLY);
    CHECK(a != (void *)-1 && b != (void *)-1 && a != b);
    CHECK_EQ(a[4999], 0);
    strcpy(a, "shared");
    CHECK_STR(b, "shared");
    struct shmid_ds ds;
    CHECK_OK(shmctl(id, IPC_STAT, &ds));
    CHECK_EQ(ds.shm_segsz, 5000);
    CHECK_EQ(ds.shm_nattch, 2);
    pid_t pid = check_fork();
    if (pid == 0) {
        CHECK_OK(shmctl(id, IPC_STAT, &ds));
        CHECK_EQ(ds.shm_nattch, 4);
        strcpy(a, "child");
        _exit(0);
    }
    check_wait(pid);
    CHECK_STR(b, "child");
    CHECK_ERRNO(shmat(id, a + 1, 0), EINVAL);
    CHECK_ERRNO(shmat(id, a, 0), EINVAL);
    CHECK(shmat(id, a + 4096 * 16 + 5, SHM_RND) != (void *)-1);
    CHECK_OK(shmctl(id, IPC_RMID, NULL));
    CHECK_STR(a, "child"); /* until the last one lets go */
    CHECK_OK(shmctl(id, IPC_STAT, &ds));
    CHECK(ds.shm_perm.mode & SHM_DEST);
    CHECK_OK(shmdt(a));
    CHECK_ERRNO(shmdt(a), EINVAL);
    CHECK_OK(shmdt(b));
    CHECK_ERRNO(shmget(IPC_PRIVATE, 0, 0600), EINVAL);
}

static volatile sig_atomic_t count;

static void on_signal(int sig) {
    (void)sig;
    count++;
}

TEST(posix_queues) {
    char name[32], buf[64];
    unsigned prio;
    snprintf(name, sizeof name, "/guest-%d", getpid());
    struct mq_attr attr = {.mq_maxmsg = 2, .mq_msgsize = 64};
    mqd_t q = mq_open(name, O_RDWR | O_CREAT | O_EXCL | O_NONBLOCK, 0600, &attr);
    if (q == -1 && errno == ENOSYS)
        check_skip("no message queues");
    CHECK(q != -1);
    CHECK_ERRNO(mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr), EEXIST);
    CHECK_ERRNO(mq_receive(q, buf, 64, &prio), EAGAIN);
    CHECK_ERRNO(mq_receive(q, buf, 63, &prio), EMSGSIZE);
    CHECK_OK(mq_send(q, "low", 3, 1));
    CHECK_OK(mq_send(q, "high", 4, 5));
    CHECK_ERRNO(mq_send(q, "full", 4, 5), EAGAIN);
    CHECK_ERRNO(mq_send(q, buf, 65, 0), EMSGSIZE);
    CHECK_ERRNO(mq_send(q, "x", 1, 32768), EINVAL);
    CHECK_OK(mq_getattr(q, &attr));
    CHECK_EQ(attr.mq_curmsgs, 2);
    CHECK_EQ(attr.mq_flags, O_NONBLOCK);
    CHECK_EQ(mq_receive(q, buf, 64, &prio), 4);
    CHECK_EQ(prio, 5);
    CHECK_EQ(mq_receive(q, buf, 64, &prio), 3);
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    signal(SIGUSR1, on_signal);
    CHECK_OK(mq_notify(q, &event));
    CHECK_ERRNO(mq_notify(q, &event), EBUSY);
    CHECK_OK(mq_send(q, "x", 1, 0));
    CHECK_EVENTUALLY(count == 1);
    CHECK_OK(mq_notify(q, &event));
    struct timespec past = {1, 0};
    attr.mq_flags = 0;
    CHECK_OK(mq_setattr(q, &attr, NULL));
    CHECK_EQ(mq_receive(q, buf, 64, NULL), 1);
    CHECK_ERRNO(mq_timedreceive(q, buf, 64, NULL, &past), ETIMEDOUT);
    CHECK_OK(mq_unlink(name));
    CHECK_ERRNO(mq_unlink(name), ENOENT);
}
