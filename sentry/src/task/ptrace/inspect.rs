//! Looking into a tracee that is stopped: its memory, its signals, its call.

use std::sync::Arc;

use abi::ptrace::{
    PTRACE_SYSCALL_INFO_ENTRY, PTRACE_SYSCALL_INFO_EXIT, PTRACE_SYSCALL_INFO_NONE, PTRACE_SYSCALL_INFO_SECCOMP,
    PtraceSyscallInfo,
};
use abi::seccomp::{AUDIT_ARCH_I386, AUDIT_ARCH_X86_64};
use abi::siginfo::SigInfo;
use abi::signal::SigSet;
use abi::{Errno, UserAddr};

use super::{Kind, Stop};
use crate::error::{Result, err};
use crate::mm::RemoteAccess;
use crate::task::{CurrentTask, Task};

/// The largest errno.
const MAX_ERRNO: u64 = 4095;

impl CurrentTask {
    /// PTRACE_PEEKTEXT, PTRACE_PEEKDATA.
    pub fn ptrace_peek(&self, target: &Arc<Task>, at: UserAddr) -> Result<u64> {
        self.commanded(target)?;
        let mut word = [0; 8];
        let mm = target.mm().ok_or(Errno::EIO)?;
        match mm.read_remote(at, &mut word, RemoteAccess::Forced) {
            Ok(8) => Ok(u64::from_le_bytes(word)),
            _ => err(Errno::EIO),
        }
    }

    /// PTRACE_POKETEXT, PTRACE_POKEDATA.
    pub fn ptrace_poke(&self, target: &Arc<Task>, at: UserAddr, word: u64) -> Result<()> {
        self.commanded(target)?;
        let mm = target.mm().ok_or(Errno::EIO)?;
        match mm.write_remote(at, &word.to_le_bytes(), RemoteAccess::Forced) {
            Ok(8) => Ok(()),
            _ => err(Errno::EIO),
        }
    }

    /// PTRACE_GETSIGINFO.
    pub fn ptrace_siginfo(&self, target: &Arc<Task>) -> Result<SigInfo> {
        self.with_stop(target, |stop| stop.info.ok_or_else(|| Errno::EINVAL.into()))
    }

    /// PTRACE_SETSIGINFO.
    pub fn ptrace_set_siginfo(&self, target: &Arc<Task>, info: SigInfo) -> Result<()> {
        self.with_stop(target, |stop| match &mut stop.info {
            Some(old) => {
                *old = info;
                Ok(())
            }
            None => err(Errno::EINVAL),
        })
    }

    /// PTRACE_PEEKSIGINFO: signals that wait in the tracee's queue, or its process's.
    pub fn ptrace_peek_siginfo(
        &self,
        target: &Arc<Task>,
        shared: bool,
        from: u64,
        count: usize,
    ) -> Result<Vec<SigInfo>> {
        self.commanded(target)?;
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        Ok(target.group().signals.queued_infos(&target.signals, shared, from, count))
    }

    /// PTRACE_GETSIGMASK.
    pub fn ptrace_signal_mask(&self, target: &Arc<Task>) -> Result<SigSet> {
        self.commanded(target)?;
        Ok(target.signals.blocked())
    }

    /// PTRACE_SETSIGMASK.
    pub fn ptrace_set_signal_mask(&self, target: &Arc<Task>, mask: SigSet) -> Result<()> {
        self.commanded(target)?;
        target.group().signals.set_blocked(&target.signals, mask);
        Ok(())
    }

    /// PTRACE_GET_SYSCALL_INFO, and how many bytes of it mean something.
    pub fn ptrace_syscall_info(&self, target: &Arc<Task>) -> Result<(PtraceSyscallInfo, usize)> {
        self.with_stop(target, |stop| Ok(syscall_info(stop)))
    }
}

fn syscall_info(stop: &Stop) -> (PtraceSyscallInfo, usize) {
    let regs = &stop.regs;
    let compat = stop.call.is_some_and(|call| call.compat);
    let mut info = PtraceSyscallInfo {
        op: PTRACE_SYSCALL_INFO_NONE,
        arch: if compat { AUDIT_ARCH_I386 } else { AUDIT_ARCH_X86_64 },
        instruction_pointer: regs.rip,
        stack_pointer: regs.rsp,
        ..PtraceSyscallInfo::default()
    };
    let call = [regs.orig_rax, regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9];
    // The header takes 24 bytes.
    let len = match stop.kind {
        Kind::Entry => {
            info.op = PTRACE_SYSCALL_INFO_ENTRY;
            info.data[..7].copy_from_slice(&call);
            24 + 7 * 8
        }
        Kind::Seccomp(data) => {
            info.op = PTRACE_SYSCALL_INFO_SECCOMP;
            info.data[..7].copy_from_slice(&call);
            info.data[7] = u64::from(data);
            24 + 7 * 8 + 4
        }
        Kind::Exit => {
            info.op = PTRACE_SYSCALL_INFO_EXIT;
            info.data[0] = regs.rax;
            info.data[1] = u64::from(regs.rax.wrapping_neg().wrapping_sub(1) < MAX_ERRNO);
            24 + 8 + 1
        }
        Kind::Signal | Kind::Group | Kind::Event(_) => 24,
    };
    (info, len)
}
