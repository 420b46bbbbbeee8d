//! Clients that mean harm: bytes that are no messages, messages that make no sense, names that lead elsewhere, races. The
//! server may refuse and hang up; it may not end, leave its tree, open a device or hold more than it was told to.
#![expect(clippy::tests_outside_test_module, reason = "an integration test is one")]

mod common;

use std::collections::VecDeque;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{Link, Scratch, connect, export, start};
use gofer::Export;
use ninep::flags::{OpenFlags, RenameFlags, SetMask, UnlinkFlags};
use ninep::message::*;
use ninep::transport::encode;
use ninep::{Blob, Dialect, Fid, FrameReader, List, Name, Str, Tag, Transport};
use proptest::collection::vec;
use proptest::prelude::*;

/// A client that sends whatever it likes.
struct Raw {
    link: Link,
    reader: FrameReader,
    fds: VecDeque<std::os::fd::OwnedFd>,
}

impl Raw {
    fn new(export: Export) -> (Self, std::thread::JoinHandle<()>) {
        let (socket, server) = start(export);
        (Self { link: Link(socket), reader: FrameReader::default(), fds: VecDeque::new() }, server)
    }

    /// Sends a message; the type and body of the answer, nothing if the server hung up.
    fn ask<M: Message>(&mut self, message: &M) -> Option<(u8, Vec<u8>)> {
        let mut out = Vec::new();
        encode(&mut out, Tag(0), message, usize::MAX).expect("fits");
        self.send(&out)
    }

    fn send(&mut self, bytes: &[u8]) -> Option<(u8, Vec<u8>)> {
        self.link.send(bytes, None).ok()?;
        let frame = self.reader.next(&self.link, &mut self.fds, 1 << 20).ok()??;
        Some((frame.kind, frame.body.to_vec()))
    }

    /// The errno of a refusal, 0 for success.
    fn errno<M: Message>(&mut self, message: &M) -> u32 {
        match self.ask(message).expect("still served") {
            (RLERROR, body) => u32::from_le_bytes(body.try_into().expect("four bytes")),
            _ => 0,
        }
    }

    fn begin(&mut self) {
        let version = Str(Dialect::Extended.version().as_bytes());
        assert_eq!(self.errno(&Tversion { msize: 65536, version }), 0);
        let none = Str(b"");
        assert_eq!(self.errno(&Tattach { fid: Fid(0), afid: Fid::NONE, uname: none, aname: none, uid: 0 }), 0);
    }
}

/// Names as an attacker would choose them, as they stand in a message.
fn nasty() -> impl Strategy<Value = Vec<u8>> {
    let fixed =
        ["..", ".", "", "/", "../outside", "a/../..", "a\0b", "/etc/passwd", "link", "dir", "file", "fifo", "x"];
    prop_oneof![
        8 => proptest::sample::select(fixed.map(|s| s.as_bytes().to_vec()).to_vec()),
        1 => vec(any::<u8>(), 0..300),
    ]
}

/// A field of a message.
#[derive(Clone, Debug)]
enum Field {
    Small(u8),
    Fid(u32),
    Any32(u32),
    Any64(u64),
    Name(Vec<u8>),
}

fn field() -> impl Strategy<Value = Field> {
    prop_oneof![
        2 => (0..6u8).prop_map(Field::Small),
        6 => prop_oneof![(0..6u32), Just(u32::MAX)].prop_map(Field::Fid),
        2 => prop_oneof![(0..8192u32), any::<u32>()].prop_map(Field::Any32),
        2 => prop_oneof![(0..8192u64), any::<u64>()].prop_map(Field::Any64),
        3 => nasty().prop_map(Field::Name),
    ]
}

/// A whole message of a known type with plausible fields in an arbitrary order.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let kinds: Vec<u8> = (4..=80).chain(102..=160).step_by(2).collect();
    (proptest::sample::select(kinds), (0..6u32), vec(field(), 0..7)).prop_map(|(kind, fid, fields)| {
        let mut body = fid.to_le_bytes().to_vec();
        for field in fields {
            match field {
                Field::Small(n) => body.push(n),
                Field::Fid(n) | Field::Any32(n) => body.extend(n.to_le_bytes()),
                Field::Any64(n) => body.extend(n.to_le_bytes()),
                Field::Name(name) => {
                    body.extend(u16::try_from(name.len()).expect("short").to_le_bytes());
                    body.extend(name);
                }
            }
        }
        frame(kind, &body)
    })
}

fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(body.len() + 7).expect("short");
    [&size.to_le_bytes()[..], &[kind, 0, 0], body].concat()
}

/// A tree with a secret beside it; whether the secret is still what it was.
struct Trap {
    dir: Scratch,
}

