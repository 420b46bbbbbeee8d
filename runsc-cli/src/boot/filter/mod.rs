//! The filter of the sandbox process: the host calls that a kernel for applications needs, and no other.
//!
//! It is put on when the platform has made its zygote and the kernel is ready, before anything of the container is looked
//! at. The zygote and the stubs have filters of their own.

mod rules;

use std::io;

use host::filter::{Otherwise, Rule, compile};

/// Puts it on, on all threads. With `report`, and in debug builds, a forbidden
/// call is named on standard error before it ends the process.
/// `host_network` adds the calls of host sockets.
pub(super) fn put_on(report: bool, host_network: bool) -> io::Result<()> {
    let report = report || cfg!(debug_assertions);
    let otherwise = if report { Otherwise::Report } else { Otherwise::Kill };
    if report {
        host::seccomp::report_violations()?;
    }
    host::seccomp::install(&compile(&rules(host_network), rules::ABSENT, otherwise)?)
}

fn rules(host_network: bool) -> Vec<Rule> {
    let more = if host_network { rules::HOST_NETWORK } else { &[] };
    [&[rules::RULES], more].concat().concat()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_rule_has_a_reason_and_stands_once() {
        for rules in [rules::RULES, &rules::HOST_NETWORK.concat()] {
            let mut seen = HashSet::new();
            for rule in rules {
                assert!(!rule.why.is_empty() && seen.insert(rule.call), "call {}", rule.call);
            }
        }
    }

    #[test]
    fn host_sockets_may_do_what_the_kernel_offers_and_no_more() {
        const X86_64: u32 = 0xc000_003e;
        const KILL: u32 = 0x8000_0000;
        const ALLOW: u32 = 0x7fff_0000;
        let program = compile(&super::rules(true), rules::ABSENT, Otherwise::Kill).unwrap();
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
        const X86_64: u32 = 0xc000_003e;
        const KILL: u32 = 0x8000_0000;
        let program = compile(rules::RULES, rules::ABSENT, Otherwise::Kill).unwrap();
        let calls = [
            libc::SYS_open,
            libc::SYS_openat2,
            libc::SYS_execve,
            libc::SYS_execveat,
            libc::SYS_fork,
            libc::SYS_vfork,
            libc::SYS_socket,
            libc::SYS_connect,
            libc::SYS_bind,
            libc::SYS_mount,
            libc::SYS_unshare,
            libc::SYS_setns,
            libc::SYS_bpf,
            libc::SYS_io_uring_setup,
            libc::SYS_process_vm_readv,
            libc::SYS_keyctl,
            libc::SYS_perf_event_open,
        ];
        for call in calls {
            let number = u32::try_from(call).unwrap();
            assert_eq!(host::filter::simulate(&program, X86_64, number, [0; 6]), Some(KILL), "call {call}");
        }
        const ENOSYS: u32 = 0x0005_0026;
        let openat = u32::try_from(libc::SYS_openat).unwrap();
        assert_eq!(host::filter::simulate(&program, X86_64, openat, [0; 6]), Some(ENOSYS));
        let clone = u32::try_from(libc::SYS_clone).unwrap();
        assert_eq!(host::filter::simulate(&program, X86_64, clone, [0x11, 0, 0, 0, 0, 0]), Some(KILL), "fork by clone");
    }
}
