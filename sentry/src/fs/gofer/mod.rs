//! The file system that a gofer serves: the container's root and its bind mounts.
//!
//! - [`GoferFs`] is one connection. [`inode`] is a file of it, [`inodes`] the table that makes all names of a file share
//!   one inode; [`attributes`], [`directory`], [`data`], [`names`] are what an inode does, [`handles`] the host
//!   descriptors that regular files are read, written and mapped through.
//! - Where the tree is exclusively ours (the root) nothing is asked twice: attributes, listings and targets are kept
//!   until we change them, and a name absent from a known listing is absent without a question. Where it is shared, each
//!   use of a name asks again.
//! - Regular files never pass through the gofer: their host descriptors are donated on open. FIFOs and sockets are
//!   ours alone (their pipes and endpoints are attached to the inode), device nodes are the device table's.
//!
//! Locks: `InodeIo` over appends; `Inode` over attributes; `InodeData` over a listing, the handles, the place of an inode
//! without a fid; `Gofer` over the table of inodes and the list of idle handles. None is held during a round trip.

mod attributes;
mod data;
mod directory;
mod handles;
mod inode;
mod inodes;
mod listing;
mod names;
mod transport;

use std::os::fd::OwnedFd;
use std::sync::{Arc, Weak};

use abi::Errno;
use abi::statfs::Statfs;
use ninep::client::{ClientOptions, FidHandle};
use ninep::{Client, Dialect, Stat};

use self::handles::IdleHandles;
pub use self::inode::GoferInode;
use self::inodes::Inodes;
use self::transport::Connection;
use crate::error::{Result, err};
use crate::vfs::{Caching, FileSystem, Inode};

/// How a tree is to be used.
#[derive(Clone, Copy, Debug)]
pub struct GoferOptions {
    /// The device number that its files show.
    pub dev: u64,
    /// Whether nobody else changes the tree while the container runs.
    pub exclusive: bool,
}

/// A tree that a gofer serves.
#[derive(Debug)]
pub struct GoferFs {
    this: Weak<Self>,
    client: Arc<Client>,
    root: Arc<FidHandle>,
    root_stat: Stat,
    options: GoferOptions,
    inodes: Inodes,
    idle: IdleHandles,
}

impl GoferFs {
    /// Takes over a connected unix stream socket with a gofer at its other end. EPROTO from a server that does not donate
    /// descriptors.
    pub fn connect(socket: OwnedFd, options: GoferOptions) -> Result<Arc<Self>> {
        let (client, root) = Client::connect(Box::new(Connection::new(socket)), &ClientOptions::default())
            .map_err(|error| log_lost(&error))?;
        if client.dialect() != Dialect::Extended {
            return err(Errno::EPROTO);
        }
        let root_stat = client.stat(&root).map_err(|error| log_lost(&error))?;
        Ok(Arc::new_cyclic(|this| Self {
            this: this.clone(),
            client,
            root: Arc::new(root),
            root_stat,
            options,
            inodes: Inodes::default(),
            idle: IdleHandles::default(),
        }))
    }

    /// How many messages were exchanged, for statistics and tests.
    #[must_use]
    pub fn round_trips(&self) -> u64 {
        self.client.round_trips()
    }

    fn exclusive(&self) -> bool {
        self.options.exclusive
    }
}

impl FileSystem for GoferFs {
    fn name(&self) -> &'static str {
        "9p"
    }

    fn root(&self) -> Arc<dyn Inode> {
        let this = self.this.upgrade().expect("called through an Arc, the only way to hold it");
        this.inode_with_fid(Arc::clone(&self.root), self.root_stat, None)
    }

    fn dev(&self) -> u64 {
        self.options.dev
    }

    fn statfs(&self) -> Result<Statfs> {
        let s = self.client.statfs(&self.root).map_err(|error| log_lost(&error))?;
        let fsid = |half: u64| i32::from_ne_bytes(u32::try_from(half & 0xffff_ffff).unwrap_or(0).to_ne_bytes());
        Ok(Statfs {
            f_type: s.kind.into(),
            f_bsize: s.bsize.into(),
            f_blocks: s.blocks,
            f_bfree: s.bfree,
            f_bavail: s.bavail,
            f_files: s.files,
            f_ffree: s.ffree,
            f_fsid: [fsid(self.options.dev), fsid(self.options.dev >> 32)],
            f_namelen: s.namelen.into(),
            f_frsize: s.bsize.into(),
            ..Statfs::default()
        })
    }

    fn caching(&self) -> Caching {
        if self.exclusive() { Caching::Always } else { Caching::Revalidate }
    }
}

/// The errno of a failed call; a lost connection is worth a line in the log.
#[track_caller]
fn log_lost(error: &ninep::ClientError) -> crate::error::Error {
    if !matches!(error, ninep::ClientError::Refused(_)) {
        tracing::warn!(%error, "gofer");
    }
    error.errno().into()
}

#[cfg(test)]
mod tests;
