//! create, start, kill, delete and run.

use std::io::Write;
use std::process::Stdio;

use serde_json::{Value, json};

use super::support::{Bench, Outcome, stderr, stdout};

#[test]
fn container_lives_and_goes() -> Outcome {
    let Some(bench) = Bench::running("life", &["sleep", "1000"]) else { return Ok(()) };
    let pid_file = bench.dir.join("pid");
    bench.detached(&["create", "--pid-file", &pid_file.to_string_lossy(), "x"]);
    let state: Value = serde_json::from_slice(&bench.call(&["state", "x"]).stdout)?;
    assert_eq!(state["status"], "created");
    assert_eq!(state["id"], "x");
    assert_eq!(state["pid"].to_string(), std::fs::read_to_string(pid_file)?);
    assert_eq!(state["bundle"], json!(bench.bundle.canonicalize()?));
    assert_eq!(state["rootfs"], json!(bench.bundle.join("rootfs").canonicalize()?));
    let processes = bench.processes("x");

    assert_eq!(stdout(&bench.call(&["start", "x"])), "");
    assert_eq!(bench.status("x").as_deref(), Some("running"));
    let again = bench.call(&["start", "x"]);
    assert!(stderr(&again).contains("cannot start an already running container"));
    let refused = bench.call(&["delete", "x"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("cannot delete container x that is not stopped: running"));

    let list: Value = serde_json::from_str(&stdout(&bench.call(&["list", "--format", "json"])))?;
    assert_eq!(list[0]["id"], "x");
    assert_eq!(stdout(&bench.call(&["list", "-q"])), "x\n");
    let ps = stdout(&bench.call(&["ps", "x"]));
    assert!(ps.contains("sleep 1000"), "{ps}");
    assert_eq!(stdout(&bench.call(&["ps", "--format", "json", "x"])), format!("[{}]", state["pid"]));

    assert_eq!(stdout(&bench.call(&["kill", "x", "KILL"])), "");
    bench.wait_for("x", "stopped");
    assert!(stderr(&bench.call(&["kill", "x", "KILL"])).contains("container not running"));
    assert_eq!(stdout(&bench.call(&["delete", "x"])), "");
    assert!(bench.is_empty() && processes.are_gone());
    Ok(())
}

#[test]
fn created_container_can_be_deleted() -> Outcome {
    let Some(bench) = Bench::running("created", &["sleep", "1000"]) else { return Ok(()) };
    bench.detached(&["create", "x"]);
    let processes = bench.processes("x");
    stdout(&bench.call(&["delete", "x"]));
    assert!(bench.is_empty() && processes.are_gone());
    Ok(())
}

#[test]
fn run_passes_output_and_status_through() -> Outcome {
    let Some(mut bench) = Bench::running("run", &["sh", "-c", "cat; echo err >&2; exit 7"]) else { return Ok(()) };
    let mut child =
        bench.command(&["run", "x"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    child.stdin.take().expect("it was asked for").write_all(b"through\n")?;
    let output = child.wait_with_output()?;
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "through\n");
    assert_eq!(stderr(&output), "err\n");
    assert!(bench.is_empty());

    bench.set("/process/args", json!(["sh", "-c", "sh -c 'kill -9 $$'; exit $?"]));
    assert_eq!(bench.call(&["run", "x"]).status.code(), Some(137));
    Ok(())
}

#[test]
fn end_by_a_signal_is_told() -> Outcome {
    let Some(bench) = Bench::running("signal", &["sh", "-c", "trap 'exit 5' TERM; while :; do sleep 0.1; done"]) else {
        return Ok(());
    };
    bench.detached(&["create", "x"]);
    bench.call(&["start", "x"]);
    let wait = bench.command(&["wait", "x"]).stdout(Stdio::piped()).spawn()?;
    // Until the trap is set the signal is ignored, as it is by any first process.
    super::support::wait_until("the trap's status", || {
        bench.call(&["kill", "x", "TERM"]);
        bench.status("x").as_deref() == Some("stopped")
    });
    let result: Value = serde_json::from_slice(&wait.wait_with_output()?.stdout)?;
    assert_eq!(result, json!({"id": "x", "exitStatus": 5}));
    Ok(())
}

#[test]
fn foreground_run_forwards_signals() -> Outcome {
    let script = "trap 'echo got; exit 3' TERM; echo ready; while :; do sleep 0.05; done";
    let Some(bench) = Bench::running("forward", &["sh", "-c", script]) else { return Ok(()) };
    let mut child = bench.command(&["run", "x"]).stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    let mut reader = std::io::BufReader::new(child.stdout.take().expect("it was asked for"));
    std::io::BufRead::read_line(&mut reader, &mut line)?;
    assert_eq!(line, "ready\n");
    super::support::signal(child.id().into(), "TERM");
    assert_eq!(child.wait()?.code(), Some(3));
    assert!(bench.is_empty());
    Ok(())
}

#[test]
fn files_are_preserved() -> Outcome {
    let Some(bench) = Bench::running("preserve", &["sh", "-c", "cat <&3"]) else { return Ok(()) };
    std::fs::write(bench.dir.join("given"), "through 3\n")?;
    let line = format!(
        "exec 3<{}; exec {:?} --root {:?} --network=none run --preserve-fds 1 x",
        bench.dir.join("given").display(),
        bench.command(&[]).get_program(),
        bench.dir.join("state"),
    );
    let output = std::process::Command::new("sh").args(["-c", &line]).current_dir(&bench.bundle).output()?;
    assert_eq!(stdout(&output), "through 3\n");
    Ok(())
}

#[test]
fn twenty_at_once() -> Outcome {
    let Some(bench) = Bench::running("twenty", &["echo", "here"]) else { return Ok(()) };
    let spawn = |n| bench.command(&["run", &format!("c{n}")]).stdout(Stdio::piped()).spawn();
    let children = (0..20).map(spawn).collect::<Result<Vec<_>, _>>()?;
    for child in children {
        assert_eq!(stdout(&child.wait_with_output()?), "here\n");
    }
    assert!(bench.is_empty());
    Ok(())
}

#[test]
fn initial_user_namespace_maps_all_ids() -> Outcome {
    let Some(bench) = Bench::running("id-map", &["cat", "/proc/self/uid_map", "/proc/self/gid_map"]) else {
        return Ok(());
    };
    let line = "         0          0 4294967295\n";
    assert_eq!(stdout(&bench.call(&["run", "x"])), line.repeat(2));
    Ok(())
}
