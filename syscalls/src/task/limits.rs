//! prlimit64(2), getrlimit(2), setrlimit(2).

use abi::Errno;
use abi::capability::Cap;
use abi::limits::NR_OPEN;
use abi::resource::{Resource, Rlimit};
use sentry::error::{Result, err};
use sentry::task::{CurrentTask, ThreadGroup};
use sentry::user::UserPtr;

/// getrlimit(2).
pub(crate) fn getrlimit(task: &mut CurrentTask, resource: u32, limit: UserPtr<Rlimit>) -> Result<()> {
    let value = task.group().limits().get(Resource::new(resource)?);
    task.mm().write(limit, &value)
}

/// setrlimit(2).
pub(crate) fn setrlimit(task: &mut CurrentTask, resource: u32, limit: UserPtr<Rlimit>) -> Result<()> {
    let new = task.mm().read(limit)?;
    let group = std::sync::Arc::clone(task.group());
    change(task, &group, Resource::new(resource)?, new)?;
    Ok(())
}

/// prlimit64(2).
pub(crate) fn prlimit64(
    task: &mut CurrentTask,
    pid: i32,
    resource: u32,
    new: UserPtr<Rlimit>,
    old: UserPtr<Rlimit>,
) -> Result<()> {
    let resource = Resource::new(resource)?;
    let new = new.non_null().map(|new| task.mm().read(new)).transpose()?;
    let group = match pid {
        0 => std::sync::Arc::clone(task.group()),
        pid => {
            let other = task.pid_ns().task(pid).ok_or(Errno::ESRCH)?;
            if !task.same_ids_or(&other, Cap::CAP_SYS_RESOURCE) {
                return err(Errno::EPERM);
            }
            std::sync::Arc::clone(other.group())
        }
    };
    let before = match new {
        Some(new) => change(task, &group, resource, new)?,
        None => group.limits().get(resource),
    };
    match old.non_null() {
        Some(old) => task.mm().write(old, &before),
        None => Ok(()),
    }
}

/// Sets limits; raising a hard one takes CAP_SYS_RESOURCE. Returns the old ones.
fn change(task: &CurrentTask, group: &ThreadGroup, resource: Resource, new: Rlimit) -> Result<Rlimit> {
    if new.rlim_cur > new.rlim_max {
        return err(Errno::EINVAL);
    }
    if resource == Resource::RLIMIT_NOFILE && new.rlim_max > NR_OPEN {
        return err(Errno::EPERM);
    }
    let privileged = task.creds().has_in_root(Cap::CAP_SYS_RESOURCE);
    let old = group.limits().set(resource, new, |old| {
        if new.rlim_max > old.rlim_max && !privileged { err(Errno::EPERM) } else { Ok(()) }
    })?;
    group.limit_changed(resource, new);
    Ok(old)
}
