//! A program that finds out what kind of host this is, and whether guests work on it.

use std::os::fd::AsFd;
use std::sync::Arc;

use abi::UserAddr;
use host::memfd;

use super::machine::{Machine, Variant};
use super::space::{KvmSpace, Space};
use super::vcpu::{Exit, Vcpu};
use crate::regs::Regs;
use crate::stub::host_error;
use crate::traits::{AddressSpace, MapOp, PlatformError, Prot};

const CODE: u64 = 0x40_0000;
/// Where the program reads and there is nothing.
const NOTHING: u64 = 0x50_0000;
/// `syscall`, `mov rbx, [0x500000]`.
const PROGRAM: [u8; 10] = [0x0f, 0x05, 0x48, 0x8b, 0x1c, 0x25, 0x00, 0x00, 0x50, 0x00];
const NUMBER: u64 = 0x1234;

/// Makes the first virtual CPU and runs it.
pub(super) fn try_out(machine: &Arc<Machine>) -> Result<Vcpu, PlatformError> {
    let file = memfd::create("trial").map_err(|errno| host_error("memfd_create", errno))?;
    memfd::set_len(file.as_fd(), abi::PAGE_SIZE).map_err(|errno| host_error("ftruncate", errno))?;
    host::file::write_all(file.as_fd(), &PROGRAM).map_err(|errno| host_error("write", errno))?;
    let space: Arc<dyn AddressSpace> = Arc::new(KvmSpace::new(machine)?);
    let (at, file) = (UserAddr(CODE), Arc::new(file));
    space.update(&[MapOp::Map { at, len: abi::PAGE_SIZE, file: &file, offset: 0, prot: Prot::READ_EXEC }])?;
    let mut vcpu = Vcpu::new(machine, 0)?;
    let variant = run(&mut vcpu, KvmSpace::of(&space)?)?;
    machine.learn(variant, &vcpu)?;
    tracing::debug!(?variant, "guests work");
    Ok(vcpu)
}

fn run(vcpu: &mut Vcpu, space: &Space) -> Result<Variant, PlatformError> {
    let mut regs = Regs { rax: NUMBER, ..Regs::start(CODE, 0) };
    let unexpected = |what: &str, exit: Exit, regs: &Regs| {
        let at = regs.rip;
        Err(PlatformError::Unavailable(format!("a guest on trial {what} ({exit:?} at {at:#x})")))
    };
    let mut go = |regs: &mut Regs| {
        vcpu.load(regs, space);
        let exit = loop {
            match vcpu.run(regs)? {
                Exit::Interrupted => {}
                exit => break exit,
            }
        };
        Ok::<_, PlatformError>((exit, vcpu.ring()))
    };
    let (exit, ring) = go(&mut regs)?;
    if exit != (Exit::Syscall { compat: false }) || regs.orig_rax != NUMBER || regs.rip != CODE + 2 {
        return unexpected("cannot make a system call", exit, &regs);
    }
    let (exit, _) = go(&mut regs)?;
    match exit {
        Exit::Vector { vector: 14, addr: NOTHING, .. } if regs.rip == CODE + 2 => {}
        _ => return unexpected("does not fault as it should", exit, &regs),
    }
    Ok(if ring == 0 { Variant::Hardware } else { Variant::Paravirtual })
}
