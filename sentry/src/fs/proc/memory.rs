//! The files of a process that show its memory.

use super::process::{Entry, Kind, Subject};
use crate::error::Result;
use crate::mm::MemoryManager;
use crate::task::CurrentTask;

pub(super) const ENTRIES: &[Entry] = &[Entry { name: "cmdline", kind: Kind::Text(cmdline) }];

/// What `stat` shows of the memory.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Numbers {
    pub(super) size: u64,
    pub(super) resident: u64,
    pub(super) code: (u64, u64),
    pub(super) data: (u64, u64),
    pub(super) stack: u64,
    pub(super) brk: u64,
    pub(super) args: (u64, u64),
    pub(super) env: (u64, u64),
}

/// The numbers of `stat`.
pub(super) fn numbers(_: &MemoryManager) -> Numbers {
    Numbers::default()
}

/// The Vm lines of `status`.
pub(super) fn status_lines(_: &MemoryManager) -> String {
    String::new()
}

fn cmdline(subject: &Subject, _: &CurrentTask) -> Result<Vec<u8>> {
    let _ = subject;
    Ok(Vec::new())
}
