//! Signals that were sent and not taken yet, of a thread or of a thread group.
//!
//! A standard signal is there once, a real-time signal as often as it was queued. A queue has no lock of its own.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::sync::Arc;

use abi::siginfo::{SI_TIMER, SI_USER, SigInfo};
use abi::signal::{SigSet, Signal};

use super::Charge;

/// A POSIX timer, as the signal that it sent sees it.
pub trait TimerSignal: Debug + Send + Sync {
    /// The signal is being taken, or thrown away: the timer goes on. Returns how many expirations it stands for beyond
    /// the first. Called with the queue's lock held.
    fn taken(&self) -> i32;
}

/// A queue of signals.
#[derive(Debug, Default)]
pub struct Pending {
    set: SigSet,
    queue: VecDeque<Entry>,
}

#[derive(Debug)]
struct Entry {
    signal: Signal,
    info: SigInfo,
    timer: Option<Arc<dyn TimerSignal>>,
    _charge: Option<Charge>,
}

/// A signal taken out of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dequeued {
    /// Which.
    pub signal: Signal,
    /// What it carries.
    pub info: SigInfo,
}

impl Pending {
    /// Which signals are there.
    #[must_use]
    pub fn set(&self) -> SigSet {
        self.set
    }

    /// Whether a signal must not be queued again: a standard signal that is there already.
    #[must_use]
    pub fn merges(&self, signal: Signal) -> bool {
        !signal.is_realtime() && self.set.contains(signal)
    }

    /// Appends a signal. The caller has asked [`Self::merges`].
    pub fn push(&mut self, signal: Signal, info: SigInfo, timer: Option<Arc<dyn TimerSignal>>, charge: Option<Charge>) {
        self.set.insert(signal);
        self.queue.push_back(Entry { signal, info, timer, _charge: charge });
    }

    /// Notes a signal without what it carries, when nothing more could be queued, or nothing need be.
    pub fn mark(&mut self, signal: Signal) {
        self.set.insert(signal);
    }

    /// Takes signals away, unseen.
    pub fn discard(&mut self, signals: SigSet) {
        if self.set.intersects(signals) {
            self.set = self.set.difference(signals);
            self.queue.retain(|e| {
                let goes = signals.contains(e.signal);
                if goes && let Some(timer) = &e.timer {
                    timer.taken();
                }
                !goes
            });
        }
    }

    /// Takes the signal of a timer away (the timer was deleted).
    pub fn discard_timer(&mut self, timer: &Arc<dyn TimerSignal>) {
        let same = |e: &Entry| e.timer.as_ref().is_some_and(|t| Arc::ptr_eq(t, timer));
        let Some(at) = self.queue.iter().position(same) else { return };
        let Some(entry) = self.queue.remove(at) else { return };
        self.drop_bit_of(entry.signal);
    }

    /// What signals carry, the oldest first.
    #[must_use]
    pub fn infos(&self, from: usize, count: usize) -> Vec<SigInfo> {
        self.queue.iter().skip(from).take(count).map(|entry| entry.info).collect()
    }

    /// Whether the signal of this timer is there.
    #[must_use]
    pub fn has_timer(&self, timer: &Arc<dyn TimerSignal>) -> bool {
        self.queue.iter().any(|e| e.timer.as_ref().is_some_and(|t| Arc::ptr_eq(t, timer)))
    }

    /// Takes the next signal that is not in `blocked`: those that a fault raises first, then the lowest number; of one
    /// number the oldest.
    pub fn take(&mut self, blocked: SigSet) -> Option<Dequeued> {
        let ready = self.set.difference(blocked);
        let signal = ready.intersection(SigSet::SYNCHRONOUS).first().or_else(|| ready.first())?;
        let found = self.queue.iter().position(|e| e.signal == signal).and_then(|at| self.queue.remove(at));
        self.drop_bit_of(signal);
        let Some(entry) = found else {
            // Only marked: it looks like a kill by nobody, as on Linux.
            return Some(Dequeued { signal, info: SigInfo::user(signal, SI_USER, 0, 0) });
        };
        Some(entry.into_dequeued())
    }

