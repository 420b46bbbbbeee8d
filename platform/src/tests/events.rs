//! What application code can end in.

use std::arch::naked_asm;

use abi::UserAddr;

use super::harness::{CODE, DATA, DATA_LEN, DATA_OFFSET, Kind, World, range, syscall};
use crate::stub::layout;
use crate::{Access, Event, Exception, FpuState, MapOp, Prot, Regs, Resume};

#[unsafe(naked)]
extern "C" fn two_calls() {
    naked_asm!(
        "mov eax, 1000",
        "mov edi, 1",
        "mov esi, 2",
        "mov edx, 3",
        "mov r10d, 4",
        "mov r8d, 5",
        "mov r9d, 6",
        "syscall",
        "mov rdi, rax",
        "mov eax, 1001",
        "syscall",
        "mov eax, 20",
        "int 0x80",
        "ud2",
    )
}

fn a_system_call_has_its_arguments_and_gets_its_result(kind: Kind) {
    let world = World::new(kind);
    let space = world.space(two_calls);
    let mut context = world.context();
    let Event::Syscall(call) = context.run(&space, Resume::Regs).unwrap() else { panic!("no call") };
    assert_eq!((call.nr, call.args, call.compat), (1000, [1, 2, 3, 4, 5, 6], false));
    let regs = *context.regs().unwrap();
    assert_eq!((regs.rip, regs.rcx, regs.orig_rax), (call.ip.0, call.ip.0, 1000));
    // A value that the kernel would take for a call to restart, with a signal on its way.
    context.interrupter().interrupt();
    assert_eq!(context.run(&space, Resume::Return(-512_i64 as u64)).unwrap(), Event::Interrupted);
    assert_eq!(context.regs().unwrap().rax, -512_i64 as u64);
    assert_eq!(syscall(&mut *context, &space, Resume::AsIs), (1001, -512_i64 as u64));
    let Event::Syscall(call) = context.run(&space, Resume::Return(0)).unwrap() else { panic!("no call") };
    assert_eq!((call.nr, call.compat), (20, true));
    let Event::Exception(illegal) = context.run(&space, Resume::Return(0)).unwrap() else { panic!("no exception") };
    assert_eq!((illegal.signo, illegal.code), (libc::SIGILL, 2));
    assert_eq!(illegal.addr.0, context.regs().unwrap().rip);
}

#[unsafe(naked)]
extern "C" fn touch() {
    naked_asm!(
        "mov rbx, 0x600010",
        "mov qword ptr [rbx], 7",
        "mov rdi, [rbx]",
        "mov eax, 1",
        "syscall",
        "mov rdi, [rbx]",
        "mov eax, 2",
        "syscall",
        "mov rdi, 0x700000",
        "jmp rdi",
    )
}

fn faults_are_resolved_and_rights_taken_away(kind: Kind) {
    let world = World::new(kind);
    let space = world.space(touch);
    let mut context = world.context();
    // Not every host tells what the access was.
    let fault = |access| match kind {
        Kind::Ptrace => Event::Fault { addr: UserAddr(0x60_0010), access: Access::Unknown },
        _ => Event::Fault { addr: UserAddr(0x60_0010), access },
    };
    assert_eq!(context.run(&space, Resume::Regs).unwrap(), fault(Access::Write));
    space.update(&[world.map(0x60_0000, DATA_OFFSET, 4096, Prot::READ)]).unwrap();
    assert_eq!(context.run(&space, Resume::AsIs).unwrap(), fault(Access::Write));
    // Holes are skipped.
    space.update(&[MapOp::Protect(range(0x5f_0000, 0x2_0000), Prot::READ_WRITE)]).unwrap();
    assert_eq!(syscall(&mut *context, &space, Resume::AsIs), (1, 7));
    assert_eq!(world.read_u64(DATA_OFFSET + 16), 7);
    space.update(&[MapOp::Unmap(range(0x60_0000, 4096))]).unwrap();
    assert_eq!(context.run(&space, Resume::Return(0)).unwrap(), fault(Access::Read));
    space.update(&[world.map(0x60_0000, DATA_OFFSET, 4096, Prot::READ)]).unwrap();
    assert_eq!(syscall(&mut *context, &space, Resume::AsIs), (2, 7));
    let jump = Event::Fault { addr: UserAddr(0x70_0000), access: Access::Execute };
    assert_eq!(context.run(&space, Resume::Return(0)).unwrap(), jump);
}

