//! Clocks and timers.
//!
//! - [`Clocks`]: the clocks of the sandbox, which are those of the host, and the one timer thread ([`TimerQueue`]);
//! - [`Timer`]: something that expires on a clock, once or again and again; timerfds, itimers and POSIX timers are made of it;
//! - [`GroupTimers`]: the timers of a process.
//!
//! A task that sleeps needs none of this: it parks with a deadline. Deadlines are [`std::time::Instant`]s, which count
//! CLOCK_MONOTONIC. Locks: `Timers` (one timer, or the list of a process) before `TimerQueue`; a timer's expiry is told
//! without either.

mod clocks;
mod cpu_limit;
mod group;
mod interval;
mod itimer;
mod posix;
mod queue;
mod sleep;
mod timer;

pub use clocks::{Clock, Clocks, CpuKind, HostKind};
pub use group::GroupTimers;
pub use interval::Interval;
pub use posix::{Notify, PosixTimer};
pub use queue::{Alarm, Key, TimerQueue};
pub use timer::{Expired, Setting, Timer, spec};
