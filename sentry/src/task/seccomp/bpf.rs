//! Classic BPF as seccomp(2) takes it: a checker and an interpreter.
//!
//! A program that [`Program::check`] let through only jumps forward, ends in a return on every path, reads inside of the call's
//! data and only scratch words that it wrote before. So a run takes at most as many steps as there are instructions.

use abi::Errno;
use abi::seccomp::*;
use zerocopy::IntoBytes;

use crate::error::{Result, err};

/// A checked program.
#[derive(Debug)]
pub(super) struct Program(Box<[SockFilter]>);

const LD_ABS: u16 = BPF_LD | BPF_W | BPF_ABS;
const LD_LEN: u16 = BPF_LD | BPF_W | BPF_LEN;
const LDX_LEN: u16 = BPF_LDX | BPF_W | BPF_LEN;
const LD_IMM: u16 = BPF_LD | BPF_IMM;
const LDX_IMM: u16 = BPF_LDX | BPF_IMM;
const LD_MEM: u16 = BPF_LD | BPF_MEM;
const LDX_MEM: u16 = BPF_LDX | BPF_MEM;
const RET_K: u16 = BPF_RET | BPF_K;
const RET_A: u16 = BPF_RET | BPF_A;
const TAX: u16 = BPF_MISC | BPF_TAX;
const TXA: u16 = BPF_MISC | BPF_TXA;
const NEG: u16 = BPF_ALU | BPF_NEG;
const JUMP: u16 = BPF_JMP | BPF_JA;

/// The class bits of an instruction, its operation, and the bit that says that X is the operand.
const CLASS: u16 = 7;
const OPERATION: u16 = 0xf0;

