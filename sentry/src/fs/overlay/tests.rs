//! Tests of the overlay over a tmpfs.

use std::sync::Arc;

use abi::stat::FileType;
use proptest::prelude::*;

use super::OverlayFs;
use crate::fs::tmpfs::{Options, TmpFs};
use crate::vfs::FileSystem;
use crate::vfs::testing::{World, memfile};

/// A tree to lie below: directories, files, a link, a file with two names.
fn fill(world: &World) {
    for dir in ["/a", "/a/b", "/c"] {
        world.mkdir(dir).unwrap();
    }
    for file in ["/f", "/a/f", "/a/b/f", "/c/g"] {
        world.mkfile(file, &file.as_bytes().repeat(3000)).unwrap();
    }
    world.symlink("a/b", "/l").unwrap();
    world.link("/f", "/a/h").unwrap();
}

fn lower() -> Arc<dyn FileSystem> {
    let fs = TmpFs::new(&memfile(), Options::unlimited());
    let world = World::new(crate::vfs::Dentry::new_root(Arc::clone(&fs) as Arc<dyn FileSystem>).unwrap());
    fill(&world);
    // The file system keeps its root for the overlay.
    let root = world.find("/").unwrap();
    std::mem::forget(root);
    fs
}

fn overlay() -> World {
    World::new(OverlayFs::mount(&memfile(), lower()).unwrap())
}

#[derive(Clone, Debug)]
enum Op {
    Mkdir(usize),
    File(usize, Vec<u8>),
    Symlink(usize),
    Link(usize, usize),
    Unlink(usize),
    Rmdir(usize),
    Rename(usize, usize, bool),
    Write(usize, u64, Vec<u8>),
    Truncate(usize, u64),
    Chmod(usize, u32),
}

const PATHS: &[&str] = &[
    "/a", "/c", "/f", "/l", "/x", "/a/b", "/a/f", "/a/h", "/a/x", "/a/b/f", "/a/b/x", "/c/g", "/c/x", "/x/b", "/x/f",
    "/x/x", "/c/x/y",
];

fn op() -> impl Strategy<Value = Op> {
    let path = || 0..PATHS.len();
    let bytes = || prop::collection::vec(any::<u8>(), 0..200);
    prop_oneof![
        path().prop_map(Op::Mkdir),
        (path(), bytes()).prop_map(|(p, b)| Op::File(p, b)),
        path().prop_map(Op::Symlink),
        (path(), path()).prop_map(|(a, b)| Op::Link(a, b)),
        path().prop_map(Op::Unlink),
        path().prop_map(Op::Rmdir),
        (path(), path(), any::<bool>()).prop_map(|(a, b, e)| Op::Rename(a, b, e)),
        (path(), 0u64..20000, bytes()).prop_map(|(p, at, b)| Op::Write(p, at, b)),
        (path(), 0u64..20000).prop_map(|(p, size)| Op::Truncate(p, size)),
        (path(), 0u32..0o1000).prop_map(|(p, mode)| Op::Chmod(p, mode)),
    ]
}

/// What an operation answers: whatever it is, two worlds must agree.
fn run(world: &World, op: &Op) -> String {
    let regular = |path: usize| world.lfind(PATHS[path]).ok().filter(|p| p.kind() == FileType::Regular);
    match op {
        Op::Mkdir(p) => format!("{:?}", world.mkdir(PATHS[*p])),
        Op::File(p, data) => format!("{:?}", world.mkfile(PATHS[*p], data)),
        Op::Symlink(p) => format!("{:?}", world.symlink("target", PATHS[*p])),
        Op::Link(a, b) => format!("{:?}", world.link(PATHS[*a], PATHS[*b])),
        Op::Unlink(p) => format!("{:?}", world.unlink(PATHS[*p])),
        Op::Rmdir(p) => format!("{:?}", world.rmdir(PATHS[*p])),
        Op::Rename(a, b, exchange) => format!("{:?}", world.rename(PATHS[*a], PATHS[*b], *exchange)),
        Op::Chmod(p, mode) => format!("{:?}", world.chmod(PATHS[*p], *mode)),
        Op::Write(p, at, data) => match regular(*p) {
            Some(path) => {
                world.write(&path, *at, data);
                String::from("written")
            }
            None => String::from("no file"),
        },
        Op::Truncate(p, size) => match regular(*p) {
            Some(path) => {
                world.truncate(&path, *size);
                String::from("truncated")
            }
            None => String::from("no file"),
        },
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn an_overlay_behaves_like_a_plain_file_system(ops in prop::collection::vec(op(), 1..40)) {
        let (over, plain) = (overlay(), World::empty());
        fill(&plain);
        prop_assert_eq!(over.dump("/"), plain.dump("/"));
        for op in &ops {
            prop_assert_eq!(run(&over, op), run(&plain, op), "{:?}", op);
            prop_assert_eq!(over.dump("/"), plain.dump("/"), "after {:?}", op);
        }
    }
}

#[test]
fn inode_numbers_stay_when_a_file_is_changed() {
    let world = overlay();
    let before = world.find("/a/f").unwrap().attr().unwrap();
    world.chmod("/a/f", 0o600).unwrap();
    world.write(&world.find("/a/f").unwrap(), 10, b"x");
    let after = world.find("/a/f").unwrap().attr().unwrap();
    assert_eq!((before.dev, before.ino), (after.dev, after.ino));
}

#[test]
fn what_is_below_is_never_changed() {
    let below = lower();
    let world = World::new(OverlayFs::mount(&memfile(), Arc::clone(&below)).unwrap());
    world.write(&world.find("/f").unwrap(), 0, b"changed");
    world.unlink("/a/f").unwrap();
    world.rename("/a", "/z", false).unwrap();
    let lower = World::new(crate::vfs::Dentry::new_root(below).unwrap());
    let plain = World::empty();
    fill(&plain);
    assert_eq!(lower.dump("/"), plain.dump("/"));
}
