//! Empty memories with a parked stub each, ready for the next fork or exec.

use std::sync::Arc;

use parking_lot::Mutex;

use super::memory::Memory;
use super::zygote::Zygote;
use crate::traits::PlatformError;

/// How many are prepared in advance.
const READY: usize = 2;
/// How many are kept when address spaces go away.
const KEPT: usize = 16;

#[derive(Debug)]
pub(super) struct Pool {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    ready: Vec<Arc<Memory>>,
    zygote: Zygote,
}

impl Pool {
    pub(super) fn new() -> Result<Self, PlatformError> {
        let mut state = State { ready: Vec::new(), zygote: Zygote::new()? };
        state.prepare()?;
        Ok(Self { state: Mutex::new(state) })
    }

    /// An empty memory with at least one parked stub, which is made now if none is ready.
    pub(super) fn take(&self) -> Result<Arc<Memory>, PlatformError> {
        let mut state = self.state.lock();
        loop {
            while let Some(made) = state.zygote.collect() {
                let made = made?;
                state.ready.push(made);
            }
            let taken = state.ready.pop();
            // The caller's own need comes first, and what it will need next is made while it runs.
            let prepared = state.prepare();
            match taken {
                Some(memory) => return Ok(memory),
                None => prepared?,
            }
            state.zygote.wait()?;
        }
    }

    /// Takes back a memory that nobody uses any more and that was emptied.
    pub(super) fn give(&self, memory: Arc<Memory>) {
        let mut state = self.state.lock();
        if state.ready.len() < KEPT {
            memory.trim();
            memory.clear_records();
            state.ready.push(memory);
        }
    }
}

impl State {
    fn prepare(&mut self) -> Result<(), PlatformError> {
        while self.ready.len() + (self.zygote.outstanding() as usize) < READY {
            self.zygote.request()?;
        }
        Ok(())
    }
}
