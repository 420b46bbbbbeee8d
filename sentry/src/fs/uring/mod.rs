//! io_uring(7): a ring of submissions and one of completions, both in memory that the application maps.
//!
//! [`Ring`] is the file behind io_uring_setup(2); `memory` what it shares with the application; [`Request`] what was
//! submitted and is not done. How a submission becomes an operation is known to the crate of the system calls. Requests are
//! run by the task that submitted them: at once when it enters the kernel, later when what they wait for has come.
//!
//! Everything is bounded: entries as on Linux, requests on their way and completions that found no room by
//! [`MAX_REQUESTS`]. Locks: `Leaf` each, and never two of them at once; wake-ups and eventfds are told without any.

mod memory;
mod request;

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use abi::Errno;
use abi::fcntl::OpenFlags;
use abi::iouring::{
    IORING_CQ_EVENTFD_DISABLED, IORING_CQE_F_MORE, IORING_SQ_CQ_OVERFLOW, IoCqringOffsets, IoSqringOffsets, IoUringCqe,
    IoUringSqe,
};
use abi::poll::{POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM};
use sync::{Mutex, WaitQueue};

use self::memory::RingMemory;
pub use self::request::{Deadline, Info, Op, Outcome, Request, Step};
use super::eventfd::EventFd;
use crate::error::{Result, err};
use crate::lock_order::Leaf;
use crate::mm::Mappable;
use crate::mm::memfile::MemFile;
use crate::task::Task;
use crate::user::UserSlice;
use crate::vfs::{File, FileOps, anon};

/// The most submissions a ring has room for.
pub const MAX_ENTRIES: u32 = 32768;
/// How many requests of a ring may be on their way, or have a completion that found no room.
pub const MAX_REQUESTS: usize = 131_072;

/// How a ring is set up.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Room for submissions, a power of two.
    pub sq_entries: u32,
    /// Room for completions, a power of two.
    pub cq_entries: u32,
    /// Submissions are named by an array.
    pub array: bool,
    /// Takes submissions only once it is enabled.
    pub disabled: bool,
    /// A submission that cannot be done does not end the taking of others.
    pub submit_all: bool,
}

/// A ring.
#[derive(Debug)]
pub struct Ring {
    me: Weak<Self>,
    memory: Arc<RingMemory>,
    disabled: AtomicBool,
    submit_all: bool,
    /// How far submissions were taken.
    sq_head: Mutex<u32, Leaf>,
    state: Mutex<State, Leaf>,
    /// The eventfd that hears of completions.
    eventfd: Mutex<Option<Arc<File>>, Leaf>,
    /// Registered files.
    pub files: Mutex<Option<Vec<Option<Arc<File>>>>, Leaf>,
    /// Registered buffers.
    pub buffers: Mutex<Option<Vec<UserSlice>>, Leaf>,
    queue: WaitQueue,
}

#[derive(Debug, Default)]
struct State {
    cq_tail: u32,
    /// Completions that found no room.
    overflow: VecDeque<IoUringCqe>,
    /// What is on its way, by address.
    requests: HashMap<usize, Arc<Request>>,
    /// How many of them have begun.
    begun: usize,
    /// What waits for all before it to be done, and what came behind that.
    drain: VecDeque<Arc<Request>>,
    /// How many requests other than timeouts were done.
    ended: u32,
    /// Timeouts that end when so many were done.
    counted: Vec<(Weak<Request>, u32)>,
}

impl Ring {
    /// A ring and its file.
    pub fn open(memfile: &Arc<MemFile>, setup: Setup) -> Result<Arc<File>> {
        let memory = RingMemory::new(memfile, setup.sq_entries, setup.cq_entries, setup.array)?;
        let ring = Arc::new_cyclic(|me| Self {
            me: me.clone(),
            memory,
            disabled: AtomicBool::new(setup.disabled),
            submit_all: setup.submit_all,
            sq_head: Mutex::new(0),
            state: Mutex::default(),
            eventfd: Mutex::new(None),
            files: Mutex::new(None),
            buffers: Mutex::new(None),
            queue: WaitQueue::new(),
        });
        Ok(File::new(ring, anon::inode_path("anon_inode:[io_uring]"), OpenFlags::O_RDWR))
    }

    /// The ring behind a file; EOPNOTSUPP for other files.
    pub fn of(file: &File) -> Result<Arc<Self>> {
        file.ops_as::<Self>().and_then(|ring| ring.me.upgrade()).ok_or_else(|| Errno::EOPNOTSUPP.into())
    }

