//! Clocks and timers.

/// The clocks of the sandbox.
#[derive(Debug)]
pub struct Clocks {}
