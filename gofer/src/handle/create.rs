//! Making files: `Tlcreate`, `Tmkdir`, `Tmknod`, `Tsymlink` and the extended dialect's `Tcreatex`, `Tmake`.
//!
//! The gofer creates as itself and then gives the file away. It has no umask (`jail` sees to that).

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use abi::Errno;
use abi::stat::FileType;
use host::path::errno;
use ninep::attr::Device;
use ninep::flags::OpenFlags;
use ninep::message::{
    Rcreatex, Rlcreate, Rmake, Rmkdir, Rmknod, Rsymlink, Rtmpfile, Tcreatex, Tlcreate, Tmake, Tmkdir, Tmknod, Tsymlink,
    Ttmpfile,
};
use ninep::{Fid, Name, Stat};
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::{Mode, SFlag, mkdirat, mknodat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchownat, symlinkat, unlinkat};

use crate::fids::{FidState, Open};
use crate::node::Node;
use crate::reply::Reply;
use crate::session::Session;

/// Whose a new file is to be, and with which permissions.
#[derive(Clone, Copy, Debug)]
struct Ownership {
    uid: Option<u32>,
    gid: u32,
    mode: u32,
}

impl Session<'_> {
    pub(crate) fn lcreate(&mut self, ask: &Tlcreate<'_>, reply: &mut Reply<'_>) -> Result<(), Errno> {
        let state = self.fids.get(ask.fid)?;
        if !matches!(state.open, Open::No) {
            return Err(Errno::EBADF);
        }
        let dir = self.fids.dir(ask.fid)?;
        let ownership = Ownership { uid: self.uid, gid: ask.gid, mode: ask.mode };
        let (node, stat, file) = match self.create_file(&dir, ask.name, ownership) {
            Ok((node, stat, created)) => {
                // The new file is there and can be opened as it was asked for, whatever its permissions.
                drop(created);
                let file = self.open_file(&node, ask.flags - OpenFlags::TRUNCATE)?;
                (node, stat, file)
            }
            Err(Errno::EEXIST) if !ask.flags.contains(OpenFlags::EXCLUSIVE) => {
                let (node, _) = dir.child(ask.name)?;
                let file = self.open_file(&node, ask.flags)?;
                let stat = node.stat()?;
                (node, stat, file)
            }
            Err(errno) => return Err(errno),
        };
        let qid = self.qid(&stat);
        *self.fids.get_mut(ask.fid)? = FidState { open: Open::File(file), ..FidState::new(Arc::new(node)) };
        reply.send(&Rlcreate { qid, iounit: 0 })
    }

    pub(crate) fn createx(&mut self, ask: &Tcreatex<'_>, reply: &mut Reply<'_>) -> Result<(), Errno> {
        let dir = self.fids.dir(ask.dfid)?;
        self.fids.check_free(ask.newfid)?;
        let ownership = Ownership { uid: Some(ask.uid), gid: ask.gid, mode: ask.mode };
        let (node, stat, fd) = self.create_file(&dir, ask.name, ownership)?;
        self.fids.insert(ask.newfid, Arc::new(node))?;
        reply.send_with_fd(&Rcreatex { stat }, fd)
    }

    pub(crate) fn tmpfile(&mut self, ask: &Ttmpfile, reply: &mut Reply<'_>) -> Result<(), Errno> {
        self.writable()?;
        let dir = self.fids.dir(ask.dfid)?;
        self.fids.check_free(ask.newfid)?;
        let ownership = Ownership { uid: Some(ask.uid), gid: ask.gid, mode: ask.mode };
        let fd = dir.open_unnamed(ask.mode & 0o7777)?;
        let (node, stat) = self.fd_dir.reopen(fd.as_fd(), OFlag::O_PATH).and_then(Node::with_stat)?;
        let (node, stat) = self.give_away(node, stat, ownership)?;
        self.fids.insert(ask.newfid, Arc::new(node))?;
        reply.send_with_fd(&Rtmpfile { stat }, fd)
    }

    pub(crate) fn make(&mut self, ask: &Tmake<'_>, reply: &mut Reply<'_>) -> Result<(), Errno> {
        let dir = self.fids.dir(ask.dfid)?;
        self.fids.check_free(ask.newfid)?;
        let kind = FileType::from_mode(ask.mode).ok_or(Errno::EINVAL)?;
        let ownership = Ownership { uid: Some(ask.uid), gid: ask.gid, mode: ask.mode };
        let what = if kind == FileType::Symlink { What::Symlink(ask.target.0) } else { What::Node(kind, ask.rdev) };
        let (node, stat) = self.make_node(&dir, ask.name, what, ownership)?;
        if ask.newfid != Fid::NONE {
            self.fids.insert(ask.newfid, Arc::new(node))?;
        }
        reply.send(&Rmake { stat })
    }

    pub(crate) fn mkdir(&mut self, ask: &Tmkdir<'_>, reply: &mut Reply<'_>) -> Result<(), Errno> {
        let dir = self.fids.dir(ask.dfid)?;
        let ownership = Ownership { uid: self.uid, gid: ask.gid, mode: ask.mode };
        let what = What::Node(FileType::Directory, Device::default());
        let (_, stat) = self.make_node(&dir, ask.name, what, ownership)?;
        reply.send(&Rmkdir { qid: self.qid(&stat) })
    }

    pub(crate) fn mknod(&mut self, ask: &Tmknod<'_>, reply: &mut Reply<'_>) -> Result<(), Errno> {
        let dir = self.fids.dir(ask.dfid)?;
        let kind = FileType::from_mode(ask.mode).unwrap_or(FileType::Regular);
        let ownership = Ownership { uid: self.uid, gid: ask.gid, mode: ask.mode };
        let (_, stat) = self.make_node(&dir, ask.name, What::Node(kind, ask.rdev), ownership)?;
        reply.send(&Rmknod { qid: self.qid(&stat) })
    }

    pub(crate) fn symlink(&mut self, ask: &Tsymlink<'_>, reply: &mut Reply<'_>) -> Result<(), Errno> {
        let dir = self.fids.dir(ask.dfid)?;
        let ownership = Ownership { uid: self.uid, gid: ask.gid, mode: 0o777 };
        let (_, stat) = self.make_node(&dir, ask.name, What::Symlink(ask.target.0), ownership)?;
        reply.send(&Rsymlink { qid: self.qid(&stat) })
    }

    /// A new regular file, and a descriptor of it for reading and writing.
    fn create_file(&self, dir: &Node, name: Name<'_>, owner: Ownership) -> Result<(Node, Stat, OwnedFd), Errno> {
        self.writable()?;
        // O_EXCL: what is opened here did not exist before, so it is a regular file.
        let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_RDWR | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let fd = dir.open_child(name, flags, owner.mode & 0o7777)?;
        let place = self.fd_dir.reopen(fd.as_fd(), OFlag::O_PATH).and_then(Node::with_stat);
        match place.and_then(|(node, stat)| self.give_away(node, stat, owner)) {
            Ok((node, stat)) => Ok((node, stat, fd)),
            Err(errno) => {
                let _ = unlinkat(dir.fd(), name.as_bytes(), UnlinkatFlags::NoRemoveDir);
                Err(errno)
            }
        }
    }

    /// A new file of any other kind (or an empty regular one).
    fn make_node(&self, dir: &Node, name: Name<'_>, what: What<'_>, owner: Ownership) -> Result<(Node, Stat), Errno> {
        self.writable()?;
        let (fd, bytes) = (dir.fd(), name.as_bytes());
        let mode = Mode::from_bits_truncate(owner.mode & 0o7777);
        let node = |kind, rdev: Device| mknodat(fd, bytes, kind, mode, rdev.into()).map_err(errno);
        match what {
            What::Symlink(target) => symlinkat(target, fd, bytes).map_err(errno)?,
            What::Node(kind, rdev) => match kind {
                FileType::Directory => mkdirat(fd, bytes, mode).map_err(errno)?,
                FileType::Regular => node(SFlag::S_IFREG, Device::default())?,
                FileType::Fifo => node(SFlag::S_IFIFO, Device::default())?,
                FileType::Socket => node(SFlag::S_IFSOCK, Device::default())?,
                FileType::CharDevice if self.export.device_nodes => node(SFlag::S_IFCHR, rdev)?,
                FileType::BlockDevice if self.export.device_nodes => node(SFlag::S_IFBLK, rdev)?,
                FileType::CharDevice | FileType::BlockDevice => return Err(Errno::EPERM),
                FileType::Symlink => return Err(Errno::EINVAL),
            },
        }
        // Another process of the host may have put something else in its place since; it is then that which is given
        // away, as with mkdir and chown in a shell. A client cannot do so: its requests are answered one by one.
        let made = dir.child(name).and_then(|(node, stat)| self.give_away(node, stat, owner));
        if made.is_err() {
            let is_dir = matches!(what, What::Node(FileType::Directory, _));
            let flags = if is_dir { UnlinkatFlags::RemoveDir } else { UnlinkatFlags::NoRemoveDir };
            let _ = unlinkat(fd, bytes, flags);
        }
        made
    }

    /// Sets owner and special permission bits of a new file where they are not as wanted.
    fn give_away(&self, node: Node, stat: Stat, owner: Ownership) -> Result<(Node, Stat), Errno> {
        let uid = owner.uid.filter(|uid| *uid != stat.uid);
        let gid = Some(owner.gid).filter(|gid| *gid != stat.gid);
        if uid.is_some() || gid.is_some() {
            let (uid, gid) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
            fchownat(node.fd(), "", uid, gid, AtFlags::AT_EMPTY_PATH).map_err(errno)?;
        }
        // chown clears set-id bits, and a directory with the set-group-ID bit passes its own on.
        let special = |mode: u32| mode & 0o7000;
        let changed = uid.is_some() || gid.is_some();
        let wanted = special(owner.mode) | stat.mode & 0o777;
        if node.kind() != FileType::Symlink
            && (special(stat.mode) != special(wanted) || changed && special(wanted) != 0)
        {
            self.fd_dir.chmod(node.fd(), Mode::from_bits_truncate(wanted))?;
            return node.stat().map(|stat| (node, stat));
        }
        if changed { node.stat().map(|stat| (node, stat)) } else { Ok((node, stat)) }
    }
}

/// What [`Session::make_node`] makes.
#[derive(Clone, Copy, Debug)]
enum What<'a> {
    Symlink(&'a [u8]),
    Node(FileType, Device),
}
