//! Scatter lists: the same as mapping each run of segments.

use crate::format::Kind;
use crate::iommu::{Segment, Walkers};
use crate::lg2;
use crate::testing::report::{TestResult, ensure, ensure_eq};
use crate::testing::subject::{Page, READ_WRITE, Subject};
use crate::testing::suite::Test;
use std::vec::Vec;

/// Lists that are tried.
const LISTS: usize = 12;

pub(super) fn map_sg<F: Walkers>(test: &mut Test<'_, F>) -> TestResult {
    for list in 0..LISTS {
        let mut subject = test.subject()?;
        let smallest = lg2::pow2(subject.smallest_lg2());
        // In units of the smallest page: mostly single pages, some runs; some continue the one before.
        let places = (lg2::low_mask(subject.plain_oa_lg2()) / smallest).saturating_sub(1 << 10).max(1);
        let mut segments: Vec<Segment> = Vec::new();
        let mut units = 0;
        for _ in 0..60 {
            let len = if test.rng.below(3) == 0 { 1 + test.rng.below(40) } else { 1 };
            let paddr = match segments.iter().rfind(|segment| segment.len != 0) {
                Some(last) if test.rng.below(4) == 0 => last.paddr + last.len,
                // Aligned as the VA, as large pages need it.
                _ if test.rng.below(2) == 0 => {
                    let block = test.rng.below(places) & !0x3f;
                    (block | (units & 0x3f)).min(places) * smallest
                }
                _ => test.rng.below(places) * smallest,
            };
            if lg2::shr(paddr + len * smallest - 1, subject.plain_oa_lg2()) != 0 {
                continue;
            }
            segments.push(Segment { paddr, len: len * smallest });
            units += len;
            if test.rng.below(8) == 0 {
                segments.push(Segment { paddr: 5, len: 0 });
            }
        }
        let total = units * smallest;
        let room = (subject.range.last - subject.range.va) / smallest;
        // Where the list begins is up to 7 for each list before, and 31.
        if room < units + 8 * LISTS as u64 + 32 {
            continue;
        }
        let va = subject.range.va + (list as u64 * 7 + test.rng.below(32).min(room - units)) * smallest;
        let va = if list % 2 == 0 { va & !(smallest * 16 - 1) } else { va };
        let runs = runs_of(&segments);
        let mapped = subject.table.map_sg(va, &segments, READ_WRITE);
        ensure_eq!(mapped, Ok(total), "scatter list {segments:x?} at VA {va:#x}");
        ensure_eq!(subject.pages()?, pages_of_runs(&subject, va, &runs), "pages of {runs:x?} at VA {va:#x}");
        let mut at = va;
        for run in &runs {
            subject.translates(at, Some(run.paddr))?;
            subject.translates(at + (run.len - 1), Some(run.paddr + (run.len - 1)))?;
            at += run.len;
        }
        subject.unmap(va, total, total)?;
        subject.is_empty()?;
        // A page in the way: what is before it is mapped, as it is by mapping run by run.
        let at = va + test.rng.below(units) * smallest;
        subject.map(at, 0, smallest)?;
        let mapped = subject.table.map_sg(va, &segments, READ_WRITE);
        let Err(error) = mapped else {
            return Err(crate::testing::report::Stop::Failed("mapped over a page".into()));
        };
        let mut before = 0;
        let pages = pages_of_runs(&subject, va, &runs);
        for page in pages.iter().take_while(|page| page.va + (lg2::pow2(page.size_lg2) - 1) < at) {
            before += lg2::pow2(page.size_lg2);
        }
        ensure_eq!((error.mapped, error.va), (before, va + before), "stopped by a page at VA {at:#x}: {error}");
        let mut leaves = 0;
        subject.table.visit_tables(|table| leaves += table.used().filter(|item| item.kind == Kind::Leaf).count());
        ensure!(leaves > 0, "the page that was there before stays");
        subject.unmap(at, smallest, smallest)?;
        if before != 0 {
            subject.unmap(va, before, before)?;
        }
        subject.is_empty()?;
    }
    Ok(())
}

/// Joins what continues.
fn runs_of(segments: &[Segment]) -> Vec<Segment> {
    let mut runs: Vec<Segment> = Vec::new();
    for segment in segments.iter().filter(|segment| segment.len != 0) {
        match runs.last_mut() {
            Some(run) if run.paddr + run.len == segment.paddr => run.len += segment.len,
            _ => runs.push(*segment),
        }
    }
    runs
}

fn pages_of_runs<F: Walkers>(subject: &Subject<'_, F>, mut va: u64, runs: &[Segment]) -> Vec<Page> {
    let mut pages = Vec::new();
    for run in runs {
        pages.extend(subject.pages_by_definition(subject.sizes, va, run.paddr, run.len));
        va += run.len;
    }
    pages
}
