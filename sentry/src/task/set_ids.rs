//! Changing user and group ids (setuid(2), setresuid(2), setfsuid(2) and their kin) and what that does to capabilities.
//!
//! Pure functions from credentials to credentials; ids are kernel ids. `None` leaves an id as it is.

use abi::Errno;
use abi::capability::{Cap, CapSet, Securebits};

use super::Credentials;
use super::user_ns::IdKind;
use crate::error::{Result, err};

impl Credentials {
    /// setuid(2).
    pub fn with_uid(&self, uid: u32) -> Result<Self> {
        let mut new = self.clone();
        if self.has(Cap::CAP_SETUID) {
            (new.uid, new.suid) = (uid, uid);
        } else if uid != self.uid && uid != self.suid {
            return err(Errno::EPERM);
        }
        (new.euid, new.fsuid) = (uid, uid);
        Ok(new.fixed_after(self))
    }

    /// setreuid(2).
    pub fn with_reuid(&self, real: Option<u32>, effective: Option<u32>) -> Result<Self> {
        let mut new = self.clone();
        let capable = self.has(Cap::CAP_SETUID);
        if let Some(uid) = real {
            if !capable && ![self.uid, self.euid].contains(&uid) {
                return err(Errno::EPERM);
            }
            new.uid = uid;
        }
        if let Some(uid) = effective {
            if !capable && ![self.uid, self.euid, self.suid].contains(&uid) {
                return err(Errno::EPERM);
            }
            new.euid = uid;
        }
        if real.is_some() || effective.is_some_and(|uid| uid != self.uid) {
            new.suid = new.euid;
        }
        new.fsuid = new.euid;
        Ok(new.fixed_after(self))
    }

    /// setresuid(2).
    pub fn with_resuid(&self, real: Option<u32>, effective: Option<u32>, saved: Option<u32>) -> Result<Self> {
        let allowed = |uid: Option<u32>| uid.is_none_or(|uid| [self.uid, self.euid, self.suid].contains(&uid));
        if !(allowed(real) && allowed(effective) && allowed(saved)) && !self.has(Cap::CAP_SETUID) {
            return err(Errno::EPERM);
        }
        let mut new = self.clone();
        new.uid = real.unwrap_or(self.uid);
        new.euid = effective.unwrap_or(self.euid);
        new.suid = saved.unwrap_or(self.suid);
        new.fsuid = new.euid;
        Ok(new.fixed_after(self))
    }

    /// setfsuid(2); `None` if it is not allowed, which the call does not report.
    #[must_use]
    pub fn with_fsuid(&self, uid: u32) -> Option<Self> {
        if ![self.uid, self.euid, self.suid, self.fsuid].contains(&uid) && !self.has(Cap::CAP_SETUID) {
            return None;
        }
        let mut new = self.clone();
        new.fsuid = uid;
        if !self.securebits.contains(Securebits::SECBIT_NO_SETUID_FIXUP) {
            new.fix_fs_caps(self);
        }
        Some(new)
    }

    /// setgid(2).
    pub fn with_gid(&self, gid: u32) -> Result<Self> {
        let mut new = self.clone();
        if self.has(Cap::CAP_SETGID) {
            (new.gid, new.sgid) = (gid, gid);
        } else if gid != self.gid && gid != self.sgid {
            return err(Errno::EPERM);
        }
        (new.egid, new.fsgid) = (gid, gid);
        Ok(new)
    }

    /// setregid(2).
    pub fn with_regid(&self, real: Option<u32>, effective: Option<u32>) -> Result<Self> {
        let mut new = self.clone();
        let capable = self.has(Cap::CAP_SETGID);
        if let Some(gid) = real {
            if !capable && ![self.gid, self.egid].contains(&gid) {
                return err(Errno::EPERM);
            }
            new.gid = gid;
        }
        if let Some(gid) = effective {
            if !capable && ![self.gid, self.egid, self.sgid].contains(&gid) {
                return err(Errno::EPERM);
            }
            new.egid = gid;
        }
        if real.is_some() || effective.is_some_and(|gid| gid != self.gid) {
            new.sgid = new.egid;
        }
        new.fsgid = new.egid;
        Ok(new)
    }

    /// setresgid(2).
    pub fn with_resgid(&self, real: Option<u32>, effective: Option<u32>, saved: Option<u32>) -> Result<Self> {
        let allowed = |gid: Option<u32>| gid.is_none_or(|gid| [self.gid, self.egid, self.sgid].contains(&gid));
        if !(allowed(real) && allowed(effective) && allowed(saved)) && !self.has(Cap::CAP_SETGID) {
            return err(Errno::EPERM);
        }
        let mut new = self.clone();
        new.gid = real.unwrap_or(self.gid);
        new.egid = effective.unwrap_or(self.egid);
        new.sgid = saved.unwrap_or(self.sgid);
        new.fsgid = new.egid;
        Ok(new)
    }

