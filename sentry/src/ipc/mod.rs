//! System V IPC (sysvipc(7)) and POSIX message queues (mq_overview(7)).
//!
//! An [`IpcSpace`] is what one IPC namespace has: tables of shared memory segments ([`shm`]), semaphore sets ([`sem`]) and
//! message queues ([`msg`]), POSIX queues ([`mqueue`]) and limits ([`settings`]). [`ids`] is a table of objects by number and
//! key, [`perm`] who may use an object.
//!
//! Locks: `Ipc` over a table, `IpcObject` over one object; an object is never locked while its table is being locked.

mod ids;
pub mod mqueue;
pub mod msg;
pub mod perm;
pub mod proc;
pub mod sem;
pub mod settings;
pub mod shm;
mod undo;

use std::sync::Arc;

use crate::task::namespaces::IpcNamespace;
use ids::Ids;
use settings::Settings;

pub(crate) use undo::SemUndo;

/// The objects of an IPC namespace.
#[derive(Debug)]
pub struct IpcSpace {
    /// Limits.
    pub settings: Arc<Settings>,
    shm: Ids<shm::Segment>,
    sem: Ids<sem::SemSet>,
    msg: Ids<msg::MsgQueue>,
    pub(crate) mq: mqueue::MqSpace,
}

impl Default for IpcSpace {
    fn default() -> Self {
        let settings = Arc::default();
        Self {
            mq: mqueue::MqSpace::new(&settings),
            settings,
            shm: Ids::default(),
            sem: Ids::default(),
            msg: Ids::default(),
        }
    }
}

/// The kinds of System V objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Message queues.
    Msg,
    /// Semaphore sets.
    Sem,
    /// Shared memory segments.
    Shm,
}

impl IpcSpace {
    /// The number that the next object of a kind is to have; negative for none.
    #[must_use]
    pub fn next_id(&self, kind: Kind) -> i32 {
        match kind {
            Kind::Msg => self.msg.next(),
            Kind::Sem => self.sem.next(),
            Kind::Shm => self.shm.next(),
        }
    }

    /// Chooses the number of the next object of a kind.
    pub fn set_next_id(&self, kind: Kind, next: i32) {
        match kind {
            Kind::Msg => self.msg.set_next(next),
            Kind::Sem => self.sem.set_next(next),
            Kind::Shm => self.shm.set_next(next),
        }
    }
}

impl IpcNamespace {
    /// What is in the namespace.
    #[must_use]
    pub fn space(&self) -> Arc<IpcSpace> {
        self.registries.get_or_insert(IpcSpace::default)
    }
}

/// Seconds since the epoch, as the times of objects count.
fn seconds() -> i64 {
    crate::vfs::attr::now().tv_sec
}
