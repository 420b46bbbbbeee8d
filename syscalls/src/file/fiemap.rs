//! FS_IOC_FIEMAP: where a file has data. Where that is on a disk is the host's business: extents say that it is not known.

use abi::fiemap::{
    FIEMAP_EXTENT_LAST, FIEMAP_EXTENT_UNKNOWN, FIEMAP_FLAG_CACHE, FIEMAP_FLAG_SYNC, FIEMAP_MAX_EXTENTS, Fiemap,
    FiemapExtent,
};
use abi::stat::FileType;
use abi::statfs::TMPFS_MAGIC;
use abi::{Errno, PAGE_SIZE, UserAddr};
use sentry::error::{Result, SysResult, err};
use sentry::task::CurrentTask;
use sentry::user::UserPtr;
use sentry::vfs::File;

/// ioctl(2) with FS_IOC_FIEMAP.
pub(super) fn fiemap(task: &CurrentTask, file: &File, at: UserAddr) -> SysResult {
    if file.kind() != FileType::Regular || file.path().mount.fs().statfs()?.f_type == TMPFS_MAGIC {
        return err(Errno::EOPNOTSUPP);
    }
    let head = UserPtr::<Fiemap>::new(at);
    let mut asked = task.mm().read(head)?;
    if asked.fm_extent_count > FIEMAP_MAX_EXTENTS || asked.fm_length == 0 {
        return err(Errno::EINVAL);
    }
    if asked.fm_start > i64::MAX.cast_unsigned() {
        return err(Errno::EFBIG);
    }
    let unknown = asked.fm_flags & !(FIEMAP_FLAG_SYNC | FIEMAP_FLAG_CACHE);
    if unknown != 0 {
        asked.fm_flags = unknown;
        task.mm().write(head, &asked)?;
        return err(Errno::EBADR);
    }
    if asked.fm_flags & FIEMAP_FLAG_SYNC != 0 {
        file.ops().sync(file, false)?;
    }
    asked.fm_mapped_extents = 0;
    let mut from = asked.fm_start;
    let end = asked.fm_start.saturating_add(asked.fm_length);
    while let Some((extent, next)) = extent(file, from, end)? {
        if asked.fm_extent_count > 0 {
            if asked.fm_mapped_extents == asked.fm_extent_count {
                break;
            }
            let index = asked.fm_mapped_extents as usize;
            let to = at.checked_add((size_of::<Fiemap>() + index * size_of::<FiemapExtent>()) as u64)?;
            task.mm().write(UserPtr::new(to), &extent)?;
        }
        asked.fm_mapped_extents = asked.fm_mapped_extents.saturating_add(1);
        // A sparse file may have very many.
        if extent.fe_flags & FIEMAP_EXTENT_LAST != 0 || task.attention().killed() {
            break;
        }
        from = next;
    }
    task.mm().write(head, &asked)?;
    Ok(0)
}

/// The extent at `from` or behind, if it begins before `end`; and where to look for the next.
fn extent(file: &File, from: u64, end: u64) -> Result<Option<(FiemapExtent, u64)>> {
    let nothing = |e: sentry::error::Error| if e.is(Errno::ENXIO) { Ok(None) } else { Err(e) };
    let start = match file.ops().seek_hole(file, from, false) {
        Ok(start) if start < end => start / PAGE_SIZE * PAGE_SIZE,
        Ok(_) => return Ok(None),
        Err(e) => return nothing(e),
    };
    let stop = match file.ops().seek_hole(file, start.max(from), true) {
        Ok(stop) => stop,
        Err(e) => return nothing(e),
    };
    let last = file.ops().seek_hole(file, stop, false).is_err();
    let flags = FIEMAP_EXTENT_UNKNOWN | if last { FIEMAP_EXTENT_LAST } else { 0 };
    let len = stop.saturating_sub(start).next_multiple_of(PAGE_SIZE);
    Ok(Some((FiemapExtent { fe_logical: start, fe_length: len, fe_flags: flags, ..FiemapExtent::default() }, stop)))
}
