//! Random bytes from the host, getrandom(2).

use abi::Errno;

/// Fills `bytes` with random data.
pub fn fill(bytes: &mut [u8]) -> Result<(), Errno> {
    let mut done = 0;
    while done < bytes.len() {
        let rest = &mut bytes[done..];
        // SAFETY: the pointer and length are those of a live, exclusively borrowed slice.
        let n = unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) };
        match usize::try_from(n) {
            Ok(n) => done += n,
            Err(_) => match Errno::from_raw(std::io::Error::last_os_error().raw_os_error().unwrap_or(0)) {
                Errno::EINTR => {}
                errno => return Err(errno),
            },
        }
    }
    Ok(())
}
