//! What is known of containers between two calls: a directory each, `ROOT/ID`, with `state.json` and the control socket.
//!
//! Whoever changes a container holds an exclusive flock(2) on its directory. `state.json` is replaced as a whole, so that
//! it can be read without the lock. A directory without `state.json` is a container whose creation was cut short; only
//! `delete --force` and `list` see it. [`record`] is the file, [`process`] recognises processes that it names.

pub(crate) mod process;
pub(crate) mod record;

use std::fs::{DirBuilder, File};
use std::io::{ErrorKind, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use nix::fcntl::{Flock, FlockArg};

use record::Record;

/// Where containers are kept.
#[derive(Clone, Debug)]
pub(crate) struct Root(PathBuf);

/// The locked directory of one container.
#[derive(Debug)]
pub(crate) struct Locked {
    path: PathBuf,
    directory: Flock<File>,
}

const STATE: &str = "state.json";
const SOCKET: &str = "control.sock";

impl Root {
    /// `--root`, or the default for this user.
    pub(crate) fn new(given: Option<&Path>) -> Result<Self> {
        let path = match given {
            Some(path) => std::path::absolute(path)?,
            None => match std::env::var_os("XDG_RUNTIME_DIR") {
                Some(runtime) if is_of_user() => PathBuf::from(runtime).join(crate::NAME),
                _ => Path::new("/run").join(crate::NAME),
            },
        };
        Ok(Self(path))
    }

    /// Makes the directory of a new container and locks it.
    pub(crate) fn create(&self, id: &str) -> Result<Locked> {
        check_id(id)?;
        let path = self.0.join(id);
        let make = |recursive, mode, path: &Path| DirBuilder::new().recursive(recursive).mode(mode).create(path);
        let made = make(false, 0o711, &path).or_else(|e| match e.kind() {
            ErrorKind::NotFound => make(true, 0o711, &self.0).and_then(|()| make(false, 0o711, &path)),
            _ => Err(e),
        });
        made.map_err(|e| match e.kind() {
            ErrorKind::AlreadyExists => anyhow!("container with given ID already exists"),
            _ => anyhow!("cannot make {}: {}", path.display(), crate::config::plain(&e)),
        })?;
        Locked::open(path)
    }

    /// Locks the directory of a container, half-made ones included.
    pub(crate) fn lock(&self, id: &str) -> Result<Locked> {
        check_id(id)?;
        Locked::open(self.0.join(id))
    }

    /// Reads the record of a container, without the lock.
    pub(crate) fn read(&self, id: &str) -> Result<Record> {
        check_id(id)?;
        read_record(&self.0.join(id))
    }

    /// The directory of a container.
    pub(crate) fn directory(&self, id: &str) -> PathBuf {
        self.0.join(id)
    }

    /// All containers, by id. Half-made ones and what is none are left out.
    pub(crate) fn list(&self) -> Result<Vec<Record>> {
        let entries = match std::fs::read_dir(&self.0) {
            Ok(entries) => entries,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(e).with_context(|| format!("cannot list {}", self.0.display())),
        };
        let mut records: Vec<_> = entries.flatten().filter_map(|entry| read_record(&entry.path()).ok()).collect();
        records.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(records)
    }
}

impl Locked {
    fn open(path: PathBuf) -> Result<Self> {
        let mut options = File::options();
        options.read(true).custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW);
        let mut file = options.open(&path).map_err(|e| not_there(&e))?;
        let directory = loop {
            match Flock::lock(file, FlockArg::LockExclusive) {
                Ok(lock) => break lock,
                Err((back, nix::errno::Errno::EINTR)) => file = back,
                Err((_, e)) => return Err(e).with_context(|| format!("cannot lock {}", path.display())),
            }
        };
        // Whoever held the lock may have deleted the container.
        let (ours, now) = (directory.metadata()?, std::fs::metadata(&path).map_err(|e| not_there(&e))?);
        if (ours.dev(), ours.ino()) != (now.dev(), now.ino()) {
            bail!("container does not exist");
        }
        Ok(Self { path, directory })
    }

    /// The record; an error if creation was cut short.
    pub(crate) fn read(&self) -> Result<Record> {
        read_record(&self.path)
    }

    /// Replaces the record.
    pub(crate) fn write(&self, record: &Record) -> Result<()> {
        let text = serde_json::to_vec(record)?;
        replace(&self.path.join(STATE), &text)
            .with_context(|| format!("cannot write {}", self.path.join(STATE).display()))
    }

    /// A path of the control socket that is short enough for any address, valid while the lock is held.
    pub(crate) fn socket_path(&self) -> PathBuf {
        socket_path(&self.directory)
    }

    /// Removes the directory. What is already gone is no error.
    pub(crate) fn remove(self) -> Result<()> {
        match std::fs::remove_dir_all(&self.path) {
            Err(e) if e.kind() != ErrorKind::NotFound => {
                Err(e).with_context(|| format!("cannot remove {}", self.path.display()))
            }
            _ => Ok(()),
        }
    }
}

