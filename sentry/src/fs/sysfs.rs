//! sysfs(5): CPUs, network devices and the few other things that programs look for. Nothing of the host shows.

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
            vec![dir(&tree, "system", vec![cpus(&tree, kernel.cpus), nodes(&tree, kernel.cpus)]), empty("virtual")],
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

/// `/sys/devices/system/cpu`.
fn cpus(tree: &Tree, count: usize) -> Entry {
    let list = range(count);
    let mut children: Vec<(String, Arc<dyn Inode>)> = Vec::new();
    for cpu in 0..count {
        let topology = vec![
            text(tree, "core_id", format!("{cpu}\n")),
            text(tree, "physical_package_id", "0\n".into()),
            text(tree, "thread_siblings_list", format!("{cpu}\n")),
            text(tree, "core_siblings_list", list.clone()),
        ];
        let inside = vec![dir(tree, "topology", topology), dir(tree, "cache", Vec::new())];
        children.push((format!("cpu{cpu}"), StaticDir::new(tree, inside)));
    }
    for name in ["online", "possible", "present"] {
        children.push((name.to_owned(), text(tree, name, list.clone()).1));
    }
    children.push(("offline".to_owned(), TextFile::fixed(tree, "\n")));
    children.push(("isolated".to_owned(), TextFile::fixed(tree, "\n")));
    children.push(("kernel_max".to_owned(), TextFile::fixed(tree, "8191\n")));
    ("cpu", StaticDir::named(tree, children))
}

/// `/sys/devices/system/node`: one node.
fn nodes(tree: &Tree, cpus: usize) -> Entry {
    let node = vec![text(tree, "cpulist", range(cpus))];
    let children = vec![
        dir(tree, "node0", node),
        text(tree, "online", "0\n".into()),
        text(tree, "possible", "0\n".into()),
        text(tree, "has_cpu", "0\n".into()),
        text(tree, "has_memory", "0\n".into()),
    ];
    dir(tree, "node", children)
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

fn range(count: usize) -> String {
    if count > 1 { format!("0-{}\n", count - 1) } else { "0\n".to_owned() }
}
