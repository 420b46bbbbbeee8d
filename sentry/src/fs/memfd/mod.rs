//! memfd_create(2): unnamed files of an instance of tmpfs that nobody mounts, and seals, which every file of tmpfs has.
//! `secret` is memfd_secret(2).

mod secret;

use std::sync::{Arc, OnceLock};

use abi::Errno;
use abi::fcntl::{OpenFlags, Seals};

use super::tmpfs::{ContentFile, Node, Options, TmpFs};
use crate::error::{Result, err};
use crate::mm::Mappable;
use crate::mm::memfile::MemFile;
use crate::vfs::{File, Inode, anon};

pub use secret::create_secret;

/// Not a seal of Linux: the file is one of memfd_secret(2), whose length is set once.
const SECRET: Seals = Seals::from_bits_retain(1 << 31);

/// Makes a file for memfd_create(2): `mode` holds the permission bits, `seals` what it is born with.
pub fn create(memfile: &Arc<MemFile>, name: &[u8], mode: u32, uid: u32, gid: u32, seals: Seals) -> Result<Arc<File>> {
    let node = Node::new_unnamed(instance(memfile), mode, uid, gid)?;
    node.set_seals(seals);
    let mut shown = b"/memfd:".to_vec();
    shown.extend_from_slice(name);
    shown.extend_from_slice(b" (deleted)");
    let path = anon::pseudo_path(Arc::clone(&node) as Arc<dyn Inode>, &shown);
    Ok(File::new(Arc::new(ContentFile(node)), path, OpenFlags::O_RDWR | OpenFlags::O_LARGEFILE))
}

/// The kernel's own instance.
fn instance(memfile: &Arc<MemFile>) -> &'static Arc<TmpFs> {
    static INSTANCE: OnceLock<Arc<TmpFs>> = OnceLock::new();
    INSTANCE.get_or_init(|| TmpFs::new(memfile, Options::unlimited()))
}

/// F_GET_SEALS; EINVAL for files that cannot be sealed.
pub fn seals(file: &File) -> Result<Seals> {
    Ok(node(file)?.seals())
}

/// F_ADD_SEALS.
pub fn add_seals(file: &File, seals: Seals) -> Result<()> {
    let node = node(file)?;
    if !file.flags().writable() {
        return err(Errno::EPERM);
    }
    if !Seals::all().contains(seals) {
        return err(Errno::EINVAL);
    }
    let mut seals = seals;
    if seals.contains(Seals::F_SEAL_EXEC) && node.access()?.mode & abi::stat::S_IXUGO != 0 {
        seals |= Seals::F_SEAL_SHRINK | Seals::F_SEAL_GROW | Seals::F_SEAL_WRITE | Seals::F_SEAL_FUTURE_WRITE;
    }
    let content = node.regular().ok_or(Errno::EINVAL)?;
    if node.seals().contains(Seals::F_SEAL_SEAL) {
        return err(Errno::EPERM);
    }
    if seals.contains(Seals::F_SEAL_WRITE)
        && !node.seals().contains(Seals::F_SEAL_WRITE)
        && content.mappings().any_writable_shared()
    {
        return err(Errno::EBUSY);
    }
    node.set_seals(node.seals() | seals);
    Ok(())
}

/// EPERM if a seal forbids to write there.
pub(super) fn check_write(seals: Seals, size: u64, offset: u64, len: u64) -> Result<()> {
    if seals.intersects(Seals::F_SEAL_WRITE | Seals::F_SEAL_FUTURE_WRITE)
        || (seals.contains(Seals::F_SEAL_GROW) && offset.saturating_add(len) > size)
    {
        return err(Errno::EPERM);
    }
    Ok(())
}

/// EPERM if a seal forbids the change of length.
pub(super) fn check_resize(seals: Seals, old: u64, new: u64) -> Result<()> {
    if seals.contains(SECRET) && old != 0 {
        return err(Errno::EINVAL);
    }
    if (seals.contains(Seals::F_SEAL_SHRINK) && new < old) || (seals.contains(Seals::F_SEAL_GROW) && new > old) {
        return err(Errno::EPERM);
    }
    Ok(())
}

fn node(file: &File) -> Result<&Node> {
    let any: &dyn std::any::Any = &**file.inode();
    any.downcast_ref::<Node>()
        .filter(|node| node.regular().is_some() && !node.seals().contains(SECRET))
        .ok_or_else(|| Errno::EINVAL.into())
}
