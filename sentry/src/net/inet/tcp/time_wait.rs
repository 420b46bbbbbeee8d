//! Connections that were closed here first: their ports stay taken for a minute (TIME_WAIT).

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long.
const LENGTH: Duration = Duration::from_secs(60);
/// How many are remembered (tcp_max_tw_buckets).
const MOST: usize = 8192;

/// The connections, oldest first.
#[derive(Debug, Default)]
pub struct TimeWait {
    list: VecDeque<Waiting>,
}

/// One of them.
#[derive(Clone, Copy, Debug)]
pub struct Waiting {
    /// The side that closed first.
    pub local: SocketAddr,
    /// The other.
    pub remote: SocketAddr,
    /// Whether SO_REUSEADDR was set.
    pub shares: bool,
    /// When it is over.
    pub until: Instant,
}

impl TimeWait {
    /// Adds one.
    pub(in crate::net::inet) fn add(&mut self, local: SocketAddr, remote: SocketAddr, shares: bool) {
        let now = Instant::now();
        self.expire(now);
        if self.list.len() >= MOST {
            self.list.pop_front();
        }
        self.list.push_back(Waiting { local, remote, shares, until: now + LENGTH });
    }

    /// Whether a port is taken by one, for who does not set SO_REUSEADDR.
    pub(in crate::net::inet) fn takes(&mut self, port: u16, shares: bool, hears: impl Fn(SocketAddr) -> bool) -> bool {
        self.expire(Instant::now());
        self.list.iter().any(|one| one.local.port() == port && !(shares && one.shares) && hears(one.local))
    }

    /// All that still wait.
    pub(in crate::net) fn all(&mut self) -> Vec<Waiting> {
        self.expire(Instant::now());
        self.list.iter().copied().collect()
    }

    fn expire(&mut self, now: Instant) {
        while self.list.front().is_some_and(|one| one.until <= now) {
            self.list.pop_front();
        }
    }
}
