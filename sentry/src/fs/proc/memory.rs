//! The files of a process that show its memory: maps, arguments, environment, auxiliary vector, `mem`.

use std::fmt::Write;
use std::sync::Arc;

use abi::{PAGE_SIZE, UserAddr};
use zerocopy::IntoBytes;

use super::links::may_inspect;
use super::process::{Entry, Kind, Subject};
use crate::error::Result;
use crate::mm::{FileView, MemoryManager, RemoteAccess};
use crate::task::CurrentTask;
use crate::vfs::File;

pub(super) const ENTRIES: &[Entry] = &[
    Entry { name: "cmdline", kind: Kind::Text(cmdline) },
    Entry { name: "environ", kind: Kind::Private(environ) },
    Entry { name: "auxv", kind: Kind::Private(auxv) },
    Entry {
        name: "maps",
        kind: Kind::Text(|s, r| Ok(inspected(s, r)?.map_or_else(Vec::new, |mm| mm.maps(&view(r)).into_bytes()))),
    },
    Entry {
        name: "smaps",
        kind: Kind::Text(|s, r| Ok(inspected(s, r)?.map_or_else(Vec::new, |mm| mm.smaps(&view(r)).into_bytes()))),
    },
    Entry {
        name: "smaps_rollup",
        kind: Kind::Text(|s, r| Ok(inspected(s, r)?.map_or_else(Vec::new, |mm| mm.smaps_rollup().into_bytes()))),
    },
    Entry { name: "statm", kind: Kind::Text(statm) },
];

/// The most that a reader gets of arguments or environment.
const MAX_TEXT: u64 = 2 << 20;

/// What `stat` shows of the memory.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Numbers {
    pub(super) size: u64,
    pub(super) resident: u64,
    pub(super) code: (u64, u64),
    pub(super) data: (u64, u64),
    pub(super) stack: u64,
    pub(super) brk: u64,
    pub(super) args: (u64, u64),
    pub(super) env: (u64, u64),
}

/// The numbers of `stat`.
pub(super) fn numbers(mm: &MemoryManager) -> Numbers {
    let (info, usage) = (mm.info(), mm.usage());
    Numbers {
        size: usage.size,
        resident: usage.resident(),
        code: (info.start_code.0, info.end_code.0),
        data: (info.start_data.0, info.end_data.0),
        stack: info.start_stack.0,
        brk: info.start_brk.0,
        args: (info.arg_start.0, info.arg_end.0),
        env: (info.env_start.0, info.env_end.0),
    }
}

/// The Vm lines of `status`.
pub(super) fn status_lines(mm: &MemoryManager) -> String {
    let usage = mm.usage();
    let lines: &[(&str, u64)] = &[
        ("VmPeak:", usage.peak),
        ("VmSize:", usage.size),
        ("VmLck:", usage.locked),
        ("VmPin:", 0),
        ("VmHWM:", usage.resident()),
        ("VmRSS:", usage.resident()),
        ("RssAnon:", usage.anon),
        ("RssFile:", usage.file),
        ("RssShmem:", usage.shmem),
        ("VmData:", usage.data),
        ("VmStk:", usage.stack),
        ("VmExe:", usage.text),
        ("VmLib:", usage.exec.saturating_sub(usage.text)),
        ("VmPTE:", usage.page_tables),
        ("VmSwap:", 0),
        ("HugetlbPages:", 0),
    ];
    let mut out = String::new();
    for (name, bytes) in lines {
        let _ = writeln!(out, "{name}\t{:>8} kB", bytes / 1024);
    }
    out
}

/// How files appear in `maps` to a reader.
fn view(reader: &CurrentTask) -> impl Fn(&File) -> FileView {
    let root = reader.fs().root();
    move |file| {
        let attr = file.attr().unwrap_or_default();
        FileView { dev: attr.dev, ino: attr.ino, path: file.path().shown(&root) }
    }
}

/// The memory of a process that the reader may look into; `None` once it has none.
fn inspected(subject: &Subject, reader: &CurrentTask) -> Result<Option<Arc<MemoryManager>>> {
    may_inspect(reader, &subject.task)?;
    Ok(subject.task.mm())
}

fn statm(subject: &Subject, _: &CurrentTask) -> Result<Vec<u8>> {
    Ok(subject.task.mm().map_or_else(|| "0 0 0 0 0 0 0\n".to_owned(), |mm| mm.statm()).into_bytes())
}

/// The bytes of a range of another process, as far as they can be read.
fn text(mm: &MemoryManager, start: UserAddr, end: UserAddr) -> Vec<u8> {
    let len = end.0.saturating_sub(start.0).min(MAX_TEXT);
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
    let n = mm.read_remote(start, &mut bytes, RemoteAccess::Forced).unwrap_or(0);
    bytes.truncate(n);
    bytes
}

fn cmdline(subject: &Subject, _: &CurrentTask) -> Result<Vec<u8>> {
    Ok(subject.task.mm().map_or_else(Vec::new, |mm| command_line(&mm)))
}

/// The arguments of a program, each with its NUL.
pub(crate) fn command_line(mm: &MemoryManager) -> Vec<u8> {
    let info = mm.info();
    let mut bytes = text(mm, info.arg_start, info.arg_end);
    // A program that overwrote the last NUL (setproctitle) has put its title over the environment too.
    if bytes.last().is_some_and(|last| *last != 0) {
        bytes.extend(text(mm, info.env_start, info.env_end));
        if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
            bytes.truncate(end);
        }
    }
    bytes
}

fn environ(subject: &Subject, reader: &CurrentTask) -> Result<Vec<u8>> {
    let Some(mm) = inspected(subject, reader)? else { return Ok(Vec::new()) };
    let info = mm.info();
    Ok(text(&mm, info.env_start, info.env_end))
}

fn auxv(subject: &Subject, reader: &CurrentTask) -> Result<Vec<u8>> {
    let Some(mm) = inspected(subject, reader)? else { return Ok(Vec::new()) };
    let mut bytes = Vec::new();
    for (kind, value) in mm.info().auxv.iter().chain(&[(0, 0)]) {
        bytes.extend_from_slice([*kind, *value].as_bytes());
    }
    debug_assert!(bytes.len() as u64 <= PAGE_SIZE);
    Ok(bytes)
}
