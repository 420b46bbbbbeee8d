//! mmap(2) and munmap(2).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use abi::limits::MAX_MAP_COUNT;
use abi::{Errno, PAGE_SHIFT, PAGE_SIZE, UserAddr, UserRange};
use platform::Prot;

use super::change::Change;
use super::layout::{self, STACK_GUARD_GAP};
use super::mappable::{Mappable, Registration};
use super::vma::{Object, Vma, VmaFlags, VmaName};
use super::{MemoryManager, SharedMemory};
use crate::error::{Result, err};
use crate::vfs::File;

/// What to map where.
#[derive(Debug)]
pub struct MapRequest {
    /// Where, or near where.
    pub addr: UserAddr,
    /// Bytes; rounded up to pages.
    pub len: u64,
    /// How `addr` is meant.
    pub placement: Placement,
    /// What the application may do.
    pub prot: Prot,
    /// What mprotect(2) may allow later.
    pub max: Prot,
    /// SHARED, GROWSDOWN, NORESERVE, LOCKED, SPECIAL.
    pub flags: VmaFlags,
    /// What is mapped.
    pub source: MapSource,
    /// MAP_POPULATE: all of it is there at once.
    pub populate: bool,
    /// May lock more than RLIMIT_MEMLOCK (CAP_IPC_LOCK).
    pub may_lock: bool,
    /// A name of its own.
    pub name: Option<VmaName>,
}

/// How the address of a request is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// If it is free.
    Hint,
    /// In the low 2 GiB (MAP_32BIT).
    Low,
    /// There, over what is there (MAP_FIXED).
    Fixed,
    /// There, if it is free (MAP_FIXED_NOREPLACE).
    FixedNoReplace,
}

/// What is mapped.
#[derive(Debug)]
pub enum MapSource {
    /// Zeroes.
    Anonymous,
    /// An object from `offset` (page aligned) on.
    Object {
        /// The data.
        object: Arc<dyn Mappable>,
        /// The file it was reached through, for /proc/PID/maps and msync(2).
        file: Option<Arc<File>>,
        /// Where in it.
        offset: u64,
    },
}

impl MapRequest {
    /// Private anonymous memory at an address of our choice; the start for other requests.
    #[must_use]
    pub fn anonymous(len: u64, prot: Prot) -> Self {
        Self {
            addr: UserAddr::NULL,
            len,
            placement: Placement::Hint,
            prot,
            max: Prot { read: true, write: true, exec: true },
            flags: VmaFlags::empty(),
            source: MapSource::Anonymous,
            populate: false,
            may_lock: false,
            name: None,
        }
    }

    /// The same at a fixed address.
    #[must_use]
    pub fn fixed_at(self, addr: UserAddr) -> Self {
        Self { addr, placement: Placement::Fixed, ..self }
    }
}

impl MemoryManager {
    /// mmap(2). Returns where it is.
    pub fn map(&self, request: MapRequest) -> Result<UserAddr> {
        self.change(|change| change.map(request))
    }

    /// munmap(2).
    pub fn unmap(&self, addr: UserAddr, len: u64) -> Result<()> {
        if !addr.is_page_aligned() || len == 0 {
            return err(Errno::EINVAL);
        }
        self.change(|change| {
            let range = change.user_range(addr, len, Errno::EINVAL)?;
            change.unmap(range)
        })
    }
}

impl MemoryManager {
    /// shmdt(2): unmaps the System V segment whose first byte is mapped at `addr`, and whatever of it is mapped behind that
    /// where it was attached. EINVAL if none is.
    pub fn unmap_segment(&self, addr: UserAddr) -> Result<()> {
        self.change(|change| {
            let mut found: Option<(Arc<dyn Mappable>, u64)> = None;
            let mut parts = Vec::new();
            for vma in change.space.vmas.upwards(addr) {
                let Some((object, offset)) = vma.object_at(vma.range.start) else { continue };
                let Some(len) = object.segment_len() else { continue };
                // Where it would begin if all of it were mapped.
                let fits = vma.range.start.0.checked_sub(offset) == Some(addr.0);
                match &found {
                    None if fits => found = Some((Arc::clone(object), len)),
                    Some((own, _)) if fits && Arc::ptr_eq(own, object) => {}
                    Some((_, len)) if vma.range.start.0 - addr.0 >= *len => break,
                    _ => continue,
                }
                parts.push(vma.range);
            }
            if parts.is_empty() {
                return err(Errno::EINVAL);
            }
            parts.into_iter().try_for_each(|range| change.unmap(range))
        })
    }
}

