//! What only virtual CPUs can get wrong: few of them for many contexts, page tables that serve again, ports.

use std::arch::naked_asm;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use abi::UserAddr;

use super::harness::{CODE, DATA, DATA_OFFSET, Kind, World, open_kvm, syscall};
use crate::kvm::Kvm;
use crate::{Event, Exception, MapOp, Prot, Regs, Resume, Sharing};

/// A world with four virtual CPUs, where there is `/dev/kvm`.
fn world() -> Option<World> {
    let device = open_kvm()?;
    let mut world = World::new(Kind::Kvm);
    world.platform = Box::new(Kvm::with(device, 4).unwrap());
    Some(world)
}

#[unsafe(naked)]
extern "C" fn calls() {
    naked_asm!("2:", "mov eax, 5", "syscall", "jmp 2b")
}

#[test]
fn five_hundred_contexts_keep_their_registers_on_four_virtual_cpus() {
    let Some(world) = world() else { return };
    let space = world.space(calls);
    let mut first = world.context();
    syscall(&mut *first, &space, Resume::Regs);
    thread::scope(|scope| {
        for number in 0..500_u64 {
            let mut context = first.duplicate(Sharing::Space).unwrap();
            let space = &space;
            let run = move || {
                let mut vectors = context.fpu().unwrap();
                vectors.bytes_mut()[160..168].copy_from_slice(&number.to_le_bytes());
                context.set_fpu(Some(&vectors)).unwrap();
                let regs = context.regs().unwrap();
                (regs.rbx, regs.fs_base, regs.rip) = (number, number << 12, CODE);
                syscall(&mut *context, space, Resume::Regs);
                for _ in 0..20 {
                    syscall(&mut *context, space, Resume::Return(number));
                    let regs = context.regs().unwrap();
                    assert_eq!((regs.rbx, regs.fs_base), (number, number << 12));
                }
                assert_eq!(context.fpu().unwrap().bytes()[160..168], number.to_le_bytes());
            };
            thread::Builder::new().stack_size(256 << 10).spawn_scoped(scope, run).unwrap();
        }
    });
}

#[unsafe(naked)]
extern "C" fn count() {
    naked_asm!("2:", "lock inc qword ptr [rbx]", "jmp 2b")
}

#[test]
fn who_computes_for_ever_lets_others_compute() {
    let Some(world) = world() else { return };
    let space = world.space(count);
    let contexts: Vec<_> = (0..12).map(|_| world.context()).collect();
    let interrupters: Vec<_> = contexts.iter().map(|context| context.interrupter()).collect();
    let wrong = AtomicBool::new(false);
    thread::scope(|scope| {
        for (index, mut context) in (0..).zip(contexts) {
            let (space, wrong) = (&space, &wrong);
            scope.spawn(move || {
                context.regs().unwrap().rbx = DATA + index * 64;
                let event = context.run(space, Resume::Regs);
                wrong.fetch_or(!matches!(event, Ok(Event::Interrupted)), Ordering::SeqCst);
            });
        }
        while (0..12).any(|index| world.read_u64(DATA_OFFSET + index * 64) == 0) {
            thread::yield_now();
        }
        interrupters.iter().for_each(crate::Interrupter::interrupt);
    });
    assert!(!wrong.load(Ordering::SeqCst));
}

#[unsafe(naked)]
extern "C" fn look() {
    naked_asm!("mov rbx, 0x500000", "2:", "mov rdi, [rbx]", "mov eax, 5", "syscall", "jmp 2b")
}

#[test]
fn page_tables_that_serve_again_show_nothing_of_before() {
    let Some(world) = world() else { return };
    let mut context = world.context();
    // Each takes half a dozen tables, of which a thousand are left before they serve again.
    for round in 0..500_u64 {
        let offset = DATA_OFFSET + round % 16 * 4096;
        world.write(offset, &round.to_le_bytes());
        let space = world.space(look);
        space.update(&[world.map(DATA, offset, 4096, Prot::READ)]).unwrap();
        *context.regs().unwrap() = Regs::start(CODE, 0);
        assert_eq!(syscall(&mut *context, &space, Resume::Regs), (5, round));
        let other = DATA_OFFSET + (round + 7) % 16 * 4096;
        world.write(other, &(!round).to_le_bytes());
        space.update(&[world.map(DATA, other, 4096, Prot::READ)]).unwrap();
        assert_eq!(syscall(&mut *context, &space, Resume::Return(0)), (5, !round));
        context.detach();
    }
}

