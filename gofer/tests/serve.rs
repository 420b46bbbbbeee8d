//! The client against the server, in both dialects: every operation, and what the host then shows.
#![expect(clippy::tests_outside_test_module, reason = "an integration test is one")]

mod common;

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::sync::Arc;

use abi::Errno;
use common::{Scratch, connect, export};
use ninep::attr::{Device, SetAttr, Timestamp};
use ninep::client::{ClientError, Creation, FidHandle, OpenFile, Owner, Stats};
use ninep::flags::{AllocateMode, OpenFlags, RenameFlags, SetMask, UnlinkFlags};
use ninep::{Client, Dialect, Name};

const BOTH: [Dialect; 2] = [Dialect::Plain, Dialect::Extended];

fn name(s: &str) -> Name<'_> {
    Name::new(s.as_bytes()).expect("a component")
}

fn errno<T: std::fmt::Debug>(result: Result<T, ClientError>) -> Errno {
    result.expect_err("refused").errno()
}

fn me() -> Owner {
    Owner { uid: nix::unistd::getuid().as_raw(), gid: nix::unistd::getgid().as_raw() }
}

fn read_all(client: &Arc<Client>, file: &OpenFile, len: usize) -> Vec<u8> {
    let mut buffer = vec![0; len];
    let n = match file {
        OpenFile::Host(fd) => nix::sys::uio::pread(fd, &mut buffer, 0).expect("readable"),
        OpenFile::Remote(fid) => client.read(fid, &mut buffer, 0).expect("readable"),
    };
    buffer.truncate(n);
    buffer
}

#[test]
fn lookups_take_along_what_is_asked_of_the_file() {
    for dialect in BOTH {
        let dir = Scratch::new();
        fs::create_dir_all(dir.path("a/b")).expect("room");
        fs::write(dir.path("file"), b"12345").expect("room");
        let (client, root) = connect(export(&dir.0), dialect);

        let before = client.round_trips();
        let (file, opened) = client.lookup_and_open(&root, name("file"), OpenFlags::empty()).expect("there");
        assert_eq!((file.stat.size, read_all(&client, &opened.expect("ours"), 9)), (5, b"12345".to_vec()));
        let (a, listed) = client.lookup_and_list(&root, name("a"), Stats::All).expect("there");
        assert_eq!(listed.expect("a directory").iter().map(|e| &*e.name).collect::<Vec<_>>(), [b"b"]);
        if dialect == Dialect::Extended {
            assert_eq!(client.round_trips() - before, 2);
        }
        // What cannot be done with the file leaves it found, and the session alive.
        let (found, listed) = client.lookup_and_list(&root, name("file"), Stats::All).expect("there");
        assert_eq!((errno(listed), found.stat.ino), (Errno::ENOTDIR, file.stat.ino));
        let (_, opened) = client.lookup_and_open(&root, name("a"), OpenFlags::READ_WRITE).expect("there");
        assert_eq!(errno(opened), Errno::EISDIR);
        assert_eq!(errno(client.lookup_and_open(&root, name("none"), OpenFlags::empty())), Errno::ENOENT);
        assert_eq!(errno(client.lookup_and_list(&root, name("none"), Stats::All)), Errno::ENOENT);
        client.lookup(&a.fid, name("b")).expect("there");
    }
}

#[test]
fn lookup_finds_kinds_targets_and_absences() {
    for dialect in BOTH {
        let dir = Scratch::new();
        fs::create_dir_all(dir.path("a/b")).expect("room");
        fs::write(dir.path("a/b/file"), b"12345").expect("room");
        std::os::unix::fs::symlink("b/file", dir.path("a/link")).expect("room");
        let (client, root) = connect(export(&dir.0), dialect);
        assert_eq!(client.dialect(), dialect);

        let a = client.lookup(&root, name("a")).expect("there");
        let link = client.lookup(&a.fid, name("link")).expect("there");
        assert_eq!(link.target.as_deref(), Some(&b"b/file"[..]));
        assert_eq!(errno(client.lookup(&a.fid, name("none"))), Errno::ENOENT);
        let before = client.round_trips();
        let (found, stopped) = client.lookup_path(&root, &[name("a"), name("b"), name("file")]).expect("a session");
        assert_eq!((found.len(), stopped), (3, None));
        assert_eq!((found[2].stat.size, found[2].stat.mode & 0o170_000), (5, 0o100_000));
        if dialect == Dialect::Extended {
            assert_eq!(client.round_trips() - before, 1);
        }
        // A step beyond a file or through a link stops there.
        let (found, stopped) = client.lookup_path(&root, &[name("a"), name("link"), name("x")]).expect("a session");
        assert_eq!((found.len(), stopped), (2, Some(Errno::ENOTDIR)));
        let (found, stopped) = client.lookup_path(&root, &[name("a"), name("x"), name("y")]).expect("a session");
        assert_eq!((found.len(), stopped), (1, Some(Errno::ENOENT)));
    }
}

