//! pidfd_open(2), pidfd_send_signal(2) and a pidfd's ioctls.
#![expect(missing_docs, reason = "the names are Linux's, see pidfd_open(2)")]

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::ioctl::{io, iowr};
use crate::names::flags;

flags! {
    /// `flags` of pidfd_open(2).
    pub struct PidfdFlags: u32 {
        const PIDFD_THREAD = 0x80;
        const PIDFD_NONBLOCK = 0x800;
    }
}

flags! {
    /// `flags` of pidfd_send_signal(2).
    pub struct PidfdSignalFlags: u32 {
        const PIDFD_SIGNAL_THREAD = 1;
        const PIDFD_SIGNAL_THREAD_GROUP = 2;
        const PIDFD_SIGNAL_PROCESS_GROUP = 4;
    }
}

const PIDFS_IOCTL_MAGIC: u8 = 0xff;
pub const PIDFD_GET_CGROUP_NAMESPACE: u32 = io(PIDFS_IOCTL_MAGIC, 1);
pub const PIDFD_GET_IPC_NAMESPACE: u32 = io(PIDFS_IOCTL_MAGIC, 2);
pub const PIDFD_GET_MNT_NAMESPACE: u32 = io(PIDFS_IOCTL_MAGIC, 3);
pub const PIDFD_GET_NET_NAMESPACE: u32 = io(PIDFS_IOCTL_MAGIC, 4);
pub const PIDFD_GET_PID_NAMESPACE: u32 = io(PIDFS_IOCTL_MAGIC, 5);
pub const PIDFD_GET_PID_FOR_CHILDREN_NAMESPACE: u32 = io(PIDFS_IOCTL_MAGIC, 6);
pub const PIDFD_GET_TIME_NAMESPACE: u32 = io(PIDFS_IOCTL_MAGIC, 7);
pub const PIDFD_GET_TIME_FOR_CHILDREN_NAMESPACE: u32 = io(PIDFS_IOCTL_MAGIC, 8);
pub const PIDFD_GET_USER_NAMESPACE: u32 = io(PIDFS_IOCTL_MAGIC, 9);
pub const PIDFD_GET_UTS_NAMESPACE: u32 = io(PIDFS_IOCTL_MAGIC, 10);
pub const PIDFD_GET_INFO: u32 = iowr::<PidfdInfo>(PIDFS_IOCTL_MAGIC, 11);

/// `struct pidfd_info` of PIDFD_GET_INFO, first published size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct PidfdInfo {
    pub mask: u64,
    pub cgroupid: u64,
    pub pid: u32,
    pub tgid: u32,
    pub ppid: u32,
    pub ruid: u32,
    pub rgid: u32,
    pub euid: u32,
    pub egid: u32,
    pub suid: u32,
    pub sgid: u32,
    pub fsuid: u32,
    pub fsgid: u32,
    pub exit_code: i32,
}

flags! {
    /// `mask` of [`PidfdInfo`].
    pub struct PidfdInfoMask: u64 {
        const PIDFD_INFO_PID = 1;
        const PIDFD_INFO_CREDS = 2;
        const PIDFD_INFO_CGROUPID = 4;
        const PIDFD_INFO_EXIT = 8;
    }
}
