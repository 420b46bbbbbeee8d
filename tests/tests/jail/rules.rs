//! Rules of the filters that nothing needs: programs run in the sandbox while the host writes down which calls the sandbox
//! and the gofer make, and every rule must be among them or be excused here with a reason.
//!
//! Needs tracefs, which a container has not; says so and passes there.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;
use tests::guest::build::build_all;

use super::support::{Bench, Outcome, stdout};

/// Guest programs that between them make the kernel do everything. The root is served without an overlay, so that the gofer
/// has work too.
const PROGRAMS: [&str; 7] = ["files", "open", "memory", "threads", "tty", "exec", "signals"];

/// And what an administrator does, with a standard input that must be waited for.
const SCRIPT: &str = "cd /tmp; b=/bin/busybox; $b touch -d 2020-01-01 f; $b chmod 600 f; $b chown 1:1 f; $b ln -s f l; \
    $b readlink l; $b ls -l / /bin; $b df /tmp; $b truncate -s 5 f; $b dd if=/bin/sh of=g bs=4096 count=1 conv=fsync; \
    $b sync; $b cat; $b mv g h; $b mkdir d; $b rmdir d; $b rm f h l";

/// Made at every hand-over, so that writing them down would leave no room for others: ioctl, sched_yield, wait4, ptrace, futex,
/// clock_gettime.
const HOT: [u64; 6] = [16, 24, 61, 101, 202, 228];

/// Rules that this does not see used, and why they stand.
const EXCUSED: &[(&str, &str)] = &[
    ("sandbox fstat", "another C library's way to what newfstatat does"),
    ("sandbox newfstatat", "another C library's way to what fstat does"),
    ("sandbox restart_syscall", "only after the host has stopped the sandbox"),
    ("sandbox sendto", "frames of --network=sandbox, tests/tests/network.rs"),
    ("sandbox recvmmsg", "frames of --network=sandbox, tests/tests/network.rs"),
    ("sandbox recvfrom", "frames of --network=sandbox, tests/tests/network.rs"),
    ("sandbox eventfd2", "systrap without notifications, guest tests on systrap-futex"),
    ("sandbox memfd_create", "command pages and areas when there are more stubs than one memory file serves"),
    ("sandbox ioctl", "terminals of the host and notifications: on ptrace without a terminal neither"),
    ("sandbox rt_sigaction", "the first fault on a donated file's window"),
    ("sandbox rt_sigreturn", "faults on windows of files that became shorter, guest test hostcalls"),
    ("sandbox mremap", "the C library's way to grow a large allocation"),
    ("sandbox getpid", "our own pid, for tgkill, when a task is interrupted"),
    ("sandbox kill", "a stub that does not end by itself"),
    ("sandbox brk", "the C library's heap, of the first thread"),
    ("sandbox exit_group", "after the trace has ended"),
    ("sandbox clock_nanosleep", "pauses while somebody else holds what is wanted"),
    ("sandbox tgkill", "a thread that must leave application code: chance decides on ptrace"),
    ("sandbox fcntl", "descriptors of notifications, systrap; flags of donated files"),
    ("sandbox fdatasync", "fdatasync(2) on a donated file"),
    ("sandbox read", "signals to the command line; standard input from a regular file"),
    ("gofer sched_setaffinity", "a thread that takes turns with its client on another CPU: chance decides"),
    ("gofer ftruncate", "truncate(2) without an open file, gofer/tests"),
    ("gofer write", "the log"),
    ("gofer fremovexattr", "gofer/tests"),
    ("gofer mremap", "messages that grow"),
    ("gofer munmap", "messages that grow"),
    ("gofer mprotect", "heaps of further threads"),
    ("gofer futex", "more than one mount"),
    ("gofer mmap", "large messages"),
    ("gofer brk", "the heap grows"),
    ("gofer sched_getaffinity", "more than one mount"),
    ("gofer pread64", "plain clients, gofer/tests"),
    ("gofer pwrite64", "plain clients, gofer/tests"),
    ("gofer fsync", "plain clients, gofer/tests"),
    ("gofer fdatasync", "plain clients, gofer/tests"),
    ("gofer fcntl", "plain clients, gofer/tests"),
    ("gofer lseek", "plain clients, gofer/tests"),
    ("gofer renameat", "which of the two the C library takes"),
    ("gofer renameat2", "which of the two the C library takes"),
    ("gofer exit_group", "after the trace has ended"),
    ("gofer clock_gettime", "times in the log, where the vDSO does not know them"),
    ("gofer getrandom", "each thread's first hash table; the first thread's is made before the filter"),
    ("gofer madvise", "before the trace begins"),
    ("gofer fallocate", "preallocation on the host, gofer/tests"),
    ("gofer mknodat", "pipes and sockets are the kernel's own; device nodes, gofer/tests"),
];

