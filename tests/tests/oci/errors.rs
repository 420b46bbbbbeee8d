//! What is wrong is said in one line, with the right exit status, and nothing stays.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use super::support::{Bench, Outcome, stderr, stdout};

#[test]
fn unusable_programs() -> Outcome {
    let Some(mut bench) = Bench::new("programs") else { return Ok(()) };
    let bin = bench.bundle.join("rootfs/bin");
    let program = |name: &str, content: &[u8], mode| {
        fs::write(bin.join(name), content)?;
        fs::set_permissions(bin.join(name), fs::Permissions::from_mode(mode))
    };
    program("plain", b"#!/bin/sh\n", 0o644)?;
    program("text", b"no program at all", 0o755)?;
    program("orphan", b"#!/no/such/interpreter\n", 0o755)?;
    let mut foreign = fs::read(bin.join("busybox"))?;
    foreign[18] = 0xb7; // e_machine: AArch64
    program("foreign", &foreign, 0o755)?;
    let cases = [
        ("nowhere", 127, "exec: \"nowhere\": executable file not found in $PATH"),
        ("/bin/nowhere", 127, "no such file or directory"),
        ("/bin/orphan", 127, "no such file or directory"),
        ("/bin/plain", 126, "exec: \"/bin/plain\": permission denied"),
        ("/bin", 126, "permission denied"),
        ("/bin/text", 126, "exec format error"),
        ("/bin/foreign", 126, "exec format error"),
    ];
    for (program, status, text) in cases {
        bench.set("/process/args", json!([program]));
        let output = bench.call(&["run", "x"]);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(status), "{program}: {said}");
        assert!(said.contains(text) && said.lines().count() == 1, "{program}: {said}");
        // create is for engines, which read the message: its status is always 1.
        assert_eq!(bench.call(&["create", "x"]).status.code(), Some(1), "{program}");
        assert!(bench.is_empty(), "{program}");
    }
    Ok(())
}

#[test]
fn broken_bundles() -> Outcome {
    let Some(mut bench) = Bench::running("bundles", &["true"]) else { return Ok(()) };
    let good = bench.config.clone();
    let unlimited = json!({ "type": "RLIMIT_NOFILE", "soft": u64::MAX, "hard": u64::MAX });
    let unbounded = json!({ "bounding": [], "inheritable": ["CAP_KILL"] });
    let cases: [(&str, &str, Value); 11] = [
        ("invalid rootfs", "/root/path", json!("nowhere")),
        ("not a directory", "/root/path", json!("config.json")),
        ("args must not be empty", "/process/args", json!([])),
        ("Cwd must be an absolute path", "/process/cwd", json!("home")),
        ("RLIMIT_FOO", "/process/rlimits/0/type", json!("RLIMIT_FOO")),
        ("rlimit", "/process/rlimits/0/soft", json!(9999)),
        ("error setting rlimit type 7: operation not permitted", "/process/rlimits/0", unlimited),
        ("unable to apply caps: operation not permitted", "/process/capabilities", unbounded),
        ("invalid config.json", "/process", json!(5)),
        ("stat /no/such", "/mounts/1", json!({"destination": "/m", "type": "bind", "source": "/no/such"})),
        ("duplicated ns", "/linux/namespaces", json!([{"type": "pid"}, {"type": "pid"}])),
    ];
    for (text, pointer, value) in cases {
        bench.config = good.clone();
        bench.set(pointer, value);
        let output = bench.call(&["run", "x"]);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{text}: {said}");
        assert!(said.contains(text) && said.lines().count() == 1, "{text}: {said}");
        assert!(bench.is_empty(), "{text}");
    }
    for (text, content) in [("invalid config.json", "{"), ("invalid config.json", "")] {
        fs::write(bench.bundle.join("config.json"), content)?;
        assert!(stderr(&bench.call(&["create", "x"])).contains(text));
    }
    fs::remove_file(bench.bundle.join("config.json"))?;
    assert!(stderr(&bench.call(&["create", "x"])).contains("config.json not found"));
    assert!(bench.is_empty());
    Ok(())
}

