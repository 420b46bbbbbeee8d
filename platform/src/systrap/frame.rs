//! Signal frames in an area: what the host's kernel writes there for a report, and what it loads from there afterwards.
//!
//! Linux for x86-64 has from low to high addresses: `ucontext`, `siginfo`, and above them, aligned to 64 bytes, the vector
//! state in XSAVE's standard format with a description in the words that hardware does not use.

use super::area::{self, Area};
use super::text;
use crate::regs::{FpuState, Regs, USER_CS, USER_DS};
use crate::stub::xsave::{SOFTWARE, XsaveFormat};

/// `struct ucontext`: flags, link, stack, registers, signal mask.
const UCONTEXT_LEN: u64 = 304;
const SIGINFO_LEN: u64 = 128;
const FLAGS: u64 = 0;
const LINK: u64 = 8;
const STACK: u64 = 16;
const REGISTERS: u64 = 40;
const SIGNAL_MASK: u64 = 296;
/// Words among the registers.
const SELECTORS: u64 = REGISTERS + 18 * 8;
const ERROR: u64 = REGISTERS + 19 * 8;
const TRAP: u64 = REGISTERS + 20 * 8;
const VECTORS: u64 = REGISTERS + 23 * 8;

/// UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS: the stack selector counts.
const STRICT: u64 = 6;
/// UC_FP_XSTATE.
const WITH_XSTATE: u64 = 1;
const MAGIC1: u32 = 0x4650_5853;
const MAGIC2: u32 = 0x4650_5845;

/// Where a frame lies in an area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame(u64);

/// What the kernel says about the signal; meaningful by its number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Info {
    pub(super) code: i32,
    /// `si_addr`, `si_call_addr`.
    pub(super) addr: u64,
    /// `si_arch`.
    pub(super) arch: u32,
    /// The page fault's error code, or the exception's.
    pub(super) error: u64,
    /// The number of the exception.
    pub(super) trap: u64,
}

/// Vector state to load.
#[derive(Clone, Debug, Default)]
pub(super) enum Vectors {
    /// As it is in the frame.
    #[default]
    Keep,
    /// That of a fresh program.
    Initial,
    Given(FpuState),
}

impl Frame {
    /// The frame of a report, if both parts lie in the area as the kernel puts them.
    pub(super) fn reported(area: &Area, siginfo: u64, ucontext: u64) -> Option<Self> {
        let start = area.locate(ucontext, UCONTEXT_LEN + SIGINFO_LEN)?;
        (siginfo == ucontext.wrapping_add(UCONTEXT_LEN)).then_some(Self(start))
    }

    /// A frame of our own making, where the kernel would put one.
    pub(super) fn fresh(area: &Area, format: Option<&XsaveFormat>) -> Self {
        let vectors = format.map_or(area::STACK_TOP, vectors_at);
        let frame = Self((vectors - UCONTEXT_LEN - SIGINFO_LEN - 8) / 16 * 16);
        area.write(frame.0 + FLAGS, STRICT);
        area.write(frame.0 + LINK, 0);
        area.write(frame.0 + STACK, area.address());
        area.write(frame.0 + STACK + 8, 0);
        area.write(frame.0 + STACK + 16, area::STACK_TOP);
        area.write(frame.0 + SIGNAL_MASK, text::MASK);
        area.write(frame.0 + VECTORS, 0);
        frame
    }

    /// Its address in the stub.
    pub(super) fn address(self, area: &Area) -> u64 {
        area.address() + self.0
    }

    /// The general registers without the bases.
    pub(super) fn regs(self, area: &Area) -> Regs {
        let word = |index: u64| area.read(self.0 + REGISTERS + index * 8);
        Regs {
            r8: word(0),
            r9: word(1),
            r10: word(2),
            r11: word(3),
            r12: word(4),
            r13: word(5),
            r14: word(6),
            r15: word(7),
            rdi: word(8),
            rsi: word(9),
            rbp: word(10),
            rbx: word(11),
            rdx: word(12),
            rax: word(13),
            rcx: word(14),
            rsp: word(15),
            rip: word(16),
            eflags: word(17),
            cs: word(18) & 0xffff,
            ss: word(18) >> 48,
            orig_rax: u64::MAX,
            ..Regs::default()
        }
    }

