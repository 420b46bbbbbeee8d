//! Peer groups of mounts: who is in which, and who hears of them (mount_namespaces(7)).
//!
//! A group is a number, and has at most one master, another group. What a mount says of itself ([`Mount::propagation`]) counts; the
//! table here only finds candidates, weakly. Changes happen under the `Mounts` lock; `Leaf` over the table.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use sync::Mutex;

use super::{Mount, Propagation};
use crate::lock_order::Leaf;

static GROUPS: Mutex<Groups, Leaf> = Mutex::new(Groups { by_number: BTreeMap::new(), last: 0 });

#[derive(Debug)]
struct Groups {
    by_number: BTreeMap<u32, Group>,
    last: u32,
}

#[derive(Debug, Default)]
struct Group {
    /// Mounts that were put in it.
    peers: Vec<Weak<Mount>>,
    /// Mounts in no group that hear of it.
    slaves: Vec<Weak<Mount>>,
    /// The group that it hears of.
    master: Option<u32>,
}

/// A new group that hears of `master`.
pub(super) fn new_group(master: Option<u32>) -> u32 {
    let mut groups = GROUPS.lock();
    if groups.by_number.len().is_power_of_two() {
        groups.forget_dead();
    }
    groups.last = groups.last.wrapping_add(1).max(1);
    let number = groups.last;
    groups.by_number.insert(number, Group { master, ..Group::default() });
    number
}

/// Sets how a mount propagates.
pub(super) fn set(mount: &Arc<Mount>, to: Propagation) {
    mount.links.write().propagation = to;
    let mut groups = GROUPS.lock();
    let list = match (to.peers, to.master) {
        (Some(group), _) => groups.by_number.get_mut(&group).map(|group| &mut group.peers),
        (None, Some(group)) => groups.by_number.get_mut(&group).map(|group| &mut group.slaves),
        (None, None) => None,
    };
    let Some(list) = list else { return };
    if list.len().is_power_of_two() {
        list.retain(|known| known.strong_count() > 0);
    }
    list.push(Arc::downgrade(mount));
}

/// The members of a group that are mounted.
pub(super) fn peers_of(group: u32) -> Vec<Arc<Mount>> {
    mounted(|found| &found.peers, group, |propagation| propagation.peers == Some(group))
}

/// What is mounted and hears of a group, in no group itself.
pub(super) fn slaves_of(group: u32) -> Vec<Arc<Mount>> {
    mounted(
        |found| &found.slaves,
        group,
        |propagation| propagation.peers.is_none() && propagation.master == Some(group),
    )
}

/// The groups that hear of a group.
pub(super) fn groups_below(group: u32) -> Vec<u32> {
    let groups = GROUPS.lock();
    groups.by_number.iter().filter(|(_, other)| other.master == Some(group)).map(|(number, _)| *number).collect()
}

/// The nearest group with members from `group` on, by way of masters.
pub(super) fn living(mut group: Option<u32>) -> Option<u32> {
    while let Some(number) = group {
        if !peers_of(number).is_empty() {
            return Some(number);
        }
        group = GROUPS.lock().by_number.get(&number).and_then(|group| group.master);
    }
    None
}

fn mounted(
    list: impl Fn(&Group) -> &Vec<Weak<Mount>>,
    group: u32,
    counts: impl Fn(Propagation) -> bool,
) -> Vec<Arc<Mount>> {
    // What is dropped here may be the last reference to a mount: not under the table's lock.
    let found: Vec<_> = {
        let groups = GROUPS.lock();
        groups
            .by_number
            .get(&group)
            .map(|group| list(group).iter().filter_map(Weak::upgrade).collect())
            .unwrap_or_default()
    };
    let mut found: Vec<Arc<Mount>> = found
        .into_iter()
        .filter(|mount: &Arc<Mount>| counts(mount.propagation()) && mount.namespace().is_some())
        .collect();
    // Who left and came back is in the table twice.
    found.sort_by_key(|mount| mount.id);
    found.dedup_by_key(|mount| mount.id);
    found
}

impl Groups {
    /// Takes out groups without any mount; who heard of one hears of its master.
    fn forget_dead(&mut self) {
        let gone = |list: &Vec<Weak<Mount>>| list.iter().all(|mount| mount.strong_count() == 0);
        let dead: BTreeMap<u32, Option<u32>> = self
            .by_number
            .iter()
            .filter(|(_, group)| gone(&group.peers) && gone(&group.slaves))
            .map(|(number, group)| (*number, group.master))
            .collect();
        self.by_number.retain(|number, _| !dead.contains_key(number));
        for group in self.by_number.values_mut() {
            while let Some(next) = group.master.and_then(|master| dead.get(&master)) {
                group.master = *next;
            }
        }
    }
}