    /// Where the application finds its parts.
    #[must_use]
    pub fn offsets(&self) -> (IoSqringOffsets, IoCqringOffsets) {
        self.memory.offsets()
    }

    /// Whether it takes no submissions yet.
    #[must_use]
    pub fn is_disabled(&self) -> bool {
        self.disabled.load(Ordering::Relaxed)
    }

    /// Whether a submission that cannot be done does not end the taking of others.
    #[must_use]
    pub fn submits_all(&self) -> bool {
        self.submit_all
    }

    /// IORING_REGISTER_ENABLE_RINGS; EBADFD if it is enabled.
    pub fn enable(&self) -> Result<()> {
        if self.disabled.swap(false, Ordering::Relaxed) { Ok(()) } else { err(Errno::EBADFD) }
    }

    /// Takes the next submission, if there is one. What the array names wrongly is left out.
    #[must_use]
    pub fn next(&self) -> Option<IoUringSqe> {
        let mut head = self.sq_head.lock();
        let mut there = self.memory.sq_tail().wrapping_sub(*head);
        // More than fit: the index is nonsense, but what there is room for is there.
        there = there.min(self.memory.sq_entries);
        while there > 0 {
            let sqe = self.memory.submission(*head);
            *head = head.wrapping_add(1);
            self.memory.set_sq_head(*head);
            match sqe {
                Some(sqe) => return Some(sqe),
                None => self.memory.count_dropped(),
            }
            there -= 1;
        }
        None
    }

    /// Whether more can be submitted; EBUSY while too much is on its way, or has a completion that found no room.
    pub fn check_room(&self) -> Result<()> {
        self.flush();
        let state = self.state.lock();
        if state.overflow.len() + state.requests.len() < MAX_REQUESTS { Ok(()) } else { err(Errno::EBUSY) }
    }

    /// A request of `task`, which does not begin yet.
    pub fn request(&self, task: &Arc<Task>, info: Info, op: Option<Op>) -> Arc<Request> {
        let request = Request::new(&self.me, task, info, op);
        self.state.lock().requests.insert(Arc::as_ptr(&request).addr(), Arc::clone(&request));
        request
    }

    /// Begins a request, or puts it off until all before it are done.
    pub fn start(&self, request: &Arc<Request>) {
        {
            let mut state = self.state.lock();
            if !state.drain.is_empty() || (request.info.drain && state.begun > 0) {
                state.drain.push_back(Arc::clone(request));
                return;
            }
            state.begun += 1;
            request.begun.store(true, Ordering::Relaxed);
        }
        request.begin();
    }

    /// Begins what was linked behind one that is done.
    fn start_linked(&self, request: &Request) {
        self.state.lock().begun += 1;
        request.begun.store(true, Ordering::Relaxed);
        request.begin();
    }

    /// Fails a request that could not be made.
    pub fn refuse(&self, request: &Request, errno: Errno) {
        request.finish(Outcome::failed(errno));
    }

    /// A request has ended.
    fn end(&self, request: &Request, outcome: Outcome) {
        let (gone, next, counted) = {
            let mut state = self.state.lock();
            let gone = state.requests.remove(&std::ptr::from_ref(request).addr());
            if request.begun.load(Ordering::Relaxed) {
                state.begun = state.begun.saturating_sub(1);
            }
            let mut next = Vec::new();
            while let Some(first) = state.drain.front()
                && !(first.info.drain && state.begun > 0)
            {
                let Some(first) = state.drain.pop_front() else { break };
                state.begun += 1;
                first.begun.store(true, Ordering::Relaxed);
                next.push(first);
            }
            let mut counted = Vec::new();
            state.counted.retain(|(timeout, _)| !std::ptr::eq(timeout.as_ptr(), request));
            if !matches!(request.info.opcode, abi::iouring::IORING_OP_TIMEOUT | abi::iouring::IORING_OP_LINK_TIMEOUT) {
                state.ended = state.ended.wrapping_add(1);
                let ended = state.ended;
                state.counted.retain(|(timeout, at)| {
                    let due = ended.wrapping_sub(*at).cast_signed() >= 0;
                    if due {
                        counted.push(timeout.clone());
                    }
                    !due
                });
            }
            (gone, next, counted)
        };
        if !(request.info.quiet && outcome.ok) {
            self.post(IoUringCqe { user_data: request.info.user_data, res: outcome.res, flags: outcome.flags });
        }
        for timeout in counted.iter().filter_map(Weak::upgrade) {
            timeout.counted();
        }
        for request in next {
            request.begin();
        }
        drop(gone);
    }

