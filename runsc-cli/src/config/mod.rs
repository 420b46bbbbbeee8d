//! `config.json`: reading, checking, and turning into what the kernel is told to build.
//!
//! [`load`] reads a bundle and checks what the specification demands; [`container`] makes the description of the
//! container from it, [`process`] that of a process, [`mounts`] that of mounts, [`seccomp`] its filter; [`template`] is what `spec` writes.

pub(crate) mod capabilities;
pub(crate) mod container;
pub(crate) mod mounts;
pub(crate) mod overlay;
pub(crate) mod process;
pub(crate) mod seccomp;
pub(crate) mod template;

use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use oci_spec::runtime::{LinuxNamespace, LinuxNamespaceType, Spec};

use crate::log;

/// A bundle whose configuration has been read and checked.
#[derive(Debug)]
pub(crate) struct Bundle {
    /// Its directory, absolute.
    pub(crate) path: PathBuf,
    /// Its root file system, absolute.
    pub(crate) rootfs: PathBuf,
    /// Its `config.json`.
    pub(crate) spec: Spec,
}

/// Reads and checks the bundle in that directory, the current one when absent.
pub(crate) fn load(bundle: Option<&Path>) -> Result<Bundle> {
    let given = bundle.unwrap_or_else(|| Path::new("."));
    let path = given.canonicalize().map_err(|e| anyhow!("chdir {}: {}", given.display(), plain(&e)))?;
    let spec = read(&path.join("config.json"))?;
    check(&spec)?;
    let root = spec.root().as_ref().context("root must be specified")?;
    let rootfs = path.join(root.path());
    match std::fs::metadata(&rootfs) {
        Ok(metadata) if metadata.is_dir() => {}
        Ok(_) => bail!("invalid rootfs: {}: not a directory", rootfs.display()),
        Err(e) => bail!("invalid rootfs: stat {}: {}", rootfs.display(), plain(&e)),
    }
    let rootfs = rootfs.canonicalize().with_context(|| format!("invalid rootfs: {}", rootfs.display()))?;
    Ok(Bundle { path, rootfs, spec })
}

/// The container's namespaces of one kind: none, a new one, or one to join.
pub(crate) fn namespace(spec: &Spec, kind: LinuxNamespaceType) -> Option<&LinuxNamespace> {
    namespaces(spec).iter().find(|namespace| namespace.typ() == kind)
}

/// An error of the system without the number that std appends: `no such file or directory`.
pub(crate) fn plain(error: &std::io::Error) -> String {
    let Some(number) = error.raw_os_error() else { return error.to_string() };
    let text = nix::errno::Errno::from_raw(number).desc();
    let mut letters = text.chars();
    // "I/O error" keeps its capital.
    match (letters.next(), letters.next()) {
        (Some(first), Some(second)) if second.is_lowercase() => {
            first.to_lowercase().chain(text.chars().skip(1)).collect()
        }
        _ => text.to_owned(),
    }
}

fn read(path: &Path) -> Result<Spec> {
    let text = std::fs::read(path).map_err(|e| match e.kind() {
        ErrorKind::NotFound => anyhow!("JSON specification file config.json not found"),
        _ => anyhow!("open {}: {}", path.display(), plain(&e)),
    })?;
    parse(&text).map_err(|e| anyhow!("invalid config.json: {e}"))
}

/// Unknown capabilities are no error but are named in a warning, as runc does it; a newer engine may know more than we.
fn parse(text: &[u8]) -> serde_json::Result<Spec> {
    serde_json::from_slice(text).or_else(|error| {
        let Ok(mut value) = serde_json::from_slice::<serde_json::Value>(text) else { return Err(error) };
        let unknown = capabilities::remove_unknown(value.pointer_mut("/process/capabilities"));
        if unknown.is_empty() {
            return Err(error);
        }
        log::warning(&format!("ignoring unknown or unavailable capabilities: [{}]", unknown.join(" ")));
        serde_json::from_value(value)
    })
}

fn check(spec: &Spec) -> Result<()> {
    let process = spec.process().as_ref().context("process property must not be empty")?;
    process::check(process)?;
    let mut seen = HashSet::new();
    for namespace in namespaces(spec) {
        if !seen.insert(namespace.typ()) {
            bail!("malformed spec file: duplicated ns {:?}", namespace.typ().to_string());
        }
    }
    for (hostname, kind) in [(spec.hostname(), "hostname"), (spec.domainname(), "domainname")] {
        if hostname.as_ref().is_some_and(|name| !name.is_empty()) && namespace(spec, LinuxNamespaceType::Uts).is_none()
        {
            bail!("unable to set {kind} without a private UTS namespace");
        }
        if hostname.as_ref().is_some_and(|name| name.len() > 64) {
            bail!("{kind} is longer than 64 bytes");
        }
    }
    Ok(())
}

