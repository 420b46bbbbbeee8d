//! Contexts that share an address space, and threads that reach into running ones.

use std::arch::naked_asm;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use abi::UserAddr;

use super::harness::{CODE, DATA, DATA_OFFSET, Kind, World, range, syscall};
use crate::{AddressSpace, Context, Event, MapOp, Prot, Resume, Sharing};

#[unsafe(naked)]
extern "C" fn add_and_call() {
    naked_asm!("2:", "mov rbx, 0x500000", "lock inc qword ptr [rbx]", "mov eax, 5", "syscall", "jmp 2b")
}

fn threads_share_memory(kind: Kind) {
    let world = World::new(kind);
    let space = world.space(add_and_call);
    let mut context = world.context();
    syscall(&mut *context, &space, Resume::Regs);
    thread::scope(|scope| {
        for _ in 0..4 {
            let mut child = context.duplicate(Sharing::Space).unwrap();
            let space = &space;
            scope.spawn(move || (0..100).for_each(|_| assert_eq!(syscall(&mut *child, space, Resume::Return(0)).0, 5)));
        }
        (0..100).for_each(|_| assert_eq!(syscall(&mut *context, &space, Resume::Return(0)).0, 5));
    });
    assert_eq!(world.read_u64(DATA_OFFSET), 501);
}

fn a_context_without_reservation_gets_a_stub_from_one_that_runs(kind: Kind) {
    let world = World::new(kind);
    let space = world.space(spin);
    let mut first = world.context();
    let interrupter = first.interrupter();
    thread::scope(|scope| {
        let runner = scope.spawn(|| first.run(&space, Resume::Regs).unwrap());
        while world.read_u64(DATA_OFFSET) == 0 {
            thread::yield_now();
        }
        let mut second = world.context();
        second.interrupter().interrupt();
        assert_eq!(second.run(&space, Resume::Regs).unwrap(), Event::Interrupted);
        second.regs().unwrap().rip = 0x1000;
        assert!(matches!(second.run(&space, Resume::Regs).unwrap(), Event::Fault { .. }));
        interrupter.interrupt();
        assert_eq!(runner.join().unwrap(), Event::Interrupted);
    });
}

fn fork_gives_a_space_of_its_own(kind: Kind) {
    let world = World::new(kind);
    let space = world.space(add_and_call);
    let mut context = world.context();
    syscall(&mut *context, &space, Resume::Regs);
    let mut child = context.duplicate(Sharing::Nothing).unwrap();
    let copy = world.platform.new_address_space().unwrap();
    copy.update(&[world.map(CODE, 0, 4096, Prot::READ_EXEC), world.map(DATA, 0x8_0000, 4096, Prot::READ_WRITE)])
        .unwrap();
    thread::scope(|scope| {
        scope.spawn(|| syscall(&mut *child, &copy, Resume::Return(0)));
    });
    syscall(&mut *context, &space, Resume::Return(0));
    assert_eq!((world.read_u64(DATA_OFFSET), world.read_u64(0x8_0000)), (2, 1));
}

#[unsafe(naked)]
extern "C" fn spin() {
    naked_asm!("2:", "mov rbx, 0x500000", "lock inc qword ptr [rbx]", "jmp 2b")
}

fn a_right_is_gone_when_update_returns(kind: Kind) {
    let world = World::new(kind);
    let space = world.space(spin);
    let mut context = world.context();
    let seen = AtomicU32::new(0);
    let done = AtomicBool::new(false);
    let interrupter = context.interrupter();
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut resume = Resume::Regs;
            while !done.load(Ordering::SeqCst) {
                match context.run(&space, resume).unwrap() {
                    Event::Fault { addr, .. } => {
                        assert_eq!(addr, UserAddr(DATA));
                        seen.fetch_add(1, Ordering::SeqCst);
                        while seen.load(Ordering::SeqCst) & 1 == 1 {
                            thread::yield_now();
                        }
                    }
                    event => assert_eq!(event, Event::Interrupted),
                }
                resume = Resume::AsIs;
            }
        });
        for _ in 0..300 {
            let before = world.read_u64(DATA_OFFSET);
            while world.read_u64(DATA_OFFSET) == before {
                thread::yield_now();
            }
            space.update(&[MapOp::Protect(range(DATA, 4096), Prot::READ)]).unwrap();
            let after = world.read_u64(DATA_OFFSET);
            while seen.load(Ordering::SeqCst) & 1 == 0 {
                thread::yield_now();
            }
            assert_eq!(world.read_u64(DATA_OFFSET), after, "nothing was written after update returned");
            space.update(&[MapOp::Protect(range(DATA, 4096), Prot::READ_WRITE)]).unwrap();
            seen.fetch_add(1, Ordering::SeqCst);
        }
        done.store(true, Ordering::SeqCst);
        interrupter.interrupt();
    });
}

