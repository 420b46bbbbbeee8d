//! Loading crafted files: what Linux runs runs, what it refuses is refused, and nothing panics.

use std::sync::Arc;

use abi::elf::{
    AT_BASE, AT_ENTRY, AT_PHDR, AT_RANDOM, ELFMAG, EM_X86_64, ET_DYN, ET_EXEC, Ehdr64, PF_R, PF_W, PF_X, PT_INTERP,
    PT_LOAD, Phdr64,
};
use abi::{Errno, PAGE_SIZE, UserAddr};
use proptest::prelude::*;
use zerocopy::IntoBytes;

use super::{Executable, Image, LoadEnv, Program, Strings};
use crate::error::{Result, err};
use crate::mm::memfile::MemFile;
use crate::mm::tests::machine::{Machine, memfile};
use crate::mm::{FileView, Mappable, MemLimits, SharedMemory};
use crate::user::{UserCStr, UserPtr};

fn file(memfile: &Arc<MemFile>, bytes: &[u8]) -> Executable {
    let len = (bytes.len() as u64).next_multiple_of(PAGE_SIZE).max(PAGE_SIZE);
    let memory = SharedMemory::new(memfile, len).expect("memory");
    memory.range().slice(0, bytes.len()).write(bytes).expect("mapped");
    let object: Arc<dyn Mappable> = memory;
    Executable { object, file: None }
}

fn header(kind: u16, entry: u64, count: u16) -> Ehdr64 {
    let mut ident = [0; 16];
    ident[..4].copy_from_slice(&ELFMAG);
    ident[4..7].copy_from_slice(&[2, 1, 1]);
    Ehdr64 {
        e_ident: ident,
        e_type: kind,
        e_machine: EM_X86_64,
        e_version: 1,
        e_entry: entry,
        e_phoff: 64,
        e_ehsize: 64,
        e_phentsize: 56,
        e_phnum: count,
        ..Ehdr64::default()
    }
}

fn load(flags: u32, offset: u64, vaddr: u64, filesz: u64, memsz: u64) -> Phdr64 {
    Phdr64 {
        p_type: PT_LOAD,
        p_flags: flags,
        p_offset: offset,
        p_vaddr: vaddr,
        p_filesz: filesz,
        p_memsz: memsz,
        p_align: PAGE_SIZE,
        ..Phdr64::default()
    }
}

/// Two segments: code with the headers, and data with a bss.
fn elf(kind: u16, base: u64, interpreter: Option<&str>) -> Vec<u8> {
    let mut headers =
        vec![load(PF_R | PF_X, 0, base, 0x1000, 0x1000), load(PF_R | PF_W, 0x1800, base + 0x2800, 0x100, 0x2000)];
    if let Some(path) = interpreter {
        let len = path.len() as u64 + 1;
        headers.push(Phdr64 { p_type: PT_INTERP, p_offset: 0x400, p_filesz: len, p_memsz: len, ..Phdr64::default() });
    }
    let count = u16::try_from(headers.len()).expect("few");
    let mut bytes = [header(kind, base + 0x500, count).as_bytes(), headers.as_bytes()].concat();
    bytes.resize(0x2000, 0);
    if let Some(path) = interpreter {
        bytes[0x400..0x400 + path.len()].copy_from_slice(path.as_bytes());
    }
    bytes[0x1800..0x1900].fill(0xdd);
    bytes[0x1900..].fill(0xee);
    bytes
}

fn run_with(
    memfile: &Arc<MemFile>,
    bytes: &[u8],
    argv: &[&str],
    open: &dyn Fn(&[u8]) -> Result<Executable>,
) -> Result<(Program, Image)> {
    let argv: Strings = argv.iter().collect();
    let envp: Strings = ["A=1", "B=2"].iter().collect();
    let make = |argv| Program::open(memfile, file(memfile, bytes), b"/bin/prog", argv, envp.clone(), true, open);
    let env = LoadEnv {
        platform: Arc::new(Machine),
        memfile: Arc::clone(memfile),
        vdso: None,
        limits: MemLimits::default(),
        ids: Default::default(),
        secure: false,
        randomize: true,
        legacy_layout: false,
    };
    let image = make(argv.clone())?.load(&env)?;
    Ok((make(argv)?, image))
}

