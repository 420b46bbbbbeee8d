//! The zygote's code, for x86-64: how it is made, and its loop.
//!
//! The loop is copied to the page at [`layout::TEXT`]; the page of the platform follows it. It uses no stack and no memory
//! but its control page.
//!
//! Registers that last: r12 the sentry's process id, r15 the descriptor of the file of command pages. A stub finds the
//! offset of its own one in r14.

use std::arch::global_asm;

use super::layout;

/// What the code that becomes the zygote needs to know.
#[repr(C)]
#[derive(Debug, Default)]
pub(super) struct ZygoteStart {
    /// Out: the zygote's process id or a negative error number.
    pub(super) pid: i64,
    pub(super) sentry: u64,
    pub(super) text_file: u64,
    pub(super) command_file: u64,
}

unsafe extern "C" {
    static runsc_zygote_text: u8;
    static runsc_zygote_text_end: u8;
    fn runsc_spawn_zygote(start: *mut ZygoteStart) -> i64;
}

/// Makes the zygote. The first return value is a helper process, already dead, for the caller to reap.
pub(super) fn spawn_zygote(start: &mut ZygoteStart) -> Result<i32, abi::Errno> {
    // SAFETY: the helper shares our memory while we wait for it, touches no stack and writes only `start.pid`; the zygote
    // works on a copy of our memory.
    let helper = unsafe { runsc_spawn_zygote(start) };
    i32::try_from(helper).ok().filter(|pid| *pid > 0).ok_or_else(|| abi::Errno::from_raw(helper.wrapping_neg() as i32))
}

/// The bytes of the page.
pub(super) fn bytes() -> &'static [u8] {
    let (start, end) = (&raw const runsc_zygote_text, &raw const runsc_zygote_text_end);
    // SAFETY: the two symbols bound one constant object of the assembly below.
    unsafe { std::slice::from_raw_parts(start, end.addr() - start.addr()) }
}

