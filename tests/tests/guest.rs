//! Runs every guest program of tests/guest natively, then in the sandbox on each platform, and compares case by case.
//!
//! `cargo test -p tests --test guest -- NAME...` runs those whose names contain one of the words. `RUNSC_RS` names another
//! runtime, `GUEST_PLATFORMS` other platforms (empty: native only), `GUEST_SECONDS` another limit. Cases known to fail are
//! listed in tests/guest/known-failures; one that is listed and holds is an error too, so that the list only shrinks.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use tests::guest::build::{Program, build_all};
use tests::guest::{Run, report, run_to_end, sandbox};
use tests::workspace;

/// The platforms that every program must run on, besides kvm where there is `/dev/kvm`.
const PLATFORMS: &str = "systrap,systrap-futex,systrap-eager,ptrace";
/// How long one program may take.
const SECONDS: u64 = 120;
/// After so many programs in a row that print nothing, a platform is given up: each may cost the whole limit.
const MAX_SILENT: u32 = 2;

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    match run_all(&wanted) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(failed) => {
            println!("guest: {failed} failures");
            ExitCode::FAILURE
        }
        Err(e) => {
            println!("guest: {e}");
            ExitCode::FAILURE
        }
    }
}

/// Returns the number of failures.
fn run_all(wanted: &[String]) -> Result<usize, Box<dyn Error>> {
    let work = workspace().join("target/guest");
    if Command::new("gcc").arg("--version").output().is_err() {
        println!("skip guest programs: gcc is not installed");
        return Ok(0);
    }
    let programs = build_all(&work.join("bin"), wanted)?;
    let limit =
        Duration::from_secs(std::env::var("GUEST_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(SECONDS));
    let in_namespace = Command::new("unshare")
        .args(["--pid", "--fork", "--mount-proc", "--kill-child", "true"])
        .output()
        .is_ok_and(|output| output.status.success());
    let mut failed = 0;
    let mut native = Vec::new();
    for program in &programs {
        let run = run_natively(program, &work.join("native"), limit, in_namespace)?;
        let wrong = report::native_failures(&run);
        print_verdict("native", &program.name, &wrong);
        failed += wrong.len();
        native.push(run);
    }
    let platforms = std::env::var("GUEST_PLATFORMS").unwrap_or_else(|_| all_platforms());
    for platform in platforms.split(',').filter(|p| !p.is_empty()) {
        failed += run_on(platform, &programs, &native, &work, limit, wanted.is_empty())?;
    }
    Ok(failed)
}

/// Those that work here.
fn all_platforms() -> String {
    match fs::File::options().read(true).write(true).open("/dev/kvm") {
        Ok(_) => format!("{PLATFORMS},kvm"),
        Err(error) => {
            println!("skip kvm: /dev/kvm: {error}");
            PLATFORMS.to_owned()
        }
    }
}

fn run_natively(program: &Program, scratch: &Path, limit: Duration, in_namespace: bool) -> Result<Run, Box<dyn Error>> {
    if scratch.exists() {
        fs::remove_dir_all(scratch)?;
    }
    fs::create_dir_all(scratch)?;
    // in a pid namespace as in the sandbox, where that is allowed: nothing a failed case leaves behind lives on
    let mut command = if in_namespace {
        let mut unshare = Command::new("unshare");
        unshare.args(["--pid", "--fork", "--mount-proc", "--kill-child"]).arg(&program.path);
        unshare
    } else {
        Command::new(&program.path)
    };
    command.current_dir(scratch).env_clear().env("PATH", "/usr/bin:/bin").env("HOME", "/root");
    Ok(run_to_end(&mut command, limit)?)
}

fn run_on(
    platform: &str,
    programs: &[Program],
    native: &[Run],
    work: &Path,
    limit: Duration,
    complete: bool,
) -> Result<usize, Box<dyn Error>> {
    let runtime = match sandbox::find_runtime() {
        Ok(runtime) => runtime,
        Err(why) => {
            println!("skip {platform}: {why}");
            return Ok(0);
        }
    };
    let list = fs::read_to_string(workspace().join("tests/guest/known-failures"))?;
    let mut known = report::known_failures(&list, platform);
    let root = work.join("rootfs");
    sandbox::make_root(&root, programs)?;
    let (mut failed, mut silent) = (0, 0);
    for (program, native) in programs.iter().zip(native) {
        let run = sandbox::run(&runtime, platform, &root, &program.name, work, limit)?;
        let mut wrong = Vec::new();
        for (case, why) in report::differences(native, &run) {
            if !known.remove(&format!("{}/{case}", program.name)) {
                wrong.push(format!("{case}: {why}"));
            }
        }
        print_verdict(platform, &program.name, &wrong);
        failed += wrong.len();
        silent = if run.stdout.is_empty() { silent + 1 } else { 0 };
        if silent == MAX_SILENT {
            println!("{platform} runs nothing: the rest is not tried");
            return Ok(failed);
        }
    }
    if complete {
        for case in &known {
            println!("{platform} {case} holds now, or is no more: take it off tests/guest/known-failures");
        }
        failed += known.len();
    }
    Ok(failed)
}

fn print_verdict(platform: &str, program: &str, wrong: &[String]) {
    println!("{platform} {program} {}", if wrong.is_empty() { "ok" } else { "FAILED" });
    for line in wrong {
        println!("    {line}");
    }
}
