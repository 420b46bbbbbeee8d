//! Tests of path walking against a model.

use std::sync::Arc;

use abi::Errno;
use proptest::prelude::*;

use super::{WalkFlags, resolve};
use crate::fs::tmpfs::{Options, TmpFs};
use crate::task::Credentials;
use crate::vfs::testing::{World, memfile};
use crate::vfs::{Caller, MountFlags, Path};

/// A tree that a model can walk: every name, and what it is.
const TREE: &[(&str, Kind)] = &[
    ("/", Kind::Dir),
    ("/d", Kind::Dir),
    ("/d/e", Kind::Dir),
    ("/d/f", Kind::File),
    ("/f", Kind::File),
    ("/abs", Kind::Link("/d/e")),
    ("/rel", Kind::Link("d")),
    ("/up", Kind::Link("../../d/./e/..")),
    ("/tofile", Kind::Link("d/f")),
    ("/slash", Kind::Link("d/")),
    ("/fslash", Kind::Link("f/")),
    ("/dangling", Kind::Link("nowhere")),
    ("/loop", Kind::Link("loop")),
    ("/d/back", Kind::Link("..")),
    ("/d/e/chain", Kind::Link("/rel/back/abs")),
    ("/root", Kind::Link("/")),
];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Dir,
    File,
    Link(&'static str),
}

fn build() -> World {
    let world = World::empty();
    for (path, kind) in TREE.iter().skip(1) {
        match kind {
            Kind::Dir => world.mkdir(path).unwrap(),
            Kind::File => world.mkfile(path, b"data").unwrap(),
            Kind::Link(target) => world.symlink(target, path).unwrap(),
        }
    }
    world
}

fn kind_of(path: &str) -> Option<Kind> {
    TREE.iter().find(|(name, _)| *name == path).map(|(_, kind)| *kind)
}

/// path_resolution(7), as simply as it can be said: a list of names still to be walked.
fn model(cwd: &str, path: &str, follow: bool) -> Result<String, Errno> {
    let mut at = String::from(if path.starts_with('/') { "/" } else { cwd });
    let mut links = 0;
    let mut must_be_dir = false;
    // Names in reverse; the flag says that the name is the last of the whole path.
    let split = |text: &str, last: bool| -> Vec<(String, bool)> {
        let names: Vec<&str> = text.split('/').filter(|n| !n.is_empty()).collect();
        let count = names.len();
        names.iter().enumerate().rev().map(|(i, n)| (String::from(*n), last && i + 1 == count)).collect()
    };
    let trailing = |text: &str| text.ends_with('/') && !text.ends_with("./") && !text.trim_matches('/').is_empty();
    must_be_dir |= trailing(path);
    let mut todo = split(path, true);
    while let Some((name, last)) = todo.pop() {
        if kind_of(&at) != Some(Kind::Dir) {
            return Err(Errno::ENOTDIR);
        }
        match name.as_str() {
            "." => {}
            ".." => at = parent(&at),
            name => {
                let child = format!("{}/{name}", at.trim_end_matches('/'));
                match kind_of(&child) {
                    None => return Err(Errno::ENOENT),
                    Some(Kind::Link(target)) if !last || follow || must_be_dir => {
                        links += 1;
                        if links > 40 {
                            return Err(Errno::ELOOP);
                        }
                        if target.starts_with('/') {
                            at = String::from("/");
                        }
                        if last {
                            must_be_dir |= trailing(target);
                        }
                        todo.extend(split(target, last));
                    }
                    Some(_) => at = child,
                }
            }
        }
    }
    if must_be_dir && kind_of(&at) != Some(Kind::Dir) { Err(Errno::ENOTDIR) } else { Ok(at) }
}

fn parent(path: &str) -> String {
    match path.rfind('/') {
        Some(0) | None => String::from("/"),
        Some(at) => String::from(&path[..at]),
    }
}

fn walk(world: &World, start: &str, path: &str, flags: WalkFlags) -> Result<String, Errno> {
    let start = world.find(start)?;
    let found = resolve(world.caller(), Some(&start), path.as_bytes(), flags).map_err(|e| e.errno())?;
    let root = world.find("/")?;
    Ok(String::from_utf8_lossy(&found.text(&root).text).into_owned())
}

proptest! {
    #[test]
    fn walks_agree_with_the_model(
        cwd in prop::sample::select(vec!["/", "/d", "/d/e"]),
        absolute in any::<bool>(),
        follow in any::<bool>(),
        names in prop::collection::vec(
            prop::sample::select(vec![
                "d", "e", "f", "abs", "rel", "up", "tofile", "slash", "fslash", "dangling", "loop", "back", "chain", "root",
                ".", "..", "none",
            ]),
            1..7,
        ),
        slashes in prop::sample::select(vec!["", "/", "//"]),
    ) {
        let world = build();
        let path = format!("{}{}{slashes}", if absolute { "/" } else { "" }, names.join("/"));
        let flags = if follow { WalkFlags::FOLLOW } else { WalkFlags::empty() };
        // Twice: the second time everything is cached.
        for _ in 0..2 {
            prop_assert_eq!(walk(&world, cwd, &path, flags), model(cwd, &path, follow), "{} in {}", path, cwd);
        }
    }
}

#[test]
fn long_names_and_endless_links_are_refused() {
    let world = build();
    assert_eq!(world.find(&format!("/{}", "x".repeat(255))).unwrap_err(), Errno::ENOENT);
    assert_eq!(world.find(&format!("/{}", "x".repeat(256))).unwrap_err(), Errno::ENAMETOOLONG);
    assert_eq!(world.find("/loop").unwrap_err(), Errno::ELOOP);
    // Forty links are followed, the forty-first is not.
    world.symlink("f", "/s0").unwrap();
    for n in 1..=40 {
        world.symlink(&format!("s{}", n - 1), &format!("/s{n}")).unwrap();
    }
    assert!(world.find("/s39").is_ok());
    assert_eq!(world.find("/s40").unwrap_err(), Errno::ELOOP);
}