global_asm!(
    // One call: number and up to six immediate arguments are loaded by the lines before it.
    ".macro zygote_call nr",
    "mov eax, \\nr",
    "syscall",
    ".endm",
    ".pushsection .text.runsc_spawn_zygote, \"ax\", @progbits",
    ".p2align 4",
    ".globl runsc_spawn_zygote",
    ".hidden runsc_spawn_zygote",
    // A helper is cloned with our memory, so that it has no restartable-sequence area registered, and clones the zygote,
    // which then has none either; its unmapped area would otherwise kill it at the next preemption.
    "runsc_spawn_zygote:",
    "push rbx",
    "mov rbx, rdi",
    "mov edi, {HELPER_FLAGS}",
    "xor esi, esi",
    "xor edx, edx",
    "xor r10d, r10d",
    "xor r8d, r8d",
    "zygote_call 56",
    "test rax, rax",
    "jz 2f",
    "pop rbx",
    "ret",
    "2:",
    "mov edi, {STUB_FLAGS}",
    "zygote_call 56",
    "test rax, rax",
    "jz 3f",
    "mov [rbx], rax",
    "xor edi, edi",
    "zygote_call 60",
    "ud2",
    // The zygote. Errors end it with a status that names the step.
    "3:",
    "mov r12, [rbx + 8]",
    "mov r14, [rbx + 16]",
    "mov r15, [rbx + 24]",
    "mov rdi, {TEXT}",
    "mov esi, 8192",
    "mov edx, 5",
    "mov r10d, 0x11",
    "mov r8, r14",
    "xor r9d, r9d",
    "zygote_call 9",
    "cmp rax, rdi",
    "mov ebx, 10",
    "jne 4f",
    "mov rdi, {CONTROL}",
    "mov esi, 4096",
    "mov edx, 3",
    "mov r9d, 8192",
    "zygote_call 9",
    "cmp rax, rdi",
    "mov ebx, 11",
    "jne 4f",
    // the page begins with the rest of this
    "mov rax, {TEXT}",
    "jmp rax",
    "4:",
    "mov edi, ebx",
    "zygote_call 60",
    "ud2",
    ".popsection",
    // The page.
    ".irp name, text, text_end",
    ".globl runsc_zygote_\\name",
    ".hidden runsc_zygote_\\name",
    ".endr",
    ".pushsection .rodata.runsc_zygote_text, \"a\", @progbits",
    ".p2align 6",
    "runsc_zygote_text:",
    "jmp 5f",
    ".p2align 4",
    "jmp 6f",
    ".p2align 4",
    "jmp 9f",
    // --- the zygote at its final address
    "5:",
    "xor edi, edi",
    "mov rsi, {CONTROL}",
    "mov ebx, 12",
    "zygote_call 11",
    "test rax, rax",
    "jnz 9f",
    "mov rdi, {COMMANDS}",
    "mov esi, 4096",
    "mov ebx, 13",
    "zygote_call 11",
    "test rax, rax",
    "jnz 9f",
    // children do not get the control page
    "mov rdi, {CONTROL}",
    "mov edx, 10",
    "mov ebx, 14",
    "zygote_call 28",
    "test rax, rax",
    "jnz 9f",
    // own session: terminal signals go elsewhere
    "zygote_call 112",
    // no privileges; traceable all the same; dies with the sentry
    "lea rdi, [rip + runsc_zygote_cap_header]",
    "lea rsi, [rip + runsc_zygote_cap_none]",
    "mov ebx, 15",
    "zygote_call 126",
    "test rax, rax",
    "jnz 9f",
    "mov edi, 4",
    "mov esi, 1",
    "zygote_call 157",
    "mov edi, 1",
    "mov esi, 9",
    "zygote_call 157",
    "mov edi, 38",
    "mov esi, 1",
    "xor edx, edx",
    "xor r10d, r10d",
    "xor r8d, r8d",
    "mov ebx, 16",
    "zygote_call 157",
    "test rax, rax",
    "jnz 9f",
    "mov rax, {STUB_PREPARE}",
    "jmp rax",
    // signals and filter are as the platform wants them
    "6:",
    "zygote_call 110",
    "cmp rax, r12",
    "mov ebx, 17",
    "jne 9f",
    // --- its loop
    "1:",
    "mov r8, {CONTROL}",
    "mov edx, [r8 + {MADE}]",
    "cmp edx, [r8 + {WANTED}]",
    "jne 2f",
    "lea rdi, [r8 + {WANTED}]",
    "xor esi, esi",
    "xor r10d, r10d",
    "zygote_call 202",
    "jmp 1b",
    "2:",
    "mov ebx, edx",
    "and ebx, {RING} - 1",
    "lea rbx, [r8 + rbx * 8 + {ENTRIES}]",
    "mov r14d, [rbx]",
    "shl r14, 12",
    "mov edi, {STUB_FLAGS}",
    "xor esi, esi",
    "xor edx, edx",
    "xor r10d, r10d",
    "xor r8d, r8d",
    "zygote_call 56",
    "test rax, rax",
    "jz 3f",
    "mov [rbx + 4], eax",
    "mov rdi, {CONTROL} + {MADE}",
    "lock inc dword ptr [rdi]",
    "mov esi, 1",
    "mov edx, 0x7fffffff",
    "zygote_call 202",
    "jmp 1b",
    "3:",
    "xor ebp, ebp",
    "mov rax, {STUB_START}",
    "jmp rax",
    "9:",
    "mov edi, ebx",
    "zygote_call 60",
    "ud2",
    // --- constants
    ".p2align 3",
    "runsc_zygote_cap_none: .long 0, 0, 0, 0, 0, 0",
    "runsc_zygote_cap_header: .long 0x20080522, 0",
    "runsc_zygote_text_end:",
    ".popsection",
    TEXT = const layout::TEXT,
    CONTROL = const layout::CONTROL,
    COMMANDS = const layout::COMMANDS,
    STUB_PREPARE = const layout::STUB_PREPARE,
    STUB_START = const layout::STUB_START,
    RING = const layout::RING,
    WANTED = const layout::WANTED,
    MADE = const layout::MADE,
    ENTRIES = const layout::ENTRIES,
    HELPER_FLAGS = const libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_FILES,
    STUB_FLAGS = const layout::STUB_FLAGS,
);
