//! Runs entries, each in a container of its own with a scratch directory bound from the host.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::Verdict;
use super::suite::Entry;
use crate::guest::run_to_end;

/// Where and how entries are run.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The runtime.
    pub runtime: PathBuf,
    /// Its platform.
    pub platform: String,
    /// A root file system with a shell.
    pub rootfs: PathBuf,
    /// The programs.
    pub programs: PathBuf,
    /// For bundles, scratch directories and the runtime's state.
    pub work: PathBuf,
    /// For what entries print.
    pub log: PathBuf,
    /// How long an entry may take.
    pub limit: Duration,
}

/// What the containers may do.
const CAPABILITIES: &str = "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE \
     NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_CHROOT SYS_PTRACE SYS_ADMIN SYS_NICE \
     SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP SYSLOG AUDIT_READ";

impl Setting {
    /// Runs one entry to its end.
    pub fn run(&self, entry: &Entry) -> io::Result<Verdict> {
        let bundle = self.work.join("bundles").join(&entry.name);
        let scratch = bundle.join("tmp");
        if bundle.exists() {
            fs::remove_dir_all(&bundle)?;
        }
        fs::create_dir_all(&scratch)?;
        fs::set_permissions(&scratch, fs::Permissions::from_mode(0o1777))?;
        fs::write(bundle.join("config.json"), self.config(entry, &scratch).to_string())?;
        let id =
            format!("ltp-{}-{}", std::process::id(), entry.name.replace(|c: char| !c.is_ascii_alphanumeric(), "-"));
        let outcome = run_to_end(self.command().args(["run", "--bundle"]).arg(&bundle).arg(&id), self.limit);
        let _ = run_to_end(self.command().args(["delete", "--force", &id]), Duration::from_secs(20));
        let _ = fs::remove_dir_all(&bundle);
        let run = outcome?;
        let output = format!("{}{}", run.stdout, run.stderr);
        fs::create_dir_all(&self.log)?;
        fs::write(self.log.join(format!("{}.log", entry.name)), &output)?;
        // Without a status of its own it was killed: at its limit, or by what it did.
        let status = if run.timed_out { None } else { Some(run.code.unwrap_or(-1)) };
        Ok(Verdict::of(status, &output))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.runtime);
        command.arg("--root").arg(self.work.join("state"));
        command.args(["--platform", &self.platform, "--network", "none"]);
        command
    }

    fn config(&self, entry: &Entry, scratch: &std::path::Path) -> Value {
        let capabilities: Vec<String> = CAPABILITIES.split_whitespace().map(|name| format!("CAP_{name}")).collect();
        let mount = |to: &str, kind: &str, source: &str, options: &[&str]| json!({"destination": to, "type": kind, "source": source, "options": options});
        let bind =
            |to: &str, from: &std::path::Path, mode: &str| mount(to, "bind", &from.to_string_lossy(), &["rbind", mode]);
        let env = [
            "PATH=/ltp:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME=/root",
            "TMPDIR=/tmp",
            "LTPROOT=/ltp",
            "LTP_COLORIZE_OUTPUT=0",
            "KCONFIG_SKIP_CHECK=1",
        ];
        let namespaces = ["pid", "network", "ipc", "uts", "mount"].map(|kind| json!({"type": kind}));
        json!({
            "ociVersion": "1.0.2",
            "hostname": "ltp",
            "root": {"path": self.rootfs, "readonly": false},
            "process": {
                "terminal": false,
                "user": {"uid": 0, "gid": 0},
                "args": ["/bin/sh", "-c", format!("{}; exit $?", entry.command)],
                "env": env,
                "cwd": "/",
                "capabilities": {
                    "bounding": capabilities, "effective": capabilities,
                    "permitted": capabilities, "inheritable": capabilities
                },
                "noNewPrivileges": false
            },
            "mounts": [
                mount("/proc", "proc", "proc", &[]),
                mount("/dev", "tmpfs", "tmpfs", &["nosuid", "mode=755"]),
                mount("/dev/pts", "devpts", "devpts", &["newinstance", "ptmxmode=0666"]),
                mount("/dev/shm", "tmpfs", "shm", &["mode=1777"]),
                mount("/sys", "sysfs", "sysfs", &[]),
                bind("/ltp", &self.programs, "ro"),
                bind("/tmp", scratch, "rw")
            ],
            "linux": {"namespaces": namespaces}
        })
    }
}
