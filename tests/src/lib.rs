//! End-to-end tests: guest programs, the OCI command line, conformance and the rules of the tree.
//!
//! The library holds what the tests share: [`source`] reads the tree's own sources, [`guest`] builds and runs guest programs,
//! [`conformance`] runs the Linux Test Project.
#![forbid(unsafe_code)]

pub mod conformance;
pub mod guest;
pub mod source;

use std::path::PathBuf;

/// The root of the workspace.
#[must_use]
pub fn workspace() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(|| PathBuf::from("."), PathBuf::from)
}
