//! The memory manager on a platform that plays the CPU.

pub(crate) mod machine;
mod random;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use abi::mman::{MADV_DONTNEED, MremapFlags};
use abi::{Errno, PAGE_SIZE, UserAddr, UserRange};
use platform::Prot;

use self::machine::{load, memfile, space, store};
use super::memfile::{MemFile, MemRange};
use super::{
    FaultSignal, MapRequest, MapSource, Mappable, Mappings, MemoryManager, Placement, Translation, VmaFlags, VmaName,
};
use crate::error::{Result, err};
use crate::user::{UserCStr, UserPtr};

const BASE: UserAddr = UserAddr(0x1000_0000);
const RW: Prot = Prot::READ_WRITE;

fn page(n: u64) -> UserAddr {
    UserAddr(BASE.0 + n * PAGE_SIZE)
}

fn map_at(mm: &MemoryManager, at: UserAddr, pages: u64, prot: Prot) {
    let request = MapRequest::anonymous(pages * PAGE_SIZE, prot).fixed_at(at);
    assert_eq!(mm.map(request).expect("maps"), at);
}

fn areas(mm: &MemoryManager) -> Vec<String> {
    let text = mm.maps(&|_| super::FileView::default());
    text.lines().map(|line| line.split(" 00").next().expect("a first part").to_owned()).collect()
}

/// An object of some pages, each filled with its number plus one.
#[derive(Debug)]
struct Numbers {
    range: MemRange,
    mappings: Mappings,
    pages: std::sync::atomic::AtomicU64,
}

impl Numbers {
    fn new(memfile: &Arc<MemFile>, pages: u64) -> Arc<Self> {
        let range = memfile.allocate(pages * PAGE_SIZE).expect("memory");
        for n in 0..pages {
            let byte = u8::try_from(n + 1).expect("few pages");
            range.slice(n * PAGE_SIZE, 4096).write(&[byte; 4096]).expect("mapped");
        }
        Arc::new(Self { range, mappings: Mappings::default(), pages: pages.into() })
    }
}

impl Mappable for Numbers {
    fn translate(&self, offset: u64, len: u64, _write: bool) -> Result<Translation> {
        let end = self.pages.load(Ordering::SeqCst) * PAGE_SIZE;
        if offset >= end {
            return err(Errno::EFAULT);
        }
        let file = Arc::clone(self.range.file().file());
        Ok(Translation { file, offset: self.range.offset() + offset, len: len.min(end - offset), writable: true })
    }
    fn mappings(&self) -> &Mappings {
        &self.mappings
    }
}

fn map_object(mm: &MemoryManager, at: UserAddr, object: &Arc<Numbers>, pages: u64, prot: Prot, shared: bool) {
    let flags = if shared { VmaFlags::SHARED } else { VmaFlags::empty() };
    let object: Arc<dyn Mappable> = object.clone();
    let source = MapSource::Object { object, file: None, offset: 0 };
    let request = MapRequest { flags, source, ..MapRequest::anonymous(pages * PAGE_SIZE, prot) };
    mm.map(request.fixed_at(at)).expect("maps");
}

#[test]
fn values_strings_and_faults_cross_pages() {
    let mm = space(&memfile());
    map_at(&mm, page(0), 2, RW);
    let at = UserAddr(page(1).0 - 2);
    mm.write(UserPtr::new(at), &0x1122_3344_u32).expect("writable");
    assert_eq!(mm.read::<u32>(UserPtr::new(at)).expect("readable"), 0x1122_3344);
    assert_eq!(load(&mm, at, true), Ok(0x44));
    let last = UserAddr(page(2).0 - 3);
    mm.write_bytes(last, b"ab\0").expect("writable");
    assert_eq!(mm.read_cstr(UserCStr(last), 4096).expect("a string"), b"ab");
    mm.write_bytes(last, b"abc").expect("writable");
    assert!(mm.read_cstr(UserCStr(last), 4096).is_err_and(|e| e.is(Errno::EFAULT)));
    assert!(mm.read_cstr(UserCStr(last), 3).is_err_and(|e| e.is(Errno::ENAMETOOLONG)));
    assert!(mm.write_bytes(last, b"abcd").is_err_and(|e| e.is(Errno::EFAULT)));
    assert_eq!(load(&mm, page(2), false), Err(FaultSignal::NotMapped));
}

