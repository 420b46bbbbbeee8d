//! SOL_SOCKET options that every socket has, socket(7).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use abi::Errno;
use abi::socket::{
    SO_BROADCAST, SO_BUSY_POLL, SO_DEBUG, SO_DONTROUTE, SO_INCOMING_CPU, SO_KEEPALIVE, SO_LINGER, SO_LOCK_FILTER,
    SO_MARK, SO_NO_CHECK, SO_OOBINLINE, SO_PASSCRED, SO_PRIORITY, SO_RCVBUF, SO_RCVBUFFORCE, SO_RCVLOWAT, SO_RCVMARK,
    SO_RCVTIMEO, SO_REUSEADDR, SO_REUSEPORT, SO_RXQ_OVFL, SO_SELECT_ERR_QUEUE, SO_SNDBUF, SO_SNDBUFFORCE, SO_SNDLOWAT,
    SO_SNDTIMEO, SO_TIMESTAMP, SO_TIMESTAMP_NEW, SO_TIMESTAMPNS, SO_TIMESTAMPNS_NEW, SO_ZEROCOPY,
};

use super::filter::Filter;
use super::stamp::LastStamp;
use crate::error::{Result, err};

/// What a buffer holds unless SO_SNDBUF or SO_RCVBUF says otherwise (net.core.wmem_default).
const DEFAULT_BUFFER: usize = 212_992;
/// The least of each that is given, and the most that may be asked for (before the doubling).
const SEND_LEAST: usize = 4608;
const RECEIVE_LEAST: usize = 2304;
const BUFFER_MOST: usize = 212_992;

/// The options of one socket.
#[derive(Debug)]
pub struct Options {
    send_buffer: AtomicUsize,
    receive_buffer: AtomicUsize,
    /// Set by SO_SNDBUF and SO_RCVBUF: a protocol that sizes its buffers itself leaves them alone.
    has_send_buffer: AtomicBool,
    has_receive_buffer: AtomicBool,
    /// Nanoseconds, 0 for no limit.
    send_timeout: AtomicU64,
    receive_timeout: AtomicU64,
    pass_credentials: AtomicBool,
    linger_on: AtomicBool,
    linger_seconds: AtomicI32,
    /// SO_ATTACH_FILTER.
    pub(super) filter: Arc<Filter>,
    /// SIOCGSTAMP.
    pub(super) last_stamp: LastStamp,
    /// Options that are only remembered, by index into [`REMEMBERED`].
    remembered: [AtomicI32; REMEMBERED.len()],
}

/// Integer options that change nothing here but read back as set.
const REMEMBERED: [i32; 21] = [
    SO_DEBUG,
    SO_REUSEADDR,
    SO_DONTROUTE,
    SO_BROADCAST,
    SO_KEEPALIVE,
    SO_OOBINLINE,
    SO_PRIORITY,
    SO_REUSEPORT,
    SO_TIMESTAMP,
    SO_MARK,
    SO_RCVLOWAT,
    SO_TIMESTAMPNS,
    SO_TIMESTAMP_NEW,
    SO_TIMESTAMPNS_NEW,
    SO_RXQ_OVFL,
    SO_NO_CHECK,
    SO_SELECT_ERR_QUEUE,
    SO_BUSY_POLL,
    SO_ZEROCOPY,
    SO_INCOMING_CPU,
    SO_RCVMARK,
];

impl Default for Options {
    fn default() -> Self {
        let options = Self {
            send_buffer: AtomicUsize::new(DEFAULT_BUFFER),
            receive_buffer: AtomicUsize::new(DEFAULT_BUFFER),
            has_send_buffer: AtomicBool::new(false),
            has_receive_buffer: AtomicBool::new(false),
            send_timeout: AtomicU64::new(0),
            receive_timeout: AtomicU64::new(0),
            pass_credentials: AtomicBool::new(false),
            linger_on: AtomicBool::new(false),
            linger_seconds: AtomicI32::new(0),
            filter: Arc::default(),
            last_stamp: LastStamp::default(),
            remembered: Default::default(),
        };
        if let Some(lowat) = options.remembered(SO_RCVLOWAT) {
            lowat.store(1, Ordering::Relaxed);
        }
        options
    }
}

impl Options {
    /// Options of a protocol with buffers of its own size.
    #[must_use]
    pub fn with_buffers(send: usize, receive: usize) -> Self {
        let options = Self::default();
        options.send_buffer.store(send, Ordering::Relaxed);
        options.receive_buffer.store(receive, Ordering::Relaxed);
        options
    }

