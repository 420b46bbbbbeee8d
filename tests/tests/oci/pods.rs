//! Several containers in one sandbox, by the annotations of a CRI.

use serde_json::json;

use super::support::{Bench, Outcome, stderr, stdout, wait_until};

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

/// What a container had in the sandbox of its pod goes with it: connections to its gofer, above all.
#[test]
fn containers_that_ended_leave_nothing_in_the_sandbox() -> Outcome {
    let Some(mut bench) = Bench::new("pod-again") else { return Ok(()) };
    member(&mut bench, "sandbox", &["sleep", "1000"]);
    bench.detached(&["run", "-d", "pause"]);
    let sandbox = bench.processes("pause").sandbox;
    let sockets = || {
        let links = std::fs::read_dir(format!("/proc/{sandbox}/fd")).into_iter().flatten().flatten();
        links.filter(|link| std::fs::read_link(link.path()).is_ok_and(|to| to.starts_with("socket:"))).count()
    };
    let before = sockets();
    bench.set("/linux/resources", json!({"memory": {"limit": 64 << 20}}));
    member(&mut bench, "container", &["sh", "-c", "sleep 1000 & ls / >/dev/null"]);
    for _ in 0..5 {
        assert_eq!(bench.call(&["run", "a"]).status.code(), Some(0));
        stdout(&bench.call(&["exec", "pause", "true"]));
    }
    wait_until("connections to be closed", || sockets() <= before);
    stdout(&bench.call(&["delete", "--force", "pause"]));
    Ok(())
}

/// Limits hold for each container of a pod, and who exceeds one harms itself alone.
#[test]
fn limits_hold_for_each_container_of_a_pod() -> Outcome {
    let Some(mut bench) = Bench::new("pod-limits") else { return Ok(()) };
    member(&mut bench, "sandbox", &["sleep", "1000"]);
    bench.detached(&["run", "-d", "pause"]);
    member(&mut bench, "container", &["sleep", "1000"]);
    bench.detached(&["run", "-d", "b"]);
    // A shell whose variable grows is killed; its parent lives.
    let line = "sh -c 'a=0123456789abcdef; while :; do a=$a$a; done' 2>/dev/null; echo status $?";
    bench.set("/linux/resources", json!({"memory": {"limit": 32 << 20}}));
    member(&mut bench, "container", &["sh", "-c", line]);
    assert_eq!(stdout(&bench.call(&["run", "a"])), "status 137\n");
    bench.set("/linux/resources", json!({"pids": {"limit": 8}}));
    let line = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 1000 & done 2>&1; echo none";
    member(&mut bench, "container", &["sh", "-c", line]);
    let output = bench.call(&["run", "a"]);
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), stderr(&output));
    assert!(text.contains("can't fork"), "{text}");
    assert_eq!(bench.status("b").as_deref(), Some("running"));
    stdout(&bench.call(&["exec", "b", "sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0 & done; wait"]));
    stdout(&bench.call(&["delete", "--force", "pause"]));
    Ok(())
}