#[unsafe(naked)]
extern "C" fn exceptions() {
    naked_asm!(
        "int3",
        "xor ecx, ecx",
        "div ecx",
        "mov rax, 0x8000000000000000",
        "mov rax, [rax]",
        "pushfq",
        "or qword ptr [rsp], 0x100",
        "popfq",
        "nop",
        "nop",
        "hlt",
    )
}

fn exceptions_have_signal_code_and_address(kind: Kind) {
    let world = World::new(kind);
    let space = world.space(exceptions);
    let mut context = world.context();
    let exception = |event| match event {
        Event::Exception(Exception { signo, code, addr }) => (signo, code, addr.0),
        other => panic!("{other:?}"),
    };
    assert_eq!(exception(context.run(&space, Resume::Regs).unwrap()), (libc::SIGTRAP, 0x80, 0));
    let divide = exception(context.run(&space, Resume::AsIs).unwrap());
    assert_eq!(divide, (libc::SIGFPE, 1, CODE + 3));
    context.regs().unwrap().rip += 2;
    assert_eq!(exception(context.run(&space, Resume::Regs).unwrap()), (libc::SIGSEGV, 0x80, 0));
    context.regs().unwrap().rip += 3;
    let step = exception(context.run(&space, Resume::Regs).unwrap());
    assert_eq!((step.0, step.1, step.2), (libc::SIGTRAP, 2, context.regs().unwrap().rip));
    context.regs().unwrap().eflags &= !0x100;
    assert_eq!(exception(context.run(&space, Resume::Regs).unwrap()), (libc::SIGSEGV, 0x80, 0));
}

#[unsafe(naked)]
extern "C" fn vsyscall() {
    naked_asm!("xor edi, edi", "mov rax, 0xffffffffff600400", "call rax", "ud2")
}

fn a_call_into_the_vsyscall_page_is_seen(kind: Kind) {
    let world = World::new(kind);
    let space = world.space(vsyscall);
    let mut context = world.context();
    let event = context.run(&space, Resume::Regs).unwrap();
    if let Event::Syscall(call) = event {
        // A notification comes from within the page, and the kernel returns to the caller afterwards.
        assert!(matches!(kind, Kind::Systrap | Kind::SystrapEager));
        assert_eq!((call.nr, call.ip), (201, UserAddr(0xffff_ffff_ff60_0400)));
        let Event::Exception(illegal) = context.run(&space, Resume::Return(7)).unwrap() else { panic!("no exception") };
        assert_eq!((illegal.signo, illegal.addr), (libc::SIGILL, UserAddr(CODE + 11)));
        let regs = *context.regs().unwrap();
        assert_eq!((regs.rip, regs.rsp, regs.rax), (CODE + 11, DATA + DATA_LEN, 7));
        return;
    }
    assert_eq!(event, Event::Fault { addr: UserAddr(0xffff_ffff_ff60_0400), access: Access::Execute });
    let regs = *context.regs().unwrap();
    assert_eq!((regs.rip, regs.rsp), (0xffff_ffff_ff60_0400, DATA + DATA_LEN - 8));
    assert_eq!(world.read_u64(DATA_OFFSET + DATA_LEN - 8), CODE + 11, "the return address");
}

#[unsafe(naked)]
extern "C" fn past_the_end() {
    naked_asm!("mov rax, [0x600000]", "ud2")
}

fn a_page_beyond_the_end_of_its_file_is_a_bus_error(kind: Kind) {
    let world = World::new(kind);
    let space = world.space(past_the_end);
    space.update(&[world.map(0x60_0000, 0x1000_0000, 4096, Prot::READ)]).unwrap();
    let mut context = world.context();
    let bus = Exception { signo: libc::SIGBUS, code: 2, addr: UserAddr(0x60_0000) };
    assert_eq!(context.run(&space, Resume::Regs).unwrap(), Event::Exception(bus));
}

#[unsafe(naked)]
extern "C" fn vectors() {
    naked_asm!(
        "vpaddd ymm1, ymm0, ymm0",
        "vmovdqu [rsp - 32], ymm1",
        "mov eax, 1",
        "syscall",
        "vmovdqu [rsp - 32], ymm1",
        "mov eax, 2",
        "syscall",
    )
}

