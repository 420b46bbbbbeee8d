//! How much CPU time application code has used.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

/// Reads the CPU time that the application code of one context has used since the context was made, whichever stubs or
/// virtual CPUs ran it. Cheap to clone, readable from any thread, never going back.
#[derive(Clone, Default)]
pub struct CpuMeter(Option<Arc<dyn Fn() -> Duration + Send + Sync>>);

impl CpuMeter {
    /// A meter that asks `read`.
    #[must_use]
    pub fn new(read: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(read)))
    }

    /// The time so far; zero where the platform cannot tell.
    #[must_use]
    pub fn read(&self) -> Duration {
        self.0.as_ref().map_or(Duration::ZERO, |read| read())
    }
}

impl Debug for CpuMeter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CpuMeter({:?})", self.read())
    }
}
