//! Guest programs: C programs of tests/guest, each a list of cases, run natively first and then in the sandbox.
//!
//! [`build`] compiles them, [`sandbox`] makes the bundle and runs them in it, [`report`] reads what they print and compares.

pub mod build;
pub mod report;
pub mod sandbox;

use std::io::{self, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// How long after a program's end its output is waited for, if children of it hold the pipe.
const LEFTOVERS: Duration = Duration::from_secs(1);

/// What came of running a program.
#[derive(Debug)]
pub struct Run {
    /// What it printed.
    pub stdout: String,
    /// What it, or the runtime, complained about.
    pub stderr: String,
    /// The exit status; `None` if a signal or the deadline ended it.
    pub code: Option<i32>,
    /// Whether the deadline ended it.
    pub timed_out: bool,
}

/// Runs a command to its end, or kills it after `limit`.
pub fn run_to_end(command: &mut Command, limit: Duration) -> io::Result<Run> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let stdout = collect(child.stdout.take());
    let stderr = collect(child.stderr.take());
    let (code, timed_out) = wait_until(&mut child, Instant::now() + limit)?;
    Ok(Run { stdout: stdout(), stderr: stderr(), code, timed_out })
}

/// Reads a stream on a thread of its own. The result waits for its end, but not for what the program left running.
fn collect(stream: Option<impl Read + Send + 'static>) -> impl FnOnce() -> String {
    let (sender, chunks) = mpsc::channel::<Vec<u8>>();
    thread::spawn(move || {
        let Some(mut stream) = stream else { return };
        let mut chunk = vec![0; 4096];
        while let Ok(n @ 1..) = stream.read(&mut chunk) {
            if sender.send(chunk[..n].to_vec()).is_err() {
                return;
            }
        }
    });
    move || {
        let mut bytes = Vec::new();
        while let Ok(chunk) = chunks.recv_timeout(LEFTOVERS) {
            bytes.extend(chunk);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "std has no wait with a deadline, and this one is a limit, not a measure"
)]
fn wait_until(child: &mut Child, deadline: Instant) -> io::Result<(Option<i32>, bool)> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok((status.code(), false));
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok((None, true));
        }
        thread::sleep(Duration::from_millis(2));
    }
}
