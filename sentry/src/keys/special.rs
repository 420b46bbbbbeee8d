//! The keyrings that a task has as its own: of its thread, its process, its session, its user.

use std::sync::Arc;

use abi::Errno;
use abi::keyctl::{
    KEY_SPEC_PROCESS_KEYRING, KEY_SPEC_REQKEY_AUTH_KEY, KEY_SPEC_REQUESTOR_KEYRING, KEY_SPEC_SESSION_KEYRING,
    KEY_SPEC_THREAD_KEYRING, KEY_SPEC_USER_KEYRING, KEY_SPEC_USER_SESSION_KEYRING,
};

use super::{Key, KeyType, Need, POS_ALL, USR_LINK, USR_READ, USR_VIEW};
use crate::error::{Result, err};
use crate::task::{CurrentTask, Task};

/// What of a task's keyrings is the thread's.
#[derive(Clone, Debug, Default)]
pub struct TaskKeys {
    pub(super) thread: Option<Arc<Key>>,
    pub(super) session: Option<Arc<Key>>,
    /// Where request_key(2) puts what it makes: KEY_REQKEY_DEFL_*.
    pub default: i32,
}

impl Task {
    /// A new task has the session of the one that made it.
    pub(crate) fn inherit_keys(&self, from: &Self) {
        let TaskKeys { session, default, .. } = from.keys.lock().clone();
        let old = std::mem::replace(&mut *self.keys.lock(), TaskKeys { thread: None, session, default });
        drop(old);
    }

    /// A new program has the session alone.
    pub(crate) fn drop_own_keys(&self) {
        let thread = self.keys.lock().thread.take();
        let process = self.group().process_keyring.lock().take();
        drop((thread, process));
    }
}

impl CurrentTask {
    fn owner(&self) -> (u32, u32) {
        (self.creds().fsuid, self.creds().fsgid)
    }

    /// One of its own keyrings by its negative number. ENOKEY if it has none and none is to be made, EINVAL for numbers
    /// that name nothing.
    pub(super) fn special_keyring(&self, id: i32, create: bool) -> Result<Arc<Key>> {
        let keys = &self.kernel().keys;
        let own = |name: &[u8]| keys.make_keyring(name, self.owner(), POS_ALL | USR_VIEW);
        match id {
            KEY_SPEC_THREAD_KEYRING => {
                let there = self.keys.lock().thread.clone();
                match there {
                    Some(key) => Ok(key),
                    None if create => {
                        let key = own(b"_tid")?;
                        self.keys.lock().thread = Some(Arc::clone(&key));
                        Ok(key)
                    }
                    None => err(Errno::ENOKEY),
                }
            }
            KEY_SPEC_PROCESS_KEYRING => {
                let there = self.group().process_keyring.lock().clone();
                match there {
                    Some(key) => Ok(key),
                    None if create => {
                        let key = own(b"_pid")?;
                        // Another thread may have been quicker.
                        let kept = self.group().process_keyring.lock().get_or_insert_with(|| Arc::clone(&key)).clone();
                        drop(key);
                        Ok(kept)
                    }
                    None => err(Errno::ENOKEY),
                }
            }
            KEY_SPEC_SESSION_KEYRING => {
                let there = self.keys.lock().session.clone();
                match there {
                    Some(key) if !(key.of_user && create) => Ok(key),
                    _ if create => self.join_session(None),
                    Some(key) => Ok(key),
                    None => {
                        let [_, session] = keys.of_user(self.creds().uid)?;
                        self.keys.lock().session = Some(Arc::clone(&session));
                        Ok(session)
                    }
                }
            }
            KEY_SPEC_USER_KEYRING => Ok(keys.of_user(self.creds().uid)?[0].clone()),
            KEY_SPEC_USER_SESSION_KEYRING => Ok(keys.of_user(self.creds().uid)?[1].clone()),
            KEY_SPEC_REQKEY_AUTH_KEY | KEY_SPEC_REQUESTOR_KEYRING => err(Errno::ENOKEY),
            _ => err(Errno::EINVAL),
        }
    }

    /// KEYCTL_JOIN_SESSION_KEYRING: a new session, or one of that name that may be found.
    pub fn join_session(&self, name: Option<&[u8]>) -> Result<Arc<Key>> {
        let keys = &self.kernel().keys;
        let session = match name {
            None => keys.make_keyring(b"_ses", self.owner(), POS_ALL | USR_VIEW | USR_READ)?,
            Some(name) => {
                let found = keys.all().into_iter().find(|key| {
                    key.kind == KeyType::Keyring
                        && *key.description == *name
                        && !key.of_user
                        && key.validate().is_ok()
                        && key.permit(self.creds(), false, Need::SEARCH).is_ok()
                });
                match found {
                    Some(key) => key,
                    None => keys.make_keyring(name, self.owner(), POS_ALL | USR_VIEW | USR_READ | USR_LINK)?,
                }
            }
        };
        let old = self.keys.lock().session.replace(Arc::clone(&session));
        drop(old);
        Ok(session)
    }

    /// KEYCTL_SESSION_TO_PARENT: the parent's session is ours. EPERM unless it is a single thread of the same user.
    pub fn session_to_parent(&self) -> Result<()> {
        let parent = self.group().parent().ok_or(Errno::EPERM)?;
        let leader = parent.leader().ok_or(Errno::EPERM)?;
        let (ours, theirs) = (self.creds(), leader.creds());
        let same = [theirs.uid, theirs.euid, theirs.suid].iter().all(|uid| *uid == ours.euid)
            && [theirs.gid, theirs.egid, theirs.sgid].iter().all(|gid| *gid == ours.egid);
        if parent.tgid() == 1 || !same || parent.threads().len() != 1 {
            return err(Errno::EPERM);
        }
        let session = self.keys.lock().session.clone();
        let old = std::mem::replace(&mut leader.keys.lock().session, session);
        drop(old);
        Ok(())
    }
}
