//! Signals (signal(7)).
//!
//! Who keeps what:
//! - [`GroupSignals`], one in each thread group: signals for the process, its threads, group stop and group exit;
//! - [`TaskSignals`], one of each task, seen by others: mask, signals for this thread, its [`Attention`];
//! - [`CurrentSignals`], what only the task's own thread touches: alternate stack, saved mask, restart block;
//! - [`SigHand`]: the actions, shared by tasks cloned with CLONE_SIGHAND.
//!
//! A signal's way: [`GroupSignals::send`] queues it ([`pending`]), chooses a thread and gets its attention; that thread comes
//! to [`CurrentTask::return_to_user`], which takes it out again (`deliver`), and stops, dies, or builds a frame (`arch`).
//!
//! Locks: `Signal` (a group's state) before `SigHand` (actions) before `SigPending` (a task's own queue). The mask and the
//! sets of pending signals can be read without a lock; [`TaskSignals::set_blocked`] explains why that loses nothing.
//!
//! [`CurrentTask::return_to_user`]: crate::task::CurrentTask::return_to_user

mod action;
mod arch;
#[cfg(fuzzing)]
pub(crate) use arch::fuzzing;
mod attention;
mod charge;
mod current;
mod deliver;
mod force;
mod group;
mod kill;
mod listen;
mod masks;
mod pending;
mod post;
mod restart;
mod send;
mod sigreturn;
mod stop;
mod task_signals;

pub use action::SigHand;
pub use attention::Attention;
pub use charge::{Charge, SignalCounts};
pub use current::{CurrentSignals, RestartBlock};
pub use deliver::Death;
pub use group::{ChildRules, GroupSignals};
pub use listen::Listener;
pub use pending::{Dequeued, Pending, TimerSignal};
pub use send::{Account, Sent};
pub use task_signals::TaskSignals;
