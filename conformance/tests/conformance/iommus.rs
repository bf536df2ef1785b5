//! IOMMUs: each configuration is compared whole, and then looked at while it changes.

use crate::rows::{Jobs, Needs, check, check_live, config};
use conformance::arm::{Registers, Stage};
use conformance::iommu::amd::Amd;
use conformance::iommu::board::{ARM, Model, PC, RISCV};
use conformance::iommu::riscv::{Iommu, Table};
use conformance::iommu::smmu::Smmu;
use conformance::iommu::vtd::{Tables, Vtd};
use conformance::plan::{FirstTop, Plan};
use conformance::ram::Ram;
use conformance::riscv::Xlen;
use conformance::walker::Walker;
use generic_pt::fmt::{amdv1, riscv_32, riscv_64, riscv_64_g, vtdss, x86_64};
use generic_pt::iommu::Walkers;
use generic_pt::{Features, TableConfig};
use std::io;
use std::path::Path;

/// All of them.
pub fn all(jobs: &mut Jobs) {
    vtdss(jobs);
    vtd_first_stage(jobs);
    amdv1(jobs);
    smmu(jobs);
    riscv_64(jobs);
    riscv_64_g(jobs);
    riscv_32(jobs);
}

/// What a configuration is of.
#[derive(Clone, Copy)]
struct Subject<'a> {
    format: &'static str,
    name: &'a str,
    needs: Needs,
    model: &'static Model,
    /// PA bits of the IOMMU.
    pa_bits: u32,
    top: FirstTop,
}

/// A row for a table in many states; then, for each policy of invalidation that the format has (in debug builds the first), a row
/// for a table that changes while it is used.
fn rows<F: Walkers>(
    jobs: &mut Jobs,
    Subject { format, name, needs, model, pa_bits, top }: Subject<'_>,
    config: impl Fn(Features) -> TableConfig<F::Config> + Copy + Send + Sync + 'static,
    machine: impl for<'r> Fn(&Path, &'r Ram, F::HwInfo) -> io::Result<Box<dyn Walker + 'r>> + Copy + Send + Sync + 'static,
) {
    let plan = move |seed| Plan { window: model.window(), pa_bits, top, ..Plan::dma(seed) };
    jobs.add(format, name, needs, move |program, seed| {
        let config = config(Features::FLUSH_RANGE);
        check::<F>(model.layout, &config, plan(seed), |ram, info| machine(program, ram, info))
    });
    let mut policies = vec![
        ("ranges", Features::FLUSH_RANGE),
        ("no gaps", Features::FLUSH_RANGE | Features::FLUSH_RANGE_NO_GAPS),
        ("levels", Features::FLUSH_RANGE | Features::DETAILED_GATHER),
    ];
    // Not those that are the same as another one.
    policies.retain(|(_, policy)| {
        F::SUPPORTED.contains(*policy) && !F::FORCED.intersects(policy.difference(Features::FLUSH_RANGE))
    });
    policies.truncate(if cfg!(debug_assertions) { 1 } else { policies.len() });
    for (policy, feature) in policies {
        jobs.add(format, &format!("{name}: {policy}"), needs, move |program, seed| {
            check_live::<F>(model.layout, &config(feature), plan(seed), |ram, info| machine(program, ram, info))
        });
    }
}

const X86: &str = "qemu-system-x86_64";

fn vtdss(jobs: &mut Jobs) {
    let legacy: fn(u64, u32) -> Tables = Tables::Legacy;
    for (name, va, top_level, major, tables) in [
        ("3 levels", 39, 2, 0, legacy),
        ("4 levels", 48, 3, 0, legacy),
        ("scalable, 3 levels", 39, 2, 10, Tables::Second),
        ("scalable, 4 levels", 48, 3, 10, Tables::Second),
    ] {
        let needs = Needs::Qemu { program: X86, major };
        rows::<vtdss::Format>(
            jobs,
            Subject { format: "vtdss", name, needs, model: &PC, pa_bits: 48, top: FirstTop::Stays },
            move |policy| config(vtdss::FORCED | policy, va, 48, vtdss::Config { top_level }),
            move |program, ram, info| Ok(Box::new(Vtd::new(program, tables(info.ssptptr, info.aw), ram)?)),
        );
    }
}

fn vtd_first_stage(jobs: &mut Jobs) {
    let needs = Needs::Qemu { program: X86, major: 10 };
    rows::<x86_64::Format>(
        jobs,
        Subject { format: "x86_64", name: "VT-d first stage", needs, model: &PC, pa_bits: 48, top: FirstTop::Stays },
        move |policy| {
            let features = x86_64::FORCED | Features::SIGN_EXTEND | policy;
            config(features, 48, 48, x86_64::Config { top_level: 3, encryption_mask: 0 })
        },
        move |program, ram, info| Ok(Box::new(Vtd::new(program, Tables::First(info.gcr3_pt, info.levels), ram)?)),
    );
}

