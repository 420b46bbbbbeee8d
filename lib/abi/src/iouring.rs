//! io_uring_setup(2) and classic asynchronous I/O, io_submit(2).
#![expect(missing_docs, reason = "the names are Linux's, see io_uring(7)")]

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::names::{flags, numbers};

flags! {
    /// `flags` of io_uring_setup(2).
    pub struct IoUringSetupFlags: u32 {
        const IORING_SETUP_IOPOLL = 0x1;
        const IORING_SETUP_SQPOLL = 0x2;
        const IORING_SETUP_SQ_AFF = 0x4;
        const IORING_SETUP_CQSIZE = 0x8;
        const IORING_SETUP_CLAMP = 0x10;
        const IORING_SETUP_ATTACH_WQ = 0x20;
        const IORING_SETUP_R_DISABLED = 0x40;
        const IORING_SETUP_SUBMIT_ALL = 0x80;
        const IORING_SETUP_COOP_TASKRUN = 0x100;
        const IORING_SETUP_TASKRUN_FLAG = 0x200;
        const IORING_SETUP_SQE128 = 0x400;
        const IORING_SETUP_CQE32 = 0x800;
        const IORING_SETUP_SINGLE_ISSUER = 0x1000;
        const IORING_SETUP_DEFER_TASKRUN = 0x2000;
        const IORING_SETUP_NO_MMAP = 0x4000;
        const IORING_SETUP_REGISTERED_FD_ONLY = 0x8000;
        const IORING_SETUP_NO_SQARRAY = 0x10000;
    }
}

flags! {
    /// `flags` of io_uring_enter(2).
    pub struct IoUringEnterFlags: u32 {
        const IORING_ENTER_GETEVENTS = 0x1;
        const IORING_ENTER_SQ_WAKEUP = 0x2;
        const IORING_ENTER_SQ_WAIT = 0x4;
        const IORING_ENTER_EXT_ARG = 0x8;
        const IORING_ENTER_REGISTERED_RING = 0x10;
    }
}

numbers! {
    /// The name of an operation of io_uring.
    pub fn io_uring_op_name(u8) {
        IORING_OP_NOP = 0,
        IORING_OP_READV = 1,
        IORING_OP_WRITEV = 2,
        IORING_OP_FSYNC = 3,
        IORING_OP_READ_FIXED = 4,
        IORING_OP_WRITE_FIXED = 5,
        IORING_OP_POLL_ADD = 6,
        IORING_OP_POLL_REMOVE = 7,
        IORING_OP_SYNC_FILE_RANGE = 8,
        IORING_OP_SENDMSG = 9,
        IORING_OP_RECVMSG = 10,
        IORING_OP_TIMEOUT = 11,
        IORING_OP_TIMEOUT_REMOVE = 12,
        IORING_OP_ACCEPT = 13,
        IORING_OP_ASYNC_CANCEL = 14,
        IORING_OP_LINK_TIMEOUT = 15,
        IORING_OP_CONNECT = 16,
        IORING_OP_FALLOCATE = 17,
        IORING_OP_OPENAT = 18,
        IORING_OP_CLOSE = 19,
        IORING_OP_FILES_UPDATE = 20,
        IORING_OP_STATX = 21,
        IORING_OP_READ = 22,
        IORING_OP_WRITE = 23,
        IORING_OP_FADVISE = 24,
        IORING_OP_MADVISE = 25,
        IORING_OP_SEND = 26,
        IORING_OP_RECV = 27,
        IORING_OP_OPENAT2 = 28,
        IORING_OP_EPOLL_CTL = 29,
        IORING_OP_SHUTDOWN = 34,
        IORING_OP_RENAMEAT = 35,
        IORING_OP_UNLINKAT = 36,
        IORING_OP_MKDIRAT = 37,
        IORING_OP_SYMLINKAT = 38,
        IORING_OP_LINKAT = 39,
        IORING_OP_SOCKET = 45,
        IORING_OP_LAST = 58,
    }
}

