//! Bugs of formats, and of features that only some configurations have.

use super::{Bench, RW, on};
use generic_pt::fmt::x86_64;
use generic_pt::{Errno, Prot};
use generic_pt_model::configs::{self, FLUSH, INCOHERENT, NONE, SIGN, Setup};
use generic_pt_model::dump::dump;
use generic_pt_model::model::low;
use generic_pt_model::runner::Runner;
use rstest::rstest;

/// `end = start + length` wrapped.
#[rstest]
#[case::amdv1_l1_full(configs::amdv1_l1_full())]
#[case::amdv1_l2_flush_range(configs::amdv1_l2_flush_range())]
#[case::amdv1_l2_no_gaps(configs::amdv1_l2_no_gaps())]
#[case::amdv1_l5(configs::amdv1_l5())]
#[case::x86_64_sign48(configs::x86_64_sign48())]
#[case::x86_64_sign57_no_gaps(configs::x86_64_sign57_no_gaps())]
#[case::x86_64_incoherent_no_gaps(configs::x86_64_incoherent_no_gaps())]
#[case::riscv_64_sv39_napot(configs::riscv_64_sv39_napot())]
fn overflow_at_the_end_of_64_bits(#[case] setup: Setup) {
    on(&setup, |bench| {
        let (granule, block) = (bench.granule(), bench.item(1));
        let last_block = 0u64.wrapping_sub(block);
        bench.map(last_block, granule, block).unwrap();
        assert_eq!(bench.translate(u64::MAX), Some(granule + (block - 1)));
        assert_eq!(bench.unmap(last_block, block + 1, 0), 0, "runs past the end");
        assert_eq!(bench.map(last_block, 0, block + granule).unwrap_err().0.errno(), Errno::EOVERFLOW);
        // The gather of the last page, then of its neighbour: adjacent at the last byte.
        assert_eq!(bench.unmap(0u64.wrapping_sub(granule), granule, 0), granule);
        assert_eq!(bench.range(0), Some((0u64.wrapping_sub(granule), u64::MAX)));
        assert_eq!(bench.unmap(last_block, u64::MAX - last_block + 1, 0), block - granule);
        assert_eq!(bench.range(0), Some((last_block, u64::MAX)));
        bench.runner.sync(0).unwrap();
        bench.map(last_block, 0, block).unwrap();
        assert_eq!(bench.unmap(0u64.wrapping_sub(granule), granule, 0), 0, "inside of the last block");
        assert_eq!(bench.unmap(last_block, granule, 0), block);
        bench.map(0, 0, granule).unwrap();
        assert_eq!(bench.unmap(0, granule, 0), granule, "0 is not behind the last byte");
    });
}

/// All 2^64 bytes at once: the count does not fit, the gather's range does.
#[test]
fn all_of_64_bits() {
    let setup = configs::amdv1_l5();
    let world = setup.world();
    let domain = world.domain();
    let mut table = setup.start(&domain).unwrap();
    for n in 0..1 << 13 {
        table.map(n << 51, 0, 1 << 51, RW).unwrap();
    }
    assert_eq!(table.translate(u64::MAX), Some((1 << 51) - 1));
    let live = world.live_pages();
    assert_eq!(table.unmap(0, u64::MAX, 0), u64::MAX);
    assert_eq!(table.gather(0).range, Some((0, u64::MAX)));
    assert_eq!(table.translate(0), None);
    assert_eq!(table.translate(u64::MAX), None);
    table.sync(0);
    // The length could not name the last byte, so the last table of level 4 is not covered whole, and stays.
    assert_eq!(world.live_pages(), 2);
    assert_eq!(live, 1 + 128);
    drop(table);
    world.verdict().unwrap();
    assert_eq!(world.live_pages(), 0);
}

