//! Runs the Linux Test Project's system-call tests under `runsc-rs` and compares with what is expected.
//!
//! `cargo run -p tests --bin conformance -- LTP --rootfs DIR [--platform NAME] [--jobs N] [--seconds S] [--update] [NAME...]`
//!
//! LTP is a folder in which LTP was built, or installed; DIR a root file system with a shell (any Debian). Without names the
//! entries of tests/conformance/PLATFORM.tsv are run. `--update` writes what was seen into that file. `RUNSC_RS` names
//! another runtime. What an entry printed is in target/conformance/PLATFORM/log.

#![expect(clippy::disallowed_types, reason = "the tests share no locks with the kernel")]

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tests::conformance::Verdict;
use tests::conformance::expect::Expected;
use tests::conformance::run::Setting;
use tests::conformance::suite::{self, Entry};
use tests::guest::sandbox;
use tests::workspace;

/// What the command line asks for.
#[derive(Debug)]
struct Options {
    ltp: PathBuf,
    rootfs: PathBuf,
    platform: String,
    jobs: usize,
    seconds: u64,
    update: bool,
    names: Vec<String>,
}

fn main() -> ExitCode {
    match parse(std::env::args().skip(1)).and_then(|options| run(&options).map_err(|e| e.to_string())) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            println!("conformance: {why}");
            ExitCode::from(2)
        }
    }
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut words = Vec::new();
    let mut options = Options {
        ltp: PathBuf::new(),
        rootfs: PathBuf::new(),
        platform: "systrap".to_owned(),
        jobs: 2,
        seconds: 60,
        update: false,
        names: Vec::new(),
    };
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
        match arg.as_str() {
            "--rootfs" => options.rootfs = value()?.into(),
            "--platform" => options.platform = value()?,
            "--jobs" => options.jobs = value()?.parse().map_err(|_| "--jobs is a number")?,
            "--seconds" => options.seconds = value()?.parse().map_err(|_| "--seconds is a number")?,
            "--update" => options.update = true,
            _ => words.push(arg),
        }
    }
    let mut words = words.into_iter();
    options.ltp = words.next().ok_or("which folder is LTP in?")?.into();
    options.names = words.collect();
    if options.rootfs.as_os_str().is_empty() {
        return Err("--rootfs is missing".to_owned());
    }
    Ok(options)
}

/// Whether everything was as expected.
fn run(options: &Options) -> Result<bool, Box<dyn Error>> {
    let list = workspace().join("tests/conformance").join(format!("{}.tsv", options.platform));
    let expected = Expected::parse(&fs::read_to_string(&list)?)?;
    let work = workspace().join("target/conformance").join(&options.platform);
    let setting = Setting {
        runtime: sandbox::find_runtime()?,
        platform: options.platform.clone(),
        rootfs: options.rootfs.canonicalize()?,
        programs: suite::programs(&options.ltp.canonicalize()?, &workspace().join("target/conformance/bin"))?,
        log: work.join("log"),
        work,
        limit: Duration::from_secs(options.seconds),
    };
    let wanted = |entry: &Entry| match options.names.is_empty() {
        true => expected.names(&entry.name),
        false => options.names.contains(&entry.name),
    };
    let entries: Vec<Entry> = suite::entries(&options.ltp)?.into_iter().filter(wanted).collect();
    let seen = run_all(&setting, &entries, options.jobs.max(1))?;
    let mut totals = BTreeMap::new();
    let mut fine = true;
    for (name, verdict) in &seen {
        *totals.entry(verdict.to_string()).or_insert(0u32) += 1;
        if let Some(wrong) = expected.wrong(name, *verdict) {
            println!("{wrong}");
            fine = false;
        }
    }
    println!("{} entries on {}: {totals:?}", seen.len(), options.platform);
    if options.update {
        fs::write(&list, expected.updated(&seen))?;
    }
    Ok(fine)
}

/// Runs the entries, `jobs` at a time.
fn run_all(setting: &Setting, entries: &[Entry], jobs: usize) -> Result<BTreeMap<String, Verdict>, Box<dyn Error>> {
    let (todo, seen, failure) = (Mutex::new(entries.iter()), Mutex::new(BTreeMap::new()), Mutex::new(None));
    thread::scope(|scope| {
        for worker in 0..jobs {
            let (todo, seen, failure) = (&todo, &seen, &failure);
            let own = Setting { work: setting.work.join(worker.to_string()), ..setting.clone() };
            scope.spawn(move || {
                while let Some(entry) = { todo.lock().unwrap_or_else(PoisonError::into_inner).next() } {
                    match own.run(entry) {
                        Ok(verdict) => {
                            seen.lock().unwrap_or_else(PoisonError::into_inner).insert(entry.name.clone(), verdict);
                        }
                        Err(e) => {
                            *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(e);
                            return;
                        }
                    }
                }
            });
        }
    });
    match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(e) => Err(e.into()),
        None => Ok(seen.into_inner().unwrap_or_else(PoisonError::into_inner)),
    }
}
