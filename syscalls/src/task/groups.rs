//! getgroups(2), setgroups(2).

use abi::Errno;
use abi::limits::NGROUPS_MAX;
use sentry::error::{Result, err};
use sentry::task::CurrentTask;
use sentry::user::UserPtr;

use super::creds::change;

/// getgroups(2).
pub(crate) fn getgroups(task: &mut CurrentTask, size: i32, list: UserPtr<u32>) -> Result<usize> {
    let size = usize::try_from(size).map_err(|_| Errno::EINVAL)?;
    let creds = task.creds();
    let count = creds.groups.len();
    if size == 0 {
        return Ok(count);
    }
    if count > size {
        return err(Errno::EINVAL);
    }
    let bytes: Vec<u8> = creds.groups.iter().flat_map(|gid| creds.user_ns.show_gid(*gid).to_ne_bytes()).collect();
    task.mm().write_bytes(list.addr(), &bytes)?;
    Ok(count)
}

/// setgroups(2).
pub(crate) fn setgroups(task: &mut CurrentTask, size: i32, list: UserPtr<u32>) -> Result<()> {
    // Permission comes before the list is looked at.
    task.creds().with_groups(Vec::new())?;
    let size = usize::try_from(size).ok().filter(|size| *size <= NGROUPS_MAX).ok_or(Errno::EINVAL)?;
    let mut bytes = vec![0; size * size_of::<u32>()];
    task.mm().read_bytes(list.addr(), &mut bytes)?;
    let user_ns = &task.creds().user_ns;
    let groups = bytes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|gid| user_ns.gid(u32::from_ne_bytes(*gid)))
        .collect::<Result<Vec<u32>>>()?;
    change(task, |creds| creds.with_groups(groups))
}
