//! What safe code can try against the library: each was found to do harm once, and must not again.

#[path = "private/stress.rs"]
mod stress;
#[path = "private/wrong.rs"]
mod wrong;

use generic_pt::fmt::{amdv1, mali_lpae, riscv_64, vtdss, x86_64};
use generic_pt::format::{Kind, Top};
use generic_pt::memory::{Arena, Contents, PageRequest, TableMemory};
use generic_pt::testing::TestMemory;
use generic_pt::walk::ItemView;
use generic_pt::{
    DirtyMode, Domain, Driver, Errno, Error, Features, GatherMode, HeapMemory, Invalidation, NoHardware, Prot, PtIommu,
    TableConfig,
};
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

fn vtdss_config(va_lg2: u32, top_level: u32) -> TableConfig<vtdss::Config> {
    TableConfig {
        features: Features::FLUSH_RANGE | Features::DMA_INCOHERENT,
        hw_max_vasz_lg2: va_lg2,
        hw_max_oasz_lg2: 48,
        format: vtdss::Config { top_level },
    }
}

/// A driver whose cache flushes can be made to panic, and that counts the bytes flushed.
#[derive(Default)]
struct Flusher {
    panics: Cell<bool>,
    flushed: RefCell<Vec<usize>>,
}

impl Driver for Flusher {
    fn can_flush_cache(&self) -> bool {
        true
    }
    fn flush_cache(&self, _start: NonNull<u8>, bytes: usize) {
        assert!(!self.panics.get(), "the driver panics");
        self.flushed.borrow_mut().push(bytes);
    }
}

/// An unmap that is unwound half way had written links into tables that were still reachable.
#[test]
fn a_panic_of_the_driver_during_unmap_frees_nothing_twice() {
    let domain = Domain::new(HeapMemory, Flusher::default());
    let mut table = vtdss::PtIommuVtdss::new(&domain, &vtdss_config(39, 2)).expect("a valid configuration");
    table.map_range(0, 0x1000, 0x40_0000, Prot::READ).expect("free");
    table.map_range(0x40_0000, 0x80_0000, 0x3fc0_0000, Prot::READ).expect("free");
    table.map_range(0x4000_0000, 0x1000, 0x2000, Prot::READ).expect("free");
    let mut gather = table.gather(GatherMode::Immediate);
    domain.driver.panics.set(true);
    let unmap = || table.unmap_range(0, 0x4000_1000, &mut gather);
    assert!(catch_unwind(AssertUnwindSafe(unmap)).is_err(), "the driver panicked");
    domain.driver.panics.set(false);
    // Every table that can still be reached is itself, once.
    let mut pages = Vec::new();
    table.visit_tables(|view| pages.push(view.page()));
    let reachable = pages.len();
    pages.sort_unstable();
    pages.dedup();
    assert_eq!(pages.len(), reachable, "no table is reached twice");
    gather.sync();
    drop(table);
}

#[test]
fn limits_beyond_the_geometry_are_refused() {
    let domain = Domain::new(HeapMemory, NoHardware);
    let config = TableConfig {
        features: Features::empty(),
        hw_max_vasz_lg2: 39,
        hw_max_oasz_lg2: 48,
        format: wrong::wrong::wrong_top::Config {},
    };
    let error = PtIommu::<wrong::wrong::wrong_top::Format, _>::new(&domain, &config).expect_err("no level 3");
    assert_eq!(error.to_string(), "configuration: `top_level` is 3, valid: 0 to 2");
}

#[test]
fn empty_items_that_spoil_links_are_refused() {
    let domain = Domain::new(HeapMemory, NoHardware);
    let config = TableConfig {
        features: Features::empty(),
        hw_max_vasz_lg2: 30,
        hw_max_oasz_lg2: 48,
        format: wrong::wrong::wrong_empty::Config {},
    };
    let error = PtIommu::<wrong::wrong::wrong_empty::Format, _>::new(&domain, &config).expect_err("address bits");
    assert!(matches!(error, Error::Config { field: "empty_item", .. }), "{error}");
}

/// Hardware that decodes more bits than the table looks beyond the items of its top.
#[test]
fn the_padding_of_a_top_is_flushed() {
    let domain = Domain::new(HeapMemory, Flusher::default());
    let table = vtdss::PtIommuVtdss::new(&domain, &vtdss_config(40, 3)).expect("a valid configuration");
    assert_eq!(*domain.driver.flushed.borrow(), [4096], "two items, but a page of memory");
    drop(table);
}

