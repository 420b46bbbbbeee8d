//! The families of container escapes that began with a hostile bundle or image, by the name of their first: what they did to
//! other runtimes is tried here.

use std::fs::{self, File};
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use super::support::{Bench, Outcome, stderr, stdout, wait_until};

const O_PATH: i32 = 0o10_000_000;

fn content(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)).expect("readable");
    bytes
}

/// The runtime's own program, overwritten by way of `/proc/self/exe`: by the program that is told to execute it, by an `exec`
/// into a container that waits for one, and by somebody who kept a descriptor until nobody executes it any more.
#[test]
fn cve_2019_5736_the_runtimes_own_program() -> Outcome {
    let Some(mut bench) = Bench::new("cve-2019-5736") else { return Ok(()) };
    let runtime = tests::guest::sandbox::find_runtime()?;
    let before = content(&runtime);
    // Executing the runtime by that name finds the container's own program, which is nobody before there is one.
    bench.set("/process/args", json!(["/proc/self/exe", "--version"]));
    let output = bench.call(&["run", "x"]);
    assert!(!String::from_utf8_lossy(&output.stdout).contains("runsc-rs"), "{output:?}");
    // A program that waits for others to enter, and tries the executables of all.
    fs::write(bench.bundle.join("rootfs/bin/enter"), "#!/proc/self/exe\n")?;
    let _ = Command::new("chmod").arg("755").arg(bench.bundle.join("rootfs/bin/enter")).status();
    let attack = "i=0; while [ $i -lt 20000 ]; do for p in /proc/[0-9]*; do (echo overwritten > $p/exe) 2>/dev/null; done; \
                  i=$((i+100)); done; sleep 1000";
    bench.set("/process/args", json!(["sh", "-c", attack]));
    bench.detached(&["run", "--detach", "x"]);
    for _ in 0..5 {
        let output = bench.call(&["exec", "x", "/bin/enter"]);
        assert!(!output.status.success());
        let name = stdout(&bench.call(&["exec", "x", "sh", "-c", "ls -l /proc/self/exe"]));
        assert!(name.contains("/bin/busybox"), "{name}");
    }
    // From the host's side: neither the sandbox's nor the gofer's program can be opened for writing when they have ended.
    let processes = bench.processes("x");
    let held: Vec<File> = [processes.sandbox, processes.gofer]
        .into_iter()
        .map(|pid| File::options().read(true).custom_flags(O_PATH).open(format!("/proc/{pid}/exe")))
        .collect::<Result<_, _>>()?;
    stdout(&bench.call(&["delete", "--force", "x"]));
    wait_until("the processes to end", || processes.are_gone());
    for file in held {
        let opened = File::options().write(true).open(format!("/proc/self/fd/{}", file.as_raw_fd()));
        assert!(opened.is_err(), "the runtime's program could be opened for writing");
    }
    assert!(content(&runtime) == before, "the runtime's program was changed");
    Ok(())
}

/// Mount destinations that somebody exchanges for symbolic links out of the root while the runtime mounts there.
#[test]
fn cve_2021_30465_mount_destinations_exchanged() -> Outcome {
    let Some(mut bench) = Bench::running("cve-2021-30465", &["sh", "-c", "echo in > /vol/dir/proof; ls /vol/dir"])
    else {
        return Ok(());
    };
    let (volume, outside, source) = (bench.dir.join("volume"), bench.dir.join("outside"), bench.dir.join("source"));
    for dir in [&volume, &outside, &source] {
        fs::create_dir_all(dir)?;
    }
    fs::create_dir(volume.join("real"))?;
    symlink(&outside, volume.join("link"))?;
    let bind =
        |from: &Path, to: &str| json!({"destination": to, "type": "bind", "source": from, "options": ["rbind", "rw"]});
    bench.add_mount(bind(&volume, "/vol"));
    bench.add_mount(bind(&source, "/vol/dir"));
    let mounts = || fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let stop = Arc::new(AtomicBool::new(false));
    let exchange = {
        let (stop, volume) = (Arc::clone(&stop), volume.clone());
        std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                for target in ["real", "link"] {
                    let _ = fs::remove_file(volume.join("new"));
                    let _ = symlink(target, volume.join("new"));
                    let _ = fs::rename(volume.join("new"), volume.join("dir"));
                }
            }
        })
    };
    for n in 0..30 {
        // It may fail, but it may not reach out.
        let _ = bench.call(&["run", &format!("x{n}")]);
    }
    stop.store(true, Ordering::Relaxed);
    exchange.join().expect("no panic");
    assert_eq!(fs::read_dir(&outside)?.count(), 0, "something was written outside");
    let dir = bench.dir.to_string_lossy().into_owned();
    assert!(!mounts().contains(&dir), "the host has mounts of it");
    Ok(())
}

