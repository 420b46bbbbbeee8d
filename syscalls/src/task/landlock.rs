//! landlock_create_ruleset(2), landlock_add_rule(2), landlock_restrict_self(2).

use abi::capability::Cap;
use abi::landlock::{
    LANDLOCK_CREATE_RULESET_VERSION, LANDLOCK_RULE_PATH_BENEATH, LandlockFsAccess, LandlockPathBeneathAttr,
};
use abi::{Errno, PAGE_SIZE, UserAddr};
use sentry::error::{Result, err};
use sentry::landlock::{ABI_VERSION, Domain, Ruleset};
use sentry::task::{Credentials, CurrentTask};
use sentry::user::UserPtr;

use crate::arg::Fd;
use crate::fd::install;

/// How much of `struct landlock_ruleset_attr` this version knows: the rights on files.
const ATTR_SIZE: usize = 8;

/// landlock_create_ruleset(2), or the version of the interface.
pub(crate) fn landlock_create_ruleset(task: &mut CurrentTask, attr: UserAddr, size: usize, flags: u32) -> Result<u32> {
    if flags != 0 {
        let asks = flags == LANDLOCK_CREATE_RULESET_VERSION && attr.is_null() && size == 0;
        return if asks { Ok(ABI_VERSION) } else { err(Errno::EINVAL) };
    }
    if size < ATTR_SIZE {
        return err(Errno::EINVAL);
    }
    if size as u64 > PAGE_SIZE {
        return err(Errno::E2BIG);
    }
    let mut bytes = vec![0; size];
    task.mm().read_bytes(attr, &mut bytes)?;
    let (known, rest) = bytes.split_at(ATTR_SIZE);
    if rest.iter().any(|byte| *byte != 0) {
        return err(Errno::E2BIG);
    }
    let handled = known.try_into().map_or(0, u64::from_ne_bytes);
    let file = Ruleset::open(LandlockFsAccess::from_bits_retain(handled))?;
    Ok(install(task, file, true)?.0.unsigned_abs())
}

/// landlock_add_rule(2): rights beneath a directory, or on a file.
pub(crate) fn landlock_add_rule(
    task: &mut CurrentTask,
    ruleset: Fd,
    kind: u32,
    attr: UserPtr<LandlockPathBeneathAttr>,
    flags: u32,
) -> Result<()> {
    if flags != 0 {
        return err(Errno::EINVAL);
    }
    let file = task.files().get(ruleset.0)?;
    let ruleset = Ruleset::of(&file)?;
    if kind != LANDLOCK_RULE_PATH_BENEATH {
        return err(Errno::EINVAL);
    }
    let attr = task.mm().read(attr)?;
    let (access, fd) = (LandlockFsAccess::from_bits_retain(attr.allowed_access), attr.parent_fd);
    if access.is_empty() {
        return err(Errno::ENOMSG);
    }
    if !ruleset.handles(access) {
        return err(Errno::EINVAL);
    }
    let beneath = task.files().get_raw(fd)?;
    // Rulesets, pipes, sockets: what is in no tree.
    if beneath.path().dentry.is_pseudo() {
        return err(Errno::EBADFD);
    }
    ruleset.allow(access, beneath.path())
}

/// landlock_restrict_self(2): this thread, and what comes of it, from now on.
pub(crate) fn landlock_restrict_self(task: &mut CurrentTask, ruleset: Fd, flags: u32) -> Result<()> {
    if !task.creds().no_new_privs && !task.creds().has(Cap::CAP_SYS_ADMIN) {
        return err(Errno::EPERM);
    }
    if flags != 0 {
        return err(Errno::EINVAL);
    }
    let file = task.files().get(ruleset.0)?;
    let ruleset = Ruleset::of(&file)?;
    let domain = Domain::upon(task.creds().landlock.as_ref(), ruleset)?;
    let creds = Credentials { landlock: Some(domain), ..Credentials::clone(task.creds()) };
    task.set_creds(creds);
    Ok(())
}
