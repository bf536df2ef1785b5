//! Items that somebody else wrote, and that no table of the format has, were followed as if they led to a table.

use super::RW;
use generic_pt::format::Kind;
use generic_pt::iommu::DirtyMode;
use generic_pt::{Errno, Error, MapError, Segment};
use generic_pt_model::configs::{self, Setup};
use generic_pt_model::dump::dump;
use generic_pt_model::runner::Runner;
use generic_pt_model::subject::Subject;
use rstest::rstest;

/// Every bit of a table pointer, at every level: with the bit flipped the item is something else, or still leads to the same
/// table; or it is foreign, and then every operation says so or stops.
pub fn foreign_items_are_not_followed(setup: &Setup) {
    let params = setup.params();
    // (A top deeper than the VA needs has one item, and all VA are below it: there is no second way to remember.)
    let has_two_items = |level: &u32| params.item_lg2(*level) < params.max_va;
    for level in (1..=params.start_level).filter(has_two_items) {
        for flip in (0..8 << params.format.shape().item_bytes_lg2).map(|bit| 1 << bit) {
            if flipped_kind(setup, level, flip) == Kind::Foreign {
                nothing_is_followed(setup, level, flip);
            }
        }
    }
}

/// A pointer at level 0, which has no tables below, was followed.
pub fn no_tables_below_level_0(setup: &Setup) {
    let format = setup.params().format;
    let bits = 8 << format.shape().item_bytes_lg2;
    for level in 1..=format.shape().max_level {
        let pointer = format.table(level, 0);
        for flip in (0..bits).map(|bit| 1 << bit).chain([0]) {
            assert_ne!(setup.decode(0, pointer ^ flip).0, Kind::Table, "{:#x}", pointer ^ flip);
        }
    }
}

/// What the format makes of a table pointer of `level` with these bits flipped.
fn flipped_kind(setup: &Setup, level: u32, flip: u64) -> Kind {
    let pointer = setup.params().format.table(level, 0);
    assert_eq!(setup.decode(level, pointer), (Kind::Table, Some(0)), "the pointer as it should be");
    setup.decode(level, pointer ^ flip).0
}

/// All operations where a pointer of `level` is foreign.
fn nothing_is_followed(setup: &Setup, level: u32, flip: u64) {
    let world = setup.world();
    let domain = world.domain();
    let mut runner = Runner::new(setup, &domain).unwrap();
    let (granule, next) = (1 << setup.params().item_lg2(0), 1 << setup.params().item_lg2(level));
    for va in [0, next] {
        // The second is the one that the table remembers the way to.
        runner.map(va, granule, granule, RW, None).unwrap().result.unwrap();
    }
    let root = world.root.get().unwrap();
    let item_of = if level == root.level { root.pa } else { dump(&world).unwrap().tables[&(level, 0)] };
    let flipped = || world.pages.borrow_mut().hardware_set(item_of, 0, |raw| raw ^ flip).unwrap();
    flipped();
    // The model does not know of it: from here on without.
    let Runner { mut table, .. } = runner;
    let is_foreign = |error: Error| {
        let named = matches!(error, Error::Foreign { level: found, .. } if found == level);
        assert!(named && error.errno() == Errno::EIO, "level {level}, {flip:#x}: {error:x?}");
    };
    assert_eq!(table.translate(0), None);
    assert_eq!(table.cursor_translate(&[next, 0, granule]), [Some(granule), None, None]);
    assert_eq!(table.translate_range(0, 2 * granule).unwrap(), []);
    assert_eq!(table.unmap(0, granule, 0), 0);
    assert_eq!(table.unmap_with(0, next, 0), (0, vec![]));
    for refused in refused_maps(&mut *table, granule) {
        assert_eq!(refused.mapped, 0);
        is_foreign(refused.error);
    }
    if setup.params().all_sizes() & next != 0 {
        // A page of this size would replace what is there.
        is_foreign(table.map(0, 0, next, RW).unwrap_err().error);
    }
    if setup.params().format.dirty_bit().is_some() {
        is_foreign(table.dirty(0, granule, DirtyMode::Clear, 0).unwrap_err());
        is_foreign(table.set_dirty(0).unwrap_err());
    }
    // Nothing of it was lost: as it was before, it leads to the page again.
    flipped();
    assert_eq!((table.translate(0), table.translate(granule)), (Some(granule), None));
    assert_eq!(table.unmap(0, granule, 0), granule);
    table.sync(0);
    drop(table);
    world.verdict().unwrap();
    assert_eq!(world.live_pages(), 0);
}

