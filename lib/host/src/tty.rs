//! Terminals: size and control, ioctl_tty(2).

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// Rows, columns, and pixels that nobody uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WindowSize {
    /// Rows.
    pub rows: u16,
    /// Columns.
    pub columns: u16,
    /// Width in pixels.
    pub width: u16,
    /// Height in pixels.
    pub height: u16,
}

/// The size of a terminal.
pub fn window_size(tty: impl AsFd) -> io::Result<WindowSize> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the pointer is to a live structure of the type that the request fills in.
    check(unsafe { libc::ioctl(tty.as_fd().as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) })?;
    Ok(WindowSize { rows: size.ws_row, columns: size.ws_col, width: size.ws_xpixel, height: size.ws_ypixel })
}

/// Sets it; whoever has it as controlling terminal gets SIGWINCH.
pub fn set_window_size(tty: impl AsFd, size: WindowSize) -> io::Result<()> {
    let size = libc::winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: size.width, ws_ypixel: size.height };
    // SAFETY: the pointer is to a live structure of the type that the request reads.
    check(unsafe { libc::ioctl(tty.as_fd().as_raw_fd(), libc::TIOCSWINSZ, &raw const size) })
}

/// Makes it the controlling terminal of the calling session leader, which has none yet.
pub fn set_controlling(tty: impl AsFd) -> io::Result<()> {
    // SAFETY: the request takes a number.
    check(unsafe { libc::ioctl(tty.as_fd().as_raw_fd(), libc::TIOCSCTTY, 0) })
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Puts it into raw mode: bytes pass unchanged in both directions, keys raise no signals.
pub fn make_raw(tty: impl AsFd) -> io::Result<()> {
    let mut settings = nix::sys::termios::tcgetattr(tty.as_fd())?;
    nix::sys::termios::cfmakeraw(&mut settings);
    Ok(nix::sys::termios::tcsetattr(tty.as_fd(), nix::sys::termios::SetArg::TCSANOW, &settings)?)
}
