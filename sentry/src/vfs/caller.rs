//! On whose behalf the VFS acts: [`Caller`].

use crate::task::{Credentials, CurrentTask};
use crate::vfs::FsContext;

/// Credentials, root and working directory; the task itself if there is one (at boot there is none).
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// What it may do.
    pub creds: &'a Credentials,
    /// Where it is.
    pub fs: &'a FsContext,
    /// Who it is: magic links and opening need it.
    pub task: Option<&'a CurrentTask>,
}

impl<'a> Caller<'a> {
    /// The running task.
    #[must_use]
    pub fn of(task: &'a CurrentTask) -> Self {
        Self { creds: task.creds(), fs: task.fs(), task: Some(task) }
    }

    /// The kernel itself.
    #[must_use]
    pub fn kernel(creds: &'a Credentials, fs: &'a FsContext) -> Self {
        Self { creds, fs, task: None }
    }
}