/// What every way to map says.
fn refused_maps(table: &mut dyn Subject, granule: u64) -> [MapError; 4] {
    [
        table.map(granule, 0, granule, RW).unwrap_err(),
        table.map(granule, 0, 2 * granule, RW).unwrap_err(),
        table.cursor_map(granule, 0, granule, RW).unwrap_err(),
        table.map_sg(granule, &[Segment { paddr: 0, len: granule }], RW).unwrap_err(),
    ]
}

/// Which items are foreign by the specifications; `flip` makes a pointer of `level` one.
#[rstest]
#[case::amdv1_skipped_level(configs::amdv1_l2_flush_range(), 2, 3 << 9)]
#[case::amdv1_level_above(configs::amdv1_l2_flush_range(), 1, 1 << 10)]
#[case::amdv1_size_code_in_the_top(configs::amdv1_l5(), 5, 2 << 9)]
#[case::amdv1_page_in_the_top(configs::amdv1_l5(), 5, 5 << 9)]
#[case::amdv1_mock_page_in_the_top(configs::amdv1_mock_l4(), 4, 4 << 9)]
#[case::x86_64_page_in_level_3(configs::x86_64_sign48(), 3, 1 << 7)]
#[case::x86_64_page_in_level_4(configs::x86_64_sign57_no_gaps(), 4, 1 << 7)]
#[case::vtdss_page_in_level_3(configs::vtdss_48_incoherent(), 3, 1 << 7)]
#[case::ept_reserved(configs::ept_57_mode_based(), 1, 1 << 3)]
#[case::ept_page_in_level_4(configs::ept_57_mode_based(), 4, 1 << 7)]
#[case::riscv_64_accessed(configs::riscv_64_sv39_svadu(), 1, 1 << 6)]
#[case::riscv_64_top_dirty(configs::riscv_64_sv39_napot(), 2, 1 << 7)]
#[case::riscv_64_user_pointer(configs::riscv_64_sv48_pbmt(), 3, 1 << 4)]
#[case::riscv_64_g_accessed(configs::riscv_64_g_sv39x4(), 2, 1 << 6)]
#[case::riscv_32_accessed(configs::riscv_32_sv32(), 1, 1 << 6)]
#[case::riscv_32_g_user_pointer(configs::riscv_32_g_sv32x4_svadu(), 1, 1 << 4)]
#[case::ppc64_radix_other_size(configs::ppc64_radix_rc(), 1, 1 << 2)]
#[case::ppc64_radix_top_other_size(configs::ppc64_radix_rc(), 3, 1 << 2)]
#[case::s390_other_level(configs::s390_42_no_gaps(), 1, 1 << 2)]
#[case::s390_top_other_level(configs::s390_64(), 4, 1 << 2)]
#[case::armv8_4k_block_in_level_3(configs::armv8_4k_s1_48(), 3, 1 << 1)]
#[case::armv8_16k_address_bit_48(configs::armv8_16k_s1_47_incoherent(), 1, 1 << 48)]
#[case::armv8_64k_top_address_bit_48(configs::armv8_64k_s1_42_dirty(), 1, 1 << 48)]
#[case::mali_lpae_type(configs::mali_lpae_va48(), 2, 1 << 0)]
#[case::mali_lpae_top_type(configs::mali_lpae_va48(), 3, 1 << 0)]
#[case::dart_read_only(configs::dart_va35_3_levels(), 1, 1 << 7)]
#[case::dart_top_read_only(configs::dart_va32_4_roots(), 1, 1 << 7)]
#[case::dart_v2_top(configs::dart_v2_va42(), 2, 1 << 2)]
#[case::armv7s_reserved(configs::armv7s_oa40(), 1, 1 << 4)]
#[case::armv7s_domain(configs::armv7s_oa32_ns(), 1, 1 << 5)]
#[case::x86_pae_writable_top(configs::x86_pae_xd(), 2, 1 << 1)]
#[case::rockchip_v2_reserved(configs::rockchip_v2_oa40(), 1, 1 << 1)]
fn foreign_by_specification(#[case] setup: Setup, #[case] level: u32, #[case] flip: u64) {
    assert_eq!(flipped_kind(&setup, level, flip), Kind::Foreign);
    nothing_is_followed(&setup, level, flip);
}
