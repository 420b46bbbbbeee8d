//! The filter of the sandbox process: the host calls that a kernel for applications needs, and no other.
//!
//! It is put on when the platform has made its zygote and the kernel is ready, before anything of the container is looked
//! at. The zygote and the stubs have filters of their own.

mod rules;

use std::io;

use host::filter::{Otherwise, compile};

/// Puts it on, on all threads. With `report`, and in debug builds, a forbidden
/// call is named on standard error before it ends the process.
pub(super) fn put_on(report: bool) -> io::Result<()> {
    let report = report || cfg!(debug_assertions);
    let otherwise = if report { Otherwise::Report } else { Otherwise::Kill };
    if report {
        host::seccomp::report_violations()?;
    }
    host::seccomp::install(&compile(rules::RULES, rules::ABSENT, otherwise)?)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_rule_has_a_reason_and_stands_once() {
        let mut seen = HashSet::new();
        for rule in rules::RULES {
            assert!(!rule.why.is_empty() && seen.insert(rule.call), "call {}", rule.call);
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
