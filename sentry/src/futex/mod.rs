//! Futexes: futex(2), futex_waitv(2), robust lists.
//!
//! [`FutexTable`] has the waiters of the whole sandbox, in buckets by key ([`crate::mm::FutexKey`]). A waiter is a record in
//! one bucket (for futex_waitv in several) that names a [`Waiter`], which each task has one of. Who wakes takes the record
//! out, marks the waiter and only then, without the lock, ends its sleep.
//!
//! Locks: a bucket's (`Futex`), two of them in the order of their places in the table. The word is read and written with its
//! bucket locked, so that no waker can pass between the look and the sleep.

mod op;
mod pi;
mod pi_requeue;
mod robust;
mod table;
mod wait;
mod waiter;

pub use op::WakeOp;
pub use table::{FutexTable, Requeue};
pub use wait::{Deadline, Until, Wanted};
pub use waiter::{Outcome, Waiter};
