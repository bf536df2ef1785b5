//! IOMMUs: each configuration is compared whole, and then looked at while it changes.

use crate::rows::{Needs, check, check_live, config, run};
use conformance::iommu::amd::Amd;
use conformance::iommu::board::{Model, PC};
use conformance::iommu::vtd::{Tables, Vtd};
use conformance::matrix::Matrix;
use conformance::ram::Ram;
use conformance::scenario::{FirstTop, Plan};
use conformance::walker::Walker;
use generic_pt::fmt::{amdv1, vtdss, x86_64};
use generic_pt::format::Description;
use generic_pt::iommu::Walkers;
use generic_pt::{Features, TableConfig};
use std::io;
use std::path::PathBuf;

/// All of them.
pub fn all(matrix: &mut Matrix) {
    vtdss(matrix);
    vtd_first_stage(matrix);
    amdv1(matrix);
}

/// What a configuration is of.
#[derive(Clone, Copy)]
struct Subject<'a> {
    format: &'static str,
    name: &'a str,
    needs: Needs,
    model: &'a Model,
    /// PA bits of the IOMMU.
    pa_bits: u32,
    top: FirstTop,
}

/// A row for a table in many states; then, for each policy of invalidation that the format has, a row for a table that changes
/// while it is used.
fn rows<F: Walkers>(
    matrix: &mut Matrix,
    Subject { format, name, needs, model, pa_bits, top }: Subject<'_>,
    config: impl Fn(Features) -> TableConfig<F::Config>,
    machine: impl for<'r> Fn(&PathBuf, &'r Ram, F::HwInfo) -> io::Result<Box<dyn Walker + 'r>>,
) {
    let plan = |seed| Plan { window: model.window(), pa_bits, top, ..Plan::dma(seed) };
    run(matrix, format, name, needs, |program, seed| {
        let config = config(Features::FLUSH_RANGE);
        check::<F>(model.ram_pa, &config, plan(seed), |ram, info| machine(program, ram, info))
    });
    for (policy, feature) in
        [("ranges", Features::FLUSH_RANGE), ("no gaps", Features::FLUSH_RANGE | Features::FLUSH_RANGE_NO_GAPS)]
    {
        if <F as Description>::SUPPORTED.contains(feature) {
            run(matrix, format, &format!("{name}: {policy}"), needs, |program, seed| {
                check_live::<F>(model.ram_pa, &config(feature), plan(seed), |ram, info| machine(program, ram, info))
            });
        }
    }
}

const X86: &str = "qemu-system-x86_64";

fn vtdss(matrix: &mut Matrix) {
    let legacy: fn(u64, u32) -> Tables = Tables::Legacy;
    for (name, va, top_level, major, tables) in [
        ("3 levels", 39, 2, 0, legacy),
        ("4 levels", 48, 3, 0, legacy),
        ("scalable, 3 levels", 39, 2, 10, Tables::Second),
        ("scalable, 4 levels", 48, 3, 10, Tables::Second),
    ] {
        let needs = Needs { program: X86, major };
        rows::<vtdss::Format>(
            matrix,
            Subject { format: "vtdss", name, needs, model: &PC, pa_bits: 48, top: FirstTop::Stays },
            |policy| config(vtdss::FORCED | policy, va, 48, vtdss::Config { top_level }),
            |program, ram, info| Ok(Box::new(Vtd::new(program, va, tables(info.ssptptr, info.aw), ram)?)),
        );
    }
}

fn vtd_first_stage(matrix: &mut Matrix) {
    let needs = Needs { program: X86, major: 10 };
    rows::<x86_64::Format>(
        matrix,
        Subject { format: "x86_64", name: "VT-d first stage", needs, model: &PC, pa_bits: 48, top: FirstTop::Stays },
        |policy| {
            let features = x86_64::FORCED | Features::SIGN_EXTEND | policy;
            config(features, 48, 48, x86_64::Config { top_level: 3, encryption_mask: 0 })
        },
        |program, ram, info| Ok(Box::new(Vtd::new(program, 48, Tables::First(info.gcr3_pt, info.levels), ram)?)),
    );
}

fn amdv1(matrix: &mut Matrix) {
    for (name, starting_level, va, top) in [
        ("mode 2", 1, 30, FirstTop::Stays),
        ("mode 3", 2, 39, FirstTop::Stays),
        ("mode 4", 3, 48, FirstTop::Stays),
        ("mode 5", 4, 57, FirstTop::Stays),
        ("mode 6", 5, 64, FirstTop::Stays),
        ("mode 2, growing to 6", 1, 64, FirstTop::Grows),
    ] {
        rows::<amdv1::Format>(
            matrix,
            Subject { format: "amdv1", name, needs: Needs::any(X86), model: &PC, pa_bits: 48, top },
            |policy| config(amdv1::FORCED | policy, va, 48, amdv1::Config { starting_level, encryption_mask: 0 }),
            |program, ram, info| Ok(Box::new(Amd::new(program, info.host_pt_root, info.mode, ram)?)),
        );
    }
}
