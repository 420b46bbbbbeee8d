//! The image as loaders read it, and clocks that agree with the host's.

use super::super::tests::machine::{memfile, space};
use super::Vdso;
use abi::elf::{DT_HASH, DT_STRTAB, DT_SYMTAB, DT_VERSYM, Dyn64, Ehdr64, PT_DYNAMIC, Phdr64, Sym64};
use abi::{PAGE_SIZE, UserAddr};
use host::clock::Clock;
use zerocopy::FromBytes;

fn at<T: FromBytes>(image: &[u8], offset: u64) -> T {
    let start = usize::try_from(offset).expect("small");
    T::read_from_bytes(&image[start..start + size_of::<T>()]).expect("in the image")
}

/// Finds a function as a dynamic loader does.
fn look_up(image: &[u8], name: &str) -> Option<u64> {
    let head: Ehdr64 = at(image, 0);
    let segments = (0..u64::from(head.e_phnum)).map(|n| at::<Phdr64>(image, head.e_phoff + n * 56));
    let dynamic = segments.into_iter().find(|segment| segment.p_type == PT_DYNAMIC)?;
    let entry = |tag: i64| {
        let mut entries = (0..dynamic.p_filesz / 16).map(|n| at::<Dyn64>(image, dynamic.p_offset + n * 16));
        entries.find(|entry| entry.d_tag == tag).map(|entry| entry.d_val)
    };
    let (hash, strings, symbols) = (entry(DT_HASH)?, entry(DT_STRTAB)?, entry(DT_SYMTAB)?);
    assert_eq!(at::<u32>(image, hash), 1, "one bucket");
    let mut index = at::<u32>(image, hash + 8);
    while index != 0 {
        let symbol: Sym64 = at(image, symbols + u64::from(index) * 24);
        let start = usize::try_from(strings).expect("small") + symbol.st_name as usize;
        if image[start..].starts_with(name.as_bytes()) && image[start + name.len()] == 0 {
            assert_eq!(at::<u16>(image, entry(DT_VERSYM)? + u64::from(index) * 2), 2);
            return Some(symbol.st_value);
        }
        index = at(image, hash + 12 + u64::from(index) * 4);
    }
    None
}

#[test]
fn every_function_is_found_and_returns() {
    let memfile = memfile();
    let vdso = Vdso::new(&memfile, 2).expect("a vDSO");
    let mm = space(&memfile);
    let base = vdso.map(&mm, UserAddr(0x7000_0000)).expect("maps");
    assert_eq!(base, UserAddr(0x7000_1000));
    let mut image = vec![0; usize::try_from(vdso.image_len).expect("small")];
    mm.read_bytes(base, &mut image).expect("readable");
    for (name, _) in host::vdso::functions() {
        let value = usize::try_from(look_up(&image, name).expect("is there")).expect("small");
        assert!(value >= host::vdso::TEXT_OFFSET && value < image.len());
    }
    assert_eq!(look_up(&image, "__vdso_nothing"), None);
    assert!(mm.write_bytes(base, &[0]).is_err());
    assert!(mm.protect(UserAddr(base.0 - PAGE_SIZE), PAGE_SIZE, platform::Prot::READ_WRITE, false).is_err());
}

#[test]
fn parameters_give_the_time_of_the_host() {
    if !host::tsc::is_invariant() {
        return;
    }
    let memfile = memfile();
    let vdso = Vdso::new(&memfile, 2).expect("a vDSO");
    let deadline = Clock::MONOTONIC.now().expect("a clock") + 3_000_000_000;
    let mut page = vec![0; 512];
    loop {
        vdso.refresh();
        vdso.memory.range().slice(0, 512).read(&mut page).expect("mapped");
        if at::<u32>(&page, 4) == 1 {
            break;
        }
        assert!(Clock::MONOTONIC.now().expect("a clock") < deadline, "the clocks are never told");
        std::thread::yield_now();
    }
    assert_eq!(at::<u32>(&page, 0) % 2, 0);
    for (id, clock) in [(0, Clock::REALTIME), (1, Clock::MONOTONIC), (4, Clock::MONOTONIC_RAW)] {
        let slot = |n: u64| at::<u64>(&page, 32 + id * 32 + n * 8);
        let sample = host::tsc::sample(clock, 10).expect("a clock");
        let ticks = u128::from(sample.tsc - at::<u64>(&page, 8));
        let shown = u128::from(slot(0)) * 1_000_000_000 + u128::from(slot(1)) + ((ticks * u128::from(slot(2))) >> 32);
        let error = (i128::try_from(shown).expect("fits") - i128::from(sample.ns)).abs();
        // A test machine may be interrupted in the middle of a sample; a wrong formula is wrong by far more.
        assert!(error < 2_000_000, "clock {id} is off by {error} ns");
    }
}
