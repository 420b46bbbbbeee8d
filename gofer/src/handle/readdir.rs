//! Directories: `Treaddir`, `Tlistdir`.

use std::os::fd::{AsFd, OwnedFd};

use abi::Errno;
use abi::dirent::{DT_DIR, DT_UNKNOWN};
use abi::stat::{FileType, S_IFMT};
use host::path::{HostDirent, entries, errno, getdents, statx_at};
use ninep::dirent::{Dirent, DirentStat};
use ninep::message::{Rlistdir, Rreaddir, Tlistdir, Treaddir};
use ninep::{Blob, Name, Qid, QidKind, Stat, Str, Wire, Writer};
use nix::fcntl::OFlag;
use nix::unistd::{Whence, lseek};

use crate::fids::Open;
use crate::node::Node;
use crate::reply::Reply;
use crate::session::Session;

/// An open directory and where it stands.
#[derive(Debug)]
pub(crate) struct DirStream {
    fd: OwnedFd,
    offset: u64,
}

/// The least that is read of a directory at a time: several of the longest names.
const MIN_READ: usize = 1 << 10;

/// The most.
const MAX_READ: usize = 32 << 10;

impl DirStream {
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self { fd, offset: 0 }
    }

    pub(crate) fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// Reads entries from `offset` on into `buffer`.
    fn read<'b>(&mut self, offset: u64, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
        if offset != self.offset {
            let to = i64::try_from(offset).map_err(|_| Errno::EINVAL)?;
            lseek(&self.fd, to, Whence::SeekSet).map_err(errno)?;
            self.offset = offset;
        }
        let n = getdents(self.fd.as_fd(), buffer)?;
        let filled = buffer.get(..n).unwrap_or_default();
        // The kernel stands behind the last one; what is not passed on is sought again.
        self.offset = entries(filled).last().map_or(offset, |e| e.next);
        Ok(filled)
    }
}

impl Session<'_> {
    pub(crate) fn readdir(&mut self, ask: &Treaddir, reply: &mut Reply<'_>) -> Result<(), Errno> {
        let room = usize::try_from(ask.count).unwrap_or(usize::MAX).min(reply.room(4));
        let state = self.fids.get_mut(ask.fid)?;
        let Open::Dir(stream) = &mut state.open else { return Err(Errno::EBADF) };
        let mut buffer = vec![0; room.clamp(MIN_READ, MAX_READ)];
        // `.` and `..` are left out: what cannot be walked to is not listed.
        let mut data = Vec::new();
        let mut offset = ask.offset;
        while data.is_empty() {
            let read = stream.read(offset, &mut buffer)?;
            if read.is_empty() {
                break;
            }
            for entry in entries(read) {
                offset = entry.next;
                if matches!(entry.name, b"." | b"..") {
                    continue;
                }
                let qid = Qid { kind: qid_kind(entry.kind), version: 0, path: entry.ino };
                let dirent = Dirent { qid, offset: entry.next, kind: entry.kind, name: Str(entry.name) };
                if !put_if_fits(&mut data, &dirent, room) {
                    if data.is_empty() {
                        return Err(Errno::EINVAL);
                    }
                    break;
                }
            }
        }
        reply.send(&Rreaddir { data: Blob(&data) })
    }

    pub(crate) fn listdir(&mut self, ask: &Tlistdir, reply: &mut Reply<'_>) -> Result<(), Errno> {
        let room = usize::try_from(ask.count).unwrap_or(usize::MAX).min(reply.room(5));
        let node = self.fids.dir(ask.fid)?;
        let state = self.fids.get_mut(ask.fid)?;
        let mut stream = match state.listing.take() {
            Some(stream) if ask.offset != 0 => stream,
            _ => DirStream::new(self.reopen(&node, OFlag::O_RDONLY | OFlag::O_DIRECTORY)?),
        };
        let most = usize::try_from(ask.stats).unwrap_or(usize::MAX);
        // An entry with attributes is several times as long as one without.
        let mut buffer = vec![0; (room / 4).clamp(MIN_READ, MAX_READ)];
        let mut data = Vec::new();
        let mut offset = ask.offset;
        let (mut full, mut end) = (false, false);
        while !full && !end && data.len() < room / 2 {
            let read = stream.read(offset, &mut buffer)?;
            end = read.is_empty();
            let all = entries(read).filter(|entry| entry.kind != DT_DIR).count() <= most;
            for entry in entries(read) {
                if let Some(dirent) = describe(&node, &entry, all)
                    && !put_if_fits(&mut data, &dirent, room)
                {
                    full = true;
                    break;
                }
                offset = entry.next;
            }
        }
        if full && data.is_empty() {
            return Err(Errno::EINVAL);
        }
        if !end {
            self.fids.get_mut(ask.fid)?.listing = Some(stream);
        }
        reply.send(&Rlistdir { end: end.into(), data: Blob(&data) })
    }
}

/// What a listing says of an entry; nothing where its name cannot be looked up or the file is gone by now.
fn describe<'e>(dir: &Node, entry: &HostDirent<'e>, all: bool) -> Option<DirentStat<'e>> {
    let name = Name::new(entry.name).ok()?;
    let (offset, ino, kind) = (entry.next, entry.ino, entry.kind);
    // Not every file system tells types.
    if !all && !matches!(kind, DT_DIR | DT_UNKNOWN) {
        return Some(DirentStat { offset, ino, kind, name, stat: None });
    }
    let stat = Stat::from(&statx_at(dir.fd(), entry.name).ok()?);
    let kind = u8::try_from((stat.mode & S_IFMT) >> 12).unwrap_or(DT_UNKNOWN);
    Some(DirentStat { offset, ino: stat.ino, kind, name, stat: Some(stat) })
}

/// Appends `entry` unless it makes `data` longer than `room`.
fn put_if_fits<'a>(data: &mut Vec<u8>, entry: &impl Wire<'a>, room: usize) -> bool {
    let before = data.len();
    entry.put(&mut Writer::new(data));
    let fits = data.len() <= room;
    if !fits {
        data.truncate(before);
    }
    fits
}

fn qid_kind(dirent_type: u8) -> QidKind {
    match FileType::from_dirent_type(dirent_type) {
        Some(FileType::Directory) => QidKind::DIR,
        Some(FileType::Symlink) => QidKind::SYMLINK,
        _ => QidKind::FILE,
    }
}
