//! Starts one of our own processes in namespaces of its own: clone3(2), a gate, execveat(2).
//!
//! The child is a fork, not a vfork, because somebody must write its user map while it waits at the gate. Between clone
//! and exec it makes system calls only: no allocation, no lock, no destructor.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sched::CloneFlags;
use nix::unistd::Pid;

use crate::pidfd::PidFd;

/// Files 0 to 3 of the new process: input, output, errors, and the socket over which it learns what to do.
pub const FILES: usize = 4;

/// clone3(2): start in the cgroup of `clone_args.cgroup`.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// What to start and how.
#[derive(Debug)]
pub struct Spawn<'a> {
    /// What to execute.
    pub executable: BorrowedFd<'a>,
    /// Its arguments, with the zeroth. The environment is empty: the caller's may hold secrets.
    pub arguments: &'a [CString],
    /// Namespaces to make for it.
    pub namespaces: CloneFlags,
    /// A cgroup v2 directory to start in, CLONE_INTO_CGROUP.
    pub cgroup: Option<BorrowedFd<'a>>,
    /// Files 0 to 3. Everything else is closed.
    pub files: [BorrowedFd<'a>; FILES],
    /// Become user and group 0 of the (new) user namespace, without supplementary groups where that is allowed.
    pub become_root: bool,
}

/// A process that waits at its gate.
#[derive(Debug)]
pub struct Spawned {
    /// Its pid in our namespace.
    pub pid: Pid,
    /// The process.
    pub pidfd: PidFd,
    gate: OwnedFd,
}

impl Spawned {
    /// Lets it execute. Dropping it instead makes it exit.
    pub fn release(self) -> io::Result<(Pid, PidFd)> {
        nix::unistd::write(&self.gate, &[1])?;
        Ok((self.pid, self.pidfd))
    }
}

impl Spawn<'_> {
    /// Clones the process. It waits until [`Spawned::release`], in a session of its own.
    pub fn spawn(&self) -> io::Result<Spawned> {
        let (gate_read, gate) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
        // Moved out of the way of the numbers they will get, so that putting them there overwrites none of them.
        let files = self.files.map(|fd| fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(10)));
        let mut numbers = [-1; FILES];
        let mut owned = Vec::with_capacity(FILES);
        for (number, file) in numbers.iter_mut().zip(files) {
            let raw = file?;
            // SAFETY: fcntl has just made this descriptor for us.
            owned.push(unsafe { OwnedFd::from_raw_fd(raw) });
            *number = raw;
        }
        let pointers: Vec<*const libc::c_char> =
            self.arguments.iter().map(|a| a.as_ptr()).chain([ptr::null()]).collect();
        let mut pidfd: RawFd = -1;
        let mut args = libc::clone_args {
            flags: u64::from(self.namespaces.bits().cast_unsigned()) | libc::CLONE_PIDFD as u64,
            pidfd: (&raw mut pidfd) as u64,
            child_tid: 0,
            parent_tid: 0,
            exit_signal: libc::SIGCHLD as u64,
            stack: 0,
            stack_size: 0,
            tls: 0,
            set_tid: 0,
            set_tid_size: 0,
            cgroup: 0,
        };
        if let Some(cgroup) = self.cgroup {
            args.flags |= CLONE_INTO_CGROUP;
            args.cgroup = cgroup.as_raw_fd() as u64;
        }
        let plan = Plan {
            gate: gate_read.as_raw_fd(),
            parents_end: gate.as_raw_fd(),
            files: numbers,
            executable: self.executable.as_raw_fd(),
            arguments: pointers.as_ptr(),
            become_root: self.become_root,
        };
        // SAFETY: without CLONE_VM this is fork(2): the child has its own copy of memory. It calls nothing but
        // `Plan::run`, which makes plain system calls on memory that was prepared above, and never returns.
        let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<libc::clone_args>()) };
        match pid {
            0 => plan.run(),
            pid if pid > 0 => {
                // SAFETY: the kernel has stored a new descriptor of ours there, as CLONE_PIDFD asks.
                let pidfd = PidFd::from(unsafe { OwnedFd::from_raw_fd(pidfd) });
                let pid = Pid::from_raw(i32::try_from(pid).expect("a pid is an int"));
                Ok(Spawned { pid, pidfd, gate })
            }
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// The socket that a process started by [`Spawn`] finds as its file 3. Can be had once.
pub fn launch_socket() -> io::Result<OwnedFd> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::Relaxed) {
        return Err(io::Error::other("the launch socket is taken"));
    }
    const NUMBER: RawFd = FILES as RawFd - 1;
    // SAFETY: changes a flag of a descriptor, or fails when there is none.
    if unsafe { libc::fcntl(NUMBER, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is open, and nobody else owns it: it was open when the process began, and we come here once.
    Ok(unsafe { OwnedFd::from_raw_fd(NUMBER) })
}

/// A copy of a descriptor that was open when the process began, for `--preserve-fds`.
pub fn inherited(number: u32) -> io::Result<OwnedFd> {
    let number = RawFd::try_from(number).map_err(io::Error::other)?;
    // SAFETY: makes a descriptor, or fails when there is none of that number.
    let copy = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 10) };
    if copy < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// What the child needs, as plain numbers.