#[test]
fn protection_decides_the_signal() {
    let mm = space(&memfile());
    map_at(&mm, page(0), 3, RW);
    mm.protect(page(1), PAGE_SIZE, Prot::READ, false).expect("mapped");
    mm.protect(page(2), PAGE_SIZE, Prot::NONE, false).expect("mapped");
    for known in [true, false] {
        assert_eq!(store(&mm, page(0), 1, known), Ok(()));
        assert_eq!(store(&mm, page(1), 1, known), Err(FaultSignal::NotAllowed));
        assert_eq!(load(&mm, page(1), known), Ok(0));
        assert_eq!(load(&mm, page(2), known), Err(FaultSignal::NotAllowed));
    }
    assert!(mm.write_bytes(page(1), &[1]).is_err());
    assert!(mm.protect(page(2), 2 * PAGE_SIZE, RW, false).is_err_and(|e| e.is(Errno::ENOMEM)));
    assert_eq!(load(&mm, page(2), false), Ok(0), "what was mapped has changed");
}

#[test]
fn forked_memory_is_copied_by_the_first_writer_only() {
    let memfile = memfile();
    let parent = space(&memfile);
    map_at(&parent, page(0), 64, RW);
    store(&parent, page(3), 7, true).expect("writable");
    let before = memfile.reserved();
    let child = parent.fork().expect("forks");
    assert_eq!(memfile.reserved(), before);
    store(&child, page(3), 8, false).expect("writable");
    assert_eq!((load(&parent, page(3), true), load(&child, page(3), true)), (Ok(7), Ok(8)));
    parent.write_bytes(page(40), &[9]).expect("writable");
    assert_eq!((load(&parent, page(40), true), load(&child, page(40), true)), (Ok(9), Ok(0)));
    drop(child);
    store(&parent, page(60), 1, false).expect("writable");
    store(&parent, page(3), 2, false).expect("writable");
    drop(parent);
    assert_eq!(memfile.reserved(), 0);
}

#[test]
fn objects_are_shared_private_and_end() {
    let memfile = memfile();
    let mm = space(&memfile);
    let object = Numbers::new(&memfile, 4);
    map_object(&mm, page(0), &object, 6, RW, true);
    map_object(&mm, page(10), &object, 6, RW, false);
    map_object(&mm, page(20), &object, 4, Prot::READ, false);
    assert!(object.mappings.any_writable_shared());
    store(&mm, page(1), 50, false).expect("writable");
    // The private mapping was copied when it was made, the read-only one was not.
    assert_eq!((load(&mm, page(11), true), load(&mm, page(21), true)), (Ok(2), Ok(50)));
    store(&mm, page(11), 60, false).expect("writable");
    assert_eq!((load(&mm, page(1), true), load(&mm, page(11), true)), (Ok(50), Ok(60)));
    assert_eq!(load(&mm, page(4), false), Err(FaultSignal::NoMemory));
    assert_eq!(load(&mm, page(14), false), Err(FaultSignal::NoMemory));
    mm.advise(page(10), 2 * PAGE_SIZE, MADV_DONTNEED).expect("mapped");
    assert_eq!(load(&mm, page(11), true), Ok(50));
    // Truncated, then extended again.
    object.pages.store(1, Ordering::SeqCst);
    store(&mm, page(12), 61, false).expect("writable");
    object.mappings.invalidate(PAGE_SIZE, u64::MAX);
    assert_eq!(load(&mm, page(12), true), Ok(61), "a private copy outlives a hole");
    object.mappings.cut(PAGE_SIZE);
    assert_eq!(load(&mm, page(12), false), Err(FaultSignal::NoMemory), "but not the end of the object");
    assert_eq!(load(&mm, page(1), false), Err(FaultSignal::NoMemory));
    assert!(mm.read_bytes(page(1), &mut [0]).is_err());
    assert_eq!(load(&mm, page(0), false), Ok(1));
    object.pages.store(4, Ordering::SeqCst);
    assert_eq!(load(&mm, page(1), false), Ok(50));
    let child = mm.fork().expect("forks");
    store(&child, page(2), 77, true).expect("writable");
    assert_eq!(load(&mm, page(2), true), Ok(77));
    drop(mm);
    assert!(object.mappings.any_writable_shared(), "the child still has it");
    drop(child);
    assert!(!object.mappings.any_writable_shared());
}

