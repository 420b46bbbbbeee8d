//! User namespaces (user_namespaces(7)): identities of the sandbox's root namespace ("kernel ids") as a namespace sees them.

use std::sync::{Arc, OnceLock};

use abi::Errno;
use sync::Mutex;

use super::namespaces::NsId;
use crate::error::{Result, err};
use crate::lock_order::Leaf;

/// What an id without a mapping is shown as.
pub const OVERFLOW_ID: u32 = 65534;
/// The id that is none: -1.
pub const INVALID_ID: u32 = u32::MAX;
/// Most lines of a map.
pub const MAX_EXTENTS: usize = 340;
/// The deepest nesting.
const MAX_LEVEL: u32 = 32;

/// A user namespace.
#[derive(Debug)]
pub struct UserNamespace {
    /// What /proc/PID/ns/user shows.
    pub id: NsId,
    /// `None` for the root one.
    pub parent: Option<Arc<UserNamespace>>,
    /// Who made it, a kernel id.
    pub owner: u32,
    /// The maker's group, a kernel id.
    pub owner_gid: u32,
    level: u32,
    uids: OnceLock<IdMap>,
    gids: OnceLock<IdMap>,
    setgroups_denied: Mutex<bool, Leaf>,
}

/// Ranges of ids, written once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdMap {
    extents: Vec<Extent>,
}

/// One line of /proc/PID/uid_map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// First id inside the namespace.
    pub inside: u32,
    /// First id outside; in a map that was set, a kernel id.
    pub outside: u32,
    /// How many.
    pub count: u32,
}

impl IdMap {
    /// A map of these lines. EINVAL if it is empty, too long, wraps or overlaps.
    pub fn new(extents: Vec<Extent>) -> Result<Self> {
        if extents.is_empty() || extents.len() > MAX_EXTENTS {
            return err(Errno::EINVAL);
        }
        for (i, e) in extents.iter().enumerate() {
            let last = e.count.checked_sub(1).ok_or(Errno::EINVAL)?;
            e.inside.checked_add(last).filter(|v| *v != INVALID_ID).ok_or(Errno::EINVAL)?;
            e.outside.checked_add(last).filter(|v| *v != INVALID_ID).ok_or(Errno::EINVAL)?;
            let overlaps = |a: u32, b: u32, n: u32| a <= b.saturating_add(n - 1) && b <= a.saturating_add(last);
            if extents[..i]
                .iter()
                .any(|o| overlaps(e.inside, o.inside, o.count) || overlaps(e.outside, o.outside, o.count))
            {
                return err(Errno::EINVAL);
            }
        }
        Ok(Self { extents })
    }

    /// The lines.
    #[must_use]
    pub fn extents(&self) -> &[Extent] {
        &self.extents
    }

    fn out(&self, id: u32) -> Option<u32> {
        self.extents.iter().find_map(|e| {
            let at = id.checked_sub(e.inside)?;
            (at < e.count).then(|| e.outside + at)
        })
    }

    fn within(&self, id: u32) -> Option<u32> {
        self.extents.iter().find_map(|e| {
            let at = id.checked_sub(e.outside)?;
            (at < e.count).then(|| e.inside + at)
        })
    }
}

/// Which of the two maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdKind {
    /// uid_map.
    User,
    /// gid_map.
    Group,
}

impl UserNamespace {
    /// The root namespace: every id means itself.
    #[must_use]
    pub fn root() -> Arc<Self> {
        Arc::new(Self {
            id: NsId::INITIAL_USER,
            parent: None,
            owner: 0,
            owner_gid: 0,
            level: 0,
            uids: OnceLock::new(),
            gids: OnceLock::new(),
            setgroups_denied: Mutex::new(false),
        })
    }

    /// A namespace inside `parent`, without mappings yet. ENOSPC at the nesting limit.
    pub fn nested(parent: &Arc<Self>, owner: u32, owner_gid: u32) -> Result<Arc<Self>> {
        if parent.level >= MAX_LEVEL {
            return err(Errno::ENOSPC);
        }
        Ok(Arc::new(Self {
            id: NsId::new(),
            parent: Some(Arc::clone(parent)),
            owner,
            owner_gid,
            level: parent.level + 1,
            uids: OnceLock::new(),
            gids: OnceLock::new(),
            setgroups_denied: Mutex::new(*parent.setgroups_denied.lock()),
        }))
    }

    /// Whether `self` is `other` or one of its descendants.
    #[must_use]
    pub fn is_within(self: &Arc<Self>, other: &Arc<Self>) -> bool {
        let mut at = Some(self);
        while let Some(ns) = at {
            if Arc::ptr_eq(ns, other) {
                return true;
            }
            at = ns.parent.as_ref();
        }
        false
    }

    fn map(&self, kind: IdKind) -> &OnceLock<IdMap> {
        match kind {
            IdKind::User => &self.uids,
            IdKind::Group => &self.gids,
        }
    }

    /// Sets a map whose outside ids are those of the parent namespace. EPERM if it was set before or an outside id is
    /// not mapped in the parent. Who may do it is checked by the caller (`/proc/PID/uid_map`).
    pub fn set_map(&self, kind: IdKind, map: &IdMap) -> Result<()> {
        let parent = self.parent.as_ref().ok_or(Errno::EPERM)?;
        let mut extents = Vec::with_capacity(map.extents.len());
        for e in &map.extents {
            let first = parent.to_kernel(kind, e.outside).ok_or(Errno::EPERM)?;
            let last = parent.to_kernel(kind, e.outside + (e.count - 1)).ok_or(Errno::EPERM)?;
            if last.checked_sub(first) != Some(e.count - 1) {
                return err(Errno::EPERM);
            }
            extents.push(Extent { outside: first, ..*e });
        }
        self.map(kind).set(IdMap { extents }).map_err(|_| Errno::EPERM.into())
    }

