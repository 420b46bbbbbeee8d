//! The caches of the CPU, by CPUID leaf 4 (Intel) or 0x8000001d (AMD), which have the same form.

use super::leaf;

/// No CPU describes more.
const MAX_CACHES: u32 = 8;

/// A cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cache {
    /// `Data`, `Instruction` or `Unified`.
    pub kind: &'static str,
    /// 1 is the nearest.
    pub level: u32,
    /// Bytes of a line.
    pub line: u32,
    /// Lines with one tag.
    pub partitions: u32,
    /// Lines of a set.
    pub ways: u32,
    /// Sets.
    pub sets: u32,
}

impl Cache {
    /// Bytes it holds.
    #[must_use]
    pub fn size(&self) -> u64 {
        [self.line, self.partitions, self.ways, self.sets].into_iter().map(u64::from).product()
    }
}

/// All caches, the nearest first; none if the CPU does not say.
#[must_use]
pub fn caches() -> Vec<Cache> {
    let extended = leaf(0x8000_0000, 0)[0];
    // TopologyExtensions.
    let amd = extended >= 0x8000_001d && leaf(0x8000_0001, 0)[2] >> 22 & 1 != 0;
    let number = match (amd, leaf(0, 0)[0]) {
        (true, _) => 0x8000_001d,
        (false, 4..) => 4,
        _ => return Vec::new(),
    };
    (0..MAX_CACHES).map_while(|index| parse(leaf(number, index))).collect()
}

fn parse([eax, ebx, ecx, _]: [u32; 4]) -> Option<Cache> {
    let kind = match eax & 0x1f {
        1 => "Data",
        2 => "Instruction",
        3 => "Unified",
        _ => return None,
    };
    Some(Cache {
        kind,
        level: eax >> 5 & 7,
        line: (ebx & 0xfff) + 1,
        partitions: (ebx >> 12 & 0x3ff) + 1,
        ways: (ebx >> 22) + 1,
        sets: ecx.saturating_add(1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaf_is_read_as_the_manual_says() {
        let cache = parse([0x0000_4121, (11 << 22) | 63, 63, 0]).expect("a data cache");
        assert_eq!((cache.kind, cache.level, cache.line, cache.ways, cache.sets), ("Data", 1, 64, 12, 64));
        assert_eq!(cache.size(), 48 << 10);
        assert_eq!(parse([0; 4]), None);
        assert!(caches().len() <= 8);
    }
}
