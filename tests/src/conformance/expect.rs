//! What entries should come to: a file of lines `NAME VERDICT`, one for each platform.
//!
//! `flaky` stands for entries that come out one way or another on a busy machine; they are run and never wrong.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::Verdict;

/// The expected verdict of each entry; `None` for those that may come out as they like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected(BTreeMap<String, Option<Verdict>>);

impl Expected {
    /// Reads a file; an error names the line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut entries = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
            let (name, word) = line.split_once(char::is_whitespace).ok_or_else(|| format!("no verdict: {line}"))?;
            let verdict = match word.trim() {
                "flaky" => None,
                word => Some(Verdict::named(word).ok_or_else(|| format!("no such verdict: {line}"))?),
            };
            entries.insert(name.to_owned(), verdict);
        }
        Ok(Self(entries))
    }

    /// Whether anything is expected of it.
    #[must_use]
    pub fn names(&self, entry: &str) -> bool {
        self.0.contains_key(entry)
    }

    /// What is wrong about a verdict, if anything. One that passes and should not is wrong too, so that the file tells the
    /// truth; among those that do not pass the way is not looked at.
    #[must_use]
    pub fn wrong(&self, entry: &str, seen: Verdict) -> Option<String> {
        let expected = (*self.0.get(entry)?)?;
        match (expected == Verdict::Pass, seen == Verdict::Pass) {
            (true, false) => Some(format!("{entry}: {seen}, and should pass")),
            (false, true) => Some(format!("{entry}: passes now, take it off the list")),
            _ => None,
        }
    }

    /// The file with these verdicts in place of the old ones; flaky entries stay so.
    #[must_use]
    pub fn updated(&self, seen: &BTreeMap<String, Verdict>) -> String {
        let mut text =
            String::from("# LTP's entries that pass natively, and what they come to here; see docs/conformance.md.\n");
        for (name, old) in &self.0 {
            let word = match (old, seen.get(name)) {
                (None, _) => "flaky".to_owned(),
                (Some(_), Some(verdict)) | (Some(verdict), None) => verdict.to_string(),
            };
            let _ = writeln!(text, "{name}\t{word}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Expected, Verdict};

    #[test]
    fn only_passing_or_not_is_compared() {
        let expected = Expected::parse("# list\na01\tpass\nb01\tconf\nc01\tflaky\n").expect("parses");
        assert!(expected.wrong("a01", Verdict::Pass).is_none());
        assert!(expected.wrong("a01", Verdict::Brok).is_some());
        assert!(expected.wrong("b01", Verdict::Fail).is_none());
        assert!(expected.wrong("b01", Verdict::Pass).is_some());
        assert!(expected.wrong("c01", Verdict::Fail).is_none());
        assert!(expected.wrong("d01", Verdict::Fail).is_none());
        assert!(Expected::parse("a01\tperhaps\n").is_err());
        let seen = BTreeMap::from([("b01".to_owned(), Verdict::Pass), ("c01".to_owned(), Verdict::Pass)]);
        assert!(expected.updated(&seen).ends_with("a01\tpass\nb01\tpass\nc01\tflaky\n"));
    }
}
