//! Changing process groups and sessions: setpgid(2), setsid(2), and reading them.

use std::sync::Arc;

use abi::Errno;

use super::session::{ProcessGroup, Session};
use super::{CurrentTask, ThreadGroup};
use crate::error::{Result, err};

impl CurrentTask {
    /// The process of a number, 0 being the caller's; ESRCH if there is none.
    fn group_of(&self, pid: i32) -> Result<Arc<ThreadGroup>> {
        match pid {
            0 => Ok(Arc::clone(self.group())),
            pid => Ok(Arc::clone(self.pid_ns().task(pid).ok_or(Errno::ESRCH)?.group())),
        }
    }

    /// getpgid(2).
    pub fn process_group_of(&self, pid: i32) -> Result<i32> {
        let process_group = self.group_of(pid)?.process_group().ok_or(Errno::ESRCH)?;
        Ok(process_group.pid().number_in(self.pid_ns()))
    }

    /// getsid(2).
    pub fn session_of(&self, pid: i32) -> Result<i32> {
        let session = self.group_of(pid)?.session().ok_or(Errno::ESRCH)?;
        Ok(session.pid().number_in(self.pid_ns()))
    }

    /// setsid(2): a new session with a new process group. EPERM if the caller leads a process group.
    pub fn make_session(&self) -> Result<i32> {
        let _tree = self.kernel().tree.lock();
        let group = self.group();
        let pid = group.pid();
        if pid.process_group().is_some() || pid.session().is_some() {
            return err(Errno::EPERM);
        }
        let process_group = Session::create(group);
        group.move_to(&process_group);
        Ok(pid.number())
    }

    /// setpgid(2).
    pub fn set_process_group(&self, pid: i32, pgid: i32) -> Result<()> {
        let pid = if pid == 0 { self.group().tgid() } else { pid };
        let pgid = if pgid == 0 { pid } else { pgid };
        if pgid < 0 {
            return err(Errno::EINVAL);
        }
        let _tree = self.kernel().tree.lock();
        let group = self.pid_ns().group(pid).ok_or(Errno::ESRCH)?;
        let own = self.group();
        let own_session = own.session().ok_or(Errno::ESRCH)?;
        if !Arc::ptr_eq(&group, own) {
            // Only a child, in our session, that has not called execve yet.
            let (child, execed) = {
                let links = group.links.lock();
                (links.parent.upgrade().is_some_and(|parent| Arc::ptr_eq(&parent, own)), links.execed)
            };
            if !child {
                return err(Errno::ESRCH);
            }
            if !group.session().is_some_and(|session| Arc::ptr_eq(&session, &own_session)) {
                return err(Errno::EPERM);
            }
            if execed {
                return err(Errno::EACCES);
            }
        }
        if group.is_session_leader() {
            return err(Errno::EPERM);
        }
        let process_group = match self.pid_ns().process_group(pgid) {
            Some(found) => {
                if !Arc::ptr_eq(found.session(), &own_session) {
                    return err(Errno::EPERM);
                }
                found
            }
            None if pgid == pid => ProcessGroup::create(group.pid(), &own_session),
            None => return err(Errno::EPERM),
        };
        group.move_to(&process_group);
        Ok(())
    }
}

impl ThreadGroup {
    /// Leaves its process group for another. Under `Tree`.
    pub(super) fn move_to(self: &Arc<Self>, process_group: &Arc<ProcessGroup>) {
        let old = self.links.lock().process_group.replace(Arc::clone(process_group));
        if let Some(old) = &old {
            if Arc::ptr_eq(old, process_group) {
                return;
            }
            old.leave(self);
        }
        process_group.join(self);
    }
}
