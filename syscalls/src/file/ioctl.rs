//! ioctl(2): what every file understands; the rest is the file's own.

use abi::fcntl::{F_OWNER_PGRP, F_OWNER_PID, OpenFlags};
use abi::fiemap::FS_IOC_FIEMAP;
use abi::ioctl::{
    FICLONE, FIGETBSZ, FIOASYNC, FIOCLEX, FIOGETOWN, FIONBIO, FIONCLEX, FIONREAD, FIOQSIZE, FIOSETOWN, SIOCGPGRP,
    SIOCSPGRP,
};
use abi::stat::{FileType, S_IFMT, S_IFREG};
use abi::{Errno, UserAddr};
use sentry::error::{SysResult, err};
use sentry::task::CurrentTask;
use sentry::user::UserPtr;

use super::fcntl::{set_owner, shown};
use crate::arg::Fd;
use crate::net::of;

/// ioctl(2).
pub(crate) fn ioctl(task: &mut CurrentTask, fd: Fd, request: u32, arg: u64) -> SysResult {
    let file = task.files().get(fd.0)?;
    let int = UserPtr::<i32>::new(UserAddr(arg));
    match request {
        FIOCLEX | FIONCLEX => {
            task.files().set_close_on_exec(fd.0, request == FIOCLEX)?;
            Ok(0)
        }
        FIONBIO | FIOASYNC => {
            let flag = if request == FIONBIO { OpenFlags::O_NONBLOCK } else { OpenFlags::FASYNC };
            let on = task.mm().read(int)? != 0;
            if request == FIOASYNC {
                file.signal_as(fd.0);
            }
            file.change_flags(flag, if on { flag } else { OpenFlags::empty() })?;
            Ok(0)
        }
        // Anonymous inodes count as regular files, and answer themselves.
        FIONREAD if file.attr()?.mode & S_IFMT == S_IFREG => {
            let left = file.attr()?.size.saturating_sub(file.pos());
            task.mm().write(int, &i32::try_from(left).unwrap_or(i32::MAX))?;
            Ok(0)
        }
        FIOQSIZE if matches!(file.kind(), FileType::Regular | FileType::Directory | FileType::Symlink) => {
            task.mm().write(UserPtr::new(UserAddr(arg)), &file.attr()?.size)?;
            Ok(0)
        }
        FIGETBSZ if file.kind() == FileType::Regular => {
            let size = file.path().mount.fs().statfs()?.f_bsize;
            task.mm().write(int, &i32::try_from(size).unwrap_or(4096))?;
            Ok(0)
        }
        FIOSETOWN | SIOCSPGRP if request == FIOSETOWN || of(&file).is_ok() => {
            let id = task.mm().read(int)?;
            let kind = if id < 0 { F_OWNER_PGRP } else { F_OWNER_PID };
            set_owner(task, &file, kind, id.checked_abs().ok_or(Errno::EINVAL)?)
        }
        FIOGETOWN | SIOCGPGRP if request == FIOGETOWN || of(&file).is_ok() => {
            let (kind, id) = shown(task, &file.owner());
            task.mm().write(int, &if kind == F_OWNER_PGRP { -id } else { id })?;
            Ok(0)
        }
        FS_IOC_FIEMAP => super::fiemap::fiemap(task, &file, UserAddr(arg)),
        // Extents are never shared between files.
        FICLONE => err(Errno::EOPNOTSUPP),
        _ => file.ops().ioctl(&file, task, request, arg),
    }
}
