//! The side that asks: a blocking client that many threads may use at once.
//!
//! A call holds the connection for its whole round trip, under one mutex, which is the innermost lock of whoever calls:
//! nothing is called back while it is held. Fids that are no longer needed are queued and sent along with the next
//! call, so that dropping a [`FidHandle`] never waits.
//!
//! [`Client`] hides the dialect: each operation is one message of the extended dialect or a few of the plain one.

mod create;
mod data;
mod fids;
mod follow;
mod tree;
mod xattr;

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use abi::Errno;
use parking_lot::Mutex;

pub use self::create::{Creation, Owner};
pub use self::data::OpenFile;
pub use self::fids::FidHandle;
use self::fids::FidPool;
use self::follow::Follow;
pub use self::tree::{Entry, ListedEntry, Stats};
use crate::message::{
    Message, RLERROR, Request, Rlerror, Step, Tattach, Tclunk, Tfollow, Tforget, Tversion, Twalkattr, decode_body,
};
use crate::name::Name;
use crate::transport::{Frame, FrameReader, Transport, encode};
use crate::types::{Fid, Tag};
use crate::version::{Dialect, MIN_MSIZE};
use crate::wire::{DecodeError, List, MAX_LIST, Str};

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server refused.
    #[error("server: {0}")]
    Refused(#[from] Errno),
    /// The connection is gone, or was given up after a breach of the protocol.
    #[error("connection lost")]
    Lost,
    /// The server broke the protocol or the stream failed; the connection is given up.
    #[error("connection: {0}")]
    Io(#[from] io::Error),
    /// The server answered with something that does not decode; the connection is given up.
    #[error("answer: {0}")]
    Decode(#[from] DecodeError),
    /// The server knows no dialect that we know.
    #[error("server speaks no 9P2000.L")]
    Version,
}

impl ClientError {
    /// What an application is told.
    #[must_use]
    pub fn errno(&self) -> Errno {
        match self {
            Self::Refused(errno) => *errno,
            _ => Errno::EIO,
        }
    }
}

impl From<ClientError> for Errno {
    fn from(error: ClientError) -> Self {
        error.errno()
    }
}

/// Result of a call.
pub type Result<T> = std::result::Result<T, ClientError>;

/// What a client asks of a session.
#[derive(Clone, Copy, Debug)]
pub struct ClientOptions<'a> {
    /// The newest dialect to offer.
    pub dialect: Dialect,
    /// The largest message to offer.
    pub msize: u32,
    /// Who attaches, for servers that ask.
    pub uname: &'a str,
    /// The same as a number.
    pub uid: u32,
    /// Which of the server's trees.
    pub aname: &'a str,
}

impl Default for ClientOptions<'_> {
    fn default() -> Self {
        Self { dialect: Dialect::Extended, msize: 128 << 10, uname: "", uid: 0, aname: "/" }
    }
}

/// A session with a server.
pub struct Client {
    transport: Box<dyn Transport>,
    link: Mutex<Link>,
    fids: FidPool,
    dialect: Dialect,
    msize: usize,
    calls: AtomicU64,
}

/// What a round trip needs for itself.
#[derive(Debug, Default)]
struct Link {
    reader: FrameReader,
    out: Vec<u8>,
    fds: VecDeque<OwnedFd>,
    follow: Follow,
    broken: bool,
}

const CALL_TAG: Tag = Tag(0);

/// Tag of a request that is sent along with another; those from 1 up belong to what is forgotten on the way.
const SECOND_TAG: Tag = Tag(u16::MAX - 1);

/// Most fids that one call forgets on its way.
const MAX_FORGET: usize = 256;

impl Client {
    /// Negotiates the dialect and attaches. The handle is that of the tree's root.
    pub fn connect(transport: Box<dyn Transport>, options: &ClientOptions<'_>) -> Result<(Arc<Self>, FidHandle)> {
        let mut client = Self {
            transport,
            link: Mutex::default(),
            fids: FidPool::default(),
            dialect: Dialect::Plain,
            msize: usize::try_from(options.msize.max(MIN_MSIZE)).map_err(|_| ClientError::Version)?,
            calls: AtomicU64::new(0),
        };
        match client.negotiate(options.dialect, options.msize) {
            // diod refuses a suffix that it does not know, other servers answer with what they know instead.
            Err(ClientError::Refused(_) | ClientError::Version) if options.dialect != Dialect::Plain => {
                client.negotiate(Dialect::Plain, options.msize)?;
            }
            other => other?,
        }
        let client = Arc::new(client);
        let root = FidHandle::new(&client)?;
        client.call(
            &Tattach {
                fid: root.fid(),
                afid: Fid::NONE,
                uname: Str(options.uname.as_bytes()),
                aname: Str(options.aname.as_bytes()),
                uid: options.uid,
            },
            |_, _| (),
        )?;
        Ok((client, root))
    }

