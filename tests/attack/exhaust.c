/* Everything there is a number of, until there is no more: the limit must be ours to meet, and the sandbox must live on. */
#include "attack.h"

#include <mqueue.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/timerfd.h>

static void forks(void *arg) {
    (void)arg;
    for (;;)
        fork();
}

static void *sleeper(void *arg) {
    (void)arg;
    pause();
    return NULL;
}

static void threads(void *arg) {
    (void)arg;
    pthread_t thread;
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, PTHREAD_STACK_MIN);
    while (pthread_create(&thread, &attr, sleeper, NULL) == 0)
        ;
}

static void memory(void *arg) {
    (void)arg;
    for (;;) {
        char *area = mmap(NULL, 16 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (area == MAP_FAILED)
            _exit(0);
        memset(area, 1, 16 << 20);
    }
}

static void mappings(void *arg) {
    (void)arg;
    /* Every other page, so that no two areas merge. */
    char *area = mmap(NULL, 1UL << 32, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    for (size_t page = 0; page < (1UL << 32) / 8192; page++)
        if (mprotect(area + page * 8192, 4096, PROT_READ) != 0)
            break;
}

static void files(void *arg) {
    const char *dir = arg;
    char path[300];
    if (chdir(dir) != 0)
        return;
    for (int i = 0;; i++) {
        snprintf(path, sizeof path, "%0200d", i);
        int fd = open(path, O_CREAT | O_WRONLY, 0600);
        if (fd < 0 && errno != EMFILE)
            break;
        close(fd);
    }
}

static void big_file(void *arg) {
    static char block[1 << 20];
    int fd = open(arg, O_CREAT | O_RDWR, 0600);
    memset(block, 1, sizeof block);
    while (write(fd, block, sizeof block) > 0)
        ;
}

static void descriptors(void *arg) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    int kind = *(int *)arg;
    for (int i = 0; i < 200000; i++) {
        int pair[2] = {0, 0}, result = 0;
        static char block[65536];
        switch (kind) {
        case 0:
            if ((result = pipe(pair)) == 0) {
                fcntl(pair[0], F_SETPIPE_SZ, 1 << 20);
                fcntl(pair[1], F_SETFL, O_NONBLOCK);
                while (write(pair[1], block, sizeof block) > 0)
                    ;
            }
            break;
        case 1:
            if ((result = socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair)) == 0) {
                int size = INT_MAX;
                setsockopt(pair[0], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
                setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
                while (send(pair[0], block, sizeof block, 0) > 0)
                    ;
            }
            break;
        case 2:
            result = epoll_create1(0);
            for (int j = 0; j < 64 && result >= 0; j++) {
                struct epoll_event event = {.events = EPOLLIN};
                epoll_ctl(result, EPOLL_CTL_ADD, result - j, &event);
            }
            break;
        case 3:
            result = inotify_init1(IN_NONBLOCK);
            break;
        case 4:
            result = timerfd_create(CLOCK_MONOTONIC, 0);
            struct itimerspec often = {{0, 1}, {0, 1}};
            timerfd_settime(result, 0, &often, NULL);
            break;
        case 5:
            result = memfd_create("m", 0);
            if (write(result, block, sizeof block) < 0)
                return;
            break;
        case 6:
            result = socket(AF_INET, SOCK_DGRAM, 0);
            break;
        case 7:
            result = open("/dev/ptmx", O_RDWR | O_NOCTTY);
            break;
        case 8:
            result = socket(AF_NETLINK, SOCK_RAW, 0);
            break;
        }
        if (result < 0)
            break;
    }
}

static void events_queued(void *arg) {
    (void)arg;
    /* Events that nobody reads. */
    int fd = inotify_init1(IN_NONBLOCK);
    inotify_add_watch(fd, "/tmp", IN_ALL_EVENTS);
    for (int i = 0; i < 200000; i++) {
        char path[300];
        snprintf(path, sizeof path, "/tmp/%0200d", i % 2);
        close(open(path, O_CREAT | O_WRONLY, 0600));
        unlink(path);
    }
}

static void watches(void *arg) {
    (void)arg;
    int fd = inotify_init1(IN_NONBLOCK);
    char path[64];
    for (int i = 0; i < 100000; i++) {
        snprintf(path, sizeof path, "/tmp/watch%d", i);
        if (mkdir(path, 0700) != 0 || inotify_add_watch(fd, path, IN_ALL_EVENTS) < 0)
            break;
    }
}

static void semaphores(void *arg) {
    (void)arg;
    for (;;)
        if (semget(IPC_PRIVATE, 32000, 0600) < 0)
            break;
}

static void queues(void *arg) {
    (void)arg;
    static struct {
        long type;
        char text[8192];
    } message = {.type = 1};
    for (;;) {
        int queue = msgget(IPC_PRIVATE, 0600);
        if (queue < 0)
            break;
        while (msgsnd(queue, &message, sizeof message.text, IPC_NOWAIT) == 0)
            ;
    }
}

static void empty_messages(void *arg) {
    (void)arg;
    struct {
        long type;
        char text[1];
    } message = {.type = 1};
    for (;;) {
        int queue = msgget(IPC_PRIVATE, 0600);
        if (queue < 0)
            break;
        while (msgsnd(queue, &message, 0, IPC_NOWAIT) == 0)
            ;
    }
}

static void segments(void *arg) {
    (void)arg;
    for (;;) {
        int id = shmget(IPC_PRIVATE, 16 << 20, 0600);
        if (id < 0)
            break;
        char *area = shmat(id, NULL, 0);
        if (area == (char *)-1)
            break;
        memset(area, 1, 16 << 20);
    }
}

static void message_queues(void *arg) {
    (void)arg;
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
    setrlimit(RLIMIT_MSGQUEUE, &limit);
    static char block[8192];
    for (int i = 0;; i++) {
        char name[64];
        snprintf(name, sizeof name, "/q%d", i);
        struct mq_attr attr = {.mq_maxmsg = 10, .mq_msgsize = 8192};
        mqd_t queue = mq_open(name, O_CREAT | O_RDWR | O_NONBLOCK, 0600, &attr);
        if (queue < 0)
            break;
        while (mq_send(queue, block, sizeof block, 0) == 0)
            ;
        close(queue);
    }
}

static void timers(void *arg) {
    (void)arg;
    signal(SIGUSR1, SIG_IGN);
    for (int i = 0; i < 100000; i++) {
        timer_t timer;
        struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
        struct itimerspec often = {{0, 1}, {0, 1}};
        if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0)
            break;
        timer_settime(timer, 0, &often, NULL);
    }
    sleep(1);
}

