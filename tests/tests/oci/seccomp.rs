//! The profile of a container, in its first process and in those of exec.

use serde_json::json;

use super::support::{Bench, Outcome, stderr, stdout};

#[test]
fn profile_applies_to_all_processes() -> Outcome {
    let Some(mut bench) = Bench::running("seccomp", &["sh", "-c", "mkdir /tmp/x; grep Seccomp: /proc/self/status"])
    else {
        return Ok(());
    };
    bench.set("/linux", {
        let mut linux = bench.config["linux"].clone();
        linux["seccomp"] = json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "architectures": ["SCMP_ARCH_X86_64"],
            "syscalls": [{ "names": ["mkdir", "mkdirat", "of_tomorrow"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1 }]
        });
        linux
    });
    let output = bench.call(&["run", "x"]);
    assert!(stderr(&output).contains("Operation not permitted"), "{}", stderr(&output));
    bench.set("/process/args", json!(["sleep", "1000"]));
    bench.detached(&["run", "-d", "y"]);
    let output = bench.call(&["exec", "y", "mkdir", "/tmp/x"]);
    assert!(stderr(&output).contains("Operation not permitted"), "{}", stderr(&output));
    stdout(&bench.call(&["delete", "--force", "y"]));
    let mut linux = bench.config["linux"].clone();
    linux["seccomp"]["syscalls"][0]["action"] = json!("SCMP_ACT_NOTIFY");
    bench.set("/linux", linux);
    assert!(stderr(&bench.call(&["run", "z"])).contains("SCMP_ACT_NOTIFY is not supported"));
    Ok(())
}
