//! The address space as /proc/PID/maps, smaps, smaps_rollup, statm and status show it.

use std::fmt::Write as _;
use std::sync::Arc;

use abi::{PAGE_SIZE, UserAddr, UserRange};
use platform::Prot;

use super::accounting::Usage;
use super::pages::Source;
use super::vma::{Vma, VmaFlags, VmaName};
use super::{MemoryManager, Space};
use crate::vfs::File;

/// The column where names begin.
const NAME_COLUMN: usize = 73;

/// What the reader of /proc/PID/maps sees of a mapped file.
#[derive(Clone, Debug, Default)]
pub struct FileView {
    /// Device number, `makedev` form.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
    /// Path from the reader's root, with ` (deleted)` if it is.
    pub path: Vec<u8>,
}

/// An area as it was when it was looked at.
struct AreaView {
    range: UserRange,
    prot: Prot,
    max: Prot,
    flags: VmaFlags,
    offset: u64,
    file: Option<Arc<File>>,
    name: Name,
    rss: Rss,
}

enum Name {
    None,
    File,
    Fixed(&'static str),
    Anon {
        shared: bool,
        text: Arc<[u8]>,
    },
    /// Anonymous shared memory: the number stands for its inode.
    SharedAnon(u64),
}

/// Resident bytes by kind.
#[derive(Clone, Copy, Debug, Default)]
struct Rss {
    anon: u64,
    file: u64,
    shmem: u64,
}

impl MemoryManager {
    /// /proc/PID/maps. `describe` is asked about files without any lock held.
    pub fn maps(&self, describe: &dyn Fn(&File) -> FileView) -> String {
        let mut out = String::new();
        for area in self.areas(false) {
            area.header(describe, &mut out);
        }
        out
    }

    /// /proc/PID/smaps.
    pub fn smaps(&self, describe: &dyn Fn(&File) -> FileView) -> String {
        let mut out = String::new();
        for area in self.areas(true) {
            area.header(describe, &mut out);
            let len = area.range.len();
            line(&mut out, "Size", len);
            line(&mut out, "KernelPageSize", PAGE_SIZE);
            line(&mut out, "MMUPageSize", PAGE_SIZE);
            area.rss.lines(area.flags, &mut out);
            let _ = writeln!(out, "THPeligible:           0");
            area.vm_flags(&mut out);
        }
        out
    }

    /// /proc/PID/smaps_rollup.
    pub fn smaps_rollup(&self) -> String {
        let areas = self.areas(true);
        let (Some(first), Some(last)) = (areas.first(), areas.last()) else { return String::new() };
        let mut out = String::new();
        let range = UserRange::between(first.range.start, last.range.end);
        header(range, "---p", 0, 0, 0, &mut out);
        pad(&mut out, 0, "[rollup]");
        let mut rss = Rss::default();
        let mut locked = VmaFlags::empty();
        for area in &areas {
            rss.anon += area.rss.anon;
            rss.file += area.rss.file;
            rss.shmem += area.rss.shmem;
            locked |= area.flags & VmaFlags::LOCKED;
        }
        rss.lines(locked, &mut out);
        out
    }

    /// What it uses now. Finds out what is resident: not for hot paths.
    pub fn usage(&self) -> Usage {
        let space = self.space.read();
        let counters = &space.counters;
        let mut rss = Rss::default();
        for vma in space.vmas.iter() {
            let part = self.resident(&space, vma);
            rss.anon += part.anon;
            rss.file += part.file;
            rss.shmem += part.shmem;
        }
        let info = &space.info;
        let text = info.end_code.page_up().map_or(0, |end| end.0.saturating_sub(info.start_code.page_down().0));
        Usage {
            size: counters.total * PAGE_SIZE,
            peak: counters.peak * PAGE_SIZE,
            locked: counters.locked * PAGE_SIZE,
            data: counters.data * PAGE_SIZE,
            stack: counters.stack * PAGE_SIZE,
            exec: counters.exec * PAGE_SIZE,
            text,
            anon: rss.anon,
            file: rss.file,
            shmem: rss.shmem,
            // One table for each 2 MiB that is used, and three above.
            page_tables: (3 + (rss.anon + rss.file + rss.shmem) / (512 * PAGE_SIZE)) * PAGE_SIZE,
        }
    }

