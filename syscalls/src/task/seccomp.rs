//! seccomp(2), and prctl(2)'s older form of it.

use abi::seccomp::*;
use abi::{Errno, UserAddr};
use sentry::error::{Result, err};
use sentry::task::CurrentTask;
use sentry::user::UserPtr;

use crate::arg::low;

/// seccomp(2).
pub(crate) fn seccomp(task: &mut CurrentTask, operation: u32, flags: u32, args: UserAddr) -> Result<i32> {
    match operation {
        SECCOMP_SET_MODE_STRICT => match (flags, args.is_null()) {
            (0, true) => task.seccomp_strict().map(|()| 0),
            _ => err(Errno::EINVAL),
        },
        SECCOMP_SET_MODE_FILTER => {
            let flags = SeccompFilterFlags::from_bits(flags.into()).ok_or(Errno::EINVAL)?;
            install(task, flags, UserPtr::new(args))
        }
        SECCOMP_GET_ACTION_AVAIL => {
            if flags != 0 {
                return err(Errno::EINVAL);
            }
            match seccomp_action_name(task.mm().read(UserPtr::new(args))?) {
                Some(_) => Ok(0),
                None => err(Errno::EOPNOTSUPP),
            }
        }
        SECCOMP_GET_NOTIF_SIZES => {
            if flags != 0 {
                return err(Errno::EINVAL);
            }
            let size = |bytes: usize| u16::try_from(bytes).unwrap_or(0);
            let sizes = SeccompNotifSizes {
                seccomp_notif: size(size_of::<SeccompNotif>()),
                seccomp_notif_resp: size(size_of::<SeccompNotifResp>()),
                seccomp_data: size(size_of::<SeccompData>()),
            };
            task.mm().write(UserPtr::new(args), &sizes)?;
            Ok(0)
        }
        _ => err(Errno::EINVAL),
    }
}

/// PR_SET_SECCOMP.
pub(super) fn set_mode(task: &CurrentTask, mode: u64, program: UserPtr<SockFprog>) -> Result<()> {
    match low(mode) {
        SECCOMP_MODE_STRICT => task.seccomp_strict(),
        SECCOMP_MODE_FILTER => install(task, SeccompFilterFlags::empty(), program).map(|_| ()),
        _ => err(Errno::EINVAL),
    }
}

fn install(task: &CurrentTask, flags: SeccompFilterFlags, at: UserPtr<SockFprog>) -> Result<i32> {
    let program: SockFprog = task.mm().read(at)?;
    let len = usize::from(program.len);
    if len == 0 || len > BPF_MAXINSNS {
        return err(Errno::EINVAL);
    }
    let mut code = vec![SockFilter::default(); len];
    task.mm().read_slice(UserPtr::new(UserAddr(program.filter)), &mut code)?;
    task.seccomp_filter(flags, code)
}
