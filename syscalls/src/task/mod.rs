//! Calls about tasks: identity, life, credentials, limits, scheduling.

pub(crate) mod arch;
pub(crate) mod caps;
pub(crate) mod clone;
pub(crate) mod creds;
pub(crate) mod exec;
pub(crate) mod exit;
pub(crate) mod groups;
pub(crate) mod ids;
pub(crate) mod kcmp;
pub(crate) mod landlock;
pub(crate) mod limits;
pub(crate) mod pidfd;
pub(crate) mod prctl;
pub(crate) mod priority;
pub(crate) mod ptrace;
pub(crate) mod sched;
pub(crate) mod seccomp;
pub(crate) mod setns;
pub(crate) mod usage;
pub(crate) mod wait;
