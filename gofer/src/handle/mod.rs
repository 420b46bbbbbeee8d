//! The handlers: methods of [`Session`], a file for each kind of request.
//!
//! A handler checks the fids, then calls the host, then writes its answer. What it created is removed again if a later
//! step fails.
//!
//! [`Session`]: crate::session::Session

mod attach;
mod attributes;
mod create;
mod data;
mod lock;
mod names;
mod open;
pub(crate) mod readdir;
mod walk;
mod xattr;
