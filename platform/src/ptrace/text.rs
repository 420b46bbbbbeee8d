//! The code that runs in a stub when no application code does, for x86-64.
//!
//! It is copied to a page of its own, after the zygote's ([`layout`]), which all stubs map readable and executable. It uses
//! no stack and no memory but a stub's command page, so there is nothing in a stub that an application could spoil. A stub
//! is anywhere in this page only if its tracer put it there, or it is parked: application code that jumps here runs under
//! `PTRACE_SYSEMU`, where each of these calls is one of the application's.
//!
//! Registers that last: r12 the sentry's process id, r14 the offset of the command page in its file (or -1 to map
//! none), r15 that file's descriptor, rbp 1 to stop by `int3` after starting instead of parking.

use std::arch::global_asm;

use abi::UserAddr;

use crate::regs::Regs;
use crate::stub::KICK;
use crate::stub::commands::RECORD;
use crate::stub::layout;

unsafe extern "C" {
    static runsc_stub_text: u8;
    static runsc_stub_start: u8;
    static runsc_stub_park: u8;
    static runsc_stub_park_end: u8;
    static runsc_stub_sibling: u8;
    static runsc_stub_batch: u8;
    static runsc_stub_text_end: u8;
}

/// The bytes of the page.
pub(super) fn bytes() -> &'static [u8] {
    let start = &raw const runsc_stub_text;
    // SAFETY: the two symbols bound one constant object of the assembly below.
    unsafe { std::slice::from_raw_parts(start, offset(&raw const runsc_stub_text_end) as usize) }
}

/// Whether a stub with this instruction pointer is parked, that is has finished starting.
pub(super) fn is_parked(ip: u64) -> bool {
    (at(&raw const runsc_stub_park)..at(&raw const runsc_stub_park_end)).contains(&ip)
}

/// Registers of a stub that parks.
pub(super) fn park() -> Regs {
    Regs::start(at(&raw const runsc_stub_park), 0)
}

/// Registers of a stub that starts over and then stops: `int3` when all went well.
pub(super) fn start(sentry: u64, command_offset: u64, command_file: u64) -> Regs {
    Regs {
        r12: sentry,
        r14: command_offset,
        r15: command_file,
        rbp: 1,
        ..Regs::start(at(&raw const runsc_stub_start), 0)
    }
}

/// Registers of a stub that clones another one which shares its memory and parks. Stops by `int3`, the result in rax.
pub(super) fn sibling(sentry: u64) -> Regs {
    Regs { r12: sentry, ..Regs::start(at(&raw const runsc_stub_sibling), 0) }
}

/// Registers of a stub that executes the records `first..end` of its command page. Stops by `int3` when all are done, by
/// `ud2` when the one at rbx has failed with the error in rax.
pub(super) fn batch(first: u64, end: u64) -> Regs {
    Regs {
        rbx: layout::COMMANDS + first * RECORD,
        r12: layout::COMMANDS + end * RECORD,
        ..Regs::start(at(&raw const runsc_stub_batch), 0)
    }
}

/// The end of the addresses an application may use.
pub(super) const fn user_end() -> UserAddr {
    UserAddr(layout::BASE)
}

fn at(symbol: *const u8) -> u64 {
    layout::STUB_TEXT + offset(symbol)
}

fn offset(symbol: *const u8) -> u64 {
    (symbol.addr() - (&raw const runsc_stub_text).addr()) as u64
}

