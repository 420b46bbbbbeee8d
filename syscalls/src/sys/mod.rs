//! Calls about the system as a whole: names, information, random numbers, the log.

pub(crate) mod info;
pub(crate) mod log;
pub(crate) mod membarrier;
pub(crate) mod power;
pub(crate) mod random;
pub(crate) mod sysfs;
pub(crate) mod uts;
