//! A sandbox and a container as the kernel must build them: `config.json` after checking, defaults applied.
//!
//! File descriptors travel beside the message; a [`FdSlot`] names one by its place among them.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// The first message a sandbox process gets: all it will ever know of the host.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LaunchSpec {
    /// What belongs to the sandbox process.
    pub sandbox: SandboxSpec,
    /// The first container.
    pub container: ContainerSpec,
}

/// What belongs to the sandbox process as a whole.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SandboxSpec {
    /// `--platform`.
    pub platform: PlatformKind,
    /// `/dev/kvm`, for the platform of that name. It is closed when the machine has been made.
    pub kvm: Option<FdSlot>,
    /// `--network`.
    pub network: NetworkKind,
    /// `--strace`: each system call is written to the debug log.
    pub strace: bool,
    /// `--debug`: log at debug level.
    pub debug: bool,
    /// The listening control socket.
    pub control: FdSlot,
    /// Standard error is a debug log.
    pub log: bool,
    /// CPUs the application may count on; 0 is all that the host gives us.
    pub cpus: u32,
    /// The container asks an engine's name server.
    pub asks_engine: bool,
    /// Memory in bytes that the application sees as all there is: the container's limit where it has one.
    pub memory_total: u64,
    /// The host's memory in bytes.
    pub memory_host: u64,
    /// Files of the sandbox's cgroup, if it has one of its own: how much memory is charged to it, and what of.
    pub memory_charged: Option<[FdSlot; 2]>,
}

/// `--platform`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PlatformKind {
    /// `PTRACE_SYSEMU`.
    Ptrace,
    /// seccomp user notification, and code rewritten to make calls without entering the host's kernel.
    Systrap,
    /// The same without rewritten code.
    SystrapPlain,
    /// Without notifications, as on hosts that lack them.
    SystrapFutex,
    /// With code rewritten at the first opportunity.
    SystrapEager,
    /// `/dev/kvm`.
    Kvm,
    /// The same if the host has hardware for it, otherwise as [`Self::Systrap`].
    Auto,
}

/// `--network`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NetworkKind {
    /// Our network stack over the container's network namespace.
    Sandbox,
    /// The host's sockets.
    Host,
    /// Loopback only.
    None,
}

/// A network device of the container's network namespace, which the sandbox takes over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkSpec {
    /// A packet socket bound to it, which does not block.
    pub file: FdSlot,
    /// Its name.
    pub name: String,
    /// Its number.
    pub index: u32,
    /// Its hardware address.
    pub mac: [u8; 6],
    /// Its largest packet.
    pub mtu: u32,
    /// Its addresses, with the length of their network's prefix.
    pub addresses: Vec<(IpAddr, u8)>,
    /// Its routes, but for those that its addresses bring along.
    pub routes: Vec<RouteSpec>,
    /// Sockets of the container's network namespace for the engine's name server: one of UDP that is connected to it, and some
    /// of TCP that are not.
    pub name_server: Vec<FdSlot>,
}

/// A route of the container's network namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteSpec {
    /// Where to, and how many bits of it count.
    pub to: (IpAddr, u8),
    /// The next hop; none if the network is on the link.
    pub gateway: Option<IpAddr>,
    /// The lower, the better.
    pub metric: u32,
}

/// A container.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ContainerSpec {
    /// Its id.
    pub id: String,
    /// The name of its UTS namespace; the sandbox's when absent.
    pub hostname: Option<String>,
    /// The NIS domain of its UTS namespace.
    pub domainname: Option<String>,
    /// The root file system.
    pub root: RootSpec,
    /// Mounts, in order.
    pub mounts: Vec<MountSpec>,
    /// The first process.
    pub process: ProcessSpec,
    /// `/proc/sys` settings: name with dots, value.
    pub sysctl: Vec<(String, String)>,
    /// Paths to hide: a file under `/dev/null`, a directory under an empty read-only tmpfs. Absent ones are skipped.
    pub masked_paths: Vec<String>,
    /// Paths to bind onto themselves read-only. Absent ones are skipped.
    pub readonly_paths: Vec<String>,
    /// Device nodes to make, beside the ones every container has.
    pub devices: Vec<DeviceSpec>,
    /// Which namespaces of its own the container gets inside the sandbox.
    pub namespaces: Namespaces,
    /// Limits the kernel keeps itself.
    pub limits: Limits,
    /// The filter of each of its processes.
    pub seccomp: Option<SeccompProfile>,
    /// Users of its user namespace on the host; none if it has no such.
    pub uid_mappings: Vec<IdRange>,
    /// The same for groups.
    pub gid_mappings: Vec<IdRange>,
}

/// A line of /proc/PID/uid_map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdRange {
    /// First id in the container.
    pub inside: u32,
    /// First id on the host.
    pub outside: u32,
    /// How many.
    pub count: u32,
}