impl Trap {
    fn new() -> Self {
        let dir = Scratch::new();
        fs::create_dir_all(dir.path("tree/dir")).expect("room");
        fs::create_dir(dir.path("outside")).expect("room");
        fs::write(dir.path("outside/secret"), b"secret").expect("room");
        fs::write(dir.path("tree/file"), b"data").expect("room");
        std::os::unix::fs::symlink("../outside", dir.path("tree/link")).expect("room");
        nix::unistd::mkfifo(&dir.path("tree/fifo"), nix::sys::stat::Mode::S_IRWXU).expect("room");
        Self { dir }
    }

    fn intact(&self) -> bool {
        let names: Vec<_> = fs::read_dir(&self.dir.0).expect("there").flatten().map(|e| e.file_name()).collect();
        let inside = fs::read_dir(self.dir.path("outside")).expect("there").count();
        names.len() == 2 && inside == 1 && fs::read(self.dir.path("outside/secret")).expect("there") == b"secret"
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn bytes_that_are_no_messages_end_the_session_only(bytes in vec(any::<u8>(), 1..200), begun: bool) {
        let trap = Trap::new();
        let (mut raw, server) = Raw::new(export(&trap.dir.path("tree")));
        if begun {
            raw.begin();
        }
        let _ = raw.link.send(&bytes, None);
        drop(raw);
        // An error at most, which the server has logged; a panic would show here.
        server.join().expect("no panic");
        prop_assert!(trap.intact());
    }

    #[test]
    fn messages_without_sense_are_answered(messages in vec(message(), 1..60)) {
        let trap = Trap::new();
        let (mut raw, server) = Raw::new(export(&trap.dir.path("tree")).max_fids(20));
        raw.begin();
        for message in messages {
            prop_assert!(raw.send(&message).is_some(), "hung up");
            for fd in raw.fds.drain(..) {
                let meta = fs::File::from(fd).metadata().expect("open");
                prop_assert!(meta.is_file(), "only regular files are donated");
            }
        }
        prop_assert_eq!(raw.errno(&Tforget { fids: List::Slice(&[Fid(0)]) }), 0);
        drop(raw);
        server.join().expect("no panic");
        prop_assert!(trap.intact());
    }
}

#[test]
fn fids_and_sessions_are_checked() {
    let trap = Trap::new();
    let (mut raw, server) = Raw::new(export(&trap.dir.path("tree")));
    let (bad, proto) = (9, 71);
    assert_eq!(raw.errno(&Tclunk { fid: Fid(0) }), proto, "nothing before a version");
    raw.begin();
    for fid in [Fid(1), Fid(77), Fid::NONE] {
        assert_eq!(raw.errno(&Tclunk { fid }), bad);
        assert_eq!(raw.errno(&Tread { fid, offset: 0, count: 1 }), bad);
        assert_eq!(raw.errno(&Tdonate { fid, flags: OpenFlags::empty() }), bad);
        assert_eq!(raw.errno(&Twalk { fid, newfid: Fid(3), names: List::Slice(&[]) }), bad);
        assert_eq!(raw.errno(&Tlistdir { fid, offset: 0, count: 9999, stats: 1 }), bad);
    }
    let walk = |newfid| Twalk { fid: Fid(0), newfid, names: List::Slice(&[]) };
    assert_eq!(raw.errno(&walk(Fid(1))), 0);
    assert_eq!(raw.errno(&walk(Fid(1))), bad, "a fid in use");
    assert_eq!(raw.errno(&walk(Fid::NONE)), bad);
    // Neither read nor written before it is opened.
    assert_eq!(raw.errno(&Tread { fid: Fid(1), offset: 0, count: 1 }), bad);
    assert_eq!(raw.errno(&Twrite { fid: Fid(1), offset: 0, data: Blob(b"x") }), bad);
    // Offsets and counts of any size.
    let names = [Name::new(b"file").expect("a component")];
    assert_eq!(raw.errno(&Twalk { fid: Fid(0), newfid: Fid(2), names: List::Slice(&names) }), 0);
    assert_eq!(raw.errno(&Tlopen { fid: Fid(2), flags: OpenFlags::READ_WRITE }), 0);
    let invalid = 22;
    assert_eq!(raw.errno(&Tread { fid: Fid(2), offset: u64::MAX, count: u32::MAX }), invalid);
    assert_eq!(raw.errno(&Twrite { fid: Fid(2), offset: u64::MAX, data: Blob(b"x") }), invalid);
    assert_eq!(raw.errno(&Tread { fid: Fid(2), offset: 0, count: u32::MAX }), 0);
    // A new version forgets everything.
    raw.begin();
    assert_eq!(raw.errno(&Tclunk { fid: Fid(2) }), bad);
    // Sizes that no message has end the session.
    assert!(raw.send(&[0xff, 0xff, 0xff, 0xff, 120, 0, 0]).is_none());
    drop(raw);
    server.join().expect("no panic");
}

#[test]
fn links_lead_nowhere() {
    let trap = Trap::new();
    let (client, root) = connect(export(&trap.dir.path("tree")), Dialect::Extended);
    let link = client.lookup(&root, Name::new(b"link").expect("a component")).expect("there");
    let into = |name: &[u8]| {
        let name = Name::new(name).expect("a component");
        client.lookup(&link.fid, name).expect_err("refused").errno()
    };
    assert_eq!(into(b"secret"), abi::Errno::ENOTDIR);
    let name = Name::new(b"new").expect("a component");
    let owner = ninep::client::Owner { uid: 0, gid: 0 };
    assert_eq!(client.create(&link.fid, name, 0o600, owner).expect_err("refused").errno(), abi::Errno::ENOTDIR);
    // Creating over a link does not follow it.
    let taken = Name::new(b"link").expect("a component");
    assert_eq!(client.create(&root, taken, 0o600, owner).expect_err("refused").errno(), abi::Errno::EEXIST);
    let attr = ninep::attr::SetAttr { valid: SetMask::SIZE, ..Default::default() };
    assert!(client.set_attr(&link.fid, attr).is_err());
    assert!(trap.intact());
}

#[test]
fn a_directory_that_becomes_a_link_is_never_followed() {
    let trap = Trap::new();
    let secret = fs::metadata(trap.dir.path("outside/secret")).expect("there").ino();
    let tree = trap.dir.path("tree");
    fs::write(tree.join("dir/secret"), b"decoy").expect("room");
    let (client, root) = connect(export(&tree), Dialect::Extended);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Somebody on the host swaps the directory and the link as fast as they can.
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
                let (a, b) = (tree.join("dir"), tree.join("link"));
                renameat2(AT_FDCWD, &a, AT_FDCWD, &b, RenameFlags::RENAME_EXCHANGE).expect("both there");
            }
        });
        let names = [b"dir".as_slice(), b"secret"].map(|n| Name::new(n).expect("a component"));
        let mut found = 0;
        for _ in 0..5000 {
            let (entries, _) = client.lookup_path(&root, &names).expect("a session");
            if let [_, file] = &entries[..] {
                assert_ne!(file.stat.ino, secret);
                found += 1;
            }
        }
        done.store(true, Ordering::Relaxed);
        assert!(found > 0, "the decoy was never there");
    });
}

