//! Changes of a tree of mounts: mounting, binding, moving, unmounting, pivot_root.
//!
//! Permission is the caller's business; what is checked here is the shape of the tree, with Linux's errors.

use std::collections::HashMap;
use std::sync::Arc;

use abi::Errno;
use abi::stat::FileType;

use super::namespace::{Copies, attach, detach};
use super::spread::{self, Spread};
use super::{Mount, MountFlags, MountNamespace, Propagation, peers};
use crate::error::{Result, err};
use crate::vfs::{Dentry, Path};

/// A mount and all below it, parents before children.
pub(super) fn tree(root: &Arc<Mount>) -> Vec<Arc<Mount>> {
    let mut list = vec![Arc::clone(root)];
    let mut at = 0;
    while let Some(mount) = list.get(at) {
        let children = mount.children();
        list.extend(children);
        at += 1;
    }
    list
}

/// What copies are to shared originals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CopyAs {
    /// Members of the same groups.
    Peer,
    /// Slaves.
    Slave,
    /// Slaves, and members of new groups.
    SharedSlave,
}

/// A copy of one mount that begins at `root`.
fn copy_of(mount: &Arc<Mount>, root: &Arc<Dentry>, how: CopyAs) -> Arc<Mount> {
    let copy = Mount::new(Arc::clone(root), &mount.source, mount.flags());
    let old = mount.propagation();
    let propagation = match (how, old.peers) {
        (CopyAs::Peer, _) | (CopyAs::Slave, None) => old,
        (CopyAs::Slave, Some(_)) => Propagation { peers: None, master: old.peers, ..old },
        (CopyAs::SharedSlave, _) => {
            let master = old.peers.or(old.master);
            Propagation { peers: Some(peers::new_group(master)), master, unbindable: false }
        }
    };
    peers::set(&copy, propagation);
    copy
}

/// A copy of the part of a tree that begins at `from`; without `whole` unbindable mounts are left out.
pub(super) fn copy_tree(from: &Path, whole: bool, how: CopyAs) -> (Arc<Mount>, Copies) {
    let copy_of = |mount: &Arc<Mount>, root: &Arc<Dentry>| copy_of(mount, root, how);
    let root = copy_of(&from.mount, &from.dentry);
    let mut copies: Copies = HashMap::from([(from.mount.id, Arc::clone(&root))]);
    for mount in tree(&from.mount).into_iter().skip(1) {
        let Some(at) = mount.mountpoint() else { continue };
        // What is above the place that the copy begins at, or was left out, is not copied, nor what is on it.
        let Some(parent) = copies.get(&at.mount.id).cloned() else { continue };
        let below = at.mount.id != from.mount.id || from.dentry.is_ancestor_of(&at.dentry);
        if !below || (!whole && mount.propagation().unbindable) {
            continue;
        }
        let copy = copy_of(&mount, &mount.root);
        attach(&copy, Path { mount: parent, dentry: at.dentry });
        copies.insert(mount.id, copy);
    }
    (root, copies)
}

/// Takes a tree that nobody can reach any more apart.
pub(super) fn dissolve(root: &Arc<Mount>) {
    for mount in tree(root).iter().rev() {
        detach(mount);
        mount.links.write().namespace = std::sync::Weak::new();
    }
}

impl MountNamespace {
    /// Mounts the file system tree that begins at `root` on `at`.
    pub fn mount(
        self: &Arc<Self>,
        root: Arc<Dentry>,
        source: &[u8],
        flags: MountFlags,
        at: Path,
    ) -> Result<Arc<Mount>> {
        let mount = Mount::new(root, source, flags);
        let _change = Self::lock_changes();
        self.graft(&mount, at)?;
        Ok(mount)
    }

    /// Binds what is at `from` (with `recursive`, also what is mounted below it) to `at`.
    pub fn bind(self: &Arc<Self>, from: &Path, at: Path, recursive: bool) -> Result<Arc<Mount>> {
        let _change = Self::lock_changes();
        self.check_ours(&from.mount)?;
        if from.mount.propagation().unbindable {
            return err(Errno::EINVAL);
        }
        let mount = if recursive {
            copy_tree(from, false, CopyAs::Peer).0
        } else {
            copy_of(&from.mount, &from.dentry, CopyAs::Peer)
        };
        self.graft(&mount, at).inspect_err(|_| dissolve(&mount))?;
        Ok(mount)
    }

