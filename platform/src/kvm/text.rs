//! The pages that every address space has: descriptor tables, and the few instructions that leave the guest.
//!
//! A system call or exception leaves by `out`, whose port says which; registers are as the application left them, but for
//! what the CPU itself puts elsewhere (rcx and r11, or a frame on the stack). Nothing here comes back: the host sets
//! registers to go on.

use super::layout::{
    GDT, HANDLER, HANDLERS, IDT, INT80, KERNEL_CS, PORT_SYSCALL, PORT_SYSCALL32, SYSCALL32, TEXT, task,
};

/// A page as words.
pub(super) type Page = [u64; 512];

const OUT_AL: u8 = 0xe6;
const UD2: [u8; 2] = [0x0f, 0x0b];
/// `int3`, `into` and `int 0x80` may be used by applications.
const CALLABLE: [u8; 3] = [3, 4, INT80];
/// 64-bit interrupt gate, present.
const GATE: u64 = 0x8e;
const GATE_CALLABLE: u64 = 0xee;
/// Exceptions of the CPU.
const EXCEPTIONS: u8 = 32;

/// The page at [`TEXT`].
pub(super) fn entries() -> Page {
    let mut bytes = [0; 4096];
    bytes.as_chunks_mut().0.fill(UD2);
    for (at, port) in [(0, PORT_SYSCALL), ((SYSCALL32 - TEXT) as usize, PORT_SYSCALL32)] {
        bytes[at..at + 2].copy_from_slice(&[OUT_AL, port]);
    }
    words(&bytes)
}

/// The page at [`HANDLERS`].
pub(super) fn handlers() -> Page {
    let mut bytes = [0; 4096];
    bytes.as_chunks_mut().0.fill(UD2);
    for vector in vectors() {
        let at = usize::from(vector) * HANDLER as usize;
        bytes[at..at + 2].copy_from_slice(&[OUT_AL, vector]);
    }
    words(&bytes)
}

/// The page at [`IDT`]. What is not there is a general protection fault, as Linux has it.
pub(super) fn gates() -> Page {
    let mut page = [0; 512];
    for vector in vectors() {
        let to = HANDLERS + u64::from(vector) * HANDLER;
        let kind = if CALLABLE.contains(&vector) { GATE_CALLABLE } else { GATE };
        // Every vector starts on an empty stack (the first of the interrupt stack table).
        let low = to & 0xffff | u64::from(KERNEL_CS) << 16 | 1 << 32 | kind << 40 | (to >> 16 & 0xffff) << 48;
        let at = usize::from(vector) * 2;
        (page[at], page[at + 1]) = (low, to >> 32);
    }
    page
}

/// Bytes of the interrupt descriptor table, less one.
pub(super) const GATES_LIMIT: u16 = (INT80 as u16 + 1) * 16 - 1;
/// Bytes of the global descriptor table, less one.
pub(super) const SEGMENTS_LIMIT: u16 = 7 * 8 - 1;

/// The page at [`GDT`], with Linux's selectors for user code and data.
pub(super) fn segments() -> Page {
    let mut page = [0; 512];
    page[..7].copy_from_slice(&[
        0,
        0,
        0x00af_9b00_0000_ffff, // 0x10: code of ring 0
        0x00cf_9300_0000_ffff, // 0x18: data of ring 0
        0x00cf_fb00_0000_ffff, // 0x23: 32-bit user code
        0x00cf_f300_0000_ffff, // 0x2b: user data
        0x00af_fb00_0000_ffff, // 0x33: user code
    ]);
    page
}

/// Last byte of a task state segment, whose map of ports covers the first 256.
pub(super) const TASK_LIMIT: u16 = MAP as u16 + 256 / 8;
/// Where the map of ports begins, right behind the segment's fields.
const MAP: usize = 0x68;

/// The page of a virtual CPU. With `ports` code of ring 3 may use the ports that mean a system call.
pub(super) fn task_state(index: usize, ports: bool) -> Page {
    let mut bytes = [0_u8; 4096];
    let stack = task(index) + 4096;
    bytes[4..12].copy_from_slice(&stack.to_le_bytes());
    bytes[0x24..0x2c].copy_from_slice(&stack.to_le_bytes());
    bytes[0x66..0x68].copy_from_slice(&(MAP as u16).to_le_bytes());
    bytes[MAP..=usize::from(TASK_LIMIT)].fill(0xff);
    if ports {
        for port in [PORT_SYSCALL, PORT_SYSCALL32] {
            bytes[MAP + usize::from(port) / 8] &= !(1 << (port % 8));
        }
    }
    words(&bytes)
}

fn vectors() -> impl Iterator<Item = u8> {
    (0..EXCEPTIONS).chain([INT80])
}

fn words(bytes: &[u8; 4096]) -> Page {
    let mut page = [0; 512];
    page.iter_mut().zip(bytes.as_chunks().0).for_each(|(word, bytes)| *word = u64::from_le_bytes(*bytes));
    page
}

const _: () = assert!(IDT != GDT);