impl Program {
    /// Checks a program. EINVAL for anything that Linux does not let through.
    pub(super) fn check(code: Vec<SockFilter>) -> Result<Self> {
        let len = code.len();
        if len == 0 || len > BPF_MAXINSNS {
            return err(Errno::EINVAL);
        }
        // Which scratch words were written on every path to an instruction.
        let mut written = vec![u16::MAX; len + 1];
        written[0] = 0;
        for (at, insn) in code.iter().enumerate() {
            let mut words = written[at];
            let mut flow = |to: usize, words: u16| match written.get_mut(to).filter(|_| to < len) {
                Some(place) => {
                    *place &= words;
                    Ok(())
                }
                None => err(Errno::EINVAL),
            };
            let word = || u32::try_from(BPF_MEMWORDS).is_ok_and(|words| insn.k < words).then(|| 1u16 << insn.k);
            match insn.code {
                RET_K | RET_A => continue,
                JUMP => {
                    let skip = usize::try_from(insn.k).map_err(|_| Errno::EINVAL)?;
                    flow(at.checked_add(1).and_then(|next| next.checked_add(skip)).ok_or(Errno::EINVAL)?, words)?;
                    continue;
                }
                code if code & CLASS == BPF_JMP => {
                    if !matches!(code & OPERATION, BPF_JEQ | BPF_JGT | BPF_JGE | BPF_JSET) || code > 0xff {
                        return err(Errno::EINVAL);
                    }
                    flow(at + 1 + usize::from(insn.jt), words)?;
                    flow(at + 1 + usize::from(insn.jf), words)?;
                    continue;
                }
                LD_ABS => {
                    let data = size_of::<SeccompData>();
                    if !insn.k.is_multiple_of(4) || usize::try_from(insn.k).is_ok_and(|k| k >= data) {
                        return err(Errno::EINVAL);
                    }
                }
                LD_LEN | LDX_LEN | LD_IMM | LDX_IMM | TAX | TXA | NEG => {}
                LD_MEM | LDX_MEM => {
                    if word().is_none_or(|word| words & word == 0) {
                        return err(Errno::EINVAL);
                    }
                }
                BPF_ST | BPF_STX => words |= word().ok_or(Errno::EINVAL)?,
                code if code & CLASS == BPF_ALU => check_alu(code, insn.k)?,
                _ => return err(Errno::EINVAL),
            }
            flow(at + 1, words)?;
        }
        Ok(Self(code.into()))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The instructions.
    pub(super) fn code(&self) -> &[SockFilter] {
        &self.0
    }

    /// What the program answers to a call.
    pub(super) fn run(&self, data: &SeccompData) -> u32 {
        let bytes = data.as_bytes();
        let (mut a, mut x, mut scratch) = (0u32, 0u32, [0u32; BPF_MEMWORDS]);
        let mut rest = self.0.iter();
        while let Some(insn) = rest.next() {
            let k = insn.k;
            let at = k as usize;
            let mut skip = 0usize;
            match insn.code {
                RET_K => return k,
                RET_A => return a,
                LD_ABS => {
                    let word = bytes.get(at..at + 4).and_then(|b| b.try_into().ok());
                    a = word.map_or(0, u32::from_ne_bytes);
                }
                LD_LEN => a = size_of::<SeccompData>() as u32,
                LDX_LEN => x = size_of::<SeccompData>() as u32,
                LD_IMM => a = k,
                LDX_IMM => x = k,
                LD_MEM => a = scratch.get(at).copied().unwrap_or(0),
                LDX_MEM => x = scratch.get(at).copied().unwrap_or(0),
                BPF_ST | BPF_STX => {
                    if let Some(word) = scratch.get_mut(at) {
                        *word = if insn.code == BPF_ST { a } else { x };
                    }
                }
                TAX => x = a,
                TXA => a = x,
                NEG => a = a.wrapping_neg(),
                JUMP => skip = at,
                code => {
                    let operand = if code & BPF_X != 0 { x } else { k };
                    if code & CLASS == BPF_JMP {
                        let holds = match code & OPERATION {
                            BPF_JEQ => a == operand,
                            BPF_JGT => a > operand,
                            BPF_JGE => a >= operand,
                            _ => a & operand != 0,
                        };
                        skip = usize::from(if holds { insn.jt } else { insn.jf });
                    } else {
                        match compute(code & OPERATION, a, operand) {
                            Some(value) => a = value,
                            // Division by zero ends the program.
                            None => return 0,
                        }
                    }
                }
            }
            if skip > 0 {
                rest.nth(skip - 1);
            }
        }
        SECCOMP_RET_KILL_THREAD
    }
}

fn check_alu(code: u16, k: u32) -> Result<()> {
    let by_k = code & BPF_X == 0;
    let fine = match code & OPERATION {
        BPF_ADD | BPF_SUB | BPF_MUL | BPF_OR | BPF_AND | BPF_XOR => true,
        BPF_DIV | BPF_MOD => !by_k || k != 0,
        BPF_LSH | BPF_RSH => !by_k || k < 32,
        _ => false,
    };
    // seccomp knows no modulo.
    if fine && code <= 0xff && code & OPERATION != BPF_MOD { Ok(()) } else { err(Errno::EINVAL) }
}

fn compute(operation: u16, a: u32, operand: u32) -> Option<u32> {
    Some(match operation {
        BPF_ADD => a.wrapping_add(operand),
        BPF_SUB => a.wrapping_sub(operand),
        BPF_MUL => a.wrapping_mul(operand),
        BPF_DIV => a.checked_div(operand)?,
        BPF_OR => a | operand,
        BPF_AND => a & operand,
        BPF_XOR => a ^ operand,
        // As the interpreter of Linux: the amount modulo the width.
        BPF_LSH => a.wrapping_shl(operand),
        _ => a.wrapping_shr(operand),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insn(code: u16, jt: u8, jf: u8, k: u32) -> SockFilter {
        SockFilter { code, jt, jf, k }
    }

    fn run(code: Vec<SockFilter>, data: &SeccompData) -> u32 {
        Program::check(code).expect("a good program").run(data)
    }

    #[test]
    fn a_filter_looks_at_number_and_arguments() {
        let code = vec![
            insn(LD_ABS, 0, 0, 0),
            insn(BPF_JMP | BPF_JEQ, 0, 2, 39),
            insn(LD_ABS, 0, 0, 16),
            insn(RET_A, 0, 0, 0),
            insn(RET_K, 0, 0, SECCOMP_RET_ALLOW),
        ];
        let data = SeccompData { nr: 39, args: [7, 0, 0, 0, 0, 0], ..SeccompData::default() };
        assert_eq!(run(code.clone(), &data), 7);
        assert_eq!(run(code, &SeccompData { nr: 1, ..data }), SECCOMP_RET_ALLOW);
    }

    #[test]
    fn what_could_leave_the_program_or_the_data_is_refused() {
        let ret = insn(RET_K, 0, 0, 0);
        for bad in [
            vec![],
            vec![insn(LD_IMM, 0, 0, 1)],
            vec![insn(JUMP, 0, 0, 1), ret],
            vec![insn(JUMP, 0, 0, u32::MAX), ret],
            vec![insn(BPF_JMP | BPF_JEQ, 1, 0, 0), ret],
            vec![insn(LD_ABS, 0, 0, 64), ret],
            vec![insn(LD_ABS, 0, 0, 2), ret],
            vec![insn(LD_MEM, 0, 0, 0), ret],
            vec![insn(BPF_ST, 0, 0, 16), ret],
            vec![insn(BPF_ALU | BPF_DIV, 0, 0, 0), ret],
            vec![insn(BPF_ALU | BPF_LSH, 0, 0, 32), ret],
            vec![insn(BPF_LD | BPF_H | BPF_ABS, 0, 0, 0), ret],
            vec![insn(0xffff, 0, 0, 0), ret],
            // Written on one path only.
            vec![insn(BPF_JMP | BPF_JEQ, 0, 1, 0), insn(BPF_ST, 0, 0, 3), insn(LD_MEM, 0, 0, 3), ret],
        ] {
            assert!(Program::check(bad.clone()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn arithmetic_is_as_in_linux() {
        let value = |code: u16, a: u32, k: u32| {
            run(
                vec![insn(LD_IMM, 0, 0, a), insn(BPF_ALU | code, 0, 0, k), insn(RET_A, 0, 0, 0)],
                &SeccompData::default(),
            )
        };
        assert_eq!(value(BPF_SUB, 1, 2), u32::MAX);
        assert_eq!(value(BPF_DIV, 9, 2), 4);
        assert_eq!(value(BPF_RSH, 0x80, 3), 0x10);
        assert_eq!(value(BPF_XOR, 5, 1), 4);
        let by_zero = vec![insn(LD_IMM, 0, 0, 1), insn(BPF_ALU | BPF_DIV | BPF_X, 0, 0, 0), insn(RET_K, 0, 0, 9)];
        assert_eq!(run(by_zero, &SeccompData::default()), 0);
        let scratch = vec![
            insn(LD_IMM, 0, 0, 8),
            insn(BPF_ST, 0, 0, 15),
            insn(LDX_MEM, 0, 0, 15),
            insn(TXA, 0, 0, 0),
            insn(NEG, 0, 0, 0),
            insn(RET_A, 0, 0, 0),
        ];
        assert_eq!(run(scratch, &SeccompData::default()), 8u32.wrapping_neg());
    }

    #[test]
    fn any_instructions_that_pass_the_check_end() {
        let mut seed = 0x9e37_79b9_u32;
        let mut next = || {
            seed ^= seed << 13;
            seed ^= seed >> 17;
            seed ^= seed << 5;
            seed
        };
        for _ in 0..20_000 {
            let code: Vec<_> = (0..next() % 8)
                .map(|_| {
                    let word = next();
                    insn((word & 0xff) as u16, (word >> 8 & 3) as u8, (word >> 10 & 3) as u8, next() % 70)
                })
                .chain([insn(RET_A, 0, 0, 0)])
                .collect();
            if let Ok(program) = Program::check(code) {
                let _ = program.run(&SeccompData::default());
            }
        }
    }
}
