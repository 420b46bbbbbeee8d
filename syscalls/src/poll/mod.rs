//! Waiting for files: poll(2), select(2), epoll(7), inotify(7).

pub(crate) mod epoll;
pub(crate) mod inotify;
pub(crate) mod mask;
pub(crate) mod poll;
pub(crate) mod select;
