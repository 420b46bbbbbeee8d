//! statmount(2), listmount(2).

use std::sync::Arc;

use abi::capability::Cap;
use abi::mount::{
    LISTMOUNT_REVERSE, LSMT_ROOT, MNT_ID_REQ_SIZE_VER0, MntIdReq, MountAttrFlags, MountFlags as Ms, Statmount,
    StatmountMask,
};
use abi::stat::{major, minor};
use abi::{Errno, PAGE_SIZE, UserAddr};
use sentry::error::{Result, err};
use sentry::task::CurrentTask;
use sentry::user::UserPtr;
use sentry::vfs::{Mount, MountFlags, Path, UNIQUE_ID_OFFSET};
use zerocopy::{FromZeros, IntoBytes};

/// The most numbers one listmount(2) gives.
const MOST: usize = 1_000_000;

/// statmount(2): what is asked for of a mount of the task's namespace.
pub(crate) fn statmount(
    task: &mut CurrentTask,
    request: UserAddr,
    buf: UserAddr,
    size: usize,
    flags: u32,
) -> Result<()> {
    if flags != 0 {
        return err(Errno::EINVAL);
    }
    let request = read_request(task, request)?;
    let mask = StatmountMask::from_bits_retain(request.param);
    let (mount, root) = find(task, request.mnt_id)?;
    let (fixed, strings) = describe(&mount, &root, mask)?;
    let whole = size_of::<Statmount>() + strings.len();
    if !strings.is_empty() && size < whole {
        return err(Errno::EOVERFLOW);
    }
    let fits = size.min(size_of::<Statmount>());
    task.mm().write_bytes(buf, &fixed.as_bytes()[..fits])?;
    if !strings.is_empty() {
        task.mm().write_bytes(buf.checked_add(size_of::<Statmount>() as u64)?, &strings)?;
    }
    Ok(())
}

/// listmount(2): the numbers of the mounts below one, behind the one that is named last.
pub(crate) fn listmount(
    task: &mut CurrentTask,
    request: UserAddr,
    ids: UserPtr<u64>,
    count: usize,
    flags: u32,
) -> Result<usize> {
    if flags & !LISTMOUNT_REVERSE != 0 {
        return err(Errno::EINVAL);
    }
    if count > MOST {
        return err(Errno::EOVERFLOW);
    }
    let request = read_request(task, request)?;
    if request.param != 0 && request.param <= UNIQUE_ID_OFFSET {
        return err(Errno::EINVAL);
    }
    let (top, root) = if request.mnt_id == LSMT_ROOT {
        (Arc::clone(&task.fs().root().mount), task.fs().root())
    } else {
        find(task, request.mnt_id)?
    };
    let all = request.mnt_id == LSMT_ROOT;
    let mut list: Vec<u64> = task
        .fs()
        .namespace()
        .mounts()
        .iter()
        .filter(|mount| mount.is_below(&top) && (all || !Arc::ptr_eq(mount, &top)))
        .filter(|mount| mount.place_text(&root).is_some())
        .map(|mount| mount.unique_id())
        .collect();
    list.sort_unstable();
    let reverse = flags & LISTMOUNT_REVERSE != 0;
    let behind = |id: &u64| match (request.param, reverse) {
        (0, _) => true,
        (last, false) => *id > last,
        (last, true) => *id < last,
    };
    list.retain(behind);
    if reverse {
        list.reverse();
    }
    list.truncate(count);
    for (at, id) in list.iter().enumerate() {
        task.mm().write(ids.at(at)?, id)?;
    }
    Ok(list.len())
}

/// `struct mnt_id_req`. Other namespaces than the task's own cannot be named.
fn read_request(task: &CurrentTask, at: UserAddr) -> Result<MntIdReq> {
    let size: u32 = task.mm().read(UserPtr::new(at))?;
    if u64::from(size) > PAGE_SIZE {
        return err(Errno::E2BIG);
    }
    if size < MNT_ID_REQ_SIZE_VER0 {
        return err(Errno::EINVAL);
    }
    let mut bytes = vec![0; usize::try_from(size).map_err(|_| Errno::EINVAL)?];
    task.mm().read_bytes(at, &mut bytes)?;
    let mut request = MntIdReq::new_zeroed();
    let known = bytes.len().min(size_of::<MntIdReq>());
    request.as_mut_bytes()[..known].copy_from_slice(&bytes[..known]);
    if bytes[known..].iter().any(|byte| *byte != 0) {
        return err(Errno::E2BIG);
    }
    if request.spare != 0 || request.mnt_id <= UNIQUE_ID_OFFSET {
        return err(Errno::EINVAL);
    }
    if request.mnt_ns_id != 0 {
        return err(Errno::ENOENT);
    }
    Ok(request)
}

/// The mount, and the root it is seen from. ENOENT if the namespace has none of that number, EPERM if it is not below the
/// task's root and the task may not look elsewhere.
fn find(task: &CurrentTask, id: u64) -> Result<(Arc<Mount>, Path)> {
    let namespace = task.fs().namespace();
    let mount = namespace.find_mount(id).ok_or(Errno::ENOENT)?;
    let root = task.fs().root();
    if mount.place_text(&root).is_some() {
        return Ok((mount, root));
    }
    if !task.creds().has_in(Cap::CAP_SYS_ADMIN, namespace.owner()) {
        return err(Errno::EPERM);
    }
    let mut top = Arc::clone(&mount);
    while let Some(place) = top.mountpoint() {
        top = place.mount;
    }
    Ok((mount, Path::root_of(&top)))
}

