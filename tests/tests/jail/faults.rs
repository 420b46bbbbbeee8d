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

/// A file system over a loop device, unmounted and gone when dropped.
struct Disk {
    image: std::path::PathBuf,
    at: std::path::PathBuf,
}

impl Disk {
    /// `None` where there are no loop devices, or nobody makes file systems.
    fn new(bench: &Bench) -> Option<Self> {
        let disk = Self { image: bench.dir.join("image"), at: bench.dir.join("disk") };
        fs::create_dir(&disk.at).ok()?;
        fs::File::create(&disk.image).and_then(|file| file.set_len(32 << 20)).ok()?;
        let made = Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&disk.image).stderr(Stdio::null()).status();
        (made.is_ok_and(|status| status.success()) && disk.mount()).then_some(disk)
    }

    fn mount(&self) -> bool {
        let mounted = Command::new("mount").args(["-o", "loop"]).arg(&self.image).arg(&self.at).status();
        mounted.is_ok_and(|status| status.success())
    }

    /// Takes away all that is beyond so many bytes.
    fn shrink(&self, len: u64) -> bool {
        let line = "set -e; device=$(losetup -n -O NAME -j \"$1\"); truncate -s \"$2\" \"$1\"; losetup -c \"$device\"";
        let status = Command::new("sh").args(["-c", line, "sh"]).arg(&self.image).arg(len.to_string()).status();
        status.is_ok_and(|status| status.success())
    }

    fn unmount(&self) -> bool {
        Command::new("umount").arg(&self.at).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.unmount();
    }
}

/// A disk of the host that cannot be read: the program gets EIO, or SIGBUS where it has the file mapped, and lives on.
#[test]
fn disk_with_errors() -> Outcome {
    let Some(neighbour) = neighbour("errors") else { return Ok(()) };
    let Some(mut bench) = Bench::new("errors") else { return Ok(()) };
    let Some(disk) = Disk::new(&bench) else {
        println!("skip: no loop device or no mkfs.ext4");
        return Ok(());
    };
    fs::write(disk.at.join("big"), vec![1_u8; 16 << 20])?;
    fs::copy(bench.bundle.join("rootfs/bin/busybox"), disk.at.join("program"))?;
    // Nothing of it is in memory any more, and its second half is nowhere.
    assert!(disk.unmount() && disk.mount());
    if !disk.shrink(6 << 20) {
        println!("skip: the loop device cannot be made smaller");
        return Ok(());
    }
    bench.add_mount(json!({"destination": "/m", "type": "bind", "source": disk.at, "options": ["rbind", "rw"]}));
    let line = "cat /m/big >/dev/null; echo read $?; dd if=/m/big of=/dev/null bs=4096 skip=4000 count=1; echo far $?; \
                /m/program true; echo lives; ls /bin >/dev/null && echo serves";
    bench.set("/process/args", json!(["sh", "-c", line]));
    let output = bench.call(&["run", "x"]);
    let (text, errors) = (stdout(&output), stderr(&output));
    drop(disk);
    assert!(text.starts_with("read 1\nfar 1\n") && text.ends_with("lives\nserves\n"), "{text}{errors}");
    assert!(errors.contains("I/O error") || errors.contains("Input/output error"), "{errors}");
    assert!(bench.is_empty());
    neighbour.check();
    Ok(())
}

/// What a sandbox uses is its container's: each of its processes, stubs included, is in the container's cgroups, and the work of
/// the kernel inside counts there as CPU time and memory.
#[test]
fn the_sandbox_is_charged_to_its_container() -> Outcome {
    let line = "dd if=/dev/zero of=/tmp/f bs=1M count=24 2>/dev/null; dd if=/dev/zero of=/dev/null bs=512 count=200000; echo done; cat";
    let Some(mut bench) = Bench::running("charged", &["sh", "-c", line]) else { return Ok(()) };
    let name = format!("runsc-rs-charged-{}", std::process::id());
    bench.config["linux"]["cgroupsPath"] = json!(format!("/{name}"));
    bench.set("/linux/resources", json!({"memory": {"limit": 256 << 20}}));
    let mut child = bench.command(&["run", "x"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut said = String::new();
    let output = child.stdout.take().ok_or("piped")?;
    std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut said)?;
    let processes = bench.processes("x");
    let tasks = fs::read_dir(format!("/proc/{}/task", processes.sandbox))?.flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok()).collect::<String>();
    let stubs: Vec<u64> = lists.split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
    let mut inside = 0;
    for pid in stubs.iter().chain([&processes.sandbox, &processes.gofer]) {
        // Stubs come and go.
        let Ok(groups) = fs::read_to_string(format!("/proc/{pid}/cgroup")) else { continue };
        let group = groups.lines().find(|line| line.contains(":memory:") || line.starts_with("0::/runsc-rs"));
        assert!(group.is_some_and(|group| group.ends_with(&name)), "{pid}: {groups}");
        inside += 1;
    }
    let events: serde_json::Value = serde_json::from_str(&stdout(&bench.call(&["events", "--stats", "x"])))?;
    drop(child.stdin.take());
    child.wait()?;
    assert_eq!(said, "done\n");
    assert!(inside >= 3, "a stub beside the sandbox and the gofer");
    assert!(events["data"]["cpu"]["usage"]["total"].as_u64() > Some(10_000_000), "{events}");
    assert!(events["data"]["memory"]["usage"]["usage"].as_u64() > Some(24 << 20), "{events}");
    Ok(())
}
