//! Directory entries, as they are packed into the data of `Rreaddir` and `Rlistdir`.

use crate::attr::Stat;
use crate::name::Name;
use crate::types::Qid;
use crate::wire::{DecodeError, Reader, Str, Wire, Writer};

/// An entry of `Rreaddir`. Servers of the plain dialect list `.` and `..` too, so the name is any string.
#[derive(Clone, Copy, Debug)]
pub struct Dirent<'a> {
    /// The file.
    pub qid: Qid,
    /// Where to go on reading after this entry.
    pub offset: u64,
    /// `DT_*` of readdir(3).
    pub kind: u8,
    /// Its name.
    pub name: Str<'a>,
}

impl<'a> Wire<'a> for Dirent<'a> {
    fn get(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self { qid: Wire::get(r)?, offset: Wire::get(r)?, kind: Wire::get(r)?, name: Wire::get(r)? })
    }
    fn put(&self, w: &mut Writer<'_>) {
        self.qid.put(w);
        self.offset.put(w);
        self.kind.put(w);
        self.name.put(w);
    }
}

/// An entry of `Rlistdir`; never `.` or `..`.
#[derive(Clone, Copy, Debug)]
pub struct DirentStat<'a> {
    /// Where to go on reading after this entry.
    pub offset: u64,
    /// Its inode number.
    pub ino: u64,
    /// `DT_*` of readdir(3).
    pub kind: u8,
    /// Its name.
    pub name: Name<'a>,
    /// Its attributes, if they were asked for.
    pub stat: Option<Stat>,
}

impl<'a> Wire<'a> for DirentStat<'a> {
    fn get(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let (offset, ino, kind, name) = (Wire::get(r)?, Wire::get(r)?, Wire::get(r)?, Wire::get(r)?);
        let told = u8::get(r)? != 0;
        Ok(Self { offset, ino, kind, name, stat: told.then(|| Wire::get(r)).transpose()? })
    }
    fn put(&self, w: &mut Writer<'_>) {
        self.offset.put(w);
        self.ino.put(w);
        self.kind.put(w);
        self.name.put(w);
        u8::from(self.stat.is_some()).put(w);
        if let Some(stat) = &self.stat {
            stat.put(w);
        }
    }
}

/// The entries in `data`, up to the first that is malformed, which is given as an error.
pub fn entries<'a, T: Wire<'a>>(data: &'a [u8]) -> impl Iterator<Item = Result<T, DecodeError>> {
    let mut reader = Reader::new(data);
    std::iter::from_fn(move || {
        if reader.is_empty() {
            return None;
        }
        let entry = T::get(&mut reader);
        if entry.is_err() {
            reader = Reader::new(&[]);
        }
        Some(entry)
    })
}
