//! Names: lookup, listing, links, renames, removal, attributes.

use std::sync::Arc;

use abi::Errno;

use super::{Client, ClientError, FidHandle, Result};
use crate::attr::{SetAttr, Stat, StatFs};
use crate::dirent::{self, Dirent, DirentStat};
use crate::flags::{AttrMask, RenameFlags, UnlinkFlags};
use crate::message::{
    Rlistdir, Rwalkattr, Step, Tgetattr, Tlink, Tlistdir, Treaddir, Treadlink, Tremove, Trename, Trename2, Trenameat,
    Tsetattr, Tsetstat, Tstatfs, Tstatx, Tunlinkat, Twalk, Twalkattr,
};
use crate::name::Name;
use crate::wire::List;

/// Type bits of a mode.
const S_IFMT: u32 = 0o170_000;
const S_IFLNK: u32 = 0o120_000;
const S_IFDIR: u32 = 0o040_000;

/// A file that was looked up or made.
#[derive(Debug)]
pub struct Entry {
    /// Its fid.
    pub fid: FidHandle,
    /// Its attributes.
    pub stat: Stat,
    /// Its target, if it is a symbolic link.
    pub target: Option<Box<[u8]>>,
}

/// An entry of a directory that was listed.
#[derive(Clone, Debug)]
pub struct ListedEntry {
    /// Its name.
    pub name: Box<[u8]>,
    /// Its inode number.
    pub ino: u64,
    /// `DT_*` of readdir(3).
    pub kind: u8,
    /// Its attributes, from servers that tell them in passing.
    pub stat: Option<Stat>,
}

impl Client {
    /// The file called `name` in `dir`.
    pub fn lookup(self: &Arc<Self>, dir: &FidHandle, name: Name<'_>) -> Result<Entry> {
        let fid = FidHandle::new(self)?;
        if self.extended() {
            let steps = [Step { newfid: fid.fid(), name }];
            let walk = Twalkattr { fid: dir.fid(), steps: List::Slice(&steps) };
            let found = self.call(&walk, |r, _| first_found(&r))?;
            return Ok(entry(fid, found?));
        }
        self.walk_to(dir, &[name], &fid)?;
        self.finish_entry(fid)
    }

