//! Credentials (credentials(7), capabilities(7)): immutable once made, shared by reference, replaced as a whole.

use std::sync::Arc;

use abi::capability::{Cap, CapSet};

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
    pub securebits: u32,
    /// PR_SET_NO_NEW_PRIVS.
    pub no_new_privs: bool,
    /// The user namespace that the capabilities count in. Identities are kernel ids: those of the root user namespace.
    pub user_ns: Arc<UserNamespace>,
}

/// A user namespace (user_namespaces(7)).
#[derive(Debug)]
pub struct UserNamespace {
    /// `None` for the root one.
    pub parent: Option<Arc<UserNamespace>>,
    /// Who made it.
    pub owner: u32,
}

impl Credentials {
    /// Whether the capability is effective in the task's own user namespace.
    #[must_use]
    pub fn has(&self, cap: Cap) -> bool {
        self.effective.contains(cap)
    }

    /// Whether the group is the file-access group or a supplementary one.
    #[must_use]
    pub fn in_group(&self, gid: u32) -> bool {
        self.fsgid == gid || self.groups.binary_search(&gid).is_ok()
    }
}
