//! name_to_handle_at(2), open_by_handle_at(2): no file system here has handles.

use abi::Errno;
use abi::capability::Cap;
use abi::fcntl::{AtFlags, FileHandleHeader, OpenFlags};
use sentry::error::{Result, err};
use sentry::task::CurrentTask;
use sentry::user::{UserCStr, UserPtr};

use crate::arg::Fd;
use crate::path::lookup_at;

/// name_to_handle_at(2): EOPNOTSUPP for what exists.
pub(crate) fn name_to_handle_at(
    task: &mut CurrentTask,
    dir: Fd,
    path: UserCStr,
    _handle: UserPtr<FileHandleHeader>,
    _mount: UserPtr<i32>,
    flags: AtFlags,
) -> Result<()> {
    let mut how = flags & AtFlags::AT_EMPTY_PATH;
    how.set(AtFlags::AT_SYMLINK_NOFOLLOW, !flags.contains(AtFlags::AT_SYMLINK_FOLLOW));
    lookup_at(task, dir, path, how)?;
    err(Errno::EOPNOTSUPP)
}

/// open_by_handle_at(2): EPERM without CAP_DAC_READ_SEARCH; no handle is known (ESTALE).
pub(crate) fn open_by_handle_at(
    task: &mut CurrentTask,
    _mount: Fd,
    _handle: UserPtr<FileHandleHeader>,
    _flags: OpenFlags,
) -> Result<()> {
    if task.creds().has_in_root(Cap::CAP_DAC_READ_SEARCH) { err(Errno::ESTALE) } else { err(Errno::EPERM) }
}
