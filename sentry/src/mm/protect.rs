//! mprotect(2) and mseal(2).

use abi::limits::MAX_MAP_COUNT;
use abi::{Errno, PAGE_SHIFT, UserAddr, UserRange};
use platform::Prot;

use super::MemoryManager;
use super::accounting::is_data;
use super::change::Change;
use super::vma::{Vma, VmaFlags};
use crate::error::{Result, err};

impl MemoryManager {
    /// mprotect(2). `grows_down` (PROT_GROWSDOWN) extends the change to the start of the stack that holds `addr`.
    pub fn protect(&self, addr: UserAddr, len: u64, prot: Prot, grows_down: bool) -> Result<()> {
        if !addr.is_page_aligned() {
            return err(Errno::EINVAL);
        }
        if len == 0 {
            return Ok(());
        }
        self.change(|change| {
            let mut range = change.user_range(addr, len, Errno::ENOMEM)?;
            if grows_down {
                let vma = change.space.vmas.at_or_above(addr).ok_or(Errno::ENOMEM)?;
                if vma.range.start >= range.end {
                    return err(Errno::ENOMEM);
                }
                if !vma.flags.contains(VmaFlags::GROWSDOWN) {
                    return err(Errno::EINVAL);
                }
                range.start = vma.range.start;
            }
            change.protect(range, prot)
        })
    }

    /// mseal(2): forbids to unmap, move or change the protection of areas from now on.
    pub fn seal(&self, addr: UserAddr, len: u64) -> Result<()> {
        if !addr.is_page_aligned() {
            return err(Errno::EINVAL);
        }
        self.change(|change| {
            let range = change.user_range(addr, len, Errno::EINVAL)?;
            if !change.space.vmas.covers(range) {
                return err(Errno::ENOMEM);
            }
            change.update_areas(range, |vma| vma.flags |= VmaFlags::SEALED);
            Ok(())
        })
    }
}

impl Change<'_> {
    fn protect(&mut self, range: UserRange, prot: Prot) -> Result<()> {
        self.check_unsealed(range)?;
        self.make_way(range);
        if prot.write {
            self.code_changes(range);
        }
        if self.space.vmas.len() + 2 > MAX_MAP_COUNT && self.cuts_area(range) {
            return err(Errno::ENOMEM);
        }
        // Linux changes area by area up to the first that it must refuse.
        let areas: Vec<Vma> = self.space.vmas.touching(range).cloned().collect();
        let mut at = range.start;
        let mut result = Ok(());
        for vma in &areas {
            if vma.range.start > at {
                break;
            }
            let Some(part) = vma.range.intersect(range) else { break };
            if let Err(e) = self.protect_area(vma, part, prot) {
                result = Err(e);
                break;
            }
            at = part.end;
        }
        self.batch.bury_areas(areas);
        result?;
        if at < range.end { err(Errno::ENOMEM) } else { Ok(()) }
    }

    fn protect_area(&mut self, vma: &Vma, part: UserRange, prot: Prot) -> Result<()> {
        let beyond = |wanted: bool, allowed: bool| wanted && !allowed;
        if beyond(prot.read, vma.max.read) || beyond(prot.write, vma.max.write) || beyond(prot.exec, vma.max.exec) {
            return err(Errno::EACCES);
        }
        if vma.prot == prot {
            return Ok(());
        }
        let becomes_data = !is_data(vma) && prot.write && !vma.shared();
        if becomes_data {
            let wanted = Vma { prot, ..vma.clone() };
            let pages = part.len() >> PAGE_SHIFT;
            let total = self.space.counters.total;
            self.space.counters.total = total.saturating_sub(pages);
            let fits = self.may_add(&wanted, pages);
            self.space.counters.total = total;
            if !fits {
                return err(Errno::ENOMEM);
            }
        }
        self.update_areas(part, |vma| vma.prot = prot);
        for piece in self.space.pages.split(part) {
            let allowed = piece.allowed(prot);
            if allowed != piece.prot {
                piece.prot = allowed;
                self.batch.protect(piece.range, allowed);
            }
        }
        self.space.pages.join(part);
        if prot.is_none() { Ok(()) } else { self.back(part) }
    }

    fn cuts_area(&self, range: UserRange) -> bool {
        let cut = |at: UserAddr| self.space.vmas.find(at).is_some_and(|vma| vma.range.start < at);
        cut(range.start) || cut(range.end)
    }
}
