//! The seccomp filter of the gofer. Everything that is not in [`rules`] ends the process.

use std::collections::BTreeMap;
use std::io;

use host::seccomp::Instruction;
use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

use crate::fd_dir::FdDir;

/// Puts the filter on the process. There are no other threads yet.
pub(super) fn install(fds: &FdDir) -> io::Result<()> {
    host::seccomp::report_violations()?;
    let program = program(fds).map_err(|error| io::Error::other(error.to_string()))?;
    host::seccomp::install(&program)
}

/// A condition on an argument.
enum Arg {
    /// This argument is this number, compared as 32 bits.
    Is(u8, u64),
    /// Of this argument's bits in the mask, exactly these are set.
    Bits(u8, u64, u64),
}
use Arg::{Bits, Is};

/// The calls that serving files makes, each with the ways in which it may be made; no way means any.
fn rules(proc_fd: u64) -> Vec<(c_long, Vec<Vec<Arg>>)> {
    let no_exec = || Bits(2, bits(libc::PROT_EXEC), 0);
    let thread = libc::CLONE_VM | libc::CLONE_FS | libc::CLONE_FILES | libc::CLONE_SIGHAND | libc::CLONE_THREAD;
    let new_namespaces = libc::CLONE_NEWUSER | libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWNET;
    vec![
        // Requests and answers; answers may carry a descriptor.
        (libc::SYS_read, vec![]),
        (libc::SYS_sendmsg, vec![]),
        // The log.
        (libc::SYS_write, vec![]),
        // Lookup, and creation by name: resolution is restricted in a structure that a filter cannot read.
        (libc::SYS_openat2, vec![]),
        // Reopening, through the one directory that is good for nothing else.
        (libc::SYS_openat, vec![vec![Is(0, proc_fd)]]),
        (libc::SYS_close, vec![]),
        // Attributes.
        (libc::SYS_statx, vec![]),
        (libc::SYS_readlinkat, vec![]),
        (libc::SYS_fstatfs, vec![]),
        (libc::SYS_fchownat, vec![vec![Is(4, bits(libc::AT_EMPTY_PATH))]]),
        (libc::SYS_fchmodat, vec![vec![Is(0, proc_fd)]]),
        (libc::SYS_utimensat, vec![vec![Is(0, proc_fd), Is(3, 0)]]),
        (libc::SYS_fgetxattr, vec![]),
        (libc::SYS_flistxattr, vec![]),
        (libc::SYS_fsetxattr, vec![]),
        (libc::SYS_fremovexattr, vec![]),
        // Directories.
        (libc::SYS_getdents64, vec![]),
        (libc::SYS_lseek, vec![vec![Is(2, bits(libc::SEEK_SET))]]),
        // Contents, for clients that are not given descriptors.
        (libc::SYS_pread64, vec![]),
        (libc::SYS_pwrite64, vec![]),
        (libc::SYS_ftruncate, vec![]),
        (libc::SYS_fallocate, vec![]),
        (libc::SYS_fsync, vec![]),
        (libc::SYS_fdatasync, vec![]),
        // Locks of such clients; the last is how a debug build checks what it closes.
        (
            libc::SYS_fcntl,
            vec![
                vec![Is(1, bits(libc::F_OFD_SETLK))],
                vec![Is(1, bits(libc::F_OFD_GETLK))],
                vec![Is(1, bits(libc::F_GETFD))],
            ],
        ),
        // Names.
        (libc::SYS_mkdirat, vec![]),
        (libc::SYS_mknodat, vec![]),
        (libc::SYS_symlinkat, vec![]),
        (libc::SYS_linkat, vec![vec![Is(0, proc_fd), Is(4, bits(libc::AT_SYMLINK_FOLLOW))]]),
        (libc::SYS_unlinkat, vec![vec![Is(2, 0)], vec![Is(2, bits(libc::AT_REMOVEDIR))]]),
        // The C library prefers the older call where there are no flags.
        (libc::SYS_renameat, vec![]),
        (libc::SYS_renameat2, vec![vec![Is(4, 0)], vec![Is(4, 1)], vec![Is(4, 2)]]),
        // Memory, never executable.
        (libc::SYS_brk, vec![]),
        (libc::SYS_mmap, vec![vec![no_exec()]]),
        (libc::SYS_mprotect, vec![vec![no_exec()]]),
        (libc::SYS_munmap, vec![]),
        (libc::SYS_mremap, vec![]),
        (libc::SYS_madvise, vec![]),
        // A thread for each mount, and nothing that is not a thread of ours.
        (libc::SYS_clone, vec![vec![Bits(0, bits(thread | new_namespaces), bits(thread))]]),
        // With the first thread the C library takes the two signals that it keeps for itself.
        (libc::SYS_rt_sigaction, vec![vec![Is(0, 32)], vec![Is(0, 33)]]),
        (libc::SYS_set_robust_list, vec![]),
        (libc::SYS_rseq, vec![]),
        (libc::SYS_sigaltstack, vec![]),
        (libc::SYS_rt_sigprocmask, vec![]),
        (libc::SYS_rt_sigreturn, vec![]),
        (libc::SYS_sched_getaffinity, vec![]),
        // A thread goes where its client is.
        (libc::SYS_sched_setaffinity, vec![vec![Is(0, 0)]]),
        (libc::SYS_gettid, vec![]),
        (libc::SYS_prctl, vec![vec![Is(0, bits(libc::PR_SET_NAME))], vec![Is(0, bits(libc::PR_SET_VMA))]]),
        (libc::SYS_futex, vec![]),
        (libc::SYS_exit, vec![]),
        (libc::SYS_exit_group, vec![]),
        // Hash tables are seeded.
        (libc::SYS_getrandom, vec![]),
        // Times in the log, where the vDSO does not know them.
        (libc::SYS_clock_gettime, vec![]),
    ]
}