flags! {
    /// `flags` of a submission.
    pub struct SqeFlags: u8 {
        const IOSQE_FIXED_FILE = 0x1;
        const IOSQE_IO_DRAIN = 0x2;
        const IOSQE_IO_LINK = 0x4;
        const IOSQE_IO_HARDLINK = 0x8;
        const IOSQE_ASYNC = 0x10;
        const IOSQE_BUFFER_SELECT = 0x20;
        const IOSQE_CQE_SKIP_SUCCESS = 0x40;
    }
}

/// `struct io_uring_sqe`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct IoUringSqe {
    pub opcode: u8,
    pub flags: u8,
    pub ioprio: u16,
    pub fd: i32,
    pub off: u64,
    pub addr: u64,
    pub len: u32,
    pub op_flags: u32,
    pub user_data: u64,
    pub buf_index: u16,
    pub personality: u16,
    pub file_index: u32,
    pub addr3: u64,
    pub pad: u64,
}

/// `struct io_uring_cqe`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct IoUringCqe {
    pub user_data: u64,
    pub res: i32,
    pub flags: u32,
}

/// `flags` of a completion: more will come of the same request.
pub const IORING_CQE_F_MORE: u32 = 2;
/// `flags` of a completion: the socket has more to read.
pub const IORING_CQE_F_SOCK_NONEMPTY: u32 = 4;

/// Flags in the submission ring.
pub const IORING_SQ_CQ_OVERFLOW: u32 = 2;
/// Flags in the completion ring: its eventfd hears nothing.
pub const IORING_CQ_EVENTFD_DISABLED: u32 = 1;

/// `struct io_sqring_offsets`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct IoSqringOffsets {
    pub head: u32,
    pub tail: u32,
    pub ring_mask: u32,
    pub ring_entries: u32,
    pub flags: u32,
    pub dropped: u32,
    pub array: u32,
    pub resv1: u32,
    pub user_addr: u64,
}

/// `struct io_cqring_offsets`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct IoCqringOffsets {
    pub head: u32,
    pub tail: u32,
    pub ring_mask: u32,
    pub ring_entries: u32,
    pub overflow: u32,
    pub cqes: u32,
    pub flags: u32,
    pub resv1: u32,
    pub user_addr: u64,
}

/// `struct io_uring_params`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct IoUringParams {
    pub sq_entries: u32,
    pub cq_entries: u32,
    pub flags: u32,
    pub sq_thread_cpu: u32,
    pub sq_thread_idle: u32,
    pub features: u32,
    pub wq_fd: u32,
    pub resv: [u32; 3],
    pub sq_off: IoSqringOffsets,
    pub cq_off: IoCqringOffsets,
}

pub const IORING_FEAT_SINGLE_MMAP: u32 = 1;
pub const IORING_FEAT_NODROP: u32 = 1 << 1;
pub const IORING_FEAT_SUBMIT_STABLE: u32 = 1 << 2;
pub const IORING_FEAT_RW_CUR_POS: u32 = 1 << 3;
pub const IORING_FEAT_CUR_PERSONALITY: u32 = 1 << 4;
pub const IORING_FEAT_FAST_POLL: u32 = 1 << 5;
pub const IORING_FEAT_POLL_32BITS: u32 = 1 << 6;
pub const IORING_FEAT_EXT_ARG: u32 = 1 << 8;
pub const IORING_FEAT_NATIVE_WORKERS: u32 = 1 << 9;
pub const IORING_FEAT_CQE_SKIP: u32 = 1 << 11;
pub const IORING_FEAT_LINKED_FILE: u32 = 1 << 12;

numbers! {
    /// The name of an operation of io_uring_register(2).
    pub fn io_uring_register_name(u32) {
        IORING_REGISTER_BUFFERS = 0,
        IORING_UNREGISTER_BUFFERS = 1,
        IORING_REGISTER_FILES = 2,
        IORING_UNREGISTER_FILES = 3,
        IORING_REGISTER_EVENTFD = 4,
        IORING_UNREGISTER_EVENTFD = 5,
        IORING_REGISTER_FILES_UPDATE = 6,
        IORING_REGISTER_EVENTFD_ASYNC = 7,
        IORING_REGISTER_PROBE = 8,
        IORING_REGISTER_ENABLE_RINGS = 12,
    }
}

