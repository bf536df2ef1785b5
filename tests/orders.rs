//! Orders and corners that the golden vectors do not pin.

use generic_pt::driver::NoHardware;
use generic_pt::fmt::{amdv1, riscv_64, vtdss, x86_64};
use generic_pt::iommu::{DirtyMode, PtIommu};
use generic_pt::memory::HeapMemory;
use generic_pt::{Domain, Driver, Errno, Error, Features, Prot, TableConfig};
use generic_pt_model::configs::{self, FLUSH, INCOHERENT, NO_GAPS, NONE, SIGN, Setup};
use generic_pt_model::dump::dump;
use generic_pt_model::model::low;
use generic_pt_model::runner::Runner;
use generic_pt_model::subject::Subject;
use generic_pt_model::world::{Event, TestDomain};
use rstest::rstest;

const RW: Prot = Prot::READ.union(Prot::WRITE);

fn with_table(setup: &Setup, test: impl FnOnce(&mut dyn Subject, &TestDomain)) {
    let world = setup.world();
    let domain = world.domain();
    let mut table = setup.start(&domain).unwrap();
    test(&mut *table, &domain);
    world.verdict().unwrap();
}

/// Each argument of a map is wrong in several ways; the first check in the order of the specification tells.
fn order_of_map_errors(setup: &Setup) {
    let params = setup.params();
    let granule = 1u64 << params.item_lg2(0);
    // None is too high if all 64 bits are output address.
    let too_high = 1u64.checked_shl(params.max_oa).unwrap_or(0);
    // A page that can be there.
    let last = params.smallest_at_end_of_oa();
    let outside = if params.max_va < 64 { 1 << params.max_va } else { 0 };
    let refused = [Prot::READ, Prot::READ | Prot::NOEXEC, Prot::WRITE].map(|prot| (prot, params.format.attrs(prot)));
    with_table(setup, |table, _| {
        let mut check = |iova, paddr, len, prot, expected: Errno| {
            let got = table.map(iova, paddr, len, prot).unwrap_err();
            assert_eq!(got.errno(), expected, "map({iova:#x}, {paddr:#x}, {len:#x}, {prot:?}): {got}");
            assert_eq!((got.mapped, got.va), (0, iova));
        };
        // No access comes before everything.
        for prot in [Prot::empty(), Prot::CACHE, Prot::NOEXEC | Prot::MMIO] {
            check(u64::MAX, u64::MAX, u64::MAX, prot, Errno::EINVAL);
            check(0, 0, 0, prot, Errno::EINVAL);
        }
        // The physical address before what the format says of the protection, length 0, overflow and alignment.
        for (prot, _) in refused.into_iter().filter(|_| too_high != 0) {
            check(1, too_high, 0, prot, Errno::ERANGE);
            check(u64::MAX, too_high, granule, prot, Errno::ERANGE);
            check(u64::MAX, u64::MAX, u64::MAX, prot, Errno::ERANGE);
        }
        // The format before length 0, overflow and alignment.
        for (prot, errno) in refused.iter().filter_map(|(prot, attrs)| Some((*prot, attrs.err()?))) {
            check(0, 0, 0, prot, errno);
            check(u64::MAX - 1, 0, granule, prot, errno);
            check(1, 0, granule, prot, errno);
        }
        // Length 0 before alignment and range; overflow before alignment and range.
        check(1, 1, 0, RW, Errno::EINVAL);
        check(outside, 0, 0, RW, Errno::EINVAL);
        check(u64::MAX, 1, granule, RW, Errno::EOVERFLOW);
        check(granule, 0, u64::MAX, RW, Errno::EOVERFLOW);
        // Alignment before the end of the physical range, and before the range of VA.
        check(1, 0, granule, RW, Errno::ENXIO);
        check(0, 1, granule, RW, Errno::ENXIO);
        check(0, 0, granule - 1, RW, Errno::ENXIO);
        check(0, 0, granule + 1, RW, Errno::ENXIO);
        check(0, too_high.wrapping_sub(1), granule, RW, Errno::ENXIO);
        check(0, too_high.wrapping_sub(granule), granule + 1, RW, Errno::ENXIO);
        if outside != 0 {
            check(outside + 1, 0, granule, RW, Errno::ENXIO);
            check(outside, 0, granule, RW, Errno::ERANGE);
        }
        check(0, too_high.wrapping_sub(last), 2 * last, RW, Errno::ERANGE);
        check(outside, too_high.wrapping_sub(last), 2 * last, RW, Errno::ERANGE);
    });
}

