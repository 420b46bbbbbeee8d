//! Whose a socket is, for listings.

/// The inode and the owner of a socket's file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// The inode of its file.
    pub ino: u64,
    /// Who made it.
    pub uid: u32,
}
