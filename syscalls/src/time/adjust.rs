//! adjtimex(2), clock_adjtime(2): the state of the clock may be read; steering it is the host's business.

use abi::Errno;
use abi::time::{AdjFlags, CLOCK_REALTIME, STA_UNSYNC, TIME_ERROR, Timeval, Timex, USER_HZ};
use sentry::error::{Result, err};
use sentry::task::CurrentTask;
use sentry::user::UserPtr;

use super::clock::resolve;

/// The bit of adjtime(3), and the one that must come with it.
const ADJ_ADJTIME: u32 = 0x8000;
const ADJ_OFFSET_SINGLESHOT: u32 = 0x1;

/// adjtimex(2).
pub(crate) fn adjtimex(task: &mut CurrentTask, at: UserPtr<Timex>) -> Result<i32> {
    let asked = task.mm().read(at)?;
    let modes = AdjFlags::from_bits_retain(asked.modes);
    let adjusts = modes.bits() & ADJ_ADJTIME != 0;
    if adjusts && modes.bits() & ADJ_OFFSET_SINGLESHOT == 0 {
        return err(Errno::EINVAL);
    }
    if !modes.is_empty() && modes != AdjFlags::ADJ_OFFSET_SS_READ {
        return err(Errno::EPERM);
    }
    let now = task.kernel().clocks.realtime().to_nanos_saturating();
    let state = Timex {
        modes: asked.modes,
        maxerror: 16_000_000,
        esterror: 16_000_000,
        status: STA_UNSYNC,
        constant: 2,
        precision: 1,
        tolerance: 32_768_000,
        tick: 1_000_000 / i64::try_from(USER_HZ).unwrap_or(1),
        time: Timeval::from_nanos(now),
        ..Timex::default()
    };
    task.mm().write(at, &state)?;
    // The clock does not say that it is synchronised.
    Ok(TIME_ERROR)
}

/// clock_adjtime(2).
pub(crate) fn clock_adjtime(task: &mut CurrentTask, id: i32, at: UserPtr<Timex>) -> Result<i32> {
    resolve(task, id)?;
    if id != CLOCK_REALTIME {
        return err(Errno::EOPNOTSUPP);
    }
    adjtimex(task, at)
}
