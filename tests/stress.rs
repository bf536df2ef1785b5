//! The operations on formats with all that is rare at once (`tests/private/stress.rs`), beyond what the suite does.

#[path = "private/stress.rs"]
#[allow(dead_code, reason = "one of its formats is not used here")]
mod formats;

use formats::stress;
use generic_pt::testing::{TestConfig, TestMemory};
use generic_pt::{Domain, GatherMode, NoHardware, Prot, PtIommu};

const RW: Prot = Prot::READ.union(Prot::WRITE);
/// VA bits that one table of the top level decodes.
const ONE_TABLE_LG2: u32 = 33;

/// *Concatenated top*: items left were counted per table, and were negative when the index was in the second.
#[test]
fn concatenated_top() {
    for tables_lg2 in 0..=2 {
        let config = TestConfig::<stress::Format>::new("all", stress::TEST_CONFIGS[0].table.format)
            .va_lg2(ONE_TABLE_LG2 + tables_lg2);
        let domain = Domain::new(TestMemory::new(0x4000_0000), NoHardware);
        let mut table = PtIommu::<stress::Format, _>::new(&domain, &config.table).expect("a valid configuration");
        let aperture = table.info().aperture;
        assert_eq!(aperture.last - aperture.va, (1 << (ONE_TABLE_LG2 + tables_lg2)) - 1);
        for boundary in 1..1u64 << tables_lg2 {
            // Across the boundary of two tables, and right up to the end of the last.
            let va = aperture.va + (boundary << ONE_TABLE_LG2) - 0x3000;
            check_range(&mut table, va, 0x12_3456_7000, 0x6000);
            check_range(&mut table, va - (1 << 26), 0x40_0000_0000 - 0x3000 - (1 << 26), 1 << 27);
        }
        check_range(&mut table, aperture.last - 0x1fff, 0x1000, 0x2000);
        // All of it at once.
        check_range(&mut table, aperture.va, 0, 1 << (ONE_TABLE_LG2 + tables_lg2));
        drop(table);
        assert_eq!(domain.memory.live_pages(), 0, "all pages came back");
    }
}

/// Maps, translates at the edges and every so often, and unmaps; nothing is left.
fn check_range<H: generic_pt::Host>(table: &mut PtIommu<stress::Format, H>, va: u64, oa: u64, len: u64) {
    table.map_range(va, oa, len, RW).unwrap_or_else(|error| panic!("{va:#x}: {error}"));
    let step = (len / 64).max(0x800);
    for offset in (0..len).step_by(step as usize).chain([len - 1]) {
        assert_eq!(table.iova_to_phys(va + offset), Some(oa + offset), "{va:#x} + {offset:#x}");
    }
    assert_eq!(table.iova_to_phys(va.wrapping_sub(1)), None);
    assert_eq!(table.iova_to_phys(va + len), None);
    let mut gather = table.gather(GatherMode::Immediate);
    assert_eq!(table.unmap_range(va, len, &mut gather), len, "{va:#x}");
    assert_eq!(gather.range().map(|range| (range.va, range.last)), Some((va, va + (len - 1))));
    gather.sync();
    assert_eq!(table.iova_to_phys(va), None);
}
