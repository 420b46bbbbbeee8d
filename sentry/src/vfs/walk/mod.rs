//! Path walking (path_resolution(7), openat2(2)): text to [`Path`].
//!
//! A [`Walk`] goes from name to name; a cached name costs a look into its directory's table, nothing is allocated but for
//! symbolic links. [`resolve`] walks to the end, [`parent`] to the last name. Calls that may make the last name (open(2)
//! with O_CREAT) drive the walk themselves. No lock is held between names.

mod step;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use abi::Errno;
use abi::limits::NAME_MAX;
use abi::stat::FileType;
use bitflags::bitflags;

use super::{Caller, Path};
use crate::error::{Result, err};

bitflags! {
    /// How to walk. The resolve flags are those of openat2(2).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct WalkFlags: u32 {
        /// Follow a symbolic link that is the last name.
        const FOLLOW = 1;
        /// The result must be a directory (ENOTDIR).
        const DIRECTORY = 2;
        /// RESOLVE_NO_XDEV: stay on the mount (EXDEV).
        const NO_XDEV = 4;
        /// RESOLVE_NO_MAGICLINKS: ELOOP at a magic link.
        const NO_MAGICLINKS = 8;
        /// RESOLVE_NO_SYMLINKS: ELOOP at any symbolic link.
        const NO_SYMLINKS = 16;
        /// RESOLVE_BENEATH: EXDEV for whatever leaves the starting directory.
        const BENEATH = 32;
        /// RESOLVE_IN_ROOT: the starting directory is the root.
        const IN_ROOT = 64;
        /// A walk that bends to its starting directory in one of the two ways.
        const SCOPED = Self::BENEATH.bits() | Self::IN_ROOT.bits();
    }
}

/// The last name of a path.
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "it lives on the stack for a moment, and a box would be an allocation a call"
)]
pub enum Last {
    /// A name.
    Name(Name),
    /// `.`
    Dot,
    /// `..`
    DotDot,
    /// There was none: the path is the place where the walk is (`/`).
    Root,
}

/// A single name, 1 to 255 bytes.
#[derive(Clone, Copy)]
pub struct Name {
    len: u8,
    bytes: [u8; NAME_MAX],
}

impl Name {
    /// A copy of `name`; ENAMETOOLONG beyond 255 bytes.
    pub fn new(name: &[u8]) -> Result<Self> {
        let len = u8::try_from(name.len()).map_err(|_| Errno::ENAMETOOLONG)?;
        let mut bytes = [0; NAME_MAX];
        bytes[..name.len()].copy_from_slice(name);
        Ok(Self { len, bytes })
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl std::fmt::Debug for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "\"{}\"", self.as_bytes().escape_ascii())
    }
}

/// The directory of a path's last name, and that name.
#[derive(Clone, Debug)]
pub struct Parent {
    /// The directory, which the caller may search.
    pub dir: Path,
    /// The name in it.
    pub last: Last,
    /// Whether slashes follow the name: it must be a directory.
    pub slashes: bool,
}

/// Walks `path` to its end, from `start` if it is relative (`None`: the working directory). An empty path is ENOENT.
pub fn resolve(caller: Caller<'_>, start: Option<&Path>, path: &[u8], flags: WalkFlags) -> Result<Path> {
    let mut walk = Walk::new(caller, start, path, flags)?;
    loop {
        match walk.go_to_last()? {
            Last::Root | Last::Dot => break,
            Last::DotDot => {
                walk.up()?;
                break;
            }
            Last::Name(name) => {
                let child = walk.lookup(name.as_bytes())?;
                if child.kind() == FileType::Symlink && (walk.follows_last()) {
                    if walk.follow(&child, true)? {
                        continue;
                    }
                    break;
                }
                walk.enter(child)?;
                break;
            }
        }
    }
    walk.finish()
}

/// Walks `path` up to its last name.
pub fn parent(caller: Caller<'_>, start: Option<&Path>, path: &[u8], flags: WalkFlags) -> Result<Parent> {
    let mut walk = Walk::new(caller, start, path, flags)?;
    let last = walk.go_to_last()?;
    let slashes = walk.slashes;
    walk.check_scope()?;
    Ok(Parent { dir: walk.at, last, slashes })
}

/// A walk under way.
#[derive(Debug)]
pub struct Walk<'a> {
    caller: Caller<'a>,
    flags: WalkFlags,
    /// Where it is.
    at: Path,
    /// The root directory, once it is needed.
    root: Option<Path>,
    /// Symbolic links followed so far.
    links: u32,
    /// Directories need not be looked at to search them.
    searches_all: bool,
    /// Slashes followed the last name.
    slashes: bool,
    /// What is walked now: the path, or the target of a link.
    text: Cow<'a, [u8]>,
    pos: usize,
    /// What is left of the texts that contained links.
    outer: Vec<(Cow<'a, [u8]>, usize)>,
}

impl<'a> Walk<'a> {
    /// A walk that has not begun.
    pub fn new(caller: Caller<'a>, start: Option<&Path>, path: &'a [u8], flags: WalkFlags) -> Result<Self> {
        if path.is_empty() {
            return err(Errno::ENOENT);
        }
        let absolute = path[0] == b'/';
        let scoped = flags.intersects(WalkFlags::SCOPED);
        if absolute && flags.contains(WalkFlags::BENEATH) {
            return err(Errno::EXDEV);
        }
        let at = match start {
            _ if absolute && !scoped => caller.fs.root(),
            Some(start) => start.clone(),
            None => caller.fs.cwd(),
        };
        let root = if scoped || absolute { Some(at.clone()) } else { None };
        Ok(Self {
            searches_all: Path::searches_all(caller.creds),
            caller,
            flags,
            at,
            root,
            links: 0,
            slashes: false,
            text: Cow::Borrowed(path),
            pos: 0,
            outer: Vec::new(),
        })
    }

    /// Where it is: the directory of the last name after [`Self::go_to_last`].
    #[must_use]
    pub fn at(&self) -> &Path {
        &self.at
    }

    /// Whether slashes follow the last name.
    #[must_use]
    pub fn slashes(&self) -> bool {
        self.slashes
    }

    /// Whether a symbolic link under the last name is to be followed.
    #[must_use]
    pub fn follows_last(&self) -> bool {
        self.slashes || self.flags.contains(WalkFlags::FOLLOW)
    }

    /// The end of the walk: where it is, if that is what was asked for.
    pub fn finish(mut self) -> Result<Path> {
        if (self.slashes || self.flags.contains(WalkFlags::DIRECTORY)) && !self.at.is_dir() {
            return err(Errno::ENOTDIR);
        }
        self.check_scope()?;
        Ok(self.at)
    }

    /// EXDEV if a scoped walk was led out of its directory.
    fn check_scope(&mut self) -> Result<()> {
        if !self.flags.intersects(WalkFlags::SCOPED) {
            return Ok(());
        }
        let at = self.at.clone();
        if at.text(self.root()).reachable { Ok(()) } else { err(Errno::EXDEV) }
    }
}
