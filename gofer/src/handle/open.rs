//! Opening what exists: `Tlopen`, `Tdonate`.

use abi::Errno;
use abi::stat::FileType;
use ninep::flags::OpenFlags;
use ninep::message::{Rdonate, Rlopen, Tdonate, Tlopen};
use nix::fcntl::OFlag;

use super::readdir::DirStream;
use crate::fids::Open;
use crate::node::Node;
use crate::reply::Reply;
use crate::session::Session;

/// Flags that a client may set, besides the access mode, and what they are to the host.
const PASSED: [(OpenFlags, OFlag); 6] = [
    (OpenFlags::TRUNCATE, OFlag::O_TRUNC),
    (OpenFlags::APPEND, OFlag::O_APPEND),
    (OpenFlags::DATA_SYNC, OFlag::O_DSYNC),
    (OpenFlags::SYNC, OFlag::O_SYNC),
    (OpenFlags::DIRECT, OFlag::O_DIRECT),
    (OpenFlags::NO_ATIME, OFlag::O_NOATIME),
];

impl Session<'_> {
    pub(crate) fn lopen(&mut self, ask: &Tlopen, reply: &mut Reply<'_>) -> Result<(), Errno> {
        let state = self.fids.get(ask.fid)?;
        if !matches!(state.open, Open::No) {
            return Err(Errno::EBADF);
        }
        let open = if state.node.kind() == FileType::Directory {
            if ask.flags.writes() {
                return Err(Errno::EISDIR);
            }
            Open::Dir(DirStream::new(self.reopen(&state.node, OFlag::O_RDONLY | OFlag::O_DIRECTORY)?))
        } else {
            Open::File(self.open_file(&state.node, ask.flags)?)
        };
        let stat = state.node.stat()?;
        let qid = self.qid(&stat);
        self.fids.get_mut(ask.fid)?.open = open;
        reply.send(&Rlopen { qid, iounit: 0 })
    }

    pub(crate) fn donate(&mut self, ask: &Tdonate, reply: &mut Reply<'_>) -> Result<(), Errno> {
        let node = &self.fids.get(ask.fid)?.node;
        let fd = self.open_file(node, ask.flags)?;
        reply.send_with_fd(&Rdonate {}, fd)
    }

    /// Opens a regular file, and nothing else.
    pub(crate) fn open_file(&self, node: &Node, flags: OpenFlags) -> Result<std::os::fd::OwnedFd, Errno> {
        match node.kind() {
            FileType::Regular if flags.contains(OpenFlags::DIRECTORY) => return Err(Errno::ENOTDIR),
            FileType::Regular => {}
            FileType::Directory => return Err(Errno::EISDIR),
            FileType::Symlink => return Err(Errno::ELOOP),
            _ => return Err(Errno::ENXIO),
        }
        if flags.writes() || flags.contains(OpenFlags::TRUNCATE) {
            self.writable()?;
        }
        self.reopen(node, host_flags(flags)?)
    }
}

fn host_flags(flags: OpenFlags) -> Result<OFlag, Errno> {
    let access = match (flags.contains(OpenFlags::WRITE), flags.contains(OpenFlags::READ_WRITE)) {
        (false, false) => OFlag::O_RDONLY,
        (true, false) => OFlag::O_WRONLY,
        (false, true) => OFlag::O_RDWR,
        (true, true) => return Err(Errno::EINVAL),
    };
    let passed = PASSED.iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, host)| *host);
    Ok(passed.fold(access, |all, flag| all | flag))
}
