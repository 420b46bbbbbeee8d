//! `/sys/devices/system/cpu` and `node`: the container's CPUs, each a core of one package on one node.

use std::fmt::Write as _;
use std::sync::Arc;

use host::cpu::{Cache, caches};

use super::{Entry, dir, text};
use crate::fs::proc::memory_lines;
use crate::fs::pseudo::Tree;
use crate::fs::pseudo::dir::StaticDir;
use crate::fs::pseudo::text::TextFile;
use crate::vfs::Inode;

/// `/sys/devices/system/cpu`.
pub(super) fn cpus(tree: &Tree, count: usize) -> Entry {
    let list = range(count);
    let caches = caches();
    let mut children: Vec<(String, Arc<dyn Inode>)> = Vec::new();
    for cpu in 0..count {
        let inside = vec![topology(tree, cpu, count), cache_dir(tree, &caches, cpu, count)];
        children.push((format!("cpu{cpu}"), StaticDir::new(tree, inside)));
    }
    for name in ["online", "possible", "present", "enabled"] {
        children.push((name.to_owned(), text(tree, name, list.clone()).1));
    }
    children.push(("offline".to_owned(), TextFile::fixed(tree, "\n")));
    children.push(("isolated".to_owned(), TextFile::fixed(tree, "\n")));
    children.push(("kernel_max".to_owned(), TextFile::fixed(tree, "8191\n")));
    let smt = vec![text(tree, "active", "0\n".into()), text(tree, "control", "notsupported\n".into())];
    children.push(("smt".to_owned(), dir(tree, "smt", smt).1));
    ("cpu", StaticDir::named(tree, children))
}

fn topology(tree: &Tree, cpu: usize, count: usize) -> Entry {
    let (own, own_mask) = (format!("{cpu}\n"), mask(cpu..cpu + 1));
    let (all, all_mask) = (range(count), mask(0..count));
    let files = [
        ("core_id", own.clone()),
        ("physical_package_id", "0\n".to_owned()),
        ("die_id", "0\n".to_owned()),
        ("thread_siblings", own_mask.clone()),
        ("thread_siblings_list", own.clone()),
        ("core_cpus", own_mask),
        ("core_cpus_list", own),
        ("core_siblings", all_mask.clone()),
        ("core_siblings_list", all.clone()),
        ("die_cpus", all_mask.clone()),
        ("die_cpus_list", all.clone()),
        ("package_cpus", all_mask),
        ("package_cpus_list", all),
    ];
    dir(tree, "topology", files.map(|(name, value)| text(tree, name, value)).to_vec())
}

/// The first two levels are a core's own, what is behind them is everybody's.
fn cache_dir(tree: &Tree, caches: &[Cache], cpu: usize, count: usize) -> Entry {
    let index = |(number, cache): (usize, &Cache)| -> (String, Arc<dyn Inode>) {
        let shared = if cache.level < 3 { cpu..cpu + 1 } else { 0..count };
        let list = if cache.level < 3 { format!("{cpu}\n") } else { range(count) };
        let files = [
            ("coherency_line_size", format!("{}\n", cache.line)),
            ("id", format!("{}\n", shared.start)),
            ("level", format!("{}\n", cache.level)),
            ("number_of_sets", format!("{}\n", cache.sets)),
            ("physical_line_partition", format!("{}\n", cache.partitions)),
            ("shared_cpu_list", list),
            ("shared_cpu_map", mask(shared)),
            ("size", format!("{}K\n", cache.size() / 1024)),
            ("type", format!("{}\n", cache.kind)),
            ("ways_of_associativity", format!("{}\n", cache.ways)),
        ];
        let files = files.map(|(name, value)| text(tree, name, value)).to_vec();
        (format!("index{number}"), StaticDir::new(tree, files))
    };
    ("cache", StaticDir::named(tree, caches.iter().enumerate().map(index).collect()))
}

/// `/sys/devices/system/node`: one node.
pub(super) fn nodes(tree: &Tree, cpus: usize) -> Entry {
    let meminfo = TextFile::new(tree, |task| {
        let mut out = String::new();
        for (name, kib) in memory_lines(task.kernel()) {
            let _ = writeln!(out, "Node 0 {name:<15} {kib:>8} kB");
        }
        Ok(out.into_bytes())
    });
    let stat = "numa_hit 0\nnuma_miss 0\nnuma_foreign 0\ninterleave_hit 0\nlocal_node 0\nother_node 0\n";
    let node = vec![
        text(tree, "cpulist", range(cpus)),
        text(tree, "cpumap", mask(0..cpus)),
        text(tree, "distance", "10\n".into()),
        ("meminfo", meminfo as Arc<dyn Inode>),
        text(tree, "numastat", stat.into()),
    ];
    let mut children = vec![dir(tree, "node0", node)];
    for name in ["online", "possible", "has_cpu", "has_memory", "has_normal_memory"] {
        children.push(text(tree, name, "0\n".into()));
    }
    dir(tree, "node", children)
}

fn range(count: usize) -> String {
    if count > 1 { format!("0-{}\n", count - 1) } else { "0\n".to_owned() }
}

/// A set of CPUs as hexadecimal words of 32 bits, the highest first.
fn mask(cpus: std::ops::Range<usize>) -> String {
    let words = (0..cpus.end.div_ceil(32).max(1)).rev().map(|word| {
        let set = (0..32).filter(|bit| cpus.contains(&(word * 32 + bit)));
        set.fold(0u32, |bits, bit| bits | 1 << bit)
    });
    let mut out = String::new();
    for (at, word) in words.enumerate() {
        let _ = if at == 0 { write!(out, "{word:x}") } else { write!(out, ",{word:08x}") };
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_words_of_32_bits() {
        assert_eq!(mask(0..2), "3\n");
        assert_eq!(mask(3..4), "8\n");
        assert_eq!(mask(0..33), "1,ffffffff\n");
        assert_eq!(mask(40..41), "100,00000000\n");
    }
}
