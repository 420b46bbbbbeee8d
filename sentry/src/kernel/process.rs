//! A process from outside: the first one of a container, and those of `exec`.
//!
//! The task is made complete, its program loaded, before it becomes visible; then it waits for `start`.

use std::sync::Arc;

use abi::Errno;
use abi::capability::CapSet;
use abi::fcntl::OpenFlags;
use abi::resource::{Resource, Rlimit};
use abi::signal::SigSet;
use control::spec::{ContainerSpec, ProcessSpec, Rlimit as SpecLimit};
use control::wire::Donated;
use control::{Failure, FailureKind};

use super::container::Container;
use super::root::Builder;
use super::{Kernel, failure};
use crate::error::Error;
use crate::fs::{devpts, hostfd, tty};
use crate::io::{IoDst, IoSrc};
use crate::loader::Strings;
use crate::mm::{Layout, MemLimits, MemoryManager, Randomness};
use crate::task::exec::{ExecRequest, Place};
use crate::task::{Credentials, CurrentTask, Limits, Namespaces, NewProcess, PidNamespace};
use crate::vfs::namei::mkdir;
use crate::vfs::perm::Want;
use crate::vfs::walk::{WalkFlags, resolve};
use crate::vfs::{Caller, FdTable, File, FsContext, anon, open};

/// Where programs without a slash in their name are looked for if the environment has no PATH.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How much of /etc/passwd is read.
const MAX_PASSWD: usize = 1 << 20;

/// What a process is made in.
#[derive(Debug)]
pub(super) struct Surroundings<'a> {
    pub(super) kernel: &'a Arc<Kernel>,
    pub(super) container: &'a Arc<Container>,
    pub(super) fs: Arc<FsContext>,
    pub(super) namespaces: Arc<Namespaces>,
    pub(super) pid_ns: &'a Arc<PidNamespace>,
    /// It is the first of a container that is being built.
    pub(super) new: Option<NewContainer<'a>>,
}

/// What the first process of a container does before it becomes that: a missing working directory is made, settings of
/// /proc/sys are made, and then the tree is closed.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewContainer<'a> {
    pub(super) tree: &'a Builder<'a>,
    pub(super) spec: &'a ContainerSpec,
}

/// Makes the process. It does not run yet.
pub(super) fn make(around: Surroundings<'_>, spec: &ProcessSpec, files: &mut Donated) -> Result<CurrentTask, Failure> {
    let kernel = around.kernel;
    around.fs.set_umask(spec.umask.unwrap_or(0o022));
    enter_directory(&around, &spec.cwd)?;
    let limits = limits(&spec.rlimits)?;
    let table = open_files(spec, files, limits.soft(Resource::RLIMIT_NOFILE))?;
    let empty = Layout::new(kernel.platform.user_range(), 0, false, &Randomness::default());
    let mm = MemoryManager::new(Arc::clone(&kernel.platform), Arc::clone(&kernel.memfile), empty, MemLimits::default())
        .map_err(|e| failure("cannot make an address space", &e))?;
    // It sets itself up as root, and becomes who it is to be last.
    let root = Credentials::root(Arc::clone(&kernel.root_user_ns));
    let mut task = CurrentTask::first(NewProcess {
        kernel: Arc::clone(kernel),
        container: Arc::clone(around.container),
        pid_ns: Arc::clone(around.pid_ns),
        creds: Arc::new(root),
        mm,
        files: table,
        fs: Arc::clone(&around.fs),
        namespaces: Arc::clone(&around.namespaces),
        limits,
        oom_score_adj: spec.oom_score_adj.unwrap_or(0),
        blocked: SigSet::EMPTY,
    })
    .map_err(|e| failure("cannot make a process", &e))?;
    if let Some(NewContainer { tree, spec }) = around.new {
        for (name, value) in &spec.sysctl {
            set_sysctl(&task, name, value)?;
        }
        tree.restrict(spec)?;
    }
    task.set_creds(credentials(kernel, spec));
    load_program(&mut task, spec)?;
    if let Some(profile) = around.container.seccomp() {
        task.seccomp_profile(profile.log(), profile.code())
            .map_err(|e| failure("cannot apply the seccomp profile", &e))?;
    }
    Ok(task)
}

