//! Signals (signal(7)).

mod attention;

pub use attention::Attention;

/// What other tasks may see of a task's signals.
#[derive(Debug, Default)]
pub struct TaskSignals {
    attention: Attention,
}

impl TaskSignals {
    /// How others get the task's attention.
    #[must_use]
    pub fn attention(&self) -> &Attention {
        &self.attention
    }
}

/// The signals of a process.
#[derive(Debug, Default)]
pub struct GroupSignals {}
