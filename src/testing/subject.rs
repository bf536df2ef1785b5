//! The table under test, with operations that check what they do.

use super::driver::TestDomain;
use super::random::Rng;
use super::report::{Stop, TestResult, ensure, ensure_eq};
use super::suite::Test;
use crate::feature::{Features, Prot};
use crate::format::{Common, Kind, item_size_lg2};
use crate::iommu::{Gather, GatherMode, PtIommu, Walkers};
use crate::lg2;
use crate::range::VaRange;
use core::mem::ManuallyDrop;
use core::panic::AssertUnwindSafe;
use std::fmt;
use std::format;
use std::panic::catch_unwind;
use std::vec::Vec;

/// An output address with many bits set; cut to what the table can hold.
pub(super) const PATTERN: u64 = 0x74a7_1445_dead_beef;

/// What a device may do through the mappings of the tests.
pub(super) const READ_WRITE: Prot = Prot::READ.union(Prot::WRITE);

/// One page that is mapped: all items of an entry together.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) va: u64,
    pub(super) oa: u64,
    pub(super) size_lg2: u32,
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VA {:#x} -> OA {:#x}, 2^{} bytes", self.va, self.oa, self.size_lg2)
    }
}

/// A table and a gather, and what they should be.
pub(super) struct Subject<'d, F: Walkers> {
    pub(super) table: ManuallyDrop<PtIommu<F, &'d TestDomain>>,
    pub(super) gather: Gather<F, &'d TestDomain>,
    pub(super) domain: &'d TestDomain,
    /// The VA range of the table at its largest; with sign extension the lower half.
    pub(super) range: VaRange,
    /// All page sizes of the table.
    pub(super) sizes: u64,
}

impl<'d, F: Walkers> Test<'d, F> {
    /// A new table of this configuration.
    pub(super) fn subject(&self) -> Result<Subject<'d, F>, Stop> {
        let table = PtIommu::<F, _>::new(self.domain, &self.config.table);
        let table = table.map_err(|error| Stop::Failed(format!("init: expected success, got: {error}")))?;
        let (gather, info) = (table.gather(GatherMode::Immediate), table.info());
        let table = ManuallyDrop::new(table);
        Ok(Subject { table, gather, domain: self.domain, range: info.aperture, sizes: info.page_sizes })
    }
}

impl<F: Walkers> Drop for Subject<'_, F> {
    fn drop(&mut self) {
        // SAFETY: the field is not used again.
        let table = unsafe { ManuallyDrop::take(&mut self.table) };
        // After a failure the tree may be broken, and dropping it may panic. That must not hide the failure; and without
        // one, the memory has noted a fault, or lacks pages, both of which the suite looks at.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(table)));
    }
}

/// The page sizes of a bitmap, smallest first.
pub(super) fn sizes_of(bitmap: u64) -> impl DoubleEndedIterator<Item = u32> + Clone {
    (0..u64::BITS).filter(move |size_lg2| bitmap & lg2::pow2(*size_lg2) != 0)
}

/// What the best page size is, by definition: tries all.
pub(super) fn best_size_by_definition(sizes: u64, va: u64, last: u64, oa: u64) -> Option<u32> {
    sizes_of(sizes).rev().find(|size_lg2| {
        let size = 1u128 << size_lg2;
        (u128::from(va) % size, u128::from(oa) % size) == (0, 0) && u128::from(va) + size - 1 <= u128::from(last)
    })
}

/// A pattern for output addresses: many bits set, below `2^max_oa_lg2`, a multiple of the size.
pub(super) fn pattern_oa(max_oa_lg2: u32, size_lg2: u32) -> u64 {
    lg2::align_down(PATTERN & lg2::low_mask(max_oa_lg2), size_lg2)
}

