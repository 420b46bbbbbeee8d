//! What `Tversion` settles: the dialect and the largest message.

use crate::wire::Str;

/// A dialect of 9P.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dialect {
    /// 9P2000.L as Linux, diod and QEMU speak it.
    Plain,
    /// With the messages numbered from 128 up.
    Extended,
}

impl Dialect {
    /// What the dialect is called on the wire.
    #[must_use]
    pub const fn version(self) -> &'static str {
        match self {
            Self::Plain => "9P2000.L",
            Self::Extended => "9P2000.L.runsc1",
        }
    }

    /// The dialect a server answers with: what was asked for if it is known, the plain one for any other suffix of it
    /// (as 9P has it: a server drops the part after the last period that it does not know), none if not even that.
    #[must_use]
    pub fn offered(version: Str<'_>) -> Option<Self> {
        let plain = Self::Plain.version().as_bytes();
        if version.0 == Self::Extended.version().as_bytes() {
            Some(Self::Extended)
        } else if version.0 == plain || version.0.strip_prefix(plain).is_some_and(|rest| rest.starts_with(b".")) {
            Some(Self::Plain)
        } else {
            None
        }
    }

    /// The dialect that a server's answer names.
    #[must_use]
    pub fn answered(version: Str<'_>) -> Option<Self> {
        [Self::Plain, Self::Extended].into_iter().find(|d| d.version().as_bytes() == version.0)
    }
}

/// The version a server answers with when it knows none of what was asked.
pub const UNKNOWN: &str = "unknown";

/// The smallest message size that a session may have: every fixed part fits, and a path.
pub const MIN_MSIZE: u32 = 8192;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_suffixes_fall_back_to_the_plain_dialect() {
        let offered = |s: &str| Dialect::offered(Str(s.as_bytes()));
        assert_eq!(offered("9P2000.L.runsc1"), Some(Dialect::Extended));
        assert_eq!(offered("9P2000.L.runsc2"), Some(Dialect::Plain));
        assert_eq!(offered("9P2000.L"), Some(Dialect::Plain));
        assert_eq!(offered("9P2000.u"), None);
        assert_eq!(offered("9P2000.Lx"), None);
    }
}
