//! All keys by number, and what each user may have.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use abi::Errno;
use sync::Mutex;

use super::{Key, KeyType, POS_ALL, Payload, State, USR_ALL};
use crate::error::{Result, err};
use crate::lock_order::Leaf;

/// How many keys there may be in all.
pub const MOST_KEYS: usize = 1 << 18;
/// How many bytes all keys together may cost.
pub const MOST_BYTES: u64 = 64 << 20;

/// The keys of the sandbox.
#[derive(Debug)]
pub struct Keys {
    me: Weak<Self>,
    table: Mutex<Table, Leaf>,
    /// Quotas, in /proc/sys/kernel/keys.
    pub limits: Limits,
}

/// How many keys and bytes a user may have.
#[derive(Debug)]
pub struct Limits {
    /// Keys of a user.
    pub keys: AtomicU64,
    /// Bytes of a user.
    pub bytes: AtomicU64,
    /// Keys of root.
    pub root_keys: AtomicU64,
    /// Bytes of root.
    pub root_bytes: AtomicU64,
}

#[derive(Debug, Default)]
struct Table {
    keys: BTreeMap<i32, Weak<Key>>,
    users: BTreeMap<u32, Use>,
    /// The keyring and the default session keyring of each user.
    keyrings: HashMap<u32, [Arc<Key>; 2]>,
    bytes: u64,
}

/// What a user has.
#[derive(Clone, Copy, Debug, Default)]
pub struct Use {
    /// Keys.
    pub keys: u64,
    /// Bytes.
    pub bytes: u64,
}

/// What a new key is made of.
pub(super) struct NewKey<'a> {
    pub(super) kind: KeyType,
    pub(super) description: &'a [u8],
    pub(super) owner: (u32, u32),
    pub(super) perm: u32,
    /// `None` for a negative key.
    pub(super) payload: Option<&'a [u8]>,
    pub(super) of_user: bool,
}

