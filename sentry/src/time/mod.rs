//! Clocks and timers.

/// The clocks of the sandbox.
#[derive(Debug)]
pub struct Clocks {}

impl Clocks {
    /// CLOCK_REALTIME.
    #[must_use]
    pub fn realtime(&self) -> abi::time::Timespec {
        abi::time::Timespec::default()
    }
}
