//! Rewriting of an application's `syscall` sites into jumps to gates, for platforms that have something faster behind them.
//!
//! An instruction of five bytes before the `syscall`, together with it, becomes `jmp [gate]`. The gate's address ends in the
//! bytes `0f 05`, which are the `syscall` instruction's: so that stays where it is, and works for whoever jumps to it, for
//! calls that are made again after a signal, and for gates that have nothing faster to offer at the moment. That is why
//! gates lie where they do ([`GATES`]), in pages that each address space has for itself.
//!
//! Everything here is computed from bytes; who writes them, and when no code may be running there, is the sentry's
//! business (`sentry/src/mm/rewrite.rs`).

use abi::{PAGE_SIZE, UserAddr, UserRange};

use crate::event::SyscallArgs;

/// The pages of the gates, and up to [`LONE`].
pub const GATES: UserRange = UserRange { start: UserAddr(0x050f_0000), end: UserAddr(0x050f_d000) };
/// How many gates there are.
pub const COUNT: usize = 256;
/// An address of a gate that ends in the bytes of `xor eax, eax` and of `syscall`: both stay where they are in code that jumps
/// through it. There is just one.
const LONE: UserAddr = UserAddr(0x050f_c031);
const _: () = assert!(GATES.start.0 + COUNT as u64 * GATE <= LONE.0 && LONE.0 + 8 <= GATES.end.0);
const _: () = assert!(GATES.end.0.is_multiple_of(PAGE_SIZE));
/// Bytes for each.
pub const GATE: u64 = 64;
/// How many bytes around the end of a `syscall` instruction tell what it is, before and after.
pub const BEFORE: u64 = 9;
/// See [`BEFORE`].
pub const AFTER: u64 = 24;

/// A gate: the address of its code; its description; the code; the address where that leads.
const CODE: u64 = 32;
const TARGET: u64 = 56;
const DESCRIPTION: u64 = 8;
/// In a description: where the call returns to.
pub(crate) const DESCRIBED_RETURN: u64 = 0;
/// In a description: where the `syscall` instruction is.
pub(crate) const DESCRIBED_SYSCALL: u64 = 8;
/// In a description: the number of the call.
pub(crate) const DESCRIBED_NUMBER: u64 = 16;

const SYSCALL: [u8; 2] = [0x0f, 0x05];
/// How long the instruction is that a jump takes the place of.
const LOAD: usize = 5;

/// What a platform has behind gates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entries {
    /// Where a gate leads that knows the number of its call.
    pub number_known: u64,
    /// Where one leads that is called with the number in rax.
    pub number_in_rax: u64,
}

/// What to write where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewrite {
    /// The gate, to be written first.
    pub gate: Vec<(UserAddr, Vec<u8>)>,
    /// Whether it takes the address that there is only one of.
    pub lone: bool,
    /// Bytes of the application's code, in the order in which to write them.
    pub code: Vec<(UserAddr, Vec<u8>)>,
}

/// A form that a site may have.
enum Form {
    /// `mov eax, NUMBER`.
    Number,
    /// Another instruction that loads an argument and can be made in the gate as well.
    Load([u8; LOAD]),
    /// `xor eax, eax`, with room for the jump behind the end of the function.
    Zero,
    /// `mov edi, [rsp + N]`, which is made in the gate, and then `xor eax, eax`.
    LoadAndZero([u8; 4]),
}

