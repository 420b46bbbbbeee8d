//! Interoperation with diod, another implementation of 9P2000.L: our client with its server, its clients with our server.
//! Skipped, and said so, where diod is not installed (Debian: `apt install diod`).
#![expect(clippy::tests_outside_test_module, reason = "an integration test is one")]

mod common;

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use abi::Errno;
use common::{Scratch, export};
use gofer::FdDir;
use ninep::attr::{Device, SetAttr};
use ninep::client::{ClientOptions, Creation, FidHandle, OpenFile, Owner, Stats};
use ninep::flags::{OpenFlags, RenameFlags, SetMask, UnlinkFlags};
use ninep::message::{Tgetlock, Tlock};
use ninep::{Client, Dialect, Name, Str};

/// The path of a program of diod's package.
fn program(name: &str) -> Option<PathBuf> {
    let found =
        ["/usr/sbin", "/usr/bin", "/sbin"].map(|dir| Path::new(dir).join(name)).into_iter().find(|p| p.exists());
    if found.is_none() {
        eprintln!("skipped: {name} is not installed");
    }
    found
}

/// A diod that serves a directory; ended when dropped.
struct Diod(Child);

impl Diod {
    /// Starts it with one end of a connection as its standard input; gives the other.
    fn start(tree: &Path) -> Option<(Self, UnixStream)> {
        let (ours, theirs) = UnixStream::pair().expect("sockets");
        let child = Command::new(program("diod")?)
            .args(["--foreground", "--no-auth", "--no-userdb", "--rfdno", "0", "--wfdno", "0", "--export"])
            .arg(tree)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        Some((Self(child), ours))
    }
}

impl Drop for Diod {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn connect(stream: UnixStream, tree: &Path) -> (Arc<Client>, FidHandle) {
    let uid = nix::unistd::getuid().as_raw();
    let options = ClientOptions { aname: tree.to_str().expect("plain"), uid, ..ClientOptions::default() };
    Client::connect(Box::new(stream), &options).expect("a session")
}

fn name(s: &str) -> Name<'_> {
    Name::new(s.as_bytes()).expect("a component")
}

#[test]
fn our_client_uses_diod() {
    let dir = Scratch::new();
    fs::create_dir(dir.path("tree")).expect("room");
    let Some((_diod, stream)) = Diod::start(&dir.path("tree")) else { return };
    let (client, root) = connect(stream, &dir.path("tree"));
    assert_eq!(client.dialect(), Dialect::Plain);
    let owner = Owner { uid: nix::unistd::getuid().as_raw(), gid: nix::unistd::getgid().as_raw() };

    let (file, _) = client.create(&root, name("f"), 0o640, owner).expect("created");
    let data: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
    let OpenFile::Remote(open) = client.open(&file.fid, OpenFlags::READ_WRITE).expect("opened") else {
        panic!("diod gives no descriptors");
    };
    assert_eq!(client.write(&open, &data, 0).expect("written"), data.len());
    client.fsync(&open, true).expect("synced");
    let mut back = vec![0; data.len() + 1];
    assert_eq!(client.read(&open, &mut back, 0).expect("read"), data.len());
    assert_eq!(back[..data.len()], data);
    let stat = client.stat(&file.fid).expect("there");
    assert_eq!((stat.size, stat.mode & 0o7777), (data.len() as u64, 0o640));

    let (kind, client_id, proc_id) = (1, Str(b"test"), 1);
    let lock = Tlock { fid: open.fid(), kind, flags: 0, start: 0, length: 10, proc_id, client_id };
    assert_eq!(client.call(&lock, |r, _| r.status).expect("locked"), 0);
    let test = Tgetlock { fid: open.fid(), kind, start: 0, length: 10, proc_id, client_id };
    assert_eq!(client.call(&test, |r, _| r.length).expect("told"), 10);

    let sub = client.make(&root, name("d"), Creation::Directory(0o755), owner).expect("made");
    let link = client.make(&sub.fid, name("l"), Creation::Symlink(b"../f"), owner).expect("made");
    assert_eq!(link.target.as_deref(), Some(&b"../f"[..]));
    let fifo = client.make(&sub.fid, name("p"), Creation::Node(0o010_600, Device::default()), owner).expect("made");
    assert_eq!(fifo.stat.mode & 0o170_000, 0o010_000);
    client.link(&file.fid, &sub.fid, name("g")).expect("linked");
    client.rename((&sub.fid, name("g")), (&root, name("h")), RenameFlags::empty()).expect("renamed");
    let mut names: Vec<_> = client.list(&root, Stats::All).expect("listed").into_iter().map(|e| e.name).collect();
    names.sort();
    assert_eq!(names, [b"d"[..].into(), b"f"[..].into(), b"h"[..].into()] as [Box<[u8]>; 3]);
    let attr = SetAttr { valid: SetMask::SIZE | SetMask::MODE, size: 7, mode: 0o600, ..SetAttr::default() };
    assert_eq!(client.set_attr(&file.fid, attr).expect("set").size, 7);
    assert!(client.statfs(&root).expect("told").namelen >= 255);

    let (found, stopped) = client.lookup_path(&root, &[name("d"), name("none")]).expect("a session");
    assert_eq!((found.len(), stopped), (1, Some(Errno::ENOENT)));
    for (dir, entry) in [(&sub.fid, "l"), (&sub.fid, "p"), (&root, "h")] {
        client.unlink(dir, name(entry), UnlinkFlags::empty()).expect("removed");
    }
    client.unlink(&root, name("d"), UnlinkFlags::REMOVE_DIR).expect("removed");
    assert_eq!(fs::read(dir.path("tree/f")).expect("there"), data[..7]);
}

