//! What uname(2) and /proc/version say.

/// The kernel's name: programs expect Linux's interface, and get it.
pub const SYSNAME: &str = "Linux";
/// Which release's interface it is, and whose it is.
pub const RELEASE: &str = "6.12.0-runsc-rs";
/// The build.
pub const VERSION: &str = concat!("#1 SMP PREEMPT_DYNAMIC runsc-rs ", env!("CARGO_PKG_VERSION"));
/// The architecture.
pub const MACHINE: &str = "x86_64";

/// The line of /proc/version.
#[must_use]
pub fn proc_version() -> String {
    format!("{SYSNAME} version {RELEASE} (runsc-rs@sandbox) (rustc, no linker was harmed) {VERSION}\n")
}