global_asm!(
    // One call: number and up to six immediate arguments are loaded by the lines before it.
    ".macro stub_call nr",
    "mov eax, \\nr",
    "syscall",
    ".endm",
    // The page.
    ".irp name, text, start, park, park_end, sibling, batch, text_end",
    ".globl runsc_stub_\\name",
    ".hidden runsc_stub_\\name",
    ".endr",
    ".pushsection .rodata.runsc_stub_text, \"a\", @progbits",
    ".p2align 6",
    "runsc_stub_text:",
    "jmp 1f",
    ".p2align 4",
    "jmp runsc_stub_start",
    // --- prepares the zygote
    // the kick signal is ignored by who is not traced, all others that can be are blocked
    "1:",
    "mov edi, {KICK}",
    "lea rsi, [rip + runsc_stub_default_action]",
    "xor edx, edx",
    "mov r10d, 8",
    "stub_call 13",
    "mov edi, 2",
    "lea rsi, [rip + runsc_stub_mask]",
    "xor edx, edx",
    "mov r10d, 8",
    "stub_call 14",
    // a host without seccomp is no reason to fail: the filter is a second line
    "mov edi, 1",
    "xor esi, esi",
    "lea rdx, [rip + runsc_stub_filter_head]",
    "stub_call 317",
    "mov rax, {ZYGOTE_LOOP}",
    "jmp rax",
    // --- a stub starts
    "runsc_stub_start:",
    "mov edi, 1",
    "mov esi, 9",
    "mov ebx, 20",
    "stub_call 157",
    "test rax, rax",
    "jnz 9f",
    "stub_call 110",
    "cmp rax, r12",
    "mov ebx, 21",
    "jne 9f",
    "cmp r14, -1",
    "je 3f",
    "mov rdi, {COMMANDS}",
    "mov esi, 4096",
    "mov edx, 1",
    "mov r10d, 0x11",
    "mov r8, r15",
    "mov r9, r14",
    "mov ebx, 22",
    "stub_call 9",
    "cmp rax, rdi",
    "jne 9f",
    "3:",
    "test ebp, ebp",
    "jz runsc_stub_park",
    "int3",
    "9:",
    "mov edi, ebx",
    "stub_call 60",
    "ud2",
    // --- and waits for its tracer
    "runsc_stub_park:",
    "stub_call 34",
    "jmp runsc_stub_park",
    "runsc_stub_park_end:",
    // --- a stub makes another one in its memory
    "runsc_stub_sibling:",
    "mov edi, {SIBLING_FLAGS}",
    "xor esi, esi",
    "xor edx, edx",
    "xor r10d, r10d",
    "xor r8d, r8d",
    "stub_call 56",
    "test rax, rax",
    "jz 4f",
    "int3",
    "4:",
    "mov r14, -1",
    "xor ebp, ebp",
    "jmp runsc_stub_start",
    // --- a stub executes commands
    "runsc_stub_batch:",
    "mov rax, [rbx]",
    "mov rdi, [rbx + 8]",
    "mov rsi, [rbx + 16]",
    "mov rdx, [rbx + 24]",
    "mov r10, [rbx + 32]",
    "mov r8, [rbx + 40]",
    "mov r9, [rbx + 48]",
    "syscall",
    "cmp rax, -4095",
    "jae 5f",
    "add rbx, {RECORD}",
    "cmp rbx, r12",
    "jb runsc_stub_batch",
    "int3",
    "5:",
    "ud2",
    // --- constants
    ".p2align 3",
    "runsc_stub_mask: .quad ~{UNBLOCKED}",
    "runsc_stub_default_action: .quad 0, 0, 0, 0",
    "runsc_stub_filter_head: .short (runsc_stub_filter_end - runsc_stub_filter) / 8",
    ".p2align 3",
    ".quad {STUB_TEXT} + (runsc_stub_filter - runsc_stub_text)",
    // The filter: calls only from our pages and only those above; a call from elsewhere (the vsyscall page) raises
    // SIGSYS. It looks at the instruction pointer first, which spares the kernel trying it out for every number.
    ".macro stub_bpf code, k, yes=0, no=0",
    ".short \\code",
    ".byte \\yes, \\no",
    ".long \\k",
    ".endm",
    "runsc_stub_filter:",
    "stub_bpf 0x20, 12",
    "stub_bpf 0x15, {TEXT_HIGH}, 0, 14",
    "stub_bpf 0x20, 8",
    "stub_bpf 0x35, {TEXT_LOW}, 0, 12",
    "stub_bpf 0x20, 4",
    "stub_bpf 0x15, 0xc000003e, 0, 11",
    "stub_bpf 0x20, 0",
    "stub_bpf 0x15, 9, 10",
    "stub_bpf 0x15, 10, 9",
    "stub_bpf 0x15, 11, 8",
    "stub_bpf 0x15, 34, 7",
    "stub_bpf 0x15, 56, 6",
    "stub_bpf 0x15, 60, 5",
    "stub_bpf 0x15, 157, 4",
    "stub_bpf 0x15, 202, 3",
    "stub_bpf 0x15, 110, 2, 1",
    "stub_bpf 0x06, 0x00030000",
    "stub_bpf 0x06, 0x80000000",
    "stub_bpf 0x06, 0x7fff0000",
    "runsc_stub_filter_end:",
    "runsc_stub_text_end:",
    ".popsection",
    STUB_TEXT = const layout::STUB_TEXT,
    TEXT_HIGH = const layout::TEXT >> 32,
    TEXT_LOW = const layout::TEXT & 0xffff_ffff,
    ZYGOTE_LOOP = const layout::ZYGOTE_LOOP,
    COMMANDS = const layout::COMMANDS,
    RECORD = const RECORD,
    KICK = const KICK,
    UNBLOCKED = const UNBLOCKED,
    SIBLING_FLAGS = const layout::STUB_FLAGS | libc::CLONE_VM,
);

/// Signals that stubs do not block: the kick, and those that the CPU raises.
const UNBLOCKED: u64 = bit(KICK)
    | bit(libc::SIGILL)
    | bit(libc::SIGTRAP)
    | bit(libc::SIGBUS)
    | bit(libc::SIGFPE)
    | bit(libc::SIGSEGV)
    | bit(libc::SIGSYS);

const fn bit(signal: i32) -> u64 {
    1 << (signal - 1)
}
