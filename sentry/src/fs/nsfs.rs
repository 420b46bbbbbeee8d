//! Namespaces as files, namespaces(7): what `/proc/PID/ns/*` leads to and setns(2) takes.

use std::any::Any;
use std::sync::Arc;

use abi::fcntl::OpenFlags;
use abi::ioctl::io;
use abi::sched::CloneFlags;
use abi::stat::S_IFREG;
use abi::statfs::{NSFS_MAGIC, Statfs};
use abi::{Errno, UserAddr};

use crate::error::{Result, SysResult, err};
use crate::task::namespaces::{CgroupNamespace, IpcNamespace, NetNamespace, TimeNamespace, UtsNamespace};
use crate::task::{CurrentTask, PidNamespace, UserNamespace};
use crate::user::UserPtr;
use crate::vfs::attachments::Attachments;
use crate::vfs::open::open_path;
use crate::vfs::{Attr, File, FileOps, FileSystem, Inode, MountNamespace, Path, SetAttr, anon};

const NS_GET_USERNS: u32 = io(0xb7, 1);
const NS_GET_PARENT: u32 = io(0xb7, 2);
const NS_GET_NSTYPE: u32 = io(0xb7, 3);
const NS_GET_OWNER_UID: u32 = io(0xb7, 4);

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

    /// The CLONE_NEW* flag of its kind.
    #[must_use]
    pub fn kind(&self) -> CloneFlags {
        match self {
            Self::User(_) => CloneFlags::CLONE_NEWUSER,
            Self::Mount(_) => CloneFlags::CLONE_NEWNS,
            Self::Pid(_) => CloneFlags::CLONE_NEWPID,
            Self::Uts(_) => CloneFlags::CLONE_NEWUTS,
            Self::Ipc(_) => CloneFlags::CLONE_NEWIPC,
            Self::Net(_) => CloneFlags::CLONE_NEWNET,
            Self::Cgroup(_) => CloneFlags::CLONE_NEWCGROUP,
            Self::Time(_) => CloneFlags::CLONE_NEWTIME,
        }
    }

    /// The user namespace that owns it, or that a user namespace is nested in. EPERM if the task's own is not that one or
    /// an ancestor of it.
    fn owner_for(&self, task: &CurrentTask) -> Result<Arc<UserNamespace>> {
        let owner = match self {
            Self::User(ns) => ns.parent.clone().ok_or(Errno::EPERM)?,
            Self::Mount(ns) => Arc::clone(ns.owner()),
            Self::Pid(ns) => Arc::clone(&ns.user_ns),
            Self::Uts(ns) => Arc::clone(&ns.user_ns),
            Self::Ipc(ns) => Arc::clone(&ns.user_ns),
            Self::Net(ns) => Arc::clone(&ns.user_ns),
            Self::Cgroup(ns) => Arc::clone(&ns.user_ns),
            Self::Time(ns) => Arc::clone(&ns.user_ns),
        };
        let mut at = Some(&owner);
        while let Some(ns) = at {
            if Arc::ptr_eq(ns, &task.creds().user_ns) {
                return Ok(owner);
            }
            at = ns.parent.as_ref();
        }
        err(Errno::EPERM)
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

/// Opens a namespace for the task; returns the descriptor.
pub fn open(task: &CurrentTask, namespace: Namespace) -> SysResult {
    let file = open_path(task, path(namespace), OpenFlags::O_RDONLY)?;
    let fd = task.files().add(file, true, task.nofile_limit())?;
    Ok(u64::try_from(fd).unwrap_or(0))
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
    fn ioctl(&self, _: &File, task: &CurrentTask, cmd: u32, arg: u64) -> SysResult {
        match cmd {
            NS_GET_NSTYPE => Ok(self.namespace().kind().bits()),
            NS_GET_USERNS => open(task, Namespace::User(self.namespace().owner_for(task)?)),
            NS_GET_PARENT => match self.namespace() {
                Namespace::User(_) => open(task, Namespace::User(self.namespace().owner_for(task)?)),
                Namespace::Pid(ns) => {
                    let parent = ns.parent().filter(|parent| parent.is_within(task.pid_ns())).ok_or(Errno::EPERM)?;
                    open(task, Namespace::Pid(Arc::clone(parent)))
                }
                _ => err(Errno::EINVAL),
            },
            NS_GET_OWNER_UID => match self.namespace() {
                Namespace::User(ns) => {
                    let uid = task.creds().user_ns.show_uid(ns.owner);
                    task.mm().write(UserPtr::new(UserAddr(arg)), &uid)?;
                    Ok(0)
                }
                _ => err(Errno::EINVAL),
            },
            _ => err(Errno::ENOTTY),
        }
    }

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
