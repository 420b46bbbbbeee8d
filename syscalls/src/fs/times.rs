//! utimensat(2) and its elders.

use abi::Errno;
use abi::fcntl::{AT_FDCWD, AtFlags};
use abi::stat::{UTIME_NOW, UTIME_OMIT};
use abi::time::{Timespec, Timeval};
use sentry::error::{Result, err};
use sentry::task::CurrentTask;
use sentry::user::{UserCStr, UserPtr};
use sentry::vfs::{SetTime, setattr};

use crate::arg::Fd;
use crate::path::{descriptor, lookup, lookup_at};

type Times = (Option<SetTime>, Option<SetTime>);

const NOW: Times = (Some(SetTime::Now), Some(SetTime::Now));

/// utimensat(2): access and modification time; without a path, of the descriptor itself.
pub(crate) fn utimensat(
    task: &mut CurrentTask,
    dir: Fd,
    path: UserCStr,
    times: UserPtr<[Timespec; 2]>,
    flags: AtFlags,
) -> Result<()> {
    let times = match times.non_null() {
        None => NOW,
        Some(times) => {
            let [atime, mtime] = task.mm().read(times)?;
            (exact(atime)?, exact(mtime)?)
        }
    };
    if times == (None, None) {
        return Ok(());
    }
    if path.0.is_null() && dir.0 != AT_FDCWD {
        if !flags.is_empty() {
            return err(Errno::EINVAL);
        }
        let file = task.files().get(dir.0)?;
        return setattr::utimes(task.creds(), file.path(), times.0, times.1);
    }
    if !(AtFlags::AT_SYMLINK_NOFOLLOW | AtFlags::AT_EMPTY_PATH).contains(flags) {
        return err(Errno::EINVAL);
    }
    let path = lookup_at(task, dir, path, flags)?;
    setattr::utimes(task.creds(), &path, times.0, times.1)
}

/// utimes(2): in microseconds.
pub(crate) fn utimes(task: &mut CurrentTask, path: UserCStr, times: UserPtr<[Timeval; 2]>) -> Result<()> {
    futimesat(task, Fd(AT_FDCWD), path, times)
}

/// futimesat(2): utimes(2) relative to a directory.
pub(crate) fn futimesat(task: &mut CurrentTask, dir: Fd, path: UserCStr, times: UserPtr<[Timeval; 2]>) -> Result<()> {
    let times = match times.non_null() {
        None => NOW,
        Some(times) => {
            let [atime, mtime] = task.mm().read(times)?;
            (micros(atime)?, micros(mtime)?)
        }
    };
    let path = if path.0.is_null() { descriptor(task, dir)? } else { lookup(task, dir, path, true)? };
    setattr::utimes(task.creds(), &path, times.0, times.1)
}

/// utime(2): in seconds.
pub(crate) fn utime(task: &mut CurrentTask, path: UserCStr, times: UserPtr<[i64; 2]>) -> Result<()> {
    let times = match times.non_null() {
        None => NOW,
        Some(times) => {
            let seconds = |tv_sec| Some(SetTime::At(Timespec { tv_sec, tv_nsec: 0 }));
            let [atime, mtime] = task.mm().read(times)?;
            (seconds(atime), seconds(mtime))
        }
    };
    let path = lookup(task, Fd(AT_FDCWD), path, true)?;
    setattr::utimes(task.creds(), &path, times.0, times.1)
}

fn exact(time: Timespec) -> Result<Option<SetTime>> {
    match time.tv_nsec {
        UTIME_NOW => Ok(Some(SetTime::Now)),
        UTIME_OMIT => Ok(None),
        0..=999_999_999 => Ok(Some(SetTime::At(time))),
        _ => err(Errno::EINVAL),
    }
}

fn micros(time: Timeval) -> Result<Option<SetTime>> {
    match time.tv_usec {
        0..=999_999 => Ok(Some(SetTime::At(Timespec { tv_sec: time.tv_sec, tv_nsec: time.tv_usec * 1000 }))),
        _ => err(Errno::EINVAL),
    }
}
