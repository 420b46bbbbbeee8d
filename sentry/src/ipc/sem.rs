//! System V semaphores: semget(2), semop(2), semctl(2).
//!
//! A call that must wait leaves its operations with the set. Whoever changes a value performs those that can go on now, in
//! order, before anybody else sees the set: so a wait for zero is not missed, however short the zero lasts.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use abi::Errno;
use abi::ipc::{IPC_NOWAIT, SEM_UNDO, SEMAEM, SEMVMX, Sembuf, SemidDs, Seminfo};
use sync::{Mutex, MutexGuard};

use super::perm::{Perm, READ, WRITE};
use super::undo::SemUndo;
use super::{IpcSpace, seconds};
use crate::error::{Result, err};
use crate::kernel::room;
use crate::lock_order::IpcObject;
use crate::task::{CurrentTask, Pid, Task};

/// A set of semaphores.
#[derive(Debug)]
pub struct SemSet {
    id: i32,
    count: usize,
    state: Mutex<State, IpcObject>,
}

#[derive(Debug)]
struct State {
    perm: Perm,
    sems: Vec<Sem>,
    /// Of calls that wait, the oldest first.
    pending: VecDeque<Pending>,
    next: u64,
    /// What the end of a process changes, by its [`SemUndo`].
    undo: HashMap<u64, Vec<i32>>,
    used: i64,
    changed: i64,
    removed: bool,
}

#[derive(Clone, Debug, Default)]
struct Sem {
    value: i32,
    /// Who changed it last.
    pid: Option<Arc<Pid>>,
}

/// A call that waits.
#[derive(Debug)]
struct Pending {
    id: u64,
    ops: Arc<[Sembuf]>,
    by: Doer,
    task: Arc<Task>,
    /// The operation that cannot go on.
    blocked_on: Sembuf,
    done: Option<Result<(), Errno>>,
}

/// On whose behalf operations are performed.
#[derive(Clone, Debug)]
struct Doer {
    pid: Arc<Pid>,
    undo: Option<u64>,
}

/// Why operations cannot be performed.
enum Obstacle {
    Wait(Sembuf),
    Fail(Errno),
}

impl IpcSpace {
    /// semget(2).
    pub fn semget(&self, task: &CurrentTask, key: i32, count: i32, flags: u32) -> Result<i32> {
        let count = u64::try_from(count).ok().filter(|count| *count <= self.settings.semmsl()).ok_or(Errno::EINVAL)?;
        let admits = |set: &SemSet| {
            if count > set.count as u64 {
                return err(Errno::EINVAL);
            }
            set.state.lock().perm.check(task, flags)
        };
        let most = self.settings.semmns();
        self.sem.get_or_make(key, flags, self.settings.semmni(), admits, |id, in_use| {
            if count == 0 {
                return err(Errno::EINVAL);
            }
            if in_use.saturating_add(count) > most {
                return err(Errno::ENOSPC);
            }
            let weight = count;
            let count = usize::try_from(count).map_err(|_| Errno::EINVAL)?;
            room::take(count.saturating_mul(size_of::<Sem>()))?;
            let set = Arc::new(SemSet {
                id,
                count,
                state: Mutex::new(State {
                    perm: Perm::new(task, key, flags),
                    sems: vec![Sem::default(); count],
                    pending: VecDeque::new(),
                    next: 0,
                    undo: HashMap::new(),
                    used: 0,
                    changed: seconds(),
                    removed: false,
                }),
            });
            Ok((set, weight))
        })
    }

    /// The set with this number.
    pub fn semaphores(&self, id: i32) -> Result<Arc<SemSet>> {
        self.sem.get(id)
    }

    /// SEM_STAT: the set at an index.
    pub fn semaphores_at(&self, index: i32) -> Result<Arc<SemSet>> {
        Ok(self.sem.at(index)?.1)
    }

