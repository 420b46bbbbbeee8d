//! Changes of inputs that keep them what they are: calls with arguments of the right kind, mostly.

use super::calls::{CONSTANTS, SIGNATURES};
use super::program::{ARG, KINDS, MOST, RECORD, kind};

/// A generator that a seed decides.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() >> 11) as usize % n.max(1)
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// Changes `size` bytes of `data`, which has room for `most`; returns how many there are then. `plain` is the fuzzer's own way.
pub fn mutate(
    data: &mut [u8],
    size: usize,
    most: usize,
    seed: u32,
    plain: fn(&mut [u8], usize, usize) -> usize,
) -> usize {
    let mut chance = Chance(u64::from(seed) << 16 | 0x9e37);
    chance.next();
    if chance.one_in(3) && size > 0 {
        return plain(data, size, most);
    }
    let (mut records, mut rest) = split(&data[..size]);
    for _ in 0..=chance.below(4) {
        change(&mut records, &mut chance);
    }
    if chance.one_in(4) {
        let at = chance.below(rest.len().max(1));
        match rest.get_mut(at) {
            Some(byte) if !chance.one_in(3) => *byte = chance.next() as u8,
            _ => rest.extend((0..16).map(|_| chance.next() as u8 & 0x0f)),
        }
    }
    records.truncate(MOST);
    let mut out = vec![records.len() as u8];
    out.extend(records.iter().flatten());
    out.extend(rest);
    out.truncate(most);
    data[..out.len()].copy_from_slice(&out);
    out.len()
}

fn split(input: &[u8]) -> (Vec<[u8; RECORD]>, Vec<u8>) {
    let Some((count, rest)) = input.split_first() else { return (Vec::new(), Vec::new()) };
    let count = (usize::from(*count) % (MOST + 1)).min(rest.len() / RECORD);
    let (records, rest) = rest.split_at(count * RECORD);
    (records.as_chunks().0.to_vec(), rest.to_vec())
}

fn change(records: &mut Vec<[u8; RECORD]>, chance: &mut Chance) {
    let at = chance.below(records.len());
    match chance.below(8) {
        0..=2 if records.len() < MOST => records.insert(chance.below(records.len() + 1), call(chance)),
        3 if records.len() > 1 => {
            records.remove(at);
        }
        4 if records.len() > 1 => records.swap(at, at / 2),
        5 if !records.is_empty() && records.len() < MOST => records.insert(at, records[at]),
        _ => match records.get_mut(at) {
            None => records.push(call(chance)),
            Some(record) => {
                let number = u16::from_le_bytes([record[0], record[1]]);
                let known = SIGNATURES.iter().find(|(known, _)| *known == number % 600);
                let which = chance.below(6);
                let letter = known.and_then(|(_, letters)| letters.as_bytes().get(which)).copied().unwrap_or(b'?');
                record[2 + which * ARG..][..ARG].copy_from_slice(&argument(letter, chance));
            }
        },
    }
}

/// A call from the list, or any.
fn call(chance: &mut Chance) -> [u8; RECORD] {
    let (number, letters) = match chance.one_in(20) {
        true => (chance.below(480) as u16, "??????"),
        false => SIGNATURES[chance.below(SIGNATURES.len())],
    };
    let mut record = [0; RECORD];
    record[..2].copy_from_slice(&number.to_le_bytes());
    for (index, letter) in letters.bytes().take(6).enumerate() {
        record[2 + index * ARG..][..ARG].copy_from_slice(&argument(letter, chance));
    }
    record
}

fn argument(letter: u8, chance: &mut Chance) -> [u8; ARG] {
    let any = chance.next() as u16;
    let few = any % 9;
    let usual = match letter {
        b'd' if chance.one_in(3) => (kind::RESULT, few % 4),
        b'd' => (kind::FD, any % 28),
        b'D' if chance.one_in(3) => (kind::FD, 16),
        b'D' => (kind::NEGATIVE, 100),
        b's' => (kind::PATH, any),
        b'p' if chance.one_in(5) => (kind::EDGE, any % 64),
        b'p' => (kind::DATA, any),
        b'S' => (kind::STRUCTURE, any),
        b'n' => [(kind::SMALL, few * 8), (kind::NUMBER, any), (kind::PAGES, few)][chance.below(3)],
        b'i' => (kind::SMALL, any % 32),
        b'f' => [(kind::SMALL, few), (kind::BIT, any % 32), (kind::BITS, any), (kind::ZERO, 0)][chance.below(4)],
        b'g' => (kind::SMALL, any % 66),
        b't' => (kind::TASK, any),
        b'm' => (kind::NUMBER, any),
        b'a' => (kind::MAPPING, any),
        b'k' => (kind::CONSTANT, any % CONSTANTS.len() as u16),
        b'o' => [(kind::SMALL, few), (kind::NUMBER, any), (kind::PAGES, few), (kind::BIT, any)][chance.below(4)],
        b'r' => (kind::RESULT, few),
        b'0' => (kind::ZERO, 0),
        _ => ((any >> 8) as u8 % KINDS, chance.next() as u16),
    };
    let (kind, value) = match chance.below(16) {
        0 => (kind::HOSTILE, any),
        1 => ((any >> 8) as u8 % KINDS, any),
        2 => ([kind::WORD, kind::LONG][usize::from(any % 2)], any % 64),
        _ => usual,
    };
    let [low, high] = value.to_le_bytes();
    [kind, low, high]
}