/// The errors of a map say what was asked: its fields.
fn fields_of_map_errors(setup: &Setup) {
    let params = setup.params();
    let granule = 1u64 << params.item_lg2(0);
    with_table(setup, |table, _| {
        let mut error = |iova, paddr, len| table.map(iova, paddr, len, RW).unwrap_err().error;
        let last = params.smallest_at_end_of_oa();
        let (paddr, len) = (low(params.max_oa) - (last - 1), 2 * last);
        assert_eq!(error(0, paddr, len), Error::PaRange { paddr, len, max_oa_lg2: params.max_oa });
        assert_eq!(error(u64::MAX, 0, granule), Error::Overflow { va: u64::MAX, len: granule });
        let page_sizes = params.all_sizes();
        assert_eq!(error(8, 0, granule), Error::Alignment { va: 8, paddr: 0, len: granule, page_sizes });
        if params.max_va < 64 {
            let va = 1 << params.max_va;
            assert_eq!(error(va, 0, granule), params.range_error(va, va + granule - 1));
        }
    });
}

/// The range is checked before anything is written, allocated or grown, though the start would fit.
fn range_check_before_work(setup: &Setup) {
    let params = setup.params();
    if params.max_va == 64 {
        return;
    }
    let granule = 1u64 << params.item_lg2(0);
    let end = low(params.max_va - u32::from(params.sign));
    let world = setup.world();
    let domain = world.domain();
    let mut runner = Runner::new(setup, &domain).unwrap();
    let (before, allocations) = (dump(&world).unwrap(), world.allocations.get());
    let mapped = runner.map(end - (granule - 1), 0, 2 * granule, RW, None).unwrap();
    assert_eq!(mapped.result.unwrap_err().errno(), Errno::ERANGE);
    assert_eq!((dump(&world).unwrap(), world.allocations.get()), (before, allocations));
    runner.finish().unwrap();
}

/// "The smallest permitted page" is that of the narrowed bitmap.
fn smallest_page_of_a_narrowed_bitmap(setup: &Setup) {
    let params = setup.params();
    let (granule, block) = (1u64 << params.item_lg2(0), 1u64 << params.item_lg2(1));
    if params.all_sizes() & block == 0 {
        return;
    }
    let world = setup.world();
    let domain = world.domain();
    let mut runner = Runner::new(setup, &domain).unwrap();
    runner.narrow(!(block - 1)).unwrap();
    let larger = runner.model.sizes & !block;
    let mut map =
        |iova, paddr, len| runner.map(iova, paddr, len, RW, None).unwrap().result.err().map(|error| error.errno());
    // Everything fits a granule, but that is not permitted any more; a length has to be whole blocks.
    assert_eq!(map(0, 0, granule), Some(Errno::ENXIO));
    assert_eq!(map(granule, granule, block), Some(Errno::ENXIO));
    assert_eq!(map(0, 0, block + granule), Some(Errno::ENXIO));
    assert_eq!(map(0, 0, 3 * block), None);
    runner.unmap(0, 3 * block, 0).unwrap();
    runner.narrow(larger).unwrap();
    assert_eq!(runner.map(0, 0, block, RW, None).unwrap().result.unwrap_err().errno(), Errno::ENXIO);
    // What the table does not have is ignored; none at all permits nothing.
    runner.narrow(0).unwrap();
    assert_eq!(runner.map(0, 0, granule, RW, None).unwrap().result.unwrap_err().errno(), Errno::ENXIO);
    runner.narrow(u64::MAX).unwrap();
    runner.map(0, 0, granule, RW, None).unwrap().result.unwrap();
    runner.finish().unwrap();
}

