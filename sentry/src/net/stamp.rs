//! When packets came in, as programs ask for it: SO_TIMESTAMP and its kin with each message, SIOCGSTAMP afterwards.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use abi::socket::{SO_TIMESTAMP, SO_TIMESTAMP_NEW, SO_TIMESTAMPNS, SO_TIMESTAMPNS_NEW, SOL_SOCKET};

use super::options::Options;

/// When the last packet came in that was received, in nanoseconds; 0 for none.
#[derive(Debug, Default)]
pub(super) struct LastStamp(AtomicU64);

impl LastStamp {
    /// `struct timeval` or `struct timespec`; `None` if nothing was received.
    pub(super) fn show(&self, nanos: bool) -> Option<Vec<u8>> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            at => Some(bytes(Duration::from_nanos(at), nanos)),
        }
    }
}

/// The control messages that tell when a packet came in. It is remembered for who asks later.
pub(super) fn received(options: &Options, at: SystemTime, out: &mut Vec<(i32, i32, Vec<u8>)>) {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    options.last_stamp.0.store(u64::try_from(since.as_nanos()).unwrap_or(0), Ordering::Relaxed);
    for (name, nanos) in
        [(SO_TIMESTAMP, false), (SO_TIMESTAMP_NEW, false), (SO_TIMESTAMPNS, true), (SO_TIMESTAMPNS_NEW, true)]
    {
        if options.flag(name) {
            out.push((SOL_SOCKET, name, bytes(since, nanos)));
        }
    }
}

fn bytes(since: Duration, nanos: bool) -> Vec<u8> {
    let part = if nanos { since.subsec_nanos() } else { since.subsec_micros() };
    let mut bytes = since.as_secs().to_ne_bytes().to_vec();
    bytes.extend(u64::from(part).to_ne_bytes());
    bytes
}
