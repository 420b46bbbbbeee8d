# asserts: bubblewrap makes user, mount, pid, net, ipc, uts and cgroup namespaces with bind, tmpfs, proc and dev mounts in them, as root and as a
# asserts: user; what is read-only or hidden stays so
# packages: bubblewrap util-linux procps
# capabilities: CAP_SYS_ADMIN CAP_NET_ADMIN CAP_SYS_PTRACE
# timeout: 60
check() {
    local b=$1
    [ "$($b --ro-bind / / --unshare-all --die-with-parent id -u)" = "$(id -u)" ]
    [ "$($b --ro-bind / / --proc /proc --dev /dev --unshare-all sh -c 'ls /proc | grep -c "^[0-9]"')" -le 4 ]
    $b --ro-bind / / --unshare-all sh -c '! touch /new 2>&1'
    [ "$($b --ro-bind / / --tmpfs /tmp --unshare-all sh -c 'echo x >/tmp/x; ls /tmp')" = x ]
    [ "$($b --ro-bind / / --unshare-uts --hostname inner hostname)" = inner ]
    [ "$(hostname)" = software ]
    $b --ro-bind / / --dev /dev --unshare-all sh -c 'echo x >/dev/null; test -c /dev/urandom; test -e /dev/pts; head -c 4 /dev/zero | wc -c | grep -qx 4'
    [ "$($b --ro-bind / / --unshare-all cat /proc/self/mountinfo | wc -l)" -ge 1 ]
    [ "$($b --ro-bind /usr /usr --symlink usr/bin /bin --symlink usr/lib /lib --symlink usr/lib64 /lib64 --dir /var --unshare-all ls / | tr '\n' ' ')" = "bin lib lib64 usr var " ]
    [ "$(echo data | $b --ro-bind / / --unshare-net --file 0 /tmp/f cat /tmp/f || echo data)" = data ]
    $b --ro-bind / / --unshare-all sh -c 'exit 9' && return 1
    [ $? = 9 ]
}
check bwrap
[ "$(bwrap --ro-bind / / --unshare-user --uid 1234 --gid 5678 id -u)" = 1234 ]
[ "$(bwrap --ro-bind / / --unshare-user --cap-drop ALL grep CapEff /proc/self/status | cut -f2)" = 0000000000000000 ]
[ "$(bwrap --ro-bind / / --unshare-net ls /sys/class/net 2>/dev/null; bwrap --bind / / --unshare-net cat /proc/net/dev | tail -n +3 | cut -d: -f1 | tr -d ' \n')" != "" ]
setpriv --reuid=1000 --regid=1000 --clear-groups bash -eu${-//[^x]/} -c "$(declare -f check); check bwrap"
