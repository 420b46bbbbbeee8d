//! The frame that a signal handler runs on and rt_sigreturn(2) reads back, with the FPU state that hangs on it.
//!
//! From low to high: return address, [`UContext`], [`SigInfo`], then further up and 64-byte aligned the XSAVE image whose first
//! 512 bytes are an [`Fxsave`] with [`FpxSwBytes`] in its reserved part, and [`FP_XSTATE_MAGIC2`] after its last byte.
#![expect(missing_docs, reason = "the names are Linux's and the processor's")]

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::siginfo::SigInfo;
use crate::signal::{SigSet, Stack};

/// `struct sigcontext`: the registers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct SigContext {
    pub r8: u64,
    pub r9: u64,
    pub r10: u64,
    pub r11: u64,
    pub r12: u64,
    pub r13: u64,
    pub r14: u64,
    pub r15: u64,
    pub rdi: u64,
    pub rsi: u64,
    pub rbp: u64,
    pub rbx: u64,
    pub rdx: u64,
    pub rax: u64,
    pub rcx: u64,
    pub rsp: u64,
    pub rip: u64,
    pub eflags: u64,
    pub cs: u16,
    pub gs: u16,
    pub fs: u16,
    pub ss: u16,
    pub err: u64,
    pub trapno: u64,
    pub oldmask: u64,
    pub cr2: u64,
    /// Address of the XSAVE image; null if there is none.
    pub fpstate: u64,
    pub _reserved1: [u64; 8],
}

/// `struct ucontext`, as the kernel lays it out (the C library's has room for 1024 signals and more).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct UContext {
    pub uc_flags: u64,
    pub uc_link: u64,
    pub uc_stack: Stack,
    pub uc_mcontext: SigContext,
    pub uc_sigmask: SigSet,
}

/// uc_flags: the image of `fpstate` goes beyond FXSAVE.
pub const UC_FP_XSTATE: u64 = 1;
/// uc_flags: `ss` of the context is valid.
pub const UC_SIGCONTEXT_SS: u64 = 2;
/// uc_flags: restore `ss` exactly.
pub const UC_STRICT_RESTORE_SS: u64 = 4;

/// `struct rt_sigframe`: what stands at the stack pointer when a handler starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct RtSigFrame {
    /// `sa_restorer`, which calls rt_sigreturn.
    pub pretcode: u64,
    pub uc: UContext,
    pub info: SigInfo,
}

/// The bytes below the stack pointer that belong to the function that was interrupted.
pub const RED_ZONE: u64 = 128;

/// The first 512 bytes of an XSAVE image, FXSAVE's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Fxsave {
    pub cwd: u16,
    pub swd: u16,
    pub twd: u16,
    pub fop: u16,
    pub rip: u64,
    pub rdp: u64,
    pub mxcsr: u32,
    pub mxcsr_mask: u32,
    pub st_space: [u32; 32],
    pub xmm_space: [u32; 64],
    pub _reserved: [u32; 12],
    pub sw_reserved: FpxSwBytes,
}

impl Default for Fxsave {
    /// The state of a new program: exceptions masked, registers empty.
    fn default() -> Self {
        Self {
            cwd: 0x37f,
            swd: 0,
            twd: 0,
            fop: 0,
            rip: 0,
            rdp: 0,
            mxcsr: MXCSR_DEFAULT,
            mxcsr_mask: 0,
            st_space: [0; 32],
            xmm_space: [0; 64],
            _reserved: [0; 12],
            sw_reserved: FpxSwBytes::default(),
        }
    }
}

/// `struct _fpx_sw_bytes`: tells rt_sigreturn and the handler how much state follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct FpxSwBytes {
    /// [`FP_XSTATE_MAGIC1`] if the rest holds.
    pub magic1: u32,
    /// Bytes of the image and the second magic.
    pub extended_size: u32,
    /// The features in the image.
    pub xfeatures: u64,
    /// Bytes of the image.
    pub xstate_size: u32,
    pub _padding: [u32; 7],
}

/// The header that follows [`Fxsave`] in an XSAVE image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct XstateHeader {
    /// XSTATE_BV: what is not in its initial state.
    pub xfeatures: u64,
    /// XCOMP_BV: nonzero means the compacted format, which no signal frame has.
    pub xcomp_bv: u64,
    pub _reserved: [u64; 6],
}

