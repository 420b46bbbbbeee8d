//! The little program of FUTEX_WAKE_OP: change a word, and compare what it was.

use abi::Errno;
use abi::futex::{
    FUTEX_OP_ADD, FUTEX_OP_ANDN, FUTEX_OP_CMP_EQ, FUTEX_OP_CMP_GE, FUTEX_OP_CMP_GT, FUTEX_OP_CMP_LE, FUTEX_OP_CMP_LT,
    FUTEX_OP_CMP_NE, FUTEX_OP_OPARG_SHIFT, FUTEX_OP_OR, FUTEX_OP_SET, FUTEX_OP_XOR,
};

use crate::error::{Result, err};

/// A decoded program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WakeOp {
    op: u32,
    arg: i32,
    compare: u32,
    with: i32,
}

impl WakeOp {
    /// Decodes `val3` of futex(2). ENOSYS for an operation or comparison that does not exist.
    pub fn decode(code: u32) -> Result<Self> {
        let field = |shift: u32| ((code << shift).cast_signed()) >> 20;
        let op = code >> 28 & 7;
        let mut arg = field(8);
        if code >> 28 & FUTEX_OP_OPARG_SHIFT != 0 {
            arg = 1i32.wrapping_shl(arg.cast_unsigned() & 31);
        }
        let compare = code >> 24 & 15;
        if op > FUTEX_OP_XOR || compare > FUTEX_OP_CMP_GE {
            return err(Errno::ENOSYS);
        }
        Ok(Self { op, arg, compare, with: field(20) })
    }

    /// What becomes of the word.
    #[must_use]
    pub fn apply(self, old: u32) -> u32 {
        let arg = self.arg.cast_unsigned();
        match self.op {
            FUTEX_OP_SET => arg,
            FUTEX_OP_ADD => old.wrapping_add(arg),
            FUTEX_OP_OR => old | arg,
            FUTEX_OP_ANDN => old & !arg,
            _ => old ^ arg,
        }
    }

    /// Whether what the word was makes the second wake-up happen.
    #[must_use]
    pub fn holds(self, old: u32) -> bool {
        let old = old.cast_signed();
        match self.compare {
            FUTEX_OP_CMP_EQ => old == self.with,
            FUTEX_OP_CMP_NE => old != self.with,
            FUTEX_OP_CMP_LT => old < self.with,
            FUTEX_OP_CMP_LE => old <= self.with,
            FUTEX_OP_CMP_GT => old > self.with,
            _ => old >= self.with,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(op: u32, compare: u32, arg: u32, with: u32) -> u32 {
        op << 28 | compare << 24 | (arg & 0xfff) << 12 | with & 0xfff
    }

    #[test]
    fn operations_and_comparisons_are_those_of_the_manual() {
        let run = |op, old| WakeOp::decode(code(op, 0, 6, 0)).expect("it exists").apply(old);
        assert_eq!([0, 1, 2, 3, 4].map(|op| run(op, 5)), [6, 11, 7, 1, 3]);
        assert_eq!(run(8, 0), 64);
        let minus = WakeOp::decode(code(1, FUTEX_OP_CMP_LT, 0xfff, 0xfff)).expect("it exists");
        assert_eq!(minus.apply(0), u32::MAX);
        assert!(minus.holds(0xffff_fffe) && !minus.holds(0));
        assert!(WakeOp::decode(code(5, 0, 0, 0)).is_err());
        assert!(WakeOp::decode(code(0, 6, 0, 0)).is_err());
    }
}