/// A check that compared only the bits above the VA width let one edge of the canonical hole through, and an unmap there
/// removed somebody else's page.
#[rstest]
#[case::x86_64_sign48(configs::x86_64_sign48())]
#[case::x86_64_sign57_no_gaps(configs::x86_64_sign57_no_gaps())]
#[case::x86_64_incoherent_no_gaps(configs::x86_64_incoherent_no_gaps())]
#[case::riscv_64_sv39_napot(configs::riscv_64_sv39_napot())]
fn sign_extension_edge(#[case] setup: Setup) {
    let params = setup.params();
    on(&setup, |bench| {
        let granule = bench.granule();
        let hole = 1u64 << (params.max_va - 1);
        let upper = 0u64.wrapping_sub(hole);
        for va in [hole - granule, upper, 0, 0u64.wrapping_sub(granule)] {
            bench.map(va, 0, granule).unwrap();
        }
        let before = dump(&bench.world).unwrap();
        // Both edges, across each edge, across the hole, and aliases of all four pages.
        let low_half = [hole, hole << 1, upper - granule, hole | 1 << 63, upper & !(1 << 63)];
        for va in low_half {
            assert_eq!(bench.translate(va), None, "{va:#x}");
            assert_eq!(bench.unmap(va, granule, 0), 0, "{va:#x}");
            assert_eq!(bench.map(va, 0, granule).unwrap_err().0.errno(), Errno::ERANGE, "{va:#x}");
        }
        for (va, len) in [
            (hole - granule, 2 * granule),
            (upper - granule, 2 * granule),
            (0, 1 << 63),
            (hole - granule, u64::MAX - 2 * hole),
        ] {
            assert_eq!(bench.unmap(va, len, 0), 0, "{va:#x} + {len:#x}");
        }
        assert_eq!(bench.map(hole - granule, 0, 2 * granule).unwrap_err().0.errno(), Errno::ERANGE);
        assert_eq!(dump(&bench.world).unwrap(), before);
        assert_eq!(bench.unmap(upper, granule, 0), granule);
        assert_eq!(bench.unmap(hole - granule, granule, 0), granule);
    });
}

/// The encryption bit was set on every leaf: it belongs on RAM only.
#[rstest]
#[case::amdv1_l3_encrypted_47(configs::amdv1_l3_encrypted_47())]
#[case::amdv1_l2_encrypted_33(configs::amdv1_l2_encrypted_33())]
#[case::x86_64_encrypted(configs::x86_64_encrypted())]
#[case::x86_64_encrypted_incoherent(configs::x86_64_encrypted_incoherent())]
fn encryption_bit_on_mmio(#[case] setup: Setup) {
    let mask = setup.params().format.encryption_mask();
    on(&setup, |bench| {
        let (granule, block) = (bench.granule(), bench.item(1));
        for (va, len, prot, encrypted) in [
            (0, granule, RW, true),
            (granule, granule, RW | Prot::MMIO, false),
            (block, block, RW, true),
            (2 * block, block, RW | Prot::MMIO, false),
        ] {
            bench.runner.map(va, va, len, prot, None).unwrap().result.unwrap();
            let dump = dump(&bench.world).unwrap();
            let item = dump.items.iter().find(|item| item.is_leaf && item.va == va).unwrap();
            assert_eq!(item.raw & mask != 0, encrypted, "{va:#x}");
            assert_eq!(bench.translate(va), Some(va));
        }
    });
}

/// The same configuration without a mask, and with one that is not switched on.
#[test]
fn encryption_bit_without_encryption() {
    for setup in [configs::x86_64(SIGN, 48, 52, 3, 0), configs::amdv1(NONE, 64, 52, 2, 0)] {
        on(&setup, |bench| {
            bench.map(0, 0, bench.granule()).unwrap();
            let all = dump(&bench.world).unwrap().items.iter().fold(0, |bits, item| bits | item.raw);
            assert_eq!(all & (1 << 47 | 1 << 51), 0, "PA of the test's tables have neither");
        });
    }
}

/// The encryption bit belongs on table pointers *and* on leaves.
#[rstest]
#[case::amdv1_l3_encrypted_47(configs::amdv1_l3_encrypted_47())]
#[case::amdv1_l2_encrypted_33(configs::amdv1_l2_encrypted_33())]
#[case::x86_64_encrypted(configs::x86_64_encrypted())]
#[case::x86_64_encrypted_incoherent(configs::x86_64_encrypted_incoherent())]
fn encryption_bit_in_one_of_two_places(#[case] setup: Setup) {
    let mask = setup.params().format.encryption_mask();
    on(&setup, |bench| {
        bench.map(bench.item(2), 0, bench.granule()).unwrap();
        for item in dump(&bench.world).unwrap().items {
            assert_ne!(item.raw & mask, 0, "{item:x?}");
        }
        assert_eq!(bench.translate(bench.item(2)), Some(0));
    });
}

