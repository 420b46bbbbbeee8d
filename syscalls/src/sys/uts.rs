//! uname(2), sethostname(2), setdomainname(2), personality(2).

use abi::Errno;
use abi::capability::Cap;
use abi::limits::UTS_NAME_LEN;
use abi::utsname::{NewUtsname, uts_field};
use sentry::error::{Result, err};
use sentry::kernel::version;
use sentry::task::CurrentTask;
use sentry::user::UserPtr;

/// personality(2) flag: uname(2) says 2.6.
const UNAME26: u32 = 0x0002_0000;

/// uname(2).
pub(crate) fn uname(task: &mut CurrentTask, at: UserPtr<NewUtsname>) -> Result<()> {
    let names = task.namespaces().uts.names();
    let old = task.personality() & UNAME26 != 0;
    let value = NewUtsname {
        sysname: uts_field(version::SYSNAME.as_bytes()),
        nodename: uts_field(&names.host),
        release: uts_field(if old { b"2.6.72-runsc-rs" } else { version::RELEASE.as_bytes() }),
        version: uts_field(version::VERSION.as_bytes()),
        machine: uts_field(version::MACHINE.as_bytes()),
        domainname: uts_field(&names.domain),
    };
    task.mm().write(at, &value)
}

/// sethostname(2).
pub(crate) fn sethostname(task: &mut CurrentTask, name: UserPtr<u8>, len: i32) -> Result<()> {
    let name = read_name(task, name, len)?;
    task.namespaces().uts.set(|names| names.host = name);
    Ok(())
}

/// setdomainname(2).
pub(crate) fn setdomainname(task: &mut CurrentTask, name: UserPtr<u8>, len: i32) -> Result<()> {
    let name = read_name(task, name, len)?;
    task.namespaces().uts.set(|names| names.domain = name);
    Ok(())
}

/// personality(2): stored; what it changes is up to those who look.
pub(crate) fn personality(task: &mut CurrentTask, persona: u32) -> Result<u32> {
    let old = task.personality();
    if persona != u32::MAX {
        task.set_personality(persona);
    }
    Ok(old)
}

fn read_name(task: &CurrentTask, at: UserPtr<u8>, len: i32) -> Result<Vec<u8>> {
    if !task.creds().has_in(Cap::CAP_SYS_ADMIN, &task.namespaces().uts.user_ns) {
        return err(Errno::EPERM);
    }
    let len = usize::try_from(len).ok().filter(|len| *len <= UTS_NAME_LEN).ok_or(Errno::EINVAL)?;
    let mut name = vec![0; len];
    task.mm().read_bytes(at.addr(), &mut name)?;
    Ok(name)
}