/// A map across the address that the smaller pages cannot hold was cut off silently.
#[test]
fn output_addresses_beyond_a_page_size_are_refused_before_anything_is_written() {
    use stress::narrow;
    let config = narrow::TEST_CONFIGS[0];
    let domain = Domain::new(TestMemory::new(0x4000_0000), NoHardware);
    let mut table = narrow::PtIommuNarrow::new(&domain, &config.table).expect("a valid configuration");
    let first = table.info().aperture.va;
    let before = format!("{table:?}");
    for (offset, paddr, len) in [(0x1000, 0xffff_e000, 0x4000), (0x1000, 0xffff_f000, 0x2000)] {
        let refused = table.map_range(first + offset, paddr, len, Prot::READ | Prot::WRITE).expect_err("beyond 4 GiB");
        assert_eq!((refused.errno(), refused.mapped), (Errno::ENXIO, 0));
        assert_eq!(format!("{table:?}"), before, "nothing was written");
    }
    // Up to the limit it works.
    table.map_range(first + 0x1000, 0xffff_e000, 0x2000, Prot::READ | Prot::WRITE).expect("below 4 GiB");
    assert_eq!(table.iova_to_phys(first + 0x2fff), Some(0xffff_ffff));
}

/// Like the first top, one that grew has to be one that hardware can be pointed to.
#[test]
fn a_grown_top_is_not_beyond_the_top_pointer() {
    struct Hardware(RefCell<Vec<Top>>);
    impl Driver for Hardware {
        fn can_change_top(&self) -> bool {
            true
        }
        fn change_top(&self, top: Top) {
            self.0.borrow_mut().push(top);
        }
    }
    // One page below 2^52, the others above.
    let mut bytes = vec![0u64; (64 << 10) / 8];
    // SAFETY: plain memory, seen as bytes.
    let bytes = unsafe { std::slice::from_raw_parts_mut(bytes.as_mut_ptr().cast::<u8>(), 64 << 10) };
    let arena = Arena::new(bytes, (1 << 52) - 0x1000).expect("aligned to 8");
    let domain = Domain::new(arena, Hardware(RefCell::default()));
    let config = TableConfig {
        features: amdv1::FORCED,
        hw_max_vasz_lg2: 48,
        hw_max_oasz_lg2: 48,
        format: amdv1::Config { starting_level: 1, encryption_mask: 0 },
    };
    let mut table = amdv1::PtIommuAmdv1::new(&domain, &config).expect("the first page is below");
    let refused = table.map_range(1 << 30, 0, 0x1000, Prot::READ).expect_err("the second is not");
    assert_eq!(refused.error, Error::OutOfMemory { level: 2, va: 1 << 30, size_lg2: 12, pa_lg2: 52 });
    assert!(domain.driver.0.borrow().is_empty(), "hardware was told nothing");
    assert_eq!(table.top_level(), 1);
}

/// A cleaned range without levels told drivers that choose their commands by level to do nothing.
#[test]
fn cleaning_gathers_the_level() {
    use stress::stress;
    let config = stress::TEST_CONFIGS[0];
    let domain = Domain::new(TestMemory::new(0x4000_0000), NoHardware);
    let mut table = PtIommu::<stress::Format, _>::new(&domain, &config.table).expect("a valid configuration");
    let va = table.info().aperture.va;
    table.map_range(va, 0, 0x1000, Prot::READ | Prot::WRITE).expect("free");
    table.set_dirty(va).expect("mapped");
    let mut gather = table.gather(GatherMode::Immediate);
    table.read_and_clear_dirty(va, 0x1000, DirtyMode::Clear, &mut gather, |_| {}).expect("has dirty tracking");
    assert!(gather.range().is_some() && gather.leaf_levels().contains(0), "{gather:?}");
    gather.sync();
}

