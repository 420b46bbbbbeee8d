//! Register state of an application thread.

/// General registers, in the order and meaning of `struct user_regs_struct` (sys/user.h).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
#[expect(missing_docs, reason = "the names of the registers say it")]
pub struct Regs {
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
    /// The system call number while in a call; -1 outside one.
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

/// Index of `rax` among the words.
pub(crate) const REGS_RAX: usize = std::mem::offset_of!(Regs, rax) / 8;

/// Selector of 64-bit user code on Linux.
pub(crate) const USER_CS: u64 = 0x33;
/// Selector of user data on Linux.
pub(crate) const USER_DS: u64 = 0x2b;

impl Regs {
    /// The registers a fresh program starts with: everything zero but `ip` and `sp`.
    #[must_use]
    pub fn start(ip: u64, sp: u64) -> Self {
        Self { rip: ip, rsp: sp, cs: USER_CS, ss: USER_DS, eflags: 0x202, orig_rax: u64::MAX, ..Self::default() }
    }

    /// The registers as words, in order.
    #[must_use]
    pub const fn to_words(self) -> [u64; 27] {
        // SAFETY: the structure is `repr(C)`, holds 27 words and nothing else.
        unsafe { std::mem::transmute(self) }
    }

    /// From words, in order.
    #[must_use]
    pub const fn from_words(words: [u64; 27]) -> Self {
        // SAFETY: the structure is `repr(C)`, holds 27 words and nothing else, each of which may have any value.
        unsafe { std::mem::transmute(words) }
    }
}

/// Floating-point and vector state: an XSAVE area in the standard (not compacted) format, as `PTRACE_GETREGSET` with
/// `NT_X86_XSTATE` gives it and a signal frame holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FpuState {
    bytes: Box<[u8]>,
}

impl FpuState {
    /// Wraps an XSAVE area.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self { bytes: bytes.into() }
    }

    /// The area.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The area, to change in place. What the application put there is made safe when a platform loads it.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}
