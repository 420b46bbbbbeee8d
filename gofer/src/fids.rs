//! The fids of a session.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use abi::Errno;
use ninep::Fid;

use crate::handle::readdir::DirStream;
use crate::node::Node;

/// What a fid stands for.
#[derive(Debug)]
pub(crate) struct FidState {
    pub(crate) node: Arc<Node>,
    pub(crate) open: Open,
    /// A listing under way that needs no open fid.
    pub(crate) listing: Option<DirStream>,
}

/// What a fid was opened as.
#[derive(Debug)]
pub(crate) enum Open {
    /// Not at all: it is a place in the tree.
    No,
    /// A regular file.
    File(OwnedFd),
    /// A directory.
    Dir(DirStream),
    /// The value of an extended attribute, to be read.
    XattrValue(Vec<u8>),
    /// An extended attribute to be set when the fid is clunked.
    XattrWrite(XattrWrite),
}

/// An extended attribute as far as it has been written.
#[derive(Debug)]
pub(crate) struct XattrWrite {
    pub(crate) name: CString,
    pub(crate) value: Vec<u8>,
    pub(crate) size: usize,
    pub(crate) flags: i32,
}

impl FidState {
    pub(crate) fn new(node: Arc<Node>) -> Self {
        Self { node, open: Open::No, listing: None }
    }

    /// The descriptor of an open regular file.
    pub(crate) fn file(&self) -> Result<&OwnedFd, Errno> {
        match &self.open {
            Open::File(fd) => Ok(fd),
            Open::Dir(_) => Err(Errno::EISDIR),
            _ => Err(Errno::EBADF),
        }
    }
}

/// All fids of a session, up to a limit.
#[derive(Debug)]
pub(crate) struct Fids {
    map: HashMap<Fid, FidState>,
    limit: usize,
}

impl Fids {
    pub(crate) fn new(limit: usize) -> Self {
        Self { map: HashMap::new(), limit }
    }

    pub(crate) fn get(&self, fid: Fid) -> Result<&FidState, Errno> {
        self.map.get(&fid).ok_or(Errno::EBADF)
    }

    pub(crate) fn get_mut(&mut self, fid: Fid) -> Result<&mut FidState, Errno> {
        self.map.get_mut(&fid).ok_or(Errno::EBADF)
    }

    /// The file a fid stands for.
    pub(crate) fn node(&self, fid: Fid) -> Result<Arc<Node>, Errno> {
        self.get(fid).map(|state| Arc::clone(&state.node))
    }

    /// The directory a fid stands for.
    pub(crate) fn dir(&self, fid: Fid) -> Result<Arc<Node>, Errno> {
        let node = self.node(fid)?;
        node.as_dir()?;
        Ok(node)
    }

    /// Fails as [`Self::insert`] would.
    pub(crate) fn check_free(&self, fid: Fid) -> Result<(), Errno> {
        if fid == Fid::NONE || self.map.contains_key(&fid) {
            Err(Errno::EBADF)
        } else if self.map.len() >= self.limit {
            Err(Errno::EMFILE)
        } else {
            Ok(())
        }
    }

    /// A new fid. EBADF if it is in use.
    pub(crate) fn insert(&mut self, fid: Fid, node: Arc<Node>) -> Result<(), Errno> {
        self.check_free(fid)?;
        if let Entry::Vacant(place) = self.map.entry(fid) {
            place.insert(FidState::new(node));
        }
        Ok(())
    }

    pub(crate) fn remove(&mut self, fid: Fid) -> Result<FidState, Errno> {
        self.map.remove(&fid).ok_or(Errno::EBADF)
    }

    pub(crate) fn clear(&mut self) {
        self.map.clear();
    }
}
