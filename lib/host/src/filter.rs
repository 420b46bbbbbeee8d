//! Seccomp filters from lists of rules.
//!
//! seccompiler makes a program that compares the call's number with one rule after the other. A process whose every
//! operation is a few host calls pays for that, so here its programs of single calls are the leaves of a binary search:
//! about fifteen instructions for any of a hundred calls.

use std::collections::{BTreeMap, BTreeSet};
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
    /// This argument is the descriptor that [`Filter::descriptor`] names, which is not known before the process runs.
    Descriptor(u8),
}

/// Makes a list of [`Rule`]s: call, reason, and the ways in which it may be made.
#[macro_export]
macro_rules! filter_rules {
    ($($call:ident $why:literal $([$($way:expr),+])*;)*) => {
        &[$($crate::filter::Rule { call: ::libc::$call, ways: &[$(&[$($way),+]),*], why: $why }),*]
    };
}
pub use filter_rules as rules;

/// What becomes of a call that no rule allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Otherwise {
    /// The process ends.
    Kill,
    /// SIGSYS, for [`crate::seccomp::report_violations`].
    Report,
}

/// What a filter is made of. A call that has several rules may be made in all of their ways.
#[derive(Clone, Copy, Debug)]
pub struct Filter<'a> {
    /// What is allowed.
    pub rules: &'a [&'a [Rule]],
    /// Calls that fail with ENOSYS, so that the C library uses older ones whose arguments can be checked.
    pub absent: &'a [Absent],
    /// What [`Arg::Descriptor`] stands for.
    pub descriptor: Option<u32>,
}

/// A call that does not exist for the process.
#[derive(Clone, Copy, Debug)]
pub struct Absent {
    /// Its number.
    pub call: libc::c_long,
    /// Only if this argument is this number, compared as 32 bits.
    pub only: Option<(u8, u32)>,
    /// Why the process must be able to try it.
    pub why: &'static str,
}

impl Filter<'_> {
    /// Makes the program.
    pub fn compile(&self, otherwise: Otherwise) -> io::Result<Vec<Instruction>> {
        let mut calls = BTreeMap::<_, Option<Vec<SeccompRule>>>::new();
        for rule in self.rules.iter().copied().flatten() {
            let ways = calls.entry(rule.call).or_insert_with(|| Some(Vec::new()));
            for way in rule.ways {
                if let Some(ways) = ways {
                    ways.push(self.way(way).map_err(io::Error::other)?);
                }
            }
            if rule.ways.is_empty() {
                *ways = None; // any way
            }
        }
        let mut leaves = BTreeMap::new();
        for (call, ways) in calls {
            leaves.insert(call, leaf(call, ways.unwrap_or_default(), SeccompAction::Allow, otherwise)?);
        }
        let enosys = SeccompAction::Errno(libc::ENOSYS.cast_unsigned());
        for Absent { call, only, .. } in self.absent {
            let program = match (only, leaves.remove(call)) {
                (Some(only), allowed) => {
                    let rest = allowed.unwrap_or_else(|| vec![instruction(RETURN, 0, 0, otherwise.action().into())]);
                    absent_leaf(*call, *only, enosys.clone(), rest)?
                }
                (None, _) => leaf(*call, Vec::new(), enosys.clone(), otherwise)?,
            };
            leaves.insert(*call, program);
        }
        let leaves: Vec<_> = leaves.into_iter().collect();
        // Reading the instruction pointer ends the kernel's trial of the filter with every number when it is installed.
        let mut program = vec![instruction(LOAD, 0, 0, INSTRUCTION_POINTER), instruction(LOAD, 0, 0, NUMBER)];
        program.extend(tree(&leaves)?);
        Ok(program)
    }

    fn way(&self, way: &[Arg]) -> Result<SeccompRule, seccompiler::BackendError> {
        let is = |index, value| SeccompCondition::new(index, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value);
        let condition = |arg: &Arg| match *arg {
            Arg::Is(index, value) => is(index, value.into()),
            Arg::Bits(index, mask, value) => {
                SeccompCondition::new(index, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(mask), value)
            }
            // Without one: the number that no descriptor has.
            Arg::Descriptor(index) => is(index, self.descriptor.unwrap_or(u32::MAX).into()),
        };
        SeccompRule::new(way.iter().map(condition).collect::<Result<_, _>>()?)
    }
}

impl Otherwise {
    const fn action(self) -> SeccompAction {
        match self {
            Self::Kill => SeccompAction::KillProcess,
            Self::Report => SeccompAction::Trap,
        }
    }
}