    /// IPC_INFO and, with `used`, SEM_INFO; and the highest index.
    #[must_use]
    pub fn semaphore_info(&self, used: bool) -> (Seminfo, i32) {
        let [msl, mns, opm, mni] = &self.settings.sem;
        let mut info = Seminfo {
            semmap: mns.as_int(),
            semmni: mni.as_int(),
            semmns: mns.as_int(),
            semmnu: mns.as_int(),
            semmsl: msl.as_int(),
            semopm: opm.as_int(),
            semume: opm.as_int(),
            semusz: 20,
            semvmx: SEMVMX,
            semaem: SEMAEM,
        };
        if used {
            let all = self.sem.all();
            info.semusz = i32::try_from(all.len()).unwrap_or(i32::MAX);
            info.semaem = i32::try_from(all.iter().map(|(_, set)| set.count).sum::<usize>()).unwrap_or(i32::MAX);
        }
        (info, self.sem.highest())
    }

    /// IPC_RMID.
    pub fn remove_semaphores(&self, task: &CurrentTask, id: i32) -> Result<()> {
        let set = self.sem.get(id)?;
        {
            let mut state = set.live()?;
            state.perm.check_owner(task)?;
            state.removed = true;
            state.undo.clear();
            for pending in &mut state.pending {
                pending.done.get_or_insert(Err(Errno::EIDRM));
                pending.task.parker().wake();
            }
        }
        self.sem.remove(id);
        Ok(())
    }

    pub(super) fn semaphore_sets(&self) -> Vec<(i32, Arc<SemSet>)> {
        self.sem.all()
    }
}

