//! Putting new files into the table of open files.

use std::sync::Arc;

use abi::resource::Resource;
use sentry::error::Result;
use sentry::task::CurrentTask;
use sentry::vfs::File;

use crate::arg::Fd;

/// Gives the file the lowest free number below RLIMIT_NOFILE.
pub(crate) fn install(task: &CurrentTask, file: Arc<File>, close_on_exec: bool) -> Result<Fd> {
    task.files().add(file, close_on_exec, task.group().limits().soft(Resource::RLIMIT_NOFILE)).map(Fd)
}

/// Gives both files numbers, or neither.
pub(crate) fn install_pair(task: &CurrentTask, files: [Arc<File>; 2], close_on_exec: bool) -> Result<[i32; 2]> {
    task.files().add_pair(files, close_on_exec, task.group().limits().soft(Resource::RLIMIT_NOFILE))
}
