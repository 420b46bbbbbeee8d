//! Memory and tasks: what exceeds a limit, how limits change, what is told of it.

use serde_json::{Value, json};

use super::support::{Bench, Outcome, stderr, stdout, wait_until};

/// A shell whose child has more than it may.
const GREEDY: &str = "dd if=/dev/zero of=/dev/null bs=300M count=1; echo status $?";

#[test]
fn too_much_memory_kills_the_process_that_has_it() -> Outcome {
    let Some(mut bench) = Bench::running("oom", &["sh", "-c", GREEDY]) else { return Ok(()) };
    // The limit of the kernel itself: with a cgroup of the host, it would depend on that cgroup's speed too.
    bench.set("/linux/resources", json!({ "memory": { "limit": 128 << 20 } }));
    let output = bench.call(&["run", "x"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &stderr(&output);
    let by_us = text.contains("status 137");
    assert!(by_us || output.status.code() == Some(137), "{text}");
    assert!(bench.is_empty());
    Ok(())
}

/// Engines ask the host's cgroup why a container ended.
#[test]
fn host_counts_the_kill_of_the_first_process() -> Outcome {
    let dd = ["dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1"];
    let Some(mut bench) = Bench::running("oom-first", &dd) else { return Ok(()) };
    bench.set("/linux/resources", json!({ "memory": { "limit": 64 << 20, "swap": 64 << 20 } }));
    bench.detached(&["create", "x"]);
    let record = bench.record("x");
    let directories = record["cgroups"]["directories"].as_array().ok_or("no cgroups")?;
    bench.detached(&["start", "x"]);
    bench.wait_for("x", "stopped");
    let files = directories.iter().filter_map(Value::as_str).flat_map(|directory| {
        ["memory.oom_control", "memory.events"].map(|file| std::fs::read_to_string(format!("{directory}/{file}")))
    });
    let text: String = files.flatten().collect();
    let kills = text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.parse::<u64>().ok());
    assert!(kills.is_some_and(|kills| kills > 0), "{text}");
    stdout(&bench.call(&["delete", "x"]));
    assert!(bench.is_empty());
    Ok(())
}

#[test]
fn limits_change_while_it_runs() -> Outcome {
    let Some(bench) = Bench::running("update", &["sleep", "1000"]) else { return Ok(()) };
    bench.detached(&["run", "-d", "x"]);
    let stats = || -> Result<Value, Box<dyn std::error::Error>> {
        Ok(serde_json::from_str(&stdout(&bench.call(&["events", "--stats", "x"])))?)
    };
    let before = stats()?;
    assert_eq!(before["type"], "stats");
    assert_eq!(before["data"]["pids"]["limit"], 0);
    assert!(before["data"]["memory"]["usage"]["usage"].as_u64() > Some(0));
    stdout(&bench.call(&["update", "--memory", "200m", "--pids-limit", "5", "x"]));
    let after = stats()?;
    assert_eq!(after["data"]["memory"]["usage"]["limit"], 200 << 20);
    assert_eq!(after["data"]["pids"]["limit"], 5);
    let mut forks = bench.command(&["exec", "x", "sh", "-c", "for i in 1 2 3 4 5 6 7 8; do sleep 5 & done; echo done"]);
    let output = forks.output()?;
    assert!(stderr(&output).contains("can't fork"), "{}", stderr(&output));
    stdout(&bench.call(&["update", "--pids-limit", "-1", "x"]));
    assert_eq!(stats()?["data"]["pids"]["limit"], 0);
    assert!(stderr(&bench.call(&["update", "--memory", "much", "x"])).contains("invalid value"));
    Ok(())
}

#[test]
fn events_tell_of_a_kill() -> Outcome {
    let script = "while [ ! -e /tmp/go ]; do sleep 0.1; done; dd if=/dev/zero of=/dev/null bs=300M count=1; sleep 1000";
    let Some(mut bench) = Bench::running("oom-event", &["sh", "-c", script]) else { return Ok(()) };
    bench.set("/linux/resources", json!({}));
    bench.detached(&["run", "-d", "x"]);
    stdout(&bench.call(&["update", "--memory", "128m", "x"]));
    let log = bench.dir.join("events");
    let mut events =
        bench.command(&["events", "--interval", "500ms", "x"]).stdout(std::fs::File::create(&log)?).spawn()?;
    wait_until("it listens", || std::fs::read_to_string(&log).is_ok_and(|text| text.contains("stats")));
    stdout(&bench.call(&["exec", "x", "sh", "-c", "echo >/tmp/go"]));
    wait_until("it is told", || std::fs::read_to_string(&log).is_ok_and(|text| text.contains("\"type\":\"oom\"")));
    assert_eq!(bench.status("x").as_deref(), Some("running"), "only the process was killed");
    stdout(&bench.call(&["kill", "x", "KILL"]));
    assert!(events.wait()?.success());
    Ok(())
}
