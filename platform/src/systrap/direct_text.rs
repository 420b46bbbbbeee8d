//! What rewritten code of the application jumps to: makes a call without entering the host's kernel, if the sentry is
//! looking.
//!
//! It follows the code of [`super::text`] in the same page. A gate ([`crate::rewrite`]) comes here with the address of its
//! description in r11, which like rcx is lost in a call anyway, and all other registers as the application has them. There
//! is no stack: the application's may have data below its pointer. GS leads to the thread's area, if the application has
//! no GS base of its own; if it has, or the sentry is not looking, the call is made by the application's own `syscall`
//! instruction, which is still in its place.
//!
//! Where we are when a signal comes tells the sentry what has become of the call, see [`super::direct`]. All that is here
//! decides about the application's own registers only.

use std::arch::global_asm;

use super::direct::{LEARN, LEARN_ASLEEP, POSTED, SPINNING, WAITING};
use super::{area, text};
use crate::rewrite::{DESCRIBED_NUMBER, DESCRIBED_RETURN, DESCRIBED_SYSCALL};

/// How often a thread looks for its answer before it sleeps: some 20 microseconds, and as much more as it gives to others
/// that take turns with it. It gives way to these after each round.
pub(super) const LOOKS: u32 = ROUND * ROUNDS;
const ROUND: u32 = 20;
const ROUNDS: u32 = 20;
/// A call that no filter lets pass from our text, so that it becomes a signal with all registers.
const REPORT: i32 = text::EVENT + 1;

unsafe extern "C" {
    static runsc_systrap_direct: u8;
    static runsc_systrap_direct_number: u8;
    static runsc_systrap_direct_tried: u8;
    static runsc_systrap_direct_waited: u8;
    static runsc_systrap_direct_lost: u8;
    static runsc_systrap_direct_end: u8;
}

/// Addresses in a stub.
#[derive(Clone, Copy, Debug)]
pub(super) struct Labels {
    /// Where gates lead.
    pub(super) entry: u64,
    /// The same for a call whose number is in rax.
    pub(super) entry_number: u64,
    /// After the instruction that posts a call, or does not.
    pub(super) tried: u64,
    /// The instruction pointer of the notification of a thread that has waited for long.
    pub(super) waited: u64,
    /// From here on a thread makes its call the ordinary way.
    pub(super) lost: u64,
    pub(super) end: u64,
}

/// The code.
pub(super) fn bytes() -> &'static [u8] {
    let (start, end) = (&raw const runsc_systrap_direct, &raw const runsc_systrap_direct_end);
    // SAFETY: the two symbols bound one constant object of the assembly below.
    unsafe { std::slice::from_raw_parts(start, end.addr() - start.addr()) }
}

/// Where things are if the code is at `start`.
pub(super) fn labels(start: u64) -> Labels {
    let at = |label: *const u8| start + (label.addr() - (&raw const runsc_systrap_direct).addr()) as u64;
    Labels {
        entry: start,
        entry_number: at(&raw const runsc_systrap_direct_number),
        tried: at(&raw const runsc_systrap_direct_tried),
        waited: at(&raw const runsc_systrap_direct_waited),
        lost: at(&raw const runsc_systrap_direct_lost),
        end: at(&raw const runsc_systrap_direct_end),
    }
}