/// A root or a source of a bind mount that is exchanged after it was checked: error or the old one, never another.
#[test]
fn cve_2021_30465_sources_exchanged() -> Outcome {
    let Some(mut bench) = Bench::running("sources", &["sh", "-c", "ls /m"]) else { return Ok(()) };
    let (good, bad, name) = (bench.dir.join("good"), bench.dir.join("bad"), bench.dir.join("name"));
    for (dir, file) in [(&good, "good"), (&bad, "secret")] {
        fs::create_dir_all(dir)?;
        fs::write(dir.join(file), "")?;
    }
    symlink(&good, &name)?;
    bench.add_mount(json!({"destination": "/m", "type": "bind", "source": name, "options": ["rbind", "ro"]}));
    assert_eq!(stdout(&bench.call(&["run", "x"])), "good\n");
    // With a hook we have all the time in the world between check and use.
    let exchange = format!("rm -f {0}; ln -s {1} {0}", name.display(), bad.display());
    bench.insert("hooks", json!({"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", exchange]}]}));
    let output = bench.call(&["run", "x"]);
    assert!(!String::from_utf8_lossy(&output.stdout).contains("secret"), "{output:?}");
    Ok(())
}

/// Descriptors of the runtime that leak into the container: as working directory, and by their numbers.
#[test]
fn cve_2024_21626_working_directory_in_a_descriptor() -> Outcome {
    let Some(mut bench) = Bench::new("cve-2024-21626") else { return Ok(()) };
    fs::write(bench.dir.join("host-marker"), "")?;
    let look = "cd -P . ; for up in . .. ../.. ../../.. ../../../..; do ls -a $up; done; pwd -P; ls /proc/self/cwd/";
    bench.set("/process/args", json!(["sh", "-c", look]));
    for number in 0..20 {
        for cwd in [
            format!("/proc/self/fd/{number}"),
            format!("/proc/self/fd/{number}/.."),
            format!("/proc/1/fd/{number}/../../.."),
        ] {
            bench.set("/process/cwd", json!(cwd));
            let output = bench.call(&["run", "x"]);
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(!text.contains("host-marker") && !text.contains("state.json"), "{cwd}: {text}");
            assert!(!text.contains("(unreachable)"), "{cwd}: {text}");
        }
    }
    bench.set("/process/cwd", json!("/"));
    bench.set("/process/args", json!(["sleep", "1000"]));
    bench.detached(&["run", "--detach", "x"]);
    for number in 3..20 {
        let output = bench.call(&["exec", "--cwd", &format!("/proc/self/fd/{number}"), "x", "sh", "-c", look]);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(!text.contains("host-marker"), "{number}: {text}");
    }
    // The processes have what they were given and nothing else.
    let listed = stdout(&bench.call(&["exec", "x", "sh", "-c", "ls /proc/1/fd"]));
    assert_eq!(listed.split_whitespace().collect::<Vec<_>>(), ["0", "1", "2"]);
    Ok(())
}

/// Nothing of a bundle's names is followed on the host: a masked path, a device and a mount over links out of the root.
#[test]
fn links_in_the_root_stay_in_the_root() -> Outcome {
    let Some(mut bench) = Bench::running("links", &["sh", "-c", "ls -l /dev/null /out 2>&1; cat /out/file"]) else {
        return Ok(());
    };
    let outside = bench.dir.join("outside");
    fs::create_dir_all(&outside)?;
    fs::write(outside.join("file"), "of the host")?;
    let rootfs = bench.bundle.join("rootfs");
    symlink(&outside, rootfs.join("out"))?;
    symlink(outside.join("file"), rootfs.join("etc/hostname"))?;
    bench.set("/linux/maskedPaths", json!(["/out/file", "/etc/hostname"]));
    bench.set("/linux/readonlyPaths", json!(["/out"]));
    bench.add_mount(json!({"destination": "/out/mount", "type": "tmpfs", "source": "tmpfs"}));
    let output = bench.call(&["run", "x"]);
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), stderr(&output));
    assert!(!text.contains("of the host"), "{text}");
    let left: Vec<_> = fs::read_dir(&outside)?.flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left, ["file"]);
    Ok(())
}
