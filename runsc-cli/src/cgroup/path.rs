//! Where a container's cgroup lies below the root of a hierarchy.

use std::path::{Component, Path, PathBuf};

use anyhow::{Result, bail};

/// The path from `cgroupsPath`, relative to the root of the hierarchy. Without one it is named after the id.
///
/// With `--systemd-cgroup` it is `slice:prefix:name`, which is `slice/prefix-name.scope`, and `a-b.slice` lies in
/// `a.slice`.
pub(super) fn of_container(wanted: Option<&Path>, id: &str, systemd: bool) -> Result<PathBuf> {
    let Some(wanted) = wanted.filter(|path| !path.as_os_str().is_empty()) else {
        return Ok(format!("{}-{id}", crate::NAME).into());
    };
    if systemd {
        return systemd_path(&wanted.to_string_lossy());
    }
    let mut path = PathBuf::new();
    for component in wanted.components() {
        match component {
            Component::Normal(name) => path.push(name),
            Component::RootDir | Component::CurDir => {}
            _ => bail!("invalid cgroupsPath {}", wanted.display()),
        }
    }
    if path.as_os_str().is_empty() {
        bail!("cgroupsPath is the root of the hierarchy");
    }
    Ok(path)
}

fn systemd_path(wanted: &str) -> Result<PathBuf> {
    let parts: Vec<_> = wanted.split(':').collect();
    let &[slice, prefix, name] = parts.as_slice() else {
        bail!("expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got {wanted:?} instead");
    };
    let slice = if slice.is_empty() { "system.slice" } else { slice };
    let plain = |part: &str| !part.contains('/') && part != "." && part != "..";
    let Some(stem) = slice.strip_suffix(".slice").filter(|stem| plain(stem)) else {
        bail!("invalid slice name: {slice}");
    };
    if name.is_empty() || !plain(name) || !plain(prefix) {
        bail!("invalid scope name in cgroupsPath {wanted:?}");
    }
    let mut path = PathBuf::new();
    if stem != "-" {
        for (end, _) in stem.match_indices('-').chain([(stem.len(), "")]) {
            path.push(format!("{}.slice", stem.get(..end).unwrap_or(stem)));
        }
    }
    let scope = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}-{name}") };
    path.push(if name.ends_with(".slice") { name.to_owned() } else { format!("{scope}.scope") });
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(wanted: &str, systemd: bool) -> Result<String> {
        of_container(Some(Path::new(wanted)), "id", systemd).map(|path| path.display().to_string())
    }

    #[test]
    fn slices_nest() {
        assert_eq!(path("a-b-c.slice:docker:x", true).unwrap(), "a.slice/a-b.slice/a-b-c.slice/docker-x.scope");
        assert_eq!(path(":run:x", true).unwrap(), "system.slice/run-x.scope");
        assert_eq!(path("-.slice::x", true).unwrap(), "x.scope");
        assert!(path("/plain", true).is_err());
        assert!(path("../.slice:a:b", true).is_err());
    }

    #[test]
    fn paths_stay_below_the_root() {
        assert_eq!(path("/docker/x", false).unwrap(), "docker/x");
        assert_eq!(path("./x", false).unwrap(), "x");
        assert_eq!(path("", false).unwrap(), "runsc-rs-id");
        assert!(path("/a/../../b", false).is_err());
        assert!(path("/", false).is_err());
    }
}
