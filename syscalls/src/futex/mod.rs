//! Calls about futexes.

pub(crate) mod futex;
pub(crate) mod futex2;
pub(crate) mod robust;
