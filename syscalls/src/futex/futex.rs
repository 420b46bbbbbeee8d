//! futex(2).

use abi::futex::{
    FUTEX_BITSET_MATCH_ANY, FUTEX_CLOCK_REALTIME, FUTEX_CMD_MASK, FUTEX_CMP_REQUEUE, FUTEX_CMP_REQUEUE_PI,
    FUTEX_LOCK_PI, FUTEX_LOCK_PI2, FUTEX_PRIVATE_FLAG, FUTEX_REQUEUE, FUTEX_TRYLOCK_PI, FUTEX_UNLOCK_PI, FUTEX_WAIT,
    FUTEX_WAIT_BITSET, FUTEX_WAIT_REQUEUE_PI, FUTEX_WAKE, FUTEX_WAKE_BITSET, FUTEX_WAKE_OP,
};
use abi::time::Timespec;
use abi::{Errno, UserAddr};
use sentry::error::{Result, SysResult, err};
use sentry::futex::{Deadline, Requeue, Until, WakeOp};
use sentry::task::CurrentTask;
use sentry::time::Clock;
use sentry::user::UserPtr;

use crate::arg::low;

/// futex(2). `timeout` is a pointer for the operations that wait, a number for those that move waiters.
pub(crate) fn futex(
    task: &mut CurrentTask,
    addr: UserAddr,
    op: u32,
    value: u32,
    timeout: u64,
    addr2: UserAddr,
    value3: u32,
) -> SysResult {
    let call = Call { addr, addr2, value, value3, value2: low(timeout), shared: op & FUTEX_PRIVATE_FLAG == 0 };
    let command = op & FUTEX_CMD_MASK;
    let realtime = op & FUTEX_CLOCK_REALTIME != 0;
    if realtime && !matches!(command, FUTEX_WAIT_BITSET | FUTEX_WAIT_REQUEUE_PI | FUTEX_LOCK_PI2) {
        return err(Errno::ENOSYS);
    }
    let at = UserPtr::new(UserAddr(timeout));
    let clock = if realtime { Clock::REALTIME } else { Clock::monotonic_of(task) };
    match command {
        FUTEX_WAIT => wait(task, &call, at),
        FUTEX_WAIT_BITSET => match absolute(task, clock, at)? {
            None => task.futex_wait(addr, call.shared, value, value3, None),
            Some(until) => task.futex_wait_for(addr, call.shared, value, value3, until),
        },
        FUTEX_WAKE => wake(task, &call, FUTEX_BITSET_MATCH_ANY),
        FUTEX_WAKE_BITSET => wake(task, &call, value3),
        FUTEX_WAKE_OP => wake_op(task, &call),
        FUTEX_REQUEUE => requeue(task, &call, None),
        FUTEX_CMP_REQUEUE => requeue(task, &call, Some(value3)),
        FUTEX_LOCK_PI | FUTEX_LOCK_PI2 => {
            // The older of the two always meant CLOCK_REALTIME.
            let clock = if command == FUTEX_LOCK_PI { Clock::REALTIME } else { clock };
            let until = absolute(task, clock, at)?;
            task.futex_lock_pi(addr, call.shared, until.as_ref(), false)
        }
        FUTEX_TRYLOCK_PI => task.futex_lock_pi(addr, call.shared, None, true),
        FUTEX_UNLOCK_PI => task.futex_unlock_pi(addr, call.shared),
        FUTEX_WAIT_REQUEUE_PI => {
            let until = absolute(task, clock, at)?;
            task.futex_wait_requeue_pi(addr, value, FUTEX_BITSET_MATCH_ANY, addr2, call.shared, until.as_ref())
        }
        FUTEX_CMP_REQUEUE_PI => {
            if value != 1 {
                return err(Errno::EINVAL);
            }
            task.futex_cmp_requeue_pi(addr, addr2, value3, not_negative(call.value2)?, call.shared)
        }
        _ => err(Errno::ENOSYS),
    }
}

struct Call {
    addr: UserAddr,
    addr2: UserAddr,
    value: u32,
    value2: u32,
    value3: u32,
    shared: bool,
}

fn wait(task: &mut CurrentTask, call: &Call, timeout: UserPtr<Timespec>) -> SysResult {
    let (addr, shared, value, any) = (call.addr, call.shared, call.value, FUTEX_BITSET_MATCH_ANY);
    match absolute(task, Clock::MONOTONIC, timeout)? {
        None => task.futex_wait(addr, shared, value, any, None),
        Some(Deadline { clock, at }) => {
            let at = task.kernel().clocks.monotonic().saturating_add(at);
            task.futex_wait_for(addr, shared, value, any, Deadline { clock, at })
        }
    }
}

fn wake(task: &CurrentTask, call: &Call, bitset: u32) -> SysResult {
    if bitset == 0 {
        return err(Errno::EINVAL);
    }
    let key = task.futex_key(call.addr, call.shared)?;
    task.kernel().futexes.wake(key, bitset, at_least_one(call.value)).map(as_ret)
}

fn wake_op(task: &CurrentTask, call: &Call) -> SysResult {
    let op = WakeOp::decode(call.value3)?;
    let keys = [task.futex_key(call.addr, call.shared)?, task.futex_key(call.addr2, call.shared)?];
    let counts = [at_least_one(call.value), at_least_one(call.value2)];
    let change = || Ok(op.holds(task.mm().fetch_update_u32(call.addr2, |old| op.apply(old))?));
    task.kernel().futexes.wake_op(keys, counts, change).map(as_ret)
}

fn requeue(task: &CurrentTask, call: &Call, expected: Option<u32>) -> SysResult {
    let counts = Requeue { wake: not_negative(call.value)?, requeue: not_negative(call.value2)? };
    let keys = [task.futex_key(call.addr, call.shared)?, task.futex_key(call.addr2, call.shared)?];
    let check = || match expected {
        Some(expected) if task.mm().load_u32(call.addr)? != expected => err(Errno::EAGAIN),
        _ => Ok(()),
    };
    task.kernel().futexes.requeue(keys, counts, check).map(as_ret)
}

/// A time on a clock; `None` for a null pointer.
pub(super) fn absolute(task: &CurrentTask, clock: Clock, at: UserPtr<Timespec>) -> Result<Until> {
    let Some(at) = at.non_null() else { return Ok(None) };
    let at = task.mm().read(at)?.validate()?.to_nanos_saturating();
    Ok(Some(Deadline { clock, at }))
}

/// How many to wake: a C int, of which Linux makes at least one.
pub(super) fn at_least_one(count: u32) -> usize {
    usize::try_from(count.cast_signed()).unwrap_or(1).max(1)
}

fn not_negative(count: u32) -> Result<usize> {
    usize::try_from(count.cast_signed()).map_err(|_| Errno::EINVAL.into())
}

fn as_ret(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
