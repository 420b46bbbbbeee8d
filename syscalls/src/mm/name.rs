//! prctl(2) PR_SET_VMA_ANON_NAME: names for anonymous memory.

use abi::prctl::ANON_VMA_NAME_MAX_LEN;
use abi::{Errno, UserAddr};
use sentry::error::{Result, err};
use sentry::task::CurrentTask;
use sentry::user::UserCStr;

/// Names `len` bytes at `addr`; a null name takes the name away.
pub(crate) fn set_anonymous_name(task: &CurrentTask, addr: UserAddr, len: u64, name: UserAddr) -> Result<()> {
    if name.is_null() {
        return task.mm().name_anonymous(addr, len, None);
    }
    let too_long = |e: sentry::error::Error| if e.is(Errno::ENAMETOOLONG) { Errno::EINVAL.into() } else { e };
    let text = task.mm().read_cstr(UserCStr(name), ANON_VMA_NAME_MAX_LEN).map_err(too_long)?;
    let fine = |byte: &u8| matches!(byte, b' '..=b'~') && !b"\\`$[]".contains(byte);
    if !text.iter().all(fine) {
        return err(Errno::EINVAL);
    }
    task.mm().name_anonymous(addr, len, Some(&text))
}