/// How to rewrite the `syscall` that made `call`, so that it goes through gate `number`; none if it has no form that is known.
/// `lone` tells whether the address is free that there is only one of.
/// `before` and `after` are the bytes on both sides of `call.ip`.
#[must_use]
pub fn rewrite(
    entries: &Entries,
    (number, lone): (usize, bool),
    call: &SyscallArgs,
    before: &[u8; BEFORE as usize],
    after: &[u8; AFTER as usize],
) -> Option<Rewrite> {
    let number = u64::try_from(number).ok().filter(|number| *number < COUNT as u64)?;
    let gate = GATES.start.0 + number * GATE;
    let jump = jump(gate)?;
    let ip = call.ip;
    let (mut target, mut load, mut pointer) = (entries.number_known, Vec::new(), None);
    let code = match form(call, before, after)? {
        Form::Number => vec![(ip.0.checked_sub(7)?, jump[..5].to_vec())],
        Form::Load(instruction) => {
            (target, load) = (entries.number_in_rax, instruction.to_vec());
            vec![(ip.0.checked_sub(7)?, jump[..5].to_vec())]
        }
        Form::Zero => {
            let room = ip.0.checked_add(END_OF_ZERO as u64)?;
            // A short jump from the instruction before the call, which is four bytes before ip.
            let short = u8::try_from(END_OF_ZERO + 2).ok()?;
            vec![(room, jump.to_vec()), (ip.0.checked_sub(4)?, vec![0xeb, short])]
        }
        Form::LoadAndZero(instruction) => {
            if !lone {
                return None;
            }
            load = instruction.to_vec();
            pointer = Some((LONE, (gate + CODE).to_le_bytes().to_vec()));
            // A jump with a prefix that means nothing, so that it begins where the load did. The rest of it is there.
            vec![(ip.0.checked_sub(8)?, vec![0x3e, 0xff, 0x24, 0x25])]
        }
    };
    let code = code.into_iter().map(|(at, bytes)| (UserAddr(at), bytes)).collect();
    let lone = pointer.is_some();
    let gate = (UserAddr(gate), gate_bytes(gate, target, &load, call).to_vec());
    Some(Rewrite { gate: std::iter::once(gate).chain(pointer).collect(), lone, code })
}

/// `jmp [gate]`.
fn jump(gate: u64) -> Option<[u8; 7]> {
    let [a, b, c, d] = u32::try_from(gate).ok()?.to_le_bytes();
    ([c, d] == SYSCALL).then_some([0xff, 0x24, 0x25, a, b, c, d])
}

fn gate_bytes(gate: u64, target: u64, load: &[u8], call: &SyscallArgs) -> [u8; GATE as usize] {
    let mut bytes = [0xcc; GATE as usize];
    let mut put = |at: u64, part: &[u8]| {
        bytes[at as usize..at as usize + part.len()].copy_from_slice(part);
        at + part.len() as u64
    };
    put(0, &(gate + CODE).to_le_bytes());
    put(DESCRIPTION + DESCRIBED_RETURN, &call.ip.0.to_le_bytes());
    put(DESCRIPTION + DESCRIBED_SYSCALL, &(call.ip.0 - 2).to_le_bytes());
    put(DESCRIPTION + DESCRIBED_NUMBER, &call.nr.to_le_bytes());
    let mut at = put(CODE, load);
    // lea r11, [rip + description]; jmp [rip + target]
    at = put(at, &[0x4c, 0x8d, 0x1d]);
    at = put(at, &relative(at + 4, DESCRIPTION));
    at = put(at, &[0xff, 0x25]);
    put(at, &relative(at + 4, TARGET));
    put(TARGET, &target.to_le_bytes());
    bytes
}

fn relative(from: u64, to: u64) -> [u8; 4] {
    (to as i32).wrapping_sub(from as i32).to_le_bytes()
}

/// Bytes from the end of the `syscall` to the end of the function in [`Form::Zero`].
const END_OF_ZERO: usize = 9;

