//! The `config.json` that `spec` writes to start from.

/// For a container started by root, byte for byte what runc writes, so that what is built on the one works on the other.
pub(crate) const DEFAULT: &str = include_str!("template.json");

/// For a container started by somebody else: a user namespace with just that user, no network namespace, the host's sysfs.
pub(crate) fn rootless(uid: u32, gid: u32) -> String {
    let mapping = |name, id| {
        format!(
            "\t\t\"{name}\": [\n\t\t\t{{\n\t\t\t\t\"containerID\": 0,\n\t\t\t\t\"hostID\": {id},\n\t\t\t\t\"size\": 1\n\t\t\t}}\n\t\t],\n"
        )
    };
    let mappings = mapping("uidMappings", uid) + &mapping("gidMappings", gid);
    DEFAULT
        .replace(",\n\t\t\t\t\"gid=5\"", "")
        .replace("\"type\": \"sysfs\",\n\t\t\t\"source\": \"sysfs\",\n\t\t\t\"options\": [", SYSFS)
        .replace(RESOURCES, &mappings)
        .replace("\t\t\t{\n\t\t\t\t\"type\": \"network\"\n\t\t\t},\n", "")
        .replace(
            "\"type\": \"mount\"\n\t\t\t}",
            "\"type\": \"mount\"\n\t\t\t},\n\t\t\t{\n\t\t\t\t\"type\": \"user\"\n\t\t\t}",
        )
}

const SYSFS: &str = "\"type\": \"none\",\n\t\t\t\"source\": \"/sys\",\n\t\t\t\"options\": [\n\t\t\t\t\"rbind\",";
const RESOURCES: &str = "\t\t\"resources\": {\n\t\t\t\"devices\": [\n\t\t\t\t{\n\t\t\t\t\t\"allow\": false,\n\t\t\t\t\t\"access\": \"rwm\"\n\t\t\t\t}\n\t\t\t]\n\t\t},\n";

#[cfg(test)]
mod tests {
    use oci_spec::runtime::{LinuxNamespaceType, Spec};

    use super::*;

    #[test]
    fn rootless_maps_the_user() {
        let spec: Spec = serde_json::from_str(&rootless(1000, 100)).unwrap();
        let linux = spec.linux().as_ref().unwrap();
        let mapping = &linux.gid_mappings().as_ref().unwrap()[0];
        assert_eq!((mapping.container_id(), mapping.host_id(), mapping.size()), (0, 100, 1));
        let kinds: Vec<_> = linux.namespaces().iter().flatten().map(|n| n.typ()).collect();
        assert!(kinds.contains(&LinuxNamespaceType::User) && !kinds.contains(&LinuxNamespaceType::Network));
        assert!(linux.resources().is_none());
        let text = rootless(0, 0);
        assert!(text.contains("\"rbind\"") && !text.contains("gid=5"));
    }
}
