//! Netlink messages: reading what programs send, writing what they get.

use abi::Errno;
use abi::netlink::{NLA_TYPE_MASK, NLM_F_CAPPED, NLM_F_MULTI, NLMSG_DONE, NLMSG_ERROR, Nlattr, Nlmsghdr};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::error::{Result, err};

/// Length of a message's header.
const HEADER: usize = size_of::<Nlmsghdr>();
/// How much of a dump goes into one datagram: what every program has room for.
const DATAGRAM: usize = 8192;

/// A request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    pub(super) header: Nlmsghdr,
    /// What is behind the header.
    pub(super) payload: &'a [u8],
    /// All of it.
    pub(super) whole: &'a [u8],
}

/// The requests in a datagram; what comes after a malformed one is ignored, as Linux does.
pub(super) fn requests(mut bytes: &[u8]) -> impl Iterator<Item = Request<'_>> {
    std::iter::from_fn(move || {
        let (header, _) = Nlmsghdr::read_from_prefix(bytes).ok()?;
        let len = usize::try_from(header.nlmsg_len).ok()?;
        let whole = bytes.get(..len)?;
        let payload = whole.get(HEADER..)?;
        bytes = bytes.get(align(len)..).unwrap_or_default();
        Some(Request { header, payload, whole })
    })
}

impl<'a> Request<'a> {
    /// The structure at the beginning of the payload, zeros where it is cut short, and the attributes behind it.
    pub(super) fn split<T: FromBytes + IntoBytes>(&self) -> Result<(T, Attributes<'a>)> {
        let (body, _) = T::read_from_prefix(self.payload).map_err(|_| Errno::EINVAL)?;
        Ok((body, Attributes(self.payload.get(align(size_of::<T>())..).unwrap_or_default())))
    }

    /// Whether a list is asked for.
    pub(super) fn is_dump(&self) -> bool {
        self.header.nlmsg_flags & abi::netlink::NLM_F_DUMP == abi::netlink::NLM_F_DUMP
    }

    /// Whether a flag is set.
    pub(super) fn has(&self, flag: u16) -> bool {
        self.header.nlmsg_flags & flag != 0
    }
}

/// Attributes, one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attributes<'a>(pub(super) &'a [u8]);

impl<'a> Attributes<'a> {
    /// The last attribute of a type.
    pub(super) fn find(self, kind: u16) -> Option<&'a [u8]> {
        self.iter().filter(|(found, _)| *found == kind).last().map(|(_, data)| data)
    }

    /// An attribute that is a number.
    pub(super) fn u32(self, kind: u16) -> Result<Option<u32>> {
        match self.find(kind) {
            None => Ok(None),
            Some(data) => match data.first_chunk() {
                Some(bytes) => Ok(Some(u32::from_ne_bytes(*bytes))),
                None => err(Errno::ERANGE),
            },
        }
    }

    /// An attribute that is text.
    pub(super) fn text(self, kind: u16) -> Option<&'a str> {
        let data = self.find(kind)?;
        std::str::from_utf8(data.split(|byte| *byte == 0).next().unwrap_or_default()).ok()
    }

    fn iter(self) -> impl Iterator<Item = (u16, &'a [u8])> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let (head, _) = Nlattr::read_from_prefix(rest).ok()?;
            let len = usize::from(head.nla_len);
            let data = rest.get(size_of::<Nlattr>()..len)?;
            rest = rest.get(align(len)..).unwrap_or_default();
            Some((head.nla_type & NLA_TYPE_MASK, data))
        })
    }
}

const fn align(len: usize) -> usize {
    len.saturating_add(3) & !3
}

/// Answers on their way: datagrams of one or more messages.
#[derive(Debug)]
pub(super) struct Reply {
    request: Nlmsghdr,
    port: u32,
    multi: bool,
    done: Vec<Vec<u8>>,
    current: Vec<u8>,
    /// Where the message being written begins.
    start: usize,
}

impl Reply {
    /// Answers to a request of the socket with this port.
    pub(super) fn new(request: &Request<'_>, port: u32) -> Self {
        Self {
            request: request.header,
            port,
            multi: request.is_dump(),
            done: Vec::new(),
            current: Vec::new(),
            start: 0,
        }
    }

    /// A message that nobody asked for.
    pub(super) fn notification() -> Self {
        Self { request: Nlmsghdr::default(), port: 0, multi: false, done: Vec::new(), current: Vec::new(), start: 0 }
    }

