# asserts: strace follows forks of a pipeline and decodes its calls, counts them, attaches to a running process, and injects an error
# packages: strace procps
# capabilities: CAP_SYS_PTRACE
# timeout: 60
strace -f -o log sh -c 'echo one | cat >out; exit 3' || [ $? = 3 ]
grep -qE '^[0-9]+ +execve\("/bin/cat"|execve\("/usr/bin/cat"' log
grep -qE 'read\(0, "one\\n", [0-9]+\) += 4' log
grep -qE 'pipe2?\(\[3, 4\]' log
[ "$(grep -c '+++ exited with 0 +++' log)" = 2 ] && grep -q '+++ exited with 3 +++' log
strace -c -o counts ls / >/dev/null
grep -q 'getdents64' counts && grep -q 'total' counts
sleep 30 &
sleeper=$!
strace -p $sleeper -o attached &
tracer=$!
for _ in $(seq 50); do [ -s attached ] && break; sleep 0.1; done
kill $sleeper
wait $tracer || true
grep -qE 'nanosleep' attached && grep -q 'SIGTERM' attached
strace -e inject=openat:error=EMFILE:when=3+ -o injected cat /etc/hostname 2>errors && exit 1
grep -q 'Too many open files' errors && grep -q 'INJECTED' injected
strace -e trace=none -e signal=all -o signals sh -c 'kill -USR1 $$' || true
grep -q 'SIGUSR1 {si_signo=SIGUSR1, si_code=SI_USER' signals
strace --seccomp-bpf -f -e trace=execve -o filtered sh -c '/bin/true; /bin/true'
[ "$(grep -c 'execve(.*= 0' filtered)" = 3 ]