/// The levels of a queued gather were lost when it was taken.
#[test]
fn pending_tables_of_a_queued_gather_come_with_their_levels() {
    let domain = Domain::new(HeapMemory, NoHardware);
    let config = TableConfig {
        features: riscv_64::FORCED,
        hw_max_vasz_lg2: 39,
        hw_max_oasz_lg2: 48,
        format: riscv_64::Config {},
    };
    let mut table = riscv_64::PtIommuRiscv64::new(&domain, &config).expect("a valid configuration");
    table.map_range(0x20_0000, 0x1000, 0x20_0000, Prot::READ).expect("free");
    let mut gather = table.gather(GatherMode::Queued);
    assert_eq!(table.unmap_range(0x20_0000, 0x20_0000, &mut gather), 0x20_0000);
    let pending = gather.take_pending();
    assert_eq!((pending.invalidation, pending.unlinked_tables()), (None, 1));
    assert!(pending.leaf_levels.contains(0) && pending.table_levels.contains(1), "{pending:?}");
    // SAFETY: no hardware has ever walked the table.
    assert_eq!(pending.free(unsafe { generic_pt::iommu::Synced::promise() }), 1);
}

/// One memory for several domains, as in a system with several IOMMUs.
#[test]
fn one_memory_serves_several_domains() {
    let memory = std::sync::Arc::new(HeapMemory);
    let driver = Flusher::default();
    let first = Domain::new(memory.clone(), &driver);
    let second = Domain::new(&HeapMemory, &driver);
    let mut table = vtdss::PtIommuVtdss::new(&first, &vtdss_config(39, 2)).expect("a valid configuration");
    table.map_range(0, 0, 0x1000, Prot::READ).expect("free");
    assert!(vtdss::PtIommuVtdss::new(&second, &vtdss_config(39, 2)).is_ok());
    assert!(driver.flushed.borrow().len() > 3, "the driver behind the reference is asked");
}

const RW: Prot = Prot::READ.union(Prot::WRITE);

/// A table that was used last was taken for all that it has items for, also where that is more than is decoded: with sign
/// extension it has both halves, and what lies between them is nothing. So one view reached into the other.
#[test]
fn what_is_near_is_not_more_than_what_is_decoded() {
    const GIB: u64 = 1 << 30;
    let domain = Domain::new(HeapMemory, NoHardware);
    let config = TableConfig {
        features: riscv_64::FORCED | Features::SIGN_EXTEND,
        hw_max_vasz_lg2: 39,
        hw_max_oasz_lg2: 48,
        format: riscv_64::Config {},
    };
    let mut table = riscv_64::PtIommuRiscv64::new(&domain, &config).expect("a valid configuration");
    let (hole, upper) = (1 << 38, !0 << 38);
    let (mut low, mut high) = table.view().split_at(upper).expect("nothing is mapped");
    high.map_range(upper, GIB, GIB, RW).expect("free");
    low.map_range(0, 0, GIB, RW).expect("free");
    let refused = low.map_range(hole + GIB, 0, GIB, RW).expect_err("not canonical");
    assert_eq!((refused.errno(), refused.mapped), (Errno::ERANGE, 0));
    let mut gather = low.gather(GatherMode::Immediate);
    assert_eq!(low.unmap_range(hole, GIB, &mut gather), 0, "that would be the other view's");
    assert_eq!((gather.range(), high.iova_to_phys(upper)), (None, Some(GIB)));
    let mut cursor = table.cursor();
    assert_eq!(cursor.iova_to_phys(0), Some(0));
    assert_eq!(cursor.iova_to_phys(hole), None);
}

/// The same below a top of one item, which has no sign bit of its own.
#[test]
fn what_is_near_below_a_top_of_one_item_is_not_more_than_what_is_decoded() {
    const GIB: u64 = 1 << 30;
    let domain = Domain::new(HeapMemory, NoHardware);
    let config = TableConfig {
        features: x86_64::FORCED | Features::SIGN_EXTEND,
        hw_max_vasz_lg2: 39,
        hw_max_oasz_lg2: 48,
        format: x86_64::Config { top_level: 3, encryption_mask: 0 },
    };
    let mut table = x86_64::PtIommuX8664::new(&domain, &config).expect("a valid configuration");
    table.map_range(0, 0, GIB, RW).expect("free");
    table.map_range(GIB, 0, GIB, RW).expect("free, and near");
    table.map_range(!0 << 38, GIB, GIB, RW).expect("free");
    table.map_range(2 * GIB, 0, GIB, RW).expect("free, and near");
    let mut gather = table.gather(GatherMode::Immediate);
    assert_eq!(table.unmap_range(1 << 38, GIB, &mut gather), 0);
    assert_eq!(table.map_range((1 << 38) + GIB, 0, GIB, RW).map_err(|refused| refused.errno()), Err(Errno::ERANGE));
    assert_eq!(table.iova_to_phys(!0 << 38), Some(GIB));
}

