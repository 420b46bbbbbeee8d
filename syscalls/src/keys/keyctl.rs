//! keyctl(2).

use std::time::{Duration, Instant};

use abi::capability::Cap;
use abi::keyctl::{
    KEYCTL_ASSUME_AUTHORITY, KEYCTL_CAPABILITIES, KEYCTL_CHOWN, KEYCTL_CLEAR, KEYCTL_DESCRIBE, KEYCTL_GET_KEYRING_ID,
    KEYCTL_GET_SECURITY, KEYCTL_INSTANTIATE, KEYCTL_INSTANTIATE_IOV, KEYCTL_INVALIDATE, KEYCTL_JOIN_SESSION_KEYRING,
    KEYCTL_LINK, KEYCTL_MOVE, KEYCTL_NEGATE, KEYCTL_READ, KEYCTL_REJECT, KEYCTL_RESTRICT_KEYRING, KEYCTL_REVOKE,
    KEYCTL_SEARCH, KEYCTL_SESSION_TO_PARENT, KEYCTL_SET_REQKEY_KEYRING, KEYCTL_SET_TIMEOUT, KEYCTL_SETPERM,
    KEYCTL_UNLINK, KEYCTL_UPDATE,
};
use abi::{Errno, PAGE_SIZE, UserAddr};
use sentry::error::{Result, err};
use sentry::keys::{self, KeyType, Need};
use sentry::task::CurrentTask;
use sentry::user::UserCStr;

use super::{MAX_DESCRIPTION, read_payload, type_name};
use crate::arg::low;

/// What KEYCTL_CAPABILITIES tells: itself, big keys, invalidation, restrictions, moving.
const CAPABILITIES: [u8; 2] = [0x01 | 0x10 | 0x20 | 0x40 | 0x80, 0];
/// KEYCTL_MOVE: not over a key of the same name.
const KEYCTL_MOVE_EXCL: u32 = 1;

/// keyctl(2). Keys are not instantiated by programs, because none is asked for any; there are no persistent keyrings.
pub(crate) fn keyctl(task: &mut CurrentTask, op: u32, a: u64, b: u64, c: u64, d: u64) -> Result<u64> {
    let id = low(a).cast_signed();
    let other = low(b).cast_signed();
    match op {
        KEYCTL_GET_KEYRING_ID => Ok(number(task.key(id, other != 0, Need::SEARCH)?.key.serial)),
        KEYCTL_JOIN_SESSION_KEYRING => join(task, UserCStr(UserAddr(a))),
        KEYCTL_UPDATE => update(task, id, UserAddr(b), c),
        KEYCTL_REVOKE => {
            let found = task.find_key(id, false)?;
            found.key.validate()?;
            found.permit(task, Need::WRITE).or_else(|_| found.permit(task, Need::SETATTR))?;
            found.key.revoke();
            Ok(0)
        }
        KEYCTL_CHOWN => chown(task, id, low(b), low(c)),
        KEYCTL_SETPERM => set_perm(task, id, low(b)),
        KEYCTL_DESCRIBE => describe(task, id, UserAddr(b), c),
        KEYCTL_CLEAR => {
            task.key(id, true, Need::WRITE)?.key.clear()?;
            Ok(0)
        }
        KEYCTL_LINK => {
            let ring = task.key(other, true, Need::WRITE)?;
            let found = task.key(id, true, Need::LINK)?;
            ring.key.link(&found.key)?;
            Ok(0)
        }
        KEYCTL_UNLINK => {
            let ring = task.key(other, false, Need::WRITE)?;
            let found = task.find_key(id, false)?;
            ring.key.unlink(&found.key)?;
            Ok(0)
        }
        KEYCTL_SEARCH => search(task, id, UserCStr(UserAddr(b)), UserCStr(UserAddr(c)), low(d).cast_signed()),
        KEYCTL_READ => read(task, id, UserAddr(b), c),
        KEYCTL_INSTANTIATE | KEYCTL_NEGATE | KEYCTL_REJECT | KEYCTL_INSTANTIATE_IOV => err(Errno::EPERM),
        KEYCTL_SET_REQKEY_KEYRING => set_default(task, id),
        KEYCTL_SET_TIMEOUT => {
            let found = task.find_key(id, true)?;
            found.permit(task, Need::SETATTR)?;
            let after = Duration::from_secs(low(b).into());
            found.key.set_expiry(if after.is_zero() { None } else { Instant::now().checked_add(after) });
            Ok(0)
        }
        KEYCTL_ASSUME_AUTHORITY => match id {
            0 => Ok(0),
            ..0 => err(Errno::EINVAL),
            _ => err(Errno::ENOKEY),
        },
        KEYCTL_GET_SECURITY => {
            task.key(id, false, Need::VIEW)?;
            if c > 0 && b != 0 {
                task.mm().write_bytes(UserAddr(b), &[0])?;
            }
            Ok(1)
        }
        KEYCTL_SESSION_TO_PARENT => task.session_to_parent().map(|()| 0),
        KEYCTL_INVALIDATE => {
            task.key(id, false, Need::SEARCH)?.key.invalidate();
            Ok(0)
        }
        KEYCTL_RESTRICT_KEYRING => {
            let found = task.key(id, false, Need::SETATTR)?;
            // Only "no links at all": there are no types that could judge a key.
            if b != 0 {
                type_name(task, UserCStr(UserAddr(b)))?;
                return err(Errno::ENOENT);
            }
            found.key.restrict()?;
            Ok(0)
        }
        KEYCTL_MOVE => relink(task, id, other, low(c).cast_signed(), low(d)),
        KEYCTL_CAPABILITIES => {
            let len = usize::try_from(b).unwrap_or(usize::MAX);
            let known = len.min(CAPABILITIES.len());
            task.mm().write_bytes(UserAddr(a), &CAPABILITIES[..known])?;
            // What we do not know of is not there.
            for at in known..len.min(64) {
                task.mm().write_bytes(UserAddr(a).checked_add(at as u64)?, &[0])?;
            }
            Ok(CAPABILITIES.len() as u64)
        }
        _ => err(Errno::EOPNOTSUPP),
    }
}