#[test]
fn files_are_created_read_written_and_outlive_their_names() {
    for dialect in BOTH {
        let dir = Scratch::new();
        let (client, root) = connect(export(&dir.0), dialect);
        if dialect == Dialect::Extended {
            let (unnamed, fd) = client.create_unnamed(&root, 0o600, me()).expect("created");
            assert_eq!((unnamed.stat.nlink, fd.is_some()), (0, true));
            client.link(&unnamed.fid, &root, name("named")).expect("linked");
            assert!(dir.path("named").exists());
        }
        let (entry, fd) = client.create(&root, name("f"), 0o640, me()).expect("created");
        assert_eq!(fd.is_some(), dialect == Dialect::Extended);
        assert_eq!(entry.stat.mode & 0o7000, 0);
        assert_eq!(errno(client.create(&root, name("f"), 0o640, me())), Errno::EEXIST);

        let data = vec![7; 300_000];
        let file = client.open(&entry.fid, OpenFlags::READ_WRITE).expect("opened");
        match &file {
            OpenFile::Host(fd) => assert_eq!(nix::sys::uio::pwrite(fd, &data, 0), Ok(data.len())),
            OpenFile::Remote(fid) => assert_eq!(client.write(fid, &data, 0).expect("written"), data.len()),
        }
        assert_eq!(fs::read(dir.path("f")).expect("there"), data);

        client.rename((&root, name("f")), (&root, name("g")), RenameFlags::empty()).expect("renamed");
        client.unlink(&root, name("g"), UnlinkFlags::empty()).expect("removed");
        let again = client.open(&entry.fid, OpenFlags::empty()).expect("still a file");
        assert_eq!(read_all(&client, &again, 400_000), data);
        assert_eq!(client.stat(&entry.fid).expect("still a file").nlink, 0);
    }
}

#[test]
fn all_kinds_are_made_and_none_but_files_and_directories_opened() {
    for dialect in BOTH {
        let dir = Scratch::new();
        let (client, root) = connect(export(&dir.0), dialect);
        let make = |n: &'static str, what| client.make(&root, name(n), what, me()).expect("made");
        let sub = make("dir", Creation::Directory(0o2755));
        assert_eq!(sub.stat.mode & 0o170_000, 0o040_000);
        let fifo = make("fifo", Creation::Node(0o010_600, Device::default()));
        let socket = make("socket", Creation::Node(0o140_600, Device::default()));
        let link = make("link", Creation::Symlink(b"/etc/passwd"));
        assert_eq!(link.target.as_deref(), Some(&b"/etc/passwd"[..]));
        assert!(fs::symlink_metadata(dir.path("fifo")).expect("there").file_type().is_fifo());
        assert!(fs::symlink_metadata(dir.path("socket")).expect("there").file_type().is_socket());
        for (entry, expected) in [(&fifo, Errno::ENXIO), (&socket, Errno::ENXIO), (&link, Errno::ELOOP)] {
            assert_eq!(errno(client.open(&entry.fid, OpenFlags::empty())), expected);
        }
        if nix::unistd::getuid().is_root() {
            let null = make("null", Creation::Node(0o020_666, Device { major: 1, minor: 3 }));
            assert_eq!(null.stat.rdev, Device { major: 1, minor: 3 });
            assert_eq!(errno(client.open(&null.fid, OpenFlags::empty())), Errno::ENXIO);
            let owner = Owner { uid: 1234, gid: 4321 };
            let (given, _) = client.create(&root, name("given"), 0o4755, owner).expect("created");
            let meta = fs::metadata(dir.path("given")).expect("there");
            assert_eq!((meta.uid(), meta.gid(), given.stat.uid), (1234, 4321, 1234));
            if dialect == Dialect::Extended {
                assert_eq!(meta.mode() & 0o7777, 0o4755);
            }
        }
    }
}

#[test]
fn directories_list_everything_once() {
    for dialect in BOTH {
        let dir = Scratch::new();
        let mut expected: Vec<_> = (0..3000).map(|i| format!("a-rather-long-name-{i:05}")).collect();
        for n in &expected {
            fs::write(dir.path(n), b"").expect("room");
        }
        let (client, root) = connect(export(&dir.0), dialect);
        for _ in 0..2 {
            let list = client.list(&root, Stats::All).expect("listed");
            let mut names: Vec<_> = list.iter().map(|e| String::from_utf8_lossy(&e.name).into_owned()).collect();
            names.sort();
            expected.sort();
            assert_eq!(names, expected);
            assert!(list.iter().all(|e| e.kind == 8 && e.stat.is_some() == (dialect == Dialect::Extended)));
        }
    }
}

