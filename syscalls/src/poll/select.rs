//! select(2), pselect6(2).

use std::time::{Duration, Instant};

use abi::Errno;
use abi::poll::PollEvents;
use abi::signal::SigSet;
use abi::time::{Timespec, Timeval};
use sentry::error::{Result, err};
use sentry::fs::poll::{self as engine, Watch};
use sentry::task::CurrentTask;
use sentry::user::UserPtr;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::mask::with_mask;
use super::poll::{no_hand, sticky, write_left};
use crate::deadline;

/// An `fd_set`: as many words as the descriptors need.
type FdSet = UserPtr<u64>;

/// What pselect6(2) passes instead of a mask, because a call has only six arguments.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub(crate) struct MaskArg {
    mask: u64,
    size: u64,
}

/// select(2): the time that is left is written back.
pub(crate) fn select(
    task: &mut CurrentTask,
    count: i32,
    read: FdSet,
    write: FdSet,
    except: FdSet,
    timeout: UserPtr<Timeval>,
) -> Result<usize> {
    let deadline = match timeout.non_null() {
        None => None,
        Some(ptr) => {
            let time = task.mm().read(ptr)?;
            let (Ok(seconds), Ok(micros)) = (u64::try_from(time.tv_sec), u64::try_from(time.tv_usec)) else {
                return err(Errno::EINVAL);
            };
            Instant::now().checked_add(Duration::from_secs(seconds).saturating_add(Duration::from_micros(micros)))
        }
    };
    let result = no_hand(wait(task, count, [read, write, except], deadline));
    if let (Some(ptr), Some(_)) = (timeout.non_null(), deadline)
        && !sticky(task)
    {
        let left = deadline::left(deadline);
        let _ = task.mm().write(ptr, &Timeval { tv_sec: left.tv_sec, tv_usec: left.tv_nsec / 1000 });
    }
    result
}

/// pselect6(2).
pub(crate) fn pselect6(
    task: &mut CurrentTask,
    count: i32,
    read: FdSet,
    write: FdSet,
    except: FdSet,
    timeout: UserPtr<Timespec>,
    mask: UserPtr<MaskArg>,
) -> Result<usize> {
    let deadline = deadline::relative(task, timeout)?;
    let arg = match mask.non_null() {
        Some(ptr) => task.mm().read(ptr)?,
        None => MaskArg { mask: 0, size: 0 },
    };
    let mask = UserPtr::<SigSet>::new(abi::UserAddr(arg.mask));
    let size = usize::try_from(arg.size).map_err(|_| Errno::EINVAL)?;
    let result = with_mask(task, mask, size, |task| no_hand(wait(task, count, [read, write, except], deadline)));
    write_left(task, timeout, deadline);
    result
}

fn wait(task: &mut CurrentTask, count: i32, sets: [FdSet; 3], deadline: Option<Instant>) -> Result<usize> {
    let Ok(count) = usize::try_from(count) else { return err(Errno::EINVAL) };
    // Descriptors beyond the table are not looked at.
    let count = count.min(task.files().capacity());
    let words = count.div_ceil(64);
    let mut asked = [const { Vec::new() }; 3];
    for (set, list) in sets.iter().zip(&mut asked) {
        for i in 0..words {
            list.push(if set.is_null() { 0 } else { task.mm().read(set.at(i)?)? });
        }
    }
    const WANTED: [PollEvents; 3] = [PollEvents::SELECT_IN, PollEvents::SELECT_OUT, PollEvents::SELECT_EX];
    let mut watches = Vec::new();
    let mut numbers = Vec::new();
    for fd in 0..count {
        let mut events = 0;
        for (list, wanted) in asked.iter().zip(WANTED) {
            if list[fd / 64] >> (fd % 64) & 1 != 0 {
                events |= u32::from(wanted.bits());
            }
        }
        if events != 0 {
            let file = task.files().get(i32::try_from(fd).map_err(|_| Errno::EBADF)?)?;
            watches.push(Watch { file: Some(file), events, happened: 0 });
            numbers.push(fd);
        }
    }
    // A hang-up counts only for those who asked to read, which poll reports in any case: look until a bit is to be set.
    let mut found = [vec![0u64; words], vec![0u64; words], vec![0u64; words]];
    let total = loop {
        let ready = engine::poll(task, &mut watches, deadline)?;
        let mut total = 0;
        for (fd, watch) in numbers.iter().zip(&watches) {
            for ((list, wanted), set) in asked.iter().zip(WANTED).zip(&mut found) {
                if list[fd / 64] >> (fd % 64) & 1 != 0 && watch.happened & u32::from(wanted.bits()) != 0 {
                    set[fd / 64] |= 1 << (fd % 64);
                    total += 1;
                }
            }
        }
        if total > 0 || ready == 0 {
            break total;
        }
        // Only conditions nobody asked for hold: those files cannot become interesting by themselves.
        watches.iter_mut().filter(|watch| watch.happened != 0).for_each(|watch| watch.file = None);
        watches.iter_mut().for_each(|watch| watch.happened = 0);
    };
    for (set, list) in sets.iter().zip(&found) {
        for (i, word) in list.iter().enumerate().filter(|_| !set.is_null()) {
            task.mm().write(set.at(i)?, word)?;
        }
    }
    Ok(total)
}
