//! epoll(7).
//!
//! An [`Epoll`] holds [`item::Item`]s, one per watched (descriptor, description). An item listens on its file's wait queue;
//! when told, it puts itself on the ready list and wakes whoever waits. Collecting events asks each ready file once more, so
//! a stale wake-up costs a look, never a wrong event.
//!
//! Locks: `EpollNesting` over the relation of epolls to one another, `Epoll` over one interest list, `EpollReady` over the
//! ready list, which wake-ups take whatever their source holds.

mod item;
mod nesting;
mod ready;

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Instant;

use abi::Errno;
use abi::epoll::{EPOLLET, EPOLLEXCLUSIVE, EPOLLONESHOT, EPOLLWAKEUP};
use abi::poll::{POLLERR, POLLHUP, POLLIN, POLLRDNORM};
use sync::{Mutex, WaitQueue};

use self::item::{Item, Key};
use self::nesting::Outer;
use self::ready::ReadyList;
use crate::error::{Result, err};
use crate::lock_order;
use crate::task::CurrentTask;
use crate::vfs::{File, FileOps};

/// An epoll instance.
#[derive(Debug)]
pub struct Epoll {
    this: Weak<Self>,
    items: Mutex<HashMap<Key, Arc<Item>>, lock_order::Epoll>,
    ready: Arc<ReadyList>,
    outer: Outer,
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
            ready: Arc::default(),
            outer: Outer::default(),
        })
    }

    /// EPOLL_CTL_ADD.
    pub fn add(&self, fd: i32, file: &Arc<File>, events: u32, data: u64) -> Result<()> {
        let Some(queue) = file.ops().wait_queue() else { return err(Errno::EPERM) };
        if events & EPOLLEXCLUSIVE != 0 && (file.ops_as::<Self>().is_some() || events & EPOLLONESHOT != 0) {
            return err(Errno::EINVAL);
        }
        let _nesting = file.ops_as::<Self>().map(|inner| nesting::check(self, inner)).transpose()?;
        let key = Key::new(fd, file);
        let mut items = self.items.lock();
        if items.contains_key(&key) {
            return err(Errno::EEXIST);
        }
        let item = Item::new(self, key.clone(), file, events, data);
        item.listen(queue);
        if let Some(inner) = file.ops_as::<Self>() {
            inner.outer.add(&self.this);
        }
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
        item.forget(file);
        self.ready.remove(&item);
        Ok(())
    }

    /// Waits until something is ready and reports up to `max` events; none if `deadline` passes.
    pub fn wait(&self, task: &CurrentTask, max: usize, deadline: Option<Instant>) -> Result<Vec<Ready>> {
        let waited = task.wait_on(&self.ready.queue, POLLIN, deadline, || {
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
        let mut events = Vec::new();
        for _ in 0..self.ready.len() {
            if events.len() == max {
                break;
            }
            let Some(item) = self.ready.pop() else { break };
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
                self.ready.enqueue(&item);
            }
        }
        events
    }

    /// Queues the item if its file is ready already.
    fn look(&self, item: &Arc<Item>, file: &File) {
        if file.ops().poll(file) & wanted(item.interest().0) != 0 {
            self.ready.tell(item);
        }
    }

    fn item_is_closed(&self, item: &Item) {
        self.items.lock().remove(item.key());
        self.ready.remove(item);
    }

    /// The epolls that it watches.
    fn inner(&self) -> Vec<Arc<Self>> {
        let nested: Vec<_> = self.items.lock().values().filter(|item| item.nested).cloned().collect();
        nested.iter().filter_map(|item| item.file()?.ops_as::<Self>()?.this.upgrade()).collect()
    }
}

/// The events that an interest asks for; errors and hang-ups always count, nothing does once a one-shot item has fired.
const fn wanted(interest: u32) -> u32 {
    let events = interest & !(EPOLLET | EPOLLONESHOT | EPOLLEXCLUSIVE | EPOLLWAKEUP);
    if interest & item::DISARMED != 0 { 0 } else { events | POLLERR | POLLHUP }
}

impl FileOps for Epoll {
    fn poll(&self, _: &File) -> u32 {
        let ready = self
            .ready
            .snapshot()
            .iter()
            .any(|item| item.file().is_some_and(|file| file.ops().poll(&file) & wanted(item.interest().0) != 0));
        if ready { POLLIN | POLLRDNORM } else { 0 }
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.ready.queue)
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
                item.forget(&file);
            }
        }
        self.ready.clear();
    }
}