    /// Replaces the general registers.
    pub(super) fn set_regs(self, area: &Area, regs: &Regs) {
        let words = [
            regs.r8,
            regs.r9,
            regs.r10,
            regs.r11,
            regs.r12,
            regs.r13,
            regs.r14,
            regs.r15,
            regs.rdi,
            regs.rsi,
            regs.rbp,
            regs.rbx,
            regs.rdx,
            regs.rax,
            regs.rcx,
            regs.rsp,
            regs.rip,
            regs.eflags,
        ];
        for (at, word) in (self.0 + REGISTERS..).step_by(8).zip(words) {
            area.write(at, word);
        }
        let cs = if regs.cs == 0 { USER_CS } else { regs.cs };
        area.write(self.0 + SELECTORS, cs & 0xffff | USER_DS << 48);
    }

    pub(super) fn info(self, area: &Area) -> Info {
        let at = self.0 + UCONTEXT_LEN;
        Info {
            code: area.read(at + 8) as u32 as i32,
            addr: area.read(at + 16),
            arch: (area.read(at + 24) >> 32) as u32,
            error: area.read(self.0 + ERROR),
            trap: area.read(self.0 + TRAP),
        }
    }

    /// The vector state as the kernel left it, and its features.
    pub(super) fn vector_format(self, area: &Area) -> Option<(Vec<u8>, u64)> {
        let start = area.locate(area.read(self.0 + VECTORS), 512)?;
        let software = start + SOFTWARE.start as u64;
        let (magic, len) = (area.read(software) as u32, area.read(software + 16) as u32);
        area.locate(area.address() + start, len.into())?;
        let mut bytes = vec![0; usize::try_from(len).ok()?];
        area.read_bytes(start, &mut bytes);
        (magic == MAGIC1).then_some((bytes, area.read(software + 8)))
    }

    /// The vector state; that of a fresh program if there is none to be found.
    pub(super) fn vectors(self, area: &Area, format: &XsaveFormat) -> FpuState {
        let mut state = format.initial().clone();
        let len = state.bytes().len() as u64;
        if let Some(at) = area.locate(area.read(self.0 + VECTORS), len) {
            let software: [u8; SOFTWARE.end - SOFTWARE.start] =
                std::array::from_fn(|i| state.bytes()[SOFTWARE.start + i]);
            area.read_bytes(at, state.bytes_mut());
            state.bytes_mut()[SOFTWARE].copy_from_slice(&software);
        }
        state
    }

    /// Has this vector state loaded with the frame.
    pub(super) fn set_vectors(self, area: &Area, format: &XsaveFormat, vectors: &Vectors) {
        let state = match vectors {
            Vectors::Keep => return,
            Vectors::Initial => {
                area.write(self.0 + FLAGS, STRICT);
                area.write(self.0 + VECTORS, 0);
                return;
            }
            Vectors::Given(state) => state,
        };
        let mut bytes = format.valid(state, format.features());
        let len = bytes.len();
        let mut description = [0; SOFTWARE.end - SOFTWARE.start];
        description[..4].copy_from_slice(&MAGIC1.to_le_bytes());
        description[4..8].copy_from_slice(&(len as u32 + 4).to_le_bytes());
        description[8..16].copy_from_slice(&format.features().to_le_bytes());
        description[16..20].copy_from_slice(&(len as u32).to_le_bytes());
        bytes[SOFTWARE].copy_from_slice(&description);
        bytes.extend(MAGIC2.to_le_bytes());
        let at = vectors_at(format);
        area.write_bytes(at, &bytes);
        area.write(self.0 + FLAGS, STRICT | WITH_XSTATE);
        area.write(self.0 + VECTORS, area.address() + at);
    }
}

/// Where the kernel puts the vector state: at the end of the stack, with the second magic number behind it.
fn vectors_at(format: &XsaveFormat) -> u64 {
    (area::STACK_TOP - format.initial().bytes().len() as u64 - 8) / 64 * 64
}

/// Whether frames with such a vector state fit an area.
pub(super) const fn fits(len: usize) -> bool {
    (len as u64) < area::LEN / 2
}