    /// Takes the oldest signal that the kernel itself raised for a fault, if it is not blocked. It comes before any other, so
    /// that its frame shows the instruction that failed.
    pub fn take_synchronous(&mut self, blocked: SigSet) -> Option<Dequeued> {
        let ready = self.set.difference(blocked).intersection(SigSet::SYNCHRONOUS);
        if ready.is_empty() {
            return None;
        }
        let at = self.queue.iter().position(|e| ready.contains(e.signal) && e.info.si_code > SI_USER)?;
        let entry = self.queue.remove(at)?;
        self.drop_bit_of(entry.signal);
        Some(entry.into_dequeued())
    }

    /// Clears the bit of a signal of which nothing is queued any more.
    fn drop_bit_of(&mut self, signal: Signal) {
        if !self.queue.iter().any(|e| e.signal == signal) {
            self.set.remove(signal);
        }
    }
}

impl Entry {
    fn into_dequeued(self) -> Dequeued {
        let mut info = self.info;
        if let Some(timer) = self.timer {
            let overrun = timer.taken();
            // setitimer(2)'s SIGALRM carries nothing.
            if info.si_code == SI_TIMER {
                info.set_overrun(overrun);
            }
        }
        Dequeued { signal: self.signal, info }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rt(n: i32) -> Signal {
        Signal::new(34 + n).expect("a real-time signal")
    }

    fn push(queue: &mut Pending, signal: Signal, value: u64) {
        if !queue.merges(signal) {
            queue.push(signal, SigInfo::queued(signal, -1, 1, 0, value), None, None);
        }
    }

    #[test]
    fn order_is_faults_then_numbers_then_age() {
        let mut queue = Pending::default();
        for (signal, value) in
            [(rt(1), 1), (Signal::SIGTERM, 2), (rt(0), 3), (rt(1), 4), (Signal::SIGSEGV, 5), (Signal::SIGTERM, 6)]
        {
            push(&mut queue, signal, value);
        }
        let order: Vec<_> =
            std::iter::from_fn(|| queue.take(SigSet::EMPTY)).map(|d| (d.signal, d.info.value())).collect();
        assert_eq!(order, [(Signal::SIGSEGV, 5), (Signal::SIGTERM, 2), (rt(0), 3), (rt(1), 1), (rt(1), 4)]);
        assert!(queue.set().is_empty());
    }

    #[test]
    fn blocked_signals_stay() {
        let mut queue = Pending::default();
        push(&mut queue, Signal::SIGHUP, 1);
        push(&mut queue, Signal::SIGUSR1, 2);
        assert_eq!(queue.take(Signal::SIGHUP.bit()).map(|d| d.signal), Some(Signal::SIGUSR1));
        assert_eq!(queue.take(Signal::SIGHUP.bit()), None);
        queue.discard(Signal::SIGHUP.bit());
        assert_eq!(queue.take(SigSet::EMPTY), None);
    }

    #[test]
    fn a_fault_overtakes_what_others_sent() {
        let mut queue = Pending::default();
        push(&mut queue, Signal::SIGILL, 1);
        queue.push(Signal::SIGSEGV, SigInfo::kernel(Signal::SIGSEGV), None, None);
        assert_eq!(queue.take_synchronous(SigSet::EMPTY).map(|d| d.signal), Some(Signal::SIGSEGV));
        assert_eq!(queue.take_synchronous(SigSet::EMPTY), None);
        assert_eq!(queue.set(), Signal::SIGILL.bit());
    }

    #[test]
    fn a_marked_signal_comes_from_nobody() {
        let mut queue = Pending::default();
        queue.mark(Signal::SIGKILL);
        let taken = queue.take(SigSet::EMPTY).expect("the signal");
        assert_eq!((taken.info.si_code, taken.info.pid()), (SI_USER, 0));
    }

    #[test]
    fn a_timers_signal_tells_it_when_taken_and_goes_with_it() {
        #[derive(Debug)]
        struct Late;
        impl TimerSignal for Late {
            fn taken(&self) -> i32 {
                3
            }
        }
        let timer: Arc<dyn TimerSignal> = Arc::new(Late);
        let mut queue = Pending::default();
        let info = SigInfo::timer(Signal::SIGALRM, 1, 0, 9);
        queue.push(Signal::SIGALRM, info, Some(Arc::clone(&timer)), None);
        assert!(queue.has_timer(&timer));
        assert_eq!(queue.take(SigSet::EMPTY).map(|d| d.info.overrun()), Some(3));
        queue.push(Signal::SIGALRM, info, Some(Arc::clone(&timer)), None);
        queue.discard_timer(&timer);
        assert!(queue.set().is_empty());
    }
}