/// Connects to the control socket of a container.
pub(crate) fn connect(directory: &Path) -> std::io::Result<std::os::unix::net::UnixStream> {
    let directory = File::options().read(true).custom_flags(libc::O_PATH).open(directory)?;
    std::os::unix::net::UnixStream::connect(socket_path(&directory))
}

/// Replaces a file as a whole.
pub(crate) fn replace(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}", std::process::id()));
    let written = File::create(&temporary).and_then(|mut file| file.write_all(content));
    written.and_then(|()| std::fs::rename(&temporary, path)).inspect_err(|_| {
        let _ = std::fs::remove_file(&temporary);
    })
}

fn socket_path(directory: &File) -> PathBuf {
    format!("/proc/self/fd/{}/{SOCKET}", directory.as_raw_fd()).into()
}

fn read_record(directory: &Path) -> Result<Record> {
    let text = std::fs::read(directory.join(STATE)).map_err(|e| not_there(&e))?;
    serde_json::from_slice(&text).with_context(|| format!("cannot understand {}", directory.join(STATE).display()))
}

fn not_there(error: &std::io::Error) -> anyhow::Error {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => anyhow!("container does not exist"),
        _ => anyhow!("cannot read the container's state: {}", crate::config::plain(error)),
    }
}

/// Whether the default is a user's: not for root, nor for who is called root in a user namespace.
fn is_of_user() -> bool {
    let named_root = || std::env::var_os("USER").is_some_and(|name| name == "root");
    !nix::unistd::geteuid().is_root() || (crate::cgroup::is_of_user() && !named_root())
}

/// runc's rule for ids: letters, digits, `_`, `+`, `-`, `.`, `,`; no path.
fn check_id(id: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_+-.,".contains(c);
    if id.is_empty() {
        bail!("container id cannot be empty");
    }
    if id == "." || id == ".." || id.len() > 255 || !id.chars().all(allowed) {
        bail!("invalid container ID format");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(name: &str) -> Root {
        let path = std::env::temp_dir().join(format!("runsc-rs-state-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Root(path)
    }

    #[test]
    fn ids_cannot_leave_the_root() {
        for id in ["", ".", "..", "../x", "a/b", "a b", "ä", "a\n"] {
            assert!(check_id(id).is_err(), "{id:?}");
        }
        for id in ["x", "A_b-c.d+e,f", "..."] {
            check_id(id).unwrap();
        }
    }

    #[test]
    fn id_is_taken_until_removed() {
        let root = root("taken");
        let locked = root.create("x").unwrap();
        assert_eq!(root.create("x").unwrap_err().to_string(), "container with given ID already exists");
        assert!(root.list().unwrap().is_empty(), "half-made containers are not listed");
        assert_eq!(root.read("x").unwrap_err().to_string(), "container does not exist");
        locked.remove().unwrap();
        assert_eq!(root.lock("x").unwrap_err().to_string(), "container does not exist");
        root.create("x").unwrap().remove().unwrap();
        std::fs::remove_dir_all(&root.0).unwrap();
    }

    #[test]
    fn long_socket_path_can_be_bound() {
        let mut root = root("long");
        root.0 = root.0.join("d".repeat(200));
        let locked = root.create("x").unwrap();
        let listener = std::os::unix::net::UnixListener::bind(locked.socket_path()).unwrap();
        connect(&root.directory("x")).unwrap();
        drop(listener);
        std::fs::remove_dir_all(root.0.parent().unwrap()).unwrap();
    }
}
