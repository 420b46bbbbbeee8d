//! Classic BPF: a checker and an interpreter, for seccomp(2) and for SO_ATTACH_FILTER.
//!
//! A program that [`Program::check`] let through only jumps forward, ends in a return on every path, and reads only scratch
//! words that it wrote before. So a run takes at most as many steps as there are instructions. What it may load is the
//! [`Dialect`]'s to say, and [`Data`] is what it loads from.

use abi::Errno;
use abi::seccomp::*;
use zerocopy::IntoBytes;

use crate::error::{Result, err};

/// A checked program.
#[derive(Debug)]
pub(crate) struct Program(Box<[SockFilter]>);

/// Which instructions a program may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Loads of aligned words of a call's data, no modulo.
    Seccomp,
    /// Loads of bytes and words of a packet, and of what is known beside it.
    Packet,
}

/// What a program reads.
pub(crate) trait Data {
    /// How long it is.
    fn len(&self) -> u32;

    /// The number at `at`, this many bytes wide; `None` ends the program with 0. From [`SKF_LL_OFF`] on, which is below zero,
    /// it is counted from the beginnings of headers.
    fn load(&self, at: u32, width: usize) -> Option<u32>;

    /// What is known beside the data: one of SKF_AD_*, of which some look at the registers.
    fn beside(&self, what: u32, a: u32, x: u32) -> u32;
}

impl Data for SeccompData {
    fn len(&self) -> u32 {
        size_of::<Self>() as u32
    }

    fn load(&self, at: u32, _: usize) -> Option<u32> {
        let word = self.as_bytes().get(at as usize..)?.first_chunk()?;
        Some(u32::from_ne_bytes(*word))
    }

    fn beside(&self, _: u32, _: u32, _: u32) -> u32 {
        0
    }
}

const LD_ABS: u16 = BPF_LD | BPF_W | BPF_ABS;
const LDX_MSH: u16 = BPF_LDX | BPF_B | BPF_MSH;
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
const SIZE: u16 = 0x18;
const MODE: u16 = 0xe0;
const OPERATION: u16 = 0xf0;

