//! The kernel log that syslog(2) reads: what a sandbox has to tell of its start.

use std::fmt::Write;
use std::time::{Duration, Instant};

use sync::Mutex;

use crate::lock_order::Leaf;

/// Bytes of the log that are kept.
const CAPACITY: usize = 64 * 1024;

/// The log.
#[derive(Debug)]
pub struct BootLog {
    started: Instant,
    lines: Mutex<Log, Leaf>,
}

#[derive(Debug, Default)]
struct Log {
    text: Vec<u8>,
    /// How much of it SYSLOG_ACTION_READ has handed out.
    read: usize,
    /// From where on SYSLOG_ACTION_READ_ALL shows it (SYSLOG_ACTION_CLEAR).
    cleared: usize,
}

/// What a kernel without hardware does while others probe theirs.
const CHATTER: &[&str] = &[
    "Memory: some. It is all one file, but please do not tell the page tables",
    "Checking for hardware... none found, which saves a lot of time",
    "Calibrating delay loop... skipped, nobody here likes waiting",
    "Mounting root through a gopher hole",
    "Feeding the entropy pool a balanced diet",
    "Teaching the scheduler to share",
    "Oiling the borrow checker",
    "Convincing process 1 that it is really process 1",
    "Hiding the host behind the curtain",
    "Ready. Everything you see here is pretend, except for your data",
];

impl BootLog {
    /// The log of a start.
    #[must_use]
    pub fn new(platform: &str, cpus: usize, memory: u64) -> Self {
        let log = Self { started: Instant::now(), lines: Mutex::default() };
        let first = format!(
            "{} version {} ({} CPU{}, {} MiB, platform {platform})",
            super::version::SYSNAME,
            super::version::RELEASE,
            cpus,
            if cpus == 1 { "" } else { "s" },
            memory >> 20
        );
        // Sandboxes start in less time than a log needs to look like one.
        let mut at = Duration::ZERO;
        log.write_at(at, 5, &first);
        for (i, line) in CHATTER.iter().enumerate() {
            at += Duration::from_micros(137 + 61 * u64::try_from(i).unwrap_or(0));
            log.write_at(at, 6, line);
        }
        log
    }

    /// Appends a line of a level (0 emergency to 7 debug).
    pub fn write(&self, level: u8, line: &str) {
        self.write_at(self.started.elapsed(), level, line);
    }

    fn write_at(&self, at: Duration, level: u8, line: &str) {
        let mut text = String::with_capacity(line.len() + 24);
        let _ = writeln!(text, "<{level}>[{:5}.{:06}] {line}", at.as_secs(), at.subsec_micros());
        let mut log = self.lines.lock();
        log.text.extend_from_slice(text.as_bytes());
        if let Some(excess) = log.text.len().checked_sub(CAPACITY) {
            let cut = log.text[excess..].iter().position(|b| *b == b'\n').map_or(excess, |at| excess + at + 1);
            log.text.drain(..cut);
            log.read = log.read.saturating_sub(cut);
            log.cleared = log.cleared.saturating_sub(cut);
        }
    }

    /// Takes up to `len` bytes that were not read yet (SYSLOG_ACTION_READ).
    #[must_use]
    pub fn read(&self, len: usize) -> Vec<u8> {
        let mut log = self.lines.lock();
        let rest = log.text.get(log.read..).unwrap_or(&[]);
        let bytes = rest[..rest.len().min(len)].to_vec();
        log.read += bytes.len();
        bytes
    }

    /// The last `len` bytes since the last clear, whole lines (SYSLOG_ACTION_READ_ALL); `clear` them afterwards.
    #[must_use]
    pub fn read_all(&self, len: usize, clear: bool) -> Vec<u8> {
        let mut log = self.lines.lock();
        let shown = log.text.get(log.cleared..).unwrap_or(&[]);
        let mut from = shown.len().saturating_sub(len);
        if from > 0 {
            from = shown[from - 1..].iter().position(|b| *b == b'\n').map_or(shown.len(), |at| from + at);
        }
        let bytes = shown[from..].to_vec();
        if clear {
            log.cleared = log.text.len();
        }
        bytes
    }

    /// SYSLOG_ACTION_CLEAR.
    pub fn clear(&self) {
        let mut log = self.lines.lock();
        log.cleared = log.text.len();
    }

    /// How many bytes were not read yet (SYSLOG_ACTION_SIZE_UNREAD).
    #[must_use]
    pub fn unread(&self) -> usize {
        let log = self.lines.lock();
        log.text.len() - log.read
    }

    /// Bytes that the log holds at most (SYSLOG_ACTION_SIZE_BUFFER).
    #[must_use]
    pub fn capacity(&self) -> usize {
        CAPACITY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_hand_out_each_byte_once_and_whole_lines_at_the_end() {
        let log = BootLog::new("fake", 2, 64 << 20);
        let all = log.read_all(usize::MAX, false);
        assert_eq!(log.unread(), all.len());
        assert_eq!(log.read(10).len(), 10);
        assert_eq!(log.unread(), all.len() - 10);
        let tail = log.read_all(100, true);
        assert!(tail.starts_with(b"<6>[") && tail.len() <= 100);
        assert!(log.read_all(100, false).is_empty());
        for i in 0..4000 {
            log.write(6, &format!("line {i}"));
        }
        assert!(log.read_all(usize::MAX, false).len() <= CAPACITY);
        assert!(log.read_all(usize::MAX, false).starts_with(b"<6>["));
    }
}