pub const FP_XSTATE_MAGIC1: u32 = 0x4650_5853;
pub const FP_XSTATE_MAGIC2: u32 = 0x4650_5845;
pub const FP_XSTATE_MAGIC2_SIZE: usize = 4;
/// Bytes of the FXSAVE part.
pub const FXSAVE_SIZE: usize = 512;
/// Where the XSAVE header stands.
pub const XSTATE_HEADER_OFFSET: usize = 512;
/// Bytes of the smallest XSAVE image: FXSAVE part and header.
pub const XSTATE_MIN_SIZE: usize = 576;
/// Where [`FpxSwBytes`] stands in the image.
pub const FPX_SW_OFFSET: usize = 464;
/// Alignment of an XSAVE image.
pub const XSTATE_ALIGN: u64 = 64;
pub const MXCSR_DEFAULT: u32 = 0x1f80;
/// The bits of MXCSR a processor that reports no mask accepts.
pub const MXCSR_MASK_DEFAULT: u32 = 0xffbf;

pub const XFEATURE_FP: u64 = 1;
pub const XFEATURE_SSE: u64 = 2;
pub const XFEATURE_YMM: u64 = 4;

pub const EFLAGS_CF: u64 = 0x1;
/// Always one.
pub const EFLAGS_FIXED: u64 = 0x2;
pub const EFLAGS_PF: u64 = 0x4;
pub const EFLAGS_AF: u64 = 0x10;
pub const EFLAGS_ZF: u64 = 0x40;
pub const EFLAGS_SF: u64 = 0x80;
pub const EFLAGS_TF: u64 = 0x100;
pub const EFLAGS_IF: u64 = 0x200;
pub const EFLAGS_DF: u64 = 0x400;
pub const EFLAGS_OF: u64 = 0x800;
pub const EFLAGS_RF: u64 = 0x1_0000;
pub const EFLAGS_AC: u64 = 0x4_0000;
pub const EFLAGS_ID: u64 = 0x20_0000;
/// The flags rt_sigreturn takes from the frame (FIX_EFLAGS).
pub const FIX_EFLAGS: u64 = EFLAGS_AC
    | EFLAGS_OF
    | EFLAGS_DF
    | EFLAGS_TF
    | EFLAGS_SF
    | EFLAGS_ZF
    | EFLAGS_AF
    | EFLAGS_PF
    | EFLAGS_CF
    | EFLAGS_RF;

/// Selectors of a 64-bit program.
pub const USER_CS: u16 = 0x33;
pub const USER_DS: u16 = 0x2b;
pub const USER32_CS: u16 = 0x23;

/// Numbers of exceptions, `trapno`.
pub const TRAP_DE: u64 = 0;
pub const TRAP_DB: u64 = 1;
pub const TRAP_BP: u64 = 3;
pub const TRAP_OF: u64 = 4;
pub const TRAP_BR: u64 = 5;
pub const TRAP_UD: u64 = 6;
pub const TRAP_NM: u64 = 7;
pub const TRAP_NP: u64 = 11;
pub const TRAP_SS: u64 = 12;
pub const TRAP_GP: u64 = 13;
pub const TRAP_PF: u64 = 14;
pub const TRAP_MF: u64 = 16;
pub const TRAP_AC: u64 = 17;
pub const TRAP_XF: u64 = 19;

/// Bits of `err` after a page fault.
pub const PF_PROT: u64 = 1;
pub const PF_WRITE: u64 = 2;
pub const PF_USER: u64 = 4;
pub const PF_INSTR: u64 = 16;

#[cfg(test)]
mod tests {
    use core::mem::offset_of;

    use super::*;

    #[test]
    fn layouts_match_the_kernel() {
        assert_eq!(size_of::<SigContext>(), 256);
        assert_eq!(offset_of!(SigContext, fpstate), 184);
        assert_eq!((size_of::<UContext>(), offset_of!(UContext, uc_sigmask)), (304, 296));
        assert_eq!(size_of::<RtSigFrame>(), 8 + 304 + 128);
        assert_eq!(offset_of!(UContext, uc_mcontext), offset_of!(libc::ucontext_t, uc_mcontext));
        assert_eq!((size_of::<Fxsave>(), offset_of!(Fxsave, sw_reserved)), (FXSAVE_SIZE, FPX_SW_OFFSET));
        assert_eq!((size_of::<FpxSwBytes>(), size_of::<XstateHeader>()), (48, 64));
        assert_eq!(FIX_EFLAGS, 0x50dd5);
    }
}
