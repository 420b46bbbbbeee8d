//! prctl(2).

use abi::capability::{Cap, CapSet, Securebits};
use abi::limits::TASK_COMM_LEN;
use abi::prctl::*;
use abi::signal::Signal;
use abi::{Errno, UserAddr};
use sentry::error::{Result, err};
use sentry::task::{Comm, CurrentTask, UserDispatch};
use sentry::user::UserPtr;

use super::creds::change;
use crate::arg::low;
use crate::mm::name::set_anonymous_name;

/// prctl(2). Options about hardware we do not have answer EINVAL, as a kernel built without them.
pub(crate) fn prctl(task: &mut CurrentTask, option: u32, arg2: u64, arg3: u64, arg4: u64, arg5: u64) -> Result<i32> {
    let unused = |args: &[u64]| if args.iter().all(|arg| *arg == 0) { Ok(()) } else { err(Errno::EINVAL) };
    match option {
        PR_SET_NAME => set_name(task, arg2),
        PR_GET_NAME => done(task.mm().write_bytes(UserAddr(arg2), &task.comm().padded())),
        PR_SET_PDEATHSIG => set_parent_death_signal(task, arg2),
        PR_GET_PDEATHSIG => {
            let number = task.parent_death_signal().map_or(0, Signal::number);
            done(task.mm().write(UserPtr::new(UserAddr(arg2)), &number))
        }
        PR_GET_DUMPABLE => Ok(task.group().dumpable().cast_signed()),
        PR_SET_DUMPABLE => match arg2 {
            SUID_DUMP_DISABLE | SUID_DUMP_USER => {
                task.group().set_dumpable(low(arg2));
                Ok(0)
            }
            _ => err(Errno::EINVAL),
        },
        PR_GET_KEEPCAPS => flag(task.creds().securebits.contains(Securebits::SECBIT_KEEP_CAPS)),
        PR_SET_KEEPCAPS => {
            let keep = switch(arg2)?;
            done(change(task, |creds| creds.with_keep_caps(keep)))
        }
        PR_CAPBSET_READ => flag(task.creds().bounding.contains(Cap::new(arg2).ok_or(Errno::EINVAL)?)),
        PR_CAPBSET_DROP => {
            if !task.creds().has(Cap::CAP_SETPCAP) {
                return err(Errno::EPERM);
            }
            let cap = Cap::new(arg2).ok_or(Errno::EINVAL)?;
            done(change(task, |creds| creds.without_bounding(cap)))
        }
        PR_GET_SECUREBITS => Ok(task.creds().securebits.bits().cast_signed()),
        PR_SET_SECUREBITS => {
            let bits = u32::try_from(arg2).map_err(|_| Errno::EPERM)?;
            done(change(task, |creds| creds.with_securebits(bits)))
        }
        PR_CAP_AMBIENT => {
            unused(&[arg4, arg5])?;
            ambient(task, arg2, arg3)
        }
        PR_SET_NO_NEW_PRIVS => {
            unused(&[arg3, arg4, arg5])?;
            if arg2 != 1 {
                return err(Errno::EINVAL);
            }
            done(change(task, |creds| {
                let mut new = creds.clone();
                new.no_new_privs = true;
                Ok(new)
            }))
        }
        PR_GET_NO_NEW_PRIVS => {
            unused(&[arg2, arg3, arg4, arg5])?;
            flag(task.creds().no_new_privs)
        }
        PR_SET_CHILD_SUBREAPER => {
            task.group().set_subreaper(arg2 != 0);
            Ok(0)
        }
        PR_GET_CHILD_SUBREAPER => {
            let on = i32::from(task.group().is_subreaper());
            done(task.mm().write(UserPtr::new(UserAddr(arg2)), &on))
        }
        PR_SET_TIMERSLACK => {
            task.set_timer_slack((arg2.cast_signed() > 0).then_some(arg2));
            Ok(0)
        }
        PR_SET_VMA if arg2 == PR_SET_VMA_ANON_NAME => {
            done(set_anonymous_name(task, UserAddr(arg3), arg4, UserAddr(arg5)))
        }
        PR_GET_TIMERSLACK => Ok(i32::try_from(task.timer_slack()).unwrap_or(i32::MAX)),
        PR_GET_TIMING => Ok(0),
        PR_SET_TIMING if arg2 == PR_TIMING_STATISTICAL => Ok(0),
        PR_GET_TSC => done(task.mm().write(UserPtr::new(UserAddr(arg2)), &low(PR_TSC_ENABLE))),
        PR_SET_TSC if arg2 == PR_TSC_ENABLE => Ok(0),
        PR_GET_TID_ADDRESS => done(task.mm().write(UserPtr::new(UserAddr(arg2)), &task.clear_child_tid().0)),
        PR_TASK_PERF_EVENTS_DISABLE | PR_TASK_PERF_EVENTS_ENABLE => Ok(0),
        PR_MCE_KILL => {
            unused(&[arg4, arg5])?;
            machine_checks(arg2, arg3)
        }
        PR_MCE_KILL_GET => {
            unused(&[arg2, arg3, arg4, arg5])?;
            Ok(low(PR_MCE_KILL_DEFAULT).cast_signed())
        }
        PR_GET_SECCOMP => Ok(task.seccomp_mode().cast_signed()),
        PR_SET_SECCOMP => done(super::seccomp::set_mode(task, arg2, UserPtr::new(UserAddr(arg3)))),
        PR_SET_THP_DISABLE => {
            unused(&[arg3, arg4, arg5])?;
            task.group().set_thp_disabled(arg2 != 0);
            Ok(0)
        }
        PR_GET_THP_DISABLE => {
            unused(&[arg2, arg3, arg4, arg5])?;
            flag(task.group().is_thp_disabled())
        }
        PR_GET_SPECULATION_CTRL => {
            unused(&[arg3, arg4, arg5])?;
            known_speculation(arg2)?;
            Ok(low(PR_SPEC_NOT_AFFECTED).cast_signed())
        }
        PR_SET_SPECULATION_CTRL => {
            unused(&[arg4, arg5])?;
            known_speculation(arg2)?;
            err(Errno::ENXIO)
        }
        PR_SET_IO_FLUSHER | PR_GET_IO_FLUSHER if !task.creds().has(Cap::CAP_SYS_RESOURCE) => err(Errno::EPERM),
        PR_GET_IO_FLUSHER => Ok(0),
        PR_SET_IO_FLUSHER => switch(arg2).map(|_| 0),
        PR_SET_SYSCALL_USER_DISPATCH => done(user_dispatch(task, arg2, arg3, arg4, UserAddr(arg5))),
        // Yama's: without it there is nobody to ask.
        PR_SET_PTRACER => err(Errno::EINVAL),
        _ => err(Errno::EINVAL),
    }
}

