//! Where the pages of a file are in the memory file.

use std::collections::BTreeMap;
use std::ops::Range;

use abi::PAGE_SIZE;

use crate::mm::memfile::MemRange;

/// A run of pages, contiguous in the memory file.
#[derive(Debug)]
pub(super) struct Extent {
    /// The memory; it may be longer than what is used, so that the file can grow in place.
    range: MemRange,
    /// Pages in use.
    pub(super) pages: u64,
    /// Made for a mapping, not by writing: only the pages that the host has count as blocks.
    pub(super) loose: bool,
}

impl Extent {
    pub(super) fn new(range: MemRange, pages: u64, loose: bool) -> Self {
        Self { range, pages, loose }
    }

    pub(super) fn range(&self) -> &MemRange {
        &self.range
    }

    /// Pages that could be used without another allocation.
    fn spare(&self) -> u64 {
        self.range.len() / PAGE_SIZE - self.pages
    }
}

/// All pages of a file, by page number; extents do not overlap.
#[derive(Debug, Default)]
pub(super) struct Extents {
    map: BTreeMap<u64, Extent>,
    /// Pages in use that count as blocks without asking.
    dense: u64,
}

/// What is at a page.
pub(super) enum Found<'a> {
    /// An extent, and how many pages before the asked one it begins.
    Extent(&'a Extent, u64),
    /// Nothing, up to this page (exclusive).
    Hole(u64),
}

impl Extents {
    /// What is at `page`.
    pub(super) fn at(&self, page: u64) -> Found<'_> {
        if let Some((start, extent)) = self.map.range(..=page).next_back()
            && page - start < extent.pages
        {
            return Found::Extent(extent, page - start);
        }
        Found::Hole(self.map.range(page..).next().map_or(u64::MAX, |(start, _)| *start))
    }

    /// Whether all of `pages` are there.
    pub(super) fn covers(&self, pages: Range<u64>) -> bool {
        let mut page = pages.start;
        while page < pages.end {
            match self.at(page) {
                Found::Extent(extent, before) => page += extent.pages - before,
                Found::Hole(_) => return false,
            }
        }
        true
    }

    /// Grows the extent that ends at `page` by up to `want` pages it has to spare; returns how many.
    pub(super) fn grow(&mut self, page: u64, want: u64) -> u64 {
        let Some((start, extent)) = self.map.range_mut(..page).next_back() else { return 0 };
        if start + extent.pages != page || extent.loose {
            return 0;
        }
        let more = extent.spare().min(want);
        extent.pages += more;
        self.dense += more;
        more
    }

    /// Whether the last extent ends at `page`: the file is being appended to.
    pub(super) fn ends_at(&self, page: u64) -> bool {
        self.map.last_key_value().is_some_and(|(start, extent)| start + extent.pages == page)
    }

    /// Puts an extent into a hole.
    pub(super) fn insert(&mut self, page: u64, extent: Extent) {
        if !extent.loose {
            self.dense += extent.pages;
        }
        self.map.insert(page, extent);
    }

    /// Takes the pages of `gone` out; what is returned is dropped without locks. The second result is how many of them
    /// were dense.
    pub(super) fn remove(&mut self, gone: Range<u64>) -> (Vec<MemRange>, u64) {
        let mut dropped = Vec::new();
        let before = self.dense;
        let first = self.map.range(..gone.start).next_back().map_or(gone.start, |(start, _)| *start);
        let starts: Vec<u64> = self.map.range(first..gone.end).map(|(start, _)| *start).collect();
        for start in starts {
            let Some(extent) = self.map.remove(&start) else { continue };
            let end = start + extent.pages;
            if end <= gone.start {
                self.map.insert(start, extent);
                continue;
            }
            let Extent { mut range, pages, loose } = extent;
            if !loose {
                self.dense -= pages;
            }
            // After what goes.
            if end > gone.end {
                let tail = range.split_off((gone.end - start) * PAGE_SIZE);
                self.insert(gone.end, Extent::new(tail, end - gone.end, loose));
            }
            // Before what goes.
            if start < gone.start {
                let kept = gone.start - start;
                dropped.push(range.split_off(kept * PAGE_SIZE));
                self.insert(start, Extent::new(range, kept, loose));
            } else {
                dropped.push(range);
            }
        }
        (dropped, before - self.dense)
    }

    /// Pages that count as blocks.
    pub(super) fn blocks_in_pages(&self) -> u64 {
        let loose: u64 = self
            .map
            .values()
            .filter(|extent| extent.loose)
            .map(|extent| {
                let range = &extent.range;
                range.file().resident_in(range.offset(), extent.pages * PAGE_SIZE) / PAGE_SIZE
            })
            .sum();
        self.dense + loose
    }

    /// Dense pages.
    pub(super) fn dense(&self) -> u64 {
        self.dense
    }
}
