//! ptrace(2).

use std::sync::Arc;

use abi::ptrace::*;
use abi::siginfo::SigInfo;
use abi::signal::SigSet;
use abi::uio::Iovec;
use abi::{Errno, UserAddr};
use sentry::error::{Result, err};
use sentry::task::ptrace::{Mode, RegSet};
use sentry::task::{CurrentTask, Task};
use sentry::user::UserPtr;
use zerocopy::IntoBytes;

/// Types of notes in a core file, which name sets of registers.
const NT_PRSTATUS: u64 = 1;
const NT_PRFPREG: u64 = 2;
const NT_X86_XSTATE: u64 = 0x202;
/// Bytes of a register.
const WORD: usize = 8;
/// Codes of arch_prctl(2), and where the bases stand in the user area.
const ARCH_SET_GS: u64 = 0x1001;
const ARCH_SET_FS: u64 = 0x1002;
const ARCH_GET_FS: u64 = 0x1003;
const ARCH_GET_GS: u64 = 0x1004;
const FS_BASE: u64 = 21 * 8;
const GS_BASE: u64 = 22 * 8;

/// ptrace(2).
pub(crate) fn ptrace(task: &mut CurrentTask, request: u64, pid: i32, addr: u64, data: u64) -> Result<u64> {
    let request = u32::try_from(request).map_err(|_| Errno::EIO)?;
    if request == PTRACE_TRACEME {
        return done(task.ptrace_traceme());
    }
    let target = task.pid_ns().task(pid).ok_or(Errno::ESRCH)?;
    match request {
        PTRACE_ATTACH => done(task.ptrace_attach(&target)),
        PTRACE_SEIZE if addr != 0 => err(Errno::EIO),
        PTRACE_SEIZE => done(task.ptrace_seize(&target, data)),
        PTRACE_KILL => done(task.ptrace_kill(&target)),
        PTRACE_INTERRUPT => done(task.ptrace_interrupt(&target)),
        _ => stopped(task, &target, request, addr, data),
    }
}

/// Requests for a tracee that is stopped.
fn stopped(task: &CurrentTask, target: &Arc<Task>, request: u32, addr: u64, data: u64) -> Result<u64> {
    let (at, out) = (UserAddr(addr), UserAddr(data));
    match request {
        PTRACE_CONT => done(task.ptrace_resume(target, Mode::Run, data)),
        PTRACE_SYSCALL => done(task.ptrace_resume(target, Mode::Calls, data)),
        PTRACE_SINGLESTEP => done(task.ptrace_resume(target, Mode::Step, data)),
        PTRACE_SYSEMU => done(task.ptrace_resume(target, Mode::Emulate, data)),
        PTRACE_SYSEMU_SINGLESTEP => done(task.ptrace_resume(target, Mode::EmulateStep, data)),
        PTRACE_DETACH => done(task.ptrace_detach(target, i32::try_from(data).map_err(|_| Errno::EIO)?)),
        PTRACE_LISTEN => done(task.ptrace_listen(target)),
        PTRACE_SETOPTIONS => done(task.ptrace_set_options(target, data)),
        PTRACE_GETEVENTMSG => done(task.mm().write(UserPtr::new(out), &task.ptrace_message(target)?)),
        PTRACE_PEEKTEXT | PTRACE_PEEKDATA => done(task.mm().write(UserPtr::new(out), &task.ptrace_peek(target, at)?)),
        PTRACE_POKETEXT | PTRACE_POKEDATA => done(task.ptrace_poke(target, at, data)),
        PTRACE_PEEKUSR => done(task.mm().write(UserPtr::new(out), &task.ptrace_peek_user(target, addr)?)),
        PTRACE_POKEUSR => done(task.ptrace_poke_user(target, addr, data)),
        PTRACE_GETREGS => get_all(task, target, RegSet::General, out),
        PTRACE_SETREGS => set_all(task, target, RegSet::General, out),
        PTRACE_GETFPREGS => get_all(task, target, RegSet::Fx, out),
        PTRACE_SETFPREGS => set_all(task, target, RegSet::Fx, out),
        PTRACE_GETREGSET => get_set(task, target, addr, UserPtr::new(out)),
        PTRACE_SETREGSET => set_set(task, target, addr, UserPtr::new(out)),
        PTRACE_GETSIGINFO => done(task.mm().write(UserPtr::new(out), &task.ptrace_siginfo(target)?)),
        PTRACE_SETSIGINFO => {
            let info: SigInfo = task.mm().read(UserPtr::new(out))?;
            done(task.ptrace_set_siginfo(target, info))
        }
        PTRACE_PEEKSIGINFO => peek_siginfo(task, target, UserPtr::new(at), UserPtr::new(out)),
        PTRACE_GETSIGMASK | PTRACE_SETSIGMASK => signal_mask(task, target, request, addr, UserPtr::new(out)),
        PTRACE_GET_SYSCALL_INFO => {
            let (info, len) = task.ptrace_syscall_info(target)?;
            let room = usize::try_from(addr).unwrap_or(usize::MAX).min(len);
            task.mm().write_bytes(out, info.as_bytes().get(..room).unwrap_or_default())?;
            Ok(len as u64)
        }
        PTRACE_ARCH_PRCTL => arch_prctl(task, target, data, at),
        PTRACE_SECCOMP_GET_FILTER => seccomp_filter(task, target, addr, out),
        PTRACE_GET_RSEQ_CONFIGURATION => {
            task.ptrace_message(target)?;
            // Nothing is registered.
            let config = [0u8; 24];
            let room = usize::try_from(addr).unwrap_or(usize::MAX).min(config.len());
            task.mm().write_bytes(out, config.get(..room).unwrap_or_default())?;
            Ok(config.len() as u64)
        }
        _ => {
            task.ptrace_message(target)?;
            err(Errno::EIO)
        }
    }
}

