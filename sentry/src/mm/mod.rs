//! Application memory: what is mapped where, and the only way to read or write it.
//!
//! - [`memfile`] holds all bytes; `vma` says what the application asked for, `pages` what is there and how the platform has
//!   it mapped. A piece of `pages` always lies inside one area (of `vma`) or several alike; an area may lack pieces, which
//!   faults then bring.
//! - Operations are methods of `Change`: the locked address space plus a batch of changes for the platform, which are made
//!   all at once before the lock is released. `map`, `unmap`, `protect`, `remap`, `advise`, `heap`, `lock`, `fork` hold one
//!   family each; `back` gives areas their memory, `fault` does so on demand and copies on write.
//! - `rewrite` replaces `syscall` instructions that are used often.
//! - `access` reads and writes application memory, `atomic` does so for futexes, `views` prints it for /proc.
//! - [`vdso`] is the code and data that every program gets to read clocks without a call.
//!
//! Locks: `Mm` (one read-write lock per address space), then those of objects (`Inode` and above), `Mappings`, `MemFile`.

mod access;
mod accounting;
mod advise;
mod atomic;
mod back;
mod batch;
mod change;
mod fault;
mod fork;
mod heap;
mod info;
mod layout;
mod lock;
mod map;
mod mappable;
pub mod memfile;
mod pages;
mod protect;
mod remap;
mod rewrite;
mod shared;
mod sync;
pub mod vdso;
mod views;
mod vma;

pub use access::RemoteAccess;
pub use accounting::{MemLimits, Usage};
pub use atomic::FutexKey;
pub use fault::{FaultHistory, FaultSignal};
pub use info::ProgramInfo;
pub use layout::{Layout, MMAP_MIN_ADDR, Randomness};
pub use map::{MapRequest, MapSource, Placement};
pub use mappable::{Mappable, Mappings, Translation};
pub use shared::SharedMemory;
pub use views::FileView;
pub use vma::{VmaFlags, VmaName};

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use ::sync::RwLock;
use platform::{AddressSpace, Platform};

use self::accounting::Counters;
use self::batch::Batch;
use self::layout::GapCache;
use self::memfile::MemFile;
use self::pages::Pages;
use self::rewrite::Rewrites;
use self::vma::VmaSet;
use crate::error::Result;
use crate::lock_order;

/// One application address space, shared by the tasks that were cloned with CLONE_VM.
pub struct MemoryManager {
    id: u64,
    me: Weak<Self>,
    memfile: Arc<MemFile>,
    platform: Arc<dyn Platform>,
    host: Arc<dyn AddressSpace>,
    limits: MemLimits,
    /// Its contexts of asynchronous I/O.
    pub aio: crate::aio::Contexts,
    space: RwLock<Space, lock_order::Mm>,
}

/// What the lock protects.
#[derive(Debug)]
struct Space {
    vmas: VmaSet,
    pages: Pages,
    layout: Layout,
    gaps: GapCache,
    counters: Counters,
    info: ProgramInfo,
    /// Flags of new areas: LOCKED and LOCKONFAULT after mlockall(2) with MCL_FUTURE.
    future: VmaFlags,
    /// Near which offset of the memory file the next range is asked for.
    near: Option<u64>,
    /// Counts changes of `pages`.
    generation: u64,
    /// Changes that wait until the address space is complete.
    held: Option<Batch>,
    rewrites: Rewrites,
}

impl MemoryManager {
    /// A new, empty address space for a program.
    pub fn new(
        platform: Arc<dyn Platform>,
        memfile: Arc<MemFile>,
        layout: Layout,
        limits: MemLimits,
    ) -> Result<Arc<Self>> {
        let space = Space {
            vmas: VmaSet::default(),
            pages: Pages::default(),
            gaps: GapCache::new(&layout),
            layout,
            counters: Counters::default(),
            info: ProgramInfo::default(),
            future: VmaFlags::empty(),
            near: None,
            generation: 0,
            held: None,
            rewrites: Rewrites::default(),
        };
        Self::with_space(platform, memfile, limits, space)
    }

    fn with_space(
        platform: Arc<dyn Platform>,
        memfile: Arc<MemFile>,
        limits: MemLimits,
        space: Space,
    ) -> Result<Arc<Self>> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let host = platform.new_address_space()?;
        Ok(Arc::new_cyclic(|me| Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            me: me.clone(),
            memfile,
            platform,
            host,
            limits,
            aio: crate::aio::Contexts::default(),
            space: RwLock::new(space),
        }))
    }

    /// The platform's side, to run code in.
    #[must_use]
    pub fn address_space(&self) -> &Arc<dyn AddressSpace> {
        &self.host
    }

    /// Where its memory comes from.
    #[must_use]
    pub fn memfile(&self) -> &Arc<MemFile> {
        &self.memfile
    }

    /// A number that no other address space has.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The limits it keeps; whoever changes the process's limits changes these too.
    #[must_use]
    pub fn limits(&self) -> &MemLimits {
        &self.limits
    }
}

impl fmt::Debug for MemoryManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryManager({})", self.id)
    }
}

#[cfg(test)]
pub(crate) mod tests;
