//! The file tree of a container: its root, its mounts, what is hidden.

use std::sync::Arc;

use abi::Errno;
use abi::mount::MountFlags as MsFlags;
use abi::stat::{S_IFBLK, S_IFCHR, S_IFIFO, S_IFMT, makedev};
use control::spec::{DeviceSpec, MountSource, MountSpec, Overlay, RootSpec};
use control::wire::Donated;
use control::{ContainerSpec, Failure};

use super::file_systems::MountContext;
use super::{Kernel, failure};
use crate::error::{Error, Result, err};
use crate::fs::gofer::{GoferFs, GoferOptions};
use crate::fs::overlay::OverlayFs;
use crate::task::Credentials;
use crate::vfs::namei::{mkdir, mknod, symlink};
use crate::vfs::walk::{WalkFlags, resolve};
use crate::vfs::{
    Caller, Dentry, FsContext, MountFlags, MountNamespace, NewKind, Path, PropagationChange, anon, setattr,
};

/// Builds a file tree.
#[derive(Debug)]
pub(super) struct Builder<'a> {
    kernel: &'a Arc<Kernel>,
    context: MountContext<'a>,
    creds: Credentials,
    fs: Arc<FsContext>,
    namespace: Arc<MountNamespace>,
}

/// Builds the tree that `spec` describes, but for what [`Builder::restrict`] does.
pub(super) fn build<'a>(
    kernel: &'a Arc<Kernel>,
    spec: &ContainerSpec,
    files: &mut Donated,
    context: MountContext<'a>,
) -> Result<Builder<'a>, Failure> {
    let creds = Credentials::root(Arc::clone(&kernel.root_user_ns));
    let root = root_file_system(kernel, &spec.root, files)?;
    let namespace = MountNamespace::new(root, b"none", MountFlags::empty(), Arc::clone(&kernel.root_user_ns));
    let fs = FsContext::new(Arc::clone(&namespace), 0o022);
    let builder = Builder { kernel, context, creds, fs, namespace };
    for mount in &spec.mounts {
        builder.add_mount(mount, files)?;
    }
    // What every container finds in /dev, unless that is the host's or would be written to the host's files.
    let dev = |mount: &&MountSpec| mount.destination.trim_end_matches('/') == "/dev";
    let dev_is_ours = match spec.mounts.iter().rfind(dev) {
        Some(mount) => matches!(mount.source, MountSource::Own { .. }),
        None => spec.root.overlay != Overlay::None,
    };
    if dev_is_ours {
        builder.fill_dev(spec.process.terminal);
    }
    for device in &spec.devices {
        builder.add_device(device).map_err(|e| failure(&format!("cannot make device {}", device.path), &e))?;
    }
    Ok(builder)
}

fn root_file_system(kernel: &Arc<Kernel>, spec: &RootSpec, files: &mut Donated) -> Result<Arc<Dentry>, Failure> {
    let socket = files.take(spec.connection).map_err(|e| Failure::other(e.to_string()))?;
    let options = GoferOptions { dev: anon::next_dev(), exclusive: true };
    let lower = GoferFs::connect(socket, options).map_err(|e| failure("cannot reach the root file system", &e))?;
    let root = match &spec.overlay {
        Overlay::None => Dentry::new_root(lower),
        Overlay::Memory | Overlay::File(_) => OverlayFs::mount(&kernel.memfile, lower),
    };
    root.map_err(|e| failure("cannot read the root directory", &e))
}

