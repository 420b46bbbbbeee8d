//! Figures for docs/decisions/0002; run with `--ignored --nocapture`, in release mode.

use std::arch::naked_asm;
use std::time::Instant;

use super::harness::{Kind, World, range, syscall};
use crate::{MapOp, Prot, Resume, Sharing};

#[unsafe(naked)]
extern "C" fn calls() {
    naked_asm!("2:", "mov eax, 110", "syscall", "jmp 2b")
}

fn report(what: &str, times: u32, mut work: impl FnMut()) {
    let mut best = f64::MAX;
    for _ in 0..5 {
        let start = Instant::now();
        (0..times).for_each(|_| work());
        best = best.min(start.elapsed().as_secs_f64() * 1e6 / f64::from(times));
    }
    println!("{what}: {best:.2} us");
}

#[test]
#[ignore = "a measurement"]
fn measure() {
    for kind in Kind::ALL {
        println!("{kind:?}");
        measure_platform(kind);
    }
}

fn measure_platform(kind: Kind) {
    let world = World::new(kind);
    let space = world.space(calls);
    let mut context = world.context();
    syscall(&mut *context, &space, Resume::Regs);
    report("system call", 20000, || {
        syscall(&mut *context, &space, Resume::Return(0));
    });
    report("system call, with registers", 20000, || {
        context.regs().unwrap().rbx += 1;
        syscall(&mut *context, &space, Resume::Regs);
    });
    report("map and unmap, one batch", 5000, || {
        space.update(&[world.map(0x60_0000, 0x2_0000, 0x1_0000, Prot::READ)]).unwrap();
        space.update(&[MapOp::Unmap(range(0x60_0000, 0x1_0000))]).unwrap();
        syscall(&mut *context, &space, Resume::Return(0));
    });
    report("exec: another space on the same thread", 500, || {
        context.detach();
        let fresh = world.space(calls);
        context.regs().unwrap().rip = super::harness::CODE;
        syscall(&mut *context, &fresh, Resume::Regs);
    });
    let space = world.space(calls);
    let mut context = world.context();
    syscall(&mut *context, &space, Resume::Regs);
    report("thread, without any stub", 500, || {
        std::thread::scope(|scope| drop(scope.spawn(|| {})));
    });
    report("thread: duplicate, run once, drop", 500, || {
        let mut child = context.duplicate(Sharing::Space).unwrap();
        std::thread::scope(|scope| drop(scope.spawn(|| syscall(&mut *child, &space, Resume::Return(0)))));
    });
    report("fork: duplicate, run once, drop", 500, || {
        let mut child = context.duplicate(Sharing::Nothing).unwrap();
        let copy = world.space(calls);
        std::thread::scope(|scope| drop(scope.spawn(move || syscall(&mut *child, &copy, Resume::Return(0)))));
    });
}
