//! seccomp(2) and classic BPF: filters, what they see, what they answer.
#![expect(missing_docs, reason = "the names are Linux's, see seccomp(2)")]

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::names::{flags, numbers};

/// `struct sock_filter`: one instruction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct SockFilter {
    pub code: u16,
    pub jt: u8,
    pub jf: u8,
    pub k: u32,
}

/// `struct sock_fprog`: a program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct SockFprog {
    pub len: u16,
    pub _pad: [u16; 3],
    pub filter: u64,
}

/// `struct seccomp_data`: what a filter reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct SeccompData {
    pub nr: i32,
    pub arch: u32,
    pub instruction_pointer: u64,
    pub args: [u64; 6],
}

/// Most instructions of a program.
pub const BPF_MAXINSNS: usize = 4096;
/// Most instructions on a path through all filters of a task.
pub const MAX_INSNS_PER_PATH: usize = 32768;
pub const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;
pub const AUDIT_ARCH_I386: u32 = 0x4000_0003;
/// Bit of an x32 call's number.
pub const __X32_SYSCALL_BIT: u32 = 0x4000_0000;

numbers! {
    /// The name of a mode of PR_SET_SECCOMP.
    pub fn seccomp_mode_name(u32) {
        SECCOMP_MODE_DISABLED = 0,
        SECCOMP_MODE_STRICT = 1,
        SECCOMP_MODE_FILTER = 2,
    }
}

numbers! {
    /// The name of an operation of seccomp(2).
    pub fn seccomp_op_name(u32) {
        SECCOMP_SET_MODE_STRICT = 0,
        SECCOMP_SET_MODE_FILTER = 1,
        SECCOMP_GET_ACTION_AVAIL = 2,
        SECCOMP_GET_NOTIF_SIZES = 3,
    }
}

flags! {
    /// `flags` of SECCOMP_SET_MODE_FILTER.
    pub struct SeccompFilterFlags: u64 {
        const SECCOMP_FILTER_FLAG_TSYNC = 0x1;
        const SECCOMP_FILTER_FLAG_LOG = 0x2;
        const SECCOMP_FILTER_FLAG_SPEC_ALLOW = 0x4;
        const SECCOMP_FILTER_FLAG_NEW_LISTENER = 0x8;
        const SECCOMP_FILTER_FLAG_TSYNC_ESRCH = 0x10;
        const SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV = 0x20;
    }
}

numbers! {
    /// The name of an action that a filter returns, its data taken off.
    pub fn seccomp_action_name(u32) {
        SECCOMP_RET_KILL_PROCESS = 0x8000_0000,
        SECCOMP_RET_KILL_THREAD = 0,
        SECCOMP_RET_TRAP = 0x0003_0000,
        SECCOMP_RET_ERRNO = 0x0005_0000,
        SECCOMP_RET_USER_NOTIF = 0x7fc0_0000,
        SECCOMP_RET_TRACE = 0x7ff0_0000,
        SECCOMP_RET_LOG = 0x7ffc_0000,
        SECCOMP_RET_ALLOW = 0x7fff_0000,
    }
}

pub const SECCOMP_RET_ACTION_FULL: u32 = 0xffff_0000;
pub const SECCOMP_RET_DATA: u32 = 0xffff;

