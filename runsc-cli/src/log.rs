//! What the command line tells its caller, in the form that runc's callers parse.
//!
//! Without `--log` lines go to standard error, coloured and short on a terminal. With it they go to that file, and an
//! error that ends us is on standard error too, bare.

use std::fs::{File, OpenOptions};
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::OnceLock;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::timestamp::Timestamp;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// Only with `--debug`.
    Debug,
    /// Something was ignored.
    Warning,
    /// It did not work.
    Error,
}

static LOG: OnceLock<Log> = OnceLock::new();

struct Log {
    file: Option<File>,
    json: bool,
    debug: bool,
    start: Instant,
}

/// Opens the log. Until then errors go to standard error as text.
pub(crate) fn open(path: Option<&Path>, format: &str, debug: bool) -> Result<()> {
    let json = match format {
        "text" => false,
        "json" => true,
        other => bail!("invalid log-format: {other}"),
    };
    let file = match path {
        // What is opened under this name would have an offset of its own.
        Some(path) if path != Path::new("/dev/stderr") => {
            let file = OpenOptions::new().append(true).create(true).open(path);
            Some(file.with_context(|| format!("open {}", path.display()))?)
        }
        _ => None,
    };
    let _ = LOG.set(Log { file, json, debug, start: Instant::now() });
    Ok(())
}

/// Something a developer may want to know.
pub(crate) fn debug(message: impl FnOnce() -> String) {
    if LOG.get().is_some_and(|log| log.debug) {
        write(Level::Debug, &message());
    }
}

/// Something was ignored.
pub(crate) fn warning(message: &str) {
    write(Level::Warning, message);
}

/// The error that ends us.
pub(crate) fn fatal(message: &str) {
    write(Level::Error, message);
    if LOG.get().is_some_and(|log| log.file.is_some()) {
        let _ = writeln!(std::io::stderr(), "{message}");
    }
}

fn write(level: Level, message: &str) {
    let fallback = Log { file: None, json: false, debug: false, start: Instant::now() };
    let log = LOG.get().unwrap_or(&fallback);
    let line = if log.json {
        json_line(level, message, Timestamp::now())
    } else if log.file.is_none() && std::io::stderr().is_terminal() {
        terminal_line(level, message, log.start.elapsed().as_secs())
    } else {
        text_line(level, message, Timestamp::now())
    };
    // A log that cannot be written is no reason to fail.
    let _ = match &log.file {
        Some(file) => (&*file).write_all(line.as_bytes()),
        None => std::io::stderr().write_all(line.as_bytes()),
    };
}

fn json_line(level: Level, message: &str, now: Timestamp) -> String {
    let line = serde_json::json!({ "level": level.word(), "msg": message, "time": now.seconds() });
    format!("{line}\n")
}

fn text_line(level: Level, message: &str, now: Timestamp) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._/@^+".contains(c);
    let message = if message.chars().all(plain) { message.into() } else { format!("{message:?}") };
    format!("time={:?} level={} msg={message}\n", now.seconds(), level.word())
}

fn terminal_line(level: Level, message: &str, seconds: u64) -> String {
    let (colour, word) = match level {
        Level::Debug => (37, "DEBU"),
        Level::Warning => (33, "WARN"),
        Level::Error => (31, "ERRO"),
    };
    format!("\x1b[{colour}m{word}\x1b[0m[{seconds:04}] {message}\n")
}

impl Level {
    const fn word(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_look_like_runcs() {
        let now = Timestamp::now();
        let time = now.seconds();
        let message = "exec: \"nope\": not found in $PATH";
        let text = format!("time=\"{time}\" level=error msg=\"exec: \\\"nope\\\": not found in $PATH\"\n");
        assert_eq!(text_line(Level::Error, message, now), text);
        let json =
            format!("{{\"level\":\"error\",\"msg\":\"exec: \\\"nope\\\": not found in $PATH\",\"time\":\"{time}\"}}\n");
        assert_eq!(json_line(Level::Error, message, now), json);
        assert_eq!(terminal_line(Level::Error, "x", 3), "\u{1b}[31mERRO\u{1b}[0m[0003] x\n");
    }
}
