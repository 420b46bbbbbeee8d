//! Arguments and environment: NUL-terminated strings one after the other, and how many there may be.

use abi::limits::{ARG_MAX, ARG_MAX_CAP, MAX_ARG_STRINGS, MAX_ARG_STRLEN};
use abi::{Errno, UserAddr};

use crate::error::{Result, err};
use crate::mm::MemoryManager;
use crate::user::{UserCStr, UserPtr};

/// A list of strings in one buffer, as it will stand on the stack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Strings {
    bytes: Vec<u8>,
    count: usize,
}

/// How much execve(2) takes: a quarter of RLIMIT_STACK, at least 128 KiB, at most 6 MiB, pointers included.
#[derive(Clone, Copy, Debug)]
pub struct ArgLimits {
    total: usize,
}

impl Strings {
    /// Adds a string at the end; what follows a NUL in it is cut off.
    pub fn push(&mut self, text: &[u8]) {
        let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
        self.bytes.extend_from_slice(text);
        self.bytes.push(0);
        self.count += 1;
    }

    /// Replaces the first string (if there is one) by others.
    pub(super) fn replace_first(&mut self, by: &[&[u8]]) {
        let first = self.bytes.iter().position(|byte| *byte == 0).map_or(0, |end| end + 1);
        let mut head = Self::default();
        by.iter().for_each(|text| head.push(text));
        head.bytes.extend_from_slice(&self.bytes[first..]);
        head.count += self.count.saturating_sub(1);
        *self = head;
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The strings, each followed by a NUL.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The strings without their NULs.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes.split_inclusive(|byte| *byte == 0).map(|text| &text[..text.len() - 1])
    }

    /// Reads a NULL-terminated array of strings of the application; a null array is an empty one. E2BIG beyond the limits.
    pub fn read(mm: &MemoryManager, array: UserPtr<u64>, limits: ArgLimits) -> Result<Self> {
        let mut strings = Self::default();
        if array.is_null() {
            return Ok(strings);
        }
        loop {
            let text = mm.read(array.at(strings.count)?)?;
            if text == 0 {
                return Ok(strings);
            }
            let left = limits.total.saturating_sub(strings.size());
            if left == 0 || strings.count >= MAX_ARG_STRINGS {
                return err(Errno::E2BIG);
            }
            let max = left.min(MAX_ARG_STRLEN);
            let text = mm.read_cstr(UserCStr(UserAddr(text)), max);
            strings.push(&text.map_err(|e| if e.is(Errno::ENAMETOOLONG) { Errno::E2BIG.into() } else { e })?);
        }
    }

    /// What it costs of the limit.
    fn size(&self) -> usize {
        self.bytes.len() + self.count * 8
    }
}

impl<T: AsRef<[u8]>> FromIterator<T> for Strings {
    fn from_iter<I: IntoIterator<Item = T>>(texts: I) -> Self {
        let mut strings = Self::default();
        texts.into_iter().for_each(|text| strings.push(text.as_ref()));
        strings
    }
}

impl ArgLimits {
    /// The limits under an RLIMIT_STACK of `stack` bytes.
    #[must_use]
    pub fn new(stack: u64) -> Self {
        let quarter = usize::try_from(stack / 4).unwrap_or(usize::MAX);
        Self { total: quarter.clamp(ARG_MAX, ARG_MAX_CAP) }
    }

    /// E2BIG if all of it together is too much.
    pub(super) fn check(self, argv: &Strings, envp: &Strings, path: &[u8]) -> Result<()> {
        let too_long = |strings: &Strings| strings.iter().any(|text| text.len() >= MAX_ARG_STRLEN);
        let total = argv.size().saturating_add(envp.size()).saturating_add(path.len() + 1);
        if total > self.total || too_long(argv) || too_long(envp) {
            return err(Errno::E2BIG);
        }
        Ok(())
    }
}
