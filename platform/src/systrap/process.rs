//! A stub process: a first thread that makes others, a service thread that changes the address space, and threads that run
//! application code or wait to.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use abi::Errno;
use host::{eventfd, futex, notify};
use parking_lot::Mutex;

use super::Variant;
use super::area::{self, Area, Areas};
use super::shares::Shares;
use super::spin::Eagerness;
use super::text;
use super::thread::{self, Leader, Link, Thread, Waiting};
use crate::stub::commands::{CommandPage, RECORD, Record};
use crate::stub::host_error;
use crate::stub::pool::{Planner, StubProcess};
use crate::stub::pulse::Mortal;
use crate::traits::PlatformError;

/// Records that fit a command page.
const RECORDS: usize = (abi::PAGE_SIZE as usize - text::RECORDS) / RECORD as usize;
/// More idle threads than this are not worth keeping.
const MAX_PARKED: usize = 8;
/// How many of them stay when the process goes to the pool.
const MAX_PARKED_IN_POOL: usize = 2;

#[derive(Debug)]
pub(super) struct Process {
    leader: Arc<Leader>,
    shares: Arc<Shares>,
    page: CommandPage,
    areas: Arc<Areas>,
    variant: Variant,
    eagerness: Eagerness,
    orders: Mutex<Orders>,
    service: Mutex<Service>,
    /// Idle threads.
    parked: Mutex<Vec<Thread>>,
}

/// How the first thread makes others.
#[derive(Debug)]
struct Orders {
    /// The number of the last one.
    number: u32,
    /// The thread that came with the process, until somebody has waited for it.
    first: Option<(Area, Link)>,
    /// What the last order named, if nothing came of it. A thread may come all the same: the application can forge a
    /// failure. So its descriptor number must not become anything else while the process lives.
    failed: Option<(Area, Link)>,
}

/// The way to the service thread.
#[derive(Debug)]
struct Service {
    /// A listener, or an eventfd.
    fd: OwnedFd,
    /// The notification that it waits in.
    waits: u64,
}

/// What a process was started with.
#[derive(Debug)]
pub(super) struct Plan {
    area: Area,
    link: Link,
    service: OwnedFd,
    areas: Arc<Areas>,
    variant: Variant,
    eagerness: Eagerness,
}

/// Prepares command pages of new processes.
#[derive(Debug)]
pub(super) struct Starter {
    pub(super) areas: Arc<Areas>,
    pub(super) variant: Variant,
    pub(super) eagerness: Eagerness,
}

impl Planner for Starter {
    type Process = Process;

    fn plan(&self, page: &CommandPage) -> Result<Plan, PlatformError> {
        let area = self.areas.take().ok_or(NO_AREA)?;
        let link = new_link(&self.areas, self.variant)?;
        plan_thread(page, &self.areas, &area, &link);
        let service = match self.variant {
            Variant::Notify => placeholder(&self.areas)?,
            Variant::Futex => eventfd::new().map_err(|e| host_error("eventfd", e))?,
        };
        page.write(text::VARIANT, u64::from(self.variant == Variant::Futex));
        page.write(text::SERVICE, service.as_raw_fd() as u64);
        page.write(text::DONE, DONE);
        page.write(text::FAILED, FAILED);
        page.word(text::ORDER).store(1, Ordering::Release);
        let (areas, variant, eagerness) = (Arc::clone(&self.areas), self.variant, self.eagerness);
        Ok(Plan { area, link, service, areas, variant, eagerness })
    }
}

const DONE: u64 = 1;
const FAILED: u64 = 1 << 32;

impl StubProcess for Process {
    type Plan = Plan;

    fn adopt(pid: i32, page: CommandPage, plan: Plan) -> Result<Self, PlatformError> {
        let Plan { area, link, service, areas, variant, eagerness } = plan;
        Ok(Self {
            leader: Arc::new(Leader::new(pid)),
            shares: Arc::new(Shares::new(pid)),
            page,
            areas,
            variant,
            eagerness,
            orders: Mutex::new(Orders { number: 1, first: Some((area, link)), failed: None }),
            service: Mutex::new(Service { fd: service, waits: 0 }),
            parked: Mutex::new(Vec::new()),
        })
    }

    fn recycle(&self) -> bool {
        let mut parked = self.parked.lock();
        let from = parked.len().min(MAX_PARKED_IN_POOL);
        let ended = parked.drain(from..).all(|thread| self.end_thread(thread));
        // One that is left in a call would go on in it, if the application has blocked the kick. Now there is nothing to go
        // on with; a report leads to a frame of ours whatever the application does.
        let reported = parked.iter_mut().all(Thread::settle);
        parked.iter().for_each(|thread| thread.area().wipe());
        self.page.clear(text::RECORDS);
        ended && reported && !self.leader.is_doomed()
    }
}

impl Process {
    pub(super) fn leader(&self) -> &Arc<Leader> {
        &self.leader
    }

    pub(super) fn shares(&self) -> &Arc<Shares> {
        &self.shares
    }

    /// Waits until the process is up, if nobody has yet.
    pub(super) fn be_up(&self) -> Result<(), PlatformError> {
        let mut orders = self.orders.lock();
        let Some((area, link)) = orders.first.take() else { return Ok(()) };
        let served = thread::wait_up(&area, area::SERVICE_UP, &self.leader);
        match Thread::arrive(&self.leader, area, link, self.eagerness) {
            Ok(thread) => self.parked.lock().push(thread),
            Err((error, area, link)) => {
                orders.failed = Some((area, link));
                return served.and(Err(error));
            }
        }
        served?;
        if self.variant == Variant::Notify {
            let mut service = self.service.lock();
            thread::be_synchronous(&service.fd)?;
            service.waits = receive(&service.fd)?.0;
        }
        Ok(())
    }