fn the_own_stub_makes_a_change_that_another_context_must_see(kind: Kind) {
    let world = World::new(kind);
    let space = world.space(spin);
    let mut first = world.context();
    let interrupter = first.interrupter();
    interrupter.interrupt();
    assert_eq!(first.run(&space, Resume::Regs).unwrap(), Event::Interrupted);
    thread::scope(|scope| {
        let runner = scope.spawn(|| first.run(&space, Resume::AsIs).unwrap());
        while world.read_u64(DATA_OFFSET) == 0 {
            thread::yield_now();
        }
        let mut own = world.context();
        own.regs().unwrap().rip = 0x1000;
        assert!(matches!(own.run(&space, Resume::Regs).unwrap(), Event::Fault { .. }));
        let before = *own.regs().unwrap();
        space.update(&[MapOp::Unmap(range(DATA, 4096))]).unwrap();
        let after = world.read_u64(DATA_OFFSET);
        assert!(matches!(runner.join().unwrap(), Event::Fault { addr: UserAddr(DATA), .. }));
        assert_eq!(world.read_u64(DATA_OFFSET), after);
        assert!(matches!(own.run(&space, Resume::AsIs).unwrap(), Event::Fault { .. }));
        assert_eq!(*own.regs().unwrap(), before);
    });
}

fn a_change_that_the_host_refuses_stops_everybody(kind: Kind) {
    let world = World::new(kind);
    let space = world.space(spin);
    let mut context = world.context();
    let read_only = Arc::new(std::os::fd::OwnedFd::from(std::fs::File::open("/proc/self/exe").unwrap()));
    let bad = MapOp::Map { at: UserAddr(DATA), len: 4096, file: &read_only, offset: 0, prot: Prot::READ_WRITE };
    thread::scope(|scope| {
        let runner = scope.spawn(|| context.run(&space, Resume::Regs));
        while world.read_u64(DATA_OFFSET) == 0 {
            thread::yield_now();
        }
        // Either this finds out at once, or whoever runs next.
        let _ = space.update(&[bad]);
        assert!(runner.join().unwrap().is_err());
    });
    assert!(space.update(&[]).is_err());
    assert!(world.context().run(&space, Resume::Regs).is_err());
}

fn updates_from_many_threads_while_many_run(kind: Kind) {
    let world = World::new(kind);
    let space = world.space(add_and_call);
    let mut context = world.context();
    syscall(&mut *context, &space, Resume::Regs);
    let busy = |mut context: Box<dyn Context>, space: &Arc<dyn AddressSpace>, at: u64, world: &World| {
        for _ in 0..200 {
            syscall(&mut *context, space, Resume::Return(0));
            space.update(&[world.map(at, 0x2_0000, 4096, Prot::READ)]).unwrap();
            space.update(&[MapOp::Unmap(range(at, 4096))]).unwrap();
        }
    };
    thread::scope(|scope| {
        for i in 0..3 {
            let child = context.duplicate(Sharing::Space).unwrap();
            let (space, world, busy) = (&space, &world, &busy);
            scope.spawn(move || busy(child, space, 0x60_0000 + i * 0x1000, world));
        }
        // One that owns no context.
        scope.spawn(|| {
            for _ in 0..200 {
                space.update(&[world.map(0x70_0000, 0, 4096, Prot::READ)]).unwrap();
                space.update(&[MapOp::Unmap(range(0x70_0000, 4096))]).unwrap();
            }
        });
        busy(context, &space, 0x61_0000, &world);
    });
    assert_eq!(world.read_u64(DATA_OFFSET), 801);
}

fn interrupts_are_not_lost(kind: Kind) {
    let world = World::new(kind);
    let space = world.space(spin);
    let mut context = world.context();
    let interrupter = context.interrupter();
    let returned = AtomicU32::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            for sent in 0..1000 {
                interrupter.interrupt();
                while returned.load(Ordering::SeqCst) <= sent {
                    thread::yield_now();
                }
            }
        });
        let mut resume = Resume::Regs;
        for _ in 0..1000 {
            assert_eq!(context.run(&space, resume).unwrap(), Event::Interrupted);
            returned.fetch_add(1, Ordering::SeqCst);
            resume = Resume::AsIs;
        }
    });
}

super::harness::on_each_platform!(
    threads_share_memory,
    a_context_without_reservation_gets_a_stub_from_one_that_runs,
    fork_gives_a_space_of_its_own,
    a_right_is_gone_when_update_returns,
    the_own_stub_makes_a_change_that_another_context_must_see,
    a_change_that_the_host_refuses_stops_everybody,
    updates_from_many_threads_while_many_run,
    interrupts_are_not_lost
);