struct Plan {
    gate: RawFd,
    parents_end: RawFd,
    files: [RawFd; FILES],
    executable: RawFd,
    arguments: *const *const libc::c_char,
    become_root: bool,
}

impl Plan {
    /// The child's whole life before exec.
    fn run(&self) -> ! {
        // SAFETY: only async-signal-safe system calls, on descriptors and memory that `Spawn::spawn` prepared and that
        // live as long as this process, because it never returns.
        unsafe {
            // With our own copy of the other end open, we would not see that the parent has gone.
            libc::close(self.parents_end);
            let mut byte = 0_u8;
            loop {
                let n = libc::read(self.gate, (&raw mut byte).cast(), 1);
                if n == 1 {
                    break;
                }
                if n == 0 || *libc::__errno_location() != libc::EINTR {
                    libc::_exit(1); // the parent is gone or has given up
                }
            }
            for (number, file) in (0..).zip(self.files) {
                if libc::dup2(file, number) < 0 {
                    fail(c"cannot place its files");
                }
            }
            libc::syscall(libc::SYS_close_range, FILES as u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
            libc::setsid();
            if self.become_root {
                libc::syscall(libc::SYS_setgroups, 0, ptr::null::<libc::gid_t>()); // denied without privilege: then none to lose
                if libc::syscall(libc::SYS_setresgid, 0, 0, 0) < 0 || libc::syscall(libc::SYS_setresuid, 0, 0, 0) < 0 {
                    fail(c"cannot become root of its user namespace");
                }
            }
            let mut none: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut none);
            libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut());
            let environment = [ptr::null::<libc::c_char>()];
            libc::syscall(
                libc::SYS_execveat,
                self.executable,
                c"".as_ptr(),
                self.arguments,
                environment.as_ptr(),
                libc::AT_EMPTY_PATH,
            );
            fail(c"cannot execute")
        }
    }
}

/// Says why on standard error, which is already in place or still the caller's, and exits.
///
/// # Safety
/// For the child of a fork only; uses nothing but system calls.
unsafe fn fail(what: &CStr) -> ! {
    // SAFETY: the string is NUL terminated by its type; write and _exit are async-signal-safe.
    unsafe {
        let errno = *libc::__errno_location();
        let number = [b'0' + (errno / 100 % 10) as u8, b'0' + (errno / 10 % 10) as u8, b'0' + (errno % 10) as u8];
        for part in [what.to_bytes(), b": errno ", &number, b"\n"] {
            libc::write(2, part.as_ptr().cast(), part.len());
        }
        libc::_exit(1)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::AsFd;

    use super::*;

    fn spawn_true(files: [BorrowedFd<'_>; FILES]) -> Spawned {
        let executable = std::fs::File::open("/bin/sh").unwrap();
        let arguments = [c"sh".to_owned(), c"-c".to_owned(), c"echo hello; exit 7".to_owned()];
        let spawn = Spawn {
            executable: executable.as_fd(),
            arguments: &arguments,
            namespaces: CloneFlags::empty(),
            cgroup: None,
            files,
            become_root: false,
        };
        spawn.spawn().unwrap()
    }

    #[test]
    fn released_child_runs_with_its_files() {
        let null = std::fs::File::open("/dev/null").unwrap();
        let (mut reader, writer) = std::io::pipe().unwrap();
        let child = spawn_true([null.as_fd(), writer.as_fd(), null.as_fd(), null.as_fd()]);
        drop(writer);
        let (pid, _) = child.release().unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello\n");
        let status = nix::sys::wait::waitpid(pid, None).unwrap();
        assert_eq!(status, nix::sys::wait::WaitStatus::Exited(pid, 7));
    }

    #[test]
    fn dropped_child_exits_without_running() {
        let null = std::fs::File::open("/dev/null").unwrap();
        let child = spawn_true([null.as_fd(); FILES]);
        let pid = child.pid;
        drop(child);
        let status = nix::sys::wait::waitpid(pid, None).unwrap();
        assert_eq!(status, nix::sys::wait::WaitStatus::Exited(pid, 1));
    }
}
