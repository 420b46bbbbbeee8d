//! uname(2).
#![expect(missing_docs, reason = "the names are Linux's, see uname(2)")]

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Longest name, without its NUL.
pub const __NEW_UTS_LEN: usize = 64;

/// `struct new_utsname`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct NewUtsname {
    pub sysname: [u8; 65],
    pub nodename: [u8; 65],
    pub release: [u8; 65],
    pub version: [u8; 65],
    pub machine: [u8; 65],
    pub domainname: [u8; 65],
}

impl Default for NewUtsname {
    fn default() -> Self {
        zerocopy::FromZeros::new_zeroed()
    }
}

/// A name as a field of [`NewUtsname`]: cut to 64 bytes, padded with NULs.
#[must_use]
pub fn uts_field(name: &[u8]) -> [u8; 65] {
    let mut field = [0; 65];
    for (to, from) in field.iter_mut().take(__NEW_UTS_LEN).zip(name) {
        *to = *from;
    }
    field
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_and_fields() {
        assert_eq!(size_of::<NewUtsname>(), 390);
        assert_eq!(uts_field(&[b'x'; 99]).iter().filter(|b| **b == b'x').count(), 64);
    }
}
