//! Serves directories of the host over 9P2000.L, to a client that is taken to be hostile.
//!
//! - [`serve`] answers connections, one thread each; a connection serves one [`Export`].
//! - Every fid holds an `O_PATH` descriptor ([`node`]). Names are looked up one component at a time, relative to such a
//!   descriptor, without following links; nothing is ever walked twice, so no rename on the host or by the client can
//!   make a fid mean something outside the exported tree.
//! - Files are reopened for input and output through [`FdDir`], which needs no procfs in the gofer's own root.
//! - What is opened is a regular file or a directory, never a fifo, socket or device.
//! - Permission checks are the client's: it is the kernel of whatever uses the files. The gofer only enforces what the
//!   container was given: the tree, read-only or not, device nodes or not.
//! - [`jail`] takes away from the process what serving files does not need.
//!
//! No locks: connections share nothing but the kernel.
#![forbid(unsafe_code)]

mod export;
mod fd_dir;
mod fids;
mod handle;
pub mod jail;
mod node;
mod reply;
mod serve;
mod session;
mod socket;

pub use export::Export;
pub use fd_dir::FdDir;
pub use serve::{Connection, serve, serve_stream};
pub use socket::Socket;
