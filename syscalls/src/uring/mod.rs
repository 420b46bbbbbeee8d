//! io_uring_setup(2), io_uring_enter(2), io_uring_register(2): what the submissions of a ring mean.
//!
//! [`ops`] makes an operation of a submission; the ring itself, and how requests wait and end, is [`sentry::fs::uring`].

mod enter;
mod ops;
mod register;
mod submit;

pub(crate) use enter::io_uring_enter;
pub(crate) use register::io_uring_register;

use abi::Errno;
use abi::iouring::{
    IORING_FEAT_CQE_SKIP, IORING_FEAT_CUR_PERSONALITY, IORING_FEAT_EXT_ARG, IORING_FEAT_FAST_POLL,
    IORING_FEAT_LINKED_FILE, IORING_FEAT_NATIVE_WORKERS, IORING_FEAT_NODROP, IORING_FEAT_POLL_32BITS,
    IORING_FEAT_RW_CUR_POS, IORING_FEAT_SINGLE_MMAP, IORING_FEAT_SUBMIT_STABLE, IoUringParams, IoUringSetupFlags,
};
use sentry::error::{Result, err};
use sentry::fs::uring::{MAX_ENTRIES, Ring, Setup};
use sentry::task::CurrentTask;
use sentry::user::UserPtr;

use crate::arg::Fd;
use crate::fd::install;

/// What we do that not every kernel did.
const FEATURES: u32 = IORING_FEAT_SINGLE_MMAP
    | IORING_FEAT_NODROP
    | IORING_FEAT_SUBMIT_STABLE
    | IORING_FEAT_RW_CUR_POS
    | IORING_FEAT_CUR_PERSONALITY
    | IORING_FEAT_FAST_POLL
    | IORING_FEAT_POLL_32BITS
    | IORING_FEAT_EXT_ARG
    | IORING_FEAT_NATIVE_WORKERS
    | IORING_FEAT_CQE_SKIP
    | IORING_FEAT_LINKED_FILE;

/// io_uring_setup(2). No polling threads, no polled devices, no large entries.
pub(crate) fn io_uring_setup(task: &mut CurrentTask, entries: u32, at: UserPtr<IoUringParams>) -> Result<Fd> {
    let mut params = task.mm().read(at)?;
    let flags = IoUringSetupFlags::from_bits_retain(params.flags);
    let known = IoUringSetupFlags::IORING_SETUP_CQSIZE
        | IoUringSetupFlags::IORING_SETUP_CLAMP
        | IoUringSetupFlags::IORING_SETUP_R_DISABLED
        | IoUringSetupFlags::IORING_SETUP_SUBMIT_ALL
        | IoUringSetupFlags::IORING_SETUP_COOP_TASKRUN
        | IoUringSetupFlags::IORING_SETUP_TASKRUN_FLAG
        | IoUringSetupFlags::IORING_SETUP_SINGLE_ISSUER
        | IoUringSetupFlags::IORING_SETUP_DEFER_TASKRUN
        | IoUringSetupFlags::IORING_SETUP_NO_SQARRAY;
    if params.resv != [0; 3] || !known.contains(flags) {
        return err(Errno::EINVAL);
    }
    let defers = flags.contains(IoUringSetupFlags::IORING_SETUP_DEFER_TASKRUN);
    let marks = flags.contains(IoUringSetupFlags::IORING_SETUP_TASKRUN_FLAG);
    let single = flags.contains(IoUringSetupFlags::IORING_SETUP_SINGLE_ISSUER);
    let cooperates = flags.contains(IoUringSetupFlags::IORING_SETUP_COOP_TASKRUN);
    if (defers && !single) || (marks && !defers && !cooperates) {
        return err(Errno::EINVAL);
    }
    let clamp = flags.contains(IoUringSetupFlags::IORING_SETUP_CLAMP);
    let sq_entries = count(entries, MAX_ENTRIES, clamp)?;
    let cq_entries = match flags.contains(IoUringSetupFlags::IORING_SETUP_CQSIZE) {
        true => count(params.cq_entries, 2 * MAX_ENTRIES, clamp)?,
        false => 2 * sq_entries,
    };
    if cq_entries < sq_entries {
        return err(Errno::EINVAL);
    }
    let setup = Setup {
        sq_entries,
        cq_entries,
        array: !flags.contains(IoUringSetupFlags::IORING_SETUP_NO_SQARRAY),
        disabled: flags.contains(IoUringSetupFlags::IORING_SETUP_R_DISABLED),
        submit_all: flags.contains(IoUringSetupFlags::IORING_SETUP_SUBMIT_ALL),
    };
    let file = Ring::open(&task.kernel().memfile, setup)?;
    (params.sq_off, params.cq_off) = Ring::of(&file)?.offsets();
    (params.sq_entries, params.cq_entries, params.features) = (sq_entries, cq_entries, FEATURES);
    task.mm().write(at, &params)?;
    install(task, file, true)
}

/// A number of entries as a ring has it: a power of two.
fn count(asked: u32, most: u32, clamp: bool) -> Result<u32> {
    match asked {
        0 => err(Errno::EINVAL),
        n if n <= most => Ok(n.next_power_of_two()),
        _ if clamp => Ok(most),
        _ => err(Errno::EINVAL),
    }
}
