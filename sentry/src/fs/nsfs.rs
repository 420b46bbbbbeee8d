//! Namespaces as files, namespaces(7): what `/proc/PID/ns/*` leads to and setns(2) takes.

use std::any::Any;
use std::sync::Arc;

use abi::Errno;
use abi::fcntl::OpenFlags;
use abi::stat::S_IFREG;
use abi::statfs::{NSFS_MAGIC, Statfs};

use crate::error::{Result, err};
use crate::task::namespaces::{CgroupNamespace, IpcNamespace, NetNamespace, TimeNamespace, UtsNamespace};
use crate::task::{CurrentTask, PidNamespace, UserNamespace};
use crate::vfs::attachments::Attachments;
use crate::vfs::{Attr, FileOps, FileSystem, Inode, MountNamespace, Path, SetAttr, anon};

/// A namespace of any kind.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Namespace {
    Cgroup(Arc<CgroupNamespace>),
    Ipc(Arc<IpcNamespace>),
    Mount(Arc<MountNamespace>),
    Net(Arc<NetNamespace>),
    Pid(Arc<PidNamespace>),
    Time(Arc<TimeNamespace>),
    User(Arc<UserNamespace>),
    Uts(Arc<UtsNamespace>),
}

impl Namespace {
    /// What the link shows: `uts:[4026531838]`.
    #[must_use]
    pub fn name(&self) -> String {
        let (kind, id) = self.kind_and_id();
        format!("{kind}:[{id}]")
    }

    fn kind_and_id(&self) -> (&'static str, u64) {
        match self {
            Self::Cgroup(ns) => ("cgroup", ns.id.0),
            Self::Ipc(ns) => ("ipc", ns.id.0),
            Self::Mount(ns) => ("mnt", ns.id().0),
            Self::Net(ns) => ("net", ns.id.0),
            Self::Pid(ns) => ("pid", ns.id.0),
            Self::Time(ns) => ("time", ns.id.0),
            Self::User(ns) => ("user", ns.id.0),
            Self::Uts(ns) => ("uts", ns.id.0),
        }
    }
}

/// A place that opens as this namespace.
#[must_use]
pub fn path(namespace: Namespace) -> Path {
    let name = namespace.name();
    anon::pseudo_path(Arc::new(NsInode { namespace, attachments: Attachments::default() }), name.as_bytes())
}

/// The inode of a namespace.
#[derive(Debug)]
pub struct NsInode {
    namespace: Namespace,
    attachments: Attachments,
}

impl NsInode {
    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }
}

impl Inode for NsInode {
    fn fs(&self) -> Arc<dyn FileSystem> {
        Arc::new(NsFs)
    }

    fn attr(&self) -> Result<Attr> {
        Ok(Attr {
            dev: 4,
            ino: self.namespace.kind_and_id().1,
            mode: S_IFREG | 0o444,
            nlink: 1,
            blksize: 4096,
            ..Attr::default()
        })
    }

    fn set_attr(&self, _: &SetAttr) -> Result<()> {
        err(Errno::EPERM)
    }

    fn attachments(&self) -> &Attachments {
        &self.attachments
    }

    fn open(self: Arc<Self>, _: &CurrentTask, flags: OpenFlags) -> Result<Arc<dyn FileOps>> {
        if flags.writable() { err(Errno::EPERM) } else { Ok(Arc::new(NsFile(self))) }
    }
}

/// An open namespace.
#[derive(Debug)]
pub struct NsFile(Arc<NsInode>);

impl NsFile {
    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.0.namespace
    }
}

impl FileOps for NsFile {
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The file system that namespaces are on; it has no tree.
#[derive(Debug)]
struct NsFs;

impl FileSystem for NsFs {
    fn name(&self) -> &'static str {
        "nsfs"
    }

    fn root(&self) -> Arc<dyn Inode> {
        unreachable!("nsfs is never mounted as a tree")
    }

    fn dev(&self) -> u64 {
        4
    }

    fn statfs(&self) -> Result<Statfs> {
        Ok(Statfs { f_type: NSFS_MAGIC, f_bsize: 4096, f_frsize: 4096, f_namelen: 255, ..Statfs::default() })
    }
}
