//! What an input means: a number of records, each a call with six arguments, and then bytes that memory begins with.

use sentry::platform::{Access, Event, Exception, SyscallArgs};

use super::memory::{self, DATA, LEN};

/// Bytes of a record: the call's number, and for each argument how to read a value and the value.
pub(super) const RECORD: usize = 2 + 6 * ARG;
pub(super) const ARG: usize = 3;
/// Most records.
pub(super) const MOST: usize = 48;
/// Numbers from here on are no calls: what follows is another task's, a fault, an exception.
const NEXT_TASK: u16 = 0xfff0;
const FAULT: u16 = 0xfff1;
const EXCEPTION: u16 = 0xfff2;

/// How values of arguments are meant. There are so many.
pub(super) const KINDS: u8 = 20;
pub(super) mod kind {
    pub(in super::super) const SMALL: u8 = 0;
    pub(in super::super) const FD: u8 = 1;
    pub(in super::super) const RESULT: u8 = 2;
    pub(in super::super) const DATA: u8 = 3;
    pub(in super::super) const EDGE: u8 = 4;
    pub(in super::super) const HOSTILE: u8 = 5;
    pub(in super::super) const PATH: u8 = 6;
    pub(in super::super) const BIT: u8 = 7;
    pub(in super::super) const BITS: u8 = 8;
    pub(in super::super) const NUMBER: u8 = 9;
    pub(in super::super) const PAGES: u8 = 10;
    pub(in super::super) const MAPPING: u8 = 11;
    pub(in super::super) const NEGATIVE: u8 = 12;
    pub(in super::super) const TASK: u8 = 13;
    pub(in super::super) const HIGH: u8 = 14;
    pub(in super::super) const CONSTANT: u8 = 15;
    pub(in super::super) const WORD: u8 = 16;
    pub(in super::super) const LONG: u8 = 17;
    pub(in super::super) const STRUCTURE: u8 = 18;
    pub(in super::super) const ZERO: u8 = 19;
}

/// One step of a task.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    number: u16,
    args: [(u8, u16); 6],
}

/// A decoded input.
#[derive(Clone, Debug, Default)]
pub(super) struct Program {
    /// The steps of each task, in the order in which tasks come to be.
    pub(super) tasks: Vec<Vec<Step>>,
    pub(super) data: Vec<u8>,
}

/// Values that calls tend to believe.
const HOSTILE: [u64; 32] = [
    u64::MAX,
    -100_i64 as u64,
    1 << 47,
    (1 << 47) - 4096,
    (1 << 47) - 1,
    0xffff_8000_0000_0000,
    0xffff_ffff_ff60_0000,
    i64::MAX as u64,
    i64::MIN as u64,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    -4096_i64 as u64,
    -4095_i64 as u64,
    DATA + LEN,
    DATA + LEN - 1,
    DATA + LEN - 4096,
    DATA - 1,
    1,
    4095,
    4096,
    4097,
    65535,
    65536,
    65537,
    0x7fff_f000,
    0x7fff_f001,
    1 << 62,
    1 << 40,
    0x8000_0000_0000,
    8,
];

impl Program {
    pub(super) fn decode(input: &[u8]) -> Self {
        let Some((count, rest)) = input.split_first() else { return Self::default() };
        let records = (usize::from(*count) % (MOST + 1)).min(rest.len() / RECORD);
        let (records, data) = rest.split_at(records * RECORD);
        let mut tasks = vec![Vec::new()];
        for step in records.chunks_exact(RECORD).map(Step::decode) {
            match tasks.last_mut() {
                Some(task) if step.number != NEXT_TASK => task.push(step),
                _ => tasks.push(Vec::new()),
            }
        }
        Self { tasks, data: data.to_vec() }
    }
}

impl Step {
    fn decode(record: &[u8]) -> Self {
        let number = u16::from_le_bytes([record[0], record[1]]);
        let mut args = [(0, 0); 6];
        for (arg, bytes) in args.iter_mut().zip(record[2..].chunks_exact(ARG)) {
            *arg = (bytes[0] % KINDS, u16::from_le_bytes([bytes[1], bytes[2]]));
        }
        Self { number, args }
    }

    /// A call with these arguments.
    pub(super) const fn call(number: u64, args: [(u8, u16); 6]) -> Self {
        Self { number: number as u16, args }
    }

    /// What the task does, given the results of its last calls and the bytes of memory.
    pub(super) fn event(&self, results: &[u64], data: &[u8]) -> Event {
        let args = self.args.map(|(kind, value)| resolve(kind, value, results, data));
        match self.number {
            FAULT => {
                let access = [Access::Read, Access::Write, Access::Execute, Access::Unknown][(args[1] % 4) as usize];
                Event::Fault { addr: abi::UserAddr(args[0]), access }
            }
            EXCEPTION => {
                let signo = [4, 5, 7, 8, 11][(args[1] % 5) as usize];
                Event::Exception(Exception { signo, code: (args[2] % 8) as i32, addr: abi::UserAddr(args[0]) })
            }
            number => {
                let nr = u64::from(number) % 600;
                Event::Syscall(SyscallArgs {
                    nr,
                    args,
                    ip: abi::UserAddr(0x40_0100),
                    compat: number & 0xf800 == 0xa800,
                })
            }
        }
    }
}

fn resolve(kind: u8, value: u16, results: &[u64], data: &[u8]) -> u64 {
    let wide = u64::from(value);
    let at = usize::from(value);
    let word = |len: usize| {
        let mut bytes = [0; 8];
        let found = data.get(at % data.len().max(1)..).unwrap_or_default();
        bytes.iter_mut().zip(found).take(len).for_each(|(to, from)| *to = *from);
        u64::from_le_bytes(bytes)
    };
    match kind {
        kind::SMALL => i64::from(value as i8) as u64,
        kind::FD => wide % 40,
        kind::RESULT => results.iter().rev().nth(at % 16).copied().unwrap_or(wide),
        kind::DATA => DATA + wide % LEN,
        kind::EDGE => DATA + LEN - wide % 4096,
        kind::HOSTILE => HOSTILE[at % HOSTILE.len()],
        kind::PATH => memory::path(at),
        kind::BIT => 1 << (wide % 64),
        kind::BITS => 1 << (wide % 64) | 1 << (wide / 64 % 64) | 1 << (wide / 4096 % 16),
        kind::NUMBER => wide,
        kind::PAGES => wide << 12,
        kind::MAPPING => [DATA, 0x2000_0000, 0x4000_0000, 0x7000_0000_0000][at % 4] + (wide / 4 % 64) * 4096,
        kind::NEGATIVE => wide.wrapping_neg(),
        kind::TASK => wide % 12,
        kind::HIGH => wide << 16,
        kind::CONSTANT => super::calls::CONSTANTS[at % super::calls::CONSTANTS.len()],
        kind::WORD => word(4),
        kind::LONG => word(8),
        kind::STRUCTURE => memory::structure(at),
        _ => 0,
    }
}
