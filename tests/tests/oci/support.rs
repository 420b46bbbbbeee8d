//! A bundle with busybox, the runtime, and what tells whether something is left of a container.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::guest::sandbox::find_runtime;

/// The error of a test.
pub(crate) type Outcome = Result<(), Box<dyn std::error::Error>>;

/// How long anything may take; machines that build beside it are slow.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

const COMMANDS: [&str; 17] = [
    "sh", "true", "false", "cat", "echo", "sleep", "id", "env", "pwd", "tty", "stty", "kill", "ls", "mkdir", "dd",
    "grep", "chown",
];

/// A bundle and a state directory of its own for a test.
pub(crate) struct Bench {
    /// Everything lies in here, and goes with it.
    pub(crate) dir: PathBuf,
    /// The bundle.
    pub(crate) bundle: PathBuf,
    runtime: PathBuf,
    /// `config.json`.
    pub(crate) config: Value,
}

impl Bench {
    /// `None` where these tests cannot run, which is said.
    pub(crate) fn new(name: &str) -> Option<Self> {
        let skip = |why: &str| {
            println!("skip oci {name}: {why}");
            None
        };
        let runtime = match find_runtime() {
            Ok(runtime) => runtime,
            Err(why) => return skip(&why),
        };
        if !fs::read_to_string("/proc/self/status").is_ok_and(|status| status.contains("\nUid:\t0\t0\t")) {
            return skip("not root");
        }
        let busybox = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| Path::new(path).exists());
        let Some(busybox) = busybox else { return skip("busybox-static is not installed") };
        let dir = std::env::temp_dir().join(format!("runsc-rs-oci-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        let bundle = dir.join("bundle");
        for sub in ["bin", "dev", "proc", "sys", "tmp", "etc"] {
            fs::create_dir_all(bundle.join("rootfs").join(sub)).ok()?;
        }
        fs::copy(busybox, bundle.join("rootfs/bin/busybox")).ok()?;
        for command in COMMANDS {
            symlink("busybox", bundle.join("rootfs/bin").join(command)).ok()?;
        }
        let made = Command::new(&runtime).arg("spec").current_dir(&bundle).status().ok()?;
        assert!(made.success(), "spec");
        let mut config: Value = serde_json::from_slice(&fs::read(bundle.join("config.json")).ok()?).ok()?;
        config["process"]["terminal"] = json!(false);
        config["process"]["env"] = json!(["PATH=/bin"]);
        config["root"]["readonly"] = json!(false);
        let bench = Self { dir, bundle, runtime, config };
        bench.save();
        Some(bench)
    }

    /// A bundle that runs this command.
    pub(crate) fn running(name: &str, args: &[&str]) -> Option<Self> {
        let mut bench = Self::new(name)?;
        bench.set("/process/args", json!(args));
        Some(bench)
    }

    /// Changes the configuration.
    pub(crate) fn set(&mut self, pointer: &str, value: Value) {
        *self.config.pointer_mut(pointer).expect("a test names what there is") = value;
        self.save();
    }

    /// Adds to the configuration, or replaces what is there.
    pub(crate) fn insert(&mut self, name: &str, value: Value) {
        self.config[name] = value;
        self.save();
    }

    /// Adds a mount.
    pub(crate) fn add_mount(&mut self, mount: Value) {
        self.config["mounts"].as_array_mut().expect("the template has mounts").push(mount);
        self.save();
    }

    fn save(&self) {
        fs::write(self.bundle.join("config.json"), self.config.to_string()).expect("room");
    }

    /// The runtime with these arguments, in the bundle.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.runtime);
        command.arg("--root").arg(self.dir.join("state")).arg("--network=none");
        command.args(args).current_dir(&self.bundle).stdin(Stdio::null());
        command
    }

    /// Runs it to its end.
    pub(crate) fn call(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("the runtime can be executed")
    }

