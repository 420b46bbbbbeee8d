//! Credentials (credentials(7), capabilities(7)): immutable once made, shared by reference, replaced as a whole.

use std::sync::Arc;

use abi::capability::{Cap, CapSet, Securebits};

pub use super::user_ns::UserNamespace;
use crate::landlock::Domain;

/// What a task may do.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// Real user.
    pub uid: u32,
    /// Effective user.
    pub euid: u32,
    /// Saved user.
    pub suid: u32,
    /// User for file access.
    pub fsuid: u32,
    /// Real group.
    pub gid: u32,
    /// Effective group.
    pub egid: u32,
    /// Saved group.
    pub sgid: u32,
    /// Group for file access.
    pub fsgid: u32,
    /// Supplementary groups, sorted.
    pub groups: Arc<[u32]>,
    /// Permitted capabilities.
    pub permitted: CapSet,
    /// Effective capabilities.
    pub effective: CapSet,
    /// Inheritable capabilities.
    pub inheritable: CapSet,
    /// Bounding set.
    pub bounding: CapSet,
    /// Ambient set.
    pub ambient: CapSet,
    /// SECBIT_*.
    pub securebits: Securebits,
    /// PR_SET_NO_NEW_PRIVS.
    pub no_new_privs: bool,
    /// What it has forbidden itself.
    pub landlock: Option<Arc<Domain>>,
    /// The user namespace that the capabilities count in. Identities are kernel ids: those of the root user namespace.
    pub user_ns: Arc<UserNamespace>,
}

impl Credentials {
    /// Those of a root process with all capabilities.
    #[must_use]
    pub fn root(user_ns: Arc<UserNamespace>) -> Self {
        Self {
            uid: 0,
            euid: 0,
            suid: 0,
            fsuid: 0,
            gid: 0,
            egid: 0,
            sgid: 0,
            fsgid: 0,
            groups: Arc::new([]),
            permitted: CapSet::FULL,
            effective: CapSet::FULL,
            inheritable: CapSet::EMPTY,
            bounding: CapSet::FULL,
            ambient: CapSet::EMPTY,
            securebits: Securebits::empty(),
            no_new_privs: false,
            landlock: None,
            user_ns,
        }
    }

    /// Whether the capability is effective in the task's own user namespace.
    #[must_use]
    pub fn has(&self, cap: Cap) -> bool {
        self.effective.contains(cap)
    }

    /// Whether the capability is effective over objects that `ns` owns: in `ns` or an ancestor of it, or because the
    /// task's user made `ns` (user_namespaces(7)).
    #[must_use]
    pub fn has_in(&self, cap: Cap, ns: &Arc<UserNamespace>) -> bool {
        let mut at = ns;
        loop {
            if Arc::ptr_eq(at, &self.user_ns) {
                return self.has(cap);
            }
            let Some(parent) = &at.parent else { return false };
            if Arc::ptr_eq(parent, &self.user_ns) && at.owner == self.euid {
                return true;
            }
            at = parent;
        }
    }

    /// Whether the capability is effective in the root user namespace.
    #[must_use]
    pub fn has_in_root(&self, cap: Cap) -> bool {
        self.user_ns.parent.is_none() && self.has(cap)
    }

    /// Whether the group is the file-access group or a supplementary one.
    #[must_use]
    pub fn in_group(&self, gid: u32) -> bool {
        self.fsgid == gid || self.groups.binary_search(&gid).is_ok()
    }

    /// Whether the group is the effective group or a supplementary one.
    #[must_use]
    pub fn in_egroup(&self, gid: u32) -> bool {
        self.egid == gid || self.groups.binary_search(&gid).is_ok()
    }
}
