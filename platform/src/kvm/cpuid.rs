//! What the CPUs of a guest say that they can do: what the host has and its kvm supports, without what only a kernel needs.

use std::arch::x86_64::__cpuid_count;

use kvm_bindings::{CpuId, kvm_cpuid_entry2};

use crate::traits::PlatformError;

/// MONITOR, VMX, SMX and the deadline timer, of leaf 1's ecx.
const KERNEL_ONLY_1: u32 = 1 << 3 | 1 << 5 | 1 << 6 | 1 << 24;
/// SVM, of the first extended leaf's ecx.
const SVM: u32 = 1 << 2;
/// What a hypervisor says of itself.
const HYPERVISOR: std::ops::Range<u32> = 0x4000_0000..0x5000_0000;

/// For the virtual CPUs.
pub(super) fn filtered(supported: &CpuId) -> Result<CpuId, PlatformError> {
    let entries: Vec<_> = supported
        .as_slice()
        .iter()
        .filter(|entry| !HYPERVISOR.contains(&entry.function))
        .map(|entry| {
            let mut entry = *entry;
            match entry.function {
                1 => entry.ecx &= !KERNEL_ONLY_1,
                0x8000_0001 => entry.ecx &= !SVM,
                0x8000_000a => (entry.eax, entry.ebx, entry.ecx, entry.edx) = (0, 0, 0, 0),
                _ => {}
            }
            entry
        })
        .collect();
    CpuId::from_entries(&entries).map_err(|_| PlatformError::Unavailable("too many leaves of cpuid".into()))
}

/// Bits of a guest address.
pub(super) fn address_bits(supported: &CpuId) -> u32 {
    find(supported, 0x8000_0008, 0).map_or(36, |entry| entry.eax & 0xff)
}

/// The vector state that guests may have and the host uses.
pub(super) fn vector_features(supported: &CpuId) -> u64 {
    let offered = find(supported, 0xd, 0).map_or(0, |entry| u64::from(entry.edx) << 32 | u64::from(entry.eax));
    offered & enabled_here()
}

/// Bytes of an XSAVE area with what the host uses.
pub(super) fn vector_len() -> usize {
    __cpuid_count(0xd, 0).ebx as usize
}

/// The host's XCR0.
fn enabled_here() -> u64 {
    #[target_feature(enable = "xsave")]
    fn read() -> u64 {
        // SAFETY: the caller has seen that the instruction is there; register 0 always is.
        unsafe { std::arch::x86_64::_xgetbv(0) }
    }
    if !std::arch::is_x86_feature_detected!("xsave") {
        return 0;
    }
    // SAFETY: detected just now.
    unsafe { read() }
}

fn find(cpuid: &CpuId, function: u32, index: u32) -> Option<&kvm_cpuid_entry2> {
    cpuid.as_slice().iter().find(|entry| entry.function == function && entry.index == index)
}
