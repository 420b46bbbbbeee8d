//! What `sendmsg` and `recvmsg` carry beside bytes.

use std::sync::Arc;

use abi::socket::MsgFlags;

use super::in_flight::InFlight;
use crate::io::{IoDst, IoSrc};
use crate::task::pid::Pid;

/// A message to send.
#[derive(Debug)]
pub struct SendMsg<'a, 'b> {
    /// The bytes.
    pub src: &'a mut IoSrc<'b>,
    /// Where to, if the call names a destination.
    pub to: Option<&'a [u8]>,
    /// Files and credentials; taken by the first bytes that are sent.
    pub ancillary: Ancillary,
    /// MSG_* bits.
    pub flags: MsgFlags,
    /// Whether the caller waits when there is no room.
    pub blocking: bool,
}

/// Room for a message.
#[derive(Debug)]
pub struct RecvMsg<'a, 'b> {
    /// Where the bytes go.
    pub dst: &'a mut IoDst<'b>,
    /// MSG_* bits.
    pub flags: MsgFlags,
    /// Whether the caller has room for ancillary data at all (recvmsg as against read).
    pub wants_ancillary: bool,
}

/// What was received.
#[derive(Debug, Default)]
pub struct Received {
    /// Bytes put into the destination, or the length of the message if MSG_TRUNC asked for it.
    pub len: usize,
    /// Who sent it, for sockets that are told.
    pub from: Option<Vec<u8>>,
    /// Files and credentials.
    pub ancillary: Ancillary,
    /// MSG_TRUNC, MSG_EOR, MSG_CTRUNC, ...
    pub flags: MsgFlags,
    /// Other control messages: level, type, data.
    pub control: Vec<(i32, i32, Vec<u8>)>,
}

/// Files and credentials that travel with bytes, unix(7).
#[derive(Debug, Default)]
pub struct Ancillary {
    /// SCM_RIGHTS.
    pub files: InFlight,
    /// SCM_CREDENTIALS, sent explicitly or added because the receiver has SO_PASSCRED.
    pub credentials: Option<PeerCred>,
    /// Control messages of protocols, as they were given: level, type, data.
    pub control: Vec<(i32, i32, Vec<u8>)>,
}

impl Ancillary {
    /// Whether it carries files.
    #[must_use]
    pub fn has_files(&self) -> bool {
        !self.files.is_empty()
    }

    /// The same for one who only looks (MSG_PEEK).
    #[must_use]
    pub fn peek(&self) -> Self {
        Self { files: self.files.peek(), credentials: self.credentials.clone(), control: Vec::new() }
    }
}

/// Who is at the other end: `struct ucred` before it is seen from a certain pid and user namespace.
#[derive(Clone, Debug)]
pub struct PeerCred {
    /// The process.
    pub pid: Arc<Pid>,
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

impl PartialEq for PeerCred {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.pid, &other.pid) && self.uid == other.uid && self.gid == other.gid
    }
}
