//! What execve(2) does to credentials: set-user-ID and set-group-ID bits, file capabilities, the transformation of
//! capabilities(7).

use abi::Errno;
use abi::capability::{
    CapSet, Securebits, VFS_CAP_FLAGS_EFFECTIVE, VFS_CAP_REVISION_1, VFS_CAP_REVISION_2, VFS_CAP_REVISION_3,
    VFS_CAP_REVISION_MASK,
};
use abi::stat::{S_ISGID, S_ISUID, S_IXGRP};

use super::Credentials;
use super::user_ns::IdKind;
use crate::error::{Result, err};

/// What counts of the program's file.
#[derive(Clone, Debug, Default)]
pub(super) struct ProgramFile {
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// The value of `security.capability`.
    pub(super) caps: Option<Vec<u8>>,
    /// The mount says nosuid, or its user namespace is none of ours: set-id bits and capabilities do not count.
    pub(super) nosuid: bool,
}

/// The outcome.
#[derive(Clone, Debug)]
pub(super) struct ExecCreds {
    pub(super) creds: Credentials,
    /// AT_SECURE: the program runs with more rights than its caller.
    pub(super) secure: bool,
    /// Identities or capabilities were gained: personality flags that make attacks easier are cleared.
    pub(super) gained: bool,
}

/// Capabilities of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileCaps {
    permitted: CapSet,
    inheritable: CapSet,
    effective: bool,
    /// The kernel id of the root user whose user namespace they were set in.
    root: u32,
}

/// The credentials of `old`'s task after execve(2) of `file`. `shared`: its directories are shared with another process,
/// which could pull the ground from under a privileged program. EPERM if the file says its capabilities must all be had
/// and they cannot.
pub(super) fn for_exec(old: &Credentials, file: &ProgramFile, shared: bool) -> Result<ExecCreds> {
    let mut new = old.clone();
    let ids_count = !file.nosuid && !old.no_new_privs;
    if ids_count {
        let mapped = old.user_ns.from_kernel(IdKind::User, file.uid).is_some()
            && old.user_ns.from_kernel(IdKind::Group, file.gid).is_some();
        if mapped && file.mode & S_ISUID != 0 {
            new.euid = file.uid;
        }
        if mapped && file.mode & (S_ISGID | S_IXGRP) == S_ISGID | S_IXGRP {
            new.egid = file.gid;
        }
    }
    let root = old.root_uid();
    let is_root = |uid: u32| root == Some(uid);
    let file_caps = match &file.caps {
        Some(value) if !file.nosuid => parse(value)?.filter(|caps| caps.counts_for(old)),
        _ => None,
    };
    new.permitted = CapSet::EMPTY;
    let mut effective = false;
    if let Some(caps) = file_caps {
        new.permitted = new.bounding.intersection(caps.permitted).union(new.inheritable.intersection(caps.inheritable));
        effective = caps.effective;
        if effective && !new.permitted.contains_all(caps.permitted) {
            return err(Errno::EPERM);
        }
    }
    let privileged_root = !new.securebits.contains(Securebits::SECBIT_NOROOT);
    let set_user_id_root = !is_root(new.uid) && is_root(new.euid);
    if privileged_root && !(file_caps.is_some() && set_user_id_root) {
        if is_root(new.euid) || is_root(new.uid) {
            new.permitted = new.bounding.union(new.inheritable);
        }
        if is_root(new.euid) {
            effective = true;
        }
    }
    let mut set_id = new.euid != old.uid || new.egid != old.gid;
    let mut gained = !old.permitted.contains_all(new.permitted);
    if (set_id || gained) && (shared || old.no_new_privs) {
        if old.no_new_privs || !old.has(abi::capability::Cap::CAP_SETUID) {
            (new.euid, new.egid) = (new.uid, new.gid);
        }
        new.permitted = new.permitted.intersection(old.permitted);
        set_id = new.euid != old.uid || new.egid != old.gid;
        gained = false;
    }
    (new.suid, new.fsuid) = (new.euid, new.euid);
    (new.sgid, new.fsgid) = (new.egid, new.egid);
    if file_caps.is_some() || set_id {
        new.ambient = CapSet::EMPTY;
    }
    new.permitted = new.permitted.union(new.ambient);
    new.effective = if effective { new.permitted } else { new.ambient };
    new.securebits.remove(Securebits::SECBIT_KEEP_CAPS);
    let grew = !new.ambient.contains_all(new.permitted);
    let secure = set_id || (!is_root(new.uid) && (effective || grew));
    Ok(ExecCreds { creds: new, secure, gained: gained || set_id })
}

impl FileCaps {
    /// Whether they count for a task: they were set in its user namespace or an ancestor of it.
    fn counts_for(&self, creds: &Credentials) -> bool {
        let mut at = Some(&creds.user_ns);
        while let Some(ns) = at {
            if ns.to_kernel(IdKind::User, 0) == Some(self.root) {
                return true;
            }
            at = ns.parent.as_ref();
        }
        false
    }
}