/// Hardware may need more levels than the VA size implies.
#[rstest]
#[case::amdv1_32(configs::amdv1(NONE, 32, 52, 3, 0))]
#[case::amdv1_40_at_5(configs::amdv1(FLUSH, 58, 52, 5, 0))]
#[case::x86_64_48_with_5(configs::x86_64(NONE, 48, 52, 4, 0))]
#[case::x86_64_40_with_4(configs::x86_64(SIGN, 40, 52, 3, 0))]
#[case::vtdss_39_with_4(configs::vtdss(NONE, 39, 52, 3))]
#[case::vtdss_49_with_5(configs::vtdss(INCOHERENT, 49, 52, 4))]
#[case::ept_40_with_4(configs::ept(FLUSH, 40, 52, 3))]
fn geometry_from_va_size_alone(#[case] setup: Setup) {
    let params = setup.params();
    if params.max_va < params.item_lg2(params.start_level) {
        // Not even one item of the top: refused.
        let world = setup.world();
        let domain = world.domain();
        assert_eq!(setup.start(&domain).err().unwrap().errno(), Errno::EINVAL);
        assert_eq!(world.live_pages(), 0);
        return;
    }
    on(&setup, |bench| {
        let granule = bench.granule();
        assert_eq!(bench.runner.table.top_level(), bench.params.start_level);
        let end = low(bench.params.max_va - u32::from(bench.params.sign));
        for va in [0, end & !(granule - 1)] {
            bench.map(va, va & low(40), granule).unwrap();
            assert_eq!(bench.translate(va), Some(va & low(40)));
        }
        assert_eq!(bench.map(end + 1, 0, granule).unwrap_err().0.errno(), Errno::ERANGE);
    });
}

/// Every page size that a table advertises can be mapped.
fn all_sizes_map(bench: &mut Bench<'_>) {
    let params = bench.params.clone();
    assert_eq!(bench.runner.table.info().page_sizes, params.all_sizes());
    for size in bench.sizes() {
        bench.map(0, 0, size).unwrap();
        assert_eq!(bench.unmap(0, size, 0), size);
        bench.runner.sync(0).unwrap();
    }
}

/// The bitmap was not limited by the VA width.
#[test]
fn page_sizes_beyond_a_small_va_space() {
    let amdv1 = (20..=64).flat_map(|va| (1..=5).map(move |top| configs::amdv1(NONE, va, 52, top, 0)));
    let mock = (20..=56).flat_map(|va| (1..=4).map(move |top| configs::amdv1_mock(va, 51, top)));
    let x86 = (20..=57).flat_map(|va| (3..=4).map(move |top| configs::x86_64(NONE, va, 52, top, 0)));
    let sign = (20..=57).flat_map(|va| (3..=4).map(move |top| configs::x86_64(SIGN, va, 52, top, 0)));
    let vtdss = (20..=57).flat_map(|va| (2..=4).map(move |top| configs::vtdss(NONE, va, 52, top)));
    let mut made = 0;
    let ept = (20..=57).flat_map(|va| (3..=4).map(move |top| configs::ept(NONE, va, 52, top)));
    for setup in amdv1.chain(mock).chain(x86).chain(sign).chain(vtdss).chain(ept) {
        let world = setup.world();
        let domain = world.domain();
        let params = setup.params();
        let started = setup.start(&domain);
        let decoded = params.item_lg2(params.start_level + 1);
        let too_wide =
            !params.dynamic && params.start_level < params.format.shape().max_level && params.max_va > decoded;
        let too_narrow = params.max_va < params.item_lg2(params.start_level);
        match started.err().map(|error| error.errno()) {
            None => assert!(!too_wide && !too_narrow, "VA {} top {}", params.max_va, params.start_level),
            Some(Errno::EOPNOTSUPP) if too_wide => continue,
            Some(Errno::EINVAL) if too_narrow => continue,
            Some(other) => panic!("VA {} top {}: {other}", params.max_va, params.start_level),
        }
        made += 1;
        on(&setup, all_sizes_map);
    }
    assert!(made > 150, "only {made} configurations");
}

