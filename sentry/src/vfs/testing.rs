//! What tests of the VFS and of file systems share: a small world of one mount namespace.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use abi::Errno;
use abi::fcntl::RenameFlags;
use abi::stat::FileType;

use super::walk::{WalkFlags, resolve};
use super::{Caller, Dentry, FsContext, Inode, MountFlags, MountNamespace, NewKind, Path, SetAttr, namei};
use crate::fs::overlay::OverlayNode;
use crate::fs::tmpfs::{Content, HasContent, Node, Options, TmpFs};
use crate::io::IoSrc;
use crate::mm::memfile::MemFile;
use crate::task::Credentials;
use crate::task::creds::UserNamespace;

/// A mount namespace and somebody in it.
pub(crate) struct World {
    pub(crate) creds: Credentials,
    pub(crate) fs: Arc<FsContext>,
    pub(crate) namespace: Arc<MountNamespace>,
}

/// An entry of a tree, as [`World::dump`] sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) kind: FileType,
    pub(crate) mode: u32,
    pub(crate) nlink: u32,
    /// Bytes of a file, target of a link.
    pub(crate) data: Vec<u8>,
}

/// One for all tests: each reserves a lot of address space.
pub(crate) fn memfile() -> Arc<MemFile> {
    static MEMFILE: LazyLock<Arc<MemFile>> = LazyLock::new(|| MemFile::new(4 << 30).expect("a memory file"));
    Arc::clone(&MEMFILE)
}

impl World {
    pub(crate) fn new(root: Arc<Dentry>) -> Self {
        let user_ns = UserNamespace::root();
        let namespace = MountNamespace::new(root, b"root", MountFlags::empty(), Arc::clone(&user_ns));
        Self { creds: Credentials::root(user_ns), fs: FsContext::new(Arc::clone(&namespace), 0), namespace }
    }

    /// A world with an empty tmpfs.
    pub(crate) fn empty() -> Self {
        Self::new(TmpFs::mount(&memfile(), Options::unlimited()).expect("a root"))
    }

    pub(crate) fn caller(&self) -> Caller<'_> {
        Caller::kernel(&self.creds, &self.fs)
    }

    pub(crate) fn find(&self, path: &str) -> Result<Path, Errno> {
        resolve(self.caller(), None, path.as_bytes(), WalkFlags::FOLLOW).map_err(|e| e.errno())
    }

    pub(crate) fn lfind(&self, path: &str) -> Result<Path, Errno> {
        resolve(self.caller(), None, path.as_bytes(), WalkFlags::empty()).map_err(|e| e.errno())
    }

    pub(crate) fn mkdir(&self, path: &str) -> Result<(), Errno> {
        namei::mkdir(self.caller(), None, path.as_bytes(), 0o755).map(|_| ()).map_err(|e| e.errno())
    }

    pub(crate) fn mkfile(&self, path: &str, data: &[u8]) -> Result<(), Errno> {
        let made = namei::mknod(self.caller(), None, path.as_bytes(), NewKind::Regular, 0o644);
        self.write(&made.map_err(|e| e.errno())?, 0, data);
        Ok(())
    }

    pub(crate) fn symlink(&self, target: &str, path: &str) -> Result<(), Errno> {
        let made = namei::symlink(self.caller(), target.as_bytes(), None, path.as_bytes());
        made.map(|_| ()).map_err(|e| e.errno())
    }

    pub(crate) fn link(&self, old: &str, new: &str) -> Result<(), Errno> {
        namei::link(self.caller(), &self.lfind(old)?, None, new.as_bytes()).map_err(|e| e.errno())
    }

    pub(crate) fn unlink(&self, path: &str) -> Result<(), Errno> {
        namei::unlink(self.caller(), None, path.as_bytes()).map_err(|e| e.errno())
    }

    pub(crate) fn rmdir(&self, path: &str) -> Result<(), Errno> {
        namei::rmdir(self.caller(), None, path.as_bytes()).map_err(|e| e.errno())
    }

    pub(crate) fn rename(&self, old: &str, new: &str, exchange: bool) -> Result<(), Errno> {
        let flags = if exchange { RenameFlags::RENAME_EXCHANGE } else { RenameFlags::empty() };
        namei::rename(self.caller(), (None, old.as_bytes()), (None, new.as_bytes()), flags).map_err(|e| e.errno())
    }

    pub(crate) fn chmod(&self, path: &str, mode: u32) -> Result<(), Errno> {
        super::setattr::chmod(&self.creds, &self.find(path)?, mode).map_err(|e| e.errno())
    }

    pub(crate) fn truncate(&self, path: &Path, size: u64) {
        let change = SetAttr { size: Some(size), ..SetAttr::default() };
        path.inode().set_attr(&change).expect("files can be truncated");
    }

    pub(crate) fn write(&self, path: &Path, mut pos: u64, data: &[u8]) {
        with_content(path, |content| {
            content.write(&mut pos, false, &mut IoSrc::kernel(data), |_, _| Ok(())).expect("there is room");
        });
    }

    pub(crate) fn read(&self, path: &Path) -> Vec<u8> {
        let size = usize::try_from(path.attr().expect("attributes").size).expect("small");
        let mut data = vec![0; size];
        let n = path.inode().read_into(0, &host::mem::HostSlice::from_mut(&mut data)).expect("readable");
        assert_eq!(n, size);
        data
    }

    /// Everything below a directory.
    pub(crate) fn dump(&self, top: &str) -> BTreeMap<String, Seen> {
        let mut seen = BTreeMap::new();
        let mut stack = vec![String::from(top)];
        while let Some(at) = stack.pop() {
            let mut names = Vec::new();
            let dir = self.lfind(&at).expect("was listed");
            let list = dir.inode().readdir(0, &mut |entry| {
                names.push((String::from_utf8_lossy(entry.name).into_owned(), entry.ino, entry.kind));
                true
            });
            list.expect("a directory");
            for (name, ino, kind) in names {
                let path = format!("{}/{name}", at.trim_end_matches('/'));
                let found = self.lfind(&path).expect("was listed");
                let attr = found.attr().expect("attributes");
                assert_eq!((attr.ino, found.kind().dirent_type()), (ino, kind), "listed as found: {path}");
                let data = match found.kind() {
                    FileType::Regular => self.read(&found),
                    FileType::Symlink => found.inode().readlink().expect("a link"),
                    FileType::Directory => {
                        stack.push(path.clone());
                        Vec::new()
                    }
                    _ => Vec::new(),
                };
                let entry = Seen { kind: found.kind(), mode: attr.mode, nlink: attr.nlink, data };
                assert!(seen.insert(path.clone(), entry).is_none(), "listed twice: {path}");
            }
        }
        seen
    }
}

fn with_content(path: &Path, f: impl FnOnce(&Content)) {
    let inode: &dyn Inode = &**path.inode();
    let any: &dyn std::any::Any = inode;
    if let Some(node) = any.downcast_ref::<Node>() {
        f(node.content());
    } else if let Some(node) = any.downcast_ref::<OverlayNode>() {
        node.prepare_write().expect("copied up");
        f(node.content());
    }
}
