//! Extended attributes, xattr(7).
#![expect(missing_docs, reason = "the names are Linux's, see xattr(7)")]

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::names::flags;

flags! {
    /// `flags` of setxattr(2).
    pub struct XattrFlags: u32 {
        const XATTR_CREATE = 0x1;
        const XATTR_REPLACE = 0x2;
    }
}

/// Longest name of an attribute, without its NUL.
pub const XATTR_NAME_MAX: usize = 255;
/// Largest value.
pub const XATTR_SIZE_MAX: usize = 65536;
/// Largest list of names.
pub const XATTR_LIST_MAX: usize = 65536;

pub const XATTR_SECURITY_PREFIX: &[u8] = b"security.";
pub const XATTR_SYSTEM_PREFIX: &[u8] = b"system.";
pub const XATTR_TRUSTED_PREFIX: &[u8] = b"trusted.";
pub const XATTR_USER_PREFIX: &[u8] = b"user.";
pub const XATTR_NAME_CAPS: &[u8] = b"security.capability";
pub const XATTR_NAME_POSIX_ACL_ACCESS: &[u8] = b"system.posix_acl_access";
pub const XATTR_NAME_POSIX_ACL_DEFAULT: &[u8] = b"system.posix_acl_default";

/// `struct xattr_args` of setxattrat(2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct XattrArgs {
    pub value: u64,
    pub size: u32,
    pub flags: u32,
}

/// `struct file_attr` of file_getattr(2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct FileAttr {
    pub fa_xflags: u64,
    pub fa_extsize: u32,
    pub fa_nextents: u32,
    pub fa_projid: u32,
    pub fa_cowextsize: u32,
}