static void signals(void *arg) {
    (void)arg;
    sigset_t set;
    sigfillset(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
    union sigval value = {.sival_int = 1};
    for (long i = 0; i < 1000000; i++)
        if (sigqueue(getpid(), SIGRTMIN + i % 16, value) != 0)
            break;
    for (int i = 0; i < 100000; i++)
        kill(0, SIGUSR1);
}

static void locks(void *arg) {
    (void)arg;
    int fd = open("/tmp/locks", O_CREAT | O_RDWR, 0600);
    for (long i = 0; i < 300000; i++) {
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = i * 2, .l_len = 1};
        if (fcntl(fd, F_SETLK, &lock) != 0)
            break;
    }
}

static void attributes(void *arg) {
    (void)arg;
    static char value[65536];
    int fd = open("/tmp/attributes", O_CREAT | O_RDWR, 0600);
    for (int i = 0; i < 100000; i++) {
        char name[64];
        snprintf(name, sizeof name, "user.%d", i);
        if (syscall(SYS_fsetxattr, fd, name, value, sizeof value, 0) != 0)
            break;
    }
}

static void names_not_there(void *arg) {
    (void)arg;
    struct stat st;
    char path[300];
    for (int i = 0; i < 300000; i++) {
        snprintf(path, sizeof path, "/tmp/%0200d", i);
        stat(path, &st);
        snprintf(path, sizeof path, "/%0200d", i);
        stat(path, &st);
    }
}

static void namespaces(void *arg) {
    (void)arg;
    for (int i = 0; i < 100000; i++)
        if (unshare(CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWNS) != 0 || open("/proc/self/ns/net", O_RDONLY) < 0)
            break;
}

static void mounts(void *arg) {
    (void)arg;
    mkdir("/tmp/m", 0755);
    for (int i = 0; i < 150000; i++)
        if (syscall(SYS_mount, "none", "/tmp/m", "tmpfs", 0, "size=1m") != 0)
            break;
}

/* Removes what is in a directory and begins so. */
static void empty(const char *dir, const char *start) {
    DIR *d = opendir(dir);
    struct dirent *entry;
    while (d && (entry = readdir(d))) {
        char path[PATH_MAX];
        if (strncmp(entry->d_name, start, strlen(start)) != 0 || entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
        if (unlink(path) != 0)
            rmdir(path);
    }
    if (d)
        closedir(d);
}

int main(int argc, char **argv) {
    long time = 4000 * attack_rounds();
    struct {
        const char *name;
        void (*body)(void *);
        void *arg;
    } all[] = {
        {"forks", forks, NULL},
        {"threads", threads, NULL},
        {"memory", memory, NULL},
        {"mappings", mappings, NULL},
        {"files in memory", files, "/tmp"},
        {"files over the root", files, "/"},
        {"a big file in memory", big_file, "/tmp/big"},
        {"a big file over the root", big_file, "/big"},
        {"pipes", descriptors, &(int){0}},
        {"sockets", descriptors, &(int){1}},
        {"epolls", descriptors, &(int){2}},
        {"inotifies", descriptors, &(int){3}},
        {"timers of descriptors", descriptors, &(int){4}},
        {"memory files", descriptors, &(int){5}},
        {"internet sockets", descriptors, &(int){6}},
        {"terminals", descriptors, &(int){7}},
        {"netlink sockets", descriptors, &(int){8}},
        {"events", events_queued, NULL},
        {"watches", watches, NULL},
        {"semaphores", semaphores, NULL},
        {"queues", queues, NULL},
        {"empty messages", empty_messages, NULL},
        {"segments", segments, NULL},
        {"message queues", message_queues, NULL},
        {"timers", timers, NULL},
        {"signals", signals, NULL},
        {"locks", locks, NULL},
        {"attributes", attributes, NULL},
        {"names that are not there", names_not_there, NULL},
        {"namespaces", namespaces, NULL},
        {"mounts", mounts, NULL},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (argc > 1 && !strstr(all[i].name, argv[1]))
            continue;
        dprintf(1, "%s\n", all[i].name);
        in_child(all[i].body, all[i].arg, time);
        /* What is left of the last one makes room for the next. */
        unlink("/big");
        empty("/tmp", "");
        empty("/", "00000");
        for (int id = 0; id < 32768 * 4; id++) {
            struct shmid_ds ds;
            struct msqid_ds ms;
            int found = shmctl(id, 13, &ds);
            if (found >= 0)
                shmctl(found, IPC_RMID, NULL);
            found = msgctl(id, 11, &ms);
            if (found >= 0)
                msgctl(found, IPC_RMID, NULL);
            if (id < 32000 && (found = semctl(id, 0, 18, &(struct semid_ds){0})) >= 0)
                semctl(found, 0, IPC_RMID);
            if (id > 4096 && found < 0)
                break;
        }
    }
    survived();
}
