//! What is there: pieces of memory behind areas, as the platform has them mapped.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, OnceLock};

use abi::{UserAddr, UserRange};
use host::mapping::Mapping;
use host::mem::HostSlice;
use platform::Prot;

use super::memfile::{MemFile, MemRange};
use crate::error::Result;

/// Where the bytes of a piece are.
#[derive(Debug)]
pub(super) enum Source {
    /// A range of the memory file that is this address space's, perhaps together with others (copy-on-write).
    Own(MemRange),
    /// The memory file at this offset; an object owns it.
    Borrowed(u64),
    /// A donated host file.
    Host(HostFile),
}

/// A piece of a donated file.
#[derive(Debug)]
pub(super) struct HostFile {
    file: Arc<OwnedFd>,
    offset: u64,
    /// Whether the file may be written.
    writable: bool,
    /// Our own mapping of it, made when a byte is first looked at; it may begin below `offset`.
    window: OnceLock<Arc<Window>>,
}

#[derive(Debug)]
struct Window {
    map: Mapping,
    offset: u64,
}

/// Contiguous bytes at contiguous addresses.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) range: UserRange,
    pub(super) source: Source,
    /// What the platform allows there now.
    pub(super) prot: Prot,
    /// Whether the application's writes go to `source`; if not, the first one copies it or makes it writable.
    pub(super) write_through: bool,
    /// Where copies of it will go: a range of the same length, so that they join.
    pub(super) reserve: Option<Reserve>,
}

/// Memory that is set aside and not used yet.
#[derive(Debug)]
pub(super) struct Reserve(Option<MemRange>);

impl Reserve {
    pub(super) fn new(range: MemRange) -> Self {
        Self(Some(range))
    }

    /// Takes it into use.
    pub(super) fn into_range(mut self) -> Option<MemRange> {
        self.0.take()
    }

    fn split_off(&mut self, at: u64) -> Self {
        Self(self.0.as_mut().map(|range| range.split_off(at)))
    }

    fn continues(&self, next: &Self) -> bool {
        matches!((&self.0, &next.0), (Some(a), Some(b)) if a.end() == b.offset())
    }

    fn append(&mut self, mut next: Self) {
        if let (Some(a), Some(b)) = (&mut self.0, next.0.take()) {
            let appended = a.append(b);
            debug_assert!(appended.is_ok(), "it was checked to follow");
        }
    }
}

impl Drop for Reserve {
    fn drop(&mut self) {
        if let Some(range) = self.0.take() {
            range.drop_untouched();
        }
    }
}

impl Source {
    pub(super) fn host(file: Arc<OwnedFd>, offset: u64, writable: bool) -> Self {
        Self::Host(HostFile { file, offset, writable, window: OnceLock::new() })
    }

    /// The host file and the offset in it, for the platform.
    pub(super) fn place<'a>(&'a self, memfile: &'a MemFile) -> (&'a Arc<OwnedFd>, u64) {
        match self {
            Self::Own(range) => (memfile.file(), range.offset()),
            Self::Borrowed(offset) => (memfile.file(), *offset),
            Self::Host(host) => (&host.file, host.offset),
        }
    }

    /// The same bytes for another address space.
    pub(super) fn share(&self) -> Self {
        match self {
            Self::Own(range) => Self::Own(range.clone()),
            Self::Borrowed(offset) => Self::Borrowed(*offset),
            Self::Host(host) => Self::Host(HostFile {
                file: Arc::clone(&host.file),
                offset: host.offset,
                writable: host.writable,
                window: host.window.clone(),
            }),
        }
    }

    fn split_off(&mut self, at: u64) -> Self {
        match self {
            Self::Own(range) => Self::Own(range.split_off(at)),
            Self::Borrowed(offset) => Self::Borrowed(*offset + at),
            Self::Host(_) => {
                let mut rest = self.share();
                if let Self::Host(rest) = &mut rest {
                    rest.offset += at;
                }
                rest
            }
        }
    }

    /// Whether `next` follows after `len` bytes.
    fn continues(&self, len: u64, next: &Self) -> bool {
        match (self, next) {
            (Self::Own(a), Self::Own(b)) => a.end() == b.offset(),
            (Self::Borrowed(a), Self::Borrowed(b)) => a + len == *b,
            (Self::Host(a), Self::Host(b)) => {
                Arc::ptr_eq(&a.file, &b.file)
                    && a.offset + len == b.offset
                    && a.window.get().map(Arc::as_ptr) == b.window.get().map(Arc::as_ptr)
            }
            _ => false,
        }
    }
}

impl HostFile {
    fn window(&self, len: u64) -> Result<&Window> {
        if let Some(window) = self.window.get() {
            return Ok(window);
        }
        let len = usize::try_from(len).map_err(|_| abi::Errno::ENOMEM)?;
        let map = Mapping::new(self.file.as_fd(), self.offset, len, self.writable)?;
        Ok(self.window.get_or_init(|| Arc::new(Window { map, offset: self.offset })))
    }
}

impl Piece {
    /// The bytes from `addr` to the end of the piece, at most `len`.
    pub(super) fn slice<'a>(&'a self, memfile: &'a MemFile, addr: UserAddr, len: usize) -> Result<HostSlice<'a>> {
        let at = addr.0 - self.range.start.0;
        let len = len.min(usize::try_from(self.range.end.0 - addr.0).unwrap_or(usize::MAX));
        match &self.source {
            Source::Own(range) => Ok(memfile.slice(range.offset() + at, len)),
            Source::Borrowed(offset) => Ok(memfile.slice(offset + at, len)),
            Source::Host(host) => {
                let window = host.window(self.range.len())?;
                let at = usize::try_from(host.offset + at - window.offset).map_err(|_| abi::Errno::EFAULT)?;
                Ok(window.map.slice(at, len))
            }
        }
    }

