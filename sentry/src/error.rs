//! What a kernel operation fails with: an errno for the application, or a request to restart the call.
//!
//! [`Error`] remembers the line that made it, for the debug log and strace output. Restart codes are a kind of their own,
//! never a bare errno: only signal delivery (`task::signal`) turns them into EINTR or a restarted call.

use std::fmt;
use std::panic::Location;

use abi::Errno;

/// The result of a kernel operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The result of a system call: the value of `rax`.
pub type SysResult = Result<u64>;

/// Why an operation failed, and where in our source that was decided.
#[derive(Clone, Copy)]
pub struct Error {
    code: Code,
    at: &'static Location<'static>,
}

/// What kind of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The application sees this number.
    Errno(Errno),
    /// A signal came; what happens next depends on its handler.
    Restart(Restart),
}

/// How an interrupted call goes on (the ERESTART* codes of include/linux/errno.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// ERESTARTSYS: EINTR if a handler without SA_RESTART runs, else the call is made again.
    Sys,
    /// ERESTARTNOINTR: always made again.
    NoIntr,
    /// ERESTARTNOHAND: EINTR if any handler runs, else made again.
    NoHand,
    /// ERESTART_RESTARTBLOCK: EINTR if any handler runs, else continued by restart_syscall(2) with the task's restart
    /// block.
    Block,
}

impl Error {
    /// The errno an application would see; EINTR for a restart.
    #[must_use]
    pub fn errno(&self) -> Errno {
        match self.code {
            Code::Errno(e) => e,
            Code::Restart(_) => Errno::EINTR,
        }
    }

    /// The kind of failure.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// Whether this is exactly the given errno.
    #[must_use]
    pub fn is(&self, errno: Errno) -> bool {
        self.code == Code::Errno(errno)
    }

    /// The line that made it.
    #[must_use]
    pub fn at(&self) -> &'static Location<'static> {
        self.at
    }
}

impl From<Errno> for Error {
    #[track_caller]
    fn from(errno: Errno) -> Self {
        Self { code: Code::Errno(errno), at: Location::caller() }
    }
}

impl From<Restart> for Error {
    #[track_caller]
    fn from(restart: Restart) -> Self {
        Self { code: Code::Restart(restart), at: Location::caller() }
    }
}

impl From<platform::PlatformError> for Error {
    #[track_caller]
    fn from(_: platform::PlatformError) -> Self {
        Errno::ENOMEM.into()
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {}", self.code, self.at)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.errno(), f)
    }
}

impl std::error::Error for Error {}

/// Shorthand: `return err(Errno::EINVAL)`.
#[track_caller]
pub fn err<T>(errno: Errno) -> Result<T> {
    Err(errno.into())
}
