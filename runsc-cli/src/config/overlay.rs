//! `--overlay2`: what stands over the root file system.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OverlayMode {
    /// Writes go to the root file system.
    None,
    /// Writes stay in memory.
    Memory,
    /// Writes go to an unlinked file in that directory.
    Directory(PathBuf),
}

impl OverlayMode {
    /// Reads the flag.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        match text {
            "none" => Ok(Self::None),
            "root:memory" => Ok(Self::Memory),
            _ => match text.strip_prefix("root:dir=") {
                Some(directory) if Path::new(directory).is_absolute() => Ok(Self::Directory(directory.into())),
                _ => bail!("invalid overlay2 {text:?}: use root:memory, root:dir=/absolute/path or none"),
            },
        }
    }
}

/// An unlinked file in the directory.
pub(crate) fn backing_file(directory: &Path) -> Result<File> {
    let mut options = File::options();
    options.read(true).write(true).custom_flags(libc::O_TMPFILE).mode(0o600);
    options.open(directory).with_context(|| format!("cannot make the overlay's file in {}", directory.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_flag() {
        assert_eq!(OverlayMode::parse("root:memory").unwrap(), OverlayMode::Memory);
        assert_eq!(OverlayMode::parse("root:dir=/x").unwrap(), OverlayMode::Directory("/x".into()));
        assert!(OverlayMode::parse("root:dir=x").is_err());
        assert!(OverlayMode::parse("all").is_err());
    }

    #[test]
    fn backing_file_has_no_name() {
        let directory = std::env::temp_dir();
        let file = backing_file(&directory).unwrap();
        assert_eq!(std::os::unix::fs::MetadataExt::nlink(&file.metadata().unwrap()), 0);
    }
}
