//! Host descriptors of regular files: one for reading and one for reading and writing, shared by all who have the file
//! open or mapped. After the last of them they stay a while, because what was opened is often opened again.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Weak};

use abi::Errno;
use ninep::Name;
use ninep::client::OpenFile;
use ninep::flags::OpenFlags;
use sync::Mutex;

use super::inode::{Body, GoferInode, Reach};
use super::log_lost;
use crate::error::{Result, err};
use crate::lock_order::Gofer;

/// The descriptors of one file.
#[derive(Debug, Default)]
pub(super) struct Handles {
    read: Option<Arc<OwnedFd>>,
    write: Option<Arc<OwnedFd>>,
    idle: bool,
}

/// Files that nobody has open any more, and whose descriptors are kept; oldest first.
#[derive(Debug, Default)]
pub(super) struct IdleHandles {
    files: Mutex<VecDeque<Weak<GoferInode>>, Gofer>,
}

/// How many such files there may be in one tree.
const MAX_IDLE: usize = 512;

impl GoferInode {
    /// A descriptor for reading, or for reading and writing; asked for unless there is one.
    pub(super) fn handle(&self, write: bool) -> Result<Arc<OwnedFd>> {
        let Body::Regular(contents) = &self.body else { return err(Errno::EINVAL) };
        if let Some(fd) = contents.handles.lock().get(write) {
            return Ok(fd);
        }
        let flags = if write { OpenFlags::READ_WRITE } else { OpenFlags::empty() };
        let opened = match self.reach()? {
            Reach::Fid(fid) => self.fs.client.open(&fid, flags),
            Reach::Name(dir, name) => {
                let asked = self.fs.client.lookup_and_open(&dir, Name::new(&name)?, flags);
                let (entry, opened) = asked.map_err(|error| log_lost(&error))?;
                self.reached(entry)?;
                opened
            }
        };
        match opened.map_err(|error| log_lost(&error))? {
            OpenFile::Host(fd) => {
                let mut handles = contents.handles.lock();
                // Another task may have been quicker.
                Ok(handles.get(write).unwrap_or_else(|| handles.put(write, fd)))
            }
            OpenFile::Remote(_) => err(Errno::EIO),
        }
    }

    /// The gofer gave a descriptor for reading and writing with the new file.
    pub(super) fn donated(&self, fd: OwnedFd) {
        if let Body::Regular(contents) = &self.body {
            contents.handles.lock().put(true, fd);
        }
    }

    /// Any descriptor there is.
    pub(super) fn any_handle(&self) -> Option<Arc<OwnedFd>> {
        match &self.body {
            Body::Regular(contents) => contents.handles.lock().get(false),
            _ => None,
        }
    }

    /// The descriptor for writing, if there is one.
    pub(super) fn write_handle(&self) -> Option<Arc<OwnedFd>> {
        match &self.body {
            Body::Regular(contents) => contents.handles.lock().write.clone(),
            _ => None,
        }
    }

    /// Somebody closed the file. In a shared tree nobody outside is to find it open for writing any longer.
    pub(super) fn released(self: &Arc<Self>) {
        let Body::Regular(contents) = &self.body else { return };
        let newly_idle = {
            let mut handles = contents.handles.lock();
            if !self.fs.exclusive() {
                handles.close_unused_write();
            }
            !std::mem::replace(&mut handles.idle, true)
        };
        if newly_idle && let Some(oldest) = self.fs.idle.push(self) {
            oldest.close_unused();
        }
    }

    fn close_unused(&self) {
        if let Body::Regular(contents) = &self.body {
            let mut handles = contents.handles.lock();
            handles.idle = false;
            handles.close_unused_write();
            handles.read.take_if(|fd| Arc::strong_count(fd) == 1);
        }
    }
}

impl Handles {
    fn get(&self, write: bool) -> Option<Arc<OwnedFd>> {
        let read = self.read.as_ref().filter(|_| !write);
        self.write.as_ref().or(read).cloned()
    }

    fn put(&mut self, write: bool, fd: OwnedFd) -> Arc<OwnedFd> {
        let fd = Arc::new(fd);
        *(if write { &mut self.write } else { &mut self.read }) = Some(Arc::clone(&fd));
        fd
    }

    fn close_unused_write(&mut self) {
        self.write.take_if(|fd| Arc::strong_count(fd) == 1);
    }
}

impl IdleHandles {
    /// Adds a file; gives the one that has been here longest if there are too many.
    fn push(&self, inode: &Arc<GoferInode>) -> Option<Arc<GoferInode>> {
        let mut files = self.files.lock();
        files.push_back(Arc::downgrade(inode));
        let oldest = if files.len() > MAX_IDLE { files.pop_front() } else { None };
        drop(files);
        oldest?.upgrade()
    }
}
