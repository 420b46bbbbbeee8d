//! Creates a container: everything between `config.json` and a program that waits to run.
//!
//! What has been started or made is held by a [`Making`] until the container is recorded and told to go on; whatever fails
//! before that takes all of it away again. If we are killed instead, the two processes end because their sockets do, and
//! the directory is left for `delete --force`.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use control::spec::{NetworkKind, SandboxSpec};
use control::wire::WireError;
use control::{LaunchSpec, Reply};
use host::tty::WindowSize;
use nix::unistd::Pid;

use super::foreground::Foreground;
use super::last_words::LastWords;
use super::launch::Launcher;
use super::link;
use super::making::Making;
use super::pod;
use crate::boot::GoOn;
use crate::channel::Channel;
use crate::cli::{Global, Network};
use crate::config::overlay::OverlayMode;
use crate::config::{self, Bundle, container};
use crate::state::Root;
use crate::state::record::Record;
use crate::timestamp::Timestamp;
use crate::{hooks, terminal};

/// What `create` and `run` were asked for.
#[derive(Debug, Default)]
pub(crate) struct Options<'a> {
    /// `--bundle`.
    pub(crate) bundle: Option<&'a Path>,
    /// `--console-socket`.
    pub(crate) console_socket: Option<&'a Path>,
    /// `--pid-file`.
    pub(crate) pid_file: Option<&'a Path>,
    /// `--preserve-fds`.
    pub(crate) preserve_fds: u32,
    /// We stay, and pass our terminal through.
    pub(crate) foreground: bool,
    /// Run the program at once.
    pub(crate) start: bool,
}

/// A container that was created by this process.
#[derive(Debug)]
pub(crate) struct Created {
    /// Its sandbox, a child of ours.
    pub(crate) sandbox: Pid,
    /// The master of its terminal, if that is ours to pass through.
    pub(crate) terminal: Option<OwnedFd>,
    /// Our part, if we stay.
    pub(crate) foreground: Option<Foreground>,
    /// What the sandbox may say as it dies.
    pub(crate) last_words: LastWords,
    /// What was recorded.
    pub(crate) record: Record,
}

/// Creates a container.
pub(crate) fn container(global: &Global, id: &str, options: &Options<'_>) -> Result<Created> {
    let files = inherited_files(options.preserve_fds)?;
    let overlay = OverlayMode::parse(&global.overlay2)?;
    of_bundle(global, id, options, &config::load(options.bundle)?, &overlay, files)
}

