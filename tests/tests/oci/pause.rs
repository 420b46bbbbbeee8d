//! pause and resume.

use super::support::{Bench, Outcome, stderr, stdout, wait_until};

#[test]
fn paused_container_stands_still_and_goes_on() -> Outcome {
    let script = "i=0; while :; do i=$((i+1)); echo $i >/shared/count; done";
    let Some(mut bench) = Bench::running("pause", &["sh", "-c", script]) else { return Ok(()) };
    let shared = bench.dir.join("shared");
    std::fs::create_dir_all(&shared)?;
    bench.add_mount(serde_json::json!({
        "destination": "/shared", "type": "bind", "source": shared, "options": ["rbind", "rw"]
    }));
    let count = || std::fs::read_to_string(shared.join("count")).unwrap_or_default();
    bench.detached(&["run", "-d", "x"]);
    wait_until("it counts", || !count().trim().is_empty());
    stdout(&bench.call(&["pause", "x"]));
    assert_eq!(bench.status("x").as_deref(), Some("paused"));
    assert!(stderr(&bench.call(&["pause", "x"])).contains("container not running"));
    assert!(stderr(&bench.call(&["exec", "x", "true"])).contains("cannot exec in a paused container"));
    // What was under way when it stopped may still have been written.
    let (mut before, mut same) = (count(), 0);
    wait_until("it stands still", || {
        let now = count();
        same = if now == before { same + 1 } else { 0 };
        before = now;
        same > 50
    });
    stdout(&bench.call(&["resume", "x"]));
    assert_eq!(bench.status("x").as_deref(), Some("running"));
    wait_until("it goes on", || count() != before && !count().trim().is_empty());
    assert!(stderr(&bench.call(&["resume", "x"])).contains("container not paused"));
    stdout(&bench.call(&["pause", "x"]));
    stdout(&bench.call(&["delete", "--force", "x"]));
    assert!(bench.is_empty());
    Ok(())
}
