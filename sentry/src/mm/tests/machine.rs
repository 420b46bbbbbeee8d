//! A platform that keeps a page table of its own and plays the CPU: what the application would see.

#![expect(clippy::disallowed_types, reason = "taken under locks of every level, and nothing under it")]

use std::any::Any;
use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex};

use abi::{PAGE_SIZE, UserAddr, UserRange};
use host::mem::HostSlice;
use platform::{Access, AddressSpace, Context, MapOp, Platform, PlatformError, Prot};

use crate::mm::{FaultHistory, FaultSignal, Layout, MemLimits, MemoryManager, Randomness, memfile::MemFile};

#[derive(Debug)]
pub(crate) struct Machine;

#[derive(Debug, Default)]
pub(super) struct PageTable {
    pages: Mutex<BTreeMap<u64, (Arc<OwnedFd>, u64, Prot)>>,
}

impl Platform for Machine {
    fn name(&self) -> &'static str {
        "machine"
    }
    fn new_address_space(&self) -> Result<Arc<dyn AddressSpace>, PlatformError> {
        Ok(Arc::new(PageTable::default()))
    }
    fn new_context(&self) -> Result<Box<dyn Context>, PlatformError> {
        Err(PlatformError::Unavailable("no code runs here".into()))
    }
    fn user_range(&self) -> UserRange {
        UserRange::between(UserAddr(PAGE_SIZE), UserAddr(abi::TASK_SIZE))
    }
}

impl AddressSpace for PageTable {
    fn update(&self, ops: &[MapOp<'_>]) -> Result<(), PlatformError> {
        let mut pages = self.pages.lock().expect("not poisoned");
        for op in ops {
            match op {
                MapOp::Map { at, len, file, offset, prot } => {
                    assert!(len % PAGE_SIZE == 0 && *len > 0 && offset % PAGE_SIZE == 0);
                    for page in 0..len / PAGE_SIZE {
                        let entry = (Arc::clone(file), offset + page * PAGE_SIZE, *prot);
                        pages.insert(at.0 + page * PAGE_SIZE, entry);
                    }
                }
                MapOp::Unmap(range) => pages.retain(|page, _| !range.contains(UserAddr(*page))),
                MapOp::Protect(range, prot) => {
                    pages.range_mut(range.start.0..range.end.0).for_each(|(_, entry)| entry.2 = *prot);
                }
            }
        }
        Ok(())
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

pub(crate) fn memfile() -> Arc<MemFile> {
    MemFile::new(1 << 30).expect("a memory file")
}

pub(crate) fn space(memfile: &Arc<MemFile>) -> Arc<MemoryManager> {
    let layout = Layout::new(Machine.user_range(), 8 << 20, false, &Randomness::default());
    MemoryManager::new(Arc::new(Machine), Arc::clone(memfile), layout, MemLimits::default()).expect("a space")
}

/// Makes an access as the CPU does, until it succeeds or ends in a signal. `access` is what the platform tells.
fn touch(
    mm: &MemoryManager,
    addr: UserAddr,
    write: bool,
    access: Access,
    act: impl Fn(&OwnedFd, u64),
) -> Result<(), FaultSignal> {
    let table: &PageTable = mm.address_space().as_any().downcast_ref().expect("the platform is ours");
    let mut history = FaultHistory::default();
    for _ in 0..6 {
        let entry = table.pages.lock().expect("not poisoned").get(&addr.page_down().0).cloned();
        if let Some((file, offset, prot)) = entry
            && (if write { prot.write } else { prot.read })
        {
            act(&file, offset + addr.page_offset());
            return Ok(());
        }
        mm.handle_fault(addr, access, &mut history)?;
    }
    panic!("a fault at {addr:?} that never ends");
}

pub(super) fn load(mm: &MemoryManager, addr: UserAddr, known: bool) -> Result<u8, FaultSignal> {
    let mut byte = [0];
    let value = std::cell::Cell::new(0);
    touch(mm, addr, false, if known { Access::Read } else { Access::Unknown }, |file, offset| {
        let mut byte = byte;
        HostSlice::from_mut(&mut byte).read_fd(file.as_fd(), Some(offset)).expect("a mapped page is there");
        value.set(byte[0]);
    })?;
    byte[0] = value.get();
    Ok(byte[0])
}

pub(super) fn store(mm: &MemoryManager, addr: UserAddr, value: u8, known: bool) -> Result<(), FaultSignal> {
    touch(mm, addr, true, if known { Access::Write } else { Access::Unknown }, |file, offset| {
        HostSlice::from_ref(&[value]).write_fd(file.as_fd(), Some(offset)).expect("a mapped page is there");
    })
}
