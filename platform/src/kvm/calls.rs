//! The numbers of the `ioctl`s that are made once the machine is there, for the filter of its process.

/// `KVM_RUN`.
pub const RUN: u32 = 0xae80;
/// `KVM_CREATE_VCPU`.
pub const CREATE_VCPU: u32 = 0xae41;
/// `KVM_SET_USER_MEMORY_REGION`.
pub const SET_MEMORY: u32 = 0x4020_ae46;
/// `KVM_SET_CPUID2`.
pub const SET_CPUID: u32 = 0x4008_ae90;
/// `KVM_SET_MSRS`.
pub const SET_MSRS: u32 = 0x4008_ae89;
/// `KVM_GET_SREGS`.
pub const GET_SREGS: u32 = 0x8138_ae83;
/// `KVM_SET_SREGS`.
pub const SET_SREGS: u32 = 0x4138_ae84;
/// `KVM_SET_XCRS`.
pub const SET_XCRS: u32 = 0x4188_aea7;
/// `KVM_GET_XSAVE`.
pub const GET_XSAVE: u32 = 0x9000_aea4;
/// `KVM_SET_XSAVE`.
pub const SET_XSAVE: u32 = 0x5000_aea5;
/// `KVM_GET_VCPU_EVENTS`.
pub const GET_EVENTS: u32 = 0x8040_ae9f;
/// `KVM_SET_VCPU_EVENTS`.
pub const SET_EVENTS: u32 = 0x4040_aea0;
/// `KVM_SET_DEVICE_ATTR`.
pub const SET_ATTRIBUTE: u32 = 0x4018_aee1;