    /// Runs it with nothing attached, because a container keeps what it is given; it must succeed.
    pub(crate) fn detached(&self, args: &[&str]) {
        let error = fs::File::create(self.dir.join("stderr")).expect("room");
        let status =
            self.command(args).stdout(Stdio::null()).stderr(error).status().expect("the runtime can be executed");
        assert!(status.success(), "{args:?}: {}", fs::read_to_string(self.dir.join("stderr")).unwrap_or_default());
    }

    /// `status` of `state`.
    pub(crate) fn status(&self, id: &str) -> Option<String> {
        let output = self.call(&["state", id]);
        let state: Value = serde_json::from_slice(&output.stdout).ok()?;
        Some(state["status"].as_str()?.to_owned())
    }

    /// Waits until that is its status.
    pub(crate) fn wait_for(&self, id: &str, status: &str) {
        wait_until(&format!("{id} {status}"), || self.status(id).as_deref() == Some(status));
    }

    /// The record that the runtime keeps.
    pub(crate) fn record(&self, id: &str) -> Value {
        let text = fs::read(self.dir.join("state").join(id).join("state.json")).expect("the container exists");
        serde_json::from_slice(&text).expect("JSON")
    }

    /// Its processes on the host.
    pub(crate) fn processes(&self, id: &str) -> Processes {
        let record = self.record(id);
        let pid = |name: &str| record[name]["pid"].as_u64().expect("a pid");
        let sandbox = pid("sandbox");
        let namespace = fs::read_link(format!("/proc/{sandbox}/ns/pid")).expect("the sandbox lives");
        Processes { sandbox, gofer: pid("gofer"), namespace }
    }

    /// Whether no container is left.
    pub(crate) fn is_empty(&self) -> bool {
        fs::read_dir(self.dir.join("state")).map_or(true, |mut entries| entries.next().is_none())
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        for entry in fs::read_dir(self.dir.join("state")).into_iter().flatten().flatten() {
            let _ = self.call(&["delete", "--force", &entry.file_name().to_string_lossy()]);
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// The processes of a container.
#[derive(Debug)]
pub(crate) struct Processes {
    /// The sandbox.
    pub(crate) sandbox: u64,
    /// The gofer.
    pub(crate) gofer: u64,
    namespace: PathBuf,
}

impl Processes {
    /// Whether none of them is left, stubs included. Zombies that nobody has waited for do not count.
    pub(crate) fn are_gone(&self) -> bool {
        let alive = |pid: &str| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
        };
        let ours = |pid: &str| {
            pid == self.sandbox.to_string()
                || pid == self.gofer.to_string()
                || fs::read_link(format!("/proc/{pid}/ns/pid")).is_ok_and(|namespace| namespace == self.namespace)
        };
        let pids = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.file_name());
        !pids.filter_map(|name| name.into_string().ok()).any(|pid| ours(&pid) && alive(&pid))
    }
}

/// Waits for something that happens soon.
#[expect(clippy::disallowed_methods, reason = "nothing tells of it; the limit is no measure")]
pub(crate) fn wait_until(what: &str, mut happened: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !happened() {
        assert!(Instant::now() < deadline, "not within {LIMIT:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Standard output of a call that must succeed.
pub(crate) fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{:?}: {}", output.status, stderr(output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Standard error of a call, with quotes as they were before the log escaped them.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).replace("\\\"", "\"")
}

/// Kills a process of ours on the host.
pub(crate) fn kill(pid: u64) {
    signal(pid, "KILL");
}

/// Sends a signal to a process of ours on the host, unless it has ended. A small Debian has no kill but the shell's.
pub(crate) fn signal(pid: u64, name: &str) {
    let line = format!("kill -{name} {pid} 2>/dev/null || ! test -e /proc/{pid}");
    let status = Command::new("sh").args(["-c", &line]).status().expect("sh is there");
    assert!(status.success(), "kill {pid}");
}
