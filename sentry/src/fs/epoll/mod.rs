//! epoll(7).
//!
//! An [`Epoll`] holds [`item::Item`]s, one per watched (descriptor, description). An item listens on its file's wait queue;
//! when told, it puts itself on the ready list and wakes whoever waits. Collecting events asks each ready file once more, so
//! a stale wake-up costs a look, never a wrong event.
//!
//! Locks: `Epoll` over the interest list (outer before inner when epolls nest), `EpollReady` over the ready list, which
//! wake-ups take whatever their source holds.

mod item;

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::Instant;

use abi::Errno;
use abi::epoll::{EPOLLET, EPOLLEXCLUSIVE, EPOLLONESHOT, EPOLLWAKEUP};
use abi::poll::{POLLERR, POLLHUP, POLLIN, POLLRDNORM};
use sync::{Mutex, WaitQueue};

use self::item::{Item, Key};
use crate::error::{Result, err};
use crate::lock_order;
use crate::task::CurrentTask;
use crate::vfs::{File, FileOps};

/// How deep epolls may watch epolls (EP_MAX_NESTS).
const MAX_NESTING: usize = 4;

/// An epoll instance.
#[derive(Debug)]
pub struct Epoll {
    this: Weak<Self>,
    items: Mutex<HashMap<Key, Arc<Item>>, lock_order::Epoll>,
    ready: Mutex<VecDeque<Arc<Item>>, lock_order::EpollReady>,
    queue: WaitQueue,
}

/// An event that epoll_wait(2) reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// EPOLL* bits.
    pub events: u32,
    /// What the application gave with the item.
    pub data: u64,
}

