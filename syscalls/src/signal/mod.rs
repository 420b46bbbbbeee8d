//! Calls about signals.

pub(crate) mod action;
pub(crate) mod mask;
pub(crate) mod send;
pub(crate) mod signalfd;
pub(crate) mod stack;
pub(crate) mod wait;