#[test]
fn link_in_place_of_proc() -> Outcome {
    let Some(bench) = Bench::running("proc-link", &["true"]) else { return Ok(()) };
    let proc = bench.bundle.join("rootfs/proc");
    fs::remove_dir(&proc)?;
    for target in ["tmp", "proc"] {
        std::os::unix::fs::symlink(target, &proc)?;
        let output = bench.call(&["run", "x"]);
        let said = stderr(&output);
        assert!(said.contains("filesystem \"proc\" must be mounted on ordinary directory"), "{target}: {said}");
        fs::remove_file(&proc)?;
    }
    assert!(bench.is_empty());
    Ok(())
}

#[test]
fn users_of_the_host_are_shown() -> Outcome {
    let script = "cat /proc/self/uid_map /proc/self/gid_map; chown 5000 /tmp 2>/dev/null || echo refused";
    let Some(mut bench) = Bench::running("users", &["sh", "-c", script]) else { return Ok(()) };
    let mapping = |host: u32| json!([{ "containerID": 0, "hostID": host, "size": 1000 }]);
    bench.config["linux"]["uidMappings"] = mapping(100_000);
    bench.config["linux"]["gidMappings"] = mapping(200_000);
    bench.config["linux"]["namespaces"].as_array_mut().ok_or("no namespaces")?.push(json!({ "type": "user" }));
    let args = bench.config["process"]["args"].clone();
    bench.set("/process/args", args);
    let output = bench.call(&["run", "x"]);
    let words: Vec<_> = stdout(&output).split_whitespace().map(str::to_owned).collect();
    assert_eq!(words.join(" "), "0 100000 1000 0 200000 1000 refused", "{}", stderr(&output));
    Ok(())
}

#[test]
fn ids_and_containers_that_are_not_there() -> Outcome {
    let Some(bench) = Bench::running("ids", &["sleep", "1000"]) else { return Ok(()) };
    let commands: [&[&str]; 6] = [&["state"], &["start"], &["kill"], &["delete"], &["ps"], &["wait"]];
    for command in commands {
        let output = bench.call(&[command, &["nobody"]].concat());
        assert_eq!(output.status.code(), Some(1), "{command:?}");
        assert!(stderr(&output).contains("container does not exist"), "{command:?}");
    }
    assert_eq!(bench.call(&["exec", "nobody", "true"]).status.code(), Some(255));
    assert_eq!(stdout(&bench.call(&["delete", "--force", "nobody"])), "");
    for id in ["../x", "a b", ""] {
        assert_eq!(bench.call(&["run", id]).status.code(), Some(1), "{id:?}");
    }
    bench.detached(&["create", "x"]);
    let twice = bench.call(&["create", "x"]);
    assert!(stderr(&twice).contains("container with given ID already exists"));
    assert_eq!(bench.status("x").as_deref(), Some("created"), "the first one is not harmed");
    let unknown = bench.call(&["kill", "x", "FOO"]);
    assert!(stderr(&unknown).contains("unknown signal"));
    Ok(())
}

#[test]
fn log_file_gets_json() -> Outcome {
    let Some(bench) = Bench::running("log", &["nowhere"]) else { return Ok(()) };
    let log = bench.dir.join("log.json");
    let output = bench.call(&["--log", &log.to_string_lossy(), "--log-format", "json", "create", "x"]);
    let text = fs::read_to_string(&log)?;
    let line: Value = serde_json::from_str(text.lines().last().unwrap_or_default())?;
    assert_eq!(line["level"], "error");
    let message = line["msg"].as_str().unwrap_or_default();
    assert!(message.contains("executable file not found in $PATH"), "{message}");
    assert_eq!(stderr(&output).trim_end(), message, "the bare message is on standard error too");
    Ok(())
}

#[test]
fn other_platforms_are_refused() -> Outcome {
    let Some(bench) = Bench::running("platform", &["true"]) else { return Ok(()) };
    let output = bench.call(&["--platform", "xen", "run", "x"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("invalid value 'xen' for '--platform"), "{}", stderr(&output));
    assert!(bench.is_empty());
    Ok(())
}
