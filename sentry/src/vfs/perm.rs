//! Permission to use an inode: mode bits, ownership and the capabilities that override them (path_resolution(7),
//! capabilities(7)).

use abi::Errno;
use abi::capability::Cap;
use abi::stat::{S_IFDIR, S_IFMT, S_ISGID, S_ISVTX, S_IXGRP, S_IXUGO};
use bitflags::bitflags;

use super::{Access, Path};
use crate::error::{Result, err};
use crate::task::Credentials;
use crate::task::user_ns::IdKind;

bitflags! {
    /// What somebody wants to do with an inode; the values are those of access(2).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Want: u32 {
        /// Execute; search, for directories.
        const EXEC = 1;
        /// Write; change names, for directories.
        const WRITE = 2;
        /// Read.
        const READ = 4;
    }
}

impl Access {
    /// Whether it is a directory.
    #[must_use]
    pub fn is_dir(&self) -> bool {
        self.mode & S_IFMT == S_IFDIR
    }

    /// EACCES unless the mode or a capability allows `want`.
    pub fn check(&self, creds: &Credentials, want: Want) -> Result<()> {
        let shift = if creds.fsuid == self.uid {
            6
        } else if creds.in_group(self.gid) {
            3
        } else {
            0
        };
        if want.bits() & !(self.mode >> shift) & 7 == 0 {
            return Ok(());
        }
        let overridden = if self.is_dir() {
            (!want.contains(Want::WRITE) && self.capable(creds, Cap::CAP_DAC_READ_SEARCH))
                || self.capable(creds, Cap::CAP_DAC_OVERRIDE)
        } else {
            (want == Want::READ && self.capable(creds, Cap::CAP_DAC_READ_SEARCH))
                || ((!want.contains(Want::EXEC) || self.mode & S_IXUGO != 0)
                    && self.capable(creds, Cap::CAP_DAC_OVERRIDE))
        };
        if overridden { Ok(()) } else { err(Errno::EACCES) }
    }

    /// Whether a capability counts for this inode: effective, and the owners are mapped in the task's user namespace.
    #[must_use]
    pub fn capable(&self, creds: &Credentials, cap: Cap) -> bool {
        creds.has(cap)
            && (creds.user_ns.parent.is_none()
                || (creds.user_ns.from_kernel(IdKind::User, self.uid).is_some()
                    && creds.user_ns.from_kernel(IdKind::Group, self.gid).is_some()))
    }

    /// Whether the task owns the inode or CAP_FOWNER stands in for that.
    #[must_use]
    pub fn owned(&self, creds: &Credentials) -> bool {
        creds.fsuid == self.uid || self.capable(creds, Cap::CAP_FOWNER)
    }

    /// Whether the task is in the inode's group or CAP_FSETID stands in for that.
    #[must_use]
    pub fn in_group_or_capable(&self, creds: &Credentials) -> bool {
        creds.in_group(self.gid) || self.capable(creds, Cap::CAP_FSETID)
    }

    /// Whether set-group-ID goes when somebody else's change must drop it.
    #[must_use]
    pub fn drops_setgid(&self, creds: &Credentials) -> bool {
        self.mode & S_ISGID != 0 && (self.mode & S_IXGRP != 0 || !self.in_group_or_capable(creds))
    }

    /// Whether a sticky directory (`self`) keeps the task from removing or renaming `victim` in it.
    #[must_use]
    pub fn sticky_forbids(&self, creds: &Credentials, victim: &Self) -> bool {
        self.mode & S_ISVTX != 0
            && creds.fsuid != victim.uid
            && creds.fsuid != self.uid
            && !victim.capable(creds, Cap::CAP_FOWNER)
    }
}

impl Path {
    /// EACCES unless the inode may be used so; EROFS to write what is on a read-only file system instance.
    pub fn check(&self, creds: &Credentials, want: Want) -> Result<()> {
        use abi::stat::FileType::{Directory, Regular, Symlink};
        if want.contains(Want::WRITE)
            && self.dentry.sb().read_only()
            && matches!(self.kind(), Regular | Directory | Symlink)
        {
            return err(Errno::EROFS);
        }
        self.inode().access()?.check(creds, want)
    }

    /// EROFS if nothing may be changed through this mount.
    pub fn want_write(&self) -> Result<()> {
        if self.mount.read_only() { err(Errno::EROFS) } else { Ok(()) }
    }

    /// Whether the task may search this directory without looking at its mode.
    pub(super) fn searches_all(creds: &Credentials) -> bool {
        creds.user_ns.parent.is_none() && (creds.has(Cap::CAP_DAC_OVERRIDE) || creds.has(Cap::CAP_DAC_READ_SEARCH))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::creds::UserNamespace;

    fn user(uid: u32) -> Credentials {
        let root = Credentials::root(UserNamespace::root());
        Credentials { fsuid: uid, fsgid: uid, effective: abi::capability::CapSet::EMPTY, ..root }
    }

    #[test]
    fn the_first_matching_class_decides() {
        let access = Access { mode: abi::stat::S_IFREG | 0o077, uid: 7, gid: 8 };
        assert!(access.check(&user(7), Want::READ).is_err());
        assert!(access.check(&user(8), Want::READ | Want::EXEC).is_ok());
        assert!(access.check(&user(9), Want::WRITE).is_ok());
    }

    #[test]
    fn root_executes_only_what_somebody_may() {
        let root = Credentials::root(UserNamespace::root());
        let plain = Access { mode: abi::stat::S_IFREG | 0o600, uid: 7, gid: 7 };
        assert!(plain.check(&root, Want::READ | Want::WRITE).is_ok());
        assert!(plain.check(&root, Want::EXEC).is_err());
        assert!(Access { mode: S_IFDIR, ..plain }.check(&root, Want::EXEC).is_ok());
    }

    #[test]
    fn sticky_directories_protect_other_users() {
        let dir = Access { mode: S_IFDIR | 0o1777, uid: 0, gid: 0 };
        let victim = Access { mode: abi::stat::S_IFREG | 0o666, uid: 7, gid: 7 };
        assert!(dir.sticky_forbids(&user(8), &victim));
        assert!(!dir.sticky_forbids(&user(7), &victim));
    }
}
