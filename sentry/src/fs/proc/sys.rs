//! `/proc/sys`: settings. Those that a container may change are its namespaces'; the others are fixed and read-only.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use abi::Errno;
use abi::capability::Cap;
use abi::stat::S_IFREG;
use sync::Mutex;

use super::sys_net;
use crate::error::err;
use crate::fs::pipe;
use crate::fs::pseudo::Tree;
use crate::fs::pseudo::dir::StaticDir;
use crate::fs::pseudo::text::TextFile;
use crate::ipc::Kind;
use crate::ipc::settings::{Limit, Settings};
use crate::kernel::Kernel;
use crate::lock_order::Leaf;
use crate::task::CurrentTask;
use crate::vfs::{Inode, sysctl};

/// Settings that only read: directory, name, value.
const FIXED: &[(&str, &str, &str)] = &[
    ("fs", "file-max", "9223372036854775807\n"),
    ("fs", "file-nr", "0\t0\t9223372036854775807\n"),
    ("fs", "inode-nr", "0\t0\n"),
    ("fs", "dentry-state", "0\t0\t45\t0\t0\t0\n"),
    ("fs", "pipe-user-pages-soft", "16384\n"),
    ("fs", "pipe-user-pages-hard", "0\n"),
    ("fs", "protected_hardlinks", "1\n"),
    ("fs", "protected_symlinks", "1\n"),
    ("fs", "protected_fifos", "0\n"),
    ("fs", "protected_regular", "0\n"),
    ("fs", "suid_dumpable", "0\n"),
    ("fs", "overflowuid", "65534\n"),
    ("fs", "overflowgid", "65534\n"),
    ("fs", "leases-enable", "1\n"),
    ("fs", "aio-max-nr", "65536\n"),
    ("fs/epoll", "max_user_watches", "1000000\n"),
    ("kernel", "ostype", "Linux\n"),
    ("kernel", "cap_last_cap", "40\n"),
    ("kernel", "core_pattern", "core\n"),
    ("kernel", "dmesg_restrict", "0\n"),
    ("kernel", "kptr_restrict", "1\n"),
    ("kernel", "ngroups_max", "65536\n"),
    ("kernel", "overflowuid", "65534\n"),
    ("kernel", "overflowgid", "65534\n"),
    ("kernel", "panic", "0\n"),
    ("kernel", "perf_event_paranoid", "4\n"),
    ("kernel", "printk", "4\t4\t1\t7\n"),
    ("kernel", "pty/max", "4096\n"),
    ("kernel", "random/entropy_avail", "256\n"),
    ("kernel", "random/poolsize", "256\n"),
    ("kernel", "randomize_va_space", "2\n"),
    ("kernel", "sched_rt_period_us", "1000000\n"),
    ("kernel", "sched_rt_runtime_us", "950000\n"),
    ("kernel", "seccomp/actions_avail", "kill_process kill_thread trap errno user_notif trace log allow\n"),
    ("kernel", "tainted", "0\n"),
    ("kernel", "threads-max", "192000\n"),
    ("kernel", "unprivileged_bpf_disabled", "2\n"),
    ("net/core", "rmem_default", "212992\n"),
    ("net/core", "wmem_default", "212992\n"),
    ("net/core", "rmem_max", "212992\n"),
    ("net/core", "wmem_max", "212992\n"),
    ("net/core", "optmem_max", "131072\n"),
    ("net/core", "netdev_max_backlog", "1000\n"),
    ("net/core", "default_qdisc", "pfifo_fast\n"),
    ("net/ipv4", "tcp_available_congestion_control", "reno cubic\n"),
    ("net/ipv4", "tcp_congestion_control", "cubic\n"),
    ("net/ipv4", "tcp_allowed_congestion_control", "reno cubic\n"),
    ("net/unix", "max_dgram_qlen", "512\n"),
    ("vm", "mmap_min_addr", "65536\n"),
    ("vm", "overcommit_kbytes", "0\n"),
    ("vm", "nr_hugepages", "0\n"),
    ("vm", "legacy_va_layout", "0\n"),
    ("vm", "memfd_noexec", "0\n"),
    ("vm", "unprivileged_userfaultfd", "0\n"),
];

