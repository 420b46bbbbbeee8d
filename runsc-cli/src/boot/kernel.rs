//! The sentry as the engine behind the control socket.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use control::spec::{Limits, NetworkKind, PlatformKind};
use control::wire::Donated;
use control::{
    ContainerSpec, ContainerStats, ExitStatus, Failure, LinkSpec, ProcessInfo, ProcessSpec, SandboxSpec, SignalTarget,
    Status,
};
use platform::kvm::Kvm;
use platform::ptrace::Ptrace;
use platform::systrap::{Systrap, Variant};
use platform::{Platform, PlatformError};
use sentry::kernel::{Kernel, KernelParts};
use sentry::mm::memfile::MemFile;
use sentry::syscall::SyscallTable;
use sentry::time::Clocks;

use super::engine::Engine;

/// Makes the platform and the kernel. Called on the first thread, before there are others. Says which platform it is.
pub(super) fn boot(sandbox: &SandboxSpec, kvm: Option<OwnedFd>) -> Result<(Arc<dyn Engine>, PlatformKind), Failure> {
    // First: its zygote is forked while there is one thread.
    let (platform, kind) = choose_platform(sandbox.platform, kvm)?;
    let failed = |what: &str, error: &dyn std::fmt::Display| Failure::other(format!("cannot make {what}: {error}"));
    let cpus = match usize::try_from(sandbox.cpus).unwrap_or(0) {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        given => given,
    };
    let kernel = Kernel::new(KernelParts {
        platform,
        memfile: MemFile::new(sandbox.memory_host).map_err(|e| failed("the memory file", &e))?,
        syscalls: SyscallTable::new(syscalls::x86_64::TABLE),
        clocks: Clocks::new(),
        strace: sandbox.strace,
        cpus,
        memory_total: sandbox.memory_total,
    })
    .map_err(|e| failed("the kernel", &e))?;
    if sandbox.network == NetworkKind::Host {
        // Before the filter: it asks the host's kernel over a socket of its own.
        sentry::net::inet::host::attach(&kernel)?;
    }
    Ok((Arc::new(Sentry(kernel)), kind))
}

fn choose_platform(kind: PlatformKind, kvm: Option<OwnedFd>) -> Result<(Arc<dyn Platform>, PlatformKind), Failure> {
    if kind != PlatformKind::Auto {
        return Ok((make_platform(kind, kvm)?, kind));
    }
    match make_platform(PlatformKind::Kvm, kvm) {
        Ok(platform) => Ok((platform, PlatformKind::Kvm)),
        Err(failure) => {
            tracing::debug!(?failure, "no virtual CPUs: systrap instead");
            Ok((make_platform(PlatformKind::Systrap, None)?, PlatformKind::Systrap))
        }
    }
}

fn make_platform(kind: PlatformKind, kvm: Option<OwnedFd>) -> Result<Arc<dyn Platform>, Failure> {
    let made: Result<Arc<dyn Platform>, PlatformError> = match kind {
        PlatformKind::Ptrace => Ptrace::new().map(|platform| Arc::new(platform) as _),
        PlatformKind::Systrap => Systrap::new().map(|platform| Arc::new(platform) as _),
        PlatformKind::SystrapPlain => Systrap::with(Variant::Notify).map(|platform| Arc::new(platform) as _),
        PlatformKind::SystrapFutex => Systrap::with(Variant::Futex).map(|platform| Arc::new(platform) as _),
        PlatformKind::SystrapEager => Systrap::eagerly_direct().map(|platform| Arc::new(platform) as _),
        PlatformKind::Kvm | PlatformKind::Auto => {
            let device = kvm.ok_or_else(|| Failure::other("/dev/kvm was not handed over"))?;
            Kvm::new(device).map(|platform| Arc::new(platform) as _)
        }
    };
    made.map_err(|e| Failure::other(e.to_string()))
}

#[derive(Debug)]
struct Sentry(Arc<Kernel>);

impl Engine for Sentry {
    fn create(&self, container: ContainerSpec, mut files: Donated) -> Result<(), Failure> {
        self.0.create_container(&container, &mut files)
    }

    fn attach(&self, link: &LinkSpec, wire: OwnedFd, name_server: Vec<OwnedFd>) -> Result<(), Failure> {
        sentry::net::inet::attach::attach(&self.0, link, wire, name_server)
    }

    fn start(&self, id: &str) -> Result<(), Failure> {
        self.0.start_container(id)
    }

    fn signal(&self, id: &str, target: SignalTarget, signal: u8) -> Result<(), Failure> {
        self.0.signal_container(id, target, signal)
    }

    fn wait(&self, id: &str, pid: Option<u32>) -> Result<ExitStatus, Failure> {
        self.0.wait_in_container(id, pid)
    }

    fn exec(&self, id: &str, process: ProcessSpec, mut files: Donated) -> Result<u32, Failure> {
        self.0.exec_in_container(id, &process, &mut files)
    }

    fn status(&self, id: &str) -> Result<Status, Failure> {
        self.0.container_status(id)
    }

    fn processes(&self, id: &str) -> Result<Vec<ProcessInfo>, Failure> {
        self.0.container_processes(id)
    }

    fn set_paused(&self, id: &str, paused: bool) -> Result<(), Failure> {
        self.0.set_paused(id, paused)
    }

    fn update(&self, id: &str, limits: Limits) -> Result<(), Failure> {
        self.0.update_container(id, limits)
    }

    fn stats(&self, id: &str) -> Result<ContainerStats, Failure> {
        self.0.container_stats(id)
    }

    fn wait_oom(&self, id: &str, seen: u64) -> Result<ContainerStats, Failure> {
        self.0.wait_oom(id, seen)
    }

    fn destroy(&self, id: &str) -> Result<(), Failure> {
        self.0.destroy_container(id)
    }
}
