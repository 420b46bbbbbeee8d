//! Mounts and their options, mount(8).

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use oci_spec::runtime::Mount;

use crate::log;

// mount(2).
const MS_RDONLY: u64 = 1;
const MS_NOSUID: u64 = 1 << 1;
const MS_NODEV: u64 = 1 << 2;
const MS_NOEXEC: u64 = 1 << 3;
const MS_SYNCHRONOUS: u64 = 1 << 4;
const MS_MANDLOCK: u64 = 1 << 6;
const MS_DIRSYNC: u64 = 1 << 7;
const MS_NOSYMFOLLOW: u64 = 1 << 8;
const MS_NOATIME: u64 = 1 << 10;
const MS_NODIRATIME: u64 = 1 << 11;
const MS_REC: u64 = 1 << 14;
const MS_UNBINDABLE: u64 = 1 << 17;
const MS_PRIVATE: u64 = 1 << 18;
const MS_SLAVE: u64 = 1 << 19;
const MS_SHARED: u64 = 1 << 20;
const MS_RELATIME: u64 = 1 << 21;
const MS_STRICTATIME: u64 = 1 << 24;
const MS_LAZYTIME: u64 = 1 << 25;

/// Options that set or clear mount flags; recursive ones (`rro`) do the same here, where a mount has no submounts of the
/// host's below it that are not served by the same gofer.
const FLAGS: &[(&str, bool, u64)] = &[
    ("ro", true, MS_RDONLY),
    ("rw", false, MS_RDONLY),
    ("nosuid", true, MS_NOSUID),
    ("suid", false, MS_NOSUID),
    ("nodev", true, MS_NODEV),
    ("dev", false, MS_NODEV),
    ("noexec", true, MS_NOEXEC),
    ("exec", false, MS_NOEXEC),
    ("sync", true, MS_SYNCHRONOUS),
    ("async", false, MS_SYNCHRONOUS),
    ("mand", true, MS_MANDLOCK),
    ("nomand", false, MS_MANDLOCK),
    ("dirsync", true, MS_DIRSYNC),
    ("nosymfollow", true, MS_NOSYMFOLLOW),
    ("symfollow", false, MS_NOSYMFOLLOW),
    ("noatime", true, MS_NOATIME),
    ("atime", false, MS_NOATIME),
    ("nodiratime", true, MS_NODIRATIME),
    ("diratime", false, MS_NODIRATIME),
    ("relatime", true, MS_RELATIME),
    ("norelatime", false, MS_RELATIME),
    ("strictatime", true, MS_STRICTATIME),
    ("nostrictatime", false, MS_STRICTATIME),
    ("lazytime", true, MS_LAZYTIME),
    ("nolazytime", false, MS_LAZYTIME),
];

/// Options of propagation.
const PROPAGATION: &[(&str, u64)] = &[
    ("private", MS_PRIVATE),
    ("rprivate", MS_PRIVATE | MS_REC),
    ("shared", MS_SHARED),
    ("rshared", MS_SHARED | MS_REC),
    ("slave", MS_SLAVE),
    ("rslave", MS_SLAVE | MS_REC),
    ("unbindable", MS_UNBINDABLE),
    ("runbindable", MS_UNBINDABLE | MS_REC),
];

/// Options that say nothing to a kernel of its own.
const IGNORED: &[&str] =
    &["defaults", "silent", "loud", "iversion", "noiversion", "acl", "noacl", "tmpcopyup", "remount", "z", "Z"];

/// File systems that the kernel has.
const OWN: &[&str] = &["proc", "sysfs", "tmpfs", "devpts", "devtmpfs", "mqueue", "cgroup", "cgroup2"];

/// A mount of `config.json`, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MountPlan {
    /// Absolute path in the container.
    pub(crate) destination: String,
    /// What to mount.
    pub(crate) source: Source,
    /// mount(2) flags.
    pub(crate) flags: u64,
    /// Propagation flags.
    pub(crate) propagation: u64,
    /// The file system's own options.
    pub(crate) data: String,
}

/// What to mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A path of the host.
    Host(PathBuf),
    /// A file system of the kernel's own: kind and name.
    Own(String, String),
}

impl MountPlan {
    /// Whether it is read-only.
    pub(crate) const fn read_only(&self) -> bool {
        self.flags & MS_RDONLY != 0
    }
}

