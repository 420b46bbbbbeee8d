//! Which `syscall` instructions of an application are used often.

use abi::UserAddr;

/// How many are counted at a time: so many places in so many sets.
const SETS: usize = 8;
const PLACES: usize = 4;

/// Counts of one thread.
#[derive(Debug)]
pub(super) struct HotSites {
    sets: [[(UserAddr, u32); PLACES]; SETS],
    found: bool,
    /// How many calls make one hot.
    hot: u32,
}

impl HotSites {
    pub(super) fn new(hot: u32) -> Self {
        Self { sets: [[(UserAddr::NULL, 0); PLACES]; SETS], found: false, hot }
    }

    /// A call was made by the instruction before `ip`.
    #[inline]
    pub(super) fn count(&mut self, ip: UserAddr) {
        let set = &mut self.sets[(ip.0 ^ ip.0 >> 5 ^ ip.0 >> 10) as usize % SETS];
        let at = set.iter().position(|(site, _)| *site == ip).unwrap_or_else(|| {
            // The place of the one that was used least.
            let least = (1..PLACES).fold(0, |least, at| if set[at].1 < set[least].1 { at } else { least });
            set[least] = (ip, 0);
            least
        });
        let count = &mut set[at].1;
        *count = count.saturating_add(1);
        self.found = *count == self.hot;
    }

    /// Whether the last one has just become hot.
    #[inline]
    pub(super) fn take(&mut self) -> bool {
        std::mem::take(&mut self.found)
    }
}

#[cfg(test)]
mod tests {
    use super::HotSites;
    use abi::UserAddr;

    const HOT: u32 = 10;

    #[test]
    fn a_site_is_hot_once() {
        let mut sites = HotSites::new(HOT);
        for turn in 1..HOT * 3 {
            sites.count(UserAddr(0x1007));
            assert_eq!(sites.take(), turn == HOT);
            assert!(!sites.take());
        }
    }

    #[test]
    fn sites_that_take_turns_become_hot() {
        for distance in 1..1 << 14 {
            let mut sites = HotSites::new(HOT);
            let mut hot = 0;
            for turn in 0..u64::from(HOT) * 3 {
                sites.count(UserAddr(0x7fc0_b5fb_32ad + turn % 3 * distance));
                hot += u32::from(sites.take());
            }
            assert_eq!(hot, 3, "{distance:#x} apart");
        }
    }
}
