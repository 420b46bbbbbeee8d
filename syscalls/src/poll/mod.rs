//! Waiting for files: poll(2), select(2), epoll(7).

pub(crate) mod epoll;
mod mask;
pub(crate) mod poll;
pub(crate) mod select;
