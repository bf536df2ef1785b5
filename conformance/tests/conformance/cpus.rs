//! CPUs.

use crate::rows::{Jobs, Needs, check, config};
use conformance::arm::{self, MemoryTypes, Registers, Stage};
use conformance::arm32;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
use conformance::kvm::{self, Host, Vcpu};
use conformance::plan::{Plan, Tables, Tracking};
use conformance::ram::Layout;
use conformance::riscv::{self, Hart, Xlen};
use conformance::riscv_g::Guest;
use conformance::x86;
use generic_pt::Features;
use generic_pt::fmt::{armv7s, riscv_32, riscv_32_g, riscv_64, riscv_64_g, x86_64, x86_pae};

/// All of them.
pub fn all(jobs: &mut Jobs) {
    riscv_64(jobs);
    riscv_32(jobs);
    riscv_64_g(jobs);
    riscv_32_g(jobs);
    x86_64(jobs);
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    x86_64_of_kvm(jobs);
    x86_pae(jobs);
    armv8(jobs);
    armv7s(jobs);
}

/// Of a table that notes which pages the CPU wrote if it has that feature.
fn tracking(features: Features, notes: Features) -> Tracking {
    if features.contains(notes) { Tracking::Writes } else { Tracking::Nothing }
}

/// The extension by which a hart can be told to set A and D.
const SVADU: &[&str] = &["svadu=on"];

/// What a RISC-V row needs: harts do as they are told of A and D from QEMU 10.0 on.
fn riscv(has_svadu: bool, program: &'static str) -> Needs {
    Needs::Qemu { program, major: if has_svadu { 10 } else { 0 } }
}

fn riscv_64(jobs: &mut Jobs) {
    for (name, va, own, extensions) in [
        ("Sv39", 39, Features::empty(), &[][..]),
        ("Sv39, Svnapot", 39, riscv_64::SVNAPOT_64K, &["svnapot=on"][..]),
        ("Sv48", 48, Features::empty(), &[][..]),
        ("Sv48, Svnapot, Svpbmt", 48, riscv_64::SVNAPOT_64K.union(riscv_64::SVPBMT), &["svnapot=on", "svpbmt=on"][..]),
        ("Sv57", 57, Features::empty(), &[][..]),
        ("Sv57, Svnapot", 57, riscv_64::SVNAPOT_64K, &["svnapot=on"][..]),
        ("Sv39, Svadu", 39, riscv_64::SVADU, SVADU),
        ("Sv48, Svadu, Svnapot", 48, riscv_64::SVADU.union(riscv_64::SVNAPOT_64K), &["svadu=on", "svnapot=on"][..]),
    ] {
        jobs.add(
            "riscv_64",
            name,
            riscv(own.contains(riscv_64::SVADU), "qemu-system-riscv64"),
            move |program, seed| {
                let config = config(riscv_64::FORCED | Features::SIGN_EXTEND | own, va, 56, riscv_64::Config {});
                let plan = Plan { pa_bits: 56, tracking: tracking(own, riscv_64::SVADU), ..Plan::new(seed) };
                check::<riscv_64::Format>(Layout::large(riscv::RAM_PA), &config, plan, |ram, info| {
                    let mut hart = Hart::new(program, Xlen::Bits64, extensions, ram)?;
                    if own.contains(riscv_64::SVADU) {
                        hart.enable_updates()?;
                    }
                    hart.install(info.fsc_iosatp_mode, info.ppn)?;
                    Ok(Box::new(hart))
                })
            },
        );
    }
}

