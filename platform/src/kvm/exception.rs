//! What the CPU's exceptions mean for the application, in the terms of Linux.

use abi::UserAddr;

use crate::event::{Access, Event, Exception};
use crate::regs::{FpuState, Regs};

/// `int imm8`, which a paravirtual host does not deliver.
const INT: u8 = 0xcd;
const SI_KERNEL: i32 = 0x80;
const TRAP_BRKPT: i32 = 1;
const TRAP_TRACE: i32 = 2;
const ILL_ILLOPN: i32 = 2;
const BUS_ADRALN: i32 = 1;
const FPE_INTDIV: i32 = 1;
const FLAG_TRAP: u64 = 0x100;

/// What an exception is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// A page fault, for the address space to look at.
    Fault(UserAddr, Access),
    /// Nothing else to do.
    Event(Event),
    /// Nothing at all: go on.
    Nothing,
    /// `int 0x80`, still to be passed.
    Call,
}

/// Says it. `code` reads the application's code, `vectors` its vector state.
pub(super) fn meaning(
    (vector, error, addr): (u8, u64, u64),
    regs: &Regs,
    code: impl FnOnce(&mut [u8]) -> usize,
    vectors: impl FnOnce() -> Option<FpuState>,
) -> Meaning {
    match vector {
        0 => exception(libc::SIGFPE, FPE_INTDIV, regs.rip),
        1 if regs.eflags & FLAG_TRAP != 0 => exception(libc::SIGTRAP, TRAP_TRACE, regs.rip),
        1 => exception(libc::SIGTRAP, TRAP_BRKPT, regs.rip),
        3 => exception(libc::SIGTRAP, SI_KERNEL, 0),
        6 => illegal(regs, code),
        11 | 12 => exception(libc::SIGBUS, SI_KERNEL, 0),
        14 => Meaning::Fault(UserAddr(addr), access(error)),
        16 | 19 => floating_point(vector, regs, vectors()),
        17 => exception(libc::SIGBUS, BUS_ADRALN, 0),
        _ => exception(libc::SIGSEGV, SI_KERNEL, 0),
    }
}

const fn exception(signo: i32, code: i32, addr: u64) -> Meaning {
    Meaning::Event(Event::Exception(Exception { signo, code, addr: UserAddr(addr) }))
}

const fn access(error: u64) -> Access {
    match error {
        _ if error & 0x10 != 0 => Access::Execute,
        _ if error & 2 != 0 => Access::Write,
        _ => Access::Read,
    }
}

fn illegal(regs: &Regs, code: impl FnOnce(&mut [u8]) -> usize) -> Meaning {
    let mut bytes = [0; 2];
    match code(&mut bytes) {
        2 if bytes == [INT, super::layout::INT80] => Meaning::Call,
        2 if bytes[0] == INT => exception(libc::SIGSEGV, SI_KERNEL, 0),
        _ => exception(libc::SIGILL, ILL_ILLOPN, regs.rip),
    }
}

/// How long the instruction was that used a port, from the bytes before where it ends.
pub(super) const fn port_instruction(bytes: Option<[u8; 2]>) -> u64 {
    match bytes {
        Some([_, 0x6c..=0x6f | 0xec..=0xef]) => 1,
        _ => super::layout::OUT_LEN,
    }
}

/// Which of the exceptions that the state shows and does not mask it was.
fn floating_point(vector: u8, regs: &Regs, vectors: Option<FpuState>) -> Meaning {
    let bytes = vectors.as_ref().map(FpuState::bytes).unwrap_or_default();
    let word = |at: usize| bytes.get(at..at + 2).map_or(0, |bytes| u16::from_le_bytes([bytes[0], bytes[1]]));
    let raised = if vector == 16 { word(2) & !word(0) } else { word(24) & !(word(24) >> 7) };
    let code = match raised {
        _ if raised & 1 != 0 => 7,    // FPE_FLTINV
        _ if raised & 4 != 0 => 3,    // FPE_FLTDIV
        _ if raised & 8 != 0 => 4,    // FPE_FLTOVF
        _ if raised & 0x12 != 0 => 5, // FPE_FLTUND
        _ if raised & 0x20 != 0 => 6, // FPE_FLTRES
        _ => return Meaning::Nothing,
    };
    exception(libc::SIGFPE, code, regs.rip)
}