impl Program {
    /// Checks a program. EINVAL for anything that Linux does not let through.
    pub(crate) fn check(code: Vec<SockFilter>, dialect: Dialect) -> Result<Self> {
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
                LD_ABS if dialect == Dialect::Seccomp => {
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
                code if code & CLASS == BPF_ALU => check_alu(code, insn.k, dialect)?,
                LDX_MSH if dialect == Dialect::Packet => {}
                code if dialect == Dialect::Packet && loads(code) => {
                    let known = insn.k < SKF_AD_OFF + SKF_AD_MAX && insn.k.is_multiple_of(4);
                    if code & MODE == BPF_ABS && insn.k >= SKF_AD_OFF && !known {
                        return err(Errno::EINVAL);
                    }
                }
                _ => return err(Errno::EINVAL),
            }
            flow(at + 1, words)?;
        }
        Ok(Self(code.into()))
    }

    /// How many instructions it has.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The instructions.
    pub(crate) fn code(&self) -> &[SockFilter] {
        &self.0
    }

    /// What the program answers.
    pub(crate) fn run(&self, data: &impl Data) -> u32 {
        let (mut a, mut x, mut scratch) = (0u32, 0u32, [0u32; BPF_MEMWORDS]);
        let mut rest = self.0.iter();
        while let Some(insn) = rest.next() {
            let k = insn.k;
            let at = k as usize;
            let mut skip = 0usize;
            match insn.code {
                RET_K => return k,
                RET_A => return a,
                LD_LEN => a = data.len(),
                LDX_LEN => x = data.len(),
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
                LDX_MSH => match data.load(k, 1) {
                    Some(byte) => x = (byte & 0xf) << 2,
                    None => return 0,
                },
                code if code & CLASS == BPF_LD => {
                    let indirect = code & MODE == BPF_IND;
                    let loaded = match k {
                        SKF_AD_OFF.. if !indirect && k - SKF_AD_OFF == SKF_AD_ALU_XOR_X => Some(a ^ x),
                        SKF_AD_OFF.. if !indirect => Some(data.beside(k - SKF_AD_OFF, a, x)),
                        _ => data.load(if indirect { k.wrapping_add(x) } else { k }, width(code)),
                    };
                    match loaded {
                        Some(value) => a = value,
                        None => return 0,
                    }
                }
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
        // Checked programs end in a return. Nothing is what both kinds answer for the worst.
        0
    }
}

/// Whether an instruction loads from the data.
fn loads(code: u16) -> bool {
    code & CLASS == BPF_LD && matches!(code & MODE, BPF_ABS | BPF_IND) && matches!(code & !MODE, BPF_W | BPF_H | BPF_B)
}

/// How many bytes it loads.
const fn width(code: u16) -> usize {
    match code & SIZE {
        BPF_B => 1,
        BPF_H => 2,
        _ => 4,
    }
}

fn check_alu(code: u16, k: u32, dialect: Dialect) -> Result<()> {
    let by_k = code & BPF_X == 0;
    let fine = match code & OPERATION {
        BPF_ADD | BPF_SUB | BPF_MUL | BPF_OR | BPF_AND | BPF_XOR => true,
        BPF_DIV | BPF_MOD => !by_k || k != 0,
        BPF_LSH | BPF_RSH => !by_k || k < 32,
        _ => false,
    };
    let known = dialect == Dialect::Packet || code & OPERATION != BPF_MOD;
    if fine && known && code <= 0xff { Ok(()) } else { err(Errno::EINVAL) }
}

fn compute(operation: u16, a: u32, operand: u32) -> Option<u32> {
    Some(match operation {
        BPF_ADD => a.wrapping_add(operand),
        BPF_SUB => a.wrapping_sub(operand),
        BPF_MUL => a.wrapping_mul(operand),
        BPF_DIV => a.checked_div(operand)?,
        BPF_MOD => a.checked_rem(operand)?,
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

    /// A packet of which nothing else is known.
    struct Bytes<'a>(&'a [u8]);

    impl Data for Bytes<'_> {
        fn len(&self) -> u32 {
            u32::try_from(self.0.len()).expect("it is short")
        }

        fn load(&self, at: u32, width: usize) -> Option<u32> {
            let at = usize::try_from(at).ok()?;
            let bytes = self.0.get(at..at.checked_add(width)?)?;
            Some(bytes.iter().fold(0, |value, byte| value << 8 | u32::from(*byte)))
        }

        fn beside(&self, what: u32, _: u32, _: u32) -> u32 {
            what
        }
    }

    #[test]
    fn a_packet_filter_loads_what_is_there() {
        let accepts = |code: Vec<SockFilter>, bytes: &[u8]| {
            Program::check(code, Dialect::Packet).expect("a good program").run(&Bytes(bytes))
        };
        // The length of the header in the first byte, then the word behind it.
        let behind = vec![insn(LDX_MSH, 0, 0, 0), insn(BPF_LD | BPF_H | BPF_IND, 0, 0, 1), insn(RET_A, 0, 0, 0)];
        assert_eq!(accepts(behind.clone(), &[0x41, 0, 0, 0, 9, 1, 2]), 0x102);
        assert_eq!(accepts(behind, &[0x41, 0, 0, 0, 9, 1]), 0, "it is not there");
        let beside = |what: u32| vec![insn(BPF_LD | BPF_W | BPF_ABS, 0, 0, SKF_AD_OFF + what), insn(RET_A, 0, 0, 0)];
        assert_eq!(accepts(beside(8), &[]), 8);
        for unknown in [1, SKF_AD_MAX, 0xfff] {
            assert!(Program::check(beside(unknown), Dialect::Packet).is_err(), "{unknown}");
        }
        let modulo = vec![insn(LD_IMM, 0, 0, 9), insn(BPF_ALU | BPF_MOD, 0, 0, 4), insn(RET_A, 0, 0, 0)];
        assert_eq!(accepts(modulo.clone(), &[]), 1);
        assert!(Program::check(modulo, Dialect::Seccomp).is_err(), "seccomp knows no modulo");
    }

    fn run(code: Vec<SockFilter>, data: &SeccompData) -> u32 {
        Program::check(code, Dialect::Seccomp).expect("a good program").run(data)
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
            assert!(Program::check(bad.clone(), Dialect::Seccomp).is_err(), "{bad:?}");
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
            if let Ok(program) = Program::check(code.clone(), Dialect::Seccomp) {
                let _ = program.run(&SeccompData::default());
            }
            if let Ok(program) = Program::check(code, Dialect::Packet) {
                let _ = program.run(&Bytes(&[7; 33]));
            }
        }
    }
}
