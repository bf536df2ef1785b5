//! Every format on every walker that is there: `cargo test --release -p conformance -- --nocapture`.
//!
//! A walker that cannot run is skipped with the reason; with `GENERIC_PT_REQUIRE_QEMU=1` that is a failure.

use conformance::matrix::{Counts, Matrix, Row, Trouble};
use conformance::ram::Ram;
use conformance::riscv::{self, Hart, Xlen};
use conformance::scenario::{Plan, Scene};
use conformance::vm;
use conformance::x86::{self, Cpu, Paging};
use generic_pt::fmt::{riscv_32, riscv_64, x86_64, x86_pae};
use generic_pt::memory::Arena;
use generic_pt::{Domain, Features, NoHardware, TableConfig};
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

/// Tables of each configuration.
const SEEDS: u64 = 4;

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
            let ram = Ram::new(riscv::RAM_PA)?;
            let mut tables = ram.tables()?;
            let arena = Arena::new(&mut tables, ram.tables_pa()).map_err(io::Error::other)?;
            let domain = Domain::new(arena, NoHardware);
            let features = riscv_64::FORCED | Features::SIGN_EXTEND | own;
            let plan = Plan { maps: 120, accesses: true, identity: 0, pa_bits: 56, access_bytes: 8, seed };
            let mut scene =
                Scene::<riscv_64::Format>::new(&domain, &config(features, va, 56, riscv_64::Config {}), &ram, plan)?;
            let riscv_64::HwInfo { ppn, fsc_iosatp_mode } = scene.hw_info();
            let mut hart = Hart::new(program, Xlen::Bits64, extensions, &ram)?;
            hart.install(fsc_iosatp_mode, ppn)?;
            scene.check(&mut hart, &ram)
        });
    }
}

fn riscv_32(matrix: &mut Matrix) {
    run(matrix, "riscv_32", "Sv32", "qemu-system-riscv32", |program, seed| {
        let ram = Ram::new(riscv::RAM_PA)?;
        let mut tables = ram.tables()?;
        let arena = Arena::new(&mut tables, ram.tables_pa()).map_err(io::Error::other)?;
        let domain = Domain::new(arena, NoHardware);
        let plan = Plan { maps: 120, accesses: true, identity: 0, pa_bits: 34, access_bytes: 4, seed };
        let config = config(riscv_32::FORCED, 32, 34, riscv_32::Config {});
        let mut scene = Scene::<riscv_32::Format>::new(&domain, &config, &ram, plan)?;
        let riscv_32::HwInfo { ppn, fsc_iosatp_mode } = scene.hw_info();
        let mut hart = Hart::new(program, Xlen::Bits32, &[], &ram)?;
        hart.install(fsc_iosatp_mode, ppn.into())?;
        scene.check(&mut hart, &ram)
    });
}

fn x86_64(matrix: &mut Matrix) {
    for (name, va, top_level, paging) in [("4 levels", 48, 3, Paging::Four), ("5 levels", 57, 4, Paging::Five)] {
        run(matrix, "x86_64", name, "qemu-system-x86_64", |program, seed| {
            let ram = Ram::new(x86::RAM_PA)?;
            let mut tables = ram.tables()?;
            let arena = Arena::new(&mut tables, ram.tables_pa()).map_err(io::Error::other)?;
            let domain = Domain::new(arena, NoHardware);
            let identity = x86::IDENTITY_BYTES;
            let plan = Plan { maps: 120, accesses: true, identity, pa_bits: 52, access_bytes: 8, seed };
            let features = x86_64::FORCED | Features::SIGN_EXTEND;
            let config = config(features, va, 52, x86_64::Config { top_level, encryption_mask: 0 });
            let mut scene = Scene::<x86_64::Format>::new(&domain, &config, &ram, plan)?;
            let mut cpu = Cpu::new(program, paging, &ram)?;
            cpu.install(scene.hw_info().gcr3_pt)?;
            scene.check(&mut cpu, &ram)
        });
    }
}

fn x86_pae(matrix: &mut Matrix) {
    run(matrix, "x86_pae", "XD", "qemu-system-x86_64", |program, seed| {
        let ram = Ram::new(x86::RAM_PA)?;
        let mut tables = ram.tables()?;
        let arena = Arena::new(&mut tables, ram.tables_pa()).map_err(io::Error::other)?;
        let domain = Domain::new(arena, NoHardware);
        let plan =
            Plan { maps: 120, accesses: false, identity: x86::IDENTITY_BYTES, pa_bits: 52, access_bytes: 4, seed };
        let config = config(x86_pae::FORCED | x86_pae::EXECUTE_DISABLE, 32, 52, x86_pae::Config {});
        let mut scene = Scene::<x86_pae::Format>::new(&domain, &config, &ram, plan)?;
        let mut cpu = Cpu::new(program, Paging::Pae, &ram)?;
        cpu.install(scene.hw_info().cr3.into())?;
        scene.check(&mut cpu, &ram)
    });
}

fn main() -> ExitCode {
    let mut matrix = Matrix::default();
    riscv_64(&mut matrix);
    riscv_32(&mut matrix);
    x86_64(&mut matrix);
    x86_pae(&mut matrix);
    println!("{matrix}");
    let required = std::env::var_os("GENERIC_PT_REQUIRE_QEMU").is_some_and(|value| value == "1");
    if matrix.disagreements() != 0 || (required && matrix.skipped() != 0) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}
