//! Tops of formats whose configuration decides how large they are: level, memory, and what the registers say.

use generic_pt::fmt::{armv8_4k, armv8_16k, armv8_64k};
use generic_pt::format::Description;
use generic_pt::iommu::Walkers;
use generic_pt::testing::{TestDriver, TestMemory};
use generic_pt::{Domain, Features, Prot, PtIommu, TableConfig};

/// A table, and what it has to be.
struct Case<H> {
    features: Features,
    va: u32,
    oa: u32,
    level: u32,
    top_bytes: usize,
    /// Given the hardware information.
    registers: fn(H),
}

/// Makes the table of each case, uses both its ends, and looks at its top.
fn check<F: Walkers<HwInfo: std::fmt::Debug>>(cases: &[Case<F::HwInfo>])
where
    F::Config: Default,
{
    for case in cases {
        let what = format!("{} {} {} VA, {} OA", F::NAME, case.features.named(F::OWN_FEATURES), case.va, case.oa);
        let domain = Domain::new(TestMemory::below(case.oa, 0x7_2345_6789_a000), TestDriver::default());
        let config = TableConfig {
            features: case.features,
            hw_max_vasz_lg2: case.va,
            hw_max_oasz_lg2: case.oa,
            format: F::Config::default(),
        };
        let mut table = PtIommu::<F, _>::new(&domain, &config).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(table.top_level(), case.level, "{what}: level of the top");
        assert_eq!(domain.memory.live_bytes(), case.top_bytes, "{what}: memory of the top");
        (case.registers)(table.hw_info());
        let (info, size) = (table.info(), 1 << table.info().page_sizes.trailing_zeros());
        assert_eq!(info.aperture.last - info.aperture.va, (1 << case.va) - 1, "{what}: aperture");
        let is_upper = |(name, feature): &(&str, Features)| *name == "UPPER_HALF" && case.features.contains(*feature);
        let first = if F::OWN_FEATURES.iter().any(is_upper) { u64::MAX << case.va } else { 0 };
        assert_eq!(info.aperture.va, first, "{what}: first VA");
        for va in [info.aperture.va, info.aperture.va | 1 << (case.va - 1), info.aperture.last - (size - 1)] {
            table
                .map_range(va, 0x12_0000, size, Prot::READ | Prot::WRITE)
                .unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(table.iova_to_phys(va + 0x123), Some(0x12_0123), "{what}: {va:#x}");
        }
    }
}

/// T0SZ (or S2T0SZ), TG0, and IPS; of stage 1 without the other half.
macro_rules! registers {
    ($format:ident, $tcr:expr) => {
        |info: $format::HwInfo| {
            assert_eq!(info.tcr, $tcr, "TCR {:#x}, expected {:#x}", info.tcr, $tcr);
            assert_eq!(info.ttb & 0x3f, 0);
        }
    };
}

/// Walks of a coherent walker: IRGN and ORGN 1, SH 3.
const COHERENT: u64 = 1 << 8 | 1 << 10 | 3 << 12;
const EPD1: u64 = 1 << 23;
/// RES1 of VTCR_EL2.
const VTCR: u64 = 1 << 31;

