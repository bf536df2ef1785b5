//! Bugs of the ARM formats.

use super::{Bench, RW, on};
use generic_pt::Prot;
use generic_pt::fmt::{armv8_4k, armv8_16k, armv8_64k};
use generic_pt_model::configs::{self, FLUSH, Setup};
use generic_pt_model::dump::dump;
use generic_pt_model::world::Event;
use rstest::rstest;

/// The only leaf item of the table.
fn leaf(bench: &Bench<'_>) -> u64 {
    let items = dump(&bench.world).unwrap().items;
    let leaves: Vec<u64> = items.iter().filter(|item| item.is_leaf).map(|item| item.raw).collect();
    assert_eq!(leaves.len(), 1, "{leaves:x?}");
    leaves[0]
}

/// Bit 53 and bit 54 were both set in stage 2: that lets EL1 execute. *Never* is bit 54 alone.
#[rstest]
#[case::armv8_4k(configs::armv8_4k(FLUSH | armv8_4k::STAGE_2, 48, 48, 3))]
#[case::armv8_16k(configs::armv8_16k(FLUSH | armv8_16k::STAGE_2, 47, 48, 2))]
#[case::armv8_64k(configs::armv8_64k(FLUSH | armv8_64k::STAGE_2, 48, 48, 2))]
fn stage_2_never_execute(#[case] setup: Setup) {
    on(&setup, |bench| {
        let granule = bench.granule();
        for (prot, expected) in [(RW, 0b00), (RW | Prot::NOEXEC, 0b10)] {
            bench.runner.map(0, granule, granule, prot, None).unwrap().result.unwrap();
            assert_eq!(leaf(bench) >> 53 & 0b11, expected, "XN with {prot:?}");
            assert_eq!(bench.unmap(0, granule, 0), granule);
        }
    });
}

/// Runs were made where Arm defines none: of 512 GiB, 64 GiB and 4 TiB blocks.
#[rstest]
#[case::armv8_4k(configs::armv8_4k(FLUSH | armv8_4k::LPA2, 52, 52, 4), &[12, 16, 21, 25, 30, 34, 39])]
#[case::armv8_16k(configs::armv8_16k(FLUSH | armv8_16k::LPA2, 52, 52, 3), &[14, 21, 25, 30, 36])]
#[case::armv8_64k(configs::armv8_64k(FLUSH | armv8_64k::LPA | armv8_64k::LVA, 52, 52, 2), &[16, 21, 29, 34, 42])]
fn contiguous_runs_only_where_defined(#[case] setup: Setup, #[case] sizes_lg2: &[u32]) {
    on(&setup, |bench| {
        assert_eq!(bench.sizes(), sizes_lg2.iter().map(|size| 1 << size).collect::<Vec<u64>>());
        let largest = 1u64 << sizes_lg2[sizes_lg2.len() - 1];
        let items = |bench: &Bench<'_>| dump(&bench.world).unwrap().items;
        // As many of the largest block as would be a run.
        bench.map(0, 0, 128 * largest).unwrap();
        let leaves: Vec<u64> = items(bench).iter().filter(|item| item.is_leaf).map(|item| item.raw).collect();
        assert_eq!(leaves.len(), 128);
        assert!(leaves.iter().all(|item| item >> 52 & 1 == 0), "{leaves:x?}");
        assert_eq!(bench.unmap(0, 128 * largest, 0), 128 * largest);
        // A run where there is one has the bit in each item.
        bench.map(0, 0, 1 << sizes_lg2[1]).unwrap();
        let leaves: Vec<u64> = items(bench).iter().filter(|item| item.is_leaf).map(|item| item.raw).collect();
        assert_eq!(leaves.len() as u64, 1 << (sizes_lg2[1] - sizes_lg2[0]));
        assert!(leaves.iter().all(|item| item >> 52 & 1 == 1), "{leaves:x?}");
    });
}

