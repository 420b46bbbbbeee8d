//! Tags, fids and qids.

use crate::wire::{DecodeError, Reader, Wire, Writer, wire_struct};

/// Names a request in flight on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tag(pub u16);

impl Tag {
    /// The tag of `Tversion`.
    pub const NONE: Self = Self(u16::MAX);
}

/// Names a file on a connection; chosen by the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fid(pub u32);

impl Fid {
    /// No file: no authentication in `Tattach`, no new fid in `Twalkattr`.
    pub const NONE: Self = Self(u32::MAX);
}

macro_rules! newtypes {
    ($($name:ident),*) => {$(
        impl<'a> Wire<'a> for $name {
            fn get(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
                Wire::get(r).map(Self)
            }
            fn put(&self, w: &mut Writer<'_>) {
                self.0.put(w);
            }
        }
    )*};
}

newtypes!(Tag, Fid, QidKind);

/// The type byte of a [`Qid`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QidKind(pub u8);

impl QidKind {
    /// A directory.
    pub const DIR: Self = Self(0x80);
    /// A symbolic link.
    pub const SYMLINK: Self = Self(0x02);
    /// Anything else.
    pub const FILE: Self = Self(0);
}

/// A file's identity as the server sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Qid {
    /// What it is.
    pub kind: QidKind,
    /// Changes when the contents do.
    pub version: u32,
    /// The inode, unique on the server.
    pub path: u64,
}

wire_struct!(Qid { kind, version, path });

/// How many bytes a [`Qid`] takes.
pub const QID_SIZE: usize = 13;
