//! Frames that wait to be received on a packet socket, bounded by SO_RCVBUF.

use std::collections::VecDeque;

use abi::Errno;
use abi::poll::{POLLIN, POLLRDNORM};
use abi::sockaddr::SockaddrLl;
use abi::socket::{
    AF_PACKET, MsgFlags, PACKET_AUXDATA, PACKET_OUTGOING, SO_RXQ_OVFL, SOL_PACKET, SOL_SOCKET, TP_STATUS_USER,
    TpacketAuxdata, TpacketStats,
};
use zerocopy::IntoBytes;

use super::ring::Ring;
use super::taps::{ETHERNET, Frame, wants};
use super::{Kind, PacketSocket};
use crate::error::{Result, err};
use crate::net::filter::View;
use crate::net::message::{Received, RecvMsg};
use crate::net::stamp;

/// What a frame costs beside its bytes.
const OVERHEAD: usize = 768;
/// Most bytes of an address in a frame's header.
const MAC: usize = 6;

#[derive(Debug, Default)]
pub(super) struct Inbox {
    frames: VecDeque<Waiting>,
    charged: usize,
    /// PACKET_STATISTICS, told once.
    stats: TpacketStats,
    /// SO_RXQ_OVFL.
    dropped: u32,
    /// PACKET_RX_RING: then frames go there.
    pub(super) ring: Option<Ring>,
}

#[derive(Debug)]
struct Waiting {
    frame: Frame,
    /// How much of it the filter lets through.
    snap: usize,
}

impl PacketSocket {
    /// A frame went through a device: it is queued if it is what the socket is bound to and passes its filter.
    pub(super) fn look_at(&self, frame: &Frame) {
        let state = self.state.lock();
        let wanted = wants(state.protocol, frame)
            && (state.device == 0 || state.device == frame.device)
            && !(state.ignores_outgoing && frame.kind == PACKET_OUTGOING);
        drop(state);
        if !wanted {
            return;
        }
        let data = self.header();
        let verdict = self.options.filter().verdict(|run| {
            run(View {
                whole: &frame.bytes,
                network: ETHERNET,
                data,
                protocol: frame.protocol,
                kind: frame.kind,
                device: frame.device,
                hardware: frame.hardware,
            })
        });
        let Some(most) = verdict else { return };
        let snap = most.min(frame.bytes.len().saturating_sub(data));
        let limit = self.options.receive_buffer();
        let mut inbox = self.inbox.lock();
        inbox.stats.tp_packets = inbox.stats.tp_packets.wrapping_add(1);
        if let Some(ring) = &mut inbox.ring {
            if ring.put(frame, data, snap, &self.address(frame)) {
                drop(inbox);
                self.queue.notify(POLLIN | POLLRDNORM);
            } else {
                inbox.stats.tp_drops = inbox.stats.tp_drops.wrapping_add(1);
            }
            return;
        }
        let cost = frame.bytes.len() + OVERHEAD;
        if inbox.charged.saturating_add(cost) > limit && !inbox.frames.is_empty() {
            inbox.stats.tp_drops = inbox.stats.tp_drops.wrapping_add(1);
            inbox.dropped = inbox.dropped.wrapping_add(1);
            return;
        }
        inbox.charged += cost;
        inbox.frames.push_back(Waiting { frame: frame.clone(), snap });
        drop(inbox);
        self.queue.notify(POLLIN | POLLRDNORM);
    }

    /// How many bytes of a frame the socket does not see.
    fn header(&self) -> usize {
        if self.kind == Kind::Raw { 0 } else { ETHERNET }
    }

    fn address(&self, frame: &Frame) -> Vec<u8> {
        let mut sll_addr = [0; 8];
        if let Some(from) = frame.bytes.get(MAC..2 * MAC) {
            sll_addr[..MAC].copy_from_slice(from);
        }
        SockaddrLl {
            sll_family: AF_PACKET,
            sll_protocol: frame.protocol.to_be_bytes(),
            sll_ifindex: frame.device.cast_signed(),
            sll_hatype: frame.hardware,
            sll_pkttype: frame.kind,
            sll_halen: 6,
            sll_addr,
        }
        .as_bytes()
        .to_vec()
    }
}

impl Inbox {
    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty() && !self.ring.as_ref().is_some_and(Ring::is_filled)
    }

    pub(super) const fn charged(&self) -> usize {
        self.charged
    }

    pub(super) fn next_len(&self) -> usize {
        self.frames.front().map_or(0, |waiting| waiting.snap)
    }

    /// PACKET_STATISTICS.
    pub(super) fn take_stats(&mut self) -> TpacketStats {
        std::mem::take(&mut self.stats)
    }

    /// Receives the next frame. EAGAIN if there is none.
    pub(super) fn pop(&mut self, socket: &PacketSocket, message: &mut RecvMsg<'_, '_>, aux: bool) -> Result<Received> {
        let Some(Waiting { frame, snap }) = self.frames.front() else { return err(Errno::EAGAIN) };
        let header = socket.header();
        let bytes = frame.bytes.get(header..header + snap).unwrap_or_default();
        let n = if bytes.is_empty() { 0 } else { message.dst.put(bytes)? };
        let mut received = Received {
            len: if message.flags.contains(MsgFlags::MSG_TRUNC) { bytes.len() } else { n },
            from: Some(socket.address(frame)),
            flags: if n < bytes.len() { MsgFlags::MSG_TRUNC } else { MsgFlags::empty() },
            ..Received::default()
        };
        stamp::received(&socket.options, frame.at, &mut received.control);
        if aux {
            let short = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
            let aux = TpacketAuxdata {
                tp_status: TP_STATUS_USER,
                tp_len: short(frame.bytes.len().saturating_sub(header)),
                tp_snaplen: short(*snap),
                tp_net: if header == 0 { 14 } else { 0 },
                ..TpacketAuxdata::default()
            };
            received.control.push((SOL_PACKET, PACKET_AUXDATA, aux.as_bytes().to_vec()));
        }
        if socket.options.flag(SO_RXQ_OVFL) && self.dropped > 0 {
            received.control.push((SOL_SOCKET, SO_RXQ_OVFL, self.dropped.to_ne_bytes().to_vec()));
        }
        if !message.flags.contains(MsgFlags::MSG_PEEK)
            && let Some(taken) = self.frames.pop_front()
        {
            self.charged = self.charged.saturating_sub(taken.frame.bytes.len() + OVERHEAD);
        }
        Ok(received)
    }
}
