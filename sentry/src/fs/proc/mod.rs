//! procfs, proc(5).
//!
//! A [`Proc`] shows the processes of one pid namespace. Its root ([`root`]) finds `self`, the numbered directories
//! ([`process`]) and the files about the whole system ([`system`], [`sys`]). A process's directory holds the files of
//! [`status`], [`memory`] and [`files`], links of [`links`], and directories of descriptors ([`fd`]), threads and
//! namespaces. Nothing is cached: processes come and go.

mod fd;
mod files;
mod ids;
mod links;
mod mem;
mod memory;
mod mounts;
mod net;
mod ns;
mod process;
mod root;
mod status;
mod sys;
mod sys_net;
mod system;

pub(crate) use memory::command_line;

pub(crate) use system::memory_lines;

use std::any::Any;
use std::sync::Arc;

use abi::statfs::PROC_SUPER_MAGIC;

use super::pseudo::Tree;
use crate::kernel::Kernel;
use crate::task::{PidNamespace, ThreadGroup};
use crate::vfs::{Caching, FileSystem, Inode, anon};

/// A procfs that shows `ns`.
#[must_use]
pub fn new(kernel: &Arc<Kernel>, ns: &Arc<PidNamespace>) -> Arc<dyn FileSystem> {
    let tree = Tree::new("proc", PROC_SUPER_MAGIC, anon::next_dev(), Caching::Never, &kernel.clocks);
    tree.set_root(root::Root::new(&tree, kernel, ns));
    tree
}

/// The process whose directory this inode is.
#[must_use]
pub fn process_of(inode: &dyn Inode) -> Option<Arc<ThreadGroup>> {
    let dir = (inode as &dyn Any).downcast_ref::<process::ProcessDir>()?;
    dir.process().cloned()
}
