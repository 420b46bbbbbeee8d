//! Epolls that watch epolls: never in a circle, and not too deep, because wake-ups and looks go through all levels.
//!
//! Lock: `EpollNesting` over the check and what makes it true, so that no two threads close a circle together.

use std::sync::{Arc, Weak};

use abi::Errno;
use sync::{Mutex, MutexGuard};

use super::Epoll;
use crate::error::{Result, err};
use crate::lock_order::{self, Leaf};

/// How many epolls may be above one another beyond the first (EP_MAX_NESTS).
const MAX_NESTING: usize = 4;

static NESTING: Mutex<(), lock_order::EpollNesting> = Mutex::new(());

/// The epolls that watch this one; each as often as it does.
#[derive(Debug, Default)]
pub(super) struct Outer(Mutex<Vec<Weak<Epoll>>, Leaf>);

impl Outer {
    pub(super) fn add(&self, epoll: &Weak<Epoll>) {
        let mut list = self.0.lock();
        list.retain(|other| other.strong_count() > 0);
        list.push(Weak::clone(epoll));
    }

    pub(super) fn remove(&self, epoll: &Weak<Epoll>) {
        let mut list = self.0.lock();
        if let Some(at) = list.iter().position(|other| Weak::ptr_eq(other, epoll)) {
            list.swap_remove(at);
        }
    }

    fn live(&self) -> Vec<Arc<Epoll>> {
        let mut live: Vec<_> = self.0.lock().iter().filter_map(Weak::upgrade).collect();
        live.sort_by_key(Arc::as_ptr);
        live.dedup_by_key(|epoll| Arc::as_ptr(epoll));
        live
    }
}

/// Before `outer` comes to watch `inner`. ELOOP if that closes a circle or nests too deep. The guard is held until it does.
pub(super) fn check(outer: &Epoll, inner: &Epoll) -> Result<MutexGuard<'static, ()>> {
    let guard = NESTING.lock();
    if std::ptr::eq(outer, inner) {
        return err(Errno::ELOOP);
    }
    let below = depth(inner, 0, Some(outer), &|epoll| epoll.inner())?;
    let above = depth(outer, 0, None, &|epoll| epoll.outer.live())?;
    if below + above + 1 > MAX_NESTING { err(Errno::ELOOP) } else { Ok(guard) }
}

/// How many levels `next` leads on from `epoll`. ELOOP if it leads to `avoid`, or too far.
fn depth(
    epoll: &Epoll,
    level: usize,
    avoid: Option<&Epoll>,
    next: &dyn Fn(&Epoll) -> Vec<Arc<Epoll>>,
) -> Result<usize> {
    if level > MAX_NESTING {
        return err(Errno::ELOOP);
    }
    let mut deepest = 0;
    for other in next(epoll) {
        if avoid.is_some_and(|avoid| std::ptr::eq(avoid, &raw const *other)) {
            return err(Errno::ELOOP);
        }
        deepest = deepest.max(depth(&other, level + 1, avoid, next)? + 1);
    }
    Ok(deepest)
}
