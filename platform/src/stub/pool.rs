//! Stub processes with nothing in them, ready for the next fork or exec.

use std::fmt::Debug;
use std::sync::Arc;

use parking_lot::Mutex;

use super::commands::CommandPage;
use super::zygote::Zygote;
use crate::traits::PlatformError;

/// How many are prepared in advance.
const READY: usize = 2;
/// How many are kept when address spaces go away.
const KEPT: usize = 16;

/// A platform's idea of a stub process.
pub(crate) trait StubProcess: Debug + Sized {
    /// What it is made from.
    type Plan: Debug;

    /// Takes over the process that the zygote made.
    fn adopt(pid: i32, page: CommandPage, plan: Self::Plan) -> Result<Self, PlatformError>;

    /// Makes it fit for the next application, when it was emptied. False if it cannot be.
    fn recycle(&self) -> bool;
}

/// What a new stub process finds in its command page, and what its owner remembers of that.
pub(crate) trait Planner: Debug + Send + Sync {
    type Process: StubProcess;

    /// Fills in the page.
    fn plan(&self, page: &CommandPage) -> Result<<Self::Process as StubProcess>::Plan, PlatformError>;
}

#[derive(Debug)]
pub(crate) struct Pool<P: Planner> {
    planner: P,
    state: Mutex<State<P::Process>>,
}

#[derive(Debug)]
struct State<S: StubProcess> {
    ready: Vec<Arc<S>>,
    zygote: Zygote<S::Plan>,
}

impl<P: Planner> Pool<P> {
    /// Starts the zygote, whose stubs run `text`.
    pub(crate) fn new(planner: P, text: &[u8]) -> Result<Self, PlatformError> {
        let pool = Self { planner, state: Mutex::new(State { ready: Vec::new(), zygote: Zygote::new(text)? }) };
        pool.prepare(&mut pool.state.lock())?;
        Ok(pool)
    }

    /// An empty process, which is made now if none is ready.
    pub(crate) fn take(&self) -> Result<Arc<P::Process>, PlatformError> {
        let mut state = self.state.lock();
        loop {
            while let Some(made) = state.zygote.collect() {
                let (pid, page, plan) = made?;
                let process = P::Process::adopt(pid, page, plan)?;
                // The last to be taken: it may have to wait until it is up.
                state.ready.insert(0, Arc::new(process));
            }
            let taken = state.ready.pop();
            // The caller's own need comes first, and what it will need next is made while it runs.
            let prepared = self.prepare(&mut state);
            match taken {
                Some(process) => return Ok(process),
                None => prepared?,
            }
            state.zygote.wait()?;
        }
    }

    /// Takes back a process that nobody uses any more and that was emptied.
    pub(crate) fn give(&self, process: Arc<P::Process>) {
        let mut state = self.state.lock();
        if state.ready.len() < KEPT && process.recycle() {
            state.ready.push(process);
        }
    }

    fn prepare(&self, state: &mut State<P::Process>) -> Result<(), PlatformError> {
        while state.ready.len() + state.zygote.outstanding() < READY {
            state.zygote.request(|page| self.planner.plan(page))?;
        }
        Ok(())
    }
}
