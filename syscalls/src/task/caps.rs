//! capget(2), capset(2).

use abi::Errno;
use abi::capability::{
    CapSet, LINUX_CAPABILITY_VERSION_1, LINUX_CAPABILITY_VERSION_2, LINUX_CAPABILITY_VERSION_3, UserCapData,
    UserCapHeader,
};
use sentry::error::{Result, err};
use sentry::task::CurrentTask;
use sentry::user::UserPtr;

use super::creds::change;

/// capget(2).
pub(crate) fn capget(task: &mut CurrentTask, header: UserPtr<UserCapHeader>, data: UserPtr<UserCapData>) -> Result<()> {
    let (pid, words) = match read_header(task, header) {
        Ok(known) => known,
        // A null `data` asks for the version, which is told with the refusal.
        Err(e) if e.is(Errno::EINVAL) && data.is_null() => return Ok(()),
        Err(e) => return Err(e),
    };
    if pid < 0 {
        return err(Errno::EINVAL);
    }
    let creds = match pid {
        0 => std::sync::Arc::clone(task.creds()),
        pid => task.pid_ns().task(pid).ok_or(Errno::ESRCH)?.creds(),
    };
    if data.is_null() {
        return Ok(());
    }
    for word in 0..words {
        let part = |set: CapSet| u32::try_from(set.bits() >> (32 * word) & 0xffff_ffff).unwrap_or(0);
        let value = UserCapData {
            effective: part(creds.effective),
            permitted: part(creds.permitted),
            inheritable: part(creds.inheritable),
        };
        task.mm().write(data.at(word)?, &value)?;
    }
    Ok(())
}

/// capset(2): only for the calling thread.
pub(crate) fn capset(task: &mut CurrentTask, header: UserPtr<UserCapHeader>, data: UserPtr<UserCapData>) -> Result<()> {
    let (pid, words) = read_header(task, header)?;
    if pid != 0 && pid != task.tid() {
        return err(Errno::EPERM);
    }
    let mut sets = [0u64; 3];
    for word in 0..words {
        let value = task.mm().read(data.at(word)?)?;
        for (set, part) in sets.iter_mut().zip([value.effective, value.permitted, value.inheritable]) {
            *set |= u64::from(part) << (32 * word);
        }
    }
    let [effective, permitted, inheritable] = sets.map(CapSet::from_bits_truncate);
    change(task, |creds| creds.with_capabilities(effective, permitted, inheritable))
}

/// The pid and how many data elements the version has. An unknown version is answered with the one we prefer.
fn read_header(task: &CurrentTask, header: UserPtr<UserCapHeader>) -> Result<(i32, usize)> {
    let mut value = task.mm().read(header)?;
    let words = match value.version {
        LINUX_CAPABILITY_VERSION_1 => 1,
        LINUX_CAPABILITY_VERSION_2 | LINUX_CAPABILITY_VERSION_3 => 2,
        _ => {
            value.version = LINUX_CAPABILITY_VERSION_3;
            task.mm().write(header, &value)?;
            return err(Errno::EINVAL);
        }
    };
    Ok((value.pid, words))
}
