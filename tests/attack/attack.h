/*
 * The frame of an attack: a program that runs in a sandbox only (some of them would harm a host) and tries to get out, to
 * learn of the host, or to take the sandbox down. It prints "survived" when it is through, and "LEAK: ..." for what it should
 * not have been able to do. ATTACK_ROUNDS in the environment makes it longer.
 */
#ifndef ATTACK_H
#define ATTACK_H

#define _GNU_SOURCE 1
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* How many times as long as the short form. */
__attribute__((unused)) static long attack_rounds(void) {
    const char *text = getenv("ATTACK_ROUNDS");
    long rounds = text ? atol(text) : 1;
    return rounds < 1 ? 1 : rounds;
}

/* Something that should not have been possible. */
__attribute__((format(printf, 1, 2), unused)) static void leak(const char *format, ...) {
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    dprintf(1, "LEAK: %s\n", text);
}

/* Nothing to do with chance: the same numbers each time. */
static uint64_t attack_state = 1;
__attribute__((unused)) static uint64_t any(void) {
    attack_state ^= attack_state << 13;
    attack_state ^= attack_state >> 7;
    attack_state ^= attack_state << 17;
    return attack_state;
}

/* Runs something in a child that has so long and whose end does not matter; returns its status. */
__attribute__((unused)) static int in_child(void (*body)(void *), void *arg, long milliseconds) {
    pid_t pid = fork();
    if (pid == 0) {
        struct itimerval timer = {.it_value = {milliseconds / 1000, milliseconds % 1000 * 1000}};
        setpgid(0, 0);
        setitimer(ITIMER_REAL, &timer, NULL);
        body(arg);
        _exit(0);
    }
    int status = -1;
    if (pid > 0) {
        /* A child that has blocked its alarm is killed. */
        for (long waited = 0; waitpid(pid, &status, WNOHANG) == 0; waited++) {
            if (waited > milliseconds + 2000)
                kill(pid, SIGKILL);
            usleep(1000);
        }
        kill(-pid, SIGKILL);
    }
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    return status;
}

#define survived()                                                                                                     \
    do {                                                                                                               \
        dprintf(1, "survived\n");                                                                                      \
        return 0;                                                                                                      \
    } while (0)

#endif
