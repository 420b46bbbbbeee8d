//! Process numbers and pid namespaces (pid_namespaces(7)).
//!
//! A [`Pid`] is one identity with a number in its namespace and in each ancestor of it. Threads, processes, process groups
//! and sessions use pids; the numbers become free when nothing uses the pid any more, while a pidfd may still hold it.
//! Locks: `Pids` (one namespace's numbers), `PidUses` (one pid's users); both are taken alone or under `Tree`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use abi::Errno;
use abi::limits::PID_MAX_DEFAULT;
use abi::sched::MAX_PID_NS_LEVEL;
use abi::wait::WaitStatus;
use sync::{Mutex, WaitQueue};

use super::namespaces::NsId;
use super::session::{ProcessGroup, Session};
use super::user_ns::UserNamespace;
use super::{Task, ThreadGroup};
use crate::error::{Result, err};
use crate::lock_order::{PidUses, Pids};

/// Numbers below this are not used again after the first wrap-around.
const RESERVED_PIDS: i32 = 300;

/// A pid namespace.
#[derive(Debug)]
pub struct PidNamespace {
    /// What /proc/PID/ns/pid shows.
    pub id: NsId,
    /// The user namespace that owns it.
    pub user_ns: Arc<UserNamespace>,
    parent: Option<Arc<PidNamespace>>,
    level: usize,
    numbers: Mutex<Numbers, Pids>,
    /// The process with number 1, which adopts orphans and whose death ends the namespace.
    init: OnceLock<Weak<ThreadGroup>>,
    /// Its init has died: no new process can be made.
    dying: AtomicBool,
    /// Numbers in use; `emptied` is told when one becomes free.
    used: AtomicUsize,
    emptied: WaitQueue,
}

#[derive(Debug)]
struct Numbers {
    /// `None` while the pid is being made.
    map: BTreeMap<i32, Option<Arc<Pid>>>,
    last: i32,
    /// One past the largest number (/proc/sys/kernel/pid_max).
    max: i32,
}

/// One identity, with a number for each pid namespace that can see it.
#[derive(Debug)]
pub struct Pid {
    ns: Arc<PidNamespace>,
    /// By level of the namespace, the root first.
    numbers: Box<[i32]>,
    uses: Mutex<Uses, PidUses>,
    /// How it ended, once it was waited for.
    exit: OnceLock<WaitStatus>,
    /// Told (POLLIN) when the thread, and (POLLHUP) when the process has ended and was waited for; what a pidfd polls.
    pub exit_queue: WaitQueue,
}

/// What a pid is in use as.
#[derive(Debug, Default)]
struct Uses {
    task: Option<Arc<Task>>,
    group: Option<Arc<ThreadGroup>>,
    process_group: Option<Weak<ProcessGroup>>,
    session: Option<Weak<Session>>,
    /// The numbers were given back.
    released: bool,
}

impl Uses {
    fn none(&self) -> bool {
        self.task.is_none() && self.group.is_none() && self.process_group.is_none() && self.session.is_none()
    }
}

impl PidNamespace {
    /// The outermost namespace of the sandbox.
    #[must_use]
    pub fn root(user_ns: Arc<UserNamespace>) -> Arc<Self> {
        Arc::new(Self::make(NsId::INITIAL_PID, user_ns, None, 0))
    }

    /// A namespace inside `parent`. ENOSPC at the nesting limit.
    pub fn nested(parent: &Arc<Self>, user_ns: Arc<UserNamespace>) -> Result<Arc<Self>> {
        let level = parent.level + 1;
        if u64::try_from(level).is_ok_and(|l| l > MAX_PID_NS_LEVEL) {
            return err(Errno::ENOSPC);
        }
        Ok(Arc::new(Self::make(NsId::new(), user_ns, Some(Arc::clone(parent)), level)))
    }

