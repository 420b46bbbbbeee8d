//! How much the kernel's own memory may grow: what applications make it keep is their container's memory too.
//!
//! Names, inodes, queues, locks and the like live in the sandbox's heap, which no page of an application pays for. Where
//! containers have memory limits, the thread that watches them ([`super::oom`]) says here how much is left; calls that would
//! have the kernel keep more answer ENOMEM when nothing is, as Linux does when a memory cgroup has no kernel memory left.
//! Whoever takes much at once says so, because a lot can be taken between two looks.
//!
//! One number for the sandbox, without locks: it is read before every call that takes something.

use std::sync::atomic::{AtomicI64, Ordering};

use abi::Errno;
use abi::syscall_nr::*;

use crate::error::{Result, err};

/// No limit.
const UNLIMITED: i64 = i64::MAX;

static LEFT: AtomicI64 = AtomicI64::new(UNLIMITED);

/// So much is left; `None` for any amount.
pub(super) fn set(left: Option<u64>) {
    let left = left.map_or(UNLIMITED, |left| i64::try_from(left).unwrap_or(UNLIMITED - 1));
    LEFT.store(left, Ordering::Relaxed);
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
        set(Some(100));
        assert!(take(60).is_ok() && take(60).is_err() && take(40).is_ok());
        assert!(is_short() && check().is_err());
        set(None);
        assert!(check().is_ok());
        assert!(takes(SYS_semget) && takes(SYS_openat2) && !takes(SYS_close) && !takes(SYS_unlink) && !takes(u64::MAX));
    }
}
