//! fanotify(7): flags and the event's header.
#![expect(missing_docs, reason = "the names are Linux's, see fanotify(7)")]

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::names::flags;

flags! {
    /// `flags` of fanotify_init(2).
    pub struct FanInitFlags: u32 {
        const FAN_CLOEXEC = 0x1;
        const FAN_NONBLOCK = 0x2;
        const FAN_CLASS_CONTENT = 0x4;
        const FAN_CLASS_PRE_CONTENT = 0x8;
        const FAN_UNLIMITED_QUEUE = 0x10;
        const FAN_UNLIMITED_MARKS = 0x20;
        const FAN_ENABLE_AUDIT = 0x40;
        const FAN_REPORT_PIDFD = 0x80;
        const FAN_REPORT_TID = 0x100;
        const FAN_REPORT_FID = 0x200;
        const FAN_REPORT_DIR_FID = 0x400;
        const FAN_REPORT_NAME = 0x800;
        const FAN_REPORT_TARGET_FID = 0x1000;
    }
}

flags! {
    /// `flags` of fanotify_mark(2).
    pub struct FanMarkFlags: u32 {
        const FAN_MARK_ADD = 0x1;
        const FAN_MARK_REMOVE = 0x2;
        const FAN_MARK_DONT_FOLLOW = 0x4;
        const FAN_MARK_ONLYDIR = 0x8;
        const FAN_MARK_MOUNT = 0x10;
        const FAN_MARK_IGNORED_MASK = 0x20;
        const FAN_MARK_IGNORED_SURV_MODIFY = 0x40;
        const FAN_MARK_FLUSH = 0x80;
        const FAN_MARK_FILESYSTEM = 0x100;
        const FAN_MARK_EVICTABLE = 0x200;
        const FAN_MARK_IGNORE = 0x400;
    }
}

flags! {
    /// `mask` of fanotify_mark(2).
    pub struct FanMask: u64 {
        const FAN_ACCESS = 0x1;
        const FAN_MODIFY = 0x2;
        const FAN_ATTRIB = 0x4;
        const FAN_CLOSE_WRITE = 0x8;
        const FAN_CLOSE_NOWRITE = 0x10;
        const FAN_OPEN = 0x20;
        const FAN_MOVED_FROM = 0x40;
        const FAN_MOVED_TO = 0x80;
        const FAN_CREATE = 0x100;
        const FAN_DELETE = 0x200;
        const FAN_DELETE_SELF = 0x400;
        const FAN_MOVE_SELF = 0x800;
        const FAN_OPEN_EXEC = 0x1000;
        const FAN_Q_OVERFLOW = 0x4000;
        const FAN_FS_ERROR = 0x8000;
        const FAN_OPEN_PERM = 0x10000;
        const FAN_ACCESS_PERM = 0x20000;
        const FAN_OPEN_EXEC_PERM = 0x40000;
        const FAN_EVENT_ON_CHILD = 0x8000000;
        const FAN_RENAME = 0x10000000;
        const FAN_ONDIR = 0x40000000;
    }
}

/// `struct fanotify_event_metadata`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct FanotifyEventMetadata {
    pub event_len: u32,
    pub vers: u8,
    pub reserved: u8,
    pub metadata_len: u16,
    pub mask: u64,
    pub fd: i32,
    pub pid: i32,
}

pub const FANOTIFY_METADATA_VERSION: u8 = 3;
