//! Results of host calls as [`Errno`].

use abi::Errno;

/// The errno of the host call that just failed.
pub(crate) fn last() -> Errno {
    std::io::Error::last_os_error().raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

/// Turns a result that is negative on failure into a `Result`.
pub(crate) fn cvt<T: Copy + PartialOrd + Default>(ret: T) -> Result<T, Errno> {
    if ret < T::default() { Err(last()) } else { Ok(ret) }
}

/// As [`cvt`], for calls that return a length.
pub(crate) fn cvt_len(ret: isize) -> Result<usize, Errno> {
    usize::try_from(ret).map_err(|_| last())
}
