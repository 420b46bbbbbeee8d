//! `exec`: runs another program in a running container.
//!
//! The process exists in the sandbox only. On the host a process of ours stands in for it: its pid is what `--pid-file`
//! gets, its exit status is the process', signals to it are forwarded, and if it is killed the process is killed. In the
//! foreground that is the command itself, unless there is a terminal, whose session needs a leader of its own.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use control::wire::Outgoing;
use control::{ProcessSpec, Reply, Request, Status};
use host::fork::{Side, fork_single_threaded};
use oci_spec::runtime::{Process, Spec};

use crate::channel::Channel;
use crate::cli::Global;
use crate::config::{capabilities, container, process};
use crate::sandbox::control::Control;
use crate::sandbox::create::inherited_files;
use crate::sandbox::foreground::Foreground;
use crate::state::{Root, replace};
use crate::terminal;

/// What to run where.
#[derive(Debug, Args)]
pub(crate) struct ExecArgs {
    /// A JSON file with the process, as in config.json
    #[arg(short, long, value_name = "FILE")]
    process: Option<PathBuf>,
    /// Give it a terminal
    #[arg(short, long)]
    pub(crate) tty: bool,
    /// Numbers of the user and, after a colon, the group
    #[arg(short, long, value_name = "UID[:GID]")]
    user: Option<String>,
    /// More groups
    #[arg(short = 'g', long, value_name = "GID")]
    additional_gids: Vec<u32>,
    /// Where it starts
    #[arg(long, value_name = "DIR")]
    cwd: Option<String>,
    /// A variable
    #[arg(short, long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Do not wait for its end
    #[arg(short, long)]
    pub(crate) detach: bool,
    /// Where to write the pid of the process that stands in for it
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,
    /// A unix socket that gets the master of its terminal
    #[arg(long, value_name = "SOCKET")]
    console_socket: Option<PathBuf>,
    /// A capability to add
    #[arg(short, long, value_name = "NAME")]
    cap: Vec<String>,
    /// Never gain privileges by executing a program
    #[arg(long)]
    no_new_privs: bool,
    /// How many files after the standard ones to pass to it
    #[arg(long, value_name = "N", default_value_t = 0)]
    preserve_fds: u32,
    /// Also if the container is paused
    #[arg(long)]
    ignore_paused: bool,
    /// Accepted and ignored: all processes of a sandbox are in its cgroups
    #[arg(long, hide = true)]
    cgroup: Vec<String>,
    /// Accepted and ignored: no label of the host means anything in the container
    #[arg(long, hide = true)]
    process_label: Option<String>,
    /// Accepted and ignored: no profile of the host means anything in the container
    #[arg(long, hide = true)]
    apparmor: Option<String>,
    /// The container, then program and arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "CONTAINER-ID COMMAND")]
    pub(crate) id_and_command: Vec<String>,
}

pub(crate) fn main(global: &Global, args: &ExecArgs) -> Result<u8> {
    exec(global, args).context("exec failed")
}

fn exec(global: &Global, args: &ExecArgs) -> Result<u8> {
    let mut files = inherited_files(args.preserve_fds)?;
    let (id, command) = args.id_and_command.split_first().context("a container id is needed")?;
    let root = Root::new(global.root.as_deref())?;
    let record = root.read(id)?;
    match record.status() {
        Status::Stopped => bail!("cannot exec in a stopped container"),
        Status::Creating => bail!("cannot exec in a container that is being created"),
        Status::Paused if !args.ignore_paused => {
            bail!("cannot exec in a paused container (use --ignore-paused to override)")
        }
        _ => {}
    }
    let process = match &args.process {
        Some(path) => read_process(path)?,
        None => process_of(args, command, &record.bundle)?,
    };
    process::check(&process)?;
    let mut spec = process::describe(&process)?;
    if args.process.is_none() {
        adjust(&mut spec, args)?;
    }
    let terminal = spec.terminal.then(|| terminal::open_pair(None)).transpose()?;
    match (&terminal, &args.console_socket) {
        (Some(pair), Some(socket)) => terminal::send_master(socket, &pair.master)?,
        (Some(_), None) if args.detach => {
            bail!("cannot allocate tty if {} will detach without setting console socket", crate::NAME)
        }
        (None, Some(_)) => bail!("cannot use console socket if {} will not detach or allocate tty", crate::NAME),
        _ => {}
    }
    files.extend(match &terminal {
        Some(pair) => terminal::as_standard_files(&pair.slave)?,
        None => container::standard_files()?,
    });
    let channel = Control::connect(&root, &record)?.into_channel();
    let pid = start(&channel, id, spec, files)?;
    let foreground = Foreground::prepare()?;
    if !args.detach && terminal.is_none() {
        write_pid(args, std::process::id())?;
        return foreground.wait_exec(&channel, id, pid);
    }
    let (master, slave) = terminal.map_or((None, None), |pair| (Some(pair.master), Some(pair.slave)));
    match fork_single_threaded().context("cannot start the process that stands in")? {
        Side::Child => {
            drop(master);
            // Whoever reads what the process writes waits for the last writer, which must not be us.
            terminal::silence();
            Ok(foreground.stand_in(&channel, id, Some(pid), slave))
        }
        Side::Parent(child) => {
            drop((channel, slave));
            write_pid(args, child.as_raw().cast_unsigned())?;
            let master = master.filter(|_| args.console_socket.is_none());
            if args.detach { Ok(0) } else { foreground.wait(child, master) }
        }
    }
}

