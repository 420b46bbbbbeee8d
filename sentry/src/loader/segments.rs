//! Segments of a program or an interpreter into an address space.

use std::sync::Arc;

use abi::elf::{ET_DYN, ET_EXEC, PF_R, PF_W, PF_X, Phdr64};
use abi::{Errno, PAGE_SIZE, TASK_SIZE, UserAddr, UserRange};
use platform::Prot;

use super::elf::Headers;
use super::reader::Reader;
use super::{Executable, Program};
use crate::error::{Result, err};
use crate::mm::memfile::MemFile;
use crate::mm::{MapRequest, MapSource, MemoryManager, Placement, Randomness, VmaFlags};

/// Where position-independent programs go before they are moved at random (ELF_ET_DYN_BASE).
const DYN_BASE: u64 = TASK_SIZE / 3 * 2;

/// Where a file was mapped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loaded {
    /// Difference between addresses in memory and in the file.
    pub(super) bias: u64,
    /// Where it starts to run.
    pub(super) entry: UserAddr,
    /// Where its program headers are; null if no segment holds them.
    pub(super) headers: UserAddr,
    /// How many.
    pub(super) header_count: u16,
}

/// Maps the program, and says where its code, data and heap are.
pub(super) fn map_program(mm: &MemoryManager, program: &Program, random: &Randomness) -> Result<Loaded> {
    let headers = &program.headers;
    let place = match headers.file.e_type {
        ET_EXEC => Place::Fixed,
        // A loader that is run as a program stays away from where its program will go.
        _ if program.interpreter.is_none() => Place::Anywhere,
        _ => Place::Near(DYN_BASE + random.program()),
    };
    let bias = map_segments(mm, &program.executable, headers, place)?;
    let loaded = loaded(headers, bias)?;
    set_info(mm, headers, bias, program.interpreter.is_none(), random)?;
    Ok(loaded)
}

/// Maps an ELF interpreter.
pub(super) fn map_interpreter(mm: &MemoryManager, memfile: &MemFile, interpreter: &Executable) -> Result<Loaded> {
    let headers = Headers::read_interpreter(&Reader::new(memfile, &interpreter.object)?)?;
    let place = if headers.file.e_type == ET_EXEC { Place::Fixed } else { Place::Anywhere };
    let bias = map_segments(mm, interpreter, &headers, place)?;
    loaded(&headers, bias)
}

/// Where the first segment goes.
enum Place {
    /// Where the file says.
    Fixed,
    /// There, rounded to the file's alignment.
    Near(u64),
    /// Where mmap(2) puts it.
    Anywhere,
}

/// Maps all segments; returns the bias.
fn map_segments(mm: &MemoryManager, file: &Executable, headers: &Headers, place: Place) -> Result<u64> {
    let segments = headers.segments()?;
    let (Some(first), Some(last)) = (segments.first(), segments.last()) else { return err(Errno::ENOEXEC) };
    let start = UserAddr(first.p_vaddr).page_down().0;
    let end = segments.iter().map(|load| load.p_vaddr + load.p_memsz).max().unwrap_or(0);
    let total = end.max(last.p_vaddr + last.p_memsz).checked_sub(start).filter(|len| *len > 0).ok_or(Errno::EINVAL)?;
    let bias = match place {
        Place::Fixed => 0,
        Place::Near(at) => (at & !(headers.alignment() - 1)).wrapping_sub(start),
        Place::Anywhere => find_place(mm, total, headers.alignment())?.wrapping_sub(start),
    };
    for load in &segments {
        map_segment(mm, file, load, bias)?;
    }
    Ok(bias)
}

/// A free place for `len` bytes. The address space is nobody else's yet, so that it stays free.
fn find_place(mm: &MemoryManager, len: u64, alignment: u64) -> Result<u64> {
    let wanted = len.checked_add(alignment - PAGE_SIZE).ok_or(Errno::ENOMEM)?;
    let at = mm.map(MapRequest::anonymous(wanted, Prot::NONE))?;
    mm.unmap(at, wanted)?;
    // The highest aligned start that leaves room for all of it.
    Ok((at.0 + wanted - len) & !(alignment - 1))
}

