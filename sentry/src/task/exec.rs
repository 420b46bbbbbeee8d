//! execve(2): a new program in an old process.
//!
//! Everything that can fail is done on the side: the program is found and loaded into an address space of its own. Then the
//! other threads are ended, and the task, whichever thread it was, goes on as the leader with the new program.

use std::sync::Arc;

use abi::capability::XATTR_CAPS_SZ_3;
use abi::signal::Signal;
use abi::{Errno, UserAddr};
use platform::Regs;

use super::exec_creds::{self, ExecCreds, ProgramFile};
use super::group::{SUID_DUMP_DISABLE, SUID_DUMP_USER};
use super::{Comm, CurrentTask};
use crate::error::{Result, err};
use crate::loader::{Executable, Ids, Image, LoadEnv, Program, Strings};
use crate::mm::{FaultHistory, MemLimits};
use crate::vfs::perm::Want;
use crate::vfs::walk::WalkFlags;
use crate::vfs::write_access::DenyWrite;
use crate::vfs::{File, MountFlags, Path, open};

/// personality(2): addresses are not random.
const ADDR_NO_RANDOMIZE: u32 = 0x0004_0000;
/// personality(2): the old layout, bottom up.
const ADDR_COMPAT_LAYOUT: u32 = 0x0020_0000;
/// personality(2): what a program with more rights than its caller does not inherit.
const PER_CLEAR_ON_SETID: u32 = 0x0040_0000 | ADDR_NO_RANDOMIZE | ADDR_COMPAT_LAYOUT | 0x0010_0000;

/// What to run.
#[derive(Debug)]
pub struct ExecRequest {
    /// What execve(2) was given, or `/dev/fd/N` for a descriptor: the program sees it as AT_EXECFN.
    pub name: Vec<u8>,
    /// Where it is.
    pub place: Place,
    /// Arguments.
    pub argv: Strings,
    /// Environment.
    pub envp: Strings,
}

/// Where a program is.
#[derive(Debug)]
pub enum Place {
    /// A path, from a directory or the working directory.
    Path(Option<Path>, Vec<u8>, WalkFlags),
    /// An open file (execveat(2) with AT_EMPTY_PATH). `closing`: the descriptor is closed by execve, so that a script could
    /// not be read by its interpreter.
    File(Path, bool),
}

/// A program that is loaded, and what it makes of the task.
#[derive(Debug)]
struct Loaded {
    image: Image,
    creds: ExecCreds,
    comm: Comm,
    /// The task's user may read the program's file.
    readable: bool,
    deny_write: DenyWrite,
}

impl CurrentTask {
    /// execve(2), execveat(2). After `Ok` the task runs the new program.
    pub fn execve(&mut self, request: ExecRequest) -> Result<()> {
        let loaded = self.load(request)?;
        let old = self.pid();
        self.end_other_threads()?;
        self.become_program(loaded)?;
        self.tell_exec(&old);
        Ok(())
    }

    /// Finds and loads the program. Nothing of the task is changed.
    fn load(&self, request: ExecRequest) -> Result<Loaded> {
        let ExecRequest { name, place, argv, envp } = request;
        let kernel = self.kernel();
        let mut closing = false;
        let (file, mut deny_write) = match place {
            Place::Path(start, path, flags) => open::open_exec(self, start.as_ref(), &path, flags)?,
            Place::File(path, closes) => {
                closing = closes;
                open::open_exec_path(self, path)?
            }
        };
        let interpreter = |path: &[u8]| {
            let (file, _) = open::open_exec(self, None, path, WalkFlags::FOLLOW)?;
            Executable::from_file(file)
        };
        let script = Arc::clone(&file);
        let executable = Executable::from_file(file)?;
        let program = Program::open(&kernel.memfile, executable, &name, argv, envp, !closing, &interpreter)?;
        let file = program.executable.file.clone().ok_or(Errno::ENOEXEC)?;
        if !Arc::ptr_eq(&file, &script) {
            deny_write = DenyWrite::claim(&**file.inode())?;
        }
        let creds = exec_creds::for_exec(
            self.creds(),
            &program_file(&file)?,
            self.shares_directories() || self.tracer_is_weak(),
        )?;
        let image = program.load(&self.load_env(&creds)?)?;
        Ok(Loaded {
            image,
            comm: Comm::new(name.rsplit(|byte| *byte == b'/').next().unwrap_or_default()),
            readable: file.path().check(&creds.creds, Want::READ).is_ok(),
            creds,
            deny_write,
        })
    }