/// A tracing instance of the host, which writes down the calls of a process and of the threads that it starts.
struct Trace(PathBuf);

impl Trace {
    fn of(pid: u64) -> Option<Self> {
        let root = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"].into_iter().map(Path::new);
        let root = root.into_iter().find(|root| root.join("events/raw_syscalls/sys_enter/enable").exists())?;
        let this = Self(root.join(format!("instances/runsc-rs-{}-{}", std::process::id(), pid)));
        fs::create_dir(&this.0).ok()?;
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        let tasks: Vec<_> = tasks.map(|task| task.file_name().to_string_lossy().into_owned()).collect();
        let write = |name: &str, text: &str| fs::write(this.0.join(name), text).ok();
        write("buffer_size_kb", "16384")?;
        let filter: Vec<_> = HOT.iter().map(|number| format!("id != {number}")).collect();
        write("events/raw_syscalls/sys_enter/filter", &filter.join(" && "))?;
        write("options/event-fork", "1")?;
        write("set_event_pid", &tasks.join(" "))?;
        write("events/raw_syscalls/sys_enter/enable", "1")?;
        Some(this)
    }

    /// The numbers of calls that were made so far.
    fn numbers(&self) -> BTreeSet<u64> {
        let text = fs::read_to_string(self.0.join("trace")).unwrap_or_default();
        let number = |line: &str| line.split_once(": NR ")?.1.split(' ').next()?.parse().ok();
        text.lines().filter_map(number).collect()
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        let _ = fs::write(self.0.join("events/raw_syscalls/sys_enter/enable"), "0");
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "nothing tells that the program waits")]
fn every_rule_is_used() -> Outcome {
    let bin = tests::workspace().join("target/guest/bin");
    if Command::new("gcc").arg("--version").output().is_err() {
        println!("skip: gcc is not installed");
        return Ok(());
    }
    let programs = build_all(&bin, &PROGRAMS.map(str::to_owned))?;
    let mut seen = BTreeSet::new();
    let mut table = String::new();
    for platform in ["systrap", "ptrace"] {
        let Some(mut bench) = Bench::new(&format!("rules-{platform}")) else { return Ok(()) };
        let all =
            ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_MKNOD", "CAP_SYS_ADMIN", "CAP_KILL", "CAP_SETUID"];
        for set in ["bounding", "effective", "permitted"] {
            bench.set(&format!("/process/capabilities/{set}"), json!(all));
        }
        table = stdout(&bench.call(&["debug", "--host-calls"]));
        let mut lines = vec![vec!["sh".to_owned(), "-c".to_owned(), SCRIPT.to_owned()]];
        for program in &programs {
            fs::copy(&program.path, bench.bundle.join("rootfs/etc").join(&program.name))?;
            lines.push(vec![format!("/etc/{}", program.name)]);
        }
        for line in lines {
            bench.set("/process/args", json!(line));
            bench.set("/process/cwd", json!("/tmp"));
            let mut create = bench.command(&["--platform", platform, "--overlay2", "none", "create", "x"]);
            let (input, mut to_input) = std::io::pipe()?;
            assert!(create.stdin(input).stdout(Stdio::null()).stderr(Stdio::null()).status()?.success());
            let processes = bench.processes("x");
            let (Some(sandbox), Some(gofer)) = (Trace::of(processes.sandbox), Trace::of(processes.gofer)) else {
                println!("skip: no tracefs");
                return Ok(());
            };
            stdout(&bench.call(&["start", "x"]));
            // While it is waited for.
            std::thread::sleep(Duration::from_millis(300));
            let _ = to_input.write_all(b"line\n");
            drop(to_input);
            let _ = bench.call(&["wait", "x"]);
            for (who, trace) in [(format!("sandbox/{platform}"), sandbox), ("gofer".to_owned(), gofer)] {
                seen.extend(trace.numbers().into_iter().map(|number| (who.clone(), number)));
            }
            stdout(&bench.call(&["delete", "--force", "x"]));
        }
    }
    let mut unused = Vec::new();
    for line in table.lines() {
        let mut fields = line.split('\t');
        let (Some(who), Some(number), Some(name)) = (fields.next(), fields.next(), fields.next()) else { continue };
        let short = format!("{} {name}", who.split('/').next().unwrap_or(who));
        // Used by tests/network/host, which needs a network to be the host's, and tests/network/names.
        let excused = ["sandbox/host-network", "sandbox/name-server"].contains(&who)
            || EXCUSED.iter().any(|(rule, _)| *rule == short);
        let number = number.parse()?;
        // What one platform has seen, the other has the same reason for.
        let used = seen.iter().any(|(by, seen)| *seen == number && by.split('/').next() == who.split('/').next());
        if !excused && !HOT.contains(&number) && !used {
            unused.push(format!("{who} {name}"));
        }
    }
    assert!(unused.is_empty(), "rules that nothing used: {unused:#?}");
    Ok(())
}
