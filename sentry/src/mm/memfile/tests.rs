//! What the memory file promises: zeroed ranges, shared ownership by page, reuse.

use abi::{Errno, PAGE_SIZE};

use super::{KEEP_EACH, KEEP_IDLE, MemFile};

fn file() -> std::sync::Arc<MemFile> {
    MemFile::new(1 << 30).expect("a memory file")
}

#[test]
fn a_range_is_zeroed_even_after_another_owner() {
    let file = file();
    for len in [PAGE_SIZE, 32 * PAGE_SIZE, 300 * PAGE_SIZE] {
        let size = usize::try_from(len).expect("small");
        let first = file.allocate(len).expect("memory");
        let offset = first.offset();
        assert_eq!(first.slice(0, size).write(&vec![0xaa; size]), Ok(size));
        drop(first);
        let second = file.allocate(len).expect("memory");
        assert_eq!(second.offset(), offset, "the hole is the best fit");
        let mut bytes = vec![1; size];
        assert_eq!(second.slice(0, size).read(&mut bytes), Ok(size));
        assert!(bytes.iter().all(|b| *b == 0));
    }
    // The same for address spaces.
    for pages in [1, 32, 300] {
        let size = usize::try_from(pages * PAGE_SIZE).expect("small");
        let first = file.allocate_near(pages * PAGE_SIZE, None).expect("memory");
        let offset = first.offset();
        assert_eq!(first.slice(0, size).write(&vec![0xaa; size]), Ok(size));
        drop(first);
        let second = file.allocate_near(pages * PAGE_SIZE, Some(offset)).expect("memory");
        assert_eq!(second.offset(), offset);
        let mut bytes = vec![1; size];
        assert_eq!(second.slice(0, size).read(&mut bytes), Ok(size));
        assert!(bytes.iter().all(|b| *b == 0));
    }
}

#[test]
fn parts_keep_their_pages_alive() {
    let file = file();
    let mut range = file.allocate(4 * PAGE_SIZE).expect("memory");
    assert!(range.is_sole());
    let part = range.part(PAGE_SIZE, PAGE_SIZE).expect("not empty");
    assert_eq!(range.sole_around(0), Some(0..PAGE_SIZE));
    assert_eq!(range.sole_around(PAGE_SIZE), None);
    assert_eq!(range.sole_around(2 * PAGE_SIZE), Some(2 * PAGE_SIZE..4 * PAGE_SIZE));
    part.slice(0, 1).write(b"x").expect("mapped");
    let rest = range.split_off(2 * PAGE_SIZE);
    drop(range);
    assert_eq!(file.reserved(), 3 * PAGE_SIZE);
    drop(rest);
    let mut byte = [0];
    part.slice(0, 1).read(&mut byte).expect("mapped");
    assert_eq!((byte[0], part.is_sole()), (b'x', true));
    drop(part);
    assert_eq!(file.reserved(), 0);
}

#[test]
fn neighbours_join_and_are_found_by_place() {
    let file = file();
    let mut low = file.allocate_near(PAGE_SIZE, None).expect("memory");
    let high = file.allocate_near(PAGE_SIZE, Some(low.end())).expect("memory");
    assert_eq!(high.offset(), low.end());
    assert!(low.append(high).is_ok());
    let far = file.allocate_near(PAGE_SIZE, Some(low.offset())).expect("memory");
    assert!(far.offset() > low.end(), "what is taken is not given twice");
    assert!(low.append(far).is_err());
    assert_eq!(file.reserved(), 2 * PAGE_SIZE);
}