fn map_segment(mm: &MemoryManager, file: &Executable, load: &Phdr64, bias: u64) -> Result<()> {
    let at = UserAddr(load.p_vaddr.wrapping_add(bias));
    let skip = at.page_offset();
    let flag = |bit: u32| load.p_flags & bit != 0;
    let prot = Prot { read: flag(PF_R), write: flag(PF_W), exec: flag(PF_X) };
    let mut mapped_to = at.page_down();
    if load.p_filesz > 0 {
        let request = MapRequest {
            addr: at.page_down(),
            placement: Placement::FixedNoReplace,
            source: MapSource::Object {
                object: Arc::clone(&file.object),
                file: file.file.clone(),
                offset: load.p_offset - skip,
            },
            ..MapRequest::anonymous(load.p_filesz + skip, prot)
        };
        // Segments of one file may share a page, which the later one gets.
        match mm.map(request) {
            Err(e) if e.is(Errno::EEXIST) => remap_over(mm, file, load, bias, prot)?,
            other => other.map(drop)?,
        }
        mapped_to = at.checked_add(load.p_filesz)?.page_up().ok_or(Errno::EINVAL)?;
    }
    if load.p_memsz > load.p_filesz {
        let zero_from = at.checked_add(load.p_filesz)?;
        let end = at.checked_add(load.p_memsz)?.page_up().ok_or(Errno::EINVAL)?;
        if prot.write && mapped_to > zero_from {
            let len = mapped_to.0.min(end.0).saturating_sub(zero_from.0);
            mm.zero_bytes(zero_from, usize::try_from(len).map_err(|_| Errno::EINVAL)?)?;
        }
        if mapped_to < end {
            let rest = UserRange::between(mapped_to, end);
            mm.map(MapRequest::anonymous(rest.len(), prot).fixed_at(rest.start))?;
        }
    }
    Ok(())
}

fn remap_over(mm: &MemoryManager, file: &Executable, load: &Phdr64, bias: u64, prot: Prot) -> Result<()> {
    let at = UserAddr(load.p_vaddr.wrapping_add(bias));
    let source = MapSource::Object {
        object: Arc::clone(&file.object),
        file: file.file.clone(),
        offset: load.p_offset - at.page_offset(),
    };
    let request = MapRequest {
        source,
        flags: VmaFlags::empty(),
        ..MapRequest::anonymous(load.p_filesz + at.page_offset(), prot)
    };
    mm.map(request.fixed_at(at.page_down())).map(drop)
}

fn loaded(headers: &Headers, bias: u64) -> Result<Loaded> {
    let entry = UserAddr(headers.file.e_entry.wrapping_add(bias));
    if entry.0 >= TASK_SIZE {
        return err(Errno::EINVAL);
    }
    let offset = headers.file.e_phoff;
    let holder =
        headers.segments()?.into_iter().find(|load| load.p_offset <= offset && offset - load.p_offset < load.p_filesz);
    let at = holder.map_or(UserAddr::NULL, |load| {
        UserAddr((offset - load.p_offset).wrapping_add(load.p_vaddr).wrapping_add(bias))
    });
    Ok(Loaded { bias, entry, headers: at, header_count: headers.file.e_phnum })
}

fn set_info(mm: &MemoryManager, headers: &Headers, bias: u64, alone: bool, random: &Randomness) -> Result<()> {
    let segments = headers.segments()?;
    let at = |address: u64| UserAddr(address.wrapping_add(bias));
    let code = || segments.iter().filter(|load| load.p_flags & PF_X != 0);
    let end_of = |load: &Phdr64| load.p_vaddr + load.p_filesz;
    let start_code = code().map(|load| load.p_vaddr).min().unwrap_or(0);
    let end_code = code().map(end_of).max().unwrap_or(0);
    let start_data = segments.iter().map(|load| load.p_vaddr).max().unwrap_or(0);
    let end_data = segments.iter().map(end_of).max().unwrap_or(0);
    let end = segments.iter().map(|load| load.p_vaddr + load.p_memsz).max().unwrap_or(0);
    let mut heap = at(end).page_up().ok_or(Errno::EINVAL)?;
    if alone && headers.file.e_type == ET_DYN {
        // It went where mappings go; there the heap would have no room.
        heap = UserAddr(DYN_BASE).page_down();
    }
    let heap = heap.checked_add(random.brk())?;
    mm.update_info(|info| {
        info.start_code = at(start_code);
        info.end_code = at(end_code);
        info.start_data = at(start_data);
        info.end_data = at(end_data);
    });
    mm.set_heap(heap);
    Ok(())
}
