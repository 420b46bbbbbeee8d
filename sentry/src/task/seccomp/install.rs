//! Installing filters: SECCOMP_SET_MODE_STRICT, SECCOMP_SET_MODE_FILTER.

use std::sync::Arc;

use abi::Errno;
use abi::capability::Cap;
use abi::resource::Resource;
use abi::seccomp::{MAX_INSNS_PER_PATH, SeccompFilterFlags, SockFilter};

use super::notify::{Listener, Notifier};
use super::{FILTER_PENALTY, Filter};
use crate::bpf::{Dialect, Program};
use crate::error::{Result, err};
use crate::task::ptrace::Watch;
use crate::task::signal::Attention;
use crate::task::{CurrentTask, Task};

impl CurrentTask {
    /// SECCOMP_SET_MODE_STRICT.
    pub fn seccomp_strict(&self) -> Result<()> {
        let mut state = self.task.seccomp.state.lock();
        if state.filter.is_some() {
            return err(Errno::EINVAL);
        }
        state.strict = true;
        self.task.ptrace.watch.set(Watch::SECCOMP);
        Ok(())
    }

    /// SECCOMP_SET_MODE_FILTER. The result is 0, a listener's descriptor, or with TSYNC the thread that has other filters.
    pub fn seccomp_filter(&self, flags: SeccompFilterFlags, code: Vec<SockFilter>) -> Result<i32> {
        use SeccompFilterFlags as F;
        let listens = flags.contains(F::SECCOMP_FILTER_FLAG_NEW_LISTENER);
        let together = flags.contains(F::SECCOMP_FILTER_FLAG_TSYNC);
        if SeccompFilterFlags::all() & flags != flags
            || listens && together && !flags.contains(F::SECCOMP_FILTER_FLAG_TSYNC_ESRCH)
            || flags.contains(F::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV) && !listens
        {
            return err(Errno::EINVAL);
        }
        let program = Program::check(code, Dialect::Seccomp)?;
        if !self.creds().no_new_privs && !self.creds().has(Cap::CAP_SYS_ADMIN) {
            return err(Errno::EACCES);
        }
        let listener = listens.then(|| {
            Listener::new(flags.contains(F::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV), Arc::clone(self.pid_ns()))
        });
        let fd = match &listener {
            Some((_, file)) => {
                let limit = self.group().limits().soft(Resource::RLIMIT_NOFILE);
                Some(self.files().add(Arc::clone(file), true, limit)?)
            }
            None => None,
        };
        let notifier = listener.map(|(notifier, _)| notifier);
        let result = self.attach_filter(program, notifier, flags);
        match (fd, &result) {
            (Some(fd), Ok(0)) => Ok(fd),
            (Some(fd), _) => {
                if let Ok(file) = self.files().remove(fd) {
                    let _ = file.close(self.files());
                }
                result
            }
            (None, _) => result,
        }
    }

    /// Installs the profile of a container before its program runs. Nobody needs to be permitted to.
    pub(crate) fn seccomp_profile(&self, log: bool, code: Vec<SockFilter>) -> Result<()> {
        let flags = match log {
            true => SeccompFilterFlags::SECCOMP_FILTER_FLAG_LOG,
            false => SeccompFilterFlags::empty(),
        };
        self.attach_filter(Program::check(code, Dialect::Seccomp)?, None, flags).map(drop)
    }

    fn attach_filter(
        &self,
        program: Program,
        notifier: Option<Arc<Notifier>>,
        flags: SeccompFilterFlags,
    ) -> Result<i32> {
        use SeccompFilterFlags as F;
        let _tree = self.kernel().tree.lock();
        let together = flags.contains(F::SECCOMP_FILTER_FLAG_TSYNC);
        let before = {
            let state = self.task.seccomp.state.lock();
            if state.strict {
                return err(Errno::EINVAL);
            }
            state.filter.clone()
        };
        let weight = before.as_ref().map_or(0, |filter| filter.weight + FILTER_PENALTY) + program.len();
        if weight > MAX_INSNS_PER_PATH {
            return err(Errno::ENOMEM);
        }
        if notifier.is_some() && before.as_ref().is_some_and(|b| b.chain().any(|filter| filter.is_listened())) {
            return err(Errno::EBUSY);
        }
        let others: Vec<_> = match together {
            true => self.group().threads().into_iter().filter(|t| !Arc::ptr_eq(t, self) && !t.is_dead()).collect(),
            false => Vec::new(),
        };
        for other in &others {
            if !other.may_follow(before.as_ref()) {
                return match flags.contains(F::SECCOMP_FILTER_FLAG_TSYNC_ESRCH) {
                    true => err(Errno::ESRCH),
                    false => Ok(other.tid_in(self.pid_ns())),
                };
            }
        }
        let log = flags.contains(F::SECCOMP_FILTER_FLAG_LOG);
        let filter = Arc::new(Filter { program, before, weight, notifier, log });
        for other in &others {
            {
                let mut state = other.seccomp.state.lock();
                state.filter = Some(Arc::clone(&filter));
                state.bound |= self.creds().no_new_privs;
            }
            other.ptrace.watch.set(Watch::SECCOMP);
            other.attention().raise(Attention::WORK);
        }
        self.task.seccomp.state.lock().filter = Some(filter);
        self.task.ptrace.watch.set(Watch::SECCOMP);
        Ok(0)
    }

    /// Notes what another thread's TSYNC did.
    pub(in crate::task) fn note_seccomp(&mut self) {
        let bound = std::mem::take(&mut self.task.seccomp.state.lock().bound);
        if bound && !self.creds.no_new_privs {
            let mut creds = (*self.creds).clone();
            creds.no_new_privs = true;
            self.set_creds(creds);
        }
    }
}

impl Task {
    /// Whether its filters are `chain` or some of the first of it.
    fn may_follow(&self, chain: Option<&Arc<Filter>>) -> bool {
        let state = self.seccomp.state.lock();
        if state.strict {
            return false;
        }
        match (&state.filter, chain) {
            (None, _) => true,
            (Some(own), Some(chain)) => chain.chain().any(|filter| Arc::ptr_eq(filter, own)),
            (Some(_), None) => false,
        }
    }
}

impl Filter {
    fn is_listened(&self) -> bool {
        self.notifier.as_ref().is_some_and(|notifier| notifier.is_open())
    }
}