/// Our server, listening on a unix socket. Its threads end with the test.
fn listen(dir: &Scratch) -> PathBuf {
    let socket = dir.path("socket");
    let listener = UnixListener::bind(&socket).expect("a new name");
    let tree = dir.path("tree");
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let export = export(&tree);
            std::thread::spawn(move || {
                let fds = FdDir::from_proc().expect("procfs");
                let _ = gofer::serve_stream(&stream, &export, &fds);
            });
        }
    });
    socket
}

/// What a client of diod's prints, run against our server.
fn run(program: &Path, socket: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(program).arg("-s").arg(socket).args(arguments).output().expect("runs");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {error}", program.display());
    output.stdout
}

#[test]
fn clients_of_diod_use_our_server() {
    let (Some(diodls), Some(diodcat)) = (program("diodls"), program("diodcat")) else { return };
    let dir = Scratch::new();
    let mut expected: Vec<_> = (0..500).map(|i| format!("file-{i:03}")).collect();
    fs::create_dir_all(dir.path("tree/sub")).expect("room");
    for file in &expected {
        fs::write(dir.path("tree/sub").join(file), file).expect("room");
    }
    let data: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    fs::write(dir.path("tree/big"), &data).expect("room");
    let socket = listen(&dir);

    let listed = String::from_utf8(run(&diodls, &socket, &["-a", "/", "sub"])).expect("text");
    let mut names: Vec<_> = listed.split_whitespace().map(str::to_owned).collect();
    names.sort();
    expected.sort();
    assert_eq!(names, expected);
    let long = String::from_utf8(run(&diodls, &socket, &["-a", "/", "-l"])).expect("text");
    assert!(long.lines().any(|l| l.starts_with("-rw") && l.contains("1200000") && l.ends_with("big")), "{long}");
    assert_eq!(run(&diodcat, &socket, &["-a", "/", "big"]), data);
    assert_eq!(run(&diodcat, &socket, &["-a", "/", "-m", "9000", "sub/file-123"]), b"file-123");
}

#[test]
fn the_load_generator_of_diod_finds_our_server_standing() {
    let Some(diodload) = program("diodload") else { return };
    let dir = Scratch::new();
    // It copies from one of these to the other, in what it takes for diod's own synthetic tree.
    fs::create_dir(dir.path("tree")).expect("room");
    fs::write(dir.path("tree/zero"), vec![0; 1 << 20]).expect("room");
    fs::write(dir.path("tree/null"), b"").expect("room");
    let socket = listen(&dir);
    run(&diodload, &socket, &["-r", "1", "-n", "4"]);
    run(&diodload, &socket, &["-r", "1", "-n", "4", "-g"]);
}
