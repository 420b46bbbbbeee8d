//! Extended attributes: `Txattrwalk`, `Txattrcreate` and the extended dialect's four.
//!
//! Only those that are the file's own business pass: `user.*`, file capabilities and access control lists. Others belong
//! to the host (`security.selinux`, `trusted.*`). Only regular files and directories have them here, because only those
//! may be opened.

use std::ffi::{CStr, CString};
use std::sync::Arc;

use abi::Errno;
use abi::stat::FileType;
use host::xattr;
use ninep::Blob;
use ninep::message::{
    Rgetxattr, Rlistxattr, Rremovexattr, Rsetxattr, Rxattrcreate, Rxattrwalk, Tgetxattr, Tlistxattr, Tremovexattr,
    Tsetxattr, Txattrcreate, Txattrwalk,
};
use nix::fcntl::OFlag;
use std::os::fd::{AsFd, OwnedFd};

use crate::fids::{Open, XattrWrite};
use crate::node::Node;
use crate::reply::Reply;
use crate::session::Session;

/// The largest value, and the longest list of names.
const XATTR_SIZE_MAX: usize = 64 << 10;

/// `XATTR_REPLACE` of setxattr(2); all flags are this and `XATTR_CREATE`.
const XATTR_REPLACE: u32 = 2;
const XATTR_FLAGS: u32 = 3;

/// Whether the client may see and set an attribute.
fn allowed(name: &[u8]) -> bool {
    matches!(name, b"security.capability" | b"system.posix_acl_access" | b"system.posix_acl_default")
        || name.strip_prefix(b"user.").is_some_and(|rest| !rest.is_empty())
}

impl Session<'_> {
    pub(crate) fn getxattr(&mut self, ask: &Tgetxattr<'_>, reply: &mut Reply<'_>) -> Result<(), Errno> {
        let value = self.xattr_value(&self.fids.get(ask.fid)?.node, ask.name.0)?;
        reply.send(&Rgetxattr { value: Blob(&value) })
    }

    pub(crate) fn listxattr(&mut self, ask: &Tlistxattr, reply: &mut Reply<'_>) -> Result<(), Errno> {
        let names = self.xattr_names(&self.fids.get(ask.fid)?.node)?;
        reply.send(&Rlistxattr { names: Blob(&names) })
    }

    pub(crate) fn setxattr(&mut self, ask: &Tsetxattr<'_>, reply: &mut Reply<'_>) -> Result<(), Errno> {
        let name = self.settable(ask.name.0)?;
        self.set_xattr(&self.fids.get(ask.fid)?.node, &name, ask.value.0, flags(ask.flags)?)?;
        reply.send(&Rsetxattr {})
    }

    pub(crate) fn removexattr(&mut self, ask: &Tremovexattr<'_>, reply: &mut Reply<'_>) -> Result<(), Errno> {
        let name = self.settable(ask.name.0)?;
        let file = self.xattr_file(&self.fids.get(ask.fid)?.node)?.ok_or(Errno::EPERM)?;
        xattr::remove(file.as_fd(), &name)?;
        reply.send(&Rremovexattr {})
    }

    pub(crate) fn xattrwalk(&mut self, ask: &Txattrwalk<'_>, reply: &mut Reply<'_>) -> Result<(), Errno> {
        let node = self.fids.node(ask.fid)?;
        self.fids.check_free(ask.newfid)?;
        let value = if ask.name.0.is_empty() { self.xattr_names(&node) } else { self.xattr_value(&node, ask.name.0) }?;
        let size = u64::try_from(value.len()).map_err(|_| Errno::ERANGE)?;
        self.fids.insert(ask.newfid, node)?;
        self.fids.get_mut(ask.newfid)?.open = Open::XattrValue(value);
        reply.send(&Rxattrwalk { size })
    }

    pub(crate) fn xattrcreate(&mut self, ask: &Txattrcreate<'_>, reply: &mut Reply<'_>) -> Result<(), Errno> {
        let name = self.settable(ask.name.0)?;
        let size = usize::try_from(ask.size).ok().filter(|n| *n <= XATTR_SIZE_MAX).ok_or(Errno::E2BIG)?;
        let flags = flags(ask.flags)?;
        let state = self.fids.get_mut(ask.fid)?;
        if !matches!(state.open, Open::No) {
            return Err(Errno::EBADF);
        }
        state.open = Open::XattrWrite(XattrWrite { name, value: Vec::new(), size, flags });
        reply.send(&Rxattrcreate {})
    }

    /// What a clunk does with an attribute that was written. As Linux has it, an empty value that replaces removes.
    pub(crate) fn finish_xattr(&self, node: &Arc<Node>, write: XattrWrite) -> Result<(), Errno> {
        let XattrWrite { name, value, size, flags } = write;
        if value.len() != size {
            return Err(Errno::EINVAL);
        }
        if size == 0 && u32::try_from(flags) == Ok(XATTR_REPLACE) {
            let file = self.xattr_file(node)?.ok_or(Errno::EPERM)?;
            return xattr::remove(file.as_fd(), &name);
        }
        self.set_xattr(node, &name, &value, flags)
    }

    fn set_xattr(&self, node: &Node, name: &CStr, value: &[u8], flags: i32) -> Result<(), Errno> {
        if value.len() > XATTR_SIZE_MAX {
            return Err(Errno::E2BIG);
        }
        let file = self.xattr_file(node)?.ok_or(Errno::EPERM)?;
        xattr::set(file.as_fd(), name, value, flags)
    }

    fn xattr_value(&self, node: &Node, name: &[u8]) -> Result<Vec<u8>, Errno> {
        if !allowed(name) {
            return Err(Errno::EOPNOTSUPP);
        }
        let name = CString::new(name).map_err(|_| Errno::EINVAL)?;
        let file = self.xattr_file(node)?.ok_or(Errno::ENODATA)?;
        let size = xattr::get(file.as_fd(), &name, &mut [])?;
        let mut value = vec![0; size.min(XATTR_SIZE_MAX)];
        if !value.is_empty() {
            let size = xattr::get(file.as_fd(), &name, &mut value)?;
            value.truncate(size);
        }
        Ok(value)
    }

    fn xattr_names(&self, node: &Node) -> Result<Vec<u8>, Errno> {
        let Some(file) = self.xattr_file(node)? else { return Ok(Vec::new()) };
        let size = xattr::list(file.as_fd(), &mut [])?;
        let mut names = vec![0; size.min(XATTR_SIZE_MAX)];
        if !names.is_empty() {
            let size = xattr::list(file.as_fd(), &mut names)?;
            names.truncate(size);
        }
        let mine = names.split(|b| *b == 0).filter(|name| allowed(name));
        Ok(mine.flat_map(|name| name.iter().copied().chain([0])).collect())
    }

    /// An ordinary descriptor, `None` for kinds of files that are never opened.
    fn xattr_file(&self, node: &Node) -> Result<Option<OwnedFd>, Errno> {
        match node.kind() {
            FileType::Regular | FileType::Directory => self.reopen(node, OFlag::O_RDONLY).map(Some),
            _ => Ok(None),
        }
    }

    fn settable(&self, name: &[u8]) -> Result<CString, Errno> {
        self.writable()?;
        if !allowed(name) {
            return Err(Errno::EOPNOTSUPP);
        }
        CString::new(name).map_err(|_| Errno::EINVAL)
    }
}

fn flags(flags: u32) -> Result<i32, Errno> {
    if flags & !XATTR_FLAGS != 0 {
        return Err(Errno::EINVAL);
    }
    i32::try_from(flags).map_err(|_| Errno::EINVAL)
}