    fn make(id: NsId, user_ns: Arc<UserNamespace>, parent: Option<Arc<Self>>, level: usize) -> Self {
        Self {
            id,
            user_ns,
            parent,
            level,
            numbers: Mutex::new(Numbers { map: BTreeMap::new(), last: 0, max: PID_MAX_DEFAULT }),
            init: OnceLock::new(),
            dying: AtomicBool::new(false),
            used: AtomicUsize::new(0),
            emptied: WaitQueue::new(),
        }
    }

    /// The namespace it is nested in.
    #[must_use]
    pub fn parent(&self) -> Option<&Arc<Self>> {
        self.parent.as_ref()
    }

    /// Depth: 0 is the root.
    #[must_use]
    pub fn level(&self) -> usize {
        self.level
    }

    /// Whether `self` is `other` or one of its descendants.
    #[must_use]
    pub fn is_within(self: &Arc<Self>, other: &Arc<Self>) -> bool {
        let mut at = Some(self);
        while let Some(ns) = at {
            if Arc::ptr_eq(ns, other) {
                return true;
            }
            at = ns.parent.as_ref();
        }
        false
    }

    /// The process with number 1, while it lives.
    #[must_use]
    pub fn init(&self) -> Option<Arc<ThreadGroup>> {
        self.init.get()?.upgrade()
    }

    /// Makes `group` the init; only the first call counts.
    pub(super) fn set_init(&self, group: &Arc<ThreadGroup>) {
        let _ = self.init.set(Arc::downgrade(group));
    }

    /// Whether its init has died.
    #[must_use]
    pub fn is_dying(&self) -> bool {
        self.dying.load(Ordering::Acquire)
    }

    pub(super) fn set_dying(&self) {
        self.dying.store(true, Ordering::Release);
    }

