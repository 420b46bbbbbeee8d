//! The command line's grammar: runc's, and a few flags of our own.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::cmd;

/// Everything that can be said.
#[derive(Debug, Parser)]
#[command(name = crate::NAME, version, about = "Runs OCI containers on a kernel of its own")]
#[command(disable_help_subcommand = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags before the sub-command.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Directory for the state of containers [default: /run/runsc-rs, or runsc-rs under $XDG_RUNTIME_DIR]
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
    /// Where messages go instead of standard error
    #[arg(long, value_name = "FILE")]
    pub(crate) log: Option<PathBuf>,
    /// text or json
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) log_format: String,
    /// Log more, here and in the sandbox
    #[command(flatten)]
    pub(crate) switches: Switches,
    /// Where the sandbox and the gofer log: a file, or with a `/` at its end a directory for a file per process
    #[arg(long, value_name = "PATH")]
    pub(crate) debug_log: Option<PathBuf>,
    /// How application code runs
    #[arg(long, value_enum, default_value_t = Platform::Systrap)]
    pub(crate) platform: Platform,
    /// Which network the container gets [default: the sandbox's own; the host's if it has no network namespace]
    #[arg(long, value_enum)]
    pub(crate) network: Option<Network>,
    /// What stands over the root file system: root:memory, root:dir=DIR or none
    #[arg(long, value_name = "WHAT", default_value = "root:memory")]
    pub(crate) overlay2: String,
    /// Accepted and ignored
    #[arg(long, hide = true)]
    pub(crate) criu: Option<PathBuf>,
    /// Go on without cgroups if they are not permitted: true, false or auto
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub(crate) rootless: String,
}

/// Switches that may be written `--debug` or `--debug=true`.
#[derive(Debug, Args)]
pub(crate) struct Switches {
    /// Log more, here and in the sandbox
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, action = ArgAction::Set,
          default_value_t = false, default_missing_value = "true", hide_default_value = true, hide_possible_values = true)]
    pub(crate) debug: bool,
    /// Log each system call of the container in the debug log
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, action = ArgAction::Set,
          default_value_t = false, default_missing_value = "true", hide_default_value = true, hide_possible_values = true)]
    pub(crate) strace: bool,
    /// Rewrite code of the application that makes many system calls, so that they pass through memory (systrap)
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, action = ArgAction::Set,
          default_value_t = true, default_missing_value = "true", hide_possible_values = true)]
    pub(crate) rewrite: bool,
    /// cgroupsPath is "slice:prefix:name"
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, action = ArgAction::Set,
          default_value_t = false, default_missing_value = "true", hide_default_value = true, hide_possible_values = true)]
    pub(crate) systemd_cgroup: bool,
}

/// `--platform`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Platform {
    Ptrace,
    Systrap,
    /// As systrap does on hosts without synchronous notifications; for tests.
    #[value(hide = true)]
    SystrapFutex,
    /// Systrap, with code rewritten at the first opportunity; for tests.
    #[value(hide = true)]
    SystrapEager,
    /// Virtual CPUs, over /dev/kvm
    Kvm,
    /// Kvm where the host has hardware virtualisation and /dev/kvm, systrap otherwise
    Auto,
}

/// `--network`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Network {
    Sandbox,
    Host,
    None,
}

/// The sub-commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create a container
    Create(cmd::create::CreateArgs),
    /// Run the program of a created container
    Start(cmd::start::StartArgs),
    /// Create a container and run its program
    Run(cmd::run::RunArgs),
    /// Run another program in a running container
    Exec(cmd::exec::ExecArgs),
    /// Print the state of a container
    State(cmd::state::StateArgs),
    /// Send a signal to a container's first process
    Kill(cmd::kill::KillArgs),
    /// Remove a container
    Delete(cmd::delete::DeleteArgs),
    /// List containers
    List(cmd::list::ListArgs),
    /// Stop all processes of a container
    Pause(cmd::pause::PauseArgs),
    /// Let them go on
    Resume(cmd::pause::PauseArgs),
    /// Change the limits of a container while it runs
    Update(cmd::update::UpdateArgs),
    /// Print what a container uses and what happens to it
    Events(cmd::events::EventsArgs),
    /// Not available in this version
    #[command(hide = true)]
    Checkpoint(cmd::checkpoint::CheckpointArgs),
    /// Not available in this version
    #[command(hide = true)]
    Restore(cmd::checkpoint::CheckpointArgs),
    /// Show the processes of a container
    Ps(cmd::ps::PsArgs),
    /// Wait for a container to end and print its exit status
    Wait(cmd::wait::WaitArgs),
    /// Write a config.json to start from
    Spec(cmd::spec::SpecArgs),
    /// Print what this runtime can do
    Features,
    /// Run a command over a read-only view of this machine's files
    Do(cmd::do_command::DoArgs),
    /// Make this runtime known to Docker and containerd
    Install(cmd::install::InstallArgs),
    /// Take it out of their configurations
    Uninstall(cmd::install::InstallArgs),
    /// Print completions for a shell
    Completions(cmd::generate::CompletionsArgs),
    /// Write manual pages
    Man(cmd::generate::ManArgs),
    /// Print what the kernel knows about itself
    Debug(cmd::debug::DebugArgs),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn grammar_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn engines_command_lines_are_understood() {
        let lines: &[&[&str]] = &[
            &[
                "--root",
                "/r",
                "--log",
                "/l",
                "--log-format",
                "json",
                "create",
                "--bundle",
                "/b",
                "--pid-file",
                "/p",
                "x",
            ],
            &["--systemd-cgroup", "--debug=true", "run", "-b", "/b", "-d", "--no-pivot", "--no-new-keyring", "x"],
            &["exec", "--process", "/p", "--console-socket", "/s", "--detach", "--pid-file", "/f", "x"],
            &["exec", "-t", "-u", "1:2", "-e", "A=b", "-e", "C=d", "--cap", "CAP_KILL", "x", "ls", "-t", "--", "-d"],
            &["kill", "--all", "x", "9"],
            &["update", "--resources", "-", "x"],
            &["update", "--memory", "300m", "--cpu-quota=50000", "--pids-limit", "-1", "x"],
            &["events", "--stats", "x"],
            &["events", "--interval", "5s", "x"],
            &["pause", "x"],
            &["resume", "x"],
            &["checkpoint", "--image-path", "/i", "--leave-running", "x"],
            &["delete", "--force", "x"],
            &["ps", "--format", "json", "x"],
            &["--platform=ptrace", "--network=none", "--overlay2=none", "list", "-q"],
        ];
        for line in lines {
            let all = ["runsc-rs"].iter().chain(line.iter());
            Cli::try_parse_from(all).unwrap_or_else(|e| panic!("{line:?}: {e}"));
        }
    }

    #[test]
    fn exec_leaves_the_commands_own_flags_alone() {
        let cli = Cli::try_parse_from(["runsc-rs", "exec", "x", "ls", "-t", "-d"]).unwrap();
        let Command::Exec(exec) = cli.command else { panic!("exec expected") };
        assert_eq!(exec.id_and_command, ["x", "ls", "-t", "-d"]);
        assert!(!exec.tty && !exec.detach);
    }
}
