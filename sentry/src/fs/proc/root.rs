//! The root directory: `self`, one directory a process, and what is about the system.

use std::sync::Arc;

use abi::Errno;
use abi::dirent::DT_DIR;
use abi::stat::S_IFDIR;

use super::process::ProcessDir;
use super::{ids, links, sys, system};
use crate::error::Result;
use crate::fs::pseudo::dir::StaticDir;
use crate::fs::pseudo::{Meta, Tree, meta_inode};
use crate::kernel::Kernel;
use crate::task::PidNamespace;
use crate::vfs::{DirEntry, Inode};

/// `readdir` positions of processes start here; fixed entries come before.
const FIRST_PID: u64 = 1 << 16;

/// `/proc`.
#[derive(Debug)]
pub(super) struct Root {
    meta: Meta,
    fixed: Arc<StaticDir>,
    ns: Arc<PidNamespace>,
}

impl Root {
    pub(super) fn new(tree: &Arc<Tree>, kernel: &Arc<Kernel>, ns: &Arc<PidNamespace>) -> Arc<Self> {
        let mut children = system::files(tree, kernel);
        children.push(("self", links::this_process(tree, ns) as Arc<dyn Inode>));
        children.push(("thread-self", links::this_thread(tree, ns)));
        children.push(("sys", sys::directory(tree, kernel)));
        Arc::new(Self {
            meta: tree.meta_with_ino(ids::ROOT, S_IFDIR | 0o555, 9),
            fixed: StaticDir::new(tree, children),
            ns: Arc::clone(ns),
        })
    }
}

impl Inode for Root {
    meta_inode!();

    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>> {
        if let Some(fixed) = self.fixed.child(name) {
            return Ok(fixed);
        }
        let number = ids::parse_number(name).ok_or(Errno::ENOENT)?;
        // Any thread's number works, though only processes are listed.
        let group = self.ns.task(number).map(|task| Arc::clone(task.group())).or_else(|| self.ns.group(number));
        ProcessDir::of_process(&self.meta.tree(), &self.ns, &group.ok_or(Errno::ENOENT)?)
    }

    fn readdir(&self, from: u64, emit: &mut dyn FnMut(DirEntry<'_>) -> bool) -> Result<()> {
        let mut going = true;
        if from < FIRST_PID {
            self.fixed.readdir(from, &mut |entry| {
                going = emit(entry);
                going
            })?;
        }
        if !going {
            return Ok(());
        }
        let first = i32::try_from(from.saturating_sub(FIRST_PID)).unwrap_or(i32::MAX);
        let mut numbers: Vec<i32> =
            self.ns.groups().iter().map(|group| group.tgid_in(&self.ns)).filter(|n| *n >= first).collect();
        numbers.sort_unstable();
        for number in numbers {
            let Ok(at) = u64::try_from(number) else { continue };
            let name = number.to_string();
            let entry = DirEntry {
                name: name.as_bytes(),
                ino: ids::process(number, 0),
                kind: DT_DIR,
                next: FIRST_PID + at + 1,
            };
            if !emit(entry) {
                break;
            }
        }
        Ok(())
    }
}
