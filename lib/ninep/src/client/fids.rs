//! Which fids are in use.

use std::fmt;
use std::sync::Arc;

use abi::Errno;
use parking_lot::Mutex;

use super::{Client, Result};
use crate::types::Fid;

/// A fid of a session; forgotten when dropped.
pub struct FidHandle {
    client: Arc<Client>,
    fid: Fid,
}

impl FidHandle {
    /// A fid that stands for nothing yet. If the request that names it fails, drop the handle: the server is told to
    /// forget a fid that it does not know, which it may refuse, and the number is used again.
    pub(super) fn new(client: &Arc<Client>) -> Result<Self> {
        let fid = client.fids.allocate().ok_or(Errno::EMFILE)?;
        Ok(Self { client: Arc::clone(client), fid })
    }

    /// The number.
    #[must_use]
    pub fn fid(&self) -> Fid {
        self.fid
    }

    /// The session it belongs to.
    #[must_use]
    pub fn client(&self) -> &Arc<Client> {
        &self.client
    }
}

impl Drop for FidHandle {
    fn drop(&mut self) {
        self.client.fids.forget(self.fid);
    }
}

impl fmt::Debug for FidHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fid.fmt(f)
    }
}

/// Numbers free, and numbers that the server still has to forget.
#[derive(Debug, Default)]
pub(super) struct FidPool {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    next: u32,
    free: Vec<Fid>,
    forgotten: Vec<Fid>,
}

impl FidPool {
    fn allocate(&self) -> Option<Fid> {
        let mut inner = self.inner.lock();
        if let Some(fid) = inner.free.pop() {
            return Some(fid);
        }
        let fid = Fid(inner.next);
        inner.next = inner.next.checked_add(1)?;
        (fid != Fid::NONE).then_some(fid)
    }

    fn forget(&self, fid: Fid) {
        self.inner.lock().forgotten.push(fid);
    }

    /// Up to `max` fids to be forgotten.
    pub(super) fn take_forgotten(&self, max: usize) -> Vec<Fid> {
        let mut inner = self.inner.lock();
        let keep = inner.forgotten.len().saturating_sub(max);
        inner.forgotten.split_off(keep)
    }

    /// Takes back what [`Self::take_forgotten`] gave and was not sent.
    pub(super) fn put_back(&self, fids: Vec<Fid>) {
        self.inner.lock().forgotten.extend(fids);
    }

    /// The server has forgotten these.
    pub(super) fn free(&self, fids: Vec<Fid>) {
        if !fids.is_empty() {
            self.inner.lock().free.extend(fids);
        }
    }
}
