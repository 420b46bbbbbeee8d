//! What the control socket asks of a kernel: containers and their processes, from outside.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use abi::siginfo::SigInfo;
use abi::signal::Signal;
use abi::wait::WaitStatus;
use control::spec::{ContainerSpec, IdRange, Limits, ProcessSpec};
use control::wire::Donated;
use control::{ContainerStats, ExitStatus, Failure, FailureKind, ProcessInfo, SignalTarget, Status};

use super::container::Container;
use super::file_systems::MountContext;
use super::process::{self, NewContainer, Surroundings};
use super::{Kernel, failure, root};
use crate::fs::proc::command_line;
use crate::task::host_thread::HostThread;
use crate::task::namespaces::{IpcNamespace, NsId, UtsNames, UtsNamespace};
use crate::task::usage::CpuTime;
use crate::task::user_ns::{Extent, IdKind, IdMap};
use crate::task::{Namespaces, PidNamespace, ThreadGroup};

impl Kernel {
    /// Builds a container and loads its program, without running it.
    pub fn create_container(self: &Arc<Self>, spec: &ContainerSpec, files: &mut Donated) -> Result<(), Failure> {
        if self.find(&spec.id).is_ok() {
            return Err(Failure::other(format!("container {} exists already", spec.id)));
        }
        let first = self.containers.lock().is_empty();
        if first {
            self.take_id_maps(spec)?;
        }
        let pid_ns = match first || !spec.namespaces.pid {
            true => Arc::clone(&self.root_pid_ns),
            false => PidNamespace::nested(&self.root_pid_ns, Arc::clone(&self.root_user_ns))
                .map_err(|e| failure("cannot make a pid namespace", &e))?,
        };
        let namespaces = Arc::new(self.namespaces_for(spec, &pid_ns, first));
        let (for_processes, for_messages) = (Arc::clone(&pid_ns), Arc::clone(&namespaces.ipc));
        let context = MountContext { pid_ns: &for_processes, ipc: &for_messages };
        let tree = root::build(self, spec, files, context)?;
        let container = Container::new(spec, pid_ns, namespaces, Arc::clone(tree.fs()));
        let task = process::make(
            Surroundings {
                kernel: self,
                container: &container,
                fs: Arc::clone(container.fs()),
                namespaces: Arc::clone(container.namespaces()),
                pid_ns: container.pid_ns(),
                new: Some(NewContainer { tree: &tree, spec }),
            },
            &spec.process,
            files,
        )?;
        container.set_init(task.group(), &task)?;
        if let Err(failure) = process::attach_terminal(&task, &spec.process, files, true) {
            task.never_ran();
            return Err(failure);
        }
        container.prepare(task);
        let limited = container.memory_limit() != u64::MAX;
        self.containers.lock().push(container);
        if limited {
            self.watch_memory();
        }
        Ok(())
    }

    /// Has the root user namespace look like the container's on the host.
    fn take_id_maps(&self, spec: &ContainerSpec) -> Result<(), Failure> {
        for (kind, ranges) in [(IdKind::User, &spec.uid_mappings), (IdKind::Group, &spec.gid_mappings)] {
            if ranges.is_empty() {
                continue;
            }
            let extents = ranges.iter().map(|&IdRange { inside, outside, count }| Extent { inside, outside, count });
            let map = IdMap::new(extents.collect()).map_err(|e| failure("invalid id mappings", &e))?;
            self.root_user_ns.resemble(kind, map);
        }
        Ok(())
    }

    /// Ends all processes of a container and forgets it. The first container of a sandbox ends with the sandbox only.
    pub fn destroy_container(&self, id: &str) -> Result<(), Failure> {
        let container = self.find(id)?;
        if self.containers.lock().first().is_some_and(|first| Arc::ptr_eq(first, &container)) {
            return Err(Failure {
                kind: FailureKind::WrongState,
                message: format!("container {id} is the sandbox's own"),
            });
        }
        container.discard_prepared();
        container.set_frozen(false);
        for process in container.processes() {
            process.send_signal(SigInfo::user(Signal::SIGKILL, abi::siginfo::SI_USER, 0, 0));
        }
        if let Some(init) = container.init() {
            init.wait_dead();
        }
        container.forget_processes();
        self.containers.lock().retain(|other| !Arc::ptr_eq(other, &container));
        Ok(())
    }