impl SemSet {
    /// How many semaphores.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> i32 {
        self.id
    }

    fn live(&self) -> Result<MutexGuard<'_, State>> {
        let state = self.state.lock();
        if state.removed { err(Errno::EIDRM) } else { Ok(state) }
    }

    /// semop(2), semtimedop(2).
    pub fn operate(self: &Arc<Self>, task: &CurrentTask, ops: &[Sembuf], deadline: Option<Instant>) -> Result<()> {
        if ops.iter().any(|op| usize::from(op.sem_num) >= self.count) {
            return err(Errno::EFBIG);
        }
        let alters = ops.iter().any(|op| op.sem_op != 0);
        let undo = ops.iter().any(|op| op.sem_flg & SEM_UNDO != 0).then(|| task.sem_undo());
        let by = Doer { pid: Arc::clone(task.group().pid()), undo: undo.as_ref().map(|undo| undo.id()) };
        let id = {
            let mut state = self.live()?;
            state.perm.check(task, if alters { WRITE } else { READ })?;
            if let Some(undo) = &undo {
                undo.uses(self);
            }
            match state.perform(ops, &by) {
                Ok(()) => {
                    state.used = seconds();
                    if alters {
                        state.go_on();
                    }
                    return Ok(());
                }
                Err(Obstacle::Fail(errno)) => return err(errno),
                Err(Obstacle::Wait(op)) if u32::from(op.sem_flg) & IPC_NOWAIT != 0 => return err(Errno::EAGAIN),
                Err(Obstacle::Wait(op)) => {
                    let id = state.next;
                    state.next += 1;
                    let me = Arc::clone(task);
                    state.pending.push_back(Pending { id, ops: ops.into(), by, task: me, blocked_on: op, done: None });
                    id
                }
            }
        };
        self.wait(task, id, deadline)
    }

    fn wait(&self, task: &CurrentTask, id: u64, deadline: Option<Instant>) -> Result<()> {
        let mut slept = Ok(());
        loop {
            task.reset_wake();
            {
                let mut state = self.state.lock();
                let at = state.pending.iter().position(|p| p.id == id);
                let done = at.and_then(|at| state.pending.get(at)).and_then(|p| p.done);
                if done.is_some() || slept.is_err() {
                    if let Some(at) = at {
                        state.pending.remove(at);
                    }
                    return match (done, slept) {
                        (Some(done), _) => done.map_err(Into::into),
                        // Never made again, whatever SA_RESTART says.
                        (None, Err(e)) => err(if crate::error::Error::is(&e, Errno::ETIMEDOUT) {
                            Errno::EAGAIN
                        } else {
                            Errno::EINTR
                        }),
                        (None, Ok(())) => err(Errno::EIDRM),
                    };
                }
            }
            slept = task.park(deadline);
        }
    }

    /// GETVAL, GETPID, GETNCNT, GETZCNT of one semaphore.
    pub fn look(&self, task: &CurrentTask, number: i32, what: Look) -> Result<i32> {
        let state = self.live()?;
        state.perm.check(task, READ)?;
        let index = self.index(number)?;
        let waiting = |zero: bool| {
            let on = |p: &&Pending| {
                p.done.is_none() && usize::from(p.blocked_on.sem_num) == index && (p.blocked_on.sem_op == 0) == zero
            };
            i32::try_from(state.pending.iter().filter(on).count()).unwrap_or(i32::MAX)
        };
        let sem = state.sems.get(index).ok_or(Errno::EINVAL)?;
        Ok(match what {
            Look::Value => sem.value,
            Look::Pid => sem.pid.as_ref().map_or(0, |pid| pid.number_in(task.pid_ns())),
            Look::WaitForMore => waiting(false),
            Look::WaitForZero => waiting(true),
        })
    }

    /// GETALL.
    pub fn values(&self, task: &CurrentTask) -> Result<Vec<u16>> {
        let state = self.live()?;
        state.perm.check(task, READ)?;
        Ok(state.sems.iter().map(|sem| u16::try_from(sem.value).unwrap_or(0)).collect())
    }

    /// SETVAL.
    pub fn set_value(&self, task: &CurrentTask, number: i32, value: i32) -> Result<()> {
        if !(0..=SEMVMX).contains(&value) {
            return err(Errno::ERANGE);
        }
        let mut state = self.live()?;
        let index = self.index(number)?;
        state.perm.check(task, WRITE)?;
        state.put(index, value, task.group().pid());
        state.changed = seconds();
        state.go_on();
        Ok(())
    }

    /// SETALL.
    pub fn set_values(&self, task: &CurrentTask, values: &[u16]) -> Result<()> {
        let mut state = self.live()?;
        state.perm.check(task, WRITE)?;
        if values.iter().any(|value| i32::from(*value) > SEMVMX) {
            return err(Errno::ERANGE);
        }
        for (index, value) in values.iter().enumerate() {
            state.put(index, (*value).into(), task.group().pid());
        }
        state.changed = seconds();
        state.go_on();
        Ok(())
    }

    /// IPC_STAT; without `any` for those who may read it.
    pub fn stat(&self, task: &CurrentTask, any: bool) -> Result<SemidDs> {
        let state = self.live()?;
        if !any {
            state.perm.check(task, READ)?;
        }
        Ok(SemidDs {
            sem_perm: state.perm.show(task, self.id),
            sem_otime: state.used,
            sem_ctime: state.changed,
            sem_nsems: self.count as u64,
            ..SemidDs::default()
        })
    }

    /// IPC_SET.
    pub fn set(&self, task: &CurrentTask, new: &SemidDs) -> Result<()> {
        let mut state = self.live()?;
        state.perm.check_owner(task)?;
        state.perm.set(task, &new.sem_perm)?;
        state.changed = seconds();
        Ok(())
    }

    fn index(&self, number: i32) -> Result<usize> {
        usize::try_from(number).ok().filter(|index| *index < self.count).ok_or_else(|| Errno::EINVAL.into())
    }

    /// A process has ended: its operations with SEM_UNDO are undone.
    pub(super) fn undo(&self, id: u64, pid: &Arc<Pid>) {
        let mut state = self.state.lock();
        let Some(changes) = state.undo.remove(&id) else { return };
        if state.removed {
            return;
        }
        for (sem, change) in state.sems.iter_mut().zip(changes) {
            if change != 0 {
                sem.value = sem.value.saturating_add(change).clamp(0, SEMVMX);
                sem.pid = Some(Arc::clone(pid));
            }
        }
        state.used = seconds();
        state.go_on();
    }
}

