//! clone(2), clone3(2), fork(2), vfork(2), unshare(2).

use abi::sched::{CLONE_ARGS_SIZE_VER0, CSIGNAL, CloneArgs, CloneFlags, MAX_PID_NS_LEVEL};
use abi::signal::Signal;
use abi::{Errno, PAGE_SIZE, TASK_SIZE, UserAddr};
use sentry::error::{Result, err};
use sentry::task::{CloneRequest, CurrentTask};
use sentry::user::UserPtr;
use zerocopy::IntoBytes;

use crate::arg::low;

/// fork(2).
pub(crate) fn fork(task: &mut CurrentTask) -> Result<i32> {
    task.clone_task(&CloneRequest::fork(CloneFlags::empty()))
}

/// vfork(2).
pub(crate) fn vfork(task: &mut CurrentTask) -> Result<i32> {
    task.clone_task(&CloneRequest::fork(CloneFlags::CLONE_VM | CloneFlags::CLONE_VFORK))
}

/// clone(2). Only the low 32 bits of the flags count; the lowest eight are the exit signal.
pub(crate) fn clone(
    task: &mut CurrentTask,
    flags: u64,
    stack: u64,
    parent_tid: UserPtr<i32>,
    child_tid: UserPtr<i32>,
    tls: u64,
) -> Result<i32> {
    let bits = u64::from(low(flags));
    let flags = CloneFlags::from_bits_retain(bits & !CSIGNAL);
    if flags.contains(CloneFlags::CLONE_PIDFD | CloneFlags::CLONE_PARENT_SETTID) {
        // Both want the same argument.
        return err(Errno::EINVAL);
    }
    task.clone_task(&CloneRequest {
        flags,
        exit_signal: i32::try_from(bits & CSIGNAL).ok().and_then(|n| Signal::new(n).ok()),
        stack: (stack != 0).then_some(stack),
        pidfd: parent_tid,
        child_tid,
        parent_tid,
        tls,
        set_tid: Vec::new(),
    })
}

/// clone3(2). Without CLONE_INTO_CGROUP.
pub(crate) fn clone3(task: &mut CurrentTask, args: UserPtr<CloneArgs>, size: usize) -> Result<i32> {
    let args = read_args(task, args, size)?;
    let flags = CloneFlags::from_bits(args.flags).ok_or(Errno::EINVAL)?;
    let legacy_bits = CSIGNAL & !CloneFlags::CLONE_NEWTIME.bits();
    if args.flags & legacy_bits != 0
        || flags.contains(CloneFlags::CLONE_DETACHED)
        || flags.contains(CloneFlags::CLONE_SIGHAND | CloneFlags::CLONE_CLEAR_SIGHAND)
        || flags.contains(CloneFlags::CLONE_INTO_CGROUP)
    {
        return err(Errno::EINVAL);
    }
    let exit_signal = match args.exit_signal {
        0 => None,
        n => Some(Signal::new(i32::try_from(n).map_err(|_| Errno::EINVAL)?)?),
    };
    if exit_signal.is_some() && flags.intersects(CloneFlags::CLONE_THREAD | CloneFlags::CLONE_PARENT) {
        return err(Errno::EINVAL);
    }
    task.clone_task(&CloneRequest {
        flags,
        exit_signal,
        stack: stack_top(&args)?,
        pidfd: UserPtr::new(UserAddr(args.pidfd)),
        child_tid: UserPtr::new(UserAddr(args.child_tid)),
        parent_tid: UserPtr::new(UserAddr(args.parent_tid)),
        tls: args.tls,
        set_tid: set_tid(task, &args)?,
    })
}

/// unshare(2).
pub(crate) fn unshare(task: &mut CurrentTask, flags: u64) -> Result<()> {
    task.unshare(CloneFlags::from_bits_retain(flags))
}

/// Reads a structure that may be of an older or newer version than ours.
fn read_args(task: &CurrentTask, at: UserPtr<CloneArgs>, size: usize) -> Result<CloneArgs> {
    if size > usize::try_from(PAGE_SIZE).unwrap_or(usize::MAX) {
        return err(Errno::E2BIG);
    }
    if size < CLONE_ARGS_SIZE_VER0 {
        return err(Errno::EINVAL);
    }
    let mut args = CloneArgs::default();
    let known = size.min(size_of::<CloneArgs>());
    task.mm().read_bytes(at.addr(), &mut args.as_mut_bytes()[..known])?;
    let mut rest = vec![0; size - known];
    let after = at.addr().checked_add(u64::try_from(known).unwrap_or(u64::MAX))?;
    task.mm().read_bytes(after, &mut rest)?;
    if rest.iter().any(|byte| *byte != 0) { err(Errno::E2BIG) } else { Ok(args) }
}

fn stack_top(args: &CloneArgs) -> Result<Option<u64>> {
    match (args.stack, args.stack_size) {
        (0, 0) => Ok(None),
        (0, _) | (_, 0) => err(Errno::EINVAL),
        (stack, size) => match stack.checked_add(size) {
            Some(top) if top <= TASK_SIZE => Ok(Some(top)),
            _ => err(Errno::EINVAL),
        },
    }
}

fn set_tid(task: &CurrentTask, args: &CloneArgs) -> Result<Vec<i32>> {
    if args.set_tid_size > MAX_PID_NS_LEVEL || (args.set_tid == 0) != (args.set_tid_size == 0) {
        return err(Errno::EINVAL);
    }
    let at = UserPtr::<i32>::new(UserAddr(args.set_tid));
    let count = usize::try_from(args.set_tid_size).map_err(|_| Errno::EINVAL)?;
    (0..count).map(|index| task.mm().read(at.at(index)?)).collect()
}