fn amdv1(jobs: &mut Jobs) {
    for (name, starting_level, va, top) in [
        ("mode 2", 1, 30, FirstTop::Stays),
        ("mode 3", 2, 39, FirstTop::Stays),
        ("mode 4", 3, 48, FirstTop::Stays),
        ("mode 5", 4, 57, FirstTop::Stays),
        ("mode 6", 5, 64, FirstTop::Stays),
        ("mode 2, growing to 6", 1, 64, FirstTop::Grows),
    ] {
        rows::<amdv1::Format>(
            jobs,
            Subject { format: "amdv1", name, needs: Needs::any(X86), model: &PC, pa_bits: 48, top },
            move |policy| config(amdv1::FORCED | policy, va, 48, amdv1::Config { starting_level, encryption_mask: 0 }),
            move |program, ram, info| Ok(Box::new(Amd::new(program, &info, ram)?)),
        );
    }
}

/// One granule of ARMv8 behind an SMMU of 44 PA bits: name, QEMU's version, features, VA bits.
macro_rules! smmu {
    ($jobs:ident, $format:ident: $($name:literal $major:literal $features:expr, $va:literal;)*) => {
        $({
            #[allow(unused_imports, reason = "features of some rows")]
            use generic_pt::fmt::$format::*;
            let features: Features = FORCED.union($features);
            let needs = Needs::Qemu { program: "qemu-system-aarch64", major: $major };
            rows::<Format>(
                $jobs,
                Subject { format: stringify!($format), name: $name, needs, model: &ARM, pa_bits: 44, top: FirstTop::Stays },
                move |policy| config(features | policy, $va, 44, Config {}),
                move |program, ram, HwInfo { ttb, tcr, mair }| {
                    let stage = Stage::of(features.contains(STAGE_2), tcr)?;
                    Ok(Box::new(Smmu::new(program, stage, Registers { ttb, tcr, mair }, ram)?))
                },
            );
        })*
    };
}

fn smmu(jobs: &mut Jobs) {
    smmu! { jobs, armv8_4k:
        "SMMU, stage 1, 48 bits" 0 Features::empty(), 48;
        "SMMU, stage 1, 39 bits" 0 Features::empty(), 39;
        "SMMU, stage 1 upper, 48 bits" 10 UPPER_HALF, 48;
        "SMMU, stage 2, 44 bits" 10 STAGE_2, 44;
        "SMMU, stage 2, 39 bits" 10 STAGE_2, 39;
    }
    smmu! { jobs, armv8_16k:
        "SMMU, stage 1, 47 bits" 0 Features::empty(), 47;
        "SMMU, stage 2, 44 bits" 10 STAGE_2, 44;
    }
    smmu! { jobs, armv8_64k:
        "SMMU, stage 1, 48 bits" 0 Features::empty(), 48;
        "SMMU, stage 1, 42 bits" 0 Features::empty(), 42;
        "SMMU, stage 2, 42 bits" 10 STAGE_2, 42;
    }
}

/// What a row behind the RISC-V IOMMU is of.
fn behind_riscv(format: &'static str, name: &'static str, pa_bits: u32) -> Subject<'static> {
    let needs = Needs::Qemu { program: "qemu-system-riscv64", major: 10 };
    Subject { format, name, needs, model: &RISCV, pa_bits, top: FirstTop::Stays }
}

fn riscv_64(jobs: &mut Jobs) {
    for (name, va) in [("IOMMU, Sv39", 39), ("IOMMU, Sv48", 48), ("IOMMU, Sv57", 57)] {
        rows::<riscv_64::Format>(
            jobs,
            behind_riscv("riscv_64", name, 56),
            move |policy| config(riscv_64::FORCED | Features::SIGN_EXTEND | policy, va, 56, riscv_64::Config {}),
            |program, ram, info| {
                let table = Table::First(Xlen::Bits64, info.fsc_iosatp_mode, info.ppn);
                Ok(Box::new(Iommu::new(program, table, ram)?))
            },
        );
    }
}

fn riscv_64_g(jobs: &mut Jobs) {
    for (name, va) in [("IOMMU, Sv39x4", 41), ("IOMMU, Sv48x4", 50), ("IOMMU, Sv57x4", 59)] {
        rows::<riscv_64_g::Format>(
            jobs,
            behind_riscv("riscv_64_g", name, 56),
            move |policy| config(riscv_64_g::FORCED | policy, va, 56, riscv_64_g::Config {}),
            |program, ram, info| Ok(Box::new(Iommu::new(program, Table::Second(info.iohgatp_mode, info.ppn), ram)?)),
        );
    }
}

fn riscv_32(jobs: &mut Jobs) {
    rows::<riscv_32::Format>(
        jobs,
        behind_riscv("riscv_32", "IOMMU, Sv32", 34),
        |policy| config(riscv_32::FORCED | policy, 32, 34, riscv_32::Config {}),
        |program, ram, info| {
            let table = Table::First(Xlen::Bits32, info.fsc_iosatp_mode, info.ppn.into());
            Ok(Box::new(Iommu::new(program, table, ram)?))
        },
    );
}
