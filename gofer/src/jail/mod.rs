//! What the gofer process may still do: serve files, and nothing else.
//!
//! The process is started in user (when not root), mount, pid, network, ipc and uts namespaces of its own. [`run`] then
//!
//! 1. makes of every exported directory a tree of mounts that is nowhere else ([`trees`]), so that `..` at its root
//!    leads nowhere, device nodes in it cannot be opened, and read-only is enforced by the kernel;
//! 2. takes a descriptor of `/proc/self/fd` from a procfs that shows this process alone;
//! 3. moves into an empty root ([`host::empty_root`]);
//! 4. drops all capabilities but those that serving files needs ([`capabilities`]);
//! 5. sets no_new_privs and installs the filter ([`filter`]).
//!
//! What a client could gain by taking the process over is what it was given: the exported trees.

mod capabilities;
pub mod filter;
mod trees;

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::stat::{Mode, umask};

use crate::{Connection, FdDir, serve};

/// A directory or file of the host to be served.
#[derive(Debug)]
pub struct Mount {
    /// The server's end of the connection: a connected unix stream socket.
    pub socket: OwnedFd,
    /// Where it is in the mount namespace of the process.
    pub path: PathBuf,
    /// Device and inode number that it had when the configuration was checked: whoever has put something else there since
    /// gets an error instead of a way out.
    pub identity: Option<(u64, u64)>,
    /// Whether changes are refused.
    pub read_only: bool,
}

/// Why the gofer could not be started.
#[derive(Debug, thiserror::Error)]
pub enum JailError {
    /// A directory cannot be exported.
    #[error("cannot export {}: {error}", path.display())]
    Export {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A step failed.
    #[error("cannot {step}: {error}")]
    Step {
        /// Which.
        step: &'static str,
        /// Why.
        error: io::Error,
    },
}

/// Locks the process up and serves `mounts` until all clients have gone. `ready` is called when nothing can fail any
/// more; it may tell whoever started the process, with calls that the filter allows: write(2), sendmsg(2), close(2).
/// With `report` a call that the filter forbids is named on standard error.
pub fn run(mounts: Vec<Mount>, report: bool, ready: impl FnOnce()) -> Result<(), JailError> {
    let connections = mounts.into_iter().map(trees::connection).collect::<Result<Vec<Connection>, _>>()?;
    let fds = step("enter its root", enter)?;
    step("drop capabilities", capabilities::drop_all_but_needed)?;
    step("forbid new privileges", || Ok(nix::sys::prctl::set_no_new_privs()?))?;
    // Nobody but root may look at what passes through here, and no file gets it.
    step("forbid dumps", host::process::forbid_dumps)?;
    let lock_up = |fds: &FdDir| {
        filter::install(fds, report)?;
        ready();
        Ok(())
    };
    step("install its filter", || serve(connections, fds, lock_up))
}

fn enter() -> io::Result<FdDir> {
    // Permissions of new files are the client's business alone.
    umask(Mode::empty());
    // Every fid is a descriptor.
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    let fds = trees::private_fd_dir()?;
    host::empty_root::enter()?;
    Ok(fds)
}

fn step<T>(step: &'static str, f: impl FnOnce() -> io::Result<T>) -> Result<T, JailError> {
    f().map_err(|error| JailError::Step { step, error })
}
