//! capabilities(7): names, sets, the structures of capget(2) and of the file attribute, securebits.
#![expect(missing_docs, reason = "the names are Linux's, see capabilities(7)")]

use core::fmt;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::names::flags;

macro_rules! capabilities {
    ($($name:ident = $value:literal,)*) => {
        /// A capability.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[expect(non_camel_case_types, reason = "the names are Linux's")]
        #[repr(u8)]
        pub enum Cap {
            $($name = $value,)*
        }

        impl Cap {
            /// Every capability, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The name, `"CAP_CHOWN"`, as config.json spells it too.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }
        }
    };
}

capabilities! {
    CAP_CHOWN = 0,
    CAP_DAC_OVERRIDE = 1,
    CAP_DAC_READ_SEARCH = 2,
    CAP_FOWNER = 3,
    CAP_FSETID = 4,
    CAP_KILL = 5,
    CAP_SETGID = 6,
    CAP_SETUID = 7,
    CAP_SETPCAP = 8,
    CAP_LINUX_IMMUTABLE = 9,
    CAP_NET_BIND_SERVICE = 10,
    CAP_NET_BROADCAST = 11,
    CAP_NET_ADMIN = 12,
    CAP_NET_RAW = 13,
    CAP_IPC_LOCK = 14,
    CAP_IPC_OWNER = 15,
    CAP_SYS_MODULE = 16,
    CAP_SYS_RAWIO = 17,
    CAP_SYS_CHROOT = 18,
    CAP_SYS_PTRACE = 19,
    CAP_SYS_PACCT = 20,
    CAP_SYS_ADMIN = 21,
    CAP_SYS_BOOT = 22,
    CAP_SYS_NICE = 23,
    CAP_SYS_RESOURCE = 24,
    CAP_SYS_TIME = 25,
    CAP_SYS_TTY_CONFIG = 26,
    CAP_MKNOD = 27,
    CAP_LEASE = 28,
    CAP_AUDIT_WRITE = 29,
    CAP_AUDIT_CONTROL = 30,
    CAP_SETFCAP = 31,
    CAP_MAC_OVERRIDE = 32,
    CAP_MAC_ADMIN = 33,
    CAP_SYSLOG = 34,
    CAP_WAKE_ALARM = 35,
    CAP_BLOCK_SUSPEND = 36,
    CAP_AUDIT_READ = 37,
    CAP_PERFMON = 38,
    CAP_BPF = 39,
    CAP_CHECKPOINT_RESTORE = 40,
}

/// The highest capability's number.
pub const CAP_LAST_CAP: u32 = 40;

impl Cap {
    /// The capability of a number from outside.
    #[must_use]
    pub fn new(number: u64) -> Option<Self> {
        usize::try_from(number).ok().and_then(|n| Self::ALL.get(n)).copied()
    }

    /// The capability of a name, with its CAP_ prefix, as config.json has it.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|cap| cap.name() == name)
    }
}

/// A set of capabilities; bit n is capability n.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(transparent)]
pub struct CapSet(u64);

impl CapSet {
    pub const EMPTY: Self = Self(0);
    pub const FULL: Self = Self((1 << (CAP_LAST_CAP + 1)) - 1);
    /// What a change of the filesystem uid from or to 0 clears and sets.
    pub const FS: Self = Self(
        1 << Cap::CAP_CHOWN as u64
            | 1 << Cap::CAP_DAC_OVERRIDE as u64
            | 1 << Cap::CAP_DAC_READ_SEARCH as u64
            | 1 << Cap::CAP_FOWNER as u64
            | 1 << Cap::CAP_FSETID as u64
            | 1 << Cap::CAP_LINUX_IMMUTABLE as u64
            | 1 << Cap::CAP_MKNOD as u64
            | 1 << Cap::CAP_MAC_OVERRIDE as u64,
    );

    /// The set of these bits; bits that name no capability are dropped.
    #[must_use]
    pub const fn from_bits_truncate(bits: u64) -> Self {
        Self(bits & Self::FULL.0)
    }

    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    #[must_use]
    pub const fn contains(self, cap: Cap) -> bool {
        self.0 & 1 << cap as u64 != 0
    }

    /// Whether every capability of `other` is here.
    #[must_use]
    pub const fn contains_all(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }

