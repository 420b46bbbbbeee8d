//! A container: a first process, what it is limited to, and the namespaces that `exec` enters.

use abi::wait::WaitStatus;
use sync::Mutex;

use crate::lock_order::Leaf;

/// A container of the sandbox.
#[derive(Debug)]
pub struct Container {
    /// Its id.
    pub id: String,
    state: Mutex<State, Leaf>,
}

#[derive(Debug)]
struct State {
    /// How its first process ended.
    exit: Option<WaitStatus>,
}

impl Container {
    /// How its first process ended; `None` while it lives.
    #[must_use]
    pub fn exit_status(&self) -> Option<WaitStatus> {
        self.state.lock().exit
    }
}
