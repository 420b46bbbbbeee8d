//! System V message queues: msgget(2), msgop(2), msgctl(2).

use std::collections::VecDeque;
use std::sync::Arc;

use abi::Errno;
use abi::capability::Cap;
use abi::ipc::{IPC_NOWAIT, MSG_COPY, MSG_EXCEPT, MSG_NOERROR, Msginfo, MsqidDs};
use abi::poll::{POLLIN, POLLOUT};
use sync::{Mutex, WaitQueue};

use super::perm::{Perm, READ, WRITE};
use super::{IpcSpace, seconds};
use crate::error::{Code, Restart, Result, err};
use crate::lock_order::IpcObject;
use crate::task::{CurrentTask, Pid};

/// A message.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its type: positive.
    pub kind: i64,
    /// Its text.
    pub text: Vec<u8>,
}

/// A queue.
#[derive(Debug)]
pub struct MsgQueue {
    id: i32,
    state: Mutex<State, IpcObject>,
    queue: WaitQueue,
}

#[derive(Debug)]
struct State {
    perm: Perm,
    messages: VecDeque<Message>,
    bytes: u64,
    most_bytes: u64,
    times: [i64; 3],
    last_sender: Option<Arc<Pid>>,
    last_receiver: Option<Arc<Pid>>,
    removed: bool,
}

/// Places in [`State::times`].
const SENT: usize = 0;
const RECEIVED: usize = 1;
const CHANGED: usize = 2;

/// What msgrcv(2) wants.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Type, or what it means beside one.
    pub kind: i64,
    /// MSG_* and IPC_NOWAIT.
    pub flags: u32,
    /// Room for the text.
    pub room: usize,
}

impl IpcSpace {
    /// msgget(2).
    pub fn msgget(&self, task: &CurrentTask, key: i32, flags: u32) -> Result<i32> {
        let admits = |queue: &MsgQueue| queue.state.lock().perm.check(task, flags);
        self.msg.get_or_make(key, flags, self.settings.msgmni.get(), admits, |id, _| {
            let queue = Arc::new(MsgQueue {
                id,
                state: Mutex::new(State {
                    perm: Perm::new(task, key, flags),
                    messages: VecDeque::new(),
                    bytes: 0,
                    most_bytes: self.settings.msgmnb.get(),
                    times: [0, 0, seconds()],
                    last_sender: None,
                    last_receiver: None,
                    removed: false,
                }),
                queue: WaitQueue::new(),
            });
            Ok((queue, 1))
        })
    }

    /// The queue with this number.
    pub fn message_queue(&self, id: i32) -> Result<Arc<MsgQueue>> {
        self.msg.get(id)
    }

    /// MSG_STAT: the queue at an index.
    pub fn message_queue_at(&self, index: i32) -> Result<Arc<MsgQueue>> {
        Ok(self.msg.at(index)?.1)
    }

    /// IPC_INFO and, with `used`, MSG_INFO; and the highest index.
    #[must_use]
    pub fn message_info(&self, used: bool) -> (Msginfo, i32) {
        let limits = &self.settings;
        let mut info = Msginfo {
            msgmni: limits.msgmni.as_int(),
            msgmax: limits.msgmax.as_int(),
            msgmnb: limits.msgmnb.as_int(),
            msgssz: 16,
            msgseg: 0xffff,
            msgmap: limits.msgmnb.as_int(),
            msgpool: limits.msgmni.as_int().saturating_mul(limits.msgmnb.as_int() / 1024),
            msgtql: limits.msgmnb.as_int(),
            ..Msginfo::default()
        };
        if used {
            let int = |n: u64| i32::try_from(n).unwrap_or(i32::MAX);
            let all = self.msg.all();
            let (mut count, mut bytes) = (0, 0);
            for (_, queue) in &all {
                let state = queue.state.lock();
                count += state.messages.len() as u64;
                bytes += state.bytes;
            }
            (info.msgpool, info.msgmap, info.msgtql) = (int(all.len() as u64), int(count), int(bytes));
        }
        (info, self.msg.highest())
    }

    /// IPC_RMID.
    pub fn remove_message_queue(&self, task: &CurrentTask, id: i32) -> Result<()> {
        let queue = self.msg.get(id)?;
        let gone = {
            let mut state = queue.live()?;
            state.perm.check_owner(task)?;
            state.removed = true;
            std::mem::take(&mut state.messages)
        };
        drop(gone);
        self.msg.remove(id);
        queue.queue.notify(POLLIN | POLLOUT);
        Ok(())
    }

    pub(super) fn message_queues(&self) -> Vec<(i32, Arc<MsgQueue>)> {
        self.msg.all()
    }
}

impl MsgQueue {
    /// Its number.
    #[must_use]
    pub fn id(&self) -> i32 {
        self.id
    }

