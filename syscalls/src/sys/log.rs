//! syslog(2): the kernel log.

use abi::Errno;
use abi::capability::Cap;
use abi::sysinfo::{
    SYSLOG_ACTION_CLEAR, SYSLOG_ACTION_CLOSE, SYSLOG_ACTION_CONSOLE_LEVEL, SYSLOG_ACTION_CONSOLE_OFF,
    SYSLOG_ACTION_CONSOLE_ON, SYSLOG_ACTION_OPEN, SYSLOG_ACTION_READ, SYSLOG_ACTION_READ_ALL, SYSLOG_ACTION_READ_CLEAR,
    SYSLOG_ACTION_SIZE_BUFFER, SYSLOG_ACTION_SIZE_UNREAD,
};
use sentry::error::{Result, err};
use sentry::task::CurrentTask;
use sentry::user::UserPtr;

/// syslog(2). Reading all of it is open to everybody, as with dmesg_restrict off; there is no console.
pub(crate) fn syslog(task: &mut CurrentTask, action: u32, buffer: UserPtr<u8>, len: i32) -> Result<usize> {
    let free = matches!(action, SYSLOG_ACTION_READ_ALL | SYSLOG_ACTION_SIZE_BUFFER);
    if !free && !task.creds().has_in_root(Cap::CAP_SYSLOG) && !task.creds().has_in_root(Cap::CAP_SYS_ADMIN) {
        return err(Errno::EPERM);
    }
    let log = &task.kernel().dmesg;
    match action {
        SYSLOG_ACTION_READ | SYSLOG_ACTION_READ_ALL | SYSLOG_ACTION_READ_CLEAR => {
            let len = usize::try_from(len).map_err(|_| Errno::EINVAL)?;
            if buffer.is_null() {
                return err(Errno::EINVAL);
            }
            let bytes = match action {
                SYSLOG_ACTION_READ => log.read(len),
                _ => log.read_all(len, action == SYSLOG_ACTION_READ_CLEAR),
            };
            task.mm().write_bytes(buffer.addr(), &bytes)?;
            Ok(bytes.len())
        }
        SYSLOG_ACTION_CLEAR => {
            log.clear();
            Ok(0)
        }
        SYSLOG_ACTION_CONSOLE_LEVEL if !(1..=8).contains(&len) => err(Errno::EINVAL),
        SYSLOG_ACTION_CLOSE
        | SYSLOG_ACTION_OPEN
        | SYSLOG_ACTION_CONSOLE_OFF
        | SYSLOG_ACTION_CONSOLE_ON
        | SYSLOG_ACTION_CONSOLE_LEVEL => Ok(0),
        SYSLOG_ACTION_SIZE_UNREAD => Ok(log.unread()),
        SYSLOG_ACTION_SIZE_BUFFER => Ok(log.capacity()),
        _ => err(Errno::EINVAL),
    }
}
