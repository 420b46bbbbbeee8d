//! memfd_create(2), memfd_secret(2).

use abi::Errno;
use abi::fcntl::{OpenFlags, Seals};
use abi::mman::{MFD_NAME_MAX_LEN, MemfdFlags};
use sentry::error::{Result, err};
use sentry::fs::memfd;
use sentry::task::CurrentTask;
use sentry::user::UserCStr;

use crate::arg::{Fd, flag_args};
use crate::fd::install;

flag_args! { MemfdFlags: u32 }

/// memfd_create(2): an unnamed file in memory. Huge pages are not there (ENOSYS, as on a kernel without them).
pub(crate) fn memfd_create(task: &mut CurrentTask, name: UserCStr, flags: MemfdFlags) -> Result<Fd> {
    let known =
        MemfdFlags::MFD_CLOEXEC | MemfdFlags::MFD_ALLOW_SEALING | MemfdFlags::MFD_NOEXEC_SEAL | MemfdFlags::MFD_EXEC;
    if flags.contains(MemfdFlags::MFD_HUGETLB) {
        return err(Errno::ENOSYS);
    }
    if !known.contains(flags) || flags.contains(MemfdFlags::MFD_EXEC | MemfdFlags::MFD_NOEXEC_SEAL) {
        return err(Errno::EINVAL);
    }
    let name = match task.mm().read_cstr(name, MFD_NAME_MAX_LEN + 1) {
        Err(e) if e.is(Errno::ENAMETOOLONG) => return err(Errno::EINVAL),
        name => name?,
    };
    let (mode, seals) = if flags.contains(MemfdFlags::MFD_NOEXEC_SEAL) {
        (0o666, Seals::F_SEAL_EXEC)
    } else if flags.contains(MemfdFlags::MFD_ALLOW_SEALING) {
        (0o777, Seals::empty())
    } else {
        (0o777, Seals::F_SEAL_SEAL)
    };
    let creds = task.creds();
    let file = memfd::create(&task.kernel().memfile, &name, mode, creds.fsuid, creds.fsgid, seals)?;
    install(task, file, flags.contains(MemfdFlags::MFD_CLOEXEC))
}

/// memfd_secret(2): memory that nobody but who has mapped it can look at.
pub(crate) fn memfd_secret(task: &mut CurrentTask, flags: u32) -> Result<Fd> {
    let close_on_exec = OpenFlags::O_CLOEXEC.bits();
    if flags & !close_on_exec != 0 {
        return err(Errno::EINVAL);
    }
    let creds = task.creds();
    let file = memfd::create_secret(&task.kernel().memfile, creds.fsuid, creds.fsgid)?;
    install(task, file, flags & close_on_exec != 0)
}
