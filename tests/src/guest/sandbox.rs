//! Runs guest programs with `runsc-rs`: one read-only root for all, a bundle for each.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::build::Program;
use super::{Run, run_to_end};

/// The `runsc-rs` to test: `$RUNSC_RS`, or the newest of this workspace. `Err` says what is missing.
pub fn find_runtime() -> Result<PathBuf, String> {
    let runtime = match std::env::var_os("RUNSC_RS") {
        Some(path) => PathBuf::from(path),
        None => ["release", "debug"]
            .map(|profile| crate::workspace().join("target").join(profile).join("runsc-rs"))
            .into_iter()
            .filter_map(|path| Some((fs::metadata(&path).ok()?.modified().ok()?, path)))
            .max()
            .map(|(_, path)| path)
            .ok_or("target/release/runsc-rs is not built")?,
    };
    let version = run_to_end(Command::new(&runtime).arg("--version"), Duration::from_secs(10));
    match version {
        Ok(run) if run.code == Some(0) && !run.stdout.is_empty() => Ok(runtime),
        Ok(_) => Err(format!("{} does not tell its version", runtime.display())),
        Err(e) => Err(format!("{}: {e}", runtime.display())),
    }
}

/// Makes the root that all programs share: themselves in /bin, and the directories that are mounted over.
pub fn make_root(root: &Path, programs: &[Program]) -> io::Result<()> {
    for dir in ["bin", "dev", "proc", "sys", "tmp", "etc", "root"] {
        fs::create_dir_all(root.join(dir))?;
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n")?;
    fs::write(root.join("etc/group"), "root:x:0:\nnogroup:x:65534:\n")?;
    if !root.join("etc/mtab").is_symlink() {
        symlink("/proc/mounts", root.join("etc/mtab"))?;
    }
    for program in programs {
        let to = root.join("bin").join(&program.name);
        let temporary = to.with_extension("new");
        fs::copy(&program.path, &temporary)?;
        fs::rename(temporary, to)?;
    }
    Ok(())
}

/// Runs a program in a container of its own; `work` holds its bundle and the runtime's state.
pub fn run(
    runtime: &Path,
    platform: &str,
    root: &Path,
    program: &str,
    work: &Path,
    limit: Duration,
) -> io::Result<Run> {
    let bundle = work.join(format!("{platform}-{program}"));
    fs::create_dir_all(&bundle)?;
    fs::write(bundle.join("config.json"), config(root, program).to_string())?;
    let state = work.join("state");
    let id = format!("guest-{platform}-{program}-{}", std::process::id());
    let outcome = run_to_end(runsc(runtime, platform, &state).args(["run", "--bundle"]).arg(&bundle).arg(&id), limit);
    if outcome.as_ref().map_or(true, |run| run.timed_out) {
        // whatever is left of it, so that the next one starts clean
        let _ = run_to_end(runsc(runtime, platform, &state).args(["delete", "--force", &id]), Duration::from_secs(20));
    }
    outcome
}

fn runsc(runtime: &Path, platform: &str, state: &Path) -> Command {
    let mut command = Command::new(runtime);
    command.arg("--root").arg(state).args(["--platform", platform, "--network", "none"]);
    command
}

fn config(root: &Path, program: &str) -> Value {
    let capabilities: Vec<&str> = vec![
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_DAC_READ_SEARCH",
        "CAP_FOWNER",
        "CAP_FSETID",
        "CAP_KILL",
        "CAP_SETGID",
        "CAP_SETUID",
        "CAP_SETPCAP",
        "CAP_LINUX_IMMUTABLE",
        "CAP_NET_BIND_SERVICE",
        "CAP_NET_ADMIN",
        "CAP_NET_RAW",
        "CAP_IPC_LOCK",
        "CAP_IPC_OWNER",
        "CAP_SYS_CHROOT",
        "CAP_SYS_PTRACE",
        "CAP_SYS_ADMIN",
        "CAP_SYS_NICE",
        "CAP_SYS_RESOURCE",
        "CAP_SYS_TTY_CONFIG",
        "CAP_MKNOD",
        "CAP_LEASE",
        "CAP_AUDIT_WRITE",
        "CAP_SETFCAP",
    ];
    let mount = |to: &str, kind: &str, options: &[&str]| json!({"destination": to, "type": kind, "source": kind, "options": options});
    let namespaces: Vec<Value> =
        ["pid", "ipc", "uts", "mount", "network"].iter().map(|kind| json!({"type": kind})).collect();
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": {"uid": 0, "gid": 0},
            "args": [format!("/bin/{program}")],
            "env": ["PATH=/bin", "HOME=/root"],
            "cwd": "/tmp",
            "capabilities": {
                "bounding": capabilities, "effective": capabilities, "permitted": capabilities
            },
            "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1024, "hard": 4096}]
        },
        "root": {"path": root, "readonly": true},
        "hostname": "guest",
        "mounts": [
            mount("/proc", "proc", &["nosuid", "noexec", "nodev"]),
            mount("/dev", "tmpfs", &["nosuid", "mode=755"]),
            mount("/dev/pts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]),
            mount("/dev/shm", "tmpfs", &["nosuid", "noexec", "nodev", "mode=1777"]),
            mount("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
            mount("/tmp", "tmpfs", &["mode=1777"])
        ],
        "linux": {
            "namespaces": namespaces
        }
    })
}
