//! The ELF image of the vDSO: just what dynamic loaders look at to find versioned functions.

use abi::elf::{
    DT_HASH, DT_NULL, DT_SONAME, DT_STRSZ, DT_STRTAB, DT_SYMENT, DT_SYMTAB, DT_VERDEF, DT_VERDEFNUM, DT_VERSYM, Dyn64,
    EI_CLASS, EI_DATA, EI_VERSION, ELFCLASS64, ELFDATA2LSB, ELFMAG, EM_X86_64, ET_DYN, EV_CURRENT, Ehdr64, PF_R, PF_X,
    PT_DYNAMIC, PT_LOAD, Phdr64, Sym64,
};
use zerocopy::IntoBytes;

/// What the library calls itself, as on Linux.
const SONAME: &str = "linux-vdso.so.1";
/// The version of all its functions.
const VERSION: &str = "LINUX_2.6";
/// STB_GLOBAL, STT_FUNC.
const GLOBAL_FUNCTION: u8 = 1 << 4 | 2;
/// VER_FLG_BASE.
const BASE_VERSION: u16 = 1;

/// An image with `text` at `text_offset`, which must leave room for the tables.
pub(super) fn build(text: &[u8], text_offset: usize, functions: &[(&str, usize)]) -> Vec<u8> {
    let mut strings = Strings(vec![0]);
    let soname = strings.add(SONAME);
    let version = strings.add(VERSION);

    let mut symbols = vec![Sym64::default()];
    for (at, (name, offset)) in functions.iter().enumerate() {
        let end = functions.get(at + 1).map_or(text.len(), |(_, next)| *next);
        symbols.push(Sym64 {
            st_name: strings.add(name),
            st_info: GLOBAL_FUNCTION,
            // Any section but the undefined one; there are no section headers.
            st_shndx: 1,
            st_value: (text_offset + offset) as u64,
            st_size: end.saturating_sub(*offset) as u64,
            ..Sym64::default()
        });
    }
    // One bucket whose chain has all symbols.
    let count = symbols.len() as u32;
    let mut hash = vec![1, count, if count > 1 { 1 } else { 0 }, 0];
    hash.extend((1..count).map(|n| if n + 1 < count { n + 1 } else { 0 }));
    // The null symbol is local (0), all others have version 2.
    let versions: Vec<u16> = (0..count).map(|n| if n == 0 { 0 } else { 2 }).collect();
    let mut definitions = definition(BASE_VERSION, 1, SONAME, soname, 28);
    definitions.extend(definition(0, 2, VERSION, version, 0));

    let mut image = vec![0; size_of::<Ehdr64>() + 2 * size_of::<Phdr64>()];
    let mut append = |bytes: &[u8]| {
        image.resize(image.len().next_multiple_of(8), 0);
        let at = image.len() as u64;
        image.extend_from_slice(bytes);
        at
    };
    let symbols_at = append(symbols.as_bytes());
    let hash_at = append(hash.as_bytes());
    let versions_at = append(versions.as_bytes());
    let definitions_at = append(&definitions);
    let strings_at = append(&strings.0);
    let entry = |tag: i64, value: u64| Dyn64 { d_tag: tag, d_val: value };
    let dynamic = [
        entry(DT_SONAME, soname.into()),
        entry(DT_HASH, hash_at),
        entry(DT_STRTAB, strings_at),
        entry(DT_SYMTAB, symbols_at),
        entry(DT_STRSZ, strings.0.len() as u64),
        entry(DT_SYMENT, size_of::<Sym64>() as u64),
        entry(DT_VERSYM, versions_at),
        entry(DT_VERDEF, definitions_at),
        entry(DT_VERDEFNUM, 2),
        entry(DT_NULL, 0),
    ];
    let dynamic_at = append(dynamic.as_bytes());
    assert!(image.len() <= text_offset, "the tables have {} bytes", image.len());
    image.resize(text_offset, 0);
    image.extend_from_slice(text);

    let headers = [
        segment(PT_LOAD, PF_R | PF_X, 0, image.len() as u64, 4096),
        segment(PT_DYNAMIC, PF_R, dynamic_at, dynamic.as_bytes().len() as u64, 8),
    ];
    let head = file_header(headers.len() as u16);
    let (start, rest) = image.split_at_mut(size_of::<Ehdr64>());
    start.copy_from_slice(head.as_bytes());
    rest[..headers.as_bytes().len()].copy_from_slice(headers.as_bytes());
    image
}

struct Strings(Vec<u8>);

impl Strings {
    fn add(&mut self, text: &str) -> u32 {
        let at = self.0.len() as u32;
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(0);
        at
    }
}

/// An `Elf64_Verdef` with its `Elf64_Verdaux`.
fn definition(flags: u16, index: u16, name: &str, name_at: u32, next: u32) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(28);
    for half in [1, flags, index, 1] {
        bytes.extend_from_slice(&half.to_ne_bytes());
    }
    for word in [sysv_hash(name), 20, next, name_at, 0] {
        bytes.extend_from_slice(&word.to_ne_bytes());
    }
    bytes
}

/// The hash of the System V ABI.
fn sysv_hash(name: &str) -> u32 {
    name.bytes().fold(0u32, |hash, byte| {
        let hash = (hash << 4).wrapping_add(byte.into());
        let high = hash & 0xf000_0000;
        (hash ^ high >> 24) & !high
    })
}

fn segment(kind: u32, flags: u32, offset: u64, len: u64, align: u64) -> Phdr64 {
    Phdr64 {
        p_type: kind,
        p_flags: flags,
        p_offset: offset,
        p_vaddr: offset,
        p_paddr: offset,
        p_filesz: len,
        p_memsz: len,
        p_align: align,
    }
}

fn file_header(segments: u16) -> Ehdr64 {
    let mut ident = [0; 16];
    ident[..4].copy_from_slice(&ELFMAG);
    ident[EI_CLASS] = ELFCLASS64;
    ident[EI_DATA] = ELFDATA2LSB;
    ident[EI_VERSION] = EV_CURRENT;
    Ehdr64 {
        e_ident: ident,
        e_type: ET_DYN,
        e_machine: EM_X86_64,
        e_version: EV_CURRENT.into(),
        e_phoff: size_of::<Ehdr64>() as u64,
        e_ehsize: size_of::<Ehdr64>() as u16,
        e_phentsize: size_of::<Phdr64>() as u16,
        e_phnum: segments,
        ..Ehdr64::default()
    }
}