#[test]
fn large_private_mappings_are_copied_piece_by_piece() {
    let memfile = memfile();
    let mm = space(&memfile);
    let object = Numbers::new(&memfile, 200);
    map_object(&mm, page(0), &object, 200, RW, false);
    let before = memfile.reserved();
    assert_eq!(load(&mm, page(100), false), Ok(101));
    assert_eq!(memfile.reserved(), before);
    store(&mm, page(100), 1, false).expect("writable");
    mm.write_bytes(page(199), &[2]).expect("writable");
    let seen: Vec<_> = [99, 100, 101, 198, 199].map(|n| load(&mm, page(n), true)).into();
    assert_eq!(seen, [Ok(100), Ok(1), Ok(102), Ok(199), Ok(2)]);
}

#[test]
fn stacks_grow_to_their_limit_and_keep_their_gap() {
    let mm = space(&memfile());
    mm.limits().stack.store(64 * PAGE_SIZE, Ordering::Relaxed);
    let top = UserAddr(page(1000).0);
    let request = MapRequest::anonymous(2 * PAGE_SIZE, RW).fixed_at(page(998));
    mm.map(MapRequest { flags: VmaFlags::GROWSDOWN, ..request }).expect("maps");
    store(&mm, page(997), 1, false).expect("grows");
    mm.write_bytes(page(940), &[1]).expect("grows for the kernel too");
    assert_eq!(store(&mm, page(900), 1, false), Err(FaultSignal::NotMapped));
    mm.limits().stack.store(u64::MAX, Ordering::Relaxed);
    map_at(&mm, page(600), 10, RW);
    assert_eq!(store(&mm, page(611), 1, false), Err(FaultSignal::NotMapped), "too near to another mapping");
    store(&mm, page(867), 1, false).expect("just far enough");
    assert_eq!(mm.usage().stack, top.0 - page(867).0);
}

#[test]
fn mremap_keeps_what_is_there() {
    let mm = space(&memfile());
    map_at(&mm, page(0), 4, RW);
    map_at(&mm, page(6), 1, Prot::READ);
    store(&mm, page(3), 9, true).expect("writable");
    let none = MremapFlags::empty();
    let moved = MremapFlags::MREMAP_MAYMOVE;
    assert_eq!(mm.remap(page(0), 4 * PAGE_SIZE, 6 * PAGE_SIZE, none, UserAddr::NULL, false).expect("room"), page(0));
    let stuck = mm.remap(page(0), 6 * PAGE_SIZE, 9 * PAGE_SIZE, none, UserAddr::NULL, false);
    assert!(stuck.is_err_and(|e| e.is(Errno::ENOMEM)));
    let to = mm.remap(page(0), 6 * PAGE_SIZE, 9 * PAGE_SIZE, moved, UserAddr::NULL, false).expect("moves");
    assert_eq!(load(&mm, UserAddr(to.0 + 3 * PAGE_SIZE), true), Ok(9));
    assert_eq!(load(&mm, UserAddr(to.0 + 8 * PAGE_SIZE), true), Ok(0));
    assert_eq!(load(&mm, page(3), true), Err(FaultSignal::NotMapped));
    let keep = moved | MremapFlags::MREMAP_DONTUNMAP | MremapFlags::MREMAP_FIXED;
    let back = mm.remap(to, 9 * PAGE_SIZE, 9 * PAGE_SIZE, keep, page(20), false).expect("moves");
    assert_eq!((back, load(&mm, page(23), true)), (page(20), Ok(9)));
    assert_eq!(load(&mm, UserAddr(to.0 + 3 * PAGE_SIZE), true), Ok(0));
}