fn run(memfile: &Arc<MemFile>, bytes: &[u8]) -> Result<Image> {
    run_with(memfile, bytes, &["prog", "x"], &|_| err(Errno::ENOENT)).map(|(_, image)| image)
}

fn auxv(image: &Image, kind: u64) -> u64 {
    let info = image.mm.info();
    info.auxv.iter().find(|(k, _)| *k == kind).expect("is there").1
}

#[test]
fn a_static_program_is_where_its_file_says() {
    let memfile = memfile();
    let image = run(&memfile, &elf(ET_EXEC, 0x40_0000, None)).expect("loads");
    assert_eq!((image.ip, auxv(&image, AT_ENTRY), auxv(&image, AT_PHDR)), (UserAddr(0x40_0500), 0x40_0500, 0x40_0040));
    let mut bytes = [1; 0x1800];
    image.mm.read_bytes(UserAddr(0x40_2800), &mut bytes).expect("data and bss");
    assert!(bytes[..0x100].iter().all(|b| *b == 0xdd));
    assert!(bytes[0x100..].iter().all(|b| *b == 0), "the rest of the page and the next are zero");
    assert!(image.mm.read_bytes(UserAddr(0x40_5000), &mut [0]).is_err());
    let info = image.mm.info();
    assert_eq!((info.start_code, info.end_code), (UserAddr(0x40_0000), UserAddr(0x40_1000)));
    assert!(info.start_brk >= UserAddr(0x40_5000));
    assert!(image.mm.maps(&|_| FileView::default()).lines().last().expect("a line").ends_with("[stack]"));
}

#[test]
fn the_stack_has_arguments_environment_and_auxiliary_vector() {
    let memfile = memfile();
    let image = run(&memfile, &elf(ET_DYN, 0, None)).expect("loads");
    let mm = &image.mm;
    let word = |n: u64| mm.read::<u64>(UserPtr::new(UserAddr(image.sp.0 + n * 8))).expect("readable");
    let text = |n: u64| mm.read_cstr(UserCStr(UserAddr(word(n))), 100).expect("a string");
    assert_eq!((image.sp.0 % 16, word(0)), (0, 2));
    assert_eq!((text(1), text(2), word(3)), (b"prog".to_vec(), b"x".to_vec(), 0));
    assert_eq!((text(4), text(5), word(6)), (b"A=1".to_vec(), b"B=2".to_vec(), 0));
    let info = mm.info();
    let shown: Vec<_> = (0..info.auxv.len() as u64).map(|n| (word(7 + n * 2), word(8 + n * 2))).collect();
    assert_eq!(&shown[..], &info.auxv[..]);
    let end = 7 + info.auxv.len() as u64 * 2;
    assert_eq!((word(end), word(end + 1)), (0, 0));
    assert_ne!(mm.read::<[u8; 16]>(UserPtr::new(UserAddr(auxv(&image, AT_RANDOM)))).expect("readable"), [0; 16]);
    let mut args = vec![0; usize::try_from(info.env_end.0 - info.arg_start.0).expect("small")];
    mm.read_bytes(info.arg_start, &mut args).expect("readable");
    assert_eq!(args, b"prog\0x\0A=1\0B=2\0");
}

#[test]
fn an_interpreter_runs_first() {
    let memfile = memfile();
    let open = |path: &[u8]| match path {
        b"/ld.so" => Ok(file(&memfile, &elf(ET_DYN, 0, None))),
        b"/text" => Ok(file(&memfile, &[b't'; 100])),
        _ => err(Errno::ENOENT),
    };
    let load = |path| run_with(&memfile, &elf(ET_DYN, 0, Some(path)), &["p"], &open).map(|(_, image)| image);
    let image = load("/ld.so").expect("loads");
    assert_eq!(image.ip.0, auxv(&image, AT_BASE) + 0x500);
    assert_ne!(auxv(&image, AT_ENTRY), image.ip.0);
    let errno = |path| load(path).map(|i| i.ip).map_err(|e| e.errno());
    assert_eq!(errno("/none"), Err(Errno::ENOENT));
    assert_eq!(errno("/text"), Err(Errno::ELIBBAD));
}