    fn live(&self) -> Result<sync::MutexGuard<'_, State>> {
        let state = self.state.lock();
        if state.removed { err(Errno::EIDRM) } else { Ok(state) }
    }

    /// msgsnd(2). The caller has checked type and length.
    pub fn send(&self, task: &CurrentTask, message: Message, flags: u32) -> Result<()> {
        let mut message = Some(message);
        let own = Arc::clone(task.group().pid());
        let result = task.wait_on(&self.queue, POLLOUT, None, || {
            let mut state = self.live()?;
            state.perm.check(task, WRITE)?;
            let len = message.as_ref().map_or(0, |m| m.text.len() as u64);
            let fits = state.bytes + len <= state.most_bytes && (state.messages.len() as u64) < state.most_bytes;
            if !fits {
                return if flags & IPC_NOWAIT != 0 { Ok(false) } else { err(Errno::EAGAIN) };
            }
            if let Some(message) = message.take() {
                state.bytes += len;
                state.messages.push_back(message);
            }
            state.last_sender = Some(Arc::clone(&own));
            state.times[SENT] = seconds();
            Ok(true)
        });
        if !settled(result)? {
            return err(Errno::EAGAIN);
        }
        self.queue.notify(POLLIN);
        Ok(())
    }

    /// msgrcv(2): a message, cut to the room there is with MSG_NOERROR.
    pub fn receive(&self, task: &CurrentTask, wanted: Wanted) -> Result<Message> {
        let own = Arc::clone(task.group().pid());
        let copies = wanted.flags & MSG_COPY != 0;
        if copies && (wanted.flags & MSG_EXCEPT != 0 || wanted.flags & IPC_NOWAIT == 0) {
            return err(Errno::EINVAL);
        }
        let result = task.wait_on(&self.queue, POLLIN, None, || {
            let mut state = self.live()?;
            state.perm.check(task, READ)?;
            let Some(at) = state.find(wanted) else {
                return err(if wanted.flags & IPC_NOWAIT != 0 { Errno::ENOMSG } else { Errno::EAGAIN });
            };
            let len = state.messages.get(at).map_or(0, |m| m.text.len());
            if len > wanted.room && wanted.flags & MSG_NOERROR == 0 {
                return err(Errno::E2BIG);
            }
            let found = if copies { state.messages.get(at).cloned() } else { state.messages.remove(at) };
            let mut found = found.ok_or(Errno::ENOMSG)?;
            if !copies {
                state.bytes -= len as u64;
                state.last_receiver = Some(Arc::clone(&own));
                state.times[RECEIVED] = seconds();
            }
            found.text.truncate(wanted.room);
            Ok(found)
        });
        if result.is_ok() {
            self.queue.notify(POLLOUT);
        }
        settled(result)
    }

    /// IPC_STAT; without `any` for those who may read it.
    pub fn stat(&self, task: &CurrentTask, any: bool) -> Result<MsqidDs> {
        let state = self.live()?;
        if !any {
            state.perm.check(task, READ)?;
        }
        Ok(state.show(task, self.id))
    }

    /// IPC_SET.
    pub fn set(&self, task: &CurrentTask, new: &MsqidDs, limit: u64) -> Result<()> {
        let mut state = self.live()?;
        state.perm.check_owner(task)?;
        if new.msg_qbytes > limit && !task.creds().has_in(Cap::CAP_SYS_RESOURCE, &task.namespaces().ipc.user_ns) {
            return err(Errno::EPERM);
        }
        state.perm.set(task, &new.msg_perm)?;
        state.most_bytes = new.msg_qbytes;
        state.times[CHANGED] = seconds();
        drop(state);
        // Who may not any more wakes and hears it; who may now, too.
        self.queue.notify(POLLIN | POLLOUT);
        Ok(())
    }
}

impl State {
    /// Where the message is that msgrcv(2) wants.
    fn find(&self, wanted: Wanted) -> Option<usize> {
        let kind = wanted.kind;
        if wanted.flags & MSG_COPY != 0 {
            return usize::try_from(kind).ok().filter(|at| *at < self.messages.len());
        }
        let mut messages = self.messages.iter().enumerate();
        match kind {
            0 => messages.next().map(|(at, _)| at),
            1.. if wanted.flags & MSG_EXCEPT != 0 => messages.find(|(_, m)| m.kind != kind).map(|(at, _)| at),
            1.. => messages.find(|(_, m)| m.kind == kind).map(|(at, _)| at),
            _ => {
                let most = kind.checked_neg().unwrap_or(i64::MAX);
                messages.filter(|(_, m)| m.kind <= most).min_by_key(|(_, m)| m.kind).map(|(at, _)| at)
            }
        }
    }

    fn show(&self, task: &CurrentTask, id: i32) -> MsqidDs {
        let pid = |pid: &Option<Arc<Pid>>| pid.as_ref().map_or(0, |pid| pid.number_in(task.pid_ns()));
        MsqidDs {
            msg_perm: self.perm.show(task, id),
            msg_stime: self.times[SENT],
            msg_rtime: self.times[RECEIVED],
            msg_ctime: self.times[CHANGED],
            msg_cbytes: self.bytes,
            msg_qnum: self.messages.len() as u64,
            msg_qbytes: self.most_bytes,
            msg_lspid: pid(&self.last_sender),
            msg_lrpid: pid(&self.last_receiver),
            ..MsqidDs::default()
        }
    }
}

/// A signal ends the call with EINTR if a handler runs, whatever SA_RESTART says.
fn settled<T>(result: Result<T>) -> Result<T> {
    result.map_err(|e| if e.code() == Code::Restart(Restart::Sys) { Restart::NoHand.into() } else { e })
}
