//! Names of directory entries.

use std::fmt;

use abi::Errno;

use crate::wire::{DecodeError, Reader, Str, Wire, Writer};

/// The longest name of a directory entry, NAME_MAX.
pub const NAME_MAX: usize = 255;

/// One component of a path: not empty, not `.` or `..`, without `/` and NUL, at most 255 bytes. Whoever holds one may
/// hand it to the host next to a directory descriptor without leaving that directory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Name<'a>(&'a [u8]);

impl<'a> Name<'a> {
    /// Checks `bytes`.
    pub fn new(bytes: &'a [u8]) -> Result<Self, Errno> {
        match bytes {
            b"" => Err(Errno::ENOENT),
            b"." | b".." => Err(Errno::EINVAL),
            _ if bytes.len() > NAME_MAX => Err(Errno::ENAMETOOLONG),
            _ if bytes.iter().any(|b| matches!(b, b'/' | 0)) => Err(Errno::EINVAL),
            _ => Ok(Self(bytes)),
        }
    }

    /// The name.
    #[must_use]
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }
}

impl fmt::Debug for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Str(self.0).fmt(f)
    }
}

impl<'a> Wire<'a> for Name<'a> {
    fn get(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let Str(bytes) = Str::get(r)?;
        Self::new(bytes).map_err(DecodeError::BadName)
    }
    fn put(&self, w: &mut Writer<'_>) {
        Str(self.0).put(w);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_single_components_pass() {
        for (bytes, errno) in [
            (&b""[..], Errno::ENOENT),
            (b".", Errno::EINVAL),
            (b"..", Errno::EINVAL),
            (b"a/b", Errno::EINVAL),
            (b"/", Errno::EINVAL),
            (b"a\0", Errno::EINVAL),
            (&[b'x'; 256], Errno::ENAMETOOLONG),
        ] {
            assert_eq!(Name::new(bytes).err(), Some(errno), "{:?}", Str(bytes));
        }
        assert!(Name::new(b"...").is_ok() && Name::new(b"..a").is_ok() && Name::new(&[0xff; 255]).is_ok());
    }
}