    /// Makes the root namespace look like the one that the container has on the host: ids that are not mapped there are none
    /// here, and the others are shown as what the host has for them.
    pub fn resemble(&self, kind: IdKind, map: IdMap) {
        debug_assert!(self.parent.is_none(), "maps of others are set by who made them");
        let _ = self.map(kind).set(map);
    }

    /// The map that was set, outside ids being kernel ids, or in the root namespace the host's; `None` before it was set.
    #[must_use]
    pub fn id_map(&self, kind: IdKind) -> Option<&IdMap> {
        self.map(kind).get()
    }

    /// The kernel id of an id of this namespace; `None` if it is not mapped (EINVAL for the caller).
    #[must_use]
    pub fn to_kernel(&self, kind: IdKind, id: u32) -> Option<u32> {
        if id == INVALID_ID {
            return None;
        }
        match self.map(kind).get() {
            map if self.parent.is_none() => map.is_none_or(|map| map.out(id).is_some()).then_some(id),
            map => map?.out(id),
        }
    }

    /// The id that this namespace has for a kernel id.
    #[must_use]
    pub fn from_kernel(&self, kind: IdKind, id: u32) -> Option<u32> {
        match self.map(kind).get() {
            map if self.parent.is_none() => map.is_none_or(|map| map.out(id).is_some()).then_some(id),
            map => map?.within(id),
        }
    }

    /// A kernel uid as the application sees it: the overflow id if it is not mapped.
    #[must_use]
    pub fn show_uid(&self, uid: u32) -> u32 {
        self.from_kernel(IdKind::User, uid).unwrap_or(OVERFLOW_ID)
    }

    /// A kernel gid as the application sees it.
    #[must_use]
    pub fn show_gid(&self, gid: u32) -> u32 {
        self.from_kernel(IdKind::Group, gid).unwrap_or(OVERFLOW_ID)
    }

    /// A uid from the application; EINVAL if it is not mapped.
    pub fn uid(&self, uid: u32) -> Result<u32> {
        self.to_kernel(IdKind::User, uid).ok_or_else(|| Errno::EINVAL.into())
    }

    /// A gid from the application; EINVAL if it is not mapped.
    pub fn gid(&self, gid: u32) -> Result<u32> {
        self.to_kernel(IdKind::Group, gid).ok_or_else(|| Errno::EINVAL.into())
    }

    /// Whether setgroups(2) may be called: gid_map is set and /proc/PID/setgroups does not say `deny`.
    #[must_use]
    pub fn setgroups_allowed(&self) -> bool {
        (self.parent.is_none() || self.gids.get().is_some()) && !*self.setgroups_denied.lock()
    }

    /// Whether /proc/PID/setgroups says `deny`.
    #[must_use]
    pub fn setgroups_denied(&self) -> bool {
        *self.setgroups_denied.lock()
    }

    /// What a write to /proc/PID/setgroups does. EPERM once gid_map is set (or to allow what was denied).
    pub fn deny_setgroups(&self, deny: bool) -> Result<()> {
        let mut denied = self.setgroups_denied.lock();
        match (deny, *denied) {
            (true, _) if self.parent.is_none() || self.gids.get().is_some() => err(Errno::EPERM),
            (false, true) => err(Errno::EPERM),
            (deny, _) => {
                *denied = deny;
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_compose_over_nesting() {
        let root = UserNamespace::root();
        let outer = UserNamespace::nested(&root, 1000, 1000).unwrap();
        let line = |inside, outside, count| IdMap::new(vec![Extent { inside, outside, count }]).unwrap();
        outer.set_map(IdKind::User, &line(0, 1000, 10)).unwrap();
        let inner = UserNamespace::nested(&outer, 1000, 1000).unwrap();
        inner.set_map(IdKind::User, &line(5, 2, 3)).unwrap();
        assert_eq!(inner.to_kernel(IdKind::User, 6), Some(1003));
        assert_eq!(inner.show_uid(1004), 7);
        assert_eq!(inner.show_uid(1000), OVERFLOW_ID);
        assert!(inner.set_map(IdKind::User, &line(0, 0, 1)).is_err());
    }

    #[test]
    fn ids_of_the_root_keep_their_numbers() {
        let root = UserNamespace::root();
        assert_eq!(root.to_kernel(IdKind::User, 70_000), Some(70_000));
        root.resemble(IdKind::User, IdMap::new(vec![Extent { inside: 0, outside: 100_000, count: 1000 }]).unwrap());
        assert_eq!(root.to_kernel(IdKind::User, 999), Some(999));
        assert_eq!(root.from_kernel(IdKind::User, 999), Some(999));
        assert_eq!(root.to_kernel(IdKind::User, 1000), None);
        assert_eq!(root.show_uid(1000), OVERFLOW_ID);
        assert_eq!(root.to_kernel(IdKind::Group, 70_000), Some(70_000));
    }

    #[test]
    fn bad_maps_are_refused() {
        let e = |inside, outside, count| Extent { inside, outside, count };
        assert!(IdMap::new(vec![]).is_err());
        assert!(IdMap::new(vec![e(0, 0, 0)]).is_err());
        assert!(IdMap::new(vec![e(0, u32::MAX - 1, 3)]).is_err());
        assert!(IdMap::new(vec![e(0, 100, 5), e(4, 200, 5)]).is_err());
        assert!(IdMap::new(vec![e(0, 100, 5), e(5, 104, 5)]).is_err());
    }
}