/// Cache flushes covered the span that was visited, not the items that were written.
#[rstest]
#[case::x86_64_incoherent_no_gaps(configs::x86_64_incoherent_no_gaps())]
#[case::x86_64_encrypted_incoherent(configs::x86_64_encrypted_incoherent())]
#[case::vtdss_48_incoherent(configs::vtdss_48_incoherent())]
fn flush_of_everything_iterated(#[case] setup: Setup) {
    on(&setup, |bench| {
        let (granule, block) = (bench.granule(), bench.item(1));
        let flushed = |bench: &Bench<'_>| bench.world.flushed_bytes.replace(0);
        flushed(bench);
        bench.map(block, 0, granule).unwrap();
        // Three tables and three items that point to them (a top of level 4 has one more), and the page; the last table
        // may be flushed together with the page.
        let tables = bench.runner.model.tables.len();
        let bytes = flushed(bench);
        assert!(bytes == tables * 4104 || bytes == tables * 4104 + 8, "{bytes}");
        bench.map(block + granule, 0, granule).unwrap();
        assert_eq!(flushed(bench), 8);
        bench.map(block + 5 * granule, granule, 7 * granule).unwrap();
        assert_eq!(flushed(bench), 7 * 8);
        // Stops at a hole: the two pages before it.
        assert_eq!(bench.unmap(block, 12 * granule, 0), 2 * granule);
        assert_eq!(flushed(bench), 2 * 8);
        assert_eq!(bench.unmap(block + 3 * granule, 12 * granule, 0), 0);
        assert_eq!(flushed(bench), 0);
        assert_eq!(bench.unmap(block + 6 * granule, 2 * granule, 0), 2 * granule);
        assert_eq!(flushed(bench), 2 * 8);
        // An error after three pages: those are flushed.
        assert_eq!(bench.map(block + 2 * granule, 0, 6 * granule).unwrap_err().1, 3 * granule);
        assert_eq!(flushed(bench), 3 * 8);
    });
    on(&setup, |bench| {
        let block = bench.item(1);
        bench.map(block, bench.granule(), 2 * block).unwrap();
        bench.world.flushed_bytes.set(0);
        // Both tables are unlinked: the two items that pointed to them are all that changes.
        assert_eq!(bench.unmap(block, 2 * block, 0), 2 * block);
        assert_eq!(bench.world.flushed_bytes.get(), 2 * 8);
    });
}

/// Items that are not empty where zero is (or the other way round) were taken for what zero is elsewhere.
#[rstest]
#[case::s390_31(configs::s390_31())]
#[case::s390_64(configs::s390_64())]
#[case::ept(configs::ept_48_suppress_ve())]
fn empty_items_that_are_not_zero(#[case] setup: Setup) {
    on(&setup, |bench| {
        let (granule, block) = (bench.granule(), bench.item(1));
        let empty = bench.params.format.empty(0);
        assert_ne!(empty, 0);
        bench.map(block, granule, 4 * granule).unwrap();
        let table = dump(&bench.world).unwrap().tables[&(0, block)];
        let items = bench.world.pages.borrow().items(table, 8).unwrap();
        assert!(items[..4].iter().all(|item| *item != empty) && items[4..].iter().all(|item| *item == empty));
        assert_eq!(bench.unmap(block, 2 * granule, 0), 2 * granule);
        assert_eq!(bench.world.pages.borrow().items(table, 2).unwrap(), [empty; 2]);
        // A table that waits to be freed is empty to hardware all the time, also with others in the list.
        bench.map(0, granule, block).unwrap();
        assert_eq!(bench.unmap(0, block, 0), block);
        assert_eq!(bench.unmap(block + 2 * granule, 2 * granule, 0), 2 * granule);
        bench.runner.sync(0).unwrap();
    });
}