/// Understands a mount. `None` for a file system that has no sense in a sandbox, which is said in a warning.
pub(crate) fn plan(mount: &Mount, bundle: &Path) -> Result<Option<MountPlan>> {
    let given = mount.destination().to_string_lossy();
    let destination = if given.starts_with('/') {
        given.into_owned()
    } else {
        log::warning(&format!("mount destination {given} is not absolute"));
        format!("/{given}")
    };
    let mut plan = MountPlan {
        destination,
        source: Source::Own(String::new(), String::new()),
        flags: 0,
        propagation: 0,
        data: String::new(),
    };
    let mut bind = mount.typ().as_deref() == Some("bind");
    for option in mount.options().iter().flatten() {
        if matches!(option.as_str(), "bind" | "rbind") {
            bind = true;
        } else {
            plan.apply(option);
        }
    }
    let source = mount.source().clone().unwrap_or_default();
    plan.source = if bind {
        if source.as_os_str().is_empty() {
            bail!("mount {}: a bind mount needs a source", plan.destination);
        }
        plan.data.clear();
        Source::Host(bundle.join(source))
    } else {
        let kind = match mount.typ().as_deref() {
            Some("ramfs") => "tmpfs",
            Some(kind) if OWN.contains(&kind) => kind,
            other => {
                let kind = other.unwrap_or("of no type");
                log::warning(&format!("mount {}: file system {kind} is not supported, left out", plan.destination));
                return Ok(None);
            }
        };
        let name = if source.as_os_str().is_empty() { kind.into() } else { source.to_string_lossy() };
        Source::Own(kind.to_owned(), name.into_owned())
    };
    Ok(Some(plan))
}

impl MountPlan {
    fn apply(&mut self, option: &str) {
        // A recursive flag is `r` and the plain one, except where that spells another option.
        let plain = option.strip_prefix('r').filter(|rest| FLAGS.iter().any(|(name, ..)| name == rest));
        let name = if FLAGS.iter().any(|(name, ..)| *name == option) { option } else { plain.unwrap_or(option) };
        if let Some((_, set, flag)) = FLAGS.iter().find(|(known, ..)| *known == name) {
            if *set {
                self.flags |= flag;
            } else {
                self.flags &= !flag;
            }
        } else if let Some(flags) = propagation(option) {
            self.propagation = flags;
        } else if !IGNORED.contains(&option) {
            if !self.data.is_empty() {
                self.data.push(',');
            }
            self.data.push_str(option);
        }
    }
}

/// `rprivate` and its kin as mount(2) flags.
pub(crate) fn propagation(word: &str) -> Option<u64> {
    PROPAGATION.iter().find_map(|(name, flags)| (*name == word).then_some(*flags))
}

/// The names of all options that are understood, for `features`.
pub(crate) fn option_names() -> Vec<&'static str> {
    let flags = FLAGS.iter().map(|(name, ..)| *name);
    let propagation = PROPAGATION.iter().map(|(name, _)| *name);
    let mut names: Vec<_> = flags.chain(propagation).chain(IGNORED.iter().copied()).chain(["bind", "rbind"]).collect();
    names.sort_unstable();
    names
}

#[cfg(test)]
mod tests {
    use oci_spec::runtime::MountBuilder;

    use super::*;

    fn planned(kind: &str, source: &str, options: &[&str]) -> Option<MountPlan> {
        let options: Vec<String> = options.iter().map(|&o| o.into()).collect();
        let mount =
            MountBuilder::default().destination("/m").typ(kind).source(source).options(options).build().unwrap();
        plan(&mount, Path::new("/bundle")).unwrap()
    }

    #[test]
    fn later_options_win_and_the_rest_is_data() {
        let plan =
            planned("tmpfs", "shm", &["ro", "rw", "rnosuid", "noexec", "mode=755", "rprivate", "size=1k"]).unwrap();
        assert_eq!(plan.flags, MS_NOSUID | MS_NOEXEC);
        assert_eq!(plan.propagation, MS_PRIVATE | MS_REC);
        assert_eq!(plan.data, "mode=755,size=1k");
        assert_eq!(plan.source, Source::Own("tmpfs".into(), "shm".into()));
    }

    #[test]
    fn bind_by_type_or_option() {
        for (kind, option) in [("bind", "rro"), ("none", "rbind"), ("", "bind")] {
            let plan = planned(kind, "data", &[option]).unwrap();
            assert_eq!(plan.source, Source::Host("/bundle/data".into()));
        }
        assert!(planned("bind", "/abs", &["rro"]).unwrap().read_only());
    }

    #[test]
    fn unknown_file_system_is_left_out() {
        assert_eq!(planned("debugfs", "debugfs", &[]), None);
    }
}
