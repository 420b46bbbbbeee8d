//! The sub-commands, one file each.

pub(crate) mod checkpoint;
pub(crate) mod create;
pub(crate) mod debug;
pub(crate) mod delete;
pub(crate) mod do_command;
pub(crate) mod events;
pub(crate) mod exec;
pub(crate) mod features;
pub(crate) mod generate;
pub(crate) mod install;
pub(crate) mod kill;
pub(crate) mod list;
pub(crate) mod pause;
pub(crate) mod ps;
pub(crate) mod run;
pub(crate) mod spec;
pub(crate) mod start;
pub(crate) mod state;
pub(crate) mod update;
pub(crate) mod wait;

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Error, Result};
use clap::Parser;
use clap::error::ErrorKind;
use control::{Failure, FailureKind};

use crate::cli::{Cli, Command};
use crate::config::plain;
use crate::log;

/// What a shell says of a program that is not there, and of one that it cannot execute.
const NOT_FOUND: u8 = 127;
const UNUSABLE: u8 = 126;

/// The command line, from its arguments to its exit status.
pub(crate) fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => return usage(&e),
    };
    let global = &cli.global;
    if let Err(e) = log::open(global.log.as_deref(), &global.log_format, global.switches.debug) {
        log::fatal(&message(&e));
        return ExitCode::FAILURE;
    }
    let (result, failed) = match &cli.command {
        Command::Create(args) => (create::main(global, args), Status { program: 1, other: 1 }),
        Command::Start(args) => (start::main(global, args), Status::ALWAYS_ONE),
        Command::Run(args) => (run::main(global, args), Status::OF_PROGRAM),
        Command::Exec(args) => (exec::main(global, args), Status { program: 0, other: 255 }),
        Command::State(args) => (state::main(global, args), Status::ALWAYS_ONE),
        Command::Kill(args) => (kill::main(global, args), Status::ALWAYS_ONE),
        Command::Delete(args) => (delete::main(global, args), Status::ALWAYS_ONE),
        Command::List(args) => (list::main(global, args), Status::ALWAYS_ONE),
        Command::Ps(args) => (ps::main(global, args), Status::ALWAYS_ONE),
        Command::Wait(args) => (wait::main(global, args), Status::ALWAYS_ONE),
        Command::Pause(args) => (pause::main(global, args, true), Status::ALWAYS_ONE),
        Command::Resume(args) => (pause::main(global, args, false), Status::ALWAYS_ONE),
        Command::Update(args) => (update::main(global, args), Status::ALWAYS_ONE),
        Command::Events(args) => (events::main(global, args), Status::ALWAYS_ONE),
        Command::Checkpoint(args) => (checkpoint::main("checkpoint", args), Status::ALWAYS_ONE),
        Command::Restore(args) => (checkpoint::main("restore", args), Status::ALWAYS_ONE),
        Command::Spec(args) => (spec::main(args), Status::ALWAYS_ONE),
        Command::Features => (features::main(), Status::ALWAYS_ONE),
        Command::Do(args) => (do_command::main(global, args), Status::OF_PROGRAM),
        Command::Install(args) => (install::main(args, true), Status::ALWAYS_ONE),
        Command::Uninstall(args) => (install::main(args, false), Status::ALWAYS_ONE),
        Command::Completions(args) => (generate::completions(args), Status::ALWAYS_ONE),
        Command::Man(args) => (generate::man(args), Status::ALWAYS_ONE),
        Command::Debug(args) => (debug::main(global, args), Status::ALWAYS_ONE),
    };
    result.map(ExitCode::from).unwrap_or_else(|e| {
        log::fatal(&message(&e));
        ExitCode::from(failed.of(&e))
    })
}

/// The exit status when a command fails: runc's, except that who waits for a program (`run`, `exec`, `do`) is told what a
/// shell would tell if the program cannot be found (127) or executed (126).
#[derive(Clone, Copy, Debug)]
struct Status {
    /// Of an unusable program; 0 for a shell's.
    program: u8,
    /// Of everything else.
    other: u8,
}

