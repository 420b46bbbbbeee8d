//! What `sendmsg` and `recvmsg` carry beside bytes.

use std::sync::Arc;

use abi::Errno;
use abi::socket::{CMSG_HDR_LEN, Cmsghdr, MsgFlags, cmsg_align};
use zerocopy::FromBytes;

use super::in_flight::InFlight;
use crate::error::{Result, err};
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

/// One control message: level, type, data.
pub type Control<'a> = (i32, i32, &'a [u8]);

/// Takes apart what a program gives as control messages, cmsg(3). What is too short for a header ends the list; a message that
/// is longer than what is there is EINVAL, and the last.
pub fn controls(bytes: &[u8]) -> impl Iterator<Item = Result<Control<'_>>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (header, _) = Cmsghdr::read_from_prefix(rest).ok()?;
        let len = usize::try_from(header.cmsg_len).unwrap_or(usize::MAX);
        let Some(data) = rest.get(CMSG_HDR_LEN..len) else {
            rest = &[];
            return Some(err(Errno::EINVAL));
        };
        rest = rest.get(cmsg_align(len)..).unwrap_or_default();
        Some(Ok((header.cmsg_level, header.cmsg_type, data)))
    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::IntoBytes;

    #[test]
    fn control_messages_are_told_apart() {
        let header = |len: u64, kind: i32| Cmsghdr { cmsg_len: len, cmsg_level: 1, cmsg_type: kind };
        let mut bytes = header(17, 5).as_bytes().to_vec();
        bytes.extend([7, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend(header(16, 6).as_bytes());
        let list: Vec<_> = controls(&bytes).map(|one| one.expect("it is whole")).collect();
        assert_eq!(list, [(1, 5, &[7][..]), (1, 6, &[])]);
        for len in [0, 15, 41, u64::MAX] {
            bytes[..8].copy_from_slice(&len.to_ne_bytes());
            let list: Vec<_> = controls(&bytes).collect();
            assert!(matches!(&list[..], [Err(_)]), "{len}");
        }
        assert_eq!(controls(&bytes[..15]).count(), 0, "no header, no message");
    }
}
