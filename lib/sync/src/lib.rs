//! Locks with levels, and wait queues.
//!
//! [`Mutex`] and [`RwLock`] carry a [`Level`] in their type. Debug builds keep the levels that the thread holds and panic
//! when one is taken that is not above all of them, so that an inversion shows in the first test that walks both ways,
//! not in the rare run that deadlocks. Release builds carry nothing. The order itself is declared by the user of this
//! crate (`sentry/src/lock_order.rs`).
//!
//! [`WaitQueue`] is what blocking and readiness are made of: sources notify, a [`Wake`] listens. [`Parker`] puts a
//! thread to sleep until it is woken, interrupted or a deadline passes.
#![forbid(unsafe_code)]

mod level;
mod mutex;
mod parker;
mod place;
mod trial;
mod wait_queue;

pub use level::Level;
pub use mutex::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use parker::{Parker, hold_wakes, release_wakes};
pub use wait_queue::{WaitId, WaitQueue, Wake};
