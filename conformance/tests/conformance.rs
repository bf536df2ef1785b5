//! Every format on every walker that is there: `cargo test --release -p conformance -- --nocapture`.
//!
//! A walker that cannot run is skipped with the reason; with `GENERIC_PT_REQUIRE_QEMU=1` that is a failure.

use conformance::arm::{self, Registers, Stage};
use conformance::matrix::{Counts, Matrix, Row, Trouble};
use conformance::ram::Ram;
use conformance::riscv::{self, Hart, Xlen};
use conformance::scenario::{Plan, Scene};
use conformance::vm;
use conformance::walker::Walker;
use conformance::x86::{self, Paging};
use conformance::{arm32, iommu};
use generic_pt::fmt::{amdv1, armv7s, riscv_32, riscv_64, vtdss, x86_64, x86_pae};
use generic_pt::iommu::Walkers;
use generic_pt::memory::Arena;
use generic_pt::{Domain, Features, NoHardware, TableConfig};
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

/// Tables of each configuration: fewer where it is one test among many.
const SEEDS: u64 = if cfg!(debug_assertions) { 1 } else { 4 };

fn config<C>(features: Features, va: u32, oa: u32, format: C) -> TableConfig<C> {
    TableConfig { features, hw_max_vasz_lg2: va, hw_max_oasz_lg2: oa, format }
}

/// Runs `test` for some seeds on the machine of QEMU's `program`, and adds the row.
fn run(
    matrix: &mut Matrix,
    format: &'static str,
    name: &'static str,
    program: &'static str,
    test: impl Fn(&PathBuf, u64) -> io::Result<Counts>,
) {
    // `GENERIC_PT_CONFORMANCE=armv7s` runs the rows of one format.
    if std::env::var("GENERIC_PT_CONFORMANCE").is_ok_and(|only| only != format) {
        return;
    }
    let mut row = Row { format, config: name, walker: program.to_owned(), result: Ok(Counts::default()) };
    match vm::program(program) {
        None => row.result = Err(Trouble::Skipped(format!("no {program}"))),
        Some(path) => {
            let version = vm::version(&path).unwrap_or_else(|error| error.to_string());
            row.walker = format!("{program} {version}");
            for seed in 1..=SEEDS {
                match (test(&path, seed), &mut row.result) {
                    (Ok(more), Ok(counts)) => {
                        counts.translations += more.translations;
                        counts.accesses += more.accesses;
                        counts.faults += more.faults;
                    }
                    (Err(error), result) => *result = Err(Trouble::Failed(format!("seed {seed}: {error}"))),
                    _ => {}
                }
            }
        }
    }
    println!("{row}");
    matrix.rows.push(row);
}

/// Makes a table in RAM from `ram_pa` on, gives it to the machine, and compares.
fn check<F: Walkers>(
    ram_pa: u64,
    config: &TableConfig<F::Config>,
    plan: Plan,
    machine: impl for<'r> Fn(&'r Ram, F::HwInfo) -> io::Result<Box<dyn Walker + 'r>>,
) -> io::Result<Counts> {
    let ram = Ram::new(ram_pa)?;
    let mut tables = ram.tables()?;
    let arena = Arena::new(&mut tables, ram.tables_pa()).map_err(io::Error::other)?;
    let domain = Domain::new(arena, NoHardware);
    let mut scene = Scene::<F>::new(&domain, config, &ram, plan)?;
    let told = scene.hw_info();
    let mut walker = machine(&ram, told)?;
    scene.check(&mut *walker, &ram)?;
    scene.change(&ram)?;
    if scene.hw_info() == told {
        walker.forget()?;
    } else {
        // The top grew.
        drop(walker);
        walker = machine(&ram, scene.hw_info())?;
    }
    scene.check(&mut *walker, &ram)?;
    Ok(scene.counts())
}

fn riscv_64(matrix: &mut Matrix) {
    for (name, va, own, extensions) in [
        ("Sv39", 39, Features::empty(), &[][..]),
        ("Sv39, Svnapot", 39, riscv_64::SVNAPOT_64K, &["svnapot=on"][..]),
        ("Sv48", 48, Features::empty(), &[][..]),
        ("Sv48, Svnapot, Svpbmt", 48, riscv_64::SVNAPOT_64K.union(riscv_64::SVPBMT), &["svnapot=on", "svpbmt=on"][..]),
        ("Sv57", 57, Features::empty(), &[][..]),
        ("Sv57, Svnapot", 57, riscv_64::SVNAPOT_64K, &["svnapot=on"][..]),
    ] {
        run(matrix, "riscv_64", name, "qemu-system-riscv64", |program, seed| {
            let config = config(riscv_64::FORCED | Features::SIGN_EXTEND | own, va, 56, riscv_64::Config {});
            let plan = Plan { pa_bits: 56, ..Plan::new(seed) };
            check::<riscv_64::Format>(riscv::RAM_PA, &config, plan, |ram, info| {
                let mut hart = Hart::new(program, Xlen::Bits64, extensions, ram)?;
                hart.install(info.fsc_iosatp_mode, info.ppn)?;
                Ok(Box::new(hart))
            })
        });
    }
}

