//! Messages of the command line and the shim to a running sandbox, and what they get back.
#![no_main]

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use control::wire::{self, Wire};

struct Bytes<'a>(&'a [u8]);

impl Wire for Bytes<'_> {
    fn send(&mut self, _: &[u8], _: &[BorrowedFd<'_>]) -> io::Result<()> {
        Ok(())
    }

    fn recv(&mut self, buffer: &mut [u8], fds: &mut Vec<OwnedFd>) -> io::Result<usize> {
        let n = self.0.len().min(buffer.len());
        let (now, later) = self.0.split_at(n);
        buffer[..n].copy_from_slice(now);
        self.0 = later;
        if now.first() == Some(&b'!') {
            fds.push(std::fs::File::open("/dev/null")?.into());
        }
        Ok(n)
    }
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut stream = Bytes(data);
    while let Ok((_, files)) = wire::recv::<control::Request>(&mut stream) {
        drop(files);
    }
    let _ = wire::recv::<control::Reply>(&mut Bytes(data));
    let _ = wire::recv::<control::LaunchSpec>(&mut Bytes(data));
    // The same without the frame around it.
    let mut framed = u32::try_from(data.len()).unwrap_or(u32::MAX).to_le_bytes().to_vec();
    framed.extend([0; 4]);
    framed.extend(data);
    let _ = wire::recv::<control::Request>(&mut Bytes(&framed));
});
