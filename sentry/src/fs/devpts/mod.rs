//! devpts, pts(4): `ptmx`, which makes pseudo-terminals, and a node for each of them.
//!
//! Every mount is an instance of its own. Lock: `InodeData` over the table of terminals.

mod node;

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use abi::Errno;
use abi::statfs::{DEVPTS_SUPER_MAGIC, Statfs};
use abi::time::Timespec;
use sync::Mutex;

use self::node::{Node, Root};
pub(crate) use self::node::{instance_at, open_ptmx};
use crate::error::{Result, err};
use crate::fs::tty::Tty;
use crate::fs::tty::master::Master;
use crate::lock_order::InodeData;
use crate::task::CurrentTask;
use crate::vfs::{Caching, FileOps, FileSystem, Inode, Path, anon, attr};

/// The most terminals of one instance (/proc/sys/kernel/pty/max).
const MAX: u32 = 4096;

/// An instance of devpts.
#[derive(Debug)]
pub struct Devpts {
    this: Weak<Self>,
    dev: u64,
    options: Options,
    born: Timespec,
    terminals: Mutex<BTreeMap<u32, Arc<Node>>, InodeData>,
    root: std::sync::OnceLock<Arc<Root>>,
}

/// Mount options.
#[derive(Clone, Copy, Debug)]
struct Options {
    mode: u32,
    ptmx_mode: u32,
    uid: Option<u32>,
    gid: Option<u32>,
    max: u32,
}

/// A devpts with these mount options; EINVAL for one it does not know.
pub fn mount(data: &str) -> Result<Arc<Devpts>> {
    let mut options = Options { mode: 0o600, ptmx_mode: 0, uid: None, gid: None, max: MAX };
    for option in data.split(',').filter(|o| !o.is_empty()) {
        let (key, value) = option.split_once('=').unwrap_or((option, ""));
        let octal = || u32::from_str_radix(value, 8).map_err(|_| Errno::EINVAL);
        let number = || value.parse::<u32>().map_err(|_| Errno::EINVAL);
        match key {
            "newinstance" => {}
            "mode" => options.mode = octal()? & 0o7777,
            "ptmxmode" => options.ptmx_mode = octal()? & 0o7777,
            "uid" => options.uid = Some(number()?),
            "gid" => options.gid = Some(number()?),
            "max" => options.max = number()?.min(MAX),
            _ => return err(Errno::EINVAL),
        }
    }
    let devpts = Arc::new_cyclic(|this| Devpts {
        this: this.clone(),
        dev: anon::next_dev(),
        options,
        born: attr::now(),
        terminals: Mutex::default(),
        root: std::sync::OnceLock::new(),
    });
    let root = Root::new(&devpts);
    devpts.root.get_or_init(|| root);
    Ok(devpts)
}

impl Devpts {
    /// Opening `ptmx`: a new terminal; returns its master. ENOSPC if there are too many.
    pub fn open_master(&self, task: &CurrentTask) -> Result<Arc<dyn FileOps>> {
        let this = self.this.upgrade().ok_or(Errno::EIO)?;
        Ok(Master::new(self.add_terminal(task)?, this))
    }

    /// A new terminal without a master in the sandbox, which whoever makes it removes. ENOSPC if there are too many.
    pub fn add_terminal(&self, task: &CurrentTask) -> Result<Arc<Tty>> {
        let this = self.this.upgrade().ok_or(Errno::EIO)?;
        let creds = task.creds();
        let mut terminals = self.terminals.lock();
        let free = (0..self.options.max).find(|n| !terminals.contains_key(n));
        let Some(number) = free else { return err(Errno::ENOSPC) };
        let tty = Tty::new(Some(number));
        let owner = (self.options.uid.unwrap_or(creds.fsuid), self.options.gid.unwrap_or(creds.fsgid));
        terminals.insert(number, Node::slave(&this, &tty, self.options.mode, owner));
        drop(terminals);
        Ok(tty)
    }

    /// The master is gone: so is the node.
    pub fn remove(&self, tty: &Tty) {
        if let Some(number) = tty.number() {
            let removed = self.terminals.lock().remove(&number);
            drop(removed);
        }
    }

    /// A place to show an open slave at, for TIOCGPTPEER.
    #[must_use]
    pub fn path_of(&self, tty: &Tty) -> Option<Path> {
        let number = tty.number()?;
        let node = self.terminals.lock().get(&number).cloned()?;
        Some(anon::pseudo_path(node, format!("/dev/pts/{number}").as_bytes()))
    }

    fn terminal(&self, number: u32) -> Option<Arc<Node>> {
        self.terminals.lock().get(&number).cloned()
    }

    fn numbers(&self) -> Vec<u32> {
        self.terminals.lock().keys().copied().collect()
    }
}

impl FileSystem for Devpts {
    fn name(&self) -> &'static str {
        "devpts"
    }

    fn root(&self) -> Arc<dyn Inode> {
        let root = self.root.get().expect("mount sets the root before it hands the instance out");
        Arc::clone(root) as Arc<dyn Inode>
    }

    fn dev(&self) -> u64 {
        self.dev
    }

    fn statfs(&self) -> Result<Statfs> {
        Ok(Statfs { f_type: DEVPTS_SUPER_MAGIC, f_bsize: 4096, f_frsize: 4096, f_namelen: 255, ..Statfs::default() })
    }

    /// Terminals come and go by themselves.
    fn caching(&self) -> Caching {
        Caching::Never
    }

    fn show_options(&self) -> String {
        let mut text = String::new();
        if let Some(gid) = self.options.gid {
            text = format!("gid={gid},");
        }
        text + &format!("mode={:03o},ptmxmode={:03o}", self.options.mode, self.options.ptmx_mode)
    }
}
