//! What the CPU says of itself, by the CPUID instruction: for /proc/cpuinfo and AT_HWCAP.

mod cache;

use std::arch::x86_64::__cpuid_count;

pub use cache::{Cache, caches};

/// Identity of the CPU.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuInfo {
    /// `GenuineIntel`, `AuthenticAMD`.
    pub vendor: String,
    /// Display family.
    pub family: u32,
    /// Display model.
    pub model: u32,
    /// Stepping.
    pub stepping: u32,
    /// Brand string.
    pub name: String,
    /// Highest basic leaf.
    pub level: u32,
    /// Physical and virtual address bits.
    pub address_bits: (u32, u32),
    /// Bytes in a line that CLFLUSH flushes.
    pub clflush: u32,
    /// Names of features, as Linux spells them.
    pub flags: Vec<&'static str>,
}

/// A feature: leaf, subleaf, register (0 eax … 3 edx), bit, name.
type Feature = (u32, u32, usize, u32, &'static str);

#[rustfmt::skip]
const FEATURES: &[Feature] = &[
    (1, 0, 3, 0, "fpu"), (1, 0, 3, 1, "vme"), (1, 0, 3, 2, "de"), (1, 0, 3, 3, "pse"), (1, 0, 3, 4, "tsc"), (1, 0, 3, 5, "msr"),
    (1, 0, 3, 6, "pae"), (1, 0, 3, 7, "mce"), (1, 0, 3, 8, "cx8"), (1, 0, 3, 9, "apic"), (1, 0, 3, 11, "sep"), (1, 0, 3, 12, "mtrr"),
    (1, 0, 3, 13, "pge"), (1, 0, 3, 14, "mca"), (1, 0, 3, 15, "cmov"), (1, 0, 3, 16, "pat"), (1, 0, 3, 17, "pse36"),
    (1, 0, 3, 19, "clflush"), (1, 0, 3, 23, "mmx"), (1, 0, 3, 24, "fxsr"), (1, 0, 3, 25, "sse"), (1, 0, 3, 26, "sse2"), (1, 0, 3, 28, "ht"),
    (0x8000_0001, 0, 3, 11, "syscall"), (0x8000_0001, 0, 3, 20, "nx"), (0x8000_0001, 0, 3, 22, "mmxext"), (0x8000_0001, 0, 3, 25, "fxsr_opt"),
    (0x8000_0001, 0, 3, 26, "pdpe1gb"), (0x8000_0001, 0, 3, 27, "rdtscp"), (0x8000_0001, 0, 3, 29, "lm"),
    (1, 0, 2, 0, "pni"), (1, 0, 2, 1, "pclmulqdq"), (1, 0, 2, 9, "ssse3"), (1, 0, 2, 12, "fma"), (1, 0, 2, 13, "cx16"), (1, 0, 2, 17, "pcid"),
    (1, 0, 2, 19, "sse4_1"), (1, 0, 2, 20, "sse4_2"), (1, 0, 2, 21, "x2apic"), (1, 0, 2, 22, "movbe"), (1, 0, 2, 23, "popcnt"),
    (1, 0, 2, 25, "aes"), (1, 0, 2, 26, "xsave"), (1, 0, 2, 28, "avx"), (1, 0, 2, 29, "f16c"), (1, 0, 2, 30, "rdrand"), (1, 0, 2, 31, "hypervisor"),
    (0x8000_0001, 0, 2, 0, "lahf_lm"), (0x8000_0001, 0, 2, 5, "abm"), (0x8000_0001, 0, 2, 6, "sse4a"), (0x8000_0001, 0, 2, 7, "misalignsse"),
    (0x8000_0001, 0, 2, 8, "3dnowprefetch"),
    (7, 0, 1, 0, "fsgsbase"), (7, 0, 1, 3, "bmi1"), (7, 0, 1, 4, "hle"), (7, 0, 1, 5, "avx2"), (7, 0, 1, 7, "smep"), (7, 0, 1, 8, "bmi2"),
    (7, 0, 1, 9, "erms"), (7, 0, 1, 10, "invpcid"), (7, 0, 1, 11, "rtm"), (7, 0, 1, 16, "avx512f"), (7, 0, 1, 17, "avx512dq"), (7, 0, 1, 18, "rdseed"),
    (7, 0, 1, 19, "adx"), (7, 0, 1, 20, "smap"), (7, 0, 1, 21, "avx512ifma"), (7, 0, 1, 23, "clflushopt"), (7, 0, 1, 24, "clwb"),
    (7, 0, 1, 28, "avx512cd"), (7, 0, 1, 29, "sha_ni"), (7, 0, 1, 30, "avx512bw"), (7, 0, 1, 31, "avx512vl"),
    (13, 1, 0, 0, "xsaveopt"), (13, 1, 0, 1, "xsavec"), (13, 1, 0, 2, "xgetbv1"), (13, 1, 0, 3, "xsaves"),
    (7, 1, 0, 4, "avx_vnni"), (7, 1, 0, 5, "avx512_bf16"),
    (7, 0, 2, 1, "avx512vbmi"), (7, 0, 2, 2, "umip"), (7, 0, 2, 6, "avx512_vbmi2"), (7, 0, 2, 8, "gfni"), (7, 0, 2, 9, "vaes"),
    (7, 0, 2, 10, "vpclmulqdq"), (7, 0, 2, 11, "avx512_vnni"), (7, 0, 2, 12, "avx512_bitalg"), (7, 0, 2, 14, "avx512_vpopcntdq"), (7, 0, 2, 22, "rdpid"),
    (7, 0, 3, 4, "fsrm"),
];

impl CpuInfo {
    /// Asks the CPU.
    #[must_use]
    pub fn read() -> Self {
        let basic = leaf(0, 0);
        let extended = leaf(0x8000_0000, 0)[0];
        let version = leaf(1, 0);
        let base_family = version[0] >> 8 & 0xf;
        let family = if base_family == 15 { base_family + (version[0] >> 20 & 0xff) } else { base_family };
        let base_model = version[0] >> 4 & 0xf;
        let model =
            if base_family == 6 || base_family == 15 { base_model | (version[0] >> 12 & 0xf0) } else { base_model };
        let mut vendor = Vec::new();
        for word in [basic[1], basic[3], basic[2]] {
            vendor.extend(word.to_le_bytes());
        }
        let mut name = Vec::new();
        if extended >= 0x8000_0004 {
            for part in 0x8000_0002..=0x8000_0004 {
                name.extend(leaf(part, 0).iter().flat_map(|word| word.to_le_bytes()));
            }
        }
        let sizes = if extended >= 0x8000_0008 { leaf(0x8000_0008, 0)[0] } else { 0x3024 };
        let present = |feature: &&Feature| {
            let (number, subleaf, register, bit, _) = **feature;
            let reachable = if number >= 0x8000_0000 { number <= extended } else { number <= basic[0] };
            reachable && leaf(number, subleaf)[register] >> bit & 1 != 0
        };
        Self {
            vendor: text(&vendor),
            family,
            model,
            stepping: version[0] & 0xf,
            name: text(&name),
            level: basic[0],
            address_bits: (sizes & 0xff, sizes >> 8 & 0xff),
            clflush: (version[1] >> 8 & 0xff) * 8,
            flags: FEATURES.iter().filter(present).map(|feature| feature.4).collect(),
        }
    }
}

/// `edx` of leaf 1, which Linux gives applications as AT_HWCAP.
#[must_use]
pub fn hwcap() -> u32 {
    leaf(1, 0)[3]
}

fn leaf(number: u32, subleaf: u32) -> [u32; 4] {
    // Every x86-64 CPU has CPUID; leaves it does not know read as something harmless.
    let r = __cpuid_count(number, subleaf);
    [r.eax, r.ebx, r.ecx, r.edx]
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_matches(|c: char| c == '\0' || c == ' ').to_owned()
}

#[cfg(test)]
mod tests {
    use super::CpuInfo;

    #[test]
    fn every_x86_64_has_sse2() {
        let info = CpuInfo::read();
        assert!(info.flags.contains(&"sse2") && info.flags.contains(&"lm"));
        assert_eq!(info.vendor.len(), 12);
    }
}