const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const JUMP: u16 = 0x05; // BPF_JMP | BPF_JA
const JUMP_IF_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K
const JUMP_IF_NOT_LESS: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
const NUMBER: u32 = 0; // seccomp_data.nr
const INSTRUCTION_POINTER: u32 = 8; // seccomp_data.instruction_pointer
const FIRST_ARGUMENT: u32 = 16; // seccomp_data.args[0], its low half

const fn instruction(code: u16, jt: u8, jf: u8, k: u32) -> Instruction {
    Instruction { code, jt, jf, k }
}

/// The program of a single call: `action` if it is made in one of the ways (or there is none). It checks the number again,
/// and the architecture: what lies between two numbers of the tree comes to the lower one's leaf.
fn leaf(
    call: libc::c_long,
    ways: Vec<SeccompRule>,
    action: SeccompAction,
    otherwise: Otherwise,
) -> io::Result<BpfProgram> {
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(io::Error::other)?;
    let filter = SeccompFilter::new(BTreeMap::from([(call, ways)]), otherwise.action(), action, arch);
    filter.and_then(BpfProgram::try_from).map_err(io::Error::other)
}

/// `rest`, but `action` where the call's argument is that number. The architecture does not matter to a failure.
fn absent_leaf(
    call: libc::c_long,
    (index, value): (u8, u32),
    action: SeccompAction,
    rest: BpfProgram,
) -> io::Result<BpfProgram> {
    let call = u32::try_from(call).map_err(io::Error::other)?;
    let mut program = vec![
        instruction(LOAD, 0, 0, NUMBER),
        instruction(JUMP_IF_EQUAL, 0, 3, call),
        instruction(LOAD, 0, 0, FIRST_ARGUMENT + 8 * u32::from(index)),
        instruction(JUMP_IF_EQUAL, 0, 1, value),
        instruction(RETURN, 0, 0, action.into()),
    ];
    program.extend(rest);
    Ok(program)
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

/// Every answer that a program may give to a call of that number, whatever its arguments and wherever it is made.
/// For judging filters of running processes; sorted, each once. `None` for a program that is not well formed.
#[must_use]
pub fn answers(program: &[Instruction], architecture: u32, number: u32) -> Option<Vec<u32>> {
    let mut found = BTreeSet::new();
    // Where to go on, with the accumulator if it is known. Programs only jump forward, so there are at most two states
    // for each known value, and few values.
    let mut waiting = vec![(0_usize, Some(0_u32))];
    let mut seen = BTreeSet::new();
    while let Some((at, accumulator)) = waiting.pop() {
        if !seen.insert((at, accumulator)) {
            continue;
        }
        let Instruction { code, jt, jf, k } = program.get(at)?;
        let next = at + 1;
        let mut branch = |taken: Option<bool>| match taken {
            Some(taken) => waiting.push((next + usize::from(if taken { *jt } else { *jf }), accumulator)),
            None => waiting.extend([*jt, *jf].map(|jump| (next + usize::from(jump), accumulator))),
        };
        match code {
            0x20 => {
                let value = match *k {
                    NUMBER => Some(number),
                    4 => Some(architecture),
                    _ => None,
                };
                waiting.push((next, value));
            }
            0x54 => waiting.push((next, accumulator.map(|value| value & k))),
            0x15 => branch(accumulator.map(|value| value == *k)),
            0x25 => branch(accumulator.map(|value| value > *k)),
            0x35 => branch(accumulator.map(|value| value >= *k)),
            0x45 => branch(accumulator.map(|value| value & *k != 0)),
            0x05 => waiting.push((next + *k as usize, accumulator)),
            0x06 => drop(found.insert(*k)),
            _ => return None,
        }
    }
    Some(found.into_iter().collect())
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
        let absent =
            [Absent { call: 435, only: None, why: "" }, Absent { call: 257, only: Some((0, 0xffff_ff9c)), why: "" }];
        let more = [Rule { call: 257, ways: &[&[Arg::Descriptor(0)]], why: "" }];
        let filter = Filter { rules: &[&rules, &more], absent: &absent, descriptor: Some(77) };
        let program = filter.compile(Otherwise::Kill).unwrap();
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
        assert_eq!(answers(&program, X86_64, 0), Some(vec![ALLOW]));
        assert_eq!(answers(&program, X86_64, 1), Some(vec![KILL]));
        assert_eq!(answers(&program, X86_64, 72), Some(vec![ALLOW, KILL]));
        assert_eq!(run(257, [77, 1, 0, 0, 0, 0]), ALLOW);
        assert_eq!(run(257, [78, 1, 0, 0, 0, 0]), KILL);
        assert_eq!(run(257, [0xffff_ff9c, 1, 0, 0, 0, 0]), ENOSYS);
    }
}