fn riscv_32(jobs: &mut Jobs) {
    for (name, own, extensions) in [("Sv32", Features::empty(), &[][..]), ("Sv32, Svadu", riscv_32::SVADU, SVADU)] {
        jobs.add(
            "riscv_32",
            name,
            riscv(own.contains(riscv_32::SVADU), "qemu-system-riscv32"),
            move |program, seed| {
                let config = config(riscv_32::FORCED | own, 32, 34, riscv_32::Config {});
                let tracking = tracking(own, riscv_32::SVADU);
                let plan = Plan { pa_bits: 34, access_bytes: 4, tracking, ..Plan::new(seed) };
                check::<riscv_32::Format>(Layout::small(riscv::RAM_PA), &config, plan, |ram, info| {
                    let mut hart = Hart::new(program, Xlen::Bits32, extensions, ram)?;
                    if own.contains(riscv_32::SVADU) {
                        hart.enable_updates()?;
                    }
                    hart.install(info.fsc_iosatp_mode, info.ppn.into())?;
                    Ok(Box::new(hart))
                })
            },
        );
    }
}

fn riscv_64_g(jobs: &mut Jobs) {
    for (name, va, own, extensions) in [
        ("Sv39x4", 41, Features::empty(), &[][..]),
        (
            "Sv48x4, Svnapot, Svpbmt",
            50,
            riscv_64_g::SVNAPOT_64K.union(riscv_64_g::SVPBMT),
            &["svnapot=on", "svpbmt=on"][..],
        ),
        ("Sv57x4", 59, Features::empty(), &[][..]),
        ("Sv39x4, Svadu", 41, riscv_64_g::SVADU, SVADU),
    ] {
        let needs = riscv(own.contains(riscv_64_g::SVADU), "qemu-system-riscv64");
        jobs.add("riscv_64_g", name, needs, move |program, seed| {
            let config = config(riscv_64_g::FORCED | own, va, 56, riscv_64_g::Config {});
            let plan = Plan { pa_bits: 56, tracking: tracking(own, riscv_64_g::SVADU), ..Plan::new(seed) };
            check::<riscv_64_g::Format>(Layout::large(riscv::RAM_PA), &config, plan, |ram, info| {
                let top = (info.iohgatp_mode, info.ppn);
                let mut guest = Guest::new(program, Xlen::Bits64, extensions, top, ram)?;
                if own.contains(riscv_64_g::SVADU) {
                    guest.enable_updates()?;
                }
                Ok(Box::new(guest))
            })
        });
    }
}

fn riscv_32_g(jobs: &mut Jobs) {
    for (name, own, extensions) in [("Sv32x4", Features::empty(), &[][..]), ("Sv32x4, Svadu", riscv_32_g::SVADU, SVADU)]
    {
        let needs = riscv(own.contains(riscv_32_g::SVADU), "qemu-system-riscv32");
        jobs.add("riscv_32_g", name, needs, move |program, seed| {
            let config = config(riscv_32_g::FORCED | own, 34, 34, riscv_32_g::Config {});
            let tracking = tracking(own, riscv_32_g::SVADU);
            let plan = Plan { pa_bits: 34, access_bytes: 4, tracking, ..Plan::new(seed) };
            check::<riscv_32_g::Format>(Layout::small(riscv::RAM_PA), &config, plan, |ram, info| {
                let top = (info.iohgatp_mode, info.ppn.into());
                let mut guest = Guest::new(program, Xlen::Bits32, extensions, top, ram)?;
                if own.contains(riscv_32_g::SVADU) {
                    guest.enable_updates()?;
                }
                Ok(Box::new(guest))
            })
        });
    }
}

