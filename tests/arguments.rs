//! Arguments of every kind: whatever is asked, no operation panics, and one that refuses changes nothing.
//!
//! The model predicts every result, and after each step the whole table in memory is compared with it, so a refusal that
//! changed something would show. `PROPTEST_CASES` scales it.

#[path = "arguments/gathers.rs"]
mod gathers;

use generic_pt::fmt::{
    amdv1, amdv1_mock, armv7s, armv8_4k, armv8_16k, armv8_64k, dart, dart_16k, dart_v2, ept, mali_lpae, ppc64_radix,
    ppc64_radix_64k, riscv_32, riscv_32_g, riscv_64, riscv_64_g, rockchip_v2, s390, vtdss, x86_64, x86_pae,
};
use generic_pt::iommu::{DirtyMode, GatherMode, PtIommu, Walkers};
use generic_pt::{Error, Features, MapError, Prot, TableConfig};
use generic_pt_model::configs::{self, Setup};
use generic_pt_model::dump::dump;
use generic_pt_model::model::low;
use generic_pt_model::ops::at_most;
use generic_pt_model::runner::Runner;
use generic_pt_model::world::TestDomain;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

const SHARE: u32 = 8;

fn proptest_config(share: u32) -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig { cases: (usual.cases / share).max(1), failure_persistence: None, ..usual }
}

/// Any number, mostly one at an edge of something.
fn word() -> impl Strategy<Value = u64> {
    let power = (0..64u32, -1..2i64).prop_map(|(bit, near)| (1u64 << bit).wrapping_add(near as u64));
    let top = (0..64u32, -1..2i64).prop_map(|(bit, near)| (u64::MAX << bit).wrapping_add(near as u64));
    let pages = (0..64u64, 0..3u32).prop_map(|(n, level)| n << (12 + 9 * level));
    prop_oneof![
        4 => power,
        3 => top,
        4 => pages,
        2 => Just(0u64),
        1 => Just(u64::MAX),
        1 => any::<u64>(),
        1 => any::<u64>().prop_map(|n| n & !0xfff),
    ]
}

#[derive(Clone, Copy, Debug)]
enum Ask {
    Map(u64, u64, u64, u8),
    Unmap(u64, u64, usize),
    Translate(u64),
    TranslateRange(u64, u64),
    Dirty(u64, u64, bool),
    SetDirty(u64),
    Narrow(u64),
    Sync(usize),
}

fn ask() -> impl Strategy<Value = Ask> {
    let prot = prop_oneof![2 => Just(3u8), 1 => any::<u8>()];
    prop_oneof![
        6 => (word(), word(), word(), prot).prop_map(|(va, oa, len, prot)| Ask::Map(va, oa, len, prot)),
        4 => (word(), word(), 0..3usize).prop_map(|(va, len, gather)| Ask::Unmap(va, len, gather)),
        1 => word().prop_map(Ask::Translate),
        2 => (word(), word()).prop_map(|(va, len)| Ask::TranslateRange(va, len)),
        2 => (word(), word(), any::<bool>()).prop_map(|(va, len, clear)| Ask::Dirty(va, len, clear)),
        1 => word().prop_map(Ask::SetDirty),
        1 => prop_oneof![Just(u64::MAX), word()].prop_map(Ask::Narrow),
        1 => (0..3usize).prop_map(Ask::Sync),
    ]
}