/// Settings that are kept but steer nothing: directory, name, first value.
const KEPT: &[(&str, &str, &str)] = &[
    ("fs", "dir-notify-enable", "1\n"),
    ("fs", "nr_open", "1048576\n"),
    ("fs/inotify", "max_queued_events", "16384\n"),
    ("fs/inotify", "max_user_instances", "128\n"),
    ("fs/inotify", "max_user_watches", "65536\n"),
    ("kernel", "core_uses_pid", "0\n"),
    ("kernel/keys", "gc_delay", "300\n"),
    ("kernel/keys", "persistent_keyring_expiry", "259200\n"),
    ("user", "max_user_namespaces", "96000\n"),
    ("user", "max_pid_namespaces", "96000\n"),
    ("user", "max_mnt_namespaces", "96000\n"),
    ("vm", "max_map_count", "65530\n"),
    ("vm", "overcommit_memory", "1\n"),
    ("vm", "overcommit_ratio", "50\n"),
    ("vm", "swappiness", "60\n"),
    ("net/ipv4", "ip_forward", "0\n"),
    ("net/ipv4", "ip_nonlocal_bind", "0\n"),
    ("net/ipv4", "icmp_echo_ignore_all", "0\n"),
    ("net/ipv4", "icmp_echo_ignore_broadcasts", "1\n"),
    ("net/ipv4", "tcp_fastopen", "1\n"),
    ("net/ipv4", "tcp_fin_timeout", "60\n"),
    ("net/ipv4", "tcp_keepalive_time", "7200\n"),
    ("net/ipv4", "tcp_keepalive_intvl", "75\n"),
    ("net/ipv4", "tcp_keepalive_probes", "9\n"),
    ("net/ipv4", "tcp_max_syn_backlog", "4096\n"),
    ("net/ipv4", "tcp_max_tw_buckets", "8192\n"),
    ("net/ipv4", "tcp_mtu_probing", "0\n"),
    ("net/ipv4", "tcp_retries1", "3\n"),
    ("net/ipv4", "tcp_retries2", "15\n"),
    ("net/ipv4", "tcp_sack", "1\n"),
    ("net/ipv4", "tcp_slow_start_after_idle", "1\n"),
    ("net/ipv4", "tcp_syn_retries", "6\n"),
    ("net/ipv4", "tcp_synack_retries", "5\n"),
    ("net/ipv4", "tcp_syncookies", "1\n"),
    ("net/ipv4", "tcp_timestamps", "1\n"),
    ("net/ipv4", "tcp_tw_reuse", "2\n"),
    ("net/ipv4", "tcp_window_scaling", "1\n"),
    ("net/ipv4", "udp_rmem_min", "4096\n"),
    ("net/ipv4", "udp_wmem_min", "4096\n"),
    ("net/ipv4/conf/all", "forwarding", "0\n"),
    ("net/ipv4/conf/all", "rp_filter", "0\n"),
    ("net/ipv4/conf/all", "route_localnet", "0\n"),
    ("net/ipv4/conf/default", "forwarding", "0\n"),
    ("net/ipv4/conf/default", "rp_filter", "0\n"),
    ("net/ipv6", "bindv6only", "0\n"),
    ("net/ipv6/conf/all", "disable_ipv6", "0\n"),
    ("net/ipv6/conf/all", "forwarding", "0\n"),
    ("net/ipv6/conf/default", "disable_ipv6", "0\n"),
    ("net/ipv6/conf/lo", "disable_ipv6", "0\n"),
    ("net/ipv4", "tcp_rmem", "4096\t131072\t6291456\n"),
    ("net/ipv4", "tcp_wmem", "4096\t16384\t4194304\n"),
];

/// Quotas of keys: name, and where it stands.
const KEYS: &[(&str, fn(&crate::keys::Limits) -> &AtomicU64)] = &[
    ("maxbytes", |limits| &limits.bytes),
    ("maxkeys", |limits| &limits.keys),
    ("root_maxbytes", |limits| &limits.root_bytes),
    ("root_maxkeys", |limits| &limits.root_keys),
];

/// Limits of the reader's IPC namespace: directory, name, and where it stands.
const IPC: &[(&str, &str, fn(&Settings) -> &Limit)] = &[
    ("fs/mqueue", "msg_default", |s| &s.msg_default),
    ("fs/mqueue", "msg_max", |s| &s.msg_max),
    ("fs/mqueue", "msgsize_default", |s| &s.msgsize_default),
    ("fs/mqueue", "msgsize_max", |s| &s.msgsize_max),
    ("fs/mqueue", "queues_max", |s| &s.queues_max),
    ("kernel", "msgmax", |s| &s.msgmax),
    ("kernel", "msgmnb", |s| &s.msgmnb),
    ("kernel", "msgmni", |s| &s.msgmni),
    ("kernel", "shmall", |s| &s.shmall),
    ("kernel", "shmmax", |s| &s.shmmax),
    ("kernel", "shmmni", |s| &s.shmmni),
    ("kernel", "shm_rmid_forced", |s| &s.shm_rmid_forced),
];

