//! Calls on names: making, removing and renaming them, attributes by path, working directories, mounts.

mod access;
mod attr;
mod cwd;
mod handle;
mod links;
mod mount;
mod mount_setattr;
mod names;
mod statfs;
mod statmount;
mod times;
mod xattr;

pub(crate) use access::{access, faccessat, faccessat2};
pub(crate) use attr::{chmod, chown, fchmod, fchmodat, fchmodat2, fchown, fchownat, lchown};
pub(crate) use cwd::{chdir, chroot, fchdir, getcwd, umask};
pub(crate) use handle::{name_to_handle_at, open_by_handle_at};
pub(crate) use links::{link, linkat, readlink, readlinkat, symlink, symlinkat};
pub(crate) use mount::{mount, pivot_root, umount2};
pub(crate) use mount_setattr::mount_setattr;
pub(crate) use names::{mkdir, mkdirat, mknod, mknodat, rename, renameat, renameat2, rmdir, unlink, unlinkat};
pub(crate) use statfs::{fstatfs, statfs, ustat};
pub(crate) use statmount::{listmount, statmount};
pub(crate) use times::{futimesat, utime, utimensat, utimes};
pub(crate) use xattr::{
    fgetxattr, flistxattr, fremovexattr, fsetxattr, getxattr, getxattrat, lgetxattr, listxattr, listxattrat,
    llistxattr, lremovexattr, lsetxattr, removexattr, removexattrat, setxattr, setxattrat,
};
