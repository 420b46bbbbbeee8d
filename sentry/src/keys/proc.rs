//! /proc/keys and /proc/key-users.

use std::fmt::Write;
use std::time::Instant;

use super::{Key, KeyType, Keys, Need};
use crate::task::CurrentTask;

impl Keys {
    /// /proc/keys: the keys that the reader may see.
    #[must_use]
    pub fn keys_text(&self, task: &CurrentTask) -> String {
        let mut text = String::new();
        for key in self.all() {
            let possessed = task.find_key(key.serial, false).is_ok_and(|found| found.possessed);
            if key.permit(task.creds(), possessed, Need::VIEW).is_ok() {
                line(&mut text, &key, task);
            }
        }
        text
    }

    /// /proc/key-users: what each user has.
    #[must_use]
    pub fn users_text(&self, task: &CurrentTask) -> String {
        let mut text = String::new();
        for (uid, has) in self.users() {
            let (keys, bytes) = self.limits_of(uid);
            let uid = task.creds().user_ns.show_uid(uid);
            let _ = writeln!(
                text,
                "{uid:5}: {:5} {}/{} {}/{keys} {}/{bytes}",
                has.keys, has.keys, has.keys, has.keys, has.bytes
            );
        }
        text
    }
}

fn line(text: &mut String, key: &std::sync::Arc<Key>, task: &CurrentTask) {
    let attr = key.attr();
    let ns = &task.creds().user_ns;
    let flag = |set: bool, name: char| if set { name } else { '-' };
    let flags: String =
        [flag(!attr.negative, 'I'), flag(attr.revoked, 'R'), '-', 'Q', '-', flag(attr.negative, 'N'), '-']
            .iter()
            .collect();
    let left = match attr.expires {
        None => "perm".to_owned(),
        Some(at) => match at.saturating_duration_since(Instant::now()).as_secs() {
            0 => "expd".to_owned(),
            s @ 1..60 => format!("{s}s"),
            s @ 60..3600 => format!("{}m", s / 60),
            s @ 3600..86400 => format!("{}h", s / 3600),
            s => format!("{}d", s / 86400),
        },
    };
    let size = match (key.kind, attr.len) {
        (KeyType::Keyring, 0) => ": empty".to_owned(),
        (_, n) => format!(": {n}"),
    };
    let _ = writeln!(
        text,
        "{:08x} {flags} {:5} {left:>4} {:08x} {:5} {:5} {:9} {}{size}",
        key.serial,
        std::sync::Arc::strong_count(key) - 1,
        attr.perm,
        ns.show_uid(attr.uid),
        ns.show_gid(attr.gid).cast_signed(),
        key.kind.name(),
        key.description.escape_ascii(),
    );
}
