//! Addresses of unix sockets: paths, abstract names, and who is behind them.
//!
//! A path finds the socket through an attachment of its inode; abstract names stand in one table, by network namespace.
//! Lock: `Leaf` over the table.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use abi::Errno;
use abi::sockaddr::SOCKADDR_UN_SIZE;
use abi::socket::{AF_UNIX, Ucred};
use sync::Mutex;
use zerocopy::IntoBytes;

use super::UnixSocket;
use crate::error::{Result, err};
use crate::lock_order::Leaf;
use crate::net::message::PeerCred;
use crate::net::socket::Kind;
use crate::task::CurrentTask;
use crate::vfs::Inode;

/// The abstract names in use in one network namespace.
#[derive(Debug, Default)]
struct AbstractNames {
    table: Mutex<HashMap<Vec<u8>, Weak<UnixSocket>>, Leaf>,
}

impl AbstractNames {
    fn of(task: &CurrentTask) -> Arc<Self> {
        task.namespaces().net.registries.get_or_insert(Self::default)
    }
}

/// The name a socket is bound to. Dropping the original frees an abstract name; a path stays, as on Linux.
#[derive(Debug)]
pub(super) struct Name {
    bytes: Vec<u8>,
    owned: Option<(Arc<AbstractNames>, Vec<u8>)>,
}

impl Name {
    /// `struct sockaddr_un`, as long as it counts.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The same name for an accepted socket, which does not own it.
    pub(super) fn alias(&self) -> Self {
        Self { bytes: self.bytes.clone(), owned: None }
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        if let Some((names, name)) = &self.owned {
            names.table.lock().remove(name);
        }
    }
}

/// What hangs on the inode of a bound socket.
#[derive(Debug)]
struct Bound(Weak<UnixSocket>);

/// What an address says.
enum Address<'a> {
    Path(&'a [u8]),
    Abstract(&'a [u8]),
    Autobind,
}

/// EINVAL for what is no address of this family.
fn parse(addr: &[u8]) -> Result<Address<'_>> {
    let Some((family, name)) = addr.split_first_chunk() else { return err(Errno::EINVAL) };
    if u16::from_ne_bytes(*family) != AF_UNIX || addr.len() > SOCKADDR_UN_SIZE {
        return err(Errno::EINVAL);
    }
    Ok(match name {
        [] => Address::Autobind,
        [0, rest @ ..] => Address::Abstract(rest),
        path => Address::Path(path.split(|byte| *byte == 0).next().unwrap_or_default()),
    })
}

/// Binds a socket to an address.
pub(super) fn bind(task: &CurrentTask, addr: &[u8], socket: &Arc<UnixSocket>) -> Result<Name> {
    match parse(addr)? {
        Address::Path(path) => {
            let inode = match crate::vfs::make_socket(task, path) {
                Err(e) if e.is(Errno::EEXIST) => return err(Errno::EADDRINUSE),
                other => other?,
            };
            inode.attachments().get_or_insert(|| Bound(Arc::downgrade(socket)));
            let mut bytes = AF_UNIX.to_ne_bytes().to_vec();
            bytes.extend_from_slice(path);
            bytes.push(0);
            Ok(Name { bytes, owned: None })
        }
        Address::Abstract(name) => claim(task, name, socket),
        Address::Autobind => {
            // Five hexadecimal digits, as Linux chooses them.
            for number in 0..=0xf_ffff_u32 {
                match claim(task, format!("{number:05x}").as_bytes(), socket) {
                    Err(e) if e.is(Errno::EADDRINUSE) => {}
                    other => return other,
                }
            }
            err(Errno::ENOSPC)
        }
    }
}

fn claim(task: &CurrentTask, name: &[u8], socket: &Arc<UnixSocket>) -> Result<Name> {
    let names = AbstractNames::of(task);
    let mut table = names.table.lock();
    if table.get(name).is_some_and(|other| other.strong_count() > 0) {
        return err(Errno::EADDRINUSE);
    }
    table.insert(name.to_vec(), Arc::downgrade(socket));
    drop(table);
    let mut bytes = AF_UNIX.to_ne_bytes().to_vec();
    bytes.push(0);
    bytes.extend_from_slice(name);
    Ok(Name { bytes, owned: Some((names, name.to_vec())) })
}

/// The socket that an address means. ECONNREFUSED if nobody is behind it, EPROTOTYPE if it is of another type.
pub(super) fn find(task: &CurrentTask, addr: &[u8], kind: Kind) -> Result<Arc<UnixSocket>> {
    let found = match parse(addr)? {
        Address::Path(path) => {
            let inode: Arc<dyn Inode> = crate::vfs::find_socket(task, path)?;
            inode.attachments().get::<Bound>().and_then(|bound| bound.0.upgrade())
        }
        Address::Abstract(name) => AbstractNames::of(task).table.lock().get(name).and_then(Weak::upgrade),
        Address::Autobind => return err(Errno::EINVAL),
    };
    let socket = found.ok_or(Errno::ECONNREFUSED)?;
    if socket.kind != kind {
        return err(Errno::EPROTOTYPE);
    }
    Ok(socket)
}

/// Who the running task is, for its peers.
pub(super) fn credentials(task: &CurrentTask) -> PeerCred {
    let creds = task.creds();
    PeerCred { pid: Arc::clone(task.group().pid()), uid: creds.euid, gid: creds.egid }
}

/// `struct ucred` as the running task sees it; pid 0 and the overflow ids for nobody.
#[must_use]
pub fn ucred_bytes(task: &CurrentTask, credentials: Option<&PeerCred>) -> Vec<u8> {
    let ns = &task.creds().user_ns;
    let ucred = match credentials {
        Some(known) => {
            Ucred { pid: known.pid.number_in(task.pid_ns()), uid: ns.show_uid(known.uid), gid: ns.show_gid(known.gid) }
        }
        None => Ucred { pid: 0, uid: u32::MAX, gid: u32::MAX },
    };
    ucred.as_bytes().to_vec()
}
