//! Clones the sandbox and the gofer process.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use anyhow::{Context, Result};
use control::spec::NetworkKind;
use host::spawn::{Spawn, Spawned};
use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};
use nix::unistd::{Pid, getegid, geteuid};
use oci_spec::runtime::{LinuxIdMapping, LinuxNamespaceType, Spec};

use crate::channel::Channel;
use crate::config::namespace;
use crate::{boot, gofer_process, log};

/// What both processes are made of.
#[derive(Debug)]
pub(crate) struct Launcher {
    executable: OwnedFd,
    null: OwnedFd,
    /// Where the sandbox writes what it says as it dies, or its debug log.
    pub(crate) sandbox_errors: OwnedFd,
    /// The same for the gofer.
    pub(crate) gofer_errors: OwnedFd,
}

/// A process at its gate, and the socket over which it will be told what to do.
#[derive(Debug)]
pub(crate) struct Waiting {
    /// The process.
    pub(crate) process: Spawned,
    /// Our end.
    pub(crate) channel: Channel,
}

/// How much of the container's command line the host's ps shows.
const TITLE_WORD: usize = 256;
const TITLE_WORDS: usize = 16;

/// Who the sandbox is on the host where we may choose: nobody.
pub(crate) const NOBODY: u32 = 65534;

impl Launcher {
    /// Prepares, with where the processes write their errors.
    pub(crate) fn new(sandbox_errors: OwnedFd, gofer_errors: OwnedFd) -> Result<Self> {
        let executable = host::self_exe::protected_self().context("cannot protect our own program")?;
        let null = File::options().read(true).write(true).open("/dev/null")?.into();
        Ok(Self { executable, null, sandbox_errors, gofer_errors })
    }

    /// Clones the sandbox process with its namespaces, mapped to nobody (to us, if we are not root).
    /// `title` is what the host's ps shows of it beside our own name: the container's program.
    pub(crate) fn sandbox(
        &self,
        spec: &Spec,
        title: &[String],
        network: NetworkKind,
        cgroup: Option<BorrowedFd<'_>>,
    ) -> Result<Waiting> {
        let privileged = geteuid().is_root();
        let mut namespaces = CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWPID
            | CloneFlags::CLONE_NEWIPC
            | CloneFlags::CLONE_NEWUTS
            | CloneFlags::CLONE_NEWUSER;
        if privileged && network == NetworkKind::Host {
            // Low ports and raw sockets of the host are for who has the right to in the host's user namespace. The process
            // keeps that right alone, and becomes nobody by itself.
            namespaces -= CloneFlags::CLONE_NEWUSER;
        }
        let wanted = namespace(spec, LinuxNamespaceType::Network);
        let joined = match wanted.and_then(|namespace| namespace.path().as_ref()) {
            Some(path) => Some(Joined::network(path)?),
            None => None,
        };
        // Without a network of the host's to use, an empty namespace takes away what the filter denies anyway.
        if joined.is_none() && (wanted.is_some() || network != NetworkKind::Host) {
            namespaces |= CloneFlags::CLONE_NEWNET;
        }
        let mut attempt = self.spawn(boot::PROCESS_NAME, title, namespaces, &self.sandbox_errors, cgroup, true);
        let mut mapped = namespaces.contains(CloneFlags::CLONE_NEWUSER);
        if privileged && attempt.as_ref().is_err_and(user_namespaces_are_off) {
            log::debug(|| "no user namespace for the sandbox: not permitted here".to_owned());
            mapped = false;
            let rest = namespaces - CloneFlags::CLONE_NEWUSER;
            attempt = self.spawn(boot::PROCESS_NAME, title, rest, &self.sandbox_errors, cgroup, true);
        }
        let waiting = attempt.context("cannot start the sandbox process")?;
        if mapped {
            let (uid, gid) = if privileged { (NOBODY, NOBODY) } else { (geteuid().as_raw(), getegid().as_raw()) };
            map_ids(waiting.process.pid, &[(0, uid, 1)], &[(0, gid, 1)], privileged)
                .context("cannot map the sandbox's user")?;
        }
        drop(joined);
        Ok(waiting)
    }

