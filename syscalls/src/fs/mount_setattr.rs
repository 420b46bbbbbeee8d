//! mount_setattr(2).

use abi::fcntl::AtFlags;
use abi::mount::{MountAttr, MountAttrFlags, MountFlags as Ms};
use abi::{Errno, PAGE_SIZE, UserAddr};
use sentry::error::{Result, err};
use sentry::task::CurrentTask;
use sentry::user::UserCStr;
use sentry::vfs::{Mount, MountFlags};
use zerocopy::{FromZeros, IntoBytes};

use super::mount::{change_propagation, check_admin, check_root};
use crate::arg::Fd;
use crate::path::lookup_at;

/// Change what is below as well (AT_RECURSIVE).
const AT_RECURSIVE: u32 = 0x8000;

/// mount_setattr(2): flags of a mount that are set and cleared, and how it propagates. Mounts are not idmapped (EINVAL, as
/// on file systems that cannot be).
pub(crate) fn mount_setattr(
    task: &mut CurrentTask,
    dir: Fd,
    path: UserCStr,
    flags: AtFlags,
    attr: UserAddr,
    size: usize,
) -> Result<()> {
    let recursive = flags.bits() & AT_RECURSIVE != 0;
    let known = AtFlags::AT_EMPTY_PATH | AtFlags::AT_SYMLINK_NOFOLLOW | AtFlags::AT_NO_AUTOMOUNT;
    if !known.contains(AtFlags::from_bits_retain(flags.bits() & !AT_RECURSIVE)) {
        return err(Errno::EINVAL);
    }
    if size < size_of::<MountAttr>() {
        return err(Errno::EINVAL);
    }
    if size as u64 > PAGE_SIZE {
        return err(Errno::E2BIG);
    }
    check_admin(task)?;
    let mut bytes = vec![0; size];
    task.mm().read_bytes(attr, &mut bytes)?;
    let mut attr = MountAttr::new_zeroed();
    let (known, rest) = bytes.split_at(size_of::<MountAttr>());
    if rest.iter().any(|byte| *byte != 0) {
        return err(Errno::E2BIG);
    }
    attr.as_mut_bytes().copy_from_slice(known);
    if attr == MountAttr::default() {
        return Ok(());
    }
    let change = Change::parse(&attr)?;
    let at = lookup_at(task, dir, path, flags & known_path())?;
    check_root(&at)?;
    if attr.propagation != 0 {
        let kind = Ms::from_bits_retain(attr.propagation);
        let recurse = if recursive { Ms::MS_REC } else { Ms::empty() };
        change_propagation(task, &at, kind | recurse)?;
    }
    let mut mounts = vec![at.mount.clone()];
    while let Some(mount) = mounts.pop() {
        change.apply(&mount);
        if recursive {
            mounts.extend(mount.children());
        }
    }
    Ok(())
}

fn known_path() -> AtFlags {
    AtFlags::AT_EMPTY_PATH | AtFlags::AT_SYMLINK_NOFOLLOW
}

/// What becomes of a mount's flags.
struct Change {
    set: MountFlags,
    clear: MountFlags,
}

impl Change {
    fn parse(attr: &MountAttr) -> Result<Self> {
        let set = MountAttrFlags::from_bits_retain(attr.attr_set);
        let clear = MountAttrFlags::from_bits_retain(attr.attr_clr);
        let all = MountAttrFlags::all() - MountAttrFlags::MOUNT_ATTR_IDMAP | MountAttrFlags::MOUNT_ATTR__ATIME;
        if !all.contains(set) || !all.contains(clear) || attr.userns_fd != 0 {
            return err(Errno::EINVAL);
        }
        let kinds = Ms::PROPAGATION;
        let propagation = Ms::from_bits_retain(attr.propagation);
        if !kinds.contains(propagation) || propagation.bits().count_ones() > 1 {
            return err(Errno::EINVAL);
        }
        // How access times are kept is one setting, not flags: it is changed as a whole.
        let atime = MountAttrFlags::MOUNT_ATTR__ATIME;
        let clears = clear & atime;
        if (!clears.is_empty() && clears != atime) || (clears.is_empty() && set.intersects(atime)) {
            return err(Errno::EINVAL);
        }
        let mut change = Self { set: plain(set), clear: plain(clear) };
        if !clears.is_empty() {
            change.clear |= MountFlags::NO_ATIME | MountFlags::REL_ATIME;
            match set & atime {
                MountAttrFlags::MOUNT_ATTR_NOATIME => change.set |= MountFlags::NO_ATIME,
                MountAttrFlags::MOUNT_ATTR_STRICTATIME => {}
                kind if kind.is_empty() => change.set |= MountFlags::REL_ATIME,
                _ => return err(Errno::EINVAL),
            }
        }
        Ok(change)
    }

    fn apply(&self, mount: &Mount) {
        mount.set_flags(mount.flags() - self.clear | self.set);
    }
}

/// The flags that are on or off.
fn plain(attr: MountAttrFlags) -> MountFlags {
    let mut flags = MountFlags::empty();
    for (name, flag) in [
        (MountAttrFlags::MOUNT_ATTR_RDONLY, MountFlags::READ_ONLY),
        (MountAttrFlags::MOUNT_ATTR_NOSUID, MountFlags::NO_SUID),
        (MountAttrFlags::MOUNT_ATTR_NODEV, MountFlags::NO_DEV),
        (MountAttrFlags::MOUNT_ATTR_NOEXEC, MountFlags::NO_EXEC),
        (MountAttrFlags::MOUNT_ATTR_NODIRATIME, MountFlags::NO_DIR_ATIME),
        (MountAttrFlags::MOUNT_ATTR_NOSYMFOLLOW, MountFlags::NO_SYM_FOLLOW),
    ] {
        flags.set(flag, attr.contains(name));
    }
    flags
}
