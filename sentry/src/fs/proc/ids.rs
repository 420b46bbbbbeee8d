//! Inode numbers and names of procfs that follow from what they stand for, so that they stay the same between look-ups.

/// The root directory, as on Linux.
pub(super) const ROOT: u64 = 1;
/// Numbers below belong to files about the system.
const PROCESSES: u64 = 1 << 20;
/// How many numbers a thread has: its files, then its descriptors.
const PER_THREAD: u64 = 1 << 28;
/// Where the descriptors' numbers start.
const DESCRIPTORS: u64 = 1 << 12;

/// The `index`th file of the thread or process `number`.
pub(super) fn process(number: i32, index: u64) -> u64 {
    PROCESSES + u64::try_from(number).unwrap_or(0) * PER_THREAD + index % DESCRIPTORS
}

/// The entry of a descriptor in the directory of that kind (0 fd, 1 fdinfo).
pub(super) fn descriptor(number: i32, fd: u32, kind: u64) -> u64 {
    process(number, 0) + DESCRIPTORS + u64::from(fd) * 2 + kind
}

/// A positive decimal number without leading zeros, as names of processes and descriptors are.
pub(super) fn parse_number(name: &[u8]) -> Option<i32> {
    let text = std::str::from_utf8(name).ok()?;
    let well_formed = text.bytes().all(|b| b.is_ascii_digit()) && (text.len() == 1 || !text.starts_with('0'));
    if well_formed { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::parse_number;

    #[test]
    fn only_plain_numbers_are_names() {
        assert_eq!(parse_number(b"17"), Some(17));
        assert_eq!(parse_number(b"0"), Some(0));
        for odd in [&b"017"[..], b"+1", b"-1", b"", b"1a", b"99999999999"] {
            assert_eq!(parse_number(odd), None);
        }
    }
}
