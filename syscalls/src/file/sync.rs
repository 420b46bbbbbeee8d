//! fsync(2), sync(2).

use sentry::error::Result;
use sentry::task::CurrentTask;

use crate::arg::Fd;

/// fsync(2).
pub(crate) fn fsync(task: &mut CurrentTask, fd: Fd) -> Result<()> {
    let file = task.files().get(fd.0)?;
    file.ops().sync(&file, false)
}

/// fdatasync(2).
pub(crate) fn fdatasync(task: &mut CurrentTask, fd: Fd) -> Result<()> {
    let file = task.files().get(fd.0)?;
    file.ops().sync(&file, true)
}

/// sync(2): everything that is mounted. Failures are nobody's.
pub(crate) fn sync(task: &mut CurrentTask) -> Result<()> {
    for mount in task.fs().namespace().mounts() {
        let _ = mount.fs().sync();
    }
    Ok(())
}

/// syncfs(2): the file system a descriptor is on.
pub(crate) fn syncfs(task: &mut CurrentTask, fd: Fd) -> Result<()> {
    task.files().get(fd.0)?.path().mount.fs().sync()
}
