//! Where a container's cgroup lies below the root of a hierarchy.

use std::path::{Component, Path, PathBuf};

use anyhow::{Result, bail};

/// Where it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// This path, which we make.
    Directory(PathBuf),
    /// A unit, which systemd makes.
    Unit(UnitPath),
}

/// A unit and where systemd puts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UnitPath {
    /// Its name, with `.scope` or `.slice`.
    pub(super) name: String,
    /// The slice it is in.
    pub(super) slice: String,
    /// What it is for.
    pub(super) container: String,
    /// Its path from where systemd's cgroups begin.
    pub(super) path: PathBuf,
}

/// What `cgroupsPath` says: a path from the root of the hierarchy, and without one it is named after the id. With
/// `--systemd-cgroup` it is `slice:prefix:name`, the slice being that of the system or of the user where it is not named.
pub(super) fn of_container(wanted: Option<&Path>, id: &str, systemd: bool, user: bool) -> Result<Place> {
    let wanted = wanted.filter(|path| !path.as_os_str().is_empty());
    if systemd {
        let slice = if user { "user.slice" } else { "system.slice" };
        let text = wanted.map_or_else(|| format!(":{}:{id}", crate::NAME), |path| path.to_string_lossy().into_owned());
        return unit(&text, slice).map(Place::Unit);
    }
    let Some(wanted) = wanted else { return Ok(Place::Directory(format!("{}-{id}", crate::NAME).into())) };
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
    Ok(Place::Directory(path))
}

/// `slice:prefix:name` is `slice/prefix-name.scope`, and `a-b.slice` lies in `a.slice`.
fn unit(wanted: &str, default_slice: &str) -> Result<UnitPath> {
    let parts: Vec<_> = wanted.split(':').collect();
    let &[slice, prefix, container] = parts.as_slice() else {
        bail!("expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got {wanted:?} instead");
    };
    let slice = if slice.is_empty() { default_slice } else { slice };
    let plain = |part: &str| !part.contains('/') && part != "." && part != "..";
    let Some(stem) = slice.strip_suffix(".slice").filter(|stem| plain(stem)) else {
        bail!("invalid slice name: {slice}");
    };
    if container.is_empty() || !plain(container) || !plain(prefix) {
        bail!("invalid scope name in cgroupsPath {wanted:?}");
    }
    let mut path = PathBuf::new();
    if stem != "-" {
        for (end, _) in stem.match_indices('-').chain([(stem.len(), "")]) {
            path.push(format!("{}.slice", stem.get(..end).unwrap_or(stem)));
        }
    }
    let name = match prefix {
        _ if container.ends_with(".slice") => container.to_owned(),
        "" => format!("{container}.scope"),
        prefix => format!("{prefix}-{container}.scope"),
    };
    path.push(&name);
    Ok(UnitPath { name, slice: slice.to_owned(), container: container.to_owned(), path })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(wanted: &str, systemd: bool) -> Result<String> {
        of_container(Some(Path::new(wanted)), "id", systemd, false).map(|place| match place {
            Place::Directory(path) | Place::Unit(UnitPath { path, .. }) => path.display().to_string(),
        })
    }

    #[test]
    fn slices_nest() {
        assert_eq!(path("a-b-c.slice:docker:x", true).unwrap(), "a.slice/a-b.slice/a-b-c.slice/docker-x.scope");
        assert_eq!(path(":run:x", true).unwrap(), "system.slice/run-x.scope");
        assert_eq!(path("-.slice::x", true).unwrap(), "x.scope");
        assert_eq!(path("", true).unwrap(), "system.slice/runsc-rs-id.scope");
        assert_eq!(path("p.slice:a:b.slice", true).unwrap(), "p.slice/b.slice");
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
