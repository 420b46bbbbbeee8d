//! What a task's end means for futexes: the words on its robust list are marked, and its clear_child_tid is told.
//!
//! The list is in the application's memory and may be anything.

use abi::UserAddr;
use abi::futex::{FUTEX_OWNER_DIED, FUTEX_TID_MASK, FUTEX_WAITERS, ROBUST_LIST_LIMIT, ROBUST_LIST_PI, RobustListHead};

use crate::error::Result;
use crate::task::CurrentTask;
use crate::user::UserPtr;

impl CurrentTask {
    /// At the end of the task and in execve(2), while the memory is still there.
    pub(crate) fn release_futexes(&mut self) {
        let head = self.robust_list();
        if !head.is_null() {
            self.set_robust_list(UserAddr::NULL);
            // A list that cannot be read ends there, as on Linux.
            let _ = self.walk_robust_list(head);
        }
        self.abandon_pi_futexes();
        self.tell_child_tid();
    }

    fn walk_robust_list(&self, at: UserAddr) -> Result<()> {
        let head: RobustListHead = self.mm().read(UserPtr::new(at))?;
        let mut entry = head.list;
        for _ in 0..ROBUST_LIST_LIMIT {
            if entry & !ROBUST_LIST_PI == at.0 {
                break;
            }
            // Read first: the owner of the memory may free the entry as soon as the futex is released.
            let next = self.mm().read::<u64>(UserPtr::new(UserAddr(entry & !ROBUST_LIST_PI)));
            if entry & !ROBUST_LIST_PI != head.list_op_pending & !ROBUST_LIST_PI {
                self.futex_death(entry, head.futex_offset, false)?;
            }
            entry = next?;
        }
        if head.list_op_pending & !ROBUST_LIST_PI != 0 {
            self.futex_death(head.list_op_pending, head.futex_offset, true)?;
        }
        Ok(())
    }

    /// Marks a futex that the task held, and wakes one who waits for it.
    fn futex_death(&self, entry: u64, offset: i64, pending: bool) -> Result<()> {
        let is_pi = entry & ROBUST_LIST_PI != 0;
        let addr = UserAddr((entry & !ROBUST_LIST_PI).wrapping_add_signed(offset));
        let tid = self.tid().unsigned_abs();
        let mm = self.mm();
        loop {
            let value = mm.load_u32(addr)?;
            if pending && !is_pi && value == 0 {
                // Unlocked, but nobody was woken yet.
                return self.wake_one(addr);
            }
            if value & FUTEX_TID_MASK != tid {
                return Ok(());
            }
            let new = value & FUTEX_WAITERS | FUTEX_OWNER_DIED;
            if mm.compare_exchange_u32(addr, value, new)? != value {
                continue;
            }
            if !is_pi && value & FUTEX_WAITERS != 0 {
                self.wake_one(addr)?;
            }
            return Ok(());
        }
    }

    /// CLONE_CHILD_CLEARTID: what pthread_join(3) waits for.
    fn tell_child_tid(&mut self) {
        let addr = self.clear_child_tid();
        if addr.is_null() {
            return;
        }
        self.set_clear_child_tid(UserAddr::NULL);
        if self.mm().write(UserPtr::new(addr), &0u32).is_ok() {
            let _ = self.wake_one(addr);
        }
    }

    fn wake_one(&self, addr: UserAddr) -> Result<()> {
        let key = self.futex_key(addr, true)?;
        self.kernel().futexes.wake(key, u32::MAX, 1).map(|_| ())
    }
}