/// Creates a container of a bundle that may exist in memory only. `files` are open in its first process.
pub(crate) fn of_bundle(
    global: &Global,
    id: &str,
    options: &Options<'_>,
    bundle: &Bundle,
    overlay: &OverlayMode,
    mut files: Vec<(u32, OwnedFd)>,
) -> Result<Created> {
    let (platform, kvm) = super::platform::choose(global.platform, global.switches.rewrite)?;
    let network = network(global.network, &bundle.spec);
    let root = Root::new(global.root.as_deref())?;
    if let Some(pod) = pod::of(&bundle.spec) {
        return pod::container(global, &root, pod, id, options, bundle, overlay, files);
    }
    let (more, terminal) = standard_files(options, bundle)?;
    files.extend(more);
    let ours = terminal.filter(|_| options.console_socket.is_none()).map(|pair| pair.master);
    let mut making = Making::begin(global, &root, id, bundle, None)?;
    let mut plan = container::plan(id, bundle, overlay, files, false)?;

    let debug_log = DebugLog::open(global)?;
    let (mut last_words, errors) = LastWords::pipe()?;
    let launcher = Launcher::new(debug_log.file("boot", &errors)?, debug_log.file("gofer", &errors)?)?;
    drop(errors);
    let title = bundle.spec.process().as_ref().and_then(|process| process.args().as_deref()).unwrap_or_default();
    // Until it is released a process ends when its gate is dropped.
    let sandbox = launcher.sandbox(&bundle.spec, title, network, making.unified())?;
    let gofer = launcher.gofer(&bundle.spec, making.unified())?;
    drop(launcher);
    making.attach(&[sandbox.process.pid, gofer.process.pid])?;
    let listener = UnixListener::bind(making.locked()?.socket_path()).context("cannot make the control socket")?;
    let host_memory = host_memory();
    let memory_files = making.record.cgroups.memory_files();
    let asks_engine = link::asks_engine(&bundle.spec);
    let sandbox_spec = SandboxSpec {
        platform,
        kvm: kvm.map(|device| plan.files.add(device)),
        network,
        strace: global.switches.strace,
        debug: global.switches.debug,
        control: plan.files.add(listener.into()),
        log: debug_log.is_open(),
        cpus: 0,
        asks_engine,
        memory_total: plan.container.limits.memory.map_or(host_memory, |limit| limit.min(host_memory)),
        memory_host: host_memory,
        memory_charged: memory_files.map(|files| files.map(|file| plan.files.add(file))),
    };
    plan.gofer.log = debug_log.is_open().then_some(global.switches.debug);
    let launch = LaunchSpec { sandbox: sandbox_spec, container: plan.container };
    let (sandbox, sandbox_process) = making.release(sandbox)?;
    let (gofer, gofer_process) = making.release(gofer)?;
    making.record.sandbox = Some(sandbox_process);
    making.record.gofer = Some(gofer_process);
    // The namespaces are there and nothing is in them yet: hooks may give the network what the sandbox will find.
    hooks::before_create(bundle, &making.record)?;
    let told = sandbox.channel.send(&launch, &plan.files.fds());
    told.and_then(|()| gofer.channel.send(&plan.gofer, &plan.gofer_files.fds()))
        .or_else(|e| if matches!(e, WireError::Io(_)) { Ok(()) } else { Err(e) })?; // who has died says why below
    drop((plan.files, plan.gofer_files, gofer.channel));

    expect_done(&sandbox.channel, &mut last_words)?;
    let foreground = making.created(options, sandbox.pid)?;
    // Only now: hooks may have put the device there.
    let taken = match network {
        NetworkKind::Sandbox if has_network(&bundle.spec) => {
            link::open(Path::new(&format!("/proc/{}/ns/net", sandbox.pid)), asks_engine)
                .context("cannot set up the network")?
        }
        _ => None,
    };
    let (taken, wire) = taken.unzip();
    let wire: Vec<_> = wire.iter().flatten().map(AsFd::as_fd).collect();
    let start_at_once = options.start && !hooks::has_start_container(&making.record);
    let go_on = GoOn { start: start_at_once, link: taken };
    sandbox.channel.send(&go_on, &wire).map_err(|_| last_words.error())?;
    if start_at_once {
        expect_done(&sandbox.channel, &mut last_words)?;
    } else if options.start {
        super::start::program(&root, &making.record)?;
    }
    Ok(Created { sandbox: sandbox.pid, terminal: ours, foreground, last_words, record: making.done() })
}

/// What becomes files 0 to 2 of the first process, and its terminal if it gets one. The master has gone to the console socket
/// if there is one.
pub(super) fn standard_files(
    options: &Options<'_>,
    bundle: &Bundle,
) -> Result<(Vec<(u32, OwnedFd)>, Option<terminal::Pair>)> {
    let process = bundle.spec.process().as_ref().context("process property must not be empty")?;
    let wants_terminal = process.terminal().unwrap_or_default();
    check_console(options, wants_terminal)?;
    if !wants_terminal {
        return Ok((container::standard_files()?, None));
    }
    let size = process.console_size().map(|size| WindowSize {
        rows: u16::try_from(size.height()).unwrap_or(u16::MAX),
        columns: u16::try_from(size.width()).unwrap_or(u16::MAX),
        ..WindowSize::default()
    });
    let pair = terminal::open_pair(size)?;
    if let Some(socket) = options.console_socket {
        terminal::send_master(socket, &pair.master)?;
    }
    Ok((terminal::as_standard_files(&pair.slave)?, Some(pair)))
}