#[test]
fn areas_join_and_split_as_linux_shows_them() {
    let mm = space(&memfile());
    map_at(&mm, page(0), 2, RW);
    map_at(&mm, page(2), 2, RW);
    assert_eq!(areas(&mm), ["10000000-10004000 rw-p"]);
    mm.protect(page(1), PAGE_SIZE, Prot::READ, false).expect("mapped");
    assert_eq!(areas(&mm), ["10000000-10001000 rw-p", "10001000-10002000 r--p", "10002000-10004000 rw-p"]);
    mm.protect(page(1), PAGE_SIZE, RW, false).expect("mapped");
    assert_eq!(areas(&mm), ["10000000-10004000 rw-p"]);
    mm.unmap(page(1), PAGE_SIZE).expect("mapped");
    assert_eq!(areas(&mm), ["10000000-10001000 rw-p", "10002000-10004000 rw-p"]);
    let named = MapRequest::anonymous(PAGE_SIZE, Prot::READ_EXEC).fixed_at(page(9));
    mm.map(MapRequest { name: Some(VmaName::Special("[vdso]")), ..named }).expect("maps");
    let text = mm.maps(&|_| super::FileView::default());
    let last = text.lines().last().expect("a line");
    assert_eq!(last, format!("{:<73}[vdso]", "10009000-1000a000 r-xp 00000000 00:00 0"));
    assert!(mm.smaps(&|_| super::FileView::default()).contains("VmFlags: rd wr mr mw me ac \n"));
}

#[test]
fn places_are_found_from_the_top_and_reused() {
    let mm = space(&memfile());
    let map = |pages: u64| mm.map(MapRequest::anonymous(pages * PAGE_SIZE, RW)).expect("maps");
    let (a, b, c) = (map(4), map(4), map(4));
    assert_eq!((b.0, c.0), (a.0 - 4 * PAGE_SIZE, b.0 - 4 * PAGE_SIZE));
    assert_eq!(areas(&mm).len(), 1);
    mm.unmap(b, 4 * PAGE_SIZE).expect("mapped");
    assert_eq!(map(8).0, c.0 - 8 * PAGE_SIZE, "too large for the hole");
    assert_eq!(map(2).0, a.0 - 2 * PAGE_SIZE, "fits into the hole");
    let fixed = MapRequest { placement: Placement::FixedNoReplace, ..MapRequest::anonymous(PAGE_SIZE, RW).fixed_at(a) };
    let fixed = MapRequest { placement: Placement::FixedNoReplace, ..fixed };
    assert!(mm.map(fixed).is_err_and(|e| e.is(Errno::EEXIST)));
    mm.limits().address_space.store(1 << 20, Ordering::Relaxed);
    assert!(mm.map(MapRequest::anonymous(1 << 20, RW)).is_err_and(|e| e.is(Errno::ENOMEM)));
    assert!(mm.unmap(UserAddr(0), u64::MAX).is_err_and(|e| e.is(Errno::EINVAL)));
}

