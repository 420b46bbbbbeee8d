//! The Linux Test Project under `runsc-rs`: what each entry of its list of system-call tests says, and what it should.
//!
//! [`suite`] reads a built LTP's folder, [`run`] runs entries in containers of their own, [`expect`] compares with
//! tests/conformance.

pub mod expect;
pub mod run;
pub mod suite;

use std::fmt;

/// What an entry came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It passed.
    Pass,
    /// Something it tests is not as on Linux.
    Fail,
    /// It could not be set up.
    Brok,
    /// It says that what it tests is not there.
    Conf,
    /// It did not end in time.
    Timeout,
    /// Its program is not there.
    Missing,
}

impl Verdict {
    const ALL: [Self; 6] = [Self::Pass, Self::Fail, Self::Brok, Self::Conf, Self::Timeout, Self::Missing];

    /// What its exit status and its output say; no status is one that was killed at its limit.
    #[must_use]
    pub fn of(status: Option<i32>, output: &str) -> Self {
        let says = |word: &str| output.contains(word);
        match status {
            None => Self::Timeout,
            // 4: it passed, with a warning.
            Some(0 | 4) => Self::Pass,
            Some(127) => Self::Missing,
            Some(32) => Self::Conf,
            _ if says("TCONF") && !says("TFAIL") && !says("TBROK") && !says("TPASS") => Self::Conf,
            _ if says("TBROK") && !says("TFAIL") => Self::Brok,
            _ => Self::Fail,
        }
    }

    /// From its name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.to_string() == name)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Brok => "brok",
            Self::Conf => "conf",
            Self::Timeout => "timeout",
            Self::Missing => "missing",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Verdict;

    #[test]
    fn verdicts_are_those_of_the_suite() {
        assert_eq!(Verdict::of(Some(0), ""), Verdict::Pass);
        assert_eq!(Verdict::of(Some(4), "TWARN"), Verdict::Pass);
        assert_eq!(Verdict::of(Some(1), "a.c:3: TFAIL: x\nTBROK"), Verdict::Fail);
        assert_eq!(Verdict::of(Some(2), "TPASS\nTBROK: no"), Verdict::Brok);
        assert_eq!(Verdict::of(Some(32), "TBROK"), Verdict::Conf);
        assert_eq!(Verdict::of(None, "TPASS"), Verdict::Timeout);
        assert_eq!(Verdict::named("conf"), Some(Verdict::Conf));
    }
}