    /// Makes host calls in the stub, in order. The error is that of the first call that failed.
    pub(super) fn batch(&self, records: &[Record]) -> Result<Result<(), Errno>, PlatformError> {
        let mut service = self.service.lock();
        for chunk in records.chunks(RECORDS) {
            for (index, record) in chunk.iter().enumerate() {
                self.page.write_record(text::RECORDS + index * RECORD as usize, record);
            }
            let result = match self.variant {
                Variant::Notify => {
                    notify::answer(service.fd.as_fd(), service.waits, chunk.len() as u64)
                        .map_err(|_| PlatformError::StubDied)?;
                    let (id, result) = receive(&service.fd)?;
                    service.waits = id;
                    result
                }
                Variant::Futex => self.batch_by_futex(&service, chunk.len())?,
            };
            if result != 0 {
                let errno = result.cast_signed().wrapping_neg();
                return Ok(Err(Errno::from_raw(i32::try_from(errno).unwrap_or(libc::EIO))));
            }
        }
        Ok(Ok(()))
    }

    fn batch_by_futex(&self, service: &Service, records: usize) -> Result<u64, PlatformError> {
        self.page.write(text::COUNT, records as u64);
        let batch = self.page.word(text::BATCH);
        batch.fetch_add(1, Ordering::Release);
        futex::wake(batch, 1);
        while !eventfd::wait(service.fd.as_fd(), Duration::from_millis(500)) {
            if self.leader.is_doomed() || !self.leader.lives() {
                return Err(PlatformError::StubDied);
            }
        }
        match eventfd::take(service.fd.as_fd()) {
            Ok(DONE) => Ok(0),
            // Which error it was is not told.
            Ok(_) => Ok(i64::from(-libc::ENOMEM).cast_unsigned()),
            Err(errno) => Err(host_error("eventfd of a stub", errno)),
        }
    }

    /// An idle thread, or a new one.
    pub(super) fn thread(&self) -> Result<Thread, PlatformError> {
        self.be_up()?;
        if let Some(thread) = self.parked.lock().pop() {
            return Ok(thread);
        }
        let mut orders = self.orders.lock();
        let (area, link) = match orders.failed.take() {
            Some(again) => again,
            None => (self.areas.take().ok_or(NO_AREA)?, new_link(&self.areas, self.variant)?),
        };
        plan_thread(&self.page, &self.areas, &area, &link);
        orders.number = orders.number.wrapping_add(1);
        let order = self.page.word(text::ORDER);
        order.store(orders.number, Ordering::Release);
        futex::wake(order, 1);
        Thread::arrive(&self.leader, area, link, self.eagerness).map_err(|(error, area, link)| {
            orders.failed = Some((area, link));
            error
        })
    }

    /// Keeps a thread for the next context, or ends it.
    pub(super) fn park(&self, mut thread: Thread) {
        thread.look_no_longer();
        if let Waiting::Told(_) = thread.waiting()
            && !thread.settle()
        {
            return;
        }
        let mut parked = self.parked.lock();
        // One in a call would have to leave it first, with the application's memory still there.
        let in_call = thread.call().is_some();
        if parked.len() < MAX_PARKED || in_call || self.variant == Variant::Futex {
            parked.push(thread);
        } else {
            drop(parked);
            self.end_thread(thread);
        }
    }

    /// Ends a thread and takes its area away. The process is of no use any more if that fails.
    fn end_thread(&self, mut thread: Thread) -> bool {
        let over = self.variant == Variant::Notify && thread.end();
        let area = thread.into_area();
        let unmap = [libc::SYS_munmap as u64, area.address(), area::LEN, 0, 0, 0, 0];
        let gone = over && matches!(self.batch(&[unmap]), Ok(Ok(())));
        if gone {
            area.release();
        } else {
            self.leader.doom();
        }
        gone
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.leader.end();
        let orders = self.orders.get_mut();
        let planned = [orders.first.take(), orders.failed.take()].into_iter().flatten();
        planned.for_each(|(area, _)| area.release());
        self.parked.get_mut().drain(..).for_each(|thread| thread.into_area().release());
    }
}

/// The next notification of a service thread, and its result.
fn receive(listener: &OwnedFd) -> Result<(u64, u64), PlatformError> {
    match notify::receive(listener.as_fd()) {
        Ok(call) => Ok((call.id, call.args[0])),
        Err(Errno::ENOTCONN) => Err(PlatformError::StubDied),
        Err(errno) => Err(host_error("SECCOMP_IOCTL_NOTIF_RECV", errno)),
    }
}

/// Writes into a command page what the next thread needs.
fn plan_thread(page: &CommandPage, areas: &Areas, area: &Area, link: &Link) {
    if let Link::Listener(listener) = link {
        page.write(text::LISTENER, listener.as_raw_fd() as u64);
    }
    area.prepare();
    page.write(text::AREA, area.address());
    page.write(text::AREA_FILE, areas.file().as_raw_fd() as u64);
    page.write(text::AREA_OFFSET, area.offset());
    page.write(text::STACK, area.address());
    page.write(text::STACK + 8, 0);
    page.write(text::STACK + 16, area::STACK_TOP);
}

fn new_link(areas: &Areas, variant: Variant) -> Result<Link, PlatformError> {
    match variant {
        Variant::Notify => Ok(Link::Listener(placeholder(areas)?)),
        Variant::Futex => Ok(Link::Futex),
    }
}

const NO_AREA: PlatformError = host_error("area of a stub", Errno::EAGAIN);

/// A descriptor that a thread in a stub will replace by its listener.
fn placeholder(areas: &Areas) -> Result<OwnedFd, PlatformError> {
    areas.file().try_clone_to_owned().map_err(|_| host_error("descriptor of a stub", Errno::EMFILE))
}
