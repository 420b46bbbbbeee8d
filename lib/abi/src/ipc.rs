//! System V IPC and POSIX message queues: structures and commands.
#![expect(missing_docs, reason = "the names are Linux's, see sysvipc(7)")]

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::names::{flags, numbers};

pub const IPC_PRIVATE: i32 = 0;
pub const IPC_CREAT: u32 = 0x200;
pub const IPC_EXCL: u32 = 0x400;
pub const IPC_NOWAIT: u32 = 0x800;

numbers! {
    /// The name of a command of msgctl(2), semctl(2) or shmctl(2).
    pub fn ipc_cmd_name(u32) {
        IPC_RMID = 0,
        IPC_SET = 1,
        IPC_STAT = 2,
        IPC_INFO = 3,
        MSG_STAT = 11,
        MSG_INFO = 12,
        GETPID = 11,
        GETVAL = 12,
        GETALL = 13,
        GETNCNT = 14,
        GETZCNT = 15,
        SETVAL = 16,
        SETALL = 17,
        SEM_STAT = 18,
        SEM_INFO = 19,
        SHM_LOCK = 11,
        SHM_UNLOCK = 12,
        SHM_STAT = 13,
        SHM_INFO = 14,
        MSG_STAT_ANY = 13,
        SEM_STAT_ANY = 20,
        SHM_STAT_ANY = 15,
    }
}

/// Set by old callers in a command; means nothing on x86-64.
pub const IPC_64: u32 = 0x100;

/// `struct ipc64_perm`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct IpcPerm {
    pub key: i32,
    pub uid: u32,
    pub gid: u32,
    pub cuid: u32,
    pub cgid: u32,
    pub mode: u32,
    pub seq: u16,
    pub _pad: [u16; 3],
    pub _unused: [u64; 2],
}

/// `struct msqid64_ds`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct MsqidDs {
    pub msg_perm: IpcPerm,
    pub msg_stime: i64,
    pub msg_rtime: i64,
    pub msg_ctime: i64,
    pub msg_cbytes: u64,
    pub msg_qnum: u64,
    pub msg_qbytes: u64,
    pub msg_lspid: i32,
    pub msg_lrpid: i32,
    pub _unused: [u64; 2],
}

/// `struct msginfo`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Msginfo {
    pub msgpool: i32,
    pub msgmap: i32,
    pub msgmax: i32,
    pub msgmnb: i32,
    pub msgmni: i32,
    pub msgssz: i32,
    pub msgtql: i32,
    pub msgseg: u16,
    pub _pad: u16,
}

pub const MSG_NOERROR: u32 = 0x1000;
pub const MSG_EXCEPT: u32 = 0x2000;
pub const MSG_COPY: u32 = 0x4000;
/// Defaults of the limits in /proc/sys/kernel.
pub const MSGMAX: usize = 8192;
pub const MSGMNB: usize = 16384;
pub const MSGMNI: usize = 32000;

/// `struct semid64_ds`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct SemidDs {
    pub sem_perm: IpcPerm,
    pub sem_otime: i64,
    pub _unused1: u64,
    pub sem_ctime: i64,
    pub _unused2: u64,
    pub sem_nsems: u64,
    pub _unused3: [u64; 2],
}

/// `struct sembuf`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Sembuf {
    pub sem_num: u16,
    pub sem_op: i16,
    pub sem_flg: u16,
}

/// `struct seminfo`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Seminfo {
    pub semmap: i32,
    pub semmni: i32,
    pub semmns: i32,
    pub semmnu: i32,
    pub semmsl: i32,
    pub semopm: i32,
    pub semume: i32,
    pub semusz: i32,
    pub semvmx: i32,
    pub semaem: i32,
}

/// `sem_flg`: undo when the process ends.
pub const SEM_UNDO: u16 = 0x1000;
pub const SEMMNI: usize = 32000;
pub const SEMMSL: usize = 32000;
pub const SEMMNS: usize = SEMMNI * SEMMSL;
pub const SEMOPM: usize = 500;
pub const SEMVMX: i32 = 32767;
pub const SEMAEM: i32 = SEMVMX;

/// `struct shmid64_ds`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct ShmidDs {
    pub shm_perm: IpcPerm,
    pub shm_segsz: u64,
    pub shm_atime: i64,
    pub shm_dtime: i64,
    pub shm_ctime: i64,
    pub shm_cpid: i32,
    pub shm_lpid: i32,
    pub shm_nattch: u64,
    pub _unused: [u64; 2],
}

/// `struct shminfo64`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Shminfo {
    pub shmmax: u64,
    pub shmmin: u64,
    pub shmmni: u64,
    pub shmseg: u64,
    pub shmall: u64,
    pub _unused: [u64; 4],
}

/// `struct shm_info`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct ShmInfo {
    pub used_ids: i32,
    pub _pad: u32,
    pub shm_tot: u64,
    pub shm_rss: u64,
    pub shm_swp: u64,
    pub swap_attempts: u64,
    pub swap_successes: u64,
}

flags! {
    /// `shmflg` of shmat(2).
    pub struct ShmatFlags: u32 {
        const SHM_RDONLY = 0x1000;
        const SHM_RND = 0x2000;
        const SHM_REMAP = 0x4000;
        const SHM_EXEC = 0x8000;
    }
}

pub const SHM_HUGETLB: u32 = 0x800;
pub const SHM_NORESERVE: u32 = 0x1000;
/// Bits of a segment's mode: to be destroyed, locked.
pub const SHM_DEST: u32 = 0o1000;
pub const SHM_LOCKED: u32 = 0o2000;
pub const SHMMIN: u64 = 1;
pub const SHMMNI: usize = 4096;
/// Alignment of attach addresses.
pub const SHMLBA: u64 = 4096;

/// `struct mq_attr`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct MqAttr {
    pub mq_flags: i64,
    pub mq_maxmsg: i64,
    pub mq_msgsize: i64,
    pub mq_curmsgs: i64,
    pub _reserved: [i64; 4],
}

/// Highest priority of a message, plus one.
pub const MQ_PRIO_MAX: u32 = 32768;
/// What SIGEV_THREAD of mq_notify(2) sends; its last byte says why.
pub const NOTIFY_COOKIE_LEN: usize = 32;
/// A message came.
pub const NOTIFY_WOKENUP: u8 = 1;
/// The registration was taken back.
pub const NOTIFY_REMOVED: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_match_the_c_library() {
        assert_eq!(size_of::<IpcPerm>(), size_of::<libc::ipc_perm>());
        assert_eq!(size_of::<MsqidDs>(), size_of::<libc::msqid_ds>());
        assert_eq!(size_of::<SemidDs>(), size_of::<libc::semid_ds>());
        assert_eq!(size_of::<ShmidDs>(), size_of::<libc::shmid_ds>());
        assert_eq!(size_of::<Seminfo>(), size_of::<libc::seminfo>());
        assert_eq!(size_of::<MqAttr>(), size_of::<libc::mq_attr>());
        assert_eq!(core::mem::offset_of!(SemidDs, sem_nsems), core::mem::offset_of!(libc::semid_ds, sem_nsems));
    }
}