    /// /proc/PID/statm.
    pub fn statm(&self) -> String {
        let usage = self.usage();
        let pages = |bytes: u64| bytes / PAGE_SIZE;
        let data = pages(usage.data + usage.stack);
        let (size, resident, shared) = (pages(usage.size), pages(usage.resident()), pages(usage.file + usage.shmem));
        format!("{size} {resident} {shared} {} 0 {data} 0\n", pages(usage.text))
    }

    fn areas(&self, with_rss: bool) -> Vec<AreaView> {
        let space = self.space.read();
        let view = |vma: &Vma| AreaView {
            range: vma.range,
            prot: vma.prot,
            max: vma.max,
            flags: vma.flags,
            // What is the kernel's own has no file to count from.
            offset: match &vma.object {
                Some(object) if !vma.flags.contains(VmaFlags::SPECIAL) => object.offset,
                _ => 0,
            },
            file: vma.object.as_ref().and_then(|object| object.file.clone()),
            name: space.name_of(vma),
            rss: if with_rss { self.resident(&space, vma) } else { Rss::default() },
        };
        space.vmas.iter().filter(|vma| !vma.flags.contains(VmaFlags::HIDDEN)).map(view).collect()
    }

    fn resident(&self, space: &Space, vma: &Vma) -> Rss {
        let mut rss = Rss::default();
        for piece in space.pages.touching(vma.range) {
            let Some(common) = piece.range.intersect(vma.range) else { continue };
            let (_, offset) = piece.source.place(&self.memfile);
            let offset = offset + (common.start.0 - piece.range.start.0);
            match &piece.source {
                Source::Own(_) => rss.anon += self.memfile.resident_in(offset, common.len()),
                Source::Borrowed(_) => rss.shmem += self.memfile.resident_in(offset, common.len()),
                Source::Host(_) => rss.file += common.len(),
            }
        }
        rss
    }
}

impl Space {
    fn name_of(&self, vma: &Vma) -> Name {
        match (&vma.object, &vma.name) {
            (_, Some(VmaName::Special(name))) => Name::Fixed(name),
            (Some(object), _) if object.file.is_some() => Name::File,
            (object, Some(VmaName::Anon(text))) => Name::Anon { shared: object.is_some(), text: Arc::clone(text) },
            (Some(object), None) => Name::SharedAnon(object.entry.object().mappings().id()),
            (None, None) => {
                let info = &self.info;
                let heap = vma.range.start < info.brk.page_up().unwrap_or(info.brk) && info.start_brk < vma.range.end;
                if heap {
                    Name::Fixed("[heap]")
                } else if vma.range.contains(info.start_stack) {
                    Name::Fixed("[stack]")
                } else {
                    Name::None
                }
            }
        }
    }
}

impl AreaView {
    fn header(&self, describe: &dyn Fn(&File) -> FileView, out: &mut String) {
        let bit = |set: bool, letter: char| if set { letter } else { '-' };
        let share = if self.flags.contains(VmaFlags::SHARED) { 's' } else { 'p' };
        let prot = &self.prot;
        let perms: String =
            [bit(prot.read, 'r'), bit(prot.write, 'w'), bit(prot.exec, 'x'), share].into_iter().collect();
        let start = out.len();
        let (dev, ino, name) = match (&self.name, &self.file) {
            (Name::File, Some(file)) => {
                let view = describe(file);
                (view.dev, view.ino, String::from_utf8_lossy(&view.path).replace('\n', "\\012"))
            }
            (Name::SharedAnon(id), _) => (1, *id, "/dev/zero (deleted)".to_owned()),
            (Name::Fixed(name), _) => (0, 0, (*name).to_owned()),
            (Name::Anon { shared, text }, _) => {
                let kind = if *shared { "anon_shmem" } else { "anon" };
                (0, 0, format!("[{kind}:{}]", String::from_utf8_lossy(text)))
            }
            _ => (0, 0, String::new()),
        };
        header(self.range, &perms, self.offset, dev, ino, out);
        pad(out, start, &name);
    }

