//! mq_notify(2): a process hears, once, that the first message has come.

use std::sync::{Arc, Weak};

use abi::siginfo::{SI_MESGQ, SigInfo};
use abi::signal::{SIGEV_NONE, SIGEV_SIGNAL, Signal};

use crate::task::{CurrentTask, ThreadGroup};

/// How somebody wants to hear of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// SIGEV_NONE: not at all, but nobody else does either.
    Silent,
    /// SIGEV_SIGNAL: by this signal with this value.
    Signal(Signal, u64),
}

/// Who wants to hear of it.
#[derive(Debug)]
pub(super) struct Registration {
    who: Weak<ThreadGroup>,
    how: Notice,
}

impl Registration {
    pub(super) fn new(who: &Arc<ThreadGroup>, how: Notice) -> Self {
        Self { who: Arc::downgrade(who), how }
    }

    pub(super) fn is_of(&self, group: &ThreadGroup) -> bool {
        std::ptr::eq(self.who.as_ptr(), group)
    }

    /// Tells that `sender` has sent the first message.
    pub(super) fn tell(&self, sender: &CurrentTask) {
        let (Some(who), Notice::Signal(signal, value)) = (self.who.upgrade(), self.how) else { return };
        let pid = sender.group().tgid_in(who.pid().ns());
        let uid = who.leader().map_or(0, |leader| leader.creds().user_ns.show_uid(sender.creds().uid));
        who.send_signal(SigInfo::queued(signal, SI_MESGQ, pid, uid, value));
    }

    /// Kind, signal and process, as the queue's file shows them.
    pub(super) fn show(&self, reader: &CurrentTask) -> (i32, i32, i32) {
        let pid = self.who.upgrade().map_or(0, |who| who.tgid_in(reader.pid_ns()));
        match self.how {
            Notice::Silent => (SIGEV_NONE, 0, pid),
            Notice::Signal(signal, _) => (SIGEV_SIGNAL, signal.number(), pid),
        }
    }
}
