//! Seccomp filters from lists of rules.
//!
//! seccompiler makes a program that compares the call's number with one rule after the other. A process whose every
//! operation is a few host calls pays for that, so here its programs of single calls are the leaves of a binary search:
//! about fifteen instructions for any of a hundred calls.

use std::collections::BTreeMap;
use std::io;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

use crate::seccomp::Instruction;

/// A call that is allowed.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Its number.
    pub call: libc::c_long,
    /// The ways in which it may be made, each a list of conditions that all hold; no way means any.
    pub ways: &'static [&'static [Arg]],
    /// What needs it.
    pub why: &'static str,
}

/// A condition on an argument.
#[derive(Clone, Copy, Debug)]
pub enum Arg {
    /// This argument is this number, compared as 32 bits.
    Is(u8, u32),
    /// Of this argument's bits in the mask, exactly these are set.
    Bits(u8, u64, u64),
}

/// What becomes of a call that no rule allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Otherwise {
    /// The process ends.
    Kill,
    /// SIGSYS, for [`crate::seccomp::report_violations`].
    Report,
}

/// Makes the program; several rules about a call add up. Calls in `absent` fail with ENOSYS, so that the C library uses older ones whose arguments can be
/// checked.
pub fn compile(rules: &[Rule], absent: &[libc::c_long], otherwise: Otherwise) -> io::Result<Vec<Instruction>> {
    let mut leaves = BTreeMap::new();
    for (call, ways) in merge(rules) {
        leaves.insert(call, leaf(call, &ways, SeccompAction::Allow, otherwise).map_err(io::Error::other)?);
    }
    for call in absent {
        let enosys = SeccompAction::Errno(libc::ENOSYS.cast_unsigned());
        leaves.insert(*call, leaf(*call, &[], enosys, otherwise).map_err(io::Error::other)?);
    }
    let leaves: Vec<_> = leaves.into_iter().collect();
    // Reading the instruction pointer ends the kernel's trial of the filter with every number when it is installed.
    let mut program = vec![instruction(LOAD, 0, 0, INSTRUCTION_POINTER), instruction(LOAD, 0, 0, NUMBER)];
    program.extend(tree(&leaves)?);
    Ok(program)
}

/// The ways of each call, of all rules about it. No way means any, whatever other rules say.
fn merge(rules: &[Rule]) -> BTreeMap<libc::c_long, Vec<&'static [Arg]>> {
    let mut calls: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for rule in rules {
        calls.entry(rule.call).or_default().push(rule.ways);
    }
    let any = |ways: &Vec<&[_]>| ways.iter().any(|ways| ways.is_empty());
    calls.into_iter().map(|(call, ways)| (call, if any(&ways) { Vec::new() } else { ways.concat() })).collect()
}

const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const JUMP: u16 = 0x05; // BPF_JMP | BPF_JA
const JUMP_IF_NOT_LESS: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
const NUMBER: u32 = 0; // seccomp_data.nr
const INSTRUCTION_POINTER: u32 = 8; // seccomp_data.instruction_pointer

const fn instruction(code: u16, jt: u8, jf: u8, k: u32) -> Instruction {
    Instruction { code, jt, jf, k }
}

/// The program of a single call. It checks the number again, and the architecture: what lies between two numbers of the
/// tree comes to the lower one's leaf.
fn leaf(
    call: libc::c_long,
    ways: &[&[Arg]],
    action: SeccompAction,
    otherwise: Otherwise,
) -> Result<BpfProgram, seccompiler::BackendError> {
    let otherwise = match otherwise {
        Otherwise::Kill => SeccompAction::KillProcess,
        Otherwise::Report => SeccompAction::Trap,
    };
    let rules = ways.iter().map(|way| rule(way)).collect::<Result<_, _>>()?;
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    SeccompFilter::new(BTreeMap::from([(call, rules)]), otherwise, action, arch)?.try_into()
}

