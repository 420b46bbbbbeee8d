//! Landlock, landlock(7): what a task has forbidden itself to do with files, for good and for all its children.
//!
//! A [`Ruleset`] is made and filled through a descriptor; [`Domain`]s are the rulesets that a task has put on, one upon the
//! other, part of its credentials. An access counts if every one of them has, for each right it handles, a rule that grants
//! it somewhere from the file up to the root. The VFS asks where it checks permission; who has no domain pays one load.
//!
//! Rights on files as of ABI 3. Bounds: [`MAX_RULES`] a ruleset, [`MAX_LAYERS`] a domain. Locks: `Leaf` around the rules
//! of a ruleset.

mod check;

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

use abi::Errno;
use abi::fcntl::OpenFlags;
use abi::landlock::LandlockFsAccess as Access;
use sync::Mutex;

pub(crate) use self::check::may_execute;
pub use self::check::{may_link, may_make, may_mount, may_open, may_remove, may_rename, may_truncate};
use crate::error::{Result, err};
use crate::lock_order::Leaf;
use crate::vfs::{Dentry, File, FileOps, Inode, Path, anon};

/// The version of the interface.
pub const ABI_VERSION: u32 = 3;
/// How many rulesets one may put on.
pub const MAX_LAYERS: u32 = 16;
/// How many files and directories a ruleset may name.
pub const MAX_RULES: usize = 1 << 12;

/// All rights that there are in this version.
pub const ALL: Access = Access::all().difference(Access::LANDLOCK_ACCESS_FS_IOCTL_DEV);
/// Those that mean something for a file that is no directory.
const FILE: Access = Access::LANDLOCK_ACCESS_FS_EXECUTE
    .union(Access::LANDLOCK_ACCESS_FS_WRITE_FILE)
    .union(Access::LANDLOCK_ACCESS_FS_READ_FILE)
    .union(Access::LANDLOCK_ACCESS_FS_TRUNCATE);

/// By inode; the dentry keeps the inode the same.
type Rules = HashMap<usize, (Access, Arc<Dentry>)>;

/// What landlock_create_ruleset(2) makes.
#[derive(Debug)]
pub struct Ruleset {
    handled: Access,
    /// Shared with the domains made of it, until it gets another rule.
    rules: Mutex<Arc<Rules>, Leaf>,
}

impl Ruleset {
    /// The file of a new ruleset. EINVAL for rights that there are not, ENOMSG for none.
    pub fn open(handled: Access) -> Result<Arc<File>> {
        if !ALL.contains(handled) {
            return err(Errno::EINVAL);
        }
        if handled.is_empty() {
            return err(Errno::ENOMSG);
        }
        let ruleset = Arc::new(Self { handled, rules: Mutex::default() });
        Ok(File::new(ruleset, anon::inode_path("anon_inode:[landlock-ruleset]"), OpenFlags::O_RDWR))
    }

    /// The ruleset behind a file; EBADFD for others.
    pub fn of(file: &File) -> Result<&Self> {
        file.ops_as().ok_or_else(|| Errno::EBADFD.into())
    }

    /// Whether it handles all of these.
    #[must_use]
    pub fn handles(&self, access: Access) -> bool {
        self.handled.contains(access)
    }

    /// Grants rights beneath a place. ENOMSG for none, EINVAL for such as are not handled, or not for a file.
    pub fn allow(&self, access: Access, place: &Path) -> Result<()> {
        if access.is_empty() {
            return err(Errno::ENOMSG);
        }
        if !self.handled.contains(access) || (!place.is_dir() && !FILE.contains(access)) {
            return err(Errno::EINVAL);
        }
        let mut rules = self.rules.lock();
        if rules.len() >= MAX_RULES {
            return err(Errno::E2BIG);
        }
        Arc::make_mut(&mut rules)
            .entry(key(place.inode()))
            .or_insert_with(|| (Access::empty(), Arc::clone(&place.dentry)))
            .0 |= access;
        Ok(())
    }
}

impl FileOps for Ruleset {
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// What a task has put on, the last on top.
#[derive(Debug)]
pub struct Domain {
    below: Option<Arc<Domain>>,
    depth: u32,
    handled: Access,
    rules: Arc<Rules>,
}

impl Domain {
    /// A ruleset as it is now, upon what is there. E2BIG if that would be too many.
    pub fn upon(below: Option<&Arc<Self>>, ruleset: &Ruleset) -> Result<Arc<Self>> {
        let depth = below.map_or(0, |below| below.depth) + 1;
        if depth > MAX_LAYERS {
            return err(Errno::E2BIG);
        }
        let rules = ruleset.rules.lock().clone();
        Ok(Arc::new(Self { below: below.map(Arc::clone), depth, handled: ruleset.handled, rules }))
    }

    fn layers(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |layer| layer.below.as_deref())
    }

    /// Whether what wears `inner` is bound by at least as much: it is this domain with others upon it, perhaps.
    #[must_use]
    pub fn holds(self: &Arc<Self>, inner: Option<&Arc<Self>>) -> bool {
        inner.is_some_and(|inner| inner.layers().any(|layer| std::ptr::eq(layer, Arc::as_ptr(self))))
    }
}

fn key(inode: &Arc<dyn Inode>) -> usize {
    Arc::as_ptr(inode).cast::<()>().addr()
}
