//! Tables that stay empty, and larger pages that take their place.

use crate::format::item_size_lg2;
use crate::iommu::Walkers;
use crate::lg2;
use crate::testing::random::Rng;
use crate::testing::report::{TestResult, ensure, ensure_eq, skip};
use crate::testing::subject::{Subject, sizes_of};
use crate::testing::suite::Test;

/// The block is a page of the largest size up to this: 16 GiB.
const MAX_BLOCK_LG2: u32 = 34;
/// Places looked at in a block.
const PROBES: u64 = 64;

pub(super) fn map_table_to_oa<F: Walkers>(test: &mut Test<'_, F>) -> TestResult {
    let mut subject = test.subject()?;
    let all = subject.sizes & lg2::low_mask(MAX_BLOCK_LG2 + 1);
    let Some(block_lg2) = sizes_of(all).next_back().filter(|_| !all.is_power_of_two() && all != 0) else {
        skip!("not two page sizes up to 16 GiB");
    };
    // At the first VA, so that tops that grow lie on the way to the block.
    let block = Block { va: subject.range.va, oa: subject.oa(block_lg2), block_lg2 };
    let sizes = sizes_of(all);
    for (size_lg2, next_lg2) in sizes.clone().zip(sizes.skip(1)) {
        block.fill(&mut subject, size_lg2, &mut test.rng)?;
        block.empty_in_two_ways(&mut subject, size_lg2)?;
        block.fill(&mut subject, next_lg2, &mut test.rng)?;
        let (va, len) = (block.va, lg2::pow2(block_lg2));
        subject.unmap(va, len, len)?;
        let left = block.tables(&subject, block.va..=block.va, |level| item_size_lg2::<F>(level + 1) > block_lg2);
        ensure_eq!(subject.live_pages(), left, "size 2^{next_lg2}: tables after the unmap of the whole block");
        for offset in [0, len / 2, len - 1] {
            subject.translates(va + offset, None)?;
        }
        subject.is_empty()?;
    }
    Ok(())
}

/// A piece of VA as large, and as aligned, as the largest page.
struct Block {
    va: u64,
    oa: u64,
    block_lg2: u32,
}

impl Block {
    /// Tables of the levels for which `has` says so that it takes for a range of VA in the block; and the top.
    fn tables<F: Walkers>(
        &self,
        subject: &Subject<'_, F>,
        range: core::ops::RangeInclusive<u64>,
        has: impl Fn(u32) -> bool,
    ) -> usize {
        let below_top = (0..subject.table.top_level()).filter(|level| has(*level));
        let of_level = |level| {
            let span_lg2 = item_size_lg2::<F>(level + 1);
            lg2::shr(*range.end(), span_lg2) - lg2::shr(*range.start(), span_lg2) + 1
        };
        1 + below_top.map(of_level).sum::<u64>() as usize
    }

    /// Maps the block with pages of one size.
    fn fill<F: Walkers>(&self, subject: &mut Subject<'_, F>, size_lg2: u32, rng: &mut Rng) -> TestResult {
        let (va, oa, len) = (self.va, self.oa, lg2::pow2(self.block_lg2));
        let sizes = subject.table.narrow_page_sizes(lg2::pow2(size_lg2));
        ensure_eq!(sizes, lg2::pow2(size_lg2), "page sizes in force");
        subject.map(va, oa, len)?;
        let level = subject.level_of_size(size_lg2)?;
        let expected = self.tables(subject, va..=va + (len - 1), |n| n >= level);
        ensure_eq!(subject.live_pages(), expected, "size 2^{size_lg2}: tables with the block full of its pages");
        subject.translates_all(va, oa, len, rng)?;
        for _ in 0..PROBES {
            // Around a border between two pages.
            let page = lg2::align_down(rng.below(len), size_lg2);
            for offset in [page, page + (lg2::pow2(size_lg2) - 1)] {
                subject.translates(va + offset, Some(oa + offset))?;
            }
        }
        if self.block_lg2 - size_lg2 <= 12 {
            let (count, expected) = (subject.pages()?.len(), 1 << (self.block_lg2 - size_lg2));
            ensure_eq!(count, expected, "size 2^{size_lg2}: pages in the block");
        }
        Ok(())
    }

    /// Unmaps one half at once, and the other page by page, so that its tables stay.
    fn empty_in_two_ways<F: Walkers>(&self, subject: &mut Subject<'_, F>, size_lg2: u32) -> TestResult {
        let (va, oa, half) = (self.va, self.oa, lg2::pow2(self.block_lg2 - 1));
        let (middle, last) = (va + half, va + (2 * half - 1));
        let level = subject.level_of_size(size_lg2)?;
        subject.unmap(va, half, half)?;
        let expected = self.tables(subject, middle..=last, |n| n >= level);
        ensure_eq!(subject.live_pages(), expected, "size 2^{size_lg2}: tables after the unmap of the first half");
        for offset in [0, half / 2, half - 1] {
            subject.translates(va + offset, None)?;
            subject.translates(middle + offset, Some(oa + half + offset))?;
        }
        let size = lg2::pow2(size_lg2);
        for page in 0..half >> size_lg2 {
            let at = middle + (page << size_lg2);
            let removed = subject.table.unmap_range(at, size, &mut subject.gather);
            ensure!(
                removed == size,
                "unmap VA {at:#x}, one page of 2^{size_lg2}: expected {size:#x}, got {removed:#x}"
            );
        }
        ensure_eq!(
            subject.gather.unlinked_tables(),
            0,
            "size 2^{size_lg2}: tables unlinked by unmaps of one page each"
        );
        subject.gather.sync();
        ensure_eq!(subject.live_pages(), expected, "size 2^{size_lg2}: tables, now empty, after unmaps page by page");
        for offset in [0, half / 2, half - 1] {
            subject.translates(middle + offset, None)?;
        }
        subject.is_empty()
    }
}
