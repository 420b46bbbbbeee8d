//! A set of addresses, kept as few ranges.

use std::collections::BTreeMap;

use abi::{UserAddr, UserRange};

/// Disjoint ranges that do not touch, by start.
#[derive(Debug, Default)]
pub(crate) struct RangeSet(BTreeMap<UserAddr, UserAddr>);

impl RangeSet {
    /// Adds a range. Returns whether the set had some of it.
    pub(crate) fn insert(&mut self, range: UserRange) -> bool {
        let overlap = self.pieces(range).next().is_some();
        let (mut start, mut end) = (range.start, range.end);
        // Neighbours that overlap or touch become part of it.
        while let Some((&s, &e)) = self.0.range(..=end).next_back().filter(|(_, e)| **e >= start) {
            start = start.min(s);
            end = end.max(e);
            self.0.remove(&s);
        }
        self.0.insert(start, end);
        overlap
    }

    /// Takes a range away.
    pub(crate) fn remove(&mut self, range: UserRange) {
        while let Some((&s, &e)) = self.0.range(..range.end).next_back().filter(|(_, e)| **e > range.start) {
            self.0.remove(&s);
            if e > range.end {
                self.0.insert(range.end, e);
            }
            if s < range.start {
                self.0.insert(s, range.start);
            }
        }
    }

    /// The parts of `range` that are in the set, in order.
    pub(crate) fn pieces(&self, range: UserRange) -> impl Iterator<Item = UserRange> + '_ {
        let first = self.0.range(..=range.start).next_back().map_or(range.start, |(s, _)| *s);
        self.0
            .range(first..range.end.max(first))
            .filter_map(move |(&start, &end)| UserRange { start, end }.intersect(range))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: u64, end: u64) -> UserRange {
        UserRange::between(UserAddr(start), UserAddr(end))
    }

    #[test]
    fn behaves_like_a_set_of_numbers() {
        let mut set = RangeSet::default();
        let mut model = [false; 64];
        let mut seed = 7_u64;
        let mut random = |n: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % n
        };
        for _ in 0..2000 {
            let start = random(60);
            let end = start + 1 + random(64 - start);
            let r = range(start, end);
            let had = model[start as usize..end as usize].iter().any(|b| *b);
            if random(2) == 0 {
                assert_eq!(set.insert(r), had);
                model[start as usize..end as usize].fill(true);
            } else {
                set.remove(r);
                model[start as usize..end as usize].fill(false);
            }
            let mut seen = [false; 64];
            let pieces: Vec<_> = set.pieces(range(0, 64)).collect();
            for p in &pieces {
                seen[p.start.0 as usize..p.end.0 as usize].fill(true);
            }
            assert_eq!(seen, model);
            assert!(pieces.windows(2).all(|w| w[0].end < w[1].start), "neighbours merge");
        }
    }
}
