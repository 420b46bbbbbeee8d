//! io_uring_setup(2) and classic asynchronous I/O, io_submit(2): what is needed to refuse or answer them.
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
    }
}
