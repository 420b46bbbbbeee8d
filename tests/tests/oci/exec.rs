//! exec, in the foreground and detached.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use serde_json::json;

use super::support::{Bench, Outcome, kill, stderr, stdout, wait_until};

fn running(name: &str) -> Option<Bench> {
    let bench = Bench::running(name, &["sleep", "1000"])?;
    bench.detached(&["create", "x"]);
    bench.detached(&["start", "x"]);
    Some(bench)
}

#[test]
fn status_output_and_input() -> Outcome {
    let Some(bench) = running("exec") else { return Ok(()) };
    let mut child = bench
        .command(&["exec", "-e", "A=b", "--cwd", "/tmp", "x", "sh", "-c", "cat; echo $A; pwd; exit 7"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    child.stdin.take().expect("it was asked for").write_all(b"in\n")?;
    let output = child.wait_with_output()?;
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "in\nb\n/tmp\n");
    assert_eq!(bench.call(&["exec", "x", "sh", "-c", "kill -9 $$"]).status.code(), Some(137));
    let id = stdout(&bench.call(&["exec", "--user", "1000:100", "x", "id", "-u"]));
    assert_eq!(id, "1000\n");
    Ok(())
}

#[test]
fn unusable_programs() -> Outcome {
    let Some(bench) = running("exec-errors") else { return Ok(()) };
    let missing = bench.call(&["exec", "x", "nowhere"]);
    assert_eq!(missing.status.code(), Some(127));
    let text = "exec failed: unable to start container process: exec: \"nowhere\": executable file not found in $PATH";
    assert!(stderr(&missing).contains(text), "{}", stderr(&missing));
    assert_eq!(bench.call(&["exec", "x", "/bin"]).status.code(), Some(126));
    assert_eq!(bench.call(&["exec", "x"]).status.code(), Some(255));
    bench.call(&["kill", "x", "KILL"]);
    bench.wait_for("x", "stopped");
    let stopped = bench.call(&["exec", "x", "true"]);
    assert!(stderr(&stopped).contains("cannot exec in a stopped container"));
    Ok(())
}

#[test]
fn detached_process_has_a_stand_in() -> Outcome {
    let Some(bench) = running("exec-detached") else { return Ok(()) };
    let process = json!({
        "args": ["sleep", "777"], "env": ["PATH=/bin"], "cwd": "/", "user": {"uid": 0, "gid": 0}
    });
    let (file, pid_file) = (bench.dir.join("process.json"), bench.dir.join("exec.pid"));
    fs::write(&file, process.to_string())?;
    let (file, pid_file) = (file.to_string_lossy(), pid_file.to_string_lossy());
    bench.detached(&["exec", "--process", &file, "--detach", "--pid-file", &pid_file, "x"]);
    let pid: u64 = fs::read_to_string(&*pid_file)?.parse()?;
    let runs = || stdout(&bench.call(&["ps", "x"])).contains("sleep 777");
    assert!(runs());
    kill(pid);
    wait_until("the process to end with its stand-in", || !runs());
    Ok(())
}

#[test]
fn process_ends_with_its_command() -> Outcome {
    let Some(bench) = running("exec-killed") else { return Ok(()) };
    let mut child = bench.command(&["exec", "x", "sleep", "778"]).spawn()?;
    let runs = || stdout(&bench.call(&["ps", "x"])).contains("sleep 778");
    wait_until("the process to run", runs);
    child.kill()?;
    child.wait()?;
    wait_until("the process to end with its command", || !runs());
    Ok(())
}