fn form(call: &SyscallArgs, before: &[u8; BEFORE as usize], after: &[u8; AFTER as usize]) -> Option<Form> {
    let [prefix, load @ .., s, c] = before.last_chunk::<{ 1 + LOAD + 2 }>()?;
    if [*s, *c] != SYSCALL {
        return None;
    }
    if call.nr == 0 && load.ends_with(&[0x31, 0xc0]) && has_room(after) {
        return Some(Form::Zero);
    }
    if let [first, a @ 0x8b, b @ 0x7c, c @ 0x24, d, 0x31, 0xc0, ..] = before
        && call.nr == 0
        && !(0x40..0x50).contains(first)
    {
        return Some(Form::LoadAndZero([*a, *b, *c, *d]));
    }
    // With these before it, an immediate goes to one of r8 to r15.
    let extended = (0x40..0x50).contains(prefix);
    match load {
        // mov eax, imm32
        [0xb8, imm @ ..] => (immediate(imm) == Some(call.nr) && !extended).then_some(Form::Number),
        // mov edx, imm32; mov esi, imm32; mov edi, imm32: what was called with it shows that it is one
        [0xba, imm @ ..] => (immediate(imm) == Some(call.args[2]) && !extended).then_some(Form::Load(*load)),
        [0xbe, imm @ ..] => (immediate(imm) == Some(call.args[1]) && !extended).then_some(Form::Load(*load)),
        [0xbf, imm @ ..] => (immediate(imm) == Some(call.args[0]) && !extended).then_some(Form::Load(*load)),
        // mov from the stack to rdx, rsi, rdi; to r8, r9, r10
        [0x48, 0x8b, 0x54 | 0x74 | 0x7c, 0x24, _] | [0x4c, 0x8b, 0x44 | 0x4c | 0x54, 0x24, _] => {
            Some(Form::Load(*load))
        }
        _ => None,
    }
}

fn immediate(bytes: &[u8]) -> Option<u64> {
    bytes.try_into().ok().map(|bytes| u64::from(u32::from_le_bytes(bytes)))
}

/// Whether this follows: `cmp rax, -4096; ja short; ret`, and then padding that nothing runs into.
fn has_room(after: &[u8; AFTER as usize]) -> bool {
    let [0x48, 0x3d, 0x00, 0xf0, 0xff, 0xff, 0x77, _, 0xc3, padding @ ..] = after else { return false };
    const NOPS: [&[u8]; 5] = [
        &[0x66, 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0],
        &[0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0],
        &[0x66, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0],
        &[0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0],
        &[0x0f, 0x1f, 0x80, 0, 0, 0, 0],
    ];
    NOPS.iter().any(|nop| padding.starts_with(nop))
}

#[cfg(test)]
mod tests {
    use super::{AFTER, BEFORE, COUNT, Entries, GATES, rewrite};
    use abi::UserAddr;

    use crate::event::SyscallArgs;

    const ENTRIES: Entries = Entries { number_known: 0x7fff_1234_5000, number_in_rax: 0x7fff_1234_5040 };
    const IP: UserAddr = UserAddr(0x7f00_0000_1007);
    const NONE: [u8; AFTER as usize] = [0x90; AFTER as usize];

    fn call(nr: u64) -> SyscallArgs {
        SyscallArgs { nr, args: [0xffff_ff9c, 1, 2, 3, 4, 5], ip: IP, compat: false }
    }

    fn before(bytes: &[u8]) -> [u8; BEFORE as usize] {
        let mut all = [0x90; BEFORE as usize];
        all[BEFORE as usize - bytes.len()..].copy_from_slice(bytes);
        all
    }

    #[test]
    fn the_syscall_instruction_stays() {
        let site = before(&[0xb8, 17, 0, 0, 0, 0x0f, 0x05]);
        let done = rewrite(&ENTRIES, (3, true), &call(17), &site, &NONE).expect("a known form");
        assert_eq!(done.gate[0].0, UserAddr(GATES.start.0 + 3 * 64));
        assert_eq!(done.code, vec![(UserAddr(IP.0 - 7), vec![0xff, 0x24, 0x25, 0xc0, 0x00])]);
        assert_eq!(done.gate[0].1[..8], (GATES.start.0 + 3 * 64 + 32).to_le_bytes());
        assert_eq!(done.gate[0].1[8..16], IP.0.to_le_bytes());
        assert_eq!(done.gate[0].1[56..64], ENTRIES.number_known.to_le_bytes());
    }

