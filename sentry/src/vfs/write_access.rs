//! Who writes to a regular file, and who forbids it: a program that runs cannot be written (ETXTBSY), a file that is open
//! for writing cannot be run.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use abi::Errno;

use super::Inode;
use crate::error::{Result, err};

/// The attachment: positive, how many write; negative, how many forbid it.
#[derive(Debug, Default)]
struct Count(AtomicI32);

/// A claim to write to a file; given up when dropped.
#[derive(Debug)]
pub struct WriteAccess(Arc<Count>);

/// Forbids writing to a file until it is dropped (the programs and interpreters that are running).
#[derive(Debug)]
pub struct DenyWrite(Arc<Count>);

impl WriteAccess {
    /// ETXTBSY if the file is being executed.
    pub fn claim(inode: &dyn Inode) -> Result<Self> {
        let count = inode.attachments().get_or_insert(Count::default);
        match step(&count.0, |n| (n >= 0).then_some(n + 1)) {
            true => Ok(Self(count)),
            false => err(Errno::ETXTBSY),
        }
    }
}

impl DenyWrite {
    /// ETXTBSY if the file is open for writing.
    pub fn claim(inode: &dyn Inode) -> Result<Self> {
        let count = inode.attachments().get_or_insert(Count::default);
        match step(&count.0, |n| (n <= 0).then_some(n - 1)) {
            true => Ok(Self(count)),
            false => err(Errno::ETXTBSY),
        }
    }
}

/// How many have the file open for writing.
#[must_use]
pub fn writers(inode: &dyn Inode) -> u32 {
    inode.attachments().get::<Count>().map_or(0, |count| u32::try_from(count.0.load(Ordering::SeqCst)).unwrap_or(0))
}

fn step(count: &AtomicI32, to: impl Fn(i32) -> Option<i32>) -> bool {
    count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, to).is_ok()
}

impl Clone for DenyWrite {
    fn clone(&self) -> Self {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
        Self(Arc::clone(&self.0))
    }
}

impl Drop for WriteAccess {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for DenyWrite {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Ordering::SeqCst);
    }
}
