//! containerd's `config.toml`: a runtime of its CRI plugin, between two comments by which it is found again.

use anyhow::{Result, bail};

use super::Runtime;

/// The plugin that has the runtimes, by the configuration's version.
const PLUGIN_V2: &str = "io.containerd.grpc.v1.cri";
const PLUGIN_V3: &str = "io.containerd.cri.v1.runtime";

/// The configuration with this runtime; `None` if it has it already.
pub(super) fn with(old: &str, runtime: &Runtime) -> Result<Option<String>> {
    let plugin = match version(old) {
        None if old.lines().all(|line| line.trim().is_empty() || line.trim().starts_with('#')) => PLUGIN_V2,
        Some(2) => PLUGIN_V2,
        Some(3) => PLUGIN_V3,
        None | Some(1) => bail!("version 1 of the configuration is not supported: use `containerd config migrate`"),
        Some(other) => bail!("version {other} of the configuration is not known"),
    };
    let header = format!("[plugins.\"{plugin}\".containerd.runtimes.{}]", runtime.name);
    if old.lines().any(|line| line.trim() == header) {
        return Ok(None);
    }
    let mut new = old.to_owned();
    if version(old).is_none() {
        new = format!("version = 2\n{new}");
    }
    if !new.ends_with('\n') {
        new.push('\n');
    }
    let (begin, end) = marks(runtime);
    new += &format!("{begin}\n{header}\n  runtime_type = \"io.containerd.runsc-rs.v1\"\n{end}\n");
    Ok(Some(new))
}

/// The configuration without what [`with`] added; `None` if there is nothing of it.
pub(super) fn without(old: &str, runtime: &Runtime) -> Result<Option<String>> {
    let (begin, end) = marks(runtime);
    let lines: Vec<_> = old.lines().collect();
    let first = lines.iter().position(|line| *line == begin);
    let Some(first) = first else { return Ok(None) };
    let Some(length) = lines.iter().skip(first).position(|line| *line == end) else {
        bail!("no line {end:?}");
    };
    let kept = lines.iter().take(first).chain(lines.iter().skip(first + length + 1));
    Ok(Some(kept.map(|line| format!("{line}\n")).collect()))
}

fn marks(runtime: &Runtime) -> (String, String) {
    let name = &runtime.name;
    (format!("# {name}: begin, written by install"), format!("# {name}: end"))
}

/// `version = N`, which stands before the first table.
fn version(text: &str) -> Option<u32> {
    let top = text.lines().take_while(|line| !line.trim_start().starts_with('['));
    top.filter_map(|line| line.split('#').next()?.split_once('='))
        .find(|(name, _)| name.trim() == "version")
        .and_then(|(_, value)| value.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let runtime = Runtime { name: "runsc-rs".into(), path: "/b".into(), flags: Vec::new() };
        let old = "version = 2 # of containerd\n[grpc]\n  address = \"/run/x.sock\"\n";
        let new = with(old, &runtime).unwrap().unwrap();
        assert!(new.contains("[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runsc-rs]"));
        assert_eq!(with(&new, &runtime).unwrap(), None);
        assert_eq!(without(&new, &runtime).unwrap().unwrap(), old);
        assert_eq!(without(old, &runtime).unwrap(), None);
    }

    #[test]
    fn version_decides() {
        let runtime = Runtime { name: "r".into(), path: String::new(), flags: Vec::new() };
        assert!(with("", &runtime).unwrap().unwrap().starts_with("version = 2\n"));
        assert!(with("version = 3\n", &runtime).unwrap().unwrap().contains("io.containerd.cri.v1.runtime"));
        assert!(with("[plugins]\n", &runtime).is_err());
        assert!(with("version = 9\n", &runtime).is_err());
    }
}
