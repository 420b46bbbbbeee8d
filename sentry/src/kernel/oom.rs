//! Memory limits of containers: who exceeds one loses its largest process, as under a memory cgroup.
//!
//! First touches of memory are faults of the host that the kernel never sees, so a thread watches: asleep while less is handed
//! out than the lowest limit, and above that looking as often as memory could run out in the meantime. The host's cgroup has
//! the same limit and counts our own memory too, so some is left for that; it is what holds if we come too late. What our own
//! memory takes beyond that is the containers' too: [`room`] keeps it from growing.
//!
//! Engines learn of want of memory from the host's cgroup alone. So where the process that has to go is the one the sandbox
//! lives for, the rest of the limit is used up as well: the host kills the sandbox, which would have ended anyway, with the
//! same status, and counts it.
//!
//! Locks: `Containers` while the list is copied. The thread lives as long as the sandbox.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use abi::siginfo::SigInfo;
use abi::signal::Signal;
use control::{ContainerStats, Failure};
use sync::Parker;

use super::container::Container;
use super::{Kernel, room};
use crate::task::ThreadGroup;

/// The watching thread, once there is one.
#[derive(Debug, Default)]
pub(super) struct Watch {
    started: AtomicBool,
}

/// What our own memory may take of a limit.
const OWN_SHARE: u64 = 8;
const OWN_MOST: u64 = 48 << 20;
/// How fast memory can be filled, bytes in a millisecond.
const FILL_RATE: u64 = 8 << 20;
/// How fast our own memory can grow, bytes in a millisecond.
const OWN_RATE: u64 = 1 << 20;
/// The part of a limit that is kept free of our own memory, so that what runs can end.
const OWN_RESERVE: u64 = 4;
/// Which part of the limits our own memory may be before what is free of it goes back to the host.
const LARGE_HEAP: u64 = 4;
const RARELY: Duration = Duration::from_secs(1);
const OFTEN: Duration = Duration::from_millis(1);
const SELDOM: Duration = Duration::from_millis(50);
/// How long a killed process may take to give back its memory before the next one is killed.
const PATIENCE: Duration = Duration::from_secs(2);
/// Never killed, proc(5).
const OOM_SCORE_ADJ_MIN: i32 = -1000;
const STACK: usize = 128 << 10;
/// How much more than what is left of a limit is used up to be seen by the host: it takes back caches first.
const BEYOND: u64 = 16 << 20;
const OVERRUN_STEP: u64 = 1 << 20;

/// A thread that is no task, asleep.
#[derive(Debug, Default)]
struct Sleeper(Parker);

impl sync::Wake for Sleeper {
    fn wake(&self, _: u32) {
        self.0.wake();
    }
}

impl Kernel {
    /// Watches over memory limits from now on; or looks again, because one has changed.
    pub(super) fn watch_memory(self: &Arc<Self>) {
        if self.oom.started.swap(true, Ordering::SeqCst) {
            self.memfile.alarm().ring();
            return;
        }
        let kernel = Arc::clone(self);
        let started = std::thread::Builder::new().name("oom".into()).stack_size(STACK).spawn(move || kernel.watch());
        if let Err(error) = started {
            self.oom.started.store(false, Ordering::SeqCst);
            tracing::warn!(%error, "no thread for memory limits: the host's cgroup alone keeps them");
        }
    }

    /// What a container uses. One that is alone is charged for all memory of the sandbox, its files in memory included.
    pub(super) fn container_memory(&self, container: &Container) -> u64 {
        if self.containers.lock().len() <= 1 {
            return self.memory_used();
        }
        let processes = container.processes();
        let mut spaces: Vec<_> = processes.iter().filter_map(|process| process.leader()?.mm()).collect();
        spaces.sort_by_key(Arc::as_ptr);
        spaces.dedup_by(|a, b| Arc::ptr_eq(a, b));
        spaces.iter().map(|mm| mm.usage()).map(|usage| usage.anon + usage.shmem).sum()
    }

    /// Waits until more than `seen` processes of a container were killed for want of memory, or it has ended.
    pub fn wait_oom(&self, id: &str, seen: u64) -> Result<ContainerStats, Failure> {
        let container = self.find(id)?;
        let sleeper = Arc::new(Sleeper::default());
        let wake = || Arc::clone(&sleeper) as Arc<dyn sync::Wake>;
        let killed = container.oom_killed().register(!0, wake());
        let ended = container.init().map(|init| (init.pid().exit_queue.register(!0, wake()), init));
        loop {
            sleeper.0.reset();
            if container.oom_kills() > seen || container.init().is_none_or(|init| init.is_dead()) {
                break;
            }
            sleeper.0.park(None);
        }
        container.oom_killed().unregister(killed);
        if let Some((id, init)) = ended {
            init.pid().exit_queue.unregister(id);
        }
        self.container_stats(id)
    }

    fn watch(&self) {
        let sleeper = Arc::new(Sleeper::default());
        let alarm = self.memfile.alarm();
        alarm.queue().register(!0, Arc::clone(&sleeper) as Arc<dyn sync::Wake>);
        let mut given_back = None;
        loop {
            sleeper.0.reset();
            let containers = self.containers();
            let limits = containers.iter().map(|container| threshold(container.memory_limit()));
            let lowest = limits.min().unwrap_or(u64::MAX);
            let own = self.look_at_own_memory(&containers, &mut given_back);
            // Only in a sandbox with one container is it known whose it is.
            let excess = if containers.len() == 1 { own.excess } else { 0 };
            let lowest = lowest.saturating_sub(excess);
            alarm.set(lowest);
            if self.memfile.reserved() <= lowest {
                // What is held here would outlive its end.
                drop(containers);
                sleeper.0.park(own.pause.and_then(|pause| Instant::now().checked_add(pause)));
                continue;
            }
            let left = containers.iter().filter(|container| container.memory_limit() != u64::MAX).map(|container| {
                let limit = threshold(container.memory_limit()).saturating_sub(excess);
                let mut used = self.container_memory(container);
                if used > limit {
                    // What is kept for reuse is nobody's.
                    self.memfile.trim();
                    used = self.container_memory(container);
                }
                if used > limit {
                    self.relieve(container, limit);
                }
                limit.saturating_sub(used)
            });
            let pause = Duration::from_millis(left.min().unwrap_or(u64::MAX) / FILL_RATE).clamp(OFTEN, SELDOM);
            drop(containers);
            sleeper.0.reset();
            sleeper.0.park(Instant::now().checked_add(own.pause.map_or(pause, |own| own.min(pause))));
        }
    }

