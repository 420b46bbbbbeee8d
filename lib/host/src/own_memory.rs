//! How much memory this process takes itself, without what it shares: its heap and stacks.
//!
//! `/proc/self/statm` is opened while there is a procfs. The descriptor tells of this process and leads nowhere. So do those
//! of a cgroup's files, which know more: page tables, stacks and descriptors in the host's kernel, child processes.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;

static STATM: OnceLock<File> = OnceLock::new();

/// To be called once, while there is a procfs.
pub fn open() -> std::io::Result<()> {
    let file = File::open("/proc/self/statm")?;
    let _ = STATM.set(file);
    Ok(())
}

static CGROUP: OnceLock<[File; 2]> = OnceLock::new();

/// The files of our cgroup that say how much is charged to it, and what of: `memory.current` or `memory.usage_in_bytes`, and
/// `memory.stat`.
pub fn set_cgroup(usage: OwnedFd, stat: OwnedFd) {
    let _ = CGROUP.set([usage.into(), stat.into()]);
}

/// Bytes charged to our cgroup that the host cannot take back by itself: all but the page cache of files and what else it
/// keeps in case. `None` where [`set_cgroup`] was not called, or the files are gone.
#[must_use]
pub fn charged() -> Option<u64> {
    let [usage, stat] = CGROUP.get()?;
    let mut text = [0; 8192];
    let n = usage.read_at(&mut text, 0).ok()?;
    let usage = std::str::from_utf8(text.get(..n)?).ok()?.trim().parse::<u64>().ok()?;
    let n = stat.read_at(&mut text, 0).ok()?;
    Some(usage.saturating_sub(reclaimable(std::str::from_utf8(text.get(..n)?).ok()?)))
}

fn reclaimable(stat: &str) -> u64 {
    let field = |line: &str| {
        let (name, value) = line.split_once(' ')?;
        let counts = matches!(name, "inactive_file" | "active_file" | "slab_reclaimable");
        if counts { value.parse::<u64>().ok() } else { None }
    };
    stat.lines().filter_map(field).fold(0, u64::saturating_add)
}

/// Bytes of heap and stacks that are resident; `None` where [`open`] was not called or failed.
#[must_use]
pub fn anonymous() -> Option<u64> {
    let mut line = [0; 128];
    let n = STATM.get()?.read_at(&mut line, 0).ok()?;
    parse(std::str::from_utf8(line.get(..n)?).ok()?)
}

/// Gives back to the host what of the heap is free. Takes milliseconds where the heap is large.
pub fn give_back() {
    // SAFETY: it only looks at the C library's own lists, under its own locks.
    unsafe { libc::malloc_trim(0) };
}

/// Pages: all, resident, and of those shared.
fn parse(line: &str) -> Option<u64> {
    let mut fields = line.split_ascii_whitespace().skip(1).map(str::parse::<u64>);
    let (resident, shared) = (fields.next()?.ok()?, fields.next()?.ok()?);
    Some(resident.saturating_sub(shared) * abi::PAGE_SIZE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shared_does_not_count() {
        assert_eq!(parse("9000 300 200 50 0 400 0\n"), Some(100 * 4096));
        assert_eq!(parse("9000"), None);
        let stat = "anon 10\ninactive_file 3\nactive_file 4\nslab_reclaimable 5\ntotal_inactive_file 1000\nfile 7\n";
        assert_eq!(reclaimable(stat), 12);
        open().expect("procfs");
        let before = anonymous().expect("opened");
        let block = vec![1_u8; 64 << 20];
        assert!(anonymous().expect("opened") >= before + (60 << 20), "{}", block.len());
    }
}