fn vector_state_is_kept_copied_and_made_valid(kind: Kind) {
    if !std::arch::is_x86_feature_detected!("avx2") {
        return;
    }
    let world = World::new(kind);
    let space = world.space(vectors);
    let mut context = world.context();
    let mut state = context.fpu().unwrap();
    // ymm0 = 1 in each lane of 32 bits; garbage wherever the CPU would refuse it.
    let one = [1, 0, 0, 0].repeat(4);
    state.bytes_mut()[160..176].copy_from_slice(&one);
    state.bytes_mut()[576..592].copy_from_slice(&one);
    state.bytes_mut()[512..576].fill(0xff);
    state.bytes_mut()[512..520].copy_from_slice(&(u64::MAX ^ 0x6_01f8).to_le_bytes());
    state.bytes_mut()[24..28].fill(0xff);
    context.set_fpu(Some(&state)).unwrap();
    assert_eq!(syscall(&mut *context, &space, Resume::Regs).0, 1);
    for lane in 0..4 {
        assert_eq!(world.read_u64(DATA_OFFSET + DATA_LEN - 32 + lane * 8), 0x2_0000_0002);
    }
    let mut copy = context.duplicate(crate::Sharing::Space).unwrap();
    world.write(DATA_OFFSET + DATA_LEN - 32, &[0; 32]);
    context.set_fpu(None).unwrap();
    assert_eq!(syscall(&mut *context, &space, Resume::Return(0)).0, 2);
    assert_eq!(world.read_u64(DATA_OFFSET + DATA_LEN - 16), 0, "reset");
    assert_eq!(syscall(&mut *copy, &space, Resume::Return(0)).0, 2);
    assert_eq!(world.read_u64(DATA_OFFSET + DATA_LEN - 16), 0x2_0000_0002, "kept by the copy");
    for wrong in [0, 100, 512, 600, 100_000] {
        context.set_fpu(Some(&FpuState::from_bytes(&vec![0xff; wrong]))).unwrap();
        context.regs().unwrap().rip = CODE;
        assert_eq!(syscall(&mut *context, &space, Resume::Regs).0, 1);
    }
}

#[unsafe(naked)]
extern "C" fn call_forever() {
    naked_asm!("2:", "syscall", "jmp 2b")
}

fn no_register_value_breaks_the_platform(kind: Kind) {
    let world = World::new(kind);
    let space = world.space(call_forever);
    let mut context = world.context();
    syscall(&mut *context, &space, Resume::Regs);
    let mut seed = 1_u64;
    let mut random = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        match seed % 5 {
            0 => u64::MAX,
            1 => 0x8000_0000_0000_0000 >> (seed % 64),
            2 => seed % 0x100,
            3 => 0x7fff_ffff_f000_u64.wrapping_add(seed % 16),
            _ => seed,
        }
    };
    for round in 0..2000 {
        let mut words = [0; 27];
        words.fill_with(&mut random);
        let mut regs = Regs::from_words(words);
        if round % 2 == 0 {
            regs.rip = CODE;
        }
        *context.regs().unwrap() = regs;
        let interrupter = context.interrupter();
        let event = std::thread::scope(|scope| {
            // It may land in an endless loop somewhere in the stub's own pages.
            scope.spawn(move || {
                #[expect(
                    clippy::disallowed_methods,
                    reason = "now and then the interrupt shall find the stub at work"
                )]
                std::thread::sleep(std::time::Duration::from_millis(if round % 100 == 1 { 5 } else { 0 }));
                interrupter.interrupt();
            });
            context.run(&space, Resume::Regs).unwrap()
        });
        assert!(!matches!(event, Event::Exception(Exception { signo: libc::SIGSYS, .. })));
    }
    *context.regs().unwrap() = Regs { rax: 39, ..Regs::start(CODE, 0) };
    while context.run(&space, Resume::Regs).unwrap() == Event::Interrupted {
        *context.regs().unwrap() = Regs { rax: 39, ..Regs::start(CODE, 0) };
    }
}

#[test]
fn application_code_that_runs_our_text_makes_its_own_calls() {
    let world = World::new(Kind::Ptrace);
    let space = world.space(call_forever);
    let mut context = world.context();
    for offset in 0..2 * 4096 {
        let mut regs = Regs::start(layout::TEXT + offset, DATA + DATA_LEN);
        (regs.rbx, regs.r12) = (DATA, DATA + 0x1000);
        *context.regs().unwrap() = regs;
        let event = context.run(&space, Resume::Regs).unwrap();
        assert_ne!(event, Event::Interrupted);
    }
}

super::harness::on_each_platform!(
    a_system_call_has_its_arguments_and_gets_its_result,
    faults_are_resolved_and_rights_taken_away,
    exceptions_have_signal_code_and_address,
    a_call_into_the_vsyscall_page_is_seen,
    a_page_beyond_the_end_of_its_file_is_a_bus_error,
    vector_state_is_kept_copied_and_made_valid,
    no_register_value_breaks_the_platform
);
