//! getrandom(2).

use abi::Errno;
use abi::random::GetrandomFlags;
use sentry::error::{Result, err};
use sentry::io::{IoDst, MAX_RW_COUNT};
use sentry::task::CurrentTask;
use sentry::user::{UserPtr, UserSlice};

/// getrandom(2): the host's generator, which never blocks once it has started.
pub(crate) fn getrandom(task: &mut CurrentTask, buffer: UserPtr<u8>, len: usize, flags: u32) -> Result<usize> {
    let flags = GetrandomFlags::from_bits(flags).ok_or(Errno::EINVAL)?;
    if flags.contains(GetrandomFlags::GRND_RANDOM | GetrandomFlags::GRND_INSECURE) {
        return err(Errno::EINVAL);
    }
    let slices = [UserSlice::new(buffer.addr(), len.min(MAX_RW_COUNT))];
    let mut dst = IoDst::user(task.mm(), &slices);
    dst.fill(usize::MAX, |slice| Ok(slice.fill_random()?))
}