#[test]
fn a_large_mapping_is_there_where_it_is_touched() {
    let Some(world) = world() else { return };
    let space = world.space(look);
    world.write(0x10_0000 - 4096, &7_u64.to_le_bytes());
    // SAFETY: no memory is involved.
    assert_eq!(unsafe { libc::ftruncate(std::os::fd::AsRawFd::as_raw_fd(&*world.file), 1 << 36) }, 0);
    let at = 0x10_0000_0000;
    space.update(&[world.map(at, 0, 1 << 36, Prot::READ_WRITE)]).unwrap();
    let mut context = world.context();
    // Over the ends of windows and tables, and far from each other.
    for offset in [0xf_f000, 0, 1 << 21, (1 << 26) - 4096, 1 << 26, 1 << 30, 1 << 35, (1 << 36) - 4096] {
        *context.regs().unwrap() = Regs { rbx: at + offset, ..Regs::start(CODE + 7, 0) };
        let expected = world.read_u64(offset);
        assert_eq!(syscall(&mut *context, &space, Resume::Regs), (5, expected), "{offset:#x}");
    }
    space.update(&[MapOp::Unmap(super::harness::range(at, 1 << 36))]).unwrap();
    *context.regs().unwrap() = Regs { rbx: at, ..Regs::start(CODE + 7, 0) };
    assert!(matches!(context.run(&space, Resume::Regs).unwrap(), Event::Fault { .. }));
}

#[unsafe(naked)]
extern "C" fn forbidden() {
    naked_asm!(
        "out 0xf1, al",
        "in al, 0xf1",
        "mov edx, 0xf1",
        "out dx, al",
        "in eax, dx",
        "out 0x80, al",
        "rdmsr",
        "wrmsr",
        "hlt",
        "mov rax, cr3",
        "lgdt [rsp]",
        "invlpg [rsp]",
        "swapgs",
        "sysretq",
        "iretq",
    )
}

#[test]
fn what_only_a_kernel_may_do_is_a_fault() {
    let Some(world) = world() else { return };
    let space = world.space(forbidden);
    let mut context = world.context();
    let lengths = [2, 2, 0, 1, 1, 2, 2, 2, 1, 3, 4, 4, 3, 3];
    let mut at = CODE;
    for length in lengths {
        // `mov edx` is no fault.
        if length == 0 {
            at += 5;
            continue;
        }
        *context.regs().unwrap() = Regs { rdx: 0xf1, rax: 0xdead, rcx: 0xc000_0082, ..Regs::start(at, DATA + 64) };
        let event = context.run(&space, Resume::Regs).unwrap();
        let fault = Event::Exception(Exception { signo: libc::SIGSEGV, code: 0x80, addr: UserAddr::NULL });
        let illegal = matches!(event, Event::Exception(Exception { signo: libc::SIGILL, .. }));
        assert!(event == fault || illegal, "{event:?} at {:#x}", at - CODE);
        let regs = *context.regs().unwrap();
        assert_eq!((regs.rip, regs.rax & 0xffff), (at, 0xdead), "at {:#x}", at - CODE);
        at += length;
    }
}

#[test]
fn our_own_pages_are_out_of_reach() {
    let Some(world) = world() else { return };
    let space = world.space(look);
    let mut context = world.context();
    for page in (0x7fff_ffe0_1000..0x7fff_ffff_f000_u64).step_by(4096) {
        *context.regs().unwrap() = Regs { rbx: page, ..Regs::start(CODE + 7, 0) };
        let event = context.run(&space, Resume::Regs).unwrap();
        assert!(matches!(event, Event::Fault { addr, .. } if addr.0 == page), "{event:?} at {page:#x}");
    }
    // Whoever runs our entries makes calls of its own.
    for offset in (0..64).chain(4096..4096 + 64).chain(3 * 4096..3 * 4096 + 64) {
        *context.regs().unwrap() = Regs { rcx: CODE, r11: 0x202, ..Regs::start(0x7fff_ffe0_0000 + offset, DATA) };
        let event = context.run(&space, Resume::Regs).unwrap();
        assert_ne!(event, Event::Interrupted, "{offset:#x}");
        let regs = *context.regs().unwrap();
        assert!(regs.cs & 3 == 3 && regs.eflags & 0x3000 == 0, "{regs:?}");
    }
    assert!(
        space.update(&[MapOp::Unmap(abi::UserRange::between(UserAddr(CODE), UserAddr(0x7fff_ffe0_1000)))]).is_err()
    );
}