#[test]
fn scripts_run_their_interpreter_with_their_path() {
    let memfile = memfile();
    let open = |path: &[u8]| match path {
        b"/bin/sh" => Ok(file(&memfile, &elf(ET_EXEC, 0x40_0000, None))),
        b"/bin/awk" => Ok(file(&memfile, b"#!/bin/sh -e -x\n")),
        b"/loop" => Ok(file(&memfile, b"#!/loop\n")),
        _ => err(Errno::ENOENT),
    };
    let args = |script: &[u8], argv: &[&str]| {
        let (program, _) = run_with(&memfile, script, argv, &open).map_err(|e| e.errno())?;
        Ok::<_, Errno>(program.argv.iter().map(|a| String::from_utf8_lossy(a).into_owned()).collect::<Vec<_>>())
    };
    assert_eq!(args(b"#! /bin/sh\n", &["me", "1"]), Ok(vec!["/bin/sh".into(), "/bin/prog".into(), "1".into()]));
    let nested = args(b"#!/bin/awk -f\n", &[]).expect("runs");
    assert_eq!(nested, ["/bin/sh", "-e -x", "/bin/awk", "-f", "/bin/prog"]);
    assert_eq!(args(b"#!/loop\n", &["me"]), Err(Errno::ELOOP));
    assert_eq!(args(b"#!/nowhere\n", &["me"]), Err(Errno::ENOENT));
    assert_eq!(args(b"#!\n", &["me"]), Err(Errno::ENOEXEC));
}

#[test]
fn what_is_no_program_is_refused() {
    let memfile = memfile();
    let errno = |bytes: &[u8]| run(&memfile, bytes).map(|_| ()).map_err(|e| e.errno());
    assert_eq!(errno(b""), Err(Errno::ENOEXEC));
    assert_eq!(errno(b"text\n"), Err(Errno::ENOEXEC));
    let good = elf(ET_EXEC, 0x40_0000, None);
    let with = |at: usize, bytes: &[u8]| {
        let mut bad = good.clone();
        bad[at..at + bytes.len()].copy_from_slice(bytes);
        errno(&bad)
    };
    assert_eq!(with(18, &3u16.to_ne_bytes()), Err(Errno::ENOEXEC), "another machine");
    assert_eq!(with(16, &1u16.to_ne_bytes()), Err(Errno::ENOEXEC), "an object file");
    assert_eq!(with(56, &0u16.to_ne_bytes()), Err(Errno::ENOEXEC), "no program headers");
    assert_eq!(with(32, &u64::MAX.to_ne_bytes()), Err(Errno::ENOEXEC), "headers nowhere");
    assert_eq!(with(64 + 32, &0x9000u64.to_ne_bytes()), Err(Errno::EINVAL), "more in the file than in memory");
    assert_eq!(with(64 + 16, &(1u64 << 63).to_ne_bytes()), Err(Errno::EINVAL), "beyond what a program may use");
}

#[test]
fn too_many_arguments_are_refused() {
    let memfile = memfile();
    let bytes = elf(ET_EXEC, 0x40_0000, None);
    let errno =
        |argv: &[&str]| run_with(&memfile, &bytes, argv, &|_| err(Errno::ENOENT)).map(|_| ()).map_err(|e| e.errno());
    let long = "a".repeat(128 << 10);
    assert_eq!(errno(&[&long]), Err(Errno::E2BIG));
    assert_eq!(errno(&[&long[1..]]), Ok(()));
    assert_eq!(errno(&[&long[1..]; 16]), Err(Errno::E2BIG));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn mangled_headers_never_panic(changes in proptest::collection::vec((0usize..240, any::<u8>()), 1..12)) {
        let memfile = memfile();
        let mut bytes = elf(ET_DYN, 0, Some("/ld.so"));
        changes.iter().for_each(|(at, byte)| bytes[*at] = *byte);
        let open = |_: &[u8]| Ok(file(&memfile, &bytes));
        let _ = run_with(&memfile, &bytes, &["p"], &open);
    }
}