    /// Clones the gofer process, in the container's user namespace if it has one.
    pub(crate) fn gofer(&self, spec: &Spec, cgroup: Option<BorrowedFd<'_>>) -> Result<Waiting> {
        let mut namespaces = CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWPID
            | CloneFlags::CLONE_NEWIPC
            | CloneFlags::CLONE_NEWUTS
            | CloneFlags::CLONE_NEWNET;
        let privileged = geteuid().is_root();
        let wants_user = namespace(spec, LinuxNamespaceType::User).is_some();
        if wants_user || !privileged {
            namespaces |= CloneFlags::CLONE_NEWUSER;
        }
        let waiting = self
            .spawn(gofer_process::PROCESS_NAME, &[], namespaces, &self.gofer_errors, cgroup, wants_user || !privileged)
            .context("cannot start the gofer process")?;
        if namespaces.contains(CloneFlags::CLONE_NEWUSER) {
            let linux = spec.linux().as_ref();
            let uids = ranges(linux.and_then(|l| l.uid_mappings().as_deref()), geteuid().as_raw(), privileged);
            let gids = ranges(linux.and_then(|l| l.gid_mappings().as_deref()), getegid().as_raw(), privileged);
            map_ids(waiting.process.pid, &uids, &gids, privileged).context("cannot map the gofer's users")?;
        }
        Ok(waiting)
    }

    fn spawn(
        &self,
        name: &str,
        title: &[String],
        namespaces: CloneFlags,
        errors: &OwnedFd,
        cgroup: Option<BorrowedFd<'_>>,
        become_root: bool,
    ) -> io::Result<Waiting> {
        let (channel, theirs) = Channel::pair()?;
        let null = self.null.as_fd();
        let mut arguments = vec![CString::new(name)?];
        for word in title {
            let shown: String = word.chars().take(TITLE_WORD).collect();
            arguments.push(CString::new(shown)?);
        }
        arguments.truncate(TITLE_WORDS);
        let spawn = Spawn {
            executable: self.executable.as_fd(),
            arguments: &arguments,
            namespaces,
            cgroup,
            files: [null, null, errors.as_fd(), theirs.as_fd()],
            become_root,
        };
        Ok(Waiting { process: spawn.spawn()?, channel })
    }
}

fn user_namespaces_are_off(error: &io::Error) -> bool {
    let denied = [Errno::EPERM, Errno::ENOSPC, Errno::EINVAL, Errno::EUSERS];
    error.raw_os_error().is_some_and(|number| denied.contains(&Errno::from_raw(number)))
}

/// Container id, host id, length.
type IdRange = (u32, u32, u32);

/// The configuration's mapping; without one, or without the right to make it, root is whoever we are.
fn ranges(wanted: Option<&[LinuxIdMapping]>, ours: u32, privileged: bool) -> Vec<IdRange> {
    match wanted {
        Some(mappings) if !mappings.is_empty() && (privileged || mappings.len() == 1) => {
            mappings.iter().map(|m| (m.container_id(), m.host_id(), m.size())).collect()
        }
        _ => vec![(0, ours, 1)],
    }
}

fn map_ids(pid: Pid, uids: &[IdRange], gids: &[IdRange], privileged: bool) -> io::Result<()> {
    let text = |ranges: &[IdRange]| -> String {
        ranges.iter().map(|(inside, outside, length)| format!("{inside} {outside} {length}\n")).collect()
    };
    let write = |name, text: &str| std::fs::write(format!("/proc/{pid}/{name}"), text);
    write("uid_map", &text(uids))?;
    if !privileged {
        write("setgroups", "deny")?;
    }
    write("gid_map", &text(gids))
}

/// The network namespace of a path, ours until dropped: a child inherits it.
#[derive(Debug)]
pub(crate) struct Joined {
    before: File,
}

impl Joined {
    /// Joins it.
    pub(crate) fn network(path: &std::path::Path) -> Result<Self> {
        let before = File::open("/proc/self/ns/net")?;
        let there = File::open(path).with_context(|| format!("open {}", path.display()))?;
        setns(&there, CloneFlags::CLONE_NEWNET).with_context(|| format!("cannot join {}", path.display()))?;
        Ok(Self { before })
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        if let Err(e) = setns(&self.before, CloneFlags::CLONE_NEWNET) {
            log::warning(&format!("cannot return to our network namespace: {e}"));
        }
    }
}
