//! Sending a frame as it is.

use std::net::IpAddr;

use abi::Errno;
use abi::sockaddr::{IFF_UP, SockaddrLl};
use abi::socket::MsgFlags;
use zerocopy::FromBytes;

use super::taps::ETHERNET;
use super::{Kind, PacketSocket};
use crate::error::{Result, err};
use crate::net::inet::datagram;
use crate::net::inet::device::{Device, DeviceKind};
use crate::net::message::SendMsg;

/// A tag may stand between the header and the packet.
const VLAN: usize = 4;
/// Where the hardware address is in `struct sockaddr_ll`.
const ADDRESS: usize = 12;

pub(super) fn send(socket: &PacketSocket, message: &mut SendMsg<'_, '_>) -> Result<usize> {
    if message.flags.contains(MsgFlags::MSG_OOB) {
        return err(Errno::EOPNOTSUPP);
    }
    let (index, protocol, to) = match message.to {
        None => {
            let state = socket.state.lock();
            (state.device, state.protocol, None)
        }
        Some(bytes) => {
            let (addr, _) = SockaddrLl::read_from_prefix(bytes).map_err(|_| Errno::EINVAL)?;
            let halen = usize::from(addr.sll_halen);
            if bytes.len() < ADDRESS + halen {
                return err(Errno::EINVAL);
            }
            let index = u32::try_from(addr.sll_ifindex).map_err(|_| Errno::ENXIO)?;
            (index, u16::from_be_bytes(addr.sll_protocol), Some(addr.sll_addr))
        }
    };
    let device = socket.net.with_links(|links| links.device(index).cloned()).ok_or(Errno::ENXIO)?;
    if device.flags() & IFF_UP == 0 {
        return err(Errno::ENETDOWN);
    }
    let len = message.src.remaining();
    let raw = socket.kind == Kind::Raw;
    let header = if raw { 0 } else { ETHERNET };
    let mtu = usize::try_from(device.mtu).unwrap_or(usize::MAX);
    // What is too long without a tag may have one.
    if len + header > mtu.saturating_add(ETHERNET + VLAN) {
        return err(Errno::EMSGSIZE);
    }
    let mut frame = vec![0; header + len];
    message.src.take_exact(&mut frame[header..])?;
    if raw && len < ETHERNET {
        return err(Errno::EINVAL);
    }
    let tagged = raw && frame.get(12..14) == Some(&[0x81, 0]);
    if frame.len() > mtu.saturating_add(ETHERNET) && !tagged {
        return err(Errno::EMSGSIZE);
    }
    if !raw {
        let to = to.and_then(|to| to.first_chunk::<6>().copied());
        match (to, device.kind) {
            (_, DeviceKind::Loopback) => {}
            (Some(to), _) => {
                frame[..6].copy_from_slice(&to);
                frame[6..12].copy_from_slice(&device.mac);
            }
            (None, _) => return err(Errno::EINVAL),
        }
        frame[12..ETHERNET].copy_from_slice(&protocol.to_be_bytes());
    }
    transmit(socket, &device, frame);
    Ok(len)
}

fn transmit(socket: &PacketSocket, device: &Device, frame: Vec<u8>) {
    let net = &socket.net;
    match device.kind {
        DeviceKind::Loopback => {
            device.counters.loop_back(frame.len());
            net.packets.show(device, true, frame.clone(), Some(socket));
            net.packets.show(device, false, frame.clone(), None);
            if let Some(packet) = netstack::packet::in_frame(&frame).and_then(netstack::packet::parse)
                && !is_martian(socket, packet.from, packet.to)
            {
                datagram::arrive(net, &packet, device.index);
            }
        }
        DeviceKind::Dummy => {
            device.counters.count(true, frame.len());
            net.packets.show(device, true, frame, Some(socket));
        }
        DeviceKind::Ethernet => {
            // Without a wire, or without room on it, it is lost.
            if let Some(gate) = net.gate() {
                gate.send_frame(&frame);
            }
            net.packets.show(device, true, frame, Some(socket));
        }
    }
}

/// Whether an IPv4 packet on `lo` that did not come from the machine's own sockets has addresses that only those may have.
fn is_martian(socket: &PacketSocket, from: IpAddr, to: IpAddr) -> bool {
    from.is_ipv4() && (from.is_loopback() || to.is_loopback() || socket.net.is_local(from))
}