/// Which number the next object gets, for those who restore some.
const NEXT_IDS: &[(&str, Kind)] = &[("msg_next_id", Kind::Msg), ("sem_next_id", Kind::Sem), ("shm_next_id", Kind::Shm)];

/// `/proc/sys`.
pub(super) fn directory(tree: &Arc<Tree>, _: &Arc<Kernel>) -> Arc<dyn Inode> {
    let mut root = Node::default();
    for (dir, name, value) in FIXED {
        root.add(&format!("{dir}/{name}"), TextFile::fixed(tree, value));
    }
    for (dir, name, value) in KEPT {
        root.add(&format!("{dir}/{name}"), kept(tree, value));
    }
    for (dir, name, limit) in IPC {
        let limit = *limit;
        root.add(&format!("{dir}/{name}"), limits(tree, move |s| std::slice::from_ref(limit(s))));
    }
    for (name, kind) in NEXT_IDS {
        root.add(&format!("kernel/{name}"), next_id(tree, *kind));
    }
    for (name, limit) in KEYS {
        root.add(&format!("kernel/keys/{name}"), key_quota(tree, *limit));
    }
    root.add("kernel/sem", limits(tree, |s| &s.sem));
    for (name, file) in sys_net::files(tree) {
        root.add(name, file);
    }
    root.add("kernel/hostname", name_file(tree, |names| &mut names.host));
    root.add("kernel/domainname", name_file(tree, |names| &mut names.domain));
    root.add(
        "kernel/osrelease",
        TextFile::new(tree, |_| Ok(format!("{}\n", crate::kernel::version::RELEASE).into_bytes())),
    );
    root.add(
        "kernel/version",
        TextFile::new(tree, |_| Ok(format!("{}\n", crate::kernel::version::VERSION).into_bytes())),
    );
    root.add("kernel/arch", TextFile::fixed(tree, "x86_64\n"));
    root.add("kernel/random/boot_id", uuid_file(tree, true));
    root.add("kernel/random/uuid", uuid_file(tree, false));
    root.add("vm/drop_caches", drop_caches(tree));
    root.add("fs/lease-break-time", setting(tree, &sysctl::LEASE_BREAK_TIME));
    root.add("fs/pipe-max-size", pipe_max_size(tree));
    root.add("fs/aio-nr", TextFile::new(tree, |task| Ok(format!("{}\n", task.kernel().aio.used()).into_bytes())));
    root.add("kernel/pid_max", TextFile::fixed(tree, "4194304\n"));
    root.add(
        "kernel/ns_last_pid",
        TextFile::with(
            tree.meta(S_IFREG | 0o644, 1),
            Arc::new(|task: &CurrentTask| Ok(format!("{}\n", task.pid_ns().last_number()).into_bytes())),
            Some(Arc::new(|task: &CurrentTask, bytes: &[u8]| {
                let ns = task.pid_ns();
                let caps = [Cap::CAP_CHECKPOINT_RESTORE, Cap::CAP_SYS_ADMIN];
                if !caps.iter().any(|cap| task.creds().has_in(*cap, &ns.user_ns)) {
                    return err(Errno::EPERM);
                }
                let text = std::str::from_utf8(bytes).map_err(|_| Errno::EINVAL)?;
                ns.set_last_number(text.trim_ascii().parse().map_err(|_| Errno::EINVAL)?)
            })),
        ),
    );
    root.build(tree)
}

/// A directory under construction.
#[derive(Default)]
struct Node {
    children: Vec<(&'static str, Child)>,
}

enum Child {
    File(Arc<dyn Inode>),
    Dir(Node),
}

impl Node {
    fn add(&mut self, path: &str, file: Arc<dyn Inode>) {
        let leaked = |name: &str| -> &'static str { intern(name) };
        match path.split_once('/') {
            None => self.children.push((leaked(path), Child::File(file))),
            Some((dir, rest)) => {
                let at = self.children.iter().position(|(name, child)| *name == dir && matches!(child, Child::Dir(_)));
                let at = at.unwrap_or_else(|| {
                    self.children.push((leaked(dir), Child::Dir(Self::default())));
                    self.children.len() - 1
                });
                if let Some((_, Child::Dir(node))) = self.children.get_mut(at) {
                    node.add(rest, file);
                }
            }
        }
    }