fn number(serial: i32) -> u64 {
    u64::from(serial.cast_unsigned())
}

fn join(task: &CurrentTask, name: UserCStr) -> Result<u64> {
    let name = match name.0.is_null() {
        true => None,
        false => Some(task.mm().read_cstr(name, MAX_DESCRIPTION)?),
    };
    if name.as_ref().is_some_and(|name| name.first() == Some(&b'.')) {
        return err(Errno::EPERM);
    }
    Ok(number(task.join_session(name.as_deref())?.serial))
}

fn update(task: &CurrentTask, id: i32, payload: UserAddr, len: u64) -> Result<u64> {
    if len > PAGE_SIZE {
        return err(Errno::EINVAL);
    }
    let payload = read_payload(task, payload, usize::try_from(len).map_err(|_| Errno::EINVAL)?)?;
    let found = task.key(id, false, Need::WRITE)?;
    if !found.key.kind.updates() {
        return err(Errno::EOPNOTSUPP);
    }
    found.key.kind.check(&found.key.description, &payload)?;
    found.key.update(&payload)?;
    Ok(0)
}

fn chown(task: &CurrentTask, id: i32, uid: u32, gid: u32) -> Result<u64> {
    let ns = &task.creds().user_ns;
    let uid = (uid != u32::MAX).then(|| ns.uid(uid)).transpose()?;
    let gid = (gid != u32::MAX).then(|| ns.gid(gid)).transpose()?;
    let found = task.find_key(id, true)?;
    found.permit(task, Need::SETATTR)?;
    let attr = found.key.attr();
    if !task.creds().has(Cap::CAP_SYS_ADMIN) {
        let foreign_group = gid.is_some_and(|gid| gid != attr.gid && !task.creds().in_group(gid));
        if uid.is_some_and(|uid| uid != attr.uid) || foreign_group {
            return err(Errno::EACCES);
        }
    }
    found.key.set_owner(uid, gid)?;
    Ok(0)
}

fn set_perm(task: &CurrentTask, id: i32, perm: u32) -> Result<u64> {
    if perm & !keys::ALL != 0 {
        return err(Errno::EINVAL);
    }
    let found = task.find_key(id, true)?;
    found.permit(task, Need::SETATTR)?;
    if !task.creds().has(Cap::CAP_SYS_ADMIN) && found.key.attr().uid != task.creds().fsuid {
        return err(Errno::EACCES);
    }
    found.key.set_perm(perm);
    Ok(0)
}