// Instruction classes, sizes, modes and operations of classic BPF.
pub const BPF_LD: u16 = 0x0;
pub const BPF_LDX: u16 = 0x1;
pub const BPF_ST: u16 = 0x2;
pub const BPF_STX: u16 = 0x3;
pub const BPF_ALU: u16 = 0x4;
pub const BPF_JMP: u16 = 0x5;
pub const BPF_RET: u16 = 0x6;
pub const BPF_MISC: u16 = 0x7;
pub const BPF_W: u16 = 0x0;
pub const BPF_H: u16 = 0x8;
pub const BPF_B: u16 = 0x10;
pub const BPF_IMM: u16 = 0x0;
pub const BPF_ABS: u16 = 0x20;
pub const BPF_IND: u16 = 0x40;
pub const BPF_MEM: u16 = 0x60;
pub const BPF_LEN: u16 = 0x80;
pub const BPF_MSH: u16 = 0xa0;
pub const BPF_ADD: u16 = 0x0;
pub const BPF_SUB: u16 = 0x10;
pub const BPF_MUL: u16 = 0x20;
pub const BPF_DIV: u16 = 0x30;
pub const BPF_OR: u16 = 0x40;
pub const BPF_AND: u16 = 0x50;
pub const BPF_LSH: u16 = 0x60;
pub const BPF_RSH: u16 = 0x70;
pub const BPF_NEG: u16 = 0x80;
pub const BPF_MOD: u16 = 0x90;
pub const BPF_XOR: u16 = 0xa0;
pub const BPF_JA: u16 = 0x0;
pub const BPF_JEQ: u16 = 0x10;
pub const BPF_JGT: u16 = 0x20;
pub const BPF_JGE: u16 = 0x30;
pub const BPF_JSET: u16 = 0x40;
pub const BPF_K: u16 = 0x0;
pub const BPF_X: u16 = 0x8;
pub const BPF_A: u16 = 0x10;
pub const BPF_TAX: u16 = 0x0;
pub const BPF_TXA: u16 = 0x80;
// Where a packet filter finds what is not in the packet's data: below zero.
pub const SKF_AD_OFF: u32 = 0x1000_u32.wrapping_neg();
pub const SKF_NET_OFF: u32 = 0x10_0000_u32.wrapping_neg();
pub const SKF_LL_OFF: u32 = 0x20_0000_u32.wrapping_neg();
pub const SKF_AD_PROTOCOL: u32 = 0;
pub const SKF_AD_PKTTYPE: u32 = 4;
pub const SKF_AD_IFINDEX: u32 = 8;
pub const SKF_AD_NLATTR: u32 = 12;
pub const SKF_AD_NLATTR_NEST: u32 = 16;
pub const SKF_AD_MARK: u32 = 20;
pub const SKF_AD_QUEUE: u32 = 24;
pub const SKF_AD_HATYPE: u32 = 28;
pub const SKF_AD_RXHASH: u32 = 32;
pub const SKF_AD_CPU: u32 = 36;
pub const SKF_AD_ALU_XOR_X: u32 = 40;
pub const SKF_AD_VLAN_TAG: u32 = 44;
pub const SKF_AD_VLAN_TAG_PRESENT: u32 = 48;
pub const SKF_AD_PAY_OFFSET: u32 = 52;
pub const SKF_AD_RANDOM: u32 = 56;
pub const SKF_AD_VLAN_TPID: u32 = 60;
pub const SKF_AD_MAX: u32 = 64;
/// Words of a program's scratch memory.
pub const BPF_MEMWORDS: usize = 16;

/// `struct seccomp_notif_sizes`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct SeccompNotifSizes {
    pub seccomp_notif: u16,
    pub seccomp_notif_resp: u16,
    pub seccomp_data: u16,
}

/// `struct seccomp_notif`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct SeccompNotif {
    pub id: u64,
    pub pid: u32,
    pub flags: u32,
    pub data: SeccompData,
}

/// `struct seccomp_notif_resp`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct SeccompNotifResp {
    pub id: u64,
    pub val: i64,
    pub error: i32,
    pub flags: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_match_the_c_library() {
        assert_eq!(size_of::<SeccompData>(), size_of::<libc::seccomp_data>());
        assert_eq!(size_of::<SockFprog>(), size_of::<libc::sock_fprog>());
        assert_eq!(size_of::<SeccompNotif>(), size_of::<libc::seccomp_notif>());
        assert_eq!(SECCOMP_RET_TRAP, libc::SECCOMP_RET_TRAP);
        assert_eq!(SECCOMP_RET_TRACE, libc::SECCOMP_RET_TRACE);
    }
}
