//! The messages of a queue.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use abi::Errno;
use abi::ipc::MqAttr;
use abi::poll::{POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM};
use sync::{Mutex, WaitQueue};

use super::notify::Registration;
use crate::error::{Result, err};
use crate::lock_order::IpcObject;
use crate::task::CurrentTask;

/// A queue.
#[derive(Debug)]
pub(super) struct Queue {
    most: u64,
    largest: u64,
    state: Mutex<State, IpcObject>,
    pub(super) changed: WaitQueue,
}

#[derive(Debug, Default)]
struct State {
    /// By priority; no list is empty.
    messages: BTreeMap<u32, VecDeque<Vec<u8>>>,
    count: u64,
    bytes: u64,
    /// How many wait to receive: then nobody is notified.
    receivers: usize,
    notice: Option<Registration>,
}

impl Queue {
    pub(super) fn new((most, largest): (u64, u64)) -> Self {
        Self { most, largest, state: Mutex::default(), changed: WaitQueue::new() }
    }

    /// The most bytes of a message.
    pub(super) fn largest(&self) -> u64 {
        self.largest
    }

    /// Without the flags, which are the file's.
    pub(super) fn attr(&self) -> MqAttr {
        let int = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        MqAttr {
            mq_maxmsg: int(self.most),
            mq_msgsize: int(self.largest),
            mq_curmsgs: int(self.state.lock().count),
            ..MqAttr::default()
        }
    }

    /// Appends a message behind those of its priority. `deadline`: `None` does not wait, `Some(None)` waits for ever.
    pub(super) fn send(
        &self,
        task: &CurrentTask,
        bytes: Vec<u8>,
        priority: u32,
        deadline: Option<Option<Instant>>,
    ) -> Result<()> {
        let mut message = Some(bytes);
        let mut attempt = || {
            let mut state = self.state.lock();
            if state.count >= self.most {
                return err(Errno::EAGAIN);
            }
            let Some(bytes) = message.take() else { return Ok(None) };
            let first = state.count == 0 && state.receivers == 0;
            state.count += 1;
            state.bytes += bytes.len() as u64;
            state.messages.entry(priority).or_default().push_back(bytes);
            Ok(if first { state.notice.take() } else { None })
        };
        let notice = match deadline {
            None => attempt(),
            Some(deadline) => task.wait_on(&self.changed, POLLOUT, deadline, attempt),
        }?;
        if let Some(notice) = notice {
            notice.tell(task);
        }
        self.changed.notify(POLLIN | POLLRDNORM);
        Ok(())
    }

    /// Takes the oldest message of the highest priority.
    pub(super) fn receive(&self, task: &CurrentTask, deadline: Option<Option<Instant>>) -> Result<(u32, Vec<u8>)> {
        let attempt = || match self.state.lock().pop() {
            Some(found) => Ok(found),
            None => err(Errno::EAGAIN),
        };
        let found = match deadline {
            None => attempt(),
            Some(deadline) => {
                self.state.lock().receivers += 1;
                let found = task.wait_on(&self.changed, POLLIN, deadline, attempt);
                self.state.lock().receivers -= 1;
                found
            }
        }?;
        self.changed.notify(POLLOUT | POLLWRNORM);
        Ok(found)
    }

    pub(super) fn poll(&self) -> u32 {
        let state = self.state.lock();
        let mut events = 0;
        if state.count > 0 {
            events |= POLLIN | POLLRDNORM;
        }
        if state.count < self.most {
            events |= POLLOUT | POLLWRNORM;
        }
        events
    }

    /// mq_notify(2): registers somebody (EBUSY if somebody is), or takes the caller's registration back.
    pub(super) fn set_notice(&self, task: &CurrentTask, new: Option<Registration>) -> Result<()> {
        let old = {
            let mut state = self.state.lock();
            match new {
                Some(_) if state.notice.is_some() => return err(Errno::EBUSY),
                Some(new) => state.notice.replace(new),
                None => state.notice.take_if(|notice| notice.is_of(task.group())),
            }
        };
        if let Some(old) = old {
            old.taken_back();
        }
        Ok(())
    }

    /// A process closes a descriptor of the queue: its registration goes.
    pub(super) fn forget(&self, group: &crate::task::ThreadGroup) {
        let old = self.state.lock().notice.take_if(|notice| notice.is_of(group));
        if let Some(old) = old {
            old.taken_back();
        }
    }

    /// What reading a queue's file says.
    pub(super) fn text(&self, task: &CurrentTask) -> String {
        let state = self.state.lock();
        let (kind, signal, pid) = state.notice.as_ref().map_or((0, 0, 0), |notice| notice.show(task));
        format!("QSIZE:{:<10} NOTIFY:{kind:<5} SIGNO:{signal:<5} NOTIFY_PID:{pid:<6}\n", state.bytes)
    }
}

impl State {
    fn pop(&mut self) -> Option<(u32, Vec<u8>)> {
        let mut last = self.messages.last_entry()?;
        let priority = *last.key();
        let message = last.get_mut().pop_front()?;
        if last.get().is_empty() {
            last.remove();
        }
        self.count -= 1;
        self.bytes -= message.len() as u64;
        Some((priority, message))
    }
}
