//! The filters of the threads in a stub, as [`super::text`] explains. They stand behind its code, in the same page.

use host::seccomp::Instruction;

use super::text::EVENT;
use crate::stub::layout;

/// Where the filters begin in the page.
pub(super) const OFFSET: usize = 0x980;
/// Bytes for each, with its head.
const SLOT: usize = 0x140;

/// All threads, from the zygote on.
pub(super) const BASE: usize = 0;
/// Threads that listen.
pub(super) const LISTEN: usize = 1;
/// The service thread, once it is up.
pub(super) const SERVICE: usize = 2;
/// Threads that run application code and listen.
pub(super) const THREAD: usize = 3;
/// Threads that run application code and hand over by futex.
pub(super) const TRAP: usize = 4;

const KILL: u32 = 0x8000_0000;
const TRAPS: u32 = 0x0003_0000;
const NOTIFY: u32 = 0x7fc0_0000;
const ALLOW: u32 = 0x7fff_0000;

const X86_64: u32 = 0xc000_003e;
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const IP_LOW: u32 = 8;
const IP_HIGH: u32 = 12;
/// Low half of the second argument.
const OPERATION: u32 = 24;

/// What it takes to start, and what is used later.
const SETTING_UP: &[libc::c_long] = &[
    libc::SYS_write,
    libc::SYS_close,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_munmap,
    libc::SYS_rt_sigreturn,
    libc::SYS_clone,
    libc::SYS_exit,
    libc::SYS_getppid,
    libc::SYS_sigaltstack,
    libc::SYS_prctl,
    libc::SYS_gettid,
    libc::SYS_futex,
    libc::SYS_dup3,
    libc::SYS_seccomp,
    // What threads that take turns do meanwhile.
    libc::SYS_sched_yield,
    EVENT as libc::c_long,
];

/// Calls of the service thread.
const SERVING: &[libc::c_long] =
    &[libc::SYS_mmap, libc::SYS_mprotect, libc::SYS_munmap, libc::SYS_futex, libc::SYS_write, EVENT as libc::c_long];

/// Calls of an application that need all its registers: they change them, are likely to end in a signal, or end its thread,
/// which then waits for the next one.
const TRAPPING: &[libc::c_long] = &[
    libc::SYS_rt_sigreturn,
    libc::SYS_clone,
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_execve,
    libc::SYS_exit,
    libc::SYS_kill,
    libc::SYS_rt_sigsuspend,
    libc::SYS_arch_prctl,
    libc::SYS_tkill,
    libc::SYS_tgkill,
    libc::SYS_exit_group,
    libc::SYS_execveat,
    libc::SYS_clone3,
];

/// The address of a filter's `struct sock_fprog` in a stub.
pub(super) const fn head(filter: usize) -> u64 {
    layout::STUB_TEXT + (OFFSET + filter * SLOT) as u64
}

/// All filters with their heads.
pub(super) fn bytes() -> Vec<u8> {
    let filters = [base(), listen(), service(), thread(), trap()];
    let mut bytes = Vec::new();
    for (index, filter) in filters.iter().enumerate() {
        bytes.extend((filter.len() as u64).to_ne_bytes());
        bytes.extend((head(index) + 16).to_ne_bytes());
        for Instruction { code, jt, jf, k } in filter {
            bytes.extend(code.to_ne_bytes());
            bytes.extend([*jt, *jf]);
            bytes.extend(k.to_ne_bytes());
        }
        assert!(bytes.len() <= (index + 1) * SLOT, "a filter fits its slot");
        bytes.resize((index + 1) * SLOT, 0);
    }
    bytes
}

fn base() -> Vec<Instruction> {
    program(&native(&calls(SETTING_UP, ALLOW, NOTIFY), NOTIFY), &[answer(NOTIFY)])
}

fn listen() -> Vec<Instruction> {
    program(&native(&calls(&[EVENT.into()], NOTIFY, ALLOW), NOTIFY), &[answer(NOTIFY)])
}

fn service() -> Vec<Instruction> {
    program(&native(&calls(SERVING, ALLOW, KILL), KILL), &[answer(KILL)])
}

/// Calls through other gates go to the listener. In our text, whoever makes a call that is not ours is the application.
fn thread() -> Vec<Instruction> {
    let ours = [EVENT.into(), libc::SYS_rt_sigreturn, libc::SYS_sched_yield, libc::SYS_exit];
    program(&native(&calls(&ours, ALLOW, TRAPS), ALLOW), &native(&calls(TRAPPING, TRAPS, ALLOW), ALLOW))
}

fn trap() -> Vec<Instruction> {
    let mut inside = vec![load(NUMBER), skip_unless(libc::SYS_futex as u32, 4), load(OPERATION)];
    // FUTEX_WAIT and FUTEX_WAKE.
    inside.extend([Instruction { code: JUMP_IF_GREATER, jt: 1, jf: 0, k: 1 }, answer(ALLOW), answer(TRAPS)]);
    inside.extend(calls(&[libc::SYS_rt_sigreturn], ALLOW, TRAPS));
    program(&native(&inside, TRAPS), &[answer(TRAPS)])
}

const LOAD: u16 = 0x20;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_IF_NOT_LESS: u16 = 0x35;
const JUMP_IF_GREATER: u16 = 0x25;
const RETURN: u16 = 0x06;

const fn load(k: u32) -> Instruction {
    Instruction { code: LOAD, jt: 0, jf: 0, k }
}

const fn answer(k: u32) -> Instruction {
    Instruction { code: RETURN, jt: 0, jf: 0, k }
}

/// Passes over some instructions if the loaded word is another one.
const fn skip_unless(k: u32, instructions: u8) -> Instruction {
    Instruction { code: JUMP_IF_EQUAL, jt: 0, jf: instructions, k }
}

/// A program for calls from inside of our text and one for all others.
fn program(inside: &[Instruction], outside: &[Instruction]) -> Vec<Instruction> {
    let past = inside.len() as u8;
    let mut program = vec![load(IP_HIGH), skip_unless((layout::TEXT >> 32) as u32, past + 2), load(IP_LOW)];
    program.push(Instruction { code: JUMP_IF_NOT_LESS, jt: 0, jf: past, k: layout::TEXT as u32 });
    program.extend(inside.iter().cloned());
    program.extend(outside.iter().cloned());
    program
}

/// A program for calls through the native gate, and what happens to others.
fn native(program: &[Instruction], others: u32) -> Vec<Instruction> {
    let mut all = vec![load(ARCHITECTURE), skip_unless(X86_64, program.len() as u8)];
    all.extend(program.iter().cloned());
    all.push(answer(others));
    all
}

/// One answer for some calls, one for all others.
fn calls(numbers: &[libc::c_long], hit: u32, otherwise: u32) -> Vec<Instruction> {
    let mut program = vec![load(NUMBER)];
    for (index, number) in numbers.iter().enumerate() {
        let to_hit = (numbers.len() - index) as u8;
        program.push(Instruction { code: JUMP_IF_EQUAL, jt: to_hit, jf: 0, k: *number as u32 });
    }
    program.extend([answer(otherwise), answer(hit)]);
    program
}
