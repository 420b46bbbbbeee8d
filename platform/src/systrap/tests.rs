//! Applications that turn on their own stub.

use std::arch::naked_asm;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use abi::UserAddr;

use super::{area, text};
use crate::stub::layout;
use crate::tests::harness::{CODE, DATA, DATA_LEN, DATA_OFFSET, Kind, World, syscall};
use crate::{Context, Event, PlatformError, Regs, Resume};

#[unsafe(naked)]
extern "C" fn call_forever() {
    naked_asm!("2:", "syscall", "jmp 2b")
}

/// Writes random words where r12 begins, in r13 bytes, r14 of them between two calls; calls for SIGTRAP in between.
#[unsafe(naked)]
extern "C" fn scribble() {
    naked_asm!(
        "2:",
        "mov rbx, r14",
        "3:",
        "mov rax, r15",
        "shl rax, 13",
        "xor r15, rax",
        "mov rax, r15",
        "shr rax, 7",
        "xor r15, rax",
        "mov rax, r15",
        "shl rax, 17",
        "xor r15, rax",
        "mov rax, r15",
        "xor edx, edx",
        "div r13",
        "and rdx, -8",
        "mov [r12 + rdx], r15",
        "dec rbx",
        "jnz 3b",
        "mov eax, 39",
        "syscall",
        "mov eax, 15",
        "syscall",
        "int3",
        "jmp 2b",
    )
}

fn runs(world: &World) -> bool {
    let space = world.space(call_forever);
    let mut context = world.context();
    context.regs().unwrap().rax = 1234;
    syscall(&mut *context, &space, Resume::Regs).0 == 1234
}

fn whatever_is_written_to_areas_the_platform_survives(kind: Kind) {
    let world = World::new(kind);
    let mut deaths = 0;
    for round in 0..30_u64 {
        let space = world.space(scribble);
        let mut first = world.context();
        {
            let regs = first.regs().unwrap();
            // All areas that this process may have; and at last only what is not the control words.
            (regs.r12, regs.r13) = (area::START, 8 * area::LEN);
            (regs.r14, regs.r15) = (1 + round % 7 * 40, round * 77 + 1);
        }
        let second = first.duplicate(crate::Sharing::Nothing).unwrap();
        let over = AtomicBool::new(false);
        let interrupters = [first.interrupter(), second.interrupter()];
        let work = |mut context: Box<dyn Context>, begin: u64| {
            let mut resume = Resume::Regs;
            let mut died = false;
            context.regs().unwrap().r15 += begin;
            for _ in 0..2000 {
                match context.run(&space, resume) {
                    Ok(Event::Fault { addr, .. }) if addr.0 >= area::START && addr.0 < area::START + 8 * area::LEN => {
                        // Not mapped: somewhere else then.
                        let regs = context.regs().unwrap();
                        regs.r13 = area::LEN;
                        regs.r12 = area::START + (regs.r15 >> 20) % 8 * area::LEN;
                        regs.rip = CODE;
                        regs.rsp = DATA + DATA_LEN;
                        regs.r14 = regs.r14.clamp(1, 1000);
                        resume = Resume::Regs;
                    }
                    Ok(Event::Syscall(_)) => resume = Resume::Return(0),
                    Ok(_) => {
                        if let Ok(regs) = context.regs() {
                            *regs = Regs {
                                r12: regs.r12,
                                r13: area::LEN,
                                r14: 20,
                                r15: regs.r15 | 1,
                                ..Regs::start(CODE, DATA)
                            };
                        }
                        resume = Resume::Regs;
                    }
                    // The latter if it spoilt what a new thread says of itself.
                    Err(PlatformError::StubDied | PlatformError::Host { what: "start of a stub", .. }) => {
                        died = true;
                        break;
                    }
                    Err(other) => panic!("{other}"),
                }
                if over.load(Ordering::Relaxed) {
                    break;
                }
            }
            over.store(true, Ordering::Relaxed);
            interrupters.iter().for_each(|interrupter| interrupter.interrupt());
            died
        };
        thread::scope(|scope| {
            let other = scope.spawn(|| work(second, 1000));
            deaths += u32::from(work(first, 0)) + u32::from(other.join().unwrap());
        });
        assert!(runs(&world), "after round {round}");
    }
    assert!(deaths > 0, "it did no harm at all");
}

/// Addresses of the instructions `syscall` in our text, also where they are part of something else.
fn syscall_instructions() -> Vec<u64> {
    let page = text::page();
    let found = page.windows(2).enumerate().filter(|(_, bytes)| *bytes == [0x0f, 0x05]);
    found.map(|(offset, _)| layout::STUB_TEXT + offset as u64).collect()
}

