//! Processes as a record names them: a pid alone may belong to somebody else by now, with its start time it does not.

use std::io;
use std::time::Duration;

use host::pidfd::PidFd;
use nix::poll::PollTimeout;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// A process of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProcessId {
    /// Its pid.
    pub(crate) pid: i32,
    /// Its start in clock ticks since boot, field 22 of `/proc/PID/stat`.
    pub(crate) start_time: u64,
}

impl ProcessId {
    /// Names a process that lives, or has not been waited for.
    pub(crate) fn of(pid: Pid) -> io::Result<Self> {
        let (_, start_time) = stat(pid.as_raw())?;
        Ok(Self { pid: pid.as_raw(), start_time })
    }

    /// The process, unless it has ended. A zombie has.
    pub(crate) fn alive(self) -> Option<PidFd> {
        let process = PidFd::open(Pid::from_raw(self.pid)).ok()?;
        // Read after opening: if this is the one, the descriptor is its too.
        let (state, start_time) = stat(self.pid).ok()?;
        (start_time == self.start_time && !matches!(state, 'Z' | 'X' | 'x')).then_some(process)
    }

    /// Kills it and waits until it has ended. False if it has not in that time.
    pub(crate) fn kill(self, patience: Duration) -> bool {
        let Some(process) = self.alive() else { return true };
        let _ = process.signal(libc::SIGKILL);
        let timeout = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
        process.exited_within(timeout).unwrap_or(true)
    }
}

/// State letter and start time.
fn stat(pid: i32) -> io::Result<(char, u64)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    parse(&text).ok_or_else(|| io::Error::other("malformed /proc/PID/stat"))
}

/// The name of the program comes second, in parentheses, and may contain anything.
fn parse(text: &str) -> Option<(char, u64)> {
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_with_parentheses_does_not_confuse() {
        let line = "7 (a) Z 1) R 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 1 1";
        assert_eq!(parse(line), Some(('R', 4242)));
        assert_eq!(parse("7 (a"), None);
    }

    #[test]
    fn other_start_time_is_another_process() {
        let me = ProcessId::of(nix::unistd::getpid()).unwrap();
        assert!(me.alive().is_some());
        assert!(ProcessId { start_time: me.start_time + 1, ..me }.alive().is_none());
    }
}
