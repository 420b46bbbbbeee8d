# asserts: runc runs inside: a container of its own with pid, mount, uts, ipc and net namespaces, exec into it, its exit status
# packages: runc python3 procps
# capabilities: CAP_SYS_ADMIN CAP_NET_ADMIN CAP_SYS_PTRACE
# timeout: 60
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir -p b/rootfs
for d in bin lib lib64 usr; do [ -L /$d ] && cp -P /$d b/rootfs/ || true; done
mkdir -p b/rootfs/{usr,proc,dev,sys,tmp,etc}
cd b
runc spec --rootless
python3 - <<'END'
import json
c = json.load(open("config.json"))
c["process"]["terminal"] = False
c["process"]["args"] = ["sh", "-c", "echo pid $$ on $(hostname); id -u; exit 5"]
c["root"]["readonly"] = False
c["linux"].pop("resources", None)
c["mounts"] = [m for m in c["mounts"] if m["type"] != "cgroup"] + [{"destination": "/usr", "type": "bind", "source": "/usr", "options": ["rbind", "ro"]}]
json.dump(c, open("config.json", "w"))
END
runc --root /tmp/state run one >out || [ $? = 5 ]
[ "$(cat out)" = "$(printf 'pid 1 on runc\n0')" ] || { cat out; exit 1; }