fn namespaces(spec: &Spec) -> &[LinuxNamespace] {
    spec.linux().as_ref().and_then(|linux| linux.namespaces().as_deref()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn checked(change: impl FnOnce(&mut Value)) -> Result<(), String> {
        let mut value = serde_json::from_str(template::DEFAULT).unwrap();
        change(&mut value);
        let text = serde_json::to_vec(&value).unwrap();
        parse(&text).map_err(anyhow::Error::from).and_then(|spec| check(&spec)).map_err(|e| e.to_string())
    }

    #[test]
    fn default_is_valid() {
        assert_eq!(checked(|_| ()), Ok(()));
    }

    #[test]
    fn unknown_capability_is_ignored() {
        assert_eq!(
            checked(|v| v["process"]["capabilities"]["bounding"] = json!(["CAP_KILL", "CAP_OF_TOMORROW"])),
            Ok(())
        );
    }

    #[test]
    fn errors_name_what_is_wrong() {
        let cases: [(&str, fn(&mut Value)); 6] = [
            ("process property must not be empty", |v| drop(v.as_object_mut().unwrap().remove("process"))),
            ("args must not be empty", |v| v["process"]["args"] = json!([])),
            ("Cwd must be an absolute path", |v| v["process"]["cwd"] = json!("home")),
            ("duplicated ns", |v| v["linux"]["namespaces"] = json!([{"type": "pid"}, {"type": "pid"}])),
            ("private UTS namespace", |v| v["linux"]["namespaces"] = json!([])),
            ("RLIMIT_FOO", |v| v["process"]["rlimits"] = json!([{"type": "RLIMIT_FOO", "hard": 1, "soft": 1}])),
        ];
        for (text, change) in cases {
            let error = checked(change).unwrap_err();
            assert!(error.contains(text), "{error}");
        }
    }

    #[test]
    fn system_errors_read_like_runcs() {
        assert_eq!(plain(&std::io::Error::from_raw_os_error(2)), "no such file or directory");
        assert_eq!(plain(&std::io::Error::from_raw_os_error(5)), "I/O error");
    }

    /// Bytes of the default configuration, changed at random: an error, or a plan. `FUZZ_SECONDS` makes it longer.
    #[test]
    fn changed_configurations_are_errors_and_never_panics() {
        const WORDS: [&str; 14] = [
            "null",
            "-1",
            "1e999",
            "18446744073709551616",
            "\"\"",
            "\"\\u0000\"",
            "\"../../../..\"",
            "[[[[[[[[",
            "{}",
            "true",
            "\"bind\"",
            "\"/proc/self/fd/7\"",
            "\"rbind\"",
            "\"CAP_SYS_ADMIN\"",
        ];
        let seconds = std::env::var("FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
        let deadline = seconds.map(|n| std::time::Instant::now() + std::time::Duration::from_secs(n));
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut any = move |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state >> 8).unwrap_or(0) % below.max(1)
        };
        let mut runs = 0_u64;
        while deadline.map_or(runs < 3000, |deadline| std::time::Instant::now() < deadline) {
            runs += 1;
            let mut text = template::DEFAULT.as_bytes().to_vec();
            for _ in 0..=any(6) {
                let at = any(text.len());
                let end = (at + any(40)).min(text.len());
                match any(5) {
                    0 => text[at] ^= 1 << any(8),
                    1 => drop(text.drain(at..end)),
                    2 => {
                        let copy = text[at..end].to_vec();
                        drop(text.splice(at..at, copy));
                    }
                    // What stands for a value is another value.
                    3 => {
                        let from = text[at..].iter().position(|byte| *byte == b':').map_or(at, |n| at + n + 1);
                        let to = text[from..].iter().position(|byte| b",}]".contains(byte)).map_or(from, |n| from + n);
                        drop(text.splice(from..to, WORDS[any(WORDS.len())].bytes()));
                    }
                    _ => drop(text.splice(at..at, WORDS[any(WORDS.len())].bytes())),
                }
                if text.is_empty() {
                    break;
                }
            }
            let Ok(spec) = parse(&text) else { continue };
            if check(&spec).is_ok() {
                let bundle = Bundle { path: "/tmp".into(), rootfs: "/tmp".into(), spec };
                let _ = container::plan("id", &bundle, &overlay::OverlayMode::None, Vec::new(), false);
            }
        }
        if deadline.is_some() {
            println!("{runs} configurations");
        }
    }
}
