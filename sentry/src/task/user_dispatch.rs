//! Syscall user dispatch, prctl(2) PR_SET_SYSCALL_USER_DISPATCH: a thread's calls come back to it as SIGSYS, unless they are
//! made from a range of code, or a byte of its memory lets them pass.
//!
//! A task that has it on carries [`Watch::DISPATCH`], so that others pay nothing. It is neither inherited nor kept over execve.
//!
//! [`Watch::DISPATCH`]: super::ptrace::Watch::DISPATCH

use abi::seccomp::{AUDIT_ARCH_I386, AUDIT_ARCH_X86_64};
use abi::siginfo::{SYS_USER_DISPATCH, SigInfo};
use abi::signal::Signal;
use abi::{Errno, UserAddr};
use platform::SyscallArgs;

use super::CurrentTask;
use super::ptrace::Watch;
use crate::error::{Result, err};
use crate::user::UserPtr;

/// What the byte may say.
const FILTER_ALLOW: u8 = 0;
const FILTER_BLOCK: u8 = 1;

/// Which calls come back.
#[derive(Clone, Copy, Debug)]
pub struct UserDispatch {
    /// Calls from `offset..offset + len` pass.
    pub offset: u64,
    /// See `offset`.
    pub len: u64,
    /// Where the byte is; null for none.
    pub selector: UserAddr,
}

impl CurrentTask {
    /// Turns it on or off. EINVAL for a range that wraps, EFAULT for a byte that no application has.
    pub fn set_user_dispatch(&mut self, dispatch: Option<UserDispatch>) -> Result<()> {
        let Some(dispatch) = dispatch else {
            self.clear_user_dispatch();
            return Ok(());
        };
        let end = dispatch.offset.wrapping_add(dispatch.len);
        if dispatch.offset != 0 && end <= dispatch.offset {
            return err(Errno::EINVAL);
        }
        if dispatch.selector.0 >= abi::TASK_SIZE {
            return err(Errno::EFAULT);
        }
        self.user_dispatch = Some(dispatch);
        self.task.ptrace.watch.set(Watch::DISPATCH);
        Ok(())
    }

    /// execve(2) turns it off.
    pub(super) fn clear_user_dispatch(&mut self) {
        if self.user_dispatch.take().is_some() {
            self.task.ptrace.watch.clear(Watch::DISPATCH);
        }
    }

    /// Whether a call is not made: SIGSYS is on its way, or the thread dies of a bad byte.
    pub(super) fn hand_back(&mut self, args: &SyscallArgs) -> bool {
        let Some(dispatch) = self.user_dispatch else { return false };
        if args.ip.0.wrapping_sub(dispatch.offset) < dispatch.len {
            return false;
        }
        if !dispatch.selector.is_null() {
            match self.mm().read(UserPtr::<u8>::new(dispatch.selector)) {
                Ok(FILTER_ALLOW) => return false,
                Ok(FILTER_BLOCK) => {}
                Ok(_) => {
                    self.roll_back(args);
                    self.force_fatal(SigInfo::kernel(Signal::SIGSYS));
                    return true;
                }
                Err(_) => {
                    self.roll_back(args);
                    self.force_fatal(SigInfo::kernel(Signal::SIGSEGV));
                    return true;
                }
            }
        }
        self.roll_back(args);
        let arch = if args.compat { AUDIT_ARCH_I386 } else { AUDIT_ARCH_X86_64 };
        let number = i32::from_ne_bytes(args.nr.to_ne_bytes()[..4].try_into().unwrap_or_default());
        self.force_signal(SigInfo::sys(SYS_USER_DISPATCH, args.ip.0, number, arch, 0));
        true
    }
}
