//! What the kernel hangs on an inode, whatever its file system: the pipe of a FIFO, the endpoint of a bound socket,
//! advisory locks, watches. One field of every inode; empty it is one pointer.

use std::any::{Any, TypeId};
use std::sync::Arc;

use sync::Mutex;

use crate::lock_order::FileLocks;

/// The attachments of one inode, by type.
#[derive(Debug, Default)]
pub struct Attachments {
    list: Mutex<List, FileLocks>,
}

type List = Vec<(TypeId, Arc<dyn Any + Send + Sync>)>;

impl Attachments {
    /// The attachment of type `T`, if there is one.
    #[must_use]
    pub fn get<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        let list = self.list.lock();
        let (_, found) = list.iter().find(|(id, _)| *id == TypeId::of::<T>())?;
        Arc::clone(found).downcast().ok()
    }

    /// The attachment of type `T`, made now if there is none.
    pub fn get_or_insert<T: Any + Send + Sync>(&self, make: impl FnOnce() -> T) -> Arc<T> {
        if let Some(found) = self.get() {
            return found;
        }
        let made = Arc::new(make());
        let mut list = self.list.lock();
        // Another task may have been quicker.
        if let Some((_, found)) = list.iter().find(|(id, _)| *id == TypeId::of::<T>())
            && let Ok(found) = Arc::clone(found).downcast()
        {
            return found;
        }
        list.push((TypeId::of::<T>(), made.clone()));
        made
    }

    /// Takes the attachment of type `T` off.
    pub fn remove<T: Any + Send + Sync>(&self) {
        self.list.lock().retain(|(id, _)| *id != TypeId::of::<T>());
    }
}