    /// A timeout that also ends after `count` other completions.
    fn count_for(&self, timeout: Option<Arc<Request>>, count: u32) {
        if let Some(timeout) = timeout.filter(|_| count > 0) {
            let mut state = self.state.lock();
            let at = state.ended.wrapping_add(count);
            state.counted.push((Arc::downgrade(&timeout), at));
        }
    }

    /// One of several completions of a request; false if there is no room, so that it should end.
    fn post_more(&self, user_data: u64, outcome: Outcome) -> bool {
        if !self.state.lock().overflow.is_empty() {
            return false;
        }
        self.post(IoUringCqe { user_data, res: outcome.res, flags: outcome.flags | IORING_CQE_F_MORE });
        true
    }

    fn post(&self, cqe: IoUringCqe) {
        {
            let mut state = self.state.lock();
            if state.overflow.is_empty() && self.has_room(&state) {
                self.memory.complete(state.cq_tail, &cqe);
                state.cq_tail = state.cq_tail.wrapping_add(1);
            } else {
                state.overflow.push_back(cqe);
                self.memory.set_sq_flag(IORING_SQ_CQ_OVERFLOW, true);
            }
        }
        self.queue.notify(POLLIN | POLLRDNORM);
        let eventfd = self.eventfd.lock().clone();
        if let Some(counter) = eventfd.as_ref().and_then(|file| file.ops_as::<EventFd>())
            && self.memory.cq_flags() & IORING_CQ_EVENTFD_DISABLED == 0
        {
            counter.signal(1);
        }
    }

    fn has_room(&self, state: &State) -> bool {
        state.cq_tail.wrapping_sub(self.memory.cq_head()) < self.memory.cq_entries
    }

    /// Moves completions that found no room to where there is some now.
    pub fn flush(&self) {
        let mut state = self.state.lock();
        if state.overflow.is_empty() {
            return;
        }
        while self.has_room(&state)
            && let Some(cqe) = state.overflow.pop_front()
        {
            self.memory.complete(state.cq_tail, &cqe);
            state.cq_tail = state.cq_tail.wrapping_add(1);
        }
        if state.overflow.is_empty() {
            self.memory.set_sq_flag(IORING_SQ_CQ_OVERFLOW, false);
        }
    }

    /// How many completions wait to be taken.
    #[must_use]
    pub fn completed(&self) -> u32 {
        let state = self.state.lock();
        state.cq_tail.wrapping_sub(self.memory.cq_head())
    }

    /// Room for completions.
    #[must_use]
    pub fn cq_entries(&self) -> u32 {
        self.memory.cq_entries
    }

    /// Requests on their way that `which` chooses.
    pub fn find(&self, which: impl Fn(&Request) -> bool) -> Vec<Arc<Request>> {
        self.state.lock().requests.values().filter(|request| which(request)).cloned().collect()
    }

    /// Calls a request off: false if it cannot be any more.
    #[must_use]
    pub fn cancel(&self, request: &Request) -> bool {
        request.cancel()
    }

    /// Calls off what `task` asked for.
    pub(crate) fn cancel_of(&self, task: &Arc<Task>) {
        loop {
            let requests: Vec<_> = self.find(|request| request.is_of(task));
            if requests.is_empty() {
                return;
            }
            for request in requests {
                request.finish(Outcome::failed(Errno::ECANCELED));
            }
        }
    }

    /// IORING_REGISTER_EVENTFD and its opposite; returns what was registered.
    pub fn set_eventfd(&self, file: Option<Arc<File>>) -> Option<Arc<File>> {
        std::mem::replace(&mut *self.eventfd.lock(), file)
    }

    /// Whether an eventfd is registered.
    #[must_use]
    pub fn has_eventfd(&self) -> bool {
        self.eventfd.lock().is_some()
    }

    /// Where completions are told.
    #[must_use]
    pub fn queue(&self) -> &WaitQueue {
        &self.queue
    }
}

impl FileOps for Ring {
    fn poll(&self, _: &File) -> u32 {
        let mut ready = 0;
        let submitted = self.memory.sq_tail().wrapping_sub(*self.sq_head.lock());
        if submitted < self.memory.sq_entries {
            ready |= POLLOUT | POLLWRNORM;
        }
        let overflow = !self.state.lock().overflow.is_empty();
        if overflow || self.completed() > 0 {
            ready |= POLLIN | POLLRDNORM;
        }
        ready
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.queue)
    }

    fn mappable(&self, _: &File) -> Result<Arc<dyn Mappable>> {
        Ok(Arc::clone(&self.memory) as Arc<dyn Mappable>)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        let state = std::mem::take(self.state.get_mut());
        for request in state.requests.values().chain(&state.drain) {
            request.abandon();
        }
    }
}