fn riscv_32(matrix: &mut Matrix) {
    run(matrix, "riscv_32", "Sv32", "qemu-system-riscv32", |program, seed| {
        let config = config(riscv_32::FORCED, 32, 34, riscv_32::Config {});
        let plan = Plan { pa_bits: 34, access_bytes: 4, ..Plan::new(seed) };
        check::<riscv_32::Format>(riscv::RAM_PA, &config, plan, |ram, info| {
            let mut hart = Hart::new(program, Xlen::Bits32, &[], ram)?;
            hart.install(info.fsc_iosatp_mode, info.ppn.into())?;
            Ok(Box::new(hart))
        })
    });
}

fn x86_64(matrix: &mut Matrix) {
    for (name, va, top_level, paging) in [("4 levels", 48, 3, Paging::Four), ("5 levels", 57, 4, Paging::Five)] {
        run(matrix, "x86_64", name, "qemu-system-x86_64", |program, seed| {
            let features = x86_64::FORCED | Features::SIGN_EXTEND;
            let config = config(features, va, 52, x86_64::Config { top_level, encryption_mask: 0 });
            let plan = Plan { identity: x86::IDENTITY_BYTES, pa_bits: 52, ..Plan::new(seed) };
            check::<x86_64::Format>(x86::RAM_PA, &config, plan, |ram, info| {
                let mut cpu = x86::Cpu::new(program, paging, ram)?;
                cpu.install(info.gcr3_pt)?;
                Ok(Box::new(cpu))
            })
        });
    }
}

fn x86_pae(matrix: &mut Matrix) {
    run(matrix, "x86_pae", "XD", "qemu-system-x86_64", |program, seed| {
        let config = config(x86_pae::FORCED | x86_pae::EXECUTE_DISABLE, 32, 52, x86_pae::Config {});
        // Accesses are instructions of 64-bit code.
        let plan = Plan { accesses: false, identity: x86::IDENTITY_BYTES, pa_bits: 52, ..Plan::new(seed) };
        check::<x86_pae::Format>(x86::RAM_PA, &config, plan, |ram, info| {
            let mut cpu = x86::Cpu::new(program, Paging::Pae, ram)?;
            cpu.install(info.cr3.into())?;
            Ok(Box::new(cpu))
        })
    });
}

/// One granule of ARMv8: name, features, VA and PA bits.
macro_rules! armv8 {
    ($matrix:ident, $format:ident: $($name:literal $stage:ident $features:expr, $va:literal, $oa:literal;)*) => {
        $(run($matrix, stringify!($format), $name, "qemu-system-aarch64", |program, seed| {
            #[allow(unused_imports, reason = "features of some rows")]
            use generic_pt::fmt::$format::*;
            let features: Features = FORCED.union($features);
            let config = config(features, $va, $oa, Config {});
            let plan = Plan { pa_bits: $oa, accesses_of_a_page: 2, ..Plan::new(seed) };
            check::<Format>(arm::RAM_PA, &config, plan, |ram, HwInfo { ttb, tcr, mair }| {
                let registers = Registers { ttb, tcr, mair };
                Ok(Box::new(arm::Cpu::new(program, Stage::$stage, registers, ram)?))
            })
        });)*
    };
}

