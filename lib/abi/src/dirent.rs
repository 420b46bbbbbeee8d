//! getdents64(2), getdents(2): directory entries and how they are written.
#![expect(missing_docs, reason = "the names are Linux's, see getdents(2)")]

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

pub const DT_UNKNOWN: u8 = 0;
pub const DT_FIFO: u8 = 1;
pub const DT_CHR: u8 = 2;
pub const DT_DIR: u8 = 4;
pub const DT_BLK: u8 = 6;
pub const DT_REG: u8 = 8;
pub const DT_LNK: u8 = 10;
pub const DT_SOCK: u8 = 12;
pub const DT_WHT: u8 = 14;

/// Bytes of `struct linux_dirent64` before the name.
pub const DIRENT64_NAME_OFFSET: usize = 19;
/// Bytes of `struct linux_dirent` before the name.
pub const DIRENT_NAME_OFFSET: usize = 18;

/// The fixed part of `struct linux_dirent64`; the name and its NUL follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C, packed)]
pub struct Dirent64Header {
    pub d_ino: u64,
    pub d_off: i64,
    pub d_reclen: u16,
    pub d_type: u8,
}

/// The fixed part of `struct linux_dirent`; the name and its NUL follow, and the type in the record's last byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C, packed)]
pub struct DirentHeader {
    pub d_ino: u64,
    pub d_off: u64,
    pub d_reclen: u16,
}

/// Which of the two formats to write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DirentFormat {
    /// getdents(2)
    Old,
    /// getdents64(2)
    New,
}

impl DirentFormat {
    /// Bytes of the record of a name.
    #[must_use]
    pub const fn record_len(self, name_len: usize) -> usize {
        let len = match self {
            Self::Old => DIRENT_NAME_OFFSET + name_len + 2,
            Self::New => DIRENT64_NAME_OFFSET + name_len + 1,
        };
        len.next_multiple_of(8)
    }

    /// Appends one record to `out` unless that would exceed `limit` bytes; tells whether it did.
    /// `next` is the position from which reading goes on after this entry.
    pub fn emit(self, out: &mut Vec<u8>, limit: usize, ino: u64, next: i64, d_type: u8, name: &[u8]) -> bool {
        let len = self.record_len(name.len());
        let end = out.len().saturating_add(len);
        let Ok(d_reclen) = u16::try_from(len) else { return false };
        if end > limit {
            return false;
        }
        match self {
            Self::New => {
                out.extend_from_slice(Dirent64Header { d_ino: ino, d_off: next, d_reclen, d_type }.as_bytes());
                out.extend_from_slice(name);
                out.resize(end, 0);
            }
            Self::Old => {
                out.extend_from_slice(DirentHeader { d_ino: ino, d_off: next.cast_unsigned(), d_reclen }.as_bytes());
                out.extend_from_slice(name);
                out.resize(end - 1, 0);
                out.push(d_type);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_padded_and_bounded() {
        let mut out = Vec::new();
        assert!(DirentFormat::New.emit(&mut out, 56, 7, 1, DT_DIR, b"."));
        assert_eq!(out.len(), 24);
        assert_eq!((out[16], out[18], out[19], out[20]), (24, DT_DIR, b'.', 0));
        assert!(DirentFormat::New.emit(&mut out, 56, 8, 2, DT_REG, b"abcdef"));
        assert!(!DirentFormat::New.emit(&mut out, 56, 9, 3, DT_REG, b"x"));
        assert_eq!(out.len(), 56);
        let mut old = Vec::new();
        assert!(DirentFormat::Old.emit(&mut old, 4096, 7, 1, DT_REG, b"abcd"));
        assert_eq!((old.len(), old[23], &old[18..22]), (24, DT_REG, &b"abcd"[..]));
    }
}