/// The same where the top is deeper than the VA is wide: tables below it have items for more VA than there is.
#[test]
fn what_is_near_below_a_deep_top_is_not_more_than_what_is_decoded() {
    let domain = Domain::new(TestMemory::new(0x4000_0000), NoHardware);
    let config = TableConfig {
        features: Features::FLUSH_RANGE,
        hw_max_vasz_lg2: 20,
        hw_max_oasz_lg2: 40,
        format: mali_lpae::Config {},
    };
    let mut table = mali_lpae::PtIommuMaliLpae::new(&domain, &config).expect("a valid configuration");
    table.map_range(0, 0, 0x2000, RW).expect("free");
    table.map_range(0x2000, 0, 0x1000, RW).expect("free");
    let refused = table.map_range(1 << 20, 0, 0x1000, RW).expect_err("there are only 20 bits");
    assert_eq!((refused.errno(), refused.mapped), (Errno::ERANGE, 0));
}

/// A queued gather freed tables without any invalidation if the driver had written no `sync_all`, which had a default that
/// does nothing.
#[test]
fn a_driver_that_can_only_sync_ranges_hears_of_queued_gathers() {
    #[derive(Default)]
    struct Ranges(RefCell<Vec<Invalidation>>);
    impl Driver for Ranges {
        fn sync(&self, invalidation: &Invalidation) {
            self.0.borrow_mut().push(*invalidation);
        }
    }
    let domain = Domain::new(HeapMemory, Ranges::default());
    let config = TableConfig {
        features: riscv_64::FORCED,
        hw_max_vasz_lg2: 39,
        hw_max_oasz_lg2: 48,
        format: riscv_64::Config {},
    };
    let mut table = riscv_64::PtIommuRiscv64::new(&domain, &config).expect("a valid configuration");
    table.map_range(0x20_0000, 0x1000, 0x20_0000, Prot::READ).expect("free");
    let mut gather = table.gather(GatherMode::Queued);
    assert_eq!(table.unmap_range(0x20_0000, 0x20_0000, &mut gather), 0x20_0000);
    assert_eq!(gather.unlinked_tables(), 1);
    gather.sync();
    let synced = domain.driver.0.borrow();
    let [all] = synced[..] else { panic!("not one sync: {synced:?}") };
    assert_eq!((all.va, all.last), (0, u64::MAX));
    assert!(all.unlinked_tables != 0 && all.leaf_levels.contains(0) && all.table_levels.contains(1), "{all:?}");
}

/// Hardware may have been pointed to the new top when the driver panics, but its memory was freed.
#[test]
fn a_panic_of_the_driver_that_was_told_of_a_top_frees_none_of_it() {
    struct Panics(Cell<Option<Top>>);
    impl Driver for Panics {
        fn can_change_top(&self) -> bool {
            true
        }
        fn change_top(&self, top: Top) {
            self.0.set(Some(top));
            panic!("after the register was written");
        }
    }
    let domain = Domain::new(TestMemory::new(0x4000_0000), Panics(Cell::new(None)));
    let config = TableConfig {
        features: amdv1::FORCED,
        hw_max_vasz_lg2: 64,
        hw_max_oasz_lg2: 48,
        format: amdv1::Config { starting_level: 1, encryption_mask: 0 },
    };
    let mut table = amdv1::PtIommuAmdv1::new(&domain, &config).expect("a valid configuration");
    let map = || table.map_range(1 << 39, 0, 0x1000, Prot::READ);
    assert!(catch_unwind(AssertUnwindSafe(map)).is_err(), "the driver panicked");
    assert_eq!(domain.driver.0.get().map(|top| top.level), Some(3));
    assert_eq!(domain.memory.live_pages(), 3, "the old top, and the two above it that hardware may walk");
    assert_eq!(table.top_level(), 1);
}

