//! The code that runs in a stub when no application code does, for x86-64.
//!
//! It is copied to a page of its own, after the zygote's ([`layout`]). The first thread of a stub process makes the others on
//! order; the service thread changes the address space; both use no stack and no memory but the command page, which nobody
//! in the stub can write. Threads that run application code come here by a signal, on a stack in their [`super::area`], and
//! report. (For the way without a signal see [`super::direct_text`].) What they find there afterwards may be anything that the application wrote: it decides about the application's
//! own registers only.
//!
//! Filters stand one upon the other. The zygote's, which all have, lets our text make the calls below and gives everything
//! else to a listener (without one: ENOSYS). A listening thread adds one that gives it all calls from outside of our text,
//! and [`EVENT`] from inside; then one that takes from it the calls that setting up needed, and has those trap that need
//! all registers. Each looks at the instruction pointer first, which spares the kernel trying it out for every number when
//! it is installed.

use std::arch::global_asm;

use abi::UserAddr;

use super::{area, direct, direct_text, filters};
use crate::stub::commands::RECORD;
use crate::stub::{KICK, layout};

/// The call by which a thread reports. No call of the host has this number.
pub(super) const EVENT: i32 = 0x7274;

/// Offsets in the command page. How often the first thread was told to make a thread; a futex.
pub(super) const ORDER: usize = 0;
/// Which way of handing over: 0 notifications, 1 futexes.
pub(super) const VARIANT: usize = 8;
/// For the next thread: where its area is to be, the descriptor and offset to map there.
pub(super) const AREA: usize = 16;
/// See [`AREA`].
pub(super) const AREA_FILE: usize = 24;
/// See [`AREA`].
pub(super) const AREA_OFFSET: usize = 32;
/// For the next thread: the descriptor to replace by its listener.
pub(super) const LISTENER: usize = 40;
/// For the next thread: its alternate stack, a `stack_t`.
pub(super) const STACK: usize = 48;
/// For the service thread: the descriptor to replace by its listener, or to write the results of batches to.
pub(super) const SERVICE: usize = 72;
/// How many batches there were, with futexes; a futex.
pub(super) const BATCH: usize = 80;
/// How many records the batch has, with futexes.
pub(super) const COUNT: usize = 88;
/// What the service thread writes when a batch was done, and when it was not.
pub(super) const DONE: usize = 96;
/// See [`DONE`].
pub(super) const FAILED: usize = 104;
/// Records begin here.
pub(super) const RECORDS: usize = 128;

/// What the application's addresses end at; the areas of threads follow.
pub(super) const USER_END: UserAddr = UserAddr(area::START);

/// Signals that threads take while they run application code: those of the CPU and filters, and ours.
const TAKEN: [i32; 7] = [libc::SIGILL, libc::SIGTRAP, libc::SIGBUS, libc::SIGFPE, libc::SIGSEGV, libc::SIGSYS, KICK];

/// The signal mask of application code.
pub(super) const MASK: u64 = {
    let mut mask = u64::MAX;
    let mut i = 0;
    while i < TAKEN.len() {
        mask &= !(1 << (TAKEN[i] - 1));
        i += 1;
    }
    mask
};

unsafe extern "C" {
    static runsc_systrap_text: u8;
    static runsc_systrap_text_end: u8;
    static runsc_systrap_reported: u8;
}

/// The labels of the code for direct calls.
pub(super) fn direct() -> direct_text::Labels {
    direct_text::labels(layout::STUB_TEXT + code().len().next_multiple_of(LINE) as u64)
}

/// Bytes of a cache line.
const LINE: usize = 64;

fn code() -> &'static [u8] {
    let (start, end) = (&raw const runsc_systrap_text, &raw const runsc_systrap_text_end);
    // SAFETY: the two symbols bound one constant object of the assembly below.
    unsafe { std::slice::from_raw_parts(start, end.addr() - start.addr()) }
}

/// The bytes of the page: the code, then the filters.
pub(super) fn page() -> Vec<u8> {
    let mut page = code().to_vec();
    page.resize(page.len().next_multiple_of(LINE), 0xcc);
    page.extend(direct_text::bytes());
    assert!(page.len() <= filters::OFFSET, "the code ends before the filters");
    page.resize(filters::OFFSET, 0xcc);
    page.extend(filters::bytes());
    page
}

