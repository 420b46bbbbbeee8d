//! A bundle as a container the kernel can build, with the connections to its gofer.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use control::spec::{
    ContainerSpec, DeviceSpec, FdSlot, IdRange, Limits, MountSource, MountSpec, Namespaces, OpenFile, Overlay,
    ProcessSpec, RootSpec, SeccompProfile,
};
use control::wire::Outgoing;
use oci_spec::runtime::{
    LinuxDevice, LinuxDeviceType, LinuxIdMapping, LinuxNamespaceType, LinuxResources, LinuxSeccomp, Spec,
};

use super::mounts::{self, MountPlan, Source};
use super::overlay::{OverlayMode, backing_file};
use super::{Bundle, namespace, plain, process, seccomp};
use crate::gofer_process::{ExportSpec, GoferSpec};

/// A container ready to be handed to the kernel and to its gofer.
#[derive(Debug)]
pub(crate) struct Plan {
    /// For the kernel.
    pub(crate) container: ContainerSpec,
    /// The descriptors it names.
    pub(crate) files: Outgoing,
    /// For the gofer.
    pub(crate) gofer: GoferSpec,
    /// The descriptors it names.
    pub(crate) gofer_files: Outgoing,
}

/// Makes the description. `open_files` are the first process' files with their numbers.
/// With `in_pod` a namespace with a path is the pod's, which others of its containers are in.
pub(crate) fn plan(
    id: &str,
    bundle: &Bundle,
    overlay: &OverlayMode,
    open_files: Vec<(u32, OwnedFd)>,
    in_pod: bool,
) -> Result<Plan> {
    let spec = &bundle.spec;
    let mut connections = Connections::default();
    let readonly = spec.root().as_ref().and_then(oci_spec::runtime::Root::readonly).unwrap_or_default();
    let over_root = match overlay {
        OverlayMode::None => Overlay::None,
        OverlayMode::Memory => Overlay::Memory,
        OverlayMode::Directory(directory) => Overlay::File(connections.files.add(backing_file(directory)?.into())),
    };
    let linux = spec.linux().as_ref();
    let root = RootSpec {
        connection: connections.connect(&bundle.rootfs, readonly || over_root != Overlay::None)?.0,
        readonly,
        overlay: over_root,
        propagation: linux.and_then(|l| l.rootfs_propagation().as_deref()).map_or(Ok(0), propagation)?,
    };
    let mounts = spec.mounts().iter().flatten().filter_map(|mount| mounts::plan(mount, &bundle.path).transpose());
    let mounts = mounts.map(|plan| connections.mount(plan?)).collect::<Result<_>>()?;
    let has_users = namespace(spec, LinuxNamespaceType::User).is_some();
    let container = ContainerSpec {
        id: id.to_owned(),
        hostname: spec.hostname().clone().filter(|name| !name.is_empty()),
        domainname: spec.domainname().clone().filter(|name| !name.is_empty()),
        root,
        mounts,
        process: with_files(
            process::describe(spec.process().as_ref().context("process property must not be empty")?)?,
            open_files,
            &mut connections.files,
        ),
        sysctl: linux
            .and_then(|l| l.sysctl().as_ref())
            .map(|all| all.iter().map(|(name, value)| (name.clone(), value.clone())).collect())
            .unwrap_or_default(),
        masked_paths: linux.and_then(|l| l.masked_paths().clone()).unwrap_or_default(),
        readonly_paths: linux.and_then(|l| l.readonly_paths().clone()).unwrap_or_default(),
        devices: linux.and_then(|l| l.devices().as_ref()).into_iter().flatten().map(device).collect::<Result<_>>()?,
        namespaces: namespaces(spec, in_pod),
        limits: limits(spec.linux().as_ref().and_then(|linux| linux.resources().as_ref())),
        seccomp: linux.and_then(|l| l.seccomp().as_ref()).map(compile_seccomp).transpose()?,
        uid_mappings: id_ranges(linux.and_then(|l| l.uid_mappings().as_deref()).filter(|_| has_users)),
        gid_mappings: id_ranges(linux.and_then(|l| l.gid_mappings().as_deref()).filter(|_| has_users)),
    };
    let Connections { files, exports, gofer_files } = connections;
    Ok(Plan { container, files, gofer: GoferSpec { exports, log: None }, gofer_files })
}

fn id_ranges(mappings: Option<&[LinuxIdMapping]>) -> Vec<IdRange> {
    let range = |m: &LinuxIdMapping| IdRange { inside: m.container_id(), outside: m.host_id(), count: m.size() };
    mappings.unwrap_or_default().iter().map(range).collect()
}

