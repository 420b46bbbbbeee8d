//! Reference counts of allocated pages: only those above one are written down.

use std::collections::BTreeMap;
use std::ops::Range;

/// Extra owners by range. A page that is allocated and not in here has one owner.
#[derive(Debug, Default)]
pub(super) struct Shares {
    /// Start to end and extra owners (at least one). Neighbours that differ in neither place nor count are merged.
    runs: BTreeMap<u64, (u64, u32)>,
}

impl Shares {
    /// Adds an owner to all of `range`.
    pub(super) fn add(&mut self, range: Range<u64>) {
        self.split_at(range.start);
        self.split_at(range.end);
        let mut at = range.start;
        while at < range.end {
            let next = self.runs.range(at..range.end).next().map(|(s, (e, _))| (*s, *e));
            match next {
                Some((start, end)) if start == at => {
                    if let Some((_, extra)) = self.runs.get_mut(&start) {
                        *extra += 1;
                    }
                    at = end;
                }
                other => {
                    let end = other.map_or(range.end, |(start, _)| start);
                    self.runs.insert(at, (end, 1));
                    at = end;
                }
            }
        }
        self.merge(range);
    }

    /// Takes an owner from all of `range`; calls `free` for each part that had only one.
    pub(super) fn remove(&mut self, range: Range<u64>, mut free: impl FnMut(Range<u64>)) {
        if self.sole_until(range.start, range.end) == range.end {
            return free(range);
        }
        self.split_at(range.start);
        self.split_at(range.end);
        let mut at = range.start;
        while at < range.end {
            let next = self.runs.range(at..range.end).next().map(|(s, (e, n))| (*s, *e, *n));
            match next {
                Some((start, end, extra)) if start == at => {
                    if extra == 1 {
                        self.runs.remove(&start);
                    } else if let Some((_, extra)) = self.runs.get_mut(&start) {
                        *extra -= 1;
                    }
                    at = end;
                }
                other => {
                    let end = other.map_or(range.end, |(start, ..)| start);
                    free(at..end);
                    at = end;
                }
            }
        }
        self.merge(range);
    }

    /// How far from `at` on, at most to `end`, pages have one owner.
    pub(super) fn sole_until(&self, at: u64, end: u64) -> u64 {
        if let Some((_, (run_end, _))) = self.runs.range(..=at).next_back()
            && *run_end > at
        {
            return at;
        }
        self.runs.range(at..end).next().map_or(end, |(start, _)| *start)
    }

    /// How far from `at` on, at most to `end`, pages have more than one owner.
    pub(super) fn shared_until(&self, at: u64, end: u64) -> u64 {
        let mut at = at;
        while at < end
            && let Some((_, (run_end, _))) = self.runs.range(..=at).next_back()
            && *run_end > at
        {
            at = *run_end;
        }
        at.min(end)
    }

    /// How far back from `at` (one past the last page), at least to `start`, pages have one owner.
    pub(super) fn sole_from(&self, start: u64, at: u64) -> u64 {
        self.runs.range(..at).next_back().map_or(start, |(_, (end, _))| (*end).min(at).max(start))
    }

    fn split_at(&mut self, at: u64) {
        if let Some((start, (end, extra))) = self.runs.range(..at).next_back().map(|(s, v)| (*s, *v))
            && end > at
        {
            self.runs.insert(start, (at, extra));
            self.runs.insert(at, (end, extra));
        }
    }

    /// Joins what can be joined in and around `range`.
    fn merge(&mut self, range: Range<u64>) {
        let mut at = self.runs.range(..range.start).next_back().map_or(range.start, |(s, _)| *s);
        while at <= range.end
            && let Some((start, (end, extra))) = self.runs.range(at..=range.end).next().map(|(s, v)| (*s, *v))
        {
            match self.runs.get(&end).copied() {
                Some((next_end, next_extra)) if next_extra == extra => {
                    self.runs.remove(&end);
                    self.runs.insert(start, (next_end, extra));
                    at = start;
                }
                _ => at = end,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Shares;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn counts_are_what_an_array_says(
            ops in proptest::collection::vec((any::<bool>(), 0u64..30, 1u64..12), 1..80),
        ) {
            let (mut shares, mut model) = (Shares::default(), [1u32; 48]);
            for (add, at, len) in ops {
                let span = at as usize..(at + len) as usize;
                if add {
                    shares.add(at..at + len);
                    model[span].iter_mut().for_each(|c| *c += 1);
                } else if model[span.clone()].iter().all(|c| *c > 0) {
                    let mut freed = Vec::new();
                    shares.remove(at..at + len, |r| freed.extend(r));
                    let expect: Vec<u64> = span.clone().filter(|i| model[*i] == 1).map(|i| i as u64).collect();
                    prop_assert_eq!(&freed, &expect);
                    model[span].iter_mut().for_each(|c| *c -= 1);
                    // What was freed is handed out again with one owner.
                    expect.iter().for_each(|i| model[*i as usize] = 1);
                }
                let sole = (at..40).find(|i| model[*i as usize] != 1).unwrap_or(40);
                prop_assert_eq!(shares.sole_until(at, 40), sole);
                let from = (0..at).rev().find(|i| model[*i as usize] != 1).map_or(0, |i| i + 1);
                prop_assert_eq!(shares.sole_from(0, at), from);
            }
            let runs: Vec<_> = shares.runs.iter().map(|(s, (e, n))| (*s, *e, *n)).collect();
            prop_assert!(runs.windows(2).all(|w| w[0].1 < w[1].0 || w[0].2 != w[1].2), "merged: {:?}", runs);
        }
    }
}
