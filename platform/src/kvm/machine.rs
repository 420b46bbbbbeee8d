//! The virtual machine of a sandbox: its memory, what its virtual CPUs are made of, and which kind of host this is.

use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};
use std::sync::{Arc, OnceLock};

use kvm_bindings::{CpuId, KVM_MAX_CPUID_ENTRIES};
use kvm_ioctls::{Cap, Kvm, VmFd};

use super::arena::Arena;
use super::layout::{self, MAX_VCPUS};
use super::slots::Slots;
use super::tree::{self, Leaf};
use super::vcpu::Vcpu;
use super::{failed, text};
use crate::stub::host_error;
use crate::stub::xsave::{self, XsaveFormat};
use crate::traits::PlatformError;

/// How a host runs guests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// Intel's or AMD's hardware: our entries run in ring 0.
    Hardware,
    /// Without it: application code runs as it is, our entry of system calls in ring 3 as well, and ring 0 is emulated.
    Paravirtual,
}

#[derive(Debug)]
pub(super) struct Machine {
    pub(super) vm: VmFd,
    pub(super) arena: Arena,
    pub(super) slots: Slots,
    pub(super) cpuid: CpuId,
    /// The vector state that applications may use.
    pub(super) xcr0: u64,
    /// Virtual CPUs that may be made.
    pub(super) limit: usize,
    /// The table of our own pages.
    shared_table: OnceLock<u64>,
    variant: OnceLock<Variant>,
    format: OnceLock<XsaveFormat>,
}

/// Without these nothing works.
const NEEDED: [(Cap, &str); 5] = [
    (Cap::UserMemory, "guest memory"),
    (Cap::SyncRegs, "registers in shared memory"),
    (Cap::ImmediateExit, "an immediate exit"),
    (Cap::Xsave, "the XSAVE area"),
    (Cap::Xcrs, "extended control registers"),
];

impl Machine {
    /// A machine with nothing in it, over an open `/dev/kvm`, with at most `limit` virtual CPUs.
    pub(super) fn new(device: OwnedFd, limit: usize) -> Result<Arc<Self>, PlatformError> {
        // SAFETY: the descriptor is ours, and now the value's.
        let kvm = unsafe { Kvm::from_raw_fd(device.into_raw_fd()) };
        if kvm.get_api_version() != 12 {
            return Err(PlatformError::Unavailable("/dev/kvm speaks another version".into()));
        }
        if let Some((_, what)) = NEEDED.iter().find(|(cap, _)| !kvm.check_extension(*cap)) {
            return Err(PlatformError::Unavailable(format!("/dev/kvm does not offer {what}")));
        }
        let supported = kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES);
        let supported = supported.map_err(|error| failed("KVM_GET_SUPPORTED_CPUID", &error))?;
        let vm = kvm.create_vm().map_err(|error| failed("KVM_CREATE_VM", &error))?;
        let machine = Self {
            vm,
            arena: Arena::new().map_err(|errno| host_error("memory for page tables", errno))?,
            slots: Slots::new(kvm.get_nr_memslots(), super::cpuid::address_bits(&supported)),
            xcr0: super::cpuid::vector_features(&supported) & xsave::COMMON,
            cpuid: super::cpuid::filtered(&supported)?,
            limit: limit.clamp(1, kvm.get_max_vcpus().min(MAX_VCPUS)),
            shared_table: OnceLock::new(),
            variant: OnceLock::new(),
            format: OnceLock::new(),
        };
        machine.make_shared_pages()?;
        Ok(Arc::new(machine))
    }

    fn make_shared_pages(&self) -> Result<(), PlatformError> {
        let table = self.arena.table(&self.vm)?;
        let pages = [
            (layout::TEXT, text::entries(), true, true),
            (layout::IDT, text::gates(), false, false),
            (layout::GDT, text::segments(), false, false),
            (layout::HANDLERS, text::handlers(), false, true),
        ];
        for (at, words, user, exec) in pages {
            let page = self.arena.page(&self.vm, &words)?;
            let leaf = Leaf::ours(page, user, false, exec);
            tree::leaf(self, table, at).store(leaf.bits(), std::sync::atomic::Ordering::Release);
        }
        self.shared_table.get_or_init(|| table);
        Ok(())
    }

    /// Gives a virtual CPU its own page. Returns its guest address.
    pub(super) fn make_task_page(&self, index: usize) -> Result<u64, PlatformError> {
        let ports = self.variant() != Some(Variant::Hardware);
        let page = self.arena.page(&self.vm, &text::task_state(index, ports))?;
        let leaf = Leaf::ours(page, false, true, false);
        let entry = tree::leaf(self, self.shared_table(), layout::task(index));
        entry.store(leaf.bits(), std::sync::atomic::Ordering::Release);
        Ok(page)
    }

    /// The guest address of the table of our own pages.
    pub(super) fn shared_table(&self) -> u64 {
        self.shared_table.get().copied().unwrap_or_default()
    }

    /// What kind of host it turned out to be.
    pub(super) fn variant(&self) -> Option<Variant> {
        self.variant.get().copied()
    }

    /// The first virtual CPU was tried out.
    pub(super) fn learn(&self, variant: Variant, vcpu: &Vcpu) -> Result<(), PlatformError> {
        let area = vcpu.vector_area()?;
        let format = XsaveFormat::new(&area, self.xcr0)?;
        self.variant.get_or_init(|| variant);
        self.format.get_or_init(|| format);
        if variant == Variant::Hardware {
            // Made before this was known.
            vcpu.forbid_ports();
        }
        Ok(())
    }

    /// What vector state looks like.
    pub(super) fn format(&self) -> Result<&XsaveFormat, PlatformError> {
        self.format.get().ok_or_else(|| PlatformError::Unavailable("the machine was not tried out".into()))
    }
}
