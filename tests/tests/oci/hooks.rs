//! Hooks of every kind: in order, with the state on their input, with what happens when one fails.

use serde_json::{Value, json};

use super::support::{Bench, Outcome, stderr, stdout};

/// A hook of the host that appends its name and the state's status to a file.
fn noting(bench: &Bench, name: &str) -> Value {
    let script = format!(
        "read -r state; echo {name} $(echo \"$state\" | grep -o '\"status\":\"[a-z]*\"') >>{}",
        bench.dir.join("hooks").display()
    );
    json!([{ "path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin"] }])
}

#[test]
fn each_kind_is_called_at_its_time() -> Outcome {
    let Some(mut bench) = Bench::running("hooks", &["sh", "-c", "cat /tmp/started"]) else { return Ok(()) };
    let inside = json!([{ "path": "/bin/sh", "args": ["sh", "-c", "cat >/tmp/started; echo $A >>/tmp/started"],
                          "env": ["A=hook"] }]);
    let all = json!({
        "prestart": noting(&bench, "prestart"),
        "createRuntime": noting(&bench, "createRuntime"),
        "createContainer": noting(&bench, "createContainer"),
        "startContainer": inside,
        "poststart": noting(&bench, "poststart"),
        "poststop": noting(&bench, "poststop"),
    });
    bench.insert("hooks", all);
    let output = stdout(&bench.call(&["run", "x"]));
    assert!(output.contains("\"id\":\"x\"") && output.contains("\"status\":\"created\""), "{output}");
    assert!(output.ends_with("hook\n"), "{output}");
    let lines = std::fs::read_to_string(bench.dir.join("hooks"))?;
    let expected = "prestart \"status\":\"creating\"\ncreateRuntime \"status\":\"creating\"\n\
                    createContainer \"status\":\"creating\"\npoststart \"status\":\"running\"\n\
                    poststop \"status\":\"stopped\"\n";
    assert_eq!(lines, expected);
    Ok(())
}

#[test]
fn start_hook_inherits_the_environment() -> Outcome {
    let Some(mut bench) = Bench::running("hook-environment", &["cat", "/tmp/seen"]) else { return Ok(()) };
    bench.set("/process/env", json!(["PATH=/bin", "ONE=two"]));
    let hook = |script| json!({ "path": "/bin/sh", "args": ["sh", "-c", script] });
    let mut bare = hook("echo \"own $ONE\" >>/tmp/seen");
    bare["env"] = json!([]);
    bench.insert("hooks", json!({ "startContainer": [hook("echo \"inherited $ONE\" >/tmp/seen"), bare] }));
    assert_eq!(stdout(&bench.call(&["run", "x"])), "inherited two\nown \n");
    Ok(())
}

#[test]
fn failed_or_slow_hook_ends_the_creation() -> Outcome {
    let Some(mut bench) = Bench::running("hook-fails", &["true"]) else { return Ok(()) };
    bench.insert(
        "hooks",
        json!({ "createRuntime": [{ "path": "/bin/sh", "args": ["sh", "-c", "echo no >&2; exit 3"] }] }),
    );
    let output = bench.call(&["run", "x"]);
    assert!(stderr(&output).contains("error running createRuntime hook #0"), "{}", stderr(&output));
    assert!(stderr(&output).contains("no"));
    assert!(bench.is_empty());
    bench.insert("hooks", json!({ "prestart": [{ "path": "/bin/sleep", "args": ["sleep", "100"], "timeout": 1 }] }));
    let output = bench.call(&["run", "x"]);
    assert!(stderr(&output).contains("hook ran past specified timeout of 1.0s"), "{}", stderr(&output));
    bench.insert("hooks", json!({ "startContainer": [{ "path": "/bin/false" }] }));
    let output = bench.call(&["run", "x"]);
    assert!(stderr(&output).contains("error running startContainer hook #0: exit status: 1"), "{}", stderr(&output));
    assert!(bench.is_empty());
    Ok(())
}
