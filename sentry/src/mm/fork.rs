//! The copy of an address space for fork(2): areas are copied, private memory is shared until one side writes.

use std::sync::Arc;

use super::MemoryManager;
use super::Space;
use super::accounting::Counters;
use super::change::Change;
use super::layout::GapCache;
use super::pages::{Pages, Piece, Source};
use super::vma::{Object, Vma, VmaFlags, VmaSet};
use crate::error::Result;

impl MemoryManager {
    /// A copy for a new process. Costs one change on the platform per piece of private writable memory here, and one per
    /// piece there; no byte is copied.
    pub fn fork(&self) -> Result<Arc<Self>> {
        let (space, areas, pieces) = self.change(|change| {
            let pieces = change.share_pieces();
            let parent = &*change.space;
            let space = Space {
                vmas: VmaSet::default(),
                pages: Pages::default(),
                layout: parent.layout,
                gaps: GapCache::new(&parent.layout),
                counters: Counters::default(),
                info: parent.info.clone(),
                future: VmaFlags::empty(),
                near: None,
                generation: 0,
                held: None,
                rewrites: parent.rewrites.clone(),
            };
            let inherited = parent.vmas.iter().filter(|vma| !vma.flags.contains(VmaFlags::DONTFORK));
            let areas: Vec<Vma> = inherited.cloned().collect();
            Ok((space, areas, pieces))
        })?;
        let child =
            Self::with_space(Arc::clone(&self.platform), Arc::clone(&self.memfile), self.limits.clone(), space)?;
        child.change(|change| change.adopt(areas, pieces))?;
        Ok(child)
    }
}

impl Change<'_> {
    /// Makes private memory copy-on-write here, and returns all pieces for the other side.
    fn share_pieces(&mut self) -> Vec<Piece> {
        let mut shared = Vec::new();
        for vma in self.space.vmas.iter() {
            if vma.flags.intersects(VmaFlags::DONTFORK | VmaFlags::WIPEONFORK) {
                continue;
            }
            for piece in self.space.pages.split(vma.range) {
                if let Source::Own(_) = piece.source {
                    piece.write_through = false;
                    if piece.prot.write {
                        piece.prot = piece.prot.without_write();
                        self.batch.protect(piece.range, piece.prot);
                    }
                }
                shared.push(Piece {
                    range: piece.range,
                    source: piece.source.share(),
                    prot: piece.prot,
                    write_through: piece.write_through,
                    reserve: None,
                });
            }
        }
        self.space.pages.join_all();
        shared
    }

    /// Takes over what a parent's address space has.
    fn adopt(&mut self, areas: Vec<Vma>, pieces: Vec<Piece>) -> Result<()> {
        for vma in areas {
            let object = vma.object.as_ref().map(|object| Object {
                entry: object.entry.for_mm(self.mm.me.clone()),
                file: object.file.clone(),
                offset: object.offset,
            });
            let wiped = vma.flags.contains(VmaFlags::WIPEONFORK);
            let range = vma.range;
            let flags = vma.flags - (VmaFlags::LOCKED | VmaFlags::LOCKONFAULT);
            self.insert_area(Vma { object, flags, ..vma });
            if wiped {
                self.back(range)?;
            }
        }
        for piece in pieces {
            let (file, offset) = piece.source.place(&self.mm.memfile);
            self.batch.map(piece.range, file, offset, piece.prot);
            self.space.pages.put(piece);
        }
        self.space.pages.join_all();
        self.space.counters.peak = self.space.counters.total;
        Ok(())
    }
}
