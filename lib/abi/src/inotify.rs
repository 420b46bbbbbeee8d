//! inotify(7): events and flags.
#![expect(missing_docs, reason = "the names are Linux's, see inotify(7)")]

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::names::flags;

flags! {
    /// Events, and options of inotify_add_watch(2).
    pub struct InotifyMask: u32 {
        const IN_ACCESS = 0x1;
        const IN_MODIFY = 0x2;
        const IN_ATTRIB = 0x4;
        const IN_CLOSE_WRITE = 0x8;
        const IN_CLOSE_NOWRITE = 0x10;
        const IN_OPEN = 0x20;
        const IN_MOVED_FROM = 0x40;
        const IN_MOVED_TO = 0x80;
        const IN_CREATE = 0x100;
        const IN_DELETE = 0x200;
        const IN_DELETE_SELF = 0x400;
        const IN_MOVE_SELF = 0x800;
        const IN_UNMOUNT = 0x2000;
        const IN_Q_OVERFLOW = 0x4000;
        const IN_IGNORED = 0x8000;
        const IN_ONLYDIR = 0x1000000;
        const IN_DONT_FOLLOW = 0x2000000;
        const IN_EXCL_UNLINK = 0x4000000;
        const IN_MASK_CREATE = 0x10000000;
        const IN_MASK_ADD = 0x20000000;
        const IN_ISDIR = 0x40000000;
        const IN_ONESHOT = 0x80000000;
    }
}

impl InotifyMask {
    /// Every event a watch can ask for.
    pub const IN_ALL_EVENTS: Self = Self::from_bits_retain(0xfff);
}

flags! {
    /// `flags` of inotify_init1(2).
    pub struct InotifyInitFlags: u32 {
        const IN_NONBLOCK = 0x800;
        const IN_CLOEXEC = 0x80000;
    }
}

/// The fixed part of `struct inotify_event`; `len` bytes of name follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct InotifyEvent {
    pub wd: i32,
    pub mask: u32,
    pub cookie: u32,
    pub len: u32,
}