fn asked(setup: &Setup, asks: &[Ask]) -> Result<(), String> {
    let world = setup.world();
    let domain = world.domain();
    let mut runner = Runner::new(setup, &domain)?;
    for ask in asks {
        let before = dump(&world)?;
        let refused = match *ask {
            Ask::Map(va, oa, len, prot) => {
                let oa = oa & !setup.params().format.encryption_mask();
                let len = at_most(&runner.model, va, oa, len, 80);
                let mapped = runner.map(va, oa, len, Prot::from_bits_retain(prot), None);
                mapped.map(|mapped| mapped.result.is_err() && mapped.bytes == 0 && mapped.replaced.is_empty())
            }
            Ask::Unmap(va, len, gather) => runner.unmap(va, len, gather).map(|removed| removed.bytes == 0),
            Ask::Translate(va) => runner.translate(va).map(|()| true),
            Ask::TranslateRange(va, len) => runner.translate_range(va, len).map(|()| true),
            Ask::Dirty(va, len, clear) => runner.dirty(va, len, clear, 0).map(|()| !clear),
            Ask::SetDirty(va) => runner.set_dirty(va).map(|()| false),
            Ask::Narrow(sizes) => runner.narrow(sizes).map(|()| true),
            Ask::Sync(gather) => runner.sync(gather).map(|()| true),
        }
        .map_err(|wrong| format!("{ask:x?}: {wrong}"))?;
        // A map that stops at once may have made tables and a higher top on its way, and they stay.
        if refused && dump(&world)?.leaves != before.leaves {
            return Err(format!("{ask:x?} was refused and changed the table"));
        }
    }
    runner.finish()
}