    /// What an accepted connection takes over from its listener.
    #[must_use]
    pub fn inherited(&self) -> Self {
        let filter = Arc::new(self.filter.inherited());
        let fresh = Self { filter, ..Self::with_buffers(self.send_buffer(), self.receive_buffer()) };
        for (to, from) in fresh.remembered.iter().zip(&self.remembered) {
            to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        for (to, from) in [
            (&fresh.has_send_buffer, &self.has_send_buffer),
            (&fresh.has_receive_buffer, &self.has_receive_buffer),
            (&fresh.linger_on, &self.linger_on),
            (&fresh.pass_credentials, &self.pass_credentials),
        ] {
            to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        fresh.linger_seconds.store(self.linger_seconds.load(Ordering::Relaxed), Ordering::Relaxed);
        fresh.send_timeout.store(self.send_timeout.load(Ordering::Relaxed), Ordering::Relaxed);
        fresh.receive_timeout.store(self.receive_timeout.load(Ordering::Relaxed), Ordering::Relaxed);
        fresh
    }

    /// Whether SO_SNDBUF was set.
    #[must_use]
    pub fn has_send_buffer(&self) -> bool {
        self.has_send_buffer.load(Ordering::Relaxed)
    }

    /// Whether SO_RCVBUF was set.
    #[must_use]
    pub fn has_receive_buffer(&self) -> bool {
        self.has_receive_buffer.load(Ordering::Relaxed)
    }

    /// SO_RCVBUF.
    #[must_use]
    pub fn receive_buffer(&self) -> usize {
        self.receive_buffer.load(Ordering::Relaxed)
    }

    /// The value of an integer option that is only remembered; 0 if it is none.
    #[must_use]
    pub fn number(&self, name: i32) -> i32 {
        self.remembered(name).map_or(0, |value| value.load(Ordering::Relaxed))
    }

    /// SO_SNDBUF.
    #[must_use]
    pub fn send_buffer(&self) -> usize {
        self.send_buffer.load(Ordering::Relaxed)
    }

    /// SO_PASSCRED.
    #[must_use]
    pub fn pass_credentials(&self) -> bool {
        self.pass_credentials.load(Ordering::Relaxed)
    }

    /// SO_ATTACH_FILTER.
    #[must_use]
    pub fn filter(&self) -> &Arc<Filter> {
        &self.filter
    }

    /// SO_SNDTIMEO.
    #[must_use]
    pub fn send_timeout(&self) -> Option<Duration> {
        timeout(&self.send_timeout)
    }

    /// SO_RCVTIMEO.
    #[must_use]
    pub fn receive_timeout(&self) -> Option<Duration> {
        timeout(&self.receive_timeout)
    }

    /// SO_LINGER: seconds, if on.
    #[must_use]
    pub fn linger(&self) -> Option<i32> {
        self.linger_on.load(Ordering::Relaxed).then(|| self.linger_seconds.load(Ordering::Relaxed))
    }

    /// Reads an integer option that is only remembered.
    #[must_use]
    pub fn flag(&self, name: i32) -> bool {
        self.remembered(name).is_some_and(|value| value.load(Ordering::Relaxed) != 0)
    }

    /// The value of an option; `None` if it is not one of these.
    #[must_use]
    pub fn get(&self, name: i32) -> Option<Vec<u8>> {
        let int = |value: i32| Some(value.to_ne_bytes().to_vec());
        match name {
            SO_SNDBUF => int(i32::try_from(self.send_buffer()).unwrap_or(i32::MAX)),
            SO_RCVBUF => int(i32::try_from(self.receive_buffer()).unwrap_or(i32::MAX)),
            SO_SNDLOWAT => int(1),
            SO_PASSCRED => int(self.pass_credentials().into()),
            SO_LINGER => {
                let mut bytes = i32::from(self.linger_on.load(Ordering::Relaxed)).to_ne_bytes().to_vec();
                bytes.extend(self.linger_seconds.load(Ordering::Relaxed).to_ne_bytes());
                Some(bytes)
            }
            SO_LOCK_FILTER => int(self.filter.is_locked().into()),
            SO_RCVTIMEO => Some(timeval(&self.receive_timeout)),
            SO_SNDTIMEO => Some(timeval(&self.send_timeout)),
            _ => int(self.remembered(name)?.load(Ordering::Relaxed)),
        }
    }

    /// Sets an option; `Ok(false)` if it is not one of these.
    pub fn set(&self, name: i32, value: &[u8], privileged: bool) -> Result<bool> {
        let int = || value.first_chunk().map(|b| i32::from_ne_bytes(*b)).ok_or(Errno::EINVAL);
        match name {
            SO_SNDBUF => self.set_send_buffer(int()?, SEND_LEAST),
            SO_RCVBUF => self.set_receive_buffer(int()?, RECEIVE_LEAST),
            SO_SNDBUFFORCE | SO_RCVBUFFORCE if !privileged => return err(Errno::EPERM),
            SO_SNDBUFFORCE => self.set_send_buffer(int()?, SEND_LEAST),
            SO_RCVBUFFORCE => self.set_receive_buffer(int()?, RECEIVE_LEAST),
            SO_PASSCRED => self.pass_credentials.store(int()? != 0, Ordering::Relaxed),
            SO_LINGER => {
                let (on, seconds) = value.first_chunk::<8>().ok_or(Errno::EINVAL)?.split_at(4);
                let word = |b: &[u8]| b.first_chunk().map_or(0, |b| i32::from_ne_bytes(*b));
                self.linger_on.store(word(on) != 0, Ordering::Relaxed);
                self.linger_seconds.store(word(seconds).max(0), Ordering::Relaxed);
            }
            SO_RCVTIMEO => self.receive_timeout.store(parse_timeval(value)?, Ordering::Relaxed),
            SO_SNDTIMEO => self.send_timeout.store(parse_timeval(value)?, Ordering::Relaxed),
            SO_SNDLOWAT => return err(Errno::ENOPROTOOPT),
            _ => match self.remembered(name) {
                Some(place) => {
                    let value = int()?;
                    let boolean = !matches!(name, SO_PRIORITY | SO_MARK | SO_RCVLOWAT | SO_BUSY_POLL | SO_INCOMING_CPU);
                    let value = match (name, value) {
                        // Nothing at all is not worth waking for, and a negative amount is a huge one.
                        (SO_RCVLOWAT, 0) => 1,
                        (SO_RCVLOWAT, i32::MIN..0) => i32::MAX,
                        (SO_PRIORITY, n) if !(0..=6).contains(&n) && !privileged => return err(Errno::EPERM),
                        (SO_MARK, _) if !privileged => return err(Errno::EPERM),
                        (_, n) => n,
                    };
                    place.store(if boolean { i32::from(value != 0) } else { value }, Ordering::Relaxed);
                }
                None => return Ok(false),
            },
        }
        Ok(true)
    }

    fn set_send_buffer(&self, asked: i32, least: usize) {
        self.send_buffer.store(buffer_size(asked, least), Ordering::Relaxed);
        self.has_send_buffer.store(true, Ordering::Relaxed);
    }

    fn set_receive_buffer(&self, asked: i32, least: usize) {
        self.receive_buffer.store(buffer_size(asked, least), Ordering::Relaxed);
        self.has_receive_buffer.store(true, Ordering::Relaxed);
    }

    fn remembered(&self, name: i32) -> Option<&AtomicI32> {
        let at = REMEMBERED.iter().position(|known| *known == name)?;
        self.remembered.get(at)
    }
}

/// Linux doubles what is asked for, to make room for its bookkeeping. A negative size is a huge one.
fn buffer_size(asked: i32, least: usize) -> usize {
    let asked = usize::try_from(asked).unwrap_or(BUFFER_MOST);
    (asked.min(BUFFER_MOST) * 2).max(least)
}

fn timeout(nanoseconds: &AtomicU64) -> Option<Duration> {
    match nanoseconds.load(Ordering::Relaxed) {
        0 => None,
        n => Some(Duration::from_nanos(n)),
    }
}

fn timeval(nanoseconds: &AtomicU64) -> Vec<u8> {
    let n = nanoseconds.load(Ordering::Relaxed);
    let mut bytes = (n / 1_000_000_000).to_ne_bytes().to_vec();
    bytes.extend((n % 1_000_000_000 / 1000).to_ne_bytes());
    bytes
}

/// A `struct timeval` as nanoseconds. EDOM for microseconds out of range; a negative time is no time at all.
fn parse_timeval(value: &[u8]) -> Result<u64> {
    let words = value.first_chunk::<16>().ok_or(Errno::EINVAL)?;
    let word = |at: usize| words[at..].first_chunk().map_or(0, |b| i64::from_ne_bytes(*b));
    let (seconds, micros) = (word(0), word(8));
    if !(0..1_000_000).contains(&micros) {
        return err(Errno::EDOM);
    }
    if seconds < 0 {
        return Ok(1);
    }
    Ok(seconds.cast_unsigned().saturating_mul(1_000_000_000).saturating_add(micros.cast_unsigned() * 1000))
}
