//! Options of SOL_TCP, tcp(7).
//!
//! Between two sockets of the sandbox nothing is delayed, retransmitted or probed, so most of them are kept and change
//! nothing.

use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use abi::Errno;
use abi::socket::{
    SO_ERROR, SO_PEEK_OFF, SOL_IP, SOL_IPV6, SOL_SOCKET, SOL_TCP, TCP_CC_INFO, TCP_CONGESTION, TCP_CORK,
    TCP_DEFER_ACCEPT, TCP_FASTOPEN, TCP_FASTOPEN_CONNECT, TCP_INFO, TCP_INQ, TCP_KEEPCNT, TCP_KEEPIDLE, TCP_KEEPINTVL,
    TCP_LINGER2, TCP_MAXSEG, TCP_NODELAY, TCP_NOTSENT_LOWAT, TCP_QUICKACK, TCP_REPAIR, TCP_SAVE_SYN, TCP_SYNCNT,
    TCP_THIN_DUPACK, TCP_THIN_LINEAR_TIMEOUTS, TCP_TIMESTAMP, TCP_TX_DELAY, TCP_ULP, TCP_USER_TIMEOUT,
    TCP_WINDOW_CLAMP,
};
use zerocopy::IntoBytes;

use super::{Role, TcpSocket, TcpState, info};
use crate::error::{Result, err};
use crate::net::inet::rare;
use crate::task::CurrentTask;

/// What a value must be.
#[derive(Clone, Copy)]
enum Rule {
    /// 0 or 1, whatever is given.
    Flag,
    /// Within these bounds.
    Within(i32, i32),
}

/// Name, first value, rule.
const KEPT: [(i32, i32, Rule); 20] = [
    (TCP_NODELAY, 0, Rule::Flag),
    (TCP_CORK, 0, Rule::Flag),
    (TCP_KEEPIDLE, 7200, Rule::Within(1, 32767)),
    (TCP_KEEPINTVL, 75, Rule::Within(1, 32767)),
    (TCP_KEEPCNT, 9, Rule::Within(1, 127)),
    (TCP_SYNCNT, 6, Rule::Within(1, 127)),
    (TCP_LINGER2, 60, Rule::Within(i32::MIN, i32::MAX)),
    (TCP_DEFER_ACCEPT, 0, Rule::Within(i32::MIN, i32::MAX)),
    (TCP_WINDOW_CLAMP, 0, Rule::Within(0, i32::MAX)),
    (TCP_QUICKACK, 1, Rule::Within(i32::MIN, i32::MAX)),
    (TCP_USER_TIMEOUT, 0, Rule::Within(0, i32::MAX)),
    (TCP_FASTOPEN, 0, Rule::Within(0, i32::MAX)),
    (TCP_FASTOPEN_CONNECT, 0, Rule::Within(0, 1)),
    (TCP_NOTSENT_LOWAT, 0, Rule::Within(i32::MIN, i32::MAX)),
    (TCP_MAXSEG, 0, Rule::Within(88, 32767)),
    (TCP_THIN_LINEAR_TIMEOUTS, 0, Rule::Within(0, 1)),
    (TCP_THIN_DUPACK, 0, Rule::Within(0, 1)),
    (TCP_SAVE_SYN, 0, Rule::Within(0, 2)),
    (TCP_INQ, 0, Rule::Within(0, 1)),
    (TCP_TX_DELAY, 0, Rule::Within(0, 1 << 20)),
];

/// Congestion control algorithms that may be asked for.
const ALGORITHMS: [&[u8]; 2] = [b"cubic", b"reno"];

/// The options of one socket.
#[derive(Debug)]
pub(super) struct TcpOptions {
    kept: [AtomicI32; KEPT.len()],
    /// Index into [`ALGORITHMS`].
    algorithm: AtomicI32,
}

impl Default for TcpOptions {
    fn default() -> Self {
        Self { kept: KEPT.map(|(_, first, _)| AtomicI32::new(first)), algorithm: AtomicI32::new(0) }
    }
}

