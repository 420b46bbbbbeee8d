//! Accesses to memory that may vanish while we touch it: a few routines in assembly, and the handler that lets them fail.
//!
//! A file that others truncate makes its mapped pages raise SIGBUS. [`install`] puts a handler for SIGBUS and SIGSEGV in
//! place; if the faulting instruction is one of the routines below, the handler moves the thread to the routine's exit, which
//! reports what was left to do. Any other fault goes to the handler that was there before.

use std::arch::global_asm;
use std::mem::MaybeUninit;
use std::sync::{Once, OnceLock};

// Every routine leaves rcx as "what is left if this instruction faults". Copies of up to 128 bytes load all before they
// store anything, which also makes them right for overlapping pieces; longer ones use the string instructions.
global_asm!(
    ".pushsection .text.host_guard, \"ax\", @progbits",
    ".balign 64",
    ".globl host_guard_start",
    "host_guard_start:",
    // usize host_guard_copy(to: rdi, from: rsi, len: rdx): bytes not copied
    ".globl host_guard_copy",
    "host_guard_copy:",
    "mov rcx, rdx",
    "cmp rdx, 16",
    "jb 4f",
    "cmp rdx, 32",
    "ja 2f",
    "movups xmm0, [rsi]",
    "movups xmm1, [rsi + rdx - 16]",
    "movups [rdi], xmm0",
    "movups [rdi + rdx - 16], xmm1",
    "xor eax, eax",
    "ret",
    "2: cmp rdx, 64",
    "ja 3f",
    "movups xmm0, [rsi]",
    "movups xmm1, [rsi + 16]",
    "movups xmm2, [rsi + rdx - 32]",
    "movups xmm3, [rsi + rdx - 16]",
    "movups [rdi], xmm0",
    "movups [rdi + 16], xmm1",
    "movups [rdi + rdx - 32], xmm2",
    "movups [rdi + rdx - 16], xmm3",
    "xor eax, eax",
    "ret",
    "3: cmp rdx, 128",
    "ja 9f",
    "movups xmm0, [rsi]",
    "movups xmm1, [rsi + 16]",
    "movups xmm2, [rsi + 32]",
    "movups xmm3, [rsi + 48]",
    "movups xmm4, [rsi + rdx - 64]",
    "movups xmm5, [rsi + rdx - 48]",
    "movups xmm6, [rsi + rdx - 32]",
    "movups xmm7, [rsi + rdx - 16]",
    "movups [rdi], xmm0",
    "movups [rdi + 16], xmm1",
    "movups [rdi + 32], xmm2",
    "movups [rdi + 48], xmm3",
    "movups [rdi + rdx - 64], xmm4",
    "movups [rdi + rdx - 48], xmm5",
    "movups [rdi + rdx - 32], xmm6",
    "movups [rdi + rdx - 16], xmm7",
    "xor eax, eax",
    "ret",
    "4: cmp edx, 8",
    "jb 5f",
    "mov rax, [rsi]",
    "mov r8, [rsi + rdx - 8]",
    "mov [rdi], rax",
    "mov [rdi + rdx - 8], r8",
    "xor eax, eax",
    "ret",
    "5: cmp edx, 4",
    "jb 6f",
    "mov eax, [rsi]",
    "mov r8d, [rsi + rdx - 4]",
    "mov [rdi], eax",
    "mov [rdi + rdx - 4], r8d",
    "xor eax, eax",
    "ret",
    "6: test edx, edx",
    "je 7f",
    "movzx eax, byte ptr [rsi]",
    "mov r8d, edx",
    "shr r8d, 1",
    "movzx r9d, byte ptr [rsi + r8]",
    "movzx r10d, byte ptr [rsi + rdx - 1]",
    "mov [rdi], al",
    "mov [rdi + r8], r9b",
    "mov [rdi + rdx - 1], r10b",
    "7: xor eax, eax",
    "ret",
    "9: rep movsb",
    "mov rax, rcx",
    "ret",
    // usize host_guard_zero(to: rdi, len: rsi): bytes not zeroed
    ".globl host_guard_zero",
    "host_guard_zero:",
    "mov rcx, rsi",
    "xor eax, eax",
    "rep stosb",
    "mov rax, rcx",
    "ret",
    // (value: rax, failed: rdx) host_guard_load(at: rdi)
    ".globl host_guard_load",
    "host_guard_load:",
    "xor edx, edx",
    "mov eax, [rdi]",
    "ret",
    // (found: rax, failed: rdx) host_guard_exchange(at: rdi, old: esi, new: edx)
    ".globl host_guard_exchange",
    "host_guard_exchange:",
    "mov eax, esi",
    "lock cmpxchg [rdi], edx",
    "mov edx, 0",
    "ret",
    ".globl host_guard_fault",
    "host_guard_fault:",
    "mov rax, rcx",
    "mov edx, 1",
    "ret",
    ".globl host_guard_end",
    "host_guard_end:",
    ".popsection",
);

