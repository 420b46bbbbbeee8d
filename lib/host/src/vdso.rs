//! The code of the vDSO that every program gets, as position-independent bytes. It runs in application processes, never
//! here; `sentry::mm::vdso` wraps it into an ELF image.
//!
//! The code lies [`TEXT_OFFSET`] bytes into its image, and one page of parameters precedes the image:
//!
//! | bytes | |
//! |---|---|
//! | 0..4 | sequence: odd while the page is being written |
//! | 4..8 | 1 if the clocks below hold; 0: make the system call |
//! | 8..16 | time stamp counter at which they hold |
//! | 16..20 | CPUs the application counts |
//! | 20..24 | 1 if `lsl` of the per-CPU segment tells CPU and node |
//! | 32.. | for each clock id up to 11: seconds, nanoseconds, nanoseconds per tick << 32, 1 if usable |

use std::arch::global_asm;

/// Where the code must stand in its image.
pub const TEXT_OFFSET: usize = 0x800;
/// Highest clock id the parameters have room for.
pub const MAX_CLOCK: usize = 11;
/// Where the clocks begin in the page of parameters.
pub const CLOCKS_OFFSET: usize = 32;
/// Bytes of parameters for each clock.
pub const CLOCK_SIZE: usize = 32;

// Registers: r8 parameters, r9 sequence, r10 seconds, r11 the clock's parameters; all of them the caller's to lose.
global_asm!(
    // Other code units refer to the labels.
    ".irp name, text, text_end, clock_gettime, gettimeofday, time, clock_getres, getcpu",
    ".globl host_vdso_\\name",
    ".hidden host_vdso_\\name",
    ".endr",
    ".pushsection .rodata.host_vdso, \"a\", @progbits",
    ".balign 64",
    "host_vdso_text:",
    // Clock edi (checked) into r10 (seconds) and rax (nanoseconds); carry set if the call must be made.
    "10:",
    "lea r8, [rip + host_vdso_text - 0x1800]",
    "mov r11d, edi",
    "shl r11d, 5",
    "lea r11, [r8 + r11 + 32]",
    "11:",
    "mov r9d, [r8]",
    "test r9d, 1",
    "jnz 15f",
    "cmp dword ptr [r8 + 4], 0",
    "je 16f",
    "cmp qword ptr [r11 + 24], 0",
    "je 16f",
    "lfence",
    "rdtsc",
    "shl rdx, 32",
    "or rax, rdx",
    "sub rax, [r8 + 8]",
    "jae 12f",
    "xor eax, eax",
    "12:",
    "mul qword ptr [r11 + 16]",
    "shrd rax, rdx, 32",
    "add rax, [r11 + 8]",
    "mov r10, [r11]",
    "cmp r9d, [r8]",
    "jne 11b",
    "mov ecx, 1000000000",
    "cmp rax, rcx",
    "jb 14f",
    "xor edx, edx",
    "div rcx",
    "add r10, rax",
    "mov rax, rdx",
    "14:",
    "clc",
    "ret",
    "15:",
    "pause",
    "jmp 11b",
    "16:",
    "stc",
    "ret",
    // int clock_gettime(clockid_t edi, struct timespec *rsi)
    ".balign 16",
    "host_vdso_clock_gettime:",
    "cmp edi, 11",
    "ja 20f",
    "call 10b",
    "jc 20f",
    "mov [rsi], r10",
    "mov [rsi + 8], rax",
    "xor eax, eax",
    "ret",
    "20:",
    "mov eax, 228",
    "syscall",
    "ret",
    // int gettimeofday(struct timeval *rdi, struct timezone *rsi)
    ".balign 16",
    "host_vdso_gettimeofday:",
    "test rdi, rdi",
    "jz 31f",
    "push rdi",
    "xor edi, edi",
    "call 10b",
    "pop rdi",
    "jc 32f",
    "xor edx, edx",
    "mov ecx, 1000",
    "div rcx",
    "mov [rdi], r10",
    "mov [rdi + 8], rax",
    "31:",
    "xor eax, eax",
    "test rsi, rsi",
    "jz 33f",
    "mov [rsi], rax",
    "33:",
    "ret",
    "32:",
    "mov eax, 96",
    "syscall",
    "ret",
    // time_t time(time_t *rdi)
    ".balign 16",
    "host_vdso_time:",
    "push rdi",
    "xor edi, edi",
    "call 10b",
    "pop rdi",
    "jc 40f",
    "mov rax, r10",
    "test rdi, rdi",
    "jz 41f",
    "mov [rdi], rax",
    "41:",
    "ret",
    "40:",
    "mov eax, 201",
    "syscall",
    "ret",
    // int clock_getres(clockid_t edi, struct timespec *rsi)
    ".balign 16",
    "host_vdso_clock_getres:",
    "cmp edi, 11",
    "ja 50f",
    "mov eax, 1",
    "mov ecx, edi",
    "shl eax, cl",
    // REALTIME, MONOTONIC, MONOTONIC_RAW, BOOTTIME, TAI
    "mov edx, 1",
    "test eax, 0x893",
    "jnz 51f",
    // The coarse clocks: a tick of 250 Hz.
    "mov edx, 4000000",
    "test eax, 0x60",
    "jz 50f",
    "51:",
    "xor eax, eax",
    "test rsi, rsi",
    "jz 52f",
    "mov [rsi], rax",
    "mov [rsi + 8], rdx",
    "52:",
    "ret",
    "50:",
    "mov eax, 229",
    "syscall",
    "ret",
    // int getcpu(unsigned *rdi, unsigned *rsi, void *)
    ".balign 16",
    "host_vdso_getcpu:",
    "lea r8, [rip + host_vdso_text - 0x1800]",
    "cmp dword ptr [r8 + 20], 0",
    "je 60f",
    "mov eax, 0x7b",
    "lsl ecx, eax",
    "jnz 60f",
    "mov eax, ecx",
    "and eax, 0xfff",
    "shr ecx, 12",
    "cmp eax, [r8 + 16]",
    "jb 61f",
    "xor edx, edx",
    "div dword ptr [r8 + 16]",
    "mov eax, edx",
    "xor ecx, ecx",
    "61:",
    "test rdi, rdi",
    "jz 62f",
    "mov [rdi], eax",
    "62:",
    "test rsi, rsi",
    "jz 63f",
    "mov [rsi], ecx",
    "63:",
    "xor eax, eax",
    "ret",
    "60:",
    "mov eax, 309",
    "syscall",
    "ret",
    "host_vdso_text_end:",
    ".popsection",
);

