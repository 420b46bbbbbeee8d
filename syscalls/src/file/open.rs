//! open(2), creat(2), openat2(2).

use abi::Errno;
use abi::fcntl::{AT_FDCWD, OPEN_HOW_SIZE_VER0, OpenFlags, OpenHow, ResolveFlags};
use abi::stat::S_IALLUGO;
use sentry::error::{Result, err};
use sentry::task::CurrentTask;
use sentry::user::{UserCStr, UserPtr};
use sentry::vfs::fd_table::wants_close_on_exec;
use sentry::vfs::open;
use sentry::vfs::walk::WalkFlags;

use crate::arg::Fd;
use crate::fd::install;
use crate::path::{read_path, start};

/// open(2).
pub(crate) fn open(task: &mut CurrentTask, path: UserCStr, flags: OpenFlags, mode: u32) -> Result<Fd> {
    openat(task, Fd(AT_FDCWD), path, flags, mode)
}

/// creat(2): open(2) with O_CREAT, O_WRONLY and O_TRUNC.
pub(crate) fn creat(task: &mut CurrentTask, path: UserCStr, mode: u32) -> Result<Fd> {
    open(task, path, OpenFlags::O_CREAT | OpenFlags::O_WRONLY | OpenFlags::O_TRUNC, mode)
}

/// openat(2): relative to a directory. Unknown flags are ignored, as ever.
pub(crate) fn openat(task: &mut CurrentTask, dir: Fd, path: UserCStr, flags: OpenFlags, mode: u32) -> Result<Fd> {
    let mut flags = flags & known_flags();
    if flags.contains(OpenFlags::O_PATH) {
        flags &= path_flags();
    }
    let creates = flags.intersects(OpenFlags::O_CREAT | OpenFlags::__O_TMPFILE);
    let mode = if creates { mode & S_IALLUGO } else { 0 };
    open_checked(task, dir, path, flags, mode, WalkFlags::empty())
}

/// openat2(2): as openat(2), and refuses what it does not know; restricts how the path is resolved.
pub(crate) fn openat2(
    task: &mut CurrentTask,
    dir: Fd,
    path: UserCStr,
    how: UserPtr<OpenHow>,
    size: usize,
) -> Result<Fd> {
    if size < OPEN_HOW_SIZE_VER0 {
        return err(Errno::EINVAL);
    }
    if size > 4096 {
        return err(Errno::E2BIG);
    }
    let known: OpenHow = task.mm().read(how)?;
    let mut rest = vec![0; size - size_of::<OpenHow>()];
    task.mm().read_bytes(how.at(1)?.addr(), &mut rest)?;
    if rest.iter().any(|byte| *byte != 0) {
        return err(Errno::E2BIG);
    }
    let flags = u32::try_from(known.flags).map(OpenFlags::from_bits_retain).map_err(|_| Errno::EINVAL)?;
    let resolve = ResolveFlags::from_bits(known.resolve).ok_or(Errno::EINVAL)?;
    if !known_flags().contains(flags) {
        return err(Errno::EINVAL);
    }
    if resolve.contains(ResolveFlags::RESOLVE_BENEATH | ResolveFlags::RESOLVE_IN_ROOT) {
        return err(Errno::EINVAL);
    }
    let creates = flags.intersects(OpenFlags::O_CREAT | OpenFlags::__O_TMPFILE);
    let mode = u32::try_from(known.mode).map_err(|_| Errno::EINVAL)?;
    if (creates && mode & !S_IALLUGO != 0) || (!creates && mode != 0) {
        return err(Errno::EINVAL);
    }
    if flags.contains(OpenFlags::O_PATH) && !path_flags().contains(flags) {
        return err(Errno::EINVAL);
    }
    if resolve.contains(ResolveFlags::RESOLVE_CACHED) {
        if flags.intersects(OpenFlags::O_TRUNC | OpenFlags::O_CREAT | OpenFlags::__O_TMPFILE) {
            return err(Errno::EINVAL);
        }
        // We do not know beforehand whether a walk will block.
        return err(Errno::EAGAIN);
    }
    let mut walk = WalkFlags::empty();
    for (flag, means) in [
        (ResolveFlags::RESOLVE_NO_XDEV, WalkFlags::NO_XDEV),
        (ResolveFlags::RESOLVE_NO_MAGICLINKS, WalkFlags::NO_MAGICLINKS),
        (ResolveFlags::RESOLVE_NO_SYMLINKS, WalkFlags::NO_SYMLINKS),
        (ResolveFlags::RESOLVE_BENEATH, WalkFlags::BENEATH),
        (ResolveFlags::RESOLVE_IN_ROOT, WalkFlags::IN_ROOT),
    ] {
        walk.set(means, resolve.contains(flag));
    }
    open_checked(task, dir, path, flags, mode, walk)
}

fn open_checked(
    task: &mut CurrentTask,
    dir: Fd,
    path: UserCStr,
    flags: OpenFlags,
    mode: u32,
    how: WalkFlags,
) -> Result<Fd> {
    if flags.contains(OpenFlags::__O_TMPFILE) {
        if !flags.contains(OpenFlags::O_TMPFILE) || flags.contains(OpenFlags::O_CREAT) || !flags.writable() {
            return err(Errno::EINVAL);
        }
    } else if flags.contains(OpenFlags::O_CREAT | OpenFlags::O_DIRECTORY) {
        return err(Errno::EINVAL);
    }
    let path = read_path(task, path)?;
    let start = if how.intersects(WalkFlags::SCOPED) {
        crate::path::start_always(task, dir)?
    } else {
        start(task, dir, &path)?
    };
    let file = open::open(task, start.as_ref(), &path, flags | OpenFlags::O_LARGEFILE, mode, how)?;
    install(task, file, wants_close_on_exec(flags))
}

/// What open(2) knows.
fn known_flags() -> OpenFlags {
    OpenFlags::all() | OpenFlags::O_ACCMODE
}

/// What O_PATH leaves of the others.
fn path_flags() -> OpenFlags {
    OpenFlags::O_DIRECTORY | OpenFlags::O_NOFOLLOW | OpenFlags::O_PATH | OpenFlags::O_CLOEXEC
}
