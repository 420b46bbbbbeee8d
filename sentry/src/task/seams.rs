//! Stand-ins for what other areas are about to bring. Whoever brings one deletes it here.

use std::sync::Arc;

use abi::UserAddr;
use abi::siginfo::SigInfo;
use platform::{Access, AddressSpace};

use super::CurrentTask;
use crate::error::Result;
use crate::mm::MemoryManager;

impl CurrentTask {
    /// Robust futexes and `clear_child_tid`, at exit and execve.
    pub(super) fn release_futexes(&mut self) {}
}

// `mm`
impl MemoryManager {
    pub fn fork(&self) -> Result<Arc<Self>> {
        todo!()
    }

    pub fn address_space(&self) -> &Arc<dyn AddressSpace> {
        todo!()
    }

    pub fn handle_fault(&self, _: UserAddr, _: Access) -> Result<(), SigInfo> {
        todo!()
    }
}
