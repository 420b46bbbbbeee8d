//! The pages of our own program that this process has mapped.

use std::ffi::c_void;

unsafe extern "C" {
    /// Where the linker put the beginning of the program.
    static __executable_start: u8;
    /// Where it put the end of its code.
    static etext: u8;
}

/// Takes the program's code and constants out of this process's page tables. What is needed again comes back from the page cache,
/// sixteen pages at a time; what only the start needed does not. Failure is not told: then nothing changes.
pub fn forget() {
    let (start, end) = (&raw const __executable_start, &raw const etext);
    // Whole pages that hold nothing else: the last one may be shared with what is written.
    let start = start.addr().next_multiple_of(PAGE);
    let len = (end.addr() / PAGE * PAGE).saturating_sub(start);
    // SAFETY: everything between the two symbols is in segments that are mapped read-only, privately, from the file, and that
    // relocation leaves alone (there are no text relocations): dropping such pages changes no byte.
    let _ = unsafe { libc::madvise(std::ptr::with_exposed_provenance_mut::<c_void>(start), len, libc::MADV_DONTNEED) };
}

const PAGE: usize = 4096;

#[cfg(test)]
mod tests {
    #[test]
    fn code_and_constants_come_back() {
        static WORDS: [&str; 2] = ["still", "here"];
        super::forget();
        assert_eq!(WORDS.join(" "), "still here");
    }
}