impl Epoll {
    /// An instance that watches nothing.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            this: this.clone(),
            items: Mutex::default(),
            ready: Mutex::default(),
            queue: WaitQueue::new(),
        })
    }

    /// EPOLL_CTL_ADD.
    pub fn add(&self, fd: i32, file: &Arc<File>, events: u32, data: u64) -> Result<()> {
        let Some(queue) = file.ops().wait_queue() else { return err(Errno::EPERM) };
        if events & EPOLLEXCLUSIVE != 0 && (file.ops_as::<Self>().is_some() || events & EPOLLONESHOT != 0) {
            return err(Errno::EINVAL);
        }
        if let Some(inner) = file.ops_as::<Self>() {
            if inner.reaches(self, 0)? {
                return err(Errno::ELOOP);
            }
        }
        let key = Key::new(fd, file);
        let mut items = self.items.lock();
        if items.contains_key(&key) {
            return err(Errno::EEXIST);
        }
        let item = Item::new(self.this.clone(), key.clone(), file, events, data);
        item.listen(queue);
        items.insert(key, Arc::clone(&item));
        drop(items);
        file.on_close(Arc::downgrade(&item) as Weak<dyn crate::vfs::file::CloseHook>);
        self.look(&item, file);
        Ok(())
    }

    /// EPOLL_CTL_MOD.
    pub fn modify(&self, fd: i32, file: &Arc<File>, events: u32, data: u64) -> Result<()> {
        let item = self.items.lock().get(&Key::new(fd, file)).cloned().ok_or(Errno::ENOENT)?;
        if events & EPOLLEXCLUSIVE != 0 || item.interest().0 & EPOLLEXCLUSIVE != 0 {
            return err(Errno::EINVAL);
        }
        item.set_interest(events, data);
        self.look(&item, file);
        Ok(())
    }

    /// EPOLL_CTL_DEL.
    pub fn remove(&self, fd: i32, file: &Arc<File>) -> Result<()> {
        let item = self.items.lock().remove(&Key::new(fd, file)).ok_or(Errno::ENOENT)?;
        item.forget(file.ops().wait_queue());
        self.ready.lock().retain(|other| !Arc::ptr_eq(other, &item));
        Ok(())
    }

    /// Waits until something is ready and reports up to `max` events; none if `deadline` passes.
    pub fn wait(&self, task: &CurrentTask, max: usize, deadline: Option<Instant>) -> Result<Vec<Ready>> {
        let waited = task.wait_on(&self.queue, POLLIN, deadline, || {
            let events = self.collect(max);
            if events.is_empty() { err(Errno::EAGAIN) } else { Ok(events) }
        });
        match waited {
            Err(e) if e.is(Errno::ETIMEDOUT) => Ok(Vec::new()),
            other => other,
        }
    }

    /// What is ready now, oldest first. Level-triggered items go to the back of the list, so that all get their turn.
    #[must_use]
    pub fn collect(&self, max: usize) -> Vec<Ready> {
        let rounds = self.ready.lock().len();
        let mut events = Vec::new();
        for _ in 0..rounds {
            if events.len() == max {
                break;
            }
            let Some(item) = self.ready.lock().pop_front() else { break };
            item.clear_queued();
            let Some(file) = item.file() else { continue };
            let (interest, data) = item.interest();
            let happened = file.ops().poll(&file) & wanted(interest);
            if happened == 0 {
                continue;
            }
            events.push(Ready { events: happened, data });
            if interest & EPOLLONESHOT != 0 {
                item.disarm();
            } else if interest & EPOLLET == 0 {
                self.enqueue(&item);
            }
        }
        events
    }

    /// Queues the item if its file is ready already.
    fn look(&self, item: &Arc<Item>, file: &File) {
        if file.ops().poll(file) & wanted(item.interest().0) != 0 {
            self.enqueue(item);
            self.queue.notify(POLLIN | POLLRDNORM);
        }
    }

    fn enqueue(&self, item: &Arc<Item>) {
        if item.set_queued() {
            self.ready.lock().push_back(Arc::clone(item));
        }
    }

    /// Called by an item whose file has news.
    fn item_is_ready(&self, item: &Arc<Item>) {
        self.enqueue(item);
        self.queue.notify(POLLIN | POLLRDNORM);
    }

    fn item_is_closed(&self, item: &Item) {
        self.items.lock().remove(item.key());
        self.ready.lock().retain(|other| !std::ptr::eq(&raw const **other, item));
    }

    /// Whether `target` is this epoll or one that it watches, directly or not. ELOOP if they nest too deep.
    fn reaches(&self, target: &Self, depth: usize) -> Result<bool> {
        if std::ptr::eq(self, target) {
            return Ok(true);
        }
        if depth >= MAX_NESTING {
            return err(Errno::ELOOP);
        }
        let watched: Vec<_> = self.items.lock().values().filter_map(|item| item.file()).collect();
        for file in watched {
            if let Some(inner) = file.ops_as::<Self>()
                && inner.reaches(target, depth + 1)?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The events that an interest asks for; errors and hang-ups always count, nothing does once a one-shot item has fired.
const fn wanted(interest: u32) -> u32 {
    let events = interest & !(EPOLLET | EPOLLONESHOT | EPOLLEXCLUSIVE | EPOLLWAKEUP);
    if interest & item::DISARMED != 0 { 0 } else { events | POLLERR | POLLHUP }
}

impl FileOps for Epoll {
    fn poll(&self, _: &File) -> u32 {
        let list: Vec<_> = self.ready.lock().iter().cloned().collect();
        let ready = list
            .iter()
            .any(|item| item.file().is_some_and(|file| file.ops().poll(&file) & wanted(item.interest().0) != 0));
        if ready { POLLIN | POLLRDNORM } else { 0 }
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.queue)
    }

    fn fdinfo(&self) -> String {
        let items: Vec<_> = self.items.lock().values().cloned().collect();
        items.iter().map(|item| item.fdinfo()).collect()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Drop for Epoll {
    fn drop(&mut self) {
        for item in self.items.get_mut().values() {
            if let Some(file) = item.file() {
                item.forget(file.ops().wait_queue());
            }
        }
    }
}