/// The items left in a top were those of one table less the index: negative from the second table on.
#[rstest]
#[case::armv8_2(configs::armv8_4k_s2_40_2_tops(), 2)]
#[case::armv8_8(configs::armv8_64k_s2_45_8_tops(), 8)]
#[case::armv8_16(configs::armv8_16k_s2_40_16_tops_fwb(), 16)]
#[case::armv8_16_lpa2(configs::armv8_4k_s2_52_lpa2_dirty(), 16)]
#[case::riscv_64_g(configs::riscv_64_g_sv39x4(), 4)]
#[case::riscv_32_g(configs::riscv_32_g_sv32x4_svadu(), 4)]
#[case::dart(configs::dart_va32_4_roots(), 4)]
fn concatenated_top(#[case] setup: Setup, #[case] tables: u64) {
    let params = setup.params();
    on(&setup, |bench| {
        let granule = bench.granule();
        let covered = 1u64 << (params.max_va - tables.trailing_zeros());
        assert_eq!(covered, 1 << params.item_lg2(params.start_level + 1), "what one table of the top decodes");
        for n in 1..tables {
            let va = n * covered - granule;
            bench.map(va, 3 * granule, 2 * granule).unwrap();
            let ends = [va, va + granule, va + 2 * granule - 1].map(|va| bench.translate(va));
            assert_eq!(ends, [Some(3 * granule), Some(4 * granule), Some(5 * granule - 1)], "table {n}");
        }
        for n in 1..tables {
            assert_eq!(bench.unmap(n * covered - granule, 2 * granule, 0), 2 * granule, "table {n}");
        }
        // The first page of the first table and the last of the last one.
        let last = tables * covered - granule;
        for va in [0, last] {
            bench.map(va, granule, granule).unwrap();
            assert_eq!(bench.unmap(va, granule, 0), granule);
        }
        assert_eq!(bench.map(last, 0, 2 * granule).unwrap_err().0.errno(), Errno::ERANGE);
    });
}

/// The largest pages of a top that is several tables side by side lie in it: of those the one that covers the page is near.
#[rstest]
#[case::riscv_32_g(configs::riscv_32_g_sv32x4_svadu(), 4)]
#[case::riscv_64_g(configs::riscv_64_g_sv39x4(), 4)]
#[case::armv8_2(configs::armv8_4k_s2_40_2_tops(), 2)]
fn pages_in_a_concatenated_top(#[case] setup: Setup, #[case] tables: u64) {
    let params = setup.params();
    on(&setup, |bench| {
        let page = 1u64 << params.item_lg2(params.start_level);
        let covered = 1u64 << params.item_lg2(params.start_level + 1);
        // The first table last: what went there by mistake finds nothing in its way.
        let places: Vec<u64> = (0..tables).rev().flat_map(|n| [n * covered, (n + 1) * covered - page]).collect();
        for _ in 0..2 {
            for va in &places {
                bench.map(*va, page, page).unwrap();
            }
            for va in &places {
                assert_eq!(
                    [*va, *va + page - 1].map(|va| bench.translate(va)),
                    [Some(page), Some(2 * page - 1)],
                    "{va:#x}"
                );
            }
            for va in &places {
                assert_eq!(bench.unmap(*va, page, 0), page, "{va:#x}");
                assert_eq!(bench.translate(*va), None, "{va:#x}");
            }
        }
    });
}

/// What hardware left of R and C in an item that is not valid any more made it look like something.
#[rstest]
#[case::ppc64_radix(configs::ppc64_radix_rc())]
#[case::ppc64_radix_64k(configs::ppc64_radix_64k_plain())]
fn status_bits_in_empty_items(#[case] setup: Setup) {
    let world = setup.world();
    let domain = world.domain();
    let mut runner = Runner::new(&setup, &domain).unwrap();
    let granule = 1 << setup.params().item_lg2(0);
    runner.map(0, granule, 2 * granule, RW, None).unwrap().result.unwrap();
    runner.unmap(0, granule, 0).unwrap();
    let table = dump(&world).unwrap().tables[&(0, 0)];
    world.pages.borrow_mut().hardware_set(table, 0, |raw| raw | 1 << 7 | 1 << 8).unwrap();
    // The dump would complain about the item; the library does not.
    let Runner { mut table, .. } = runner;
    assert_eq!(table.translate(0), None);
    assert_eq!(table.unmap(0, granule, 0), 0);
    table.map(0, 5 * granule, granule, RW).unwrap();
    assert_eq!(table.translate(0), Some(5 * granule));
    assert_eq!(table.unmap(0, 2 * granule, 0), 2 * granule);
    table.sync(0);
    drop(table);
    world.verdict().unwrap();
    assert_eq!(world.live_pages(), 0);
}