fn armv8(matrix: &mut Matrix) {
    armv8! { matrix, armv8_4k:
        "stage 1, 48 bits" Lower Features::empty(), 48, 48;
        "stage 1, 39 bits" Lower Features::empty(), 39, 40;
        "stage 1, 30 bits" Lower Features::empty(), 30, 40;
        "stage 1 upper, 48 bits" Upper UPPER_HALF, 48, 48;
        "stage 1, LPA2" Lower LPA2, 52, 52;
        "stage 1 upper, LPA2" Upper UPPER_HALF | LPA2, 52, 52;
        "stage 2, 48 bits" Second STAGE_2, 48, 48;
        "stage 2, 40 bits, 2 tops" Second STAGE_2, 40, 40;
        "stage 2, 42 bits, 8 tops" Second STAGE_2, 42, 42;
        "stage 2, 32 bits" Second STAGE_2, 32, 40;
        "stage 2, S2FWB" Second STAGE_2 | S2FWB, 44, 44;
    }
    armv8! { matrix, armv8_16k:
        "stage 1, 47 bits" Lower Features::empty(), 47, 48;
        "stage 1, 48 bits" Lower Features::empty(), 48, 48;
        "stage 1, 36 bits" Lower Features::empty(), 36, 40;
        "stage 1 upper, 47 bits" Upper UPPER_HALF, 47, 48;
        "stage 1, LPA2" Lower LPA2, 52, 52;
        "stage 2, 47 bits" Second STAGE_2, 47, 48;
        "stage 2, 40 bits, 16 tops" Second STAGE_2, 40, 40;
        "stage 2, 48 bits, 2 tops" Second STAGE_2, 48, 48;
    }
    armv8! { matrix, armv8_64k:
        "stage 1, 48 bits" Lower Features::empty(), 48, 48;
        "stage 1, 42 bits" Lower Features::empty(), 42, 44;
        "stage 1, LVA, LPA" Lower LVA | LPA, 52, 52;
        "stage 1 upper, LVA, LPA" Upper UPPER_HALF | LVA | LPA, 52, 52;
        "stage 2, 48 bits" Second STAGE_2, 48, 48;
        "stage 2, 45 bits, 8 tops" Second STAGE_2, 45, 48;
        "stage 2, 42 bits" Second STAGE_2, 42, 42;
    }
}

fn armv7s(matrix: &mut Matrix) {
    for (name, va, oa) in [("32 bits", 32, 32), ("32 bits, PA of 40", 32, 40), ("30 bits", 30, 32), ("25 bits", 25, 32)]
    {
        run(matrix, "armv7s", name, "qemu-system-arm", |program, seed| {
            let config = config(armv7s::FORCED, va, oa, armv7s::Config {});
            let plan =
                Plan { pa_bits: oa, high_sizes: 16 << 20, access_bytes: 4, accesses_of_a_page: 2, ..Plan::new(seed) };
            check::<armv7s::Format>(arm::RAM_PA, &config, plan, |ram, info| {
                let armv7s::HwInfo { ttbr, ttbcr, prrr, nmrr } = info;
                let registers = arm32::Registers { ttbr, ttbcr, prrr, nmrr };
                Ok(Box::new(arm32::Cpu::new(program, registers, ram)?))
            })
        });
    }
}

fn vtdss(matrix: &mut Matrix) {
    for (name, va, top_level) in [("3 levels", 39, 2), ("4 levels", 48, 3)] {
        run(matrix, "vtdss", name, "qemu-system-x86_64", |program, seed| {
            let config = config(vtdss::FORCED, va, 48, vtdss::Config { top_level });
            check::<vtdss::Format>(
                0,
                &config,
                Plan { identity: iommu::IDENTITY_BYTES, ..Plan::dma(seed) },
                |ram, info| Ok(Box::new(iommu::Vtd::new(program, va, info.ssptptr, info.aw, ram)?)),
            )
        });
    }
}

fn amdv1(matrix: &mut Matrix) {
    for (name, starting_level, va) in [
        ("mode 2", 1, 30),
        ("mode 3", 2, 39),
        ("mode 4", 3, 48),
        ("mode 5", 4, 57),
        ("mode 6", 5, 64),
        ("mode 2, growing to 6", 1, 64),
    ] {
        run(matrix, "amdv1", name, "qemu-system-x86_64", |program, seed| {
            let config = config(amdv1::FORCED, va, 48, amdv1::Config { starting_level, encryption_mask: 0 });
            check::<amdv1::Format>(
                0,
                &config,
                Plan { identity: iommu::IDENTITY_BYTES, ..Plan::dma(seed) },
                |ram, info| Ok(Box::new(iommu::Amd::new(program, info.host_pt_root, info.mode, ram)?)),
            )
        });
    }
}

fn main() -> ExitCode {
    let mut matrix = Matrix::default();
    riscv_64(&mut matrix);
    riscv_32(&mut matrix);
    x86_64(&mut matrix);
    x86_pae(&mut matrix);
    armv8(&mut matrix);
    armv7s(&mut matrix);
    vtdss(&mut matrix);
    amdv1(&mut matrix);
    println!("{matrix}");
    let required = std::env::var_os("GENERIC_PT_REQUIRE_QEMU").is_some_and(|value| value == "1");
    if matrix.disagreements() != 0 || (required && matrix.skipped() != 0) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}