impl Keys {
    /// No keys.
    #[must_use]
    pub fn new() -> Arc<Self> {
        let limit = AtomicU64::new;
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            table: Mutex::default(),
            limits: Limits {
                keys: limit(200),
                bytes: limit(20_000),
                root_keys: limit(1_000_000),
                root_bytes: limit(25_000_000),
            },
        })
    }

    /// The key of that number; ENOKEY if there is none.
    pub fn get(&self, serial: i32) -> Result<Arc<Key>> {
        let key = self.table.lock().keys.get(&serial).and_then(Weak::upgrade);
        key.ok_or_else(|| Errno::ENOKEY.into())
    }

    /// All keys, by number.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Key>> {
        self.table.lock().keys.values().filter_map(Weak::upgrade).collect()
    }

    /// What each user has.
    #[must_use]
    pub fn users(&self) -> Vec<(u32, Use)> {
        self.table.lock().users.iter().map(|(uid, has)| (*uid, *has)).collect()
    }

    /// How many keys and bytes a user may have.
    #[must_use]
    pub fn limits_of(&self, uid: u32) -> (u64, u64) {
        let get = |limit: &AtomicU64| limit.load(Ordering::Relaxed);
        let limits = &self.limits;
        match uid {
            0 => (get(&limits.root_keys), get(&limits.root_bytes)),
            _ => (get(&limits.keys), get(&limits.bytes)),
        }
    }

    pub(super) fn charge(&self, uid: u32, bytes: u64) -> Result<()> {
        self.change(uid, (0, 1), (0, bytes))
    }

    pub(super) fn uncharge(&self, uid: u32, bytes: u64) {
        let _ = self.change(uid, (1, 0), (bytes, 0));
    }

    pub(super) fn recharge(&self, uid: u32, old: u64, new: u64) -> Result<()> {
        self.change(uid, (0, 0), (old, new))
    }

    /// Takes and gives keys and bytes on a user's account; EDQUOT if there are more afterwards than may be.
    fn change(&self, uid: u32, keys: (u64, u64), bytes: (u64, u64)) -> Result<()> {
        let (most_keys, most_bytes) = self.limits_of(uid);
        let mut table = self.table.lock();
        let all = (table.bytes + bytes.1).saturating_sub(bytes.0);
        let there = table.keys.len();
        let has = table.users.entry(uid).or_default();
        let now = Use {
            keys: (has.keys + keys.1).saturating_sub(keys.0),
            bytes: (has.bytes + bytes.1).saturating_sub(bytes.0),
        };
        let more_keys = keys.1 > keys.0 && (now.keys > most_keys || there >= MOST_KEYS);
        let more_bytes = bytes.1 > bytes.0 && (now.bytes > most_bytes || all > MOST_BYTES);
        let over = more_keys || more_bytes;
        if !over {
            *has = now;
        }
        if has.keys == 0 && has.bytes == 0 {
            table.users.remove(&uid);
        }
        if over {
            return err(Errno::EDQUOT);
        }
        table.bytes = all;
        Ok(())
    }

    /// A new key, which somebody has to link or hold.
    pub(super) fn make(&self, new: &NewKey<'_>) -> Result<Arc<Key>> {
        let payload = match (new.payload, new.kind) {
            (None, _) => Payload::Negative,
            (Some(_), KeyType::Keyring) => Payload::Links(Vec::new()),
            (Some(bytes), _) => Payload::Bytes(bytes.to_vec()),
        };
        let charged = new.description.len() as u64 + 1 + new.payload.map_or(0, <[u8]>::len) as u64;
        self.charge(new.owner.0, charged)?;
        let mut table = self.table.lock();
        let serial = loop {
            let serial = random_serial();
            if serial > 2 && !table.keys.contains_key(&serial) {
                break serial;
            }
        };
        let key = Arc::new(Key {
            keys: self.me.clone(),
            serial,
            kind: new.kind,
            description: new.description.into(),
            of_user: new.of_user,
            state: Mutex::new(State {
                uid: new.owner.0,
                gid: new.owner.1,
                perm: new.perm,
                payload,
                expires: None,
                revoked: false,
                invalid: false,
                restricted: false,
                charged,
            }),
        });
        table.keys.insert(serial, Arc::downgrade(&key));
        Ok(key)
    }

    /// A keyring without a place of its own.
    pub(super) fn make_keyring(&self, description: &[u8], owner: (u32, u32), perm: u32) -> Result<Arc<Key>> {
        let payload: Option<&[u8]> = Some(&[]);
        self.make(&NewKey { kind: KeyType::Keyring, description, owner, perm, payload, of_user: false })
    }

    /// The keyring and the default session keyring of a user, made when first asked for.
    pub(super) fn of_user(&self, uid: u32) -> Result<[Arc<Key>; 2]> {
        if let Some(there) = self.table.lock().keyrings.get(&uid) {
            return Ok(there.clone());
        }
        let make = |name: &str| {
            let payload: Option<&[u8]> = Some(&[]);
            self.make(&NewKey {
                kind: KeyType::Keyring,
                description: format!("{name}.{uid}").as_bytes(),
                owner: (uid, u32::MAX),
                perm: POS_ALL & !0x2000_0000 | USR_ALL,
                payload,
                of_user: true,
            })
        };
        let pair = [make("_uid")?, make("_uid_ses")?];
        pair[1].link(&pair[0])?;
        let there = {
            let mut table = self.table.lock();
            table.keyrings.entry(uid).or_insert_with(|| pair.clone()).clone()
        };
        drop(pair);
        Ok(there)
    }

    pub(super) fn forget(&self, serial: i32, uid: u32, charged: u64) {
        self.table.lock().keys.remove(&serial);
        if charged > 0 {
            self.uncharge(uid, charged);
        }
    }
}

/// A positive number that cannot be guessed.
fn random_serial() -> i32 {
    let mut bytes = [0; 4];
    // Without random bytes numbers are taken as they come: the caller looks for a free one.
    if host::random::fill(&mut bytes).is_err() {
        static NEXT: AtomicU64 = AtomicU64::new(3);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        bytes = u32::try_from(next & 0x7fff_ffff).unwrap_or(3).to_ne_bytes();
    }
    i32::from_ne_bytes(bytes) & i32::MAX
}