    /// Adds a message: a structure, and what `attributes` adds.
    pub(super) fn message<T: IntoBytes + Immutable>(
        &mut self,
        kind: u16,
        body: &T,
        attributes: impl FnOnce(&mut Self),
    ) {
        if self.current.len() > DATAGRAM / 2 {
            self.done.push(std::mem::take(&mut self.current));
        }
        self.begin(kind, if self.multi { NLM_F_MULTI } else { 0 });
        self.put(body.as_bytes());
        attributes(self);
        self.end();
    }

    /// Adds an attribute to the message.
    pub(super) fn attr(&mut self, kind: u16, data: &[u8]) {
        let len = u16::try_from(size_of::<Nlattr>() + data.len()).unwrap_or(u16::MAX);
        let head = Nlattr { nla_len: len, nla_type: kind };
        self.put(head.as_bytes());
        self.put(data);
    }

    /// Adds an attribute that is a number.
    pub(super) fn attr_u32(&mut self, kind: u16, value: u32) {
        self.attr(kind, &value.to_ne_bytes());
    }

    /// Adds an attribute that is text.
    pub(super) fn attr_text(&mut self, kind: u16, text: &str) {
        let mut bytes = text.as_bytes().to_vec();
        bytes.push(0);
        self.attr(kind, &bytes);
    }

    /// NLMSG_ERROR: what became of the request. Without `capped` the whole request comes back with an error.
    pub(super) fn acknowledge(&mut self, request: &Request<'_>, result: &Result<()>, capped: bool) {
        let number = match result {
            Ok(()) => 0,
            Err(e) => -e.errno().raw(),
        };
        let short = capped || result.is_ok();
        self.begin(NLMSG_ERROR, if short && capped { NLM_F_CAPPED } else { 0 });
        self.put(&number.to_ne_bytes());
        self.put(if short { request.header.as_bytes() } else { request.whole });
        self.end();
    }

    /// NLMSG_DONE: the list is complete.
    pub(super) fn finish(&mut self) {
        self.begin(NLMSG_DONE, NLM_F_MULTI);
        self.put(&0_i32.to_ne_bytes());
        self.end();
    }

    /// The datagrams.
    pub(super) fn into_datagrams(mut self) -> Vec<Vec<u8>> {
        if !self.current.is_empty() {
            self.done.push(self.current);
        }
        self.done
    }

    fn begin(&mut self, kind: u16, flags: u16) {
        self.start = self.current.len();
        let header = Nlmsghdr {
            nlmsg_len: 0,
            nlmsg_type: kind,
            nlmsg_flags: flags,
            nlmsg_seq: self.request.nlmsg_seq,
            nlmsg_pid: self.port,
        };
        self.current.extend_from_slice(header.as_bytes());
    }

    fn put(&mut self, bytes: &[u8]) {
        self.current.extend_from_slice(bytes);
        self.current.resize(align(self.current.len()), 0);
    }

    fn end(&mut self) {
        let len = u32::try_from(self.current.len() - self.start).unwrap_or(u32::MAX);
        self.current[self.start..self.start + 4].copy_from_slice(&len.to_ne_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::netlink::{Ifinfomsg, RTM_GETLINK};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_are_requests_or_nothing(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for request in requests(&bytes) {
                if let Ok((_, attributes)) = request.split::<Ifinfomsg>() {
                    let _ = (attributes.find(3), attributes.u32(4), attributes.text(3));
                }
            }
        }
    }

    #[test]
    fn what_is_written_can_be_read() {
        let header = Nlmsghdr { nlmsg_len: 32, nlmsg_type: RTM_GETLINK, nlmsg_seq: 7, ..Nlmsghdr::default() };
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend(Ifinfomsg::default().as_bytes());
        let request = requests(&bytes).next().expect("one request");
        let mut reply = Reply::new(&request, 42);
        reply.message(16, &Ifinfomsg { ifi_index: 5, ..Ifinfomsg::default() }, |reply| {
            reply.attr_text(3, "lo");
            reply.attr_u32(4, 1500);
        });
        let datagrams = reply.into_datagrams();
        let answer = requests(&datagrams[0]).next().expect("one message");
        let (body, attributes) = answer.split::<Ifinfomsg>().expect("a whole structure");
        assert_eq!((answer.header.nlmsg_seq, answer.header.nlmsg_pid, body.ifi_index), (7, 42, 5));
        assert_eq!((attributes.text(3), attributes.u32(4).ok().flatten()), (Some("lo"), Some(1500)));
    }
}
