//! ELF: headers of a 64-bit file, and the auxiliary vector.
#![expect(missing_docs, reason = "the names are ELF's, see elf(5) and getauxval(3)")]

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::names::numbers;

/// `Elf64_Ehdr`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Ehdr64 {
    pub e_ident: [u8; 16],
    pub e_type: u16,
    pub e_machine: u16,
    pub e_version: u32,
    pub e_entry: u64,
    pub e_phoff: u64,
    pub e_shoff: u64,
    pub e_flags: u32,
    pub e_ehsize: u16,
    pub e_phentsize: u16,
    pub e_phnum: u16,
    pub e_shentsize: u16,
    pub e_shnum: u16,
    pub e_shstrndx: u16,
}

/// `Elf64_Phdr`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Phdr64 {
    pub p_type: u32,
    pub p_flags: u32,
    pub p_offset: u64,
    pub p_vaddr: u64,
    pub p_paddr: u64,
    pub p_filesz: u64,
    pub p_memsz: u64,
    pub p_align: u64,
}

/// `Elf64_Shdr`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Shdr64 {
    pub sh_name: u32,
    pub sh_type: u32,
    pub sh_flags: u64,
    pub sh_addr: u64,
    pub sh_offset: u64,
    pub sh_size: u64,
    pub sh_link: u32,
    pub sh_info: u32,
    pub sh_addralign: u64,
    pub sh_entsize: u64,
}

/// `Elf64_Dyn`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Dyn64 {
    pub d_tag: i64,
    pub d_val: u64,
}

/// `Elf64_Sym`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Sym64 {
    pub st_name: u32,
    pub st_info: u8,
    pub st_other: u8,
    pub st_shndx: u16,
    pub st_value: u64,
    pub st_size: u64,
}

/// `Elf64_Nhdr`: header of a note; name and description follow, each padded to four bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Nhdr64 {
    pub n_namesz: u32,
    pub n_descsz: u32,
    pub n_type: u32,
}

pub const ELFMAG: [u8; 4] = *b"\x7fELF";
pub const EI_CLASS: usize = 4;
pub const EI_DATA: usize = 5;
pub const EI_VERSION: usize = 6;
pub const EI_OSABI: usize = 7;
pub const ELFCLASS32: u8 = 1;
pub const ELFCLASS64: u8 = 2;
pub const ELFDATA2LSB: u8 = 1;
pub const EV_CURRENT: u8 = 1;

pub const ET_NONE: u16 = 0;
pub const ET_REL: u16 = 1;
pub const ET_EXEC: u16 = 2;
pub const ET_DYN: u16 = 3;
pub const ET_CORE: u16 = 4;
pub const EM_386: u16 = 3;
pub const EM_ARM: u16 = 40;
pub const EM_X86_64: u16 = 62;
pub const EM_AARCH64: u16 = 183;
pub const EM_RISCV: u16 = 243;

numbers! {
    /// The name of a program header's type.
    pub fn phdr_type_name(u32) {
        PT_NULL = 0x0,
        PT_LOAD = 0x1,
        PT_DYNAMIC = 0x2,
        PT_INTERP = 0x3,
        PT_NOTE = 0x4,
        PT_SHLIB = 0x5,
        PT_PHDR = 0x6,
        PT_TLS = 0x7,
        PT_GNU_EH_FRAME = 0x6474e550,
        PT_GNU_STACK = 0x6474e551,
        PT_GNU_RELRO = 0x6474e552,
        PT_GNU_PROPERTY = 0x6474e553,
    }
}

pub const PF_X: u32 = 1;
pub const PF_W: u32 = 2;
pub const PF_R: u32 = 4;

pub const DT_NULL: i64 = 0;
pub const DT_HASH: i64 = 4;
pub const DT_STRTAB: i64 = 5;
pub const DT_SYMTAB: i64 = 6;
pub const DT_STRSZ: i64 = 10;
pub const DT_SYMENT: i64 = 11;
pub const DT_SONAME: i64 = 14;
pub const DT_GNU_HASH: i64 = 1879047925;
pub const DT_VERSYM: i64 = 1879048176;
pub const DT_VERDEF: i64 = 1879048188;
pub const DT_VERDEFNUM: i64 = 1879048189;

/// Notes of a core file.
pub const NT_PRSTATUS: u32 = 0x1;
pub const NT_PRFPREG: u32 = 0x2;
pub const NT_PRPSINFO: u32 = 0x3;
pub const NT_AUXV: u32 = 0x6;
pub const NT_SIGINFO: u32 = 0x53494749;
pub const NT_FILE: u32 = 0x46494c45;
pub const NT_X86_XSTATE: u32 = 0x202;

numbers! {
    /// The name of an entry of the auxiliary vector.
    pub fn auxv_name(u64) {
        AT_NULL = 0,
        AT_IGNORE = 1,
        AT_EXECFD = 2,
        AT_PHDR = 3,
        AT_PHENT = 4,
        AT_PHNUM = 5,
        AT_PAGESZ = 6,
        AT_BASE = 7,
        AT_FLAGS = 8,
        AT_ENTRY = 9,
        AT_NOTELF = 10,
        AT_UID = 11,
        AT_EUID = 12,
        AT_GID = 13,
        AT_EGID = 14,
        AT_PLATFORM = 15,
        AT_HWCAP = 16,
        AT_CLKTCK = 17,
        AT_SECURE = 23,
        AT_BASE_PLATFORM = 24,
        AT_RANDOM = 25,
        AT_HWCAP2 = 26,
        AT_RSEQ_FEATURE_SIZE = 27,
        AT_RSEQ_ALIGN = 28,
        AT_EXECFN = 31,
        AT_SYSINFO_EHDR = 33,
        AT_MINSIGSTKSZ = 51,
    }
}

/// AT_HWCAP2: ring 3 may use the fsgsbase instructions.
pub const HWCAP2_FSGSBASE: u64 = 2;
/// AT_FLAGS: keep `argv[0]` of a script run by binfmt_misc.
pub const AT_FLAGS_PRESERVE_ARGV0: u64 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_match_the_c_library() {
        assert_eq!(size_of::<Ehdr64>(), size_of::<libc::Elf64_Ehdr>());
        assert_eq!(size_of::<Phdr64>(), size_of::<libc::Elf64_Phdr>());
        assert_eq!(size_of::<Shdr64>(), size_of::<libc::Elf64_Shdr>());
        assert_eq!(size_of::<Sym64>(), size_of::<libc::Elf64_Sym>());
    }
}
