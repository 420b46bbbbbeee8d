//! The protocols of packets that leave the sandbox, behind an interface that knows neither files nor threads.
//!
//! An [`Engine`] is one Ethernet device: frames are given to it and taken from it, time is told to it. ARP, NDP, IP with
//! fragments and TCP are smoltcp's; UDP, ICMP and raw packets are handed out and taken as IP packets ([`packet`]), because
//! the kernel above has its own tables for them. No I/O, no locks, no clock of its own: whoever owns an engine locks it.
#![forbid(unsafe_code)]

mod device;
mod engine;
pub mod offload;
pub mod packet;
mod ramp;
mod run;
mod stream;

pub use engine::{Config, Engine, Listening, Route};
pub use offload::Offload;
pub use stream::{Handle, StreamError, StreamOptions, StreamState};
