//! clone(2), sched_setscheduler(2), sched_setattr(2).
#![expect(missing_docs, reason = "the names are Linux's, see the man pages")]

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::names::{flags, numbers};

flags! {
    /// `flags` of clone3(2); for clone(2) the lowest byte (CSIGNAL) is the exit signal instead.
    pub struct CloneFlags: u64 {
        const CLONE_NEWTIME = 0x80;
        const CLONE_VM = 0x100;
        const CLONE_FS = 0x200;
        const CLONE_FILES = 0x400;
        const CLONE_SIGHAND = 0x800;
        const CLONE_PIDFD = 0x1000;
        const CLONE_PTRACE = 0x2000;
        const CLONE_VFORK = 0x4000;
        const CLONE_PARENT = 0x8000;
        const CLONE_THREAD = 0x10000;
        const CLONE_NEWNS = 0x20000;
        const CLONE_SYSVSEM = 0x40000;
        const CLONE_SETTLS = 0x80000;
        const CLONE_PARENT_SETTID = 0x100000;
        const CLONE_CHILD_CLEARTID = 0x200000;
        const CLONE_DETACHED = 0x400000;
        const CLONE_UNTRACED = 0x800000;
        const CLONE_CHILD_SETTID = 0x1000000;
        const CLONE_NEWCGROUP = 0x2000000;
        const CLONE_NEWUTS = 0x4000000;
        const CLONE_NEWIPC = 0x8000000;
        const CLONE_NEWUSER = 0x10000000;
        const CLONE_NEWPID = 0x20000000;
        const CLONE_NEWNET = 0x40000000;
        const CLONE_IO = 0x80000000;
        const CLONE_CLEAR_SIGHAND = 0x100000000;
        const CLONE_INTO_CGROUP = 0x200000000;
    }
}

/// The bits of clone(2)'s flags that hold the exit signal.
pub const CSIGNAL: u64 = 0xff;

/// `struct clone_args` of clone3(2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct CloneArgs {
    pub flags: u64,
    pub pidfd: u64,
    pub child_tid: u64,
    pub parent_tid: u64,
    pub exit_signal: u64,
    pub stack: u64,
    pub stack_size: u64,
    pub tls: u64,
    pub set_tid: u64,
    pub set_tid_size: u64,
    pub cgroup: u64,
}

pub const CLONE_ARGS_SIZE_VER0: usize = 64;
pub const CLONE_ARGS_SIZE_VER1: usize = 80;
pub const CLONE_ARGS_SIZE_VER2: usize = 88;
/// Most entries of `set_tid`: the deepest nesting of pid namespaces.
pub const MAX_PID_NS_LEVEL: u64 = 32;

numbers! {
    /// The name of a scheduling policy.
    pub fn sched_policy_name(u32) {
        SCHED_NORMAL = 0,
        SCHED_FIFO = 1,
        SCHED_RR = 2,
        SCHED_BATCH = 3,
        SCHED_IDLE = 5,
        SCHED_DEADLINE = 6,
        SCHED_EXT = 7,
    }
}

/// Or-ed into the policy: children start with SCHED_NORMAL.
pub const SCHED_RESET_ON_FORK: u32 = 0x4000_0000;

/// `struct sched_param`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct SchedParam {
    pub sched_priority: i32,
}

/// `struct sched_attr`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct SchedAttr {
    pub size: u32,
    pub sched_policy: u32,
    pub sched_flags: u64,
    pub sched_nice: i32,
    pub sched_priority: u32,
    pub sched_runtime: u64,
    pub sched_deadline: u64,
    pub sched_period: u64,
    pub sched_util_min: u32,
    pub sched_util_max: u32,
}

pub const SCHED_ATTR_SIZE_VER0: u32 = 48;
pub const SCHED_ATTR_SIZE_VER1: u32 = 56;

flags! {
    /// `sched_flags` of [`SchedAttr`].
    pub struct SchedFlags: u64 {
        const SCHED_FLAG_RESET_ON_FORK = 0x1;
        const SCHED_FLAG_RECLAIM = 0x2;
        const SCHED_FLAG_DL_OVERRUN = 0x4;
        const SCHED_FLAG_KEEP_POLICY = 0x8;
        const SCHED_FLAG_KEEP_PARAMS = 0x10;
        const SCHED_FLAG_UTIL_CLAMP_MIN = 0x20;
        const SCHED_FLAG_UTIL_CLAMP_MAX = 0x40;
    }
}

/// Priorities of the real-time policies.
pub const RT_PRIO_MIN: i32 = 1;
pub const RT_PRIO_MAX: i32 = 99;
pub const MIN_NICE: i32 = -20;
pub const MAX_NICE: i32 = 19;

numbers! {
    /// The name of a comparison of kcmp(2).
    pub fn kcmp_name(u32) {
        KCMP_FILE = 0,
        KCMP_VM = 1,
        KCMP_FILES = 2,
        KCMP_FS = 3,
        KCMP_SIGHAND = 4,
        KCMP_IO = 5,
        KCMP_SYSVSEM = 6,
        KCMP_EPOLL_TFD = 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_match_the_kernel_headers() {
        assert_eq!(size_of::<CloneArgs>(), size_of::<linux_raw_sys::general::clone_args>());
        assert_eq!(size_of::<SchedAttr>(), 56);
    }
}
