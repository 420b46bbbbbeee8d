//! The namespaces of a task (namespaces(7)), other than user (`creds`), mount (`vfs::FsContext`) and its own pid namespace.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use abi::Errno;
use abi::sched::CloneFlags;
use sync::Mutex;

use super::pid::PidNamespace;
use super::user_ns::UserNamespace;
use crate::error::{Result, err};
use crate::lock_order::Leaf;
use crate::vfs::attachments::Attachments;

/// The number that tells namespaces apart: the inode in nsfs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NsId(pub u64);

impl NsId {
    /// The initial namespaces have fixed numbers, as on Linux.
    pub const INITIAL_TIME: Self = Self(0xefff_fffa);
    /// Of the first cgroup namespace.
    pub const INITIAL_CGROUP: Self = Self(0xefff_fffb);
    /// Of the first pid namespace.
    pub const INITIAL_PID: Self = Self(0xefff_fffc);
    /// Of the first user namespace.
    pub const INITIAL_USER: Self = Self(0xefff_fffd);
    /// Of the first UTS namespace.
    pub const INITIAL_UTS: Self = Self(0xefff_fffe);
    /// Of the first IPC namespace.
    pub const INITIAL_IPC: Self = Self(0xefff_ffff);
    /// Of the first mount namespace.
    pub const INITIAL_MNT: Self = Self(0xf000_0000);
    /// Of the first network namespace.
    pub const INITIAL_NET: Self = Self(0xf000_0001);

    /// A number that no namespace had before.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "each call gives another value")]
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0xf000_0002);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// What a task replaces as a whole when it enters or makes a namespace.
#[derive(Clone, Debug)]
pub struct Namespaces {
    /// Host and domain name.
    pub uts: Arc<UtsNamespace>,
    /// SysV IPC and POSIX message queues.
    pub ipc: Arc<IpcNamespace>,
    /// Network.
    pub net: Arc<NetNamespace>,
    /// Where its children will have their numbers.
    pub pid_for_children: Arc<PidNamespace>,
    /// The root of /proc/PID/cgroup.
    pub cgroup: Arc<CgroupNamespace>,
    /// Clock offsets.
    pub time: Arc<TimeNamespace>,
    /// Clock offsets its children will have.
    pub time_for_children: Arc<TimeNamespace>,
}

/// Host and domain name (uname(2)).
#[derive(Debug)]
pub struct UtsNamespace {
    /// What /proc/PID/ns/uts shows.
    pub id: NsId,
    /// The user namespace that owns it.
    pub user_ns: Arc<UserNamespace>,
    names: Mutex<UtsNames, Leaf>,
}

/// The two names of a UTS namespace, at most 64 bytes each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UtsNames {
    /// sethostname(2).
    pub host: Vec<u8>,
    /// setdomainname(2).
    pub domain: Vec<u8>,
}

impl UtsNamespace {
    /// A namespace with these names.
    #[must_use]
    pub fn new(id: NsId, user_ns: Arc<UserNamespace>, names: UtsNames) -> Arc<Self> {
        Arc::new(Self { id, user_ns, names: Mutex::new(names) })
    }

    /// A copy with an identity of its own.
    #[must_use]
    pub fn duplicate(&self, user_ns: Arc<UserNamespace>) -> Arc<Self> {
        Self::new(NsId::new(), user_ns, self.names())
    }

    /// Both names.
    #[must_use]
    pub fn names(&self) -> UtsNames {
        self.names.lock().clone()
    }

    /// Changes the names; the caller has checked length and permission.
    pub fn set(&self, change: impl FnOnce(&mut UtsNames)) {
        change(&mut self.names.lock());
    }
}

macro_rules! simple_namespaces {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name {
            /// What /proc/PID/ns shows.
            pub id: NsId,
            /// The user namespace that owns it.
            pub user_ns: Arc<UserNamespace>,
            /// What the subsystem keeps for each namespace.
            pub registries: Attachments,
        }

        impl $name {
            /// An empty namespace.
            #[must_use]
            pub fn new(id: NsId, user_ns: Arc<UserNamespace>) -> Arc<Self> {
                Arc::new(Self { id, user_ns, registries: Attachments::default() })
            }
        }
    )*};
}