/// Files from 3 on that the caller wants the container to have. Taken before we open any of our own.
pub(crate) fn inherited_files(count: u32) -> Result<Vec<(u32, OwnedFd)>> {
    let inherited = |number| {
        let file = host::spawn::inherited(number);
        file.map(|file| (number, file))
            .map_err(|_| anyhow!("unable to preserve file descriptor {number}: it is not open"))
    };
    (3..count.saturating_add(3)).map(inherited).collect()
}

/// Without the flag it is as the configuration says: a container that has no network namespace shares the host's (`docker run
/// --network host`).
fn network(network: Option<Network>, spec: &oci_spec::runtime::Spec) -> NetworkKind {
    match network {
        Some(Network::None) => NetworkKind::None,
        Some(Network::Sandbox) => NetworkKind::Sandbox,
        Some(Network::Host) => NetworkKind::Host,
        None if has_network(spec) => NetworkKind::Sandbox,
        None => NetworkKind::Host,
    }
}

/// Whether the container has a network namespace of its own, whose devices are the sandbox's.
fn has_network(spec: &oci_spec::runtime::Spec) -> bool {
    config::namespace(spec, oci_spec::runtime::LinuxNamespaceType::Network).is_some()
}

/// runc's rules for who gets the terminal.
fn check_console(options: &Options<'_>, wants_terminal: bool) -> Result<()> {
    match (options.foreground, wants_terminal, options.console_socket.is_some()) {
        (false, true, false) => {
            bail!("cannot allocate tty if {} will detach without setting console socket", crate::NAME)
        }
        (true, _, true) | (_, false, true) => {
            bail!("cannot use console socket if {} will not detach or allocate tty", crate::NAME)
        }
        _ => Ok(()),
    }
}

/// The host's memory in bytes.
fn host_memory() -> u64 {
    let info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total =
        info.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    total.unwrap_or(1 << 20).saturating_mul(1024)
}

/// Waits for the sandbox to say that it has done what it was told.
fn expect_done(channel: &Channel, last_words: &mut LastWords) -> Result<()> {
    match channel.recv::<Reply>() {
        Ok((Reply::Done, _)) => Ok(()),
        Ok((Reply::Failed(failure), _)) => {
            Err(anyhow::Error::from(failure).context("unable to start container process"))
        }
        Ok((other, _)) => bail!("unexpected reply {other:?}"),
        Err(WireError::Closed | WireError::Io(_)) => Err(last_words.error()),
        Err(e) => Err(e.into()),
    }
}

/// `--debug-log`.
#[derive(Debug)]
pub(super) enum DebugLog {
    None,
    File(File),
    Directory(PathBuf),
}

impl DebugLog {
    pub(super) fn open(global: &Global) -> Result<Self> {
        let Some(path) = &global.debug_log else { return Ok(Self::None) };
        if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
            std::fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))?;
            return Ok(Self::Directory(path.clone()));
        }
        Ok(Self::File(append(path)?))
    }

    pub(super) const fn is_open(&self) -> bool {
        !matches!(self, Self::None)
    }

    /// Where that process writes; `otherwise` if there is no log.
    pub(super) fn file(&self, process: &str, otherwise: &OwnedFd) -> Result<OwnedFd> {
        match self {
            Self::None => Ok(otherwise.try_clone()?),
            Self::File(file) => Ok(file.try_clone()?.into()),
            Self::Directory(directory) => {
                let name = format!("{}.log.{}.{process}.txt", crate::NAME, Timestamp::now().compact());
                Ok(append(&directory.join(name))?.into())
            }
        }
    }
}

fn append(path: &Path) -> Result<File> {
    let file = File::options().append(true).create(true).open(path);
    file.with_context(|| format!("cannot open debug log {}", path.display()))
}
