//! Extended attributes (xattr(7)): who may use which name. File systems only keep them.

use abi::Errno;
use abi::capability::Cap;
use abi::stat::{FileType, S_ISVTX};
use abi::xattr::{
    XATTR_NAME_CAPS, XATTR_NAME_POSIX_ACL_ACCESS, XATTR_NAME_POSIX_ACL_DEFAULT, XATTR_SECURITY_PREFIX,
    XATTR_SYSTEM_PREFIX, XATTR_TRUSTED_PREFIX, XATTR_USER_PREFIX,
};

use super::perm::Want;
use super::{Path, XattrMode, notify};
use crate::error::{Result, err};
use crate::task::Credentials;

/// getxattr(2).
pub fn get(creds: &Credentials, path: &Path, name: &[u8]) -> Result<Vec<u8>> {
    check(creds, path, name, false)?;
    path.inode().getxattr(name)
}

/// setxattr(2).
pub fn set(creds: &Credentials, path: &Path, name: &[u8], value: &[u8], mode: XattrMode) -> Result<()> {
    path.want_write()?;
    check(creds, path, name, true)?;
    path.inode().setxattr(name, value, mode)?;
    notify::dentry_event(&path.dentry, notify::Event::ATTRIB);
    Ok(())
}

/// removexattr(2).
pub fn remove(creds: &Credentials, path: &Path, name: &[u8]) -> Result<()> {
    path.want_write()?;
    check(creds, path, name, true)?;
    path.inode().removexattr(name)?;
    notify::dentry_event(&path.dentry, notify::Event::ATTRIB);
    Ok(())
}

/// listxattr(2): the names, each with its NUL. Trusted ones are shown to the privileged only.
pub fn list(creds: &Credentials, path: &Path) -> Result<Vec<u8>> {
    let privileged = creds.has_in_root(Cap::CAP_SYS_ADMIN);
    let mut text = Vec::new();
    for name in path.inode().listxattr()? {
        if privileged || !name.starts_with(XATTR_TRUSTED_PREFIX) {
            text.extend_from_slice(&name);
            text.push(0);
        }
    }
    Ok(text)
}

/// The rules of the name's class.
fn check(creds: &Credentials, path: &Path, name: &[u8], write: bool) -> Result<()> {
    let refuse = |errno_to_write| err(if write { errno_to_write } else { Errno::ENODATA });
    let access = path.inode().access()?;
    let prefixes = [XATTR_SECURITY_PREFIX, XATTR_TRUSTED_PREFIX, XATTR_USER_PREFIX];
    if prefixes.contains(&name) {
        return err(Errno::EINVAL);
    }
    if name == XATTR_NAME_POSIX_ACL_ACCESS || name == XATTR_NAME_POSIX_ACL_DEFAULT {
        return err(Errno::EOPNOTSUPP);
    }
    if name.starts_with(XATTR_SECURITY_PREFIX) {
        let needed = if name == XATTR_NAME_CAPS {
            access.capable(creds, Cap::CAP_SETFCAP)
        } else {
            creds.has_in_root(Cap::CAP_SYS_ADMIN)
        };
        return if write && !needed { err(Errno::EPERM) } else { Ok(()) };
    }
    if name.starts_with(XATTR_SYSTEM_PREFIX) {
        return err(Errno::EOPNOTSUPP);
    }
    if name.starts_with(XATTR_TRUSTED_PREFIX) {
        return if creds.has_in_root(Cap::CAP_SYS_ADMIN) { Ok(()) } else { refuse(Errno::EPERM) };
    }
    if !name.starts_with(XATTR_USER_PREFIX) {
        return err(Errno::EOPNOTSUPP);
    }
    if !matches!(path.kind(), FileType::Regular | FileType::Directory) {
        return refuse(Errno::EPERM);
    }
    if write && path.is_dir() && access.mode & S_ISVTX != 0 && !access.owned(creds) {
        return err(Errno::EPERM);
    }
    path.check(creds, if write { Want::WRITE } else { Want::READ })
}
