//! lseek(2).

use abi::Errno;
use sentry::error::{Result, err};
use sentry::task::CurrentTask;
use sentry::vfs::file::Whence;

use crate::arg::Fd;

/// lseek(2): moves the file's position.
pub(crate) fn lseek(task: &mut CurrentTask, fd: Fd, offset: i64, whence: u32) -> Result<u64> {
    let file = task.files().get(fd.0)?;
    file.seek(parse_whence(whence)?, offset)
}

fn parse_whence(whence: u32) -> Result<Whence> {
    Ok(match whence {
        abi::fcntl::SEEK_SET => Whence::Start,
        abi::fcntl::SEEK_CUR => Whence::Current,
        abi::fcntl::SEEK_END => Whence::End,
        abi::fcntl::SEEK_DATA => Whence::Data,
        abi::fcntl::SEEK_HOLE => Whence::Hole,
        _ => return err(Errno::EINVAL),
    })
}
