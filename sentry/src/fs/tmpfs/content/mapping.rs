//! Contents as something that can be mapped.

use std::sync::Arc;

use abi::{Errno, PAGE_SIZE};

use super::extents::{Extent, Found};
use super::{CHUNK, Content, MAX_FAULT, no_space};
use crate::error::{Result, err};
use crate::mm::{Mappable, Mappings, Translation};

impl Content {
    fn translation(&self, extent: &Extent, before: u64, pages: u64) -> Translation {
        Translation {
            file: Arc::clone(self.memfile.file()),
            offset: extent.range().offset() + before * PAGE_SIZE,
            len: pages.min(extent.pages - before) * PAGE_SIZE,
            writable: true,
        }
    }

    /// Makes pages for a mapping of a hole.
    fn fault(&self, page: u64, pages: u64) -> Result<()> {
        let mut data = self.data.write();
        let Found::Hole(hole_end) = data.extents.at(page) else { return Ok(()) };
        let pages = pages.min(hole_end - page).min(MAX_FAULT);
        let base = data.base.clone().filter(|base| page * PAGE_SIZE < base.len);
        let pages = if base.is_some() { pages.min(CHUNK) } else { pages };
        let range = self.memfile.allocate(pages * PAGE_SIZE).map_err(no_space)?;
        if let Some(base) = base {
            let len = (base.len - page * PAGE_SIZE).min(range.len());
            let piece = range.slice(0, usize::try_from(len).unwrap_or(usize::MAX));
            base.inode.read_into(page * PAGE_SIZE, &piece)?;
        }
        data.extents.insert(page, Extent::new(range, pages, true));
        Ok(())
    }
}

impl Mappable for Content {
    fn translate(&self, offset: u64, len: u64, write: bool) -> Result<Translation> {
        let page = offset / PAGE_SIZE;
        // Twice at most: what is missing is made once.
        loop {
            let data = self.data.read();
            let pages = (len / PAGE_SIZE).min(data.size.div_ceil(PAGE_SIZE).saturating_sub(page));
            if pages == 0 {
                return err(Errno::EFAULT);
            }
            let hole_end = match data.extents.at(page) {
                Found::Extent(extent, before) => {
                    return Ok(self.translation(extent, before, pages));
                }
                Found::Hole(end) => end,
            };
            if let Some(base) = &data.base
                && !write
                && let Some(pages) = base.whole_pages_from(page)
                && let Some(object) = Arc::clone(&base.inode).mappable()
            {
                let len = pages.min(hole_end - page).min(len / PAGE_SIZE) * PAGE_SIZE;
                drop(data);
                return Ok(Translation { writable: false, ..object.translate(offset, len, false)? });
            }
            drop(data);
            self.fault(page, pages)?;
        }
    }

    fn translate_now(&self, offset: u64, len: u64) -> Option<Translation> {
        let page = offset / PAGE_SIZE;
        let data = self.data.read();
        let pages = (len / PAGE_SIZE).min(data.size.div_ceil(PAGE_SIZE).checked_sub(page)?);
        match data.extents.at(page) {
            _ if pages == 0 => None,
            Found::Extent(extent, before) => Some(self.translation(extent, before, pages)),
            Found::Hole(end) => {
                let base = data.base.as_ref()?;
                let pages = base.whole_pages_from(page)?.min(end - page).min(pages);
                let object = Arc::clone(&base.inode).mappable()?;
                drop(data);
                let there = object.translate_now(offset, pages * PAGE_SIZE)?;
                Some(Translation { writable: false, ..there })
            }
        }
    }

    fn mappings(&self) -> &Mappings {
        &self.mappings
    }
}
