//! What programs ask about a connection: TCP_INFO, SIOCATMARK, SIOCOUTQ.

use std::net::SocketAddr;

use abi::UserAddr;
use abi::ioctl::{SIOCATMARK, TIOCOUTQ};
use abi::socket::{SO_OOBINLINE, TcpInfo};

use super::{Role, TcpSocket, TcpState};
use crate::error::SysResult;
use crate::net::inet::ioctl;
use crate::net::owner::Owner;
use crate::task::CurrentTask;
use crate::user::UserPtr;

/// The largest segment over a loopback device with an MTU of 65536.
pub(super) const LOOPBACK_MSS: i32 = 32768;

/// `struct tcp_info`.
pub(super) fn tcp_info(socket: &TcpSocket) -> TcpInfo {
    let conn = socket.connection();
    let state = socket.state.lock();
    let mut info = TcpInfo { tcpi_reordering: 3, tcpi_snd_cwnd: 10, tcpi_rto: 1_000_000, ..TcpInfo::default() };
    let number = match (&state.role, conn) {
        (Role::Listening(listener), _) => {
            let (waiting, most) = listener.fill();
            info.tcpi_unacked = u32::try_from(waiting).unwrap_or(u32::MAX);
            info.tcpi_sacked = u32::try_from(most).unwrap_or(u32::MAX);
            TcpState::Listen
        }
        (Role::Connecting(_), _) => TcpState::SynSent,
        (_, None) => TcpState::Close,
        (_, Some(conn)) => {
            drop(state);
            let mss = LOOPBACK_MSS.cast_unsigned();
            let (sent, received) = conn.totals();
            let room = u32::try_from(socket.options.receive_buffer() / 2).unwrap_or(u32::MAX);
            // Timestamps, selective acknowledgements and window scaling are what Linux agrees on with itself.
            (info.tcpi_options, info.tcpi_wscale) = (7, 0x77);
            (info.tcpi_rto, info.tcpi_ato) = (201_000, 40_000);
            (info.tcpi_snd_mss, info.tcpi_rcv_mss, info.tcpi_advmss, info.tcpi_pmtu) = (mss, 536, 65483, 65535);
            (info.tcpi_rtt, info.tcpi_rttvar, info.tcpi_min_rtt) = (20, 10, 10);
            (info.tcpi_snd_ssthresh, info.tcpi_rcv_ssthresh, info.tcpi_rcv_space) = (0x7fff_ffff, room, room);
            (info.tcpi_bytes_acked, info.tcpi_bytes_sent, info.tcpi_bytes_received) = (sent, sent, received);
            info.tcpi_max_pacing_rate = u64::MAX;
            info.tcpi_snd_wnd = room;
            conn.state()
        }
    };
    info.tcpi_state = number as u8;
    info
}

pub(super) fn ioctl(socket: &TcpSocket, task: &CurrentTask, cmd: u32, arg: u64) -> SysResult {
    let value = match cmd {
        SIOCATMARK => {
            socket.connection().map_or(0, |conn| i32::from(conn.readiness(socket.options.flag(SO_OOBINLINE)).at_mark))
        }
        // Within the sandbox what was sent is at the peer at once.
        TIOCOUTQ => {
            let waiting = socket.connection().map_or(0, |conn| conn.unacknowledged());
            i32::try_from(waiting).unwrap_or(i32::MAX)
        }
        _ => return ioctl::device(task, &socket.net, cmd, arg),
    };
    task.mm().write(UserPtr::new(UserAddr(arg)), &value)?;
    Ok(0)
}

/// A line of /proc/net/tcp, and an answer of SOCK_DIAG.
#[derive(Clone, Copy, Debug)]
pub struct TcpListing {
    /// Whether it is an AF_INET6 socket.
    pub v6: bool,
    /// Its address.
    pub local: SocketAddr,
    /// The peer's.
    pub remote: SocketAddr,
    /// Its state, as numbered by Linux.
    pub state: u8,
    /// Bytes that wait to be read; connections that wait to be accepted.
    pub receive_queue: u32,
    /// Bytes that wait to be sent; how many connections may wait.
    pub send_queue: u32,
    /// Inode and user.
    pub owner: Owner,
}

impl TcpSocket {
    /// What listings say of it.
    #[must_use]
    pub fn listing(&self) -> TcpListing {
        let conn = self.connection();
        let state = self.state.lock();
        let nowhere = self.family.nowhere();
        let port = state.lease.as_ref().map_or(0, |lease| lease.local().port);
        let bound = SocketAddr::new(state.bound.ip(), port);
        let short = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let (local, remote, number, receive_queue, send_queue) = match (&state.role, conn) {
            (Role::Listening(listener), _) => {
                let (waiting, most) = listener.fill();
                (bound, nowhere, TcpState::Listen, short(waiting), short(most))
            }
            (Role::Connecting(connecting), _) => (connecting.local, connecting.remote, TcpState::SynSent, 0, 1),
            (_, None) => (bound, nowhere, TcpState::Close, 0, 0),
            (_, Some(conn)) => {
                drop(state);
                let waiting = conn.readiness(true).len;
                (conn.local(), conn.remote(), conn.state(), short(waiting), short(conn.unacknowledged()))
            }
        };
        TcpListing {
            v6: self.family == super::Family::V6,
            local,
            remote,
            state: number as u8,
            receive_queue,
            send_queue,
            owner: self.owner.get().copied().unwrap_or_default(),
        }
    }
}