impl Builder<'_> {
    /// A context at the root of the tree.
    pub(super) fn fs(&self) -> &Arc<FsContext> {
        &self.fs
    }

    /// Hides and write-protects what the container shall not change, once its settings are made and its working directory
    /// is there.
    pub(super) fn restrict(&self, spec: &ContainerSpec) -> Result<(), Failure> {
        for path in &spec.readonly_paths {
            self.make_read_only(path).map_err(|e| failure(&format!("cannot make {path} read-only"), &e))?;
        }
        for path in &spec.masked_paths {
            self.mask(path).map_err(|e| failure(&format!("cannot mask {path}"), &e))?;
        }
        let root_mount = self.namespace.root_mount();
        if let Some(change) = propagation(spec.root.propagation) {
            let recursive = spec.root.propagation & MsFlags::MS_REC.bits() != 0;
            let _ = self.namespace.set_propagation(&root_mount, change, recursive);
        }
        if spec.root.readonly {
            root_mount.set_flags(root_mount.flags() | MountFlags::READ_ONLY);
        }
        Ok(())
    }

    fn caller(&self) -> Caller<'_> {
        Caller::kernel(&self.creds, &self.fs)
    }

    fn add_mount(&self, spec: &MountSpec, files: &mut Donated) -> Result<(), Failure> {
        let what = || format!("cannot mount {}", spec.destination);
        let (root, source, directory) = match &spec.source {
            MountSource::Gofer { connection, directory, name } => {
                let socket = files.take(*connection).map_err(|e| Failure::other(e.to_string()))?;
                let options = GoferOptions { dev: anon::next_dev(), exclusive: false };
                let root = GoferFs::connect(socket, options).and_then(|fs| Dentry::new_root(fs));
                (root, name, *directory)
            }
            MountSource::Own { kind, name } => {
                let root = self.kernel.make_file_system(kind, spec.data.as_bytes(), self.context);
                if root.as_ref().is_err_and(|e| e.is(Errno::ENODEV)) {
                    tracing::warn!(kind, destination = spec.destination, "no such file system: not mounted");
                    return Ok(());
                }
                (root, name, true)
            }
        };
        let root = root.map_err(|e| failure(&what(), &e))?;
        // A link would have it appear elsewhere, and who looks for it finds what the image put there.
        if let MountSource::Own { kind, .. } = &spec.source
            && matches!(kind.as_str(), "proc" | "sysfs")
            && resolve(self.caller(), None, spec.destination.as_bytes(), WalkFlags::empty())
                .is_ok_and(|found| !found.is_dir())
        {
            return Err(Failure::other(format!("filesystem {kind:?} must be mounted on ordinary directory")));
        }
        let at = self.find_or_make(&spec.destination, directory).map_err(|e| failure(&what(), &e))?;
        let flags = MountFlags::from_bits_truncate(u32::try_from(spec.flags).unwrap_or(0));
        let mount = self.namespace.mount(root, source.as_bytes(), flags, at).map_err(|e| failure(&what(), &e))?;
        if let Some(change) = propagation(spec.propagation) {
            let recursive = spec.propagation & MsFlags::MS_REC.bits() != 0;
            let _ = self.namespace.set_propagation(&mount, change, recursive);
        }
        Ok(())
    }

    /// The place of a mount, made if it is missing: directories, and for a file an empty one.
    fn find_or_make(&self, path: &str, directory: bool) -> Result<Path> {
        let mut so_far = Vec::with_capacity(path.len() + 1);
        let mut names = path.split('/').filter(|name| !name.is_empty()).peekable();
        let mut found = self.fs.root();
        while let Some(name) = names.next() {
            so_far.push(b'/');
            so_far.extend_from_slice(name.as_bytes());
            let last = names.peek().is_none();
            found = match resolve(self.caller(), None, &so_far, WalkFlags::FOLLOW) {
                Ok(found) => found,
                Err(e) if e.is(Errno::ENOENT) && (directory || !last) => mkdir(self.caller(), None, &so_far, 0o755)?,
                Err(e) if e.is(Errno::ENOENT) => mknod(self.caller(), None, &so_far, NewKind::Regular, 0o644)?,
                Err(e) => return Err(e),
            };
        }
        Ok(found)
    }

    /// The nodes and links that programs expect in /dev. What is there already stays.
    fn fill_dev(&self, console: bool) {
        let nodes = [
            ("/dev/null", 1, 3),
            ("/dev/zero", 1, 5),
            ("/dev/full", 1, 7),
            ("/dev/random", 1, 8),
            ("/dev/urandom", 1, 9),
            ("/dev/tty", 5, 0),
        ];
        for (path, major, minor) in nodes {
            let spec = DeviceSpec { path: path.into(), mode: S_IFCHR | 0o666, major, minor, uid: 0, gid: 0 };
            self.expect_new(path, self.add_device(&spec));
        }
        let links = [
            ("/proc/self/fd", "/dev/fd"),
            ("/proc/self/fd/0", "/dev/stdin"),
            ("/proc/self/fd/1", "/dev/stdout"),
            ("/proc/self/fd/2", "/dev/stderr"),
            ("pts/ptmx", "/dev/ptmx"),
        ];
        for (target, path) in links {
            let made = symlink(self.caller(), target.as_bytes(), None, path.as_bytes());
            self.expect_new(path, made.map(drop));
        }
        if console {
            let spec =
                DeviceSpec { path: "/dev/console".into(), mode: S_IFCHR | 0o620, major: 5, minor: 1, uid: 0, gid: 5 };
            self.expect_new("/dev/console", self.add_device(&spec));
        }
    }

    fn expect_new(&self, path: &str, result: Result<()>) {
        if let Err(error) = result
            && !error.is(Errno::EEXIST)
        {
            tracing::warn!(path, %error, "cannot fill /dev");
        }
    }

    fn add_device(&self, spec: &DeviceSpec) -> Result<()> {
        let device = makedev(spec.major, spec.minor);
        let kind = match spec.mode & S_IFMT {
            S_IFCHR => NewKind::CharDevice(device),
            S_IFBLK => NewKind::BlockDevice(device),
            S_IFIFO => NewKind::Fifo,
            _ => return err(Errno::EINVAL),
        };
        let path = spec.path.as_bytes();
        if let Some(slash) = spec.path.rfind('/')
            && slash > 0
        {
            self.find_or_make(&spec.path[..slash], true)?;
        }
        let made = match mknod(self.caller(), None, path, kind, spec.mode) {
            // One that every container has, as engines list them for a privileged one.
            Err(e) if e.is(Errno::EEXIST) => return Ok(()),
            made => made?,
        };
        // The umask does not count here.
        setattr::chmod(&self.creds, &made, spec.mode & 0o7777)?;
        if spec.uid != 0 || spec.gid != 0 {
            setattr::chown(&self.creds, &made, Some(spec.uid), Some(spec.gid))?;
        }
        Ok(())
    }

    /// Binds a path onto itself, read-only. One that does not exist is skipped.
    fn make_read_only(&self, path: &str) -> Result<()> {
        let Some(place) = self.find(path)? else { return Ok(()) };
        let mount = self.namespace.bind(&place, place.clone(), true)?;
        mount.set_flags(mount.flags() | MountFlags::READ_ONLY);
        Ok(())
    }

    /// Hides a path: a directory under an empty one, a file under /dev/null.
    fn mask(&self, path: &str) -> Result<()> {
        let Some(place) = self.find(path)? else { return Ok(()) };
        if place.is_dir() {
            let empty = self.kernel.make_file_system("tmpfs", b"size=0,mode=555", self.context)?;
            self.namespace.mount(empty, b"tmpfs", MountFlags::READ_ONLY, place)?;
        } else if let Some(null) = self.find("/dev/null")? {
            self.namespace.bind(&null, place, false)?;
        }
        Ok(())
    }

    fn find(&self, path: &str) -> Result<Option<Path>> {
        match resolve(self.caller(), None, path.as_bytes(), WalkFlags::FOLLOW) {
            Ok(found) => Ok(Some(found)),
            Err(e) if absent(&e) => Ok(None),
            Err(e) => Err(e),
        }
    }
}

fn absent(error: &Error) -> bool {
    error.is(Errno::ENOENT) || error.is(Errno::ENOTDIR)
}

fn propagation(flags: u64) -> Option<PropagationChange> {
    let flags = MsFlags::from_bits_retain(flags);
    if flags.contains(MsFlags::MS_SHARED) {
        Some(PropagationChange::Shared)
    } else if flags.contains(MsFlags::MS_SLAVE) {
        Some(PropagationChange::Slave)
    } else if flags.contains(MsFlags::MS_UNBINDABLE) {
        Some(PropagationChange::Unbindable)
    } else if flags.contains(MsFlags::MS_PRIVATE) {
        Some(PropagationChange::Private)
    } else {
        None
    }
}