#[test]
fn a_directory_moved_out_from_under_a_fid_opens_no_way_up() {
    let trap = Trap::new();
    let tree = trap.dir.path("tree");
    fs::create_dir(tree.join("dir/deep")).expect("room");
    let (mut raw, server) = Raw::new(export(&tree));
    raw.begin();
    let names = [b"dir".as_slice(), b"deep"].map(|n| Name::new(n).expect("a component"));
    assert_eq!(raw.errno(&Twalk { fid: Fid(0), newfid: Fid(1), names: List::Slice(&names) }), 0);
    // The host moves it to where `..` would be outside.
    fs::rename(tree.join("dir/deep"), trap.dir.path("outside/deep")).expect("ours");
    let up = [1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 2, 0, b'.', b'.'];
    assert_eq!(raw.send(&frame(110, &up)).map(|(kind, _)| kind), Some(RLERROR));
    // Nor by renaming upwards.
    let (olddir, oldname) = (Fid(0), [4, 0, b'f', b'i', b'l', b'e']);
    let mut body = u32::to_le_bytes(olddir.0).to_vec();
    body.extend(oldname);
    body.extend(1u32.to_le_bytes());
    body.extend([7, 0, b'.', b'.', b'/', b'e', b'v', b'i', b'l']);
    assert_eq!(raw.send(&frame(74, &body)).map(|(kind, _)| kind), Some(RLERROR));
    body.extend(RenameFlags::empty().bits().to_le_bytes());
    assert_eq!(raw.send(&frame(142, &body)).map(|(kind, _)| kind), Some(RLERROR));
    let flags = UnlinkFlags::REMOVE_DIR;
    let name = Name::new(b"dir").expect("a component");
    assert_eq!(raw.errno(&Tunlinkat { dfid: Fid(0), name, flags }), 0);
    drop(raw);
    server.join().expect("no panic");
    fs::remove_dir(trap.dir.path("outside/deep")).expect("there");
    assert!(trap.intact());
}
