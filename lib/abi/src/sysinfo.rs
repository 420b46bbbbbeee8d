//! sysinfo(2), syslog(2), reboot(2), sysfs(2), getcpu(2).
#![expect(missing_docs, reason = "the names are Linux's, see the man pages")]

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::names::numbers;

/// Load averages are in units of 1 / 2^16.
pub const SI_LOAD_SHIFT: u32 = 16;

/// `struct sysinfo`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Sysinfo {
    pub uptime: i64,
    pub loads: [u64; 3],
    pub totalram: u64,
    pub freeram: u64,
    pub sharedram: u64,
    pub bufferram: u64,
    pub totalswap: u64,
    pub freeswap: u64,
    pub procs: u16,
    pub _pad: [u16; 3],
    pub totalhigh: u64,
    pub freehigh: u64,
    pub mem_unit: u32,
    pub _pad2: u32,
}

numbers! {
    /// The name of an action of syslog(2).
    pub fn syslog_action_name(u32) {
        SYSLOG_ACTION_CLOSE = 0,
        SYSLOG_ACTION_OPEN = 1,
        SYSLOG_ACTION_READ = 2,
        SYSLOG_ACTION_READ_ALL = 3,
        SYSLOG_ACTION_READ_CLEAR = 4,
        SYSLOG_ACTION_CLEAR = 5,
        SYSLOG_ACTION_CONSOLE_OFF = 6,
        SYSLOG_ACTION_CONSOLE_ON = 7,
        SYSLOG_ACTION_CONSOLE_LEVEL = 8,
        SYSLOG_ACTION_SIZE_UNREAD = 9,
        SYSLOG_ACTION_SIZE_BUFFER = 10,
    }
}

pub const LINUX_REBOOT_MAGIC1: u32 = 0xfee1dead;
pub const LINUX_REBOOT_MAGIC2: u32 = 0x28121969;
pub const LINUX_REBOOT_MAGIC2A: u32 = 0x5121996;
pub const LINUX_REBOOT_MAGIC2B: u32 = 0x16041998;
pub const LINUX_REBOOT_MAGIC2C: u32 = 0x20112000;
pub const LINUX_REBOOT_CMD_RESTART: u32 = 0x1234567;
pub const LINUX_REBOOT_CMD_HALT: u32 = 0xcdef0123;
pub const LINUX_REBOOT_CMD_CAD_ON: u32 = 0x89abcdef;
pub const LINUX_REBOOT_CMD_CAD_OFF: u32 = 0x0;
pub const LINUX_REBOOT_CMD_POWER_OFF: u32 = 0x4321fedc;
pub const LINUX_REBOOT_CMD_RESTART2: u32 = 0xa1b2c3d4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_matches_the_c_library() {
        assert_eq!(size_of::<Sysinfo>(), size_of::<libc::sysinfo>());
        assert_eq!(core::mem::offset_of!(Sysinfo, mem_unit), core::mem::offset_of!(libc::sysinfo, mem_unit));
    }
}