    /// Says how much the kernel may still keep for applications.
    fn look_at_own_memory(&self, containers: &[Arc<Container>], given_back: &mut Option<Instant>) -> Own {
        let limits = || containers.iter().map(|container| container.memory_limit());
        let own = self.own_memory().filter(|_| limits().all(|limit| limit != u64::MAX));
        let Some(mut own) = own else {
            room::set(None);
            return Own { excess: 0, pause: None };
        };
        // What was freed stays in the heap until somebody asks for it.
        let all = limits().fold(0, u64::saturating_add);
        if own > all / LARGE_HEAP && given_back.is_none_or(|last| last.elapsed() >= RARELY) {
            host::own_memory::give_back();
            *given_back = Some(Instant::now());
            own = self.own_memory().unwrap_or(own);
        }
        let for_applications = limits().map(threshold).fold(0, u64::saturating_add);
        let excess = own.saturating_sub(all - for_applications);
        let (top, used) = (for_applications.saturating_sub(excess), self.memory_used());
        room::set(Some(room::Room { top, used, reserve: (for_applications / OWN_RESERVE).min(OWN_MOST) }));
        let left = top.saturating_sub(used);
        Own { excess, pause: Some(Duration::from_millis(left / OWN_RATE).clamp(OFTEN * 5, RARELY)) }
    }

    /// What is charged to the containers beside their own memory: what the host's cgroup says, where we have one, for that is
    /// what it will hold us to; otherwise our heap and stacks.
    fn own_memory(&self) -> Option<u64> {
        let charged = host::own_memory::charged();
        charged.map(|all| all.saturating_sub(self.memory_used())).or_else(host::own_memory::anonymous)
    }

    /// Kills the process of a container that has most, and waits until its memory is there again.
    fn relieve(&self, container: &Container, limit: u64) {
        let Some(victim) = victim(container, limit) else { return };
        let pid = victim.tgid_in(container.pid_ns());
        tracing::warn!(container = container.id, pid, limit, "memory limit exceeded: process killed");
        let alone = self.containers.lock().len() == 1;
        let first = container.init().is_some_and(|init| Arc::ptr_eq(&init, &victim));
        // Who waits on the control socket hears of it from us.
        if alone && first && container.oom_killed().is_empty() {
            overrun(container.memory_limit().saturating_sub(limit).saturating_add(BEYOND));
        }
        victim.send_signal(SigInfo::user(Signal::SIGKILL, abi::siginfo::SI_USER, 0, 0));
        container.count_oom_kill();
        let deadline = Instant::now() + PATIENCE;
        let sleeper = Arc::new(Sleeper::default());
        while !victim.is_dead() && self.container_memory(container) > limit && Instant::now() < deadline {
            sleeper.0.reset();
            sleeper.0.park(Instant::now().checked_add(OFTEN));
        }
    }
}

/// Uses up that much memory, until the host kills us. Comes back, with all of it free again, where no cgroup of the host's has
/// the limit.
fn overrun(most: u64) {
    let step = usize::try_from(OVERRUN_STEP).unwrap_or(1 << 20);
    let mut filled: Vec<Vec<u8>> = Vec::new();
    for _ in 0..most.min(2 * (OWN_MOST + BEYOND)) / OVERRUN_STEP {
        let mut piece = Vec::new();
        if piece.try_reserve_exact(step).is_err() {
            break;
        }
        piece.resize(step, 1);
        filled.push(piece);
    }
    drop(std::hint::black_box(filled));
}

/// Our own memory, with what the host's kernel keeps for us, as it was seen last.
#[derive(Clone, Copy, Debug)]
struct Own {
    /// What it takes more than is set aside for it.
    excess: u64,
    /// When to look again.
    pause: Option<Duration>,
}

/// What applications may have of a limit.
fn threshold(limit: u64) -> u64 {
    if limit == u64::MAX { limit } else { limit - (limit / OWN_SHARE).min(OWN_MOST) }
}

/// As Linux chooses: a thousandth of the limit counts as one point of oom_score_adj.
fn victim(container: &Container, limit: u64) -> Option<Arc<ThreadGroup>> {
    let candidates = container
        .processes()
        .into_iter()
        .filter(|process| !process.is_dead() && !process.is_exiting() && process.oom_score_adj() > OOM_SCORE_ADJ_MIN);
    candidates.max_by_key(|process| {
        let usage = process.leader().and_then(|task| task.mm()).map(|mm| mm.usage()).unwrap_or_default();
        let bytes = i128::from(usage.anon + usage.shmem);
        bytes + i128::from(limit / 1000) * i128::from(process.oom_score_adj())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_of_a_limit_is_ours() {
        assert_eq!(threshold(64 << 20), 56 << 20);
        assert_eq!(threshold(8 << 30), (8 << 30) - OWN_MOST);
        assert_eq!(threshold(u64::MAX), u64::MAX);
    }
}
