//! mmap(2), munmap(2).

use abi::mman::{MapFlags, MapType, Prot};
use abi::{Errno, PAGE_SIZE, UserAddr};
use sentry::error::{Result, err};
use sentry::fs::device::is_zero;
use sentry::mm::{MapRequest, MapSource, Placement, VmaFlags};
use sentry::platform::Prot as Access;
use sentry::task::CurrentTask;
use sentry::vfs::{File, MountFlags};

use super::{access, may_lock};
use crate::arg::{Fd, flag_args};

flag_args! { Prot: u32, MapFlags: u32 }

/// mmap(2).
pub(crate) fn mmap(
    task: &mut CurrentTask,
    addr: UserAddr,
    len: u64,
    prot: Prot,
    flags: MapFlags,
    fd: Fd,
    offset: u64,
) -> Result<UserAddr> {
    if !offset.is_multiple_of(PAGE_SIZE) {
        return err(Errno::EINVAL);
    }
    let file = if flags.contains(MapFlags::MAP_ANONYMOUS) { None } else { Some(task.files().get(fd.0)?) };
    if flags.contains(MapFlags::MAP_HUGETLB) {
        // No huge pages are set aside; a file is never one of hugetlbfs.
        return err(if file.is_some() { Errno::EINVAL } else { Errno::ENOMEM });
    }
    if len == 0 {
        return err(Errno::EINVAL);
    }
    let locked = flags.contains(MapFlags::MAP_LOCKED);
    let locks = locked && !may_lock(task);
    if locks && task.mm().limits().locked.load(std::sync::atomic::Ordering::Relaxed) == 0 {
        return err(Errno::EPERM);
    }
    let kind = flags.map_type().ok_or(Errno::EINVAL)?;
    let prot = access(task, prot);
    let request = MapRequest {
        addr,
        placement: placement(flags),
        populate: flags.contains(MapFlags::MAP_POPULATE) && !flags.contains(MapFlags::MAP_NONBLOCK),
        may_lock: may_lock(task),
        ..MapRequest::anonymous(len, prot)
    };
    let request = match &file {
        // Mapping /dev/zero is another way to ask for anonymous memory.
        Some(file) if is_zero(file) => of_zero(request, file, kind, flags)?,
        Some(file) => of_file(request, file, kind, flags, offset)?,
        None => anonymous(request, kind, flags)?,
    };
    let mut area = request.flags;
    area |= if locked { VmaFlags::LOCKED } else { VmaFlags::empty() };
    area.set(VmaFlags::NORESERVE, flags.contains(MapFlags::MAP_NORESERVE));
    task.mm().map(MapRequest { flags: area, ..request })
}

fn placement(flags: MapFlags) -> Placement {
    if flags.contains(MapFlags::MAP_FIXED_NOREPLACE) {
        Placement::FixedNoReplace
    } else if flags.contains(MapFlags::MAP_FIXED) {
        Placement::Fixed
    } else if flags.contains(MapFlags::MAP_32BIT) {
        Placement::Low
    } else {
        Placement::Hint
    }
}

fn anonymous(request: MapRequest, kind: MapType, flags: MapFlags) -> Result<MapRequest> {
    let grows = flags.contains(MapFlags::MAP_GROWSDOWN);
    let area = match kind {
        MapType::Shared if grows => return err(Errno::EINVAL),
        MapType::Shared => VmaFlags::SHARED,
        MapType::Private if grows => VmaFlags::GROWSDOWN,
        MapType::Private => VmaFlags::empty(),
        MapType::SharedValidate => return err(Errno::EINVAL),
    };
    Ok(MapRequest { flags: area, ..request })
}

/// What a mapping of an open file may ever be, and how it is shared.
fn allowed(request: &MapRequest, file: &File, kind: MapType, flags: MapFlags) -> Result<(Access, VmaFlags)> {
    let open = file.flags();
    let mut max = Access { read: true, write: true, exec: true };
    let mut area = VmaFlags::empty();
    if kind == MapType::SharedValidate && !(flags - MapFlags::LEGACY_MAP_MASK - validated()).is_empty() {
        return err(Errno::EOPNOTSUPP);
    }
    if kind != MapType::Private {
        if request.prot.write && !open.writable() {
            return err(Errno::EACCES);
        }
        max.write = open.writable();
        area |= VmaFlags::SHARED;
    }
    if !open.readable() {
        return err(Errno::EACCES);
    }
    if file.path().mount.flags().contains(MountFlags::NO_EXEC) {
        if request.prot.exec {
            return err(Errno::EPERM);
        }
        max.exec = false;
    }
    Ok((max, area))
}

/// /dev/zero: anonymous memory that what the file is open for limits.
fn of_zero(request: MapRequest, file: &File, kind: MapType, flags: MapFlags) -> Result<MapRequest> {
    let (max, area) = allowed(&request, file, kind, flags)?;
    if flags.contains(MapFlags::MAP_GROWSDOWN) {
        return err(Errno::EINVAL);
    }
    Ok(MapRequest { flags: area, max, ..request })
}

fn of_file(
    request: MapRequest,
    file: &std::sync::Arc<File>,
    kind: MapType,
    flags: MapFlags,
    offset: u64,
) -> Result<MapRequest> {
    let (max, area) = allowed(&request, file, kind, flags)?;
    let object = file.ops().mappable(file)?;
    if flags.contains(MapFlags::MAP_GROWSDOWN) {
        return err(Errno::EINVAL);
    }
    let mut area = area;
    if object.is_secret() {
        if !area.contains(VmaFlags::SHARED) {
            return err(Errno::EINVAL);
        }
        area |= VmaFlags::SECRET | VmaFlags::LOCKED | VmaFlags::DONTDUMP;
    }
    let source = MapSource::Object { object, file: Some(std::sync::Arc::clone(file)), offset };
    Ok(MapRequest { flags: area, max, source, ..request })
}

/// Flags beyond the legacy ones that MAP_SHARED_VALIDATE accepts.
fn validated() -> MapFlags {
    MapFlags::MAP_FIXED_NOREPLACE
}

/// munmap(2).
pub(crate) fn munmap(task: &mut CurrentTask, addr: UserAddr, len: u64) -> Result<()> {
    task.mm().unmap(addr, len)
}