/// The same for each granule: TG0 and TG1.
#[test]
fn armv8_4k_tops() {
    use armv8_4k::*;
    const NONE: Features = Features::empty();
    const BYTES_4K: usize = 4096;
    check::<Format>(&[
        Case {
            features: NONE,
            va: 48,
            oa: 48,
            level: 3,
            top_bytes: BYTES_4K,
            registers: registers!(armv8_4k, 16 | COHERENT | EPD1 | 5 << 32),
        },
        Case {
            features: UPPER_HALF,
            va: 48,
            oa: 48,
            level: 3,
            top_bytes: BYTES_4K,
            // T1SZ, TG1 2, EPD0.
            registers: registers!(armv8_4k, (16 | COHERENT | 2 << 14) << 16 | 1 << 7 | 5 << 32),
        },
        // One bit more than a level: the top has 2 items, and the padding that its alignment needs.
        Case {
            features: NONE,
            va: 40,
            oa: 40,
            level: 3,
            top_bytes: 64,
            registers: registers!(armv8_4k, 24 | COHERENT | EPD1 | 2 << 32),
        },
        Case {
            features: TTST,
            va: 16,
            oa: 32,
            level: 0,
            top_bytes: 128,
            registers: registers!(armv8_4k, 48 | COHERENT | EPD1),
        },
        Case {
            features: LPA2,
            va: 52,
            oa: 52,
            level: 4,
            top_bytes: 128,
            registers: registers!(armv8_4k, 12 | COHERENT | EPD1 | 6 << 32 | 1 << 59),
        },
        // Incoherent walks: no caches, SH 2.
        Case {
            features: Features::DMA_INCOHERENT,
            va: 39,
            oa: 36,
            level: 2,
            top_bytes: BYTES_4K,
            registers: registers!(armv8_4k, 25 | 2 << 12 | EPD1 | 1 << 32),
        },
        // Hardware that notes writes: HA and HD.
        Case {
            features: DIRTY_TRACKING,
            va: 48,
            oa: 48,
            level: 3,
            top_bytes: BYTES_4K,
            registers: registers!(armv8_4k, 16 | COHERENT | EPD1 | 5 << 32 | 3 << 39),
        },
        Case {
            features: STAGE_2,
            va: 48,
            oa: 48,
            level: 3,
            top_bytes: BYTES_4K,
            registers: registers!(armv8_4k, 16 | 2 << 6 | COHERENT | 5 << 16 | VTCR),
        },
        Case {
            features: STAGE_2 | DIRTY_TRACKING,
            va: 42,
            oa: 42,
            level: 2,
            top_bytes: 8 * BYTES_4K,
            registers: registers!(armv8_4k, 22 | 1 << 6 | COHERENT | 3 << 16 | 3 << 21 | VTCR),
        },
        Case {
            features: STAGE_2,
            va: 40,
            oa: 40,
            level: 2,
            top_bytes: 2 * BYTES_4K,
            registers: registers!(armv8_4k, 24 | 1 << 6 | COHERENT | 2 << 16 | VTCR),
        },
        // 16 tables; one bit more is a level more.
        Case {
            features: STAGE_2,
            va: 43,
            oa: 48,
            level: 2,
            top_bytes: 16 * BYTES_4K,
            registers: registers!(armv8_4k, 21 | 1 << 6 | COHERENT | 5 << 16 | VTCR),
        },
        Case {
            features: STAGE_2,
            va: 44,
            oa: 48,
            level: 3,
            top_bytes: 256,
            registers: registers!(armv8_4k, 20 | 2 << 6 | COHERENT | 5 << 16 | VTCR),
        },
        // Below level 1 only with FEAT_TTST: SL0 is 3.
        Case {
            features: STAGE_2,
            va: 25,
            oa: 32,
            level: 1,
            top_bytes: 128,
            registers: registers!(armv8_4k, 39 | COHERENT | VTCR),
        },
        Case {
            features: STAGE_2 | TTST,
            va: 25,
            oa: 32,
            level: 0,
            top_bytes: 16 * BYTES_4K,
            registers: registers!(armv8_4k, 39 | 3 << 6 | COHERENT | VTCR),
        },
        Case {
            features: STAGE_2 | LPA2,
            va: 52,
            oa: 52,
            level: 3,
            top_bytes: 16 * BYTES_4K,
            registers: registers!(armv8_4k, 12 | 2 << 6 | COHERENT | 6 << 16 | VTCR | 1 << 32),
        },
    ]);
}

