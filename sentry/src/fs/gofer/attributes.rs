//! Attributes of a file: what is known of them, and whether that still holds.

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use abi::Errno;
use abi::stat::makedev;
use abi::time::Timespec;
use ninep::Stat;
use ninep::attr::{self, Timestamp, WideTimestamp};
use ninep::client::ClientError;
use ninep::flags::SetMask;
use sync::Mutex;

use super::inode::{Body, GoferInode};
use super::log_lost;
use crate::error::{Result, err};
use crate::lock_order::Inode;
use crate::task::user_ns::OVERFLOW_ID;
use crate::vfs::{Access, Attr, SetAttr, SetTime, XattrMode};

/// What the gofer or the host told last.
#[derive(Debug)]
pub(super) struct Attributes {
    known: Mutex<Known, Inode>,
    /// Counts what we did to the file that changes size or times.
    changes: AtomicU64,
    /// In a shared tree: when a lookup told the attributes, which serves one question soon after; 0 once it did.
    confirmed: AtomicU64,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    stat: Stat,
    /// `changes` when the host was asked.
    as_of: u64,
}

/// For how long a lookup answers the question that it was made for (the stat(2) after the path walk), in nanoseconds.
const FRESH: u64 = 1_000_000;

/// Nanoseconds since some fixed time, never 0.
fn moment() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let start = START.get_or_init(Instant::now);
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX).saturating_add(FRESH)
}

impl Attributes {
    pub(super) fn new(stat: Stat) -> Self {
        let known = Mutex::new(Known { stat, as_of: 0 });
        Self { known, changes: AtomicU64::new(0), confirmed: AtomicU64::new(moment()) }
    }

    /// Something was done that changes size or times; they are asked for when they are needed.
    pub(super) fn touch(&self) {
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// What the file is and whose: this never changes behind our back in a tree of ours, and was just asked in another.
    pub(super) fn access(&self) -> Access {
        let known = self.known.lock();
        Access { mode: known.stat.mode, uid: known.stat.uid, gid: known.stat.gid }
    }

    /// What was known last, whether or not it still holds.
    pub(super) fn last(&self) -> Stat {
        self.known.lock().stat
    }

    /// A lookup told these. It may have been answered before a change of ours that is known by now, so sizes and times
    /// count only for a file that we have not changed at all.
    pub(super) fn confirm(&self, stat: Stat) {
        *self.known.lock() = Known { stat, as_of: 0 };
        self.confirmed.store(moment(), Ordering::Release);
    }

    fn store(&self, stat: Stat, as_of: u64) {
        let mut known = self.known.lock();
        if as_of >= known.as_of {
            *known = Known { stat, as_of };
        }
    }

    /// What is known, if it still holds.
    fn valid(&self, exclusive: bool) -> Option<Stat> {
        let known = *self.known.lock();
        let unchanged = known.as_of == self.changes.load(Ordering::Acquire);
        let fresh = || moment().saturating_sub(self.confirmed.swap(0, Ordering::AcqRel)) < FRESH;
        (unchanged && (exclusive || fresh())).then_some(known.stat)
    }
}

impl GoferInode {
    /// What stat(2) tells.
    pub(super) fn current_attr(&self) -> Result<Attr> {
        let stat = self.current_stat()?;
        Ok(to_attr(&stat, self.fs.options.dev, stat.dev == self.fs.root_stat.dev))
    }

    pub(super) fn current_stat(&self) -> Result<Stat> {
        let mapped = matches!(&self.body, Body::Regular(contents) if contents.written_by_mapping());
        if !mapped && let Some(stat) = self.attributes.valid(self.fs.exclusive()) {
            return Ok(stat);
        }
        let as_of = self.attributes.changes.load(Ordering::Acquire);
        let stat = match self.any_handle() {
            Some(fd) => self.with_owner(Stat::from(&host::path::statx_fd(fd.as_fd())?))?,
            None => self.ask_stat()?,
        };
        self.attributes.store(stat, as_of);
        Ok(stat)
    }

    fn ask_stat(&self) -> Result<Stat> {
        self.fs.client.stat(&*self.fid()?).map_err(|error| log_lost(&error))
    }

    /// What the host tells of an open file, owner and group corrected: our own user namespace there maps only one user, and
    /// shows every other as the overflow id.
    fn with_owner(&self, stat: Stat) -> Result<Stat> {
        let last = self.attributes.last();
        if self.fs.exclusive() {
            return Ok(Stat { uid: last.uid, gid: last.gid, ..stat });
        }
        let told = stat.uid != OVERFLOW_ID && stat.gid != OVERFLOW_ID;
        if told && (stat.uid, stat.gid) == (last.uid, last.gid) { Ok(stat) } else { self.ask_stat() }
    }

    pub(super) fn change_attr(&self, change: &SetAttr) -> Result<()> {
        let attr = to_set_attr(change)?;
        let shrinks = change.size.filter(|_| matches!(self.body, Body::Regular(_)));
        let as_of = self.attributes.changes.load(Ordering::Acquire);
        let only_size = attr.valid == SetMask::SIZE;
        match self.write_handle().filter(|_| only_size) {
            // The open file itself can be cut without asking.
            Some(fd) => {
                host::memfd::set_len(fd.as_fd(), attr.size)?;
                self.attributes.touch();
            }
            None => {
                let stat = self.fs.client.set_attr(&*self.fid()?, attr).map_err(|error| log_lost(&error))?;
                self.attributes.store(stat, as_of);
            }
        }
        if let Some(size) = shrinks {
            self.cut_mappings(size);
        }
        Ok(())
    }