/// Cleaning and dirtying changed more than the one permission bit, or in the wrong direction.
#[rstest]
#[case::stage_1(configs::armv8_4k_s1_39_dirty(), 0)]
#[case::stage_1_lpa2(configs::armv8_16k_s1_52_lpa2_dirty(), 0)]
#[case::stage_2(configs::armv8_4k_s2_52_lpa2_dirty(), 1)]
fn dbm_changes_one_bit(#[case] setup: Setup, #[case] when_written: u64) {
    on(&setup, |bench| {
        let granule = bench.granule();
        bench.map(0, granule, granule).unwrap();
        let written = leaf(bench);
        assert_eq!((written >> 51 & 1, written >> 7 & 1), (1, when_written), "{written:#x}: written from the start");
        bench.runner.dirty(0, granule, true, 0).unwrap();
        let clean = leaf(bench);
        assert_eq!(clean ^ written, 1 << 7, "{written:#x} made clean is {clean:#x}");
        bench.runner.device_write(0).unwrap();
        assert_eq!(leaf(bench), written, "written by the device again");
        bench.runner.dirty(0, granule, true, 0).unwrap();
        bench.runner.set_dirty(0).unwrap();
        assert_eq!(leaf(bench), written, "made dirty");
        assert_eq!(bench.unmap(0, granule, 0), granule);
        // Without DBM nothing ever says that it was written.
        bench.runner.map(0, granule, granule, Prot::READ, None).unwrap().result.unwrap();
        let read_only = leaf(bench);
        bench.runner.set_dirty(0).unwrap();
        assert_eq!(leaf(bench), read_only);
        assert_eq!(read_only >> 51 & 1, 0);
    });
}

/// The bits above 47 lie elsewhere in the item: each of them alone, at every level, in pages and in runs.
#[rstest]
#[case::armv8_4k_lpa2(configs::armv8_4k(FLUSH | armv8_4k::LPA2, 52, 52, 4))]
#[case::armv8_4k_s2_lpa2(configs::armv8_4k_s2_52_lpa2_dirty())]
#[case::armv8_16k_lpa2(configs::armv8_16k_s1_52_lpa2_dirty())]
#[case::armv8_64k_lpa(configs::armv8_64k(FLUSH | armv8_64k::STAGE_2 | armv8_64k::LPA, 52, 52, 2))]
fn address_bits_in_two_places(#[case] setup: Setup) {
    on(&setup, |bench| {
        for size in bench.sizes() {
            for bit in 44..52 {
                let oa = (1 << bit | 1 << 47) & !(size - 1);
                bench.map(0, oa, size).unwrap();
                for offset in [0, size / 2, size - 1] {
                    assert_eq!(bench.translate(offset), Some(oa + offset), "size {size:#x}");
                }
                assert_eq!(bench.unmap(0, size, 0), size);
                bench.runner.sync(0).unwrap();
            }
        }
    });
}

/// A block was written while the walk cache could still have the table that it replaces.
#[rstest]
#[case::armv8_4k(configs::armv8_4k_s1_48())]
#[case::armv8_16k(configs::armv8_16k_s1_47_incoherent())]
#[case::armv8_64k(configs::armv8_64k_s2_45_8_tops())]
fn break_before_make(#[case] setup: Setup) {
    on(&setup, |bench| {
        let (granule, block) = (bench.granule(), bench.item(1));
        bench.map(2 * block, 0, granule).unwrap();
        bench.map(3 * block, 0, granule).unwrap();
        for va in [2 * block, 3 * block] {
            assert_eq!(bench.unmap(va, granule, 0), granule);
        }
        bench.runner.sync(0).unwrap();
        bench.map(2 * block, 0, 2 * block).unwrap();
        // One sync for each table; the simulated driver looks at what is there meanwhile.
        let synced = |event: &Event| matches!(event, Event::Sync(what) if what.unlinked_tables == 1);
        assert!(bench.runner.seen.len() == 2 && bench.runner.seen.iter().all(synced), "{:x?}", bench.runner.seen);
    });
}
