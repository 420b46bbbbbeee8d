//! Character devices: what opening a device node does, by its number. The host's devices are never opened.
//!
//! Terminals register themselves through [`register`]; everything else is here: the memory devices (mem(4), null(4),
//! random(4)).

mod mem;

pub use mem::is_zero;

use std::sync::{Arc, LazyLock};

use abi::Errno;
use abi::fcntl::OpenFlags;
use abi::stat::{major, minor};
use sync::RwLock;

use crate::error::{Result, err};
use crate::lock_order::Leaf;
use crate::task::CurrentTask;
use crate::vfs::FileOps;

/// Opens a device that a driver serves.
pub type OpenDevice = fn(&CurrentTask, minor: u32, OpenFlags) -> Result<Arc<dyn FileOps>>;

/// Drivers by major number.
static DRIVERS: LazyLock<RwLock<Vec<(u32, OpenDevice)>, Leaf>> =
    LazyLock::new(|| RwLock::new(vec![(mem::MAJOR, mem::open)]));

/// Makes `open` serve the character devices of a major number. Called at boot.
pub fn register(major: u32, open: OpenDevice) {
    DRIVERS.write().push((major, open));
}

/// Opens the character device with this number; ENXIO if no driver serves it.
pub fn open(task: &CurrentTask, rdev: u64, flags: OpenFlags) -> Result<Arc<dyn FileOps>> {
    let driver = DRIVERS.read().iter().find(|(number, _)| *number == major(rdev)).map(|(_, open)| *open);
    match driver {
        Some(open) => open(task, minor(rdev), flags),
        None => err(Errno::ENXIO),
    }
}