/// Nothing gathered, nothing invalidated.
fn sync_of_an_empty_gather(setup: &Setup) {
    with_table(setup, |table, domain| {
        for gather in 0..3 {
            table.sync(gather);
            table.sync_all(gather);
            assert_eq!(table.take(gather), (None, 0));
            assert_eq!(table.free_taken(), 0);
            // An unmap of nothing leaves it empty.
            assert_eq!(table.unmap(0, u64::MAX, gather), 0);
            assert_eq!(table.unmap(0, 1, gather), 0);
            table.sync(gather);
        }
        assert_eq!(domain.driver.0.take_events(), []);
    });
}

/// Errors of dirty tracking, in their order.
fn order_of_dirty_errors(setup: &Setup) {
    let params = setup.params();
    let outside = if params.max_va < 64 { 1 << params.max_va } else { 0 };
    with_table(setup, |table, _| {
        let mut errno = |va, len| table.dirty(va, len, DirtyMode::Clear, 0).err().map(|error| error.errno());
        if params.format.dirty_bit().is_none() {
            for (va, len) in [(0, 0), (u64::MAX, 2), (outside, 1), (0, 1)] {
                assert_eq!(errno(va, len), Some(Errno::EOPNOTSUPP));
            }
            assert_eq!(table.set_dirty(outside).unwrap_err().errno(), Errno::EOPNOTSUPP);
            return;
        }
        assert_eq!(errno(outside, 0), Some(Errno::EINVAL));
        assert_eq!(errno(u64::MAX, 2), Some(Errno::EOVERFLOW));
        assert_eq!(errno(0, 1), None);
        if outside != 0 {
            assert_eq!(errno(outside, 1), Some(Errno::ERANGE));
            assert_eq!(errno(outside - 1, 2), Some(Errno::ERANGE));
            assert_eq!(table.set_dirty(outside).unwrap_err().errno(), Errno::ERANGE);
        }
        assert_eq!(table.set_dirty(0).unwrap_err(), Error::NotMapped { va: 0 });
    });
}

/// Clearing flushes the items that it changed, and no others.
#[test]
fn dirty_clearing_on_an_incoherent_table() {
    let setup = configs::vtdss_48_incoherent();
    let world = setup.world();
    let domain = world.domain();
    let mut runner = Runner::new(&setup, &domain).unwrap();
    let (granule, block) = (1u64 << 12, 1u64 << 21);
    runner.map(block - 4 * granule, granule, 8 * granule, RW, None).unwrap();
    runner.map(2 * block, 0, block, RW, None).unwrap();
    for va in [block - 4 * granule, block - granule, block, 2 * block + 5 * granule] {
        runner.device_write(va).unwrap();
    }
    world.flushed_bytes.set(0);
    runner.dirty(0, 4 * block, false, 0).unwrap();
    assert_eq!(world.flushed_bytes.get(), 0, "only looked at");
    assert_eq!(runner.table.gather(0).range, None);
    runner.dirty(0, 4 * block, true, 0).unwrap();
    assert_eq!(world.flushed_bytes.get(), 4 * 8);
    assert_eq!(runner.table.gather(0).range, Some((block - 4 * granule, 3 * block - 1)));
    runner.dirty(0, 4 * block, true, 0).unwrap();
    assert_eq!(world.flushed_bytes.get(), 4 * 8, "all clean already");
    runner.sync(0).unwrap();
    assert!(matches!(runner.seen[..], [Event::Sync(what)] if what.unlinked_tables == 0));
    runner.finish().unwrap();
}