    /// How many numbers are in use.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Acquire)
    }

    /// Told whenever a number becomes free.
    #[must_use]
    pub(super) fn emptied(&self) -> &WaitQueue {
        &self.emptied
    }

    /// The number the next process will follow (/proc/loadavg's last field).
    #[must_use]
    pub fn last_number(&self) -> i32 {
        self.numbers.lock().last
    }

    /// Says which number the next process will follow.
    pub fn set_last_number(&self, number: i32) -> Result<()> {
        let mut numbers = self.numbers.lock();
        if !(0..numbers.max).contains(&number) {
            return err(Errno::EINVAL);
        }
        numbers.last = number;
        Ok(())
    }

    /// A new pid, visible here and in all ancestors. `wanted` are clone3(2)'s `set_tid`: numbers for this namespace and
    /// its ancestors, this one first. EAGAIN when the numbers are used up, EEXIST when a wanted one is, ENOMEM when the
    /// namespace has lost its init.
    pub fn allocate(self: &Arc<Self>, wanted: &[i32]) -> Result<Arc<Pid>> {
        let mut numbers = vec![0; self.level + 1].into_boxed_slice();
        let mut at = Some(self);
        let mut wanted = wanted.iter();
        let mut failed = None;
        let mut reserved: Vec<&Arc<Self>> = Vec::with_capacity(self.level + 1);
        while let Some(ns) = at {
            match ns.reserve(wanted.next().copied()) {
                Ok(number) => {
                    numbers[ns.level] = number;
                    reserved.push(ns);
                }
                Err(e) => {
                    failed = Some(e);
                    break;
                }
            }
            at = ns.parent.as_ref();
        }
        if let Some(e) = failed {
            for ns in reserved {
                ns.release(numbers[ns.level]);
            }
            return Err(e);
        }
        let pid = Arc::new(Pid {
            ns: Arc::clone(self),
            numbers,
            exit: OnceLock::new(),
            uses: Mutex::new(Uses::default()),
            exit_queue: WaitQueue::new(),
        });
        for ns in reserved {
            if let Some(place) = ns.numbers.lock().map.get_mut(&pid.numbers[ns.level]) {
                *place = Some(Arc::clone(&pid));
            }
        }
        Ok(pid)
    }

    fn reserve(&self, wanted: Option<i32>) -> Result<i32> {
        if self.is_dying() {
            return err(Errno::ENOMEM);
        }
        let mut numbers = self.numbers.lock();
        let number = match wanted {
            Some(number) => {
                if number < 1 || number >= numbers.max {
                    return err(Errno::EINVAL);
                }
                if number != 1 && numbers.map.is_empty() && self.init.get().is_none() {
                    // The first process of a namespace is its init.
                    return err(Errno::EINVAL);
                }
                if numbers.map.contains_key(&number) {
                    return err(Errno::EEXIST);
                }
                number
            }
            None => numbers.next().ok_or(Errno::EAGAIN)?,
        };
        numbers.map.insert(number, None);
        self.used.fetch_add(1, Ordering::AcqRel);
        Ok(number)
    }

    fn release(&self, number: i32) {
        self.numbers.lock().map.remove(&number);
        self.used.fetch_sub(1, Ordering::AcqRel);
        self.emptied.notify(1);
    }

    /// The pid of a number.
    #[must_use]
    pub fn pid(&self, number: i32) -> Option<Arc<Pid>> {
        self.numbers.lock().map.get(&number)?.clone()
    }

    /// The thread of a number.
    #[must_use]
    pub fn task(&self, number: i32) -> Option<Arc<Task>> {
        self.pid(number)?.task()
    }

    /// The process of a number; `None` for the number of another thread than the leader.
    #[must_use]
    pub fn group(&self, number: i32) -> Option<Arc<ThreadGroup>> {
        self.pid(number)?.group()
    }

    /// The process group of a number.
    #[must_use]
    pub fn process_group(&self, number: i32) -> Option<Arc<ProcessGroup>> {
        self.pid(number)?.process_group()
    }

    /// The session of a number.
    #[must_use]
    pub fn session(&self, number: i32) -> Option<Arc<Session>> {
        self.pid(number)?.session()
    }

    /// All pids, by number; those of process groups and sessions that outlived their leader included.
    #[must_use]
    pub fn pids(&self) -> Vec<Arc<Pid>> {
        self.numbers.lock().map.values().flatten().cloned().collect()
    }

    /// The pids with numbers of at least `from`, at most `limit` of them; what a listing of /proc reads.
    #[must_use]
    pub fn pids_from(&self, from: i32, limit: usize) -> Vec<Arc<Pid>> {
        self.numbers.lock().map.range(from..).filter_map(|(_, pid)| pid.clone()).take(limit).collect()
    }

    /// All processes visible here, zombies included.
    #[must_use]
    pub fn groups(&self) -> Vec<Arc<ThreadGroup>> {
        self.pids().iter().filter_map(|pid| pid.group()).collect()
    }
}

impl Numbers {
    /// The next free number after the last one, wrapping around.
    fn next(&mut self) -> Option<i32> {
        let first = |from: i32, to: i32, map: &BTreeMap<i32, Option<Arc<Pid>>>| {
            let mut number = from;
            for used in map.range(from.min(to)..to).map(|(n, _)| *n) {
                if used != number {
                    break;
                }
                number += 1;
            }
            (number < to).then_some(number)
        };
        let low = if self.last >= RESERVED_PIDS { RESERVED_PIDS.min(self.max) } else { 1 };
        let found = first(self.last.saturating_add(1), self.max, &self.map)
            .or_else(|| first(low, self.max.min(self.last.saturating_add(1)), &self.map))?;
        self.last = found;
        Some(found)
    }
}

impl Pid {
    /// The innermost namespace that sees it.
    #[must_use]
    pub fn ns(&self) -> &Arc<PidNamespace> {
        &self.ns
    }

    /// Its number in the innermost namespace.
    #[must_use]
    pub fn number(&self) -> i32 {
        self.numbers.last().copied().unwrap_or(0)
    }

    /// Its number as `ns` sees it; 0 if it does not.
    #[must_use]
    pub fn number_in(&self, ns: &Arc<PidNamespace>) -> i32 {
        if Arc::ptr_eq(ns, &self.ns) {
            return self.number();
        }
        if self.ns.is_within(ns) { self.numbers.get(ns.level).copied().unwrap_or(0) } else { 0 }
    }