/// All of the text or nothing; returns how long it is.
fn describe(task: &CurrentTask, id: i32, to: UserAddr, len: u64) -> Result<u64> {
    let found = task.find_key(id, false)?;
    found.permit(task, Need::VIEW)?;
    let (key, attr, ns) = (&found.key, found.key.attr(), &task.creds().user_ns);
    let (uid, gid) = (ns.show_uid(attr.uid).cast_signed(), ns.show_gid(attr.gid).cast_signed());
    let mut text = format!("{};{uid};{gid};{:08x};", key.kind.name(), attr.perm).into_bytes();
    text.extend_from_slice(&key.description);
    text.push(0);
    if !to.is_null() && len >= text.len() as u64 {
        task.mm().write_bytes(to, &text)?;
    }
    Ok(text.len() as u64)
}

fn search(task: &CurrentTask, ring: i32, kind: UserCStr, description: UserCStr, to: i32) -> Result<u64> {
    let name = type_name(task, kind)?;
    let description = task.mm().read_cstr(description, MAX_DESCRIPTION)?;
    let ring = task.key(ring, false, Need::SEARCH)?;
    let to = if to == 0 { None } else { Some(task.key(to, true, Need::WRITE)?) };
    let kind = KeyType::named(&name)?;
    ring.key.check_keyring()?;
    let is_it = |key: &keys::Key| key.kind == kind && *key.description == *description;
    let key = match ring.key.search(task.creds(), ring.possessed, &is_it, true) {
        Err(e) if e.is(Errno::EAGAIN) => return err(Errno::ENOKEY),
        other => other?,
    };
    if let Some(to) = to {
        key.permit(task.creds(), ring.possessed, Need::LINK)?;
        to.key.link(&key)?;
    }
    Ok(number(key.serial))
}

/// As much as fits; returns how much there is.
fn read(task: &CurrentTask, id: i32, to: UserAddr, len: u64) -> Result<u64> {
    let found = task.find_key(id, false).map_err(|e| if e.is(Errno::EINVAL) { Errno::ENOKEY.into() } else { e })?;
    if found.key.attr().negative {
        return err(Errno::ENOKEY);
    }
    // Who may find it and possesses it may read it.
    if found.permit(task, Need::READ).is_err() && !found.possessed {
        return err(Errno::EACCES);
    }
    found.key.validate()?;
    if !found.key.kind.reads() {
        return err(Errno::EOPNOTSUPP);
    }
    let payload = found.key.read()?;
    if !to.is_null() && len > 0 {
        let whole = found.key.kind == KeyType::Keyring || len >= payload.len() as u64;
        if whole {
            let fits = usize::try_from(len).unwrap_or(usize::MAX).min(payload.len());
            // Of a keyring whole numbers only.
            let fits = if found.key.kind == KeyType::Keyring { fits / 4 * 4 } else { fits };
            task.mm().write_bytes(to, &payload[..fits])?;
        }
    }
    Ok(payload.len() as u64)
}

/// KEYCTL_SET_REQKEY_KEYRING; returns the old setting.
fn set_default(task: &CurrentTask, to: i32) -> Result<u64> {
    let old = task.keys.lock().default;
    match to {
        -1 => return Ok(number(old)),
        0 | 3..=5 => {}
        1 => drop(task.find_key(abi::keyctl::KEY_SPEC_THREAD_KEYRING, true)?),
        2 => drop(task.find_key(abi::keyctl::KEY_SPEC_PROCESS_KEYRING, true)?),
        _ => return err(Errno::EINVAL),
    }
    task.keys.lock().default = to;
    Ok(number(old))
}

/// KEYCTL_MOVE: from one keyring to another.
fn relink(task: &CurrentTask, id: i32, from: i32, to: i32, flags: u32) -> Result<u64> {
    if flags & !KEYCTL_MOVE_EXCL != 0 {
        return err(Errno::EINVAL);
    }
    let found = task.key(id, true, Need::LINK)?;
    let from = task.key(from, false, Need::WRITE)?;
    let to = task.key(to, true, Need::WRITE)?;
    from.key.check_keyring()?;
    to.key.check_keyring()?;
    if from.key.serial == to.key.serial {
        return Ok(0);
    }
    if !from.key.links().iter().any(|key| key.serial == found.key.serial) {
        return err(Errno::ENOENT);
    }
    if flags & KEYCTL_MOVE_EXCL != 0 && to.key.find(found.key.kind, &found.key.description).is_some() {
        return err(Errno::EEXIST);
    }
    to.key.link(&found.key)?;
    from.key.unlink(&found.key)?;
    Ok(0)
}
