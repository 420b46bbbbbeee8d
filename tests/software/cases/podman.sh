# asserts: podman runs a command in a container whose root is a directory
# packages: podman crun catatonit python3
# capabilities: CAP_SYS_ADMIN CAP_NET_ADMIN CAP_SYS_PTRACE
# timeout: 90
mkdir -p /tmp/r/{usr,proc,dev,sys,tmp,etc,run}
for d in bin lib lib64; do cp -P /$d /tmp/r/; done
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir -p /etc/containers
printf '[containers]\ncgroups = "disabled"\n[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n' >/etc/containers/containers.conf
[ "$(podman --storage-driver vfs run --rm --network none --security-opt seccomp=unconfined -v /usr:/usr:ro --rootfs /tmp/r sh -c 'echo pid $$')" = "pid 1" ]
