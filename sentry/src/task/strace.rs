//! Each call as a line of the debug log: `[tid] name(args) = result`.

use platform::SyscallArgs;

use super::CurrentTask;
use crate::error::{Code, SysResult};
use crate::syscall::Syscall;

impl CurrentTask {
    /// Makes a call and writes it to the debug log. Arguments are written before the call, which may change what they point
    /// to; calls that block are therefore seen when they return.
    pub(super) fn trace_call(&mut self, row: &Syscall, args: &SyscallArgs) -> SysResult {
        let mut line = String::with_capacity(128);
        // Writing to a String does not fail; a formatter that gives up leaves what it has written.
        let _ = (row.trace)(self, args, &mut line);
        let tid = self.task.tid();
        let result = (row.handler)(self, args);
        match &result {
            Ok(value) if *value < 4096 => tracing::debug!("[{tid}] {line} = {value}"),
            Ok(value) => tracing::debug!("[{tid}] {line} = {value:#x}"),
            Err(error) => match error.code() {
                Code::Errno(errno) => tracing::debug!("[{tid}] {line} = -1 {errno} ({})", error.at()),
                Code::Restart(restart) => tracing::debug!("[{tid}] {line} = ? restart {restart:?}"),
            },
        }
        result
    }
}