unsafe extern "C" {
    static host_vdso_text: u8;
    static host_vdso_clock_gettime: u8;
    static host_vdso_gettimeofday: u8;
    static host_vdso_time: u8;
    static host_vdso_clock_getres: u8;
    static host_vdso_getcpu: u8;
    static host_vdso_text_end: u8;
}

/// The code.
#[must_use]
pub fn text() -> &'static [u8] {
    let start = &raw const host_vdso_text;
    let end = &raw const host_vdso_text_end;
    // SAFETY: the labels enclose constant bytes of one section of ours.
    unsafe { std::slice::from_raw_parts(start, end.addr() - start.addr()) }
}

/// The functions: name, and offset in the code.
#[must_use]
pub fn functions() -> [(&'static str, usize); 5] {
    let start = &raw const host_vdso_text;
    let at = |label: *const u8| label.addr() - start.addr();
    [
        ("__vdso_clock_gettime", at(&raw const host_vdso_clock_gettime)),
        ("__vdso_gettimeofday", at(&raw const host_vdso_gettimeofday)),
        ("__vdso_time", at(&raw const host_vdso_time)),
        ("__vdso_clock_getres", at(&raw const host_vdso_clock_getres)),
        ("__vdso_getcpu", at(&raw const host_vdso_getcpu)),
    ]
}
