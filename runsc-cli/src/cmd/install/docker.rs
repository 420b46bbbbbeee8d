//! Docker's `daemon.json`: an entry in `runtimes`.

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::Runtime;

/// The configuration with this runtime; `None` if it has it already.
pub(super) fn with(old: &str, runtime: &Runtime) -> Result<Option<String>> {
    let mut config = parse(old)?;
    let entry = match runtime.flags.as_slice() {
        [] => json!({ "path": runtime.path }),
        flags => json!({ "path": runtime.path, "runtimeArgs": flags }),
    };
    let runtimes = config.entry("runtimes").or_insert_with(|| json!({}));
    let runtimes = runtimes.as_object_mut().context("\"runtimes\" is not an object")?;
    if runtimes.get(&runtime.name) == Some(&entry) {
        return Ok(None);
    }
    runtimes.insert(runtime.name.clone(), entry);
    written(&config).map(Some)
}

/// The configuration without this runtime; `None` if it has no such.
pub(super) fn without(old: &str, runtime: &Runtime) -> Result<Option<String>> {
    let mut config = parse(old)?;
    let Some(runtimes) = config.get_mut("runtimes").and_then(Value::as_object_mut) else { return Ok(None) };
    if runtimes.remove(&runtime.name).is_none() {
        return Ok(None);
    }
    if runtimes.is_empty() {
        config.remove("runtimes");
    }
    if config.get("default-runtime").and_then(Value::as_str) == Some(&runtime.name) {
        config.remove("default-runtime");
    }
    written(&config).map(Some)
}

fn parse(text: &str) -> Result<Map<String, Value>> {
    if text.trim().is_empty() { Ok(Map::new()) } else { Ok(serde_json::from_str(text)?) }
}

fn written(config: &Map<String, Value>) -> Result<String> {
    Ok(serde_json::to_string_pretty(config)? + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let runtime = Runtime { name: "runsc-rs".into(), path: "/b".into(), flags: vec!["--debug".into()] };
        let old = "{\n  \"debug\": true,\n  \"runtimes\": {\n    \"x\": {\n      \"path\": \"/x\"\n    }\n  }\n}\n";
        let new = with(old, &runtime).unwrap().unwrap();
        assert!(new.contains("\"runtimeArgs\"") && new.contains("\"/x\""));
        assert_eq!(with(&new, &runtime).unwrap(), None);
        assert_eq!(without(&new, &runtime).unwrap().unwrap(), old);
        assert_eq!(without(old, &runtime).unwrap(), None);
        assert!(with("{", &runtime).is_err());
        assert_eq!(without(&with("", &runtime).unwrap().unwrap(), &runtime).unwrap().unwrap(), "{}\n");
    }
}
