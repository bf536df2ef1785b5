//! The formats that the tool knows: one row each.

use crate::bench::{BenchJob, FormatBench, measure};
use crate::build::{self, BuildError, Built, args::Arch, build};
use crate::decode::{self, Decoder, Options};
use crate::describe::{FormatInfo, describe};
use crate::inspect::InspectError;
use crate::plan::Plan;
use crate::replay::{Job, replay};
use crate::replay_error::ReplayError;
use crate::report::FormatReport;
use generic_pt::Features;

/// A register of a CPU, of those that are in the notes of core files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Register {
    /// CR3 of x86.
    Cr3,
}

/// One format.
pub struct FormatRow {
    /// Its name, as in `generic_pt::fmt`.
    pub name: &'static str,
    /// What it is, in a few words.
    pub about: &'static str,
    /// Its smallest page, in bytes.
    pub page_bytes: u64,
    /// The physical address bits that hardware's top pointer holds.
    pub top_pa_mask: u64,
    /// Registers of CPUs that hold the root of its tables. No description says where a root is kept: for a format that is
    /// walked for devices only, what a CPU's register holds is the root of something else.
    pub roots: &'static [Register],
    /// CPU for which an ELF object with its tables is, if no other is asked for.
    pub arch: Arch,
    /// Makes a decoder of its tables.
    pub decoder: fn(&Options) -> Result<Box<dyn Decoder>, InspectError>,
    /// Builds tables of it.
    pub build: fn(&build::Plan<'_>) -> Result<Built, BuildError>,
    /// Replays a trace into tables of it.
    pub replay: fn(&Job<'_>, Option<&Plan>) -> Result<FormatReport, ReplayError>,
    /// Measures its operations.
    pub bench: fn(&BenchJob) -> Result<FormatBench, ReplayError>,
    /// What its description says.
    pub describe: fn() -> FormatInfo,
}

/// How tables of a format are made.
pub struct Shape<C: 'static> {
    /// Name of the format.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// VA widths in bits to choose from, ascending.
    pub va_bits: &'static [u32],
    /// Features beyond those that the format forces and the invalidation policy asks for.
    pub features: Features,
    /// The format's own configuration for a VA width in bits.
    pub config: fn(u32) -> C,
}

/// VA bits that every table has at least if its format can, so that usual traces give comparable tables.
const USUAL_VA_BITS: u32 = 48;

impl<C> Shape<C> {
    /// The VA bits to use: those asked for, or the smallest usual choice that holds `last_iova`.
    pub fn choose_va_bits(&self, asked: Option<u32>, last_iova: u64) -> u32 {
        let needed = (u64::BITS - last_iova.leading_zeros()).max(USUAL_VA_BITS);
        let fits = self.va_bits.iter().find(|bits| **bits >= needed);
        asked.or(fits.copied()).unwrap_or_else(|| self.va_bits.last().copied().unwrap_or(USUAL_VA_BITS))
    }
}

/// The CPU of a row: that which is named, or x86-64.
macro_rules! arch {
    () => {
        Arch::X86_64
    };
    ($arch:ident) => {
        Arch::$arch
    };
}

/// Makes [`FORMATS`] of rows `name: "about", cpu Arch, root [registers], va [bits to choose from], features, |va bits| Config { .. };`,
/// in which the CPU and the registers can be left out.
macro_rules! formats {
    ($($name:ident: $about:literal, $(cpu $arch:ident,)? $(root [$($root:ident),*],)? va $va_bits:expr, $features:expr, |$bits:pat_param| $config:expr;)*) => {
        /// Every format, in the order of reports.
        pub const FORMATS: &[FormatRow] = &[$(FormatRow {
            name: stringify!($name),
            about: $about,
            page_bytes: 1 << generic_pt::fmt::$name::GEOMETRY.granule_lg2,
            top_pa_mask: generic_pt::fmt::$name::GEOMETRY.top_pa_mask,
            roots: &[$($(Register::$root),*)?],
            arch: arch!($($arch)?),
            decoder: |options| decode::decoder::<generic_pt::fmt::$name::Format>(&shapes::$name::SHAPE, options),
            build: |plan| build::<generic_pt::fmt::$name::Format>(&shapes::$name::SHAPE, plan),
            replay: |job, plan| replay::<generic_pt::fmt::$name::Format>(job, &shapes::$name::SHAPE, plan),
            bench: |job| measure::<generic_pt::fmt::$name::Format>(job, &shapes::$name::SHAPE),
            describe: || {
                let config = shapes::$name::SHAPE.config;
                let widest = generic_pt::fmt::$name::GEOMETRY.max_va_lg2;
                describe::<generic_pt::fmt::$name::Format>($about, config(widest))
            },
        }),*];

        /// How tables of each format are made.
        mod shapes {
            $(pub mod $name {
                #[allow(unused_imports, reason = "rows without features of their own")]
                use generic_pt::{Features, fmt::$name::*};
                /// How its tables are made.
                pub const SHAPE: crate::formats::Shape<Config> = crate::formats::Shape {
                    name: stringify!($name),
                    about: $about,
                    va_bits: &$va_bits,
                    features: $features,
                    config: |$bits| $config,
                };
            })*
        }
    };
}

formats! {
    amdv1: "AMD IOMMU v1 host tables, 3 levels that grow", va [64], Features::empty(),
        |_| Config { starting_level: 2, encryption_mask: 0 };
    amdv1_mock: "AMDv1 with 2 KiB pages, for tests", va [56], Features::empty(),
        |bits| Config { starting_level: if bits > 47 { 4 } else { 2 }, encryption_mask: 0 };
    x86_64: "x86_64 without sign extension (AMD IOMMU v2, VT-d first stage)", root [Cr3], va [48, 57], Features::empty(),
        |bits| Config { top_level: if bits > 48 { 4 } else { 3 }, encryption_mask: 0 };
    vtdss: "Intel VT-d second stage", va [48, 57], Features::empty(),
        |bits| Config { top_level: if bits > 48 { 4 } else if bits > 39 { 3 } else { 2 } };
    ept: "Intel EPT", va [48, 57], Features::empty(),
        |bits| Config { top_level: if bits > 48 { 4 } else { 3 } };
    riscv_64: "RISC-V Sv48 or Sv57 with Svnapot", cpu Riscv64, va [48, 57], SVNAPOT_64K,
        |_| Config {};
    riscv_64_g: "RISC-V G-stage, Sv48x4 or Sv57x4 with Svnapot", cpu Riscv64, va [50, 59], SVNAPOT_64K,
        |_| Config {};
    armv7s: "ARMv7 short descriptors", cpu Arm, va [32], Features::empty(), |_| Config {};
    mali_lpae: "ARM Mali, LPAE mode", va [48], Features::empty(), |_| Config {};
    dart_v2: "Apple DART, second version", va [36, 42], Features::empty(), |_| Config {};
    dart_16k: "Apple DART, 16 KiB granule", va [32, 36], Features::empty(), |_| Config {};
    dart: "Apple DART, 4 KiB granule", va [32, 36], Features::empty(), |_| Config {};
    armv8_4k: "ARMv8 stage 1, 4 KiB granule (CPUs, SMMU)", cpu Aarch64, va [48], Features::empty(), |_| Config {};
    armv8_16k: "ARMv8 stage 1, 16 KiB granule", cpu Aarch64, va [48], Features::empty(), |_| Config {};
    armv8_64k: "ARMv8 stage 1, 64 KiB granule", cpu Aarch64, va [48], Features::empty(), |_| Config {};
    x86_pae: "x86 PAE, 32 bits", cpu I386, root [Cr3], va [32], Features::empty(), |_| Config {};
    ppc64_radix: "PowerPC radix trees, 4 KiB pages", cpu Powerpc64, va [52], Features::empty(), |_| Config { quadrant: 0 };
    ppc64_radix_64k: "PowerPC radix trees, 64 KiB pages", cpu Powerpc64, va [52], Features::empty(), |_| Config { quadrant: 0 };
    rockchip_v2: "Rockchip IOMMU v2", va [32], Features::empty(), |_| Config {};
    s390: "s390 zPCI", cpu S390x, va [42, 53, 64], Features::empty(),
        |bits| Config { top_level: if bits > 53 { 4 } else if bits > 42 { 3 } else { 2 } };
    riscv_32: "RISC-V Sv32", cpu Riscv32, va [32], Features::empty(), |_| Config {};
    riscv_32_g: "RISC-V G-stage, Sv32x4", cpu Riscv32, va [34], Features::empty(), |_| Config {};
}