/// Starts the process and returns its pid in the container.
fn start(channel: &Channel, id: &str, spec: ProcessSpec, files: Vec<(u32, OwnedFd)>) -> Result<u32> {
    let mut outgoing = Outgoing::default();
    let process = Box::new(container::with_files(spec, files, &mut outgoing));
    channel.send(&Request::Exec { id: id.to_owned(), process }, &outgoing.fds())?;
    match channel.recv::<Reply>().context("the sandbox has ended")? {
        (Reply::Started { pid }, _) => Ok(pid),
        (Reply::Failed(failure), _) => Err(anyhow::Error::from(failure).context("unable to start container process")),
        (other, _) => bail!("unexpected reply {other:?}"),
    }
}

fn read_process(path: &Path) -> Result<Process> {
    let text = std::fs::read(path).with_context(|| format!("open {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("invalid process in {}", path.display()))
}

/// The container's own process with another command, as the bundle has it now.
fn process_of(args: &ExecArgs, command: &[String], bundle: &Path) -> Result<Process> {
    if command.is_empty() {
        bail!("process args cannot be empty");
    }
    let text = std::fs::read(bundle.join("config.json")).context("the bundle has gone: use --process")?;
    let spec: Spec = serde_json::from_slice(&text).context("invalid config.json")?;
    let mut process = spec.process().clone().context("process property must not be empty")?;
    process.set_args(Some(command.to_vec()));
    process.set_terminal(Some(args.tty));
    if let Some(cwd) = &args.cwd {
        process.set_cwd(cwd.into());
    }
    Ok(process)
}

/// What the flags say besides.
fn adjust(spec: &mut ProcessSpec, args: &ExecArgs) -> Result<()> {
    for variable in &args.env {
        if let Some((name, _)) = variable.split_once('=') {
            spec.env.retain(|old| old.split_once('=').is_none_or(|(known, _)| known != name));
        }
        spec.env.push(variable.clone());
    }
    for name in &args.cap {
        let bit = capabilities::bit(name)?;
        let sets = &mut spec.capabilities;
        for set in
            [&mut sets.bounding, &mut sets.effective, &mut sets.inheritable, &mut sets.permitted, &mut sets.ambient]
        {
            *set |= bit;
        }
    }
    if let Some(user) = &args.user {
        let (uid, gid) = user.split_once(':').map_or((user.as_str(), None), |(uid, gid)| (uid, Some(gid)));
        let number = |text: &str| text.parse().with_context(|| format!("parsing {text} as a number for --user failed"));
        spec.uid = number(uid)?;
        spec.gid = gid.map_or(Ok(spec.gid), number)?;
    }
    spec.additional_gids.extend(&args.additional_gids);
    spec.no_new_privileges |= args.no_new_privs;
    Ok(())
}

fn write_pid(args: &ExecArgs, pid: u32) -> Result<()> {
    let Some(path) = &args.pid_file else { return Ok(()) };
    replace(path, pid.to_string().as_bytes()).with_context(|| format!("cannot write {}", path.display()))
}