/// A dirty entry is reported whole, wherever in it the scan begins, and whichever of its items is dirty; clean is all of it.
#[rstest]
#[case::amdv1(configs::amdv1_l2_flush_range())]
#[case::amdv1_encrypted(configs::amdv1_l2_encrypted_33())]
#[case::amdv1_mock(configs::amdv1_mock_l4())]
#[case::vtdss(configs::vtdss_39())]
#[case::vtdss_incoherent(configs::vtdss_48_incoherent())]
#[case::ept(configs::ept_48_suppress_ve())]
#[case::riscv_64(configs::riscv_64_sv39_svadu())]
#[case::riscv_64_g(configs::riscv_64_g_sv57x4_svadu())]
fn dirty_entries_are_whole(#[case] setup: Setup) {
    let params = setup.params();
    let world = setup.world();
    let domain = world.domain();
    let mut runner = Runner::new(&setup, &domain).unwrap();
    let granule = 1u64 << params.item_lg2(0);
    for size in (0..40).map(|size| 1u64 << size).filter(|size| params.all_sizes() & size != 0) {
        let va = size.max(1 << params.item_lg2(2));
        runner.map(va, 0, size, RW, None).unwrap().result.unwrap();
        for (marked, from, len) in [(size - 1, 0, 1), (0, size - granule, granule), (size / 2, size / 2 - 1, 1)] {
            let whole = Ok(vec![(va, va + (size - 1))]);
            runner.set_dirty(va + (marked & !(granule - 1))).unwrap();
            let peek = runner.table.dirty(va + (from & (size - 1)), len, DirtyMode::Peek, 0);
            assert_eq!(peek, whole, "size {size:#x}, item of {marked:#x} marked");
            runner.dirty(va + (from & (size - 1)), len, true, 0).unwrap();
            assert_eq!(runner.table.gather(0).range, Some((va, va + (size - 1))));
            let again = runner.table.dirty(va, size, DirtyMode::Peek, 0);
            assert_eq!(again, Ok(vec![]), "size {size:#x}, item of {marked:#x} marked");
            runner.sync(0).unwrap();
        }
        runner.unmap(va, size, 0).unwrap();
        runner.sync(0).unwrap();
    }
    runner.finish().unwrap();
}

/// A dirty scan is a plain union even with NO_GAPS: one sync at the end is the caller's.
#[test]
fn dirty_clearing_with_no_gaps() {
    let setup = configs::amdv1(FLUSH | NO_GAPS, 48, 52, 3, 0);
    let world = setup.world();
    let domain = world.domain();
    let mut runner = Runner::new(&setup, &domain).unwrap();
    let granule = 1u64 << 12;
    runner.map(0, granule, 64 * granule, RW, None).unwrap();
    for page in [3, 9, 40] {
        runner.set_dirty(page * granule).unwrap();
    }
    runner.dirty(0, 64 * granule, true, 0).unwrap();
    assert_eq!(runner.seen, []);
    assert_eq!(runner.table.gather(0).range, Some((3 * granule, 41 * granule - 1)));
    runner.finish().unwrap();
}

/// A driver that can do nothing.
struct Unable;
impl Driver for Unable {}

/// The errno of a try to make a table: with a driver that can everything, or with one that cannot.
fn init_errno<F: generic_pt::iommu::Walkers>(driver_can: bool, config: &TableConfig<F::Config>) -> Option<Errno> {
    if driver_can {
        let domain = Domain::new(HeapMemory, NoHardware);
        PtIommu::<F, _>::new(&domain, config).err().map(|error| error.errno())
    } else {
        let domain = Domain::new(HeapMemory, Unable);
        PtIommu::<F, _>::new(&domain, config).err().map(|error| error.errno())
    }
}

fn config<C>(features: Features, va: u32, oa: u32, format: C) -> TableConfig<C> {
    TableConfig { features, hw_max_vasz_lg2: va, hw_max_oasz_lg2: oa, format }
}

