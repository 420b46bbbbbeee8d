//! What only the task's own thread touches of its signals.

use std::fmt;

use abi::sched::CloneFlags;
use abi::signal::{SigSet, Stack};

use super::arch::FaultRegs;
use crate::error::SysResult;
use crate::task::CurrentTask;

/// How restart_syscall(2) continues a call that a signal interrupted and no handler ran for.
pub type RestartBlock = Box<dyn FnOnce(&mut CurrentTask) -> SysResult + Send>;

/// Alternate stack, saved mask, restart block, last fault.
pub struct CurrentSignals {
    /// sigaltstack(2).
    pub(super) altstack: Stack,
    /// The mask to come back to when a call that replaced it for its duration is over.
    pub(super) saved_mask: Option<SigSet>,
    pub(super) restart: Option<RestartBlock>,
    pub(super) fault: FaultRegs,
}

impl Default for CurrentSignals {
    fn default() -> Self {
        Self { altstack: Stack::DISABLED, saved_mask: None, restart: None, fault: FaultRegs::default() }
    }
}

impl CurrentSignals {
    /// For a new task: the alternate stack is kept unless parent and child run at the same time in one address space.
    #[must_use]
    pub fn for_clone(&self, flags: CloneFlags) -> Self {
        let shares = (flags & (CloneFlags::CLONE_VM | CloneFlags::CLONE_VFORK)) == CloneFlags::CLONE_VM;
        Self { altstack: if shares { Stack::DISABLED } else { self.altstack }, ..Self::default() }
    }

    /// execve(2): no alternate stack.
    pub fn exec(&mut self) {
        self.altstack = Stack::DISABLED;
        self.restart = None;
    }
}

impl fmt::Debug for CurrentSignals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CurrentSignals")
            .field("altstack", &self.altstack)
            .field("saved_mask", &self.saved_mask)
            .finish()
    }
}

impl CurrentTask {
    /// Says how restart_syscall(2) goes on; the call then returns [`crate::error::Restart::Block`].
    pub fn set_restart_block(&mut self, block: RestartBlock) {
        self.own_signals.restart = Some(block);
    }

    /// restart_syscall(2).
    pub fn restart_syscall(&mut self) -> SysResult {
        match self.own_signals.restart.take() {
            Some(block) => block(self),
            None => Err(abi::Errno::EINTR.into()),
        }
    }
}