/// A gather forgot what it held when the driver panicked, so the next sync told hardware nothing.
#[test]
fn a_gather_keeps_what_a_driver_that_panics_did_not_invalidate() {
    #[derive(Default)]
    struct Panics {
        panics: Cell<bool>,
        synced: RefCell<Vec<(u64, u64, u64)>>,
    }
    impl Driver for Panics {
        fn sync(&self, all: &Invalidation) {
            assert!(!self.panics.get(), "the driver panics");
            self.synced.borrow_mut().push((all.va, all.last, all.unlinked_tables));
        }
    }
    let domain = Domain::new(TestMemory::new(0x4000_0000), Panics::default());
    let config = TableConfig {
        features: x86_64::FORCED | Features::FLUSH_RANGE_NO_GAPS,
        hw_max_vasz_lg2: 47,
        hw_max_oasz_lg2: 48,
        format: x86_64::Config { top_level: 3, encryption_mask: 0 },
    };
    let mut table = x86_64::PtIommuX8664::new(&domain, &config).expect("a valid configuration");
    table.map_range(0, 0x1000, 0x20_0000, RW).expect("free");
    table.map_range(0x80_0000, 0x1000, 0x1000, RW).expect("free");
    for mode in [GatherMode::Immediate, GatherMode::Queued] {
        let mut gather = table.gather(mode);
        assert_eq!(table.unmap_range(0, 0x20_0000, &mut gather), 0x20_0000);
        domain.driver.panics.set(true);
        assert!(catch_unwind(AssertUnwindSafe(|| gather.sync())).is_err(), "the driver panicked");
        assert_eq!((gather.changed(), gather.unlinked_tables()), (true, 1), "{mode:?}");
        if mode == GatherMode::Immediate {
            // Not adjacent: syncs before.
            let unmap = || table.unmap_range(0x80_0000, 0x1000, &mut gather);
            assert!(catch_unwind(AssertUnwindSafe(unmap)).is_err(), "the driver panicked");
        }
        domain.driver.panics.set(false);
        gather.sync();
        let all = if mode == GatherMode::Queued { (0, u64::MAX, u64::MAX) } else { (0, 0x80_0fff, 1) };
        assert_eq!(domain.driver.synced.take(), [all]);
        assert_eq!((gather.changed(), gather.unlinked_tables()), (false, 0));
        table.map_range(0, 0x1000, 0x20_0000, RW).expect("free");
    }
}

/// A format with a prefix that its configuration decides had tables that could not serve it: sign extension looks at no prefix.
#[test]
fn prefixes_of_tables_that_begin_at_zero_are_refused() {
    use wrong::wrong::wrong_prefix;
    let domain = Domain::new(HeapMemory, NoHardware);
    let config =
        |features| TableConfig { features, hw_max_vasz_lg2: 30, hw_max_oasz_lg2: 48, format: wrong_prefix::Config {} };
    let table = PtIommu::<wrong_prefix::Format, _>::new(&domain, &config(Features::empty())).expect("a fixed top");
    assert_eq!(table.info().aperture.va, !0 << 30);
    let error = PtIommu::<wrong_prefix::Format, _>::new(&domain, &config(Features::SIGN_EXTEND)).expect_err("both");
    assert!(matches!(error, Error::Config { field: "va_prefix", errno: Errno::EINVAL, .. }), "{error}");
}

/// The last byte of a block may have the last address.
#[test]
fn an_arena_may_end_at_the_last_physical_address() {
    let mut bytes = vec![0u64; 0x4000 / 8];
    // SAFETY: plain memory, seen as bytes.
    let bytes = unsafe { std::slice::from_raw_parts_mut(bytes.as_mut_ptr().cast::<u8>(), 0x4000) };
    let request = |pa_lg2| PageRequest { size_lg2: 12, contents: Contents::Zeroed, pa_lg2 };
    let arena = Arena::new(bytes, 0u64.wrapping_sub(0x4000)).expect("it does not run past the end");
    let pages: Vec<_> = (0..4).map(|_| arena.alloc(request(64)).expect("room")).collect();
    assert_eq!(pages.iter().map(|page| arena.pa_of(*page)).max(), Some(0u64.wrapping_sub(0x1000)));
    assert_eq!((arena.alloc(request(64)), arena.free_bytes()), (None, 0));
}

