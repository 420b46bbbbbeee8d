//! The gofer's side of 9P: whatever bytes a client sends, over a tree of its own.
#![no_main]

use std::collections::VecDeque;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Mutex;

use gofer::{Export, FdDir};
use ninep::Transport;

/// Gives the bytes, throws the answers away.
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
    let dir = fuzz::scratch();
    let root = std::fs::File::open(&dir).expect("there");
    let export = Export::new(root.into()).expect("a directory").device_nodes(false).max_fids(64);
    let fds = FdDir::from_proc().expect("procfs");
    let mut bytes = fuzz::versions(data.first().is_some_and(|byte| byte & 1 == 1));
    bytes.extend(data.get(1..).unwrap_or_default());
    let _ = gofer::serve_stream(&Bytes(Mutex::new(bytes)), &export, &fds);
    assert!(!dir.with_extension("outside").exists());
});
