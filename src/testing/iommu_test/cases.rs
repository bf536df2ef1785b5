//! Ranges with fixed addresses that were hard once.

use crate::format::item_size_lg2;
use crate::iommu::Walkers;
use crate::lg2;
use crate::testing::report::{TestResult, ensure_eq, skip};
use crate::testing::subject::{Page, Subject};
use crate::testing::suite::Test;
use std::vec::Vec;

/// Skips unless the range from `va` on (behind the table's own prefix) can be mapped to `oa`.
fn fits<F: Walkers>(subject: &Subject<'_, F>, va: u64, oa: u64, len: u64) -> TestResult {
    let (range, max_oa_lg2) = (subject.range, subject.plain_oa_lg2());
    let va_bits = lg2::highest_set(range.last - range.va).map_or(0, |bit| bit + 1);
    if lg2::shr(va + (len - 1), va_bits) != 0 {
        skip!("VA {va:#x} + {len:#x} does not fit into {va_bits} bits");
    }
    if lg2::shr(oa + (len - 1), max_oa_lg2) != 0 {
        skip!("OA {oa:#x} + {len:#x} does not fit into {max_oa_lg2} bits");
    }
    let smallest_lg2 = subject.smallest_lg2();
    if !lg2::is_aligned(va | oa | len, smallest_lg2) {
        skip!("the addresses are not multiples of the smallest page, 2^{smallest_lg2} bytes");
    }
    Ok(())
}

pub(super) fn pgsize_boundary<F: Walkers>(test: &mut Test<'_, F>) -> TestResult {
    let (va, oa, len) = (0xfef8_0000, 0x20_8b95_d000, 0x2_0000);
    let mut subject = test.subject()?;
    fits(&subject, va, oa, len)?;
    let va = subject.range.va | va;
    subject.map(va, oa, len)?;
    for offset in (0..len).step_by(1 << subject.smallest_lg2()) {
        subject.translates(va + offset, Some(oa + offset))?;
    }
    subject.translates_all(va, oa, len, &mut test.rng)?;
    subject.has_pages_by_definition(subject.sizes, va, oa, len)?;
    subject.translates(va - 1, None)?;
    subject.translates(va + len, None)?;
    subject.unmap(va, len, len)?;
    subject.is_empty()
}

pub(super) fn mixed<F: Walkers>(test: &mut Test<'_, F>) -> TestResult {
    let (first, end) = (0x3_fe40_0000, 0x4_c060_0000_u64);
    let len = end - first;
    let mut subject = test.subject()?;
    fits(&subject, first, first, len)?;
    let (va, oa) = (subject.range.va | first, first);
    let (mega, giga) = (21, 30);
    let wanted = lg2::pow2(mega) | lg2::pow2(giga);
    if subject.sizes & wanted != wanted {
        skip!("no pages of both 2 MiB and 1 GiB");
    }
    // First with all sizes of the format, then with only those two.
    for sizes in [subject.sizes, wanted] {
        ensure_eq!(subject.table.narrow_page_sizes(sizes), sizes, "page sizes in force");
        subject.map(va, oa, len)?;
        for offset in (0..len).step_by(1 << (mega - 1)) {
            subject.translates(va + offset, Some(oa + offset))?;
        }
        subject.translates_all(va, oa, len, &mut test.rng)?;
        subject.translates(va - 1, None)?;
        subject.translates(va + len, None)?;
        subject.has_pages_by_definition(sizes, va, oa, len)?;
        let runs = runs_of_equal_size(&subject.pages()?);
        if sizes == wanted {
            ensure_eq!(runs, [(14, mega), (3, giga), (3, mega)], "runs of pages, as (count, size lg2)");
        }
        subject.unmap(va, len, len)?;
        subject.is_empty()?;
    }
    Ok(())
}

/// Two tables of levels 0 and 1 filled with pages of one item, whose addresses carry from bit to bit of the address in the midst of the
/// first table: what is written in steps has to be what it is when it is written one by one.
pub(super) fn whole_tables<F: Walkers>(test: &mut Test<'_, F>) -> TestResult {
    let mut subject = test.subject()?;
    let sizes = subject.sizes;
    let mut tried = 0;
    for level in 0..=1 {
        let (size_lg2, table_lg2) = (item_size_lg2::<F>(level), item_size_lg2::<F>(level + 1));
        let (page, table) = (lg2::pow2(size_lg2), lg2::pow2(table_lg2));
        if sizes & page == 0 || table == 0 {
            continue;
        }
        subject.table.narrow_page_sizes(page);
        let (va, len) = (subject.range.va.saturating_add(table), table.saturating_mul(2));
        for boundary in (table_lg2..subject.plain_oa_lg2()).map(lg2::pow2) {
            // Odd numbers of pages before the boundary, so that no larger page fits, early and late in the table.
            for oa in [table / 2 + page, page, table - page].map(|before| boundary - before) {
                if fits(&subject, table, oa, len).is_err() {
                    continue;
                }
                subject.map(va, oa, len)?;
                for offset in (0..len).step_by(page as usize) {
                    subject.translates(va + offset, Some(oa + offset))?;
                }
                subject.unmap(va, len, len)?;
                subject.is_empty()?;
                tried += 1;
            }
        }
        subject.table.narrow_page_sizes(sizes);
    }
    if tried == 0 {
        skip!("no room for two tables behind the first");
    }
    Ok(())
}

fn runs_of_equal_size(pages: &[Page]) -> Vec<(usize, u32)> {
    let runs = pages.chunk_by(|a, b| a.size_lg2 == b.size_lg2);
    runs.map(|run| (run.len(), run[0].size_lg2)).collect()
}