    /// Its numbers, the innermost namespace's last, beginning with that of `ns` (NSpid of /proc/PID/status).
    #[must_use]
    pub fn numbers_from(&self, ns: &Arc<PidNamespace>) -> &[i32] {
        if self.ns.is_within(ns) { self.numbers.get(ns.level..).unwrap_or(&[]) } else { &[] }
    }

    /// The thread with this number.
    #[must_use]
    pub fn task(&self) -> Option<Arc<Task>> {
        self.uses.lock().task.clone()
    }

    /// How it ended; `None` until it was waited for.
    #[must_use]
    pub fn exit_status(&self) -> Option<WaitStatus> {
        self.exit.get().copied()
    }

    pub(super) fn set_exit_status(&self, status: WaitStatus) {
        let _ = self.exit.set(status);
    }

    /// The process with this number.
    #[must_use]
    pub fn group(&self) -> Option<Arc<ThreadGroup>> {
        self.uses.lock().group.clone()
    }

    /// The process group with this number.
    #[must_use]
    pub fn process_group(&self) -> Option<Arc<ProcessGroup>> {
        self.uses.lock().process_group.as_ref()?.upgrade()
    }

    /// The session with this number.
    #[must_use]
    pub fn session(&self) -> Option<Arc<Session>> {
        self.uses.lock().session.as_ref()?.upgrade()
    }

    pub(super) fn set_task(&self, task: Option<Arc<Task>>) {
        self.change(|uses| std::mem::replace(&mut uses.task, task));
    }

    pub(super) fn set_group(&self, group: Option<Arc<ThreadGroup>>) {
        self.change(|uses| std::mem::replace(&mut uses.group, group));
    }

    pub(super) fn set_process_group(&self, group: Option<Weak<ProcessGroup>>) {
        self.change(|uses| std::mem::replace(&mut uses.process_group, group));
    }

    pub(super) fn set_session(&self, session: Option<Weak<Session>>) {
        self.change(|uses| std::mem::replace(&mut uses.session, session));
    }

    /// Gives the numbers back if nothing uses the pid; for one that was allocated and then not used.
    pub(super) fn release_if_unused(&self) {
        self.change(|_| ());
    }

    fn change<T>(&self, f: impl FnOnce(&mut Uses) -> T) {
        let (old, release) = {
            let mut uses = self.uses.lock();
            let old = f(&mut uses);
            let release = uses.none() && !uses.released;
            uses.released |= release;
            (old, release)
        };
        if release {
            let mut at = Some(&self.ns);
            while let Some(ns) = at {
                if let Some(number) = self.numbers.get(ns.level) {
                    ns.release(*number);
                }
                at = ns.parent.as_ref();
            }
        }
        drop(old);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_cyclic_and_skip_used_ones() {
        let ns = PidNamespace::root(UserNamespace::root());
        let a = ns.allocate(&[]).unwrap();
        let b = ns.allocate(&[]).unwrap();
        assert_eq!((a.number(), b.number()), (1, 2));
        a.release_if_unused();
        assert_eq!(ns.allocate(&[]).unwrap().number(), 3);
        assert_eq!(ns.used(), 2);
        ns.numbers.lock().last = PID_MAX_DEFAULT - 1;
        assert_eq!(ns.allocate(&[]).unwrap().number(), RESERVED_PIDS);
    }

    #[test]
    fn a_nested_pid_has_a_number_in_every_ancestor() {
        let root = PidNamespace::root(UserNamespace::root());
        let _ = root.allocate(&[]).unwrap();
        let inner = PidNamespace::nested(&root, UserNamespace::root()).unwrap();
        let pid = inner.allocate(&[]).unwrap();
        assert_eq!((pid.number(), pid.number_in(&root)), (1, 2));
        assert_eq!(pid.numbers_from(&root), &[2, 1]);
        assert!(inner.allocate(&[1]).is_err());
        assert!(root.pid(2).is_some_and(|found| Arc::ptr_eq(&found, &pid)));
    }
}
