//! What containerd's configuration says about us: options in the request, or a file that they name.
//!
//! ```toml
//! binary = "/usr/local/bin/runsc-rs"
//! root = "/run/containerd/runsc-rs"
//! systemd_cgroup = false
//! [flags]
//! platform = "systrap"
//! debug = true
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use containerd_shim::Error;
use containerd_shim::protos::protobuf::well_known_types::any::Any;
use containerd_shim::protos::protobuf::{CodedInputStream, Message};
use containerd_shim::protos::shim::oci;
use serde::{Deserialize, Serialize};

/// The command line where nothing else is said: found in PATH.
const BINARY: &str = "runsc-rs";
/// Where the state of containers is, a directory per namespace.
const ROOT: &str = "/run/containerd/runsc-rs";
/// Read where no file is named.
const FILE: &str = "/etc/containerd/runsc-rs.toml";
/// Remembers the options in the bundle, for `delete` after we were killed.
const REMEMBERED: &str = "runsc-rs-options.json";
/// The names that the options' messages have.
const RUNC_OPTIONS: &str = "containerd.runc.v1.Options";
const ANY_RUNTIME_OPTIONS: &str = "runtimeoptions.v1.Options";

/// How the command line is called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Options {
    /// The command line.
    pub(crate) binary: PathBuf,
    /// Where the state of containers is.
    pub(crate) root: PathBuf,
    /// cgroupsPath is "slice:prefix:name".
    pub(crate) systemd_cgroup: bool,
    /// Flags before the sub-command.
    pub(crate) flags: BTreeMap<String, Value>,
}

/// The value of a flag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Value {
    /// `--name=true`.
    Bool(bool),
    /// `--name=7`.
    Number(i64),
    /// `--name=text`.
    Text(String),
}

impl Default for Options {
    fn default() -> Self {
        Self { binary: BINARY.into(), root: ROOT.into(), systemd_cgroup: false, flags: BTreeMap::new() }
    }
}

impl Options {
    /// Those of a request to create a container.
    pub(crate) fn of_request(any: Option<&Any>) -> Result<Self, Error> {
        match any.map(|any| (any.type_url.rsplit('/').next().unwrap_or_default(), any)) {
            Some((RUNC_OPTIONS, any)) => {
                let runc = oci::Options::parse_from_bytes(&any.value)?;
                let mut options = Self::of_default_file()?;
                if !runc.binary_name.is_empty() {
                    options.binary = runc.binary_name.into();
                }
                if !runc.root.is_empty() {
                    options.root = runc.root.into();
                }
                options.systemd_cgroup |= runc.systemd_cgroup;
                Ok(options)
            }
            Some((ANY_RUNTIME_OPTIONS, any)) => match named_file(&any.value)? {
                Named::Path(path) => Self::of_file(Path::new(&path)),
                Named::Body(text) => Self::parse(&text),
                Named::Nothing => Self::of_default_file(),
            },
            Some((other, _)) if !other.is_empty() => {
                Err(Error::InvalidArgument(format!("options of type {other} are not known")))
            }
            _ => Self::of_default_file(),
        }
    }

    fn of_default_file() -> Result<Self, Error> {
        if Path::new(FILE).exists() { Self::of_file(Path::new(FILE)) } else { Ok(Self::default()) }
    }

    fn of_file(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path)
            .map_err(|e| Error::InvalidArgument(format!("cannot read options {}: {e}", path.display())))?;
        Self::parse(&text).map_err(|e| Error::InvalidArgument(format!("{}: {e}", path.display())))
    }

    fn parse(text: &str) -> Result<Self, Error> {
        toml::from_str(text).map_err(|e| Error::InvalidArgument(format!("invalid options: {e}")))
    }

    /// Keeps them in the bundle.
    pub(crate) fn remember(&self, bundle: &Path) -> Result<(), Error> {
        let text = serde_json::to_vec(self)?;
        std::fs::write(bundle.join(REMEMBERED), text).map_err(|e| Error::Other(format!("cannot write options: {e}")))
    }

    /// Those of a bundle, as far as they can be found.
    pub(crate) fn recall(bundle: &Path) -> Self {
        let text = std::fs::read(bundle.join(REMEMBERED)).unwrap_or_default();
        serde_json::from_slice(&text).or_else(|_| Self::of_default_file()).unwrap_or_default()
    }

    /// The flags before the sub-command.
    pub(crate) fn arguments(&self, namespace: &str) -> Vec<String> {
        let mut arguments = vec![format!("--root={}", self.root.join(namespace).display())];
        if self.systemd_cgroup {
            arguments.push("--systemd-cgroup".into());
        }
        arguments.extend(self.flags.iter().map(|(name, value)| match value {
            Value::Bool(value) => format!("--{name}={value}"),
            Value::Number(value) => format!("--{name}={value}"),
            Value::Text(value) => format!("--{name}={value}"),
        }));
        arguments
    }
}

