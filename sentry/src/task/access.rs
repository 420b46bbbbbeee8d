//! Whether one task may look into or act on another (ptrace(2), "Ptrace access mode checking").

use std::sync::Arc;

use abi::capability::Cap;

use super::group::SUID_DUMP_USER;
use super::{CurrentTask, Task};

impl CurrentTask {
    /// PTRACE_MODE_ATTACH with the real ids: debuggers, process_vm_readv(2), pidfd_getfd(2).
    #[must_use]
    pub fn may_attach(&self, other: &Task) -> bool {
        self.may_access(other, (self.creds().uid, self.creds().gid))
    }

    /// PTRACE_MODE_READ with the file system ids: the links and memory files of /proc/PID.
    #[must_use]
    pub fn may_inspect(&self, other: &Task) -> bool {
        self.may_access(other, (self.creds().fsuid, self.creds().fsgid))
    }

    fn may_access(&self, other: &Task, (uid, gid): (u32, u32)) -> bool {
        if Arc::ptr_eq(self.group(), other.group()) {
            return true;
        }
        let (own, theirs) = (self.creds(), other.creds());
        // Who is bound looks only into those who are bound by as much.
        if own.landlock.as_ref().is_some_and(|domain| !domain.holds(theirs.landlock.as_ref())) {
            return false;
        }
        let same = [theirs.uid, theirs.euid, theirs.suid].iter().all(|id| *id == uid)
            && [theirs.gid, theirs.egid, theirs.sgid].iter().all(|id| *id == gid);
        let capable = own.has_in(Cap::CAP_SYS_PTRACE, &theirs.user_ns);
        let dumpable = other.group().dumpable() == SUID_DUMP_USER;
        // Even a task of the same user may not look into one with more rights.
        let no_more_rights = Arc::ptr_eq(&own.user_ns, &theirs.user_ns) && own.permitted.contains_all(theirs.permitted);
        (same || capable) && (dumpable || capable) && (no_more_rights || capable)
    }

    /// Whether all user and group ids of `other` are the caller's real ones, or the caller is capable over it: prlimit(2).
    #[must_use]
    pub fn same_ids_or(&self, other: &Task, cap: Cap) -> bool {
        let (own, theirs) = (self.creds(), other.creds());
        let same = [theirs.uid, theirs.euid, theirs.suid].iter().all(|id| *id == own.uid)
            && [theirs.gid, theirs.egid, theirs.sgid].iter().all(|id| *id == own.gid);
        Arc::ptr_eq(self.group(), other.group()) || same || own.has_in(cap, &theirs.user_ns)
    }

    /// Whether the caller's effective user is the other's real or effective one, or the caller is capable over it:
    /// sched_setscheduler(2), setpriority(2).
    #[must_use]
    pub fn owns_or(&self, other: &Task, cap: Cap) -> bool {
        let (own, theirs) = (self.creds(), other.creds());
        own.euid == theirs.uid || own.euid == theirs.euid || own.has_in(cap, &theirs.user_ns)
    }
}
