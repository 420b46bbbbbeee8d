//! inotify(7): a queue of events of watched inodes.
//!
//! An [`Inotify`] holds its watches by number; a [`watch::Watch`] hangs on the inode and appends to the queue when the VFS
//! tells it something. Locks: `InotifyWatches` over the table, `InotifyQueue` over the queue, which events take whatever the
//! VFS holds.

mod watch;

use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Weak};

use abi::inotify::{InotifyEvent, InotifyMask};
use abi::poll::{POLLIN, POLLRDNORM};
use abi::{Errno, UserAddr};
use sync::{Mutex, WaitQueue};
use zerocopy::IntoBytes;

use self::watch::Watch;
use crate::error::{Result, SysResult, err};
use crate::io::IoDst;
use crate::lock_order::{InotifyQueue, InotifyWatches};
use crate::task::CurrentTask;
use crate::user::UserPtr;
use crate::vfs::{Dentry, File, FileOps};

/// Events that wait at most (/proc/sys/fs/inotify/max_queued_events).
const MAX_EVENTS: usize = 16384;
/// Watches of one instance at most (/proc/sys/fs/inotify/max_user_watches).
const MAX_WATCHES: usize = 65536;

/// An inotify instance.
#[derive(Debug)]
pub struct Inotify {
    this: Weak<Self>,
    watches: Mutex<Watches, InotifyWatches>,
    events: Mutex<VecDeque<Queued>, InotifyQueue>,
    queue: WaitQueue,
}

#[derive(Debug, Default)]
struct Watches {
    by_number: BTreeMap<i32, Arc<Watch>>,
    last: i32,
}

/// An event in the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Queued {
    wd: i32,
    mask: u32,
    cookie: u32,
    name: Vec<u8>,
}

impl Queued {
    /// The length of the name with its NUL, padded as Linux pads it.
    fn padded(&self) -> usize {
        if self.name.is_empty() { 0 } else { (self.name.len() + 1).next_multiple_of(size_of::<InotifyEvent>()) }
    }

    fn size(&self) -> usize {
        size_of::<InotifyEvent>() + self.padded()
    }
}

impl Inotify {
    /// An instance that watches nothing.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            this: this.clone(),
            watches: Mutex::default(),
            events: Mutex::default(),
            queue: WaitQueue::new(),
        })
    }

    /// inotify_add_watch(2): one watch an inode; a second call changes its mask.
    pub fn add(&self, dentry: &Arc<Dentry>, mask: InotifyMask) -> Result<i32> {
        let mut watches = self.watches.lock();
        if let Some(known) = watches.by_number.values().find(|watch| watch.is_on(dentry)) {
            if mask.contains(InotifyMask::IN_MASK_CREATE) {
                return err(Errno::EEXIST);
            }
            known.set_mask(mask);
            return Ok(known.number());
        }
        if watches.by_number.len() >= MAX_WATCHES {
            return err(Errno::ENOSPC);
        }
        watches.last = watches.last.checked_add(1).ok_or(Errno::ENOSPC)?;
        let number = watches.last;
        let watch = Watch::new(self.this.clone(), number, dentry, mask);
        watches.by_number.insert(number, Arc::clone(&watch));
        drop(watches);
        watch.start();
        Ok(number)
    }

    /// inotify_rm_watch(2).
    pub fn remove(&self, number: i32) -> Result<()> {
        let watch = self.watches.lock().by_number.remove(&number).ok_or(Errno::EINVAL)?;
        watch.stop();
        self.push(Queued { wd: number, mask: InotifyMask::IN_IGNORED.bits(), cookie: 0, name: Vec::new() });
        Ok(())
    }

    /// A watch that is over by itself: its inode is gone, or it was for one event. It may run under locks of the VFS, so
    /// the watch is dropped later, by whoever reads.
    fn expire(&self, number: i32) {
        self.push(Queued { wd: number, mask: InotifyMask::IN_IGNORED.bits(), cookie: 0, name: Vec::new() });
    }

    fn push(&self, event: Queued) {
        let mut events = self.events.lock();
        // Equal events that follow each other are told once.
        if events.back() == Some(&event) {
            return;
        }
        match events.len() {
            0..MAX_EVENTS => events.push_back(event),
            MAX_EVENTS => events.push_back(Queued {
                wd: -1,
                mask: InotifyMask::IN_Q_OVERFLOW.bits(),
                cookie: 0,
                name: Vec::new(),
            }),
            _ => return,
        }
        drop(events);
        self.queue.notify(POLLIN | POLLRDNORM);
    }
}

impl FileOps for Inotify {
    fn read(&self, _: &File, _: &CurrentTask, _: u64, dst: &mut IoDst<'_>) -> Result<usize> {
        let mut total = 0;
        loop {
            let mut events = self.events.lock();
            let Some(next) = events.front() else { break };
            if next.size() > dst.remaining() {
                if total == 0 {
                    return err(Errno::EINVAL);
                }
                break;
            }
            let Some(event) = events.pop_front() else { break };
            drop(events);
            if event.mask & InotifyMask::IN_IGNORED.bits() != 0 {
                let over = self.watches.lock().by_number.remove(&event.wd);
                if let Some(watch) = over {
                    watch.stop();
                }
            }
            let len = event.padded();
            let header = InotifyEvent {
                wd: event.wd,
                mask: event.mask,
                cookie: event.cookie,
                len: u32::try_from(len).unwrap_or(0),
            };
            let mut bytes = header.as_bytes().to_vec();
            bytes.extend_from_slice(&event.name);
            bytes.resize(event.size(), 0);
            total += dst.put(&bytes)?;
        }
        if total == 0 { err(Errno::EAGAIN) } else { Ok(total) }
    }

    fn poll(&self, _: &File) -> u32 {
        if self.events.lock().is_empty() { 0 } else { POLLIN | POLLRDNORM }
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.queue)
    }

    fn ioctl(&self, _: &File, task: &CurrentTask, cmd: u32, arg: u64) -> SysResult {
        if cmd != abi::ioctl::FIONREAD {
            return err(Errno::ENOTTY);
        }
        let bytes: usize = self.events.lock().iter().map(Queued::size).sum();
        task.mm().write(UserPtr::new(UserAddr(arg)), &i32::try_from(bytes).unwrap_or(i32::MAX))?;
        Ok(0)
    }

    fn fdinfo(&self) -> String {
        self.watches.lock().by_number.values().map(|watch| watch.fdinfo()).collect()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Drop for Inotify {
    fn drop(&mut self) {
        for watch in self.watches.get_mut().by_number.values() {
            watch.stop();
        }
    }
}
