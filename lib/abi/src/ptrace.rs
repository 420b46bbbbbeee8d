//! ptrace(2): requests, options, events, and the register structures it moves.
#![expect(missing_docs, reason = "the names are Linux's, see ptrace(2)")]

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::names::{flags, numbers};

numbers! {
    /// The name of a request.
    pub fn ptrace_name(u32) {
        PTRACE_TRACEME = 0,
        PTRACE_PEEKTEXT = 1,
        PTRACE_PEEKDATA = 2,
        PTRACE_PEEKUSR = 3,
        PTRACE_POKETEXT = 4,
        PTRACE_POKEDATA = 5,
        PTRACE_POKEUSR = 6,
        PTRACE_CONT = 7,
        PTRACE_KILL = 8,
        PTRACE_SINGLESTEP = 9,
        PTRACE_GETREGS = 12,
        PTRACE_SETREGS = 13,
        PTRACE_GETFPREGS = 14,
        PTRACE_SETFPREGS = 15,
        PTRACE_ATTACH = 16,
        PTRACE_DETACH = 17,
        PTRACE_SYSCALL = 24,
        PTRACE_ARCH_PRCTL = 30,
        PTRACE_SYSEMU = 31,
        PTRACE_SYSEMU_SINGLESTEP = 32,
        PTRACE_SETOPTIONS = 0x4200,
        PTRACE_GETEVENTMSG = 0x4201,
        PTRACE_GETSIGINFO = 0x4202,
        PTRACE_SETSIGINFO = 0x4203,
        PTRACE_GETREGSET = 0x4204,
        PTRACE_SETREGSET = 0x4205,
        PTRACE_SEIZE = 0x4206,
        PTRACE_INTERRUPT = 0x4207,
        PTRACE_LISTEN = 0x4208,
        PTRACE_PEEKSIGINFO = 0x4209,
        PTRACE_GETSIGMASK = 0x420a,
        PTRACE_SETSIGMASK = 0x420b,
        PTRACE_SECCOMP_GET_FILTER = 0x420c,
        PTRACE_SECCOMP_GET_METADATA = 0x420d,
        PTRACE_GET_SYSCALL_INFO = 0x420e,
        PTRACE_GET_RSEQ_CONFIGURATION = 0x420f,
        PTRACE_SET_SYSCALL_USER_DISPATCH_CONFIG = 0x4210,
        PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG = 0x4211,
        PTRACE_SET_SYSCALL_INFO = 0x4212,
    }
}

flags! {
    /// Options of PTRACE_SETOPTIONS.
    pub struct PtraceOptions: u32 {
        const PTRACE_O_TRACESYSGOOD = 0x1;
        const PTRACE_O_TRACEFORK = 0x2;
        const PTRACE_O_TRACEVFORK = 0x4;
        const PTRACE_O_TRACECLONE = 0x8;
        const PTRACE_O_TRACEEXEC = 0x10;
        const PTRACE_O_TRACEVFORKDONE = 0x20;
        const PTRACE_O_TRACEEXIT = 0x40;
        const PTRACE_O_TRACESECCOMP = 0x80;
        const PTRACE_O_EXITKILL = 0x100000;
        const PTRACE_O_SUSPEND_SECCOMP = 0x200000;
    }
}

numbers! {
    /// The name of an event.
    pub fn ptrace_event_name(u32) {
        PTRACE_EVENT_FORK = 1,
        PTRACE_EVENT_VFORK = 2,
        PTRACE_EVENT_CLONE = 3,
        PTRACE_EVENT_EXEC = 4,
        PTRACE_EVENT_VFORK_DONE = 5,
        PTRACE_EVENT_EXIT = 6,
        PTRACE_EVENT_SECCOMP = 7,
        PTRACE_EVENT_STOP = 128,
    }
}

/// `struct user_regs_struct`: NT_PRSTATUS, PTRACE_GETREGS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct UserRegs {
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub rbp: u64,
    pub rbx: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub rax: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rsi: u64,
    pub rdi: u64,
    pub orig_rax: u64,
    pub rip: u64,
    pub cs: u64,
    pub eflags: u64,
    pub rsp: u64,
    pub ss: u64,
    pub fs_base: u64,
    pub gs_base: u64,
    pub ds: u64,
    pub es: u64,
    pub fs: u64,
    pub gs: u64,
}

/// Bytes of `struct user`, the area PTRACE_PEEKUSER addresses.
pub const USER_AREA_SIZE: u64 = 928;
/// Where the debug registers stand in it.
pub const USER_DEBUGREG_OFFSET: u64 = 848;

/// `struct ptrace_peeksiginfo_args`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct PeeksiginfoArgs {
    pub off: u64,
    pub flags: u32,
    pub nr: i32,
}

/// Peek at the queue of the process.
pub const PTRACE_PEEKSIGINFO_SHARED: u32 = 1;

/// `struct ptrace_syscall_info`; what `data` holds depends on `op`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct PtraceSyscallInfo {
    pub op: u8,
    pub _reserved: u8,
    pub flags: u16,
    pub arch: u32,
    pub instruction_pointer: u64,
    pub stack_pointer: u64,
    /// Entry: nr, args. Seccomp: nr, args, ret_data. Exit: rval, is_error.
    pub data: [u64; 8],
}

pub const PTRACE_SYSCALL_INFO_NONE: u8 = 0;
pub const PTRACE_SYSCALL_INFO_ENTRY: u8 = 1;
pub const PTRACE_SYSCALL_INFO_EXIT: u8 = 2;
pub const PTRACE_SYSCALL_INFO_SECCOMP: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_match_the_c_library() {
        assert_eq!(size_of::<UserRegs>(), size_of::<libc::user_regs_struct>());
        assert_eq!(core::mem::offset_of!(UserRegs, fs_base), core::mem::offset_of!(libc::user_regs_struct, fs_base));
        assert_eq!(USER_DEBUGREG_OFFSET as usize, core::mem::offset_of!(libc::user, u_debugreg));
        assert_eq!(size_of::<PtraceSyscallInfo>(), size_of::<libc::ptrace_syscall_info>());
    }
}