#[test]
fn scoped_walks_stay_below_their_start() {
    let world = build();
    let beneath = |path: &str| walk(&world, "/d", path, WalkFlags::BENEATH | WalkFlags::FOLLOW);
    assert_eq!(beneath("e/../f"), Ok(String::from("/d/f")));
    assert_eq!(beneath("../f"), Err(Errno::EXDEV));
    assert_eq!(beneath("/d/f"), Err(Errno::EXDEV));
    assert_eq!(beneath("e/chain"), Err(Errno::EXDEV));
    let in_root = |path: &str| walk(&world, "/d", path, WalkFlags::IN_ROOT | WalkFlags::FOLLOW);
    assert_eq!(in_root("/../../f"), Ok(String::from("/d/f")));
    assert_eq!(in_root("back/e"), Ok(String::from("/d/e")));
    assert_eq!(in_root("e/chain"), Err(Errno::ENOENT));
    assert_eq!(walk(&world, "/", "rel/f", WalkFlags::NO_SYMLINKS), Err(Errno::ELOOP));
    assert_eq!(walk(&world, "/", "tofile", WalkFlags::NO_SYMLINKS), Ok(String::from("/tofile")));
}

#[test]
fn every_directory_on_the_way_must_be_searchable() {
    let world = build();
    world.chmod("/d", 0o700).unwrap();
    let nobody = Credentials { fsuid: 99, fsgid: 99, effective: abi::capability::CapSet::EMPTY, ..world.creds.clone() };
    let caller = Caller { creds: &nobody, ..world.caller() };
    let go = |path: &str| resolve(caller, None, path.as_bytes(), WalkFlags::FOLLOW).map_err(|e| e.errno()).err();
    assert_eq!(go("/d"), None);
    assert_eq!(go("/d/f"), Some(Errno::EACCES));
    assert_eq!(go("/d/none"), Some(Errno::EACCES));
    assert_eq!(go("/d/."), Some(Errno::EACCES));
    assert_eq!(go("/f/x"), Some(Errno::ENOTDIR));
}

#[test]
fn mounts_are_crossed_both_ways() {
    let world = build();
    let other = TmpFs::mount(&memfile(), Options::unlimited()).unwrap();
    world.namespace.mount(other, b"other", MountFlags::empty(), world.find("/d/e").unwrap()).unwrap();
    world.mkdir("/d/e/in").unwrap();
    assert_eq!(walk(&world, "/", "d/e/in/../../f", WalkFlags::empty()), Ok(String::from("/d/f")));
    assert_eq!(walk(&world, "/", "d/e/in", WalkFlags::NO_XDEV), Err(Errno::EXDEV));
    assert_eq!(walk(&world, "/d/e", "..", WalkFlags::NO_XDEV), Err(Errno::EXDEV));
    assert_eq!(world.rmdir("/d/e"), Err(Errno::EBUSY));
    assert_eq!(world.rename("/d/e", "/z", false), Err(Errno::EBUSY));
    // A bind mount shows a part of the tree; above its root is what it is mounted on.
    world.mkdir("/bound").unwrap();
    world.namespace.bind(&world.find("/d").unwrap(), world.find("/bound").unwrap(), true).unwrap();
    assert_eq!(walk(&world, "/", "bound/e/in", WalkFlags::empty()), Ok(String::from("/bound/e/in")));
    assert_eq!(walk(&world, "/", "bound/../f", WalkFlags::empty()), Ok(String::from("/f")));
    let info = String::from_utf8(world.namespace.mountinfo(&world.find("/").unwrap())).unwrap();
    assert!(info.lines().any(|line| line.contains(" /d /bound ")), "{info}");
    // In use, until nobody is there.
    let held = world.find("/d/e/in").unwrap();
    let mount = Arc::clone(&held.mount);
    assert_eq!(world.namespace.unmount(&mount, false, 1).unwrap_err().errno(), Errno::EBUSY);
    drop(held);
    world.namespace.unmount(&mount, false, 1).unwrap();
    assert_eq!(world.find("/d/e/in").unwrap_err(), Errno::ENOENT);
}

#[test]
fn read_only_mounts_refuse_changes() {
    let world = build();
    let root: Path = world.find("/").unwrap();
    root.mount.set_flags(MountFlags::READ_ONLY);
    assert_eq!(world.mkdir("/new"), Err(Errno::EROFS));
    assert_eq!(world.mkdir("/d"), Err(Errno::EEXIST));
    assert_eq!(world.unlink("/f"), Err(Errno::EROFS));
    assert_eq!(world.chmod("/f", 0o600), Err(Errno::EROFS));
    assert_eq!(world.rename("/f", "/g", false), Err(Errno::EROFS));
}

#[test]
fn removed_directories_have_no_names() {
    let world = build();
    world.mkdir("/gone").unwrap();
    let gone = world.find("/gone").unwrap();
    world.rmdir("/gone").unwrap();
    let go =
        |path: &str| resolve(world.caller(), Some(&gone), path.as_bytes(), WalkFlags::empty()).map_err(|e| e.errno());
    assert_eq!(go("x").unwrap_err(), Errno::ENOENT);
    assert!(go(".").is_ok());
    assert_eq!(gone.shown(&world.find("/").unwrap()), b"/gone (deleted)");
}