/// `struct io_uring_probe`, without its list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct IoUringProbe {
    pub last_op: u8,
    pub ops_len: u8,
    pub resv: u16,
    pub resv2: [u32; 3],
}

/// `struct io_uring_probe_op`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct IoUringProbeOp {
    pub op: u8,
    pub resv: u8,
    pub flags: u16,
    pub resv2: u32,
}

/// A probed operation is there.
pub const IO_URING_OP_SUPPORTED: u16 = 1;

/// `struct io_uring_files_update`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct IoUringFilesUpdate {
    pub offset: u32,
    pub resv: u32,
    pub fds: u64,
}

/// In a list of files: leave this one as it is.
pub const IORING_REGISTER_FILES_SKIP: i32 = -2;

/// `struct io_uring_getevents_arg`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct IoUringGeteventsArg {
    pub sigmask: u64,
    pub sigmask_sz: u32,
    pub min_wait_usec: u32,
    pub ts: u64,
}

flags! {
    /// `timeout_flags` of a submission.
    pub struct IoTimeoutFlags: u32 {
        const IORING_TIMEOUT_ABS = 0x1;
        const IORING_TIMEOUT_UPDATE = 0x2;
        const IORING_TIMEOUT_BOOTTIME = 0x4;
        const IORING_TIMEOUT_REALTIME = 0x8;
        const IORING_LINK_TIMEOUT_UPDATE = 0x10;
        const IORING_TIMEOUT_ETIME_SUCCESS = 0x20;
        const IORING_TIMEOUT_MULTISHOT = 0x40;
    }
}

flags! {
    /// `cancel_flags` of a submission.
    pub struct IoCancelFlags: u32 {
        const IORING_ASYNC_CANCEL_ALL = 0x1;
        const IORING_ASYNC_CANCEL_FD = 0x2;
        const IORING_ASYNC_CANCEL_ANY = 0x4;
        const IORING_ASYNC_CANCEL_FD_FIXED = 0x8;
        const IORING_ASYNC_CANCEL_USERDATA = 0x10;
        const IORING_ASYNC_CANCEL_OP = 0x20;
    }
}

pub const IORING_FSYNC_DATASYNC: u32 = 1;
pub const IORING_POLL_ADD_MULTI: u32 = 1;
pub const IORING_RECVSEND_POLL_FIRST: u16 = 1;
pub const IORING_ACCEPT_MULTISHOT: u16 = 1;

/// Offsets at which the rings are mapped.
pub const IORING_OFF_SQ_RING: u64 = 0;
pub const IORING_OFF_CQ_RING: u64 = 0x800_0000;
pub const IORING_OFF_SQES: u64 = 0x1000_0000;

numbers! {
    /// The name of an operation of io_submit(2).
    pub fn iocb_cmd_name(u16) {
        IOCB_CMD_PREAD = 0,
        IOCB_CMD_PWRITE = 1,
        IOCB_CMD_FSYNC = 2,
        IOCB_CMD_FDSYNC = 3,
        IOCB_CMD_POLL = 5,
        IOCB_CMD_NOOP = 6,
        IOCB_CMD_PREADV = 7,
        IOCB_CMD_PWRITEV = 8,
    }
}

/// `struct iocb`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Iocb {
    pub aio_data: u64,
    pub aio_key: u32,
    pub aio_rw_flags: u32,
    pub aio_lio_opcode: u16,
    pub aio_reqprio: i16,
    pub aio_fildes: u32,
    pub aio_buf: u64,
    pub aio_nbytes: u64,
    pub aio_offset: i64,
    pub aio_reserved2: u64,
    pub aio_flags: u32,
    pub aio_resfd: u32,
}

/// `aio_flags`: tell an eventfd.
pub const IOCB_FLAG_RESFD: u32 = 1;
/// `aio_flags`: the priority counts.
pub const IOCB_FLAG_IOPRIO: u32 = 2;

/// `struct io_event`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct IoEvent {
    pub data: u64,
    pub obj: u64,
    pub res: i64,
    pub res2: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!((size_of::<Iocb>(), size_of::<IoEvent>()), (64, 32));
        assert_eq!((size_of::<IoUringSqe>(), size_of::<IoUringCqe>(), size_of::<IoUringParams>()), (64, 16, 120));
    }
}
