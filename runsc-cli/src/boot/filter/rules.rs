//! The host calls of the sandbox process, each with its reason.

use host::filter::Arg::{Bits, Is};
use host::filter::Rule;

/// Makes a [`Rule`]: call, reason, and the ways in which it may be made.
macro_rules! allow {
    ($($call:ident $why:literal $([$($way:expr),+])*;)*) => {
        &[$(Rule { call: libc::$call, ways: &[$(&[$($way),+]),*], why: $why }),*]
    };
}

/// Not made executable: what runs is ours, and application code runs elsewhere.
const NOT_EXECUTABLE: host::filter::Arg = Bits(2, libc::PROT_EXEC as u64, 0);
/// A thread of ours, in no namespace of its own.
const A_THREAD: host::filter::Arg = Bits(0, THREAD | NAMESPACES, THREAD);
const THREAD: u64 =
    (libc::CLONE_VM | libc::CLONE_FS | libc::CLONE_FILES | libc::CLONE_SIGHAND | libc::CLONE_THREAD) as u64;
const NAMESPACES: u64 = (libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP) as u64;

/// Calls that do not exist: `clone3`, so that the C library uses `clone`, whose arguments can be checked; `openat`, because
/// its heap asks for `/proc/sys/vm/overcommit_memory` before it shrinks, and there is no file to find.
pub(super) const ABSENT: &[libc::c_long] = &[libc::SYS_clone3, libc::SYS_openat];

/// The calls that exist.
pub(super) const RULES: &[Rule] = allow! {
    // Application code: stubs, which are children of ours.
    SYS_ptrace "drives the stubs of the ptrace platform";
    SYS_wait4 "waits for a stub to stop or to end";
    SYS_kill "ends a stub";
    SYS_tgkill "takes a stub out of application code, interrupts a thread of ours";
    SYS_sched_setaffinity "keeps a stub and its tracer on one CPU while they hand over often";
    SYS_sched_getaffinity "finds the CPUs there are";

    // Memory of applications and of our own.
    SYS_mmap "windows of the memory file, donated files, our own heap and stacks" [NOT_EXECUTABLE];
    SYS_mprotect "guard pages of stacks, growth of the heap" [NOT_EXECUTABLE];
    SYS_munmap "windows, stacks";
    SYS_mremap "growth of large allocations";
    SYS_madvise "gives back stacks and heap";
    SYS_brk "the heap";
    SYS_mincore "which pages of the memory file exist, for short ranges";
    SYS_memfd_create "memory files of applications with seals";
    SYS_ftruncate "the size of memory files and of donated files";
    SYS_fallocate "punches out freed ranges; an application's fallocate on a donated file";

    // Files that were given to us: donated by the gofer, standard files, sockets.
    SYS_read "standard files, event and signal descriptors, the random device";
    SYS_write "standard files, event descriptors, the debug log";
    SYS_readv "standard files";
    SYS_writev "standard files, the debug log";
    SYS_pread64 "donated files, the memory file";
    SYS_pwrite64 "donated files, the memory file";
    SYS_preadv2 "standard files without waiting";
    SYS_pwritev2 "standard files without waiting";
    SYS_lseek "the offset of standard files; SEEK_HOLE and SEEK_DATA of donated ones";
    SYS_fstat "attributes of standard files";
    SYS_statx "attributes of descriptors, by empty path" [Bits(2, libc::AT_EMPTY_PATH as u64, libc::AT_EMPTY_PATH as u64)];
    SYS_newfstatat "attributes of descriptors, by empty path" [Bits(3, libc::AT_EMPTY_PATH as u64, libc::AT_EMPTY_PATH as u64)];
    SYS_fsync "an application's fsync of a donated file";
    SYS_fdatasync "an application's fdatasync of a donated file";
    SYS_close "descriptors";
    SYS_fcntl "duplicates, status flags and seals"
        [Is(1, libc::F_DUPFD_CLOEXEC as u32)] [Is(1, libc::F_GETFD as u32)] [Is(1, libc::F_GETFL as u32)]
        [Is(1, libc::F_SETFL as u32)] [Is(1, libc::F_ADD_SEALS as u32)] [Is(1, libc::F_GET_SEALS as u32)];
    SYS_ioctl "standard files that are terminals, and how much can be read; calls of the systrap platform's stubs"
        [Is(1, host::notify::RECEIVE)] [Is(1, host::notify::SEND)] [Is(1, host::notify::SET_FLAGS)]
        [Is(1, libc::FIONREAD as u32)] [Is(1, libc::TCGETS as u32)] [Is(1, libc::TCSETS as u32)]
        [Is(1, libc::TCSETSW as u32)] [Is(1, libc::TCSETSF as u32)] [Is(1, libc::TIOCGWINSZ as u32)]
        [Is(1, libc::TIOCSWINSZ as u32)];

    // Waiting.
    SYS_futex "locks and sleeping threads";
    SYS_poll "standard files";
    SYS_ppoll "standard files";
    SYS_epoll_create1 "readiness of standard files";
    SYS_epoll_ctl "readiness of standard files";
    SYS_epoll_wait "readiness of standard files";
    SYS_epoll_pwait "readiness of standard files";
    SYS_eventfd2 "wakes a thread that polls";
    SYS_nanosleep "pauses of our own";
    SYS_clock_nanosleep "pauses of our own";
    SYS_restart_syscall "continues a wait that a signal interrupted";

    // The gofer and the control socket.
    SYS_sendmsg "requests to the gofer, replies to the command line";
    SYS_recvmsg "replies of the gofer with donated files, requests of the command line";
    SYS_sendto "requests to the gofer" [Bits(4, u64::MAX, 0)];
    SYS_recvfrom "replies of the gofer" [Bits(4, u64::MAX, 0)];
    SYS_accept4 "connections to the control socket";
    SYS_shutdown "ends a connection";

    // Threads.
    SYS_clone "a thread for each task" [A_THREAD];
    SYS_set_robust_list "every thread";
    SYS_rseq "every thread";
    SYS_sigaltstack "every thread";
    SYS_gettid "every thread";
    SYS_getpid "our own pid, for tgkill";
    SYS_prctl "names of threads and mappings" [Is(0, libc::PR_SET_NAME as u32)] [Is(0, libc::PR_SET_VMA as u32)];
    SYS_sched_yield "gives way to a stub";
    SYS_rt_sigprocmask "every thread";
    SYS_rt_sigaction "faults on windows of files that became shorter";
    SYS_rt_sigreturn "returns from those";
    SYS_exit "a thread ends";
    SYS_exit_group "the sandbox ends";

    // Time, chance, accounting.
    SYS_clock_gettime "clocks that the vDSO does not serve, CPU time of threads";
    SYS_clock_getres "the host's timer resolution";
    SYS_gettimeofday "clocks where the vDSO has none";
    SYS_getrandom "random numbers";
    SYS_getrusage "CPU time used";
    SYS_getcpu "the CPU a thread is on";
};
