//! `/proc/sys/net`: the settings of a network namespace that steer its sockets.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use abi::Errno;
use abi::capability::Cap;
use abi::stat::S_IFREG;

use crate::error::err;
use crate::fs::pseudo::Tree;
use crate::fs::pseudo::text::TextFile;
use crate::net::inet::stack::{NetStack, Settings};
use crate::task::CurrentTask;
use crate::vfs::Inode;

/// One or two words of a namespace's network settings.
type Range = fn(&Settings) -> [Option<&AtomicU32>; 2];

/// Settings that a network namespace has and that steer its sockets.
const SETTINGS: &[(&str, Range)] = &[
    ("net/core/somaxconn", |net| [Some(&net.backlog), None]),
    ("net/ipv4/ip_local_port_range", |net| [Some(&net.first_port), Some(&net.last_port)]),
    ("net/ipv4/ip_unprivileged_port_start", |net| [Some(&net.unprivileged_port), None]),
    ("net/ipv4/ping_group_range", |net| [Some(&net.ping_first_group), Some(&net.ping_last_group)]),
];

/// The files, with their paths beneath /proc/sys.
pub(super) fn files(tree: &Tree) -> impl Iterator<Item = (&'static str, Arc<dyn Inode>)> {
    SETTINGS.iter().map(|(name, range)| (*name, setting(tree, *range)))
}

/// All names in those paths.
pub(super) fn words() -> impl Iterator<Item = &'static str> {
    SETTINGS.iter().flat_map(|(name, _)| name.split('/'))
}

/// A setting of the reader's network namespace, for its administrator to change.
fn setting(tree: &Tree, range: Range) -> Arc<dyn Inode> {
    TextFile::with(
        tree.meta(S_IFREG | 0o644, 1),
        Arc::new(move |task: &CurrentTask| {
            let net = NetStack::of(task);
            let words = range(&net.settings).into_iter().flatten();
            let text: Vec<String> = words.map(|word| word.load(Ordering::Relaxed).to_string()).collect();
            Ok(format!("{}\n", text.join("\t")).into_bytes())
        }),
        Some(Arc::new(move |task: &CurrentTask, bytes: &[u8]| {
            if !task.creds().has_in(Cap::CAP_NET_ADMIN, &task.namespaces().net.user_ns) {
                return err(Errno::EPERM);
            }
            let text = std::str::from_utf8(bytes).map_err(|_| Errno::EINVAL)?;
            let values: Result<Vec<u32>, _> = text.split_ascii_whitespace().map(str::parse).collect();
            let values = values.map_err(|_| Errno::EINVAL)?;
            let net = NetStack::of(task);
            let words: Vec<&AtomicU32> = range(&net.settings).into_iter().flatten().collect();
            if values.len() != words.len() || !net.settings.accepts(&words, &values) {
                return err(Errno::EINVAL);
            }
            for (word, value) in words.iter().zip(values) {
                word.store(value, Ordering::Relaxed);
            }
            Ok(())
        })),
    )
}
