//! A virtual CPU: loads an application's registers, runs, and says where it came out.
//!
//! Registers go in and out through the page shared with the host's kernel. Whatever a guest is interrupted in, what comes
//! out are registers of ring 3: in our few instructions of ring 0 there is nothing to save.

use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::AtomicU8;

use kvm_bindings::{
    KVM_VCPU_TSC_CTRL, KVM_VCPU_TSC_OFFSET, Msrs, kvm_device_attr, kvm_msr_entry, kvm_regs, kvm_segment, kvm_xcrs,
    kvm_xsave,
};
use kvm_ioctls::{SyncReg, VcpuExit, VcpuFd};

use super::calls::SET_ATTRIBUTE;
use super::control::Running;
use super::layout::{self, HANDLER, HANDLERS, OUT_LEN, PORT_SYSCALL, PORT_SYSCALL32, USER32_CS};
use super::machine::{Machine, Variant};
use super::space::Space;
use super::{cpuid, failed, text};
use crate::regs::{FpuState, Regs, USER_CS, USER_DS};
use crate::traits::PlatformError;

#[derive(Debug)]
pub(super) struct Vcpu {
    fd: VcpuFd,
    machine: Arc<Machine>,
    /// The guest address of its own page, and where the guest has it.
    page: u64,
    page_at: u64,
}

/// Where a run came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// A system call; `rip` is behind it.
    Syscall { compat: bool },
    /// An exception, with its error code, and the address of a page fault.
    Vector { vector: u8, error: u64, addr: u64 },
    /// Application code used a port of ours where it may (on a paravirtual host); with `done`, `rip` is behind that.
    Port { done: bool },
    /// The host has no memory behind an address; not every host says which.
    NoMemory,
    /// Nothing; somebody wants something of us.
    Interrupted,
    /// Something that cannot be.
    Broken(&'static str),
}

const CR0: u64 = 0x8005_0033; // PG AM WP NE ET MP PE
const CR4: u64 = 0x4_0620; // OSXSAVE OSXMMEXCPT OSFXSR PAE
const CR4_FSGSBASE: u64 = 1 << 16;
const EFER: u64 = 0xd01; // NXE LMA LME SCE

const MSR_TSC: u32 = 0x10;
const MSR_STAR: u32 = 0xc000_0081;
const MSR_LSTAR: u32 = 0xc000_0082;
const MSR_CSTAR: u32 = 0xc000_0083;
const MSR_SFMASK: u32 = 0xc000_0084;
/// Base of the selectors that `syscall` loads, and of those that `sysret` would.
const STAR: u64 = 0x23 << 48 | (layout::KERNEL_CS as u64) << 32;
/// As Linux: all flags that a kernel does not want.
const SFMASK: u64 = 0x25_7fd5;
/// What an application may have in its flags (with RF, NT and ID, which only it can set).
const USER_FLAGS: u64 = 0x25_4dd5;
const FIXED_FLAGS: u64 = 0x202;

/// Exceptions that push an error code.
const WITH_ERROR: u32 =
    1 << 8 | 1 << 10 | 1 << 11 | 1 << 12 | 1 << 13 | 1 << 14 | 1 << 17 | 1 << 21 | 1 << 29 | 1 << 30;

impl Vcpu {
    pub(super) fn new(machine: &Arc<Machine>, index: usize) -> Result<Self, PlatformError> {
        let page = machine.make_task_page(index)?;
        let fd = machine.vm.create_vcpu(index as u64).map_err(|error| failed("KVM_CREATE_VCPU", &error))?;
        let mut vcpu = Self { fd, machine: Arc::clone(machine), page, page_at: layout::task(index) };
        vcpu.prepare()?;
        Ok(vcpu)
    }

