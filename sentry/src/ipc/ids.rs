//! A table of IPC objects: by number, and by key.
//!
//! A number is an index, the lowest that is free, and above it a sequence that changes when an index is used again.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use abi::Errno;
use abi::ipc::{IPC_CREAT, IPC_EXCL, IPC_PRIVATE};
use sync::Mutex;

use crate::error::{Result, err};
use crate::lock_order::Ipc;

/// Bits of a number that are the index.
pub(super) const INDEX_BITS: u32 = 15;
const INDEX_MASK: i32 = (1 << INDEX_BITS) - 1;

/// A table.
#[derive(Debug)]
pub(super) struct Ids<T> {
    table: Mutex<Table<T>, Ipc>,
}

#[derive(Debug)]
struct Table<T> {
    objects: BTreeMap<i32, Entry<T>>,
    keys: HashMap<i32, i32>,
    seq: i32,
    last: i32,
    /// No index below this is free.
    taken: i32,
    /// The number that the next object is to have, or one that follows it; negative for none.
    next: i32,
    /// The sum of what objects weigh.
    weight: u64,
}

#[derive(Debug)]
struct Entry<T> {
    id: i32,
    weight: u64,
    object: Arc<T>,
}

impl<T> Default for Ids<T> {
    fn default() -> Self {
        let table =
            Table { objects: BTreeMap::new(), keys: HashMap::new(), seq: 0, last: -1, taken: 0, next: -1, weight: 0 };
        Self { table: Mutex::new(table) }
    }
}

impl<T> Ids<T> {
    /// The number of the object of a key, or of a new one: what shmget(2), semget(2) and msgget(2) have in common. `make` is
    /// told the number and what all others weigh, and says what the new one does. ENOSPC if there are `most` already.
    pub(super) fn get_or_make(
        &self,
        key: i32,
        flags: u32,
        most: u64,
        admits: impl FnOnce(&T) -> Result<()>,
        make: impl FnOnce(i32, u64) -> Result<(Arc<T>, u64)>,
    ) -> Result<i32> {
        let mut table = self.table.lock();
        if key != IPC_PRIVATE {
            if let Some(Entry { id, object, .. }) = table.keys.get(&key).and_then(|index| table.objects.get(index)) {
                if flags & (IPC_CREAT | IPC_EXCL) == IPC_CREAT | IPC_EXCL {
                    return err(Errno::EEXIST);
                }
                admits(object)?;
                return Ok(*id);
            }
            if flags & IPC_CREAT == 0 {
                return err(Errno::ENOENT);
            }
        }
        if table.objects.len() as u64 >= most.min(1 << INDEX_BITS) {
            return err(Errno::ENOSPC);
        }
        let chosen = Some(std::mem::replace(&mut table.next, -1)).filter(|next| *next >= 0);
        let index = table.free(chosen.map_or(0, |next| next & INDEX_MASK)).ok_or(Errno::ENOSPC)?;
        let seq = match chosen {
            Some(next) => next >> INDEX_BITS,
            None if index <= table.last => (table.seq + 1) & 0xffff,
            None => table.seq,
        };
        let id = seq << INDEX_BITS | index;
        let (object, weight) = make(id, table.weight)?;
        if chosen.is_none() {
            (table.seq, table.last, table.taken) = (seq, index, index + 1);
        }
        table.weight += weight;
        table.objects.insert(index, Entry { id, weight, object });
        if key != IPC_PRIVATE {
            table.keys.insert(key, index);
        }
        Ok(id)
    }

    /// The object with this number; EINVAL if there is none.
    pub(super) fn get(&self, id: i32) -> Result<Arc<T>> {
        let table = self.table.lock();
        match table.objects.get(&(id & INDEX_MASK)) {
            Some(entry) if id >= 0 && entry.id == id => Ok(Arc::clone(&entry.object)),
            _ => err(Errno::EINVAL),
        }
    }

