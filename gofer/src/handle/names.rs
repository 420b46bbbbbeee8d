//! Changing names: `Tlink`, `Trenameat`, `Trename2`, `Tunlinkat`.

use abi::Errno;
use host::path::errno;
use ninep::flags::{RenameFlags, UnlinkFlags};
use ninep::message::{Rlink, Rrename2, Rrenameat, Runlinkat, Tlink, Trename2, Trenameat, Tunlinkat};
use ninep::{Fid, Name};
use nix::unistd::{UnlinkatFlags, unlinkat};

use crate::reply::Reply;
use crate::session::Session;

impl Session<'_> {
    pub(crate) fn link(&mut self, ask: &Tlink<'_>, reply: &mut Reply<'_>) -> Result<(), Errno> {
        self.writable()?;
        let dir = self.fids.dir(ask.dfid)?;
        let file = self.fids.node(ask.fid)?;
        self.fd_dir.link(file.fd(), dir.fd(), ask.name.as_bytes())?;
        reply.send(&Rlink {})
    }

    pub(crate) fn renameat(&mut self, ask: &Trenameat<'_>, reply: &mut Reply<'_>) -> Result<(), Errno> {
        self.rename((ask.olddir, ask.oldname), (ask.newdir, ask.newname), RenameFlags::empty())?;
        reply.send(&Rrenameat {})
    }

    pub(crate) fn rename2(&mut self, ask: &Trename2<'_>, reply: &mut Reply<'_>) -> Result<(), Errno> {
        self.rename((ask.olddir, ask.oldname), (ask.newdir, ask.newname), ask.flags)?;
        reply.send(&Rrename2 {})
    }

    fn rename(&self, old: (Fid, Name<'_>), new: (Fid, Name<'_>), flags: RenameFlags) -> Result<(), Errno> {
        use nix::fcntl::RenameFlags as Host;
        self.writable()?;
        let host = match flags {
            f if f.is_empty() => Host::empty(),
            RenameFlags::NO_REPLACE => Host::RENAME_NOREPLACE,
            RenameFlags::EXCHANGE => Host::RENAME_EXCHANGE,
            _ => return Err(Errno::EINVAL),
        };
        let (olddir, newdir) = (self.fids.dir(old.0)?, self.fids.dir(new.0)?);
        nix::fcntl::renameat2(olddir.fd(), old.1.as_bytes(), newdir.fd(), new.1.as_bytes(), host).map_err(errno)
    }

    pub(crate) fn unlinkat(&mut self, ask: &Tunlinkat<'_>, reply: &mut Reply<'_>) -> Result<(), Errno> {
        self.writable()?;
        let dir = self.fids.dir(ask.dfid)?;
        let flags = match ask.flags {
            f if f.is_empty() => UnlinkatFlags::NoRemoveDir,
            UnlinkFlags::REMOVE_DIR => UnlinkatFlags::RemoveDir,
            _ => return Err(Errno::EINVAL),
        };
        unlinkat(dir.fd(), ask.name.as_bytes(), flags).map_err(errno)?;
        reply.send(&Runlinkat {})
    }
}