/// Reads a `security.capability` value. `None` for a revision we do not know; EINVAL if it is malformed.
fn parse(value: &[u8]) -> Result<Option<FileCaps>> {
    let word = |index: usize| {
        let bytes = value.get(4 * index..4 * index + 4)?;
        bytes.try_into().ok().map(u32::from_le_bytes)
    };
    let magic = word(0).ok_or(Errno::EINVAL)?;
    let words = match magic & VFS_CAP_REVISION_MASK {
        VFS_CAP_REVISION_1 => 3,
        VFS_CAP_REVISION_2 => 5,
        VFS_CAP_REVISION_3 => 6,
        _ => return err(Errno::EINVAL),
    };
    if value.len() != words * 4 {
        return err(Errno::EINVAL);
    }
    let set = |low: usize, high: usize| {
        let high = if words > 3 { word(high).unwrap_or(0) } else { 0 };
        CapSet::from_bits_truncate(u64::from(word(low).unwrap_or(0)) | u64::from(high) << 32)
    };
    Ok(Some(FileCaps {
        permitted: set(1, 3),
        inheritable: set(2, 4),
        effective: magic & VFS_CAP_FLAGS_EFFECTIVE != 0,
        root: if words == 6 { word(5).unwrap_or(0) } else { 0 },
    }))
}

#[cfg(test)]
mod tests {
    use abi::capability::Cap;

    use super::super::UserNamespace;
    use super::*;

    fn user() -> Credentials {
        Credentials::root(UserNamespace::root()).with_uid(1000).unwrap()
    }

    fn file(mode: u32, caps: Option<(u32, u64)>) -> ProgramFile {
        let caps = caps.map(|(flags, permitted)| {
            let permitted = permitted.to_le_bytes();
            let mut value = (VFS_CAP_REVISION_2 | flags).to_le_bytes().to_vec();
            value.extend_from_slice(&permitted[..4]);
            value.extend_from_slice(&[0; 4]);
            value.extend_from_slice(&permitted[4..]);
            value.extend_from_slice(&[0; 4]);
            value
        });
        ProgramFile { mode, uid: 0, gid: 0, caps, nosuid: false }
    }

    #[test]
    fn a_plain_program_keeps_root_privileged_and_users_plain() {
        let root = for_exec(&Credentials::root(UserNamespace::root()), &file(0o755, None), false).unwrap();
        assert!(root.creds.effective == CapSet::FULL && !root.secure);
        let plain = for_exec(&user(), &file(0o755, None), false).unwrap();
        assert!(plain.creds.permitted.is_empty() && !plain.secure && !plain.gained);
    }

    #[test]
    fn set_user_id_root_gains_all_and_is_secure() {
        let su = for_exec(&user(), &file(0o4755, None), false).unwrap();
        assert_eq!((su.creds.uid, su.creds.euid, su.creds.suid), (1000, 0, 0));
        assert!(su.creds.effective == CapSet::FULL && su.secure);
    }

    #[test]
    fn nosuid_and_no_new_privs_take_it_away() {
        let nosuid = ProgramFile { nosuid: true, ..file(0o6755, None) };
        assert_eq!(for_exec(&user(), &nosuid, false).unwrap().creds.euid, 1000);
        let mut bound = user();
        bound.no_new_privs = true;
        let result = for_exec(&bound, &file(0o4755, Some((1, 1))), false).unwrap();
        assert!(result.creds.euid == 1000 && result.creds.permitted.is_empty());
        assert!(result.creds.effective.is_empty());
    }

    #[test]
    fn file_capabilities_are_granted_within_the_bounding_set() {
        let raw = 1u64 << Cap::CAP_NET_RAW as u64;
        let ping = for_exec(&user(), &file(0o755, Some((VFS_CAP_FLAGS_EFFECTIVE, raw))), false).unwrap();
        assert!(ping.creds.has(Cap::CAP_NET_RAW) && ping.secure && ping.gained);
        let mut bound = user();
        bound.bounding.remove(Cap::CAP_NET_RAW);
        assert!(for_exec(&bound, &file(0o755, Some((VFS_CAP_FLAGS_EFFECTIVE, raw))), false).is_err());
    }

    #[test]
    fn ambient_capabilities_survive_a_plain_program_only() {
        let mut creds = user();
        for set in [&mut creds.permitted, &mut creds.inheritable, &mut creds.ambient] {
            set.insert(Cap::CAP_NET_BIND_SERVICE);
        }
        let plain = for_exec(&creds, &file(0o755, None), false).unwrap();
        assert!(plain.creds.has(Cap::CAP_NET_BIND_SERVICE) && !plain.secure);
        let su = for_exec(&creds, &ProgramFile { uid: 7, ..file(0o4755, None) }, false).unwrap();
        assert!(su.creds.ambient.is_empty() && su.creds.permitted.is_empty());
    }

    #[test]
    fn malformed_attributes_are_refused() {
        for value in [&[][..], &[0; 20], &[0, 0, 0, 2, 0]] {
            assert!(parse(value).is_err());
        }
    }
}