/// Writes a setting of /proc/sys. One that this kernel does not have is skipped.
fn set_sysctl(task: &CurrentTask, name: &str, value: &str) -> Result<(), Failure> {
    let path = format!("/proc/sys/{}", name.replace('.', "/"));
    let result = open::open(task, None, path.as_bytes(), OpenFlags::O_WRONLY, 0, WalkFlags::empty())
        .and_then(|file| file.write(task, &mut IoSrc::kernel(value.as_bytes())));
    match result {
        Ok(_) => Ok(()),
        Err(e) if e.is(Errno::ENOENT) => {
            tracing::warn!(name, "no such setting");
            Ok(())
        }
        Err(e) => Err(failure(&format!("cannot set {name}"), &e)),
    }
}

fn credentials(kernel: &Kernel, spec: &ProcessSpec) -> Credentials {
    let caps = &spec.capabilities;
    let mut groups = spec.additional_gids.clone();
    groups.sort_unstable();
    Credentials {
        uid: spec.uid,
        euid: spec.uid,
        suid: spec.uid,
        fsuid: spec.uid,
        gid: spec.gid,
        egid: spec.gid,
        sgid: spec.gid,
        fsgid: spec.gid,
        groups: groups.into(),
        permitted: CapSet::from_bits_truncate(caps.permitted),
        effective: CapSet::from_bits_truncate(caps.effective),
        inheritable: CapSet::from_bits_truncate(caps.inheritable),
        bounding: CapSet::from_bits_truncate(caps.bounding),
        ambient: CapSet::from_bits_truncate(caps.ambient),
        no_new_privs: spec.no_new_privileges,
        ..Credentials::root(Arc::clone(&kernel.root_user_ns))
    }
}

fn limits(list: &[SpecLimit]) -> Result<Limits, Failure> {
    let limits = Limits::default();
    for limit in list {
        let resource = Resource::new(limit.resource)
            .map_err(|_| Failure::other(format!("no such resource limit: {}", limit.resource)))?;
        let value = Rlimit { rlim_cur: limit.soft, rlim_max: limit.hard };
        let _ = limits.set(resource, value, |_| Ok(()));
    }
    Ok(limits)
}

fn open_files(spec: &ProcessSpec, files: &mut Donated, limit: u64) -> Result<Arc<FdTable>, Failure> {
    let table = FdTable::new();
    // A terminal comes when the process is there.
    for open in spec.files.iter().filter(|open| !spec.terminal || open.number > 2) {
        let what = || format!("cannot open file {}", open.number);
        // One host file may stand at several numbers.
        let host = files.duplicate(open.file).map_err(|e| Failure::other(e.to_string()))?;
        let file = hostfd::open(host).map_err(|e| failure(&what(), &e))?;
        let number = i32::try_from(open.number).map_err(|_| Failure::other(what()))?;
        table.replace(number, file, false, limit.max(64)).map_err(|e| failure(&what(), &e))?;
    }
    Ok(table)
}

/// Joins the terminal that stands at file 0 and gives it to a visible process: as controlling terminal, and as its files 0
/// to 2 (and for the first process as the container's console). It is a terminal of the container's /dev/pts, if there is one.
pub(super) fn attach_terminal(
    task: &CurrentTask,
    spec: &ProcessSpec,
    files: &Donated,
    first: bool,
) -> Result<(), Failure> {
    let Some(input) = spec.files.iter().find(|file| file.number == 0).filter(|_| spec.terminal) else {
        return Ok(());
    };
    let what = |e: Error| failure("cannot use the terminal", &e);
    let host = files.duplicate(input.file).map_err(|e| Failure::other(e.to_string()))?;
    let find = |path: &[u8]| resolve(Caller::of(task), None, path, WalkFlags::FOLLOW);
    let devpts = find(b"/dev/pts").ok().and_then(|dir| devpts::instance_at(dir.inode()));
    let tty = tty::console::join(host, devpts, task).map_err(what)?;
    if first {
        task.group().container().set_console(Arc::clone(&tty));
    }
    let name = tty.number().map_or_else(|| "/dev/console".to_owned(), |number| format!("/dev/pts/{number}"));
    let path = find(name.as_bytes()).unwrap_or_else(|_| anon::inode_path("/dev/console"));
    let file = File::new(tty::slave::open(&tty, task, OpenFlags::O_RDWR).map_err(what)?, path, OpenFlags::O_RDWR);
    for number in 0..3 {
        task.files().replace(number, Arc::clone(&file), false, 64).map_err(what)?;
    }
    Ok(())
}

