//! ELF headers, checked as fs/binfmt_elf.c does.

use abi::elf::{
    EI_CLASS, ELFCLASS64, ELFMAG, EM_X86_64, ET_DYN, ET_EXEC, Ehdr64, PF_X, PT_GNU_STACK, PT_INTERP, PT_LOAD, Phdr64,
};
use abi::limits::PATH_MAX;
use abi::{Errno, PAGE_SIZE, TASK_SIZE};
use zerocopy::{FromBytes, IntoBytes};

use super::reader::Reader;
use crate::error::{Result, err};

/// Most bytes of program headers.
const MAX_PHDRS: usize = 65536;

/// The headers that loading needs.
#[derive(Clone, Debug)]
pub(super) struct Headers {
    pub(super) file: Ehdr64,
    pub(super) program: Vec<Phdr64>,
}

impl Headers {
    /// Reads and checks them; ENOEXEC if it is no program for this machine.
    pub(super) fn read(reader: &Reader<'_>) -> Result<Self> {
        let mut file = Ehdr64::default();
        reader.read(0, file.as_mut_bytes())?;
        if file.e_ident[..4] != ELFMAG || !matches!(file.e_type, ET_EXEC | ET_DYN) || !is_for_us(&file) {
            return err(Errno::ENOEXEC);
        }
        let size = usize::from(file.e_phnum) * size_of::<Phdr64>();
        if usize::from(file.e_phentsize) != size_of::<Phdr64>() || size == 0 || size > MAX_PHDRS {
            return err(Errno::ENOEXEC);
        }
        if file.e_phoff.checked_add(size as u64).is_none_or(|end| i64::try_from(end).is_err()) {
            return err(Errno::ENOEXEC);
        }
        let mut bytes = vec![0; size];
        if reader.read(file.e_phoff, &mut bytes)? != size {
            return err(Errno::ENOEXEC);
        }
        let program = bytes.chunks_exact(size_of::<Phdr64>());
        let program = program.filter_map(|bytes| Phdr64::read_from_bytes(bytes).ok()).collect();
        Ok(Self { file, program })
    }

    /// The headers of an ELF interpreter; ELIBBAD if it is none.
    pub(super) fn read_interpreter(reader: &Reader<'_>) -> Result<Self> {
        let mut start = [0; size_of::<Ehdr64>()];
        if reader.read(0, &mut start)? != start.len() {
            return err(Errno::EIO);
        }
        Self::read(reader).map_err(|e| if e.is(Errno::ENOEXEC) { Errno::ELIBBAD.into() } else { e })
    }

    /// The path in the first PT_INTERP.
    pub(super) fn interpreter(&self, reader: &Reader<'_>) -> Result<Option<Vec<u8>>> {
        let Some(header) = self.program.iter().find(|header| header.p_type == PT_INTERP) else { return Ok(None) };
        let len = usize::try_from(header.p_filesz).unwrap_or(usize::MAX);
        if !(2..=PATH_MAX).contains(&len) {
            return err(Errno::ENOEXEC);
        }
        let mut path = vec![0; len];
        if reader.read(header.p_offset, &mut path)? != len {
            return err(Errno::EIO);
        }
        if path.pop() != Some(0) {
            return err(Errno::ENOEXEC);
        }
        path.truncate(path.iter().position(|byte| *byte == 0).unwrap_or(path.len()));
        Ok(Some(path))
    }

    /// Whether PT_GNU_STACK asks for an executable stack.
    pub(super) fn exec_stack(&self) -> bool {
        let last = self.program.iter().rfind(|header| header.p_type == PT_GNU_STACK);
        last.is_some_and(|header| header.p_flags & PF_X != 0)
    }

    /// The segments to load, each checked to lie in what a program may use.
    pub(super) fn segments(&self) -> Result<Vec<Phdr64>> {
        let loads: Vec<_> = self.program.iter().filter(|header| header.p_type == PT_LOAD).copied().collect();
        for load in &loads {
            let end = load.p_vaddr.checked_add(load.p_memsz);
            if load.p_filesz > load.p_memsz || end.is_none_or(|end| end > TASK_SIZE) {
                return err(Errno::EINVAL);
            }
            if load.p_offset.checked_add(load.p_filesz).is_none_or(|end| i64::try_from(end).is_err()) {
                return err(Errno::EINVAL);
            }
            // What mmap(2) refuses.
            if load.p_offset % PAGE_SIZE != load.p_vaddr % PAGE_SIZE && load.p_filesz > 0 {
                return err(Errno::EINVAL);
            }
        }
        Ok(loads)
    }

    /// The largest alignment that a segment asks for; at least a page.
    pub(super) fn alignment(&self) -> u64 {
        let loads = self.program.iter().filter(|header| header.p_type == PT_LOAD);
        loads.map(|load| load.p_align).filter(|align| align.is_power_of_two()).max().unwrap_or(0).max(PAGE_SIZE)
    }
}

fn is_for_us(file: &Ehdr64) -> bool {
    file.e_machine == EM_X86_64 && file.e_ident[EI_CLASS] == ELFCLASS64
}
