//! The hash of names in directories: quick for short byte strings, seeded once per process so that an application cannot
//! choose names that collide.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::LazyLock;

/// Builds [`NameHasher`]s; without size, so that an empty map of names costs little.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NameHash;

/// Multiplies and folds eight bytes at a time.
#[derive(Debug)]
pub(crate) struct NameHasher(u64);

static SEED: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(0x9e37_79b9_u64));

impl BuildHasher for NameHash {
    type Hasher = NameHasher;
    fn build_hasher(&self) -> NameHasher {
        NameHasher(*SEED)
    }
}

impl NameHasher {
    fn mix(&mut self, word: u64) {
        let wide = u128::from(self.0 ^ word) * 0x9fb2_1c65_1e98_df25_u128;
        // The high half depends on all bits below, the low half on the rest.
        #[expect(clippy::cast_possible_truncation, reason = "both halves are wanted")]
        let folded = (wide as u64) ^ ((wide >> 64) as u64);
        self.0 = folded.wrapping_add(*SEED);
    }
}

impl Hasher for NameHasher {
    fn write(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            self.mix(u64::from_le_bytes(word.try_into().expect("chunks of eight bytes")));
        }
        let rest = words.remainder();
        if !rest.is_empty() {
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            self.mix(u64::from_le_bytes(last));
        }
    }

    fn write_usize(&mut self, value: usize) {
        self.mix(value as u64);
    }

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }
}
