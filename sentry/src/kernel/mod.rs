//! The sandbox as a whole: what all tasks share.

pub mod container;
mod control;
pub mod deferred;
pub mod dmesg;
pub mod file_systems;
mod load;
mod oom;
mod process;
pub mod room;
mod root;
pub mod stubs;
pub mod version;

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use ::control::Failure;
use platform::Platform;
use sync::Mutex;

use crate::error::{Error, Result};
use crate::futex::FutexTable;
use crate::lock_order;
use crate::mm::memfile::MemFile;
use crate::mm::vdso::Vdso;
use crate::syscall::SyscallTable;
use crate::task::namespaces::{Namespaces, TimeNamespace, UtsNames};
use crate::task::signal::SignalCounts;
use crate::task::tree::TaskTree;
use crate::task::{PidNamespace, Task, TaskState, UserNamespace};
use crate::time::Clocks;

/// One per sandbox process. Everything in it is either immutable or has a lock of its own.
#[derive(Debug)]
pub struct Kernel {
    /// How application code runs.
    pub platform: Arc<dyn Platform>,
    /// All memory.
    pub memfile: Arc<MemFile>,
    /// The calls.
    pub syscalls: SyscallTable,
    /// The lock over processes' relations.
    pub tree: TaskTree,
    /// CLOCK_REALTIME, CLOCK_MONOTONIC, the timer thread.
    pub clocks: Arc<Clocks>,
    /// How applications read the clocks themselves.
    pub vdso: Vdso,
    /// How they do in time namespaces with offsets: by calls.
    calling_vdso: OnceLock<Vdso>,
    /// Who waits for futexes.
    pub futexes: FutexTable,
    /// Queued signals by user (RLIMIT_SIGPENDING).
    pub signal_counts: Arc<SignalCounts>,
    /// Calls that were made and are not there.
    pub stubs: stubs::Stubs,
    /// The log of syslog(2).
    pub dmesg: dmesg::BootLog,
    /// Tasks of each user.
    pub user_tasks: Arc<SignalCounts>,
    /// Requests of asynchronous I/O that there may be (/proc/sys/fs/aio-nr).
    pub aio: Arc<crate::aio::Quota>,
    /// Keys and keyrings.
    pub keys: Arc<crate::keys::Keys>,
    /// Files that users have sent through sockets and nobody has received.
    pub files_in_flight: Arc<SignalCounts>,
    /// The outermost user namespace.
    pub root_user_ns: Arc<UserNamespace>,
    /// The outermost pid namespace: the first container's, and the parent of all others.
    pub root_pid_ns: Arc<PidNamespace>,
    /// The initial namespaces of other kinds.
    pub root_namespaces: Arc<Namespaces>,
    /// Whether calls are written to the debug log.
    pub strace: bool,
    /// How many CPUs the application may count on.
    pub cpus: usize,
    /// Bytes of memory that the application may count on.
    pub memory_total: u64,
    /// When the sandbox started.
    pub boot: Instant,
    load: load::LoadAverage,
    oom: oom::Watch,
    containers: Mutex<Vec<Arc<container::Container>>, lock_order::Containers>,
}

/// What a kernel is made of.
#[derive(Debug)]
pub struct KernelParts {
    /// How application code runs.
    pub platform: Arc<dyn Platform>,
    /// All memory.
    pub memfile: Arc<MemFile>,
    /// The calls.
    pub syscalls: SyscallTable,
    /// The clocks.
    pub clocks: Arc<Clocks>,
    /// Whether calls are written to the debug log.
    pub strace: bool,
    /// How many CPUs the application may count on.
    pub cpus: usize,
    /// Bytes of memory that the application may count on.
    pub memory_total: u64,
}

impl Kernel {
    /// Nanoseconds since the start of the sandbox, as a time namespace has it.
    #[must_use]
    pub fn uptime(&self, time: &TimeNamespace) -> i64 {
        i64::try_from(self.boot.elapsed().as_nanos()).unwrap_or(i64::MAX).saturating_add(time.offsets().boottime)
    }

    /// The vDSO of programs in a time namespace.
    pub fn vdso_of(&self, time: &TimeNamespace) -> Result<&Vdso> {
        if time.is_plain() {
            return Ok(&self.vdso);
        }
        if let Some(made) = self.calling_vdso.get() {
            return Ok(made);
        }
        let made = Vdso::calling(&self.memfile, self.cpus)?;
        Ok(self.calling_vdso.get_or_init(|| made))
    }

    /// A kernel without containers.
    pub fn new(parts: KernelParts) -> Result<Arc<Self>> {
        crate::fs::tty::console::register();
        file_systems::register();
        let root_user_ns = UserNamespace::root();
        let root_pid_ns = PidNamespace::root(Arc::clone(&root_user_ns));
        let names = UtsNames { host: b"localhost".to_vec(), domain: b"(none)".to_vec() };
        let root_namespaces = Namespaces::initial(&root_user_ns, Arc::clone(&root_pid_ns), names);
        let dmesg = dmesg::BootLog::new(parts.platform.name(), parts.cpus, parts.memory_total);
        let vdso = Vdso::new(&parts.memfile, parts.cpus)?;
        Ok(Arc::new(Self {
            platform: parts.platform,
            memfile: parts.memfile,
            syscalls: parts.syscalls,
            tree: TaskTree::default(),
            clocks: parts.clocks,
            vdso,
            calling_vdso: OnceLock::new(),
            stubs: stubs::Stubs::default(),
            dmesg,
            futexes: FutexTable::new(),
            signal_counts: Arc::default(),
            user_tasks: Arc::default(),
            files_in_flight: Arc::default(),
            aio: Arc::default(),
            keys: crate::keys::Keys::new(),
            root_user_ns,
            root_pid_ns,
            root_namespaces,
            strace: parts.strace,
            cpus: parts.cpus.max(1),
            memory_total: parts.memory_total,
            boot: Instant::now(),
            load: load::LoadAverage::default(),
            oom: oom::Watch::default(),
            containers: Mutex::default(),
        }))
    }

    /// The containers of the sandbox.
    #[must_use]
    pub fn containers(&self) -> Vec<Arc<container::Container>> {
        self.containers.lock().clone()
    }

    /// Load averages over 1, 5 and 15 minutes, with 16 bits after the point.
    #[must_use]
    pub fn load_average(&self) -> [u64; 3] {
        let running = |task: &Arc<Task>| matches!(task.state(), TaskState::Running | TaskState::Uninterruptible);
        let count = self.root_pid_ns.groups().iter().flat_map(|group| group.threads()).filter(running).count();
        self.load.update(count)
    }

    /// Bytes of the sandbox's memory that are in use.
    #[must_use]
    pub fn memory_used(&self) -> u64 {
        self.memfile.resident().unwrap_or(0)
    }
}

/// A failure to do `what`, for the command line.
fn failure(what: &str, error: &Error) -> Failure {
    Failure::other(format!("{what}: {}", describe(error)))
}

/// An error in words: `no such file or directory`.
fn describe(error: &Error) -> String {
    let text = std::io::Error::from_raw_os_error(error.errno().raw()).to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().collect::<String>() + chars.as_str())
}
