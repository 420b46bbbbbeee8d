//! How much the kernel's own memory may grow: what applications make it keep is their container's memory too.
//!
//! Names, inodes, queues, locks and the like live in the sandbox's heap, which no page of an application pays for. Where
//! containers have memory limits, the thread that watches them ([`super::oom`]) says here how much is left; calls that would
//! have the kernel keep more answer ENOMEM when nothing is, as Linux does when a memory cgroup has no kernel memory left.
//! Whoever takes much at once says so, because a lot can be taken between two looks. What is written to files in memory is
//! asked for page by page ([`take_for_files`]): no process that could be killed has it, so it must not be too much.
//!
//! A few numbers for the sandbox, without locks: one is read before every call that takes something.

use std::sync::atomic::{AtomicI64, Ordering};

use abi::Errno;
use abi::syscall_nr::*;

use crate::error::{Result, err};

/// No limit.
const UNLIMITED: i64 = i64::MAX;

static LEFT: AtomicI64 = AtomicI64::new(UNLIMITED);
/// What is not to be taken but by what is written to files, and by them not to the last.
static RESERVE: AtomicI64 = AtomicI64::new(0);
/// How large the memory file may become.
static TOP: AtomicI64 = AtomicI64::new(UNLIMITED);

/// How much there is, as it was seen last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// How large the memory file may become.
    pub(super) top: u64,
    /// How large it is.
    pub(super) used: u64,
    /// What is kept free of our own memory.
    pub(super) reserve: u64,
}

/// So much is there; `None` for any amount.
pub(super) fn set(room: Option<Room>) {
    let (mut top, mut reserve, mut left) = (UNLIMITED, 0, UNLIMITED);
    if let Some(room) = room {
        let small = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX / 4).min(i64::MAX / 4);
        (top, reserve) = (small(room.top), small(room.reserve));
        left = top - small(room.used) - reserve;
    }
    TOP.store(top, Ordering::Relaxed);
    RESERVE.store(reserve, Ordering::Relaxed);
    LEFT.store(left, Ordering::Relaxed);
}

/// Takes so much for what is written to a file in memory. `used` tells how large the memory file is: what was freed since the
/// last look is there again.
pub fn take_for_files(bytes: u64, used: impl FnOnce() -> u64) -> Result<()> {
    if LEFT.load(Ordering::Relaxed) == UNLIMITED {
        return Ok(());
    }
    let bytes = i64::try_from(bytes).unwrap_or(i64::MAX / 4).min(i64::MAX / 4);
    let reserve = RESERVE.load(Ordering::Relaxed);
    let least = reserve / 4 - reserve;
    let attempt = || {
        let taken = LEFT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| match left {
            UNLIMITED => Some(left),
            _ => Some(left.saturating_sub(bytes)).filter(|left| *left >= least),
        });
        taken.is_ok()
    };
    if attempt() {
        return Ok(());
    }
    look_again(used);
    if attempt() { Ok(()) } else { err(Errno::ENOMEM) }
}

/// Looks how much is left. `used` tells how large the memory file is.
pub fn look_again(used: impl FnOnce() -> u64) {
    let top = TOP.load(Ordering::Relaxed);
    if top != UNLIMITED {
        let used = i64::try_from(used()).unwrap_or(i64::MAX / 4).min(i64::MAX / 4);
        LEFT.store(top - used - RESERVE.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

/// Whether nothing is left.
#[must_use]
pub fn is_short() -> bool {
    LEFT.load(Ordering::Relaxed) <= 0
}

/// ENOMEM if nothing is left.
pub fn check() -> Result<()> {
    if is_short() { err(Errno::ENOMEM) } else { Ok(()) }
}

/// Takes so much from what is left until it is looked at again. ENOMEM if there is less.
pub fn take(bytes: usize) -> Result<()> {
    let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
    let taken = LEFT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| match left {
        UNLIMITED => Some(left),
        _ => left.checked_sub(bytes).filter(|left| *left >= 0),
    });
    if taken.is_err() { err(Errno::ENOMEM) } else { Ok(()) }
}

/// Whether a call of this number may have the kernel keep something.
#[must_use]
pub fn takes(number: u64) -> bool {
    let Ok(number) = usize::try_from(number) else { return false };
    TAKES.get(number / 64).is_some_and(|word| word >> (number % 64) & 1 != 0)
}

const TAKES: [u64; 8] = {
    let mut words = [0; 8];
    let mut index = 0;
    while index < CALLS.len() {
        let number = CALLS[index] as usize;
        words[number / 64] |= 1 << (number % 64);
        index += 1;
    }
    words
};

const CALLS: &[u64] = &[
    // Open files, names and inodes.
    SYS_open,
    SYS_openat,
    SYS_openat2,
    SYS_creat,
    SYS_mkdir,
    SYS_mkdirat,
    SYS_mknod,
    SYS_mknodat,
    SYS_symlink,
    SYS_symlinkat,
    SYS_link,
    SYS_linkat,
    SYS_setxattr,
    SYS_lsetxattr,
    SYS_fsetxattr,
    SYS_mount,
    SYS_fsopen,
    SYS_fsmount,
    SYS_open_tree,
    SYS_move_mount,
    // Files of other kinds.
    SYS_socket,
    SYS_socketpair,
    SYS_accept,
    SYS_accept4,
    SYS_pipe,
    SYS_pipe2,
    SYS_eventfd,
    SYS_eventfd2,
    SYS_signalfd,
    SYS_signalfd4,
    SYS_timerfd_create,
    SYS_memfd_create,
    SYS_epoll_create,
    SYS_epoll_create1,
    SYS_epoll_ctl,
    SYS_inotify_init,
    SYS_inotify_init1,
    SYS_inotify_add_watch,
    SYS_pidfd_open,
    // What is sent and not yet received.
    SYS_sendto,
    SYS_sendmsg,
    SYS_sendmmsg,
    SYS_msgsnd,
    SYS_mq_timedsend,
    SYS_rt_sigqueueinfo,
    SYS_rt_tgsigqueueinfo,
    // Objects of System V and POSIX.
    SYS_semget,
    SYS_semop,
    SYS_semtimedop,
    SYS_msgget,
    SYS_shmget,
    SYS_mq_open,
    SYS_timer_create,
    // Processes and their areas.
    SYS_clone,
    SYS_clone3,
    SYS_fork,
    SYS_vfork,
    SYS_unshare,
    SYS_mmap,
    SYS_mremap,
    SYS_mprotect,
    SYS_seccomp,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_taken_once() {
        assert!(take(usize::MAX).is_ok() && !is_short(), "without a limit");
        set(Some(Room { top: 200, used: 80, reserve: 20 }));
        assert!(take(60).is_ok() && take(60).is_err() && take(40).is_ok());
        assert!(is_short() && check().is_err());
        // Files may have most of the reserve, and what became free meanwhile.
        assert!(take_for_files(15, || 180).is_ok() && take_for_files(15, || 195).is_err());
        assert!(take_for_files(90, || 100).is_ok() && take_for_files(10, || 190).is_err());
        set(None);
        assert!(check().is_ok());
        assert!(takes(SYS_semget) && takes(SYS_openat2) && !takes(SYS_close) && !takes(SYS_unlink) && !takes(u64::MAX));
    }
}
