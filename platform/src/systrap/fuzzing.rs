//! An entry for the fuzzer: a report of a stub whose area holds whatever an application has put there.

use std::sync::{Arc, LazyLock};

use super::area::{self, Areas};
use super::frame::{Frame, Vectors};
use super::report;
use crate::stub::sanitise;
use crate::stub::xsave::{SOFTWARE, XsaveFormat};

/// The report's three words, then what is in the area.
pub fn run(bytes: &[u8]) {
    static AREAS: LazyLock<Arc<Areas>> = LazyLock::new(|| Arc::new(Areas::new().expect("memory")));
    static FORMAT: LazyLock<XsaveFormat> = LazyLock::new(|| {
        let mut bytes = vec![0; 832];
        bytes[SOFTWARE].fill(0);
        XsaveFormat::new(&bytes, 7).expect("a usual length")
    });
    let Some((head, bytes)) = bytes.split_first_chunk::<16>() else { return };
    let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| head[at + i]));
    let Some(area) = AREAS.take() else { return };
    area.prepare();
    // Small numbers are places in the area, whose frames are then found.
    let place = |word: u64| if word < 1 << 20 { area.address().wrapping_add(word) } else { word };
    let len = bytes.len().min(usize::try_from(area::LEN).unwrap_or(0));
    area.write_bytes(0, &bytes[..len / 8 * 8]);
    let (ucontext, signal) = (place(word(0)), (word(8) & 0x7f) as i32);
    let siginfo = if word(8) & 0x80 == 0 { ucontext.wrapping_add(304) } else { place(word(8) >> 8) };
    if let Some(frame) = Frame::reported(&area, siginfo, ucontext) {
        let mut regs = frame.regs(&area);
        let _ = report::event(signal, &frame.info(&area), &mut regs);
        sanitise::all(&mut regs);
        assert_eq!((regs.cs & 3, regs.ss & 3, regs.eflags & 0x3000), (3, 3, 0), "never more than a program may have");
        let vectors = frame.vectors(&area, &FORMAT);
        frame.set_regs(&area, &regs);
        frame.set_vectors(&area, &FORMAT, &Vectors::Given(vectors));
    }
    area.wipe();
    area.release();
}