/// Bit 7 says *leaf* above level 0, and is a memory type or ignored at level 0.
#[rstest]
#[case::x86_64(configs::x86_64_sign48())]
#[case::vtdss(configs::vtdss_39())]
#[case::ept(configs::ept_57_mode_based())]
fn ps_and_pat_share_a_bit(#[case] setup: Setup) {
    let world = setup.world();
    let domain = world.domain();
    let mut runner = Runner::new(&setup, &domain).unwrap();
    let granule = 1 << 12;
    runner.map(0, 0x5000, 2 * granule, RW, None).unwrap().result.unwrap();
    let table = dump(&world).unwrap().tables[&(0, 0)];
    world.pages.borrow_mut().hardware_set(table, 0, |raw| raw | 1 << 7).unwrap();
    // The model does not know of it: from here on without.
    let Runner { mut table, .. } = runner;
    assert_eq!(table.translate(0x123), Some(0x5123));
    assert_eq!(table.map(0, 0, granule, RW).unwrap_err().errno(), Errno::EADDRINUSE);
    assert_eq!(table.unmap(0, granule, 0), granule);
    assert_eq!((table.translate(0), table.translate(granule)), (None, Some(0x6000)));
    table.sync(0);
    drop(table);
    world.verdict().unwrap();
    assert_eq!(world.live_pages(), 0);
}

/// Above level 0 it does say so: a table is no leaf and a leaf no table, in the hardware's eyes.
#[test]
fn encrypted_leaves_at_every_level() {
    let setup = configs::x86_64(SIGN | x86_64::AMD_ENCRYPT_TABLES, 48, 52, 3, 1 << 51);
    on(&setup, all_sizes_map);
}

/// A scan that begins inside of a page of several items saw only the items from there on: a write noted in an item before went
/// unseen.
#[rstest]
#[case::amdv1(configs::amdv1_l2_flush_range())]
#[case::riscv_64_svadu(configs::riscv_64_sv39_svadu())]
#[case::armv8_16k(configs::armv8_16k_s1_52_lpa2_dirty())]
#[case::armv8_4k_stage_2(configs::armv8_4k_s2_52_lpa2_dirty())]
fn dirty_item_before_the_range(#[case] setup: Setup) {
    on(&setup, |bench| {
        let granule = bench.granule();
        let sizes = bench.sizes();
        let size = *sizes.iter().rfind(|size| **size < bench.item(1)).unwrap();
        assert!(size >= 16 * granule, "a page of 16 items");
        // Three pages; in the middle one the first item is written.
        bench.map(8 * size, 0, 3 * size).unwrap();
        bench.runner.dirty(8 * size, 3 * size, true, 0).unwrap();
        bench.runner.device_write(9 * size).unwrap();
        for from in [9 * size + granule, 9 * size + size / 2, 10 * size - granule, 10 * size - 1] {
            for len in [1, granule, size / 2, size, 2 * size] {
                bench.runner.dirty(from, len, false, 0).unwrap();
            }
        }
        assert_eq!(bench.unmap(8 * size, 3 * size, 0), 3 * size);
    });
}

/// A run of leaves was written as a sum, which carried into the encryption bit; at the last leaf the carry was undone, so that
/// the check there saw nothing.
#[rstest]
#[case::amdv1(configs::amdv1_l2_encrypted_33())]
#[case::x86_64(configs::x86_64(SIGN | x86_64::AMD_ENCRYPT_TABLES, 48, 52, 3, 1 << 33))]
fn encryption_bit_carried_out_of(#[case] setup: Setup) {
    on(&setup, |bench| {
        let granule = bench.granule();
        for size in [granule, bench.item(1), bench.item(2)] {
            // From 8 pages below the addresses that have the bit, and from 8 below those that do not have it any more, to far
            // beyond: so that the last has the bit where the first has, or not.
            for oa in [(1 << 33) - 8 * size.min(1 << 30), (1 << 34) - 8 * size.min(1 << 30)] {
                for pages in [9u64, 16, 17, 24, 25, 33] {
                    // From a VA that is aligned differently than the OA there is no larger page.
                    bench.map(size, oa, pages * size).unwrap();
                    for page in 0..pages {
                        let expected = (oa + page * size) & !(1 << 33);
                        assert_eq!(bench.translate((1 + page) * size).map(|oa| oa & !(1 << 33)), Some(expected));
                    }
                    assert_eq!(bench.unmap(size, pages * size, 0), pages * size);
                    bench.runner.sync(0).unwrap();
                }
            }
        }
    });
}
