//! Whether the instruction that faulted was writing. Where the host does not tell, as under ptrace, the `err` of a signal frame
//! comes from the instruction itself: enough of the opcode map to know which operand is the destination.

use platform::Regs;

/// The longest instruction.
pub(in crate::task::signal) const MAX_INSN: usize = 15;

/// Whether the instruction in `code` writes to `addr`.
pub(in crate::task::signal) fn is_write(code: &[u8], addr: u64, regs: &Regs) -> bool {
    decode(code, addr, regs).unwrap_or(false)
}

fn decode(code: &[u8], addr: u64, regs: &Regs) -> Option<bool> {
    let mut bytes = code.iter().copied();
    let mut repeat = 0;
    let mut op = bytes.next()?;
    // Legacy prefixes and REX.
    while matches!(op, 0x26 | 0x2e | 0x36 | 0x3e | 0x40..=0x4f | 0x64..=0x67 | 0xf0 | 0xf2 | 0xf3) {
        if matches!(op, 0xf2 | 0xf3) {
            repeat = op;
        }
        op = bytes.next()?;
    }
    match op {
        0x0f => two_bytes(bytes.next()?, repeat, &mut bytes),
        0xc5 => {
            let vex = bytes.next()?;
            two_bytes(bytes.next()?, vex_prefix(vex), &mut bytes)
        }
        0xc4 => {
            let (map, vex) = (bytes.next()?, bytes.next()?);
            by_map(map & 0x1f, bytes.next()?, vex_prefix(vex), &mut bytes)
        }
        0x62 => {
            let (map, vex, _) = (bytes.next()?, bytes.next()?, bytes.next()?);
            by_map(map & 7, bytes.next()?, vex_prefix(vex), &mut bytes)
        }
        _ => one_byte(op, addr, regs, &mut bytes),
    }
}

fn one_byte(op: u8, addr: u64, regs: &Regs, rest: &mut impl Iterator<Item = u8>) -> Option<bool> {
    let below_stack = (1..=16).contains(&regs.rsp.wrapping_sub(addr));
    Some(match op {
        // Arithmetic: the second of each pair of forms has the register as its destination; cmp has none.
        0x00..=0x31 => op & 7 <= 1,
        0x80 | 0x81 | 0x83 => reg(rest)? != 7,
        0x86..=0x89 | 0x8c | 0xa2 | 0xa3 | 0xaa | 0xab | 0xc0 | 0xc1 | 0xc6 | 0xc7 | 0xd0..=0xd3 | 0x6c | 0x6d => true,
        0x8f => !(0..8).contains(&addr.wrapping_sub(regs.rsp)),
        0xa4 | 0xa5 => addr.wrapping_sub(regs.rdi) < 8,
        0x50..=0x57 | 0x68 | 0x6a | 0x9c | 0xc8 | 0xe8 => below_stack,
        0xd9 => matches!(reg(rest)?, 2 | 3 | 6 | 7),
        0xdb => matches!(reg(rest)?, 1 | 2 | 3 | 7),
        0xdd | 0xdf => matches!(reg(rest)?, 1 | 2 | 3 | 6 | 7),
        0xf6 | 0xf7 => matches!(reg(rest)?, 2 | 3),
        0xfe => reg(rest)? <= 1,
        0xff => match reg(rest)? {
            0 | 1 => true,
            2 | 3 | 6 => below_stack,
            _ => false,
        },
        _ => false,
    })
}

fn two_bytes(op: u8, prefix: u8, rest: &mut impl Iterator<Item = u8>) -> Option<bool> {
    Some(match op {
        0x38 => by_map(2, rest.next()?, prefix, rest)?,
        0x3a => by_map(3, rest.next()?, prefix, rest)?,
        0x11 | 0x13 | 0x17 | 0x29 | 0x2b | 0x7f | 0x90..=0x9f | 0xc0 | 0xc1 | 0xc3 | 0xd6 | 0xe7 => true,
        0xa4 | 0xa5 | 0xab..=0xad | 0xb0 | 0xb1 | 0xb3 | 0xbb => true,
        0x7e => prefix != 0xf3,
        0xae => matches!(reg(rest)?, 0 | 3 | 4 | 6),
        0xba => reg(rest)? >= 5,
        0xc7 => matches!(reg(rest)?, 1 | 3 | 4),
        _ => false,
    })
}

