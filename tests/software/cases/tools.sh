# asserts: what ps, top, free, uptime, vmstat, pmap, pidof, lscpu, lsblk, lsof, htop, ss, ip, findmnt, systemd-detect-virt, nproc, getconf and df read in
# asserts: /proc and /sys is there and plausible
# packages: procps util-linux lsof htop iproute2 systemd python3 psmisc
# capabilities: CAP_SYS_PTRACE
# timeout: 60
python3 -c 'import socket,time; s=socket.create_server(("127.0.0.1",7777)); c=socket.create_connection(("127.0.0.1",7777)); f=open("/tmp/held","w"); time.sleep(50)' &
held=$!
for _ in $(seq 100); do [ -e /tmp/held ] && break; sleep 0.1; done
ps -ef | grep -q '[p]ython3 -c import socket'
[ "$(ps -o pid=,ppid=,stat=,comm=,nlwp= -p $held | tr -s ' ' | sed 's/^ //')" = "$held $$ S python3 1" ]
ps aux | awk -v p=$held '$2 == p { exit !($6 > 1000 && $5 > $6) }'
[ "$(ps -eo pid --no-headers | head -1 | tr -d ' ')" = 1 ]
ps -eLf >/dev/null && ps axjf >/dev/null && ps -o lstart=,etimes=,wchan=,psr=,rss=,cgroup=,label= -p $held >/dev/null
top -bn1 | grep -q 'python3' && top -bn1 | grep -qE 'Tasks: +[0-9]+ total' && top -bn1 | grep -qE '%Cpu'
free -b | awk '/^Mem:/ { exit !($2 > 0 && $3 > 0 && $4 > 0 && $7 > 0 && $3 <= $2) }'
uptime | grep -q 'load average'
vmstat 1 2 | tail -1 | grep -qE '^ *[0-9]'
pmap -x $held | grep -q 'libc.so' && pmap -X $held | grep -q Rss
pidof python3 | grep -qw $held
pstree -p | grep -q "python3($held)"
fuser 7777/tcp 2>/dev/null | grep -qw $held
[ "$(lscpu | awk '/^CPU\(s\):/ { print $2 }')" = "$(nproc)" ]
lscpu | grep -q 'Model name' && lscpu -e >/dev/null && lscpu -p | grep -q '^0,'
lscpu | grep -qE 'Architecture: +x86_64'
lsof -p $held | grep -q '/tmp/held' && lsof -p $held -i -a | grep -q 'TCP localhost:.*->localhost:.*(ESTABLISHED)' && lsof -i :7777 | grep -q LISTEN
lsof /tmp/held | grep -q python3
(sleep 1; echo q) | TERM=xterm COLUMNS=100 LINES=40 timeout 10 script -qc 'htop -d 5' htop.out >/dev/null
grep -q 'Load average' htop.out && grep -q 'Tasks' htop.out
ss -ltn | grep -q '127.0.0.1:7777' && ss -tnp | grep -q "pid=$held" && ss -s | grep -q TCP
ip -br addr | grep -q '127.0.0.1' && ip route show table local | grep -q 127
findmnt -no FSTYPE /proc | grep -qx proc && findmnt -no FSTYPE /tmp | grep -qx tmpfs
systemd-detect-virt --container >/dev/null || true
[ "$(getconf _NPROCESSORS_ONLN)" = "$(nproc)" ] && [ "$(getconf PAGESIZE)" = 4096 ] && [ "$(getconf _PHYS_PAGES)" -gt 0 ]
df -h / | tail -1 | grep -q '/' && df /tmp | grep -q tmpfs
lsblk >/dev/null || true
[ "$(cat /proc/$held/comm)" = python3 ] && [ "$(readlink /proc/$held/exe)" = "$(realpath "$(command -v python3)")" ]
sysctl -n kernel.pid_max vm.overcommit_memory net.core.somaxconn fs.file-max kernel.random.boot_id >/dev/null
prlimit -p $held --nofile >/dev/null && chrt -p $held | grep -q SCHED_OTHER && taskset -p $held | grep -q mask && ionice -p $held >/dev/null
lsns | grep -q mnt && cat /proc/$held/{limits,io,smaps_rollup,schedstat,sched,numa_maps,auxv,wchan,oom_score,oom_score_adj,stack,syscall,timerslack_ns} >/dev/null 2>&1 || true
for f in limits io smaps smaps_rollup status stat statm maps mountinfo cgroup cmdline environ oom_score oom_score_adj net/tcp net/unix net/dev; do [ -n "$(cat /proc/$held/$f | tr -d '\0' | head -1)" ] || { echo "/proc/PID/$f" is empty; [ $f = net/unix ]; }; done
for f in cpuinfo meminfo stat uptime loadavg version mounts filesystems cmdline devices diskstats partitions swaps vmstat zoneinfo interrupts sys/kernel/osrelease sys/kernel/random/uuid; do cat /proc/$f >/dev/null; done
for f in cpu/online cpu/possible cpu/present cpu/cpu0/topology/core_id node/online node/node0/meminfo; do [ -n "$(cat /sys/devices/system/$f)" ]; done
kill $held
