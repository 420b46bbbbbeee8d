//! IOCB_CMD_POLL: a request that is done when its file is ready.
//!
//! The file's wait queue says that something happened, holding locks of its own; the deferred thread then looks and tells.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use abi::iouring::IoEvent;
use sync::{Mutex, WaitId, Wake};

use super::{Context, Slot};
use crate::error::Result;
use crate::kernel::deferred::{self, Job};
use crate::lock_order::Leaf;
use crate::vfs::File;

/// A poll on its way.
pub struct PollRequest {
    me: Weak<Self>,
    context: Weak<Context>,
    file: Arc<File>,
    /// What is waited for: POLL* bits.
    events: u32,
    /// What its event says of it.
    event: IoEvent,
    eventfd: Option<Arc<File>>,
    wait_id: Mutex<Option<WaitId>, Leaf>,
    /// The thread has been asked to look.
    queued: AtomicBool,
}

impl PollRequest {
    /// Starts to wait until `file` has one of `events`; `event` is what to tell then, but for its result.
    pub fn start(
        context: &Arc<Context>,
        mut slot: Slot<'_>,
        file: Arc<File>,
        events: u32,
        event: IoEvent,
        eventfd: Option<Arc<File>>,
    ) {
        let request = Arc::new_cyclic(|me| Self {
            me: me.clone(),
            context: Arc::downgrade(context),
            file,
            events,
            event,
            eventfd,
            wait_id: Mutex::new(None),
            queued: AtomicBool::new(false),
        });
        {
            let mut state = context.state.lock();
            if state.dead {
                return;
            }
            slot.0 = None;
            state.polls.push(Arc::clone(&request));
        }
        if let Some(queue) = request.file.ops().wait_queue() {
            let id = queue.register(events, Arc::clone(&request) as Arc<dyn Wake>);
            *request.wait_id.lock() = Some(id);
        }
        request.look(context);
    }

    pub(super) fn stop_listening(&self) {
        let id = self.wait_id.lock().take();
        if let (Some(queue), Some(id)) = (self.file.ops().wait_queue(), id) {
            queue.unregister(id);
        }
    }

    /// Ends it if the file is ready.
    fn look(&self, context: &Context) {
        let ready = self.file.ops().poll(&self.file) & self.events;
        if ready != 0 {
            self.finish(context, ready);
        }
    }

    /// Ends it, unless that has happened.
    fn finish(&self, context: &Context, ready: u32) -> bool {
        {
            let mut state = context.state.lock();
            let Some(at) = state.polls.iter().position(|poll| std::ptr::eq(&raw const **poll, self)) else {
                return false;
            };
            state.polls.swap_remove(at);
            state.events.push_back(IoEvent { res: ready.into(), ..self.event });
        }
        self.stop_listening();
        context.tell(self.eventfd.as_ref());
        true
    }
}

impl Context {
    /// io_cancel(2): calls off what was asked for by the block at `obj`; it gets an event without readiness. Whether there
    /// was such a request.
    pub fn cancel(&self, obj: u64) -> Result<bool> {
        let found = self.state.lock().polls.iter().find(|poll| poll.event.obj == obj).cloned();
        Ok(found.is_some_and(|poll| poll.finish(self, 0)))
    }
}

impl Wake for PollRequest {
    fn wake(&self, _: u32) {
        if !self.queued.swap(true, Ordering::SeqCst)
            && let Some(me) = self.me.upgrade()
        {
            deferred::push(me);
        }
    }
}

impl Job for PollRequest {
    fn run(&self) {
        self.queued.store(false, Ordering::SeqCst);
        if let Some(context) = self.context.upgrade() {
            self.look(&context);
        }
    }
}

impl fmt::Debug for PollRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PollRequest").field("events", &self.events).field("event", &self.event).finish_non_exhaustive()
    }
}