    /// What the platform may allow of what the area allows. Whatever is accessible at all can be read, as the CPU has it.
    pub(super) fn allowed(&self, prot: Prot) -> Prot {
        Prot { read: !prot.is_none(), write: prot.write && self.write_through, exec: prot.exec }
    }

    fn joins(&self, next: &Self) -> bool {
        let reserves = match (&self.reserve, &next.reserve) {
            (None, None) => true,
            (Some(a), Some(b)) => a.continues(b),
            _ => false,
        };
        reserves
            && self.range.end == next.range.start
            && self.prot == next.prot
            && self.write_through == next.write_through
            && self.source.continues(self.range.len(), &next.source)
    }

    fn split_off(&mut self, at: UserAddr) -> Self {
        let len = at.0 - self.range.start.0;
        let rest = Self {
            range: UserRange::between(at, self.range.end),
            source: self.source.split_off(len),
            prot: self.prot,
            write_through: self.write_through,
            reserve: self.reserve.as_mut().map(|reserve| reserve.split_off(len)),
        };
        self.range.end = at;
        rest
    }

    /// Takes in `next`, for which [`Self::joins`] holds.
    fn append(&mut self, next: Self) {
        self.range.end = next.range.end;
        if let (Source::Own(a), Source::Own(b)) = (&mut self.source, next.source) {
            let appended = a.append(b);
            debug_assert!(appended.is_ok(), "joins says it follows");
        }
        if let (Some(a), Some(b)) = (&mut self.reserve, next.reserve) {
            a.append(b);
        }
    }
}

/// The pieces of an address space, by start. They never overlap and are never empty.
#[derive(Debug, Default)]
pub(super) struct Pages {
    map: BTreeMap<UserAddr, Piece>,
}

impl Pages {
    /// The piece that holds `addr`.
    #[inline]
    pub(super) fn find(&self, addr: UserAddr) -> Option<&Piece> {
        let (_, piece) = self.map.range(..=addr).next_back()?;
        (addr < piece.range.end).then_some(piece)
    }

    /// The piece that holds `addr`, to be changed.
    pub(super) fn find_mut(&mut self, addr: UserAddr) -> Option<&mut Piece> {
        let (_, piece) = self.map.range_mut(..=addr).next_back()?;
        (addr < piece.range.end).then_some(piece)
    }

    /// The lowest piece that starts at or above `addr`.
    pub(super) fn above(&self, addr: UserAddr) -> Option<&Piece> {
        self.map.range(addr..).next().map(|(_, piece)| piece)
    }

    /// The highest piece that starts below `addr`.
    pub(super) fn below(&self, addr: UserAddr) -> Option<&Piece> {
        self.map.range(..addr).next_back().map(|(_, piece)| piece)
    }

    /// The pieces that touch `range`, upwards.
    pub(super) fn touching(&self, range: UserRange) -> impl Iterator<Item = &Piece> {
        let first = self.find(range.start).map_or(range.start, |piece| piece.range.start);
        self.map.range(first..range.end.max(first)).map(|(_, piece)| piece)
    }

    /// The pieces in `range`, split at its ends; [`Self::join`] afterwards.
    pub(super) fn split(&mut self, range: UserRange) -> impl Iterator<Item = &mut Piece> {
        self.split_at(range.start);
        self.split_at(range.end);
        self.map.range_mut(range.start..range.end).map(|(_, piece)| piece)
    }

    /// Adds a piece where there is none, without joining it.
    pub(super) fn put(&mut self, piece: Piece) {
        self.map.insert(piece.range.start, piece);
    }

    /// Adds a piece where there is none, and joins it with its neighbours.
    pub(super) fn insert(&mut self, piece: Piece) {
        let range = piece.range;
        self.put(piece);
        self.join(range);
    }

    /// Takes away what lies in `range`, splitting at its ends.
    pub(super) fn remove(&mut self, range: UserRange) -> Vec<Piece> {
        self.split_at(range.start);
        self.split_at(range.end);
        let starts: Vec<_> = self.map.range(range.start..range.end).map(|(s, _)| *s).collect();
        starts.iter().filter_map(|start| self.map.remove(start)).collect()
    }

    /// The parts of `range` without a piece.
    pub(super) fn gaps(&self, range: UserRange) -> Vec<UserRange> {
        let mut gaps = Vec::new();
        let mut at = range.start;
        for piece in self.touching(range) {
            if at < piece.range.start {
                gaps.push(UserRange::between(at, piece.range.start));
            }
            at = at.max(piece.range.end);
        }
        if at < range.end {
            gaps.push(UserRange::between(at, range.end));
        }
        gaps
    }

    fn split_at(&mut self, at: UserAddr) {
        if let Some((_, piece)) = self.map.range_mut(..at).next_back()
            && at < piece.range.end
        {
            let rest = piece.split_off(at);
            self.map.insert(at, rest);
        }
    }

    /// Joins what can be joined.
    pub(super) fn join_all(&mut self) {
        self.join(UserRange::between(UserAddr::NULL, UserAddr(u64::MAX)));
    }

    /// Joins what can be joined in and around `range`.
    pub(super) fn join(&mut self, range: UserRange) {
        let mut at = self.below(range.start).map_or(range.start, |piece| piece.range.start);
        while at <= range.end
            && let Some((&start, piece)) = self.map.range(at..).next()
            && start <= range.end
        {
            let end = piece.range.end;
            let joins = self.map.get(&end).is_some_and(|next| piece.joins(next));
            if joins && let Some(next) = self.map.remove(&end) {
                if let Some(piece) = self.map.get_mut(&start) {
                    piece.append(next);
                }
                at = start;
            } else {
                at = end;
            }
        }
    }
}
