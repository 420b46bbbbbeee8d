//! The calls that take over from futex(2): futex_waitv(2), futex_wake(2), futex_wait(2), futex_requeue(2).

use abi::futex::{FUTEX_WAITV_MAX, FUTEX2_SIZE_MASK, Futex2Flags, FutexWaitv};
use abi::time::{CLOCK_MONOTONIC, CLOCK_REALTIME, Timespec};
use abi::{Errno, UserAddr};
use sentry::error::{Result, SysResult, err};
use sentry::futex::{Requeue, Until, Wanted};
use sentry::task::CurrentTask;
use sentry::time::Clock;
use sentry::user::UserPtr;

use super::futex::absolute;
use crate::arg::flag_args;

flag_args! { Futex2Flags: u32 }

/// futex_waitv(2).
pub(crate) fn futex_waitv(
    task: &mut CurrentTask,
    list: UserPtr<FutexWaitv>,
    count: u32,
    flags: u32,
    timeout: UserPtr<Timespec>,
    clock: i32,
) -> SysResult {
    if flags != 0 || count == 0 || count > FUTEX_WAITV_MAX || list.is_null() {
        return err(Errno::EINVAL);
    }
    let until = deadline(task, timeout, clock)?;
    let wanted: Vec<_> = read_list(task, list, count)?;
    task.futex_waitv(&wanted, until.as_ref())
}

/// futex_wake(2).
pub(crate) fn futex_wake(
    task: &mut CurrentTask,
    addr: UserAddr,
    mask: u64,
    count: i32,
    flags: Futex2Flags,
) -> SysResult {
    let shared = is_shared(flags)?;
    let mask = word(mask)?;
    if mask == 0 {
        return err(Errno::EINVAL);
    }
    let key = task.futex_key(addr, shared)?;
    // Unlike the old call, none means none.
    match usize::try_from(count) {
        Ok(0) => Ok(0),
        Ok(count) => task.kernel().futexes.wake(key, mask, count).map(as_ret),
        Err(_) => task.kernel().futexes.wake(key, mask, 1).map(as_ret),
    }
}

/// futex_wait(2).
pub(crate) fn futex_wait(
    task: &mut CurrentTask,
    addr: UserAddr,
    value: u64,
    mask: u64,
    flags: Futex2Flags,
    timeout: UserPtr<Timespec>,
    clock: i32,
) -> SysResult {
    let shared = is_shared(flags)?;
    let (value, mask) = (word(value)?, word(mask)?);
    let until = deadline(task, timeout, clock)?;
    task.futex_wait(addr, shared, value, mask, until.as_ref())
}

/// futex_requeue(2).
pub(crate) fn futex_requeue(
    task: &mut CurrentTask,
    pair: UserPtr<FutexWaitv>,
    flags: u32,
    wake: i32,
    requeue: i32,
) -> SysResult {
    if flags != 0 || pair.is_null() {
        return err(Errno::EINVAL);
    }
    let pair = read_list(task, pair, 2)?;
    let [from, to] = pair.as_slice() else { return err(Errno::EINVAL) };
    let count = |n: i32| usize::try_from(n).map_err(|_| Errno::EINVAL);
    let counts = Requeue { wake: count(wake)?, requeue: count(requeue)? };
    let keys = [task.futex_key(from.addr, from.shared)?, task.futex_key(to.addr, to.shared)?];
    let check = || if task.mm().load_u32(from.addr)? == from.value { Ok(()) } else { err(Errno::EAGAIN) };
    task.kernel().futexes.requeue(keys, counts, check).map(as_ret)
}

fn read_list(task: &CurrentTask, list: UserPtr<FutexWaitv>, count: u32) -> Result<Vec<Wanted>> {
    let count = usize::try_from(count).map_err(|_| Errno::EINVAL)?;
    (0..count)
        .map(|i| {
            let entry = task.mm().read(list.at(i)?)?;
            if entry._reserved != 0 {
                return err(Errno::EINVAL);
            }
            let shared = is_shared(Futex2Flags::from_bits_retain(entry.flags))?;
            Ok(Wanted { addr: UserAddr(entry.uaddr), value: word(entry.val)?, shared })
        })
        .collect()
}

/// Only 32-bit words exist so far.
fn is_shared(flags: Futex2Flags) -> Result<bool> {
    let private = Futex2Flags::FUTEX2_PRIVATE;
    let size = flags.bits() & FUTEX2_SIZE_MASK;
    if size != Futex2Flags::FUTEX2_SIZE_U32.bits() || flags.bits() & !(FUTEX2_SIZE_MASK | private.bits()) != 0 {
        return err(Errno::EINVAL);
    }
    Ok(!flags.contains(private))
}

/// A value that fits the word.
fn word(value: u64) -> Result<u32> {
    u32::try_from(value).map_err(|_| Errno::EINVAL.into())
}

fn deadline(task: &CurrentTask, timeout: UserPtr<Timespec>, clock: i32) -> Result<Until> {
    if timeout.is_null() {
        return Ok(None);
    }
    let clock = match clock {
        CLOCK_MONOTONIC => Clock::monotonic_of(task),
        CLOCK_REALTIME => Clock::REALTIME,
        _ => return err(Errno::EINVAL),
    };
    absolute(task, clock, timeout)
}

fn as_ret(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
