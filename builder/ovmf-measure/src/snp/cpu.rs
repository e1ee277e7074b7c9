//! CPU models and the CPUID signature that a vCPU starts with in `rdx`.
//!
//! Families, models and steppings are those of QEMU's `builtin_x86_defs` (`target/i386/cpu.c`, QEMU 10.1; the older
//! entries are the same since QEMU 2.12). A version of a model (`-v2`) changes feature bits only, never the signature.
//! The encoding is AMD's CPUID Specification (publication 25481), Fn0000_0001_EAX.

/// A QEMU CPU model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuModel {
    /// Name as in `-cpu`.
    pub name: &'static str,
    /// CPUID Fn0000_0001_EAX.
    pub signature: u32,
}

const NAPLES: u32 = signature(23, 1, 2);
const ROME: u32 = signature(23, 49, 0);
const MILAN: u32 = signature(25, 1, 1);
const GENOA: u32 = signature(25, 17, 0);
const TURIN: u32 = signature(26, 0, 0);

/// Every EPYC model of QEMU, with aliases and versions.
pub const CPU_MODELS: &[CpuModel] = &[
    model("EPYC", NAPLES),
    model("EPYC-v1", NAPLES),
    model("EPYC-v2", NAPLES),
    model("EPYC-IBPB", NAPLES),
    model("EPYC-v3", NAPLES),
    model("EPYC-v4", NAPLES),
    model("EPYC-v5", NAPLES),
    model("EPYC-Rome", ROME),
    model("EPYC-Rome-v1", ROME),
    model("EPYC-Rome-v2", ROME),
    model("EPYC-Rome-v3", ROME),
    model("EPYC-Rome-v4", ROME),
    model("EPYC-Rome-v5", ROME),
    model("EPYC-Milan", MILAN),
    model("EPYC-Milan-v1", MILAN),
    model("EPYC-Milan-v2", MILAN),
    model("EPYC-Milan-v3", MILAN),
    model("EPYC-Genoa", GENOA),
    model("EPYC-Genoa-v1", GENOA),
    model("EPYC-Genoa-v2", GENOA),
    model("EPYC-Turin", TURIN),
    model("EPYC-Turin-v1", TURIN),
    // Not in QEMU 10.1; the crate `sev` 8.0 knows it.
    model("EPYC-Turin-v2", TURIN),
];

/// The model called `name`; names are case-sensitive, as in QEMU.
pub fn cpu_model(name: &str) -> Option<CpuModel> {
    CPU_MODELS.iter().copied().find(|model| model.name == name)
}

const fn model(name: &'static str, signature: u32) -> CpuModel {
    CpuModel { name, signature }
}

/// Families above 15 are base family 15 plus an extended family; the model's high four bits go to bit 16.
const fn signature(family: u32, model: u32, stepping: u32) -> u32 {
    let (base, extended) = if family > 15 { (15, family - 15) } else { (family, 0) };
    extended << 20 | (model >> 4) << 16 | base << 8 | (model & 15) << 4 | stepping
}
