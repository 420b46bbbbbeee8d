//! Files on their way through sockets: what SCM_RIGHTS sent and nobody has received yet.
//!
//! They are on the account of the user who sent them (RLIMIT_NOFILE). When they are dropped they may be sockets with files
//! in their queues, and so on: they go one after the other, not one within the other, so that no chain of them, however
//! long, uses up the stack.

use std::cell::RefCell;
use std::sync::Arc;

use abi::Errno;
use abi::capability::Cap;
use abi::resource::Resource;

use crate::error::{Result, err};
use crate::task::CurrentTask;
use crate::task::signal::Charge;
use crate::vfs::File;

/// Files that travel.
#[derive(Debug, Default)]
pub struct InFlight {
    files: Vec<Arc<File>>,
    charges: Vec<Charge>,
}

impl InFlight {
    /// Adds a file. ETOOMANYREFS if the user has as many on their way as it may have open.
    pub fn push(&mut self, task: &CurrentTask, file: Arc<File>) -> Result<()> {
        let creds = task.creds();
        let limit = task.group().limits().soft(Resource::RLIMIT_NOFILE);
        let limit = if creds.has(Cap::CAP_SYS_RESOURCE) || creds.has(Cap::CAP_SYS_ADMIN) { u64::MAX } else { limit };
        let Some(charge) = task.kernel().files_in_flight.charge(creds.uid, limit) else {
            return err(Errno::ETOOMANYREFS);
        };
        self.files.push(file);
        self.charges.push(charge);
        Ok(())
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Appends those of another message.
    pub fn append(&mut self, mut other: Self) {
        self.files.append(&mut other.files);
        self.charges.append(&mut other.charges);
    }

    /// The same files for one who only looks (MSG_PEEK).
    #[must_use]
    pub fn peek(&self) -> Self {
        Self { files: self.files.clone(), charges: Vec::new() }
    }

    /// They have arrived: takes up to `max` of them, the others are dropped.
    #[must_use]
    pub fn arrive(mut self, max: usize) -> Vec<Arc<File>> {
        let rest = self.files.split_off(max.min(self.files.len()));
        let arrived = std::mem::replace(&mut self.files, rest);
        arrived
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        drop_in_turn(std::mem::take(&mut self.files));
    }
}

thread_local! {
    /// Files that wait for their turn, while this thread drops others.
    static WAITING: RefCell<Option<Vec<Arc<File>>>> = const { RefCell::new(None) };
}

fn drop_in_turn(mut files: Vec<Arc<File>>) {
    if files.is_empty() {
        return;
    }
    let outermost = WAITING.with_borrow_mut(|waiting| match waiting {
        Some(waiting) => {
            waiting.append(&mut files);
            false
        }
        None => {
            *waiting = Some(files);
            true
        }
    });
    if !outermost {
        return;
    }
    loop {
        let next = WAITING.with_borrow_mut(|waiting| match waiting.as_mut().and_then(Vec::pop) {
            None => {
                *waiting = None;
                None
            }
            some => some,
        });
        if next.is_none() {
            break;
        }
    }
}
