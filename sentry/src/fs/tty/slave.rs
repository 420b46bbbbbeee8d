//! The program's side of a terminal.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use abi::Errno;
use abi::capability::Cap;
use abi::fcntl::OpenFlags;
use abi::poll::{POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM};
use sync::WaitQueue;

use super::Tty;
use crate::error::{Error, Result, SysResult, err};
use crate::io::{IoDst, IoSrc};
use crate::task::CurrentTask;
use crate::vfs::{File, FileOps};

/// How much one read or write handles at a time.
const CHUNK: usize = 4096;

/// An open terminal.
#[derive(Debug)]
pub struct Slave {
    tty: Arc<Tty>,
}

/// Opens a terminal. EIO if its master is gone or it is locked; EBUSY if somebody has it exclusively.
pub fn open(tty: &Arc<Tty>, task: &CurrentTask, flags: OpenFlags) -> Result<Arc<dyn FileOps>> {
    if tty.is_hung_up() || tty.locked.load(Ordering::SeqCst) {
        return err(Errno::EIO);
    }
    if tty.state.lock().exclusive && !task.creds().has(Cap::CAP_SYS_ADMIN) {
        return err(Errno::EBUSY);
    }
    let slave = Slave::new(tty);
    if !flags.contains(OpenFlags::O_NOCTTY) {
        tty.adopt(task);
    }
    Ok(slave)
}

impl Slave {
    /// An open terminal, whoever opens it.
    #[must_use]
    pub fn new(tty: &Arc<Tty>) -> Arc<Self> {
        tty.slaves.fetch_add(1, Ordering::SeqCst);
        tty.state.lock().slave_seen = true;
        Arc::new(Self { tty: Arc::clone(tty) })
    }

    /// The terminal.
    #[must_use]
    pub fn tty(&self) -> &Arc<Tty> {
        &self.tty
    }
}

impl FileOps for Slave {
    fn read(&self, _: &File, task: &CurrentTask, _: u64, dst: &mut IoDst<'_>) -> Result<usize> {
        if self.tty.is_hung_up() || dst.remaining() == 0 {
            return Ok(0);
        }
        self.tty.check_read(task)?;
        let mut state = self.tty.state.lock();
        let Some(bytes) = state.discipline.read(dst.remaining().min(CHUNK)) else {
            return if state.discipline.polls() { Ok(0) } else { err(Errno::EAGAIN) };
        };
        drop(state);
        // There is room for more from the keyboard.
        self.tty.master_queue.notify(POLLOUT | POLLWRNORM);
        if bytes.is_empty() { Ok(0) } else { dst.put(&bytes) }
    }

    fn write(&self, _: &File, task: &CurrentTask, _: &mut u64, src: &mut IoSrc<'_>) -> Result<usize> {
        if self.tty.is_hung_up() {
            return err(Errno::EIO);
        }
        self.tty.check_write(task)?;
        let mut bytes = vec![0; src.remaining().min(CHUNK)];
        let mut look = src.clone();
        let n = look.take(&mut bytes)?;
        let taken = self.tty.state.lock().discipline.write(&bytes[..n]);
        if taken == 0 && n > 0 {
            return err(Errno::EAGAIN);
        }
        src.take_exact(&mut bytes[..taken])?;
        self.tty.master_queue.notify(POLLIN | POLLRDNORM);
        Ok(taken)
    }

    fn poll(&self, _: &File) -> u32 {
        if self.tty.is_hung_up() {
            return POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM | POLLHUP | POLLERR;
        }
        let state = self.tty.state.lock();
        let mut events = 0;
        if state.discipline.readable() {
            events |= POLLIN | POLLRDNORM;
        }
        if state.discipline.has_output_room() {
            events |= POLLOUT | POLLWRNORM;
        }
        events
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.tty.slave_queue)
    }

    fn timeout(&self, write: bool, so_far: usize) -> Option<Duration> {
        let tenths = if write { 0 } else { self.tty.state.lock().discipline.read_timeout(so_far) };
        (tenths > 0).then(|| Duration::from_millis(u64::from(tenths) * 100))
    }

    fn timed_wait_failed(&self, error: Error) -> Result<usize> {
        if error.is(Errno::ETIMEDOUT) { Ok(0) } else { Err(error) }
    }

    fn reads_on(&self, so_far: usize) -> bool {
        self.tty.state.lock().discipline.reads_on(so_far)
    }

    fn ioctl(&self, _: &File, task: &CurrentTask, cmd: u32, arg: u64) -> SysResult {
        if self.tty.is_hung_up() {
            return err(Errno::EIO);
        }
        self.tty.common_ioctl(task, cmd, arg, false)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Drop for Slave {
    fn drop(&mut self) {
        if self.tty.slaves.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.tty.master_queue.notify(POLLIN | POLLRDNORM | POLLHUP);
        }
    }
}