impl TcpOptions {
    pub(super) fn inherited(&self) -> Self {
        let fresh = Self::default();
        for (to, from) in fresh.kept.iter().zip(&self.kept) {
            to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        fresh.algorithm.store(self.algorithm.load(Ordering::Relaxed), Ordering::Relaxed);
        fresh
    }

    fn number(&self, name: i32) -> Option<i32> {
        let at = KEPT.iter().position(|(known, ..)| *known == name)?;
        Some(self.kept[at].load(Ordering::Relaxed))
    }

    /// Whether small segments wait.
    pub(super) fn nagle(&self) -> bool {
        self.number(TCP_NODELAY) == Some(0) || self.number(TCP_CORK) == Some(1)
    }

    /// TCP_KEEPIDLE.
    pub(super) fn keep_idle(&self) -> u64 {
        self.number(TCP_KEEPIDLE).and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(7200)
    }

    /// TCP_USER_TIMEOUT, if it is set.
    pub(super) fn user_timeout(&self) -> Option<Duration> {
        let milliseconds = u64::try_from(self.number(TCP_USER_TIMEOUT)?).ok()?;
        (milliseconds > 0).then(|| Duration::from_millis(milliseconds))
    }
}

pub(super) fn get(socket: &TcpSocket, task: &CurrentTask, level: i32, name: i32, room: usize) -> Result<Vec<u8>> {
    let int = |value: i32| Ok(value.to_ne_bytes().to_vec());
    match (level, name) {
        (SOL_SOCKET, SO_ERROR) => int(socket.end.take_error().map_or(0, Errno::raw)),
        (SOL_SOCKET, SO_PEEK_OFF) => int(socket.peek_offset.load(Ordering::Relaxed)),
        (SOL_SOCKET, _) => rare::get(task, &socket.net, &socket.ip, socket.owner.get(), name),
        (SOL_IP | SOL_IPV6, _) => socket.ip.get(level, name, room, connected_mtu(socket)),
        (SOL_TCP, TCP_INFO) => Ok(info::tcp_info(socket).as_bytes().to_vec()),
        (SOL_TCP, TCP_CONGESTION) => {
            let at = usize::try_from(socket.tcp.algorithm.load(Ordering::Relaxed)).unwrap_or(0);
            let mut name = ALGORITHMS.get(at).copied().unwrap_or_default().to_vec();
            name.resize(16, 0);
            Ok(name)
        }
        (SOL_TCP, TCP_MAXSEG) => {
            let connected = matches!(socket.state.lock().role, Role::Connected(_));
            let kept = socket.tcp.number(TCP_MAXSEG).unwrap_or(0);
            int(match kept {
                0 if connected => info::LOOPBACK_MSS,
                0 => 536,
                other => other,
            })
        }
        (SOL_TCP, TCP_DEFER_ACCEPT) => int(socket.tcp.number(name).unwrap_or(0)),
        (SOL_TCP, TCP_REPAIR) => int(0),
        (SOL_TCP, TCP_ULP | TCP_CC_INFO) => Ok(Vec::new()),
        (SOL_TCP, TCP_TIMESTAMP) => int(0),
        (SOL_TCP, _) => match socket.tcp.number(name) {
            Some(value) => int(value),
            None => err(Errno::ENOPROTOOPT),
        },
        _ => err(Errno::EOPNOTSUPP),
    }
}

pub(super) fn set(socket: &TcpSocket, task: &CurrentTask, level: i32, name: i32, value: &[u8]) -> Result<()> {
    let int = || value.first_chunk().map(|bytes| i32::from_ne_bytes(*bytes)).ok_or(Errno::EINVAL);
    match (level, name) {
        (SOL_SOCKET, SO_PEEK_OFF) => {
            socket.peek_offset.store(int()?, Ordering::Relaxed);
            Ok(())
        }
        (SOL_SOCKET, _) => rare::set(task, &socket.net, &socket.ip, name, value),
        (SOL_IP | SOL_IPV6, _) => socket.ip.set(task, &socket.net, socket.family, (level, name), value),
        (SOL_TCP, TCP_CONGESTION) => {
            let name = value.split(|byte| *byte == 0).next().unwrap_or_default();
            match ALGORITHMS.iter().position(|known| *known == name) {
                Some(at) => {
                    socket.tcp.algorithm.store(i32::try_from(at).unwrap_or(0), Ordering::Relaxed);
                    Ok(())
                }
                None => err(Errno::ENOENT),
            }
        }
        (SOL_TCP, TCP_ULP) => err(Errno::ENOENT),
        (SOL_TCP, TCP_REPAIR) => err(Errno::EPERM),
        (SOL_TCP, _) => set_kept(socket, name, int()?),
        _ => err(Errno::ENOPROTOOPT),
    }
}

fn set_kept(socket: &TcpSocket, name: i32, value: i32) -> Result<()> {
    let Some(at) = KEPT.iter().position(|(known, ..)| *known == name) else { return err(Errno::ENOPROTOOPT) };
    let value = match KEPT[at].2 {
        Rule::Flag => i32::from(value != 0),
        Rule::Within(least, most) if (least..=most).contains(&value) => value,
        // Nothing is the route's choice again.
        Rule::Within(..) if name == TCP_MAXSEG && value == 0 => 0,
        Rule::Within(..) => return err(Errno::EINVAL),
    };
    let value = match name {
        TCP_DEFER_ACCEPT | TCP_LINGER2 => value.max(if name == TCP_LINGER2 { -1 } else { 0 }),
        TCP_WINDOW_CLAMP if value == 0 && socket.tcp_state() != TcpState::Close => return err(Errno::EINVAL),
        TCP_QUICKACK => i32::from(value & 1 != 0),
        _ => value,
    };
    socket.tcp.kept[at].store(value, Ordering::Relaxed);
    if matches!(name, TCP_NODELAY | TCP_CORK)
        && let Some(conn) = socket.connection()
    {
        conn.set_nagle(socket.tcp.nagle());
    }
    Ok(())
}

fn connected_mtu(socket: &TcpSocket) -> Option<u32> {
    matches!(socket.state.lock().role, Role::Connected(_)).then_some(65536)
}
