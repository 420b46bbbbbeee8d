//! ptrace(2), one function a request. The caller's thread must be the tracer, and the tracee must be stopped, or the answer
//! is ESRCH. A tracee never shares memory with us, so nothing done to one can break our own.

use std::mem::{offset_of, size_of};

use abi::Errno;

/// How many words `struct user_regs_struct` of x86-64 has.
pub const REGS: usize = 27;

/// How a tracee goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Go {
    /// Until a signal arrives; system calls are executed (`PTRACE_CONT`).
    Continue,
    /// Until a signal arrives or it enters a system call, which is then skipped (`PTRACE_SYSEMU`).
    SysEmu,
}

/// A system call that a tracee entered, as `PTRACE_GET_SYSCALL_INFO` tells it.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct SyscallEntry {
    op: u8,
    pad: [u8; 3],
    /// `AUDIT_ARCH_*` of the gate it came through.
    pub arch: u32,
    /// Instruction pointer after the call.
    pub ip: u64,
    /// Stack pointer.
    pub sp: u64,
    /// The number.
    pub nr: u64,
    /// The arguments.
    pub args: [u64; 6],
}

/// What siginfo_t(3) says about the signal that stopped a tracee.
#[derive(Clone, Copy, Debug)]
pub struct StopSignal {
    /// `si_signo`.
    pub signo: i32,
    /// `si_code`.
    pub code: i32,
    /// `si_addr`, or `si_call_addr` of a SIGSYS.
    pub addr: u64,
}

const GET_SYSCALL_INFO: libc::c_uint = 0x420e;
const SYSEMU: libc::c_uint = 31;
const NT_X86_XSTATE: usize = 0x202;

/// Attaches without stopping the tracee. `options` are `PTRACE_O_*`.
pub fn seize(tid: i32, options: i32) -> Result<(), Errno> {
    request(libc::PTRACE_SEIZE, tid, 0, usize::try_from(options).unwrap_or(0))
}

/// Stops a seized tracee, which then reports `PTRACE_EVENT_STOP`.
pub fn interrupt(tid: i32) -> Result<(), Errno> {
    request(libc::PTRACE_INTERRUPT, tid, 0, 0)
}

/// Lets a stopped tracee go for good.
pub fn detach(tid: i32) -> Result<(), Errno> {
    request(libc::PTRACE_DETACH, tid, 0, 0)
}

/// Lets a stopped tracee go on; the signal that stopped it is dropped.
pub fn resume(tid: i32, go: Go) -> Result<(), Errno> {
    let what = match go {
        Go::Continue => libc::PTRACE_CONT,
        Go::SysEmu => SYSEMU,
    };
    request(what, tid, 0, 0)
}

/// General registers.
pub fn get_regs(tid: i32, regs: &mut [u64; REGS]) -> Result<(), Errno> {
    request(libc::PTRACE_GETREGS, tid, 0, regs.as_mut_ptr().addr_for_kernel())
}

/// Replaces the general registers; EIO for a selector or base that user code cannot have.
pub fn set_regs(tid: i32, regs: &[u64; REGS]) -> Result<(), Errno> {
    request(libc::PTRACE_SETREGS, tid, 0, regs.as_ptr().cast_mut().addr_for_kernel())
}

/// Replaces one word of the general registers, by its index.
pub fn set_reg(tid: i32, index: usize, value: u64) -> Result<(), Errno> {
    if index >= REGS {
        return Err(Errno::EIO);
    }
    request(libc::PTRACE_POKEUSER, tid, index * size_of::<u64>(), value as usize)
}

/// The system call that stopped the tracee.
pub fn syscall_entry(tid: i32) -> Result<SyscallEntry, Errno> {
    let mut info = SyscallEntry::default();
    request(GET_SYSCALL_INFO, tid, size_of::<SyscallEntry>(), (&raw mut info).addr_for_kernel())?;
    Ok(info)
}

/// The signal that stopped the tracee.
pub fn stop_signal(tid: i32) -> Result<StopSignal, Errno> {
    /// The head of `siginfo_t` for a fault, and its full size.
    #[repr(C)]
    struct Info {
        signo: i32,
        errno: i32,
        code: i32,
        pad: i32,
        addr: u64,
        rest: [u64; 13],
    }
    const { assert!(size_of::<Info>() == size_of::<libc::siginfo_t>() && offset_of!(Info, addr) == 16) };
    let mut info = Info { signo: 0, errno: 0, code: 0, pad: 0, addr: 0, rest: [0; 13] };
    request(libc::PTRACE_GETSIGINFO, tid, 0, (&raw mut info).addr_for_kernel())?;
    Ok(StopSignal { signo: info.signo, code: info.code, addr: info.addr })
}

/// Reads the XSAVE area into `area`; returns its length, which is less than that of `area` if all of it was read.
pub fn get_xstate(tid: i32, area: &mut [u8]) -> Result<usize, Errno> {
    let mut iov = libc::iovec { iov_base: area.as_mut_ptr().cast(), iov_len: area.len() };
    request(libc::PTRACE_GETREGSET, tid, NT_X86_XSTATE, (&raw mut iov).addr_for_kernel())?;
    Ok(iov.iov_len)
}

/// Replaces the XSAVE area; EINVAL for bits that the CPU would refuse, EFAULT for a wrong length.
pub fn set_xstate(tid: i32, area: &[u8]) -> Result<(), Errno> {
    let mut iov = libc::iovec { iov_base: area.as_ptr().cast_mut().cast(), iov_len: area.len() };
    request(libc::PTRACE_SETREGSET, tid, NT_X86_XSTATE, (&raw mut iov).addr_for_kernel())
}

/// One of the seccomp filters of a stopped tracee, the newest is 0; `None` if there are not so many. Needs CAP_SYS_ADMIN of the
/// host, no filter of our own, and a kernel with checkpoints.
pub fn seccomp_filter(tid: i32, index: usize) -> Result<Option<Vec<crate::seccomp::Instruction>>, Errno> {
    const GET_FILTER: libc::c_uint = 0x420c;
    /// BPF_MAXINSNS, the longest that a filter may be.
    const MAX: usize = 4096;
    let mut program: Vec<crate::seccomp::Instruction> = Vec::new();
    program.resize_with(MAX, || crate::seccomp::Instruction { code: 0, jt: 0, jf: 0, k: 0 });
    // Room for the longest filter there is.
    let length = match length(GET_FILTER, tid, index, program.as_mut_ptr().addr_for_kernel()) {
        Err(Errno::ENOENT) => return Ok(None),
        other => other?,
    };
    program.truncate(length);
    Ok(Some(program))
}

trait ForKernel {
    /// The address as the kernel wants it, with the provenance that lets it write there.
    fn addr_for_kernel(self) -> usize;
}

impl<T> ForKernel for *mut T {
    fn addr_for_kernel(self) -> usize {
        self.expose_provenance()
    }
}

fn request(what: libc::c_uint, tid: i32, addr: usize, data: usize) -> Result<(), Errno> {
    length(what, tid, addr, data).map(drop)
}

/// A request that answers with a length.
fn length(what: libc::c_uint, tid: i32, addr: usize, data: usize) -> Result<usize, Errno> {
    // SAFETY: callers in this module pass as `data` either a plain value or the address of a live object at least as large
    // as the request writes; the raw call has no side channel such as the PEEK convention of the library function.
    let r = unsafe { libc::syscall(libc::SYS_ptrace, what as libc::c_long, libc::c_long::from(tid), addr, data) };
    usize::try_from(r).map_err(|_| crate::errno::last())
}
