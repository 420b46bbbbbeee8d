//! The beginning and the end of fids: `Tauth`, `Tattach`, `Tclunk`, `Tforget`, `Tremove`; and
//! where they are served: `Tfollow`.

use std::sync::Arc;

use abi::Errno;
use host::sched::CpuMask;
use ninep::message::{Rattach, Rclunk, Rfollow, Rforget, Tattach, Tauth, Tclunk, Tfollow, Tforget, Tremove};
use nix::fcntl::OFlag;

use crate::fids::Open;
use crate::node::Node;
use crate::reply::Reply;
use crate::session::Session;

/// The uid of an attach that names its user by string.
const NO_UID: u32 = u32::MAX;

impl Session<'_> {
    /// There is nobody to authenticate: whoever holds the connection was given it.
    pub(crate) fn auth(&mut self, _ask: &Tauth<'_>) -> Result<(), Errno> {
        Err(Errno::ENOENT)
    }

    pub(crate) fn attach(&mut self, ask: &Tattach<'_>, reply: &mut Reply<'_>) -> Result<(), Errno> {
        self.fids.check_free(ask.fid)?;
        // Its own descriptor, because a node closes it.
        let fd = self.fd_dir.reopen(self.export.root.fd(), OFlag::O_PATH)?;
        let (node, stat) = Node::with_stat(fd)?;
        self.uid = Some(ask.uid).filter(|uid| *uid != NO_UID);
        self.fids.insert(ask.fid, Arc::new(node))?;
        reply.send(&Rattach { qid: self.qid(&stat) })
    }

    /// The fid is gone even if what it was for fails.
    pub(crate) fn clunk(&mut self, ask: &Tclunk, reply: &mut Reply<'_>) -> Result<(), Errno> {
        let state = self.fids.remove(ask.fid)?;
        if let Open::XattrWrite(write) = state.open {
            self.finish_xattr(&state.node, write)?;
        }
        reply.send(&Rclunk {})
    }

    pub(crate) fn forget(&mut self, ask: &Tforget<'_>, reply: &mut Reply<'_>) -> Result<(), Errno> {
        for fid in ask.fids.iter() {
            let _ = self.fids.remove(fid);
        }
        reply.send(&Rforget {})
    }

    /// The thread that serves the connection goes where its client is. Only the client waits for it, so whatever it says
    /// harms nobody else; a CPU that we may not use is as good as none.
    pub(crate) fn follow(&mut self, ask: &Tfollow, reply: &mut Reply<'_>) -> Result<(), Errno> {
        if let Some(all) = host::sched::all_cpus() {
            let one = CpuMask::one(ask.cpu);
            if !one.within(&all) || one.apply(0).is_err() {
                let _ = all.apply(0);
            }
        }
        reply.send(&Rfollow {})
    }

    /// A fid holds no name to remove; it is clunked all the same, as 9P wants it.
    pub(crate) fn remove(&mut self, ask: &Tremove) -> Result<(), Errno> {
        self.fids.remove(ask.fid)?;
        Err(Errno::EOPNOTSUPP)
    }
}