    /// Changes what a container is limited to.
    pub fn update_container(self: &Arc<Self>, id: &str, limits: Limits) -> Result<(), Failure> {
        self.find(id)?.set_limits(limits);
        if limits.memory.is_some_and(|memory| memory != u64::MAX) {
            self.watch_memory();
        }
        Ok(())
    }

    /// What a container uses.
    pub fn container_stats(&self, id: &str) -> Result<ContainerStats, Failure> {
        let container = self.find(id)?;
        let processes = container.processes();
        let cpu = processes.iter().map(|process| process.cpu_time() + process.children_used().cpu);
        let cpu = cpu.fold(CpuTime::default(), |sum, each| sum + each);
        let nanoseconds = |time: std::time::Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let limit = |limit: u64| (limit != u64::MAX).then_some(limit);
        Ok(ContainerStats {
            memory: self.container_memory(&container),
            memory_limit: limit(container.memory_limit()),
            oom_kills: container.oom_kills(),
            cpu_user: nanoseconds(cpu.user),
            cpu_system: nanoseconds(cpu.sys),
            processes: processes.iter().map(|process| process.live_threads() as u64).sum(),
            processes_limit: limit(container.pids_limit()),
        })
    }

    fn namespaces_for(&self, spec: &ContainerSpec, pid_ns: &Arc<PidNamespace>, first: bool) -> Namespaces {
        let user = || Arc::clone(&self.root_user_ns);
        let mut own = (*self.root_namespaces).clone();
        own.pid_for_children = Arc::clone(pid_ns);
        if !first && spec.namespaces.ipc {
            own.ipc = IpcNamespace::new(NsId::new(), user());
        }
        if !first && spec.namespaces.uts {
            own.uts = UtsNamespace::new(NsId::new(), user(), UtsNames::default());
        }
        if first || spec.namespaces.uts {
            own.uts.set(|names| {
                if let Some(host) = &spec.hostname {
                    names.host = host.as_bytes().iter().copied().take(abi::limits::UTS_NAME_LEN).collect();
                }
                if let Some(domain) = &spec.domainname {
                    names.domain = domain.as_bytes().iter().copied().take(abi::limits::UTS_NAME_LEN).collect();
                }
            });
        }
        own
    }

    /// Runs the program of a created container.
    pub fn start_container(&self, id: &str) -> Result<(), Failure> {
        let container = self.find(id)?;
        let thread = HostThread::find().map_err(|e| failure("cannot start a thread", &e))?;
        let Some(task) = container.take_prepared() else {
            return Err(Failure {
                kind: FailureKind::WrongState,
                message: format!("container {id} was started already"),
            });
        };
        thread.run(task);
        Ok(())
    }

    /// Starts another process in a container; returns its pid there.
    pub fn exec_in_container(
        self: &Arc<Self>,
        id: &str,
        spec: &ProcessSpec,
        files: &mut Donated,
    ) -> Result<u32, Failure> {
        let container = self.find(id)?;
        let running = container.init().is_some_and(|init| !init.is_dead());
        if !running {
            return Err(Failure { kind: FailureKind::WrongState, message: format!("container {id} is not running") });
        }
        let thread = HostThread::find().map_err(|e| failure("cannot start a thread", &e))?;
        let task = process::make(
            Surroundings {
                kernel: self,
                container: &container,
                fs: container.fs().copy(),
                namespaces: Arc::clone(container.namespaces()),
                pid_ns: container.pid_ns(),
                new: None,
            },
            spec,
            files,
        )?;
        let pid = container.add_process(task.group(), &task)?;
        if let Err(failure) = process::attach_terminal(&task, spec, files, false) {
            task.never_ran();
            return Err(failure);
        }
        thread.run(task);
        Ok(pid)
    }