#[test]
fn armv8_16k_tops() {
    use armv8_16k::*;
    const NONE: Features = Features::empty();
    const BYTES_16K: usize = 1 << 14;
    check::<Format>(&[
        Case {
            features: NONE,
            va: 48,
            oa: 48,
            level: 3,
            // 2 items, padded.
            top_bytes: 64,
            registers: registers!(armv8_16k, 16 | COHERENT | 2 << 14 | EPD1 | 5 << 32),
        },
        Case {
            features: UPPER_HALF,
            va: 47,
            oa: 48,
            level: 2,
            top_bytes: BYTES_16K,
            registers: registers!(armv8_16k, (17 | COHERENT | 1 << 14) << 16 | 1 << 7 | 5 << 32),
        },
        Case {
            features: STAGE_2,
            va: 48,
            oa: 48,
            level: 2,
            top_bytes: 2 * BYTES_16K,
            registers: registers!(armv8_16k, 16 | 2 << 6 | COHERENT | 2 << 14 | 5 << 16 | VTCR),
        },
        Case {
            features: STAGE_2,
            va: 40,
            oa: 40,
            level: 1,
            top_bytes: 16 * BYTES_16K,
            registers: registers!(armv8_16k, 24 | 1 << 6 | COHERENT | 2 << 14 | 2 << 16 | VTCR),
        },
        // More than 16 tables of level 2: with LPA2 only there is a level 3.
        Case {
            features: STAGE_2 | LPA2,
            va: 52,
            oa: 52,
            level: 3,
            top_bytes: 256,
            registers: registers!(armv8_16k, 12 | 3 << 6 | COHERENT | 2 << 14 | 6 << 16 | VTCR | 1 << 32),
        },
    ]);
}

#[test]
fn armv8_64k_tops() {
    use armv8_64k::*;
    const NONE: Features = Features::empty();
    const BYTES_64K: usize = 1 << 16;
    check::<Format>(&[
        Case {
            features: NONE,
            va: 48,
            oa: 48,
            level: 2,
            top_bytes: 512,
            registers: registers!(armv8_64k, 16 | COHERENT | 1 << 14 | EPD1 | 5 << 32),
        },
        Case {
            features: UPPER_HALF,
            va: 42,
            oa: 48,
            level: 1,
            top_bytes: BYTES_64K,
            registers: registers!(armv8_64k, (22 | COHERENT | 3 << 14) << 16 | 1 << 7 | 5 << 32),
        },
        Case {
            features: LVA | LPA,
            va: 52,
            oa: 52,
            level: 2,
            top_bytes: 8192,
            registers: registers!(armv8_64k, 12 | COHERENT | 1 << 14 | EPD1 | 6 << 32),
        },
        Case {
            features: STAGE_2,
            va: 48,
            oa: 48,
            level: 2,
            top_bytes: 512,
            registers: registers!(armv8_64k, 16 | 2 << 6 | COHERENT | 1 << 14 | 5 << 16 | VTCR),
        },
        Case {
            features: STAGE_2,
            va: 46,
            oa: 48,
            level: 1,
            top_bytes: 16 * BYTES_64K,
            registers: registers!(armv8_64k, 18 | 1 << 6 | COHERENT | 1 << 14 | 5 << 16 | VTCR),
        },
    ]);
}

/// MAIR has the memory types 0 to 3 from the lowest byte on: non-cacheable, write-back, Device-nGnRE, write-back in outer
/// caches only. Stage 2 has its types in the items.
#[test]
fn armv8_memory_types() {
    use armv8_4k::*;
    for (features, mair) in [(Features::empty(), 0xf404_ff44), (UPPER_HALF, 0xf404_ff44), (STAGE_2, 0)] {
        let domain = Domain::new(TestMemory::below(48, 0x2345_6789_a000), TestDriver::default());
        let config = TableConfig { features, hw_max_vasz_lg2: 48, hw_max_oasz_lg2: 48, format: Config {} };
        let table = PtIommu::<Format, _>::new(&domain, &config).expect("a valid configuration");
        assert_eq!(table.hw_info().mair, mair, "{features:?}");
    }
}

