//! What safe code can try against the library: each was found to do harm once, and must not again.

#[path = "private/stress.rs"]
mod stress;
#[path = "private/wrong.rs"]
mod wrong;

use generic_pt::fmt::{amdv1, riscv_64, vtdss};
use generic_pt::format::Top;
use generic_pt::memory::Arena;
use generic_pt::testing::TestMemory;
use generic_pt::{
    DirtyMode, Domain, Driver, Errno, Error, Features, GatherMode, HeapMemory, NoHardware, Prot, PtIommu, TableConfig,
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
fn a_grown_top_beyond_the_top_pointer_is_refused() {
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
    assert_eq!(refused.error, Error::TableAddress { pa: 1 << 52, level: 2 });
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
