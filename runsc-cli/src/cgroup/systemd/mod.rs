//! `--systemd-cgroup`: systemd makes the cgroup, as a transient unit, and is told of its limits.
//!
//! A scope cannot be without processes, so it is made when they are there. [`bus`] speaks to systemd in the messages of
//! [`message`]; [`properties`] is what a unit is told.

mod bus;
mod message;
mod properties;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use nix::unistd::{Pid, geteuid};
use oci_spec::runtime::LinuxResources;
use serde::{Deserialize, Serialize};

use super::path::UnitPath;
use crate::log;
use bus::{Bus, BusError};
use message::{Property, Reader, Value, Writer};

/// A unit that systemd keeps for a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Unit {
    /// Its name, with `.scope` or `.slice`.
    name: String,
    /// It is in the systemd of a user.
    user: bool,
}

/// Whether cgroups are asked of a user's systemd: by who is not root, or root of a namespace only.
pub(crate) fn is_of_user() -> bool {
    owner_uid() != 0
}

impl Unit {
    pub(super) fn new(path: &UnitPath, user: bool) -> Self {
        Self { name: path.name.clone(), user }
    }

    pub(super) const fn is_of_user(&self) -> bool {
        self.user
    }

    /// Where the cgroups of a user's systemd begin, from the root of the hierarchy.
    pub(super) fn users_root() -> Result<PathBuf> {
        let path = Bus::connect(true)?.manager_text("ControlGroup").context("cannot find the user's cgroup")?;
        Ok(Path::new(&path).strip_prefix("/").unwrap_or_else(|_| Path::new("")).to_owned())
    }

    /// Has systemd make it, with those processes in it.
    pub(super) fn start(
        &self,
        path: &UnitPath,
        pids: &[Pid],
        resources: Option<&LinuxResources>,
        annotations: Option<&HashMap<String, String>>,
        unified: bool,
    ) -> Result<()> {
        let mut all = vec![
            text("Description", &format!("{} container {}", crate::NAME, path.container)),
            ("DefaultDependencies".to_owned(), Value::Bool(false)),
        ];
        let io = if unified { "IOAccounting" } else { "BlockIOAccounting" };
        all.extend(
            ["MemoryAccounting", "CPUAccounting", "TasksAccounting", io].map(|name| (name.into(), Value::Bool(true))),
        );
        if self.name.ends_with(".slice") {
            all.push(text("Wants", &path.slice));
        } else {
            all.push(text("Slice", &path.slice));
            all.push(("Delegate".to_owned(), Value::Bool(true)));
            all.push((
                "PIDs".to_owned(),
                Value::Uint32s(pids.iter().map(|pid| pid.as_raw().cast_unsigned()).collect()),
            ));
        }
        if let Some(resources) = resources {
            all.extend(properties::of_resources(resources, unified)?);
        }
        for property in properties::of_annotations(annotations)? {
            all.retain(|(name, _)| *name != property.0);
            all.push(property);
        }
        let mut bus = Bus::connect(self.user)?;
        match self.start_with(&mut bus, &all) {
            // A slice may be there; a scope of that name is one that failed before.
            Err(e) if is(&e, "UnitExists") && self.name.ends_with(".slice") => Ok(()),
            Err(e) if is(&e, "UnitExists") => {
                self.forget_failure(&mut bus);
                self.start_with(&mut bus, &all)
            }
            other => other,
        }
    }

    /// Tells it of other limits.
    pub(super) fn update(&self, resources: &LinuxResources, unified: bool) -> Result<()> {
        let all = properties::of_resources(resources, unified)?;
        if all.is_empty() {
            return Ok(());
        }
        let mut body = Writer::default();
        body.text(&self.name);
        // Until the next boot only.
        body.uint32(1);
        body.properties(&all);
        Bus::connect(self.user)?.manager("SetUnitProperties", "sba(sv)", body).map(drop)
    }

    /// Stops it, and with it whatever may still be in it.
    pub(super) fn stop(&self) -> Result<()> {
        let mut bus = Bus::connect(self.user)?;
        let mut body = Writer::default();
        body.text(&self.name);
        body.text("replace");
        match bus.manager("StopUnit", "ss", body) {
            Ok(answer) => {
                let result = bus.job_result(Reader::new(&answer.body).text()?)?;
                if result != "done" {
                    log::warning(&format!("stopping unit {}: {result}", self.name));
                }
            }
            // A scope goes by itself when it is empty.
            Err(e) if is(&e, "NoSuchUnit") => return Ok(()),
            Err(e) => return Err(e),
        }
        self.forget_failure(&mut bus);
        Ok(())
    }

    fn start_with(&self, bus: &mut Bus, properties: &[Property]) -> Result<()> {
        let mut body = Writer::default();
        body.text(&self.name);
        body.text("replace");
        body.properties(properties);
        // No units besides.
        body.empty_array(8);
        let answer = bus.manager("StartTransientUnit", "ssa(sv)a(sa(sv))", body)?;
        match bus.job_result(Reader::new(&answer.body).text()?)?.as_str() {
            "done" => Ok(()),
            result => bail!("unable to start unit {:?}: {result}", self.name),
        }
    }

    /// A unit that failed is kept so that its failure can be seen.
    fn forget_failure(&self, bus: &mut Bus) {
        let mut body = Writer::default();
        body.text(&self.name);
        if let Err(e) = bus.manager("ResetFailedUnit", "s", body) {
            log::debug(|| format!("unit {}: {e:#}", self.name));
        }
    }
}

/// Who we are outside of a user namespace that a user's engine may have put us in.
fn owner_uid() -> u32 {
    let ours = geteuid().as_raw();
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    outside(&map, ours).unwrap_or(ours)
}

/// What a map of user_namespaces(7) makes of an id.
fn outside(map: &str, id: u32) -> Option<u32> {
    map.lines().find_map(|line| {
        let mut numbers = line.split_ascii_whitespace().map(str::parse::<u32>);
        let (inside, outside, length) = (numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?);
        let offset = id.checked_sub(inside).filter(|offset| *offset < length)?;
        outside.checked_add(offset)
    })
}

fn is(error: &anyhow::Error, name: &str) -> bool {
    let refused = error.downcast_ref::<BusError>();
    refused.is_some_and(|e| e.name.strip_prefix("org.freedesktop.systemd1.") == Some(name))
}

fn text(name: &str, value: &str) -> Property {
    (name.to_owned(), Value::Text(value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_we_are_outside() {
        assert_eq!(outside("         0          0 4294967295\n", 0), Some(0));
        assert_eq!(outside("0 1000 1\n1 100000 65536\n", 0), Some(1000));
        assert_eq!(outside("0 1000 1\n1 100000 65536\n", 5), Some(100_004));
        assert_eq!(outside("0 1000 1\n", 5), None);
    }
}
