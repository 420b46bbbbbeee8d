//! The codec against any bytes, and against itself.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use abi::Errno;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::dirent::{Dirent, DirentStat, entries};
use crate::transport::{FrameReader, Transport, encode};

/// Gives its bytes out in pieces of `step`.
struct Bytes {
    bytes: parking_lot::Mutex<VecDeque<u8>>,
    step: usize,
}

impl Transport for Bytes {
    fn send(&self, bytes: &[u8], _: Option<BorrowedFd<'_>>) -> io::Result<()> {
        self.bytes.lock().extend(bytes);
        Ok(())
    }
    fn receive(&self, buffer: &mut [u8], _: &mut VecDeque<OwnedFd>) -> io::Result<usize> {
        let mut bytes = self.bytes.lock();
        let n = bytes.len().min(buffer.len()).min(self.step);
        for (to, from) in buffer.iter_mut().zip(bytes.drain(..n)) {
            *to = from;
        }
        Ok(n)
    }
}

proptest! {
    #[test]
    fn any_bytes_decode_or_fail(kind: u8, body in vec(any::<u8>(), 0..200)) {
        if let Ok(request) = Tmessage::decode(kind, &body) {
            let _ = format!("{request:?}");
            let (again, mut bytes) = request.encode();
            // Tfsync may lack its last field.
            bytes.truncate(body.len());
            prop_assert_eq!((again, &bytes), (kind, &body));
        }
        if let Ok(response) = Rmessage::decode(kind, &body) {
            let _ = format!("{response:?}");
        }
        entries::<Dirent<'_>>(&body).for_each(drop);
        entries::<DirentStat<'_>>(&body).for_each(drop);
    }

    #[test]
    fn any_stream_frames_or_fails(bytes in vec(any::<u8>(), 0..300), step in 1usize..40) {
        let stream = Bytes { bytes: parking_lot::Mutex::new(bytes.into()), step };
        let (mut reader, mut fds) = (FrameReader::default(), VecDeque::new());
        while let Ok(Some(frame)) = reader.next(&stream, &mut fds, 128) {
            prop_assert!(frame.body.len() <= 121);
        }
    }

    #[test]
    fn frames_survive_any_fragmentation(
        names in vec(vec(1u8..=46, 1..20), 1..16),
        data in vec(any::<u8>(), 0..5000),
        step in 1usize..3000,
    ) {
        prop_assume!(names.iter().all(|n| n != b"." && n != b".."));
        let names: Vec<_> = names.iter().map(|n| Name::new(n).expect("no slash below 47")).collect();
        let (walk, write) = (
            Twalk { fid: Fid(1), newfid: Fid(2), names: List::Slice(&names) },
            Twrite { fid: Fid(3), offset: 4, data: Blob(&data) },
        );
        let stream = Bytes { bytes: parking_lot::Mutex::default(), step };
        let mut out = Vec::new();
        for _ in 0..3 {
            encode(&mut out, Tag(5), &walk, 8192).expect("fits");
            encode(&mut out, Tag(6), &write, 8192).expect("fits");
        }
        stream.send(&out, None).expect("never fails");
        let (mut reader, mut fds) = (FrameReader::default(), VecDeque::new());
        for _ in 0..3 {
            let frame = reader.next(&stream, &mut fds, 8192).expect("whole").expect("there");
            let Ok(Tmessage::Twalk(got)) = Tmessage::decode(frame.kind, frame.body) else { panic!("not a walk") };
            prop_assert!(got.names.iter().eq(names.iter().copied()));
            let frame = reader.next(&stream, &mut fds, 8192).expect("whole").expect("there");
            let Ok(Tmessage::Twrite(got)) = Tmessage::decode(frame.kind, frame.body) else { panic!("not a write") };
            prop_assert_eq!(got.data.0, &data[..]);
        }
        prop_assert!(reader.next(&stream, &mut fds, 8192).expect("clean end").is_none());
    }
}

#[test]
fn the_layout_is_that_of_the_specification() {
    let mut out = Vec::new();
    encode(&mut out, Tag(0x0102), &Tlopen { fid: Fid(9), flags: OpenFlags::READ_WRITE }, 64).expect("fits");
    assert_eq!(out, [15, 0, 0, 0, 12, 2, 1, 9, 0, 0, 0, 2, 0, 0, 0]);
    let mut out = Vec::new();
    encode(&mut out, Tag(1), &Rlerror { ecode: 2 }, 64).expect("fits");
    assert_eq!(out, [11, 0, 0, 0, 7, 1, 0, 2, 0, 0, 0]);
    // size and header, valid, qid, mode uid gid, nlink rdev size blksize blocks, four times, gen, data_version
    let mut out = Vec::new();
    let stat = Stat::default();
    let qid = Qid { kind: crate::QidKind::FILE, version: 0, path: 0 };
    encode(&mut out, Tag(1), &Rgetattr { attr: stat.to_attr(qid) }, 512).expect("fits");
    assert_eq!(out.len(), 7 + 8 + 13 + 12 + 40 + 64 + 16);
}

#[test]
fn names_and_lists_are_checked_while_decoding() {
    let slash = [1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 1, 0, b'/'];
    assert_eq!(Tmessage::decode(110, &slash).err(), Some(DecodeError::BadName(Errno::EINVAL)));
    let many = [1, 0, 0, 0, 2, 0, 0, 0, 17, 0];
    assert_eq!(Tmessage::decode(110, &many).err(), Some(DecodeError::TooMany(17)));
    let trailing = [1, 0, 0, 0, 0];
    assert_eq!(Tmessage::decode(120, &trailing).err(), Some(DecodeError::Trailing));
}

#[test]
fn what_does_not_fit_is_not_sent() {
    let mut out = vec![1];
    let name = vec![b'x'; 70_000];
    let ask = Tgetxattr { fid: Fid(0), name: Str(&name) };
    assert!(encode(&mut out, Tag(1), &ask, 1 << 20).is_err());
    assert!(encode(&mut out, Tag(1), &Twrite { fid: Fid(0), offset: 0, data: Blob(&name) }, 4096).is_err());
    assert_eq!(out, [1]);
}