impl Status {
    const ALWAYS_ONE: Self = Self { program: 1, other: 1 };
    const OF_PROGRAM: Self = Self { program: 0, other: 1 };

    fn of(self, error: &Error) -> u8 {
        match error.downcast_ref::<Failure>().map(|failure| failure.kind) {
            Some(FailureKind::ProgramNotFound) if self.program == 0 => NOT_FOUND,
            Some(FailureKind::ProgramUnusable(_)) if self.program == 0 => UNUSABLE,
            Some(FailureKind::ProgramNotFound | FailureKind::ProgramUnusable(_)) => self.program,
            _ => self.other,
        }
    }
}

/// An error and its causes in one line, system errors in runc's words.
fn message(error: &Error) -> String {
    let words = |cause: &(dyn std::error::Error + 'static)| {
        let system = cause.downcast_ref::<nix::errno::Errno>().map(|errno| std::io::Error::from(*errno));
        match (system, cause.downcast_ref::<std::io::Error>()) {
            (Some(error), _) => plain(&error),
            (None, Some(error)) => plain(error),
            (None, None) => cause.to_string(),
        }
    };
    error.chain().map(words).collect::<Vec<_>>().join(": ")
}

/// Help is an answer; everything else about usage is an error of one line, and status 1 as runc has it.
fn usage(error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = error.print();
        return ExitCode::FAILURE;
    }
    let text = error.to_string();
    let lines = text.lines().map(str::trim).take_while(|line| !line.is_empty());
    let line = lines.collect::<Vec<_>>().join(" ");
    log::fatal(line.strip_prefix("error: ").unwrap_or(&line));
    ExitCode::FAILURE
}

/// Writes a command's result to standard output. A reader that has gone is an error, not a signal.
fn print(text: &str) -> Result<u8> {
    let mut output = std::io::stdout().lock();
    output.write_all(text.as_bytes()).and_then(|()| output.flush()).context("cannot write the result")?;
    Ok(0)
}

/// Columns as Go's tabwriter sets them for runc: at least 12 wide, 3 spaces apart, the last one as it is.
fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    const LEAST: usize = 12;
    const APART: usize = 3;
    let header: Vec<String> = header.iter().map(|&cell| cell.to_owned()).collect();
    let lines = || std::iter::once(&header).chain(rows);
    let widths: Vec<usize> = (0..header.len())
        .map(|column| {
            let longest = lines().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
            (longest.unwrap_or_default() + APART).max(LEAST)
        })
        .collect();
    let mut text = String::new();
    for row in lines() {
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let width = if column + 1 == row.len() { 0 } else { *width };
            text += &format!("{cell:<width$}");
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_looks_like_runcs() {
        let empty = table(&["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"], &[]);
        assert_eq!(empty, "ID          PID         STATUS      BUNDLE      CREATED     OWNER\n");
        let text = table(&["ID", "OWNER"], &[vec!["a-long-identifier".into(), "root".into()]]);
        assert_eq!(text, "ID                  OWNER\na-long-identifier   root\n");
    }

    #[test]
    fn system_errors_have_no_numbers() {
        let error = Error::from(std::io::Error::from_raw_os_error(28)).context("cannot write /x");
        assert_eq!(message(&error), "cannot write /x: no space left on device");
        let error = Error::from(nix::errno::Errno::EPERM).context("cannot join");
        assert_eq!(message(&error), "cannot join: operation not permitted");
    }

    #[test]
    fn status_tells_what_is_wrong_with_the_program() {
        let missing = Failure { kind: FailureKind::ProgramNotFound, message: String::new() };
        let error = Error::from(missing).context("unable to start container process");
        assert_eq!(Status::OF_PROGRAM.of(&error), 127);
        assert_eq!(Status::ALWAYS_ONE.of(&error), 1);
        let arch = Failure { kind: FailureKind::ProgramUnusable(8), message: String::new() };
        assert_eq!(Status { program: 0, other: 255 }.of(&arch.into()), 126);
        assert_eq!(Status { program: 0, other: 255 }.of(&anyhow::anyhow!("x")), 255);
    }
}
