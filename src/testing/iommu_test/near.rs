//! Ranges one after the other, each begun in what those before left near.

use crate::format::item_size_lg2;
use crate::iommu::Walkers;
use crate::lg2;
use crate::testing::report::{TestResult, skip};
use crate::testing::suite::Test;
use std::vec::Vec;

const ROUNDS: usize = 300;

/// Short ranges in lowest tables side by side and far apart, in any order, some of which are unlinked meanwhile.
pub(super) fn near<F: Walkers>(test: &mut Test<'_, F>) -> TestResult {
    let mut subject = test.subject()?;
    let page = lg2::pow2(subject.smallest_lg2());
    let level = subject.level_of_size(subject.smallest_lg2())?;
    // What a table covers, of that level and of those above.
    let spans_lg2 = (level..=(level + 2).min(subject.highest_level())).map(|level| item_size_lg2::<F>(level + 1));
    let block_lg2 = item_size_lg2::<F>(level + 1);
    let (first, block) = (subject.range.va, lg2::pow2(block_lg2));
    let mut blocks: Vec<u64> = Vec::from([0]);
    for span in spans_lg2.filter(|lg2| *lg2 < 63).map(lg2::pow2) {
        let further: Vec<u64> = blocks.iter().map(|offset| offset + span).collect();
        blocks.extend(further);
    }
    blocks.retain(|offset| first.checked_add(offset + (block - 1)).is_some_and(|last| last <= subject.range.last));
    if blocks.len() < 2 || block < 4 * page {
        skip!("all that is decoded is one table, or one of few pages");
    }
    let oa = subject.oa(block_lg2);
    let mut are_mapped: Vec<bool> = blocks.iter().map(|_| false).collect();
    for _ in 0..ROUNDS {
        let at = test.rng.below(blocks.len() as u64) as usize;
        let va = first + blocks[at];
        if !are_mapped[at] {
            subject.map(va, oa, 2 * page)?;
        } else if test.rng.coin() {
            subject.unmap(va, 2 * page, 2 * page)?;
        } else {
            // All of it, so that the table goes.
            subject.map(va + 2 * page, oa + 2 * page, block - 2 * page)?;
            subject.unmap(va, block, block)?;
        }
        are_mapped[at] = !are_mapped[at];
        for (offset, is_mapped) in blocks.iter().zip(&are_mapped) {
            let va = first + offset;
            for offset in [0, 2 * page - 1] {
                subject.translates(va + offset, is_mapped.then_some(oa + offset))?;
            }
        }
    }
    for (offset, _) in blocks.iter().zip(&are_mapped).filter(|(_, is_mapped)| **is_mapped) {
        subject.unmap(first + offset, 2 * page, 2 * page)?;
    }
    // Across the borders of tables, which are replaced by one leaf meanwhile.
    for _ in 0..ROUNDS {
        let border = first + blocks[1 + test.rng.below(blocks.len() as u64 - 1) as usize];
        let (va, last) = (border - page, border + (page - 1));
        subject.map(va, oa, 2 * page)?;
        subject.translates(va, Some(oa))?;
        subject.translates(last, Some(oa + (2 * page - 1)))?;
        subject.unmap(va, 2 * page, 2 * page)?;
        subject.translates(va, None)?;
        subject.translates(last, None)?;
        let span_lg2 = item_size_lg2::<F>(level + 1 + test.rng.below(2) as u32);
        let is_size = span_lg2 < subject.plain_oa_lg2() && subject.sizes & lg2::pow2(span_lg2) != 0;
        let (start, span) = (lg2::align_down(border, span_lg2), lg2::pow2(span_lg2));
        let fits = start >= first && start.checked_add(span - 1).is_some_and(|last| last <= subject.range.last);
        if is_size && fits && test.rng.coin() {
            let oa = subject.oa(span_lg2);
            subject.map(start, oa, span)?;
            subject.translates(border, Some(oa + (border - start)))?;
            subject.unmap(start, span, span)?;
        }
    }
    subject.is_empty()
}
