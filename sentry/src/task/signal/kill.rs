//! kill(2), tgkill(2), rt_sigqueueinfo(2): whom an application may send what.

use std::sync::Arc;

use abi::Errno;
use abi::capability::Cap;
use abi::siginfo::{SI_TKILL, SI_USER, SigInfo};
use abi::signal::Signal;

use super::TaskSignals;
use crate::error::{Result, err};
use crate::task::session::ProcessGroup;
use crate::task::user_ns::IdKind;
use crate::task::{Credentials, CurrentTask, Task, ThreadGroup};

/// What an application sends.
#[derive(Clone, Copy, Debug)]
enum Message {
    /// kill(2) and tgkill(2): the kernel fills in who sent it.
    Plain { code: i32 },
    /// sigqueue(3): the sender says what it carries.
    Queued(SigInfo),
}

impl CurrentTask {
    /// kill(2). `signo` 0 only asks whether it would be allowed.
    pub fn kill(&self, pid: i32, signo: i32) -> Result<()> {
        let message = Message::Plain { code: SI_USER };
        match pid {
            1.. => self.signal_process(&self.find_process(pid)?, signo, message),
            0 => self.signal_group(&self.group().process_group().ok_or(Errno::ESRCH)?, signo),
            -1 => self.signal_all(signo),
            i32::MIN => err(Errno::ESRCH),
            _ => self.signal_group(&self.pid_ns().process_group(-pid).ok_or(Errno::ESRCH)?, signo),
        }
    }

    /// tgkill(2); without `tgid` tkill(2).
    pub fn tgkill(&self, tgid: Option<i32>, tid: i32, signo: i32) -> Result<()> {
        self.signal_thread(tgid, tid, signo, Message::Plain { code: SI_TKILL })
    }

    /// rt_sigqueueinfo(2).
    pub fn sigqueue(&self, pid: i32, signo: i32, info: SigInfo) -> Result<()> {
        self.check_code(&info, pid)?;
        let message = Message::Queued(SigInfo { si_signo: signo, ..info });
        self.signal_process(&self.find_process(pid)?, signo, message)
    }

    /// rt_tgsigqueueinfo(2).
    pub fn tgsigqueue(&self, tgid: i32, tid: i32, signo: i32, info: SigInfo) -> Result<()> {
        if tgid <= 0 || tid <= 0 {
            return err(Errno::EINVAL);
        }
        self.check_code(&info, tid)?;
        self.signal_thread(Some(tgid), tid, signo, Message::Queued(SigInfo { si_signo: signo, ..info }))
    }

    /// pidfd_send_signal(2) to a process. `info`: what the application wants it to carry.
    pub fn pidfd_signal(&self, group: &Arc<ThreadGroup>, signo: i32, info: Option<SigInfo>) -> Result<()> {
        let message = self.pidfd_message(group.tgid_in(self.pid_ns()), signo, info, SI_USER)?;
        self.signal_process(group, signo, message)
    }

    /// pidfd_send_signal(2) with PIDFD_SIGNAL_THREAD.
    pub fn pidfd_signal_thread(&self, target: &Arc<Task>, signo: i32, info: Option<SigInfo>) -> Result<()> {
        let message = self.pidfd_message(target.tid_in(self.pid_ns()), signo, info, SI_TKILL)?;
        self.deliver_to(target.group(), Some(target), signo, message)
    }

    /// pidfd_send_signal(2) with PIDFD_SIGNAL_PROCESS_GROUP.
    pub fn pidfd_signal_group(&self, group: &Arc<ProcessGroup>, signo: i32) -> Result<()> {
        self.signal_group(group, signo)
    }

    fn pidfd_message(&self, pid: i32, signo: i32, info: Option<SigInfo>, code: i32) -> Result<Message> {
        let Some(info) = info else { return Ok(Message::Plain { code }) };
        if info.si_signo != signo {
            return err(Errno::EINVAL);
        }
        self.check_code(&info, pid)?;
        Ok(Message::Queued(info))
    }

    /// Nobody may pretend that the kernel or kill(2) sent a signal, except to oneself.
    fn check_code(&self, info: &SigInfo, pid: i32) -> Result<()> {
        if info.is_privileged_code() && self.tid() != pid {
            return err(Errno::EPERM);
        }
        Ok(())
    }

    /// The process of a pid, or of any thread of it.
    fn find_process(&self, pid: i32) -> Result<Arc<ThreadGroup>> {
        let pid = self.pid_ns().pid(pid).ok_or(Errno::ESRCH)?;
        let group = pid.group().or_else(|| pid.task().map(|task| Arc::clone(task.group())));
        group.filter(|g| !g.is_released()).ok_or_else(|| Errno::ESRCH.into())
    }

