//! Record locks of one file: which owner has locked which bytes, and how.

/// Who owns a record lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Owner {
    /// A table of open files, by its id: fcntl(F_SETLK).
    Table(u64),
    /// An open file description, by its address: fcntl(F_OFD_SETLK).
    File(usize),
}

/// How bytes are locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockKind {
    /// F_RDLCK: shared.
    Read,
    /// F_WRLCK: exclusive.
    Write,
}

/// Bytes `start..=end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockRange {
    /// First byte.
    pub start: u64,
    /// Last byte; [`i64::MAX`] is the end of the file, wherever that is.
    pub end: u64,
}

impl LockRange {
    /// The whole file.
    pub const ALL: Self = Self { start: 0, end: i64::MAX as u64 };

    fn overlaps(self, other: Self) -> bool {
        self.start <= other.end && other.start <= self.end
    }

    /// Whether the two overlap or one begins where the other ends.
    fn touches(self, other: Self) -> bool {
        self.start <= other.end.saturating_add(1) && other.start <= self.end.saturating_add(1)
    }
}

/// A lock that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// By whom.
    pub owner: Owner,
    /// How.
    pub kind: LockKind,
    /// What.
    pub range: LockRange,
    /// The process that took it.
    pub pid: i32,
}

/// All record locks of a file, in order of their first byte. The locks of one owner do not overlap.
#[derive(Debug, Default)]
pub(super) struct Ranges(Vec<Record>);

/// The most locks of one file: the application must not fill our memory with them.
const MAX_RECORDS: usize = 1 << 16;

impl Ranges {
    /// Whether there is no room for more.
    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= MAX_RECORDS
    }

    /// The first lock of somebody else that is in the way.
    pub(super) fn conflict(&self, owner: Owner, kind: LockKind, range: LockRange) -> Option<&Record> {
        self.0.iter().find(|held| {
            held.owner != owner
                && held.range.overlaps(range)
                && (held.kind == LockKind::Write || kind == LockKind::Write)
        })
    }

    /// Takes a lock: bytes that the owner had locked otherwise are converted, neighbours of the same kind joined. Returns
    /// whether others may get further now, or who is in the way.
    pub(super) fn lock(&mut self, new: Record) -> Result<bool, Owner> {
        if let Some(held) = self.conflict(new.owner, new.kind, new.range) {
            return Err(held.owner);
        }
        let weakened = new.kind == LockKind::Read
            && self
                .0
                .iter()
                .any(|held| held.owner == new.owner && held.kind == LockKind::Write && held.range.overlaps(new.range));
        self.cut(new.owner, new.range);
        let mut joined = new;
        self.0.retain(|held| {
            let join = held.owner == new.owner && held.kind == new.kind && held.range.touches(joined.range);
            if join {
                joined.range.start = joined.range.start.min(held.range.start);
                joined.range.end = joined.range.end.max(held.range.end);
            }
            !join
        });
        let at = self.0.partition_point(|held| held.range.start <= joined.range.start);
        self.0.insert(at, joined);
        Ok(weakened)
    }

    /// Frees bytes; returns whether any were locked.
    pub(super) fn unlock(&mut self, owner: Owner, range: LockRange) -> bool {
        self.cut(owner, range)
    }

    fn cut(&mut self, owner: Owner, range: LockRange) -> bool {
        let mut tails = Vec::new();
        let mut changed = false;
        self.0.retain_mut(|held| {
            if held.owner != owner || !held.range.overlaps(range) {
                return true;
            }
            changed = true;
            let before = *held;
            if before.range.end > range.end {
                tails.push(Record { range: LockRange { start: range.end + 1, ..before.range }, ..before });
            }
            match range.start.checked_sub(1) {
                Some(end) if before.range.start <= end => {
                    held.range.end = end;
                    true
                }
                _ => false,
            }
        });
        for tail in tails {
            let at = self.0.partition_point(|held| held.range.start <= tail.range.start);
            self.0.insert(at, tail);
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BYTES: u64 = 24;

    /// What each owner has locked, byte by byte.
    type Model = [[Option<LockKind>; BYTES as usize]; 3];

    fn blocked(model: &Model, who: usize, kind: LockKind, range: LockRange) -> bool {
        (0..3).filter(|other| *other != who).any(|other| {
            (range.start..=range.end).any(|byte| match model[other][byte as usize] {
                Some(LockKind::Write) => true,
                Some(LockKind::Read) => kind == LockKind::Write,
                None => false,
            })
        })
    }

    proptest! {
        #[test]
        fn locks_agree_with_a_table_of_bytes(
            steps in prop::collection::vec((0usize..3, 0u64..BYTES, 0u64..BYTES, 0u8..3), 1..60)
        ) {
            let mut ranges = Ranges::default();
            let mut model: Model = [[None; BYTES as usize]; 3];
            for (who, a, b, op) in steps {
                let range = LockRange { start: a.min(b), end: a.max(b) };
                let owner = Owner::Table(who as u64);
                let kind = match op { 0 => None, 1 => Some(LockKind::Read), _ => Some(LockKind::Write) };
                let done = match kind {
                    None => { ranges.unlock(owner, range); true }
                    Some(kind) => {
                        let free = !blocked(&model, who, kind, range);
                        let got = ranges.lock(Record { owner, kind, range, pid: 0 }).is_ok();
                        prop_assert_eq!(free, got);
                        got
                    }
                };
                if done {
                    for byte in range.start..=range.end {
                        model[who][byte as usize] = kind;
                    }
                }
                for (who, bytes) in model.iter().enumerate() {
                    for (byte, kind) in bytes.iter().enumerate() {
                        let held = ranges.0.iter().filter(|r| {
                            r.owner == Owner::Table(who as u64)
                                && (r.range.start..=r.range.end).contains(&(byte as u64))
                        });
                        let held: Vec<_> = held.map(|r| r.kind).collect();
                        prop_assert_eq!(held, kind.iter().copied().collect::<Vec<_>>());
                    }
                }
            }
        }
    }

    #[test]
    fn neighbours_of_one_kind_become_one_lock() {
        let mut ranges = Ranges::default();
        let owner = Owner::File(1);
        for start in [0, 20, 10] {
            let range = LockRange { start, end: start + 9 };
            assert!(ranges.lock(Record { owner, kind: LockKind::Write, range, pid: 1 }).is_ok());
        }
        assert_eq!(ranges.0.len(), 1);
        assert!(ranges.unlock(owner, LockRange { start: 5, end: 5 }));
        assert_eq!(ranges.0.len(), 2);
    }
}