#[test]
fn the_heap_moves_both_ways() {
    let mm = space(&memfile());
    mm.set_heap(page(0));
    assert_eq!(mm.brk(UserAddr(0)), page(0));
    assert_eq!(mm.brk(UserAddr(page(3).0 + 5)), UserAddr(page(3).0 + 5));
    mm.write_bytes(page(3), b"heap").expect("writable");
    assert!(mm.maps(&|_| super::FileView::default()).ends_with("[heap]\n"));
    assert_eq!(mm.brk(page(1)), page(1));
    assert!(mm.read_bytes(page(3), &mut [0]).is_err());
    map_at(&mm, page(8), 1, RW);
    assert_eq!(mm.brk(page(8)), page(1), "no page would stay free");
    assert_eq!(mm.brk(page(4)), page(4));
    let mut byte = [1];
    mm.read_bytes(page(3), &mut byte).expect("mapped again");
    assert_eq!(byte, [0]);
}

#[test]
fn huge_reservations_cost_nothing_until_touched() {
    let memfile = memfile();
    let mm = space(&memfile);
    assert!(mm.map(MapRequest::anonymous(1 << 45, RW)).is_err_and(|e| e.is(Errno::ENOMEM)), "more than there is");
    let request = MapRequest { flags: VmaFlags::NORESERVE, ..MapRequest::anonymous(1 << 45, RW) };
    let at = mm.map(request).expect("maps");
    assert_eq!(memfile.reserved(), 0);
    let inside = UserAddr(at.0 + (1 << 44) + 5);
    store(&mm, inside, 3, false).expect("writable");
    assert_eq!((load(&mm, inside, true), load(&mm, at, false)), (Ok(3), Ok(0)));
    assert!(mm.usage().anon <= 2 * PAGE_SIZE);
    let range = UserRange::new(inside.page_down(), 2 * PAGE_SIZE).expect("no overflow");
    assert_eq!(mm.residency(range, 10).expect("mapped"), [1, 0]);
}

#[test]
fn words_and_keys_serve_futexes() {
    let memfile = memfile();
    let mm = space(&memfile);
    let object = Numbers::new(&memfile, 1);
    map_object(&mm, page(0), &object, 1, RW, true);
    map_object(&mm, page(5), &object, 1, RW, true);
    map_at(&mm, page(9), 1, RW);
    let at = |n: u64| UserAddr(page(n).0 + 8);
    assert_eq!(mm.futex_key(at(0)).expect("mapped"), mm.futex_key(at(5)).expect("mapped"));
    assert_eq!(mm.futex_key(at(9)).expect("mapped"), mm.private_futex_key(at(9)));
    assert!(mm.futex_key(at(7)).is_err_and(|e| e.is(Errno::EFAULT)));
    assert!(mm.load_u32(UserAddr(page(9).0 + 2)).is_err_and(|e| e.is(Errno::EINVAL)));
    let child = mm.fork().expect("forks");
    assert_eq!(child.compare_exchange_u32(at(9), 0, 5).expect("writable"), 0);
    assert_eq!((mm.load_u32(at(9)).expect("readable"), child.load_u32(at(9)).expect("readable")), (0, 5));
    assert_eq!(mm.fetch_update_u32(at(0), |v| v + 1).expect("writable"), 0x0101_0101);
    assert_eq!(child.load_u32(at(5)).expect("readable"), 0x0101_0102);
}

#[test]
fn debuggers_write_where_the_program_may_not() {
    let memfile = memfile();
    let mm = space(&memfile);
    let object = Numbers::new(&memfile, 1);
    map_object(&mm, page(0), &object, 1, Prot::READ_EXEC, false);
    map_at(&mm, page(1), 1, Prot::NONE);
    let forced = super::RemoteAccess::Forced;
    assert!(mm.write_remote(page(0), &[0xcc], super::RemoteAccess::AsOwner).is_err());
    assert_eq!(mm.write_remote(page(0), &[0xcc; 4097], forced).expect("private"), 4097);
    assert_eq!(load(&mm, page(0), true), Ok(0xcc));
    assert_eq!(store(&mm, page(0), 1, true), Err(FaultSignal::NotAllowed));
    let mut byte = [0];
    object.range.slice(0, 1).read(&mut byte).expect("mapped");
    assert_eq!(byte, [1], "the object is as it was");
}
