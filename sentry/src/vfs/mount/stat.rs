//! What statmount(2) and listmount(2) tell.

use std::sync::Arc;

use super::info::root_in_fs;
use super::{Mount, MountNamespace};
use crate::vfs::Path;

impl MountNamespace {
    /// The mount of that number ([`Mount::unique_id`]).
    #[must_use]
    pub fn find_mount(&self, id: u64) -> Option<Arc<Mount>> {
        self.mounts().into_iter().find(|mount| mount.unique_id() == id)
    }
}

/// Behind which the numbers lie that are never used again: they cannot be taken for those of mountinfo.
pub const UNIQUE_ID_OFFSET: u64 = 1 << 31;

impl Mount {
    /// Its number as statx(2) with STATX_MNT_ID_UNIQUE, statmount(2) and listmount(2) have it.
    #[must_use]
    pub fn unique_id(&self) -> u64 {
        UNIQUE_ID_OFFSET + self.id
    }

    /// The mount it is mounted on; itself for the root of a namespace.
    #[must_use]
    pub fn parent(self: &Arc<Self>) -> Arc<Self> {
        self.mountpoint().map_or_else(|| Arc::clone(self), |at| at.mount)
    }

    /// Whether it is `other` or mounted somewhere below it.
    #[must_use]
    pub fn is_below(self: &Arc<Self>, other: &Arc<Self>) -> bool {
        let mut at = Arc::clone(self);
        loop {
            if Arc::ptr_eq(&at, other) {
                return true;
            }
            match at.mountpoint() {
                Some(place) => at = place.mount,
                None => return false,
            }
        }
    }

    /// Where in its file system it begins.
    #[must_use]
    pub fn root_text(&self) -> Vec<u8> {
        root_in_fs(self)
    }

    /// Where it is, seen from `root`; `None` if that is not above it.
    #[must_use]
    pub fn place_text(self: &Arc<Self>, root: &Path) -> Option<Vec<u8>> {
        let place = Path::root_of(self).text(root);
        place.reachable.then_some(place.text)
    }
}
