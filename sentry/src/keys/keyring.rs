//! What keyrings link, and looking through them.

use std::sync::Arc;

use abi::Errno;

use super::{Key, KeyType, Need, Payload};
use crate::error::{Error, Result, err};
use crate::task::Credentials;

/// How deep keyrings may lie in one another.
const MAX_DEPTH: usize = 6;
/// What a link costs.
const LINK_BYTES: u64 = 4;
/// The most links of a keyring.
const MAX_LINKS: usize = 65536;

impl Key {
    /// ENOTDIR unless it is a keyring.
    pub fn check_keyring(&self) -> Result<()> {
        if self.kind == KeyType::Keyring { Ok(()) } else { err(Errno::ENOTDIR) }
    }

    /// What it links and is still there.
    #[must_use]
    pub fn links(&self) -> Vec<Arc<Key>> {
        let links = match &self.state.lock().payload {
            Payload::Links(links) => links.clone(),
            _ => Vec::new(),
        };
        links.into_iter().filter(|key| !key.is_invalid()).collect()
    }

    /// The key of that type and description that it links.
    #[must_use]
    pub fn find(&self, kind: KeyType, description: &[u8]) -> Option<Arc<Key>> {
        self.links().into_iter().find(|key| key.kind == kind && *key.description == *description)
    }

    /// Links a key, in the place of one of the same type and description. ENOTDIR for what is no keyring, EDEADLK and
    /// ELOOP for keyrings in themselves or too deep, EPERM if it takes no links any more, EDQUOT.
    pub fn link(&self, key: &Arc<Key>) -> Result<()> {
        self.check_keyring()?;
        if key.kind == KeyType::Keyring {
            self.check_depth(key, MAX_DEPTH)?;
        }
        let (uid, charged, count) = {
            let state = self.state.lock();
            if state.restricted {
                return err(Errno::EPERM);
            }
            let count = if let Payload::Links(links) = &state.payload { links.len() } else { 0 };
            (state.uid, state.charged, count)
        };
        if count >= MAX_LINKS {
            return err(Errno::ENFILE);
        }
        let same = |other: &Arc<Key>| other.kind == key.kind && other.description == key.description;
        let displaced = {
            let mut state = self.state.lock();
            let Payload::Links(links) = &mut state.payload else { return err(Errno::EKEYREVOKED) };
            match links.iter_mut().find(|other| same(other)) {
                Some(place) => Some(std::mem::replace(place, Arc::clone(key))),
                None => None,
            }
        };
        if let Some(old) = displaced {
            drop(old);
            return Ok(());
        }
        if let Some(keys) = self.keys.upgrade().filter(|_| charged > 0) {
            keys.recharge(uid, 0, LINK_BYTES)?;
        }
        let mut state = self.state.lock();
        state.charged += LINK_BYTES;
        let added = if let Payload::Links(links) = &mut state.payload {
            links.push(Arc::clone(key));
            true
        } else {
            false
        };
        if added { Ok(()) } else { err(Errno::EKEYREVOKED) }
    }

    /// Takes a link away; ENOENT if there is none.
    pub fn unlink(&self, key: &Key) -> Result<()> {
        self.check_keyring()?;
        let (old, uid) = {
            let mut state = self.state.lock();
            let Payload::Links(links) = &mut state.payload else { return err(Errno::ENOENT) };
            let Some(at) = links.iter().position(|other| other.serial == key.serial) else { return err(Errno::ENOENT) };
            let old = links.remove(at);
            state.charged = state.charged.saturating_sub(LINK_BYTES);
            (old, state.uid)
        };
        drop(old);
        self.give_back(uid, LINK_BYTES);
        Ok(())
    }

    /// Takes all links away.
    pub fn clear(&self) -> Result<()> {
        self.check_keyring()?;
        let (old, uid, bytes) = {
            let mut state = self.state.lock();
            let old = std::mem::replace(&mut state.payload, Payload::Links(Vec::new()));
            let links = if let Payload::Links(links) = &old { links.len() } else { 0 };
            let bytes = (LINK_BYTES * links as u64).min(state.charged);
            state.charged -= bytes;
            (old, state.uid, bytes)
        };
        drop(old);
        self.give_back(uid, bytes);
        Ok(())
    }

    fn give_back(&self, uid: u32, bytes: u64) {
        if let Some(keys) = self.keys.upgrade() {
            let _ = keys.recharge(uid, bytes, 0);
        }
    }

    /// Takes no links from now on.
    pub fn restrict(&self) -> Result<()> {
        self.check_keyring()?;
        if std::mem::replace(&mut self.state.lock().restricted, true) { err(Errno::EEXIST) } else { Ok(()) }
    }

    /// Whether `inner` may be linked here: it must not hold this keyring, nor go too deep.
    fn check_depth(&self, inner: &Key, left: usize) -> Result<()> {
        if inner.serial == self.serial {
            return err(Errno::EDEADLK);
        }
        if left == 0 {
            return err(Errno::ELOOP);
        }
        for key in inner.links() {
            if key.kind == KeyType::Keyring {
                self.check_depth(&key, left - 1)?;
            }
        }
        Ok(())
    }

    /// Looks for a key here and below, breadth first. EAGAIN if there is none; what else there was that matched but cannot
    /// be used says so.
    pub fn search(
        self: &Arc<Self>,
        creds: &Credentials,
        possessed: bool,
        which: &dyn Fn(&Key) -> bool,
        checked: bool,
    ) -> Result<Arc<Key>> {
        self.permit(creds, possessed, Need::SEARCH)?;
        let mut failure: Error = Errno::EAGAIN.into();
        let mut level = vec![Arc::clone(self)];
        if which(self) && (!checked || self.validate().is_ok()) {
            return Ok(Arc::clone(self));
        }
        for _ in 0..=MAX_DEPTH {
            let mut below = Vec::new();
            for key in level.iter().flat_map(|ring| ring.links()) {
                if which(&key) {
                    match key.usable(creds, possessed, checked) {
                        Ok(()) => return Ok(key),
                        Err(e) => failure = e,
                    }
                }
                if key.kind == KeyType::Keyring
                    && below.len() < MAX_LINKS
                    && key.validate().is_ok()
                    && key.permit(creds, possessed, Need::SEARCH).is_ok()
                {
                    below.push(key);
                }
            }
            level = below;
        }
        Err(failure)
    }

    fn usable(&self, creds: &Credentials, possessed: bool, checked: bool) -> Result<()> {
        if checked {
            self.validate()?;
        }
        self.permit(creds, possessed, Need::SEARCH)?;
        if checked && self.attr().negative { err(Errno::ENOKEY) } else { Ok(()) }
    }
}
