//! Whoever is killed, nothing is left after `delete --force`.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use super::support::{Bench, Outcome, kill, stdout, wait_until};

/// Mounts in here; others come and go.
fn mounts(bench: &Bench) -> usize {
    let dir = bench.dir.to_string_lossy();
    fs::read_to_string("/proc/self/mountinfo").unwrap_or_default().lines().filter(|line| line.contains(&*dir)).count()
}

/// Directories of the host's cgroup hierarchies whose name starts so.
fn cgroups(prefix: &str, dir: &Path) -> usize {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let dirs = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    dirs.map(|entry| {
        usize::from(entry.file_name().to_string_lossy().starts_with(prefix)) + cgroups(prefix, &entry.path())
    })
    .sum()
}

/// Processes of the host that have this in their command line and are no zombies.
fn processes_of(dir: &Path) -> usize {
    let needle = dir.as_os_str().as_encoded_bytes();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let lines = entries.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    lines.filter(|line| line.windows(needle.len()).any(|part| part == needle)).count()
}

#[test]
fn two_hundred_runs() -> Outcome {
    let Some(bench) = Bench::running("runs", &["sh", "-c", "sh -c 'echo here'; true & sleep 0"]) else {
        return Ok(());
    };
    let prefix = format!("runs-{}-", std::process::id());
    for n in 0..200 {
        assert_eq!(stdout(&bench.call(&["run", &format!("{prefix}{n}")])), "here\n");
    }
    assert!(bench.is_empty());
    assert_eq!(mounts(&bench), 0);
    assert_eq!(cgroups(&prefix, Path::new("/sys/fs/cgroup")), 0);
    wait_until("every process to end", || processes_of(&bench.dir) == 0);
    Ok(())
}

#[test]
fn killed_sandbox_or_gofer() -> Outcome {
    let Some(bench) = Bench::running("killed", &["sh", "-c", "sleep 1000 & sleep 1000"]) else { return Ok(()) };
    for start in [false, true] {
        for victim in ["sandbox", "gofer", "both"] {
            bench.detached(&["create", "x"]);
            if start {
                bench.detached(&["start", "x"]);
            }
            let processes = bench.processes("x");
            if victim != "gofer" {
                kill(processes.sandbox);
            }
            if victim != "sandbox" {
                kill(processes.gofer);
            }
            stdout(&bench.call(&["delete", "--force", "x"]));
            assert!(bench.is_empty(), "{victim}");
            wait_until(victim, || processes.are_gone());
        }
    }
    assert_eq!(mounts(&bench), 0);
    Ok(())
}

#[test]
fn gofer_ends_with_its_sandbox() -> Outcome {
    let Some(bench) = Bench::running("orphan", &["sleep", "1000"]) else { return Ok(()) };
    bench.detached(&["run", "--detach", "x"]);
    let processes = bench.processes("x");
    kill(processes.sandbox);
    wait_until("the gofer to end", || processes.are_gone());
    assert_eq!(bench.status("x").as_deref(), Some("stopped"));
    Ok(())
}

/// Kills the command line after ever longer times, so that some of them fall into each stage of a creation.
#[test]
#[expect(clippy::disallowed_methods, reason = "when the blow falls does not matter")]
fn killed_command_line() -> Outcome {
    let Some(bench) = Bench::running("cut-short", &["sleep", "1000"]) else { return Ok(()) };
    for attempt in 0..30_u64 {
        let mut child = bench.command(&["create", "x"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        std::thread::sleep(Duration::from_micros(attempt * 400));
        let _ = child.kill();
        child.wait()?;
        let known = fs::read(bench.dir.join("state/x/state.json")).ok();
        let complete = known.is_some_and(|text| String::from_utf8_lossy(&text).contains("\"sandbox\":{"));
        let processes = complete.then(|| bench.processes("x"));
        stdout(&bench.call(&["delete", "--force", "x"]));
        assert!(bench.is_empty(), "after {attempt}");
        if let Some(processes) = processes {
            wait_until("everything to end", || processes.are_gone());
        }
        // A new one of that name can be made at once.
        stdout(&bench.call(&["delete", "--force", "x"]));
    }
    bench.detached(&["create", "x"]);
    Ok(())
}