/// An arena had no page below a limit while the one that was given back last lay above it.
#[test]
fn an_arena_finds_the_pages_below_the_limit() {
    let mut bytes = vec![0u64; 0x4000 / 8];
    // SAFETY: plain memory, seen as bytes.
    let bytes = unsafe { std::slice::from_raw_parts_mut(bytes.as_mut_ptr().cast::<u8>(), 0x4000) };
    let request = |size_lg2, pa_lg2| PageRequest { size_lg2, contents: Contents::Unknown, pa_lg2 };
    let arena = Arena::new(bytes, (1 << 32) - 0x2000).expect("aligned to 8");
    let pages: Vec<_> = (0..4).map(|_| arena.alloc(request(12, 64)).expect("room")).collect();
    for page in &pages {
        // SAFETY: of this arena and size, and not used any more.
        unsafe { arena.free(*page, 12, Contents::Unknown) };
    }
    assert_eq!(arena.alloc(request(12, 32)), Some(pages[1]));
    assert_eq!(arena.alloc(request(11, 32)), Some(pages[0]), "a half of it");
    assert_eq!((arena.alloc(request(12, 32)), arena.free_bytes()), (None, 0x2800));
    assert_eq!((arena.alloc(request(12, 64)), arena.alloc(request(12, 64))), (Some(pages[3]), Some(pages[2])));
}

/// Items that are not understood end an unmap, also where so many are looked at together that none is looked at alone.
#[test]
fn a_foreign_item_among_many_leaves_ends_an_unmap() {
    const FOREIGN: u64 = 1;
    let domain = Domain::new(HeapMemory, NoHardware);
    let config = TableConfig {
        features: riscv_64::FORCED,
        hw_max_vasz_lg2: 39,
        hw_max_oasz_lg2: 48,
        format: riscv_64::Config {},
    };
    for (first, pages) in [(0x1000, 7), (0x1000, 64), (0, 512)] {
        let mut table = riscv_64::PtIommuRiscv64::new(&domain, &config).expect("a valid configuration");
        table.map_range(first, 0x8000_1000, pages << 12, Prot::READ).expect("free");
        let mut lowest = None;
        table.visit_tables(|view| lowest = Some(view.page()));
        // SAFETY: the table of level 0, which is visited last; nobody else looks at it.
        unsafe { lowest.expect("three tables").cast::<u64>().add(4).write(FOREIGN) };
        let (mut gather, mut shown) = (table.gather(GatherMode::Immediate), 0);
        let removed = table.unmap_range_with(first, pages << 12, &mut gather, |run| shown += run.len);
        assert_eq!((removed, shown), (0x4000 - first, 0x4000 - first), "of {pages} pages");
        gather.sync();
    }
}

/// Leaves were gone, but in no gather, when the driver panicked in the flush of their items: no sync told hardware.
#[test]
fn an_unmap_whose_flush_panics_is_gathered() {
    for len in [0x1000, 0x3000] {
        let domain = Domain::new(HeapMemory, Flusher::default());
        let mut table = vtdss::PtIommuVtdss::new(&domain, &vtdss_config(39, 2)).expect("a valid configuration");
        table.map_range(0, 0x1000, 0x4000, Prot::READ).expect("free");
        let mut gather = table.gather(GatherMode::Immediate);
        domain.driver.panics.set(true);
        let unmap = || table.unmap_range(0, len, &mut gather);
        assert!(catch_unwind(AssertUnwindSafe(unmap)).is_err(), "the driver panicked");
        let gathered = gather.range().is_some_and(|range| range.va == 0 && range.last >= len - 1);
        assert!(table.iova_to_phys(0).is_some() || gathered, "{len:#x}: {:?}", gather.range());
        assert!(!gather.changed() || gathered);
    }
}

/// An operation begins in a table that is near only if its range ends there, too: also if it ends where addresses do.
#[test]
fn a_range_to_the_last_address_does_not_begin_in_a_table_that_is_near() {
    let domain = Domain::new(HeapMemory, NoHardware);
    let config = TableConfig {
        features: amdv1::FORCED | Features::FULL_VA,
        hw_max_vasz_lg2: 64,
        hw_max_oasz_lg2: 52,
        format: amdv1::Config { starting_level: 5, encryption_mask: 0 },
    };
    let mut table = amdv1::PtIommuAmdv1::new(&domain, &config).expect("a valid configuration");
    // Pages that go on in the next table, and the first table near.
    table.map_range(0x1000, 0x8000_2000, 0x20_1000, Prot::READ).expect("nothing is there");
    let mut gather = table.gather(GatherMode::Immediate);
    assert_eq!(table.unmap_range(0x1000, 0x1000, &mut gather), 0x1000);
    table.map_range(0x1000, 0x8000_2000, 0x1000, Prot::READ).expect("nothing is there");
    assert_eq!(table.unmap_range(0x1000, 0u64.wrapping_sub(0x1000), &mut gather), 0x20_1000);
    gather.sync();
    assert_eq!(table.iova_to_phys(0x20_1000), None);
}

