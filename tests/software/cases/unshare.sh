# asserts: unshare(1), nsenter(1) and mount(8) give each kind of namespace and what belongs to it; propagation between mount namespaces is Linux's
# packages: util-linux iproute2 procps
# capabilities: CAP_SYS_ADMIN CAP_NET_ADMIN CAP_SYS_PTRACE
# timeout: 60
[ "$(unshare -Ur sh -c 'id -u; cat /proc/self/uid_map | tr -s " "')" = "$(printf '0\n 0 0 1')" ]
[ "$(setpriv --reuid=1000 --regid=1000 --clear-groups unshare -Ur id -u)" = 0 ]
[ "$(setpriv --reuid=1000 --regid=1000 --clear-groups unshare -U id -u)" = 65534 ]
[ "$(unshare -pf --mount-proc sh -c 'echo $$; ps -e -o comm=' | head -2 | tr '\n' ' ')" = "1 sh " ]
unshare -n sh -c '! ip -4 addr | grep -q 127.0.0.1; ip link set lo up; ip addr | grep -q 127.0.0.1'
unshare -n sh -c 'ip link add a type veth peer name b && ip link set a up && ip link set b up && ip addr add 10.9.0.1/24 dev a && ip route | grep -q 10.9.0.0/24' || echo "no veth" >&2
[ "$(unshare -u sh -c 'hostname inner; hostname')" = inner ] && [ "$(hostname)" = software ]
ipcmk -M 4096 >/dev/null
[ "$(unshare -i ipcs -m | grep -c 4096 || true)" = 0 ] && ipcs -m | grep -q 4096
[ "$(unshare -C readlink /proc/self/ns/cgroup)" != "$(readlink /proc/self/ns/cgroup)" ]
mkdir -p a/sub b
unshare -m sh -euc 'mount -t tmpfs x a; touch a/inside; mount --bind a b; test -e b/inside; mount -o remount,bind,ro b; ! touch b/new 2>/dev/null; touch a/new; umount b; test ! -e b/inside'
[ ! -e a/inside ]
mount -t tmpfs shared a
mount --make-shared a
mkdir a/sub
unshare -m --propagation unchanged sh -c 'mount -t tmpfs inner a/sub; touch a/sub/seen'
[ -e a/sub/seen ]
umount a/sub
unshare -m --propagation slave sh -euc 'mount -t tmpfs inner a/sub; touch a/sub/hidden; findmnt -no PROPAGATION a | grep -q slave'
[ ! -e a/sub/hidden ]
unshare -m --propagation slave sh -euc 'touch up; for i in $(seq 50); do test -e a/sub/late && exit 0; sleep 0.1; done; exit 1' &
for _ in $(seq 50); do [ -e up ] && break; sleep 0.1; done
mount -t tmpfs inner a/sub
touch a/sub/late
wait $!
unshare -fpm --mount-proc sleep 30 &
outer=$!
for _ in $(seq 50); do inner=$(pgrep -P $outer) && break; sleep 0.1; done
for _ in $(seq 50); do [ "$(nsenter -t $inner -p -m ps -e -o comm= 2>/dev/null | head -1)" = sleep ] && break; sleep 0.1; done
[ "$(nsenter -t $inner -p -m ps -e -o comm= | head -1)" = sleep ]
kill -KILL $inner
! wait $outer 2>/dev/null
