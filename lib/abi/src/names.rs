//! Macros that declare flag sets and numbered names, with the `Debug` output that strace needs.

/// Declares a transparent flag type: zerocopy derives, bitflags methods, and a `Debug` that prints `A|B|0x40`.
///
/// `from_bits` refuses unknown bits (the usual EINVAL); `from_bits_retain` keeps them.
macro_rules! flags {
    ($(#[$meta:meta])* pub struct $name:ident: $bits:ty { $($(#[$fmeta:meta])* const $flag:ident = $value:expr;)* }) => {
        $(#[$meta])*
        #[derive(
            Clone, Copy, PartialEq, Eq, Hash, Default,
            zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::KnownLayout, zerocopy::Immutable,
        )]
        #[repr(transparent)]
        pub struct $name($bits);

        bitflags::bitflags! {
            impl $name: $bits {
                $($(#[$fmeta])* const $flag = $value;)*
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                $crate::names::write_flags(f, self.iter_names().map(|(n, v)| (n, u64::from(v.bits()))), u64::from(self.bits()))
            }
        }
    };
}

/// Declares constants of one type and a function that finds a constant's name.
macro_rules! numbers {
    ($(#[$meta:meta])* pub fn $lookup:ident($ty:ty) { $($(#[$nmeta:meta])* $name:ident = $value:expr,)* }) => {
        $($(#[$nmeta])* pub const $name: $ty = $value;)*

        $(#[$meta])*
        #[must_use]
        pub fn $lookup(value: $ty) -> Option<&'static str> {
            const NAMES: &[($ty, &str)] = &[$(($name, stringify!($name)),)*];
            NAMES.iter().find(|(v, _)| *v == value).map(|(_, n)| *n)
        }
    };
}

pub(crate) use {flags, numbers};

/// Prints the names of flags joined by `|`, and what has no name in hex; `0` for the empty set.
pub(crate) fn write_flags(
    f: &mut core::fmt::Formatter<'_>,
    names: impl Iterator<Item = (&'static str, u64)>,
    bits: u64,
) -> core::fmt::Result {
    let mut left = bits;
    let mut first = true;
    for (name, value) in names {
        if !first {
            f.write_str("|")?;
        }
        f.write_str(name)?;
        first = false;
        left &= !value;
    }
    match (left, first) {
        (0, true) => f.write_str("0"),
        (0, false) => Ok(()),
        (_, true) => write!(f, "{left:#x}"),
        (_, false) => write!(f, "|{left:#x}"),
    }
}

#[cfg(test)]
mod tests {
    use crate::fcntl::OpenFlags;

    #[test]
    fn debug_names_known_flags_and_shows_the_rest() {
        assert_eq!(format!("{:?}", OpenFlags::O_CREAT | OpenFlags::O_EXCL), "O_CREAT|O_EXCL");
        assert_eq!(format!("{:?}", OpenFlags::from_bits_retain(0x8000_0000)), "0x80000000");
        assert_eq!(format!("{:?}", OpenFlags::empty()), "0");
        assert_eq!(format!("{:?}", OpenFlags::O_SYNC), "O_SYNC");
    }
}
