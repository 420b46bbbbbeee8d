//! How much memory this process takes itself, without what it shares: its heap and stacks.
//!
//! `/proc/self/statm` is opened while there is a procfs. The descriptor tells of this process and leads nowhere.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;

static STATM: OnceLock<File> = OnceLock::new();

/// To be called once, while there is a procfs.
pub fn open() -> std::io::Result<()> {
    let file = File::open("/proc/self/statm")?;
    let _ = STATM.set(file);
    Ok(())
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
        open().expect("procfs");
        let before = anonymous().expect("opened");
        let block = vec![1_u8; 64 << 20];
        assert!(anonymous().expect("opened") >= before + (60 << 20), "{}", block.len());
    }
}
