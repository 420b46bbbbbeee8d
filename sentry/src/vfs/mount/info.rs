//! The text of /proc/PID/mountinfo, mounts and mountstats.

use std::fmt::Write;

use abi::stat::{major, minor};

use super::{Mount, MountNamespace};
use crate::vfs::Path;

impl MountNamespace {
    /// /proc/PID/mountinfo, seen from the root directory `root`: what it cannot reach is left out.
    #[must_use]
    pub fn mountinfo(&self, root: &Path) -> Vec<u8> {
        let mut text = Vec::new();
        for (mount, place) in self.visible(root) {
            let parent = mount.mountpoint().map_or_else(|| mount.id(), |at| at.mount.id());
            let dev = mount.fs().dev();
            let mut head = String::new();
            let _ = write!(head, "{} {parent} {}:{} ", mount.id(), major(dev), minor(dev));
            text.extend_from_slice(head.as_bytes());
            escape(&mut text, &root_in_fs(&mount));
            text.push(b' ');
            escape(&mut text, &place);
            text.push(b' ');
            text.extend_from_slice(mount.flags().words().as_bytes());
            let propagation = mount.propagation();
            if let Some(group) = propagation.peers {
                text.extend_from_slice(format!(" shared:{group}").as_bytes());
            }
            if let Some(group) = mount.master() {
                text.extend_from_slice(format!(" master:{group}").as_bytes());
            }
            if propagation.unbindable {
                text.extend_from_slice(b" unbindable");
            }
            text.extend_from_slice(b" - ");
            text.extend_from_slice(mount.fs().name().as_bytes());
            text.push(b' ');
            escape(&mut text, source(&mount));
            text.push(b' ');
            text.extend_from_slice(if mount.root().sb().read_only() { b"ro" } else { b"rw" });
            push_options(&mut text, &mount);
            text.push(b'\n');
        }
        text
    }

    /// /proc/PID/mounts.
    #[must_use]
    pub fn mounts_text(&self, root: &Path) -> Vec<u8> {
        let mut text = Vec::new();
        for (mount, place) in self.visible(root) {
            escape(&mut text, source(&mount));
            text.push(b' ');
            escape(&mut text, &place);
            text.push(b' ');
            text.extend_from_slice(mount.fs().name().as_bytes());
            let words = mount.flags().words();
            let state: &[u8] = if mount.read_only() { b" ro" } else { b" rw" };
            text.extend_from_slice(state);
            text.extend_from_slice(words.get(2..).unwrap_or_default().as_bytes());
            push_options(&mut text, &mount);
            text.extend_from_slice(b" 0 0\n");
        }
        text
    }

    /// /proc/PID/mountstats.
    #[must_use]
    pub fn mountstats(&self, root: &Path) -> Vec<u8> {
        let mut text = Vec::new();
        for (mount, place) in self.visible(root) {
            text.extend_from_slice(b"device ");
            escape(&mut text, source(&mount));
            text.extend_from_slice(b" mounted on ");
            escape(&mut text, &place);
            text.extend_from_slice(b" with fstype ");
            text.extend_from_slice(mount.fs().name().as_bytes());
            text.push(b'\n');
        }
        text
    }

    fn visible(&self, root: &Path) -> Vec<(std::sync::Arc<Mount>, Vec<u8>)> {
        let mut list: Vec<_> = self
            .mounts()
            .into_iter()
            .filter_map(|mount| {
                let place = Path::root_of(&mount).text(root);
                place.reachable.then_some((mount, place.text))
            })
            .collect();
        list.sort_by_key(|(mount, _)| mount.id());
        list
    }
}

fn source(mount: &Mount) -> &[u8] {
    if mount.source().is_empty() { b"none" } else { mount.source() }
}

fn push_options(text: &mut Vec<u8>, mount: &Mount) {
    let options = mount.fs().show_options();
    if !options.is_empty() {
        text.push(b',');
        text.extend_from_slice(options.as_bytes());
    }
}

/// Where in its file system a mount begins.
pub(super) fn root_in_fs(mount: &Mount) -> Vec<u8> {
    let mut names = Vec::new();
    let deleted = mount.root().is_unlinked();
    let mut at = std::sync::Arc::clone(mount.root());
    while let (Some(parent), name) = at.place() {
        names.push(name);
        at = parent;
    }
    let mut text = Vec::new();
    for name in names.iter().rev() {
        text.push(b'/');
        text.extend_from_slice(name);
    }
    if text.is_empty() {
        text.push(b'/');
    }
    if deleted {
        text.extend_from_slice(b"//deleted");
    }
    text
}

/// Blanks, newlines, backslashes and `#` in octal, as getmntent(3) reads them.
fn escape(text: &mut Vec<u8>, word: &[u8]) {
    for &byte in word {
        match byte {
            b' ' | b'\t' | b'\n' | b'\\' | b'#' => text.extend_from_slice(format!("\\{byte:03o}").as_bytes()),
            _ => text.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn blanks_are_octal() {
        let mut text = Vec::new();
        super::escape(&mut text, b"a b\\#\n");
        assert_eq!(text, b"a\\040b\\134\\043\\012");
    }
}
