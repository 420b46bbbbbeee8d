//! `ps`: the processes of a container, as it sees them.

use anyhow::{Result, bail};
use clap::Args;
use control::{ProcessInfo, Status};

use crate::cli::Global;
use crate::sandbox::control::Control;
use crate::state::Root;
use crate::timestamp::Timestamp;

/// Whose processes.
#[derive(Debug, Args)]
pub(crate) struct PsArgs {
    /// table, or json: the pids of the host's processes
    #[arg(short, long, default_value = "table")]
    format: String,
    /// Its name
    #[arg(value_name = "CONTAINER-ID")]
    id: String,
    /// Options of ps, accepted and ignored: no ps of the host can see these processes
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    options: Vec<String>,
}

pub(crate) fn main(global: &Global, args: &PsArgs) -> Result<u8> {
    let root = Root::new(global.root.as_deref())?;
    let record = root.read(&args.id)?;
    if args.format == "json" {
        // For engines, which look for these processes on the host: one stands for all of the container.
        let alive = record.sandbox.filter(|process| process.alive().is_some());
        let pids: Vec<_> = alive.iter().map(|process| process.pid).collect();
        return super::print(&serde_json::to_string(&pids)?);
    }
    let processes = match record.status() {
        Status::Stopped | Status::Creating => Vec::new(),
        _ => Control::connect(&root, &record)?.processes(&args.id)?,
    };
    match args.format.as_str() {
        "table" => super::print(&table(&processes)),
        _ => bail!("invalid format option"),
    }
}

/// The columns of `ps -ef`.
fn table(processes: &[ProcessInfo]) -> String {
    let today = Timestamp::now();
    let mut text = String::from("UID        PID  PPID  C STIME TTY          TIME CMD\n");
    for process in processes {
        let tty = if process.tty.is_empty() { "?" } else { &process.tty };
        let seconds = process.cpu / 1000;
        text += &format!(
            "{:<8} {:>5} {:>5} {:>2} {:>5} {tty:<8} {:02}:{:02}:{:02} {}\n",
            if process.uid == 0 { "root".to_owned() } else { process.uid.to_string() },
            process.pid,
            process.ppid,
            0,
            Timestamp::from_unix(process.start).short(today),
            seconds / 3600,
            seconds / 60 % 60,
            seconds % 60,
            process.command,
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_ps() {
        let process = ProcessInfo {
            pid: 1,
            ppid: 0,
            uid: 0,
            threads: 1,
            start: 0,
            cpu: 61_000,
            tty: String::new(),
            command: "sleep 100".into(),
        };
        let text = table(&[process]);
        assert_eq!(text.lines().nth(1).unwrap(), "root         1     0  0 Jan01 ?        00:01:01 sleep 100");
    }
}
