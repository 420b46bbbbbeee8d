//! sysfs(5): CPUs, network devices and the few other things that programs look for. Nothing of the host shows.

mod cpu;

use std::sync::Arc;

use abi::statfs::SYSFS_MAGIC;

use super::pseudo::Tree;
use super::pseudo::dir::StaticDir;
use super::pseudo::text::TextFile;
use crate::kernel::Kernel;
use crate::vfs::{Caching, FileSystem, Inode, anon};

/// An entry of a directory.
type Entry = (&'static str, Arc<dyn Inode>);

/// A sysfs for this kernel.
#[must_use]
pub fn new(kernel: &Arc<Kernel>) -> Arc<dyn FileSystem> {
    let tree = Tree::new("sysfs", SYSFS_MAGIC, anon::next_dev(), Caching::Always, &kernel.clocks);
    let empty = |name| dir(&tree, name, Vec::new());
    let root = vec![
        empty("block"),
        empty("bus"),
        dir(&tree, "class", vec![empty("block"), dir(&tree, "net", vec![loopback(&tree)]), empty("tty")]),
        empty("dev"),
        dir(
            &tree,
            "devices",
            vec![
                dir(&tree, "system", vec![cpu::cpus(&tree, kernel.cpus), cpu::nodes(&tree, kernel.cpus)]),
                empty("virtual"),
            ],
        ),
        empty("firmware"),
        dir(&tree, "fs", vec![empty("cgroup")]),
        dir(&tree, "kernel", vec![huge_pages(&tree), empty("debug"), empty("security")]),
        empty("module"),
        empty("power"),
    ];
    tree.set_root(StaticDir::new(&tree, root));
    tree
}

fn dir(tree: &Tree, name: &'static str, children: Vec<Entry>) -> Entry {
    (name, StaticDir::new(tree, children))
}

fn text(tree: &Tree, name: &'static str, value: String) -> Entry {
    (name, TextFile::new(tree, move |_| Ok(value.clone().into_bytes())))
}

fn loopback(tree: &Tree) -> Entry {
    let files = [
        ("address", "00:00:00:00:00:00\n"),
        ("broadcast", "00:00:00:00:00:00\n"),
        ("flags", "0x9\n"),
        ("ifindex", "1\n"),
        ("iflink", "1\n"),
        ("mtu", "65536\n"),
        ("operstate", "unknown\n"),
        ("tx_queue_len", "1000\n"),
        ("type", "772\n"),
    ];
    dir(tree, "lo", files.map(|(name, value)| text(tree, name, value.into())).to_vec())
}

fn huge_pages(tree: &Tree) -> Entry {
    let thp = vec![
        text(tree, "enabled", "always [madvise] never\n".into()),
        text(tree, "defrag", "always defer defer+madvise [madvise] never\n".into()),
        text(tree, "hpage_pmd_size", "2097152\n".into()),
    ];
    dir(tree, "mm", vec![dir(tree, "transparent_hugepage", thp), dir(tree, "hugepages", Vec::new())])
}
