//! inotify_init(2), inotify_add_watch(2), inotify_rm_watch(2).

use abi::Errno;
use abi::fcntl::OpenFlags;
use abi::inotify::{InotifyInitFlags, InotifyMask};
use abi::limits::PATH_MAX;
use sentry::error::{Result, err};
use sentry::fs::inotify::Inotify;
use sentry::task::CurrentTask;
use sentry::user::UserCStr;
use sentry::vfs::perm::Want;
use sentry::vfs::walk::{self, WalkFlags};
use sentry::vfs::{Caller, File, anon};

use crate::arg::{Fd, flag_args};
use crate::fd::install;

flag_args! { InotifyInitFlags: u32, InotifyMask: u32 }

/// inotify_init(2).
pub(crate) fn inotify_init(task: &mut CurrentTask) -> Result<Fd> {
    inotify_init1(task, InotifyInitFlags::empty())
}

/// inotify_init1(2).
pub(crate) fn inotify_init1(task: &mut CurrentTask, flags: InotifyInitFlags) -> Result<Fd> {
    if !InotifyInitFlags::all().contains(flags) {
        return err(Errno::EINVAL);
    }
    let mut open = OpenFlags::O_RDONLY;
    open.set(OpenFlags::O_NONBLOCK, flags.contains(InotifyInitFlags::IN_NONBLOCK));
    let file = File::new(Inotify::new(), anon::inode_path("anon_inode:inotify"), open);
    install(task, file, flags.contains(InotifyInitFlags::IN_CLOEXEC))
}

/// inotify_add_watch(2).
pub(crate) fn inotify_add_watch(task: &mut CurrentTask, fd: Fd, path: UserCStr, mask: InotifyMask) -> Result<i32> {
    let both = InotifyMask::IN_MASK_ADD | InotifyMask::IN_MASK_CREATE;
    if !mask.intersects(InotifyMask::all()) || mask.contains(both) {
        return err(Errno::EINVAL);
    }
    let file = task.files().get(fd.0)?;
    let Some(inotify) = file.ops_as::<Inotify>() else { return err(Errno::EINVAL) };
    let path = task.mm().read_cstr(path, PATH_MAX)?;
    let follow = if mask.contains(InotifyMask::IN_DONT_FOLLOW) { WalkFlags::empty() } else { WalkFlags::FOLLOW };
    let found = walk::resolve(Caller::of(task), None, &path, follow)?;
    if mask.contains(InotifyMask::IN_ONLYDIR) && !found.is_dir() {
        return err(Errno::ENOTDIR);
    }
    found.check(task.creds(), Want::READ)?;
    inotify.add(&found.dentry, mask)
}

/// inotify_rm_watch(2).
pub(crate) fn inotify_rm_watch(task: &mut CurrentTask, fd: Fd, number: i32) -> Result<()> {
    let file = task.files().get(fd.0)?;
    match file.ops_as::<Inotify>() {
        Some(inotify) => inotify.remove(number),
        None => err(Errno::EINVAL),
    }
}
