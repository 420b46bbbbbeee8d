//! The file systems and the kinds of files that are not on one.

pub mod device;
pub mod devpts;
pub mod epoll;
pub mod eventfd;
pub mod gofer;
pub mod hostfd;
pub mod inotify;
pub mod memfd;
pub mod nsfs;
pub mod overlay;
pub mod pipe;
pub mod poll;
pub mod proc;
pub mod pseudo;
pub mod signalfd;
pub mod sysfs;
pub mod timerfd;
pub mod tmpfs;
pub mod tty;
pub mod uring;
