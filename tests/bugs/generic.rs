//! Bugs of the generic algorithm, each for any configuration.

use super::{RW, on};
use generic_pt::{Errno, Error, Invalidation};
use generic_pt_model::configs::Setup;
use generic_pt_model::dump::dump;
use generic_pt_model::model::low;
use generic_pt_model::world::Event;

/// Unmap removed more than asked, because the last leaf is larger, but only the asked range was gathered.
pub fn short_gather(setup: &Setup) {
    on(setup, |bench| {
        for size in bench.sizes() {
            let va = bench.base(size);
            bench.map(va, 0, size).unwrap();
            assert_eq!(bench.unmap(va, 1, 0), size);
            assert_eq!(bench.range(0), Some((va, va + (size - 1))), "size {size:#x}");
            bench.runner.sync(0).unwrap();
        }
    });
}

/// The range was added with one feature only.
pub fn empty_gather(setup: &Setup) {
    on(setup, |bench| {
        let granule = bench.granule();
        let va = bench.base(0);
        bench.map(va, 0, 2 * granule).unwrap();
        bench.unmap(va, 2 * granule, 0);
        assert_eq!(bench.range(0), Some((va, va + 2 * granule - 1)));
        bench.runner.sync(0).unwrap();
        let synced = |range: &Invalidation| (range.va, range.last) == (va, va + 2 * granule - 1);
        assert!(matches!(&bench.runner.seen[..], [Event::Sync(range)] if synced(range)), "{:?}", bench.runner.seen);
    });
}

/// NO_GAPS flushed although a full flush was to follow.
pub fn redundant_flushes_when_queued(setup: &Setup) {
    on(setup, |bench| {
        let granule = bench.granule();
        // The OA forbids larger pages.
        bench.map(0, granule, 9 * granule).unwrap();
        for page in [0, 2, 4, 8, 6] {
            assert_eq!(bench.unmap(page * granule, granule, 1), granule);
            assert_eq!(bench.range(1), None);
            assert_eq!(bench.runner.seen, []);
        }
        bench.runner.sync(1).unwrap();
        assert_eq!(bench.runner.seen, [Event::SyncAll]);
    });
}

/// The number of leaves was compared with a number of items.
pub fn leaves_compared_with_items(setup: &Setup) {
    on(setup, |bench| {
        for size in bench.sizes() {
            let mut levels = (0..=bench.params.format.shape().max_level).rev();
            let level = levels.find(|level| bench.params.format.sizes(*level) & size != 0).unwrap();
            if size == bench.item(level) || bench.item(level + 1) > low(bench.params.max_va - 2) {
                continue;
            }
            let table = bench.item(level + 1);
            // From the middle of one table into the next, all pages of this size: the OA forbids larger ones.
            let leaves = table / size + 1;
            let va = bench.item(level + 1) + table / 2;
            if va.checked_add(leaves * size).is_none_or(|end| end > low(bench.params.max_oa.min(bench.params.max_va))) {
                continue;
            }
            bench.map(va, va ^ size, leaves * size).unwrap();
            assert_eq!(bench.runner.model.leaves.len() as u64, leaves, "size {size:#x}");
            assert_eq!(bench.unmap(va, leaves * size, 0), leaves * size);
            bench.runner.sync(0).unwrap();
        }
    });
}

/// The single-page fast path assumed that the granule is always permitted.
pub fn base_page_missing_in_the_bitmap(setup: &Setup) {
    on(setup, |bench| {
        let (granule, block) = (bench.granule(), bench.item(1));
        if bench.params.all_sizes() & block == 0 {
            return;
        }
        // A level-0 table is there, which the fast path would use.
        bench.map(block, 0, granule).unwrap();
        bench.runner.narrow(block).unwrap();
        let before = dump(&bench.world).unwrap();
        let (error, mapped) = bench.map(block + granule, granule, granule).unwrap_err();
        assert_eq!((error.errno(), mapped), (Errno::ENXIO, 0));
        assert!(matches!(error, Error::Alignment { page_sizes, .. } if page_sizes == block));
        assert_eq!(bench.map(0, 0, block + granule).unwrap_err().0.errno(), Errno::ENXIO);
        assert_eq!(dump(&bench.world).unwrap(), before);
        bench.map(0, 0, block).unwrap();
        assert_eq!(bench.runner.model.leaves[&0].size_lg2, block.ilog2());
        // Unmap does not ask the bitmap.
        assert_eq!(bench.unmap(block, granule, 0), granule);
        assert_eq!(bench.unmap(0, granule, 0), block);
    });
}

