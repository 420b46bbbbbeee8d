//! What the host told this process in its auxiliary vector, getauxval(3).

/// The value of an entry (AT_*), 0 if there is none.
#[must_use]
pub fn value(kind: u64) -> u64 {
    // SAFETY: reads the process's own constant vector.
    unsafe { libc::getauxval(kind) }
}