fn enter_directory(around: &Surroundings<'_>, cwd: &str) -> Result<(), Failure> {
    let creds = Credentials::root(Arc::clone(&around.kernel.root_user_ns));
    let caller = Caller::kernel(&creds, &around.fs);
    let what = |e: &Error| failure(&format!("cannot enter {cwd}"), e);
    if around.new.is_some() {
        for (end, _) in cwd.char_indices().filter(|(at, c)| *c == '/' && *at > 0).chain([(cwd.len(), '/')]) {
            match mkdir(caller, None, &cwd.as_bytes()[..end], 0o755) {
                Err(e) if !e.is(Errno::EEXIST) && !e.is(Errno::EROFS) => return Err(what(&e)),
                _ => {}
            }
        }
    }
    let flags = WalkFlags::FOLLOW | WalkFlags::DIRECTORY;
    let place = resolve(caller, None, cwd.as_bytes(), flags).map_err(|e| what(&e))?;
    around.fs.set_cwd(place);
    Ok(())
}

/// Finds the program and loads it.
fn load_program(task: &mut CurrentTask, spec: &ProcessSpec) -> Result<(), Failure> {
    let Some(program) = spec.args.first() else { return Err(Failure::other("no program to run")) };
    let path = find_program(task, program, &spec.env)?;
    let mut env: Vec<String> = spec.env.clone();
    if !env.iter().any(|entry| entry.starts_with("HOME=")) {
        env.push(format!("HOME={}", home(task, spec.uid)));
    }
    let request = ExecRequest {
        name: path.clone().into_bytes(),
        place: Place::Path(None, path.into_bytes(), WalkFlags::FOLLOW),
        argv: spec.args.iter().collect::<Strings>(),
        envp: env.iter().collect::<Strings>(),
    };
    task.execve(request).map_err(|e| unusable(program, &e))
}

/// The path of a program: as it is if it has a slash, else the first in PATH that can be executed.
fn find_program(task: &CurrentTask, program: &str, env: &[String]) -> Result<String, Failure> {
    if program.contains('/') {
        return match check_program(task, program) {
            Ok(()) => Ok(program.to_owned()),
            Err(e) => Err(unusable(program, &e)),
        };
    }
    let path = env.iter().rev().find_map(|entry| entry.strip_prefix("PATH=")).unwrap_or(DEFAULT_PATH);
    let mut refused = None;
    for directory in path.split(':') {
        let directory = if directory.is_empty() { "." } else { directory };
        let candidate = format!("{directory}/{program}");
        match check_program(task, &candidate) {
            Ok(()) => return Ok(candidate),
            Err(e) if e.is(Errno::EACCES) => refused = Some(e),
            Err(_) => {}
        }
    }
    match refused {
        Some(e) => Err(unusable(program, &e)),
        None => Err(Failure {
            kind: FailureKind::ProgramNotFound,
            message: format!("exec: \"{program}\": executable file not found in $PATH"),
        }),
    }
}

fn check_program(task: &CurrentTask, path: &str) -> Result<(), Error> {
    let place = resolve(Caller::of(task), None, path.as_bytes(), WalkFlags::FOLLOW)?;
    if place.is_dir() {
        return Err(Errno::EACCES.into());
    }
    place.check(task.creds(), Want::EXEC)
}

fn unusable(program: &str, error: &Error) -> Failure {
    let kind = match error.errno() {
        Errno::ENOENT | Errno::ENOTDIR => FailureKind::ProgramNotFound,
        errno => FailureKind::ProgramUnusable(u16::try_from(errno.raw()).unwrap_or(0)),
    };
    Failure { kind, message: format!("exec: \"{program}\": {}", super::describe(error)) }
}

/// The home directory of a user, from the container's /etc/passwd.
fn home(task: &CurrentTask, uid: u32) -> String {
    let text = read_file(task, b"/etc/passwd").unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let entry = text
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.len() >= 6 && fields[2].parse::<u32>().is_ok_and(|found| found == uid));
    match entry.map(|fields| fields[5].to_owned()) {
        Some(home) if !home.is_empty() => home,
        _ => "/".to_owned(),
    }
}

fn read_file(task: &CurrentTask, path: &[u8]) -> Result<Vec<u8>, Error> {
    let file = open::open(task, None, path, OpenFlags::O_RDONLY, 0, WalkFlags::empty())?;
    let mut text = Vec::new();
    let mut chunk = vec![0; 16 << 10];
    while text.len() < MAX_PASSWD {
        let n = file.read(task, &mut IoDst::kernel(&mut chunk))?;
        if n == 0 {
            break;
        }
        text.extend_from_slice(&chunk[..n]);
    }
    Ok(text)
}
