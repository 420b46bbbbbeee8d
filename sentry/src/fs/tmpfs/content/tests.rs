//! Tests of file contents against a model.

use std::sync::Arc;

use abi::PAGE_SIZE;
use host::mem::HostSlice;
use proptest::prelude::*;

use super::{Budget, Content};
use crate::io::{IoDst, IoSrc};
use crate::mm::Mappable;
use crate::vfs::testing::{World, memfile};

#[derive(Clone, Debug)]
enum Op {
    Write(u64, usize),
    Append(usize),
    Truncate(u64),
    Punch(u64, u64),
    Allocate(u64, u64, bool),
    Fault(u64, u64),
    CopyAll,
}

const LONGEST: u64 = 40 * PAGE_SIZE;

fn op() -> impl Strategy<Value = Op> {
    let at = || prop_oneof![0..LONGEST, (0..40u64).prop_map(|p| p * PAGE_SIZE)];
    prop_oneof![
        4 => (at(), 1..20_000usize).prop_map(|(at, len)| Op::Write(at, len)),
        2 => (1..10_000usize).prop_map(Op::Append),
        2 => at().prop_map(Op::Truncate),
        2 => (at(), 1..LONGEST).prop_map(|(at, len)| Op::Punch(at, len)),
        1 => (at(), 1..LONGEST, any::<bool>()).prop_map(|(at, len, keep)| Op::Allocate(at, len, keep)),
        1 => (0..40u64, 1..10u64).prop_map(|(page, pages)| Op::Fault(page, pages)),
        1 => Just(Op::CopyAll),
    ]
}

fn check(content: &Content, model: &[u8]) {
    assert_eq!(content.size(), model.len() as u64);
    let mut seen = vec![1; model.len() + 10];
    let n = content.read(0, &mut IoDst::kernel(&mut seen)).unwrap();
    assert_eq!(n, model.len());
    assert!(seen[..n] == *model, "bytes differ");
    // Holes hold zeroes, and the two kinds of extents take turns up to the end.
    let mut at = 0;
    while at < model.len() as u64 {
        let data = content.seek_hole(at, false).unwrap_or(model.len() as u64);
        assert!(model[at as usize..data as usize].iter().all(|b| *b == 0));
        if data >= model.len() as u64 {
            break;
        }
        at = content.seek_hole(data, true).unwrap();
        assert!(at > data);
    }
}

fn apply(content: &Content, model: &mut Vec<u8>, op: &Op, fill: u8) {
    let put = |model: &mut Vec<u8>, at: usize, len: usize| {
        if model.len() < at + len {
            model.resize(at + len, 0);
        }
        model[at..at + len].fill(fill);
    };
    match *op {
        Op::Write(at, len) => {
            let mut pos = at;
            let n = content.write(&mut pos, false, &mut IoSrc::kernel(&vec![fill; len]), |_, _| Ok(())).unwrap();
            assert_eq!(n, len);
            put(model, at as usize, len);
        }
        Op::Append(len) => {
            let mut pos = 0;
            content.write(&mut pos, true, &mut IoSrc::kernel(&vec![fill; len]), |_, _| Ok(())).unwrap();
            assert_eq!(pos, model.len() as u64);
            put(model, model.len(), len);
        }
        Op::Truncate(size) => {
            content.truncate(size, |_| Ok(())).unwrap();
            model.resize(size as usize, 0);
        }
        Op::Punch(at, len) => {
            content.allocate(3, at, len, |_, _| Ok(())).unwrap();
            let end = (at + len).min(model.len() as u64);
            if at < end {
                model[at as usize..end as usize].fill(0);
            }
        }
        Op::Allocate(at, len, keep) => {
            content.allocate(u32::from(keep), at, len, |_, _| Ok(())).unwrap();
            if !keep && model.len() < (at + len) as usize {
                model.resize((at + len) as usize, 0);
            }
        }
        Op::Fault(page, pages) => {
            let there = content.translate(page * PAGE_SIZE, pages * PAGE_SIZE, true);
            assert_eq!(there.is_ok(), page * PAGE_SIZE < model.len() as u64);
        }
        Op::CopyAll => content.copy_all().unwrap(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn contents_agree_with_a_vector(ops in prop::collection::vec(op(), 1..40)) {
        let budget = Budget::new(u64::MAX);
        let content = Content::new(memfile(), Arc::clone(&budget));
        let mut model = Vec::new();
        for (op, fill) in ops.iter().zip(1..) {
            apply(&content, &mut model, op, fill);
            check(&content, &model);
        }
        drop(content);
        prop_assert_eq!(budget.used(), 0);
    }

    #[test]
    fn contents_over_a_base_agree_with_a_vector(len in 0..100_000usize, ops in prop::collection::vec(op(), 1..30)) {
        let world = World::empty();
        let mut model: Vec<u8> = (0..len).map(|i| (i / 7) as u8 | 1).collect();
        world.mkfile("/base", &model).unwrap();
        let base = world.find("/base").unwrap();
        let budget = Budget::new(u64::MAX);
        let content = Content::over(memfile(), Arc::clone(&budget), Arc::clone(base.inode()), len as u64);
        check(&content, &model);
        for (op, fill) in ops.iter().zip(1..) {
            apply(&content, &mut model, op, fill);
            check(&content, &model);
        }
        drop(content);
        prop_assert_eq!(budget.used(), 0);
    }
}

#[test]
fn blocks_are_pages_that_were_written() {
    let content = Content::new(memfile(), Budget::new(u64::MAX));
    let write = |mut at: u64, len: usize| {
        content.write(&mut at, false, &mut IoSrc::kernel(&vec![7; len]), |_, _| Ok(())).unwrap();
    };
    write(0, 1);
    write(1 << 30, 4097);
    assert_eq!(content.blocks(), 3 * 8);
    content.allocate(3, 0, 4096, |_, _| Ok(())).unwrap();
    assert_eq!(content.blocks(), 2 * 8);
    content.truncate(10, |_| Ok(())).unwrap();
    assert_eq!(content.blocks(), 0);
}

#[test]
fn a_full_budget_is_no_space() {
    let content = Content::new(memfile(), Budget::new(2));
    let mut pos = 0;
    let result = content.write(&mut pos, false, &mut IoSrc::kernel(&[1; 3 * 4096]), |_, _| Ok(()));
    assert_eq!(result.unwrap_err().errno(), abi::Errno::ENOSPC);
    let mut bytes = [0; 8];
    assert_eq!(content.read_into(0, &HostSlice::from_mut(&mut bytes)).unwrap(), 0);
}
