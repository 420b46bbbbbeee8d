//! Entering namespaces of others: setns(2).

use std::sync::Arc;

use abi::Errno;
use abi::capability::Cap;
use abi::sched::CloneFlags;

use super::unshare::with_all_caps;
use super::{CurrentTask, Task, UserNamespace};
use crate::error::{Result, err};
use crate::fs::nsfs::Namespace;
use crate::ipc::SemUndo;

impl CurrentTask {
    /// setns(2) with a namespace's file. `kind` is 0 or the CLONE_NEW* flag that the namespace must be of.
    pub fn enter_namespace(&mut self, namespace: &Namespace, kind: CloneFlags) -> Result<()> {
        if !kind.is_empty() && kind != namespace.kind() {
            return err(Errno::EINVAL);
        }
        self.may_enter(namespace)?;
        self.enter(namespace);
        Ok(())
    }

    /// setns(2) with a pidfd: enters those namespaces of another task that `kinds` name, all or none.
    pub fn enter_namespaces_of(&mut self, other: &Task, kinds: CloneFlags) -> Result<()> {
        if !self.may_inspect(other) {
            return err(Errno::EPERM);
        }
        let gone = Errno::ESRCH;
        let theirs = other.namespaces().ok_or(gone)?;
        let all = [
            Namespace::User(Arc::clone(&other.creds().user_ns)),
            Namespace::Mount(other.fs().ok_or(gone)?.namespace()),
            Namespace::Uts(Arc::clone(&theirs.uts)),
            Namespace::Ipc(Arc::clone(&theirs.ipc)),
            Namespace::Net(Arc::clone(&theirs.net)),
            Namespace::Pid(Arc::clone(other.pid_ns())),
            Namespace::Cgroup(Arc::clone(&theirs.cgroup)),
            Namespace::Time(Arc::clone(&theirs.time)),
        ];
        let chosen: Vec<_> = all.into_iter().filter(|ns| kinds.contains(ns.kind())).collect();
        for namespace in &chosen {
            self.may_enter(namespace)?;
        }
        for namespace in &chosen {
            self.enter(namespace);
        }
        Ok(())
    }

    fn may_enter(&self, namespace: &Namespace) -> Result<()> {
        let creds = self.creds();
        let admin = |ns: &Arc<UserNamespace>| creds.has_in(Cap::CAP_SYS_ADMIN, ns);
        // Over the namespace, and in our own user namespace.
        let allowed = |ns: &Arc<UserNamespace>| admin(ns) && creds.has(Cap::CAP_SYS_ADMIN);
        let alone = self.group().live_threads() == 1;
        let ok = match namespace {
            Namespace::User(ns) => {
                if Arc::ptr_eq(ns, &creds.user_ns) || !alone || Arc::strong_count(self.fs()) > 2 {
                    return err(Errno::EINVAL);
                }
                admin(ns)
            }
            Namespace::Mount(ns) => {
                if Arc::strong_count(self.fs()) > 2 {
                    return err(Errno::EINVAL);
                }
                allowed(ns.owner()) && creds.has(Cap::CAP_SYS_CHROOT)
            }
            Namespace::Pid(ns) => {
                // Only downwards: a child must be visible to its parent.
                if !ns.is_within(self.pid_ns()) {
                    return err(Errno::EINVAL);
                }
                allowed(&ns.user_ns)
            }
            Namespace::Time(ns) => {
                if !alone {
                    return err(Errno::EUSERS);
                }
                allowed(&ns.user_ns)
            }
            Namespace::Uts(ns) => allowed(&ns.user_ns),
            Namespace::Ipc(ns) => allowed(&ns.user_ns),
            Namespace::Net(ns) => allowed(&ns.user_ns),
            Namespace::Cgroup(ns) => allowed(&ns.user_ns),
        };
        if ok { Ok(()) } else { err(Errno::EPERM) }
    }

    fn enter(&mut self, namespace: &Namespace) {
        let mut new = (**self.namespaces()).clone();
        match namespace {
            Namespace::User(ns) => {
                let creds = with_all_caps(self.creds(), Arc::clone(ns));
                return self.set_creds(creds);
            }
            Namespace::Mount(ns) => return self.fs().enter(Arc::clone(ns)),
            Namespace::Pid(ns) => new.pid_for_children = Arc::clone(ns),
            Namespace::Uts(ns) => new.uts = Arc::clone(ns),
            Namespace::Ipc(ns) => {
                SemUndo::leave(self);
                new.ipc = Arc::clone(ns);
            }
            Namespace::Net(ns) => new.net = Arc::clone(ns),
            Namespace::Cgroup(ns) => new.cgroup = Arc::clone(ns),
            Namespace::Time(ns) => {
                ns.freeze();
                (new.time, new.time_for_children) = (Arc::clone(ns), Arc::clone(ns));
                // What fails for want of memory leaves the clocks that a program reads without a call as they were.
                let _ = self.kernel().vdso_of(ns).and_then(|vdso| vdso.replace(self.mm()));
            }
        }
        self.set_namespaces(new);
    }
}