#[test]
fn many_files_are_listed_without_attributes_unless_these_are_asked_for() {
    let dir = Scratch::new();
    fs::create_dir(dir.path("sub")).expect("room");
    let (client, root) = connect(export(&dir.0), Dialect::Extended);
    let told = |stats| {
        let list = client.list(&root, stats).expect("listed");
        let told: Vec<_> = list.iter().filter(|e| e.stat.is_some()).map(|e| (e.name.clone(), e.kind)).collect();
        assert!(list.iter().all(|e| e.stat.is_none_or(|stat| stat.ino == e.ino)));
        (list.len(), told.len(), told.contains(&(Box::from(*b"sub"), 4)))
    };
    assert_eq!(told(Stats::OfFew), (1, 1, true));
    for (files, expected) in [(8, 9), (9, 1), (40, 1)] {
        (0..files).for_each(|i| fs::write(dir.path(&format!("f{i}")), b"").expect("room"));
        assert_eq!(told(Stats::OfFew), (files + 1, expected, true));
        assert_eq!(told(Stats::All), (files + 1, files + 1, true));
    }
}

#[test]
fn attributes_are_set() {
    for dialect in BOTH {
        let dir = Scratch::new();
        fs::write(dir.path("f"), b"0123456789").expect("room");
        std::os::unix::fs::symlink("nowhere", dir.path("l")).expect("room");
        let (client, root) = connect(export(&dir.0), dialect);
        let f = client.lookup(&root, name("f")).expect("there");
        let time = Timestamp { sec: -5, nsec: 77 };
        let attr = SetAttr {
            valid: SetMask::MODE | SetMask::SIZE | SetMask::MTIME | SetMask::MTIME_SET,
            mode: 0o604,
            size: 3,
            mtime: time.into(),
            ..SetAttr::default()
        };
        let stat = client.set_attr(&f.fid, attr).expect("set");
        assert_eq!((stat.mode & 0o7777, stat.size, stat.mtime), (0o604, 3, time));
        assert_eq!(fs::metadata(dir.path("f")).expect("there").permissions().mode() & 0o7777, 0o604);

        // A link's own times can be set, its target is nobody's business.
        let l = client.lookup(&root, name("l")).expect("there");
        let times = SetAttr { valid: SetMask::MTIME | SetMask::MTIME_SET, mtime: time.into(), ..SetAttr::default() };
        assert_eq!(client.set_attr(&l.fid, times).expect("set").mtime, time);
        let mode = SetAttr { valid: SetMask::MODE, mode: 0o600, ..SetAttr::default() };
        assert_eq!(errno(client.set_attr(&l.fid, mode)), Errno::EOPNOTSUPP);
        assert!(client.statfs(&root).expect("told").bsize > 0);
    }
}

#[test]
fn names_change() {
    for dialect in BOTH {
        let dir = Scratch::new();
        fs::write(dir.path("f"), b"f").expect("room");
        fs::create_dir(dir.path("d")).expect("room");
        let (client, root) = connect(export(&dir.0), dialect);
        let f = client.lookup(&root, name("f")).expect("there");
        let d = client.lookup(&root, name("d")).expect("there");
        client.link(&f.fid, &d.fid, name("g")).expect("linked");
        assert_eq!(client.stat(&f.fid).expect("there").nlink, 2);
        let rename = |flags| client.rename((&root, name("f")), (&d.fid, name("g")), flags);
        if dialect == Dialect::Extended {
            assert_eq!(errno(rename(RenameFlags::NO_REPLACE)), Errno::EEXIST);
            rename(RenameFlags::EXCHANGE).expect("swapped");
        } else {
            assert_eq!(errno(rename(RenameFlags::EXCHANGE)), Errno::EINVAL);
        }
        assert_eq!(errno(client.unlink(&root, name("d"), UnlinkFlags::REMOVE_DIR)), Errno::ENOTEMPTY);
        assert_eq!(errno(client.unlink(&root, name("d"), UnlinkFlags::empty())), Errno::EISDIR);
        client.unlink(&d.fid, name("g"), UnlinkFlags::empty()).expect("removed");
        client.unlink(&root, name("d"), UnlinkFlags::REMOVE_DIR).expect("removed");
        assert!(!dir.path("d").exists());
        assert_eq!(errno(client.create(&d.fid, name("x"), 0o600, me())), Errno::ENOENT);
    }
}

