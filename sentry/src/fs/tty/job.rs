//! Job control, setpgid(2), tcsetpgrp(3): who may read, write and change the terminal.

use std::sync::Arc;

use abi::Errno;
use abi::capability::Cap;
use abi::siginfo::SigInfo;
use abi::signal::Signal;
use abi::termios::LocalFlags;

use super::Tty;
use crate::error::{Restart, Result, err};
use crate::task::{ControllingTty, CurrentTask, Session};

impl Tty {
    /// Before a read: a background process gets SIGTTIN, or EIO if it could never be continued or does not want the signal.
    pub(super) fn check_read(&self, task: &CurrentTask) -> Result<()> {
        self.check(task, Signal::SIGTTIN)
    }

    /// Before a write: the same with SIGTTOU, only if the terminal has TOSTOP.
    pub(super) fn check_write(&self, task: &CurrentTask) -> Result<()> {
        if self.state.lock().discipline.termios.c_lflag.contains(LocalFlags::TOSTOP) {
            self.check(task, Signal::SIGTTOU)
        } else {
            Ok(())
        }
    }

    /// Before the settings change: the same with SIGTTOU, always.
    pub(super) fn check_change(&self, task: &CurrentTask) -> Result<()> {
        self.check(task, Signal::SIGTTOU)
    }

    fn check(&self, task: &CurrentTask, signal: Signal) -> Result<()> {
        if !self.controls(task) {
            return Ok(());
        }
        let Some(mine) = task.group().process_group() else { return Ok(()) };
        match self.foreground() {
            Some(foreground) if Arc::ptr_eq(&foreground, &mine) => return Ok(()),
            None => return Ok(()),
            Some(_) => {}
        }
        if task.group().signals.ignores_or_blocks(&task.signals, signal) {
            return if signal == Signal::SIGTTIN { err(Errno::EIO) } else { Ok(()) };
        }
        if mine.is_orphaned() {
            return err(Errno::EIO);
        }
        mine.send_signal(SigInfo::kernel(signal));
        Err(Restart::Sys.into())
    }

    /// Whether it is the task's controlling terminal.
    pub(super) fn controls(&self, task: &CurrentTask) -> bool {
        task.group().tty().is_some_and(|tty| std::ptr::addr_eq(Arc::as_ptr(&tty), self))
    }

    /// A session leader without a terminal that opens one (without O_NOCTTY) gets it.
    pub(super) fn adopt(&self, task: &CurrentTask) {
        let owner = self.control.lock().session.upgrade();
        if let Some(session) = task.group().session()
            && task.group().is_session_leader()
            && session.tty().is_none()
            && owner.is_none()
        {
            self.take(task, &session);
        }
    }

    /// TIOCSCTTY.
    pub(super) fn set_controlling(&self, task: &CurrentTask, steal: bool) -> Result<()> {
        let session = task.group().session().ok_or(Errno::EPERM)?;
        if self.controls(task) && task.group().is_session_leader() {
            return Ok(());
        }
        if !task.group().is_session_leader() || session.tty().is_some() {
            return err(Errno::EPERM);
        }
        let owner = self.control.lock().session.upgrade();
        if let Some(owner) = owner {
            if !steal || !task.creds().has(Cap::CAP_SYS_ADMIN) {
                return err(Errno::EPERM);
            }
            owner.take_tty();
        }
        self.take(task, &session);
        Ok(())
    }

    /// Makes it the controlling terminal of a session, with the task's process group in the foreground.
    pub fn take(&self, task: &CurrentTask, session: &Arc<Session>) {
        if session.set_tty(self.me()) {
            let foreground = task.group().process_group().as_ref().map(Arc::downgrade).unwrap_or_default();
            let mut control = self.control.lock();
            control.session = Arc::downgrade(session);
            control.foreground = foreground;
        }
    }

    /// TIOCNOTTY.
    pub(super) fn give_up(&self, task: &CurrentTask) -> Result<()> {
        if !self.controls(task) {
            return err(Errno::ENOTTY);
        }
        // Only a leader takes it from all others; Linux lets anyone else lose it alone, which has no effect here.
        if let Some(session) = task.group().session().filter(|_| task.group().is_session_leader())
            && session.take_tty().is_some()
        {
            self.disassociate(&session, true);
        }
        Ok(())
    }

    /// TIOCGPGRP: ENOTTY unless it is the task's own (`any`: the master asks).
    pub(super) fn foreground_number(&self, task: &CurrentTask, any: bool) -> Result<i32> {
        if !any && !self.controls(task) {
            return err(Errno::ENOTTY);
        }
        Ok(self.foreground().map_or(0, |group| group.pid().number_in(task.pid_ns())))
    }

    /// TIOCSPGRP.
    pub(super) fn set_foreground(&self, task: &CurrentTask, number: i32) -> Result<()> {
        if !self.controls(task) {
            return err(Errno::ENOTTY);
        }
        self.check_change(task)?;
        if number < 0 {
            return err(Errno::EINVAL);
        }
        let session = task.group().session().ok_or(Errno::ENOTTY)?;
        let pid = task.pid_ns().pid(number).ok_or(Errno::ESRCH)?;
        let Some(group) = pid.process_group().filter(|group| Arc::ptr_eq(group.session(), &session)) else {
            return err(Errno::EPERM);
        };
        self.control.lock().foreground = Arc::downgrade(&group);
        Ok(())
    }

    /// TIOCGSID.
    pub(super) fn session_number(&self, task: &CurrentTask, any: bool) -> Result<i32> {
        if !any && !self.controls(task) {
            return err(Errno::ENOTTY);
        }
        let session = self.control.lock().session.upgrade().ok_or(Errno::ENOTTY)?;
        Ok(session.pid().number_in(task.pid_ns()))
    }
}