fn x86_64(jobs: &mut Jobs) {
    for (name, va, top_level) in [("4 levels", 48, 3), ("5 levels", 57, 4)] {
        jobs.add("x86_64", name, Needs::any("qemu-system-x86_64"), move |program, seed| {
            let features = x86_64::FORCED | Features::SIGN_EXTEND;
            let config = config(features, va, 52, x86_64::Config { top_level, encryption_mask: 0 });
            let plan = Plan { window: x86::WINDOW, pa_bits: 52, ..Plan::new(seed) };
            check::<x86_64::Format>(Layout::PC, &config, plan, |ram, info| {
                let tables = x86::Tables::Long { cr3: info.gcr3_pt, levels: info.levels };
                Ok(Box::new(x86::Cpu::new(program, tables, ram)?))
            })
        });
    }
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
fn x86_64_of_kvm(jobs: &mut Jobs) {
    jobs.add("x86_64", "4 levels", Needs::Kvm, |_, seed| {
        let host = Host::probe()?;
        let config = config(
            x86_64::FORCED | Features::SIGN_EXTEND,
            48,
            host.pa_bits,
            x86_64::Config { top_level: 3, encryption_mask: 0 },
        );
        let plan = Plan { window: kvm::WINDOW, pa_bits: host.pa_bits, sizes: host.sizes, ..Plan::new(seed) };
        check::<x86_64::Format>(Layout::small(x86::RAM_PA), &config, plan, |ram, info| {
            Ok(Box::new(Vcpu::new(info.gcr3_pt, info.levels, ram)?))
        })
    });
}

fn x86_pae(jobs: &mut Jobs) {
    for (name, own, execution) in [
        ("XD", x86_pae::EXECUTE_DISABLE, x86::Execution::CanBeDenied),
        ("without XD", Features::empty(), x86::Execution::AlwaysPermitted),
    ] {
        jobs.add("x86_pae", name, Needs::any("qemu-system-x86_64"), move |program, seed| {
            let config = config(x86_pae::FORCED | own, 32, 52, x86_pae::Config {});
            // CR3 is of 32 bits.
            let plan = Plan {
                access_bytes: 4,
                window: x86::WINDOW,
                pa_bits: 52,
                tables: Tables::Low,
                tracking: Tracking::Writes,
                ..Plan::new(seed)
            };
            check::<x86_pae::Format>(Layout::PC, &config, plan, |ram, info| {
                Ok(Box::new(x86::Cpu::new(program, x86::Tables::Pae { cr3: info.cr3, execution }, ram)?))
            })
        });
    }
}

/// One granule of ARMv8: name, QEMU's version, features, VA and PA bits.
macro_rules! armv8 {
    ($jobs:ident, $format:ident: $($name:literal $major:literal $features:expr, $va:literal, $oa:literal;)*) => {
        $($jobs.add(stringify!($format), $name, Needs::Qemu { program: "qemu-system-aarch64", major: $major }, move |program, seed| {
            #[allow(unused_imports, reason = "features of some rows")]
            use generic_pt::fmt::$format::*;
            let features: Features = FORCED.union($features);
            let config = config(features, $va, $oa, Config {});
            let tracking = tracking(features, DIRTY_TRACKING);
            let plan = Plan { pa_bits: $oa, window: arm::WINDOW, accesses_of_a_page: 2, tracking, ..Plan::new(seed) };
            check::<Format>(Layout::large(arm::RAM_PA), &config, plan, |ram, HwInfo { ttb, tcr, mair }| {
                let stage = Stage::of(features.contains(STAGE_2), tcr)?;
                let registers = Registers { ttb, tcr, mair };
                let types = if features.contains(S2FWB) { MemoryTypes::Forced } else { MemoryTypes::Combined };
                Ok(Box::new(arm::Cpu::new(program, stage, types, registers, ram)?))
            })
        });)*
    };
}

fn armv8(jobs: &mut Jobs) {
    armv8! { jobs, armv8_4k:
        "stage 1, 48 bits" 0 Features::empty(), 48, 48;
        "stage 1, 39 bits" 0 Features::empty(), 39, 40;
        "stage 1, 30 bits" 0 Features::empty(), 30, 40;
        "stage 1 upper, 48 bits" 0 UPPER_HALF, 48, 48;
        "stage 1, 24 bits (TTST)" 0 TTST, 24, 40;
        "stage 2, 24 bits (TTST)" 0 STAGE_2 | TTST, 24, 40;
        "stage 1, dirty" 10 DIRTY_TRACKING, 48, 48;
        "stage 1, LPA2" 0 LPA2, 52, 52;
        "stage 1 upper, LPA2" 0 UPPER_HALF | LPA2, 52, 52;
        "stage 2, dirty" 10 STAGE_2 | DIRTY_TRACKING, 48, 48;
        "stage 2, 48 bits" 0 STAGE_2, 48, 48;
        "stage 2, 40 bits, 2 tops" 0 STAGE_2, 40, 40;
        "stage 2, 42 bits, 8 tops" 0 STAGE_2, 42, 42;
        "stage 2, 32 bits" 0 STAGE_2, 32, 40;
        "stage 2, S2FWB" 0 STAGE_2 | S2FWB, 44, 44;
        "stage 2, LPA2" 0 STAGE_2 | LPA2, 52, 52;
        "stage 2, LPA2, 50 bits, 4 tops" 0 STAGE_2 | LPA2, 50, 52;
    }
    armv8! { jobs, armv8_16k:
        "stage 1, 47 bits" 0 Features::empty(), 47, 48;
        "stage 1, 48 bits" 0 Features::empty(), 48, 48;
        "stage 1, 36 bits" 0 Features::empty(), 36, 40;
        "stage 1 upper, 47 bits" 0 UPPER_HALF, 47, 48;
        "stage 1 upper, dirty" 10 UPPER_HALF | DIRTY_TRACKING, 47, 48;
        "stage 1, LPA2" 0 LPA2, 52, 52;
        "stage 1 upper, LPA2" 0 UPPER_HALF | LPA2, 52, 52;
        "stage 2, 47 bits" 0 STAGE_2, 47, 48;
        "stage 2, 40 bits, 16 tops" 0 STAGE_2, 40, 40;
        "stage 2, 48 bits, 2 tops" 0 STAGE_2, 48, 48;
        "stage 2, LPA2" 10 STAGE_2 | LPA2, 52, 52;
        "stage 2, LPA2, 48 bits, 2 tops" 0 STAGE_2 | LPA2, 48, 52;
        "stage 2, LPA2, 49 bits, 4 tops" 0 STAGE_2 | LPA2, 49, 52;
        "stage 2, LPA2, 50 bits, 8 tops" 0 STAGE_2 | LPA2, 50, 52;
        "stage 2, LPA2, 51 bits, 16 tops" 0 STAGE_2 | LPA2, 51, 52;
    }
    armv8! { jobs, armv8_64k:
        "stage 1, 48 bits" 0 Features::empty(), 48, 48;
        "stage 1, 42 bits" 0 Features::empty(), 42, 44;
        "stage 1, LVA, LPA" 0 LVA | LPA, 52, 52;
        "stage 1 upper, LVA, LPA" 0 UPPER_HALF | LVA | LPA, 52, 52;
        "stage 2, 48 bits" 0 STAGE_2, 48, 48;
        "stage 2, 45 bits, 8 tops" 0 STAGE_2, 45, 48;
        "stage 2, 42 bits" 0 STAGE_2, 42, 42;
        "stage 2, LPA" 0 STAGE_2 | LPA, 52, 52;
        "stage 1, LVA, LPA, dirty" 10 LVA | LPA | DIRTY_TRACKING, 52, 52;
    }
}

fn armv7s(jobs: &mut Jobs) {
    for (name, va, oa) in [("32 bits", 32, 32), ("32 bits, PA of 40", 32, 40), ("30 bits", 30, 32), ("25 bits", 25, 32)]
    {
        jobs.add("armv7s", name, Needs::any("qemu-system-arm"), move |program, seed| {
            let config = config(armv7s::FORCED, va, oa, armv7s::Config {});
            let plan = Plan {
                pa_bits: oa,
                window: arm32::WINDOW,
                high_sizes: 16 << 20,
                access_bytes: 4,
                accesses_of_a_page: 2,
                ..Plan::new(seed)
            };
            check::<armv7s::Format>(Layout::small(arm::RAM_PA), &config, plan, |ram, info| {
                let armv7s::HwInfo { ttbr, ttbcr, prrr, nmrr } = info;
                let registers = arm32::Registers { ttbr, ttbcr, prrr, nmrr };
                Ok(Box::new(arm32::Cpu::new(program, registers, ram)?))
            })
        });
    }
}
