//! Who owns an IPC object and who may use it (`struct ipc_perm`).

use std::sync::Arc;

use abi::Errno;
use abi::capability::Cap;
use abi::ipc::IpcPerm;

use crate::error::{Result, err};
use crate::task::user_ns::IdKind;
use crate::task::{CurrentTask, UserNamespace};

/// Reading, as a mode's bits for everybody.
pub const READ: u32 = 0o444;
/// Writing.
pub const WRITE: u32 = 0o222;

/// The owner of an object.
#[derive(Clone, Debug)]
pub struct Perm {
    /// The key; IPC_PRIVATE for none.
    pub key: i32,
    /// Owner, a kernel id.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Maker.
    pub cuid: u32,
    /// The maker's group.
    pub cgid: u32,
    /// Permission bits.
    pub mode: u32,
    user_ns: Arc<UserNamespace>,
}

impl Perm {
    /// Of an object that the task makes.
    #[must_use]
    pub fn new(task: &CurrentTask, key: i32, mode: u32) -> Self {
        let creds = task.creds();
        Self {
            key,
            uid: creds.euid,
            gid: creds.egid,
            cuid: creds.euid,
            cgid: creds.egid,
            mode: mode & 0o777,
            user_ns: Arc::clone(&task.namespaces().ipc.user_ns),
        }
    }

    /// EACCES unless the task may use the object as the bits of `want` (of any class) say.
    pub fn check(&self, task: &CurrentTask, want: u32) -> Result<()> {
        let creds = task.creds();
        let wanted = want >> 6 | want >> 3 | want;
        let shift = if creds.euid == self.cuid || creds.euid == self.uid {
            6
        } else if creds.in_egroup(self.cgid) || creds.in_egroup(self.gid) {
            3
        } else {
            0
        };
        if wanted & !(self.mode >> shift) & 7 == 0 || creds.has_in(Cap::CAP_IPC_OWNER, &self.user_ns) {
            return Ok(());
        }
        err(Errno::EACCES)
    }

    /// EPERM unless the task may change or remove the object.
    pub fn check_owner(&self, task: &CurrentTask) -> Result<()> {
        let creds = task.creds();
        if creds.euid == self.cuid || creds.euid == self.uid || creds.has_in(Cap::CAP_SYS_ADMIN, &self.user_ns) {
            return Ok(());
        }
        err(Errno::EPERM)
    }

    /// Whether the task owns the object.
    #[must_use]
    pub fn is_owner(&self, task: &CurrentTask) -> bool {
        task.creds().euid == self.cuid || task.creds().euid == self.uid
    }

    /// IPC_SET: owner, group and permission bits. EINVAL for an id that is not mapped.
    pub fn set(&mut self, task: &CurrentTask, new: &IpcPerm) -> Result<()> {
        let ns = &task.creds().user_ns;
        let uid = ns.to_kernel(IdKind::User, new.uid).ok_or(Errno::EINVAL)?;
        let gid = ns.to_kernel(IdKind::Group, new.gid).ok_or(Errno::EINVAL)?;
        (self.uid, self.gid) = (uid, gid);
        self.mode = self.mode & !0o777 | new.mode & 0o777;
        Ok(())
    }

    /// As the task sees it; `id` is the object's number.
    #[must_use]
    pub fn show(&self, task: &CurrentTask, id: i32) -> IpcPerm {
        let ns = &task.creds().user_ns;
        IpcPerm {
            key: self.key,
            uid: ns.show_uid(self.uid),
            gid: ns.show_gid(self.gid),
            cuid: ns.show_uid(self.cuid),
            cgid: ns.show_gid(self.cgid),
            mode: self.mode,
            seq: u16::try_from(id >> super::ids::INDEX_BITS).unwrap_or(0),
            ..IpcPerm::default()
        }
    }
}
