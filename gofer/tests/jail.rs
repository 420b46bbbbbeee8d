//! A gofer that has locked itself up: everything it serves still works, and nothing else is left to it.
#![expect(clippy::tests_outside_test_module, reason = "an integration test is one")]

mod common;

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use common::{Link, Scratch};
use host::fd_socket::FdSocket;
use ninep::attr::{Device, SetAttr};
use ninep::client::{ClientOptions, Creation, FidHandle, OpenFile, Owner, Stats};
use ninep::flags::{AllocateMode, OpenFlags, RenameFlags, SetMask, UnlinkFlags};
use ninep::{Client, Dialect, Name};

/// Starts the server in new namespaces.
fn start(dir: &Scratch, dialect: Dialect) -> (Child, Arc<Client>, FidHandle) {
    let exe = env!("CARGO_BIN_EXE_gofer-serve");
    let (ours, theirs) = FdSocket::pair().expect("sockets");
    let child = Command::new("unshare")
        .args(["--mount", "--pid", "--fork", "--kill-child", "--net", "--ipc", "--uts"])
        .arg(exe)
        .arg("--jail")
        .arg(&dir.0)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .spawn()
        .expect("unshare of util-linux");
    let options = ClientOptions { dialect, ..ClientOptions::default() };
    let (client, root) = Client::connect(Box::new(Link(ours)), &options).expect("a session");
    (child, client, root)
}

fn may_run() -> bool {
    let may = nix::unistd::getuid().is_root()
        && Command::new("unshare").args(["-mpfniu", "true"]).status().is_ok_and(|s| s.success());
    if !may {
        eprintln!("skipped: needs root and the right to make namespaces");
    }
    may
}

fn name(s: &str) -> Name<'_> {
    Name::new(s.as_bytes()).expect("a component")
}

#[test]
fn every_operation_passes_the_filter() {
    if !may_run() {
        return;
    }
    for dialect in [Dialect::Plain, Dialect::Extended] {
        let dir = Scratch::new();
        let (mut child, client, root) = start(&dir, dialect);
        let owner = Owner { uid: 1000, gid: 1000 };
        let (file, fd) = client.create(&root, name("f"), 0o4755, owner).expect("created");
        assert_eq!(fd.is_some(), dialect == Dialect::Extended);
        let open = client.open(&file.fid, OpenFlags::READ_WRITE).expect("opened");
        if let OpenFile::Remote(open) = &open {
            assert_eq!(client.write(open, b"12345", 0).expect("written"), 5);
            let mut buffer = [0; 9];
            assert_eq!(client.read(open, &mut buffer, 0).expect("read"), 5);
            client.fsync(open, false).expect("synced");
        } else {
            client.allocate(&file.fid, AllocateMode::empty(), 0, 5).expect("allocated");
            let (unnamed, _) = client.create_unnamed(&root, 0o600, owner).expect("created");
            client.link(&unnamed.fid, &root, name("named")).expect("linked");
        }
        let valid = SetMask::MODE | SetMask::SIZE | SetMask::UID | SetMask::MTIME | SetMask::ATIME;
        let attr = SetAttr { valid, mode: 0o600, size: 3, uid: 7, ..SetAttr::default() };
        assert_eq!(client.set_attr(&file.fid, attr).expect("set").size, 3);
        let meta = fs::metadata(dir.path("f")).expect("there");
        assert_eq!((meta.uid(), meta.mode() & 0o7777), (7, 0o600));
        let sub = client.make(&root, name("d"), Creation::Directory(0o755), owner).expect("made");
        client.make(&sub.fid, name("l"), Creation::Symlink(b"f"), owner).expect("made");
        let device = Device { major: 1, minor: 3 };
        client.make(&sub.fid, name("null"), Creation::Node(0o020_666, device), owner).expect("made");
        assert_eq!(
            client.readlink(&client.lookup(&sub.fid, name("l")).expect("there").fid).expect("a link")[..],
            *b"f"
        );
        assert_eq!(client.list(&sub.fid, Stats::All).expect("listed").len(), 2);
        client.link(&file.fid, &sub.fid, name("g")).expect("linked");
        client.rename((&sub.fid, name("g")), (&root, name("h")), RenameFlags::empty()).expect("renamed");
        client.unlink(&root, name("h"), UnlinkFlags::empty()).expect("removed");
        client.unlink(&sub.fid, name("l"), UnlinkFlags::empty()).expect("removed");
        client.unlink(&sub.fid, name("null"), UnlinkFlags::empty()).expect("removed");
        client.unlink(&root, name("d"), UnlinkFlags::REMOVE_DIR).expect("removed");
        client.statfs(&root).expect("told");
        if client.set_xattr(&file.fid, b"user.x", b"y", 0).is_ok() {
            assert_eq!(client.get_xattr(&file.fid, b"user.x").expect("there"), b"y");
            client.remove_xattr(&file.fid, b"user.x").expect("removed");
        }
        drop((file, sub, open, root));
        drop(client);
        assert!(child.wait().expect("ours").success());
    }
}

#[test]
fn each_mount_has_a_thread() {
    if !may_run() {
        return;
    }
    let (first, second) = (Scratch::new(), Scratch::new());
    fs::write(second.path("here"), b"").expect("room");
    let [(ours, theirs), (ours2, theirs2)] = [(); 2].map(|()| FdSocket::pair().expect("sockets"));
    let mut child = Command::new("unshare")
        .args(["--mount", "--pid", "--fork", "--kill-child", env!("CARGO_BIN_EXE_gofer-serve"), "--jail"])
        .args([&first.0, &second.0])
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::from(OwnedFd::from(theirs2)))
        .spawn()
        .expect("unshare of util-linux");
    let options = ClientOptions::default();
    let sessions = [ours, ours2].map(|s| Client::connect(Box::new(Link(s)), &options).expect("a session"));
    let found = sessions.each_ref().map(|(client, root)| client.lookup(root, name("here")).is_ok());
    assert_eq!(found, [false, true]);
    // Both clients hang up, and so does unshare, which holds what it passed on.
    drop(sessions);
    assert!(child.wait().expect("ours").success());
}

#[test]
fn nothing_but_the_exported_tree_is_left() {
    if !may_run() {
        return;
    }
    let dir = Scratch::new();
    let (mut child, client, root) = start(&dir, Dialect::Extended);
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", child.id())).expect("procfs");
    let pid = children.trim();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("alive");
    let field = |key: &str| status.lines().find_map(|l| l.strip_prefix(key)).map(str::trim).expect("a field");
    assert_eq!(field("Seccomp:"), "2");
    assert_eq!(field("NoNewPrivs:"), "1");
    for set in ["CapPrm:", "CapEff:", "CapBnd:"] {
        let caps = u64::from_str_radix(field(set), 16).expect("a number");
        // CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, FSETID, MKNOD, SETFCAP
        assert_eq!(caps & !0x8800_001f, 0, "{set} {caps:#x}");
    }
    assert_eq!(fs::read_dir(format!("/proc/{pid}/root/")).expect("alive").count(), 0);
    // One mount: the empty root.
    let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).expect("alive");
    assert_eq!(mounts.lines().count(), 1, "{mounts}");
    drop(root);
    drop(client);
    assert!(child.wait().expect("ours").success());
}