simple_namespaces! {
    /// SysV IPC objects and POSIX message queues.
    IpcNamespace;
    /// Network devices, routes, ports, abstract unix addresses.
    NetNamespace;
    /// The cgroup that a task sees as the root.
    CgroupNamespace;
}

/// Offsets of the clocks that count from the start of the machine, time_namespaces(7).
#[derive(Debug)]
pub struct TimeNamespace {
    /// What /proc/PID/ns/time shows.
    pub id: NsId,
    /// The user namespace that owns it.
    pub user_ns: Arc<UserNamespace>,
    offsets: Mutex<TimeOffsets, Leaf>,
}

/// In nanoseconds; and whether a task has entered, after which they stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeOffsets {
    /// Of CLOCK_MONOTONIC and its variants.
    pub monotonic: i64,
    /// Of CLOCK_BOOTTIME.
    pub boottime: i64,
    frozen: bool,
}

impl TimeNamespace {
    /// One with these offsets, which can be changed until somebody enters it.
    #[must_use]
    pub fn new(id: NsId, user_ns: Arc<UserNamespace>, offsets: TimeOffsets) -> Arc<Self> {
        Arc::new(Self { id, user_ns, offsets: Mutex::new(TimeOffsets { frozen: false, ..offsets }) })
    }

    /// Its offsets.
    #[must_use]
    pub fn offsets(&self) -> TimeOffsets {
        *self.offsets.lock()
    }

    /// Whether its clocks are the host's.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        let offsets = self.offsets();
        (offsets.monotonic, offsets.boottime) == (0, 0)
    }

    /// Changes the offsets. EACCES once somebody has entered.
    pub fn set(&self, change: impl FnOnce(&mut TimeOffsets)) -> Result<()> {
        let mut offsets = self.offsets.lock();
        if offsets.frozen {
            return err(Errno::EACCES);
        }
        change(&mut offsets);
        Ok(())
    }

    /// Somebody enters.
    pub(super) fn freeze(&self) {
        self.offsets.lock().frozen = true;
    }
}

impl Namespaces {
    /// The initial ones.
    #[must_use]
    pub fn initial(user_ns: &Arc<UserNamespace>, pid: Arc<PidNamespace>, names: UtsNames) -> Arc<Self> {
        let user = || Arc::clone(user_ns);
        let time = TimeNamespace::new(NsId::INITIAL_TIME, user(), TimeOffsets::default());
        time.freeze();
        Arc::new(Self {
            uts: UtsNamespace::new(NsId::INITIAL_UTS, user(), names),
            ipc: IpcNamespace::new(NsId::INITIAL_IPC, user()),
            net: NetNamespace::new(NsId::INITIAL_NET, user()),
            pid_for_children: pid,
            cgroup: CgroupNamespace::new(NsId::INITIAL_CGROUP, user()),
            time: Arc::clone(&time),
            time_for_children: time,
        })
    }
}

impl Namespaces {
    /// Replaces those that `flags` name by new ones; the pid namespace is not one of them.
    pub(super) fn renew(&mut self, flags: CloneFlags, user_ns: &Arc<UserNamespace>) {
        let user = || Arc::clone(user_ns);
        if flags.contains(CloneFlags::CLONE_NEWUTS) {
            self.uts = self.uts.duplicate(user());
        }
        if flags.contains(CloneFlags::CLONE_NEWIPC) {
            self.ipc = IpcNamespace::new(NsId::new(), user());
        }
        if flags.contains(CloneFlags::CLONE_NEWNET) {
            self.net = NetNamespace::new(NsId::new(), user());
        }
        if flags.contains(CloneFlags::CLONE_NEWCGROUP) {
            self.cgroup = CgroupNamespace::new(NsId::new(), user());
        }
        if flags.contains(CloneFlags::CLONE_NEWTIME) {
            self.time_for_children = TimeNamespace::new(NsId::new(), user(), self.time_for_children.offsets());
        }
    }

    /// What a child of a task with these gets: the namespaces for children become its own.
    #[must_use]
    pub(super) fn for_child(&self) -> Self {
        self.time_for_children.freeze();
        Self { time: Arc::clone(&self.time_for_children), ..self.clone() }
    }
}
