//! Capability sets, capabilities(7).

use std::str::FromStr;

use anyhow::{Result, anyhow, ensure};
use caps::Capability;
use control::spec::Capabilities;
use oci_spec::runtime::LinuxCapabilities;
use serde_json::Value;

/// Every capability that we know, in the order of their numbers.
pub(crate) fn all() -> Vec<Capability> {
    let mut all: Vec<_> = caps::all().into_iter().collect();
    all.sort_unstable_by_key(Capability::index);
    all
}

/// The bits of all of them.
pub(crate) fn every() -> u64 {
    all().iter().fold(0, |mask, capability| mask | 1 << capability.index())
}

/// The sets as bit masks. Absent means empty. What is inheritable has to be in the bounding set, which is set first, capset(2).
pub(crate) fn masks(sets: Option<&LinuxCapabilities>) -> Result<Capabilities> {
    let Some(sets) = sets else { return Ok(Capabilities::default()) };
    let masks = Capabilities {
        bounding: mask(sets.bounding())?,
        effective: mask(sets.effective())?,
        inheritable: mask(sets.inheritable())?,
        permitted: mask(sets.permitted())?,
        ambient: mask(sets.ambient())?,
    };
    ensure!(masks.inheritable & !masks.bounding == 0, "unable to apply caps: operation not permitted");
    Ok(masks)
}

/// The bit of a capability by its name, with or without `CAP_`.
pub(crate) fn bit(name: &str) -> Result<u64> {
    let upper = name.to_ascii_uppercase();
    let full = if upper.starts_with("CAP_") { upper } else { format!("CAP_{upper}") };
    let capability = Capability::from_str(&full).map_err(|_| anyhow!("unknown capability {name:?}"))?;
    Ok(1 << capability.index())
}

/// Takes names that we do not know out of the sets of `config.json`, and returns them.
pub(crate) fn remove_unknown(sets: Option<&mut Value>) -> Vec<String> {
    let mut unknown = Vec::new();
    for set in sets.and_then(Value::as_object_mut).into_iter().flat_map(|sets| sets.values_mut()) {
        let Some(names) = set.as_array_mut() else { continue };
        names.retain(|name| {
            let Some(name) = name.as_str() else { return true };
            let known = bit(name).is_ok();
            if !known && !unknown.iter().any(|seen| seen == name) {
                unknown.push(name.to_owned());
            }
            known
        });
    }
    unknown
}

fn mask(set: &Option<oci_spec::runtime::Capabilities>) -> Result<u64> {
    set.iter().flatten().try_fold(0, |mask, capability| Ok(mask | bit(&capability.to_string())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_and_without_prefix() {
        assert_eq!(bit("CAP_CHOWN").unwrap(), 1);
        assert_eq!(bit("kill").unwrap(), 1 << 5);
        assert_eq!(bit("CHECKPOINT_RESTORE").unwrap(), 1 << 40);
        assert!(bit("CAP_OF_TOMORROW").is_err());
        assert_eq!(all().len(), 41);
    }

    #[test]
    fn inheritable_beyond_bounding_is_refused() {
        let sets = |text| serde_json::from_str::<LinuxCapabilities>(text).unwrap();
        assert!(masks(Some(&sets(r#"{"bounding":["CAP_KILL"],"inheritable":["CAP_KILL"]}"#))).is_ok());
        assert!(masks(Some(&sets(r#"{"permitted":["CAP_KILL"]}"#))).is_ok());
        let refused = masks(Some(&sets(r#"{"bounding":[],"inheritable":["CAP_KILL"]}"#))).unwrap_err();
        assert!(refused.to_string().contains("operation not permitted"));
    }
}