fn rule(way: &[Arg]) -> Result<SeccompRule, seccompiler::BackendError> {
    let condition = |arg: &Arg| match *arg {
        Arg::Is(index, value) => {
            SeccompCondition::new(index, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, u64::from(value))
        }
        Arg::Bits(index, mask, value) => {
            SeccompCondition::new(index, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(mask), value)
        }
    };
    SeccompRule::new(way.iter().map(condition).collect::<Result<_, _>>()?)
}

/// `number >= middle ? right : left`, with the left side next, because a condition jumps no further than 255.
fn tree(leaves: &[(libc::c_long, BpfProgram)]) -> io::Result<Vec<Instruction>> {
    if let [(_, leaf)] = leaves {
        return Ok(leaf.clone());
    }
    let (left, right) = leaves.split_at(leaves.len() / 2);
    let Some((middle, _)) = right.first() else { return Err(io::Error::other("a filter without rules")) };
    let middle = u32::try_from(*middle).map_err(io::Error::other)?;
    let (left, right) = (tree(left)?, tree(right)?);
    let length = u32::try_from(left.len()).map_err(io::Error::other)?;
    let choice = [instruction(JUMP_IF_NOT_LESS, 0, 1, middle), instruction(JUMP, 0, 0, length)];
    Ok(choice.into_iter().chain(left).chain(right).collect())
}

/// Runs a program as the kernel would, for tests of filters.
///
/// Returns what it answers, SECCOMP_RET_*; `None` for a program that is not well formed.
#[must_use]
pub fn simulate(program: &[Instruction], architecture: u32, number: u32, args: [u64; 6]) -> Option<u32> {
    let halves = |word: u64| [(word & 0xffff_ffff) as u32, (word >> 32) as u32];
    let mut data = vec![number, architecture, 0, 0];
    data.extend(args.into_iter().flat_map(halves));
    let (mut at, mut accumulator) = (0_usize, 0);
    loop {
        let Instruction { code, jt, jf, k } = program.get(at)?;
        at += 1;
        let skip = |taken: bool| usize::from(if taken { *jt } else { *jf });
        match code {
            0x20 => accumulator = *data.get(*k as usize / 4)?,
            0x54 => accumulator &= k,
            0x15 => at += skip(accumulator == *k),
            0x25 => at += skip(accumulator > *k),
            0x35 => at += skip(accumulator >= *k),
            0x05 => at += *k as usize,
            0x06 => return Some(*k),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const X86_64: u32 = 0xc000_003e;
    const I386: u32 = 0x4000_0003;
    const ALLOW: u32 = 0x7fff_0000;
    const KILL: u32 = 0x8000_0000;
    const ENOSYS: u32 = 0x0005_0026;

    #[test]
    fn only_what_is_listed_passes() {
        let rules = [
            Rule { call: 0, ways: &[], why: "" },
            Rule { call: 9, ways: &[&[Arg::Bits(2, 4, 0)]], why: "" },
            Rule { call: 72, ways: &[&[Arg::Is(1, 3)], &[Arg::Is(1, 4), Arg::Is(2, 0)]], why: "" },
            Rule { call: 400, ways: &[], why: "" },
        ];
        let program = compile(&rules, &[435], Otherwise::Kill).unwrap();
        let run = |number, args: [u64; 6]| simulate(&program, X86_64, number, args).unwrap();
        for number in 0..500 {
            let expected = match number {
                0 | 400 => ALLOW,
                9 => KILL, // all bits are set
                435 => ENOSYS,
                _ => KILL,
            };
            assert_eq!(run(number, [u64::MAX; 6]), expected, "call {number}");
            assert_eq!(simulate(&program, I386, number, [0; 6]), Some(KILL));
            assert_eq!(run(number | 0x4000_0000, [0; 6]), KILL, "x32");
        }
        assert_eq!(run(9, [0, 0, 3, 0, 0, 0]), ALLOW);
        assert_eq!(run(72, [0, 3, 9, 0, 0, 0]), ALLOW);
        assert_eq!(run(72, [0, 4, 0, 0, 0, 0]), ALLOW);
        assert_eq!(run(72, [0, 4, 1, 0, 0, 0]), KILL);
    }
}
