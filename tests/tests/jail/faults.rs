//! What goes wrong on the host ends the container it happens to, with an error that says why; others are untouched and nothing
//! is left.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use super::support::{Bench, Outcome, kill, stderr, stdout, wait_until};

/// A container beside the one that suffers.
struct Neighbour(Bench);

impl Neighbour {
    fn new(name: &str) -> Option<Self> {
        let bench = Bench::running(&format!("beside-{name}"), &["sleep", "10000"])?;
        bench.detached(&["run", "--detach", "n"]);
        Some(Self(bench))
    }

    /// It has noticed nothing.
    fn check(&self) {
        assert_eq!(self.0.status("n").as_deref(), Some("running"));
        assert_eq!(stdout(&self.0.call(&["exec", "n", "cat", "/etc/../bin/../etc/mark"])), "", "its files are served");
    }
}

fn neighbour(name: &str) -> Option<Neighbour> {
    let neighbour = Neighbour::new(name)?;
    fs::write(neighbour.0.bundle.join("rootfs/etc/mark"), "").ok()?;
    Some(neighbour)
}

/// Without its gofer a container can still do what needs no file of the host; what does fails with EIO. It can be ended and
/// removed as always.
#[test]
fn gofer_killed_while_the_program_runs() -> Outcome {
    let Some(neighbour) = neighbour("gofer") else { return Ok(()) };
    let Some(bench) = Bench::running("no-gofer", &["sh", "-c", "while :; do ls /bin /etc; sleep 0.05; done"]) else {
        return Ok(());
    };
    bench.detached(&["run", "--detach", "x"]);
    let processes = bench.processes("x");
    kill(processes.gofer);
    let output = bench.call(&["exec", "x", "cat", "/etc/none-that-is-cached"]);
    assert!(!output.status.success());
    let text = stderr(&output);
    assert!(!text.is_empty() && !text.contains("panic"), "{text}");
    stdout(&bench.call(&["delete", "--force", "x"]));
    wait_until("everything to end", || processes.are_gone());
    assert!(bench.is_empty());
    neighbour.check();
    Ok(())
}

/// A thread of the sandbox that is killed takes the whole sandbox along, as the host's kernel does it.
#[test]
fn thread_of_the_sandbox_killed() -> Outcome {
    let Some(neighbour) = neighbour("thread") else { return Ok(()) };
    let Some(bench) = Bench::running("thread", &["sleep", "1000"]) else { return Ok(()) };
    bench.detached(&["run", "--detach", "x"]);
    let processes = bench.processes("x");
    let tasks = fs::read_dir(format!("/proc/{}/task", processes.sandbox))?.flatten();
    let last = tasks.filter_map(|task| task.file_name().to_string_lossy().parse::<u64>().ok()).max();
    kill(last.ok_or("no thread")?);
    wait_until("everything to end", || processes.are_gone());
    assert_eq!(bench.status("x").as_deref(), Some("stopped"));
    stdout(&bench.call(&["delete", "x"]));
    assert!(bench.is_empty());
    neighbour.check();
    Ok(())
}

/// A file system of the host that is full: the program gets ENOSPC, and lives on.
#[test]
fn disk_full() -> Outcome {
    let Some(mut bench) = Bench::new("full") else { return Ok(()) };
    let small = bench.dir.join("small");
    fs::create_dir(&small)?;
    let mounted =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k,nr_inodes=20", "tmpfs"]).arg(&small).status();
    if !mounted.is_ok_and(|status| status.success()) {
        println!("skip: cannot mount");
        return Ok(());
    }
    bench.add_mount(json!({"destination": "/m", "type": "bind", "source": small, "options": ["rbind", "rw"]}));
    let line = "dd if=/dev/zero of=/m/big bs=4096 count=100; i=0; while [ $i -lt 40 ]; do echo > /m/$i; i=$((i+1)); done; echo lives";
    bench.set("/process/args", json!(["sh", "-c", line]));
    let output = bench.call(&["run", "x"]);
    let unmounted = Command::new("umount").arg(&small).status()?;
    let (text, errors) = (stdout(&output), stderr(&output));
    assert_eq!(text, "lives\n");
    assert!(errors.to_lowercase().contains("no space left"), "{errors}");
    assert!(unmounted.success(), "something still holds the mount");
    assert!(bench.is_empty());
    Ok(())
}

/// A file that becomes shorter beneath a program that has it mapped, or that cannot be read: the program's trouble, not the
/// kernel's.
#[test]
fn file_shortened_beneath_a_mapping() -> Outcome {
    let Some(mut bench) = Bench::new("shortened") else { return Ok(()) };
    let volume = bench.dir.join("volume");
    fs::create_dir(&volume)?;
    fs::copy(bench.bundle.join("rootfs/bin/busybox"), volume.join("program"))?;
    bench.add_mount(json!({"destination": "/m", "type": "bind", "source": volume, "options": ["rbind", "rw"]}));
    // The program runs from the file.
    let line = "(exec -a sleep /m/program sleep 1000) & echo $!; cat; kill -0 $! 2>/dev/null; ls /bin >/dev/null && echo lives";
    bench.set("/process/args", json!(["sh", "-c", line]));
    let mut child = bench.command(&["run", "x"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    bench.wait_for("x", "running");
    fs::File::options().write(true).open(volume.join("program")).and_then(|file| file.set_len(4096))?;
    drop(child.stdin.take());
    let output = child.wait_with_output()?;
    assert!(String::from_utf8_lossy(&output.stdout).ends_with("lives\n"), "{output:?}");
    let _ = bench.call(&["delete", "--force", "x"]);
    Ok(())
}

/// The host's memory cgroup kills the sandbox: the container has ended as if killed, the message says why, nothing is left.
#[test]
fn memory_of_the_host_limited() -> Outcome {
    let Some(neighbour) = neighbour("memory") else { return Ok(()) };
    let Some(mut bench) = Bench::running("memory", &["sh", "-c", "sleep 1000"]) else { return Ok(()) };
    bench.set("/linux/resources", json!({"memory": {"limit": 64 << 20}}));
    bench.detached(&["run", "--detach", "x"]);
    let processes = bench.processes("x");
    // As the host does it when the cgroup has no more.
    kill(processes.sandbox);
    wait_until("everything to end", || processes.are_gone());
    assert_eq!(bench.status("x").as_deref(), Some("stopped"));
    stdout(&bench.call(&["delete", "--force", "x"]));
    assert!(bench.is_empty());
    neighbour.check();
    assert!(!Path::new(&format!("/proc/{}", processes.gofer)).exists() || processes.are_gone());
    Ok(())
}
