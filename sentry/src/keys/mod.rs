//! Keys and keyrings, keyrings(7): what add_key(2), request_key(2) and keyctl(2) work on.
//!
//! A [`Key`] lives as long as a keyring holds it, or a task has it as a keyring of its own; [`Keys`] finds keys by their
//! serial numbers and keeps the quotas of users. `possess` says what a task may reach, `special` which keyrings are its
//! own. There is no one outside to ask for a key: request_key(2) finds what is there, or leaves a negative key.
//!
//! Bounds: Linux's quotas for each user, and [`MOST_KEYS`] and [`MOST_BYTES`] for all together. Locks: `Leaf`, one at a
//! time; keys are dropped without any.

mod keyring;
mod possess;
mod proc;
mod registry;
mod special;

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Instant;

use abi::Errno;
use bitflags::bitflags;
use sync::Mutex;

pub use self::possess::Ref;
pub use self::registry::{Keys, Limits, MOST_BYTES, MOST_KEYS};
pub use self::special::TaskKeys;
use crate::error::{Result, err};
use crate::lock_order::Leaf;
use crate::task::Credentials;

bitflags! {
    /// What may be done with a key; the same six bits for possessors, its user, its group and others.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Need: u32 {
        /// To see that it is there, and its attributes.
        const VIEW = 1;
        /// To read its payload.
        const READ = 2;
        /// To change its payload, or what a keyring links.
        const WRITE = 4;
        /// To find it.
        const SEARCH = 8;
        /// To link it.
        const LINK = 0x10;
        /// To change its attributes.
        const SETATTR = 0x20;
    }
}

/// All rights of a possessor.
pub const POS_ALL: u32 = 0x3f00_0000;
/// All rights of its user.
pub const USR_ALL: u32 = 0x003f_0000;
/// Its user may see it.
pub const USR_VIEW: u32 = 0x0001_0000;
/// Its user may read it.
pub const USR_READ: u32 = 0x0002_0000;
/// Its user may link it.
pub const USR_LINK: u32 = 0x0010_0000;
/// Every bit that there is.
pub const ALL: u32 = 0x3f3f_3f3f;

/// The kinds of keys that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyType {
    /// Links other keys.
    Keyring,
    /// Bytes that applications may read.
    User,
    /// Bytes that they may not.
    Logon,
    /// Many bytes.
    BigKey,
}

impl KeyType {
    /// The type of that name; ENODEV if there is none.
    pub fn named(name: &[u8]) -> Result<Self> {
        match name {
            b"keyring" => Ok(Self::Keyring),
            b"user" => Ok(Self::User),
            b"logon" => Ok(Self::Logon),
            b"big_key" => Ok(Self::BigKey),
            _ => err(Errno::ENODEV),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Keyring => "keyring",
            Self::User => "user",
            Self::Logon => "logon",
            Self::BigKey => "big_key",
        }
    }

    /// Whether applications may read payloads.
    #[must_use]
    pub fn reads(self) -> bool {
        self != Self::Logon
    }

    /// Whether payloads are replaced rather than keys.
    #[must_use]
    pub fn updates(self) -> bool {
        self != Self::Keyring
    }

    /// EINVAL for a description or payload that the type does not take.
    pub fn check(self, description: &[u8], payload: &[u8]) -> Result<()> {
        let most = if self == Self::BigKey { (1 << 20) - 1 } else { 32767 };
        let fits = match self {
            Self::Keyring => payload.is_empty(),
            _ => !payload.is_empty() && payload.len() <= most,
        };
        let named = match self {
            Self::Logon => description.iter().position(|b| *b == b':').is_some_and(|at| at > 0),
            _ => !description.is_empty(),
        };
        if fits && named { Ok(()) } else { err(Errno::EINVAL) }
    }

    /// The rights of a new key.
    fn default_perm(self) -> u32 {
        let mut possessor = Need::VIEW | Need::SEARCH | Need::LINK | Need::SETATTR;
        possessor.set(Need::READ, self.reads());
        possessor.set(Need::WRITE, true);
        possessor.bits() << 24 | USR_VIEW
    }
}

/// A key.
pub struct Key {
    keys: Weak<Keys>,
    /// Its number.
    pub serial: i32,
    /// What it is.
    pub kind: KeyType,
    /// What it is found by.
    pub description: Box<[u8]>,
    /// A keyring of a user, which nobody joins as a session.
    of_user: bool,
    state: Mutex<State, Leaf>,
}

#[derive(Debug)]
struct State {
    uid: u32,
    gid: u32,
    perm: u32,
    payload: Payload,
    expires: Option<Instant>,
    revoked: bool,
    invalid: bool,
    /// No more links, keyctl(2) KEYCTL_RESTRICT_KEYRING.
    restricted: bool,
    /// Bytes on its user's account.
    charged: u64,
}

#[derive(Debug)]
enum Payload {
    Bytes(Vec<u8>),
    Links(Vec<Arc<Key>>),
    /// Nobody had it.
    Negative,
}

