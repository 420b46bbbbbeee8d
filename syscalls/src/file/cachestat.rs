//! cachestat(2): how much of a file is in memory.

use abi::Errno;
use sentry::error::{Result, err};
use sentry::task::CurrentTask;
use sentry::user::UserPtr;

use crate::arg::Fd;

/// Bytes in a page.
const PAGE: u64 = abi::PAGE_SIZE;

/// cachestat(2). `range` is an offset and a length, 0 for all; `stat` gets pages cached, dirty, being written, evicted and
/// evicted lately. What holds data is cached: where pages are kept the host decides, and says nothing of it.
pub(crate) fn cachestat(
    task: &mut CurrentTask,
    fd: Fd,
    range: UserPtr<[u64; 2]>,
    stat: UserPtr<[u64; 5]>,
    flags: u32,
) -> Result<()> {
    let file = task.files().get(fd.0)?;
    let [start, len] = task.mm().read(range)?;
    if flags != 0 {
        return err(Errno::EINVAL);
    }
    let end = if len == 0 { u64::MAX } else { start.saturating_add(len) };
    let ops = file.ops();
    let size = if ops.seekable() { ops.seek_end(&file).unwrap_or(0) } else { 0 };
    let end = end.min(size);
    let mut cached = 0;
    let mut at = start / PAGE * PAGE;
    while at < end {
        let Ok(data) = ops.seek_hole(&file, at, false) else { break };
        let hole = ops.seek_hole(&file, data, true).unwrap_or(end).min(end);
        if data >= end || hole <= data {
            break;
        }
        cached += hole.div_ceil(PAGE) - data / PAGE;
        at = hole.next_multiple_of(PAGE);
    }
    task.mm().write(stat, &[cached, 0, 0, 0, 0])
}