/// Each configuration is wrong in the two ways of two steps of init; the earlier one tells.
#[rstest]
// Step 1 before 2, and OA 0 before the format.
#[case::va_0_before_format(config(NONE, 0, 52, x86_64::Config { top_level: 9, encryption_mask: 0 }), Errno::EINVAL)]
#[case::oa_0_before_format(config(NONE, 48, 0, x86_64::Config { top_level: 9, encryption_mask: 0 }), Errno::EINVAL)]
// 2 before 3, 4 and 5.
#[case::format_before_oa(config(NONE, 48, 60, x86_64::Config { top_level: 9, encryption_mask: 0 }), Errno::EOPNOTSUPP)]
// 3 before 4 and 5.
#[case::oa_before_features(
    config(Features::DETAILED_GATHER, 57, 60, x86_64::Config { top_level: 3, encryption_mask: 0 }), Errno::EINVAL
)]
// 4 before 6: not supported together with what excludes it.
#[case::features_before_exclusion(
    config(SIGN | Features::DYNAMIC_TOP, 48, 52, x86_64::Config { top_level: 3, encryption_mask: 0 }), Errno::EOPNOTSUPP
)]
#[case::features_before_device(
    config(INCOHERENT | Features::FULL_VA, 48, 52, x86_64::Config { top_level: 3, encryption_mask: 0 }), Errno::EOPNOTSUPP
)]
// 5 before 6: more VA than the top decodes, and nobody to flush.
#[case::width_before_device(config(INCOHERENT, 57, 52, x86_64::Config { top_level: 3, encryption_mask: 0 }), Errno::EOPNOTSUPP)]
// 6 and 7.
#[case::device(config(INCOHERENT, 48, 52, x86_64::Config { top_level: 3, encryption_mask: 0 }), Errno::EINVAL)]
#[case::too_narrow(config(NONE, 38, 52, x86_64::Config { top_level: 3, encryption_mask: 0 }), Errno::EINVAL)]
fn order_of_init_steps(#[case] config: TableConfig<x86_64::Config>, #[case] expected: Errno) {
    assert_eq!(init_errno::<x86_64::Format>(false, &config), Some(expected));
}

#[test]
fn order_of_init_steps_with_dynamic_top() {
    let format = amdv1::Config { starting_level: 3, encryption_mask: 0 };
    let errno = |can, features, va| init_errno::<amdv1::Format>(can, &config(features, va, 52, format));
    // 4 before 6: a forced feature is missing, and nobody changes the top.
    assert_eq!(errno(false, NONE, 64), Some(Errno::EOPNOTSUPP));
    assert_eq!(errno(false, amdv1::FORCED | SIGN, 64), Some(Errno::EOPNOTSUPP));
    assert_eq!(errno(false, amdv1::FORCED, 64), Some(Errno::EINVAL));
    // Not step 5: with dynamic top the first top may decode less.
    assert_eq!(errno(true, amdv1::FORCED, 64), None);
    // 7: one item of the top is enough, less is not.
    assert_eq!(errno(true, amdv1::FORCED, 39), None);
    assert_eq!(errno(true, amdv1::FORCED, 38), Some(Errno::EINVAL));
}

#[test]
fn init_of_the_other_formats() {
    let vtd = |features, va, top_level| {
        init_errno::<vtdss::Format>(false, &config(features, va, 52, vtdss::Config { top_level }))
    };
    assert_eq!(vtd(INCOHERENT, 48, 2), Some(Errno::EOPNOTSUPP), "width before device");
    assert_eq!(vtd(INCOHERENT, 39, 2), Some(Errno::EINVAL));
    assert_eq!(vtd(NONE, 39, 2), None);
    let riscv = |features, va| init_errno::<riscv_64::Format>(false, &config(features, va, 56, riscv_64::Config {}));
    assert_eq!(riscv(NONE, 40), Some(Errno::EINVAL), "the format before its forced feature");
    assert_eq!(riscv(NONE, 39), Some(Errno::EOPNOTSUPP));
    assert_eq!(riscv(SIGN | Features::FULL_VA | riscv_64::FORCED, 39), Some(Errno::EOPNOTSUPP));
    assert_eq!(riscv(SIGN | riscv_64::FORCED, 39), None);
}

macro_rules! orders {
    ($name:ident) => {
        mod $name {
            orders! { @tests $name order_of_map_errors fields_of_map_errors range_check_before_work
                smallest_page_of_a_narrowed_bitmap sync_of_an_empty_gather order_of_dirty_errors }
        }
    };
    (@tests $name:ident $($test:ident)*) => {
        $(#[test]
        fn $test() {
            super::$test(&super::configs::$name());
        })*
    };
}

generic_pt_model::for_each_config!(orders);
