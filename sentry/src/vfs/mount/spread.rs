//! What mounting and unmounting below a shared mount does elsewhere.
//!
//! Each member of the group, and whoever hears of it, gets a copy of what is mounted, at the same place if it shows that place:
//! members one that is a peer of the original, others a slave of it. The `Mounts` lock is held throughout.

use std::collections::HashSet;
use std::sync::Arc;

use abi::Errno;

use super::change::{CopyAs, copy_tree, dissolve, tree};
use super::namespace::{attach, detach};
use super::peers::{groups_below, new_group, peers_of, set, slaves_of};
use super::{Mount, Propagation};
use crate::error::{Result, err};
use crate::vfs::{Dentry, Path};

/// Copies to be mounted, and where.
#[derive(Debug, Default)]
pub(super) struct Spread(Vec<(Arc<Mount>, Path)>);

impl Spread {
    /// What mounting `source` on `at` entails; it becomes shared if `at` is on a shared mount. ENOSPC if that would be too much.
    pub(super) fn plan(source: &Arc<Mount>, at: &Path) -> Result<Self> {
        let mut plan = Self::default();
        let Some(group) = at.mount.propagation().peers else { return Ok(plan) };
        for mount in tree(source) {
            let old = mount.propagation();
            if old.peers.is_none() {
                set(&mount, Propagation { peers: Some(new_group(old.master)), unbindable: false, ..old });
            }
        }
        plan.fill(source, at, group).inspect_err(|_| plan.0.iter().for_each(|(copy, _)| dissolve(copy)))?;
        Ok(plan)
    }

    fn fill(&mut self, source: &Arc<Mount>, at: &Path, group: u32) -> Result<()> {
        let size = tree(source).len();
        let mut add = |mount: Arc<Mount>, from: &Arc<Mount>, how: CopyAs| -> Result<Option<Arc<Mount>>> {
            if mount.id == at.mount.id || !mount.root.is_ancestor_of(&at.dentry) {
                return Ok(None);
            }
            if !Mount::room_for(size) {
                return err(Errno::ENOSPC);
            }
            let copy = copy_tree(&Path::root_of(from), true, how).0;
            self.0.push((Arc::clone(&copy), Path { dentry: Arc::clone(&at.dentry), mount }));
            Ok(Some(copy))
        };
        let privileged = at.mount.namespace().map(|namespace| Arc::clone(namespace.owner()));
        let mut hear = vec![(group, Arc::clone(source), true)];
        while let Some((group, source, first)) = hear.pop() {
            // Of a group that hears, the first that takes a copy has the one that the others' are peers of.
            let mut theirs = first.then(|| Arc::clone(&source));
            for peer in peers_of(group) {
                let equal = peer.namespace().map(|ns| Arc::clone(ns.owner())).zip(privileged.as_ref());
                let equal = equal.is_some_and(|(one, other)| Arc::ptr_eq(&one, other));
                match &theirs {
                    Some(own) if equal || !first => _ = add(peer, own, CopyAs::Peer)?,
                    _ => {
                        let copy = add(peer, &source, CopyAs::SharedSlave)?;
                        theirs = theirs.or(copy);
                    }
                }
            }
            let theirs = theirs.unwrap_or(source);
            for slave in slaves_of(group) {
                add(slave, &theirs, CopyAs::Slave)?;
            }
            hear.extend(groups_below(group).into_iter().map(|group| (group, Arc::clone(&theirs), false)));
        }
        Ok(())
    }

    /// Mounts the copies. What was mounted at such a place is on top of them then.
    pub(super) fn carry_out(self) {
        for (copy, at) in self.0 {
            let Some(namespace) = at.mount.namespace() else {
                dissolve(&copy);
                continue;
            };
            for mount in tree(&copy) {
                mount.links.write().namespace = Arc::downgrade(&namespace);
            }
            let covered = at.mount.child_at(&at.dentry);
            if let Some(covered) = &covered {
                detach(covered);
            }
            attach(&copy, Path { dentry: at.dentry.pin(), mount: at.mount });
            if let Some(covered) = covered {
                attach(&covered, Path { dentry: copy.root.pin(), mount: copy });
            }
            namespace.note_change();
        }
    }
}

/// What is unmounted elsewhere when all of `list` (parents before children) is: parents before children. What has something else
/// mounted below it stays.
pub(super) fn unmounted_with(list: &[Arc<Mount>]) -> Vec<Arc<Mount>> {
    let mut known: HashSet<u64> = list.iter().map(|mount| mount.id).collect();
    let mut found = Vec::new();
    for mount in list {
        let Some(at) = mount.mountpoint() else { continue };
        for hears in hearers(&at.mount) {
            if let Some(child) = hears.child_at(&at.dentry)
                && known.insert(child.id)
            {
                found.push(child);
            }
        }
    }
    loop {
        let before = found.len();
        found.retain(|mount| {
            let goes = mount.children().iter().all(|child| known.contains(&child.id) || covers(child, &mount.root));
            if !goes {
                known.remove(&mount.id);
            }
            goes
        });
        if found.len() == before {
            return found;
        }
    }
}

/// Unmounts one of them: what covers all of it takes its place.
pub(super) fn take_off(mount: &Arc<Mount>) {
    let namespace = mount.namespace();
    let place = mount.mountpoint();
    let cover = mount.child_at(&mount.root);
    if let Some(cover) = &cover {
        detach(cover);
    }
    dissolve(mount);
    if let (Some(cover), Some(at)) = (cover, place) {
        attach(&cover, Path { dentry: at.dentry.pin(), mount: at.mount });
    }
    if let Some(namespace) = namespace {
        namespace.note_change();
    }
}

/// Whether somebody uses it, beside its parent, what covers it, and the caller's one reference.
pub(super) fn is_used(mount: &Arc<Mount>) -> bool {
    let covers = usize::from(mount.child_at(&mount.root).is_some());
    Arc::strong_count(mount) > 2 + covers
}

fn covers(mount: &Arc<Mount>, root: &Arc<Dentry>) -> bool {
    mount.mountpoint().is_some_and(|at| Arc::ptr_eq(&at.dentry, root))
}

/// Everybody who hears what happens below `mount`, without it.
fn hearers(mount: &Arc<Mount>) -> Vec<Arc<Mount>> {
    let mut list = Vec::new();
    let mut groups: Vec<u32> = mount.propagation().peers.into_iter().collect();
    while let Some(group) = groups.pop() {
        list.extend(peers_of(group).into_iter().filter(|peer| peer.id != mount.id));
        list.extend(slaves_of(group));
        groups.extend(groups_below(group));
    }
    list
}