    fn load_env(&self, exec: &ExecCreds) -> Result<LoadEnv<'_>> {
        let kernel = self.kernel();
        let creds = &exec.creds;
        let personality = self.personality() & if exec.gained { !PER_CLEAR_ON_SETID } else { !0 };
        let ns = &creds.user_ns;
        Ok(LoadEnv {
            platform: Arc::clone(&kernel.platform),
            memfile: Arc::clone(&kernel.memfile),
            vdso: Some(kernel.vdso_of(&self.namespaces.time_for_children)?),
            limits: self.group().mem_limits(),
            ids: Ids {
                uid: ns.show_uid(creds.uid),
                euid: ns.show_uid(creds.euid),
                gid: ns.show_gid(creds.gid),
                egid: ns.show_gid(creds.egid),
            },
            secure: exec.secure,
            randomize: personality & ADDR_NO_RANDOMIZE == 0,
            legacy_layout: personality & ADDR_COMPAT_LAYOUT != 0,
        })
    }

    /// Whether the working directory is shared with another process (CLONE_FS without CLONE_THREAD).
    fn shares_directories(&self) -> bool {
        let users = self.kernel().root_pid_ns.groups();
        let ours = |group: &Arc<super::ThreadGroup>| Arc::ptr_eq(group, self.group());
        Arc::strong_count(self.fs()) > 2 * self.group().live_threads()
            && users
                .iter()
                .filter(|group| !ours(group))
                .flat_map(|group| group.threads())
                .any(|other| other.fs().is_some_and(|fs| Arc::ptr_eq(&fs, self.fs())))
    }

    /// Ends all other threads and takes the leader's identity. An error if the process is ending, or another thread was
    /// quicker; the calling thread is then about to end.
    fn end_other_threads(&mut self) -> Result<()> {
        let group = Arc::clone(self.group());
        {
            let mut threads = group.threads.lock();
            if threads.live <= 1 && self.is_leader() {
                return Ok(());
            }
            if threads.execing.is_none() {
                threads.execing = Some(Arc::clone(self));
            } else {
                drop(threads);
                return self.wait_for_death();
            }
        }
        if !group.signals.kill_others(&self.signals) {
            group.threads.lock().execing = None;
            return err(Errno::EAGAIN);
        }
        let alone = loop {
            self.parker().reset();
            if group.live_threads() == 1 {
                break Ok(());
            }
            if let Err(e) = self.park_killable() {
                break Err(e);
            }
        };
        group.threads.lock().execing = None;
        alone?;
        if !self.is_leader() {
            self.take_over_leader();
        }
        Ok(())
    }

    /// Another thread was quicker, and is about to end this one, which must not see application code before.
    fn wait_for_death(&self) -> Result<()> {
        loop {
            self.parker().reset();
            self.park_killable()?;
        }
    }

    /// The leader has ended; this thread takes its number and its place.
    fn take_over_leader(&self) {
        let tree = self.kernel().tree.lock();
        let group = self.group();
        let own = self.replace_pid(Arc::clone(group.pid()));
        let old = {
            let mut threads = group.threads.lock();
            threads.list.retain(|task| Arc::ptr_eq(task, self));
            threads.leader.replace(Arc::clone(self))
        };
        if let Some(leader) = &old {
            leader.forget_tracer();
        }
        group.pid().set_task(Some(Arc::clone(self)));
        own.set_task(None);
        drop(tree);
        own.exit_queue.notify(abi::poll::POLLIN | abi::poll::POLLHUP);
        drop(old);
    }

    /// The point of no return.
    fn become_program(&mut self, loaded: Loaded) -> Result<()> {
        let Loaded { image, creds, comm, readable, deny_write } = loaded;
        let ExecCreds { creds, secure, gained } = creds;
        self.leave_memory();
        self.drop_own_keys();
        self.set_robust_list(UserAddr::NULL);
        self.clear_child_tid = UserAddr::NULL;
        image.mm.update_info(|info| info.deny_write = Some(deny_write));
        self.set_mm(image.mm);
        self.faults = FaultHistory::default();

        let group = Arc::clone(self.group());
        group.signals.exec();
        self.own_signals.exec();
        self.clear_user_dispatch();
        group.exec_timers();
        self.close_files_on_exec();
        if gained {
            self.set_personality(self.personality() & !PER_CLEAR_ON_SETID);
        }
        if secure {
            self.set_parent_death_signal(None);
        }
        let same_ids = creds.euid == creds.uid && creds.egid == creds.gid;
        group.set_dumpable(if same_ids && readable { SUID_DUMP_USER } else { SUID_DUMP_DISABLE });
        self.set_creds(creds);
        self.set_comm(comm);
        if !Arc::ptr_eq(&self.namespaces.time, &self.namespaces.time_for_children) {
            self.set_namespaces(self.namespaces.for_child());
        }
        {
            let mut links = group.links.lock();
            links.execed = true;
            if links.exit_signal.is_some() {
                links.exit_signal = Some(Signal::SIGCHLD);
            }
        }
        self.context.detach();
        self.context.set_fpu(None)?;
        *self.context.regs()? = Regs::start(image.ip.0, image.sp.0);
        self.resume_with_regs();
        Ok(())
    }

    /// Descriptors are the program's own from now on, and those marked so are closed.
    fn close_files_on_exec(&mut self) {
        let shared = self.task.shared.lock().files.is_some() && Arc::strong_count(&self.files) > 2;
        if shared {
            self.set_files(self.files.copy());
        }
        for file in self.files.remove_close_on_exec() {
            let _ = file.close(&self.files);
        }
    }
}

impl super::ThreadGroup {
    /// The limits that a new address space keeps.
    pub(super) fn mem_limits(&self) -> MemLimits {
        use abi::resource::Resource;
        let limit = |resource| self.limits().soft(resource).into();
        MemLimits {
            address_space: limit(Resource::RLIMIT_AS),
            data: limit(Resource::RLIMIT_DATA),
            stack: limit(Resource::RLIMIT_STACK),
            locked: limit(Resource::RLIMIT_MEMLOCK),
        }
    }
}

fn program_file(file: &File) -> Result<ProgramFile> {
    let attr = file.attr()?;
    let caps = match file.inode().getxattr(b"security.capability") {
        Ok(value) if value.len() <= XATTR_CAPS_SZ_3 => Some(value),
        _ => None,
    };
    Ok(ProgramFile {
        mode: attr.mode,
        uid: attr.uid,
        gid: attr.gid,
        caps,
        nosuid: file.path().mount.flags().contains(MountFlags::NO_SUID),
    })
}
