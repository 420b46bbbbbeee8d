//! User and group ids: getuid(2), setuid(2), setresuid(2), setfsuid(2) and their kin.

use sentry::error::Result;
use sentry::task::{Credentials, CurrentTask};
use sentry::user::UserPtr;

/// The id that means "leave it".
const KEEP: u32 = u32::MAX;

/// getuid(2).
pub(crate) fn getuid(task: &mut CurrentTask) -> Result<u32> {
    Ok(task.creds().user_ns.show_uid(task.creds().uid))
}

/// geteuid(2).
pub(crate) fn geteuid(task: &mut CurrentTask) -> Result<u32> {
    Ok(task.creds().user_ns.show_uid(task.creds().euid))
}

/// getgid(2).
pub(crate) fn getgid(task: &mut CurrentTask) -> Result<u32> {
    Ok(task.creds().user_ns.show_gid(task.creds().gid))
}

/// getegid(2).
pub(crate) fn getegid(task: &mut CurrentTask) -> Result<u32> {
    Ok(task.creds().user_ns.show_gid(task.creds().egid))
}

/// getresuid(2).
pub(crate) fn getresuid(
    task: &mut CurrentTask,
    real: UserPtr<u32>,
    effective: UserPtr<u32>,
    saved: UserPtr<u32>,
) -> Result<()> {
    let creds = task.creds();
    for (at, uid) in [(real, creds.uid), (effective, creds.euid), (saved, creds.suid)] {
        task.mm().write(at, &creds.user_ns.show_uid(uid))?;
    }
    Ok(())
}

/// getresgid(2).
pub(crate) fn getresgid(
    task: &mut CurrentTask,
    real: UserPtr<u32>,
    effective: UserPtr<u32>,
    saved: UserPtr<u32>,
) -> Result<()> {
    let creds = task.creds();
    for (at, gid) in [(real, creds.gid), (effective, creds.egid), (saved, creds.sgid)] {
        task.mm().write(at, &creds.user_ns.show_gid(gid))?;
    }
    Ok(())
}

/// setuid(2).
pub(crate) fn setuid(task: &mut CurrentTask, uid: u32) -> Result<()> {
    let uid = task.creds().user_ns.uid(uid)?;
    change(task, |creds| creds.with_uid(uid))
}

/// setgid(2).
pub(crate) fn setgid(task: &mut CurrentTask, gid: u32) -> Result<()> {
    let gid = task.creds().user_ns.gid(gid)?;
    change(task, |creds| creds.with_gid(gid))
}

/// setreuid(2).
pub(crate) fn setreuid(task: &mut CurrentTask, real: u32, effective: u32) -> Result<()> {
    let (real, effective) = (uid_or_keep(task, real)?, uid_or_keep(task, effective)?);
    change(task, |creds| creds.with_reuid(real, effective))
}

/// setregid(2).
pub(crate) fn setregid(task: &mut CurrentTask, real: u32, effective: u32) -> Result<()> {
    let (real, effective) = (gid_or_keep(task, real)?, gid_or_keep(task, effective)?);
    change(task, |creds| creds.with_regid(real, effective))
}

/// setresuid(2).
pub(crate) fn setresuid(task: &mut CurrentTask, real: u32, effective: u32, saved: u32) -> Result<()> {
    let ids = (uid_or_keep(task, real)?, uid_or_keep(task, effective)?, uid_or_keep(task, saved)?);
    change(task, |creds| creds.with_resuid(ids.0, ids.1, ids.2))
}

/// setresgid(2).
pub(crate) fn setresgid(task: &mut CurrentTask, real: u32, effective: u32, saved: u32) -> Result<()> {
    let ids = (gid_or_keep(task, real)?, gid_or_keep(task, effective)?, gid_or_keep(task, saved)?);
    change(task, |creds| creds.with_resgid(ids.0, ids.1, ids.2))
}

/// setfsuid(2): returns the old id, whether it changed or not.
pub(crate) fn setfsuid(task: &mut CurrentTask, uid: u32) -> Result<u32> {
    let old = task.creds().user_ns.show_uid(task.creds().fsuid);
    if let Ok(uid) = task.creds().user_ns.uid(uid)
        && uid != task.creds().fsuid
        && let Some(creds) = task.creds().with_fsuid(uid)
    {
        task.set_creds(creds);
    }
    Ok(old)
}

/// setfsgid(2): returns the old id, whether it changed or not.
pub(crate) fn setfsgid(task: &mut CurrentTask, gid: u32) -> Result<u32> {
    let old = task.creds().user_ns.show_gid(task.creds().fsgid);
    if let Ok(gid) = task.creds().user_ns.gid(gid)
        && gid != task.creds().fsgid
        && let Some(creds) = task.creds().with_fsgid(gid)
    {
        task.set_creds(creds);
    }
    Ok(old)
}

pub(super) fn change(task: &mut CurrentTask, f: impl FnOnce(&Credentials) -> Result<Credentials>) -> Result<()> {
    let creds = f(task.creds())?;
    task.set_creds(creds);
    Ok(())
}

fn uid_or_keep(task: &CurrentTask, uid: u32) -> Result<Option<u32>> {
    if uid == KEEP { Ok(None) } else { task.creds().user_ns.uid(uid).map(Some) }
}

fn gid_or_keep(task: &CurrentTask, gid: u32) -> Result<Option<u32>> {
    if gid == KEEP { Ok(None) } else { task.creds().user_ns.gid(gid).map(Some) }
}