/// What others see of a key.
#[derive(Clone, Copy, Debug)]
pub struct KeyAttr {
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its rights.
    pub perm: u32,
    /// When it expires.
    pub expires: Option<Instant>,
    /// Whether it was revoked.
    pub revoked: bool,
    /// Whether it stands for a key that nobody had.
    pub negative: bool,
    /// Bytes, or links.
    pub len: usize,
}

impl Key {
    /// What others see of it.
    #[must_use]
    pub fn attr(&self) -> KeyAttr {
        let state = self.state.lock();
        let (len, negative) = match &state.payload {
            Payload::Bytes(bytes) => (bytes.len(), false),
            Payload::Links(links) => (links.len(), false),
            Payload::Negative => (0, true),
        };
        let (uid, gid, perm) = (state.uid, state.gid, state.perm);
        KeyAttr { uid, gid, perm, expires: state.expires, revoked: state.revoked, negative, len }
    }

    /// Whether it can be used: ENOKEY, EKEYREVOKED, EKEYEXPIRED.
    pub fn validate(&self) -> Result<()> {
        let state = self.state.lock();
        if state.invalid {
            err(Errno::ENOKEY)
        } else if state.revoked {
            err(Errno::EKEYREVOKED)
        } else if state.expires.is_some_and(|at| at <= Instant::now()) {
            err(Errno::EKEYEXPIRED)
        } else {
            Ok(())
        }
    }

    /// EACCES unless `creds`, possessing the key or not, may do what is needed.
    pub fn permit(&self, creds: &Credentials, possessed: bool, need: Need) -> Result<()> {
        let state = self.state.lock();
        let group_counts = state.perm & 0x3f00 != 0;
        let mut rights = if state.uid == creds.fsuid {
            state.perm >> 16
        } else if group_counts && creds.in_group(state.gid) {
            state.perm >> 8
        } else {
            state.perm
        };
        if possessed {
            rights |= state.perm >> 24;
        }
        if Need::from_bits_truncate(rights).contains(need) { Ok(()) } else { err(Errno::EACCES) }
    }

    /// Its payload: the bytes, or the serial numbers of a keyring. ENOKEY for a negative key.
    pub fn read(&self) -> Result<Vec<u8>> {
        match &self.state.lock().payload {
            Payload::Bytes(bytes) => Ok(bytes.clone()),
            Payload::Links(links) => Ok(links.iter().flat_map(|key| key.serial.to_ne_bytes()).collect()),
            Payload::Negative => err(Errno::ENOKEY),
        }
    }

    /// Replaces its payload; EDQUOT beyond its user's quota.
    pub fn update(&self, payload: &[u8]) -> Result<()> {
        self.charge_payload(payload.len())?;
        let mut state = self.state.lock();
        state.payload = Payload::Bytes(payload.to_vec());
        state.expires = None;
        Ok(())
    }

    /// Changes what is charged for payload to `len`.
    fn charge_payload(&self, len: usize) -> Result<()> {
        let Some(keys) = self.keys.upgrade() else { return Ok(()) };
        let (uid, old) = {
            let state = self.state.lock();
            (state.uid, state.charged)
        };
        let new = self.base_charge() + len as u64;
        if old > 0 {
            keys.recharge(uid, old, new)?;
            self.state.lock().charged = new;
        }
        Ok(())
    }

    fn base_charge(&self) -> u64 {
        self.description.len() as u64 + 1
    }

    /// Sets its user and group; what it costs goes over to the new user's account.
    pub fn set_owner(&self, uid: Option<u32>, gid: Option<u32>) -> Result<()> {
        let (old, charged) = {
            let state = self.state.lock();
            (state.uid, state.charged)
        };
        if let (Some(uid), Some(keys)) = (uid.filter(|uid| *uid != old), self.keys.upgrade())
            && charged > 0
        {
            keys.charge(uid, charged)?;
            keys.uncharge(old, charged);
        }
        let mut state = self.state.lock();
        state.uid = uid.unwrap_or(state.uid);
        state.gid = gid.unwrap_or(state.gid);
        Ok(())
    }

    /// Sets its rights.
    pub fn set_perm(&self, perm: u32) {
        self.state.lock().perm = perm;
    }

    /// Sets when it expires; never for `None`.
    pub fn set_expiry(&self, at: Option<Instant>) {
        self.state.lock().expires = at;
    }

    /// Makes it useless; its payload is gone.
    pub fn revoke(&self) {
        let old = {
            let mut state = self.state.lock();
            state.revoked = true;
            let nothing = match state.payload {
                Payload::Links(_) => Payload::Links(Vec::new()),
                _ => Payload::Bytes(Vec::new()),
            };
            std::mem::replace(&mut state.payload, nothing)
        };
        drop(old);
    }

    /// Makes it disappear.
    pub fn invalidate(&self) {
        self.state.lock().invalid = true;
    }

    fn is_invalid(&self) -> bool {
        self.state.lock().invalid
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        if let Some(keys) = self.keys.upgrade() {
            let state = self.state.get_mut();
            keys.forget(self.serial, state.uid, state.charged);
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:08x} {} {})", self.serial, self.kind.name(), self.description.escape_ascii())
    }
}