    fn negotiate(&mut self, offer: Dialect, limit: u32) -> Result<()> {
        let ask = Tversion { msize: limit, version: Str(offer.version().as_bytes()) };
        let (dialect, msize) = self.call_tagged(Tag::NONE, &ask, |r, _| (Dialect::answered(r.version), r.msize))?;
        self.dialect = dialect.filter(|d| *d <= offer).ok_or(ClientError::Version)?;
        let msize = Some(msize).filter(|m| (MIN_MSIZE..=limit).contains(m)).ok_or(ClientError::Version)?;
        self.msize = usize::try_from(msize).map_err(|_| ClientError::Version)?;
        Ok(())
    }

    /// The dialect that was settled.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// How many round trips there have been.
    #[must_use]
    pub fn round_trips(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Sends a request, waits for its answer and hands that to `then`, which must not block.
    pub fn call<Q: Request, R>(&self, ask: &Q, then: impl FnOnce(Q::Reply<'_>, Option<OwnedFd>) -> R) -> Result<R> {
        self.call_tagged(CALL_TAG, ask, then)
    }

    /// Finds `name` in `dir` and makes a request of what it finds, both in one round trip: servers of the extended dialect
    /// answer in order. The inner result is the second answer's.
    fn lookup_and<Q: Request, R>(
        self: &Arc<Self>,
        dir: &FidHandle,
        name: Name<'_>,
        ask: impl FnOnce(Fid) -> Q,
        then: impl FnOnce(Q::Reply<'_>, Option<OwnedFd>) -> R,
    ) -> Result<(Entry, Result<R>)> {
        let fid = FidHandle::new(self)?;
        let steps = [Step { newfid: fid.fid(), name }];
        let walk = Twalkattr { fid: dir.fid(), steps: List::Slice(&steps) };
        let ask = ask(fid.fid());
        let (mut found, mut result) = (None, None);
        let mut then = Some(then);
        self.round_trip(
            |out| encode(out, CALL_TAG, &walk, self.msize).and_then(|()| encode(out, SECOND_TAG, &ask, self.msize)),
            2,
            |frame, fds| {
                match (frame.tag, then.take_if(|_| frame.tag == SECOND_TAG)) {
                    (CALL_TAG, _) if found.is_none() => {
                        // A descriptor that is here already came with the second answer.
                        let none = &mut VecDeque::new();
                        found = Some(kept(answer::<Twalkattr<'_>, _>(frame, none, |r, _| tree::first_found(&r)))?);
                    }
                    (_, Some(then)) => result = Some(kept(answer::<Q, R>(frame, fds, then))?),
                    _ => return Err(DecodeError::Unexpected.into()),
                }
                Ok(())
            },
        )?;
        let (Some(found), Some(result)) = (found, result) else { return Err(DecodeError::Unexpected.into()) };
        Ok((tree::entry(fid, found??), result))
    }

    fn call_tagged<Q: Request, R>(
        &self,
        tag: Tag,
        ask: &Q,
        then: impl FnOnce(Q::Reply<'_>, Option<OwnedFd>) -> R,
    ) -> Result<R> {
        let (mut then, mut result) = (Some(then), None);
        self.round_trip(
            |out| encode(out, tag, ask, self.msize),
            1,
            |frame, fds| match then.take_if(|_| frame.tag == tag) {
                Some(then) => {
                    result = Some(kept(answer::<Q, R>(frame, fds, then))?);
                    Ok(())
                }
                None => Err(DecodeError::Unexpected.into()),
            },
        )?;
        result.unwrap_or_else(|| Err(DecodeError::Unexpected.into()))
    }

    /// Sends what `put` writes, along with fids to forget, and hands each of its `answers` to `take`. Servers may answer in
    /// any order. An error of `take` is a breach of the protocol, and the connection is given up.
    fn round_trip(
        &self,
        put: impl FnOnce(&mut Vec<u8>) -> io::Result<()>,
        answers: usize,
        mut take: impl FnMut(Frame<'_>, &mut VecDeque<OwnedFd>) -> Result<()>,
    ) -> Result<()> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let mut link = self.link.lock();
        if link.broken {
            return Err(ClientError::Lost);
        }
        link.out.clear();
        let forgotten = self.fids.take_forgotten(MAX_FORGET);
        let mut extra = self.put_forgotten(&mut link.out, &forgotten);
        extra += self.put_follow(&mut link, extra);
        if put(&mut link.out).is_err() {
            self.fids.put_back(forgotten);
            return Err(Errno::ENAMETOOLONG.into());
        }
        let result = self.exchange(&mut link, extra, answers, &mut take);
        self.fids.free(forgotten);
        link.broken = result.is_err();
        result
    }

    /// Sends what `link.out` holds, reads the answers to it, and `extra` others that nobody waits for.
    fn exchange(
        &self,
        link: &mut Link,
        extra: usize,
        answers: usize,
        take: &mut dyn FnMut(Frame<'_>, &mut VecDeque<OwnedFd>) -> Result<()>,
    ) -> Result<()> {
        let Link { reader, fds, out, .. } = link;
        self.transport.send(out, None)?;
        fds.clear();
        for _ in 0..extra + answers {
            let frame = reader.next(&*self.transport, fds, self.msize)?.ok_or(ClientError::Lost)?;
            if !(1..=extra).contains(&usize::from(frame.tag.0)) {
                take(frame, fds)?;
            }
        }
        Ok(())
    }

    /// Appends the messages that forget `fids`, tagged from 1 up; tells how many answers they will have.
    fn put_forgotten(&self, out: &mut Vec<u8>, fids: &[Fid]) -> usize {
        // These are a few bytes each and always fit.
        let tags = (1..).map(Tag);
        match self.dialect {
            Dialect::Extended => {
                let lists = fids.chunks(MAX_LIST).map(|fids| Tforget { fids: List::Slice(fids) });
                lists.zip(tags).flat_map(|(ask, tag)| encode(out, tag, &ask, self.msize)).count()
            }
            Dialect::Plain => {
                let clunks = fids.iter().map(|&fid| Tclunk { fid });
                clunks.zip(tags).flat_map(|(ask, tag)| encode(out, tag, &ask, self.msize)).count()
            }
        }
    }

    /// Tells the server where to run, if that is another place now; tells how many answers that will have.
    fn put_follow(&self, link: &mut Link, extra: usize) -> usize {
        let Some(cpu) = self.transport.cpu().filter(|_| self.extended()) else { return 0 };
        let Some(wanted) = link.follow.call_from(cpu) else { return 0 };
        let ask = Tfollow { cpu: wanted.unwrap_or(u32::MAX) };
        let tag = u16::try_from(extra + 1).map(Tag);
        tag.is_ok_and(|tag| encode(&mut link.out, tag, &ask, self.msize).is_ok()).into()
    }

    /// How much data one message may carry.
    fn max_data(&self) -> usize {
        // Twrite has the most before its data: header, fid, offset, count.
        self.msize - 24
    }

    fn extended(&self) -> bool {
        self.dialect == Dialect::Extended
    }
}

/// A result that leaves the connection as it is, to be passed on; any other is an error of the connection.
fn kept<R>(result: Result<R>) -> Result<Result<R>> {
    match result {
        Ok(_) | Err(ClientError::Refused(_)) => Ok(result),
        Err(error) => Err(error),
    }
}

/// Hands the answer to a request to `then`.
fn answer<Q: Request, R>(
    frame: Frame<'_>,
    fds: &mut VecDeque<OwnedFd>,
    then: impl FnOnce(Q::Reply<'_>, Option<OwnedFd>) -> R,
) -> Result<R> {
    if frame.kind == RLERROR {
        let Rlerror { ecode } = decode_body(frame.body)?;
        return Err(Errno::from_raw(i32::try_from(ecode).unwrap_or(0)).into());
    }
    if frame.kind != <Q::Reply<'_> as Message>::TYPE {
        return Err(DecodeError::Unexpected.into());
    }
    Ok(then(decode_body(frame.body)?, fds.pop_front()))
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("dialect", &self.dialect).field("msize", &self.msize).finish_non_exhaustive()
    }
}