    /// getxattr(2). Where the tree is ours, attributes that are not there are not asked for twice.
    pub(super) fn xattr(&self, name: &[u8]) -> Result<Vec<u8>> {
        if self.fs.exclusive() && !self.xattr_list()?.split(|b| *b == 0).any(|known| known == name) {
            return err(if supported(name) { Errno::ENODATA } else { Errno::EOPNOTSUPP });
        }
        self.fs.client.get_xattr(&*self.fid()?, name).map_err(|error| log_lost(&error))
    }

    pub(super) fn xattrs(&self) -> Result<Vec<Vec<u8>>> {
        let list = self.xattr_list()?;
        Ok(list.split(|b| *b == 0).filter(|name| !name.is_empty()).map(<[u8]>::to_vec).collect())
    }

    fn xattr_list(&self) -> Result<Arc<[u8]>> {
        if let Some(list) = &*self.xattr_names.lock() {
            return Ok(Arc::clone(list));
        }
        let list: Arc<[u8]> = match &self.body {
            Body::Regular(_) | Body::Directory(_) => match self.fs.client.list_xattr(&*self.fid()?) {
                Ok(list) => list.into(),
                // The host's file system has none.
                Err(ClientError::Refused(Errno::EOPNOTSUPP)) => Arc::default(),
                Err(error) => return Err(log_lost(&error)),
            },
            Body::Symlink(_) | Body::Special => Arc::default(),
        };
        if self.fs.exclusive() {
            *self.xattr_names.lock() = Some(Arc::clone(&list));
        }
        Ok(list)
    }

    pub(super) fn set_xattr(&self, name: &[u8], value: &[u8], mode: XattrMode) -> Result<()> {
        let flags = match mode {
            XattrMode::Any => 0,
            XattrMode::Create => 1,
            XattrMode::Replace => 2,
        };
        let done = self.fs.client.set_xattr(&*self.fid()?, name, value, flags).map_err(|error| log_lost(&error));
        self.xattrs_changed();
        done
    }

    pub(super) fn remove_xattr(&self, name: &[u8]) -> Result<()> {
        let done = self.fs.client.remove_xattr(&*self.fid()?, name).map_err(|error| log_lost(&error));
        self.xattrs_changed();
        done
    }

    fn xattrs_changed(&self) {
        *self.xattr_names.lock() = None;
        self.attributes.touch();
    }
}

/// Whether a gofer keeps attributes of this name at all.
fn supported(name: &[u8]) -> bool {
    name.starts_with(b"user.")
        || matches!(name, b"security.capability" | b"system.posix_acl_access" | b"system.posix_acl_default")
}

fn to_attr(stat: &Stat, dev: u64, same_dev: bool) -> Attr {
    let time = |t: Timestamp| Timespec { tv_sec: t.sec, tv_nsec: t.nsec.into() };
    // The whole tree shows one device; numbers from other devices of the host are kept apart.
    let other = if same_dev { 0 } else { makedev(stat.dev.major, stat.dev.minor).wrapping_mul(0x9e37_79b9_7f4a_7c15) };
    Attr {
        dev,
        ino: stat.ino ^ other,
        mode: stat.mode,
        nlink: stat.nlink,
        uid: stat.uid,
        gid: stat.gid,
        rdev: makedev(stat.rdev.major, stat.rdev.minor),
        size: stat.size,
        blksize: stat.blksize,
        blocks: stat.blocks,
        atime: time(stat.atime),
        mtime: time(stat.mtime),
        ctime: time(stat.ctime),
        btime: (stat.btime != Timestamp::default()).then(|| time(stat.btime)),
    }
}

fn to_set_attr(change: &SetAttr) -> Result<attr::SetAttr> {
    let mut valid = SetMask::empty();
    let mut mark = |set: bool, bit: SetMask| valid |= if set { bit } else { SetMask::empty() };
    mark(change.mode.is_some(), SetMask::MODE);
    mark(change.uid.is_some(), SetMask::UID);
    mark(change.gid.is_some(), SetMask::GID);
    mark(change.size.is_some(), SetMask::SIZE);
    mark(change.atime.is_some(), SetMask::ATIME);
    mark(change.mtime.is_some(), SetMask::MTIME);
    mark(matches!(change.atime, Some(SetTime::At(_))), SetMask::ATIME_SET);
    mark(matches!(change.mtime, Some(SetTime::At(_))), SetMask::MTIME_SET);
    if valid.is_empty() {
        valid = SetMask::CTIME;
    }
    let time = |t: Option<SetTime>| match t {
        Some(SetTime::At(t)) => {
            Ok(WideTimestamp { sec: t.tv_sec, nsec: u64::try_from(t.tv_nsec).map_err(|_| Errno::EINVAL)? })
        }
        _ => Ok::<_, Errno>(WideTimestamp::default()),
    };
    Ok(attr::SetAttr {
        valid,
        mode: change.mode.unwrap_or(0),
        uid: change.uid.unwrap_or(0),
        gid: change.gid.unwrap_or(0),
        size: change.size.unwrap_or(0),
        atime: time(change.atime)?,
        mtime: time(change.mtime)?,
    })
}
