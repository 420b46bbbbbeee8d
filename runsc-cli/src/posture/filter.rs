//! The seccomp filters of a running process, read back from the host and tried with every call.

use std::io;
use std::time::Duration;

use abi::Errno;
use host::child::Waited;
use host::filter::answers;
use host::seccomp::Instruction;

const X86_64: u32 = 0xc000_003e;
/// Higher than any number of a call.
const NUMBERS: u32 = 1024;
const ALLOW: u32 = 0x7fff_0000;
const ACTION: u32 = 0xffff_0000;

/// What a process' filters let through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Calls {
    /// There is no filter: every call of the host.
    All,
    /// There is one, which cannot be read: the process is traced by somebody else, or we may not.
    Unknown(String),
    /// What all of its filters agree on.
    Counted {
        /// Calls that some arguments pass with.
        allowed: Vec<u32>,
        /// How many of them only some arguments pass with.
        by_argument: usize,
        /// How many of the others are handed to a process that listens, or to the process' own handler.
        intercepted: usize,
        /// What becomes of the others: `kill`, or an error.
        otherwise: String,
        /// How many filters.
        filters: usize,
    },
}

impl Calls {
    /// Of a process, which is stopped for an instant.
    pub(super) fn of(pid: i32, has_filter: bool) -> Self {
        if !has_filter {
            return Self::All;
        }
        match read(pid) {
            Ok(filters) if !filters.is_empty() => count(&filters),
            Ok(_) => Self::Unknown("none found".to_owned()),
            Err(e) => Self::Unknown(crate::config::plain(&e)),
        }
    }
}

fn count(filters: &[Vec<Instruction>]) -> Calls {
    let (mut allowed, mut by_argument, mut intercepted) = (Vec::new(), 0, 0);
    let mut otherwise = std::collections::BTreeMap::<&str, usize>::new();
    for number in 0..NUMBERS {
        let answers: Vec<Vec<u32>> =
            filters.iter().map(|filter| answers(filter, X86_64, number).unwrap_or_default()).collect();
        if answers.iter().all(|answers| answers.contains(&ALLOW)) {
            allowed.push(number);
            by_argument += usize::from(answers.iter().any(|answers| answers.iter().any(|answer| *answer != ALLOW)));
            continue;
        }
        // The strictest of the filters has the last word; of one that never allows, its mildest answer.
        let refusing = answers.iter().filter(|answers| !answers.contains(&ALLOW));
        let action = refusing.filter_map(|answers| answers.last()).map(|answer| name(*answer)).next().unwrap_or("?");
        if matches!(action, "notify" | "trap") {
            intercepted += 1;
        }
        *otherwise.entry(action).or_default() += 1;
    }
    let otherwise = otherwise.into_iter().max_by_key(|(_, count)| *count).map_or("?", |(action, _)| action);
    Calls::Counted { allowed, by_argument, intercepted, otherwise: otherwise.to_owned(), filters: filters.len() }
}

fn name(answer: u32) -> &'static str {
    match answer & ACTION {
        0x8000_0000 => "kill",
        0 => "kill thread",
        0x0003_0000 => "trap",
        0x0005_0000 => "errno",
        0x7fc0_0000 => "notify",
        0x7ff0_0000 => "trace",
        0x7ffc_0000 => "log",
        _ => "?",
    }
}

fn read(pid: i32) -> io::Result<Vec<Vec<Instruction>>> {
    let failed = |errno: Errno| io::Error::from_raw_os_error(errno.raw());
    host::ptrace::seize(pid, 0).map_err(failed)?;
    // Whatever happens, it goes on when we are gone: that ends the tracing too.
    let filters = stop(pid).and_then(|()| {
        let mut filters = Vec::new();
        while let Some(filter) = host::ptrace::seccomp_filter(pid, filters.len())? {
            filters.push(filter);
        }
        Ok(filters)
    });
    let _ = host::ptrace::detach(pid);
    filters.map_err(failed)
}

/// Stops it, if it can be stopped soon: who waits for a listener can only be killed.
#[expect(clippy::disallowed_methods, reason = "wait4 has no deadline")]
fn stop(pid: i32) -> Result<(), Errno> {
    host::ptrace::interrupt(pid)?;
    for _ in 0..200 {
        match host::child::poll(pid)? {
            Waited::Signal(_) | Waited::Event(_) => return Ok(()),
            Waited::Dead => return Err(Errno::ESRCH),
            Waited::Nothing => std::thread::sleep(Duration::from_millis(1)),
        }
    }
    Err(Errno::EBUSY)
}
