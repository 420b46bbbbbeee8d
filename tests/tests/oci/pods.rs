//! Several containers in one sandbox, by the annotations of a CRI.

use serde_json::json;

use super::support::{Bench, Outcome, stderr, stdout};

fn member(bench: &mut Bench, kind: &str, args: &[&str]) {
    bench.insert(
        "annotations",
        json!({ "io.kubernetes.cri.container-type": kind, "io.kubernetes.cri.sandbox-id": "pause" }),
    );
    bench.set("/process/args", json!(args));
}

#[test]
fn containers_of_a_pod_share_a_sandbox() -> Outcome {
    let Some(mut bench) = Bench::new("pod") else { return Ok(()) };
    member(&mut bench, "sandbox", &["sleep", "1000"]);
    bench.detached(&["run", "-d", "pause"]);
    member(
        &mut bench,
        "container",
        &["sh", "-c", "trap 'exit 5' TERM; echo mine >/tmp/a; while :; do sleep 0.1; done"],
    );
    bench.detached(&["create", "a"]);
    assert_eq!(bench.status("a").as_deref(), Some("created"));
    stdout(&bench.call(&["start", "a"]));
    member(&mut bench, "container", &["sleep", "1000"]);
    bench.detached(&["run", "-d", "b"]);
    // Its own root, its own processes.
    assert!(
        stdout(&bench.call(&["exec", "a", "sh", "-c", "until [ -e /tmp/a ]; do sleep 0.1; done; cat /tmp/a"]))
            .contains("mine")
    );
    assert!(stderr(&bench.call(&["exec", "b", "cat", "/tmp/a"])).contains("No such file"));
    assert!(stdout(&bench.call(&["exec", "b", "sh", "-c", "echo /proc/[0-9]*"])).starts_with("/proc/1 "));
    assert!(!stdout(&bench.call(&["ps", "b"])).contains("trap"));
    // One sandbox.
    assert_eq!(bench.record("a")["pod"], "pause");
    assert_ne!(bench.record("a")["sandbox"], bench.record("pause")["sandbox"], "a process stands in");
    // Each ends alone.
    stdout(&bench.call(&["kill", "a", "TERM"]));
    bench.wait_for("a", "stopped");
    stdout(&bench.call(&["delete", "a"]));
    assert_eq!(bench.status("b").as_deref(), Some("running"));
    stdout(&bench.call(&["kill", "b", "KILL"]));
    bench.wait_for("b", "stopped");
    stdout(&bench.call(&["delete", "b"]));
    // A name can be used again.
    bench.detached(&["run", "-d", "b"]);
    // The end of the sandbox is the end of all.
    stdout(&bench.call(&["kill", "pause", "KILL"]));
    bench.wait_for("pause", "stopped");
    bench.wait_for("b", "stopped");
    stdout(&bench.call(&["delete", "b"]));
    stdout(&bench.call(&["delete", "pause"]));
    assert!(bench.is_empty());
    Ok(())
}

#[test]
fn foreground_status_is_the_containers() -> Outcome {
    let Some(mut bench) = Bench::new("pod-run") else { return Ok(()) };
    member(&mut bench, "sandbox", &["sleep", "1000"]);
    bench.detached(&["run", "-d", "pause"]);
    member(&mut bench, "container", &["sh", "-c", "echo hello; exit 7"]);
    let output = bench.call(&["run", "a"]);
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stdout).as_ref()), (Some(7), "hello\n"));
    member(&mut bench, "container", &["/nowhere"]);
    assert_eq!(bench.call(&["run", "a"]).status.code(), Some(127));
    stdout(&bench.call(&["delete", "--force", "pause"]));
    assert!(stderr(&bench.call(&["run", "a"])).contains("sandbox pause of the pod"));
    assert!(bench.is_empty());
    Ok(())
}
