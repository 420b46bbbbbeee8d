//! Guest memory: windows of the memory file and of donated files.
//!
//! A window is an aligned piece of a file, mapped here and made guest memory in a slot of its own. It serves all address
//! spaces that map something of it, and goes when it was idle for a while. What a guest reaches of it is what page tables
//! say.
//!
//! Locks: the list of windows, under which the machine's slots are changed.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Weak};

use abi::Errno;
use host::mapping::Mapping;
use kvm_bindings::{KVM_MEM_READONLY, kvm_userspace_memory_region};
use kvm_ioctls::VmFd;
use parking_lot::Mutex;

use crate::stub::host_error;
use crate::traits::PlatformError;

/// Slots of page tables start here; there are at most 256.
pub(super) const FIRST_TABLE: u32 = 0;
/// A slot that is made and removed to have the machine drop all shadows.
const DUMMY: u32 = 256;
const FIRST_WINDOW: u32 = 257;
/// Guest addresses of windows begin here. Below are tables and the dummy.
const FIRST_GUEST: u64 = 1 << 32;
const DUMMY_GUEST: u64 = 1 << 31;

/// Windows are as large as a power of two, and aligned so in their file.
const SMALLEST: u32 = 16;
const LARGEST: u32 = 26;
/// So many windows that nobody uses are kept, for whoever maps the same file next.
const MAX_IDLE: usize = 64;

/// What a slot holds.
#[derive(Debug)]
pub(super) struct Region {
    pub(super) guest: u64,
    pub(super) len: u64,
    /// Where it is in this process, where it must stay until the slot is changed.
    pub(super) address: u64,
    pub(super) read_only: bool,
}

/// A piece of a file that is guest memory.
#[derive(Debug)]
pub(super) struct Window {
    /// Its guest address.
    pub(super) guest: u64,
    /// Where it begins in its file.
    pub(super) offset: u64,
    pub(super) mapping: Mapping,
    slot: u32,
}

impl Window {
    pub(super) fn len(&self) -> u64 {
        self.mapping.len() as u64
    }

    pub(super) fn writable(&self) -> bool {
        self.mapping.writable()
    }
}

/// All windows.
#[derive(Debug)]
pub(super) struct Slots {
    /// Guest addresses end here.
    end: u64,
    limit: u32,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    files: HashMap<usize, File>,
    next_guest: u64,
    next_slot: u32,
    free_slots: Vec<u32>,
    /// Free guest addresses, by the size of window as a power of two.
    free_guest: HashMap<u32, Vec<u64>>,
    windows: usize,
}

/// A file, found by the address of its descriptor's owner; which cannot be another's as long as `owner` is here.
#[derive(Debug)]
struct File {
    owner: Weak<OwnedFd>,
    windows: HashMap<(u32, u64), Arc<Window>>,
}

impl Slots {
    /// For a machine with so many slots, and so many bits in a guest address.
    pub(super) fn new(limit: usize, address_bits: u32) -> Self {
        let state = State {
            files: HashMap::new(),
            next_guest: FIRST_GUEST,
            next_slot: FIRST_WINDOW,
            free_slots: Vec::new(),
            free_guest: HashMap::new(),
            windows: 0,
        };
        // Linux has no more bits of host addresses than this to shadow them.
        let end = 1 << address_bits.clamp(33, 46);
        Self { end, limit: u32::try_from(limit).unwrap_or(u32::MAX), state: Mutex::new(state) }
    }

    /// A window on a piece of a file which begins at `offset` and ends before `end`. It may end earlier than that: at the
    /// next multiple of the largest window.
    pub(super) fn window(
        &self,
        vm: &VmFd,
        file: &Arc<OwnedFd>,
        offset: u64,
        end: u64,
    ) -> Result<Arc<Window>, PlatformError> {
        let last = end.min((offset >> LARGEST) + 1 << LARGEST).max(offset + 1) - 1;
        // The smallest aligned piece that has both ends.
        let size = (64 - (offset ^ last).leading_zeros()).clamp(SMALLEST, LARGEST);
        let mut state = self.state.lock();
        let key = Arc::as_ptr(file).addr();
        if let Some(known) = state.files.get(&key) {
            let found = (size..=LARGEST).find_map(|size| known.windows.get(&(size, offset >> size)));
            if let Some(window) = found {
                return Ok(Arc::clone(window));
            }
        }
        let window = Arc::new(state.make(self, vm, file, size, offset >> size << size)?);
        let entry =
            state.files.entry(key).or_insert_with(|| File { owner: Arc::downgrade(file), windows: HashMap::new() });
        entry.windows.insert((size, offset >> size), Arc::clone(&window));
        Ok(window)
    }