#[test]
fn memory_of_freed_ranges_goes_back_to_the_host() {
    let file = file();
    let many: Vec<_> = (0..64).map(|_| file.allocate(64 * PAGE_SIZE).expect("memory")).collect();
    for range in &many {
        range.slice(0, 64 * 4096).write(&[1; 64 * 4096]).expect("mapped");
    }
    assert_eq!(file.resident().expect("fstat"), 64 * 64 * PAGE_SIZE);
    drop(many);
    assert_eq!(file.reserved(), 0);
    // As soon as nothing is freed for a while.
    while file.resident().expect("fstat") > KEEP_IDLE {
        std::thread::yield_now();
    }
    // What is long goes back at once, by another thread.
    let long = file.allocate(KEEP_EACH + PAGE_SIZE).expect("memory");
    let (at, before) = (long.offset(), file.resident().expect("fstat"));
    long.slice(0, 1).write(b"x").expect("mapped");
    drop(long);
    while file.resident_in(at, PAGE_SIZE) > 0 {
        std::thread::yield_now();
    }
    assert!(file.resident().expect("fstat") <= before);
}

#[test]
fn more_than_may_wait_is_given_back_by_who_frees_it() {
    let file = MemFile::new(16 << 20).expect("a memory file");
    let long = file.allocate_near(KEEP_EACH + PAGE_SIZE, None).expect("memory");
    long.slice(0, 1).write(b"x").expect("mapped");
    let at = long.offset();
    drop(long);
    assert_eq!(file.resident_in(at, PAGE_SIZE), 0);
}

#[test]
fn the_limit_and_bad_lengths_are_errors() {
    let file = file();
    assert_eq!(file.allocate(2 << 30).map(drop).map_err(|e| e.errno()), Err(Errno::ENOMEM));
    assert_eq!(file.allocate(100).map(drop).map_err(|e| e.errno()), Err(Errno::EINVAL));
    assert_eq!(file.allocate_near(1 << 60, None).map(drop).map_err(|e| e.errno()), Err(Errno::ENOMEM));
}

#[test]
fn what_is_there_is_told_by_page() {
    let file = file();
    let ranges = [64, 300].map(|pages| file.allocate_near(pages * PAGE_SIZE, None).expect("memory"));
    for range in &ranges {
        let pages = range.len() / PAGE_SIZE;
        for page in [0, 1, 7, 20, 21, 22, pages - 1] {
            range.slice(page * PAGE_SIZE + 5, 1).write(b"x").expect("mapped");
        }
        let mut parts = Vec::new();
        file.for_data(range.offset(), range.len(), &mut |at, len| {
            parts.push(((at - range.offset()) / PAGE_SIZE, len / PAGE_SIZE));
        });
        assert_eq!(parts, [(0, 2), (7, 1), (20, 3), (pages - 1, 1)]);
        assert_eq!(file.resident_in(range.offset(), range.len()), 7 * PAGE_SIZE);
    }
}

#[test]
fn an_empty_arena_is_used_again_and_untouched_memory_is_not_zeroed() {
    let file = file();
    let size = 64 * PAGE_SIZE;
    let first = file.allocate_near(size, None).expect("memory");
    let offset = first.offset();
    first.slice(0, 1).write(b"x").expect("mapped");
    drop(first);
    let second = file.allocate_near(size, None).expect("memory");
    assert_eq!(second.offset(), offset);
    let mut byte = [1];
    second.slice(0, 1).read(&mut byte).expect("mapped");
    assert_eq!(byte, [0]);
    let before = file.resident().expect("fstat");
    let other = file.allocate_near(size, None).expect("memory");
    assert_ne!(other.offset(), offset);
    other.drop_untouched();
    drop(file.allocate_near(size, None).expect("memory"));
    assert_eq!((file.resident().expect("fstat"), file.reserved()), (before, size));
}

#[test]
fn a_call_writes_what_the_mapping_shows_and_stays_in_the_range() {
    let file = file();
    let range = file.allocate(2 * PAGE_SIZE).expect("memory");
    let (bytes, from) = (vec![7u8; 3 * 4096], PAGE_SIZE - 5);
    assert_eq!(range.write_by_call(from, &host::mem::HostSlice::from_ref(&bytes)), Ok(4096 + 5));
    let mut seen = [0; 10];
    range.slice(from - 5, 10).read(&mut seen).expect("mapped");
    assert_eq!(seen, [0, 0, 0, 0, 0, 7, 7, 7, 7, 7]);
    assert_eq!(file.resident_in(range.end(), PAGE_SIZE), 0);
}
