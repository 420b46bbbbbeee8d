//! The terminal of a process: the command line sends its master over a socket, and what it carries is copied.

use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use containerd_shim::Error;
use host::tty::{WindowSize, set_window_size};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::stdio::{Ends, Stdio, open_for_terminal};

/// A socket that waits for a master.
#[derive(Debug)]
pub(crate) struct Console {
    path: PathBuf,
    listener: UnixListener,
}

/// The master of a terminal in use.
#[derive(Debug)]
pub(crate) struct Terminal {
    master: Arc<File>,
    /// Ends when the last byte was copied.
    copying: Option<thread::JoinHandle<()>>,
    /// Closed to tell the threads that the process has ended.
    stop: Option<PipeWriter>,
}

/// What becomes of bytes that are still there when the process has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    Copy,
    Leave,
}

const STACK: usize = 64 << 10;
const CHUNK: usize = 16 << 10;

impl Console {
    /// Listens in a directory of our own; its path is shorter than an address has to be.
    pub(crate) fn listen(bundle: &Path, name: &str) -> Result<Self, Error> {
        let failed = |e: std::io::Error| Error::Other(format!("cannot make a console socket: {e}"));
        // A bundle's path may be too long for the address of a socket.
        let short = std::env::temp_dir().join(format!("runsc-rs-{}-{}", std::process::id(), checksum(bundle, name)));
        let _ = std::fs::remove_file(&short);
        let listener = UnixListener::bind(&short).map_err(failed)?;
        std::fs::set_permissions(&short, std::os::unix::fs::PermissionsExt::from_mode(0o600)).map_err(failed)?;
        Ok(Self { path: short, listener })
    }

    /// For `--console-socket`.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the master that was sent, and copies from now on. Called when the command line has ended, so nobody waits.
    pub(crate) fn take(self, stdio: &Stdio, ends: &mut Ends) -> Result<Terminal, Error> {
        let failed = |e: std::io::Error| Error::Other(format!("no console: {e}"));
        self.listener.set_nonblocking(true).map_err(failed)?;
        let (stream, _) = self.listener.accept().map_err(failed)?;
        stream.set_nonblocking(false).map_err(failed)?;
        let (mut fds, mut name): (Vec<OwnedFd>, _) = (Vec::new(), [0; 64]);
        host::fdpass::recv(stream.as_fd(), &mut name, &mut fds).map_err(failed)?;
        let master = fds.pop().ok_or_else(|| Error::Other("no console was sent".into()))?;
        let master = Arc::new(File::from(master));
        let (told, stop) = pipe().map_err(failed)?;
        if let Some(input) = open_for_terminal(&stdio.input, true, ends)? {
            let (to, told) = (Arc::clone(&master), told.try_clone().map_err(failed)?);
            start("input", move || copy(&input, &to, &told, Rest::Leave))?;
        }
        let copying = match open_for_terminal(&stdio.output, false, ends)? {
            Some(output) => {
                let from = Arc::clone(&master);
                Some(start("output", move || copy(&from, &output, &told, Rest::Copy))?)
            }
            None => None,
        };
        Ok(Terminal { master, copying, stop: Some(stop) })
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Terminal {
    /// Changes its size.
    pub(crate) fn resize(&self, columns: u32, rows: u32) -> Result<(), Error> {
        let size = WindowSize {
            rows: u16::try_from(rows).unwrap_or(u16::MAX),
            columns: u16::try_from(columns).unwrap_or(u16::MAX),
            ..WindowSize::default()
        };
        set_window_size(&*self.master, size).map_err(|e| Error::Other(format!("cannot resize: {e}")))
    }

    /// Waits until all output was copied of a process that has ended.
    pub(crate) fn finish(&mut self) {
        self.stop = None;
        if let Some(copying) = self.copying.take() {
            let _ = copying.join();
        }
    }
}

fn start(name: &str, body: impl FnOnce() + Send + 'static) -> Result<thread::JoinHandle<()>, Error> {
    let started = thread::Builder::new().name(name.into()).stack_size(STACK).spawn(body);
    started.map_err(|e| Error::Other(format!("cannot start a thread: {e}")))
}

/// Until either side is closed (EIO from a terminal), or the process has ended and nothing is left to copy.
fn copy(mut from: &File, mut to: &File, stop: &PipeReader, rest: Rest) {
    let mut buffer = vec![0; CHUNK];
    let mut stopped = false;
    loop {
        let mut fds = [PollFd::new(from.as_fd(), PollFlags::POLLIN), PollFd::new(stop.as_fd(), PollFlags::POLLIN)];
        let timeout = if stopped { PollTimeout::ZERO } else { PollTimeout::NONE };
        match poll(&mut fds, timeout) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(_) => return,
        }
        let [readable, told] = fds.map(|fd| fd.any().unwrap_or_default());
        if told && rest == Rest::Leave {
            return;
        }
        if !readable {
            if stopped {
                return;
            }
            stopped = told;
            continue;
        }
        match from.read(&mut buffer) {
            Ok(0) => return,
            Ok(n) => {
                if to.write_all(buffer.get(..n).unwrap_or_default()).is_err() {
                    return;
                }
            }
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

/// Distinguishes consoles of one shim.
fn checksum(bundle: &Path, name: &str) -> String {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    (bundle, name).hash(&mut hasher);
    format!("{:016x}.sock", hasher.finish())
}
