# asserts: gdb breaks, steps, watches a variable, prints backtraces of all threads, calls a function, changes memory, follows a fork, attaches
# asserts: to a running process, writes a core and reads it
# packages: gdb gcc libc6-dev procps
# capabilities: CAP_SYS_PTRACE
# timeout: 180
cat >p.c <<'END'
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/wait.h>
volatile int counter;
volatile int stay = 1;
int twice(int n) { return 2 * n; }
static void *thread(void *arg) { while (stay) usleep(1000); return arg; }
static void count(void) { for (int i = 0; i < 5; i++) counter = twice(counter + 1); }
int main(int argc, char **argv) {
    pthread_t t[3];
    for (int i = 0; i < 3; i++) pthread_create(&t[i], 0, thread, 0);
    count();
    if (argc > 1) { puts("up"); fflush(stdout); }
    for (int i = 0; i < 3; i++) pthread_join(t[i], 0);
    if (fork() == 0) { counter = twice(21); _exit(counter == 42 ? 0 : 1); }
    wait(0);
    printf("%d\n", counter);
    return 0;
}
END
gcc -g -O0 -pthread p.c -o p
g() { timeout 60 gdb -q -nx -batch -iex 'set debuginfod enabled off' -iex 'set auto-load safe-path /' "$@" 2>&1; }
g ./p -ex 'break twice' -ex run -ex 'bt 2' -ex 'info threads' -ex finish -ex 'thread apply all bt 1' -ex 'p counter' -ex delete -ex 'p twice(100)' \
    -ex 'set var counter = 1000' -ex 'set var stay = 0' -ex continue | tee first >/dev/null || true
grep -q 'Breakpoint 1, twice (n=1)' first || { cat first; exit 1; }
grep -q '#1 .* count ()' first && grep -q 'Value returned is .* = 2' first && grep -q '= 200' first
[ "$(grep -c 'Thread 0x.*LWP' first)" -ge 4 ]
# a watchpoint by single steps: debug registers are not everywhere
g ./p -ex 'set can-use-hw-watchpoints 0' -ex 'break count' -ex run -ex 'watch counter' -ex continue -ex continue -ex 'info registers rip' -ex stepi -ex next -ex kill | tee watch >/dev/null || true
grep -q 'New value = 2' watch && grep -q 'New value = 6' watch && grep -q '^rip ' watch || { cat watch; exit 1; }
g ./p -ex 'set var stay = 1' -ex 'set follow-fork-mode child' -ex 'break _exit' -ex 'break count' -ex run -ex 'set var stay = 0' -ex continue -ex 'p counter' | tee fork >/dev/null || true
grep -q '= 42' fork || { cat fork; exit 1; }
./p stay >up &
running=$!
for _ in $(seq 100); do grep -q up up && break; sleep 0.1; done
g -p $running -ex 'info threads' -ex 'p counter' -ex 'gcore core.here' -ex 'set var stay = 0' -ex detach | tee attach >/dev/null || true
grep -q '= 62' attach && grep -q 'Saved corefile' attach || { cat attach; exit 1; }
wait $running
g ./p core.here -ex 'p counter' -ex 'info threads' | tee core >/dev/null || true
grep -q '= 62' core || { cat core; exit 1; }
[ "$(grep -c 'LWP' core)" -ge 4 ]