    /// Removes windows that nobody uses, if they are many or their file was closed.
    pub(super) fn tidy(&self, vm: &VmFd) {
        self.state.lock().tidy(vm, MAX_IDLE);
    }
}

impl State {
    fn make(
        &mut self,
        slots: &Slots,
        vm: &VmFd,
        file: &Arc<OwnedFd>,
        size: u32,
        offset: u64,
    ) -> Result<Window, PlatformError> {
        let len = 1_u64 << size;
        if self.windows % 64 == 63 {
            self.tidy(vm, MAX_IDLE);
        }
        let map = |writable| Mapping::new(file.as_fd(), offset, len as usize, writable);
        let mapping = match map(true) {
            Err(Errno::EACCES | Errno::EPERM) => map(false),
            made => made,
        };
        let mapping = mapping.map_err(|errno| host_error("window of a file", errno))?;
        mapping.dont_dump();
        if self.free_slots.is_empty() && self.next_slot >= slots.limit {
            self.tidy(vm, 0);
        }
        let (slot, guest) = self.place(slots, size).ok_or_else(|| host_error("guest memory", Errno::ENOMEM))?;
        let region = Region { guest, len, address: mapping.address(), read_only: !mapping.writable() };
        if let Err(error) = set(vm, slot, region) {
            self.free_slots.push(slot);
            self.free_guest.entry(size).or_default().push(guest);
            return Err(error);
        }
        self.windows += 1;
        Ok(Window { guest, offset, mapping, slot })
    }

    fn place(&mut self, slots: &Slots, size: u32) -> Option<(u32, u64)> {
        let len = 1_u64 << size;
        let aligned = self.next_guest.next_multiple_of(len);
        let reused = self.free_guest.get_mut(&size).and_then(Vec::pop);
        let guest = reused.or_else(|| (aligned + len <= slots.end).then_some(aligned))?;
        let slot = match self.free_slots.pop() {
            Some(slot) => slot,
            None if self.next_slot < slots.limit => {
                self.next_slot += 1;
                self.next_slot - 1
            }
            None => {
                self.free_guest.entry(size).or_default().push(guest);
                return None;
            }
        };
        if reused.is_none() {
            self.next_guest = aligned + len;
        }
        Some((slot, guest))
    }

    fn tidy(&mut self, vm: &VmFd, keep: usize) {
        let idle = |window: &Arc<Window>| Arc::strong_count(window) == 1;
        let all = self.files.values().flat_map(|file| file.windows.values());
        let many = all.filter(|window| idle(window)).count() > keep;
        let mut removed = Vec::new();
        self.files.retain(|_, file| {
            let closed = file.owner.strong_count() == 0;
            if many || closed {
                removed.extend(file.windows.extract_if(|_, window| idle(window)).map(|(_, window)| window));
            }
            !(closed && file.windows.is_empty())
        });
        for window in removed {
            let gone = Region { guest: window.guest, len: 0, address: 0, read_only: false };
            // It is not used again if the host keeps it.
            if set(vm, window.slot, gone).is_ok() {
                self.free_slots.push(window.slot);
                self.free_guest.entry(window.len().trailing_zeros()).or_default().push(window.guest);
                self.windows -= 1;
            } else {
                std::mem::forget(window);
            }
        }
    }
}

/// Has the machine forget everything that it derived from page tables.
pub(super) fn drop_shadows(vm: &VmFd) -> Result<(), PlatformError> {
    // Removing a slot, whichever, drops all shadows of an ordinary machine. The memory is not used: nothing maps it.
    static MEMORY: [u64; 1024] = [0; 1024];
    let address = (MEMORY.as_ptr().addr() as u64).next_multiple_of(abi::PAGE_SIZE);
    set(vm, DUMMY, Region { guest: DUMMY_GUEST, len: abi::PAGE_SIZE, address, read_only: true })?;
    set(vm, DUMMY, Region { guest: DUMMY_GUEST, len: 0, address: 0, read_only: false })
}

/// Sets or (with no length) removes a slot.
pub(super) fn set(vm: &VmFd, slot: u32, region: Region) -> Result<(), PlatformError> {
    let region = kvm_userspace_memory_region {
        slot,
        flags: if region.read_only { KVM_MEM_READONLY } else { 0 },
        guest_phys_addr: region.guest,
        memory_size: region.len,
        userspace_addr: region.address,
    };
    // SAFETY: callers give memory that applications may have: windows of files, page tables, constant zeroes; all of it stays
    // mapped until the slot is removed, and we touch it by atomics and guarded copies only.
    let done = unsafe { vm.set_user_memory_region(region) };
    done.map_err(|error| super::failed("KVM_SET_USER_MEMORY_REGION", &error))
}
