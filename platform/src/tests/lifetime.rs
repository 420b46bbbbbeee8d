//! What there is of stubs, and when it is gone.

use std::arch::naked_asm;
use std::thread;

use super::harness::{CODE, DATA, Kind, STUBS, World, syscall};
use crate::stub::layout;
use crate::{PlatformError, Prot, Resume, Sharing};

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

/// What a process has mapped: addresses and rights.
fn maps(pid: i32) -> Vec<String> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    maps.lines().map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect()
}

fn is_code(line: &str) -> bool {
    line.starts_with(&format!("{CODE:08x}-"))
}

fn a_stub_maps_what_it_was_told_and_nothing_is_left_behind(kind: Kind) {
    let _alone = STUBS.write().unwrap_or_else(std::sync::PoisonError::into_inner);
    assert_eq!(children(), []);
    let world = World::alone(kind);
    let space = world.space(calls);
    let mut context = world.context();
    syscall(&mut *context, &space, Resume::Regs);
    let maps = children()
        .iter()
        .map(|(pid, _)| maps(*pid))
        .find(|maps| maps.first().is_some_and(|line| is_code(line)))
        .unwrap();
    let page = |at: u64, len: u64, rights| format!("{at:08x}-{:08x} {rights}", at + len);
    let mut expected = vec![page(CODE, 4096, "r-xs"), page(DATA, 0x1_0000, "rw-s")];
    if kind != Kind::Ptrace {
        let area = maps[2].clone();
        assert!(area.starts_with("7fff8") && area.ends_with("rw-s"), "{area}");
        expected.push(area);
    }
    expected.extend([page(layout::COMMANDS, 4096, "r--s"), page(layout::TEXT, 8192, "r-xs")]);
    let (own, rest) = maps.split_at(expected.len());
    assert_eq!(own, expected);
    assert!(rest.iter().all(|line| line.starts_with("ffffffffff600000-")), "{maps:?}");
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

fn a_killed_stub_is_reported(kind: Kind) {
    let _alone = STUBS.write().unwrap_or_else(std::sync::PoisonError::into_inner);
    let world = World::alone(kind);
    let space = world.space(calls);
    let mut context = world.context();
    syscall(&mut *context, &space, Resume::Regs);
    let stubs = children();
    let stub = stubs.iter().find(|(pid, _)| maps(*pid).first().is_some_and(|line| is_code(line))).unwrap().0;
    host::child::kill(stub, libc::SIGKILL).unwrap();
    assert!(matches!(context.run(&space, Resume::Return(0)), Err(PlatformError::StubDied)));
    assert!(matches!(context.run(&space, Resume::Return(0)), Err(PlatformError::StubDied)));
    // Parked stubs and the zygote may die too; others take their place, or there is an error.
    for (other, _) in stubs {
        if other != stub {
            let _ = host::child::kill(other, libc::SIGKILL);
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

fn a_context_dropped_by_another_thread_takes_its_stub_along(kind: Kind) {
    let world = World::new(kind);
    let space = world.space(calls);
    let mut context = world.context();
    syscall(&mut *context, &space, Resume::Regs);
    thread::scope(|scope| scope.spawn(|| drop(context)).join().unwrap());
    let space = world.space(calls);
    syscall(&mut *world.context(), &space, Resume::Regs);
}

fn nothing_of_the_last_application_survives_in_a_stub(kind: Kind) {
    let world = World::new(kind);
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

/// What has stubs.
macro_rules! on_stubs {
    ($($name:ident $kind:ident),+) => {
        $(mod $name {
            use super::Kind;

            #[test]
            fn a_stub_maps_what_it_was_told_and_nothing_is_left_behind() {
                super::a_stub_maps_what_it_was_told_and_nothing_is_left_behind(Kind::$kind);
            }

            #[test]
            fn a_killed_stub_is_reported() {
                super::a_killed_stub_is_reported(Kind::$kind);
            }
        })+
    };
}

on_stubs!(ptrace_stub Ptrace, systrap_stub Systrap, systrap_futex_stub SystrapFutex, systrap_eager_stub SystrapEager);

super::harness::on_each_platform!(
    a_context_dropped_by_another_thread_takes_its_stub_along,
    nothing_of_the_last_application_survives_in_a_stub
);