global_asm!(
    ".irp name, direct, direct_number, direct_tried, direct_waited, direct_lost, direct_end",
    ".globl runsc_systrap_\\name",
    ".hidden runsc_systrap_\\name",
    ".endr",
    ".pushsection .rodata.runsc_systrap_direct, \"a\", @progbits",
    ".p2align 6",
    "runsc_systrap_direct:",
    "mov ecx, [r11 + {DESCRIBED_NUMBER}]",
    "jmp 1f",
    "runsc_systrap_direct_number:",
    "mov ecx, eax",
    // rcx: the number, and the flags in the low half
    "1:",
    "lahf",
    "seto al",
    "movzx eax, ax",
    "shl rcx, 16",
    "or rcx, rax",
    "rdgsbase rax",
    "cmp rax, [rip + 8f]",
    "jb 5f",
    "cmp rax, [rip + 9f]",
    "jae 5f",
    "test eax, {AREA_LEN} - 1",
    "jnz 5f",
    "cmp dword ptr gs:[{STATE}], {SPINNING}",
    "jne 4f",
    "mov gs:[{ARGS}], rdi",
    "mov gs:[{ARGS} + 8], rsi",
    "mov gs:[{ARGS} + 16], rdx",
    "mov gs:[{ARGS} + 24], r10",
    "mov gs:[{ARGS} + 32], r8",
    "mov gs:[{ARGS} + 40], r9",
    "mov gs:[{FLAGS}], rcx",
    "mov rax, [r11 + {DESCRIBED_RETURN}]",
    "mov gs:[{RETURN}], rax",
    "shr rcx, 16",
    "mov gs:[{NUMBER}], ecx",
    "mov eax, {SPINNING}",
    "mov ecx, {POSTED}",
    "lock cmpxchg gs:[{STATE}], ecx",
    "runsc_systrap_direct_tried:",
    "jne 3f",
    "mov dword ptr gs:[{LEFT}], {ROUNDS}",
    "10:",
    "mov ecx, {ROUND}",
    "2:",
    "mov eax, gs:[{STATE}]",
    "cmp eax, {POSTED}",
    "jne 6f",
    "pause",
    "dec ecx",
    "jnz 2b",
    "dec dword ptr gs:[{LEFT}]",
    "jz 11f",
    "cmp dword ptr gs:[{YIELDS}], 0",
    "je 10b",
    "mov eax, {SCHED_YIELD}",
    "syscall",
    "jmp 10b",
    "11:",
    "mov eax, {POSTED}",
    "mov ecx, {WAITING}",
    "lock cmpxchg gs:[{STATE}], ecx",
    "jne 6f",
    "mov eax, {EVENT}",
    "syscall",
    "runsc_systrap_direct_waited:",
    "mov eax, gs:[{STATE}]",
    "6:",
    "cmp eax, {LEARN}",
    "je 7f",
    "cmp eax, {LEARN_ASLEEP}",
    "je 7f",
    "mov eax, gs:[{FLAGS}]",
    "add al, 0x7f",
    "sahf",
    "mov rcx, gs:[{RETURN}]",
    "mov rax, gs:[{ARGS}]",
    "mov r11d, 0x246",
    "jmp rcx",
    // the sentry wants all registers
    "7:",
    "mov eax, {REPORT}",
    "syscall",
    "ud2",
    // the sentry has stopped looking
    "runsc_systrap_direct_lost:",
    "3:",
    "mov rcx, gs:[{FLAGS}]",
    "4:",
    "inc dword ptr gs:[{MISSES}]",
    "5:",
    "mov rax, rcx",
    "shr rcx, 16",
    "add al, 0x7f",
    "sahf",
    "mov eax, ecx",
    "jmp [r11 + {DESCRIBED_SYSCALL}]",
    ".p2align 3",
    "8: .quad {AREAS}",
    "9: .quad {AREAS_END}",
    "runsc_systrap_direct_end:",
    ".popsection",
    DESCRIBED_NUMBER = const DESCRIBED_NUMBER,
    DESCRIBED_RETURN = const DESCRIBED_RETURN,
    DESCRIBED_SYSCALL = const DESCRIBED_SYSCALL,
    AREA_LEN = const area::LEN,
    AREAS = const area::START,
    AREAS_END = const area::END,
    STATE = const area::STATE,
    NUMBER = const area::NUMBER,
    ARGS = const area::ARGS,
    RETURN = const area::RETURN,
    FLAGS = const area::FLAGS,
    MISSES = const area::MISSES,
    SPINNING = const SPINNING,
    POSTED = const POSTED,
    WAITING = const WAITING,
    LEARN = const LEARN,
    LEARN_ASLEEP = const LEARN_ASLEEP,
    ROUND = const ROUND,
    ROUNDS = const ROUNDS,
    LEFT = const area::ROUNDS,
    YIELDS = const area::YIELDS,
    SCHED_YIELD = const libc::SYS_sched_yield,
    EVENT = const text::EVENT,
    REPORT = const REPORT,
);
