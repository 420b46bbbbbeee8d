//! Attributes: `Tgetattr`, `Tsetattr`, `Tstatfs` and the extended dialect's `Tstatx`, `Tsetstat`.

use abi::Errno;
use abi::stat::FileType;
use host::path::errno;
use ninep::attr::{SetAttr, StatFs, WideTimestamp};
use ninep::flags::SetMask;
use ninep::message::{Rgetattr, Rsetattr, Rsetstat, Rstatfs, Rstatx, Tgetattr, Tsetattr, Tsetstat, Tstatfs, Tstatx};
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::Mode;
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, fchownat, ftruncate};

use crate::node::Node;
use crate::reply::Reply;
use crate::session::Session;

impl Session<'_> {
    pub(crate) fn getattr(&mut self, ask: &Tgetattr, reply: &mut Reply<'_>) -> Result<(), Errno> {
        let stat = self.fids.get(ask.fid)?.node.stat()?;
        reply.send(&Rgetattr { attr: stat.to_attr(self.qid(&stat)) })
    }

    pub(crate) fn statx(&mut self, ask: &Tstatx, reply: &mut Reply<'_>) -> Result<(), Errno> {
        reply.send(&Rstatx { stat: self.fids.get(ask.fid)?.node.stat()? })
    }

    pub(crate) fn setattr(&mut self, ask: &Tsetattr, reply: &mut Reply<'_>) -> Result<(), Errno> {
        let node = self.fids.node(ask.fid)?;
        self.change(&node, &ask.attr)?;
        reply.send(&Rsetattr {})
    }

    pub(crate) fn setstat(&mut self, ask: &Tsetstat, reply: &mut Reply<'_>) -> Result<(), Errno> {
        let node = self.fids.node(ask.fid)?;
        self.change(&node, &ask.attr)?;
        reply.send(&Rsetstat { stat: node.stat()? })
    }

    pub(crate) fn statfs(&mut self, ask: &Tstatfs, reply: &mut Reply<'_>) -> Result<(), Errno> {
        let node = &self.fids.get(ask.fid)?.node;
        let s = nix::sys::statfs::fstatfs(node.fd()).map_err(errno)?;
        let stat = StatFs {
            kind: u32::try_from(s.filesystem_type().0 & 0xffff_ffff).unwrap_or(0),
            bsize: u32::try_from(s.block_size()).unwrap_or(4096),
            blocks: s.blocks(),
            bfree: s.blocks_free(),
            bavail: s.blocks_available(),
            files: s.files(),
            ffree: s.files_free(),
            fsid: node.dev().into(),
            namelen: u32::try_from(s.maximum_name_length()).unwrap_or(255),
        };
        reply.send(&Rstatfs { stat })
    }

    fn change(&self, node: &Node, attr: &SetAttr) -> Result<(), Errno> {
        self.writable()?;
        let valid = attr.valid;
        if valid.contains(SetMask::SIZE) {
            if node.kind() != FileType::Regular {
                return Err(if node.kind() == FileType::Directory { Errno::EISDIR } else { Errno::EINVAL });
            }
            let size = i64::try_from(attr.size).map_err(|_| Errno::EFBIG)?;
            ftruncate(self.reopen(node, OFlag::O_WRONLY)?, size).map_err(errno)?;
        }
        // Before the mode, from which it may take set-id bits; with neither id it still renews the change time.
        if valid.intersects(SetMask::UID | SetMask::GID) || valid == SetMask::CTIME {
            let uid = valid.contains(SetMask::UID).then(|| Uid::from_raw(attr.uid));
            let gid = valid.contains(SetMask::GID).then(|| Gid::from_raw(attr.gid));
            fchownat(node.fd(), "", uid, gid, AtFlags::AT_EMPTY_PATH).map_err(errno)?;
        }
        if valid.contains(SetMask::MODE) {
            if node.kind() == FileType::Symlink {
                return Err(Errno::EOPNOTSUPP);
            }
            self.fd_dir.chmod(node.fd(), Mode::from_bits_truncate(attr.mode & 0o7777))?;
        }
        if valid.intersects(SetMask::ATIME | SetMask::MTIME) {
            let atime = time(valid.contains(SetMask::ATIME), valid.contains(SetMask::ATIME_SET), attr.atime)?;
            let mtime = time(valid.contains(SetMask::MTIME), valid.contains(SetMask::MTIME_SET), attr.mtime)?;
            self.fd_dir.set_times(node.fd(), &atime, &mtime)?;
        }
        Ok(())
    }
}

/// A time as utimensat(2) wants it. The values that mean something special there are not times.
fn time(change: bool, given: bool, time: WideTimestamp) -> Result<TimeSpec, Errno> {
    match (change, given) {
        (false, _) => Ok(TimeSpec::UTIME_OMIT),
        (true, false) => Ok(TimeSpec::UTIME_NOW),
        (true, true) => {
            let nsec = i64::try_from(time.nsec).ok().filter(|n| *n < 1_000_000_000).ok_or(Errno::EINVAL)?;
            Ok(TimeSpec::new(time.sec, nsec))
        }
    }
}
