//! 9P2000.L: messages, their codec, framing, negotiation, and a blocking client.
//!
//! - [`wire`] reads and writes the basic types; every length is checked against what is there, nothing is allocated
//!   for what a peer merely claims, and nothing panics.
//! - [`message`] is one table of all messages. Decoding borrows from the receive buffer.
//! - [`types`], [`attr`], [`flags`], [`name`] are the values inside messages.
//! - [`transport`] cuts a byte stream into messages, with at most one file descriptor attached to each.
//! - [`version`] negotiates the dialect: plain `9P2000.L`, or `9P2000.L.runsc1`, which adds messages that save round
//!   trips (walk with attributes, creation with attributes, directory listings with attributes) and donate host files.
//! - [`client`] is the side that asks; the side that answers is the `gofer` crate.
//!
//! Peers are hostile to each other: the server because an application may have taken over the client, the client
//! because it shares no memory and trusts no number it is told.
//!
//! Specification of the plain dialect: `protocol.md` of the diod project, and `net/9p` of Linux.
#![forbid(unsafe_code)]

pub mod attr;
pub mod client;
pub mod dirent;
pub mod flags;
pub mod message;
pub mod name;
pub mod transport;
pub mod types;
pub mod version;
pub mod wire;

pub use attr::{Stat, Timestamp};
pub use client::{Client, ClientError};
pub use message::{Message, Request, Tmessage};
pub use name::Name;
pub use transport::{FrameReader, Transport};
pub use types::{Fid, Qid, QidKind, Tag};
pub use version::Dialect;
pub use wire::{Blob, DecodeError, List, Reader, Str, Wire, Writer};
