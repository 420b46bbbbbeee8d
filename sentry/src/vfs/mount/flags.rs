//! Flags of a mount, and how it propagates.

use bitflags::bitflags;

bitflags! {
    /// Per-mount flags; the values are those of mount(2) (MS_*).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct MountFlags: u32 {
        /// Nothing may be changed through it.
        const READ_ONLY = 1;
        /// execve(2) ignores set-id bits and file capabilities.
        const NO_SUID = 2;
        /// Device nodes cannot be opened.
        const NO_DEV = 4;
        /// Nothing can be executed, nor mapped executable.
        const NO_EXEC = 8;
        /// Symbolic links are not followed.
        const NO_SYM_FOLLOW = 256;
        /// Access times stand still.
        const NO_ATIME = 1024;
        /// Access times of directories stand still.
        const NO_DIR_ATIME = 2048;
        /// Access times follow only when they lie behind a change, or a day.
        const REL_ATIME = 1 << 21;
    }
}

impl MountFlags {
    /// The words of mountinfo, `rw` or `ro` first.
    #[must_use]
    pub fn words(self) -> String {
        let mut text = String::from(if self.contains(Self::READ_ONLY) { "ro" } else { "rw" });
        for (flag, word) in [
            (Self::NO_SUID, ",nosuid"),
            (Self::NO_DEV, ",nodev"),
            (Self::NO_EXEC, ",noexec"),
            (Self::NO_ATIME, ",noatime"),
            (Self::NO_DIR_ATIME, ",nodiratime"),
            (Self::REL_ATIME, ",relatime"),
            (Self::NO_SYM_FOLLOW, ",nosymfollow"),
        ] {
            if self.contains(flag) {
                text.push_str(word);
            }
        }
        text
    }
}

/// How mounts and unmounts below a mount spread (mount_namespaces(7)). Without any of it, it is private.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Propagation {
    /// To and from the members of this peer group: shared.
    pub peers: Option<u32>,
    /// From this peer group, not to it: a slave.
    pub master: Option<u32>,
    /// It cannot be bind-mounted.
    pub unbindable: bool,
}