/// A failing map reported success.
pub fn lost_error(setup: &Setup) {
    on(setup, |bench| {
        let (granule, block) = (bench.granule(), bench.item(1));
        // Small pages, blocks, small pages: something is in the way in each.
        let va = 2 * block - 3 * granule;
        let len = 2 * block + 6 * granule;
        for obstacle in [0, 2 * granule, 3 * granule, block + 3 * granule, 2 * block + 5 * granule] {
            bench.map(va + obstacle, 0, granule).unwrap();
            let (error, mapped) = bench.map(va, (va + 4 * block) & low(30), len).unwrap_err();
            assert!(matches!(error, Error::InUse { .. }), "{error}");
            // At most up to it; less where a larger page would have covered it.
            assert!(mapped <= obstacle && (mapped != 0 || obstacle < 4 * granule), "{mapped:#x} of {obstacle:#x}");
            assert_eq!(bench.unmap(va, mapped, 0), mapped);
            assert_eq!(bench.unmap(va + obstacle, granule, 0), granule);
            bench.runner.sync(0).unwrap();
        }
    });
}

/// Callers that unwound a map of length 0 started at a wrong place.
pub fn zero_length(setup: &Setup) {
    on(setup, |bench| {
        let granule = bench.granule();
        bench.map(0, 0, 2 * granule).unwrap();
        let before = dump(&bench.world).unwrap();
        for va in [0, granule, 2 * granule, granule - 1, u64::MAX, low(bench.params.max_va)] {
            let (error, mapped) = bench.map(va, 0, 0).unwrap_err();
            assert_eq!((error, mapped), (Error::ZeroLength { va }, 0));
            assert_eq!(bench.unmap(va, 0, 0), 0);
            bench.runner.dirty(va, 0, true, 0).unwrap();
        }
        assert!(!bench.runner.table.gather(0).changed);
        assert_eq!(dump(&bench.world).unwrap(), before);
    });
}

/// "0" meant both *not mapped* and *PA 0*.
pub fn iova_0_to_pa_0(setup: &Setup) {
    on(setup, |bench| {
        let granule = bench.granule();
        assert_eq!(bench.translate(0), None);
        bench.map(0, 0, granule).unwrap();
        assert_eq!(bench.translate(0), Some(0));
        assert_eq!(bench.translate(granule - 1), Some(granule - 1));
        assert_eq!(bench.translate(granule), None);
        assert_eq!(bench.map(0, 0, granule).unwrap_err().0.errno(), Errno::EADDRINUSE);
        assert_eq!(bench.unmap(0, granule, 0), granule);
        assert_eq!(bench.range(0), Some((0, granule - 1)));
        assert_eq!(bench.translate(0), None);
    });
}

/// Drivers that never fill a range lost their sync.
pub fn changed_inferred_from_an_optional_field(setup: &Setup) {
    on(setup, |bench| {
        let granule = bench.granule();
        for gather in 0..3 {
            assert!(!bench.runner.table.gather(gather).changed);
            bench.map(0, 0, granule).unwrap();
            bench.unmap(granule, granule, gather);
            assert!(!bench.runner.table.gather(gather).changed, "nothing was there");
            bench.unmap(0, granule, gather);
            assert!(bench.runner.table.gather(gather).changed);
            bench.runner.sync(gather).unwrap();
            assert!(!bench.runner.table.gather(gather).changed);
        }
    });
}

