//! One watched inode.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Weak};

use abi::inotify::InotifyMask;

use super::{Inotify, Queued};
use crate::vfs::Dentry;
use crate::vfs::notify::{self, Event, Watcher};

/// A watch. It keeps the name of its inode in the cache.
#[derive(Debug)]
pub(super) struct Watch {
    this: Weak<Self>,
    inotify: Weak<Inotify>,
    number: i32,
    dentry: Arc<Dentry>,
    mask: AtomicU32,
    over: AtomicBool,
}

impl Watch {
    pub(super) fn new(inotify: Weak<Inotify>, number: i32, dentry: &Arc<Dentry>, mask: InotifyMask) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            this: this.clone(),
            inotify,
            number,
            dentry: Arc::clone(dentry),
            mask: AtomicU32::new(mask.bits()),
            over: AtomicBool::new(false),
        })
    }

    pub(super) fn number(&self) -> i32 {
        self.number
    }

    pub(super) fn is_on(&self, dentry: &Arc<Dentry>) -> bool {
        !self.over.load(Ordering::SeqCst) && Arc::ptr_eq(self.dentry.inode(), dentry.inode())
    }

    pub(super) fn set_mask(&self, mask: InotifyMask) {
        if mask.contains(InotifyMask::IN_MASK_ADD) {
            self.mask.fetch_or(mask.bits(), Ordering::SeqCst);
        } else {
            self.mask.store(mask.bits(), Ordering::SeqCst);
        }
    }

    /// Begins to hear events.
    pub(super) fn start(self: &Arc<Self>) {
        notify::watch(&**self.dentry.inode(), Arc::clone(self) as Arc<dyn Watcher>);
    }

    /// Hears no more.
    pub(super) fn stop(&self) {
        self.over.store(true, Ordering::SeqCst);
        if let Some(this) = self.this.upgrade() {
            notify::unwatch(&**self.dentry.inode(), &(this as Arc<dyn Watcher>));
        }
    }

    pub(super) fn fdinfo(&self) -> String {
        let attr = self.dentry.inode().attr().unwrap_or_default();
        let mask = self.mask.load(Ordering::SeqCst);
        format!("inotify wd:{:x} ino:{:x} sdev:{:x} mask:{mask:x} ignored_mask:0\n", self.number, attr.ino, attr.dev)
    }
}

impl Watcher for Watch {
    fn event(&self, event: Event, cookie: u32, name: Option<&[u8]>) {
        let mask = self.mask.load(Ordering::SeqCst);
        let Some(inotify) = self.inotify.upgrade() else { return };
        if self.over.load(Ordering::SeqCst) || (event & Event::UNLINKED).bits() & mask != 0 {
            return;
        }
        let event = event - Event::UNLINKED;
        let gone = event.intersects(Event::DELETE_SELF | Event::UNMOUNT);
        if event.bits() & mask & InotifyMask::IN_ALL_EVENTS.bits() != 0 || event.contains(Event::UNMOUNT) {
            let name = name.map(<[u8]>::to_vec).unwrap_or_default();
            inotify.push(Queued { wd: self.number, mask: event.bits(), cookie, name });
            if mask & InotifyMask::IN_ONESHOT.bits() != 0 && !gone {
                self.over.store(true, Ordering::SeqCst);
                inotify.expire(self.number);
            }
        }
        if gone {
            self.over.store(true, Ordering::SeqCst);
            inotify.expire(self.number);
        }
    }
}