    fn prepare(&mut self) -> Result<(), PlatformError> {
        let fd = &self.fd;
        fd.set_cpuid2(&self.machine.cpuid).map_err(|error| failed("KVM_SET_CPUID2", &error))?;
        let mut sregs = fd.get_sregs().map_err(|error| failed("KVM_GET_SREGS", &error))?;
        sregs.cr0 = CR0;
        sregs.cr4 = CR4 | if user_sets_bases() { CR4_FSGSBASE } else { 0 };
        sregs.efer = EFER;
        sregs.cr3 = self.machine.shared_table(); // nothing runs before an address space is loaded
        (sregs.idt.base, sregs.idt.limit) = (layout::IDT, text::GATES_LIMIT);
        (sregs.gdt.base, sregs.gdt.limit) = (layout::GDT, text::SEGMENTS_LIMIT);
        sregs.tr = kvm_segment {
            base: self.page_at,
            limit: text::TASK_LIMIT.into(),
            selector: layout::TASK_SELECTOR,
            type_: 11,
            present: 1,
            ..kvm_segment::default()
        };
        sregs.ldt = kvm_segment { unusable: 1, ..kvm_segment::default() };
        (sregs.cs, sregs.ss) = (code(USER_CS), data(USER_DS, 0));
        for segment in [&mut sregs.ds, &mut sregs.es, &mut sregs.fs, &mut sregs.gs] {
            *segment = data(0, 0);
        }
        fd.set_sregs(&sregs).map_err(|error| failed("KVM_SET_SREGS", &error))?;
        let mut xcrs = kvm_xcrs { nr_xcrs: 1, ..kvm_xcrs::default() };
        xcrs.xcrs[0].value = self.machine.xcr0;
        fd.set_xcrs(&xcrs).map_err(|error| failed("KVM_SET_XCRS", &error))?;
        let entry = |index, data| kvm_msr_entry { index, data, ..kvm_msr_entry::default() };
        let entries = [
            entry(MSR_STAR, STAR),
            entry(MSR_LSTAR, layout::SYSCALL),
            entry(MSR_CSTAR, layout::SYSCALL32),
            entry(MSR_SFMASK, SFMASK),
        ];
        let msrs = Msrs::from_entries(&entries).map_err(|_| PlatformError::Unavailable("too many registers".into()))?;
        match fd.set_msrs(&msrs) {
            Ok(n) if n == entries.len() => {}
            Ok(_) => return Err(PlatformError::Unavailable("the host does not let us set where calls enter".into())),
            Err(error) => return Err(failed("KVM_SET_MSRS", &error)),
        }
        self.set_clock()?;
        self.fd.set_sync_valid_reg(SyncReg::Register);
        self.fd.set_sync_valid_reg(SyncReg::SystemRegister);
        *self.fd.sync_regs_mut() =
            kvm_bindings::kvm_sync_regs { regs: kvm_regs::default(), sregs, ..kvm_bindings::kvm_sync_regs::default() };
        Ok(())
    }

    /// Makes the time stamp counter the host's.
    fn set_clock(&self) -> Result<(), PlatformError> {
        let offset = 0_u64;
        let attribute = kvm_device_attr {
            group: KVM_VCPU_TSC_CTRL,
            attr: KVM_VCPU_TSC_OFFSET.into(),
            addr: (&raw const offset).addr() as u64,
            flags: 0,
        };
        // kvm-ioctls has this call for other architectures only.
        // SAFETY: the call reads the attribute, and the word that it points to.
        if unsafe { libc::ioctl(self.fd.as_raw_fd(), SET_ATTRIBUTE.into(), &raw const attribute) } == 0 {
            return Ok(());
        }
        let entry = kvm_msr_entry { index: MSR_TSC, data: host::tsc::now(), ..kvm_msr_entry::default() };
        let msrs = Msrs::from_entries(&[entry]);
        let msrs = msrs.map_err(|_| PlatformError::Unavailable("too many registers".into()))?;
        self.fd.set_msrs(&msrs).map(drop).map_err(|error| failed("KVM_SET_MSRS", &error))
    }