impl<F: Walkers> Subject<'_, F> {
    pub(super) fn common(&self) -> &Common<F> {
        self.table.common()
    }

    /// The highest level that the top can reach.
    pub(super) fn highest_level(&self) -> u32 {
        let grows = self.common().has(Features::DYNAMIC_TOP);
        if grows { F::MAX_TOP_LEVEL } else { self.table.top_level() }
    }

    /// The smallest page size.
    pub(super) fn smallest_lg2(&self) -> u32 {
        self.sizes.trailing_zeros()
    }

    /// OA bits within which the format allows every page size for every address.
    pub(super) fn plain_oa_lg2(&self) -> u32 {
        let largest = |oa_lg2: u32| lg2::align_down(lg2::low_mask(oa_lg2), self.smallest_lg2());
        let allows_all = |oa_lg2: &u32| F::sizes_for_oa(self.common(), self.sizes, largest(*oa_lg2)) == self.sizes;
        (0..=self.common().max_oa_lg2).rev().find(allows_all).unwrap_or(0)
    }

    /// An output address with many bits set for pages of this size, and for smaller ones.
    pub(super) fn oa(&self, size_lg2: u32) -> u64 {
        pattern_oa(self.plain_oa_lg2(), size_lg2)
    }

    /// Level of the leaves of a page size.
    pub(super) fn level_of_size(&self, size_lg2: u32) -> Result<u32, Stop> {
        let has = |level: &u32| F::possible_sizes(self.common(), *level) & lg2::pow2(size_lg2) != 0;
        let level = (0..=F::MAX_TOP_LEVEL).find(has);
        level.ok_or_else(|| Stop::Failed(format!("size 2^{size_lg2} is offered, but no level has it")))
    }

    /// Pages of table memory that are out.
    pub(super) fn live_pages(&self) -> usize {
        self.domain.memory.live_pages()
    }

    /// Maps, which has to succeed.
    pub(super) fn map(&mut self, va: u64, oa: u64, len: u64) -> TestResult {
        let result = self.table.map_range(va, oa, len, READ_WRITE);
        result.map_err(|error| {
            Stop::Failed(format!("map VA {va:#x}, OA {oa:#x}, length {len:#x}: expected success, got: {error}"))
        })
    }

    /// Unmaps, which has to remove `expected` bytes, and syncs.
    pub(super) fn unmap(&mut self, va: u64, len: u64, expected: u64) -> TestResult {
        let removed = self.table.unmap_range(va, len, &mut self.gather);
        ensure_eq!(removed, expected, "unmap VA {va:#x}, length {len:#x}: bytes removed");
        let range = self.gather.range();
        let covers = |range: VaRange| range.va <= va && range.last >= va.wrapping_add(removed - 1);
        ensure!(
            removed == 0 || range.is_some_and(covers),
            "unmap VA {va:#x}, length {len:#x}: removed {removed:#x} bytes, but the gather holds {range:x?}"
        );
        self.gather.sync();
        Ok(())
    }

    /// The VA has to translate to this.
    pub(super) fn translates(&self, va: u64, expected: Option<u64>) -> TestResult {
        ensure_eq!(self.table.iova_to_phys(va), expected, "translate VA {va:#x}");
        Ok(())
    }

    /// The range has to translate everywhere to the addresses from `oa` on: at its ends, around every power of two in it,
    /// and at some random places.
    pub(super) fn translates_all(&self, va: u64, oa: u64, len: u64, rng: &mut Rng) -> TestResult {
        let powers = (0..u64::BITS).map(lg2::pow2).filter(|offset| *offset < len);
        let offsets = powers.flat_map(|offset| [offset - 1, offset]).chain([0, len - 1]);
        for offset in offsets {
            self.translates(va + offset, Some(oa + offset))?;
        }
        for _ in 0..8 {
            let offset = rng.below(len);
            self.translates(va + offset, Some(oa + offset))?;
        }
        Ok(())
    }

    /// All pages, found by a walk over the items, in VA order.
    pub(super) fn pages(&self) -> Result<Vec<Page>, Stop> {
        let mut pages: Vec<Page> = Vec::new();
        let mut result = Ok(());
        self.table.visit_tables(|table| {
            let leaves = table.used().filter(|item| item.kind == Kind::Leaf);
            let mut items_left = 0_u64;
            for item in leaves {
                let (level, size_lg2) = (table.level(), item.entry_size_lg2);
                if items_left == 0 {
                    items_left = lg2::pow2(size_lg2 - item_size_lg2::<F>(level));
                    pages.push(Page { va: item.va, oa: item.oa, size_lg2 });
                }
                items_left -= 1;
                let page = pages[pages.len() - 1];
                let offset = item.va.wrapping_sub(page.va);
                let belongs = page.size_lg2 == size_lg2 && item.oa == page.oa + offset && offset < lg2::pow2(size_lg2);
                if (!belongs || !lg2::is_aligned(page.va, size_lg2)) && result.is_ok() {
                    let index = item.index;
                    result = Err(Stop::Failed(format!(
                        "level {level}, index {index}, item {:#x}: expected a part of {page:?}, got OA {:#x} of a page of \
                         2^{size_lg2} bytes",
                        item.raw, item.oa
                    )));
                }
            }
            if items_left != 0 && result.is_ok() {
                result = Err(Stop::Failed(format!("{:?} lacks {items_left} of its items", pages.last())));
            }
        });
        result?;
        pages.sort_by_key(|page| page.va);
        Ok(pages)
    }

    /// The pages that a map of this range should make, by definition: the largest size that fits, again and again.
    pub(super) fn pages_by_definition(&self, sizes: u64, va: u64, oa: u64, len: u64) -> Vec<Page> {
        let (mut pages, mut offset) = (Vec::new(), 0);
        while offset < len {
            let (va, oa, last) = (va + offset, oa + offset, va + (len - 1));
            let sizes = F::sizes_for_oa(self.common(), sizes, oa);
            let Some(size_lg2) = best_size_by_definition(sizes, va, last, oa) else { break };
            pages.push(Page { va, oa, size_lg2 });
            offset += lg2::pow2(size_lg2);
        }
        pages
    }

    /// A walk has to find exactly the pages that a map of this range should make.
    pub(super) fn has_pages_by_definition(&self, sizes: u64, va: u64, oa: u64, len: u64) -> TestResult {
        let (found, expected) = (self.pages()?, self.pages_by_definition(sizes, va, oa, len));
        let first = found.iter().zip(&expected).position(|(found, expected)| found != expected);
        let n = first.unwrap_or(found.len().min(expected.len()));
        let what = "pages of the map of";
        ensure!(
            found == expected,
            "{what} VA {va:#x}, OA {oa:#x}, length {len:#x}, page {n}: expected {:?}, got {:?} (expected {} pages, got {})",
            expected.get(n),
            found.get(n),
            expected.len(),
            found.len()
        );
        Ok(())
    }

    /// Nothing may be mapped any more.
    pub(super) fn is_empty(&self) -> TestResult {
        let left = self.pages()?;
        ensure!(left.is_empty(), "after all was unmapped: expected no page, got {} such as {:?}", left.len(), left[0]);
        Ok(())
    }
}
