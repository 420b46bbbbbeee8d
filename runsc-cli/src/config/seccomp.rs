//! `linux.seccomp`: the profile of a container as a program for the kernel inside.
//!
//! What libseccomp would make of it: a call is looked for by its number, conditions of the same call are tried in their order,
//! and what the profile does not name gets its default action. Numbers that follow each other and get the same answer are one
//! leaf of a binary search, so that the usual profile of some 400 names is a dozen steps for any call.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use control::spec::SeccompProfile;
use oci_spec::runtime::{
    LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompFilterFlag, LinuxSeccompOperator,
};

/// `struct sock_filter` by its fields.
type Instruction = (u16, u8, u8, u32);

const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const AND: u16 = 0x54; // BPF_ALU | BPF_AND | BPF_K
const JUMP: u16 = 0x05; // BPF_JMP | BPF_JA
const IF_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const IF_GREATER: u16 = 0x25; // BPF_JMP | BPF_JGT | BPF_K
const IF_NOT_LESS: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K

// struct seccomp_data.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;
const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;

const RET_ERRNO: u32 = 0x0005_0000;
const RET_TRACE: u32 = 0x7ff0_0000;
const EPERM: u32 = 1;
const ENOSYS: u32 = 38;
/// BPF_MAXINSNS.
const MOST: usize = 4096;

/// What a call gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Leaf {
    /// Conditions that all hold, and the answer if they do.
    rules: Vec<(Vec<LinuxSeccompArg>, u32)>,
    /// The answer otherwise.
    otherwise: u32,
}

/// Compiles a profile. `number` finds a call by its name.
pub(crate) fn compile(profile: &LinuxSeccomp, number: impl Fn(&str) -> Option<u32>) -> Result<SeccompProfile> {
    let flags = profile.flags().as_deref().unwrap_or_default();
    let default = answer(profile.default_action(), profile.default_errno_ret())?;
    let leaves = leaves(profile, default, number)?;
    let mut code = vec![(LOAD, 0, 0, ARCHITECTURE), (IF_EQUAL, 1, 0, AUDIT_ARCH_X86_64), (RETURN, 0, 0, default)];
    code.push((LOAD, 0, 0, NUMBER));
    tree(&leaves, &mut code)?;
    if code.len() > MOST {
        bail!("seccomp profile is too long: {} instructions", code.len());
    }
    let log = flags.iter().any(|flag| matches!(flag, LinuxSeccompFilterFlag::SeccompFilterFlagLog));
    Ok(SeccompProfile { log, code })
}

/// The answer of an action, SECCOMP_RET_*.
fn answer(action: LinuxSeccompAction, errno: Option<u32>) -> Result<u32> {
    let errno = errno.unwrap_or(EPERM) & 0xffff;
    Ok(match action {
        LinuxSeccompAction::ScmpActKill | LinuxSeccompAction::ScmpActKillThread => 0,
        LinuxSeccompAction::ScmpActKillProcess => 0x8000_0000,
        LinuxSeccompAction::ScmpActTrap => 0x0003_0000,
        LinuxSeccompAction::ScmpActErrno => RET_ERRNO | errno,
        LinuxSeccompAction::ScmpActTrace => RET_TRACE | errno,
        LinuxSeccompAction::ScmpActLog => 0x7ffc_0000,
        LinuxSeccompAction::ScmpActAllow => 0x7fff_0000,
        LinuxSeccompAction::ScmpActNotify => bail!("seccomp action SCMP_ACT_NOTIFY is not supported"),
    })
}

