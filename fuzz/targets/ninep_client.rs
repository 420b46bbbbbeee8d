//! The kernel's side of 9P: whatever bytes a server answers.
#![no_main]

use std::collections::VecDeque;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Mutex;

use ninep::client::{ClientOptions, Creation, Owner};
use ninep::flags::OpenFlags;
use ninep::{Client, Dialect, Name, Transport};

/// Answers with the bytes, each answer with the tag and the length that are expected, if the bytes say so.
struct Bytes(Mutex<Vec<u8>>);

impl Transport for Bytes {
    fn send(&self, _: &[u8], _: Option<BorrowedFd<'_>>) -> io::Result<()> {
        Ok(())
    }

    fn receive(&self, buffer: &mut [u8], _: &mut VecDeque<OwnedFd>) -> io::Result<usize> {
        let mut left = self.0.lock().expect("one thread");
        let n = left.len().min(buffer.len());
        buffer[..n].copy_from_slice(&left[..n]);
        left.drain(..n);
        Ok(n)
    }
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((first, data)) = data.split_first() else { return };
    let dialect = if first & 1 == 0 { Dialect::Plain } else { Dialect::Extended };
    let mut bytes = fuzz::answers(dialect);
    bytes.extend(data);
    let options = ClientOptions { dialect, ..ClientOptions::default() };
    let Ok((client, root)) = Client::connect(Box::new(Bytes(Mutex::new(bytes))), &options) else { return };
    let name = Name::new(b"name").expect("a component");
    let owner = Owner { uid: 0, gid: 0 };
    for step in 0..4 {
        let _ = match (first >> 1).wrapping_add(step) % 8 {
            0 => client.lookup(&root, name).map(drop),
            1 => client.list(&root, ninep::client::Stats::OfFew).map(drop),
            2 => client.open(&root, OpenFlags::READ_WRITE).map(drop),
            3 => client.create(&root, name, 0o644, owner).map(drop),
            4 => client.readlink(&root).map(drop),
            5 => client.get_xattr(&root, b"user.x").map(drop),
            6 => client.make(&root, name, Creation::Directory(0o755), owner).map(drop),
            _ => client.statfs(&root).map(drop),
        };
    }
});