    /// setfsgid(2); `None` if it is not allowed, which the call does not report.
    #[must_use]
    pub fn with_fsgid(&self, gid: u32) -> Option<Self> {
        let allowed = [self.gid, self.egid, self.sgid, self.fsgid].contains(&gid) || self.has(Cap::CAP_SETGID);
        allowed.then(|| Self { fsgid: gid, ..self.clone() })
    }

    /// setgroups(2), the groups being kernel ids.
    pub fn with_groups(&self, mut groups: Vec<u32>) -> Result<Self> {
        if !self.has(Cap::CAP_SETGID) || !self.user_ns.setgroups_allowed() {
            return err(Errno::EPERM);
        }
        groups.sort_unstable();
        Ok(Self { groups: groups.into(), ..self.clone() })
    }

    /// The kernel id of the user namespace's root; `None` if it is not mapped.
    #[must_use]
    pub fn root_uid(&self) -> Option<u32> {
        self.user_ns.to_kernel(IdKind::User, 0)
    }

    /// What a change of uids does to capabilities (capabilities(7), "Effect of user ID changes on capabilities").
    fn fixed_after(mut self, old: &Self) -> Self {
        if self.securebits.contains(Securebits::SECBIT_NO_SETUID_FIXUP) {
            return self;
        }
        let Some(root) = self.root_uid() else { return self };
        let any_root = |c: &Self| [c.uid, c.euid, c.suid].contains(&root);
        if any_root(old) && !any_root(&self) {
            if !self.securebits.contains(Securebits::SECBIT_KEEP_CAPS) {
                self.permitted = CapSet::EMPTY;
                self.effective = CapSet::EMPTY;
            }
            self.ambient = CapSet::EMPTY;
        }
        if old.euid == root && self.euid != root {
            self.effective = CapSet::EMPTY;
        }
        if old.euid != root && self.euid == root {
            self.effective = self.permitted;
        }
        self
    }

    fn fix_fs_caps(&mut self, old: &Self) {
        let Some(root) = self.root_uid() else { return };
        if old.fsuid == root && self.fsuid != root {
            self.effective = self.effective.difference(CapSet::FS);
        }
        if old.fsuid != root && self.fsuid == root {
            self.effective = self.effective.union(CapSet::FS.intersection(self.permitted));
        }
    }

    /// Whether replacing `old` by these makes the process undumpable and clears its parent death signal: other identities
    /// for files, or more capabilities.
    #[must_use]
    pub(super) fn gains_over(&self, old: &Self) -> bool {
        (self.euid, self.egid, self.fsuid, self.fsgid) != (old.euid, old.egid, old.fsuid, old.fsgid)
            || !old.permitted.contains_all(self.permitted)
    }
}

#[cfg(test)]
mod tests {
    use super::super::UserNamespace;
    use super::*;

    fn root() -> Credentials {
        Credentials::root(UserNamespace::root())
    }

    #[test]
    fn root_becomes_a_user_for_good() {
        let user = root().with_uid(1000).unwrap();
        assert_eq!((user.uid, user.euid, user.suid, user.fsuid), (1000, 1000, 1000, 1000));
        assert!(user.permitted.is_empty() && user.effective.is_empty());
        assert!(user.with_uid(0).is_err());
        assert!(user.with_resuid(Some(0), None, None).is_err());
    }

    #[test]
    fn a_set_user_id_program_drops_and_regains() {
        let mut creds = root();
        creds.uid = 1000;
        let dropped = creds.with_resuid(None, Some(1000), None).unwrap();
        assert_eq!(dropped.effective, CapSet::EMPTY);
        assert_eq!(dropped.permitted, CapSet::FULL);
        let back = dropped.with_resuid(None, Some(0), None).unwrap();
        assert_eq!(back.effective, CapSet::FULL);
    }

    #[test]
    fn keep_caps_keeps_permitted_only() {
        let mut creds = root();
        creds.securebits |= Securebits::SECBIT_KEEP_CAPS;
        creds.ambient.insert(Cap::CAP_CHOWN);
        let user = creds.with_resuid(Some(5), Some(5), Some(5)).unwrap();
        assert_eq!((user.permitted, user.effective, user.ambient), (CapSet::FULL, CapSet::EMPTY, CapSet::EMPTY));
    }

    #[test]
    fn file_capabilities_follow_the_file_user() {
        let creds = root().with_fsuid(7).unwrap();
        assert!(!creds.has(Cap::CAP_DAC_OVERRIDE) && creds.has(Cap::CAP_KILL));
        assert!(creds.with_fsuid(0).unwrap().has(Cap::CAP_DAC_OVERRIDE));
    }

    #[test]
    fn reuid_moves_the_saved_id() {
        let mut creds = root();
        (creds.uid, creds.euid, creds.suid) = (1, 2, 3);
        creds.effective = CapSet::EMPTY;
        let swapped = creds.with_reuid(Some(2), Some(1)).unwrap();
        assert_eq!((swapped.uid, swapped.euid, swapped.suid), (2, 1, 1));
        assert_eq!(creds.with_reuid(None, Some(1)).unwrap().suid, 3);
        assert!(creds.with_reuid(Some(3), None).is_err());
    }
}