#[test]
fn extended_attributes_are_kept() {
    for dialect in BOTH {
        let dir = Scratch::new();
        fs::write(dir.path("f"), b"").expect("room");
        let (client, root) = connect(export(&dir.0), dialect);
        let f = client.lookup(&root, name("f")).expect("there");
        match client.set_xattr(&f.fid, b"user.test", b"value", 0) {
            Err(error) if error.errno() == Errno::EOPNOTSUPP => return,
            other => other.expect("set"),
        }
        assert_eq!(client.get_xattr(&f.fid, b"user.test").expect("there"), b"value");
        assert_eq!(client.list_xattr(&f.fid).expect("there"), b"user.test\0");
        assert_eq!(errno(client.set_xattr(&f.fid, b"user.test", b"value", 1)), Errno::EEXIST);
        client.remove_xattr(&f.fid, b"user.test").expect("removed");
        assert_eq!(errno(client.get_xattr(&f.fid, b"user.test")), Errno::ENODATA);
        assert_eq!(errno(client.set_xattr(&f.fid, b"trusted.overlay.opaque", b"y", 0)), Errno::EOPNOTSUPP);
    }
}

#[test]
fn read_only_trees_stay_as_they_are() {
    for dialect in BOTH {
        let dir = Scratch::new();
        fs::write(dir.path("f"), b"f").expect("room");
        let (client, root) = connect(export(&dir.0).read_only(true), dialect);
        let f = client.lookup(&root, name("f")).expect("there");
        let file = client.open(&f.fid, OpenFlags::empty()).expect("readable");
        assert_eq!(read_all(&client, &file, 10), b"f");
        let attr = SetAttr { valid: SetMask::MODE, mode: 0o777, ..SetAttr::default() };
        for refused in [
            errno(client.open(&f.fid, OpenFlags::WRITE)),
            errno(client.open(&f.fid, OpenFlags::TRUNCATE)),
            errno(client.create(&root, name("g"), 0o600, me())),
            errno(client.make(&root, name("g"), Creation::Directory(0o755), me())),
            errno(client.unlink(&root, name("f"), UnlinkFlags::empty())),
            errno(client.rename((&root, name("f")), (&root, name("g")), RenameFlags::empty())),
            errno(client.link(&f.fid, &root, name("g"))),
            errno(client.set_attr(&f.fid, attr)),
            errno(client.set_xattr(&f.fid, b"user.x", b"", 0)),
        ] {
            assert_eq!(refused, Errno::EROFS);
        }
        assert_eq!(fs::read_dir(&dir.0).expect("there").count(), 1);
    }
}

#[test]
fn space_is_allocated_and_freed() {
    let dir = Scratch::new();
    fs::write(dir.path("f"), vec![1; 1 << 20]).expect("room");
    let (client, root) = connect(export(&dir.0), Dialect::Extended);
    let f = client.lookup(&root, name("f")).expect("there");
    client.allocate(&f.fid, AllocateMode::KEEP_SIZE | AllocateMode::PUNCH_HOLE, 0, 1 << 19).expect("punched");
    let data = fs::read(dir.path("f")).expect("there");
    assert!(data[..1 << 19].iter().all(|b| *b == 0) && data[1 << 19..].iter().all(|b| *b == 1));
}

#[test]
fn forgotten_fids_free_their_descriptors() {
    for dialect in BOTH {
        let dir = Scratch::new();
        fs::write(dir.path("f"), b"").expect("room");
        let (client, root) = connect(export(&dir.0).max_fids(300), dialect);
        let mut kept: Vec<FidHandle> = Vec::new();
        for _ in 0..5 {
            for _ in 0..250 {
                kept.push(client.lookup(&root, name("f")).expect("below the limit").fid);
            }
            kept.clear();
        }
        for _ in 0..300 {
            match client.lookup(&root, name("f")) {
                Ok(entry) => kept.push(entry.fid),
                Err(error) => assert_eq!(error.errno(), Errno::EMFILE),
            }
        }
        assert!(kept.len() < 300);
    }
}

#[test]
fn many_threads_share_a_connection() {
    let dir = Scratch::new();
    for i in 0..8 {
        fs::write(dir.path(&format!("f{i}")), format!("{i}")).expect("room");
    }
    let (client, root) = connect(export(&dir.0), Dialect::Extended);
    std::thread::scope(|scope| {
        for i in 0..8 {
            let (client, root) = (&client, &root);
            scope.spawn(move || {
                for _ in 0..200 {
                    let entry = client.lookup(root, name(&format!("f{i}"))).expect("there");
                    let file = client.open(&entry.fid, OpenFlags::empty()).expect("readable");
                    assert_eq!(read_all(client, &file, 9), i.to_string().as_bytes());
                }
            });
        }
    });
}

#[test]
fn a_file_can_be_the_whole_tree() {
    let dir = Scratch::new();
    fs::write(dir.path("f"), b"alone").expect("room");
    let (client, root) = connect(export(&dir.path("f")), Dialect::Extended);
    let file = client.open(&root, OpenFlags::empty()).expect("readable");
    assert_eq!(read_all(&client, &file, 10), b"alone");
    assert_eq!(errno(client.lookup(&root, name("x"))), Errno::ENOTDIR);
}
