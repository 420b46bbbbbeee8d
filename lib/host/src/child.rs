//! Child processes and tracees: waiting for them and signalling them.

use abi::Errno;

use crate::errno::cvt;

/// What wait4(2) reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// Stopped by a signal; bit 7 is set for a system call stop with `PTRACE_O_TRACESYSGOOD`.
    Signal(i32),
    /// Stopped by a `PTRACE_EVENT_*`.
    Event(i32),
    /// Gone, and reaped.
    Dead,
    /// Nothing yet; only [`poll`] says so.
    Nothing,
}

/// Waits for a change of one child or tracee of this process.
pub fn wait(pid: i32) -> Result<Waited, Errno> {
    wait_with(pid, libc::__WALL)
}

/// Like [`wait`], without waiting.
pub fn poll(pid: i32) -> Result<Waited, Errno> {
    wait_with(pid, libc::__WALL | libc::WNOHANG)
}

/// kill(2).
pub fn kill(pid: i32, signal: i32) -> Result<(), Errno> {
    // SAFETY: no memory is involved.
    cvt(unsafe { libc::kill(pid, signal) })?;
    Ok(())
}

/// tgkill(2).
pub fn signal_thread(pid: i32, tid: i32, signal: i32) -> Result<(), Errno> {
    // SAFETY: no memory is involved.
    cvt(unsafe { libc::syscall(libc::SYS_tgkill, pid, tid, signal) })?;
    Ok(())
}

/// Kills a child or tracee and reaps it. Returns when nothing of it is left.
pub fn kill_and_reap(pid: i32) {
    let _ = kill(pid, libc::SIGKILL);
    // A stop that was on its way may be reported before the death; an error means that somebody else reaped it.
    while let Ok(waited) = wait(pid) {
        if waited == Waited::Dead {
            break;
        }
    }
}

/// Keeps the kernel from sending this process SIGCHLD each time a tracee stops.
pub fn silence_stops() -> Result<(), Errno> {
    // SAFETY: an all-zero action is a valid one, and is overwritten.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: `action` outlives the call.
    cvt(unsafe { libc::sigaction(libc::SIGCHLD, std::ptr::null(), &raw mut action) })?;
    action.sa_flags |= libc::SA_NOCLDSTOP;
    // SAFETY: the action is the current one but for a flag.
    cvt(unsafe { libc::sigaction(libc::SIGCHLD, &raw const action, std::ptr::null_mut()) })?;
    Ok(())
}

fn wait_with(pid: i32, flags: i32) -> Result<Waited, Errno> {
    if pid <= 0 {
        return Err(Errno::EINVAL);
    }
    let mut status = 0;
    loop {
        // SAFETY: `status` outlives the call; resource usage is not asked for.
        let r = unsafe { libc::wait4(pid, &raw mut status, flags, std::ptr::null_mut()) };
        if r == 0 {
            return Ok(Waited::Nothing);
        }
        if r > 0 {
            return Ok(decode(status));
        }
        match crate::errno::last() {
            Errno::EINTR => {}
            errno => return Err(errno),
        }
    }
}

fn decode(status: i32) -> Waited {
    if !libc::WIFSTOPPED(status) {
        return Waited::Dead;
    }
    match status >> 16 {
        0 => Waited::Signal(libc::WSTOPSIG(status)),
        event => Waited::Event(event),
    }
}
