//! What a system call table is. The `syscalls` crate builds one; the kernel calls through it and knows no call by name.

use std::fmt;

use platform::SyscallArgs;

use crate::error::SysResult;
use crate::task::CurrentTask;

/// How much of a call is there. The table is the only place that says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// As on Linux.
    Full,
    /// Something is missing; the note says what.
    Partial(&'static str),
    /// Not there: the note names the errno and the reason.
    Absent(&'static str),
}

/// A system call: one row of the table.
#[derive(Clone, Copy)]
pub struct Syscall {
    /// Its number.
    pub nr: u64,
    /// Its name without `sys_`.
    pub name: &'static str,
    /// How much of it is there.
    pub support: Support,
    /// Decodes the arguments and does it.
    pub handler: fn(&mut CurrentTask, &SyscallArgs) -> SysResult,
    /// Writes `name(arg, arg, …)` as strace would, before the call is made.
    pub trace: fn(&CurrentTask, &SyscallArgs, &mut dyn fmt::Write) -> fmt::Result,
}

impl fmt::Debug for Syscall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:?}", self.nr, self.name, self.support)
    }
}

/// All calls of one architecture, indexed by number; gaps answer ENOSYS.
#[derive(Debug)]
pub struct SyscallTable {
    rows: Vec<Option<Syscall>>,
}

impl SyscallTable {
    /// A table of these rows.
    #[must_use]
    pub fn new(list: &[Syscall]) -> Self {
        let len = list.iter().map(|s| s.nr + 1).max().unwrap_or(0);
        let mut rows = vec![None; usize::try_from(len).unwrap_or(0)];
        for row in list {
            if let Some(place) = usize::try_from(row.nr).ok().and_then(|nr| rows.get_mut(nr)) {
                *place = Some(*row);
            }
        }
        Self { rows }
    }

    /// The row of a number.
    #[must_use]
    pub fn get(&self, nr: u64) -> Option<&Syscall> {
        self.rows.get(usize::try_from(nr).ok()?)?.as_ref()
    }

    /// All rows.
    pub fn iter(&self) -> impl Iterator<Item = &Syscall> {
        self.rows.iter().flatten()
    }
}