/// The instruction pointer of a report. The application can make the same call from elsewhere in our text, but only what
/// follows this instruction returns to a frame.
pub(super) fn report_ip() -> u64 {
    layout::STUB_TEXT + ((&raw const runsc_systrap_reported).addr() - (&raw const runsc_systrap_text).addr()) as u64
}

global_asm!(
    ".macro systrap_call nr",
    "mov eax, \\nr",
    "syscall",
    ".endm",
    ".irp name, text, text_end, reported",
    ".globl runsc_systrap_\\name",
    ".hidden runsc_systrap_\\name",
    ".endr",
    ".pushsection .rodata.runsc_systrap_text, \"a\", @progbits",
    ".p2align 6",
    "runsc_systrap_text:",
    "jmp runsc_systrap_prepare",
    ".p2align 4",
    "jmp runsc_systrap_start",
    ".p2align 4",
    // --- prepares the zygote: nobody takes signals but application code, whose mask lets some through
    "runsc_systrap_prepare:",
    "mov edi, 2",
    "lea rsi, [rip + runsc_systrap_all_signals]",
    "xor edx, edx",
    "mov r10d, 8",
    "systrap_call 14",
    "lea rbp, [rip + runsc_systrap_taken]",
    "2:",
    "movzx edi, byte ptr [rbp]",
    "test edi, edi",
    "jz 3f",
    "lea rsi, [rip + runsc_systrap_action]",
    "xor edx, edx",
    "mov r10d, 8",
    "systrap_call 13",
    "mov ebx, 18",
    "test rax, rax",
    "jnz 4f",
    "inc rbp",
    "jmp 2b",
    "3:",
    "mov edi, 1",
    "xor esi, esi",
    "mov rdx, {BASE_FILTER}",
    "systrap_call 317",
    "mov ebx, 19",
    "test rax, rax",
    "jnz 4f",
    "mov rax, {ZYGOTE_LOOP}",
    "jmp rax",
    "4:",
    "mov rax, {ZYGOTE_FAIL}",
    "jmp rax",
    // --- a stub process starts
    "runsc_systrap_start:",
    "mov edi, 1",
    "mov esi, 9",
    "mov ebx, 20",
    "systrap_call 157",
    "test rax, rax",
    "jnz 4b",
    "systrap_call 110",
    "cmp rax, r12",
    "mov ebx, 21",
    "jne 4b",
    "mov rdi, {COMMANDS}",
    "mov esi, 4096",
    "mov edx, 1",
    "mov r10d, 0x11",
    "mov r8, r15",
    "mov r9, r14",
    "mov ebx, 22",
    "systrap_call 9",
    "cmp rax, rdi",
    "jne 4b",
    "mov rbx, rdi",
    // maps the area that the command page names; r8 is its address
    ".macro systrap_map_area",
    "mov rdi, [rbx + {AREA}]",
    "mov esi, {AREA_LEN}",
    "mov edx, 3",
    "mov r10d, 0x11",
    "mov r8, [rbx + {AREA_FILE}]",
    "mov r9, [rbx + {AREA_OFFSET}]",
    "systrap_call 9",
    ".endm",
    ".macro systrap_clone_thread",
    "mov edi, {THREAD_FLAGS}",
    "xor esi, esi",
    "xor edx, edx",
    "xor r10d, r10d",
    "xor r8d, r8d",
    "systrap_call 56",
    "test rax, rax",
    ".endm",
    // the service thread says in the first area that it is there
    "systrap_map_area",
    "cmp rax, rdi",
    "mov ebx, 23",
    "jne 4b",
    "mov rbx, {COMMANDS}",
    "systrap_clone_thread",
    "jz runsc_systrap_service",
    "mov ebx, 24",
    "js 4b",
    "mov rbx, {COMMANDS}",
    "xor r13d, r13d",
    // --- the first thread waits for orders
    "runsc_systrap_orders:",
    "mov edx, [rbx + {ORDER}]",
    "cmp edx, r13d",
    "jne 5f",
    "lea rdi, [rbx + {ORDER}]",
    "xor esi, esi",
    "xor r10d, r10d",
    "systrap_call 202",
    "jmp runsc_systrap_orders",
    "5:",
    "mov r13d, edx",
    "systrap_map_area",
    "cmp rax, rdi",
    // whoever waits for the thread has a time limit
    "jne runsc_systrap_orders",
    "systrap_clone_thread",
    "jz runsc_systrap_thread",
    "jns runsc_systrap_orders",
    "mov rdi, [rbx + {AREA}]",
    "mov [rdi + {UP}], eax",
    "add rdi, {UP}",
    "mov esi, 1",
    "mov edx, 1",
    "systrap_call 202",
    "jmp runsc_systrap_orders",
    // --- becomes a thread that listens; r13 is the descriptor to replace
    ".macro systrap_listen",
    "mov edi, 1",
    "mov esi, {LISTENER_FLAGS}",
    "mov rdx, {LISTEN_FILTER}",
    "systrap_call 317",
    "test rax, rax",
    "js runsc_systrap_failed",
    "mov rbp, rax",
    "mov rdi, rax",
    "mov rsi, r13",
    "mov edx, 0x80000",
    "systrap_call 292",
    "test rax, rax",
    "js runsc_systrap_failed",
    "mov rdi, rbp",
    "systrap_call 3",
    ".endm",
    ".macro systrap_filter head",
    "mov edi, 1",
    "xor esi, esi",
    "mov rdx, \\head",
    "systrap_call 317",
    "test rax, rax",
    "jnz runsc_systrap_failed",
    ".endm",
    ".macro systrap_say_up where",
    "mov dword ptr [r12 + \\where], 1",
    "lea rdi, [r12 + \\where]",
    "mov esi, 1",
    "mov edx, 1",
    "systrap_call 202",
    ".endm",
    // --- the service thread
    "runsc_systrap_service:",
    "mov r12, [rbx + {AREA}]",
    "mov r13, [rbx + {SERVICE}]",
    "cmp dword ptr [rbx + {VARIANT}], 0",
    "jne runsc_systrap_service_futex",
    "systrap_listen",
    "systrap_say_up {SERVICE_UP}",
    "systrap_filter {SERVICE_FILTER}",
    "xor edi, edi",
    "6:",
    "systrap_call {EVENT}",
    "mov rcx, rax",
    "mov rbx, {COMMANDS} + {RECORDS}",
    "shl rcx, 6",
    "lea r12, [rbx + rcx]",
    ".macro systrap_batch done, bad",
    "7:",
    "cmp rbx, r12",
    "jae \\done",
    "mov rax, [rbx]",
    "mov rdi, [rbx + 8]",
    "mov rsi, [rbx + 16]",
    "mov rdx, [rbx + 24]",
    "mov r10, [rbx + 32]",
    "mov r8, [rbx + 40]",
    "mov r9, [rbx + 48]",
    "syscall",
    "add rbx, {RECORD}",
    "cmp rax, -4095",
    "jb 7b",
    "jmp \\bad",
    ".endm",
    "systrap_batch 8f, 9f",
    "8:",
    "xor edi, edi",
    "jmp 6b",
    "9:",
    "mov rdi, rax",
    "jmp 6b",
    // the same with futexes; the result goes where only the sentry reads
    "runsc_systrap_service_futex:",
    "systrap_say_up {SERVICE_UP}",
    "systrap_filter {SERVICE_FILTER}",
    "xor ebp, ebp",
    "6:",
    "mov rbx, {COMMANDS}",
    "mov edx, [rbx + {BATCH}]",
    "cmp edx, ebp",
    "jne 5f",
    "lea rdi, [rbx + {BATCH}]",
    "xor esi, esi",
    "xor r10d, r10d",
    "systrap_call 202",
    "jmp 6b",
    "5:",
    "mov ebp, edx",
    "mov rcx, [rbx + {COUNT}]",
    "add rbx, {RECORDS}",
    "shl rcx, 6",
    "lea r12, [rbx + rcx]",
    "systrap_batch 8f, 9f",
    "8:",
    "mov rsi, {COMMANDS} + {DONE}",
    "jmp 10f",
    "9:",
    "mov rsi, {COMMANDS} + {FAILED}",
    "10:",
    "mov rdi, r13",
    "mov edx, 8",
    "systrap_call 1",
    "jmp 6b",
    // --- a thread for application code
    "runsc_systrap_thread:",
    "lea rdi, [rbx + {STACK}]",
    "xor esi, esi",
    "systrap_call 131",
    "mov r12, [rbx + {AREA}]",
    "mov r13, [rbx + {LISTENER}]",
    "lea rsp, [r12 + {STACK_TOP}]",
    "systrap_call 186",
    "mov [r12 + {TID}], eax",
    "cmp dword ptr [rbx + {VARIANT}], 0",
    "jne 2f",
    "systrap_listen",
    "systrap_say_up {UP}",
    "systrap_filter {THREAD_FILTER}",
    "jmp runsc_systrap_park",
    "2:",
    "systrap_say_up {UP}",
    "systrap_filter {TRAP_FILTER}",
    "runsc_systrap_park:",
    "xor edi, edi",
    "xor esi, esi",
    "xor edx, edx",
    // --- the handler of all signals: reports, with rdi rsi rdx as the kernel set them, and is told a frame to return to
    ".macro systrap_write_report",
    "mov [rbx + {SIGNAL}], rdi",
    "mov [rbx + {INFO}], rsi",
    "mov [rbx + {UCONTEXT}], rdx",
    "mov [rbx + {FS}], r10",
    "mov [rbx + {GS}], r8",
    ".endm",
    "runsc_systrap_event:",
    "rdfsbase r10",
    "rdgsbase r8",
    "mov r9, {COMMANDS}",
    "cmp dword ptr [r9 + {VARIANT}], 0",
    "jne 3f",
    // while the sentry looks, a report goes through memory
    "mov rbx, rsp",
    "and rbx, -{AREA_LEN}",
    "mov eax, [rbx + {STATE}]",
    "cmp eax, {SPINNING}",
    "je 5f",
    "cmp eax, {LEARN}",
    "jne 2f",
    "5:",
    "systrap_write_report",
    "mov ecx, {TOLD}",
    "lock cmpxchg [rbx + {STATE}], ecx",
    "jne 2f",
    "mov ecx, {LOOKS}",
    "1:",
    "mov eax, [rbx + {STATE}]",
    "cmp eax, {TOLD}",
    "jne 9f",
    "pause",
    "dec ecx",
    "jnz 1b",
    "mov eax, {TOLD}",
    "mov ecx, {TOLD_WAITING}",
    "lock cmpxchg [rbx + {STATE}], ecx",
    "jz 2f",
    "9:",
    "cmp eax, {TELL_AGAIN}",
    "je 2f",
    "mov rax, [rbx + {ANSWER}]",
    "jmp 4f",
    "2:",
    "systrap_call {EVENT}",
    "runsc_systrap_reported:",
    // bit 0: another context begins; 0: end
    "4:",
    "test rax, rax",
    "jz 6f",
    "btr rax, 0",
    "jnc 5f",
    "xor ecx, ecx",
    "mov ds, ecx",
    "mov es, ecx",
    "mov fs, ecx",
    "mov gs, ecx",
    "5:",
    "mov rdx, rax",
    "and rdx, -{AREA_LEN}",
    "mov rcx, [rdx + {FS}]",
    "wrfsbase rcx",
    "mov rcx, [rdx + {GS}]",
    "wrgsbase rcx",
    "mov rsp, rax",
    "systrap_call 15",
    "ud2",
    "6:",
    "xor edi, edi",
    "systrap_call 60",
    "ud2",
    "3:",
    "mov rbx, rsp",
    "and rbx, -{AREA_LEN}",
    "systrap_write_report",
    "mov eax, 1",
    "xchg [rbx + {TURN}], eax",
    "lea rdi, [rbx + {TURN}]",
    "mov esi, 1",
    "mov edx, 1",
    "systrap_call 202",
    "7:",
    "cmp dword ptr [rbx + {TURN}], 1",
    "jne 8f",
    "xor esi, esi",
    "mov edx, 1",
    "xor r10d, r10d",
    "systrap_call 202",
    "jmp 7b",
    "8:",
    "mov rax, [rbx + {ANSWER}]",
    "jmp 4b",
    // --- it cannot start: says why
    "runsc_systrap_failed:",
    "mov [r12 + {UP}], eax",
    "lea rdi, [r12 + {UP}]",
    "mov esi, 1",
    "mov edx, 1",
    "systrap_call 202",
    "mov edi, 1",
    "systrap_call 60",
    "ud2",
    // --- constants
    ".p2align 3",
    "runsc_systrap_all_signals: .quad -1",
    // handler, SA_SIGINFO | SA_ONSTACK | SA_RESTORER | SA_RESTART, a restorer that nobody returns to, all masked
    "runsc_systrap_action: .quad {STUB_TEXT} + (runsc_systrap_event - runsc_systrap_text)",
    ".quad 0x1c000004, 0, -1",
    "runsc_systrap_taken: .byte {SIG0}, {SIG1}, {SIG2}, {SIG3}, {SIG4}, {SIG5}, {SIG6}, 0",
    "runsc_systrap_text_end:",
    ".popsection",
    STUB_TEXT = const layout::STUB_TEXT,
    ZYGOTE_LOOP = const layout::ZYGOTE_LOOP,
    ZYGOTE_FAIL = const layout::ZYGOTE_FAIL,
    COMMANDS = const layout::COMMANDS,
    EVENT = const EVENT,
    ORDER = const ORDER,
    VARIANT = const VARIANT,
    AREA = const AREA,
    AREA_FILE = const AREA_FILE,
    AREA_OFFSET = const AREA_OFFSET,
    LISTENER = const LISTENER,
    STACK = const STACK,
    SERVICE = const SERVICE,
    BATCH = const BATCH,
    COUNT = const COUNT,
    DONE = const DONE,
    FAILED = const FAILED,
    RECORDS = const RECORDS,
    RECORD = const RECORD,
    AREA_LEN = const area::LEN,
    STACK_TOP = const area::STACK_TOP,
    FS = const area::FS,
    GS = const area::GS,
    UP = const area::UP,
    SERVICE_UP = const area::SERVICE_UP,
    TID = const area::TID,
    SIGNAL = const area::SIGNAL,
    INFO = const area::INFO,
    UCONTEXT = const area::UCONTEXT,
    TURN = const area::TURN,
    ANSWER = const area::ANSWER,
    STATE = const area::STATE,
    SPINNING = const direct::SPINNING,
    LEARN = const direct::LEARN,
    TOLD = const direct::TOLD,
    TOLD_WAITING = const direct::TOLD_WAITING,
    TELL_AGAIN = const direct::TELL_AGAIN,
    LOOKS = const direct_text::LOOKS,
    THREAD_FLAGS = const THREAD_FLAGS,
    LISTENER_FLAGS = const NEW_LISTENER | WAIT_KILLABLE_RECV,
    BASE_FILTER = const filters::head(filters::BASE),
    LISTEN_FILTER = const filters::head(filters::LISTEN),
    SERVICE_FILTER = const filters::head(filters::SERVICE),
    THREAD_FILTER = const filters::head(filters::THREAD),
    TRAP_FILTER = const filters::head(filters::TRAP),
    SIG0 = const TAKEN[0],
    SIG1 = const TAKEN[1],
    SIG2 = const TAKEN[2],
    SIG3 = const TAKEN[3],
    SIG4 = const TAKEN[4],
    SIG5 = const TAKEN[5],
    SIG6 = const TAKEN[6],
);

const THREAD_FLAGS: i32 = libc::CLONE_VM
    | libc::CLONE_FS
    | libc::CLONE_FILES
    | libc::CLONE_SIGHAND
    | libc::CLONE_THREAD
    | libc::CLONE_SYSVSEM
    | libc::CLONE_UNTRACED;
/// SECCOMP_FILTER_FLAG_NEW_LISTENER.
const NEW_LISTENER: u32 = 1 << 3;
/// SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, since Linux 5.19: a call that we have received is not made again because a signal
/// came.
const WAIT_KILLABLE_RECV: u32 = 1 << 5;