fn calls_from_our_text_are_the_applications(kind: Kind) {
    let world = World::new(kind);
    let secret = 0x5ec2_e700_u64;
    world.write(0x9_0000, &secret.to_ne_bytes());
    let fd = std::os::fd::AsRawFd::as_raw_fd(&*world.file) as u64;
    let places = syscall_instructions();
    assert!(places.len() > 20);
    let mut space = world.space(call_forever);
    let mut context = world.context();
    for place in places {
        // 335 and 336 are the kernel's own probes, which pass by every filter and fail from anywhere but its own code.
        for number in (0..335).chain(337..470).chain([text::EVENT as u64, u64::MAX, 0x4000_0000]) {
            // Reads, writes, maps, duplicates, closes a descriptor of ours, whatever the number makes of it.
            let regs = Regs {
                rax: number,
                rdi: if number == 9 { DATA } else { fd },
                rsi: DATA,
                rdx: 4096,
                r10: if number == 9 { 0x11 } else { 0x9_0000 },
                r8: fd,
                r9: 0x9_0000,
                rbx: DATA,
                ..Regs::start(place, DATA + DATA_LEN - 512)
            };
            *context.regs().unwrap() = regs;
            let interrupter = context.interrupter();
            let own = match kind {
                Kind::SystrapFutex => number == libc::SYS_rt_sigreturn as u64,
                _ if number == text::EVENT as u64 => place + 2 == text::report_ip(),
                _ => [libc::SYS_rt_sigreturn, libc::SYS_sched_yield, libc::SYS_exit].contains(&number.cast_signed()),
            };
            let waits = kind == Kind::SystrapFutex && number == libc::SYS_futex as u64;
            if own || waits {
                interrupter.interrupt();
            }
            let mut event = context.run(&space, Resume::Regs);
            if own || waits {
                if let Ok(Event::Interrupted) = event {
                    // It waits for itself at most.
                    thread::scope(|scope| {
                        let end = scope.spawn(|| context.run(&space, Resume::AsIs));
                        while !end.is_finished() {
                            interrupter.interrupt();
                            thread::yield_now();
                        }
                        event = end.join().unwrap();
                    });
                }
                if event.is_err() {
                    space = world.space(call_forever);
                    context = world.context();
                }
            } else {
                while let Ok(Event::Interrupted) = event {
                    event = context.run(&space, Resume::AsIs);
                }
                match event {
                    Ok(Event::Syscall(call)) => {
                        assert_eq!((call.nr as u32, call.ip), (number as u32, UserAddr(place + 2)))
                    }
                    other => panic!("{number} at {place:x}: {other:?}"),
                }
            }
        }
    }
    assert_eq!(world.read_u64(0x9_0000), secret);
    assert_eq!(world.read_u64(DATA_OFFSET), 0, "nothing was read, and the file is as it was");
    drop(context);
    assert!(runs(&world));
}

#[unsafe(naked)]
extern "C" fn call_and_spin() {
    naked_asm!("mov eax, 39", "syscall", "2:", "inc rbx", "jmp 2b")
}

/// An application blocks the signal that is to make it report, by a frame of its own, and makes a call.
fn a_blocked_kick_is_found_out(program: extern "C" fn()) {
    let world = World::new(Kind::Systrap);
    let space = world.space(program);
    let mut context = world.context();
    let mut frame = [0_u64; 38];
    frame[0] = 6; // UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS
    frame[3] = 2; // SS_DISABLE
    let registers = 5;
    (frame[registers + 13], frame[registers + 15], frame[registers + 16]) = (39, DATA + DATA_LEN, CODE);
    (frame[registers + 17], frame[registers + 18]) = (0x202, 0x33 | 0x2b << 48);
    frame[37] = u64::MAX;
    for (at, word) in (DATA_OFFSET..).step_by(8).zip(frame) {
        world.write(at, &word.to_ne_bytes());
    }
    let place = syscall_instructions()[0];
    *context.regs().unwrap() = Regs { rax: libc::SYS_rt_sigreturn as u64, ..Regs::start(place, DATA) };
    assert_eq!(syscall(&mut *context, &space, Resume::Regs).0, 39);
    assert!(matches!(context.regs(), Err(PlatformError::StubDied)));
    assert!(matches!(context.run(&space, Resume::AsIs), Err(PlatformError::StubDied)));
    drop(context);
    assert!(runs(&world));
}

mod notify {
    use super::Kind;

    #[test]
    fn a_blocked_kick_is_found_out_by_the_next_call() {
        super::a_blocked_kick_is_found_out(super::call_forever);
    }

    #[test]
    fn a_blocked_kick_is_found_out_by_time() {
        super::a_blocked_kick_is_found_out(super::call_and_spin);
    }

    #[test]
    fn whatever_is_written_to_areas_the_platform_survives() {
        super::whatever_is_written_to_areas_the_platform_survives(Kind::Systrap);
    }

    #[test]
    fn calls_from_our_text_are_the_applications() {
        super::calls_from_our_text_are_the_applications(Kind::Systrap);
    }
}

mod eager {
    use super::Kind;

    #[test]
    fn whatever_is_written_to_areas_the_platform_survives() {
        super::whatever_is_written_to_areas_the_platform_survives(Kind::SystrapEager);
    }

    #[test]
    fn calls_from_our_text_are_the_applications() {
        super::calls_from_our_text_are_the_applications(Kind::SystrapEager);
    }
}

mod futex {
    use super::Kind;

    #[test]
    fn whatever_is_written_to_areas_the_platform_survives() {
        super::whatever_is_written_to_areas_the_platform_survives(Kind::SystrapFutex);
    }

    #[test]
    fn calls_from_our_text_are_the_applications() {
        super::calls_from_our_text_are_the_applications(Kind::SystrapFutex);
    }
}