/// What a `runtimeoptions.v1.Options` names.
#[derive(Debug, PartialEq, Eq)]
enum Named {
    Nothing,
    Path(String),
    Body(String),
}

/// Reads its fields: 1 the type, 2 the path of a file, 3 the content of one.
fn named_file(bytes: &[u8]) -> Result<Named, Error> {
    const LENGTH_DELIMITED: u32 = 2;
    let mut input = CodedInputStream::from_bytes(bytes);
    let mut named = Named::Nothing;
    while let Some(tag) = input.read_raw_tag_or_eof()? {
        if tag & 7 != LENGTH_DELIMITED {
            return Err(Error::InvalidArgument("malformed options".into()));
        }
        let field = input.read_bytes()?;
        let text = String::from_utf8(field).map_err(|_| Error::InvalidArgument("malformed options".into()))?;
        match tag >> 3 {
            2 if !text.is_empty() => named = Named::Path(text),
            3 if !text.is_empty() => named = Named::Body(text),
            _ => {}
        }
    }
    Ok(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_becomes_flags() {
        let text = "binary = \"/b\"\nroot = \"/r\"\n[flags]\nplatform = \"ptrace\"\ndebug = true\n";
        let options = Options::parse(text).unwrap();
        assert_eq!(options.binary, Path::new("/b"));
        assert_eq!(options.arguments("k8s.io"), ["--root=/r/k8s.io", "--debug=true", "--platform=ptrace"]);
        assert!(Options::parse("binari = 1").is_err());
    }

    #[test]
    fn runtime_options_name_a_file() {
        let message = b"\x0a\x01t\x12\x02/f";
        assert_eq!(named_file(message).unwrap(), Named::Path("/f".into()));
        assert_eq!(named_file(b"\x1a\x01x").unwrap(), Named::Body("x".into()));
        assert_eq!(named_file(b"").unwrap(), Named::Nothing);
        assert!(named_file(b"\x12\x7f").is_err());
    }

    /// Options that containerd passes on from whoever asked, changed at random: an error, or options. `FUZZ_SECONDS` makes it
    /// longer.
    #[test]
    fn changed_requests_are_errors_and_never_panics() {
        let file = b"\x0a\x10io.containerd.x.v\x12\x04/etc\x1a\x20binary = 'x'\n[flags]\ndebug = 1\n";
        let runc = b"\x08\x01\x10\x01\x1a\x04user\x3a\x03bin\x42\x05/root\x50\x01";
        let seconds = std::env::var("FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
        let deadline = seconds.map(|n| std::time::Instant::now() + std::time::Duration::from_secs(n));
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut any = move |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state >> 8).unwrap_or(0) % below.max(1)
        };
        let mut runs = 0_u64;
        while deadline.map_or(runs < 20_000, |deadline| std::time::Instant::now() < deadline) {
            runs += 1;
            let (name, text): (_, &[u8]) =
                if runs.is_multiple_of(2) { (RUNC_OPTIONS, runc) } else { (ANY_RUNTIME_OPTIONS, file) };
            let mut value = text.to_vec();
            for _ in 0..=any(5) {
                let at = any(value.len());
                match any(4) {
                    0 => value[at] ^= 1 << any(8),
                    1 => drop(value.drain(at..(at + any(9)).min(value.len()))),
                    2 => value.insert(at, u8::try_from(any(256)).unwrap_or(0)),
                    _ => value[at] = 0xff,
                }
                if value.is_empty() {
                    break;
                }
            }
            if let Ok(text) = std::str::from_utf8(&value) {
                let _ = Options::parse(text);
            }
            let any = Any { type_url: format!("types/{name}"), value, ..Any::default() };
            if let Ok(options) = Options::of_request(Some(&any)) {
                let _ = options.arguments("ns");
            }
        }
        if deadline.is_some() {
            println!("{runs} requests");
        }
    }
}
