//! Terminals of containers: pairs, the console socket, and a foreground terminal that is passed through.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use host::tty::{WindowSize, set_window_size, window_size};
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use nix::unistd::{read, write};

/// The two ends of a pseudo-terminal.
#[derive(Debug)]
pub(crate) struct Pair {
    /// Ours or the engine's.
    pub(crate) master: OwnedFd,
    /// The container's.
    pub(crate) slave: OwnedFd,
}

/// Makes a pseudo-terminal of that size.
pub(crate) fn open_pair(size: Option<WindowSize>) -> Result<Pair> {
    let pair = nix::pty::openpty(None, None).context("cannot open a pseudo-terminal")?;
    if let Some(size) = size {
        set_window_size(&pair.master, size)?;
    }
    Ok(Pair { master: pair.master, slave: pair.slave })
}

/// The slave as files 0 to 2.
pub(crate) fn as_standard_files(slave: &OwnedFd) -> Result<Vec<(u32, OwnedFd)>> {
    (0..3).map(|number| Ok((number, slave.try_clone()?))).collect()
}

/// Hands the master to whoever listens on `--console-socket`: its name as data, the descriptor beside it.
pub(crate) fn send_master(socket: &Path, master: &OwnedFd) -> Result<()> {
    let stream =
        connect(socket).map_err(|e| anyhow!("dial unix {}: {}", socket.display(), crate::config::plain(&e)))?;
    host::fdpass::send_all(stream.as_fd(), b"/dev/ptmx", &[master.as_fd()]).context("cannot send the console")
}

/// Connects to a socket whose path may be longer than an address.
fn connect(path: &Path) -> std::io::Result<UnixStream> {
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::OpenOptionsExt;
    if path.as_os_str().len() < 108 {
        return UnixStream::connect(path);
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return UnixStream::connect(path) };
    let parent = std::fs::File::options().read(true).custom_flags(libc::O_PATH).open(parent)?;
    UnixStream::connect(Path::new(&format!("/proc/self/fd/{}", parent.as_raw_fd())).join(name))
}

/// Our standard files lead nowhere.
pub(crate) fn silence() {
    if let Ok(null) = std::fs::File::options().read(true).write(true).open("/dev/null") {
        let _ = nix::unistd::dup2_stdin(&null);
        let _ = nix::unistd::dup2_stdout(&null);
        let _ = nix::unistd::dup2_stderr(&null);
    }
}

/// Our own terminal, passed through raw to a container's until dropped.
#[derive(Debug)]
pub(crate) struct PassThrough {
    master: OwnedFd,
    saved: Option<Termios>,
    input_open: bool,
}

impl PassThrough {
    /// Starts to pass through. Without a terminal of our own bytes are copied all the same.
    pub(crate) fn start(master: OwnedFd) -> Result<Self> {
        let input = std::io::stdin();
        let saved = tcgetattr(&input).ok();
        if let Some(saved) = &saved {
            let mut raw = saved.clone();
            cfmakeraw(&mut raw);
            tcsetattr(&input, SetArg::TCSANOW, &raw).context("cannot set the terminal raw")?;
        }
        let this = Self { master, saved, input_open: true };
        this.resize();
        Ok(this)
    }

    /// Gives the container's terminal the size of ours.
    pub(crate) fn resize(&self) {
        if let Ok(size) = window_size(std::io::stdin()) {
            let _ = set_window_size(&self.master, size);
        }
    }

    /// Where the container's output comes from.
    pub(crate) fn master(&self) -> BorrowedFd<'_> {
        self.master.as_fd()
    }

    /// Whether there may be more input.
    pub(crate) const fn wants_input(&self) -> bool {
        self.input_open
    }

    /// Copies what is there from our input.
    pub(crate) fn copy_input(&mut self) {
        let mut buffer = [0; 4096];
        match read(std::io::stdin(), &mut buffer) {
            Ok(0) => {
                // End of input of a pipe: what a user would type for it.
                self.input_open = false;
                let _ = write(&self.master, &[4]);
            }
            Ok(n) => self.input_open = write_all(self.master.as_fd(), buffer.get(..n).unwrap_or_default()),
            Err(nix::errno::Errno::EINTR | nix::errno::Errno::EAGAIN) => {}
            Err(_) => self.input_open = false,
        }
    }

    /// Copies what is there to our output. False once the container's side is closed (EIO).
    pub(crate) fn copy_output(&self) -> bool {
        let mut buffer = [0; 16 << 10];
        match read(&self.master, &mut buffer) {
            Ok(0) => false,
            Ok(n) => write_all(std::io::stdout().as_fd(), buffer.get(..n).unwrap_or_default()),
            Err(nix::errno::Errno::EINTR | nix::errno::Errno::EAGAIN) => true,
            Err(_) => false,
        }
    }
}

impl Drop for PassThrough {
    fn drop(&mut self) {
        if let Some(saved) = &self.saved {
            let _ = tcsetattr(std::io::stdin(), SetArg::TCSANOW, saved);
        }
    }
}

fn write_all(to: BorrowedFd<'_>, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        match write(to, bytes) {
            Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
            Err(nix::errno::Errno::EINTR) => {}
            Err(_) => return false,
        }
    }
    true
}
