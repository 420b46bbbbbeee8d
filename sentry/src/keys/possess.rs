//! What a task reaches: keys by number, with whether it possesses them; requests.

use std::sync::Arc;

use abi::Errno;
use abi::keyctl::{
    KEY_SPEC_PROCESS_KEYRING, KEY_SPEC_SESSION_KEYRING, KEY_SPEC_THREAD_KEYRING, KEY_SPEC_USER_SESSION_KEYRING,
};

use super::registry::NewKey;
use super::{Key, KeyType, Need};
use crate::error::{Error, Result, err};
use crate::task::CurrentTask;

/// How long a negative key says that nobody has it.
const NEGATIVE: std::time::Duration = std::time::Duration::from_secs(60);

/// A key as a task has found it.
#[derive(Clone, Debug)]
pub struct Ref {
    /// The key.
    pub key: Arc<Key>,
    /// Whether the task possesses it.
    pub possessed: bool,
}

impl Ref {
    /// EACCES unless the task may do what is needed.
    pub fn permit(&self, task: &CurrentTask, need: Need) -> Result<()> {
        self.key.permit(task.creds(), self.possessed, need)
    }
}

impl CurrentTask {
    /// The keyrings that make it possess what they link.
    fn own_keyrings(&self) -> Vec<Arc<Key>> {
        let keys = self.keys.lock().clone();
        let process = self.group().process_keyring.lock().clone();
        let session = match keys.session {
            Some(session) => Some(session),
            None => self.special_keyring(KEY_SPEC_USER_SESSION_KEYRING, false).ok(),
        };
        [keys.thread, process, session].into_iter().flatten().collect()
    }

    /// The key that a number names, a special one (negative) or any, whatever may be done with it.
    pub fn find_key(&self, id: i32, create: bool) -> Result<Ref> {
        if id < 0 {
            return Ok(Ref { key: self.special_keyring(id, create)?, possessed: true });
        }
        if id == 0 {
            return err(Errno::EINVAL);
        }
        let key = self.kernel().keys.get(id)?;
        if key.is_invalid() {
            return err(Errno::ENOKEY);
        }
        let is_it = |other: &Key| other.serial == key.serial;
        let possessed = self.own_keyrings().iter().any(|ring| ring.search(self.creds(), true, &is_it, false).is_ok());
        Ok(Ref { key, possessed })
    }

    /// The key that a number names, if it can be used and the task may do what is needed.
    pub fn key(&self, id: i32, create: bool, need: Need) -> Result<Ref> {
        let found = self.find_key(id, create)?;
        found.key.validate()?;
        found.permit(self, need)?;
        Ok(found)
    }

    /// Looks for a key in all keyrings of the task. ENOKEY, or why what was found cannot be used.
    pub fn search_keys(&self, kind: KeyType, description: &[u8]) -> Result<Arc<Key>> {
        let is_it = |key: &Key| key.kind == kind && *key.description == *description;
        // A keyring without it counts for more than one with a key that cannot be used, as on Linux.
        let (mut none, mut failure): (Option<Error>, Option<Error>) = (None, None);
        for ring in self.own_keyrings() {
            match ring.search(self.creds(), true, &is_it, true) {
                Ok(key) => return Ok(key),
                Err(e) if e.is(Errno::ENOKEY) => none = Some(e),
                Err(e) if e.is(Errno::EAGAIN) => none = none.or(Some(e)),
                Err(e) => failure = Some(e),
            }
        }
        Err(none.or(failure).unwrap_or_else(|| Errno::EAGAIN.into()))
    }

    /// add_key(2): a new key in a keyring, or a new payload for the one that is there.
    pub fn add_key(&self, kind: KeyType, description: &[u8], payload: &[u8], ring: &Ref) -> Result<Arc<Key>> {
        ring.key.check_keyring()?;
        kind.check(description, payload)?;
        ring.key.validate()?;
        ring.permit(self, Need::WRITE)?;
        if kind.updates()
            && let Some(there) = ring.key.find(kind, description)
            && there.validate().is_ok()
        {
            there.permit(self.creds(), ring.possessed, Need::WRITE)?;
            there.update(payload)?;
            return Ok(there);
        }
        let owner = (self.creds().fsuid, self.creds().fsgid);
        let perm = kind.default_perm();
        let key = self.kernel().keys.make(&NewKey {
            kind,
            description,
            owner,
            perm,
            payload: Some(payload),
            of_user: false,
        })?;
        ring.key.link(&key)?;
        Ok(key)
    }

    /// What request_key(2) does when there is no such key: nobody can be asked, so that a negative key says so for a while.
    pub fn leave_negative_key(&self, kind: KeyType, description: &[u8], ring: Option<Ref>) -> Result<()> {
        let ring = match ring {
            Some(ring) => ring,
            None => {
                let default = self.keys.lock().default;
                let id = match default {
                    1 => KEY_SPEC_THREAD_KEYRING,
                    2 => KEY_SPEC_PROCESS_KEYRING,
                    4 => abi::keyctl::KEY_SPEC_USER_KEYRING,
                    5 => KEY_SPEC_USER_SESSION_KEYRING,
                    3 => KEY_SPEC_SESSION_KEYRING,
                    _ if self.keys.lock().thread.is_some() => KEY_SPEC_THREAD_KEYRING,
                    _ if self.group().process_keyring.lock().is_some() => KEY_SPEC_PROCESS_KEYRING,
                    _ => KEY_SPEC_SESSION_KEYRING,
                };
                self.key(id, false, Need::WRITE)?
            }
        };
        let owner = (self.creds().fsuid, self.creds().fsgid);
        let perm = kind.default_perm();
        let key = self.kernel().keys.make(&NewKey { kind, description, owner, perm, payload: None, of_user: false })?;
        key.set_expiry(std::time::Instant::now().checked_add(NEGATIVE));
        ring.key.link(&key)
    }
}
