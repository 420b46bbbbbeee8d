//! A file whose text is made when it is read from the start, and that may take writes.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use abi::Errno;
use abi::fcntl::OpenFlags;
use abi::stat::S_IFREG;
use sync::{Mutex, WaitQueue};

use super::{Meta, Tree, meta_inode};
use crate::error::{Result, err};
use crate::io::{IoDst, IoSrc};
use crate::lock_order::PseudoText;
use crate::task::CurrentTask;
use crate::vfs::{File, FileOps, Inode};

/// The most a write to such a file may carry.
const MAX_WRITE: usize = 4096;

/// Makes the text for whoever reads.
pub type Show = dyn Fn(&CurrentTask) -> Result<Vec<u8>> + Send + Sync;
/// Takes what was written.
pub type Store = dyn Fn(&CurrentTask, &[u8]) -> Result<()> + Send + Sync;

/// The inode.
pub struct TextFile {
    meta: Meta,
    show: Arc<Show>,
    store: Option<Arc<Store>>,
}

impl TextFile {
    /// A read-only file, mode 0444.
    #[must_use]
    pub fn new(tree: &Tree, show: impl Fn(&CurrentTask) -> Result<Vec<u8>> + Send + Sync + 'static) -> Arc<Self> {
        Self::with(tree.meta(S_IFREG | 0o444, 1), Arc::new(show), None)
    }

    /// A read-only file with fixed text.
    #[must_use]
    pub fn fixed(tree: &Tree, text: &'static str) -> Arc<Self> {
        Self::new(tree, move |_| Ok(text.as_bytes().to_vec()))
    }

    /// A file with everything chosen by the caller.
    #[must_use]
    pub fn with(meta: Meta, show: Arc<Show>, store: Option<Arc<Store>>) -> Arc<Self> {
        Arc::new(Self { meta, show, store })
    }
}

impl fmt::Debug for TextFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TextFile").field("meta", &self.meta).finish_non_exhaustive()
    }
}

impl Inode for TextFile {
    meta_inode!();

    fn open(self: Arc<Self>, _: &CurrentTask, _: OpenFlags) -> Result<Arc<dyn FileOps>> {
        Ok(Arc::new(OpenText { show: Arc::clone(&self.show), store: self.store.clone(), text: Mutex::new(None) }))
    }
}

/// An open text file. The text is made by the first read and made anew when reading starts over, as seq_file does.
pub struct OpenText {
    show: Arc<Show>,
    store: Option<Arc<Store>>,
    text: Mutex<Option<Arc<Vec<u8>>>, PseudoText>,
}

impl OpenText {
    /// An open file that shows `show` and cannot be written.
    #[must_use]
    pub fn new(show: Arc<Show>) -> Arc<Self> {
        Arc::new(Self { show, store: None, text: Mutex::new(None) })
    }
}

impl fmt::Debug for OpenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpenText")
    }
}

impl FileOps for OpenText {
    fn read(&self, _: &File, task: &CurrentTask, pos: u64, dst: &mut IoDst<'_>) -> Result<usize> {
        let kept = if pos == 0 { None } else { self.text.lock().clone() };
        let text = match kept {
            Some(text) => text,
            None => {
                let text = Arc::new((self.show)(task)?);
                *self.text.lock() = Some(Arc::clone(&text));
                text
            }
        };
        let from = usize::try_from(pos).unwrap_or(usize::MAX).min(text.len());
        dst.put(&text[from..])
    }

    fn write(&self, _: &File, task: &CurrentTask, pos: &mut u64, src: &mut IoSrc<'_>) -> Result<usize> {
        let _ = pos;
        let Some(store) = &self.store else { return err(Errno::EIO) };
        let mut bytes = vec![0; src.remaining().min(MAX_WRITE)];
        let n = src.take(&mut bytes)?;
        bytes.truncate(n);
        store(task, &bytes)?;
        Ok(n)
    }

    fn seekable(&self) -> bool {
        true
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        None
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