    #[test]
    fn a_move_to_another_register_is_none_to_eax() {
        let site = before(&[0x41, 0xb8, 17, 0, 0, 0, 0x0f, 0x05]);
        assert_eq!(rewrite(&ENTRIES, (0, true), &call(17), &site, &NONE), None);
    }

    #[test]
    fn the_number_has_to_be_the_one_that_was_called() {
        let site = before(&[0xb8, 17, 0, 0, 0, 0x0f, 0x05]);
        assert_eq!(rewrite(&ENTRIES, (0, true), &call(18), &site, &NONE), None);
        assert_eq!(rewrite(&ENTRIES, (COUNT, true), &call(17), &site, &NONE), None);
    }

    #[test]
    fn another_load_before_the_call_is_made_in_the_gate() {
        for load in [[0xbf, 0x9c, 0xff, 0xff, 0xff], [0xbe, 1, 0, 0, 0], [0x4c, 0x8b, 0x4c, 0x24, 0x08]] {
            let mut bytes = load.to_vec();
            bytes.extend([0x0f, 0x05]);
            let done = rewrite(&ENTRIES, (1, true), &call(257), &before(&bytes), &NONE).expect("a known form");
            assert_eq!(done.gate[0].1[32..37], load);
            assert_eq!(done.gate[0].1[37..40], [0x4c, 0x8d, 0x1d]);
            assert_eq!(done.gate[0].1[56..64], ENTRIES.number_in_rax.to_le_bytes());
        }
        // Not what it was called with: this is part of something else.
        let site = before(&[0xbf, 0x9d, 0xff, 0xff, 0xff, 0x0f, 0x05]);
        assert_eq!(rewrite(&ENTRIES, (1, true), &call(257), &site, &NONE), None);
    }

    #[test]
    fn the_code_between_a_load_and_the_call_stays() {
        let site = before(&[0x8b, 0x7c, 0x24, 0x08, 0x31, 0xc0, 0x0f, 0x05]);
        let done = rewrite(&ENTRIES, (2, true), &call(0), &site, &NONE).expect("a known form");
        // With what follows: jmp ds:[0x050fc031].
        assert_eq!(done.code, vec![(UserAddr(IP.0 - 8), vec![0x3e, 0xff, 0x24, 0x25])]);
        assert_eq!(done.gate[0].1[32..36], site[1..5]);
        assert_eq!(done.gate[1], (UserAddr(0x050f_c031), (GATES.start.0 + 2 * 64 + 32).to_le_bytes().to_vec()));
        assert!(done.lone);
        assert_eq!(rewrite(&ENTRIES, (2, false), &call(0), &site, &NONE), None);
        // A load to another register.
        let site = before(&[0x44, 0x8b, 0x7c, 0x24, 0x08, 0x31, 0xc0, 0x0f, 0x05]);
        assert_eq!(rewrite(&ENTRIES, (2, true), &call(0), &site, &NONE), None);
    }

    #[test]
    fn a_read_jumps_behind_its_function() {
        let site = before(&[0x31, 0xc0, 0x0f, 0x05]);
        let mut after = NONE;
        after[..9].copy_from_slice(&[0x48, 0x3d, 0x00, 0xf0, 0xff, 0xff, 0x77, 0x5b, 0xc3]);
        assert_eq!(rewrite(&ENTRIES, (0, true), &call(0), &site, &after), None, "no room");
        after[9..19].copy_from_slice(&[0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0]);
        let done = rewrite(&ENTRIES, (0, true), &call(0), &site, &after).expect("a known form");
        assert_eq!(done.code[0].0, UserAddr(IP.0 + 9));
        assert_eq!(done.code[0].1, [0xff, 0x24, 0x25, 0x00, 0x00, 0x0f, 0x05]);
        assert_eq!(done.code[1], (UserAddr(IP.0 - 4), vec![0xeb, 0x0b]));
    }
}