/// The opcode maps by the number that VEX and EVEX give them.
fn by_map(map: u8, op: u8, prefix: u8, rest: &mut impl Iterator<Item = u8>) -> Option<bool> {
    match map {
        1 => two_bytes(op, prefix, rest),
        2 => {
            Some(matches!(op, 0x2e | 0x2f | 0x8a | 0x8b | 0x8e | 0xa2 | 0xa3 | 0xf9) || (op == 0xf1 && prefix != 0xf2))
        }
        3 => Some(matches!(op, 0x14..=0x17 | 0x19 | 0x1b | 0x1d | 0x39 | 0x3b)),
        _ => Some(false),
    }
}

/// The middle field of the ModRM byte.
fn reg(rest: &mut impl Iterator<Item = u8>) -> Option<u8> {
    rest.next().map(|modrm| modrm >> 3 & 7)
}

/// The prefix that the low bits of a VEX byte stand for.
fn vex_prefix(vex: u8) -> u8 {
    match vex & 3 {
        1 => 0x66,
        2 => 0xf3,
        3 => 0xf2,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_and_loads_are_told_apart() {
        let regs = Regs { rsp: 0x2000, rdi: 0x5000, ..Regs::default() };
        let writes: [&[u8]; 12] = [
            &[0x88, 0x07],                         // mov [rdi], al
            &[0xc6, 0x40, 0x7b, 0x01],             // mov byte [rax+123], 1
            &[0x48, 0x89, 0x07],                   // mov [rdi], rax
            &[0xf0, 0x0f, 0xb1, 0x0f],             // lock cmpxchg [rdi], ecx
            &[0xf3, 0xab],                         // rep stosd
            &[0xff, 0x07],                         // inc dword [rdi]
            &[0x83, 0x07, 0x01],                   // add dword [rdi], 1
            &[0x66, 0x0f, 0x7f, 0x07],             // movdqa [rdi], xmm0
            &[0xc5, 0xfe, 0x7f, 0x07],             // vmovdqu [rdi], ymm0
            &[0xc4, 0xe3, 0x7d, 0x19, 0x07, 0x01], // vextractf128 [rdi], ymm0, 1
            &[0x62, 0xf1, 0x7c, 0x48, 0x11, 0x07], // vmovups [rdi], zmm0
            &[0xa4],                               // movsb
        ];
        for code in writes {
            assert!(is_write(code, 0x5000, &regs), "{code:x?}");
        }
        let reads: [&[u8]; 9] = [
            &[0x8a, 0x07],             // mov al, [rdi]
            &[0x0f, 0xb6, 0x07],       // movzx eax, byte [rdi]
            &[0x83, 0x3f, 0x01],       // cmp dword [rdi], 1
            &[0x03, 0x07],             // add eax, [rdi]
            &[0xf3, 0x0f, 0x7e, 0x07], // movq xmm0, [rdi]
            &[0xc5, 0xfe, 0x6f, 0x07], // vmovdqu ymm0, [rdi]
            &[0xf7, 0x37],             // div dword [rdi]
            &[0xff, 0x17],             // call [rdi]
            &[0x50],                   // push rax, but not there
        ];
        for code in reads {
            assert!(!is_write(code, 0x5000, &regs), "{code:x?}");
        }
        assert!(is_write(&[0x50], 0x1ff8, &regs));
        assert!(!is_write(&[], 0, &regs) && !is_write(&[0xf0; 15], 0, &regs));
    }
}
