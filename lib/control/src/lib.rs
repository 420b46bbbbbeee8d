//! What the command line and a running sandbox say to each other.
//!
//! [`spec`] describes a container as the sandbox must build it; [`message`] are the requests and replies of the control
//! socket; [`wire`] frames both, with file descriptors beside them. The command line checks `config.json` and writes these
//! types; the sandbox trusts the command line, but a request never makes it panic. No I/O of its own: a [`wire::Wire`]
//! carries the bytes, so that this crate needs no unsafe and no host calls. No locks.
#![forbid(unsafe_code)]

pub mod message;
pub mod spec;
pub mod wire;

pub use message::{
    ContainerStats, ExitStatus, Failure, FailureKind, ProcessInfo, Reply, Request, SignalTarget, Status,
};
pub use spec::{
    ContainerSpec, FdSlot, LaunchSpec, LinkSpec, MountSource, MountSpec, ProcessSpec, RouteSpec, SandboxSpec,
};
pub use wire::{Donated, Wire, WireError};
