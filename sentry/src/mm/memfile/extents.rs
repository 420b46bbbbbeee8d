//! A set of free ranges: found by place and by size, neighbours merged.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Free ranges of a region of the memory file.
#[derive(Debug, Default)]
pub(super) struct Extents {
    /// Start to length.
    by_start: BTreeMap<u64, u64>,
    /// Length and start, for the best fit.
    by_len: BTreeSet<(u64, u64)>,
}

impl Extents {
    /// Takes `len` bytes from the smallest free range that has them, the lowest of several.
    pub(super) fn take_fit(&mut self, len: u64) -> Option<u64> {
        let (_, start) = *self.by_len.range((len, 0)..).next()?;
        self.take_at(start, len).then_some(start)
    }

    /// Takes exactly `start..start + len` if all of it is free.
    pub(super) fn take_at(&mut self, start: u64, len: u64) -> bool {
        let Some((free, free_len)) = self.containing(start) else { return false };
        let free_end = free + free_len;
        if free_end - start < len {
            return false;
        }
        self.remove(free, free_len);
        if free < start {
            self.add(free, start - free);
        }
        if start + len < free_end {
            self.add(start + len, free_end - (start + len));
        }
        true
    }

    /// Makes `start..start + len` free; none of it may be free already.
    pub(super) fn insert(&mut self, mut start: u64, mut len: u64) {
        if let Some((&next, &next_len)) = self.by_start.range(start..).next()
            && next == start + len
        {
            self.remove(next, next_len);
            len += next_len;
        }
        if let Some((&prev, &prev_len)) = self.by_start.range(..start).next_back()
            && prev + prev_len == start
        {
            self.remove(prev, prev_len);
            start = prev;
            len += prev_len;
        }
        self.add(start, len);
    }

    /// The free range that holds `at`.
    pub(super) fn around(&self, at: u64) -> Option<Range<u64>> {
        self.containing(at).map(|(start, len)| start..start + len)
    }

    fn containing(&self, at: u64) -> Option<(u64, u64)> {
        let (&start, &len) = self.by_start.range(..=at).next_back()?;
        (at < start + len).then_some((start, len))
    }

    fn add(&mut self, start: u64, len: u64) {
        self.by_start.insert(start, len);
        self.by_len.insert((len, start));
    }

    fn remove(&mut self, start: u64, len: u64) {
        self.by_start.remove(&start);
        self.by_len.remove(&(len, start));
    }

    /// All free ranges, for tests.
    #[cfg(test)]
    pub(super) fn list(&self) -> Vec<(u64, u64)> {
        assert_eq!(self.by_start.len(), self.by_len.len());
        self.by_start.iter().map(|(s, l)| (*s, *l)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Extents;
    use proptest::prelude::*;

    #[test]
    fn the_smallest_range_that_fits_is_taken_from_its_low_end() {
        let mut free = Extents::default();
        free.insert(0, 100);
        free.insert(200, 10);
        assert_eq!(free.take_fit(8), Some(200));
        assert_eq!(free.take_fit(8), Some(0));
        assert_eq!(free.list(), [(8, 92), (208, 2)]);
        assert!(free.take_at(50, 10) && !free.take_at(55, 10) && !free.take_at(95, 10));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn free_ranges_are_what_a_bitmap_says(ops in proptest::collection::vec((0u64..64, 1u64..16), 1..100)) {
            let (mut free, mut model) = (Extents::default(), [false; 80]);
            for (at, len) in ops {
                let span = at as usize..(at + len) as usize;
                if free.take_at(at, len) {
                    prop_assert!(model[span.clone()].iter().all(|f| *f));
                    model[span].fill(false);
                } else if model[span.clone()].iter().all(|f| !f) {
                    free.insert(at, len);
                    model[span].fill(true);
                }
            }
            let mut shown = [false; 80];
            let mut last_end = None;
            for (start, len) in free.list() {
                prop_assert!(last_end.is_none_or(|end| end < start), "neighbours are merged");
                last_end = Some(start + len);
                shown[start as usize..(start + len) as usize].fill(true);
            }
            prop_assert_eq!(shown, model);
        }
    }
}