    fn signal_process(&self, group: &Arc<ThreadGroup>, signo: i32, message: Message) -> Result<()> {
        self.deliver_to(group, None, signo, message)
    }

    fn signal_thread(&self, tgid: Option<i32>, tid: i32, signo: i32, message: Message) -> Result<()> {
        if tid <= 0 || tgid.is_some_and(|tgid| tgid <= 0) {
            return err(Errno::EINVAL);
        }
        let target = self.pid_ns().task(tid).ok_or(Errno::ESRCH)?;
        if tgid.is_some_and(|tgid| target.group().tgid_in(self.pid_ns()) != tgid) {
            return err(Errno::ESRCH);
        }
        self.deliver_to(target.group(), Some(&target), signo, message)
    }

    /// One success is enough; else the last failure counts.
    fn signal_group(&self, group: &Arc<ProcessGroup>, signo: i32) -> Result<()> {
        let mut result = err(Errno::ESRCH);
        let mut reached = false;
        for member in group.members() {
            result = self.signal_process(&member, signo, Message::Plain { code: SI_USER });
            reached |= result.is_ok();
        }
        if reached { Ok(()) } else { result }
    }

    /// Everybody but the init and the caller itself.
    fn signal_all(&self, signo: i32) -> Result<()> {
        let ns = self.pid_ns();
        let mut result = Ok(());
        let mut any = false;
        for group in ns.groups() {
            if group.tgid_in(ns) <= 1 || Arc::ptr_eq(&group, self.group()) {
                continue;
            }
            any = true;
            match self.signal_process(&group, signo, Message::Plain { code: SI_USER }) {
                Err(e) if e.is(Errno::EPERM) => {}
                other => result = other,
            }
        }
        if any { result } else { err(Errno::ESRCH) }
    }

    fn deliver_to(
        &self,
        group: &Arc<ThreadGroup>,
        thread: Option<&Arc<Task>>,
        signo: i32,
        message: Message,
    ) -> Result<()> {
        let signal = if signo == 0 { None } else { Some(Signal::new(signo)?) };
        let target = match thread {
            Some(thread) => Arc::clone(thread),
            None => group.leader().ok_or(Errno::ESRCH)?,
        };
        let theirs = target.creds();
        if !Arc::ptr_eq(group, self.group()) {
            self.may_signal(group, &theirs, signal)?;
        }
        let Some(signal) = signal else { return Ok(()) };
        let pid = self.group().tgid_in(group.pid().ns());
        let from_outside = pid == 0;
        let info = match message {
            Message::Plain { code } => SigInfo::user(signal, code, pid, theirs.user_ns.show_uid(self.creds().uid)),
            Message::Queued(info) => self.translate(info, from_outside, &theirs),
        };
        let target: Option<&Arc<TaskSignals>> = thread.map(|t| &t.signals);
        group.post(target, info, &group.account(signal, from_outside), None).map(|_| ())
    }

    /// EPERM unless the sender may: the same user, CAP_KILL over the target, or SIGCONT within a session.
    fn may_signal(&self, group: &ThreadGroup, theirs: &Credentials, signal: Option<Signal>) -> Result<()> {
        let ours = self.creds();
        let same = [ours.euid, ours.uid].iter().any(|id| *id == theirs.suid || *id == theirs.uid);
        if same || ours.has_in(Cap::CAP_KILL, &theirs.user_ns) {
            return Ok(());
        }
        if signal == Some(Signal::SIGCONT) {
            let session = |g: &ThreadGroup| g.session().map(|s| Arc::as_ptr(&s));
            let ours = session(self.group());
            if ours.is_some() && ours == session(group) {
                return Ok(());
            }
        }
        err(Errno::EPERM)
    }

    /// What sigqueue(3) carries names pid and uid as the sender sees them; the receiver's view may differ.
    fn translate(&self, info: SigInfo, from_outside: bool, theirs: &Credentials) -> SigInfo {
        if info.si_code >= 0 {
            return info;
        }
        let uid = self.creds().user_ns.to_kernel(IdKind::User, info.uid());
        let shown = uid.map_or(crate::task::user_ns::OVERFLOW_ID, |uid| theirs.user_ns.show_uid(uid));
        let pid = if from_outside { 0 } else { info.pid() };
        let mut translated = info;
        translated.fields[0] = u64::from(pid.cast_unsigned()) | u64::from(shown) << 32;
        translated
    }
}
