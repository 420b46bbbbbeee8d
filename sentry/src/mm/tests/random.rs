//! Random operations on a family of address spaces, compared with a model that is an array of pages.

use std::sync::Arc;

use abi::mman::{MADV_DONTNEED, MremapFlags};
use abi::{PAGE_SIZE, UserAddr};
use platform::Prot;
use proptest::prelude::*;

use super::machine::{load, memfile, space, store};
use super::{BASE, page};
use crate::mm::{MapRequest, MemoryManager};

const PAGES: usize = 40;

/// Protection (0 none, 1 read, 2 read and write) and the value of a page's bytes.
type Model = [Option<(u8, u8)>; PAGES];

#[derive(Clone, Debug)]
enum Op {
    Map(usize, usize, u8),
    Unmap(usize, usize),
    Protect(usize, usize, u8),
    Move(usize, usize, usize),
    Forget(usize, usize),
    Store(usize, u8, bool),
    Write(usize, usize, u8),
    Fork,
    Exit,
}

fn ops() -> impl Strategy<Value = Vec<(usize, Op)>> {
    let at = 0..PAGES;
    let len = 1..12usize;
    let op = prop_oneof![
        3 => (at.clone(), len.clone(), 0..3u8).prop_map(|(a, l, p)| Op::Map(a, l, p)),
        2 => (at.clone(), len.clone()).prop_map(|(a, l)| Op::Unmap(a, l)),
        3 => (at.clone(), len.clone(), 0..3u8).prop_map(|(a, l, p)| Op::Protect(a, l, p)),
        2 => (at.clone(), at.clone(), len.clone()).prop_map(|(a, b, l)| Op::Move(a, b, l)),
        1 => (at.clone(), len.clone()).prop_map(|(a, l)| Op::Forget(a, l)),
        6 => (at.clone(), 1..=255u8, any::<bool>()).prop_map(|(a, v, k)| Op::Store(a, v, k)),
        2 => (at, len, 1..=255u8).prop_map(|(a, l, v)| Op::Write(a, l, v)),
        1 => Just(Op::Fork),
        1 => Just(Op::Exit),
    ];
    proptest::collection::vec((0..4usize, op), 1..60)
}

fn prot(bits: u8) -> Prot {
    [Prot::NONE, Prot::READ, Prot::READ_WRITE][usize::from(bits)]
}

fn bytes(pages: usize) -> u64 {
    pages as u64 * PAGE_SIZE
}

fn at(n: usize) -> UserAddr {
    page(n as u64)
}

fn apply(mm: &MemoryManager, model: &mut Model, op: &Op) {
    let clip = |from: usize, len: usize| from..(from + len).min(PAGES);
    match *op {
        Op::Map(a, l, p) => {
            let range = clip(a, l);
            let request = MapRequest::anonymous(bytes(range.len()), prot(p)).fixed_at(at(a));
            mm.map(request).expect("a fixed mapping");
            model[range].fill(Some((p, 0)));
        }
        Op::Unmap(a, l) => {
            let range = clip(a, l);
            mm.unmap(at(a), bytes(range.len())).expect("munmap of anything");
            model[range].fill(None);
        }
        Op::Protect(a, l, p) => {
            let range = clip(a, l);
            let hole = model[range.clone()].iter().position(Option::is_none);
            let result = mm.protect(at(a), bytes(range.len()), prot(p), false);
            assert_eq!(result.is_err(), hole.is_some());
            let end = hole.map_or(range.end, |hole| range.start + hole);
            model[range.start..end].iter_mut().flatten().for_each(|page| page.0 = p);
        }
        Op::Move(from, to, l) => {
            let (from, to) = (clip(from, l), clip(to, l));
            let len = from.len().min(to.len());
            let (from, to) = (from.start..from.start + len, to.start..to.start + len);
            let flags = MremapFlags::MREMAP_MAYMOVE | MremapFlags::MREMAP_FIXED;
            let result = mm.remap(at(from.start), bytes(len), bytes(len), flags, at(to.start), false);
            let apart = from.end <= to.start || to.end <= from.start;
            let first = model[from.start];
            let one_area = first.is_some() && model[from.clone()].iter().all(|p| p.map(|p| p.0) == first.map(|p| p.0));
            assert_eq!(result.is_ok(), apart && one_area, "{result:?}");
            if result.is_ok() {
                let pages = model[from.clone()].to_vec();
                model[from].fill(None);
                model[to].copy_from_slice(&pages);
            }
        }
        Op::Forget(a, l) => {
            let range = clip(a, l);
            let result = mm.advise(at(a), bytes(range.len()), MADV_DONTNEED);
            assert_eq!(result.is_err(), model[range.clone()].iter().any(Option::is_none));
            model[range].iter_mut().flatten().for_each(|page| page.1 = 0);
        }
        Op::Store(a, v, known) => {
            let allowed = matches!(model[a], Some((2, _)));
            assert_eq!(store(mm, at(a), v, known).is_ok(), allowed);
            if let Some((2, value)) = &mut model[a] {
                *value = v;
            }
        }
        Op::Write(a, l, v) => {
            let range = clip(a, l);
            let end = range.clone().find(|n| !matches!(model[*n], Some((2, _)))).unwrap_or(range.end);
            // One byte at the start of each page, by the kernel.
            for n in range.clone() {
                assert_eq!(mm.write_bytes(at(n), &[v]).is_ok(), matches!(model[n], Some((2, _))));
            }
            let _ = end;
            model[range].iter_mut().flatten().filter(|page| page.0 == 2).for_each(|page| page.1 = v);
        }
        Op::Fork | Op::Exit => {}
    }
}

fn check(mm: &MemoryManager, model: &Model) {
    for (n, page) in model.iter().enumerate() {
        let seen = load(mm, at(n), n % 2 == 0).ok();
        let expected = page.and_then(|(p, value)| (p > 0).then_some(value));
        assert_eq!(seen, expected, "page {n} by the program");
        let mut byte = [0];
        let seen = mm.read_bytes(at(n), &mut byte).ok().map(|()| byte[0]);
        assert_eq!(seen, expected, "page {n} by the kernel");
    }
    let mut shown = [None; PAGES];
    for line in mm.maps(&|_| unreachable!("no files")).lines() {
        let number = |text: &str| u64::from_str_radix(text, 16).expect("hex");
        let (start, rest) = line.split_once('-').expect("a range");
        let (end, rest) = rest.split_once(' ').expect("a range");
        let bits = match &rest[..4] {
            "---p" => 0,
            "r--p" => 1,
            "rw-p" => 2,
            other => panic!("{other}"),
        };
        let index = |text: &str| usize::try_from((number(text) - BASE.0) / PAGE_SIZE).expect("small");
        shown[index(start)..index(end)].fill(Some(bits));
    }
    assert_eq!(shown, model.map(|page| page.map(|(p, _)| p)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn a_family_of_spaces_behaves_like_arrays(ops in ops()) {
        let memfile = memfile();
        let mut family: Vec<(Arc<MemoryManager>, Model)> = vec![(space(&memfile), [None; PAGES])];
        for (who, op) in &ops {
            let who = who % family.len();
            match op {
                Op::Fork if family.len() < 4 => {
                    let (mm, model) = &family[who];
                    let child = (mm.fork().expect("forks"), *model);
                    family.push(child);
                }
                Op::Exit if family.len() > 1 => drop(family.remove(who)),
                op => {
                    let (mm, model) = &mut family[who];
                    apply(mm, model, op);
                }
            }
            for (mm, model) in &family {
                check(mm, model);
            }
        }
        drop(family);
        prop_assert_eq!(memfile.reserved(), 0);
    }
}