fn done(result: Result<()>) -> Result<u64> {
    result.map(|()| 0)
}

fn get_all(task: &CurrentTask, target: &Arc<Task>, set: RegSet, out: UserAddr) -> Result<u64> {
    let bytes = task.ptrace_get_regs(target, set)?;
    done(task.mm().write_bytes(out, &bytes))
}

fn set_all(task: &CurrentTask, target: &Arc<Task>, set: RegSet, from: UserAddr) -> Result<u64> {
    let mut bytes = task.ptrace_get_regs(target, set)?;
    task.mm().read_bytes(from, &mut bytes)?;
    done(task.ptrace_set_regs(target, set, &bytes))
}

fn named(set: u64) -> Result<RegSet> {
    match set {
        NT_PRSTATUS => Ok(RegSet::General),
        NT_PRFPREG => Ok(RegSet::Fx),
        NT_X86_XSTATE => Ok(RegSet::Xstate),
        _ => err(Errno::EINVAL),
    }
}

/// The part of a set that an iovec asks for, and its buffer. EINVAL unless it is whole registers.
fn part(task: &CurrentTask, iov: UserPtr<Iovec>, whole: usize) -> Result<(Iovec, usize)> {
    let buffer: Iovec = task.mm().read(iov)?;
    let len = usize::try_from(buffer.iov_len).unwrap_or(usize::MAX);
    if !len.is_multiple_of(WORD) {
        return err(Errno::EINVAL);
    }
    Ok((buffer, len.min(whole)))
}

fn get_set(task: &CurrentTask, target: &Arc<Task>, set: u64, iov: UserPtr<Iovec>) -> Result<u64> {
    task.ptrace_message(target)?;
    let bytes = task.ptrace_get_regs(target, named(set)?)?;
    let (mut buffer, len) = part(task, iov, bytes.len())?;
    task.mm().write_bytes(UserAddr(buffer.iov_base), bytes.get(..len).unwrap_or_default())?;
    buffer.iov_len = len as u64;
    done(task.mm().write(iov, &buffer))
}

fn set_set(task: &CurrentTask, target: &Arc<Task>, set: u64, iov: UserPtr<Iovec>) -> Result<u64> {
    task.ptrace_message(target)?;
    let set = named(set)?;
    let whole = task.ptrace_get_regs(target, set)?.len();
    let (mut buffer, len) = part(task, iov, whole)?;
    let mut bytes = vec![0; len];
    task.mm().read_bytes(UserAddr(buffer.iov_base), &mut bytes)?;
    task.ptrace_set_regs(target, set, &bytes)?;
    buffer.iov_len = len as u64;
    done(task.mm().write(iov, &buffer))
}

fn peek_siginfo(
    task: &CurrentTask,
    target: &Arc<Task>,
    at: UserPtr<PeeksiginfoArgs>,
    out: UserPtr<SigInfo>,
) -> Result<u64> {
    /// More are never asked for at once.
    const MOST: usize = 1024;
    let args: PeeksiginfoArgs = task.mm().read(at)?;
    let count = usize::try_from(args.nr).map_err(|_| Errno::EINVAL)?.min(MOST);
    if args.flags & !PTRACE_PEEKSIGINFO_SHARED != 0 {
        return err(Errno::EINVAL);
    }
    let shared = args.flags & PTRACE_PEEKSIGINFO_SHARED != 0;
    let infos = task.ptrace_peek_siginfo(target, shared, args.off, count)?;
    task.mm().write_slice(out, &infos)?;
    Ok(infos.len() as u64)
}

fn signal_mask(task: &CurrentTask, target: &Arc<Task>, request: u32, size: u64, at: UserPtr<SigSet>) -> Result<u64> {
    let old = task.ptrace_signal_mask(target)?;
    if size != size_of::<SigSet>() as u64 {
        return err(Errno::EINVAL);
    }
    match request {
        PTRACE_GETSIGMASK => done(task.mm().write(at, &old)),
        _ => done(task.ptrace_set_signal_mask(target, task.mm().read(at)?)),
    }
}

fn arch_prctl(task: &CurrentTask, target: &Arc<Task>, code: u64, at: UserAddr) -> Result<u64> {
    match code {
        ARCH_GET_FS => done(task.mm().write(UserPtr::new(at), &task.ptrace_peek_user(target, FS_BASE)?)),
        ARCH_GET_GS => done(task.mm().write(UserPtr::new(at), &task.ptrace_peek_user(target, GS_BASE)?)),
        ARCH_SET_FS if at.0 < abi::TASK_SIZE => done(task.ptrace_poke_user(target, FS_BASE, at.0)),
        ARCH_SET_GS if at.0 < abi::TASK_SIZE => done(task.ptrace_poke_user(target, GS_BASE, at.0)),
        ARCH_SET_FS | ARCH_SET_GS => err(Errno::EPERM),
        _ => err(Errno::EINVAL),
    }
}

/// How many instructions a filter has; they are stored if there is a place for them.
fn seccomp_filter(task: &CurrentTask, target: &Arc<Task>, index: u64, out: UserAddr) -> Result<u64> {
    task.ptrace_message(target)?;
    let root = &task.kernel().root_user_ns;
    if !task.creds().has_in(abi::capability::Cap::CAP_SYS_ADMIN, root)
        || task.seccomp_mode() != abi::seccomp::SECCOMP_MODE_DISABLED
    {
        return err(Errno::EACCES);
    }
    let code = target.seccomp_program(index)?;
    if !out.is_null() {
        task.mm().write_slice(UserPtr::new(out), &code)?;
    }
    Ok(code.len() as u64)
}