    fn build(mut self, tree: &Tree) -> Arc<dyn Inode> {
        self.children.sort_by_key(|(name, _)| *name);
        let children = self.children.into_iter().map(|(name, child)| match child {
            Child::File(file) => (name, file),
            Child::Dir(node) => (name, node.build(tree)),
        });
        StaticDir::new(tree, children.collect())
    }
}

/// The names in this file live as long as the program; a procfs is made only a few times.
fn intern(name: &str) -> &'static str {
    let tables = FIXED.iter().chain(KEPT).flat_map(|(dir, name, _)| dir.split('/').chain(name.split('/')));
    let tables = tables.chain(IPC.iter().flat_map(|(dir, name, _)| dir.split('/').chain(std::iter::once(*name))));
    let tables = tables.chain(KEYS.iter().map(|(name, _)| *name));
    let tables = tables.chain(NEXT_IDS.iter().map(|(name, _)| *name));
    let own = [
        "drop_caches",
        "pipe-max-size",
        "sem",
        "hostname",
        "domainname",
        "osrelease",
        "version",
        "arch",
        "boot_id",
        "uuid",
        "pid_max",
        "ns_last_pid",
        "aio-nr",
        "lease-break-time",
    ];
    tables.chain(own).chain(sys_net::words()).find(|known| *known == name).unwrap_or("unknown")
}

/// A value that can be written by root and read back.
fn kept(tree: &Tree, first: &'static str) -> Arc<dyn Inode> {
    let value: Arc<Mutex<Vec<u8>, Leaf>> = Arc::new(Mutex::new(first.as_bytes().to_vec()));
    let stored = Arc::clone(&value);
    TextFile::with(
        tree.meta(S_IFREG | 0o644, 1),
        Arc::new(move |_: &CurrentTask| Ok(value.lock().clone())),
        Some(Arc::new(move |_: &CurrentTask, bytes: &[u8]| {
            let mut line = bytes.trim_ascii().to_vec();
            if line.is_empty() || !line.iter().all(|b| b.is_ascii_digit() || b.is_ascii_whitespace() || *b == b'-') {
                return err(Errno::EINVAL);
            }
            line.push(b'\n');
            *stored.lock() = line;
            Ok(())
        })),
    )
}

/// A number that the VFS goes by.
fn setting(tree: &Tree, value: &'static sysctl::Setting) -> Arc<dyn Inode> {
    TextFile::with(
        tree.meta(S_IFREG | 0o644, 1),
        Arc::new(|_: &CurrentTask| Ok(format!("{}\n", value.get()).into_bytes())),
        Some(Arc::new(|_: &CurrentTask, bytes: &[u8]| {
            let text = std::str::from_utf8(bytes).map_err(|_| Errno::EINVAL)?;
            let new: i32 = text.trim_ascii().parse().map_err(|_| Errno::EINVAL)?;
            value.set(u32::try_from(new).map_err(|_| Errno::EINVAL)?);
            Ok(())
        })),
    )
}

/// How much of keys a user may have; root may say.
fn key_quota(tree: &Tree, which: fn(&crate::keys::Limits) -> &AtomicU64) -> Arc<dyn Inode> {
    TextFile::with(
        tree.meta(S_IFREG | 0o644, 1),
        Arc::new(move |task: &CurrentTask| {
            let value = which(&task.kernel().keys.limits).load(Ordering::Relaxed);
            Ok(format!("{value}\n").into_bytes())
        }),
        Some(Arc::new(move |task: &CurrentTask, bytes: &[u8]| {
            let text = std::str::from_utf8(bytes).map_err(|_| Errno::EINVAL)?;
            let value = text.trim_ascii().parse().ok().filter(|value| i32::try_from(*value).is_ok());
            which(&task.kernel().keys.limits).store(value.ok_or(Errno::EINVAL)?, Ordering::Relaxed);
            Ok(())
        })),
    )
}

/// Caches are the host's: what is asked for is checked, and that is all.
fn drop_caches(tree: &Tree) -> Arc<dyn Inode> {
    TextFile::with(
        tree.meta(S_IFREG | 0o200, 1),
        Arc::new(|_: &CurrentTask| Ok(b"0\n".to_vec())),
        Some(Arc::new(|_: &CurrentTask, bytes: &[u8]| match bytes.trim_ascii() {
            b"1" | b"2" | b"3" | b"4" => Ok(()),
            _ => err(Errno::EINVAL),
        })),
    )
}

