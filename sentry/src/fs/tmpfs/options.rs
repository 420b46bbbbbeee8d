//! Mount options of tmpfs.

use std::fmt::Write;

use abi::stat::S_IALLUGO;
use abi::{Errno, PAGE_SIZE};

use crate::error::{Result, err};
use crate::task::creds::UserNamespace;

/// What `mount -t tmpfs -o …` says.
#[derive(Clone, Debug)]
pub struct Options {
    /// Bytes; 0 is no limit.
    size: u64,
    /// Inodes; 0 is no limit.
    nr_inodes: u64,
    /// Mode of the root directory.
    pub mode: u32,
    /// Owner of the root directory.
    pub uid: u32,
    /// Group of the root directory.
    pub gid: u32,
    size_given: bool,
    inodes_given: bool,
}

impl Options {
    /// The defaults for a machine with this much memory: half of it, and half as many inodes as it has pages.
    #[must_use]
    pub fn for_memory(bytes: u64) -> Self {
        let half = bytes / 2;
        Self {
            size: half,
            nr_inodes: half / PAGE_SIZE,
            mode: 0o1777,
            uid: 0,
            gid: 0,
            size_given: false,
            inodes_given: false,
        }
    }

    /// For the root directory to be somebody's.
    #[must_use]
    pub fn owned_by(self, uid: u32, gid: u32) -> Self {
        Self { uid, gid, ..self }
    }

    /// Without limits.
    #[must_use]
    pub fn unlimited() -> Self {
        Self { size: 0, nr_inodes: 0, mode: 0o1777, uid: 0, gid: 0, size_given: false, inodes_given: false }
    }

    /// Applies the text of mount(2), `size=64m,mode=755`. EINVAL for what is not understood. `memory` is what percentages
    /// are of, `ns` is whose numbers name users.
    pub fn parse(mut self, text: &[u8], memory: u64, ns: &UserNamespace) -> Result<Self> {
        let text = std::str::from_utf8(text).map_err(|_| Errno::EINVAL)?;
        for option in text.split(',').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            match name {
                "size" => (self.size, self.size_given) = (size(value, memory)?, true),
                "nr_blocks" => {
                    (self.size, self.size_given) = (number(value)?.checked_mul(PAGE_SIZE).ok_or(Errno::EINVAL)?, true);
                }
                "nr_inodes" => (self.nr_inodes, self.inodes_given) = (number(value)?, true),
                "mode" => self.mode = u32::from_str_radix(value, 8).map_err(|_| Errno::EINVAL)? & S_IALLUGO,
                "uid" => self.uid = ns.uid(value.parse().map_err(|_| Errno::EINVAL)?)?,
                "gid" => self.gid = ns.gid(value.parse().map_err(|_| Errno::EINVAL)?)?,
                // Of no consequence here: pages are never huge, numbers never wrap, there is no swap and one node.
                "huge" | "inode32" | "inode64" | "noswap" | "mpol" => {}
                _ => return err(Errno::EINVAL),
            }
        }
        Ok(self)
    }

    pub(super) fn max_pages(&self) -> u64 {
        if self.size == 0 { u64::MAX } else { self.size.div_ceil(PAGE_SIZE) }
    }

    pub(super) fn max_inodes(&self) -> u64 {
        if self.nr_inodes == 0 { u64::MAX } else { self.nr_inodes }
    }

    pub(super) fn limits_blocks(&self) -> bool {
        self.size != 0
    }

    pub(super) fn limits_inodes(&self) -> bool {
        self.nr_inodes != 0
    }

    /// As mountinfo shows them.
    pub(super) fn show(&self) -> String {
        let mut words = Vec::new();
        let mut word = String::new();
        if self.size_given {
            let _ = write!(word, "size={}k", self.max_pages().saturating_mul(PAGE_SIZE / 1024));
            words.push(std::mem::take(&mut word));
        }
        if self.inodes_given {
            words.push(format!("nr_inodes={}", self.nr_inodes));
        }
        if self.mode != 0o1777 {
            words.push(format!("mode={:o}", self.mode));
        }
        if self.uid != 0 {
            words.push(format!("uid={}", self.uid));
        }
        if self.gid != 0 {
            words.push(format!("gid={}", self.gid));
        }
        words.push(String::from("inode64"));
        words.join(",")
    }
}

fn size(value: &str, memory: u64) -> Result<u64> {
    if let Some(percent) = value.strip_suffix('%') {
        let percent: u64 = percent.parse().map_err(|_| Errno::EINVAL)?;
        return Ok((memory / 100).saturating_mul(percent));
    }
    number(value)
}

/// A number with an optional suffix k, m, g, t.
fn number(value: &str) -> Result<u64> {
    let (digits, shift) = match value.char_indices().last() {
        Some((at, 'k' | 'K')) => (&value[..at], 10),
        Some((at, 'm' | 'M')) => (&value[..at], 20),
        Some((at, 'g' | 'G')) => (&value[..at], 30),
        Some((at, 't' | 'T')) => (&value[..at], 40),
        _ => (value, 0),
    };
    let number: u64 = digits.parse().map_err(|_| Errno::EINVAL)?;
    number.checked_mul(1 << shift).ok_or_else(|| Errno::EINVAL.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_parsed_and_shown() {
        let options = Options::for_memory(1 << 30)
            .parse(b"size=64m,mode=755,uid=5,nr_inodes=1k", 1 << 30, &UserNamespace::root())
            .unwrap();
        assert_eq!(options.max_pages(), 16384);
        assert_eq!(options.show(), "size=65536k,nr_inodes=1024,mode=755,uid=5,inode64");
        assert!(Options::unlimited().parse(b"size=1q", 0, &UserNamespace::root()).is_err());
        assert!(Options::unlimited().parse(b"frob", 0, &UserNamespace::root()).is_err());
        assert_eq!(Options::unlimited().parse(b"size=50%", 1 << 20, &UserNamespace::root()).unwrap().max_pages(), 128);
    }
}