impl Change<'_> {
    /// `len` bytes at `addr`, rounded up to pages; `errno` if they leave what an application may use.
    pub(super) fn user_range(&self, addr: UserAddr, len: u64, errno: Errno) -> Result<UserRange> {
        let range = len
            .checked_next_multiple_of(PAGE_SIZE)
            .and_then(|len| UserRange::new(addr, len).ok())
            .filter(|range| range.end <= self.space.layout.user.end);
        range.ok_or_else(|| errno.into())
    }

    pub(super) fn map(&mut self, request: MapRequest) -> Result<UserAddr> {
        if request.len == 0 {
            return err(Errno::EINVAL);
        }
        let len = request.len.checked_next_multiple_of(PAGE_SIZE).ok_or(Errno::ENOMEM)?;
        let range = self.place(request.addr, len, request.placement)?;
        let object = self.object(&request, len)?;
        let vma = Vma {
            range,
            prot: request.prot,
            max: request.max,
            flags: request.flags | self.space.future,
            object,
            name: request.name,
        };
        self.check_limits(&vma, request.may_lock)?;
        if request.placement == Placement::Fixed {
            self.unmap(range)?;
        }
        let locked = vma.flags.contains(VmaFlags::LOCKED) && !vma.flags.contains(VmaFlags::LOCKONFAULT);
        self.insert_area(vma);
        self.back(range)?;
        if request.populate || locked {
            self.populate(range);
        }
        Ok(range.start)
    }

    /// Decides where a mapping of `len` bytes goes.
    pub(super) fn place(&mut self, addr: UserAddr, len: u64, placement: Placement) -> Result<UserRange> {
        let user = self.space.layout.user;
        if len > user.len() {
            return err(Errno::ENOMEM);
        }
        match placement {
            Placement::Fixed | Placement::FixedNoReplace => {
                if !addr.is_page_aligned() {
                    return err(Errno::EINVAL);
                }
                let range = self.user_range(addr, len, Errno::ENOMEM)?;
                if range.start < user.start {
                    return err(Errno::EPERM);
                }
                self.make_way(range);
                if placement == Placement::FixedNoReplace && self.space.vmas.touching(range).next().is_some() {
                    return err(Errno::EEXIST);
                }
                Ok(range)
            }
            Placement::Hint | Placement::Low => {
                // Linux rounds a hint down, and one below mmap_min_addr up.
                let hint = addr.page_down();
                if !hint.is_null() {
                    let wanted = UserRange::new(hint.max(user.start), len).ok();
                    if let Some(range) = wanted.filter(|r| user.contains_range(*r) && self.is_free(*r)) {
                        return Ok(range);
                    }
                }
                let (vmas, layout) = (&self.space.vmas, &self.space.layout);
                let low = placement == Placement::Low;
                layout::find_free(vmas, layout, &mut self.space.gaps, len, low).ok_or_else(|| Errno::ENOMEM.into())
            }
        }
    }

    /// Whether nothing is in `range`, nor in the guard gap of a stack.
    pub(super) fn is_free(&self, range: UserRange) -> bool {
        layout::is_free(&self.space.vmas, range)
    }

    fn object(&self, request: &MapRequest, len: u64) -> Result<Option<Object>> {
        let shared = request.flags.contains(VmaFlags::SHARED);
        let (object, file, offset) = match &request.source {
            MapSource::Anonymous if !shared => return Ok(None),
            MapSource::Anonymous => {
                let memory: Arc<dyn Mappable> = SharedMemory::new(&self.mm.memfile, len)?;
                (memory, None, 0)
            }
            MapSource::Object { object, file, offset } => (Arc::clone(object), file.clone(), *offset),
        };
        if !offset.is_multiple_of(PAGE_SIZE) {
            return err(Errno::EINVAL);
        }
        offset.checked_add(len).filter(|end| i64::try_from(*end).is_ok()).ok_or(Errno::EOVERFLOW)?;
        let may_write = shared && request.max.write;
        let entry = Registration::new(Arc::clone(&object), self.mm.me.clone(), may_write);
        if may_write {
            object.allow_shared_write()?;
        }
        Ok(Some(Object { entry, file, offset }))
    }

    fn check_limits(&self, vma: &Vma, may_lock: bool) -> Result<()> {
        let space = &*self.space;
        if space.vmas.len() >= MAX_MAP_COUNT {
            return err(Errno::ENOMEM);
        }
        let limits = &self.mm.limits;
        let pages = vma.range.len() >> PAGE_SHIFT;
        if vma.flags.contains(VmaFlags::LOCKED) && !may_lock {
            let limit = limits.locked.load(Ordering::Relaxed) / PAGE_SIZE;
            if space.counters.locked.saturating_add(pages) > limit {
                return err(Errno::EAGAIN);
            }
        }
        if !self.may_add(vma, pages) {
            // What is replaced does not count; looked for only when it matters.
            let replaced = self.mapped_pages(vma.range);
            if !self.may_add(vma, pages.saturating_sub(replaced)) {
                return err(Errno::ENOMEM);
            }
        }
        Ok(())
    }

    /// Takes away whatever is in `range`.
    pub(super) fn unmap(&mut self, range: UserRange) -> Result<()> {
        self.check_unsealed(range)?;
        self.make_way(range);
        self.code_goes(range);
        if self.space.vmas.hole_splits(range) && self.space.vmas.len() >= MAX_MAP_COUNT {
            return err(Errno::ENOMEM);
        }
        self.remove_areas(range);
        Ok(())
    }

    /// EPERM if mseal(2) forbids to change an area in `range`.
    pub(super) fn check_unsealed(&self, range: UserRange) -> Result<()> {
        if self.space.vmas.touching(range).any(|vma| vma.flags.contains(VmaFlags::SEALED)) {
            return err(Errno::EPERM);
        }
        Ok(())
    }

    /// Whether a stack may grow down to `to` without coming too near to what is below.
    pub(super) fn gap_below(&self, to: UserAddr) -> bool {
        match self.space.vmas.below(to) {
            Some(below) if below.range.end > to => false,
            Some(below) if !below.flags.contains(VmaFlags::GROWSDOWN) && !below.prot.is_none() => {
                to.0 - below.range.end.0 >= STACK_GUARD_GAP
            }
            _ => true,
        }
    }
}
