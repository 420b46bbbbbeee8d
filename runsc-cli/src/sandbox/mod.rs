//! The processes of a container as the command line sees them.
//!
//! [`create`] starts them; [`making`] undoes everything if it does not work out; [`launch`] clones the two processes;
//! [`foreground`] waits for an end; [`control`] talks to a sandbox; [`link`] finds the network device it takes over; [`start`]
//! runs the program; [`platform`] opens what it needs; [`pod`] adds containers to a sandbox; [`remove`] takes away what is left of a container.

pub(crate) mod control;
pub(crate) mod create;
pub(crate) mod foreground;
pub(crate) mod last_words;
pub(crate) mod launch;
pub(crate) mod link;
mod making;
mod platform;
pub(crate) mod pod;
pub(crate) mod remove;
pub(crate) mod start;