/// The numbers that calls take as ints and flags, all of them positive.
fn bits(n: i32) -> u64 {
    u64::from(n.unsigned_abs())
}

fn program(fds: &FdDir) -> Result<BpfProgram, seccompiler::BackendError> {
    let mut map = BTreeMap::new();
    for (call, ways) in rules(bits(fds.raw())) {
        map.insert(call, ways.into_iter().map(rule).collect::<Result<Vec<_>, _>>()?);
    }
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let filter: BpfProgram = SeccompFilter::new(map, SeccompAction::Trap, SeccompAction::Allow, arch)?.try_into()?;
    Ok(preamble().into_iter().chain(filter).collect())
}

fn rule(way: Vec<Arg>) -> Result<SeccompRule, seccompiler::BackendError> {
    let condition = |arg| match arg {
        Is(index, value) => SeccompCondition::new(index, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value),
        Bits(index, mask, value) => {
            SeccompCondition::new(index, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(mask), value)
        }
    };
    SeccompRule::new(way.into_iter().map(condition).collect::<Result<_, _>>()?)
}

/// What stands before the rules. The instruction pointer is read for nothing but this: the kernel tries a filter out for
/// every call number when it is installed, which takes longer than all else at start, and gives that up at an
/// instruction that reads anything but number and architecture. clone3 is absent, so that the C library uses clone, whose
/// flags can be checked. So is openat from the working directory: the C library's heap asks for
/// `/proc/sys/vm/overcommit_memory` before it shrinks, and makes do without.
fn preamble() -> [Instruction; 7] {
    const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
    const JUMP_IF_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
    const RETURN: u16 = 0x06; // BPF_RET | BPF_K
    const NUMBER: u32 = 0; // seccomp_data.nr
    const INSTRUCTION_POINTER: u32 = 8; // seccomp_data.instruction_pointer
    const FIRST_ARG: u32 = 16; // seccomp_data.args[0], its low half
    const CLONE3: u32 = 435;
    const OPENAT: u32 = 257;
    const AT_FDCWD: u32 = 0xffff_ff9c;
    const ABSENT: u32 = 0x0005_0000 | 38; // SECCOMP_RET_ERRNO, ENOSYS
    let instruction = |code, jt, jf, k| Instruction { code, jt, jf, k };
    [
        instruction(LOAD, 0, 0, INSTRUCTION_POINTER),
        instruction(LOAD, 0, 0, NUMBER),
        instruction(JUMP_IF_EQUAL, 3, 0, CLONE3),
        instruction(JUMP_IF_EQUAL, 0, 3, OPENAT),
        instruction(LOAD, 0, 0, FIRST_ARG),
        instruction(JUMP_IF_EQUAL, 0, 1, AT_FDCWD),
        instruction(RETURN, 0, 0, ABSENT),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the program returns for a call, as the kernel would run it.
    fn run(program: &[Instruction], number: u32, args: [u64; 6]) -> u32 {
        let mut data = vec![number, 0xc000_003e, 0, 0];
        data.extend(args.iter().flat_map(|a| [(a & 0xffff_ffff) as u32, (a >> 32) as u32]));
        let (mut at, mut accumulator) = (0, 0);
        loop {
            let Instruction { code, jt, jf, k } = &program[at];
            at += 1;
            let jump = |taken: bool| usize::from(if taken { *jt } else { *jf });
            match code {
                0x20 => accumulator = data[*k as usize / 4],
                0x54 => accumulator &= k,
                0x15 => at += jump(accumulator == *k),
                0x25 => at += jump(accumulator > *k),
                0x35 => at += jump(accumulator >= *k),
                0x05 => at += *k as usize,
                0x06 => return *k,
                other => panic!("instruction {other:#x}"),
            }
        }
    }

    #[test]
    fn what_is_listed_passes_and_nothing_else() {
        const ALLOW: u32 = 0x7fff_0000;
        const TRAP: u32 = 0x0003_0000;
        let fds = FdDir::from_proc().expect("procfs");
        let program = program(&fds).expect("well formed");
        let listed = rules(bits(fds.raw()));
        for (call, ways) in &listed {
            let number = u32::try_from(*call).expect("small");
            if ways.is_empty() {
                assert_eq!(run(&program, number, [u64::MAX; 6]), ALLOW, "call {call}");
            }
            for way in ways {
                let mut args = [0; 6];
                for arg in way {
                    let (Is(index, value) | Bits(index, _, value)) = arg;
                    args[usize::from(*index)] = *value;
                }
                assert_eq!(run(&program, number, args), ALLOW, "call {call} {args:x?}");
                assert_eq!(run(&program, number, [0xdead_beef; 6]), TRAP, "call {call}");
            }
        }
        let clone3 = u32::try_from(libc::SYS_clone3).expect("small");
        assert_eq!(run(&program, clone3, [0; 6]), 0x0005_0000 | 38);
        let openat = u32::try_from(libc::SYS_openat).expect("small");
        assert_eq!(run(&program, openat, [0xffff_ff9c, 0, 0, 0, 0, 0]), 0x0005_0000 | 38);
        assert_eq!(run(&program, openat, [0xffff_ff9b, 0, 0, 0, 0, 0]), TRAP);
        for number in (0..600).filter(|n| *n != clone3 && listed.iter().all(|(call, _)| *call != i64::from(*n))) {
            assert_eq!(run(&program, number, [0; 6]), TRAP, "call {number}");
        }
    }
}
