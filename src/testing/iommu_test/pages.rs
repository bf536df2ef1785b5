//! One page of each size, and pairs of sizes.

use crate::iommu::Walkers;
use crate::lg2;
use crate::testing::report::{TestResult, ensure, ensure_eq, skip};
use crate::testing::subject::{Page, Subject, sizes_of};
use crate::testing::suite::Test;
use std::vec::Vec;

pub(super) fn map_simple<F: Walkers>(test: &mut Test<'_, F>) -> TestResult {
    let mut subject = test.subject()?;
    let sizes = sizes_of(subject.sizes);
    // A page of 2^n bytes at 2^n: all aligned, and none in the way of another.
    let place = |subject: &Subject<'_, F>, size_lg2: u32| {
        (subject.range.va | lg2::pow2(size_lg2), subject.oa(size_lg2), lg2::pow2(size_lg2))
    };
    for size_lg2 in sizes.clone() {
        let (va, oa, size) = place(&subject, size_lg2);
        subject.map(va, oa, size)?;
    }
    for size_lg2 in sizes.clone() {
        let (va, oa, size) = place(&subject, size_lg2);
        subject.translates_all(va, oa, size, &mut test.rng)?;
        let next = va + (size - 1);
        let in_next = subject.sizes & size << 1 != 0;
        ensure!(
            subject.table.iova_to_phys(next.wrapping_add(1)).is_some() == in_next,
            "size 2^{size_lg2}: translation just behind the page, at VA {next:#x} + 1: expected {in_next}"
        );
    }
    for size_lg2 in sizes.clone() {
        let (va, oa, _) = place(&subject, size_lg2);
        let expected = [Page { va, oa, size_lg2 }].to_vec();
        let of_size = |page: &Page| page.size_lg2 == size_lg2;
        let found: Vec<Page> = subject.pages()?.into_iter().filter(of_size).collect();
        ensure_eq!(found, expected, "pages of 2^{size_lg2} bytes found by a walk");
    }
    ensure_eq!(subject.pages()?.len(), sizes.clone().count(), "pages of all sizes found by a walk");
    for size_lg2 in sizes {
        let (va, _, size) = place(&subject, size_lg2);
        subject.unmap(va, size, size)?;
        for offset in [0, size - 1, test.rng.below(size)] {
            subject.translates(va + offset, None)?;
        }
    }
    subject.is_empty()
}

pub(super) fn unmap_split<F: Walkers>(test: &mut Test<'_, F>) -> TestResult {
    let mut subject = test.subject()?;
    let all = subject.sizes;
    let pairs = sizes_of(all).flat_map(|large| sizes_of(all & lg2::low_mask(large)).map(move |small| (small, large)));
    if all.is_power_of_two() {
        skip!("only one page size, 2^{} bytes", all.trailing_zeros());
    }
    for (small_lg2, large_lg2) in pairs {
        subject.table.narrow_page_sizes(lg2::pow2(large_lg2));
        let (small, large) = (lg2::pow2(small_lg2), lg2::pow2(large_lg2));
        let (va, oa) = (subject.range.va, subject.oa(large_lg2 + 1));
        let neighbour = (va + large, oa + large);
        subject.map(va, oa, 2 * large)?;
        ensure_eq!(subject.pages()?.len(), 2, "sizes 2^{small_lg2} and 2^{large_lg2}: pages mapped");
        // Not at its start, nothing is removed.
        subject.unmap(va + (large - small), small, 0)?;
        subject.translates_all(va, oa, 2 * large, &mut test.rng)?;
        // The first page goes whole, and its neighbour stays.
        subject.unmap(va, small, large)?;
        for offset in [0, small, large - 1] {
            subject.translates(va + offset, None)?;
        }
        subject.translates_all(neighbour.0, neighbour.1, large, &mut test.rng)?;
        // The second page goes whole, and the first stays.
        subject.map(va, oa, large)?;
        subject.unmap(neighbour.0, small, large)?;
        subject.translates(neighbour.0, None)?;
        subject.translates_all(va, oa, large, &mut test.rng)?;
        subject.unmap(va, large, large)?;
        subject.is_empty()?;
    }
    Ok(())
}
