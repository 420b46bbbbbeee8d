//! getrandom(2).
#![expect(missing_docs, reason = "the names are Linux's, see getrandom(2)")]

use crate::names::flags;

flags! {
    /// `flags` of getrandom(2).
    pub struct GetrandomFlags: u32 {
        const GRND_NONBLOCK = 1;
        const GRND_RANDOM = 2;
        const GRND_INSECURE = 4;
    }
}