    /// The object at an index, with its number: the *_STAT commands.
    pub(super) fn at(&self, index: i32) -> Result<(i32, Arc<T>)> {
        match self.table.lock().objects.get(&(index & INDEX_MASK)) {
            Some(entry) if index >= 0 => Ok((entry.id, Arc::clone(&entry.object))),
            _ => err(Errno::EINVAL),
        }
    }

    /// Takes an object out of the table.
    pub(super) fn remove(&self, id: i32) {
        let mut table = self.table.lock();
        let index = id & INDEX_MASK;
        if table.objects.get(&index).is_some_and(|entry| entry.id == id) {
            let gone = table.objects.remove(&index);
            table.weight -= gone.as_ref().map_or(0, |entry| entry.weight);
            table.taken = table.taken.min(index);
            table.keys.retain(|_, at| *at != index);
            drop(table);
            drop(gone);
        }
    }

    /// An object can no longer be found by its key.
    pub(super) fn forget_key(&self, id: i32) {
        self.table.lock().keys.retain(|_, at| *at != id & INDEX_MASK);
    }

    /// All objects with their numbers, by index.
    pub(super) fn all(&self) -> Vec<(i32, Arc<T>)> {
        self.table.lock().objects.values().map(|entry| (entry.id, Arc::clone(&entry.object))).collect()
    }

    /// /proc/sys/kernel/*_next_id.
    pub(super) fn next(&self) -> i32 {
        self.table.lock().next
    }

    /// Says which number the next object is to have.
    pub(super) fn set_next(&self, next: i32) {
        self.table.lock().next = next;
    }

    /// The highest index in use; 0 for none.
    pub(super) fn highest(&self) -> i32 {
        self.table.lock().objects.keys().next_back().copied().unwrap_or(0)
    }
}

impl<T> Table<T> {
    /// The lowest index from `from` on that is free.
    fn free(&self, from: i32) -> Option<i32> {
        let mut free = if from == 0 { self.taken } else { from };
        for index in self.objects.range(free..).map(|(index, _)| index) {
            if *index != free {
                break;
            }
            free += 1;
        }
        (free <= INDEX_MASK).then_some(free)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(ids: &Ids<u8>, key: i32, flags: u32) -> Result<i32> {
        ids.get_or_make(key, flags, 3, |_| Ok(()), |_, _| Ok((Arc::new(0), 1)))
    }

    #[test]
    fn numbers_are_not_used_again_at_once() {
        let ids = Ids::default();
        let first = make(&ids, 0, 0).unwrap();
        let second = make(&ids, 0, 0).unwrap();
        ids.remove(first);
        assert!(ids.get(first).is_err() && ids.get(second).is_ok());
        let third = make(&ids, 0, 0).unwrap();
        assert!(third != first && third & INDEX_MASK == first & INDEX_MASK);
        assert!(make(&ids, 0, 0).is_ok() && make(&ids, 0, 0).is_err_and(|e| e.is(Errno::ENOSPC)));
        assert!(ids.get(-1).is_err() && ids.at(-1).is_err());
    }

    #[test]
    fn the_next_number_can_be_chosen() {
        let ids = Ids::default();
        let plain = make(&ids, 0, 0).unwrap();
        ids.set_next(5 << INDEX_BITS | 7);
        assert_eq!(make(&ids, 0, 0).unwrap(), 5 << INDEX_BITS | 7);
        assert_eq!(ids.next(), -1);
        assert_eq!(make(&ids, 0, 0).unwrap(), plain + 1);
    }

    #[test]
    fn keys_find_what_they_made() {
        let ids = Ids::default();
        assert!(make(&ids, 7, 0).is_err_and(|e| e.is(Errno::ENOENT)));
        let id = make(&ids, 7, IPC_CREAT).unwrap();
        assert_eq!(make(&ids, 7, IPC_CREAT).unwrap(), id);
        assert!(make(&ids, 7, IPC_CREAT | IPC_EXCL).is_err_and(|e| e.is(Errno::EEXIST)));
        ids.remove(id);
        assert!(make(&ids, 7, 0).is_err());
    }
}
