//! Live processes, inspected through `/proc`: this fails when the posture weakens.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::support::{Bench, Outcome, stdout, wait_until};

const PLATFORMS: [&str; 2] = ["systrap", "ptrace"];

/// CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, FSETID, MKNOD, SETFCAP.
const SERVING_FILES: u64 = 0x8800_001f;
/// SYS_PTRACE, which in a user namespace of its own holds for stubs only.
const TRACING: u64 = 1 << 19;

/// A field of `/proc/PID/status`.
fn status(pid: u64, field: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).expect("alive");
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).expect("a field of status");
    line.trim().to_owned()
}

fn capabilities(pid: u64) -> BTreeMap<&'static str, u64> {
    let set = |set| (set, u64::from_str_radix(&status(pid, set), 16).expect("a number"));
    ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"].map(set).into()
}

fn own_namespaces(pid: u64) -> Vec<&'static str> {
    let of = |pid: &str, kind: &str| fs::read_link(format!("/proc/{pid}/ns/{kind}")).expect("alive");
    let all = ["user", "mnt", "pid", "net", "ipc", "uts"];
    all.into_iter().filter(|kind| of(&pid.to_string(), kind) != of("self", kind)).collect()
}

fn descriptors(pid: u64) -> Vec<String> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).expect("alive").flatten();
    entries.filter_map(|entry| Some(fs::read_link(entry.path()).ok()?.to_string_lossy().into_owned())).collect()
}

fn stubs(sandbox: u64) -> Vec<u64> {
    let tasks = fs::read_dir(format!("/proc/{sandbox}/task")).expect("alive").flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect()
}

/// What holds for every process of a container.
fn check_common(pid: u64) {
    assert_eq!(status(pid, "NoNewPrivs"), "1");
    assert_eq!(status(pid, "Seccomp"), "2");
    assert_eq!(fs::read_dir(format!("/proc/{pid}/root/")).expect("alive").count(), 0, "an empty root");
    let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).expect("alive");
    assert_eq!(mounts.lines().count(), 1, "{mounts}");
    assert!(mounts.contains(" ro,nosuid,nodev,noexec"), "{mounts}");
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).expect("alive");
    let core = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).expect("a limit");
    assert_eq!(core.split_whitespace().collect::<Vec<_>>(), ["0", "0", "bytes"]);
    assert_eq!(fs::read(format!("/proc/{pid}/environ")).expect("alive"), b"", "nothing of the caller's environment");
    let readable = |line: &&str| {
        let mut words = line.split_whitespace();
        words.nth(1).is_some_and(|rights| rights.contains('w') && rights.contains('x'))
    };
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect("alive");
    assert_eq!(maps.lines().find(readable), None, "nothing is both writable and executable");
}

fn check_sandbox(pid: u64) {
    check_common(pid);
    assert_eq!(own_namespaces(pid), ["user", "mnt", "pid", "net", "ipc", "uts"]);
    assert!(status(pid, "Uid").split_whitespace().all(|uid| uid == "65534"), "nobody on the host");
    let expected =
        BTreeMap::from([("CapInh", 0), ("CapPrm", TRACING), ("CapEff", TRACING), ("CapBnd", 0), ("CapAmb", 0)]);
    assert_eq!(capabilities(pid), expected);
    for target in descriptors(pid) {
        let known = target.starts_with("/memfd:")
            || target.starts_with("socket:[")
            || target.starts_with("pipe:[")
            || target.starts_with("anon_inode:")
            || target == "/dev/null"
            // its standard error, and donated for reading: the program that runs
            || target.ends_with("/stderr")
            || target == "/bin/busybox"
            // how much memory it takes itself, and its cgroup
            || target.ends_with("/statm")
            || target.ends_with("/memory.stat")
            || target.ends_with("/memory.current")
            || target.ends_with("/memory.usage_in_bytes");
        assert!(known, "a descriptor of {target}");
    }
    for stub in stubs(pid) {
        // Stubs come and go.
        if !Path::new(&format!("/proc/{stub}/status")).exists() {
            continue;
        }
        check_common(stub);
        assert!(capabilities(stub).values().all(|set| *set == 0), "a stub with capabilities");
        assert_eq!(own_namespaces(stub), own_namespaces(pid));
    }
}

