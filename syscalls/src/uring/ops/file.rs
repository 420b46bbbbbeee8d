//! Files and names: what has a system call of its own does what that does.

use std::sync::Arc;

use abi::fcntl::{AtFlags, OpenFlags};
use abi::iouring::{
    IORING_OP_CLOSE, IORING_OP_EPOLL_CTL, IORING_OP_FADVISE, IORING_OP_FALLOCATE, IORING_OP_FILES_UPDATE,
    IORING_OP_LINKAT, IORING_OP_MADVISE, IORING_OP_MKDIRAT, IORING_OP_OPENAT, IORING_OP_OPENAT2, IORING_OP_RENAMEAT,
    IORING_OP_SHUTDOWN, IORING_OP_SOCKET, IORING_OP_STATX, IORING_OP_SYMLINKAT, IORING_OP_SYNC_FILE_RANGE,
    IORING_OP_UNLINKAT, IoUringSqe,
};
use abi::{Errno, UserAddr};
use sentry::error::Result;
use sentry::fs::uring::{Op, Ring};
use sentry::user::{UserCStr, UserPtr};

use super::{Target, once, res};
use crate::arg::{Fd, FromArg};
use crate::uring::register::update_files;
use crate::{file, fs, mm, net, poll};

pub(super) fn prepare(ring: &Arc<Ring>, target: &Target, sqe: &IoUringSqe) -> Result<Op, Errno> {
    // These name directories, or descriptors that others shall not see used.
    if target.is_registered() {
        return Err(Errno::EBADF);
    }
    let direct = matches!(
        sqe.opcode,
        IORING_OP_OPENAT | IORING_OP_OPENAT2 | IORING_OP_CLOSE | IORING_OP_SOCKET | IORING_OP_STATX
    );
    if sqe.buf_index != 0 || (direct && sqe.file_index != 0) {
        return Err(Errno::EINVAL);
    }
    let sqe = *sqe;
    let fd = Fd(sqe.fd);
    // Where the second descriptor or path stands.
    let (first, second) = (UserCStr(UserAddr(sqe.addr)), UserCStr(UserAddr(sqe.off)));
    let other = Fd(sqe.len.cast_signed());
    let wide = |value: u32| u64::from(value);
    let at = move || AtFlags::from_bits_retain(sqe.op_flags);
    let none = |result: Result<()>| result.map(|()| 0);
    let op = match sqe.opcode {
        IORING_OP_OPENAT => once(move |task| {
            let flags = OpenFlags::from_bits_retain(sqe.op_flags) | OpenFlags::O_LARGEFILE;
            file::openat(task, fd, first, flags, sqe.len).map(|fd| fd.0)
        }),
        IORING_OP_OPENAT2 => once(move |task| {
            let size = usize::try_from(sqe.len).unwrap_or(usize::MAX);
            file::openat2(task, fd, first, UserPtr::new(UserAddr(sqe.off)), size).map(|fd| fd.0)
        }),
        IORING_OP_CLOSE => {
            if sqe.off != 0 || sqe.addr != 0 || sqe.len != 0 || sqe.op_flags != 0 {
                return Err(Errno::EINVAL);
            }
            once(move |task| {
                if Ring::of(&*task.files().get_raw(fd.0)?).is_ok() {
                    return Err(Errno::EBADF.into());
                }
                none(file::close(task, fd))
            })
        }
        IORING_OP_STATX => once(move |task| {
            let mask = FromArg::from_arg(wide(sqe.len))?;
            none(file::statx(task, fd, first, at(), mask, UserPtr::new(UserAddr(sqe.off))))
        }),
        IORING_OP_SYNC_FILE_RANGE => once(move |task| {
            let flags = FromArg::from_arg(wide(sqe.op_flags))?;
            none(file::sync_file_range(task, fd, sqe.off.cast_signed(), sqe.len.into(), flags))
        }),
        IORING_OP_FALLOCATE => once(move |task| {
            let mode = FromArg::from_arg(wide(sqe.len))?;
            none(file::fallocate(task, fd, mode, sqe.off.cast_signed(), sqe.addr.cast_signed()))
        }),
        IORING_OP_FADVISE => {
            once(move |task| none(file::fadvise64(task, fd, sqe.off.cast_signed(), sqe.len.into(), sqe.op_flags)))
        }
        IORING_OP_MADVISE => {
            once(move |task| none(mm::advise::madvise(task, UserAddr(sqe.addr), sqe.len.into(), sqe.op_flags)))
        }
        IORING_OP_FILES_UPDATE => {
            let ring = Arc::downgrade(ring);
            let offset = u32::try_from(sqe.off).map_err(|_| Errno::EINVAL)?;
            if sqe.len == 0 || sqe.op_flags != 0 {
                return Err(Errno::EINVAL);
            }
            once(move |task| {
                let ring = ring.upgrade().ok_or(Errno::EBADF)?;
                update_files(task, &ring, offset, UserPtr::new(UserAddr(sqe.addr)), sqe.len).map(res)
            })
        }
        IORING_OP_EPOLL_CTL => {
            let watched = Fd(i32::try_from(sqe.off).map_err(|_| Errno::EINVAL)?);
            once(move |task| none(poll::epoll::epoll_ctl(task, fd, sqe.len, watched, UserPtr::new(UserAddr(sqe.addr)))))
        }
        IORING_OP_SHUTDOWN => once(move |task| none(net::connect::shutdown(task, fd, sqe.len))),
        IORING_OP_RENAMEAT => once(move |task| {
            let flags = FromArg::from_arg(wide(sqe.op_flags))?;
            none(fs::renameat2(task, fd, first, other, second, flags))
        }),
        IORING_OP_UNLINKAT => once(move |task| none(fs::unlinkat(task, fd, first, at()))),
        IORING_OP_MKDIRAT => once(move |task| none(fs::mkdirat(task, fd, first, sqe.len))),
        IORING_OP_SYMLINKAT => once(move |task| none(fs::symlinkat(task, first, fd, second))),
        IORING_OP_LINKAT => once(move |task| none(fs::linkat(task, fd, first, other, second, at()))),
        IORING_OP_SOCKET => {
            let kind = u32::try_from(sqe.off).map_err(|_| Errno::EINVAL)?;
            if sqe.op_flags != 0 {
                return Err(Errno::EINVAL);
            }
            once(move |task| {
                net::socket::socket(task, sqe.fd.cast_unsigned(), kind, sqe.len.cast_signed()).map(|fd| fd.0)
            })
        }
        _ => return Err(Errno::EINVAL),
    };
    Ok(op)
}
