//! Who in a stub process used its CPU time.
//!
//! The host tells other processes only what all threads of a stub used together. It is shared out among the contexts in it
//! by how long each was in application code, which is measured while there are several.
//!
//! Locks: the home of a member, then the members of a process. Neither is held while application code runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use host::clock::Clock;
use host::tsc;
use parking_lot::Mutex;

use crate::cpu::CpuMeter;

/// The CPU time of a stub process.
#[derive(Debug)]
pub(super) struct Shares {
    pid: i32,
    /// Whether there are several members.
    several: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// What was shared out, in nanoseconds.
    shared: u64,
    members: Vec<Arc<Member>>,
}

/// What one context has used, wherever it was.
#[derive(Debug, Default)]
pub(super) struct Member {
    /// In nanoseconds.
    used: AtomicU64,
    /// Ticks of the time stamp counter in application code that were not considered yet.
    ticks: AtomicU64,
    /// The counter when application code began to run; 0 while it does not.
    since: AtomicU64,
    home: Mutex<Option<Arc<Shares>>>,
}

impl Shares {
    pub(super) fn new(pid: i32) -> Self {
        let state = State { shared: 0, members: Vec::new() };
        Self { pid, several: AtomicBool::new(false), state: Mutex::new(state) }
    }

    /// Gives each member its part of what was used since this was last done.
    fn share_out(&self, state: &mut State) {
        let total = Clock::of_process(self.pid).now().ok().and_then(|ns| u64::try_from(ns).ok()).unwrap_or(0);
        let used = total.saturating_sub(state.shared);
        state.shared = state.shared.max(total);
        if let [only] = &*state.members {
            only.used.fetch_add(used, Ordering::Relaxed);
            return;
        }
        let ticks: Vec<u64> = state.members.iter().map(|member| member.take_ticks()).collect();
        let all = ticks.iter().map(|ticks| u128::from(*ticks)).sum::<u128>();
        let count = state.members.len() as u128;
        for (member, ticks) in state.members.iter().zip(ticks) {
            let part = match all {
                0 => u128::from(used) / count.max(1),
                all => u128::from(used) * u128::from(ticks) / all,
            };
            member.used.fetch_add(part as u64, Ordering::Relaxed);
        }
    }
}

impl Member {
    /// The context runs in this process from now on.
    pub(super) fn enter(self: &Arc<Self>, shares: &Arc<Shares>) {
        let mut home = self.home.lock();
        *home = Some(Arc::clone(shares));
        let mut state = shares.state.lock();
        shares.share_out(&mut state);
        self.take_ticks();
        state.members.push(Arc::clone(self));
        shares.several.store(state.members.len() > 1, Ordering::Relaxed);
    }

    /// It does so no more.
    pub(super) fn leave(&self) {
        let Some(shares) = self.home.lock().take() else { return };
        let mut state = shares.state.lock();
        shares.share_out(&mut state);
        state.members.retain(|member| !std::ptr::eq(&**member, self));
        shares.several.store(state.members.len() > 1, Ordering::Relaxed);
    }

    /// Application code is about to run.
    pub(super) fn start(&self, shares: &Shares) {
        if shares.several.load(Ordering::Relaxed) {
            self.since.store(tsc::now(), Ordering::Relaxed);
        }
    }

    /// Application code does not run.
    pub(super) fn stop(&self) {
        if self.since.load(Ordering::Relaxed) != 0 {
            let since = self.since.swap(0, Ordering::Relaxed);
            self.ticks.fetch_add(tsc::now().saturating_sub(since), Ordering::Relaxed);
        }
    }

    /// Reads what was used.
    pub(super) fn meter(self: &Arc<Self>) -> CpuMeter {
        let member = Arc::clone(self);
        CpuMeter::new(move || {
            if let Some(shares) = &*member.home.lock() {
                shares.share_out(&mut shares.state.lock());
            }
            Duration::from_nanos(member.used.load(Ordering::Relaxed))
        })
    }

    fn take_ticks(&self) -> u64 {
        let now = tsc::now();
        let running = match self.since.load(Ordering::Relaxed) {
            0 => 0,
            // Its own thread may stop it at the same moment; then this is nobody's.
            since => match self.since.compare_exchange(since, now, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => now.saturating_sub(since),
                Err(_) => 0,
            },
        };
        self.ticks.swap(0, Ordering::Relaxed).saturating_add(running)
    }
}
