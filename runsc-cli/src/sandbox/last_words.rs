//! What the sandbox and the gofer say on standard error as they die, where there is no debug log.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;

use anyhow::{Context, Error, Result, anyhow};
use nix::fcntl::OFlag;

/// Our end of a pipe that neither side ever waits for.
#[derive(Debug)]
pub(crate) struct LastWords(File);

/// Nobody reads more.
const MOST_BYTES: u64 = 4096;
const MOST_LINES: usize = 3;

impl LastWords {
    /// The pipe, and the end that the processes get.
    pub(crate) fn pipe() -> Result<(Self, OwnedFd)> {
        let flags = OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let (read, write) = nix::unistd::pipe2(flags).context("cannot make a pipe")?;
        Ok((Self(read.into()), write))
    }

    /// What was said so far, as one line.
    pub(crate) fn read(&mut self) -> Option<String> {
        let mut text = Vec::new();
        // Ends with an error if somebody lives who could still write; what there was has been read by then.
        let _ = (&self.0).take(MOST_BYTES).read_to_end(&mut text);
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).take(MOST_LINES).collect();
        (!lines.is_empty()).then(|| lines.join("; "))
    }

    /// The error of a sandbox that has died.
    pub(crate) fn error(&mut self) -> Error {
        self.read().map_or_else(|| anyhow!("the sandbox died"), |words| anyhow!("the sandbox died: {words}"))
    }
}
