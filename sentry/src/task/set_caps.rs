//! Changing capability sets and securebits (capset(2), prctl(2)), as capabilities(7) has it.

use abi::Errno;
use abi::capability::{Cap, CapSet, Securebits};

use super::Credentials;
use crate::error::{Result, err};

impl Credentials {
    /// capset(2).
    pub fn with_capabilities(&self, effective: CapSet, permitted: CapSet, inheritable: CapSet) -> Result<Self> {
        let inherit_limit = match self.has(Cap::CAP_SETPCAP) {
            true => CapSet::FULL,
            false => self.inheritable.union(self.permitted),
        };
        let allowed = inherit_limit.contains_all(inheritable)
            && self.inheritable.union(self.bounding).contains_all(inheritable)
            && self.permitted.contains_all(permitted)
            && permitted.contains_all(effective);
        if !allowed {
            return err(Errno::EPERM);
        }
        let ambient = self.ambient.intersection(permitted).intersection(inheritable);
        Ok(Self { effective, permitted, inheritable, ambient, ..self.clone() })
    }

    /// PR_CAPBSET_DROP.
    pub fn without_bounding(&self, cap: Cap) -> Result<Self> {
        if !self.has(Cap::CAP_SETPCAP) {
            return err(Errno::EPERM);
        }
        let mut new = self.clone();
        new.bounding.remove(cap);
        Ok(new)
    }

    /// PR_CAP_AMBIENT_RAISE.
    pub fn with_ambient(&self, cap: Cap) -> Result<Self> {
        if !self.permitted.contains(cap)
            || !self.inheritable.contains(cap)
            || self.securebits.contains(Securebits::SECBIT_NO_CAP_AMBIENT_RAISE)
        {
            return err(Errno::EPERM);
        }
        let mut new = self.clone();
        new.ambient.insert(cap);
        Ok(new)
    }

    /// PR_SET_SECUREBITS. EPERM for a locked bit, a lock that would open, or without CAP_SETPCAP.
    pub fn with_securebits(&self, bits: u32) -> Result<Self> {
        let old = self.securebits.bits();
        let locked = (old & Securebits::LOCKS.bits()) >> 1;
        let unlocks = old & Securebits::LOCKS.bits() & !bits;
        if locked & (old ^ bits) != 0
            || unlocks != 0
            || bits & !Securebits::all().bits() != 0
            || !self.has(Cap::CAP_SETPCAP)
        {
            return err(Errno::EPERM);
        }
        Ok(Self { securebits: Securebits::from_bits_retain(bits), ..self.clone() })
    }

    /// PR_SET_KEEPCAPS.
    pub fn with_keep_caps(&self, keep: bool) -> Result<Self> {
        if self.securebits.contains(Securebits::SECBIT_KEEP_CAPS_LOCKED) {
            return err(Errno::EPERM);
        }
        let mut new = self.clone();
        new.securebits.set(Securebits::SECBIT_KEEP_CAPS, keep);
        Ok(new)
    }
}

#[cfg(test)]
mod tests {
    use super::super::UserNamespace;
    use super::*;

    #[test]
    fn sets_only_shrink_and_ambient_follows() {
        let mut creds = Credentials::root(UserNamespace::root());
        creds.inheritable.insert(Cap::CAP_CHOWN);
        creds = creds.with_ambient(Cap::CAP_CHOWN).unwrap();
        let none = creds.with_capabilities(CapSet::EMPTY, CapSet::EMPTY, creds.inheritable).unwrap();
        assert!(none.ambient.is_empty());
        assert!(none.with_capabilities(CapSet::EMPTY, CapSet::FULL, CapSet::EMPTY).is_err());
        assert!(creds.with_ambient(Cap::CAP_KILL).is_err());
    }

    #[test]
    fn locked_securebits_stay() {
        let creds = Credentials::root(UserNamespace::root());
        let locked = creds.with_securebits(0b1100).unwrap();
        assert!(locked.with_securebits(0b0100).is_err());
        assert!(locked.with_securebits(0b1000).is_err());
        assert!(locked.with_securebits(0b1110).is_ok());
    }
}
