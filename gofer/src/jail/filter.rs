//! The seccomp filter of the gofer. Everything that is not in [`RULES`] ends the process.
//!
//! Its threads exist when it is put on ([`crate::serve`]), so nothing that makes or ends a thread is among them.

use std::io;

use host::filter::Arg::{Bits, Descriptor, Is};
use host::filter::{Absent, Filter, Otherwise, Rule, rules};

use crate::fd_dir::FdDir;

/// Puts the filter on all threads of the process. With `report`, and in debug builds, a forbidden call is named on standard
/// error before it ends the process.
pub(super) fn install(fds: &FdDir, report: bool) -> io::Result<()> {
    let report = report || cfg!(debug_assertions);
    let otherwise = if report { Otherwise::Report } else { Otherwise::Kill };
    if report {
        host::seccomp::report_violations()?;
    }
    host::seccomp::install(&filter(fds.raw().cast_unsigned()).compile(otherwise)?)
}

/// The filter, given the number of the descriptor of `/proc/self/fd`.
const fn filter(fd_dir: u32) -> Filter<'static> {
    Filter { rules: &[RULES], absent: ABSENT, descriptor: Some(fd_dir) }
}

const NOT_EXECUTABLE: host::filter::Arg = Bits(2, libc::PROT_EXEC as u64, 0);
const SEEK_SET: u32 = libc::SEEK_SET as u32;
const AT_FDCWD: u32 = libc::AT_FDCWD.cast_unsigned();

/// Calls that do not exist.
pub const ABSENT: &[Absent] = &[Absent {
    call: libc::SYS_openat,
    only: Some((0, AT_FDCWD)),
    why: "the C library's heap asks for /proc/sys/vm/overcommit_memory before it shrinks, and makes do without",
}];

/// The calls that serving files makes.
pub const RULES: &[Rule] = rules! {
    // Messages.
    SYS_read "requests";
    SYS_sendmsg "answers, which may carry a descriptor";
    SYS_write "the log";

    // Lookup.
    SYS_openat2 "lookup and creation by name; resolution is restricted in a structure that a filter cannot read";
    SYS_openat "opens again what a descriptor refers to, by way of /proc/self/fd, which is good for nothing else"
        [Descriptor(0)];
    SYS_close "fids that are given up";

    // Attributes.
    SYS_statx "attributes";
    SYS_readlinkat "targets of symbolic links";
    SYS_fstatfs "statfs";
    SYS_fchownat "owners" [Is(4, libc::AT_EMPTY_PATH as u32)];
    SYS_fchmodat "modes" [Descriptor(0)];
    SYS_utimensat "times" [Descriptor(0), Is(3, 0)];
    SYS_fgetxattr "extended attributes";
    SYS_flistxattr "extended attributes";
    SYS_fsetxattr "extended attributes";
    SYS_fremovexattr "extended attributes";

    // Directories.
    SYS_getdents64 "reads directories";
    SYS_lseek "back to where a listing goes on" [Is(2, SEEK_SET)];

    // Contents, for clients that are not given descriptors.
    SYS_pread64 "reads for plain clients";
    SYS_pwrite64 "writes for plain clients";
    SYS_ftruncate "sizes";
    SYS_fallocate "room for files";
    SYS_fsync "fsync for plain clients";
    SYS_fdatasync "fdatasync for plain clients";
    SYS_fcntl "locks of plain clients; how a debug build checks what it closes"
        [Is(1, libc::F_OFD_SETLK as u32)] [Is(1, libc::F_OFD_GETLK as u32)] [Is(1, libc::F_GETFD as u32)];

    // Names.
    SYS_mkdirat "makes directories";
    SYS_mknodat "makes nodes, which are never opened here";
    SYS_symlinkat "makes symbolic links";
    SYS_linkat "gives a file another name, by way of /proc/self/fd" [Descriptor(0), Is(4, libc::AT_SYMLINK_FOLLOW as u32)];
    SYS_unlinkat "removes names" [Is(2, 0)] [Is(2, libc::AT_REMOVEDIR as u32)];
    SYS_renameat "renames without flags, as the C library does it";
    SYS_renameat2 "renames" [Is(4, libc::RENAME_NOREPLACE)] [Is(4, libc::RENAME_EXCHANGE)] [Is(4, 0)];

    // Memory, never executable.
    SYS_brk "the heap";
    SYS_mmap "large messages" [NOT_EXECUTABLE];
    SYS_mprotect "growth of the heaps of threads" [NOT_EXECUTABLE];
    SYS_munmap "large messages";
    SYS_mremap "messages that grow";
    SYS_madvise "gives back what the start needed";

    // Threads.
    SYS_sched_getaffinity "the number of CPUs, for the C library's heap";
    SYS_sched_setaffinity "a thread goes where its client is" [Is(0, 0)];
    SYS_futex "threads that wait";
    SYS_exit_group "the last client has gone";
    SYS_getrandom "hash tables are seeded";
    SYS_clock_gettime "times in the log, where the vDSO does not know them";
};

#[cfg(test)]
mod tests {
    use host::filter::{Arg, simulate};

    use super::*;

    const ALLOW: u32 = 0x7fff_0000;
    const KILL: u32 = 0x8000_0000;
    const ENOSYS: u32 = 0x0005_0026;
    const FD_DIR: u32 = 5;

    fn run(number: u32, args: [u64; 6]) -> u32 {
        let program = filter(FD_DIR).compile(Otherwise::Kill).expect("well formed");
        simulate(&program, 0xc000_003e, number, args).expect("well formed")
    }

    #[test]
    fn what_is_listed_passes_and_nothing_else() {
        for rule in RULES {
            let number = u32::try_from(rule.call).expect("small");
            if rule.ways.is_empty() {
                assert_eq!(run(number, [u64::MAX; 6]), ALLOW, "call {number}");
            }
            for way in rule.ways {
                let mut args = [0; 6];
                for arg in *way {
                    match *arg {
                        Is(index, value) => args[usize::from(index)] = u64::from(value),
                        Arg::Bits(index, _, value) => args[usize::from(index)] = value,
                        Descriptor(index) => args[usize::from(index)] = u64::from(FD_DIR),
                    }
                }
                assert_eq!(run(number, args), ALLOW, "call {number} {args:x?}");
                assert_eq!(run(number, [0xdead_beef; 6]), KILL, "call {number}");
            }
        }
        for number in (0..600).filter(|n| RULES.iter().all(|rule| rule.call != i64::from(*n))) {
            assert_eq!(run(number, [0; 6]), KILL, "call {number}");
        }
        let openat = u32::try_from(libc::SYS_openat).expect("small");
        assert_eq!(run(openat, [AT_FDCWD.into(), 0, 0, 0, 0, 0]), ENOSYS);
        assert_eq!(run(openat, [0xffff_ff9b, 0, 0, 0, 0, 0]), KILL);
    }

    #[test]
    fn there_are_few_and_each_has_a_reason() {
        assert!(RULES.len() < 45, "{}", RULES.len());
        assert!(RULES.iter().all(|rule| !rule.why.is_empty()));
    }
}
