//! Ranges as runs, against the translations of their pages one by one; and the cursor.

use crate::feature::Prot;
use crate::format::item_size_lg2;
use crate::iommu::{Run, Walkers};
use crate::lg2;
use crate::testing::report::{TestResult, ensure, ensure_eq, skip};
use crate::testing::subject::{READ_WRITE, Subject};
use crate::testing::suite::Test;
use std::vec;
use std::vec::Vec;

/// Pages of the smallest size that are looked at.
const PAGES: u64 = 96;

/// Some pages on both sides of the end of a table, each mapped or not.
struct Field {
    va: u64,
    oa: u64,
    size: u64,
    /// The address and the protection of each page.
    pages: Vec<Option<(u64, Prot)>>,
}

impl Field {
    fn new<F: Walkers>(subject: &Subject<'_, F>) -> Self {
        let (range, size_lg2) = (subject.range, subject.smallest_lg2());
        let size = lg2::pow2(size_lg2);
        let boundary = lg2::pow2(item_size_lg2::<F>(1));
        let offset = boundary.saturating_sub(size * PAGES / 2);
        let oa = subject.oa(size_lg2 + 8);
        // Too small a table shows in the length.
        let fits = range.last - range.va > offset.saturating_add(size * PAGES);
        let pages = if fits { PAGES as usize } else { 0 };
        Self { va: range.va | offset, oa, size, pages: vec![None; pages] }
    }

    /// What the pages say about a range, byte by byte: maximal runs.
    fn runs<F: Walkers>(&self, subject: &Subject<'_, F>, va: u64, len: u64) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        for (n, page) in (0..).zip(&self.pages) {
            let page_va = self.va + n * self.size;
            let (first, end) = (va.max(page_va), (va + len).min(page_va + self.size));
            let (true, Some((oa, prot))) = (first < end, *page) else { continue };
            let (paddr, len) = (oa + (first - page_va), end - first);
            match runs.last_mut() {
                Some(run)
                    if run.iova + run.len == first
                        && run.paddr + run.len == paddr
                        && stored_alike(subject, run.prot, prot) =>
                {
                    run.len += len;
                }
                _ => runs.push(Run { iova: first, paddr, len, prot }),
            }
        }
        runs
    }

    /// Maps pages as far as nothing is in the way.
    fn map<F: Walkers>(&mut self, subject: &mut Subject<'_, F>, n: u64, oa: u64, pages: u64, prot: Prot) {
        let result = subject.table.map_range(self.va + n * self.size, oa, pages * self.size, prot);
        let mapped = result.map_or_else(|error| error.mapped, |()| pages * self.size);
        for page in 0..mapped / self.size {
            self.pages[(n + page) as usize] = Some((oa + page * self.size, prot));
        }
    }

    /// The pages have to translate like this, one by one.
    fn check<F: Walkers>(&self, subject: &Subject<'_, F>) -> TestResult {
        for (n, page) in (0..).zip(&self.pages) {
            for offset in [0, self.size - 1] {
                subject.translates(self.va + n * self.size + offset, page.map(|(oa, _)| oa + offset))?;
            }
        }
        Ok(())
    }
}

