//! Settings of the VFS that /proc/sys/fs shows and changes.

use std::sync::atomic::{AtomicU32, Ordering};

/// A number that may be changed while everything runs.
#[derive(Debug)]
pub struct Setting(AtomicU32);

impl Setting {
    const fn new(value: u32) -> Self {
        Self(AtomicU32::new(value))
    }

    /// Its value.
    #[must_use]
    pub fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    /// Changes it.
    pub fn set(&self, value: u32) {
        self.0.store(value, Ordering::Relaxed);
    }
}

/// lease-break-time: how many seconds the holder of a lease has to let go of it.
pub static LEASE_BREAK_TIME: Setting = Setting::new(45);
/// protected_symlinks: links in sticky world-writable directories are followed only by their owner, or where the
/// directory's owner made them.
pub static PROTECTED_SYMLINKS: Setting = Setting::new(0);
/// protected_hardlinks: files of others can be linked only if they could be read and written.
pub static PROTECTED_HARDLINKS: Setting = Setting::new(1);
/// protected_fifos: O_CREAT does not open FIFOs of others in sticky world-writable (2: or group-writable) directories.
pub static PROTECTED_FIFOS: Setting = Setting::new(0);
/// protected_regular: the same for regular files.
pub static PROTECTED_REGULAR: Setting = Setting::new(0);