    pub const fn insert(&mut self, cap: Cap) {
        self.0 |= 1 << cap as u64;
    }

    pub const fn remove(&mut self, cap: Cap) {
        self.0 &= !(1 << cap as u64);
    }

    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    #[must_use]
    pub const fn difference(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The capabilities in ascending order.
    pub fn iter(self) -> impl Iterator<Item = Cap> {
        Cap::ALL.iter().copied().filter(move |cap| self.contains(*cap))
    }
}

impl FromIterator<Cap> for CapSet {
    fn from_iter<I: IntoIterator<Item = Cap>>(caps: I) -> Self {
        let mut set = Self::EMPTY;
        caps.into_iter().for_each(|cap| set.insert(cap));
        set
    }
}

impl fmt::Debug for CapSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::FULL {
            return f.write_str("all");
        }
        f.debug_set().entries(self.iter()).finish()
    }
}

pub const LINUX_CAPABILITY_VERSION_1: u32 = 0x1998_0330;
pub const LINUX_CAPABILITY_VERSION_2: u32 = 0x2007_1026;
pub const LINUX_CAPABILITY_VERSION_3: u32 = 0x2008_0522;

/// `struct __user_cap_header_struct` of capget(2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct UserCapHeader {
    pub version: u32,
    pub pid: i32,
}

/// `struct __user_cap_data_struct`: one for version 1, two (low and high halves) for the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct UserCapData {
    pub effective: u32,
    pub permitted: u32,
    pub inheritable: u32,
}

flags! {
    /// Securebits, PR_SET_SECUREBITS.
    pub struct Securebits: u32 {
        const SECBIT_NOROOT = 0x1;
        const SECBIT_NOROOT_LOCKED = 0x2;
        const SECBIT_NO_SETUID_FIXUP = 0x4;
        const SECBIT_NO_SETUID_FIXUP_LOCKED = 0x8;
        const SECBIT_KEEP_CAPS = 0x10;
        const SECBIT_KEEP_CAPS_LOCKED = 0x20;
        const SECBIT_NO_CAP_AMBIENT_RAISE = 0x40;
        const SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED = 0x80;
        const SECBIT_EXEC_RESTRICT_FILE = 0x100;
        const SECBIT_EXEC_RESTRICT_FILE_LOCKED = 0x200;
        const SECBIT_EXEC_DENY_INTERACTIVE = 0x400;
        const SECBIT_EXEC_DENY_INTERACTIVE_LOCKED = 0x800;
    }
}

impl Securebits {
    /// The lock bits; each locks the bit below it.
    pub const LOCKS: Self = Self::from_bits_retain(0xaaa);
}

pub const VFS_CAP_REVISION_MASK: u32 = 0xff00_0000;
pub const VFS_CAP_FLAGS_EFFECTIVE: u32 = 1;
pub const VFS_CAP_REVISION_1: u32 = 0x0100_0000;
pub const VFS_CAP_REVISION_2: u32 = 0x0200_0000;
pub const VFS_CAP_REVISION_3: u32 = 0x0300_0000;
/// Bytes of the attribute without a root id.
pub const XATTR_CAPS_SZ_2: usize = 20;
/// Bytes of the attribute with a root id.
pub const XATTR_CAPS_SZ_3: usize = 24;

/// `struct vfs_ns_cap_data`, the value of `security.capability`; revision 2 lacks `rootid`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct VfsNsCapData {
    pub magic_etc: u32,
    pub permitted_low: u32,
    pub inheritable_low: u32,
    pub permitted_high: u32,
    pub inheritable_high: u32,
    pub rootid: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_agree() {
        for (i, cap) in Cap::ALL.iter().enumerate() {
            assert_eq!(*cap as usize, i);
            assert_eq!(Cap::from_name(cap.name()), Some(*cap));
        }
        assert_eq!(Cap::ALL.len(), CAP_LAST_CAP as usize + 1);
        assert_eq!(Cap::new(41), None);
        assert_eq!(CapSet::FULL.iter().count(), 41);
        assert_eq!(CapSet::from_bits_truncate(u64::MAX), CapSet::FULL);
    }

    #[test]
    fn layouts_match_the_kernel_headers() {
        assert_eq!(size_of::<VfsNsCapData>(), XATTR_CAPS_SZ_3);
        assert_eq!(size_of::<UserCapData>(), 12);
    }
}