/// The root file system.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RootSpec {
    /// 9P connection to the gofer's root.
    pub connection: FdSlot,
    /// `root.readonly`.
    pub readonly: bool,
    /// What stands over it.
    pub overlay: Overlay,
    /// The mount flags of `linux.rootfsPropagation`, MS_SHARED and so on; 0 for none.
    pub propagation: u64,
}

/// `--overlay2`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Overlay {
    /// Writes go to the gofer.
    None,
    /// Writes stay in the sandbox's memory.
    Memory,
    /// Writes go to this unlinked file of the host.
    File(FdSlot),
}

/// One mount.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MountSpec {
    /// Where: an absolute path in the container, resolved inside its root; missing directories are made.
    pub destination: String,
    /// What.
    pub source: MountSource,
    /// mount(2) flags: MS_RDONLY, MS_NOSUID and so on; MS_BIND is never set.
    pub flags: u64,
    /// Propagation: MS_SHARED, MS_SLAVE, MS_PRIVATE, MS_UNBINDABLE, with or without MS_REC; 0 leaves the default.
    pub propagation: u64,
    /// The file system's own options, as mount(2) gets them: `mode=755,size=65536k`.
    pub data: String,
}

/// What a mount shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MountSource {
    /// A file or directory of the host behind a gofer.
    Gofer {
        /// 9P connection whose root is it.
        connection: FdSlot,
        /// It is a directory; if not, the mount point must be a file.
        directory: bool,
        /// The host's path, for `/proc/self/mountinfo` only.
        name: String,
    },
    /// One of the kernel's own file systems.
    Own {
        /// `proc`, `sysfs`, `tmpfs`, `devpts`, `mqueue`, `cgroup`, `cgroup2`.
        kind: String,
        /// The `source` of the mount, shown in `/proc/mounts`.
        name: String,
    },
}

/// A device node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeviceSpec {
    /// Absolute path in the container.
    pub path: String,
    /// S_IFCHR, S_IFBLK or S_IFIFO, with permission bits.
    pub mode: u32,
    /// Device number, major.
    pub major: u32,
    /// Device number, minor.
    pub minor: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// Which namespaces are the container's own. A pid namespace is always its own when it is the first container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespaces {
    /// CLONE_NEWPID.
    pub pid: bool,
    /// CLONE_NEWNET.
    pub network: bool,
    /// CLONE_NEWIPC.
    pub ipc: bool,
    /// CLONE_NEWUTS.
    pub uts: bool,
    /// CLONE_NEWUSER.
    pub user: bool,
    /// CLONE_NEWCGROUP.
    pub cgroup: bool,
}

/// Limits the kernel keeps itself, so that exceeding one hurts that container alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Memory in bytes.
    pub memory: Option<u64>,
    /// Tasks.
    pub pids: Option<u64>,
}

/// A seccomp profile as classic BPF, `struct sock_filter` by its fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeccompProfile {
    /// SECCOMP_FILTER_FLAG_LOG.
    pub log: bool,
    /// The program.
    pub code: Vec<(u16, u8, u8, u32)>,
}

/// A process to start: the first of a container, or one of `exec`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ProcessSpec {
    /// Program and arguments; never empty. A program without `/` is looked up in `PATH` of `env`.
    pub args: Vec<String>,
    /// Environment. The kernel adds `HOME` from the container's `/etc/passwd` (or `/`) where it is absent.
    pub env: Vec<String>,
    /// Absolute working directory; made when missing if this is the first process.
    pub cwd: String,
    /// Real, effective, saved and file system uid.
    pub uid: u32,
    /// The same for the group.
    pub gid: u32,
    /// Supplementary groups.
    pub additional_gids: Vec<u32>,
    /// umask(2); 0o022 when absent.
    pub umask: Option<u32>,
    /// Capability sets.
    pub capabilities: Capabilities,
    /// Resource limits; others are inherited from the kernel's defaults.
    pub rlimits: Vec<Rlimit>,
    /// PR_SET_NO_NEW_PRIVS.
    pub no_new_privileges: bool,
    /// `/proc/self/oom_score_adj`.
    pub oom_score_adj: Option<i32>,
    /// Files that are open at the start: 0, 1, 2 and `--preserve-fds`.
    pub files: Vec<OpenFile>,
    /// File 0 is a terminal of the host that becomes the controlling terminal (and `/dev/console` for the first process).
    pub terminal: bool,
}

/// One file that is open when a process starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenFile {
    /// The number the process sees.
    pub number: u32,
    /// The host's file.
    pub file: FdSlot,
}

/// Capability sets as bit masks, CAP_CHOWN being bit 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// Bounding set.
    pub bounding: u64,
    /// Effective set.
    pub effective: u64,
    /// Inheritable set.
    pub inheritable: u64,
    /// Permitted set.
    pub permitted: u64,
    /// Ambient set.
    pub ambient: u64,
}

/// One resource limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rlimit {
    /// RLIMIT_*.
    pub resource: u32,
    /// Soft limit; `u64::MAX` is RLIM_INFINITY.
    pub soft: u64,
    /// Hard limit.
    pub hard: u64,
}

/// The place of a file descriptor among those that came with the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FdSlot(pub u32);
