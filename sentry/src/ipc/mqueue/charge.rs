//! RLIMIT_MSGQUEUE: how many bytes of queues a user has, over all processes and namespaces.

use std::collections::HashMap;
use std::sync::LazyLock;

use abi::Errno;
use abi::ipc::MQ_PRIO_MAX;
use abi::resource::Resource;
use sync::Mutex;

use crate::error::{Result, err};
use crate::lock_order::Leaf;
use crate::task::Task;

/// What Linux keeps for each message, and for each priority in use.
const PER_MESSAGE: u64 = 48;
const PER_PRIORITY: u64 = 48;

static USED: LazyLock<Mutex<HashMap<u32, u64>, Leaf>> = LazyLock::new(Mutex::default);

/// One queue on a user's account; given back when dropped.
#[derive(Debug)]
pub(super) struct Charge {
    uid: u32,
    bytes: u64,
}

impl Charge {
    /// EMFILE if that would be more than the limit.
    pub(super) fn take(task: &Task, messages: u64, size: u64) -> Result<Self> {
        let bytes = messages * (size + PER_MESSAGE) + messages.min(MQ_PRIO_MAX.into()) * PER_PRIORITY;
        let uid = task.creds().uid;
        let mut used = USED.lock();
        let sum = used.get(&uid).copied().unwrap_or(0).saturating_add(bytes);
        if sum > task.group().limits().soft(Resource::RLIMIT_MSGQUEUE) {
            return err(Errno::EMFILE);
        }
        used.insert(uid, sum);
        Ok(Self { uid, bytes })
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let mut used = USED.lock();
        if let Some(sum) = used.get_mut(&self.uid) {
            *sum = sum.saturating_sub(self.bytes);
            if *sum == 0 {
                used.remove(&self.uid);
            }
        }
    }
}
