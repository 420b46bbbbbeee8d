//! Sleeping: nanosleep(2) and clock_nanosleep(2). The task parks with a deadline; no timer is involved.

use abi::Errno;
use abi::time::Timespec;

use super::Clock;
use crate::error::{Restart, Result, SysResult};
use crate::task::CurrentTask;
use crate::user::UserPtr;

impl CurrentTask {
    /// Sleeps until `clock` says `at`, in nanoseconds. A signal ends it with [`Restart::Sys`].
    pub fn sleep_until(&self, clock: &Clock, at: i64) -> Result<()> {
        loop {
            // A clock that was set back, or a CPU clock that stood still, needs another look.
            let Some(now) = clock.now().filter(|now| *now < at) else { return Ok(()) };
            let deadline = clock.when(&self.kernel().clocks, now, at, clock.pace());
            self.parker().reset();
            match self.park(deadline) {
                Ok(()) => {}
                Err(e) if e.is(Errno::ETIMEDOUT) => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// The relative sleep of nanosleep(2): interrupted, it stores what is left and can be continued.
    pub fn nanosleep(&mut self, clock: Clock, at: i64, left: UserPtr<Timespec>) -> SysResult {
        match self.sleep_until(&clock, at) {
            Ok(()) => Ok(0),
            Err(_) => {
                let rest = at.saturating_sub(clock.now().unwrap_or(at));
                if rest <= 0 {
                    return Ok(0);
                }
                if let Some(left) = left.non_null() {
                    self.mm().write(left, &Timespec::from_nanos(rest))?;
                }
                self.set_restart_block(Box::new(move |task| task.nanosleep(clock, at, left)));
                Err(Restart::Block.into())
            }
        }
    }

    /// The absolute sleep of clock_nanosleep(2): interrupted, it is simply made again.
    pub fn nanosleep_until(&self, clock: &Clock, at: i64) -> SysResult {
        self.sleep_until(clock, at).map(|()| 0).map_err(|_| Restart::NoHand.into())
    }
}