/// A word and whether touching it failed, in the two result registers.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Word {
    pub(crate) value: u64,
    pub(crate) failed: u64,
}

unsafe extern "C" {
    /// Copies forward; returns how many bytes were not copied.
    pub(crate) fn host_guard_copy(to: *mut u8, from: *const u8, len: usize) -> usize;
    /// Zeroes; returns how many bytes were not.
    pub(crate) fn host_guard_zero(to: *mut u8, len: usize) -> usize;
    /// Loads an aligned word.
    pub(crate) fn host_guard_load(at: *const u8) -> Word;
    /// Compares and exchanges an aligned word; returns what was found.
    pub(crate) fn host_guard_exchange(at: *mut u8, old: u32, new: u32) -> Word;

    static host_guard_start: u8;
    static host_guard_fault: u8;
    static host_guard_end: u8;
}

static INSTALLED: Once = Once::new();
static EARLIER_BUS: OnceLock<libc::sigaction> = OnceLock::new();
static EARLIER_SEGV: OnceLock<libc::sigaction> = OnceLock::new();

/// Installs the handler, once.
pub(crate) fn install() {
    INSTALLED.call_once(|| {
        for (signo, earlier) in [(libc::SIGBUS, &EARLIER_BUS), (libc::SIGSEGV, &EARLIER_SEGV)] {
            let mut old = MaybeUninit::<libc::sigaction>::zeroed();
            // SAFETY: sigaction only reads and writes the two structures; all-zero is a valid sigaction (an empty mask), and
            // `on_fault` has the signature that SA_SIGINFO asks for and is async-signal-safe.
            let old = unsafe {
                let mut new: libc::sigaction = std::mem::zeroed();
                new.sa_sigaction = on_fault as *const () as usize;
                new.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
                libc::sigaction(signo, &raw const new, old.as_mut_ptr());
                old.assume_init()
            };
            let _ = earlier.set(old);
        }
    });
}

extern "C" fn on_fault(signo: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let rip = libc::REG_RIP as usize;
    // SAFETY: the kernel calls an SA_SIGINFO handler with a valid ucontext_t; the labels are addresses in our own text.
    unsafe {
        let context = &mut *context.cast::<libc::ucontext_t>();
        let at = context.uc_mcontext.gregs[rip] as usize;
        let (start, end) = (&raw const host_guard_start as usize, &raw const host_guard_end as usize);
        if (start..end).contains(&at) {
            context.uc_mcontext.gregs[rip] = &raw const host_guard_fault as i64;
            return;
        }
    }
    pass_on(signo, info, context);
}

/// Does what would have happened without us.
fn pass_on(signo: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let earlier = if signo == libc::SIGBUS { EARLIER_BUS.get() } else { EARLIER_SEGV.get() };
    match earlier {
        Some(action) if action.sa_sigaction != libc::SIG_DFL && action.sa_sigaction != libc::SIG_IGN => {
            if action.sa_flags & libc::SA_SIGINFO != 0 {
                // SAFETY: the kernel had this address as an SA_SIGINFO handler.
                let handler: extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void) =
                    unsafe { std::mem::transmute(action.sa_sigaction) };
                handler(signo, info, context);
            } else {
                // SAFETY: the kernel had this address as a plain handler.
                let handler: extern "C" fn(i32) = unsafe { std::mem::transmute(action.sa_sigaction) };
                handler(signo);
            }
        }
        _ => {
            // The instruction faults again after we return, and then the default action ends the process.
            // SAFETY: resetting a signal to its default has no memory effects.
            unsafe {
                libc::signal(signo, libc::SIG_DFL);
            }
        }
    }
}
