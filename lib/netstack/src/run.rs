//! Segments of one connection that follow each other become one frame, which the host cuts again or hands on whole.
//!
//! The engine makes segments of IPv6 one by one. Each is written over the end of the last frame, its header where that one's
//! last bytes are; if it goes on where that one ends, the bytes are put back, and what remains is the payload in its place.

use crate::offload::{ETHERNET, HEADER};
use crate::packet::TCP;

/// The longest header of a segment: Ethernet, IPv6, TCP with options.
const LONGEST_HEAD: usize = ETHERNET + 40 + 60;
/// The longest frame, without the header of [`crate::offload`]: what the host does not cut by itself.
const LONGEST: usize = 65_535;
const ACK: u8 = 0x10;
const PSH: u8 = 0x08;

/// A frame's segments so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    /// Bytes of its headers.
    head: usize,
    /// Where the TCP header begins.
    tcp: usize,
    /// Bytes of payload in each segment.
    segment: usize,
    /// Where the next one would begin.
    next: u32,
}

impl Run {
    /// Whether a frame (behind the header of [`crate::offload`]) can be the first of a run.
    pub(crate) fn begin(frame: &[u8]) -> Option<Self> {
        let tcp = match frame.get(12..14)? {
            [0x08, 0x00] if frame.get(14) == Some(&0x45) && frame.get(23) == Some(&TCP) => ETHERNET + 20,
            [0x86, 0xdd] if frame.get(20) == Some(&TCP) => ETHERNET + 40,
            _ => return None,
        };
        let head = tcp + usize::from(frame.get(tcp + 12)? >> 4) * 4;
        let segment = frame.len().checked_sub(head).filter(|len| *len > 0)?;
        // What asks to be handed on now is the last of its run.
        (frame.get(tcp + 13)? == &ACK).then_some(())?;
        Some(Self { head, tcp, segment, next: sequence(frame, tcp)?.wrapping_add(u32::try_from(segment).ok()?) })
    }

    /// How many bytes of payload each segment has.
    pub(crate) fn segment(&self) -> Option<u16> {
        u16::try_from(self.segment).ok()
    }

    /// Adds a segment of `len` bytes, written by `write`, to the frame in `bytes`. Whatever it turns out to be, it is written:
    /// what does not belong to the run is returned as a frame of its own, and the run is over.
    pub(crate) fn add<R>(
        &mut self,
        bytes: &mut Vec<u8>,
        len: usize,
        spare: impl FnOnce() -> Vec<u8>,
        write: impl FnOnce(&mut [u8]) -> R,
    ) -> (R, Added) {
        let end = bytes.len();
        let at = end - self.head;
        let mut kept = [0; LONGEST_HEAD];
        let kept = &mut kept[..self.head];
        kept.copy_from_slice(&bytes[at..]);
        bytes[at..].fill(0);
        bytes.resize(at + len, 0);
        let result = write(&mut bytes[at..]);
        let (before, new) = bytes.split_at(at);
        if self.goes_on(&before[HEADER..], kept, new) {
            let payload = len - self.head;
            let last = payload < self.segment || new[self.tcp + 13] & PSH != 0;
            let flags = new[self.tcp + 13];
            bytes[at..end].copy_from_slice(kept);
            bytes[HEADER + self.tcp + 13] = flags;
            self.next = self.next.wrapping_add(u32::try_from(payload).unwrap_or(0));
            return (result, if last { Added::Last } else { Added::More });
        }
        let mut own = spare();
        own.resize(HEADER, 0);
        own.extend_from_slice(new);
        bytes.truncate(end);
        bytes[at..].copy_from_slice(kept);
        (result, Added::Stranger(own))
    }

    /// Whether a segment of `len` bytes may be tried in a frame that has `have`.
    pub(crate) fn has_room(&self, have: usize, len: usize) -> bool {
        len > self.head && len - self.head <= self.segment && have - HEADER + len - self.head <= LONGEST
    }

    /// Whether a segment has the headers of the run, but for what differs from one to the next. The first bytes of a run that
    /// has one short segment are those in `kept`.
    fn goes_on(&self, first: &[u8], kept: &[u8], new: &[u8]) -> bool {
        let known = |n: usize| first.get(n).or_else(|| kept.get(n - first.len())).copied();
        let same = |from: usize, to: usize| (from..to).all(|n| known(n) == new.get(n).copied());
        let ip = if self.tcp == ETHERNET + 20 {
            // Not the length, the identification, the checksum.
            same(0, 16) && same(20, 24) && same(26, self.tcp)
        } else {
            same(0, 18) && same(20, self.tcp)
        };
        // Not the sequence number, the flags, the checksum.
        let tcp = self.tcp;
        let flags = new.get(tcp + 13).is_some_and(|flags| flags & !PSH == ACK);
        ip && flags
            && same(tcp, tcp + 4)
            && same(tcp + 8, tcp + 13)
            && same(tcp + 14, tcp + 16)
            && same(tcp + 18, self.head)
            && sequence(new, tcp) == Some(self.next)
    }
}

/// What became of a segment.
#[derive(Debug)]
pub(crate) enum Added {
    /// It is in the frame, and more may follow.
    More,
    /// It is in the frame, and nothing may follow.
    Last,
    /// It is a frame of its own.
    Stranger(Vec<u8>),
}

fn sequence(frame: &[u8], tcp: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*frame.get(tcp + 4..)?.first_chunk()?))
}

/// Writes the lengths into the IP header of a frame of several segments (behind the header of [`crate::offload`]).
pub(crate) fn set_lengths(frame: &mut [u8]) {
    let Ok(len) = u16::try_from(frame.len() - ETHERNET) else { return };
    if frame[12..14] == [0x08, 0x00] {
        frame[16..18].copy_from_slice(&len.to_be_bytes());
        frame[24..26].fill(0);
        let sum = crate::packet::checksum(0, &frame[ETHERNET..ETHERNET + 20]);
        frame[24..26].copy_from_slice(&sum.to_be_bytes());
    } else {
        frame[18..20].copy_from_slice(&(len - 40).to_be_bytes());
    }
}
