//! signalfd(2): pending signals as something to read. A reader gets those of its own process and thread, whoever made the
//! file.

use std::any::Any;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use abi::Errno;
use abi::epoll::SignalfdSiginfo;
use abi::poll::{POLLIN, POLLRDNORM};
use abi::siginfo::{SI_TIMER, SigInfo};
use abi::signal::{SigSet, Signal};
use sync::WaitQueue;
use zerocopy::IntoBytes;

use crate::error::{Result, err};
use crate::io::IoDst;
use crate::task::signal::Listener;
use crate::task::{CurrentTask, Task, here};
use crate::vfs::{File, FileOps};

/// A set of signals that can be read.
#[derive(Debug)]
pub struct SignalFd {
    me: Weak<Self>,
    mask: AtomicU64,
    queue: WaitQueue,
}

impl SignalFd {
    /// A file for these signals, made by `task`.
    #[must_use]
    pub fn new(task: &CurrentTask, mask: SigSet) -> Arc<Self> {
        let mask = AtomicU64::new(mask.blockable().0);
        let file = Arc::new_cyclic(|me| Self { me: me.clone(), mask, queue: WaitQueue::new() });
        file.attach(task);
        file
    }

    /// signalfd4(2) on a file that is there already: other signals.
    pub fn set_mask(&self, task: &Task, mask: SigSet) {
        self.mask.store(mask.blockable().0, Ordering::SeqCst);
        self.attach(task);
        self.queue.notify(POLLIN | POLLRDNORM);
    }

    fn mask(&self) -> SigSet {
        SigSet(self.mask.load(Ordering::SeqCst))
    }

    /// Hears of the signals of this task's process from now on.
    fn attach(&self, task: &Task) {
        if let Some(me) = self.me.upgrade() {
            let listener: Arc<dyn Listener> = me;
            task.group().signals.listen(&listener);
        }
    }
}

impl Listener for SignalFd {
    fn pending(&self, signal: Signal) {
        if self.mask().contains(signal) {
            self.queue.notify(POLLIN | POLLRDNORM);
        }
    }
}

impl FileOps for SignalFd {
    fn read(&self, _: &File, task: &CurrentTask, _: u64, dst: &mut IoDst<'_>) -> Result<usize> {
        const SIZE: usize = size_of::<SignalfdSiginfo>();
        if dst.remaining() < SIZE {
            return err(Errno::EINVAL);
        }
        self.attach(task);
        let mut done = 0;
        while dst.remaining() >= SIZE {
            let Some(taken) = task.take_signal(self.mask()) else { break };
            match dst.put(convert(&taken.info).as_bytes()) {
                Ok(n) => done += n,
                Err(e) if done == 0 => return Err(e),
                Err(_) => break,
            }
        }
        if done == 0 { err(Errno::EAGAIN) } else { Ok(done) }
    }

    fn poll(&self, _: &File) -> u32 {
        let Some(task) = here::task() else { return 0 };
        self.attach(&task);
        let pending = task.signals.pending_set().union(task.group().signals.pending_set());
        if pending.intersects(self.mask()) { POLLIN | POLLRDNORM } else { 0 }
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.queue)
    }

    fn fdinfo(&self) -> String {
        format!("sigmask:\t{:016x}\n", self.mask().0)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// What a signal carries, in the layout that does not depend on the word size. Only the part that its code says is set.
fn convert(info: &SigInfo) -> SignalfdSiginfo {
    let mut out = SignalfdSiginfo {
        ssi_signo: info.si_signo.cast_unsigned(),
        ssi_errno: info.si_errno,
        ssi_code: info.si_code,
        ..SignalfdSiginfo::default()
    };
    let value = info.value();
    #[expect(clippy::cast_possible_truncation, reason = "sigval_t holds an int or a pointer")]
    let int = value as u32;
    let sender = |out: &mut SignalfdSiginfo| {
        out.ssi_pid = info.pid().cast_unsigned();
        out.ssi_uid = info.uid();
    };
    match (info.si_code, info.signal()) {
        (SI_TIMER, _) => {
            out.ssi_tid = info.timer_id().cast_unsigned();
            out.ssi_overrun = info.overrun().cast_unsigned();
            out.ssi_ptr = value;
            out.ssi_int = int.cast_signed();
        }
        (1.., Some(Signal::SIGCHLD)) => {
            sender(&mut out);
            out.ssi_status = info.status();
            out.ssi_utime = info.utime().cast_unsigned();
            out.ssi_stime = info.stime().cast_unsigned();
        }
        (1.., Some(Signal::SIGSEGV | Signal::SIGBUS | Signal::SIGILL | Signal::SIGFPE | Signal::SIGTRAP)) => {
            out.ssi_addr = info.addr();
        }
        (1.., Some(Signal::SIGIO)) => {
            #[expect(clippy::cast_possible_truncation, reason = "the events are 16 bits")]
            let band = info.band().cast_unsigned() as u32;
            out.ssi_band = band;
            out.ssi_fd = info.fd();
        }
        (1.., Some(Signal::SIGSYS)) => {
            out.ssi_call_addr = info.call_addr();
            out.ssi_syscall = info.syscall();
            out.ssi_arch = info.arch();
        }
        (code, _) => {
            sender(&mut out);
            if code < 0 {
                out.ssi_ptr = value;
                out.ssi_int = int.cast_signed();
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use abi::siginfo::{CLD_EXITED, SI_QUEUE, SI_USER};

    use super::*;

    #[test]
    fn each_kind_shows_its_own_fields() {
        let user = convert(&SigInfo::user(Signal::SIGUSR1, SI_USER, 5, 6));
        assert_eq!((user.ssi_signo, user.ssi_pid, user.ssi_uid, user.ssi_ptr), (10, 5, 6, 0));
        let queued = convert(&SigInfo::queued(Signal::SIGUSR1, SI_QUEUE, 5, 6, 0x1_0000_0007));
        assert_eq!((queued.ssi_int, queued.ssi_ptr), (7, 0x1_0000_0007));
        let child = convert(&SigInfo::child(CLD_EXITED, 9, 0, 3, 1, 2));
        assert_eq!((child.ssi_pid, child.ssi_status, child.ssi_stime), (9, 3, 2));
        let timer = convert(&SigInfo::timer(Signal::SIGALRM, 4, 2, 8));
        assert_eq!((timer.ssi_tid, timer.ssi_overrun, timer.ssi_int), (4, 2, 8));
        let fault = convert(&SigInfo::fault(Signal::SIGSEGV, 1, 0xdead));
        assert_eq!((fault.ssi_addr, fault.ssi_pid), (0xdead, 0));
    }
}
