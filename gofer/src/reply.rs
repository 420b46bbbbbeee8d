//! The answer to one request, as it is being written.

use std::os::fd::OwnedFd;

use abi::Errno;
use ninep::Tag;
use ninep::message::{Message, Rlerror};
use ninep::transport::{HEADER, encode};

/// Where a handler puts its answer: one message, and at most one descriptor.
#[derive(Debug)]
pub(crate) struct Reply<'o> {
    out: &'o mut Vec<u8>,
    start: usize,
    tag: Tag,
    limit: usize,
    fd: Option<OwnedFd>,
}

impl<'o> Reply<'o> {
    pub(crate) fn new(out: &'o mut Vec<u8>, tag: Tag, limit: usize) -> Self {
        Self { start: out.len(), out, tag, limit, fd: None }
    }

    /// Writes the answer, in place of one written before.
    pub(crate) fn send<M: Message>(&mut self, message: &M) -> Result<(), Errno> {
        self.out.truncate(self.start);
        encode(self.out, self.tag, message, self.limit).map_err(|_| Errno::EMSGSIZE)
    }

    /// Writes the answer, with a descriptor.
    pub(crate) fn send_with_fd<M: Message>(&mut self, message: &M, fd: OwnedFd) -> Result<(), Errno> {
        self.send(message)?;
        self.fd = Some(fd);
        Ok(())
    }

    /// Writes that the request failed.
    pub(crate) fn fail(&mut self, errno: Errno) {
        self.fd = None;
        let ecode = u32::try_from(errno.raw()).unwrap_or(0);
        // Eleven bytes fit every limit.
        let _ = self.send(&Rlerror { ecode });
    }

    /// How many bytes of data an answer may carry that has `fixed` bytes of other fields.
    pub(crate) fn room(&self, fixed: usize) -> usize {
        self.limit.saturating_sub(HEADER + fixed)
    }

    /// The descriptor to go along.
    pub(crate) fn into_fd(self) -> Option<OwnedFd> {
        self.fd
    }
}
