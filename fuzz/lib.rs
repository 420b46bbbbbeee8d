//! What targets share.

pub mod syscalls;

use std::path::PathBuf;

use ninep::message::{Message, Rattach, Rversion, Tattach, Tversion};
use ninep::transport::encode;
use ninep::{Dialect, Fid, Qid, QidKind, Str, Tag};

/// An empty directory for one run, with a few files; what earlier runs left is gone.
#[must_use]
pub fn scratch() -> PathBuf {
    let dir = std::env::temp_dir().join(format!("runsc-rs-fuzz-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(dir.join("d/e")).expect("room");
    std::fs::write(dir.join("f"), "content").expect("room");
    let _ = std::os::unix::fs::symlink("../..", dir.join("d/up"));
    dir
}

/// The start of a session, as a client sends it: version and attach as fid 0.
#[must_use]
pub fn versions(extended: bool) -> Vec<u8> {
    let dialect = if extended { Dialect::Extended } else { Dialect::Plain };
    let mut bytes = frame(&Tversion { msize: 65536, version: Str(dialect.version().as_bytes()) });
    bytes.extend(frame(&Tattach { fid: Fid(0), afid: Fid::NONE, uname: Str(b""), aname: Str(b""), uid: 0 }));
    bytes
}

/// The same as a server answers it.
#[must_use]
pub fn answers(dialect: Dialect) -> Vec<u8> {
    let mut bytes = frame(&Rversion { msize: 65536, version: Str(dialect.version().as_bytes()) });
    bytes.extend(frame(&Rattach { qid: Qid { kind: QidKind::DIR, version: 0, path: 1 } }));
    bytes
}

fn frame(message: &impl Message) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(&mut bytes, Tag(0), message, 65536).expect("short");
    bytes
}
