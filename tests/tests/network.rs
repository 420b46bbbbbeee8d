//! The sandbox's own network stack over a veth pair: `tests/network/veth`, which says the cases.

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::process::Command;

    use tests::guest::sandbox::find_runtime;

    #[test]
    fn packets_leave_and_come_in() {
        let skip = |why: &str| println!("skip network: {why}");
        let runtime = match find_runtime() {
            Ok(runtime) => runtime,
            Err(why) => return skip(&why),
        };
        let root = std::fs::read_to_string("/proc/self/status").is_ok_and(|s| s.contains("\nUid:\t0\t0\t"));
        let has =
            |name: &str| ["/bin", "/sbin", "/usr/bin", "/usr/sbin"].iter().any(|d| Path::new(d).join(name).exists());
        if !root || !has("ip") || !has("python3") || !has("ping") {
            return skip("needs root, ip, python3 and ping");
        }
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("network/veth");
        let output = Command::new(script).arg(runtime).env("LAST", "20").output().expect("the script is there");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    }
}