fn any_arguments(setup: &Setup) {
    let asks = proptest::collection::vec(ask(), 1..60);
    let outcome =
        TestRunner::new(proptest_config(SHARE)).run(&asks, |asks| asked(setup, &asks).map_err(TestCaseError::fail));
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

/// The checks before a map writes anything: the table is byte for byte as before, tables and all.
fn refused_maps_change_nothing(setup: &Setup) {
    let params = setup.params();
    let granule = 1u64 << params.item_lg2(0);
    let world = setup.world();
    let domain = world.domain();
    let mut runner = Runner::new(setup, &domain).unwrap();
    runner.map(0, 0, 3 * granule, Prot::READ | Prot::WRITE, None).unwrap();
    let (before, allocations) = (dump(&world).unwrap(), world.allocations.get());
    let edges = [
        0,
        1,
        granule - 1,
        granule,
        low(params.max_va),
        low(params.max_va) + u64::from(params.max_va < 64),
        1 << 63,
        u64::MAX,
    ];
    for va in edges {
        for oa in [0, 1, low(params.max_oa), low(params.max_oa).wrapping_add(1), u64::MAX] {
            for len in [0, 1, granule - 1, granule, u64::MAX] {
                for prot in [Prot::empty(), Prot::READ | Prot::WRITE, Prot::all()] {
                    let error = match runner.map(va, oa, at_most(&runner.model, va, oa, len, 8), prot, None).unwrap() {
                        mapped if mapped.result.is_err() => mapped.result.unwrap_err(),
                        // What it did is undone, so that the next one finds the same.
                        mapped => {
                            runner.unmap(va, mapped.bytes, 0).unwrap();
                            continue;
                        }
                    };
                    let _ = (error.to_string(), error.errno());
                }
            }
        }
    }
    runner.sync(0).unwrap();
    assert_eq!(dump(&world).unwrap().leaves, before.leaves);
    assert!(world.allocations.get() >= allocations);
    runner.finish().unwrap();
}

/// What a configuration may hold.
#[derive(Clone, Copy, Debug)]
struct Wild {
    features: u32,
    /// Only features that the format has, and all that it forces.
    tame: bool,
    va: u32,
    oa: u32,
    level: u32,
    mask: u64,
}

fn wild() -> impl Strategy<Value = Wild> {
    let width = || prop_oneof![6 => Just(48u32), 2 => Just(39u32), 6 => 0..70u32, 1 => any::<u32>()];
    let features = prop_oneof![1 => any::<u32>(), 4 => (0..128u32, 0..4u32).prop_map(|(low, high)| low | high << 16)];
    let mask = prop_oneof![2 => Just(0u64), 3 => (0..64u32).prop_map(|bit| 1 << bit), 1 => word()];
    let level = prop_oneof![6 => 2..4u32, 3 => 0..7u32, 1 => any::<u32>()];
    let tame = proptest::bool::weighted(0.9);
    (features, tame, width(), width(), level, mask).prop_map(|(features, tame, va, oa, level, mask)| Wild {
        features,
        tame,
        va,
        oa,
        level,
        mask,
    })
}

/// Makes and uses a table of a wild configuration.
fn use_wild<F: Walkers>(wild: Wild, format: F::Config) -> Result<(), String> {
    let world = configs::x86_64_plain47().world();
    let domain = world.domain();
    let features = Features::from_bits_retain(wild.features);
    let features = if wild.tame { features & F::SUPPORTED | F::FORCED } else { features };
    let config = TableConfig { features, hw_max_vasz_lg2: wild.va, hw_max_oasz_lg2: wild.oa, format };
    match PtIommu::<F, _>::new(&domain, &config) {
        Ok(mut table) => use_table(&mut table)?,
        Err(error) => check_config_error(&error)?,
    }
    if world.live_pages() != 0 {
        return Err(format!("{} pages left", world.live_pages()));
    }
    // The tables are walked by nobody but the library here, and flushes of coherent memory mean nothing.
    match world.verdict() {
        Err(wrong) if !wrong.contains("flush") => Err(wrong),
        _ => Ok(()),
    }
}

fn check_config_error(error: &Error) -> Result<(), String> {
    let text = error.to_string();
    match error {
        Error::Config { field, valid, .. } => {
            let fields =
                ["hw_max_vasz_lg2", "hw_max_oasz_lg2", "starting_level", "top_level", "encryption_mask", "quadrant"];
            let names_it = fields.contains(field) && text.contains(field) && text.contains(valid) && !valid.is_empty();
            if names_it { Ok(()) } else { Err(format!("{error:?} does not say what would be valid: {text}")) }
        }
        Error::ConfigRange { field, found, lowest, highest, .. } => {
            let says = [(*field).to_owned(), found.to_string(), format!("{lowest} to {highest}")];
            let wrong = (lowest..=highest).contains(&found) || says.iter().any(|part| !text.contains(part));
            if wrong { Err(format!("{error:?} does not say what would be valid: {text}")) } else { Ok(()) }
        }
        Error::FeatureRule { rule, .. } if text.contains(rule) && !rule.is_empty() => Ok(()),
        Error::Features { .. } if text.len() > 20 => Ok(()),
        other => Err(format!("{other:?} as the error of a configuration")),
    }
}

fn use_table<F: Walkers>(table: &mut PtIommu<F, &TestDomain>) -> Result<(), String> {
    let info = table.info();
    let mut gather = table.gather(GatherMode::Immediate);
    for size in (0..64).map(|size| 1u64 << size).filter(|size| info.page_sizes & size != 0) {
        let middle = info.aperture.va + (info.aperture.last - info.aperture.va) / 2 + 1;
        for va in [info.aperture.va, middle & !(size - 1)] {
            let mapped = table.map_range(va, 0, size, Prot::READ | Prot::WRITE);
            match mapped {
                Ok(()) => {
                    if table.iova_to_phys(va) != Some(0) {
                        return Err(format!("{size:#x} at {va:#x} translates to {:x?}", table.iova_to_phys(va)));
                    }
                    let _ = table.set_dirty(va);
                    let _ = table.read_and_clear_dirty(va, 1, DirtyMode::Clear, &mut gather, |_| ());
                    let removed = table.unmap_range(va, size, &mut gather);
                    if removed != size {
                        return Err(format!("{removed:#x} of {size:#x} at {va:#x} unmapped"));
                    }
                }
                // The memory's addresses have bits that the format, or a mask, cannot store.
                Err(MapError { error: Error::TableAddress { .. }, mapped: 0, .. }) => {}
                Err(other) => return Err(format!("{size:#x} at {va:#x}: {other}")),
            }
        }
    }
    let _ = table.map_range(1, 1, 1, Prot::READ);
    gather.sync();
    let _ = (table.hw_info(), format!("{table:?}"));
    Ok(())
}

fn any_configuration(use_it: impl Fn(Wild) -> Result<(), String>) {
    let outcome = TestRunner::new(proptest_config(1)).run(&wild(), |wild| use_it(wild).map_err(TestCaseError::fail));
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

#[test]
fn any_configuration_of_amdv1() {
    any_configuration(|wild| {
        let format = amdv1::Config { starting_level: wild.level, encryption_mask: wild.mask };
        use_wild::<amdv1::Format>(wild, format)
    });
}

#[test]
fn any_configuration_of_amdv1_mock() {
    any_configuration(|wild| {
        let format = amdv1_mock::Config { starting_level: wild.level, encryption_mask: wild.mask };
        use_wild::<amdv1_mock::Format>(wild, format)
    });
}

#[test]
fn any_configuration_of_x86_64() {
    any_configuration(|wild| {
        let format = x86_64::Config { top_level: wild.level, encryption_mask: wild.mask };
        use_wild::<x86_64::Format>(wild, format)
    });
}

#[test]
fn any_configuration_of_vtdss() {
    any_configuration(|wild| use_wild::<vtdss::Format>(wild, vtdss::Config { top_level: wild.level }));
}

#[test]
fn any_configuration_of_riscv_64() {
    any_configuration(|wild| use_wild::<riscv_64::Format>(wild, riscv_64::Config {}));
}

#[test]
fn any_configuration_of_riscv_64_g() {
    any_configuration(|wild| use_wild::<riscv_64_g::Format>(wild, riscv_64_g::Config {}));
}

#[test]
fn any_configuration_of_riscv_32() {
    any_configuration(|wild| use_wild::<riscv_32::Format>(wild, riscv_32::Config {}));
}

#[test]
fn any_configuration_of_riscv_32_g() {
    any_configuration(|wild| use_wild::<riscv_32_g::Format>(wild, riscv_32_g::Config {}));
}

#[test]
fn any_configuration_of_ept() {
    any_configuration(|wild| use_wild::<ept::Format>(wild, ept::Config { top_level: wild.level }));
}

#[test]
fn any_configuration_of_x86_pae() {
    any_configuration(|wild| use_wild::<x86_pae::Format>(wild, x86_pae::Config {}));
}

#[test]
fn any_configuration_of_ppc64_radix() {
    any_configuration(|wild| {
        use_wild::<ppc64_radix::Format>(wild, ppc64_radix::Config { quadrant: wild.level })?;
        use_wild::<ppc64_radix_64k::Format>(wild, ppc64_radix_64k::Config { quadrant: wild.level })
    });
}

#[test]
fn any_configuration_of_rockchip_v2() {
    any_configuration(|wild| use_wild::<rockchip_v2::Format>(wild, rockchip_v2::Config {}));
}

#[test]
fn any_configuration_of_s390() {
    any_configuration(|wild| use_wild::<s390::Format>(wild, s390::Config { top_level: wild.level }));
}

#[test]
fn any_configuration_of_armv8() {
    any_configuration(|wild| {
        use_wild::<armv8_4k::Format>(wild, armv8_4k::Config {})?;
        use_wild::<armv8_16k::Format>(wild, armv8_16k::Config {})?;
        use_wild::<armv8_64k::Format>(wild, armv8_64k::Config {})
    });
}

#[test]
fn any_configuration_of_armv7s() {
    any_configuration(|wild| use_wild::<armv7s::Format>(wild, armv7s::Config {}));
}

#[test]
fn any_configuration_of_mali_lpae() {
    any_configuration(|wild| use_wild::<mali_lpae::Format>(wild, mali_lpae::Config {}));
}

#[test]
fn any_configuration_of_dart() {
    any_configuration(|wild| {
        use_wild::<dart::Format>(wild, dart::Config {})?;
        use_wild::<dart_16k::Format>(wild, dart_16k::Config {})?;
        use_wild::<dart_v2::Format>(wild, dart_v2::Config {})
    });
}

macro_rules! arguments {
    ($name:ident) => {
        mod $name {
            #[test]
            fn any_arguments() {
                super::any_arguments(&super::configs::$name());
            }
            #[test]
            fn refused_maps_change_nothing() {
                super::refused_maps_change_nothing(&super::configs::$name());
            }
        }
    };
}

generic_pt_model::for_each_config!(arguments);