    /// Moves the mount whose root is `from` to `at`.
    pub fn move_mount(self: &Arc<Self>, from: &Path, at: Path) -> Result<()> {
        let _change = Self::lock_changes();
        self.check_ours(&from.mount)?;
        let at = at.through_mounts();
        self.check_ours(&at.mount)?;
        let Some(old) = from.mount.mountpoint() else { return err(Errno::EINVAL) };
        if !Arc::ptr_eq(&from.dentry, from.mount.root())
            || (from.kind() == FileType::Directory) != at.is_dir()
            || old.mount.propagation().peers.is_some()
        {
            return err(Errno::EINVAL);
        }
        if is_below(&at.mount, &from.mount) {
            return err(Errno::ELOOP);
        }
        if at.dentry.is_unlinked() || !at.dentry.inode().mountable() {
            return err(Errno::ENOENT);
        }
        let unbindable = |mount: &Arc<Mount>| mount.propagation().unbindable;
        if at.mount.propagation().peers.is_some() && tree(&from.mount).iter().any(unbindable) {
            return err(Errno::EINVAL);
        }
        let spread = Spread::plan(&from.mount, &at)?;
        detach(&from.mount);
        attach(&from.mount, Path { dentry: at.dentry.pin(), mount: at.mount });
        self.note_change();
        spread.carry_out();
        Ok(())
    }

    /// Unmounts `mount`. Without `lazy` it must not be in use (EBUSY): `users` is how many references the caller holds.
    pub fn unmount(self: &Arc<Self>, mount: &Arc<Mount>, lazy: bool, users: usize) -> Result<()> {
        let change = Self::lock_changes();
        self.check_ours(mount)?;
        if mount.mountpoint().is_none() {
            // The root of the namespace stays.
            return err(if lazy { Errno::EINVAL } else { Errno::EBUSY });
        }
        if !lazy {
            // One reference is the parent's.
            if !mount.links.read().children.is_empty() || Arc::strong_count(mount) > users + 1 {
                return err(Errno::EBUSY);
            }
        }
        let elsewhere = spread::unmounted_with(&tree(mount));
        if !lazy && elsewhere.iter().any(spread::is_used) {
            return err(Errno::EBUSY);
        }
        dissolve(mount);
        elsewhere.iter().rev().for_each(spread::take_off);
        self.note_change();
        drop(change);
        Ok(())
    }

    /// pivot_root(2): `new_root` becomes the root of the namespace, what was the root is mounted on `put_old`. `root` is
    /// the caller's root directory. The caller then moves the roots and working directories of tasks.
    pub fn pivot_root(self: &Arc<Self>, root: &Path, new_root: &Path, put_old: &Path) -> Result<()> {
        let _change = Self::lock_changes();
        let (root_mount, new_mount) = (&root.mount, &new_root.mount);
        for mount in [root_mount, new_mount, &put_old.mount] {
            self.check_ours(mount)?;
        }
        if new_root.dentry.is_unlinked() || put_old.dentry.is_unlinked() {
            return err(Errno::ENOENT);
        }
        // A loop, on the root file system.
        if Arc::ptr_eq(new_mount, root_mount) || Arc::ptr_eq(&put_old.mount, root_mount) {
            return err(Errno::EBUSY);
        }
        let shared = |mount: &Arc<Mount>| mount.propagation().peers.is_some();
        let parent_of = |mount: &Arc<Mount>| mount.mountpoint().map(|at| at.mount);
        if shared(&put_old.mount)
            || parent_of(new_mount).is_some_and(|m| shared(&m))
            || parent_of(root_mount).is_some_and(|m| shared(&m))
        {
            return err(Errno::EINVAL);
        }
        if !Arc::ptr_eq(&root.dentry, root_mount.root()) || !Arc::ptr_eq(&new_root.dentry, new_mount.root()) {
            return err(Errno::EINVAL);
        }
        let Some(new_at) = new_mount.mountpoint() else { return err(Errno::EINVAL) };
        // `put_old` must be reached from `new_root`, and that from the present root.
        if !is_place_below(put_old, new_root) || !is_place_below(new_root, root) {
            return err(Errno::EINVAL);
        }
        let root_at = root_mount.mountpoint();
        drop(new_at);
        detach(new_mount);
        match root_at {
            Some(at) => {
                detach(root_mount);
                attach(new_mount, at);
            }
            None => self.set_root_mount(new_mount),
        }
        attach(root_mount, Path { dentry: put_old.dentry.pin(), mount: Arc::clone(&put_old.mount) });
        self.note_change();
        Ok(())
    }