/// Tables leaked when a tree was freed: empty ones were not reached.
pub fn leak_when_a_tree_is_freed(setup: &Setup) {
    on(setup, |bench| {
        let granule = bench.granule();
        let end = if bench.params.sign { u64::MAX } else { low(bench.params.max_va) };
        let places = [0, bench.item(1), bench.item(2), end & !(granule - 1)];
        for va in places.into_iter().filter(|va| *va <= end) {
            bench.map(va, 0, granule).unwrap();
        }
        // Empty tables of all levels, and full ones.
        bench.unmap(bench.item(2), granule, 0);
        bench.unmap(0, granule, 1);
    });
}

/// Freed before the walk cache was invalidated.
pub fn tables_freed_too_early(setup: &Setup) {
    for gather in 0..3 {
        on(setup, |bench| {
            let (granule, block) = (bench.granule(), bench.item(1));
            bench.map(block, granule, block).unwrap();
            *bench.world.hot.borrow_mut() = vec![block, 2 * block - 1];
            (0..20).for_each(|_| bench.world.hardware_runs());
            assert!(!bench.world.caches.borrow().pointers.is_empty(), "the walk cache has table pointers");
            let live = bench.world.live_pages();
            assert_eq!(bench.unmap(block, block, gather), block);
            assert_eq!(bench.world.live_pages(), live, "nothing is freed before the sync");
            assert_eq!(bench.runner.table.gather(gather).unlinked, 1);
            bench.runner.sync(gather).unwrap();
            assert_eq!(bench.world.live_pages(), live - 1);
            bench.map(block, 0, block).unwrap();
        });
    }
}

/// The data of a superpage was treated as a table.
pub fn superpage_walked_as_a_table(setup: &Setup) {
    on(setup, |bench| {
        let granule = bench.granule();
        for size in bench.sizes() {
            let va = bench.base(size);
            // The data that it maps is no table page: a walk into it would be noticed.
            bench.map(va, 0, size).unwrap();
            for (offset, len) in
                [(granule, granule), (size / 2, size), (size - granule, granule), (1, size - 1), (size - 1, 1)]
            {
                if offset < size && offset != 0 {
                    assert_eq!(bench.unmap(va + offset, len, 0), 0, "size {size:#x} from {offset:#x}");
                }
            }
            assert_eq!(bench.map(va + (size - granule), 0, granule).unwrap_err().1, 0);
            assert_eq!(bench.unmap(va, size / 2, 0), size);
            bench.runner.sync(0).unwrap();
        }
    });
}

/// The length was misreported over holes.
pub fn short_unmap_over_holes(setup: &Setup) {
    on(setup, |bench| {
        let (granule, block) = (bench.granule(), bench.item(1));
        let va = block - 2 * granule;
        for page in [0, 1, 2, 4, 5] {
            bench.map(va + page * granule, page * granule, granule).unwrap();
        }
        assert_eq!(bench.unmap(va, 6 * granule, 0), 3 * granule);
        assert_eq!(bench.unmap(va, 6 * granule, 0), 0, "starts at a hole");
        assert_eq!(bench.unmap(va + 3 * granule, 3 * granule, 0), 0);
        assert_eq!(bench.unmap(va + 4 * granule, block, 0), 2 * granule);
    });
}

/// The offset inside a large page was computed with the wrong level.
pub fn leaf_size_mismatch_between_decode_and_level(setup: &Setup) {
    on(setup, |bench| {
        for size in bench.sizes() {
            let va = bench.base(size);
            let oa = 0x0005_5555_5555_5555 & low(bench.params.oa_bits(size)) & !(size - 1);
            let oa = oa & !bench.params.format.encryption_mask();
            bench.map(va, oa, size).unwrap();
            for _ in 0..20 {
                let offset = (bench.world.random(1 << 31) as u64).wrapping_mul(0x1_0000_0001_0001) & (size - 1);
                assert_eq!(bench.translate(va + offset), Some(oa + offset), "size {size:#x}");
            }
            assert_eq!(bench.translate(va + (size - 1)), Some(oa + (size - 1)));
            bench.unmap(va, size, 0);
            bench.runner.sync(0).unwrap();
        }
    });
}

