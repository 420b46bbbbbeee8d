//! Lookup: `Twalk`, `Twalkattr`, `Treadlink`.

use std::sync::Arc;

use abi::Errno;
use abi::stat::FileType;
use ninep::message::{Found, Rreadlink, Rwalk, Rwalkattr, Treadlink, Twalk, Twalkattr};
use ninep::wire::MAX_LIST;
use ninep::{Fid, List, Qid, QidKind, Stat, Str};

use crate::fids::{FidState, Open};
use crate::node::Node;
use crate::reply::Reply;
use crate::session::Session;

impl Session<'_> {
    pub(crate) fn walk(&mut self, ask: &Twalk<'_>, reply: &mut Reply<'_>) -> Result<(), Errno> {
        let mut node = self.walkable(ask.fid)?;
        if ask.newfid != ask.fid {
            self.fids.check_free(ask.newfid)?;
        }
        let mut qids = [Qid { kind: QidKind::FILE, version: 0, path: 0 }; MAX_LIST];
        let mut walked = 0;
        for (name, qid) in ask.names.iter().zip(&mut qids) {
            match node.as_dir().and_then(|dir| dir.child(name)) {
                Ok((child, stat)) => {
                    *qid = self.qid(&stat);
                    node = Arc::new(child);
                    walked += 1;
                }
                Err(errno) if walked == 0 => return Err(errno),
                Err(_) => break,
            }
        }
        if walked == ask.names.len() {
            if ask.newfid == ask.fid {
                *self.fids.get_mut(ask.fid)? = FidState::new(node);
            } else {
                self.fids.insert(ask.newfid, node)?;
            }
        }
        reply.send(&Rwalk { qids: List::Slice(qids.get(..walked).unwrap_or_default()) })
    }

    pub(crate) fn walkattr(&mut self, ask: &Twalkattr<'_>, reply: &mut Reply<'_>) -> Result<(), Errno> {
        let mut node = self.walkable(ask.fid)?;
        let mut found: Vec<(Stat, Vec<u8>)> = Vec::with_capacity(ask.steps.len());
        let mut room = reply.room(6);
        let mut stopped = 0;
        for step in ask.steps.iter() {
            match self.step(&node, step.newfid, step.name, &mut room) {
                Ok((child, stat, target)) => {
                    node = child;
                    found.push((stat, target));
                }
                Err(errno) => {
                    stopped = u32::try_from(errno.raw()).unwrap_or(0);
                    break;
                }
            }
        }
        let found: Vec<_> = found.iter().map(|(stat, target)| Found { stat: *stat, target: Str(target) }).collect();
        reply.send(&Rwalkattr { stopped, found: List::Slice(&found) })
    }

    /// One step down, which takes its part of the answer's room.
    fn step(
        &mut self,
        dir: &Node,
        newfid: Fid,
        name: ninep::Name<'_>,
        room: &mut usize,
    ) -> Result<(Arc<Node>, Stat, Vec<u8>), Errno> {
        /// Bytes of a `Stat` and a string's length, rounded up.
        const FIXED: usize = 160;
        if newfid != Fid::NONE {
            self.fids.check_free(newfid)?;
        }
        let (child, stat) = dir.as_dir()?.child(name)?;
        let target = if child.kind() == FileType::Symlink { child.readlink()? } else { Vec::new() };
        *room = room.checked_sub(FIXED.saturating_add(target.len())).ok_or(Errno::EMSGSIZE)?;
        let child = Arc::new(child);
        if newfid != Fid::NONE {
            self.fids.insert(newfid, Arc::clone(&child))?;
        }
        Ok((child, stat, target))
    }

    pub(crate) fn readlink(&mut self, ask: &Treadlink, reply: &mut Reply<'_>) -> Result<(), Errno> {
        let target = self.fids.get(ask.fid)?.node.readlink()?;
        reply.send(&Rreadlink { target: Str(&target) })
    }

    /// A fid that may be walked from: not a file that was opened. (9P excludes directories too, diod and its clients do
    /// not.)
    fn walkable(&self, fid: Fid) -> Result<Arc<Node>, Errno> {
        let state = self.fids.get(fid)?;
        if !matches!(state.open, Open::No | Open::Dir(_)) {
            return Err(Errno::EBADF);
        }
        Ok(Arc::clone(&state.node))
    }
}
