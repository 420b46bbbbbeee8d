//! What a task is doing, as `/proc/PID/stat` tells it.

use std::sync::atomic::{AtomicU8, Ordering};

/// What a task is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Activity {
    /// Running, in the application or in the kernel.
    Run = 0,
    /// Sleeping until an event or a signal.
    Sleep = 1,
    /// Sleeping; only death ends it.
    Killable = 2,
    /// Stopped by job control, or frozen.
    Stopped = 3,
    /// It has exited.
    Dead = 4,
    /// Stopped for its tracer.
    Traced = 5,
}

/// An [`Activity`] that the task's thread sets and others read.
#[derive(Debug, Default)]
pub(super) struct AtomicActivity(AtomicU8);

impl AtomicActivity {
    pub(super) fn get(&self) -> Activity {
        match self.0.load(Ordering::Acquire) {
            0 => Activity::Run,
            1 => Activity::Sleep,
            2 => Activity::Killable,
            3 => Activity::Stopped,
            5 => Activity::Traced,
            _ => Activity::Dead,
        }
    }

    pub(super) fn set(&self, activity: Activity) {
        self.0.store(activity as u8, Ordering::Release);
    }
}
