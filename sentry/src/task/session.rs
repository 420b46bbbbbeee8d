//! Process groups, sessions and controlling terminals (credentials(7), setsid(2), tty(4)).
//!
//! A process holds its process group, a process group its session; each exists as long as somebody holds it. Which
//! processes are members changes only under the `Tree` lock.

use std::any::Any;
use std::fmt::Debug;
use std::sync::{Arc, Weak};

use sync::Mutex;

use super::ThreadGroup;
use super::pid::Pid;
use crate::lock_order::{Leaf, TreeLinks};

/// A session: process groups that share a controlling terminal.
#[derive(Debug)]
pub struct Session {
    pid: Arc<Pid>,
    leader: Weak<ThreadGroup>,
    tty: Mutex<Option<Arc<dyn ControllingTty>>, Leaf>,
}

/// A process group: processes that get signals together (a job).
#[derive(Debug)]
pub struct ProcessGroup {
    pid: Arc<Pid>,
    session: Arc<Session>,
    members: Mutex<Vec<Weak<ThreadGroup>>, TreeLinks>,
}

/// A terminal as its session sees it. Implemented by `fs::tty`, which keeps the foreground process group.
pub trait ControllingTty: Any + Debug + Send + Sync {
    /// The device number, as /proc/PID/stat shows it.
    fn device(&self) -> u64;

    /// The name under /dev: `pts/0`, `console`.
    fn name(&self) -> String;

    /// The process group that may read and gets the signals of keys.
    fn foreground(&self) -> Option<Arc<ProcessGroup>>;

    /// The terminal of the host that it may be joined to has another size.
    fn host_resized(&self);

    /// The session has lost it: its leader died (`hangup`: the foreground process group gets SIGHUP and SIGCONT) or gave it
    /// up with TIOCNOTTY. Called without any lock; the session's slot is already empty.
    fn disassociate(&self, session: &Arc<Session>, hangup: bool);

    /// For `fs::tty` to find its own type.
    fn as_any(&self) -> &dyn Any;
}

impl Session {
    /// A new session with one new process group, both with the leader's pid. Under `Tree`.
    pub(super) fn create(leader: &Arc<ThreadGroup>) -> Arc<ProcessGroup> {
        let pid = leader.pid();
        let session = Arc::new(Self { pid: Arc::clone(pid), leader: Arc::downgrade(leader), tty: Mutex::new(None) });
        pid.set_session(Some(Arc::downgrade(&session)));
        ProcessGroup::create(pid, &session)
    }

    /// Its identity.
    #[must_use]
    pub fn pid(&self) -> &Arc<Pid> {
        &self.pid
    }

    /// The process that made it, while it lives.
    #[must_use]
    pub fn leader(&self) -> Option<Arc<ThreadGroup>> {
        self.leader.upgrade()
    }

    /// The controlling terminal.
    #[must_use]
    pub fn tty(&self) -> Option<Arc<dyn ControllingTty>> {
        self.tty.lock().clone()
    }

    /// Makes a terminal the controlling one if there is none; returns whether there was none.
    pub fn set_tty(&self, tty: Arc<dyn ControllingTty>) -> bool {
        let mut slot = self.tty.lock();
        if slot.is_some() {
            return false;
        }
        *slot = Some(tty);
        true
    }

    /// Takes the controlling terminal away.
    pub fn take_tty(&self) -> Option<Arc<dyn ControllingTty>> {
        self.tty.lock().take()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.pid.set_session(None);
    }
}

impl ProcessGroup {
    /// A new, empty process group with this pid. Under `Tree`.
    pub(super) fn create(pid: &Arc<Pid>, session: &Arc<Session>) -> Arc<Self> {
        let group =
            Arc::new(Self { pid: Arc::clone(pid), session: Arc::clone(session), members: Mutex::new(Vec::new()) });
        pid.set_process_group(Some(Arc::downgrade(&group)));
        group
    }

    /// Its identity.
    #[must_use]
    pub fn pid(&self) -> &Arc<Pid> {
        &self.pid
    }

    /// The session it belongs to.
    #[must_use]
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// The processes in it, zombies included.
    #[must_use]
    pub fn members(&self) -> Vec<Arc<ThreadGroup>> {
        self.members.lock().iter().filter_map(Weak::upgrade).collect()
    }

    pub(super) fn join(&self, group: &Arc<ThreadGroup>) {
        self.members.lock().push(Arc::downgrade(group));
    }

    pub(super) fn leave(&self, group: &Arc<ThreadGroup>) {
        self.members.lock().retain(|m| !std::ptr::eq(m.as_ptr(), Arc::as_ptr(group)));
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        self.pid.set_process_group(None);
    }
}
