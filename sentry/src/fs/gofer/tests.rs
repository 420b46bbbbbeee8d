//! The file system over a real gofer, on a thread: what it keeps, what it asks, and what the host then shows.

use std::fs;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use abi::Errno;
use host::fd_socket::FdSocket;
use host::mem::HostSlice;

use super::{GoferFs, GoferInode, GoferOptions};
use crate::fs::gofer::inode::Body;
use crate::mm::Mappable;
use crate::vfs::{FileSystem, Inode, NewKind, NewNode, SetAttr};

struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("gofer-fs-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("a new directory");
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn serve(&self, exclusive: bool) -> Arc<GoferFs> {
        let (ours, theirs) = FdSocket::pair().expect("sockets");
        let root = fs::File::open(&self.0).expect("there");
        std::thread::spawn(move || {
            let export = gofer::Export::new(root.into()).expect("a directory");
            let fds = gofer::FdDir::from_proc().expect("procfs");
            gofer::serve(vec![gofer::Connection { socket: theirs.into(), export }], fds, |_| Ok(())).expect("served");
        });
        GoferFs::connect(ours.into(), GoferOptions { dev: 7, exclusive }).expect("connected")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn node(kind: NewKind<'_>) -> NewNode<'_> {
    let meta = fs::metadata("/proc/self").expect("procfs");
    use std::os::unix::fs::MetadataExt;
    NewNode { kind, mode: 0o644, uid: meta.uid(), gid: meta.gid() }
}

fn errno<T>(result: crate::error::Result<T>) -> Option<Errno> {
    result.err().map(|e| e.errno())
}

fn names(dir: &Arc<dyn Inode>, from: u64) -> Vec<String> {
    let mut all = Vec::new();
    dir.readdir(from, &mut |e| {
        all.push(String::from_utf8_lossy(e.name).into_owned());
        true
    })
    .expect("a directory");
    all.sort();
    all
}

fn concrete(inode: &Arc<dyn Inode>) -> Arc<GoferInode> {
    GoferInode::of(inode).expect("ours")
}

/// How many messages `f` costs.
fn cost<T>(fs: &GoferFs, f: impl FnOnce() -> T) -> (u64, T) {
    let before = fs.round_trips();
    let result = f();
    (fs.round_trips() - before, result)
}

#[test]
fn what_is_ours_is_asked_once() {
    let dir = Scratch::new();
    fs::write(dir.path("file"), b"12345").expect("room");
    std::os::unix::fs::symlink("file", dir.path("link")).expect("room");
    fs::create_dir(dir.path("sub")).expect("room");
    let fs = dir.serve(true);
    let root = fs.root();

    let (n, file) = cost(&fs, || root.lookup(b"file").expect("there"));
    assert_eq!(n, 1);
    let (n, attr) = cost(&fs, || file.attr().expect("known"));
    assert_eq!((n, attr.size, attr.dev), (0, 5, 7));
    let (n, link) = cost(&fs, || root.lookup(b"link").expect("there").readlink().expect("a link"));
    assert_eq!((n, &link[..]), (1, &b"file"[..]));

    // A listing answers everything about its names.
    let (n, listed) = cost(&fs, || names(&root, 0));
    assert_eq!((n, listed), (1, vec!["file".to_owned(), "link".to_owned(), "sub".to_owned()]));
    let (n, sub) = cost(&fs, || {
        assert_eq!(errno(root.lookup(b"absent")), Some(Errno::ENOENT));
        let sub = root.lookup(b"sub").expect("there");
        assert!(sub.attr().expect("known").mode & 0o40_000 != 0);
        assert_eq!(names(&root, 0).len(), 3);
        sub
    });
    assert_eq!(n, 0);
    // A file that was only listed gets a fid when it needs one.
    let (n, _) = cost(&fs, || assert_eq!(errno(sub.lookup(b"x")), Some(Errno::ENOENT)));
    assert_eq!(n, 1);
    // The same file is the same inode.
    assert!(Arc::ptr_eq(&concrete(&file), &concrete(&root.lookup(b"file").expect("there"))));
}

#[test]
fn search_paths_are_learnt() {
    let dir = Scratch::new();
    fs::write(dir.path("found"), b"").expect("room");
    let fs = dir.serve(true);
    let root = fs.root();
    let search = |i: usize| assert_eq!(errno(root.lookup(format!("lib{i}").as_bytes())), Some(Errno::ENOENT));
    assert_eq!(cost(&fs, || (0..4).for_each(search)).0, 5);
    assert_eq!(cost(&fs, || (4..500).for_each(search)).0, 0);
    assert_eq!(cost(&fs, || root.lookup(b"found").expect("listed").attr().expect("known")).0, 0);
}

#[test]
fn what_is_shared_is_asked_again() {
    let dir = Scratch::new();
    fs::write(dir.path("file"), b"12345").expect("room");
    let fs = dir.serve(false);
    let root = fs.root();
    let file = root.lookup(b"file").expect("there");
    assert_eq!(file.attr().expect("known").size, 5);
    fs::write(dir.path("file"), b"1234567").expect("room");
    assert_eq!(file.attr().expect("asked").size, 7);
    assert!(root.revalidate(b"file", Some(&file)));
    assert!(root.revalidate(b"new", None));
    fs::write(dir.path("new"), b"").expect("room");
    assert!(!root.revalidate(b"new", None));
    fs::rename(dir.path("new"), dir.path("file")).expect("ours");
    assert!(!root.revalidate(b"file", Some(&file)));
    assert_eq!(names(&root, 0), ["file"]);
    fs::write(dir.path("other"), b"").expect("room");
    assert_eq!(names(&root, 0), ["file", "other"]);
    // The file that lost its name is still there. (What the last lookup told may be told once more.)
    let _ = file.attr();
    assert_eq!(file.attr().expect("alive").nlink, 0);
}

#[test]
fn created_files_are_written_without_the_gofer() {
    let dir = Scratch::new();
    let fs = dir.serve(true);
    let root = fs.root();
    assert!(names(&root, 0).is_empty());
    let (n, file) = cost(&fs, || {
        let file = root.create(b"f", &node(NewKind::Regular)).expect("created");
        let fd = concrete(&file).handle(true).expect("donated");
        assert_eq!(HostSlice::from_ref(b"hello").write_fd(fd.as_fd(), Some(0)), Ok(5));
        concrete(&file).attributes.touch();
        assert_eq!(file.attr().expect("the host tells").size, 5);
        file.set_attr(&SetAttr { size: Some(3), ..SetAttr::default() }).expect("cut");
        assert_eq!(file.attr().expect("the host tells").size, 3);
        file
    });
    assert_eq!(n, 1);
    assert_eq!(fs::read(dir.path("f")).expect("there"), b"hel");
    assert_eq!(errno(root.create(b"f", &node(NewKind::Regular))), Some(Errno::EEXIST));
    assert_eq!(names(&root, 0), ["f"]);

    file.set_attr(&SetAttr { mode: Some(0o600), ..SetAttr::default() }).expect("set");
    assert_eq!(file.attr().expect("told").mode & 0o7777, 0o600);
    let map = concrete(&file).translate(0, 1 << 20, true).expect("mapped");
    assert_eq!((map.offset, map.len, map.writable), (0, 4096, true));
    assert_eq!(errno(concrete(&file).translate(4096, 4096, false)), Some(Errno::EFAULT));
}

#[test]
fn names_come_and_go() {
    let dir = Scratch::new();
    fs::write(dir.path("old"), b"old").expect("room");
    let fs = dir.serve(true);
    let root = fs.root();
    assert_eq!(names(&root, 0), ["old"]);
    let old = root.lookup(b"old").expect("there");
    let sub = root.create(b"sub", &NewNode { mode: 0o755, ..node(NewKind::Directory) }).expect("made");
    root.create(b"pipe", &node(NewKind::Fifo)).expect("made");
    root.create(b"link", &node(NewKind::Symlink(b"old"))).expect("made");
    sub.link(b"hard", &old).expect("linked");
    assert_eq!(old.attr().expect("told").nlink, 2);
    root.rename(b"old", &old, &sub, b"new", None, false).expect("renamed");
    assert_eq!(names(&root, 0), ["link", "pipe", "sub"]);
    assert_eq!(names(&sub, 0), ["hard", "new"]);
    let pipe = root.lookup(b"pipe").expect("there");
    root.rename(b"pipe", &pipe, &sub, b"new", Some(&old), true).expect("swapped");
    assert!(Arc::ptr_eq(&concrete(&root.lookup(b"pipe").expect("there")), &concrete(&old)));
    assert_eq!(errno(root.rmdir(b"sub", &sub)), Some(Errno::ENOTEMPTY));
    for name in [&b"hard"[..], b"new"] {
        let child = sub.lookup(name).expect("there");
        sub.unlink(name, &child).expect("removed");
    }
    root.rmdir(b"sub", &sub).expect("removed");
    assert_eq!(names(&root, 0), ["link", "pipe"]);
    assert_eq!(fs::read(dir.path("pipe")).expect("there"), b"old");

    // O_TMPFILE: a name only when it is given one.
    let unnamed = root.create_tmpfile(&node(NewKind::Regular)).expect("made");
    assert_eq!(names(&root, 0), ["link", "pipe"]);
    root.link(b"named", &unnamed).expect("linked");
    assert!(dir.path("named").exists());
}

#[test]
fn listed_files_move_and_go_without_fids() {
    let dir = Scratch::new();
    for name in ["a", "b", "c"] {
        fs::write(dir.path(name), name).expect("room");
    }
    let fs = dir.serve(true);
    let root = fs.root();
    names(&root, 0);
    let a = root.lookup(b"a").expect("listed");
    let (n, _) = cost(&fs, || root.rename(b"a", &a, &root, b"z", None, false).expect("renamed"));
    assert_eq!(n, 1);
    let fd = concrete(&a).handle(false).expect("found under its new name");
    let mut text = [0; 4];
    assert_eq!(HostSlice::from_mut(&mut text).read_fd(fd.as_fd(), Some(0)), Ok(1));
    // Removing a file that nobody uses costs the removal.
    let b = root.lookup(b"b").expect("listed");
    let (n, _) = cost(&fs, || root.unlink(b"b", &b).expect("removed"));
    assert_eq!(n, 1);
    // One that somebody uses stays usable.
    let c = root.lookup(b"c").expect("listed");
    let user = (Arc::clone(&c), concrete(&c));
    root.unlink(b"c", &c).expect("removed");
    let fd = user.1.handle(false).expect("alive");
    assert_eq!(HostSlice::from_mut(&mut text).read_fd(fd.as_fd(), Some(0)), Ok(1));
    assert_eq!(user.0.attr().expect("alive").nlink, 0);
}

#[test]
fn idle_descriptors_are_closed_in_the_end() {
    let dir = Scratch::new();
    for i in 0..600 {
        fs::write(dir.path(&i.to_string()), b"x").expect("room");
    }
    let fs = dir.serve(true);
    let root = fs.root();
    let inodes: Vec<_> = (0..600).map(|i| root.lookup(i.to_string().as_bytes()).expect("there")).collect();
    for inode in &inodes {
        drop(concrete(inode).open_contents(abi::fcntl::OpenFlags::O_RDONLY).expect("opened"));
    }
    let kept = inodes.iter().filter(|inode| match &concrete(inode).body {
        Body::Regular(_) => concrete(inode).any_handle().is_some(),
        _ => false,
    });
    assert_eq!(kept.count(), 512);
}

#[test]
fn absent_attributes_are_not_asked_for_twice() {
    let dir = Scratch::new();
    fs::write(dir.path("f"), b"").expect("room");
    let fs = dir.serve(true);
    let file = fs.root().lookup(b"f").expect("there");
    let ask = || errno(file.getxattr(b"security.capability"));
    assert_eq!(ask(), Some(Errno::ENODATA));
    assert_eq!(cost(&fs, ask), (0, Some(Errno::ENODATA)));
    assert_eq!(errno(file.getxattr(b"security.selinux")), Some(Errno::EOPNOTSUPP));
    if file.setxattr(b"user.x", b"1", crate::vfs::XattrMode::Any).is_ok() {
        assert_eq!(file.getxattr(b"user.x").expect("set"), b"1");
        assert_eq!(file.listxattr().expect("listed"), [b"user.x".to_vec()]);
        file.removexattr(b"user.x").expect("removed");
        assert_eq!(errno(file.getxattr(b"user.x")), Some(Errno::ENODATA));
    }
}
