//! Options of SOL_PACKET, packet(7). Rings to send by, TPACKET_V3 and fan-out are refused, as by an older kernel.

use std::sync::atomic::Ordering;

use abi::Errno;
use abi::socket::{
    PACKET_ADD_MEMBERSHIP, PACKET_AUXDATA, PACKET_COPY_THRESH, PACKET_DROP_MEMBERSHIP, PACKET_IGNORE_OUTGOING,
    PACKET_LOSS, PACKET_MR_UNICAST, PACKET_ORIGDEV, PACKET_QDISC_BYPASS, PACKET_RESERVE, PACKET_RX_RING,
    PACKET_STATISTICS, PACKET_TIMESTAMP, PACKET_VERSION, PACKET_VNET_HDR, PacketMreq, SO_BPF_EXTENSIONS, SO_ERROR,
    SOL_PACKET, SOL_SOCKET, TpacketReq,
};
use zerocopy::{FromBytes, IntoBytes};

use super::PacketSocket;
use super::ring::{Ring, Version};
use crate::error::{Result, err};
use crate::task::CurrentTask;

/// The most memberships of one socket.
const MOST: usize = 1024;
/// Bytes of a hardware address.
const ADDRESS: u16 = 6;

/// Options that are only remembered, a bit each in `remembered`.
const FLAGS: [i32; 4] = [PACKET_AUXDATA, PACKET_ORIGDEV, PACKET_QDISC_BYPASS, PACKET_LOSS];

impl PacketSocket {
    /// Whether a flag is set.
    pub(super) fn flag(&self, name: i32) -> bool {
        FLAGS.contains(&name) && self.remembered.load(Ordering::Relaxed) >> name & 1 != 0
    }

    fn member(&self, value: &[u8], add: bool) -> Result<()> {
        let (wanted, _) = PacketMreq::read_from_prefix(value).map_err(|_| Errno::EINVAL)?;
        let mut state = self.state.lock();
        let at = state.memberships.iter().position(|(known, _)| *known == wanted);
        if !add {
            // Linux does not mind.
            let Some(at) = at else { return Ok(()) };
            state.memberships[at].1 -= 1;
            if state.memberships[at].1 == 0 {
                state.memberships.swap_remove(at);
            }
            return Ok(());
        }
        let index = u32::try_from(wanted.mr_ifindex).map_err(|_| Errno::ENODEV)?;
        if self.net.with_links(|links| links.device(index).is_none()) {
            return err(Errno::ENODEV);
        }
        if wanted.mr_alen > ADDRESS || wanted.mr_type > PACKET_MR_UNICAST {
            return err(Errno::EINVAL);
        }
        match at {
            Some(at) => state.memberships[at].1 = state.memberships[at].1.checked_add(1).ok_or(Errno::ENOBUFS)?,
            None if state.memberships.len() >= MOST => return err(Errno::ENOBUFS),
            None => state.memberships.push((wanted, 1)),
        }
        Ok(())
    }
}

pub(super) fn get(socket: &PacketSocket, level: i32, name: i32) -> Result<Vec<u8>> {
    let int = |value: i32| Ok(value.to_ne_bytes().to_vec());
    match (level, name) {
        (SOL_SOCKET, SO_ERROR) => int(socket.error.swap(0, Ordering::AcqRel)),
        (SOL_PACKET, PACKET_STATISTICS) => Ok(socket.inbox.lock().take_stats().as_bytes().to_vec()),
        (SOL_SOCKET, SO_BPF_EXTENSIONS) => int(64),
        (SOL_PACKET, PACKET_VERSION) => int((socket.state.lock().version == Version::Two).into()),
        (SOL_PACKET, PACKET_RESERVE) => int(socket.state.lock().reserve.cast_signed()),
        (SOL_PACKET, PACKET_IGNORE_OUTGOING) => int(socket.state.lock().ignores_outgoing.into()),
        (SOL_PACKET, PACKET_VNET_HDR | PACKET_TIMESTAMP) => int(0),
        (SOL_PACKET, name) if FLAGS.contains(&name) => int(socket.flag(name).into()),
        _ => err(Errno::ENOPROTOOPT),
    }
}

/// PACKET_RX_RING: makes the ring, or takes it away.
fn set_ring(socket: &PacketSocket, task: &CurrentTask, value: &[u8]) -> Result<()> {
    let (request, _) = TpacketReq::read_from_prefix(value).map_err(|_| Errno::EINVAL)?;
    let (version, reserve) = {
        let state = socket.state.lock();
        (state.version, state.reserve)
    };
    let ring = match request.tp_block_nr {
        0 if request.tp_frame_nr != 0 => return err(Errno::EINVAL),
        0 => None,
        _ if socket.inbox.lock().ring.is_some() => return err(Errno::EBUSY),
        _ => Some(Ring::new(task.kernel(), &request, version, reserve)?),
    };
    let mut inbox = socket.inbox.lock();
    if inbox.ring.as_ref().is_some_and(Ring::is_mapped) {
        return err(Errno::EBUSY);
    }
    let old = std::mem::replace(&mut inbox.ring, ring);
    drop((inbox, old));
    Ok(())
}

pub(super) fn set(socket: &PacketSocket, task: &CurrentTask, level: i32, name: i32, value: &[u8]) -> Result<()> {
    if level != SOL_PACKET {
        return err(Errno::ENOPROTOOPT);
    }
    let int = || value.first_chunk().map(|bytes| i32::from_ne_bytes(*bytes)).ok_or(Errno::EINVAL);
    match name {
        PACKET_ADD_MEMBERSHIP | PACKET_DROP_MEMBERSHIP => socket.member(value, name == PACKET_ADD_MEMBERSHIP),
        PACKET_RX_RING => set_ring(socket, task, value),
        PACKET_VERSION | PACKET_RESERVE if socket.inbox.lock().ring.is_some() => err(Errno::EBUSY),
        PACKET_VERSION => {
            socket.state.lock().version = Version::new(int()?)?;
            Ok(())
        }
        PACKET_RESERVE => {
            socket.state.lock().reserve = u32::try_from(int()?).map_err(|_| Errno::EINVAL)?;
            Ok(())
        }
        PACKET_COPY_THRESH => int().map(drop).map_err(Into::into),
        PACKET_IGNORE_OUTGOING => match int()? {
            value @ 0..=1 => {
                socket.state.lock().ignores_outgoing = value == 1;
                Ok(())
            }
            _ => err(Errno::EINVAL),
        },
        // Time is the kernel's; a header for the device is not in front of frames.
        PACKET_TIMESTAMP | PACKET_VNET_HDR if int()? == 0 => Ok(()),
        PACKET_TIMESTAMP | PACKET_VNET_HDR => err(Errno::EINVAL),
        name if FLAGS.contains(&name) => {
            let bit = 1 << name;
            if int()? != 0 {
                socket.remembered.fetch_or(bit, Ordering::Relaxed);
            } else {
                socket.remembered.fetch_and(!bit, Ordering::Relaxed);
            }
            Ok(())
        }
        _ => err(Errno::ENOPROTOOPT),
    }
}
