/* Arguments that change while they are read: names, lengths in structures, vectors, control messages, filters. */
#include "attack.h"

#include <linux/filter.h>
#include <linux/seccomp.h>

static volatile uint64_t *shared;
static volatile bool stop;

static void *flip(void *arg) {
    (void)arg;
    uint64_t state = 88172645463325252;
    while (!stop)
        for (int i = 0; i < 512; i++) {
            state ^= state << 13, state ^= state >> 7, state ^= state << 17;
            shared[i] = state % 5 == 0   ? (uint64_t)-1
                        : state % 5 == 1 ? 0x7fffffff
                        : state % 5 == 2 ? (uint64_t)shared
                        : state % 5 == 3 ? state & 0xff
                                         : 0;
        }
    return NULL;
}

static void paths(void) {
    char *path = (char *)shared;
    struct stat st;
    for (int i = 0; i < 300; i++) {
        stat(path + i, &st);
        open(path + i, O_RDONLY | O_NONBLOCK);
        char *argv[] = {path, NULL};
        syscall(SYS_execve, path, (char *const *)shared, argv);
        syscall(SYS_execve, "/none", (char *const *)shared, (char *const *)shared);
    }
}

static void vectors(void) {
    int pair[2], fds[2];
    if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair) != 0 || pipe2(fds, O_NONBLOCK) != 0)
        return;
    for (int i = 0; i < 2000; i++) {
        syscall(SYS_writev, fds[1], shared, 1 + i % 64);
        syscall(SYS_readv, fds[0], shared, 1 + i % 64);
        struct msghdr *header = (struct msghdr *)(shared + i % 64);
        syscall(SYS_sendmsg, pair[0], header, MSG_DONTWAIT);
        syscall(SYS_recvmsg, pair[1], header, MSG_DONTWAIT);
        syscall(SYS_sendmmsg, pair[0], header, 8, MSG_DONTWAIT);
        /* A good header over control messages that change. */
        char byte = 'x';
        struct iovec iov = {&byte, 1};
        struct msghdr fixed = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = (void *)shared, .msg_controllen = 256};
        struct cmsghdr *control = (struct cmsghdr *)shared;
        control->cmsg_level = SOL_SOCKET;
        control->cmsg_type = SCM_RIGHTS;
        control->cmsg_len = CMSG_LEN(8);
        syscall(SYS_sendmsg, pair[0], &fixed, MSG_DONTWAIT);
        syscall(SYS_recvmsg, pair[1], &fixed, MSG_DONTWAIT);
        syscall(SYS_process_vm_readv, getpid(), shared, 8, shared, 8, 0);
    }
}

static void structures(void) {
    int ep = syscall(SYS_epoll_create1, 0);
    for (int i = 0; i < 1500; i++) {
        uint64_t *at = (uint64_t *)shared + i % 256;
        struct sock_fprog *program = (struct sock_fprog *)at;
        syscall(SYS_seccomp, 5, 0, program);
        syscall(SYS_clone3, at, 64 + i % 24);
        syscall(SYS_openat2, AT_FDCWD, "/tmp", at, 24);
        syscall(SYS_epoll_ctl, ep, 1, 0, at);
        syscall(SYS_futex_waitv, at, 4, 0, at, 1);
        syscall(SYS_rt_sigaction, 10, at, at, 8);
        syscall(SYS_prlimit64, 0, i % 16, NULL, at);
        syscall(SYS_setsockopt, 0, 1, i % 60, at, 16);
        syscall(SYS_mq_open, at, O_CREAT | O_RDWR, 0600, at);
        syscall(SYS_semop, i % 8, at, 3);
        syscall(SYS_timer_create, 1, at, at + 8);
        syscall(SYS_select, 64, at, at + 16, at + 32, at + 48);
        syscall(SYS_mount_setattr, AT_FDCWD, "/tmp", 0, at, 32);
        syscall(SYS_sched_setattr, 0, at, 0);
    }
}

static void child(void *arg) {
    pthread_t threads[2];
    stop = false;
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, flip, NULL);
    ((void (*)(void))arg)();
}

int main(void) {
    shared = mmap(NULL, 2 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (long round = 0; round < attack_rounds(); round++) {
        in_child(child, paths, 3000);
        in_child(child, vectors, 3000);
        in_child(child, structures, 3000);
    }
    survived();
}
