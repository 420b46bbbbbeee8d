//! timerfd_create(2), timerfd_settime(2), timerfd_gettime(2).

use abi::Errno;
use abi::capability::Cap;
use abi::epoll::{TimerfdFlags, TimerfdSetFlags};
use abi::fcntl::OpenFlags;
use abi::time::{CLOCK_TAI, Itimerspec};
use sentry::error::{Result, err};
use sentry::fs::timerfd::TimerFd;
use sentry::task::CurrentTask;
use sentry::time::Setting;
use sentry::user::UserPtr;
use sentry::vfs::File;

use super::clock::resolve;
use crate::arg::{Fd, flag_args};
use crate::fd::install;

flag_args! { TimerfdFlags: u32, TimerfdSetFlags: u32 }

/// timerfd_create(2).
pub(crate) fn timerfd_create(task: &mut CurrentTask, id: i32, flags: TimerfdFlags) -> Result<Fd> {
    let clock = resolve(task, id)?;
    if !TimerfdFlags::all().contains(flags) || !clock.is_timed() || clock.is_cpu() || id == CLOCK_TAI {
        return err(Errno::EINVAL);
    }
    if clock.is_alarm() && !task.creds().has(Cap::CAP_WAKE_ALARM) {
        return err(Errno::EPERM);
    }
    let ops = TimerFd::new(&task.kernel().clocks, clock, id);
    let mut open = OpenFlags::O_RDWR;
    open.set(OpenFlags::O_NONBLOCK, flags.contains(TimerfdFlags::TFD_NONBLOCK));
    let file = File::new_anonymous(ops, "anon_inode:[timerfd]", open);
    install(task, file, flags.contains(TimerfdFlags::TFD_CLOEXEC))
}

/// timerfd_settime(2). TFD_TIMER_CANCEL_ON_SET is accepted: the clock is never set from inside.
pub(crate) fn timerfd_settime(
    task: &mut CurrentTask,
    fd: Fd,
    flags: TimerfdSetFlags,
    new: UserPtr<Itimerspec>,
    old: UserPtr<Itimerspec>,
) -> Result<()> {
    let new = task.mm().read(new)?;
    if !TimerfdSetFlags::all().contains(flags) {
        return err(Errno::EINVAL);
    }
    new.it_interval.validate()?;
    new.it_value.validate()?;
    let file = task.files().get(fd.0)?;
    let timer = file.ops_as::<TimerFd>().ok_or(Errno::EINVAL)?;
    let absolute = flags.contains(TimerfdSetFlags::TFD_TIMER_ABSTIME);
    let left = timer.set(Setting::from_spec(&new, absolute), flags.bits());
    match old.non_null() {
        Some(old) => task.mm().write(old, &left),
        None => Ok(()),
    }
}

/// timerfd_gettime(2).
pub(crate) fn timerfd_gettime(task: &mut CurrentTask, fd: Fd, at: UserPtr<Itimerspec>) -> Result<()> {
    let file = task.files().get(fd.0)?;
    let left = file.ops_as::<TimerFd>().ok_or(Errno::EINVAL)?.remaining();
    task.mm().write(at, &left)
}
