//! The names in a directory, in the order they were made: [`Names`]. Positions of readdir stay valid whatever is added or
//! removed.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::vfs::NameHash;

/// Names and what they mean.
#[derive(Debug)]
pub struct Names<T> {
    by_name: HashMap<Arc<[u8]>, u64, NameHash>,
    in_order: BTreeMap<u64, (Arc<[u8]>, T)>,
    next: u64,
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self { by_name: HashMap::default(), in_order: BTreeMap::new(), next: 1 }
    }
}

impl<T> Names<T> {
    /// What a name means.
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<&T> {
        self.in_order.get(self.by_name.get(name)?).map(|(_, value)| value)
    }

    /// Adds a name or changes what it means, in its old place; returns what it meant.
    pub fn insert(&mut self, name: &[u8], value: T) -> Option<T> {
        if let Some(place) = self.by_name.get(name)
            && let Some((_, old)) = self.in_order.get_mut(place)
        {
            return Some(std::mem::replace(old, value));
        }
        let name: Arc<[u8]> = Arc::from(name);
        self.by_name.insert(Arc::clone(&name), self.next);
        self.in_order.insert(self.next, (name, value));
        self.next += 1;
        None
    }

    /// Removes a name.
    pub fn remove(&mut self, name: &[u8]) -> Option<T> {
        let place = self.by_name.remove(name)?;
        self.in_order.remove(&place).map(|(_, value)| value)
    }

    /// How many names.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// The names from a position on, each with the position after it. Positions begin at 1.
    pub fn from(&self, position: u64) -> impl Iterator<Item = (&[u8], &T, u64)> {
        self.in_order.range(position..).map(|(place, (name, value))| (&**name, value, place + 1))
    }

    /// Takes everything out.
    pub fn take_all(&mut self) -> impl Iterator<Item = T> + use<T> {
        self.by_name.clear();
        std::mem::take(&mut self.in_order).into_values().map(|(_, value)| value)
    }
}
