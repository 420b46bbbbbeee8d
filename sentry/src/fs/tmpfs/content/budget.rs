//! How many pages the files of one instance may use.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use abi::Errno;

use crate::error::{Result, err};

/// How many pages a file system may use, and uses.
#[derive(Debug)]
pub struct Budget {
    max: AtomicU64,
    used: AtomicU64,
}

impl Budget {
    /// A budget of `max` pages.
    #[must_use]
    pub fn new(max: u64) -> Arc<Self> {
        Arc::new(Self { max: AtomicU64::new(max), used: AtomicU64::new(0) })
    }

    /// Pages that may be used.
    #[must_use]
    pub fn max(&self) -> u64 {
        self.max.load(Ordering::Relaxed)
    }

    /// Pages that are used.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Changes the limit (remounting). EINVAL below what is used.
    pub fn set_max(&self, max: u64) -> Result<()> {
        if max < self.used() {
            return err(Errno::EINVAL);
        }
        self.max.store(max, Ordering::Relaxed);
        Ok(())
    }

    pub(super) fn charge(&self, pages: u64) -> Result<()> {
        let max = self.max();
        let fits = |used: u64| used.checked_add(pages).filter(|new| *new <= max);
        match self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits) {
            Ok(_) => Ok(()),
            Err(_) => err(Errno::ENOSPC),
        }
    }

    pub(super) fn release(&self, pages: u64) {
        self.used.fetch_sub(pages, Ordering::Relaxed);
    }
}
