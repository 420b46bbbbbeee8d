//! Which addresses of a guest are ours, and which ports mean what.
//!
//! The last 2 MiB of the lower half are the same in every address space, and an application's addresses end below. Only the
//! page of [`TEXT`] may be read and executed in ring 3 (on a paravirtual host the entry of system calls runs there).

use abi::PAGE_SIZE;

/// The first of our addresses.
pub(super) const BASE: u64 = 0x7fff_ffe0_0000;
/// Where system calls enter, and where ring 0 goes back.
pub(super) const TEXT: u64 = BASE;
/// The interrupt descriptor table.
pub(super) const IDT: u64 = BASE + PAGE_SIZE;
/// The global descriptor table.
pub(super) const GDT: u64 = BASE + 2 * PAGE_SIZE;
/// A few bytes of code for each vector.
pub(super) const HANDLERS: u64 = BASE + 3 * PAGE_SIZE;
/// A page for each virtual CPU: its task state segment below, its stack above.
const FIRST_TASK: u64 = 16;
/// As many of those fit.
pub(super) const MAX_VCPUS: usize = 512 - FIRST_TASK as usize;

/// The page of a virtual CPU.
pub(super) const fn task(index: usize) -> u64 {
    BASE + (FIRST_TASK + index as u64) * PAGE_SIZE
}

/// Where `syscall` of 64-bit code enters.
pub(super) const SYSCALL: u64 = TEXT;
/// Where `syscall` of 32-bit code enters.
pub(super) const SYSCALL32: u64 = TEXT + 16;

/// The port that says: a system call. Those of vectors are their numbers.
pub(super) const PORT_SYSCALL: u8 = 0xf1;
/// A system call of 32-bit code.
pub(super) const PORT_SYSCALL32: u8 = 0xf2;
/// Bytes of `out imm8, al`.
pub(super) const OUT_LEN: u64 = 2;
/// Bytes of code for each vector.
pub(super) const HANDLER: u64 = 16;

/// Selector of ring 0's code. Its data selector follows it.
pub(super) const KERNEL_CS: u16 = 0x10;
/// Selector of 32-bit user code.
pub(super) const USER32_CS: u16 = 0x23;
/// Selector of the task state segment. No descriptor stands behind it: the host loads the register.
pub(super) const TASK_SELECTOR: u16 = 0x40;

/// `int 0x80`.
pub(super) const INT80: u8 = 0x80;