    /// Loads what application code goes on with.
    pub(super) fn load(&mut self, regs: &Regs, space: &Space) {
        let sync = self.fd.sync_regs_mut();
        sync.regs = kvm_regs {
            rax: regs.rax,
            rbx: regs.rbx,
            rcx: regs.rcx,
            rdx: regs.rdx,
            rsi: regs.rsi,
            rdi: regs.rdi,
            rsp: regs.rsp,
            rbp: regs.rbp,
            r8: regs.r8,
            r9: regs.r9,
            r10: regs.r10,
            r11: regs.r11,
            r12: regs.r12,
            r13: regs.r13,
            r14: regs.r14,
            r15: regs.r15,
            rip: if regs.cs == USER_CS { regs.rip } else { regs.rip & 0xffff_ffff },
            rflags: regs.eflags & USER_FLAGS | FIXED_FLAGS,
        };
        let old = &sync.sregs;
        let same = old.cr3 == space.root()
            && (old.fs.base, old.gs.base) == (regs.fs_base, regs.gs_base)
            && [old.cs.selector, old.ss.selector, old.ds.selector, old.es.selector, old.fs.selector, old.gs.selector]
                .map(u64::from)
                == [regs.cs, regs.ss, regs.ds, regs.es, regs.fs, regs.gs]
            && old.cs.dpl == 3;
        if !same {
            let sregs = &mut sync.sregs;
            sregs.cr3 = space.root();
            (sregs.cs, sregs.ss) = (code(regs.cs), data(USER_DS, 0));
            (sregs.ds, sregs.es) = (data(regs.ds, 0), data(regs.es, 0));
            (sregs.fs, sregs.gs) = (data(regs.fs, regs.fs_base), data(regs.gs, regs.gs_base));
            sregs.interrupt_bitmap = [0; 4];
            self.fd.set_sync_dirty_reg(SyncReg::SystemRegister);
        }
        self.fd.set_sync_dirty_reg(SyncReg::Register);
        self.fd.set_kvm_immediate_exit(0);
    }

    /// For the control of who runs here.
    pub(super) fn running(&mut self) -> Running {
        let exit = &raw mut self.fd.get_kvm_run().immediate_exit;
        // SAFETY: the byte lies in the shared page, which is mapped as long as `self.fd` is; who runs here leaves its control
        // before it lets go of the virtual CPU.
        unsafe { Running::new(exit.cast::<AtomicU8>()) }
    }

    /// Runs what was loaded, until something happens. Leaves the application's registers in `regs`.
    pub(super) fn run(&mut self, regs: &mut Regs) -> Result<Exit, PlatformError> {
        let out = match self.fd.run() {
            Ok(VcpuExit::IoOut(port, _)) => Out::Port(port),
            Ok(VcpuExit::IoIn(..)) => Out::PortIn,
            Ok(VcpuExit::MemoryFault { .. }) => Out::NoMemory,
            Ok(VcpuExit::InternalError) => Out::Emulation,
            Ok(VcpuExit::Intr) => Out::Interrupted,
            Ok(VcpuExit::Hlt) => Out::Broken("a halt"),
            Ok(VcpuExit::Shutdown) => Out::Broken("a triple fault"),
            Ok(VcpuExit::FailEntry(..)) => Out::Broken("registers that the host does not load"),
            Ok(VcpuExit::MmioRead(..) | VcpuExit::MmioWrite(..)) => Out::Broken("an access to no memory"),
            Ok(_) => Out::Broken("an unknown exit"),
            Err(error) if matches!(error.errno(), libc::EINTR | libc::EAGAIN) => Out::Interrupted,
            Err(error) if error.errno() == libc::EFAULT => Out::NoMemory,
            Err(error) => return Err(failed("KVM_RUN", &error)),
        };
        self.store(regs);
        self.come_out(out, regs)
    }