    fn vm_flags(&self, out: &mut String) {
        out.push_str("VmFlags:");
        let flags = [
            (self.prot.read, "rd"),
            (self.prot.write, "wr"),
            (self.prot.exec, "ex"),
            (self.flags.contains(VmaFlags::SHARED), "sh"),
            (self.max.read, "mr"),
            (self.max.write, "mw"),
            (self.max.exec, "me"),
            (self.flags.contains(VmaFlags::SHARED), "ms"),
            (self.flags.contains(VmaFlags::GROWSDOWN), "gd"),
            (self.flags.contains(VmaFlags::LOCKED), "lo"),
            (self.flags.contains(VmaFlags::SEQ_READ), "sr"),
            (self.flags.contains(VmaFlags::RAND_READ), "rr"),
            (self.flags.contains(VmaFlags::DONTFORK), "dc"),
            (self.flags.contains(VmaFlags::SPECIAL), "de"),
            (self.flags.contains(VmaFlags::NORESERVE), "nr"),
            (self.prot.write && !self.flags.contains(VmaFlags::SHARED), "ac"),
            (self.flags.contains(VmaFlags::DONTDUMP), "dd"),
            (self.flags.contains(VmaFlags::WIPEONFORK), "wf"),
            (self.flags.contains(VmaFlags::HUGEPAGE), "hg"),
            (self.flags.contains(VmaFlags::NOHUGEPAGE), "nh"),
            (self.flags.contains(VmaFlags::SEALED), "sl"),
        ];
        for (_, name) in flags.iter().filter(|(set, _)| *set) {
            let _ = write!(out, " {name}");
        }
        out.push_str(" \n");
    }
}

impl Rss {
    fn lines(&self, flags: VmaFlags, out: &mut String) {
        let total = self.anon + self.file + self.shmem;
        let locked = if flags.contains(VmaFlags::LOCKED) { total } else { 0 };
        let values = [
            ("Rss", total),
            ("Pss", total),
            ("Pss_Dirty", self.anon + self.shmem),
            ("Shared_Clean", 0),
            ("Shared_Dirty", 0),
            ("Private_Clean", self.file),
            ("Private_Dirty", self.anon + self.shmem),
            ("Referenced", total),
            ("Anonymous", self.anon),
            ("KSM", 0),
            ("LazyFree", 0),
            ("AnonHugePages", 0),
            ("ShmemPmdMapped", 0),
            ("FilePmdMapped", 0),
            ("Shared_Hugetlb", 0),
            ("Private_Hugetlb", 0),
            ("Swap", 0),
            ("SwapPss", 0),
            ("Locked", locked),
        ];
        for (name, bytes) in values {
            line(out, name, bytes);
        }
    }
}

fn header(range: UserRange, perms: &str, offset: u64, dev: u64, ino: u64, out: &mut String) {
    let (UserAddr(start), UserAddr(end)) = (range.start, range.end);
    let (major, minor) = (major(dev), minor(dev));
    let _ = write!(out, "{start:08x}-{end:08x} {perms} {offset:08x} {major:02x}:{minor:02x} {ino} ");
}

/// Ends a header line that began at `start` of `out` with a name.
fn pad(out: &mut String, start: usize, name: &str) {
    if !name.is_empty() {
        while out.len() - start < NAME_COLUMN {
            out.push(' ');
        }
        out.push_str(name);
    }
    out.push('\n');
}

fn line(out: &mut String, name: &str, bytes: u64) {
    let _ = writeln!(out, "{:<16}{:>8} kB", format!("{name}:"), bytes / 1024);
}

fn major(dev: u64) -> u64 {
    (dev >> 8) & 0xfff | (dev >> 32) & !0xfff
}

fn minor(dev: u64) -> u64 {
    dev & 0xff | (dev >> 12) & !0xff
}
