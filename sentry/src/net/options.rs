//! SOL_SOCKET options that every socket has, socket(7).

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use abi::Errno;
use abi::socket::{
    SO_BROADCAST, SO_DEBUG, SO_DONTROUTE, SO_KEEPALIVE, SO_LINGER, SO_MARK, SO_OOBINLINE, SO_PASSCRED, SO_PRIORITY,
    SO_RCVBUF, SO_RCVBUFFORCE, SO_RCVLOWAT, SO_RCVTIMEO, SO_REUSEADDR, SO_REUSEPORT, SO_SNDBUF, SO_SNDBUFFORCE,
    SO_SNDLOWAT, SO_SNDTIMEO, SO_TIMESTAMP,
};

use crate::error::{Result, err};

/// What a buffer holds unless SO_SNDBUF or SO_RCVBUF says otherwise (net.core.wmem_default).
const DEFAULT_BUFFER: usize = 212_992;
/// The least and the most that may be asked for (before the doubling).
const BUFFER_RANGE: std::ops::RangeInclusive<usize> = 2304..=212_992;

/// The options of one socket.
#[derive(Debug)]
pub struct Options {
    send_buffer: AtomicUsize,
    receive_buffer: AtomicUsize,
    /// Nanoseconds, 0 for no limit.
    send_timeout: AtomicU64,
    receive_timeout: AtomicU64,
    pass_credentials: AtomicBool,
    linger_on: AtomicBool,
    linger_seconds: AtomicI32,
    /// Options that are only remembered, by index into [`REMEMBERED`].
    remembered: [AtomicI32; REMEMBERED.len()],
}

/// Integer options that change nothing here but read back as set.
const REMEMBERED: [i32; 11] = [
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
];

impl Default for Options {
    fn default() -> Self {
        let options = Self {
            send_buffer: AtomicUsize::new(DEFAULT_BUFFER),
            receive_buffer: AtomicUsize::new(DEFAULT_BUFFER),
            send_timeout: AtomicU64::new(0),
            receive_timeout: AtomicU64::new(0),
            pass_credentials: AtomicBool::new(false),
            linger_on: AtomicBool::new(false),
            linger_seconds: AtomicI32::new(0),
            remembered: Default::default(),
        };
        if let Some(lowat) = options.remembered(SO_RCVLOWAT) {
            lowat.store(1, Ordering::Relaxed);
        }
        options
    }
}

impl Options {
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
            SO_RCVBUF => int(i32::try_from(self.receive_buffer.load(Ordering::Relaxed)).unwrap_or(i32::MAX)),
            SO_SNDLOWAT => int(1),
            SO_PASSCRED => int(self.pass_credentials().into()),
            SO_LINGER => {
                let mut bytes = i32::from(self.linger_on.load(Ordering::Relaxed)).to_ne_bytes().to_vec();
                bytes.extend(self.linger_seconds.load(Ordering::Relaxed).to_ne_bytes());
                Some(bytes)
            }
            SO_RCVTIMEO => Some(timeval(&self.receive_timeout)),
            SO_SNDTIMEO => Some(timeval(&self.send_timeout)),
            _ => int(self.remembered(name)?.load(Ordering::Relaxed)),
        }
    }

    /// Sets an option; `Ok(false)` if it is not one of these.
    pub fn set(&self, name: i32, value: &[u8], privileged: bool) -> Result<bool> {
        let int = || value.first_chunk().map(|b| i32::from_ne_bytes(*b)).ok_or(Errno::EINVAL);
        match name {
            SO_SNDBUF => self.send_buffer.store(buffer_size(int()?), Ordering::Relaxed),
            SO_RCVBUF => self.receive_buffer.store(buffer_size(int()?), Ordering::Relaxed),
            SO_SNDBUFFORCE | SO_RCVBUFFORCE if !privileged => return err(Errno::EPERM),
            SO_SNDBUFFORCE => self.send_buffer.store(buffer_size(int()?), Ordering::Relaxed),
            SO_RCVBUFFORCE => self.receive_buffer.store(buffer_size(int()?), Ordering::Relaxed),
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
                    let boolean = !matches!(name, SO_PRIORITY | SO_MARK | SO_RCVLOWAT);
                    place.store(if boolean { i32::from(value != 0) } else { value }, Ordering::Relaxed);
                }
                None => return Ok(false),
            },
        }
        Ok(true)
    }

    fn remembered(&self, name: i32) -> Option<&AtomicI32> {
        let at = REMEMBERED.iter().position(|known| *known == name)?;
        self.remembered.get(at)
    }
}

/// Linux doubles what is asked for, to make room for its bookkeeping.
fn buffer_size(asked: i32) -> usize {
    let asked = usize::try_from(asked).unwrap_or(*BUFFER_RANGE.end());
    asked.clamp(BUFFER_RANGE.start() / 2, *BUFFER_RANGE.end()) * 2
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
