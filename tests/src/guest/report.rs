//! Reads what guest programs print, and tells which cases differ from what they should be.

use std::collections::{BTreeMap, BTreeSet};

use super::Run;

/// What came of a case.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It held.
    Ok,
    /// The machine cannot run it.
    Skipped,
    /// It did not hold; the line says where.
    Failed(String),
}

/// The outcome of each case, by name. A case that failed stays failed, whatever is printed later.
#[must_use]
pub fn outcomes(stdout: &str) -> BTreeMap<String, Outcome> {
    let mut cases = BTreeMap::new();
    for line in stdout.lines() {
        let Some((verdict, rest)) = line.split_once(' ') else { continue };
        let name = rest.split(':').next().unwrap_or(rest).to_owned();
        let outcome = match verdict {
            "ok" => Outcome::Ok,
            "skip" => Outcome::Skipped,
            "FAIL" => Outcome::Failed(rest.to_owned()),
            _ => continue,
        };
        cases.entry(name).or_insert(outcome);
    }
    cases
}

/// What is wrong with a native run: every case must hold or be skipped, and the program end well.
#[must_use]
pub fn native_failures(run: &Run) -> Vec<String> {
    let mut wrong: Vec<String> = outcomes(&run.stdout)
        .into_values()
        .filter_map(|outcome| if let Outcome::Failed(why) = outcome { Some(why) } else { None })
        .collect();
    if wrong.is_empty() && (run.code != Some(0) || run.stdout.is_empty()) {
        wrong.push(ending(run));
    }
    wrong
}

/// What is wrong with a run in the sandbox, by case: each case must end as it ended natively.
#[must_use]
pub fn differences(native: &Run, sandbox: &Run) -> BTreeMap<String, String> {
    let got = outcomes(&sandbox.stdout);
    let mut wrong = BTreeMap::new();
    for (name, want) in outcomes(&native.stdout) {
        match got.get(&name) {
            Some(outcome) if *outcome == want => {}
            // what the host would not let us try, the sandbox may
            Some(Outcome::Ok) if want == Outcome::Skipped => {}
            Some(Outcome::Failed(why)) => drop(wrong.insert(name, why.clone())),
            Some(outcome) => drop(wrong.insert(name, format!("{outcome:?} instead of {want:?}"))),
            None => drop(wrong.insert(name, format!("did not run: {}", ending(sandbox)))),
        }
    }
    if wrong.is_empty() && sandbox.code != native.code {
        wrong.insert("exit".to_owned(), ending(sandbox));
    }
    wrong
}

/// The lines `PLATFORM PROGRAM/CASE reason` of the list of known failures; the reason is required.
#[must_use]
pub fn known_failures(text: &str, platform: &str) -> BTreeSet<String> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let known = words.next()? == platform;
            let case = words.next()?;
            words.next()?;
            known.then(|| case.to_owned())
        })
        .collect()
}

fn ending(run: &Run) -> String {
    let how = match (run.code, run.timed_out) {
        (_, true) => "deadline passed".to_owned(),
        (Some(code), _) => format!("exit status {code}"),
        (None, _) => "killed by a signal".to_owned(),
    };
    let last = run.stderr.lines().last().unwrap_or("nothing on stderr");
    format!("{how}; {last}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(stdout: &str, code: i32) -> Run {
        Run { stdout: stdout.to_owned(), stderr: String::new(), code: Some(code), timed_out: false }
    }

    #[test]
    fn a_case_must_end_as_it_did_natively() {
        let native = run("ok a\nok b\nskip c: no\nok d\n", 0);
        let wrong = differences(&native, &run("ok a\nFAIL b: x.c:1: y\nok c\n", 1));
        assert_eq!(wrong.keys().collect::<Vec<_>>(), ["b", "d"]);
        assert_eq!(differences(&native, &run("ok a\nok b\nskip c: no\nok d\n", 0)).len(), 0);
        assert_eq!(differences(&native, &run("ok a\nok b\nskip c: no\nok d\n", 3)).len(), 1);
    }

    #[test]
    fn silence_is_a_failure() {
        assert_eq!(native_failures(&run("", 0)).len(), 1);
        assert_eq!(native_failures(&run("ok a\n", 0)).len(), 0);
    }

    #[test]
    fn known_failures_need_a_reason() {
        let text = "# comment\nptrace memory/brk not yet\nkvm memory/x y\nptrace memory/z\n";
        assert_eq!(known_failures(text, "ptrace").into_iter().collect::<Vec<_>>(), ["memory/brk"]);
    }
}
