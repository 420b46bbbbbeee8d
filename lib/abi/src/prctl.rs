//! prctl(2), arch_prctl(2).
#![expect(missing_docs, reason = "the names are Linux's, see prctl(2)")]

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::names::numbers;

numbers! {
    /// The name of an operation of prctl(2).
    pub fn prctl_name(u32) {
        PR_SET_PDEATHSIG = 1,
        PR_GET_PDEATHSIG = 2,
        PR_GET_DUMPABLE = 3,
        PR_SET_DUMPABLE = 4,
        PR_GET_UNALIGN = 5,
        PR_SET_UNALIGN = 6,
        PR_GET_KEEPCAPS = 7,
        PR_SET_KEEPCAPS = 8,
        PR_GET_FPEMU = 9,
        PR_SET_FPEMU = 10,
        PR_GET_FPEXC = 11,
        PR_SET_FPEXC = 12,
        PR_GET_TIMING = 13,
        PR_SET_TIMING = 14,
        PR_SET_NAME = 15,
        PR_GET_NAME = 16,
        PR_GET_ENDIAN = 19,
        PR_SET_ENDIAN = 20,
        PR_GET_SECCOMP = 21,
        PR_SET_SECCOMP = 22,
        PR_CAPBSET_READ = 23,
        PR_CAPBSET_DROP = 24,
        PR_GET_TSC = 25,
        PR_SET_TSC = 26,
        PR_GET_SECUREBITS = 27,
        PR_SET_SECUREBITS = 28,
        PR_SET_TIMERSLACK = 29,
        PR_GET_TIMERSLACK = 30,
        PR_TASK_PERF_EVENTS_DISABLE = 31,
        PR_TASK_PERF_EVENTS_ENABLE = 32,
        PR_MCE_KILL = 33,
        PR_MCE_KILL_GET = 34,
        PR_SET_MM = 35,
        PR_SET_PTRACER = 1499557217,
        PR_SET_CHILD_SUBREAPER = 36,
        PR_GET_CHILD_SUBREAPER = 37,
        PR_SET_NO_NEW_PRIVS = 38,
        PR_GET_NO_NEW_PRIVS = 39,
        PR_GET_TID_ADDRESS = 40,
        PR_SET_THP_DISABLE = 41,
        PR_GET_THP_DISABLE = 42,
        PR_SET_FP_MODE = 45,
        PR_GET_FP_MODE = 46,
        PR_CAP_AMBIENT = 47,
        PR_GET_SPECULATION_CTRL = 52,
        PR_SET_SPECULATION_CTRL = 53,
        PR_SET_IO_FLUSHER = 57,
        PR_GET_IO_FLUSHER = 58,
        PR_SET_SYSCALL_USER_DISPATCH = 59,
        PR_SCHED_CORE = 62,
        PR_SET_MDWE = 65,
        PR_GET_MDWE = 66,
        PR_SET_MEMORY_MERGE = 67,
        PR_GET_MEMORY_MERGE = 68,
        PR_TIMER_CREATE_RESTORE_IDS = 77,
        PR_SET_VMA = 1398164801,
        PR_GET_AUXV = 1096112214,
    }
}

