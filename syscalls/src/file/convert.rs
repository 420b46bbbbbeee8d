//! Attributes of an inode as the application's structures.

use abi::stat::{Stat, StatxTimestamp};
use abi::time::Timespec;
use sentry::task::CurrentTask;
use sentry::vfs::Attr;

/// As `struct stat`, owners as the task's user namespace sees them.
pub(super) fn stat(task: &CurrentTask, attr: &Attr) -> Stat {
    let ns = &task.creds().user_ns;
    Stat {
        st_dev: attr.dev,
        st_ino: attr.ino,
        st_nlink: attr.nlink.into(),
        st_mode: attr.mode,
        st_uid: ns.show_uid(attr.uid),
        st_gid: ns.show_gid(attr.gid),
        st_rdev: attr.rdev,
        st_size: signed(attr.size),
        st_blksize: attr.blksize.into(),
        st_blocks: signed(attr.blocks),
        st_atime: attr.atime.tv_sec,
        st_atime_nsec: attr.atime.tv_nsec,
        st_mtime: attr.mtime.tv_sec,
        st_mtime_nsec: attr.mtime.tv_nsec,
        st_ctime: attr.ctime.tv_sec,
        st_ctime_nsec: attr.ctime.tv_nsec,
        ..Stat::default()
    }
}

/// As `struct statx_timestamp`.
pub(super) fn timestamp(time: Timespec) -> StatxTimestamp {
    StatxTimestamp { tv_sec: time.tv_sec, tv_nsec: u32::try_from(time.tv_nsec).unwrap_or(0), _pad: 0 }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
