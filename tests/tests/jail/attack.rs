//! Runs the programs of tests/attack, which try to get out of the sandbox, to learn of the host and to take the sandbox down.
//!
//! `ATTACK_ROUNDS=N` makes them N times as long, `ATTACK_PLATFORMS` names the platforms. Each runs in a container with limits
//! beside another one, which must not notice.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;
use tests::guest::run_to_end;

use super::support::{Bench, Outcome, stderr, stdout, wait_until};

/// How long one program may take, for each round.
const SECONDS: u64 = 240;
/// Memory of a container under attack.
const MEMORY: u64 = 256 << 20;
/// A word that stands in a file outside of what the container has.
const SECRET: &str = "secret-of-the-host";
/// All that a program could want.
const CAPABILITIES: [&str; 16] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_SYS_PTRACE",
    "CAP_SYS_ADMIN",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_NICE",
    "CAP_MKNOD",
    "CAP_SYS_CHROOT",
];

fn rounds() -> u64 {
    std::env::var("ATTACK_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

fn platforms() -> Vec<String> {
    let platforms = std::env::var("ATTACK_PLATFORMS").unwrap_or_else(|_| "systrap,ptrace".to_owned());
    platforms.split(',').filter(|platform| !platform.is_empty()).map(str::to_owned).collect()
}

/// Compiles a program.
fn build(name: &str) -> Option<PathBuf> {
    let (sources, bin) = (tests::workspace().join("tests/attack"), tests::workspace().join("target/attack"));
    fs::create_dir_all(&bin).ok()?;
    let program = bin.join(name);
    // Several tests may want the same.
    let new = bin.join(format!("{name}.{}", std::process::id()));
    let output = Command::new("gcc")
        .current_dir(sources)
        .args(["-std=gnu11", "-O1", "-g", "-static", "-pthread", "-Wall", "-Wextra", "-Werror", "-Wno-unused-result"])
        .args(["-Wno-nonnull", "-Wno-stringop-overread", "-Wno-stringop-overflow", "-o"])
        .arg(&new)
        .arg(format!("{name}.c"))
        .output();
    let Ok(output) = output else {
        println!("skip {name}: gcc is not installed");
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::rename(new, &program).ok()?;
    Some(program)
}

/// A container with everything that an attack may want, and what it prints.
fn attack(platform: &str, name: &str, args: &[&str]) -> Option<String> {
    let program = build(name)?;
    let mut bench = Bench::new(&format!("attack-{name}-{platform}-{}", args.first().unwrap_or(&"")))?;
    fs::copy(program, bench.bundle.join("rootfs/bin").join(name)).ok()?;
    let (volume, outside) = (bench.dir.join("volume"), bench.dir.join("outside"));
    for dir in [&volume, &outside] {
        fs::create_dir_all(dir).ok()?;
    }
    fs::write(outside.join("secret"), SECRET).ok()?;
    let before = listing(&outside);
    let mut line = vec![format!("/bin/{name}")];
    line.extend(args.iter().map(ToString::to_string));
    bench.set("/process/args", json!(line));
    bench.set("/process/env", json!(["PATH=/bin", format!("ATTACK_ROUNDS={}", rounds())]));
    bench.set("/process/rlimits", json!([{"type": "RLIMIT_NOFILE", "soft": 1024, "hard": 65536}]));
    for set in ["bounding", "effective", "permitted"] {
        bench.set(&format!("/process/capabilities/{set}"), json!(CAPABILITIES));
    }
    bench.set("/linux/resources", json!({"memory": {"limit": MEMORY}, "pids": {"limit": 256}}));
    bench.add_mount(json!({"destination": "/vol", "type": "bind", "source": volume, "options": ["rbind", "rw"]}));
    bench.add_mount(json!({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["mode=1777"]}));
    let id = format!("{name}-{}", std::process::id());
    let limit = Duration::from_secs(SECONDS * rounds());
    let run = run_to_end(bench.command(&["--platform", platform, "run", &id]).stdin(Stdio::null()), limit);
    let run = run.expect("the runtime can be executed");
    let told = format!("{platform} {name} {args:?}: status {:?}\n{}{}", run.code, run.stdout, run.stderr);
    assert!(!run.timed_out, "did not end: {told}");
    if name == "exhaust" && run.code == Some(137) {
        // The limit is the host's, and it was kept; but the kernel inside should have refused before.
        println!("known: the host ended the sandbox for want of memory: {told}");
    } else {
        assert_eq!(run.code, Some(0), "{told}");
        assert!(run.stdout.ends_with("survived\n"), "{told}");
    }
    assert!(!run.stdout.contains("LEAK"), "{told}");
    assert!(bench.is_empty(), "something is left");
    assert_eq!(listing(&outside), before, "something was changed outside");
    check_volume(&volume);
    Some(run.stdout)
}

fn listing(dir: &Path) -> Vec<(PathBuf, u32, Vec<u8>)> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut all: Vec<_> = entries
        .map(|entry| {
            let mode = entry.metadata().map_or(0, |metadata| metadata.mode());
            (entry.path(), mode, fs::read(entry.path()).unwrap_or_default())
        })
        .collect();
    all.sort();
    all
}

/// Nothing in it can be used on the host: no device that opens, no link to elsewhere that was followed.
fn check_volume(volume: &Path) {
    for entry in fs::read_dir(volume).into_iter().flatten().flatten() {
        let Ok(metadata) = entry.metadata() else { continue };
        assert!(metadata.file_type().is_dir() || metadata.file_type().is_file() || metadata.is_symlink(), "{entry:?}");
        let secret = metadata.is_file() && fs::read(entry.path()).is_ok_and(|text| text == SECRET.as_bytes());
        assert!(!secret, "{entry:?}");
    }
}

#[test]
fn every_call_with_hostile_arguments() {
    for platform in platforms() {
        attack(&platform, "calls", &[]);
    }
}

#[test]
fn arguments_that_change_while_they_are_read() {
    for platform in platforms() {
        attack(&platform, "fetch", &[]);
    }
}

#[test]
fn ways_out_of_a_served_directory() {
    for platform in platforms() {
        attack(&platform, "files", &["/vol", SECRET]);
    }
}

/// Words of the host that nothing in the container may tell: its name, its kernel, its disks and mounts, our own paths.
#[test]
fn what_the_host_is_like() {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let mut words =
        vec![read("/proc/sys/kernel/osrelease"), read("/proc/sys/kernel/random/boot_id"), read("/etc/machine-id")];
    let workspace = tests::workspace();
    words.extend([workspace.display().to_string(), "runsc-rs-oci".to_owned(), "runsc-rs-gofer".to_owned()]);
    let mounts = read("/proc/self/mounts");
    words.extend(
        mounts
            .lines()
            .filter_map(|line| line.split(' ').next())
            .filter(|name| name.starts_with("/dev/"))
            .map(str::to_owned),
    );
    words.sort();
    words.dedup();
    words.retain(|word| word.len() > 5);
    let pid = std::process::id().to_string();
    let mut args = vec![pid.as_str()];
    args.extend(words.iter().map(String::as_str));
    for platform in platforms() {
        attack(&platform, "leaks", &args);
    }
}

/// Everything until there is no more. A container beside it does not notice. The first process should live through it, and mostly
/// does: see what is not defended in docs/threat-model.md.
#[test]
fn until_there_is_no_more() -> Outcome {
    let Some(neighbour) = Bench::running("neighbour", &["sleep", "10000"]) else { return Ok(()) };
    neighbour.detached(&["run", "--detach", "n"]);
    let before = host_state();
    for platform in platforms() {
        attack(&platform, "exhaust", &[]);
    }
    assert_eq!(neighbour.status("n").as_deref(), Some("running"));
    let output = neighbour.call(&["exec", "n", "echo", "here"]);
    assert_eq!(stdout(&output), "here\n", "{}", stderr(&output));
    wait_until("the host to be as before", || host_state() <= before + 64);
    Ok(())
}

/// Processes of the host.
fn host_state() -> usize {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(|first: char| first.is_ascii_digit()))
        .count()
}

/// A program that the container made set-user-id is not so for the host beyond what the mount of the volume allows, and a
/// set-user-id program of the host's is none in the container that has no_new_privs.
#[test]
fn set_user_id_programs() -> Outcome {
    let Some(mut bench) = Bench::new("set-user-id") else { return Ok(()) };
    let id = bench.bundle.join("rootfs/bin/id");
    fs::remove_file(&id)?;
    fs::copy(bench.bundle.join("rootfs/bin/busybox"), &id)?;
    fs::set_permissions(&id, fs::Permissions::from_mode(0o4755))?;
    bench.set("/process/user", json!({"uid": 1000, "gid": 1000}));
    bench.set("/process/args", json!(["id"]));
    bench.set("/process/noNewPrivileges", json!(true));
    let text = stdout(&bench.call(&["run", "x"]));
    assert!(text.starts_with("uid=1000") && !text.contains("euid"), "{text}");
    Ok(())
}
