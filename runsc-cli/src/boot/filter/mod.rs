//! The filter of the sandbox process: the host calls that a kernel for applications needs, and no other.
//!
//! It is put on when the platform has made its zygote and the kernel is ready, before anything of the container is looked
//! at. The zygote and the stubs have filters of their own.

pub(crate) mod rules;

use std::io;

use control::spec::PlatformKind;
use host::filter::{Filter, Otherwise};

/// Puts it on, on all threads. With `report`, and in debug builds, a forbidden
/// call is named on standard error before it ends the process.
/// The two flags add the calls of host sockets and of the way to an engine's name server.
pub(super) fn put_on(
    platform: PlatformKind,
    report: bool,
    (host_network, asks_engine): (bool, bool),
) -> io::Result<()> {
    let report = report || cfg!(debug_assertions);
    let otherwise = if report { Otherwise::Report } else { Otherwise::Kill };
    if report {
        host::seccomp::report_violations()?;
    }
    let mut rules = rules::of(platform, host_network);
    if asks_engine && !host_network {
        rules.push(rules::NAME_SERVER);
    }
    let filter = Filter { rules: &rules, absent: rules::ABSENT, descriptor: None };
    host::seccomp::install(&filter.compile(otherwise)?)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const X86_64: u32 = 0xc000_003e;
    const ALLOW: u32 = 0x7fff_0000;
    const KILL: u32 = 0x8000_0000;
    const ENOSYS: u32 = 0x0005_0026;
    const PLATFORMS: [PlatformKind; 3] = [PlatformKind::Systrap, PlatformKind::Ptrace, PlatformKind::Kvm];

    fn program(platform: PlatformKind) -> Vec<host::seccomp::Instruction> {
        let filter = Filter { rules: &rules::of(platform, false), absent: rules::ABSENT, descriptor: None };
        filter.compile(Otherwise::Kill).unwrap()
    }

    #[test]
    fn every_rule_has_a_reason_and_stands_once_in_its_list() {
        for list in PLATFORMS.into_iter().flat_map(|platform| rules::of(platform, true)) {
            let calls: BTreeSet<_> = list.iter().map(|rule| rule.call).collect();
            assert_eq!(calls.len(), list.len());
            assert!(list.iter().all(|rule| !rule.why.is_empty()));
        }
    }

    #[test]
    fn fewer_than_sixty_calls() {
        for platform in PLATFORMS {
            let program = program(platform);
            let allowed = |number: &u32| host::filter::answers(&program, X86_64, *number).unwrap().contains(&ALLOW);
            let allowed: Vec<_> = (0..1024).filter(allowed).collect();
            assert!(allowed.len() < 60, "{platform:?}: {}: {allowed:?}", allowed.len());
            let listed: BTreeSet<_> = rules::of(platform, false).into_iter().flatten().map(|rule| rule.call).collect();
            assert_eq!(allowed.len(), listed.len(), "{platform:?}");
        }
    }

    #[test]
    fn whoever_makes_a_call_that_is_not_listed_dies() {
        use host::seccomp::{Fate, try_call};
        for platform in PLATFORMS {
            let program = program(platform);
            let listed: BTreeSet<_> = rules::of(platform, false).into_iter().flatten().map(|rule| rule.call).collect();
            let absent: BTreeSet<_> = rules::ABSENT.iter().map(|absent| absent.call).collect();
            // Every number that Linux has or may get, and those of the x32 gate. 335 and 336, which probes of the kernel's own
            // make, are answered before filters are asked.
            let asked = |number: &libc::c_long| !listed.contains(number) && !absent.contains(number);
            let numbers = (0..335).chain(337..600).filter(asked);
            for number in numbers.chain([0x4000_0000, 0x4000_0000 + 59, libc::c_long::from(u32::MAX)]) {
                let fate = try_call(&program, number, [0; 6]).unwrap();
                assert_eq!(fate, Fate::Died(libc::SIGSYS), "{platform:?}: call {number}");
            }
            for call in absent {
                assert_eq!(try_call(&program, call, [0; 6]).unwrap(), Fate::Lived, "{platform:?}: call {call}");
            }
        }
    }

    #[test]
    fn whoever_makes_a_listed_call_in_another_way_dies() {
        use host::seccomp::{Fate, try_call};
        const WRONG: &[(libc::c_long, [u64; 6])] = &[
            (libc::SYS_clone, [libc::SIGCHLD as u64, 0, 0, 0, 0, 0]),
            (libc::SYS_clone, [THREAD | libc::CLONE_NEWUSER as u64, 0, 0, 0, 0, 0]),
            (libc::SYS_mmap, [0, 4096, 5, 0x22, u64::MAX, 0]),
            (libc::SYS_mprotect, [0, 0, 4, 0, 0, 0]),
            (libc::SYS_kill, [u64::MAX, 0, 0, 0, 0, 0]),
            (libc::SYS_fcntl, [0, libc::F_SETOWN as u64, 1, 0, 0, 0]),
            (libc::SYS_fcntl, [0, libc::F_SETLK as u64, 0, 0, 0, 0]),
            (libc::SYS_ioctl, [0, libc::TIOCSTI, 0, 0, 0, 0]),
            (libc::SYS_ioctl, [0, libc::TIOCSCTTY, 0, 0, 0, 0]),
            (libc::SYS_ioctl, [0, 0x1_0000_0000 | libc::TIOCLINUX, 0, 0, 0, 0]),
            (libc::SYS_prctl, [libc::PR_SET_DUMPABLE as u64, 1, 0, 0, 0, 0]),
            (libc::SYS_prctl, [libc::PR_SET_SECCOMP as u64, 0, 0, 0, 0, 0]),
            (libc::SYS_statx, [0, 0, 0, 0, 0, 0]),
            (libc::SYS_newfstatat, [0, 0, 0, 0, 0, 0]),
            (libc::SYS_sendto, [0, 0, 0, 0, 4096, 16]),
        ];
        const THREAD: u64 =
            (libc::CLONE_VM | libc::CLONE_FS | libc::CLONE_FILES | libc::CLONE_SIGHAND | libc::CLONE_THREAD) as u64;
        for platform in PLATFORMS {
            let program = program(platform);
            for (call, args) in WRONG {
                let fate = try_call(&program, *call, *args).unwrap();
                assert_eq!(fate, Fate::Died(libc::SIGSYS), "{platform:?}: call {call} {args:x?}");
            }
        }
    }

    #[test]
    fn host_sockets_may_do_what_the_kernel_offers_and_no_more() {
        let filter = Filter { rules: &rules::of(PlatformKind::Systrap, true), absent: rules::ABSENT, descriptor: None };
        let program = filter.compile(Otherwise::Kill).unwrap();
        let ask = |call: libc::c_long, args: [u64; 6]| {
            host::filter::simulate(&program, X86_64, u32::try_from(call).unwrap(), args)
        };
        let number = |n: i32| u64::try_from(n).unwrap();
        let name = |n: i32| u64::from(n.cast_unsigned());
        for (level, names) in sentry::net::inet::host::SETTABLE {
            for option in *names {
                let args = [3, number(*level), number(*option), 0, 0, 0];
                assert_eq!(ask(libc::SYS_setsockopt, args), Some(ALLOW), "option {option} of {level}");
            }
        }
        for (level, option) in [
            (libc::SOL_SOCKET, libc::SO_ATTACH_FILTER),
            (libc::SOL_SOCKET, libc::SO_ATTACH_BPF),
            (libc::SOL_SOCKET, libc::SO_MARK),
            (libc::IPPROTO_TCP, libc::TCP_REPAIR),
            (libc::IPPROTO_TCP, libc::TCP_ULP),
            (libc::SOL_PACKET, 1),
        ] {
            let args = [3, name(level), name(option), 0, 0, 0];
            assert_eq!(ask(libc::SYS_setsockopt, args), Some(KILL), "option {option} of {level}");
        }
        let flags = name(libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK);
        for (family, kind, protocol, answer) in [
            (libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_TCP, ALLOW),
            (libc::AF_INET6, libc::SOCK_DGRAM, libc::IPPROTO_UDP, ALLOW),
            (libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP, ALLOW),
            (libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_MPTCP, KILL),
            (libc::AF_UNIX, libc::SOCK_STREAM, 0, KILL),
            (libc::AF_NETLINK, libc::SOCK_RAW, 0, KILL),
            (libc::AF_PACKET, libc::SOCK_RAW, 0, KILL),
        ] {
            let args = [number(family), number(kind) | flags, number(protocol), 0, 0, 0];
            assert_eq!(ask(libc::SYS_socket, args), Some(answer), "family {family}, type {kind}");
        }
    }

    #[test]
    fn no_way_to_a_new_file_process_or_socket() {
        const CALLS: [libc::c_long; 25] = [
            libc::SYS_open,
            libc::SYS_openat2,
            libc::SYS_creat,
            libc::SYS_open_by_handle_at,
            libc::SYS_execve,
            libc::SYS_execveat,
            libc::SYS_fork,
            libc::SYS_vfork,
            libc::SYS_socket,
            libc::SYS_socketpair,
            libc::SYS_connect,
            libc::SYS_bind,
            libc::SYS_mount,
            libc::SYS_open_tree,
            libc::SYS_pivot_root,
            libc::SYS_chroot,
            libc::SYS_unshare,
            libc::SYS_setns,
            libc::SYS_bpf,
            libc::SYS_userfaultfd,
            libc::SYS_io_uring_setup,
            libc::SYS_process_vm_readv,
            libc::SYS_pidfd_getfd,
            libc::SYS_keyctl,
            libc::SYS_perf_event_open,
        ];
        for platform in PLATFORMS {
            let program = program(platform);
            for call in CALLS {
                let number = u32::try_from(call).unwrap();
                assert_eq!(host::filter::answers(&program, X86_64, number), Some(vec![KILL]), "call {call}");
            }
            let run = |call: libc::c_long, args| {
                host::filter::simulate(&program, X86_64, u32::try_from(call).unwrap(), args).unwrap()
            };
            assert_eq!(run(libc::SYS_openat, [0; 6]), ENOSYS);
            assert_eq!(run(libc::SYS_clone, [0x11, 0, 0, 0, 0, 0]), KILL, "fork by clone");
            assert_eq!(run(libc::SYS_mmap, [0, 4096, 7, 0x22, u64::MAX, 0]), KILL, "executable memory");
            assert_eq!(run(libc::SYS_mprotect, [0, 4096, 5, 0, 0, 0]), KILL, "executable memory");
            assert_eq!(run(libc::SYS_kill, [1, 15, 0, 0, 0, 0]), KILL, "signals to others");
        }
        let traces = |platform| host::filter::answers(&program(platform), X86_64, 101).unwrap().contains(&ALLOW);
        assert_eq!(PLATFORMS.map(traces), [false, true, false]);
    }
}