    /// What a run that ended so means.
    fn come_out(&mut self, out: Out, regs: &mut Regs) -> Result<Exit, PlatformError> {
        let sync = self.fd.sync_regs_mut();
        let (ring, addr) = (sync.sregs.cs.dpl, sync.sregs.cr2);
        let at = regs.rip;
        let paravirtual = self.machine.variant() != Some(Variant::Hardware);
        Ok(match out {
            // The host says where the instruction is, or where it ends.
            Out::Port(port) if ring == 0 || paravirtual => match (u8::try_from(port), at) {
                (Ok(PORT_SYSCALL), _) if within(at, layout::SYSCALL) => syscall(regs, false),
                (Ok(PORT_SYSCALL32), _) if within(at, layout::SYSCALL32) => syscall(regs, true),
                (Ok(vector), _) if ring == 0 && within(at, HANDLERS + u64::from(vector) * HANDLER) => {
                    self.exception(vector, addr, regs)
                }
                _ => self.forbidden_port(),
            },
            Out::Port(_) => self.forbidden_port(),
            Out::PortIn => {
                self.forbidden_port();
                Exit::Port { done: false }
            }
            Out::NoMemory if ring == 3 => Exit::NoMemory,
            Out::Emulation if ring == 3 => Exit::Vector { vector: 6, error: 0, addr: 0 },
            Out::Interrupted if at == layout::SYSCALL && (ring == 0 || paravirtual) => syscall(regs, false),
            Out::Interrupted if at == layout::SYSCALL32 && (ring == 0 || paravirtual) => syscall(regs, true),
            Out::Interrupted if ring == 0 => match at.checked_sub(HANDLERS).map(|offset| offset / HANDLER) {
                Some(vector @ 0..256) => self.exception(vector as u8, addr, regs),
                _ => Exit::Broken("an interruption in ring 0"),
            },
            Out::Interrupted => self.requeued()?,
            Out::NoMemory => Exit::Broken("our own memory is gone"),
            Out::Emulation => Exit::Broken("an instruction of ring 0 that the host cannot emulate"),
            Out::Broken(what) => Exit::Broken(what),
        })
    }

    /// An exception whose frame is on our stack.
    fn exception(&self, vector: u8, addr: u64, regs: &mut Regs) -> Exit {
        let mut words = (regs.rsp.wrapping_sub(self.page_at) / 8..).map(|index| match usize::try_from(index) {
            Ok(index @ 0..512) => {
                Some(self.machine.arena.entry(self.page, index).load(std::sync::atomic::Ordering::Relaxed))
            }
            _ => None,
        });
        let mut next = || words.next().flatten();
        let error = if vector < 32 && WITH_ERROR >> vector & 1 == 1 { next() } else { Some(0) };
        let (Some(error), Some(rip), Some(cs), Some(eflags), Some(rsp)) = (error, next(), next(), next(), next())
        else {
            return Exit::Broken("a stack that is not ours");
        };
        if cs & 3 != 3 {
            return Exit::Broken("an exception in ring 0");
        }
        let cs = if cs == u64::from(USER32_CS) { cs } else { USER_CS };
        (regs.rip, regs.cs, regs.ss, regs.eflags, regs.rsp) = (rip, cs, USER_DS, eflags, rsp);
        if vector == layout::INT80 {
            regs.orig_rax = regs.rax;
            return Exit::Syscall { compat: true };
        }
        Exit::Vector { vector, error, addr }
    }

    /// An exception that was about to be delivered when we were interrupted becomes one that was, so that it cannot hit whoever
    /// runs here next.
    fn requeued(&mut self) -> Result<Exit, PlatformError> {
        let mut events = self.fd.get_vcpu_events().map_err(|error| failed("KVM_GET_VCPU_EVENTS", &error))?;
        if events.exception.injected == 0 && events.exception.pending == 0 {
            return Ok(Exit::Interrupted);
        }
        let (vector, error) = (events.exception.nr, events.exception.error_code);
        (events.exception.injected, events.exception.pending) = (0, 0);
        self.fd.set_vcpu_events(&events).map_err(|error| failed("KVM_SET_VCPU_EVENTS", &error))?;
        let sregs = self.fd.get_sregs().map_err(|error| failed("KVM_GET_SREGS", &error))?;
        Ok(Exit::Vector { vector, error: error.into(), addr: sregs.cr2 })
    }

    /// What the host would still do to registers for an instruction like `in`, it does to those that are not used any more.
    fn forbidden_port(&mut self) -> Exit {
        self.fd.set_kvm_immediate_exit(1);
        let _ = self.fd.run();
        self.fd.set_kvm_immediate_exit(0);
        Exit::Port { done: true }
    }