/// A table that a range unlinked is not near any more, those above it still are.
#[test]
fn a_table_that_a_range_unlinked_is_not_near() {
    let domain = Domain::new(HeapMemory, NoHardware);
    let mut table = vtdss::PtIommuVtdss::new(&domain, &vtdss_config(48, 3)).expect("a valid configuration");
    for _ in 0..3 {
        for page in [0x1_0000_0000u64, 0x1_0040_1000] {
            table.map_range(page, 0x8000_0000, 0x1000, Prot::READ).expect("nothing is there");
        }
        // Its lowest tables go, for a large page or for nothing.
        let mut gather = table.gather(GatherMode::Immediate);
        assert_eq!(table.unmap_range(0x1_0040_1000, 0x1000, &mut gather), 0x1000);
        table.map_range(0x1_0040_0000, 0x4000_0000, 0x20_0000, Prot::READ).expect("the table is empty");
        assert_eq!(table.iova_to_phys(0x1_0040_1000), Some(0x4000_1000));
        assert_eq!(table.unmap_range(0x1_0040_0000, 0x20_0000, &mut gather), 0x20_0000);
        table.map_range(0x1_0000_1000, 0x8000_1000, 0x1f_f000, Prot::READ).expect("nothing is there");
        assert_eq!(table.unmap_range(0x1_0000_0000, 0x20_0000, &mut gather), 0x20_0000);
        assert_eq!(gather.unlinked_tables(), 1);
        gather.sync();
        assert_eq!(table.iova_to_phys(0x1_0000_0000), None);
    }
}

/// Whoever is shown the items of a table that is freed can panic, and can pass over what it was not told to pass over.
#[test]
fn a_table_that_is_freed_with_a_visitor_leaves_nothing() {
    let mut storage = vec![0u64; 24 << 9];
    let start = storage.as_ptr().align_offset(1 << 12);
    let bytes = zerocopy::IntoBytes::as_mut_bytes(&mut storage[start..start + (23 << 9)]);
    let domain = Domain::new(Arena::new(bytes, 0x1000_0000).expect("aligned alike"), NoHardware);
    let config = TableConfig { features: Features::FLUSH_RANGE, ..vtdss_config(39, 2) };
    let make = || {
        let mut table = vtdss::PtIommuVtdss::new(&domain, &config).expect("a valid configuration");
        table.map_range(0, 0x1000, 0x1000, Prot::READ).expect("free");
        table.map_range(0x20_0000, 0x40_0000, 0x40_1000, Prot::READ).expect("free");
        table.map_range(0x40_0000_0000 - 0x1000, 0x1000, 0x2000, Prot::READ).expect("free");
        table
    };
    // Where a table is differs each time.
    let known = |level, item: &ItemView| (level, item.va, item.kind, if item.kind == Kind::Leaf { item.oa } else { 0 });
    let before = domain.memory.free_bytes();
    let mut items = Vec::new();
    make().visit_items(|view, item| {
        items.push(known(view.level(), item));
        0
    });
    let pointers = items.iter().filter(|(_, _, kind, _)| *kind == Kind::Table).count();
    assert_eq!((items.len(), pointers, domain.memory.free_bytes()), (13, 7, before));
    for panics_at in 0..items.len() {
        let mut shown = Vec::new();
        let visit = || {
            make().free_with(|view, item| {
                assert_ne!(shown.len(), panics_at, "the visitor panics");
                shown.push(known(view.level(), item));
                0
            });
        };
        assert!(catch_unwind(AssertUnwindSafe(visit)).is_err());
        assert_eq!(shown, items[..panics_at]);
        assert_eq!(domain.memory.free_bytes(), before, "after a panic at item {panics_at}");
    }
    for more in [0, 1, 2, 511, 512, usize::MAX] {
        let (mut visited, mut freed) = (0, 0);
        let table = make();
        let count = |pointers: &mut usize, item: &ItemView| {
            *pointers += usize::from(item.kind == Kind::Table);
            more
        };
        table.visit_items(|_, item| count(&mut visited, item));
        table.free_with(|_, item| count(&mut freed, item));
        assert_eq!((visited, freed), (pointers, pointers), "{more} passed over after each");
        assert_eq!(domain.memory.free_bytes(), before, "{more} passed over after each");
    }
}
