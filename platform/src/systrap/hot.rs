//! Which `syscall` instructions of an application are used often.

use abi::UserAddr;

/// How many are counted at a time.
const SITES: usize = 32;

/// Counts of one thread.
#[derive(Debug)]
pub(super) struct HotSites {
    sites: [(UserAddr, u32); SITES],
    found: bool,
    /// How many calls make one hot.
    hot: u32,
}

impl HotSites {
    pub(super) fn new(hot: u32) -> Self {
        Self { sites: [(UserAddr::NULL, 0); SITES], found: false, hot }
    }

    /// A call was made by the instruction before `ip`.
    #[inline]
    pub(super) fn count(&mut self, ip: UserAddr) {
        let (site, count) = &mut self.sites[(ip.0 ^ ip.0 >> 5) as usize % SITES];
        if *site != ip {
            (*site, *count) = (ip, 0);
        }
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
}
