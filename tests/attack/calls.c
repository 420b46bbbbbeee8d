/* Every system call number with hostile pointers, lengths and descriptors. */
#include "attack.h"

#include <mqueue.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

static char *page_end, *read_only, *no_access, *good;
static uint64_t pool[64];
static int pooled;

static void add(uint64_t value) {
    if (pooled < (int)(sizeof pool / sizeof *pool))
        pool[pooled++] = value;
}

static void prepare(void) {
    char *area = mmap(NULL, 8 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(area + 4096, 4096);
    mprotect(area + 2 * 4096, 4096, PROT_READ);
    mprotect(area + 3 * 4096, 4096, PROT_NONE);
    good = area + 4 * 4096;
    page_end = area + 4095;
    read_only = area + 2 * 4096;
    no_access = area + 3 * 4096;
    const uint64_t values[] = {
        0, 1, 2, 3, 4, 7, 8, 0xff, 0x1000, 4096 * 3 + 1, INT_MAX, (uint64_t)INT_MIN, UINT_MAX, LONG_MAX, (uint64_t)-1,
        (uint64_t)-2, (uint64_t)-100, (uint64_t)-4096, (uint64_t)good, (uint64_t)good + 1, (uint64_t)page_end,
        (uint64_t)page_end - 7, (uint64_t)read_only, (uint64_t)no_access, (uint64_t)area + 4096,
        /* near the top of what an application has, where the sandbox keeps its own, and past it */
        0x7ffffffff000, 0x7fffffffeff8, 0x7ffffffffffe, 0x7fffffffe000, 0x7fffffffd000, 0x7ffff0000000, 0x7f0000000000,
        0x555555554000, 0x800000000000, 0x8000000000000000, 0xffff800000000000, 0xffffffff81000000, 0xffffffffff600000,
        0xfffffffffffff000, 1UL << 32, 1UL << 47, 1UL << 62,
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        add(values[i]);
}

static void open_some(void) {
    int pair[2];
    if (pipe(pair) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0)
        socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair);
    socket(AF_INET, SOCK_STREAM, 0);
    socket(AF_INET6, SOCK_DGRAM, 0);
    socket(AF_NETLINK, SOCK_RAW, 0);
    eventfd(3, EFD_NONBLOCK);
    epoll_create1(0);
    timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    sigset_t set;
    sigfillset(&set);
    signalfd(-1, &set, SFD_NONBLOCK);
    inotify_init1(IN_NONBLOCK);
    memfd_create("m", MFD_ALLOW_SEALING);
    open("/tmp", O_RDONLY | O_DIRECTORY);
    open("/tmp/file", O_RDWR | O_CREAT, 0600);
    open("/proc/self/mem", O_RDWR);
    open("/dev/ptmx", O_RDWR | O_NOCTTY);
    open("/bin/calls", O_RDONLY);
    open("/", O_PATH);
    syscall(SYS_pidfd_open, getpid(), 0);
}

struct job {
    long number;
    long tries;
};

static void try_number(void *arg) {
    struct job *job = arg;
    struct rlimit small = {16 << 20, 16 << 20};
    setrlimit(RLIMIT_FSIZE, &small);
    open_some();
    attack_state = 0x9e3779b97f4a7c15 * (job->number + 1);
    for (long i = 0; i < job->tries; i++) {
        long args[6];
        /* what is pointed to is of the same kind */
        for (int word = 0; word < 512; word++)
            ((uint64_t *)good)[word] = any() % 3 ? pool[any() % pooled] : any();
        for (int a = 0; a < 6; a++)
            args[a] = i < 4 ? (long)pool[(18 + i * 5 + a) % pooled] : any() % 3 ? (long)pool[any() % pooled] : (long)(any() % 24);
        syscall(job->number, args[0], args[1], args[2], args[3], args[4], args[5]);
    }
}

/* Calls that end the child at once or tell nothing when they are tried at random. */
static bool left_out(long number) {
    return number == SYS_exit || number == SYS_exit_group || number == SYS_rt_sigreturn;
}

int main(void) {
    prepare();
    mkdir("/tmp", 0777);
    for (long round = 0; round < attack_rounds(); round++)
        for (long number = 0; number < 480; number++) {
            struct job job = {number, 24};
            if (round > 0)
                attack_state ^= round * 0x2545f4914f6cdd1d;
            if (!left_out(number))
                in_child(try_number, &job, 60);
        }
    for (long number = 480; number < 4096; number++) {
        errno = 0;
        if (syscall(number, good, good, good, good, good, good) != -1 || errno != ENOSYS)
            leak("call %ld answers", number);
    }
    const long others[] = {-1, INT_MIN, LONG_MAX, 0x40000000, 0x40000000 + 59, 1L << 32};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (syscall(others[i], 1, good, 1, 0, 0, 0) != -1 || errno != ENOSYS)
            /* Linux takes the low half of the number */
            if (others[i] != 1L << 32)
                leak("call %#lx answers", others[i]);
    survived();
}
