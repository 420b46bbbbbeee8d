//! Terminals that are joined to one of the host, and the devices `/dev/tty`, `/dev/console`, `/dev/ptmx`.
//!
//! The host's terminal is put into raw mode and only carries bytes: line discipline and job control are ours, so that they
//! are the same on every platform and the host never signals the sandbox. One thread a joined terminal reads the host.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

use abi::Errno;
use abi::fcntl::OpenFlags;
use abi::poll::{POLLIN, POLLOUT};
use abi::termios::Winsize;

use host::tty::WindowSize;
use sync::{Parker, Wake};

use super::{Tty, slave};
use crate::error::{Result, err};
use crate::fs::device;
use crate::fs::devpts::{self, Devpts};
use crate::task::CurrentTask;
use crate::vfs::walk::{self, WalkFlags};
use crate::vfs::{Caller, FileOps};

/// Major number of /dev/tty, /dev/console and /dev/ptmx.
const MAJOR: u32 = 5;

/// Makes the terminal devices known; once, at boot.
pub fn register() {
    device::register(MAJOR, open);
}

fn open(task: &CurrentTask, minor: u32, flags: OpenFlags) -> Result<Arc<dyn FileOps>> {
    match minor {
        0 => {
            let tty = task.group().tty().ok_or(Errno::ENXIO)?;
            let tty = tty.as_any().downcast_ref::<Tty>().ok_or(Errno::ENXIO)?.me();
            slave::open(&tty, task, flags)
        }
        1 => match task.group().container().console() {
            Some(tty) => slave::open(tty, task, flags | OpenFlags::O_NOCTTY),
            None => err(Errno::ENXIO),
        },
        2 => {
            let dir = walk::resolve(Caller::of(task), None, b"/dev/pts", WalkFlags::FOLLOW)?;
            devpts::open_ptmx(dir.inode(), task).unwrap_or_else(|| err(Errno::ENXIO))
        }
        _ => err(Errno::ENXIO),
    }
}

/// A terminal whose keyboard and screen are a terminal of the host: one of this devpts, or one without a number.
pub fn join(host: OwnedFd, devpts: Option<Arc<Devpts>>, task: &CurrentTask) -> Result<Arc<Tty>> {
    host::tty::make_raw(host.as_fd()).map_err(|e| Errno::from_raw(e.raw_os_error().unwrap_or(0)))?;
    let tty = match &devpts {
        Some(devpts) => devpts.add_terminal(task)?,
        None => Tty::new(None),
    };
    tty.locked.store(false, Ordering::SeqCst);
    let host = Arc::new(host);
    // Nobody else has it yet.
    let _ = tty.host.set(Arc::clone(&host));
    tty.follow_host();
    spawn("tty-in", {
        let (tty, host) = (Arc::clone(&tty), Arc::clone(&host));
        move || {
            keyboard(&tty, &host);
            if let Some(devpts) = devpts {
                devpts.remove(&tty);
            }
        }
    })?;
    spawn("tty-out", {
        let (tty, host) = (Arc::clone(&tty), host);
        move || screen(&tty, &host)
    })?;
    Ok(tty)
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<()> {
    let thread = thread::Builder::new().name(name.into()).stack_size(128 << 10).spawn(run);
    thread.map(drop).map_err(|_| Errno::EAGAIN.into())
}

impl Tty {
    /// Takes over the size that the host's terminal has now. It is asked whenever the size matters: the signal that tells of
    /// a change comes through the control socket, later than the change and not to everybody.
    pub(super) fn follow_host(&self) {
        let size = self.host.get().and_then(|host| host::tty::window_size(host.as_fd()).ok());
        if let Some(size) = size {
            self.resize(Winsize {
                ws_row: size.rows,
                ws_col: size.columns,
                ws_xpixel: size.width,
                ws_ypixel: size.height,
            });
        }
    }

    /// Gives the host's terminal a size that was set inside.
    pub(super) fn resize_host(&self, size: &Winsize) {
        let Some(host) = self.host.get() else { return };
        let size =
            WindowSize { rows: size.ws_row, columns: size.ws_col, width: size.ws_xpixel, height: size.ws_ypixel };
        let _ = host::tty::set_window_size(host.as_fd(), size);
    }
}

/// Wakes a thread that moves bytes.
#[derive(Default)]
struct Bell(Parker);

impl Wake for Bell {
    fn wake(&self, _: u32) {
        self.0.wake();
    }
}

/// Host to sandbox, until the host hangs up.
fn keyboard(tty: &Arc<Tty>, host: &OwnedFd) {
    let bell = Arc::new(Bell::default());
    let id = tty.master_queue.register(POLLOUT, Arc::clone(&bell) as Arc<dyn Wake>);
    let mut buffer = [0; 1024];
    while let Ok(n @ 1..) = host::file::read(host.as_fd(), &mut buffer) {
        // A change of size may not have been told.
        tty.follow_host();
        let mut rest = &buffer[..n];
        while !rest.is_empty() {
            bell.0.reset();
            let taken = tty.keyboard(rest);
            rest = &rest[taken..];
            if taken == 0 {
                bell.0.park(None);
            }
        }
    }
    tty.master_queue.unregister(id);
    tty.hang_up();
}

/// Sandbox to host, until the host takes no more.
fn screen(tty: &Arc<Tty>, host: &OwnedFd) {
    let bell = Arc::new(Bell::default());
    let id = tty.master_queue.register(POLLIN, Arc::clone(&bell) as Arc<dyn Wake>);
    loop {
        bell.0.reset();
        let bytes = tty.screen(4096);
        if bytes.is_empty() {
            bell.0.park(None);
        } else if host::file::write_all(host.as_fd(), &bytes).is_err() {
            break;
        }
    }
    tty.master_queue.unregister(id);
}
