//! Entering new namespaces and leaving shared state: unshare(2), the user namespace part of clone(2).

use std::sync::Arc;

use abi::Errno;
use abi::capability::{Cap, CapSet, Securebits};
use abi::sched::CloneFlags;

use super::clone::NEW_PROXIED;
use super::user_ns::IdKind;
use super::{Credentials, CurrentTask, UserNamespace};
use crate::error::{Result, err};
use crate::ipc::SemUndo;

/// What unshare(2) knows.
const ALLOWED: CloneFlags = NEW_PROXIED
    .union(CloneFlags::CLONE_NEWUSER)
    .union(CloneFlags::CLONE_NEWNS)
    .union(CloneFlags::CLONE_FS)
    .union(CloneFlags::CLONE_FILES)
    .union(CloneFlags::CLONE_THREAD)
    .union(CloneFlags::CLONE_SIGHAND)
    .union(CloneFlags::CLONE_VM)
    .union(CloneFlags::CLONE_SYSVSEM);

impl CurrentTask {
    /// unshare(2).
    pub fn unshare(&mut self, mut flags: CloneFlags) -> Result<()> {
        use CloneFlags as F;
        // One kind of sharing implies others, see unshare(2).
        if flags.contains(F::CLONE_NEWUSER) {
            flags |= F::CLONE_THREAD | F::CLONE_FS;
        }
        if flags.contains(F::CLONE_VM) {
            flags |= F::CLONE_SIGHAND;
        }
        if flags.contains(F::CLONE_SIGHAND) {
            flags |= F::CLONE_THREAD;
        }
        if flags.contains(F::CLONE_NEWNS) {
            flags |= F::CLONE_FS;
        }
        if !ALLOWED.contains(flags) {
            return err(Errno::EINVAL);
        }
        let alone = self.task.group.live_threads() == 1;
        if flags.intersects(F::CLONE_THREAD | F::CLONE_SIGHAND | F::CLONE_VM) && !alone {
            return err(Errno::EINVAL);
        }
        let creds = match flags.contains(F::CLONE_NEWUSER) {
            true => Some(self.creds_in_new_user_ns()?),
            false => None,
        };
        let capable = creds.as_ref().unwrap_or(&self.creds);
        if flags.contains(F::CLONE_NEWNS) && !capable.has(Cap::CAP_SYS_ADMIN) {
            return err(Errno::EPERM);
        }
        let user_ns = Arc::clone(&capable.user_ns);
        let namespaces = match flags.intersects(NEW_PROXIED) {
            true => Some(self.new_namespaces(flags, &user_ns, capable)?),
            false => None,
        };
        let fs = if flags.contains(F::CLONE_NEWNS) {
            Some(self.fs.copy_with_new_namespace(user_ns))
        } else if flags.contains(F::CLONE_FS) {
            Some(self.fs.copy())
        } else {
            None
        };
        // From here on nothing fails.
        if let Some(fs) = fs {
            self.set_fs(fs);
        }
        if flags.contains(F::CLONE_FILES) {
            self.set_files(self.files.copy());
        }
        if let Some(creds) = creds {
            self.set_creds(creds);
        }
        if flags.intersects(F::CLONE_SYSVSEM | F::CLONE_NEWIPC) {
            SemUndo::leave(&self.task);
        }
        if let Some(namespaces) = namespaces {
            self.set_namespaces(namespaces);
        }
        Ok(())
    }

    /// The credentials of a task that enters a user namespace of its own: all capabilities, in there.
    pub(super) fn creds_in_new_user_ns(&self) -> Result<Credentials> {
        let creds = &self.creds;
        // The maker must have a name in its own namespace, or nobody could be mapped to it.
        if creds.user_ns.from_kernel(IdKind::User, creds.euid).is_none()
            || creds.user_ns.from_kernel(IdKind::Group, creds.egid).is_none()
        {
            return err(Errno::EPERM);
        }
        let user_ns = UserNamespace::nested(&creds.user_ns, creds.euid, creds.egid)?;
        Ok(with_all_caps(creds, user_ns))
    }
}

/// `creds` after entering `user_ns`.
pub(super) fn with_all_caps(creds: &Credentials, user_ns: Arc<UserNamespace>) -> Credentials {
    Credentials {
        permitted: CapSet::FULL,
        effective: CapSet::FULL,
        inheritable: CapSet::EMPTY,
        bounding: CapSet::FULL,
        ambient: CapSet::EMPTY,
        securebits: Securebits::empty(),
        user_ns,
        ..creds.clone()
    }
}