    /// Changes how a mount (with `recursive`, also those below it) propagates.
    pub fn set_propagation(self: &Arc<Self>, mount: &Arc<Mount>, to: PropagationChange, recursive: bool) -> Result<()> {
        let _change = Self::lock_changes();
        self.check_ours(mount)?;
        let list = if recursive { tree(mount) } else { vec![Arc::clone(mount)] };
        for mount in list {
            let old = mount.propagation();
            let new = match (to, old.peers) {
                (PropagationChange::Private, _) => Propagation::default(),
                (PropagationChange::Unbindable, _) => Propagation { unbindable: true, ..Propagation::default() },
                (PropagationChange::Shared, Some(_)) | (PropagationChange::Slave, None) => continue,
                (PropagationChange::Shared, None) => {
                    Propagation { peers: Some(peers::new_group(old.master)), unbindable: false, ..old }
                }
                (PropagationChange::Slave, Some(group)) => {
                    let alone = peers::peers_of(group).iter().all(|peer| peer.id == mount.id);
                    Propagation { peers: None, master: if alone { old.master } else { Some(group) }, ..old }
                }
            };
            peers::set(&mount, new);
        }
        Ok(())
    }

    fn graft(self: &Arc<Self>, mount: &Arc<Mount>, at: Path) -> Result<()> {
        let at = at.through_mounts();
        self.check_ours(&at.mount)?;
        if at.dentry.is_unlinked() || !at.dentry.inode().mountable() {
            return err(Errno::ENOENT);
        }
        if at.is_dir() != mount.root.is_dir() {
            return err(Errno::ENOTDIR);
        }
        if !Mount::room_for(0) {
            return err(Errno::ENOSPC);
        }
        let spread = Spread::plan(mount, &at)?;
        let at = Path { dentry: at.dentry.pin(), mount: at.mount };
        for below in tree(mount) {
            below.links.write().namespace = Arc::downgrade(self);
        }
        attach(mount, at);
        self.note_change();
        spread.carry_out();
        Ok(())
    }

    /// EINVAL for what belongs to another namespace or was detached.
    fn check_ours(self: &Arc<Self>, mount: &Arc<Mount>) -> Result<()> {
        match mount.namespace() {
            Some(namespace) if Arc::ptr_eq(&namespace, self) => Ok(()),
            _ => err(Errno::EINVAL),
        }
    }
}

/// What set_propagation makes of a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PropagationChange {
    /// MS_PRIVATE
    Private,
    /// MS_UNBINDABLE
    Unbindable,
    /// MS_SHARED
    Shared,
    /// MS_SLAVE
    Slave,
}

/// Whether `mount` is `above` or mounted below it.
fn is_below(mount: &Arc<Mount>, above: &Arc<Mount>) -> bool {
    let mut at = Arc::clone(mount);
    loop {
        if Arc::ptr_eq(&at, above) {
            return true;
        }
        match at.mountpoint() {
            Some(place) => at = place.mount,
            None => return false,
        }
    }
}

/// Whether `place` is `above` or below it in the whole tree.
fn is_place_below(place: &Path, above: &Path) -> bool {
    let mut at = place.clone();
    while !Arc::ptr_eq(&at.mount, &above.mount) {
        match at.mount.mountpoint() {
            Some(next) => at = next,
            None => return false,
        }
    }
    above.dentry.is_ancestor_of(&at.dentry)
}
