//! Options of datagram sockets: SOL_UDP, SOL_RAW, SOL_ICMPV6 and those of IP.

use std::sync::atomic::Ordering;

use abi::Errno;
use abi::socket::{
    ICMP_FILTER, IPPROTO_ICMPV6, IPV6_CHECKSUM, SO_ERROR, SO_PEEK_OFF, SOL_ICMPV6, SOL_IP, SOL_IPV6, SOL_RAW,
    SOL_SOCKET, SOL_UDP, SOL_UDPLITE, UDP_CORK, UDP_GRO, UDP_SEGMENT, UDPLITE_RECV_CSCOV, UDPLITE_SEND_CSCOV,
};

use super::{DatagramSocket, Family, Protocol, send};
use crate::error::{Result, err};
use crate::net::inet::rare;
use crate::task::CurrentTask;

/// UDP_CORK and UDP_GRO stand in the upper bits of the word with the segment size.
const CORKED: u32 = 1 << 31;
const COALESCES: u32 = 1 << 30;

impl DatagramSocket {
    /// UDP_SEGMENT; 0 for none.
    pub(super) fn segment_size(&self) -> usize {
        let word = self.segment.load(Ordering::Relaxed) & !(CORKED | COALESCES);
        usize::try_from(word).unwrap_or(0)
    }

    /// UDP_CORK.
    pub(super) fn is_corked(&self) -> bool {
        self.segment.load(Ordering::Relaxed) & CORKED != 0
    }

    fn set_bit(&self, bit: u32, on: bool) {
        if on {
            self.segment.fetch_or(bit, Ordering::Relaxed);
        } else {
            self.segment.fetch_and(!bit, Ordering::Relaxed);
        }
    }
}

pub(super) fn get(socket: &DatagramSocket, task: &CurrentTask, level: i32, name: i32, room: usize) -> Result<Vec<u8>> {
    let int = |value: i32| Ok(value.to_ne_bytes().to_vec());
    match (level, name, socket.protocol) {
        (SOL_SOCKET, SO_ERROR, _) => int(socket.take_error().map_or(0, Errno::raw)),
        (SOL_SOCKET, SO_PEEK_OFF, _) => int(socket.peek_offset.load(Ordering::Relaxed)),
        (SOL_SOCKET, ..) => rare::get(task, &socket.net, &socket.ip, socket.owner.get(), name),
        (SOL_IPV6 | SOL_RAW, IPV6_CHECKSUM, Protocol::Raw(number)) if socket.family == Family::V6 => {
            int(if i32::from(number) == IPPROTO_ICMPV6 { 2 } else { -1 })
        }
        (SOL_IP | SOL_IPV6, ..) => {
            let mtu = socket.state.lock().remote.map(|_| 65536);
            socket.ip.get(level, name, room, mtu)
        }
        (SOL_UDP, UDP_CORK, Protocol::Udp) => int(socket.is_corked().into()),
        (SOL_UDP, UDP_SEGMENT, Protocol::Udp) => int(i32::try_from(socket.segment_size()).unwrap_or(0)),
        (SOL_UDP, UDP_GRO, Protocol::Udp) => int((socket.segment.load(Ordering::Relaxed) & COALESCES != 0).into()),
        (SOL_UDP | SOL_UDPLITE, UDPLITE_SEND_CSCOV | UDPLITE_RECV_CSCOV, Protocol::UdpLite) => {
            int(socket.coverage[usize::from(name == UDPLITE_RECV_CSCOV)].load(Ordering::Relaxed).into())
        }
        (SOL_RAW, ICMP_FILTER, Protocol::Raw(_)) if socket.family == Family::V4 => {
            Ok(socket.icmp_filter.lock()[0].to_ne_bytes().to_vec())
        }
        (SOL_ICMPV6, ICMP_FILTER, Protocol::Raw(_)) => {
            Ok(socket.icmp_filter.lock().iter().flat_map(|word| word.to_ne_bytes()).collect())
        }
        (SOL_UDP | SOL_UDPLITE | SOL_RAW | SOL_ICMPV6, ..) => err(Errno::ENOPROTOOPT),
        _ => err(Errno::EOPNOTSUPP),
    }
}

pub(super) fn set(socket: &DatagramSocket, task: &CurrentTask, level: i32, name: i32, value: &[u8]) -> Result<()> {
    let int = || value.first_chunk().map(|bytes| i32::from_ne_bytes(*bytes)).ok_or(Errno::EINVAL);
    match (level, name, socket.protocol) {
        (SOL_SOCKET, SO_PEEK_OFF, _) => socket.peek_offset.store(int()?, Ordering::Relaxed),
        (SOL_SOCKET, ..) => return rare::set(task, &socket.net, &socket.ip, name, value),
        (SOL_IPV6 | SOL_RAW, IPV6_CHECKSUM, Protocol::Raw(number)) if socket.family == Family::V6 => {
            // That of ICMPv6 is not for programs to choose.
            let fine = i32::from(number) != IPPROTO_ICMPV6 || int()? == 2;
            return if fine { Ok(()) } else { err(Errno::EINVAL) };
        }
        (SOL_IP | SOL_IPV6, ..) => {
            return socket.ip.set(task, &socket.net, socket.family, (level, name), value);
        }
        (SOL_UDP, UDP_CORK, Protocol::Udp) => {
            let on = int()? != 0;
            socket.set_bit(CORKED, on);
            if !on {
                return send::uncork(socket);
            }
        }
        (SOL_UDP, UDP_GRO, Protocol::Udp) => socket.set_bit(COALESCES, int()? != 0),
        (SOL_UDP, UDP_SEGMENT, Protocol::Udp) => {
            let size = u32::try_from(int()?).ok().filter(|size| *size <= 65535).ok_or(Errno::EINVAL)?;
            let flags = socket.segment.load(Ordering::Relaxed) & (CORKED | COALESCES);
            socket.segment.store(flags | size, Ordering::Relaxed);
        }
        (SOL_UDP | SOL_UDPLITE, UDPLITE_SEND_CSCOV | UDPLITE_RECV_CSCOV, Protocol::UdpLite) => {
            // Less than the header cannot be covered, except for all.
            let covered = match int()? {
                0 => 0,
                bytes => u16::try_from(bytes.max(8)).unwrap_or(u16::MAX),
            };
            socket.coverage[usize::from(name == UDPLITE_RECV_CSCOV)].store(covered, Ordering::Relaxed);
        }
        (SOL_RAW, ICMP_FILTER, Protocol::Raw(_)) if socket.family == Family::V4 => {
            socket.icmp_filter.lock()[0] = int()?.cast_unsigned();
        }
        (SOL_ICMPV6, ICMP_FILTER, Protocol::Raw(_)) => {
            let mut filter = socket.icmp_filter.lock();
            for (word, bytes) in filter.iter_mut().zip(value.chunks_exact(4)) {
                *word = bytes.first_chunk().map_or(0, |bytes| u32::from_ne_bytes(*bytes));
            }
        }
        _ => return err(Errno::ENOPROTOOPT),
    }
    Ok(())
}