/// How large pipes may be made without privilege.
fn pipe_max_size(tree: &Tree) -> Arc<dyn Inode> {
    TextFile::with(
        tree.meta(S_IFREG | 0o644, 1),
        Arc::new(|_: &CurrentTask| Ok(format!("{}\n", pipe::max_capacity()).into_bytes())),
        Some(Arc::new(|_: &CurrentTask, bytes: &[u8]| {
            let text = std::str::from_utf8(bytes).map_err(|_| Errno::EINVAL)?;
            pipe::set_max_capacity(text.trim_ascii().parse().map_err(|_| Errno::EINVAL)?)
        })),
    )
}

/// The number of the next System V object.
fn next_id(tree: &Tree, kind: Kind) -> Arc<dyn Inode> {
    TextFile::with(
        tree.meta(S_IFREG | 0o644, 1),
        Arc::new(move |task: &CurrentTask| {
            Ok(format!("{}\n", task.namespaces().ipc.space().next_id(kind)).into_bytes())
        }),
        Some(Arc::new(move |task: &CurrentTask, bytes: &[u8]| {
            let ns = &task.namespaces().ipc;
            let creds = task.creds();
            if ![Cap::CAP_CHECKPOINT_RESTORE, Cap::CAP_SYS_ADMIN].iter().any(|cap| creds.has_in(*cap, &ns.user_ns)) {
                return err(Errno::EPERM);
            }
            let text = std::str::from_utf8(bytes).map_err(|_| Errno::EINVAL)?;
            let next = text.trim_ascii().parse().ok().filter(|next: &i32| *next >= 0).ok_or(Errno::EINVAL)?;
            ns.space().set_next_id(kind, next);
            Ok(())
        })),
    )
}

/// Limits of the reader's IPC namespace, on one line.
fn limits(tree: &Tree, which: impl Fn(&Settings) -> &[Limit] + Copy + Send + Sync + 'static) -> Arc<dyn Inode> {
    TextFile::with(
        tree.meta(S_IFREG | 0o644, 1),
        Arc::new(move |task: &CurrentTask| {
            let space = task.namespaces().ipc.space();
            let values: Vec<_> = which(&space.settings).iter().map(|limit| limit.get().to_string()).collect();
            Ok(format!("{}\n", values.join("\t")).into_bytes())
        }),
        Some(Arc::new(move |task: &CurrentTask, bytes: &[u8]| {
            let ns = &task.namespaces().ipc;
            if !task.creds().has_in(Cap::CAP_SYS_RESOURCE, &ns.user_ns)
                && !task.creds().has_in(Cap::CAP_SYS_ADMIN, &ns.user_ns)
            {
                return err(Errno::EPERM);
            }
            let text = std::str::from_utf8(bytes).map_err(|_| Errno::EINVAL)?;
            let space = ns.space();
            let mut words = text.split_ascii_whitespace();
            for limit in which(&space.settings) {
                let Some(word) = words.next() else { break };
                let value = word.parse().map_err(|_| Errno::EINVAL)?;
                if !limit.set(value) {
                    return err(Errno::EINVAL);
                }
            }
            Ok(())
        })),
    )
}

/// A name of the reader's UTS namespace.
fn name_file(tree: &Tree, field: fn(&mut crate::task::namespaces::UtsNames) -> &mut Vec<u8>) -> Arc<dyn Inode> {
    TextFile::with(
        tree.meta(S_IFREG | 0o644, 1),
        Arc::new(move |task: &CurrentTask| {
            let mut names = task.namespaces().uts.names();
            let mut line = field(&mut names).clone();
            line.push(b'\n');
            Ok(line)
        }),
        Some(Arc::new(move |task: &CurrentTask, bytes: &[u8]| {
            let uts = &task.namespaces().uts;
            if !task.creds().has_in(Cap::CAP_SYS_ADMIN, &uts.user_ns) {
                return err(Errno::EPERM);
            }
            let name: Vec<u8> =
                bytes.split(|b| *b == b'\n').next().unwrap_or_default().iter().copied().take(64).collect();
            uts.set(|names| *field(names) = name.clone());
            Ok(())
        })),
    )
}

/// A random UUID, the same at each read or a new one.
fn uuid_file(tree: &Tree, same: bool) -> Arc<dyn Inode> {
    let first = uuid();
    TextFile::new(tree, move |_| Ok(if same { first.clone() } else { uuid() }))
}

fn uuid() -> Vec<u8> {
    let mut b = [0u8; 16];
    // Without random bytes the id would only be less unique.
    let _ = host::random::fill(&mut b);
    b[6] = b[6] & 0x0f | 0x40;
    b[8] = b[8] & 0x3f | 0x80;
    let hex: String = b.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}\n", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]).into_bytes()
}