/// The level of the top for each VA width of stage 1 and stage 2, as Arm's tables have it: T0SZ, and SL0 with up to 16
/// tables.
#[test]
fn armv8_levels_for_every_width() {
    /// Widths for which the top is at this level, without what needs more features: lowest, highest.
    type Rows = &'static [(u32, u32, u32)];
    fn level<F: Walkers>(features: Features, va: u32) -> Option<u32>
    where
        F::Config: Default,
    {
        let domain = Domain::new(TestMemory::below(48, 0x2345_6789_a000), TestDriver::default());
        let format = F::Config::default();
        let config = TableConfig { features, hw_max_vasz_lg2: va, hw_max_oasz_lg2: 48, format };
        PtIommu::<F, _>::new(&domain, &config).ok().map(|table| table.top_level())
    }
    fn check<F: Walkers>(features: Features, rows: Rows)
    where
        F::Config: Default,
    {
        for va in 1..=48 {
            let row = rows.iter().find(|(_, lowest, highest)| (*lowest..=*highest).contains(&va));
            assert_eq!(level::<F>(features, va), row.map(|row| row.0), "{} {features:?} {va} VA bits", F::NAME);
        }
    }
    let none = Features::empty();
    check::<armv8_4k::Format>(none, &[(1, 25, 30), (2, 31, 39), (3, 40, 48)]);
    check::<armv8_4k::Format>(armv8_4k::TTST, &[(0, 16, 21), (1, 22, 30), (2, 31, 39), (3, 40, 48)]);
    check::<armv8_16k::Format>(none, &[(0, 25, 25), (1, 26, 36), (2, 37, 47), (3, 48, 48)]);
    check::<armv8_16k::Format>(armv8_16k::TTST, &[(0, 16, 25), (1, 26, 36), (2, 37, 47), (3, 48, 48)]);
    check::<armv8_64k::Format>(none, &[(0, 25, 29), (1, 30, 42), (2, 43, 48)]);
    check::<armv8_64k::Format>(armv8_64k::TTST, &[(0, 17, 29), (1, 30, 42), (2, 43, 48)]);
    // Stage 2 starts one level lower for four bits more.
    check::<armv8_4k::Format>(armv8_4k::STAGE_2, &[(1, 25, 34), (2, 35, 43), (3, 44, 48)]);
    let small = armv8_4k::STAGE_2 | armv8_4k::TTST;
    check::<armv8_4k::Format>(small, &[(0, 16, 25), (1, 26, 34), (2, 35, 43), (3, 44, 48)]);
    check::<armv8_16k::Format>(armv8_16k::STAGE_2, &[(0, 25, 29), (1, 30, 40), (2, 41, 48)]);
    check::<armv8_64k::Format>(armv8_64k::STAGE_2, &[(0, 25, 33), (1, 34, 46), (2, 47, 48)]);
}

/// What does not go together is refused, with the field and what is valid; what the hardware has more of is not used.
#[test]
fn armv8_limits() {
    use armv8_4k::*;
    let made = |features, va, oa| {
        let domain = Domain::new(TestMemory::below(32, 0x4567_a000), TestDriver::default());
        let config = TableConfig { features, hw_max_vasz_lg2: va, hw_max_oasz_lg2: oa, format: Config {} };
        let table = PtIommu::<Format, _>::new(&domain, &config);
        table.map(|table| (table.info().max_va_lg2, table.info().max_oa_lg2)).map_err(|error| error.to_string())
    };
    let none = Features::empty();
    for (features, rule) in [
        (STAGE_2 | UPPER_HALF, "UPPER_HALF only without STAGE_2"),
        (STAGE_2 | NON_SECURE, "NON_SECURE only without STAGE_2"),
        (S2FWB, "S2FWB only with STAGE_2"),
        (DIRTY_TRACKING | Features::DMA_INCOHERENT, "DIRTY_TRACKING only without DMA_INCOHERENT"),
    ] {
        let asked = features.named(<Format as Description>::OWN_FEATURES);
        assert_eq!(made(features, 48, 48), Err(format!("features {asked}: {rule}")));
    }
    let widths = "valid: 32, 36, 40, 42, 44, 48, or 52 with LPA2";
    assert_eq!(made(none, 48, 47), Err(format!("configuration: `hw_max_oasz_lg2` is 47, {widths}")));
    assert_eq!(made(none, 24, 48), Err("configuration: `hw_max_vasz_lg2` is 24, valid: 25 to 48".into()));
    assert_eq!(made(LPA2 | TTST, 15, 48), Err("configuration: `hw_max_vasz_lg2` is 15, valid: 16 to 52".into()));
    assert_eq!(made(none, 52, 52), Ok((48, 48)));
    assert_eq!(made(LPA2, 52, 48), Ok((52, 48)));
    assert_eq!(made(STAGE_2, 48, 40), Ok((40, 40)), "no wider than physical addresses");
}
