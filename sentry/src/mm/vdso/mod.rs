//! The vDSO: code and data in every address space that answer clock_gettime(2), gettimeofday(2), time(2), clock_getres(2)
//! and getcpu(2) without a call.
//!
//! Two pages of shared memory: the first holds parameters, is readable by all and written by us alone; the second is a
//! small ELF image (`image`) around the code of [`host::vdso`]. `clock` finds the parameters: how the clocks of the host
//! follow from the time stamp counter. Until they are known, and where the counter cannot be trusted, the code makes the
//! system call.
//!
//! Locks: `Leaf`, while parameters are computed.

mod clock;
mod image;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use abi::{PAGE_SIZE, UserAddr};
use platform::Prot;
use sync::Mutex;

use self::clock::{Keeper, Parameters};
use super::memfile::MemFile;
use super::{MapRequest, MapSource, Mappable, MemoryManager, Placement, SharedMemory, VmaFlags, VmaName};
use crate::error::Result;
use crate::lock_order::Leaf;

/// The vDSO of a sandbox.
#[derive(Debug)]
pub struct Vdso {
    memory: Arc<SharedMemory>,
    image_len: u64,
    cpus: u32,
    /// The time stamp counter at which the parameters should be looked at again.
    due: AtomicU64,
    keeper: Mutex<Keeper, Leaf>,
}

impl Vdso {
    /// Makes it for a sandbox whose applications count `cpus` CPUs. Its clocks work without a call from the second
    /// [`Self::refresh`] on.
    pub fn new(memfile: &Arc<MemFile>, cpus: usize) -> Result<Self> {
        let image = image::build(host::vdso::text(), host::vdso::TEXT_OFFSET, &host::vdso::functions());
        let image_len = (image.len() as u64).next_multiple_of(PAGE_SIZE);
        let memory = SharedMemory::new(memfile, PAGE_SIZE + image_len)?;
        memory.range().slice(PAGE_SIZE, image.len()).write(&image)?;
        let keeper = Keeper::new();
        let due = AtomicU64::new(keeper.due());
        let cpus = u32::try_from(cpus.max(1)).unwrap_or(u32::MAX);
        let vdso = Self { memory, image_len, cpus, due, keeper: Mutex::new(keeper) };
        vdso.publish(None)?;
        Ok(vdso)
    }

    /// Makes one whose code always makes the call: for time namespaces with offsets.
    pub fn calling(memfile: &Arc<MemFile>, cpus: usize) -> Result<Self> {
        let vdso = Self::new(memfile, cpus)?;
        *vdso.keeper.lock() = Keeper::never();
        vdso.due.store(u64::MAX, Ordering::Relaxed);
        Ok(vdso)
    }

    /// Looks at the host's clocks again if it is time to. Called wherever the kernel runs anyway, so that no timer wakes a
    /// sandbox that sleeps; usually one look at the counter.
    #[inline]
    pub fn refresh(&self) {
        if host::tsc::now() >= self.due.load(Ordering::Relaxed) {
            self.refresh_now();
        }
    }

    #[cold]
    fn refresh_now(&self) {
        let mut keeper = self.keeper.lock();
        if host::tsc::now() >= keeper.due() {
            let parameters = keeper.update();
            self.due.store(keeper.due(), Ordering::Relaxed);
            // The page is our own memory.
            let _ = self.publish(parameters.as_ref());
        }
    }

    /// Writes the page of parameters; readers see all of it or try again.
    fn publish(&self, parameters: Option<&Parameters>) -> Result<()> {
        let mut page = vec![0u8; host::vdso::CLOCKS_OFFSET + (host::vdso::MAX_CLOCK + 1) * host::vdso::CLOCK_SIZE];
        let mut put = |at: usize, bytes: &[u8]| page[at..at + bytes.len()].copy_from_slice(bytes);
        put(16, &self.cpus.to_ne_bytes());
        put(20, &1u32.to_ne_bytes());
        if let Some(parameters) = parameters {
            put(4, &1u32.to_ne_bytes());
            put(8, &parameters.tsc.to_ne_bytes());
            for clock in &parameters.clocks {
                let at = host::vdso::CLOCKS_OFFSET + clock.id * host::vdso::CLOCK_SIZE;
                let words = [clock.sec, clock.nsec, clock.rate, 1];
                words.iter().enumerate().for_each(|(n, word)| put(at + n * 8, &word.to_ne_bytes()));
            }
        }
        let range = self.memory.range();
        // Stores of one thread are seen in order; the sequence is written apart from the rest.
        let sequence = range.slice(0, 4);
        sequence.fetch_update_u32(|n| n | 1)?;
        range.slice(4, page.len()).write(&page[4..])?;
        sequence.fetch_update_u32(|n| n.wrapping_add(1))?;
        Ok(())
    }

    /// Maps it into a new address space, near `above` if there is room; returns where its image is (AT_SYSINFO_EHDR).
    pub fn map(&self, mm: &MemoryManager, above: UserAddr) -> Result<UserAddr> {
        let len = PAGE_SIZE + self.image_len;
        let hint = above.page_up().unwrap_or(UserAddr::NULL);
        let at = mm.map(MapRequest { addr: hint, ..MapRequest::anonymous(len, Prot::NONE) })?;
        let image_at = at.checked_add(PAGE_SIZE)?;
        let all = Prot { read: true, write: true, exec: true };
        mm.map(self.part(at, 0, PAGE_SIZE, Prot::READ, Prot::READ, "[vvar]"))?;
        mm.map(self.part(image_at, PAGE_SIZE, self.image_len, Prot::READ_EXEC, all, "[vdso]"))?;
        Ok(image_at)
    }

    /// Makes the code that is mapped in an address space follow this one's parameters.
    pub fn replace(&self, mm: &MemoryManager) -> Result<()> {
        let image_at = mm.info().vdso;
        let at = UserAddr(image_at.0.saturating_sub(PAGE_SIZE));
        // The application may have unmapped it.
        if image_at.is_null() || !mm.is_special(at, "[vvar]") {
            return Ok(());
        }
        mm.map(self.part(at, 0, PAGE_SIZE, Prot::READ, Prot::READ, "[vvar]")).map(|_| ())
    }

    fn part(&self, addr: UserAddr, offset: u64, len: u64, prot: Prot, max: Prot, name: &'static str) -> MapRequest {
        let object: Arc<dyn Mappable> = self.memory.clone();
        MapRequest {
            addr,
            placement: Placement::Fixed,
            max,
            flags: VmaFlags::SPECIAL | VmaFlags::DONTDUMP,
            source: MapSource::Object { object, file: None, offset },
            name: Some(VmaName::Special(name)),
            ..MapRequest::anonymous(len, prot)
        }
    }
}

#[cfg(test)]
mod tests;