fn check_gofer(pid: u64, rootfs: &Path) {
    check_common(pid);
    assert_eq!(own_namespaces(pid), ["mnt", "pid", "net", "ipc", "uts"]);
    for (set, bits) in capabilities(pid) {
        assert_eq!(bits & !SERVING_FILES, 0, "{set}");
    }
    assert_eq!(fs::read_dir(format!("/proc/{pid}/task")).expect("alive").count(), 1, "a thread for the only mount");
    let outside = |target: &&String| {
        let inside = target.starts_with('/') && (rootfs.join(&target[1..]).exists() || target.ends_with("/fd"));
        !(inside || target.starts_with("socket:[") || target.starts_with("pipe:[") || *target == "/dev/null")
    };
    let descriptors = descriptors(pid);
    assert_eq!(descriptors.iter().find(outside), None, "a descriptor of something that is not exported");
}

/// The numbers that the command prints in a row, by the name of the process.
fn row(table: &str, name: &str) -> BTreeMap<String, String> {
    let cells = |line: &str| line.split('|').map(|cell| cell.trim().to_owned()).skip(1).collect::<Vec<_>>();
    let heads = cells(table.lines().next().expect("a head"));
    let line = table.lines().find(|line| line.trim_start().starts_with(name)).expect("a row");
    heads.into_iter().zip(cells(line)).collect()
}

#[test]
fn processes_of_a_running_container() -> Outcome {
    for platform in PLATFORMS {
        let name = format!("posture-{platform}");
        let Some(bench) = Bench::running(&name, &["sh", "-c", "sleep 1000 & sleep 1000"]) else { return Ok(()) };
        bench.detached(&["--platform", platform, "run", "--detach", "x"]);
        let processes = bench.processes("x");
        wait_until("the program to run", || stubs(processes.sandbox).len() > 2);
        check_sandbox(processes.sandbox);
        check_gofer(processes.gofer, &bench.bundle.join("rootfs"));
        let table = stdout(&bench.call(&["debug", "--posture", "x"]));
        let calls = row(&table, "host calls");
        let Ok(sandbox) = calls["sandbox"].parse::<u32>() else {
            // Reading filters back needs a kernel with checkpoints, and no filter on us.
            println!("skip numbers of host calls: {}", calls["sandbox"]);
            continue;
        };
        assert!(sandbox < 60, "{table}");
        match calls["gofer"].parse::<u32>() {
            Ok(gofer) => assert!(gofer < 45, "{table}"),
            // It did not stop in time.
            Err(_) => println!("skip the gofer's number of host calls: {}", calls["gofer"]),
        }
        let others = row(&table, "others");
        assert_eq!((others["sandbox"].as_str(), others["gofer"].as_str()), ("kill", "kill"), "{table}");
        // What it looked at lives on.
        assert_eq!(bench.status("x").as_deref(), Some("running"));
    }
    Ok(())
}

#[test]
fn a_command_that_waits_cannot_be_looked_into() -> Outcome {
    let Some(bench) = Bench::running("waits", &["sleep", "1000"]) else { return Ok(()) };
    let mut child = bench.command(&["run", "x"]).spawn()?;
    bench.wait_for("x", "running");
    // As the same user without capabilities, which may look into its own processes otherwise.
    let look = |pid: u32| {
        let line =
            format!("exec 2>/dev/null; head -c 1 /proc/{pid}/mem; ls /proc/{pid}/fd && readlink /proc/{pid}/exe");
        std::process::Command::new("setpriv")
            .args(["--bounding-set=-all", "--inh-caps=-all", "--reuid=0"])
            .args(["sh", "-c", &line])
            .output()
    };
    let peek = look(child.id());
    stdout(&bench.call(&["kill", "x", "KILL"]));
    child.wait()?;
    match peek {
        Ok(output) => assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout)),
        Err(e) => println!("skip: setpriv: {e}"),
    }
    Ok(())
}