pub const SUID_DUMP_DISABLE: u64 = 0;
pub const SUID_DUMP_USER: u64 = 1;
pub const SUID_DUMP_ROOT: u64 = 2;
pub const PR_CAP_AMBIENT_IS_SET: u64 = 1;
pub const PR_CAP_AMBIENT_RAISE: u64 = 2;
pub const PR_CAP_AMBIENT_LOWER: u64 = 3;
pub const PR_CAP_AMBIENT_CLEAR_ALL: u64 = 4;
pub const PR_SET_MM_START_CODE: u64 = 1;
pub const PR_SET_MM_END_CODE: u64 = 2;
pub const PR_SET_MM_START_DATA: u64 = 3;
pub const PR_SET_MM_END_DATA: u64 = 4;
pub const PR_SET_MM_START_STACK: u64 = 5;
pub const PR_SET_MM_START_BRK: u64 = 6;
pub const PR_SET_MM_BRK: u64 = 7;
pub const PR_SET_MM_ARG_START: u64 = 8;
pub const PR_SET_MM_ARG_END: u64 = 9;
pub const PR_SET_MM_ENV_START: u64 = 10;
pub const PR_SET_MM_ENV_END: u64 = 11;
pub const PR_SET_MM_AUXV: u64 = 12;
pub const PR_SET_MM_EXE_FILE: u64 = 13;
pub const PR_SET_MM_MAP: u64 = 14;
pub const PR_SET_MM_MAP_SIZE: u64 = 15;
pub const PR_TSC_ENABLE: u64 = 1;
pub const PR_TSC_SIGSEGV: u64 = 2;
pub const PR_TIMING_STATISTICAL: u64 = 0;
pub const PR_TIMING_TIMESTAMP: u64 = 1;
pub const PR_MCE_KILL_CLEAR: u64 = 0;
pub const PR_MCE_KILL_SET: u64 = 1;
pub const PR_MCE_KILL_LATE: u64 = 0;
pub const PR_MCE_KILL_EARLY: u64 = 1;
pub const PR_MCE_KILL_DEFAULT: u64 = 2;
pub const PR_SPEC_STORE_BYPASS: u64 = 0;
pub const PR_SPEC_INDIRECT_BRANCH: u64 = 1;
pub const PR_SPEC_L1D_FLUSH: u64 = 2;
pub const PR_SPEC_NOT_AFFECTED: u64 = 0;
pub const PR_SPEC_PRCTL: u64 = 1;
pub const PR_SPEC_ENABLE: u64 = 2;
pub const PR_SPEC_DISABLE: u64 = 4;
pub const PR_SPEC_FORCE_DISABLE: u64 = 8;
pub const PR_SPEC_DISABLE_NOEXEC: u64 = 16;
pub const PR_SYS_DISPATCH_OFF: u64 = 0;
pub const PR_SYS_DISPATCH_ON: u64 = 1;
pub const PR_MDWE_REFUSE_EXEC_GAIN: u64 = 1;
pub const PR_MDWE_NO_INHERIT: u64 = 2;
pub const PR_SET_VMA_ANON_NAME: u64 = 0;
pub const SYSCALL_DISPATCH_FILTER_ALLOW: u8 = 0;
pub const SYSCALL_DISPATCH_FILTER_BLOCK: u8 = 1;
/// PR_SET_PTRACER: anyone.
pub const PR_SET_PTRACER_ANY: u64 = u64::MAX;
/// Longest name of PR_SET_VMA_ANON_NAME, its NUL included.
pub const ANON_VMA_NAME_MAX_LEN: usize = 80;

numbers! {
    /// The name of an operation of arch_prctl(2).
    pub fn arch_prctl_name(u32) {
        ARCH_SET_GS = 0x1001,
        ARCH_SET_FS = 0x1002,
        ARCH_GET_FS = 0x1003,
        ARCH_GET_GS = 0x1004,
        ARCH_GET_CPUID = 0x1011,
        ARCH_SET_CPUID = 0x1012,
        ARCH_GET_XCOMP_SUPP = 0x1021,
        ARCH_GET_XCOMP_PERM = 0x1022,
        ARCH_REQ_XCOMP_PERM = 0x1023,
        ARCH_GET_XCOMP_GUEST_PERM = 0x1024,
        ARCH_REQ_XCOMP_GUEST_PERM = 0x1025,
        ARCH_MAP_VDSO_X32 = 0x2001,
        ARCH_MAP_VDSO_32 = 0x2002,
        ARCH_MAP_VDSO_64 = 0x2003,
        ARCH_SHSTK_ENABLE = 0x5001,
        ARCH_SHSTK_DISABLE = 0x5002,
        ARCH_SHSTK_LOCK = 0x5003,
        ARCH_SHSTK_UNLOCK = 0x5004,
        ARCH_SHSTK_STATUS = 0x5005,
    }
}

/// `struct prctl_mm_map` of PR_SET_MM_MAP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct PrctlMmMap {
    pub start_code: u64,
    pub end_code: u64,
    pub start_data: u64,
    pub end_data: u64,
    pub start_brk: u64,
    pub brk: u64,
    pub start_stack: u64,
    pub arg_start: u64,
    pub arg_end: u64,
    pub env_start: u64,
    pub env_end: u64,
    pub auxv: u64,
    pub auxv_size: u32,
    pub exe_fd: u32,
}