    /// Sends a signal into a container.
    pub fn signal_container(&self, id: &str, target: SignalTarget, signal: u8) -> Result<(), Failure> {
        let container = self.find(id)?;
        let signal = match signal {
            0 => None,
            n => Some(Signal::new(n.into()).map_err(|_| Failure::other(format!("no such signal: {n}")))?),
        };
        let gone = || Failure { kind: FailureKind::NotFound, message: "no such process".into() };
        let targets: Vec<Arc<ThreadGroup>> = match target {
            SignalTarget::Init => container.init().filter(|init| !init.is_dead()).into_iter().collect(),
            SignalTarget::All => container.processes(),
            SignalTarget::Process(pid) => container.process(pid).into_iter().collect(),
            SignalTarget::Foreground(pid) => {
                let process = container.process(pid).ok_or_else(gone)?;
                let tty = process.tty();
                if let Some(tty) = tty.as_ref().filter(|_| signal == Some(Signal::SIGWINCH)) {
                    // Whoever is in its foreground hears of it if it has changed.
                    tty.host_resized();
                    return Ok(());
                }
                match tty.and_then(|tty| tty.foreground()) {
                    Some(foreground) => foreground.members(),
                    None => vec![process],
                }
            }
        };
        if targets.is_empty() {
            return Err(gone());
        }
        if let Some(signal) = signal {
            // A container that has not been started has no thread that could take it.
            if signal == Signal::SIGKILL && matches!(target, SignalTarget::Init | SignalTarget::All) {
                container.discard_prepared();
            }
            for target in targets {
                target.send_signal(SigInfo::user(signal, abi::siginfo::SI_USER, 0, 0));
            }
        }
        Ok(())
    }

    /// Waits until a process has ended: the first one, or that with a pid.
    pub fn wait_in_container(&self, id: &str, pid: Option<u32>) -> Result<ExitStatus, Failure> {
        let container = self.find(id)?;
        let process = match pid {
            None => container.init(),
            Some(pid) => container.take_waited(pid),
        };
        let process =
            process.ok_or_else(|| Failure { kind: FailureKind::NotFound, message: "no such process".into() })?;
        Ok(exit_status(process.wait_dead()))
    }

    /// Where a container is in its life.
    pub fn container_status(&self, id: &str) -> Result<Status, Failure> {
        let container = self.find(id)?;
        Ok(match container.init() {
            None => Status::Creating,
            Some(init) if init.is_dead() => Status::Stopped,
            Some(_) if container.is_prepared() => Status::Created,
            Some(_) if container.is_frozen() => Status::Paused,
            Some(_) => Status::Running,
        })
    }

    /// The processes of a container.
    pub fn container_processes(&self, id: &str) -> Result<Vec<ProcessInfo>, Failure> {
        let container = self.find(id)?;
        Ok(container.processes().iter().map(|process| describe(process, container.pid_ns())).collect())
    }

    /// Stops all tasks of a container, or lets them go on.
    pub fn set_paused(&self, id: &str, paused: bool) -> Result<(), Failure> {
        self.find(id)?.set_frozen(paused);
        Ok(())
    }

    pub(super) fn find(&self, id: &str) -> Result<Arc<Container>, Failure> {
        let found = self.containers.lock().iter().find(|container| container.id == id).cloned();
        found.ok_or_else(|| Failure { kind: FailureKind::NotFound, message: format!("container {id} does not exist") })
    }
}

fn exit_status(status: WaitStatus) -> ExitStatus {
    match status.term_signal() {
        Some(signal) => ExitStatus::Signal(u8::try_from(signal.number()).unwrap_or(0)),
        None => ExitStatus::Code(u8::try_from(status.exit_code().unwrap_or(0)).unwrap_or(0)),
    }
}

fn describe(process: &ThreadGroup, ns: &Arc<PidNamespace>) -> ProcessInfo {
    let number = |n: i32| u32::try_from(n).unwrap_or(0);
    let leader = process.leader();
    let started = SystemTime::now().checked_sub(process.started().elapsed()).unwrap_or(UNIX_EPOCH);
    let command = leader.as_ref().map_or_else(String::new, |leader| {
        let line = leader.mm().map(|mm| command_line(&mm)).filter(|line| !line.is_empty());
        let words = line.unwrap_or_else(|| leader.comm().as_bytes().to_vec());
        let words = words.split(|byte| *byte == 0).filter(|word| !word.is_empty());
        words.map(String::from_utf8_lossy).collect::<Vec<_>>().join(" ")
    });
    ProcessInfo {
        pid: number(process.tgid_in(ns)),
        ppid: process.parent().map_or(0, |parent| number(parent.tgid_in(ns))),
        uid: leader.map_or(0, |leader| leader.creds().uid),
        threads: u32::try_from(process.live_threads()).unwrap_or(u32::MAX),
        start: started.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()),
        cpu: u64::try_from(process.cpu_time().total().as_millis()).unwrap_or(u64::MAX),
        tty: process.tty().map(|tty| tty.name()).unwrap_or_default(),
        command,
    }
}