    /// Walks down several names; gives what was found, and the errno of the step that was not.
    pub fn lookup_path(self: &Arc<Self>, dir: &FidHandle, names: &[Name<'_>]) -> Result<(Vec<Entry>, Option<Errno>)> {
        let mut entries: Vec<Entry> = Vec::with_capacity(names.len());
        if !self.extended() {
            for name in names {
                let from = entries.last().map_or(dir, |e| &e.fid);
                match self.lookup(from, *name) {
                    Ok(entry) => entries.push(entry),
                    Err(ClientError::Refused(errno)) => return Ok((entries, Some(errno))),
                    Err(error) => return Err(error),
                }
            }
            return Ok((entries, None));
        }
        let mut fids = Vec::with_capacity(names.len());
        let mut steps = Vec::with_capacity(names.len());
        for name in names {
            let fid = FidHandle::new(self)?;
            steps.push(Step { newfid: fid.fid(), name: *name });
            fids.push(fid);
        }
        let (found, stopped) = self.call(&Twalkattr { fid: dir.fid(), steps: List::Slice(&steps) }, |r, _| {
            let found: Vec<_> = r.found.iter().map(|f| (f.stat, Box::<[u8]>::from(f.target.0))).collect();
            (found, r.stopped)
        })?;
        entries.extend(fids.into_iter().zip(found).map(|(fid, found)| entry(fid, found)));
        let complete = entries.len() == names.len();
        Ok((entries, (!complete).then(|| Errno::from_raw(i32::try_from(stopped).unwrap_or(0)))))
    }

    /// Makes `to` stand for what `names` lead to from `from`; for the same file if there are none.
    pub(super) fn walk_to(&self, from: &FidHandle, names: &[Name<'_>], to: &FidHandle) -> Result<()> {
        let ask = Twalk { fid: from.fid(), newfid: to.fid(), names: List::Slice(names) };
        let walked = self.call(&ask, |r, _| r.qids.len())?;
        if walked == names.len() { Ok(()) } else { Err(Errno::ENOENT.into()) }
    }

    /// Asks for what an [`Entry`] holds, message by message.
    pub(super) fn finish_entry(&self, fid: FidHandle) -> Result<Entry> {
        let stat = self.stat(&fid)?;
        let target = if is_link(&stat) { Some(self.readlink(&fid)?) } else { None };
        Ok(Entry { fid, stat, target })
    }

    /// Attributes of a file.
    pub fn stat(&self, fid: &FidHandle) -> Result<Stat> {
        if self.extended() {
            return self.call(&Tstatx { fid: fid.fid() }, |r, _| r.stat);
        }
        let mask = AttrMask::BASIC | AttrMask::BTIME;
        self.call(&Tgetattr { fid: fid.fid(), mask }, |r, _| Stat::from(&r.attr))
    }

    /// Sets attributes, and tells what they are then.
    pub fn set_attr(&self, fid: &FidHandle, attr: SetAttr) -> Result<Stat> {
        if self.extended() {
            return self.call(&Tsetstat { fid: fid.fid(), attr }, |r, _| r.stat);
        }
        self.call(&Tsetattr { fid: fid.fid(), attr }, |_, _| ())?;
        self.stat(fid)
    }

    /// Attributes of the filesystem.
    pub fn statfs(&self, fid: &FidHandle) -> Result<StatFs> {
        self.call(&Tstatfs { fid: fid.fid() }, |r, _| r.stat)
    }

    /// Target of a symbolic link.
    pub fn readlink(&self, fid: &FidHandle) -> Result<Box<[u8]>> {
        self.call(&Treadlink { fid: fid.fid() }, |r, _| r.target.0.into())
    }

    /// All entries of a directory but `.` and `..`.
    pub fn list(self: &Arc<Self>, dir: &FidHandle, stats: Stats) -> Result<Vec<ListedEntry>> {
        if self.extended() { self.list_from(dir, stats, Some(0), Vec::new()) } else { self.list_plain(dir) }
    }

    /// The directory called `name` in `dir`, and its entries. In the extended dialect that is one round trip, unless there
    /// are many. The inner result is that of listing.
    pub fn lookup_and_list(
        self: &Arc<Self>,
        dir: &FidHandle,
        name: Name<'_>,
        stats: Stats,
    ) -> Result<(Entry, Result<Vec<ListedEntry>>)> {
        if !self.extended() {
            let entry = self.lookup(dir, name)?;
            let listed = self.list_plain(&entry.fid);
            return Ok((entry, listed));
        }
        let mut all = Vec::new();
        let ask = |fid| Tlistdir { fid, offset: 0, count: self.list_count(), stats: stats.most() };
        let (entry, first) = self.lookup_and(dir, name, ask, |r, _| add_listed(&mut all, &r))?;
        let listed = first.and_then(|next| self.list_from(&entry.fid, stats, next?, all));
        Ok((entry, listed))
    }

    /// Lists on from `next`; `None` is the end.
    fn list_from(
        &self,
        dir: &FidHandle,
        stats: Stats,
        mut next: Option<u64>,
        mut all: Vec<ListedEntry>,
    ) -> Result<Vec<ListedEntry>> {
        while let Some(offset) = next {
            let ask = Tlistdir { fid: dir.fid(), offset, count: self.list_count(), stats: stats.most() };
            next = self.call(&ask, |r, _| add_listed(&mut all, &r))??;
        }
        Ok(all)
    }

    fn list_count(&self) -> u32 {
        u32::try_from(self.max_data()).unwrap_or(u32::MAX)
    }

    fn list_plain(self: &Arc<Self>, dir: &FidHandle) -> Result<Vec<ListedEntry>> {
        let open = FidHandle::new(self)?;
        self.walk_to(dir, &[], &open)?;
        self.lopen(&open, crate::flags::OpenFlags::DIRECTORY)?;
        let mut all = Vec::new();
        let mut offset = 0;
        let count = u32::try_from(self.max_data()).unwrap_or(u32::MAX);
        loop {
            let next = self.call(&Treaddir { fid: open.fid(), offset, count }, |r, _| -> Result<Option<u64>> {
                let mut next = None;
                for entry in dirent::entries::<Dirent<'_>>(r.data.0) {
                    let Dirent { qid, offset, kind, name } = entry?;
                    next = Some(offset);
                    if Name::new(name.0).is_ok() {
                        all.push(ListedEntry { name: name.0.into(), ino: qid.path, kind, stat: None });
                    }
                }
                Ok(next)
            })??;
            match next {
                Some(next) => offset = next,
                None => return Ok(all),
            }
        }
    }

    /// Gives `file` another name.
    pub fn link(&self, file: &FidHandle, dir: &FidHandle, name: Name<'_>) -> Result<()> {
        self.call(&Tlink { dfid: dir.fid(), fid: file.fid(), name }, |_, _| ())
    }

    /// Removes a name.
    pub fn unlink(self: &Arc<Self>, dir: &FidHandle, name: Name<'_>, flags: UnlinkFlags) -> Result<()> {
        match self.call(&Tunlinkat { dfid: dir.fid(), name, flags }, |_, _| ()) {
            Err(ClientError::Refused(Errno::EOPNOTSUPP)) if !self.extended() => self.unlink_by_fid(dir, name, flags),
            other => other,
        }
    }

    /// As older servers know it (diod 1.0). What the name means is asked first, so it may be another file by the time that
    /// it is removed.
    fn unlink_by_fid(self: &Arc<Self>, dir: &FidHandle, name: Name<'_>, flags: UnlinkFlags) -> Result<()> {
        let entry = self.lookup(dir, name)?;
        match (entry.stat.mode & S_IFMT == S_IFDIR, flags.contains(UnlinkFlags::REMOVE_DIR)) {
            (true, false) => Err(Errno::EISDIR.into()),
            (false, true) => Err(Errno::ENOTDIR.into()),
            _ => self.call(&Tremove { fid: entry.fid.fid() }, |_, _| ()),
        }
    }

    /// Moves a name. Flags need the extended dialect: EINVAL without, as from a filesystem that knows none.
    pub fn rename(
        self: &Arc<Self>,
        (from, oldname): (&FidHandle, Name<'_>),
        (to, newname): (&FidHandle, Name<'_>),
        flags: RenameFlags,
    ) -> Result<()> {
        let (olddir, newdir) = (from.fid(), to.fid());
        if self.extended() {
            return self.call(&Trename2 { olddir, oldname, newdir, newname, flags }, |_, _| ());
        }
        if !flags.is_empty() {
            return Err(Errno::EINVAL.into());
        }
        match self.call(&Trenameat { olddir, oldname, newdir, newname }, |_, _| ()) {
            Err(ClientError::Refused(Errno::EOPNOTSUPP)) => {
                let entry = self.lookup(from, oldname)?;
                self.call(&Trename { fid: entry.fid.fid(), dfid: newdir, name: newname }, |_, _| ())
            }
            other => other,
        }
    }
}

/// Which files a listing tells the attributes of, besides directories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stats {
    /// Those of directories with a handful of files, where they cost less than another question.
    OfFew,
    /// All.
    All,
}

impl Stats {
    fn most(self) -> u32 {
        match self {
            Self::OfFew => 8,
            Self::All => u32::MAX,
        }
    }
}

/// Adds the entries of an answer; tells where the next ones begin, if there are more.
fn add_listed(all: &mut Vec<ListedEntry>, answer: &Rlistdir<'_>) -> Result<Option<u64>> {
    let mut next = None;
    for entry in dirent::entries::<DirentStat<'_>>(answer.data.0) {
        let DirentStat { offset, ino, kind, name, stat } = entry?;
        all.push(ListedEntry { name: name.as_bytes().into(), ino, kind: kind & 15, stat });
        next = Some(offset);
    }
    Ok(next.filter(|_| answer.end == 0))
}

/// What a walk of one step found.
pub(super) fn first_found(answer: &Rwalkattr<'_>) -> Result<(Stat, Box<[u8]>)> {
    match answer.found.iter().next() {
        Some(found) => Ok((found.stat, found.target.0.into())),
        None => Err(Errno::from_raw(i32::try_from(answer.stopped).unwrap_or(0)).into()),
    }
}

pub(super) fn entry(fid: FidHandle, (stat, target): (Stat, Box<[u8]>)) -> Entry {
    Entry { fid, stat, target: is_link(&stat).then_some(target) }
}

fn is_link(stat: &Stat) -> bool {
    stat.mode & S_IFMT == S_IFLNK
}