/// Adds open files to the description of a process.
pub(crate) fn with_files(process: ProcessSpec, open: Vec<(u32, OwnedFd)>, files: &mut Outgoing) -> ProcessSpec {
    let open = open.into_iter().map(|(number, file)| OpenFile { number, file: files.add(file) });
    ProcessSpec { files: open.collect(), ..process }
}

/// The connections of a container: one for its root and one for each bind mount.
#[derive(Debug, Default)]
struct Connections {
    files: Outgoing,
    exports: Vec<ExportSpec>,
    gofer_files: Outgoing,
}

impl Connections {
    /// Has a path of the host served. Returns the kernel's end, and whether it is a directory.
    fn connect(&mut self, path: &Path, read_only: bool) -> Result<(FdSlot, bool)> {
        let metadata = std::fs::metadata(path).map_err(|e| anyhow!("stat {}: {}", path.display(), plain(&e)))?;
        let (ours, theirs) = UnixStream::pair()?;
        let identity = (metadata.dev(), metadata.ino());
        self.exports.push(ExportSpec {
            path: path.to_owned(),
            socket: self.gofer_files.add(theirs.into()),
            identity,
            read_only,
        });
        Ok((self.files.add(ours.into()), metadata.is_dir()))
    }

    fn mount(&mut self, plan: MountPlan) -> Result<MountSpec> {
        let source = match &plan.source {
            Source::Own(kind, name) => MountSource::Own { kind: kind.clone(), name: name.clone() },
            Source::Host(path) => {
                let (connection, directory) = self
                    .connect(path, plan.read_only())
                    .with_context(|| format!("error mounting {path:?} to rootfs at {:?}", plan.destination))?;
                // Where it is on the host is not told.
                MountSource::Gofer { connection, directory, name: "none".to_owned() }
            }
        };
        let MountPlan { destination, flags, propagation, data, .. } = plan;
        Ok(MountSpec { destination, source, flags, propagation, data })
    }
}

fn propagation(word: &str) -> Result<u64> {
    mounts::propagation(word).ok_or_else(|| anyhow!("rootfsPropagation={word} is not supported"))
}

fn device(device: &LinuxDevice) -> Result<DeviceSpec> {
    const S_IFIFO: u32 = 0o010_000;
    const S_IFCHR: u32 = 0o020_000;
    const S_IFBLK: u32 = 0o060_000;
    let path = device.path().to_string_lossy().into_owned();
    let kind = match device.typ() {
        LinuxDeviceType::B => S_IFBLK,
        LinuxDeviceType::P => S_IFIFO,
        _ => S_IFCHR,
    };
    let number = |value: i64| u32::try_from(value).map_err(|_| anyhow!("device {path}: number {value} out of range"));
    let (major, minor) = if kind == S_IFIFO { (0, 0) } else { (number(device.major())?, number(device.minor())?) };
    Ok(DeviceSpec {
        mode: kind | device.file_mode().unwrap_or(0o666) & 0o7777,
        major,
        minor,
        uid: device.uid().unwrap_or_default(),
        gid: device.gid().unwrap_or_default(),
        path,
    })
}

fn namespaces(spec: &Spec, in_pod: bool) -> Namespaces {
    let has = |kind| namespace(spec, kind).is_some_and(|namespace| !in_pod || namespace.path().is_none());
    Namespaces {
        pid: has(LinuxNamespaceType::Pid),
        network: has(LinuxNamespaceType::Network),
        ipc: has(LinuxNamespaceType::Ipc),
        uts: has(LinuxNamespaceType::Uts),
        user: has(LinuxNamespaceType::User),
        cgroup: has(LinuxNamespaceType::Cgroup),
    }
}

fn compile_seccomp(profile: &LinuxSeccomp) -> Result<SeccompProfile> {
    let number = |name: &str| {
        let call = syscalls::x86_64::TABLE.iter().find(|call| call.name == name)?;
        u32::try_from(call.nr).ok()
    };
    seccomp::compile(profile, number)
}

/// The limits that the kernel keeps itself.
pub(crate) fn limits(resources: Option<&LinuxResources>) -> Limits {
    let positive = |value: Option<i64>| value.and_then(|v| u64::try_from(v).ok()).filter(|v| *v > 0);
    Limits {
        memory: positive(resources.and_then(|r| r.memory().as_ref()).and_then(oci_spec::runtime::LinuxMemory::limit)),
        pids: positive(resources.and_then(|r| r.pids().as_ref()).map(oci_spec::runtime::LinuxPids::limit)),
    }
}

/// What becomes files 0 to 2 of a process that gets no terminal: copies of ours.
pub(crate) fn standard_files() -> Result<Vec<(u32, OwnedFd)>> {
    let (input, output, errors) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    [input.as_fd(), output.as_fd(), errors.as_fd()]
        .into_iter()
        .zip(0..)
        .map(|(fd, number)| Ok((number, fd.try_clone_to_owned()?)))
        .collect()
}