    /// Registers as the host left them.
    fn store(&mut self, to: &mut Regs) {
        let sync = self.fd.sync_regs_mut();
        let (regs, sregs) = (&sync.regs, &sync.sregs);
        *to = Regs {
            r15: regs.r15,
            r14: regs.r14,
            r13: regs.r13,
            r12: regs.r12,
            rbp: regs.rbp,
            rbx: regs.rbx,
            r11: regs.r11,
            r10: regs.r10,
            r9: regs.r9,
            r8: regs.r8,
            rax: regs.rax,
            rcx: regs.rcx,
            rdx: regs.rdx,
            rsi: regs.rsi,
            rdi: regs.rdi,
            orig_rax: u64::MAX,
            rip: regs.rip,
            cs: if sregs.cs.selector == USER32_CS { USER32_CS.into() } else { USER_CS },
            eflags: regs.rflags,
            rsp: regs.rsp,
            ss: USER_DS,
            fs_base: sregs.fs.base,
            gs_base: sregs.gs.base,
            ds: selector(&sregs.ds),
            es: selector(&sregs.es),
            fs: selector(&sregs.fs),
            gs: selector(&sregs.gs),
        };
    }

    /// The vector state as application code left it.
    pub(super) fn vectors(&self) -> Result<FpuState, PlatformError> {
        self.vector_area().map(|area| FpuState::from_bytes(&area))
    }

    pub(super) fn vector_area(&self) -> Result<Vec<u8>, PlatformError> {
        let area = self.fd.get_xsave().map_err(|error| failed("KVM_GET_XSAVE", &error))?;
        let bytes = area.region.iter().flat_map(|word| word.to_le_bytes());
        Ok(bytes.take(cpuid::vector_len()).collect())
    }

    /// Loads a vector state, as much of it as is valid.
    pub(super) fn set_vectors(&self, state: &FpuState) -> Result<(), PlatformError> {
        let format = self.machine.format()?;
        let mut area = kvm_xsave::default();
        let bytes = format.valid(state, self.machine.xcr0);
        for (word, bytes) in area.region.iter_mut().zip(bytes.chunks(4)) {
            *word = bytes.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte));
        }
        // SAFETY: without dynamically enabled state (vector_features leaves it out) the host reads no more than the region.
        unsafe { self.fd.set_xsave(&area) }.map_err(|error| failed("KVM_SET_XSAVE", &error))
    }

    /// Takes all ports from ring 3, for the trial's virtual CPU, which is the first.
    pub(super) fn forbid_ports(&self) {
        self.machine.arena.fill(self.page, &text::task_state(0, false));
    }

    /// Which ring it came out of, for the trial.
    pub(super) fn ring(&mut self) -> u8 {
        self.fd.sync_regs_mut().sregs.cs.dpl
    }
}

/// How the host's call ended.
enum Out {
    Port(u16),
    PortIn,
    NoMemory,
    Emulation,
    Interrupted,
    Broken(&'static str),
}

fn syscall(regs: &mut Regs, compat: bool) -> Exit {
    (regs.rip, regs.eflags) = (regs.rcx, regs.r11 & !0x1_0000);
    regs.cs = if compat { USER32_CS.into() } else { USER_CS };
    regs.orig_rax = regs.rax;
    Exit::Syscall { compat }
}

/// Whether an instruction pointer is at a piece of code of ours that leaves, or behind it.
const fn within(at: u64, entry: u64) -> bool {
    at == entry || at == entry + OUT_LEN
}

fn code(selector: u64) -> kvm_segment {
    let long = selector == USER_CS;
    kvm_segment {
        limit: u32::MAX,
        selector: selector as u16,
        type_: 11,
        present: 1,
        dpl: 3,
        s: 1,
        l: long.into(),
        db: (!long).into(),
        g: 1,
        ..kvm_segment::default()
    }
}

/// A data segment; of no selector, an unusable one.
fn data(selector: u64, base: u64) -> kvm_segment {
    if selector == 0 {
        return kvm_segment { base, unusable: 1, ..kvm_segment::default() };
    }
    kvm_segment {
        base,
        limit: u32::MAX,
        selector: selector as u16,
        type_: 3,
        present: 1,
        dpl: 3,
        s: 1,
        db: 1,
        g: 1,
        ..kvm_segment::default()
    }
}

/// The selector that an application loaded; null ones are alike.
fn selector(segment: &kvm_segment) -> u64 {
    if segment.selector & !3 == 0 { 0 } else { segment.selector.into() }
}

/// Whether the host lets ring 3 set its bases, so that the application may as well.
fn user_sets_bases() -> bool {
    const AT_HWCAP2: u64 = 26;
    host::auxv::value(AT_HWCAP2) & 2 != 0
}
