//! Calls about clocks, sleep and timers.

pub(crate) mod adjust;
pub(crate) mod clock;
pub(crate) mod itimer;
pub(crate) mod posix;
pub(crate) mod sleep;
pub(crate) mod timerfd;
