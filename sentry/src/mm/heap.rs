//! brk(2).

use std::sync::atomic::Ordering;

use abi::{PAGE_SIZE, UserAddr, UserRange};
use platform::Prot;

use super::MemoryManager;
use super::change::Change;
use super::map::{MapRequest, Placement};
use crate::error::Result;

impl MemoryManager {
    /// brk(2): moves the end of the heap to `to` if that is possible; returns where it is.
    pub fn brk(&self, to: UserAddr) -> UserAddr {
        let moved = self.change(|change| change.brk(to));
        moved.unwrap_or_else(|_| self.space.read().info.brk)
    }

    /// Sets where the heap starts; it is empty. The loader's part of execve(2).
    pub fn set_heap(&self, start: UserAddr) {
        let mut space = self.space.write();
        space.info.start_brk = start;
        space.info.brk = start;
    }
}

impl Change<'_> {
    fn brk(&mut self, to: UserAddr) -> Result<UserAddr> {
        let info = &self.space.info;
        let (start, now) = (info.start_brk, info.brk);
        let data = info.end_data.0 - info.start_data.0;
        let limit = self.mm.limits.data.load(Ordering::Relaxed);
        if to < start || (to.0 - start.0).saturating_add(data) > limit {
            return Ok(now);
        }
        let Some((old, new)) = now.page_up().zip(to.page_up()) else { return Ok(now) };
        if new < old {
            self.unmap(UserRange::between(new, old))?;
        } else if old < new {
            let range = UserRange::between(old, new);
            // A page stays free between the heap and the next mapping.
            let guarded = UserRange::new(old, range.len() + PAGE_SIZE)?;
            self.make_way(guarded);
            if !self.space.layout.user.contains_range(range) || !self.is_free(guarded) {
                return Ok(now);
            }
            let exec = self.space.info.heap_exec;
            let request = MapRequest::anonymous(range.len(), Prot { read: true, write: true, exec });
            self.map(MapRequest { addr: old, placement: Placement::FixedNoReplace, ..request })?;
        }
        self.space.info.brk = to;
        Ok(to)
    }
}