/// The structure and the strings behind it.
fn describe(mount: &Arc<Mount>, root: &Path, mask: StatmountMask) -> Result<(Statmount, Vec<u8>)> {
    let mut out = Statmount::default();
    let mut given = StatmountMask::empty();
    let mut strings = Vec::new();
    let mut put = |text: &[u8]| -> Result<u32> {
        let at = u32::try_from(strings.len()).map_err(|_| Errno::EOVERFLOW)?;
        strings.extend_from_slice(text);
        strings.push(0);
        Ok(at)
    };
    if mask.contains(StatmountMask::STATMOUNT_SB_BASIC) {
        given |= StatmountMask::STATMOUNT_SB_BASIC;
        let dev = mount.fs().dev();
        (out.sb_dev_major, out.sb_dev_minor) = (major(dev), minor(dev));
        out.sb_magic = mount.fs().statfs()?.f_type.cast_unsigned();
        out.sb_flags = u32::from(mount.root().sb().read_only());
    }
    if mask.contains(StatmountMask::STATMOUNT_MNT_BASIC) {
        given |= StatmountMask::STATMOUNT_MNT_BASIC;
        let parent = mount.parent();
        (out.mnt_id, out.mnt_parent_id) = (mount.unique_id(), parent.unique_id());
        out.mnt_id_old = u32::try_from(mount.id()).unwrap_or(u32::MAX);
        out.mnt_parent_id_old = u32::try_from(parent.id()).unwrap_or(u32::MAX);
        out.mnt_attr = attributes(mount.flags()).bits();
        let (propagation, master) = (mount.propagation(), mount.master());
        let mut kind = Ms::empty();
        kind.set(Ms::MS_SHARED, propagation.peers.is_some());
        kind.set(Ms::MS_SLAVE, master.is_some());
        kind.set(Ms::MS_UNBINDABLE, propagation.unbindable);
        kind.set(Ms::MS_PRIVATE, kind.is_empty());
        out.mnt_propagation = kind.bits();
        (out.mnt_peer_group, out.mnt_master) = (propagation.peers.unwrap_or(0).into(), master.unwrap_or(0).into());
    }
    if mask.contains(StatmountMask::STATMOUNT_PROPAGATE_FROM) {
        given |= StatmountMask::STATMOUNT_PROPAGATE_FROM;
    }
    if mask.contains(StatmountMask::STATMOUNT_FS_TYPE) {
        given |= StatmountMask::STATMOUNT_FS_TYPE;
        out.fs_type = put(mount.fs().name().as_bytes())?;
    }
    if mask.contains(StatmountMask::STATMOUNT_MNT_ROOT) {
        given |= StatmountMask::STATMOUNT_MNT_ROOT;
        out.mnt_root = put(&mount.root_text())?;
    }
    if mask.contains(StatmountMask::STATMOUNT_MNT_POINT) {
        given |= StatmountMask::STATMOUNT_MNT_POINT;
        out.mnt_point = put(&mount.place_text(root).unwrap_or_default())?;
    }
    if mask.contains(StatmountMask::STATMOUNT_MNT_OPTS) {
        let options = mount.fs().show_options();
        if !options.is_empty() {
            given |= StatmountMask::STATMOUNT_MNT_OPTS;
            out.mnt_opts = put(options.as_bytes())?;
        }
    }
    if mask.contains(StatmountMask::STATMOUNT_SB_SOURCE) && !mount.source().is_empty() {
        given |= StatmountMask::STATMOUNT_SB_SOURCE;
        out.sb_source = put(mount.source())?;
    }
    out.mask = given.bits();
    out.size = u32::try_from(size_of::<Statmount>() + strings.len()).map_err(|_| Errno::EOVERFLOW)?;
    Ok((out, strings))
}

/// Flags of a mount as the new calls have them.
fn attributes(flags: MountFlags) -> MountAttrFlags {
    let mut attr = MountAttrFlags::empty();
    for (flag, name) in [
        (MountFlags::READ_ONLY, MountAttrFlags::MOUNT_ATTR_RDONLY),
        (MountFlags::NO_SUID, MountAttrFlags::MOUNT_ATTR_NOSUID),
        (MountFlags::NO_DEV, MountAttrFlags::MOUNT_ATTR_NODEV),
        (MountFlags::NO_EXEC, MountAttrFlags::MOUNT_ATTR_NOEXEC),
        (MountFlags::NO_DIR_ATIME, MountAttrFlags::MOUNT_ATTR_NODIRATIME),
        (MountFlags::NO_SYM_FOLLOW, MountAttrFlags::MOUNT_ATTR_NOSYMFOLLOW),
    ] {
        attr.set(name, flags.contains(flag));
    }
    if flags.contains(MountFlags::NO_ATIME) {
        attr |= MountAttrFlags::MOUNT_ATTR_NOATIME;
    } else if !flags.contains(MountFlags::REL_ATIME) {
        attr |= MountAttrFlags::MOUNT_ATTR_STRICTATIME;
    }
    attr
}