/// The first number of each run of calls with the same leaf, from 0.
fn leaves(profile: &LinuxSeccomp, default: u32, number: impl Fn(&str) -> Option<u32>) -> Result<Vec<(u32, Leaf)>> {
    let mut calls: BTreeMap<u32, Leaf> = BTreeMap::new();
    for rule in profile.syscalls().iter().flatten() {
        let action = answer(rule.action(), rule.errno_ret())?;
        // A name that only another architecture has, or a newer kernel, is nothing that could be called here.
        for call in rule.names().iter().filter_map(|name| number(name)) {
            let leaf = calls.entry(call).or_insert_with(|| Leaf { rules: Vec::new(), otherwise: default });
            if action == default {
                continue;
            }
            let arguments = rule.args().as_deref().unwrap_or_default();
            check(arguments)?;
            match arguments {
                [] => leaf.otherwise = action,
                _ if has_repeated(arguments) => {
                    // Conditions on the same argument are alternatives.
                    leaf.rules.extend(arguments.iter().map(|argument| (vec![*argument], action)));
                }
                _ => leaf.rules.push((arguments.to_vec(), action)),
            }
        }
    }
    let plain = |otherwise| Leaf { rules: Vec::new(), otherwise };
    let newest = calls.last_key_value().map(|(call, _)| *call);
    let mut runs: Vec<(u32, Leaf)> = Vec::new();
    let mut add = |from: u32, leaf: Leaf| {
        if runs.last().is_none_or(|(_, last)| *last != leaf) {
            runs.push((from, leaf));
        }
    };
    let mut next = 0;
    for (call, leaf) in calls {
        if call > next {
            add(next, plain(default));
        }
        next = call.saturating_add(1);
        add(call, leaf);
    }
    // A profile that is older than a call cannot have meant to forbid it: programs that try new calls expect ENOSYS.
    let unknown = if default == RET_ERRNO | EPERM && newest.is_some() { RET_ERRNO | ENOSYS } else { default };
    add(next, plain(unknown));
    Ok(runs)
}

fn check(arguments: &[LinuxSeccompArg]) -> Result<()> {
    match arguments.iter().find(|argument| argument.index() > 5) {
        Some(argument) => bail!("seccomp: no argument {} of a call", argument.index()),
        None => Ok(()),
    }
}

fn has_repeated(arguments: &[LinuxSeccompArg]) -> bool {
    arguments.iter().enumerate().any(|(at, a)| arguments.iter().take(at).any(|b| a.index() == b.index()))
}

/// `number >= middle ? right : left`, with the left side next, because a condition jumps no further than 255.
fn tree(leaves: &[(u32, Leaf)], code: &mut Vec<Instruction>) -> Result<()> {
    match leaves {
        [] => bail!("seccomp: empty profile"),
        [(_, leaf)] => {
            for (conditions, action) in &leaf.rules {
                conditional(conditions, *action, code)?;
            }
            code.push((RETURN, 0, 0, leaf.otherwise));
            Ok(())
        }
        _ => {
            let (left, right) = leaves.split_at(leaves.len() / 2);
            let middle = right.first().map_or(0, |(from, _)| *from);
            code.push((IF_NOT_LESS, 0, 1, middle));
            let jump = code.len();
            code.push((JUMP, 0, 0, 0));
            tree(left, code)?;
            let length = u32::try_from(code.len() - jump - 1)?;
            if let Some(place) = code.get_mut(jump) {
                place.3 = length;
            }
            tree(right, code)
        }
    }
}

/// A step of a comparison of 64 bits by halves: where it goes when it holds and when it does not.
#[derive(Clone, Copy)]
enum Goal {
    /// The next instruction.
    Next,
    /// The end of this condition, which holds.
    Holds,
    /// The end of the whole rule, which does not apply.
    Fails,
}

/// Returns `action` if all conditions hold, else falls through to what follows.
fn conditional(conditions: &[LinuxSeccompArg], action: u32, code: &mut Vec<Instruction>) -> Result<()> {
    let parts: Vec<_> = conditions.iter().map(condition).collect();
    let mut after: usize = parts.iter().map(Vec::len).sum::<usize>() + 1;
    for part in &parts {
        let mut rest = part.len();
        for (instruction, goals) in part {
            rest -= 1;
            after -= 1;
            let (code_of, _, _, k) = *instruction;
            let jump = |goal: Goal| {
                let distance = match goal {
                    Goal::Next => 0,
                    Goal::Holds => rest,
                    Goal::Fails => after,
                };
                u8::try_from(distance).context("seccomp: a rule has too many conditions")
            };
            code.push(match goals {
                Some((yes, no)) => (code_of, jump(*yes)?, jump(*no)?, k),
                None => (code_of, 0, 0, k),
            });
        }
    }
    code.push((RETURN, 0, 0, action));
    Ok(())
}