fn stored_alike<F: Walkers>(subject: &Subject<'_, F>, a: Prot, b: Prot) -> bool {
    match (F::attrs(subject.common(), a), F::attrs(subject.common(), b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}

fn compare<F: Walkers>(subject: &Subject<'_, F>, what: &str, found: &[Run], expected: &[Run]) -> TestResult {
    let alike = |(found, expected): (&Run, &Run)| {
        (found.iova, found.paddr, found.len) == (expected.iova, expected.paddr, expected.len)
            && stored_alike(subject, found.prot, expected.prot)
    };
    let same = found.len() == expected.len() && found.iter().zip(expected).all(alike);
    ensure!(same, "{what}: expected {expected:x?}, got {found:x?}");
    Ok(())
}

pub(super) fn runs<F: Walkers>(test: &mut Test<'_, F>) -> TestResult {
    let mut subject = test.subject()?;
    let mut field = Field::new(&subject);
    if field.pages.is_empty() {
        skip!("the table has less than {PAGES} pages at the end of a table");
    }
    let rng = &mut test.rng;
    let (base, len) = (field.va, PAGES * field.size);
    for round in 0..6 {
        for _ in 0..30 {
            let n = rng.below(PAGES);
            let pages = 1 + rng.below((PAGES - n).min(24));
            // Most continue each other, others do not.
            let oa = field.oa + if rng.below(4) == 0 { n * 5 % 128 } else { n } * field.size;
            let prot = if rng.below(6) == 0 { Prot::READ } else { READ_WRITE };
            if F::attrs(subject.common(), prot).is_ok() {
                field.map(&mut subject, n, oa, pages, prot);
            }
        }
        field.check(&subject)?;
        for n in 0..40 {
            let (offset, end) = (rng.below(len), rng.below(len));
            let (offset, end) = if n == 0 { (0, len) } else { (offset.min(end), offset.max(end) + 1) };
            let (va, len) = (base + offset, end - offset);
            let found = subject.table.translate_range(va, len).map(Iterator::collect::<Vec<_>>);
            ensure!(found.is_ok(), "runs of VA {va:#x}, length {len:#x}: expected success, got {found:x?}");
            let found = found.unwrap_or_default();
            let expected = field.runs(&subject, va, len);
            compare(&subject, &std::format!("runs of VA {va:#x}, length {len:#x}"), &found, &expected)?;
        }
        for _ in 0..if round < 5 { 6 } else { 2 * PAGES } {
            let n = rng.below(PAGES);
            let (va, pages) = (base + n * field.size, 1 + rng.below(PAGES - n));
            let (va, pages) = if round < 5 { (va, pages) } else { (first_mapped(&field).unwrap_or(va), PAGES) };
            let mut shown = Vec::new();
            let gather = &mut subject.gather;
            let removed = subject.table.unmap_range_with(va, pages * field.size, gather, |run| shown.push(run));
            subject.gather.sync();
            let what = std::format!("runs of unmap VA {va:#x}, {pages} pages");
            compare(&subject, &what, &shown, &field.runs(&subject, va, removed))?;
            ensure_eq!(shown.iter().map(|run| run.len).sum::<u64>(), removed, "{what}: bytes");
            let first = (va - base) / field.size;
            (first..first + removed / field.size).for_each(|page| field.pages[page as usize] = None);
        }
        field.check(&subject)?;
    }
    subject.is_empty()
}

fn first_mapped(field: &Field) -> Option<u64> {
    let n = field.pages.iter().position(Option::is_some)?;
    Some(field.va + n as u64 * field.size)
}

pub(super) fn cursor<F: Walkers>(test: &mut Test<'_, F>) -> TestResult {
    let mut subject = test.subject()?;
    let mut field = Field::new(&subject);
    if field.pages.is_empty() {
        skip!("the table has less than {PAGES} pages at the end of a table");
    }
    let rng = &mut test.rng;
    // Twice: into a table that has none, and where all is there.
    for _ in 0..2 {
        let mut cursor = subject.table.cursor();
        for n in 0..PAGES {
            let (va, oa) = (field.va + n * field.size, field.oa + rng.below(256) * field.size);
            ensure_eq!(cursor.iova_to_phys(va), None, "VA {va:#x} before it is mapped through a cursor");
            if rng.below(4) == 0 {
                continue;
            }
            let mapped = cursor.map(va, oa, field.size, READ_WRITE);
            ensure!(mapped.is_ok(), "VA {va:#x} mapped through a cursor: {mapped:x?}");
            field.pages[n as usize] = Some((oa, READ_WRITE));
            ensure_eq!(cursor.iova_to_phys(va + 1), Some(oa + 1), "VA {va:#x} after it was mapped through a cursor");
        }
        // In no order: what is near is of no help.
        for _ in 0..2 * PAGES {
            let n = rng.below(PAGES);
            let phys = cursor.iova_to_phys(field.va + n * field.size);
            ensure_eq!(phys, field.pages[n as usize].map(|(oa, _)| oa), "page {n} through a cursor");
        }
        for n in 0..PAGES {
            let (va, there) = (field.va + n * field.size, field.pages[n as usize].take().is_some());
            let removed = cursor.unmap(va, field.size, &mut subject.gather);
            ensure_eq!(removed, if there { field.size } else { 0 }, "bytes of VA {va:#x} unmapped through a cursor");
            ensure_eq!(cursor.iova_to_phys(va), None, "VA {va:#x} after it was unmapped through a cursor");
        }
        subject.gather.sync();
        field.check(&subject)?;
    }
    subject.is_empty()
}
