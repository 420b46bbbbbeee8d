//! What there is of stubs, and when it is gone.

use std::arch::naked_asm;
use std::thread;

use super::harness::{CODE, DATA, STUBS, World, syscall};
use crate::ptrace::text;
use crate::{Platform, PlatformError, Prot, Resume, Sharing};

#[unsafe(naked)]
extern "C" fn calls() {
    naked_asm!("2:", "mov eax, 39", "syscall", "jmp 2b")
}

/// Processes whose parent is this one, by their state.
fn children() -> Vec<(i32, char)> {
    let me = std::process::id().to_string();
    let stat = |pid: i32| std::fs::read_to_string(format!("/proc/{pid}/stat")).ok();
    let of_ours = |pid: i32| {
        let stat = stat(pid)?;
        let mut rest = stat.rsplit_once(") ")?.1.split(' ');
        let state = rest.next()?.chars().next()?;
        (rest.next()? == me).then_some((pid, state))
    };
    let entries = std::fs::read_dir("/proc").unwrap();
    entries.filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok()).filter_map(of_ours).collect()
}

#[test]
fn a_stub_maps_what_it_was_told_and_nothing_is_left_behind() {
    let _alone = STUBS.write().unwrap_or_else(std::sync::PoisonError::into_inner);
    assert_eq!(children(), []);
    let world = World::alone();
    let space = world.space(calls);
    let mut context = world.context();
    syscall(&mut *context, &space, Resume::Regs);
    let mut traced = children();
    traced.retain(|(_, state)| *state == 't');
    assert_eq!(traced.len(), 1);
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", traced[0].0)).unwrap();
    let maps: Vec<_> = maps.lines().map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect();
    let page = |at: u64, len: u64, rights: &str| format!("{:08x}-{:08x} {rights}", at, at + len);
    let expected = [
        page(CODE, 4096, "r-xs"),
        page(DATA, 0x1_0000, "rw-s"),
        page(text::COMMANDS, 4096, "r--s"),
        page(text::TEXT, 4096, "r-xs"),
    ];
    assert_eq!(maps[..4], expected);
    assert!(maps[4..].iter().all(|line| line.starts_with("ffffffffff600000-")), "{maps:?}");
    // Threads, forks, an exec and a killed stub.
    thread::scope(|scope| {
        for _ in 0..8 {
            let mut child = context.duplicate(Sharing::Space).unwrap();
            let space = &space;
            scope.spawn(move || syscall(&mut *child, space, Resume::Return(0)));
        }
    });
    for _ in 0..40 {
        let mut child = context.duplicate(Sharing::Nothing).unwrap();
        let copy = world.space(calls);
        let run = || {
            syscall(&mut *child, &copy, Resume::Return(0));
            child.detach();
            let fresh = world.space(calls);
            syscall(&mut *child, &fresh, Resume::Return(0));
            drop(child);
        };
        thread::scope(|scope| scope.spawn(run).join().unwrap());
    }
    drop(context.duplicate(Sharing::Space));
    assert!(children().iter().all(|(_, state)| *state != 'Z'));
    drop((context, space, world));
    assert_eq!(children(), []);
}

#[test]
fn a_killed_stub_is_reported() {
    let _alone = STUBS.write().unwrap_or_else(std::sync::PoisonError::into_inner);
    let world = World::alone();
    let space = world.space(calls);
    let mut context = world.context();
    syscall(&mut *context, &space, Resume::Regs);
    let stubs = children();
    let stub = stubs.iter().find(|(_, state)| *state == 't').unwrap().0;
    host::child::kill(stub, libc::SIGKILL).unwrap();
    assert!(matches!(context.run(&space, Resume::Return(0)), Err(PlatformError::StubDied)));
    assert!(matches!(context.run(&space, Resume::Return(0)), Err(PlatformError::StubDied)));
    // Parked stubs and the zygote may die too; others take their place, or there is an error.
    for (stub, state) in stubs {
        if state == 'S' {
            let _ = host::child::kill(stub, libc::SIGKILL);
        }
    }
    for _ in 0..4 {
        let space = world.space(calls);
        let mut other = world.context();
        let _ = other.run(&space, Resume::Regs);
    }
    drop((context, space, world));
    assert_eq!(children(), []);
}

#[test]
fn a_context_dropped_by_another_thread_takes_its_stub_along() {
    let world = World::new();
    let space = world.space(calls);
    let mut context = world.context();
    syscall(&mut *context, &space, Resume::Regs);
    thread::scope(|scope| scope.spawn(|| drop(context)).join().unwrap());
    let space = world.space(calls);
    syscall(&mut *world.context(), &space, Resume::Regs);
}

#[test]
fn nothing_of_the_last_application_survives_in_a_stub() {
    let world = World::new();
    for round in 0..5 {
        let space = world.space(calls);
        let mut context = world.context();
        let fresh = context.fpu().unwrap();
        syscall(&mut *context, &space, Resume::Regs);
        let regs = context.regs().unwrap();
        assert_eq!((regs.rbx, regs.r12, regs.r15, regs.fs_base, regs.rbp), (0, 0, 0, 0, 0), "round {round}");
        (regs.rbx, regs.fs_base, regs.r15) = (1, 2, 3);
        syscall(&mut *context, &space, Resume::Regs);
        let mut dirty = fresh.clone();
        dirty.bytes_mut()[160..300].fill(7);
        dirty.bytes_mut()[512] = 3;
        context.set_fpu(Some(&dirty)).unwrap();
        syscall(&mut *context, &space, Resume::Return(0));
    }
    let space = world.platform.new_address_space().unwrap();
    space.update(&[world.map(CODE, 0, 4096, Prot::READ_EXEC)]).unwrap();
    let mut context = world.context();
    syscall(&mut *context, &space, Resume::Regs);
    assert!(context.fpu().unwrap().bytes()[160..300].iter().all(|byte| *byte == 0));
}