/// What semctl(2) asks about one semaphore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// GETVAL.
    Value,
    /// GETPID.
    Pid,
    /// GETNCNT.
    WaitForMore,
    /// GETZCNT.
    WaitForZero,
}

impl State {
    /// Performs all operations, or none.
    fn perform(&mut self, ops: &[Sembuf], by: &Doer) -> Result<(), Obstacle> {
        let mut done = 0;
        let mut obstacle = None;
        for op in ops {
            match self.apply(op, by.undo, false) {
                Ok(()) => done += 1,
                Err(e) => {
                    obstacle = Some(e);
                    break;
                }
            }
        }
        if let Some(obstacle) = obstacle {
            for op in ops.iter().take(done).rev() {
                let _ = self.apply(op, by.undo, true);
            }
            return Err(obstacle);
        }
        for op in ops {
            if let Some(sem) = self.sems.get_mut(usize::from(op.sem_num)) {
                sem.pid = Some(Arc::clone(&by.pid));
            }
        }
        Ok(())
    }

    /// Applies one operation, or takes it back.
    fn apply(&mut self, op: &Sembuf, undo: Option<u64>, back: bool) -> Result<(), Obstacle> {
        let index = usize::from(op.sem_num);
        let count = self.sems.len();
        let sem = self.sems.get_mut(index).ok_or(Obstacle::Fail(Errno::EFBIG))?;
        let change = if back { -i32::from(op.sem_op) } else { i32::from(op.sem_op) };
        let value = sem.value + change;
        if !back {
            if op.sem_op == 0 && sem.value != 0 || value < 0 {
                return Err(Obstacle::Wait(*op));
            }
            if value > SEMVMX {
                return Err(Obstacle::Fail(Errno::ERANGE));
            }
        }
        if op.sem_flg & SEM_UNDO != 0
            && let Some(id) = undo
        {
            let list = self.undo.entry(id).or_insert_with(|| vec![0; count]);
            if let Some(adjust) = list.get_mut(index) {
                let new = *adjust - change;
                if !back && !(-SEMAEM - 1..=SEMAEM).contains(&new) {
                    return Err(Obstacle::Fail(Errno::ERANGE));
                }
                *adjust = new;
            }
        }
        sem.value = value;
        Ok(())
    }

    /// Sets a value; nobody's end changes it any more.
    fn put(&mut self, index: usize, value: i32, pid: &Arc<Pid>) {
        if let Some(sem) = self.sems.get_mut(index) {
            *sem = Sem { value, pid: Some(Arc::clone(pid)) };
        }
        for list in self.undo.values_mut() {
            if let Some(adjust) = list.get_mut(index) {
                *adjust = 0;
            }
        }
    }

    /// Performs what can go on now. Each success may let others go on, so it starts over; it ends because each takes one
    /// call off the queue.
    fn go_on(&mut self) {
        let mut pending = std::mem::take(&mut self.pending);
        let mut at = 0;
        while let Some(call) = pending.get_mut(at) {
            at += 1;
            if call.done.is_some() {
                continue;
            }
            let result = match self.perform(&call.ops, &call.by) {
                Ok(()) => Ok(()),
                Err(Obstacle::Fail(errno)) => Err(errno),
                Err(Obstacle::Wait(op)) => {
                    call.blocked_on = op;
                    if u32::from(op.sem_flg) & IPC_NOWAIT == 0 {
                        continue;
                    }
                    Err(Errno::EAGAIN)
                }
            };
            call.done = Some(result);
            call.task.parker().wake();
            if result.is_ok() {
                self.used = seconds();
                if call.ops.iter().any(|op| op.sem_op != 0) {
                    at = 0;
                }
            }
        }
        self.pending = pending;
    }
}

impl CurrentTask {
    /// Where its SEM_UNDO operations are remembered; shared by tasks cloned with CLONE_SYSVSEM.
    fn sem_undo(&self) -> Arc<SemUndo> {
        SemUndo::of(self)
    }
}
