//! What running application code ends in.

use abi::UserAddr;

/// Why [`crate::Context::run`] came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The application executed `syscall` (or `int 0x80`, see [`SyscallArgs::compat`]).
    Syscall(SyscallArgs),
    /// The application touched memory that the platform has not mapped for that access.
    Fault {
        /// The address, as the CPU reported it.
        addr: UserAddr,
        /// What it tried; [`Access::Unknown`] where the host does not tell.
        access: Access,
    },
    /// Any other CPU exception.
    Exception(Exception),
    /// An [`crate::Interrupter`] fired; nothing happened in the application.
    Interrupted,
}

/// A system call as the application made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyscallArgs {
    /// The number in `rax`.
    pub nr: u64,
    /// `rdi rsi rdx r10 r8 r9`.
    pub args: [u64; 6],
    /// The address after the `syscall` instruction.
    pub ip: UserAddr,
    /// Made through `int 0x80` or another 32-bit gate.
    pub compat: bool,
}

/// How memory was touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// A load.
    Read,
    /// A store or a read-modify-write.
    Write,
    /// An instruction fetch.
    Execute,
    /// The host does not say; the memory manager decides from the state of the page.
    Unknown,
}

/// A CPU exception, already in the terms of siginfo_t(3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exception {
    /// SIGFPE, SIGILL, SIGTRAP, SIGBUS, SIGSEGV.
    pub signo: i32,
    /// `si_code`.
    pub code: i32,
    /// `si_addr`.
    pub addr: UserAddr,
}