/// Bytes removed or mapped before an error were not counted.
pub fn wrong_count_on_error_paths(setup: &Setup) {
    on(setup, |bench| {
        let (granule, block) = (bench.granule(), bench.item(1));
        let va = 5 * block - granule;
        // One page, a table of pages, one page; the OA forbids blocks.
        for (fail, bytes) in [(0, 0), (1, granule), (2, granule + block)] {
            // The upper levels are there.
            bench.map(2 * block, 0, granule).unwrap();
            bench.map(va, 0, granule).unwrap();
            bench.unmap(va, granule, 0);
            let mapped = bench.runner.map(va, granule, block + 2 * granule, RW, Some(fail)).unwrap();
            // The table of the first page is there already, unless that was unlinked.
            let expected = if fail == 0 { granule } else { granule + block };
            assert!(mapped.bytes == bytes || mapped.bytes == expected || mapped.result.is_ok(), "{:#x}", mapped.bytes);
            assert_eq!(bench.unmap(va, block + 2 * granule, 0), mapped.bytes);
            bench.unmap(2 * block, granule, 0);
            bench.runner.sync(0).unwrap();
        }
    });
}

/// `usize` arithmetic on 32-bit hosts: offsets, lengths and counts beyond 32 bits.
pub fn sizes_beyond_32_bits(setup: &Setup) {
    on(setup, |bench| {
        let size = *bench.sizes().iter().rev().find(|size| **size <= 1 << 40).unwrap();
        if bench.params.max_va < 36 {
            return;
        }
        let len = (5u64 << 32).max(3 * size) & !(size - 1);
        let len = len.min(1 << (bench.params.max_va - 2));
        bench.map(0, 0, len).unwrap();
        let offset = len - 0x1234;
        assert_eq!(bench.translate(offset), Some(offset));
        assert_eq!(bench.unmap(0, len, 0), len);
        assert_eq!(bench.range(0), Some((0, len - 1)));
    });
}

/// Patterns with the highest output address bits set: errors of shifts do not show with low addresses.
pub fn high_output_address_bits(setup: &Setup) {
    on(setup, |bench| {
        for size in bench.sizes() {
            let va = bench.base(size);
            let oa = low(bench.params.oa_bits(size)) & !(size - 1) & !bench.params.format.encryption_mask();
            bench.map(va, oa, size).unwrap();
            assert_eq!(bench.translate(va), Some(oa));
            bench.unmap(va, size, 0);
            bench.runner.sync(0).unwrap();
        }
    });
}

/// A growth that fails half-way left a part of its chain: at every allocation of it.
pub fn torn_top(setup: &Setup) {
    let params = setup.params();
    let end = if params.sign { u64::MAX } else { low(params.max_va) };
    let tables = params.format.shape().max_level + 1;
    for fail in 0..tables {
        on(setup, |bench| {
            let granule = bench.granule();
            let (top, live) = (bench.runner.table.top_level(), bench.world.live_pages());
            let failed = bench.runner.map(end & !(granule - 1), 0, granule, RW, Some(fail)).unwrap();
            let growth = bench.runner.model.top - top;
            match failed.result {
                Err(Error::OutOfMemory { .. }) if growth == 0 && fail < bench.params.highest() - top => {
                    assert_eq!(bench.world.live_pages(), live, "the whole chain is freed");
                }
                Err(Error::OutOfMemory { .. }) | Ok(()) => {}
                other => panic!("{other:?}"),
            }
            if failed.result.is_err() {
                bench.map(end & !(granule - 1), 0, granule).unwrap();
            }
            assert_eq!(bench.translate(end), Some(granule - 1));
        });
    }
}