type Step = (Instruction, Option<(Goal, Goal)>);

fn condition(argument: &LinuxSeccompArg) -> Vec<Step> {
    use Goal::{Fails, Holds, Next};
    let low_at = ARGUMENTS + 8 * u32::try_from(argument.index()).unwrap_or_default();
    let halves = |value: u64| {
        let half = |shift: u32| u32::try_from((value >> shift) & u64::from(u32::MAX)).unwrap_or_default();
        (half(32), half(0))
    };
    let (high, low) = halves(argument.value());
    let load = |at: u32| ((LOAD, 0, 0, at), None);
    let mask = |bits: u32| ((AND, 0, 0, bits), None);
    let test = |op: u16, k: u32, yes: Goal, no: Goal| ((op, 0, 0, k), Some((yes, no)));
    let (load_high, load_low) = (load(low_at + 4), load(low_at));
    match argument.op() {
        LinuxSeccompOperator::ScmpCmpEq => {
            vec![load_high, test(IF_EQUAL, high, Next, Fails), load_low, test(IF_EQUAL, low, Next, Fails)]
        }
        LinuxSeccompOperator::ScmpCmpNe => {
            vec![load_high, test(IF_EQUAL, high, Next, Holds), load_low, test(IF_EQUAL, low, Fails, Next)]
        }
        LinuxSeccompOperator::ScmpCmpGt | LinuxSeccompOperator::ScmpCmpGe => {
            let last = if argument.op() == LinuxSeccompOperator::ScmpCmpGt { IF_GREATER } else { IF_NOT_LESS };
            vec![
                load_high,
                test(IF_GREATER, high, Holds, Next),
                test(IF_EQUAL, high, Next, Fails),
                load_low,
                test(last, low, Next, Fails),
            ]
        }
        LinuxSeccompOperator::ScmpCmpLt | LinuxSeccompOperator::ScmpCmpLe => {
            let last = if argument.op() == LinuxSeccompOperator::ScmpCmpLt { IF_NOT_LESS } else { IF_GREATER };
            vec![
                load_high,
                test(IF_GREATER, high, Fails, Next),
                test(IF_EQUAL, high, Next, Holds),
                load_low,
                test(last, low, Fails, Next),
            ]
        }
        LinuxSeccompOperator::ScmpCmpMaskedEq => {
            // The first value is the mask, the second what is left.
            let (wanted_high, wanted_low) = halves(argument.value_two().unwrap_or_default());
            vec![
                load_high,
                mask(high),
                test(IF_EQUAL, wanted_high, Next, Fails),
                load_low,
                mask(low),
                test(IF_EQUAL, wanted_low, Next, Fails),
            ]
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ALLOW: u32 = 0x7fff_0000;

    /// What the program answers to a call.
    fn run(program: &SeccompProfile, number: u32, args: [u64; 6]) -> u32 {
        let code: Vec<_> =
            program.code.iter().map(|&(code, jt, jf, k)| host::seccomp::Instruction { code, jt, jf, k }).collect();
        host::filter::simulate(&code, AUDIT_ARCH_X86_64, number, args).unwrap()
    }

    fn compiled(profile: serde_json::Value) -> Result<SeccompProfile> {
        let numbers = |name: &str| match name {
            "read" => Some(0),
            "write" => Some(1),
            "open" => Some(2),
            "clone" => Some(56),
            "personality" => Some(135),
            _ => None,
        };
        compile(&serde_json::from_value(profile).unwrap(), numbers)
    }

    #[test]
    fn names_conditions_and_default() {
        let program = compiled(json!({
            "defaultAction": "SCMP_ACT_ERRNO",
            "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
            "syscalls": [
                { "names": ["read", "write", "of_tomorrow"], "action": "SCMP_ACT_ALLOW" },
                { "names": ["clone"], "action": "SCMP_ACT_ALLOW",
                  "args": [{ "index": 0, "value": 0x7e02_0000, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ" }] },
                { "names": ["personality"], "action": "SCMP_ACT_ALLOW",
                  "args": [{ "index": 0, "value": 0, "op": "SCMP_CMP_EQ" }] },
                { "names": ["personality"], "action": "SCMP_ACT_ALLOW",
                  "args": [{ "index": 0, "value": 0xffff_ffff_ffff_ffff_u64, "op": "SCMP_CMP_EQ" }] }
            ]
        }))
        .unwrap();
        let args = |first| [first, 0, 0, 0, 0, 0];
        assert_eq!(run(&program, 0, args(0)), ALLOW);
        assert_eq!(run(&program, 1, args(0)), ALLOW);
        assert_eq!(run(&program, 2, args(0)), RET_ERRNO | EPERM);
        assert_eq!(run(&program, 56, args(0x11)), ALLOW);
        assert_eq!(run(&program, 56, args(0x1000_0000)), RET_ERRNO | EPERM, "CLONE_NEWUSER");
        assert_eq!(run(&program, 135, args(0)), ALLOW);
        assert_eq!(run(&program, 135, args(u64::MAX)), ALLOW);
        assert_eq!(run(&program, 135, args(1)), RET_ERRNO | EPERM);
        assert_eq!(run(&program, 136, args(0)), RET_ERRNO | ENOSYS, "newer than the profile");
        let code: Vec<_> =
            program.code.iter().map(|&(code, jt, jf, k)| host::seccomp::Instruction { code, jt, jf, k }).collect();
        assert_eq!(host::filter::simulate(&code, 0x4000_0003, 0, args(0)), Some(RET_ERRNO | EPERM));
    }

    #[test]
    fn comparisons_are_of_64_bits() {
        let values = [0, 5, 6, 7, u64::from(u32::MAX), 1 << 32, (1 << 32) + 6, (7 << 32) + 5, u64::MAX];
        let operators: [(&str, fn(u64, u64) -> bool); 6] = [
            ("SCMP_CMP_NE", |a, b| a != b),
            ("SCMP_CMP_LT", |a, b| a < b),
            ("SCMP_CMP_LE", |a, b| a <= b),
            ("SCMP_CMP_EQ", |a, b| a == b),
            ("SCMP_CMP_GE", |a, b| a >= b),
            ("SCMP_CMP_GT", |a, b| a > b),
        ];
        for (name, holds) in operators {
            for bound in values {
                let program = compiled(json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
                    { "names": ["open"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13, "args": [
                        { "index": 2, "value": bound, "op": name }, { "index": 0, "value": 1, "op": "SCMP_CMP_EQ" }] }
                ]}))
                .unwrap();
                for value in values {
                    let expected = if holds(value, bound) { RET_ERRNO | 13 } else { ALLOW };
                    assert_eq!(run(&program, 2, [1, 0, value, 0, 0, 0]), expected, "{value} {name} {bound}");
                    assert_eq!(run(&program, 2, [0, 0, value, 0, 0, 0]), ALLOW);
                }
            }
        }
    }

    #[test]
    fn nonsense_is_refused() {
        let with = |rule| compiled(json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule] }));
        assert!(with(json!({ "names": ["open"], "action": "SCMP_ACT_NOTIFY" })).is_err());
        let bad = json!({ "names": ["open"], "action": "SCMP_ACT_ERRNO", "args": [
            { "index": 6, "value": 0, "op": "SCMP_CMP_EQ" }] });
        assert!(with(bad).is_err());
    }
}