/// PR_SET_SYSCALL_USER_DISPATCH.
fn user_dispatch(task: &mut CurrentTask, mode: u64, offset: u64, len: u64, selector: UserAddr) -> Result<()> {
    match mode {
        PR_SYS_DISPATCH_OFF if offset == 0 && len == 0 && selector.is_null() => task.set_user_dispatch(None),
        PR_SYS_DISPATCH_ON => task.set_user_dispatch(Some(UserDispatch { offset, len, selector })),
        _ => err(Errno::EINVAL),
    }
}

fn done(result: Result<()>) -> Result<i32> {
    result.map(|()| 0)
}

fn flag(on: bool) -> Result<i32> {
    Ok(i32::from(on))
}

fn switch(arg: u64) -> Result<bool> {
    match arg {
        0 => Ok(false),
        1 => Ok(true),
        _ => err(Errno::EINVAL),
    }
}

fn set_name(task: &CurrentTask, at: u64) -> Result<i32> {
    // A longer name is cut, without an error.
    let mut name = Vec::with_capacity(TASK_COMM_LEN);
    for index in 0..TASK_COMM_LEN - 1 {
        match task.mm().read(UserPtr::<u8>::new(UserAddr(at)).at(index)?)? {
            0 => break,
            byte => name.push(byte),
        }
    }
    task.set_comm(Comm::new(&name));
    Ok(0)
}

fn set_parent_death_signal(task: &CurrentTask, number: u64) -> Result<i32> {
    let signal = match number {
        0 => None,
        n => Some(Signal::new(i32::try_from(n).map_err(|_| Errno::EINVAL)?)?),
    };
    task.set_parent_death_signal(signal);
    Ok(0)
}

fn ambient(task: &mut CurrentTask, operation: u64, cap: u64) -> Result<i32> {
    if operation == PR_CAP_AMBIENT_CLEAR_ALL {
        if cap != 0 {
            return err(Errno::EINVAL);
        }
        return done(change(task, |creds| {
            let mut new = creds.clone();
            new.ambient = CapSet::EMPTY;
            Ok(new)
        }));
    }
    let cap = Cap::new(cap).ok_or(Errno::EINVAL)?;
    match operation {
        PR_CAP_AMBIENT_IS_SET => flag(task.creds().ambient.contains(cap)),
        PR_CAP_AMBIENT_RAISE => done(change(task, |creds| creds.with_ambient(cap))),
        PR_CAP_AMBIENT_LOWER => done(change(task, |creds| {
            let mut new = creds.clone();
            new.ambient.remove(cap);
            Ok(new)
        })),
        _ => err(Errno::EINVAL),
    }
}

fn machine_checks(policy: u64, when: u64) -> Result<i32> {
    match policy {
        PR_MCE_KILL_CLEAR if when == 0 => Ok(0),
        PR_MCE_KILL_SET if matches!(when, PR_MCE_KILL_LATE | PR_MCE_KILL_EARLY | PR_MCE_KILL_DEFAULT) => Ok(0),
        _ => err(Errno::EINVAL),
    }
}

fn known_speculation(which: u64) -> Result<()> {
    match which {
        PR_SPEC_STORE_BYPASS | PR_SPEC_INDIRECT_BRANCH | PR_SPEC_L1D_FLUSH => Ok(()),
        _ => err(Errno::ENODEV),
    }
}
