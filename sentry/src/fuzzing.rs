//! Entries for the fuzzer (`fuzz/`), for what is no public interface. Built with `--cfg fuzzing` only.

use std::sync::Arc;

use abi::{Errno, PAGE_SIZE};
use platform::fake::{Fake, Script};

use crate::error::err;
use crate::loader::{Executable, Ids, LoadEnv, Program, Strings};
use crate::mm::{Mappable, MemLimits, SharedMemory};
use crate::vfs::testing::{World, memfile};

/// A file that is executed: ELF headers, an interpreter's path, a `#!` line.
pub fn elf(bytes: &[u8]) {
    let memfile = memfile();
    let len = (bytes.len() as u64).next_multiple_of(PAGE_SIZE).max(PAGE_SIZE);
    let Ok(memory) = SharedMemory::new(&memfile, len) else { return };
    let _ = memory.range().slice(0, bytes.len()).write(bytes);
    let object: Arc<dyn Mappable> = memory;
    let executable = Executable { object, file: None };
    let same = executable.clone();
    // The interpreter is the file itself: scripts of scripts come to an end.
    let open = move |path: &[u8]| if path.len() % 2 == 0 { Ok(same.clone()) } else { err(Errno::ENOENT) };
    let (argv, envp) = (Strings::default(), Strings::default());
    let Ok(program) = Program::open(&memfile, executable, b"/bin/x", argv, envp, true, &open) else { return };
    let env = LoadEnv {
        platform: Arc::new(Fake::new(&Script::default())),
        memfile,
        vdso: None,
        limits: MemLimits::default(),
        ids: Ids::default(),
        secure: false,
        randomize: false,
        legacy_layout: false,
    };
    let _ = program.load(&env);
}

/// A netlink datagram.
pub fn netlink(bytes: &[u8]) {
    crate::net::netlink::fuzzing::run(bytes);
}

/// Control messages of a send.
pub fn control_messages(bytes: &[u8]) {
    let list = crate::net::message::controls(bytes).map_while(|one| one.ok());
    let list: Vec<_> = list.map(|(level, kind, data)| (level, kind, data.to_vec())).collect();
    let _ = crate::net::inet::datagram::fuzzing(&list);
}

/// A packet filter and a packet: how many instructions, these, and the rest.
pub fn packet_filter(bytes: &[u8]) {
    let Some((len, rest)) = bytes.split_first() else { return };
    let (code, packet) = rest.split_at((usize::from(*len) * 8).min(rest.len() / 8 * 8));
    crate::net::filter::fuzzing(code, packet);
}

/// The frame that rt_sigreturn(2) reads.
pub fn sigframe(bytes: &[u8]) {
    crate::task::signal::fuzzing::run(bytes);
}

/// Operations on names in a small tree: an operation and one or two paths a line.
pub fn path_walk(bytes: &[u8]) {
    let world = World::empty();
    for dir in ["/a", "/a/b", "/a/b/c", "/d"] {
        let _ = world.mkdir(dir);
    }
    let _ = (world.mkfile("/f", b"x"), world.mkfile("/a/b/f", b"y"));
    let _ = (world.symlink("../..", "/a/b/up"), world.symlink("/a/loop", "/a/loop"), world.symlink("a/b", "/l"));
    for line in bytes.split(|byte| *byte == b'\n').take(64) {
        let Some((operation, paths)) = line.split_first() else { continue };
        let mut paths = paths.split(|byte| *byte == 0).map(String::from_utf8_lossy);
        let one = paths.next().unwrap_or_default();
        let two = paths.next().unwrap_or_default();
        let _ = match operation % 10 {
            0 => world.find(&one).map(drop),
            1 => world.lfind(&one).map(drop),
            2 => world.mkdir(&one),
            3 => world.mkfile(&one, two.as_bytes()),
            4 => world.symlink(&two, &one),
            5 => world.link(&one, &two),
            6 => world.unlink(&one),
            7 => world.rmdir(&one),
            8 => world.rename(&one, &two, false),
            _ => world.rename(&one, &two, true),
        };
    }
    // What is listed is found, and as it was listed.
    let _ = world.dump("/");
}
