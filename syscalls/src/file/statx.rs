//! statx(2).

use std::sync::Arc;

use abi::Errno;
use abi::fcntl::AtFlags;
use abi::stat::{STATX__RESERVED, Statx, StatxAttributes, StatxMask, major, minor};
use sentry::error::{Result, err};
use sentry::task::CurrentTask;
use sentry::user::{UserCStr, UserPtr};

use super::convert::timestamp;
use crate::arg::{Fd, flag_args};
use crate::path::lookup_at;

flag_args! { StatxMask: u32 }

/// statx(2): stat(2) with birth time, mount and attributes. Everything known is told, whatever the mask asks.
pub(crate) fn statx(
    task: &mut CurrentTask,
    dir: Fd,
    path: UserCStr,
    flags: AtFlags,
    mask: StatxMask,
    buf: UserPtr<Statx>,
) -> Result<()> {
    let known =
        AtFlags::AT_SYMLINK_NOFOLLOW | AtFlags::AT_NO_AUTOMOUNT | AtFlags::AT_EMPTY_PATH | AtFlags::AT_STATX_SYNC_TYPE;
    if !known.contains(flags) || flags.contains(AtFlags::AT_STATX_SYNC_TYPE) || mask.bits() & STATX__RESERVED != 0 {
        return err(Errno::EINVAL);
    }
    let path = lookup_at(task, dir, path, flags)?;
    let attr = path.attr()?;
    let ns = &task.creds().user_ns;
    let mut told = StatxMask::STATX_BASIC_STATS | StatxMask::STATX_MNT_ID;
    let unique = mask.contains(StatxMask::STATX_MNT_ID_UNIQUE);
    told.set(StatxMask::STATX_MNT_ID, !unique);
    told.set(StatxMask::STATX_MNT_ID_UNIQUE, unique);
    told.set(StatxMask::STATX_BTIME, attr.btime.is_some());
    let mut attributes = StatxAttributes::empty();
    attributes.set(StatxAttributes::STATX_ATTR_MOUNT_ROOT, Arc::ptr_eq(&path.dentry, path.mount.root()));
    let out = Statx {
        stx_mask: told.bits(),
        stx_blksize: attr.blksize,
        stx_attributes: attributes.bits(),
        stx_nlink: attr.nlink,
        stx_uid: ns.show_uid(attr.uid),
        stx_gid: ns.show_gid(attr.gid),
        stx_mode: u16::try_from(attr.mode & 0xffff).unwrap_or(0),
        stx_ino: attr.ino,
        stx_size: attr.size,
        stx_blocks: attr.blocks,
        stx_attributes_mask: StatxAttributes::STATX_ATTR_MOUNT_ROOT.bits(),
        stx_atime: timestamp(attr.atime),
        stx_btime: attr.btime.map(timestamp).unwrap_or_default(),
        stx_ctime: timestamp(attr.ctime),
        stx_mtime: timestamp(attr.mtime),
        stx_rdev_major: major(attr.rdev),
        stx_rdev_minor: minor(attr.rdev),
        stx_dev_major: major(attr.dev),
        stx_dev_minor: minor(attr.dev),
        stx_mnt_id: if unique { path.mount.unique_id() } else { path.mount.id() },
        ..Statx::default()
    };
    task.mm().write(buf, &out)
}
