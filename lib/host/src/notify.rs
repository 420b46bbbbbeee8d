//! Seccomp user notification: calls of another thread that wait for our answer.

use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use abi::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::errno::cvt;

/// A call that waits (`struct seccomp_notif`).
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Notification {
    /// What an answer names.
    pub id: u64,
    /// The thread, as our pid namespace knows it.
    pub tid: u32,
    flags: u32,
    /// The number.
    pub nr: i32,
    /// `AUDIT_ARCH_*` of the gate it came through.
    pub arch: u32,
    /// The address after the instruction.
    pub ip: u64,
    /// The arguments.
    pub args: [u64; 6],
}

/// `struct seccomp_notif_resp`.
#[repr(C)]
struct Answer {
    id: u64,
    value: u64,
    error: i32,
    flags: u32,
}

const _: () = assert!(size_of::<Notification>() == 80 && size_of::<Answer>() == 24);

/// SECCOMP_IOCTL_NOTIF_RECV.
pub const RECEIVE: u32 = 0xc050_2100;
/// SECCOMP_IOCTL_NOTIF_SEND.
pub const SEND: u32 = 0xc018_2101;
/// SECCOMP_IOCTL_NOTIF_SET_FLAGS, since Linux 6.6.
pub const SET_FLAGS: u32 = 0x4008_2104;
const SYNC_WAKE_UP: u64 = 1;

/// Whether the two sides wake each other on the CPU where they are. EINVAL if the kernel cannot, ENOTTY if this is no listener.
pub fn set_synchronous(listener: BorrowedFd<'_>, yes: bool) -> Result<(), Errno> {
    let flags = if yes { SYNC_WAKE_UP } else { 0 };
    // SAFETY: the request takes a number.
    cvt(unsafe { libc::ioctl(listener.as_raw_fd(), SET_FLAGS.into(), flags) })?;
    Ok(())
}

/// Before Linux 6.11, who waits for a call is not told that nobody is left who could make one. With this we ask first.
/// Costs a host call for each notification.
pub fn ask_before_waiting(yes: bool) {
    ASK.store(yes, Ordering::Relaxed);
}

/// Whether [`ask_before_waiting`] is necessary here.
#[must_use]
pub fn must_ask() -> bool {
    let Ok(host) = nix::sys::utsname::uname() else { return true };
    let release = host.release().to_string_lossy();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) < (6, 11)
}

static ASK: AtomicBool = AtomicBool::new(false);

/// Waits for the next call. ENOTCONN when nobody is left who could make one.
#[inline]
pub fn receive(listener: BorrowedFd<'_>) -> Result<Notification, Errno> {
    let mut notification = Notification::default();
    loop {
        if ASK.load(Ordering::Relaxed) && waits_in_vain(listener) {
            return Err(Errno::ENOTCONN);
        }
        // SAFETY: the structure is as large as the request says, and zero as it asks.
        let r = unsafe { libc::ioctl(listener.as_raw_fd(), RECEIVE.into(), &raw mut notification) };
        if r >= 0 {
            return Ok(notification);
        }
        match crate::errno::last() {
            Errno::EINTR => notification = Notification::default(),
            // A signal to the other before we had received its call, or its end.
            Errno::ENOENT if is_deserted(listener) => return Err(Errno::ENOTCONN),
            Errno::ENOENT => notification = Notification::default(),
            errno => return Err(errno),
        }
    }
}

/// Whether [`receive`] would return at once.
#[must_use]
pub fn is_pending(listener: BorrowedFd<'_>) -> bool {
    let mut list = [PollFd::new(listener, PollFlags::POLLIN)];
    poll(&mut list, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

/// Waits until there is a call, or nobody left who could make one; returns whether it is the latter.
fn waits_in_vain(listener: BorrowedFd<'_>) -> bool {
    let mut list = [PollFd::new(listener, PollFlags::POLLIN)];
    let _ = poll(&mut list, PollTimeout::NONE);
    let found = list[0].revents().unwrap_or(PollFlags::empty());
    found.contains(PollFlags::POLLHUP) && !found.contains(PollFlags::POLLIN)
}

/// Whether nobody is left who could make a call.
fn is_deserted(listener: BorrowedFd<'_>) -> bool {
    let mut list = [PollFd::new(listener, PollFlags::POLLIN)];
    let ready = poll(&mut list, PollTimeout::ZERO).is_ok_and(|ready| ready > 0);
    ready && list[0].revents().is_some_and(|found| found.contains(PollFlags::POLLHUP))
}

/// Lets the call `id` return `value`. ENOENT if the caller died meanwhile.
#[inline]
pub fn answer(listener: BorrowedFd<'_>, id: u64, value: u64) -> Result<(), Errno> {
    let answer = Answer { id, value, error: 0, flags: 0 };
    // SAFETY: the structure is as large as the request says; the kernel only reads it.
    cvt(unsafe { libc::ioctl(listener.as_raw_fd(), SEND.into(), &raw const answer) })?;
    Ok(())
}
