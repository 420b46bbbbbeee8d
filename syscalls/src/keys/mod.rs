//! add_key(2), request_key(2), keyctl(2).

mod keyctl;

pub(crate) use keyctl::keyctl;

use abi::{Errno, PAGE_SIZE, UserAddr};
use sentry::error::{Result, err};
use sentry::keys::{KeyType, Need};
use sentry::task::CurrentTask;
use sentry::user::UserCStr;

/// The longest payload that is looked at.
const MAX_PAYLOAD: usize = 1024 * 1024 - 1;
/// The longest name of a type, and of a key, with their NULs.
const MAX_TYPE: usize = 32;
const MAX_DESCRIPTION: usize = 4096;

/// add_key(2): a new key in a keyring, or a new payload for one that is there.
pub(crate) fn add_key(
    task: &mut CurrentTask,
    kind: UserCStr,
    description: UserCStr,
    payload: UserAddr,
    len: usize,
    ring: i32,
) -> Result<i32> {
    if len > MAX_PAYLOAD {
        return err(Errno::EINVAL);
    }
    let name = type_name(task, kind)?;
    let description =
        if description.0.is_null() { Vec::new() } else { task.mm().read_cstr(description, MAX_DESCRIPTION)? };
    if name == b"keyring" && description.first() == Some(&b'.') {
        return err(Errno::EPERM);
    }
    let payload = read_payload(task, payload, len)?;
    let ring = task.key(ring, true, Need::WRITE)?;
    let kind = KeyType::named(&name)?;
    Ok(task.add_key(kind, &description, &payload, &ring)?.serial)
}

/// request_key(2): a key of the task's keyrings; nobody else is asked.
pub(crate) fn request_key(
    task: &mut CurrentTask,
    kind: UserCStr,
    description: UserCStr,
    callout: UserCStr,
    ring: i32,
) -> Result<i32> {
    let name = type_name(task, kind)?;
    let description = task.mm().read_cstr(description, MAX_DESCRIPTION)?;
    let asks = !callout.0.is_null();
    if asks {
        let page = usize::try_from(PAGE_SIZE).unwrap_or(MAX_DESCRIPTION);
        task.mm().read_cstr(callout, page)?;
    }
    let ring = if ring == 0 { None } else { Some(task.key(ring, true, Need::WRITE)?) };
    let kind = KeyType::named(&name).map_err(|_| Errno::ENOKEY)?;
    match task.search_keys(kind, &description) {
        Ok(key) => {
            if let Some(ring) = ring {
                key.permit(task.creds(), true, Need::LINK)?;
                ring.key.link(&key)?;
            }
            Ok(key.serial)
        }
        Err(e) if e.is(Errno::EAGAIN) => {
            if asks {
                kind.check(&description, if kind == KeyType::Keyring { b"" } else { b"-" })?;
                task.leave_negative_key(kind, &description, ring)?;
            }
            err(Errno::ENOKEY)
        }
        Err(e) => Err(e),
    }
}

/// The name of a type. EPERM for those of the kernel's own, EINVAL for none and those that are too long.
fn type_name(task: &CurrentTask, name: UserCStr) -> Result<Vec<u8>> {
    let name = match task.mm().read_cstr(name, MAX_TYPE) {
        Err(e) if e.is(Errno::ENAMETOOLONG) => return err(Errno::EINVAL),
        other => other?,
    };
    match name.first() {
        None => err(Errno::EINVAL),
        Some(b'.') => err(Errno::EPERM),
        Some(_) => Ok(name),
    }
}

fn read_payload(task: &CurrentTask, at: UserAddr, len: usize) -> Result<Vec<u8>> {
    let mut payload = vec![0; len];
    task.mm().read_bytes(at, &mut payload)?;
    Ok(payload)
}
