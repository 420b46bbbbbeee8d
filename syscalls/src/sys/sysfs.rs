//! sysfs(2): the types of file systems by number. Obsolete; /proc/filesystems says the same.

use abi::limits::PATH_MAX;
use abi::{Errno, UserAddr};
use sentry::error::{Result, err};
use sentry::task::CurrentTask;
use sentry::user::UserCStr;
use sentry::vfs::fs_types;

/// sysfs(2).
pub(crate) fn sysfs(task: &mut CurrentTask, option: i32, arg1: u64, arg2: UserAddr) -> Result<usize> {
    let names = fs_types::names();
    match option {
        1 => {
            let name = task.mm().read_cstr(UserCStr(UserAddr(arg1)), PATH_MAX)?;
            names.iter().position(|known| known.as_bytes() == name).ok_or_else(|| Errno::EINVAL.into())
        }
        2 => {
            let index = usize::try_from(arg1).map_err(|_| Errno::EINVAL)?;
            let mut name = names.get(index).ok_or(Errno::EINVAL)?.as_bytes().to_vec();
            name.push(0);
            task.mm().write_bytes(arg2, &name)?;
            Ok(0)
        }
        3 => Ok(names.len()),
        _ => err(Errno::EINVAL),
    }
}
