//! splice(2), tee(2), vmsplice(2).
#![expect(missing_docs, reason = "the names are Linux's, see splice(2)")]

use crate::names::flags;

flags! {
    /// `flags` of the three calls.
    pub struct SpliceFlags: u32 {
        const SPLICE_F_MOVE = 1;
        const SPLICE_F_NONBLOCK = 2;
        const SPLICE_F_MORE = 4;
        const SPLICE_F_GIFT = 8;
    }
}
