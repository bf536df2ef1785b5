//! Running a check in a table of every level.

use super::driver::TestDomain;
use super::memory::TestMemory;
use super::random::Rng;
use super::report::{Stop, TestResult, ensure, ensure_eq};
use super::subject::{READ_WRITE, pattern_oa};
use super::suite::Test;
use crate::feature::Features;
use crate::format::{Common, Groups, Kind, LeafRequest, OaStyle, item_size_lg2};
use crate::iommu::Walkers;
use crate::lg2;
use crate::table::Table;
use core::ops::Range;
use std::format;

/// A reachable table of one level, in which a check can use the items that are empty.
pub(super) struct Level<'l, F: Groups> {
    pub(super) level: u32,
    pub(super) table: &'l Table<'l, F>,
    pub(super) common: &'l Common<F>,
    pub(super) memory: &'l TestMemory,
    /// Whether it is the top, which may be smaller or larger than others.
    pub(super) is_top: bool,
}

/// A leaf to be written into a table by a check.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaf<A> {
    pub(super) size_lg2: u32,
    pub(super) oa: u64,
    pub(super) attrs: A,
}

impl<F: Walkers> Test<'_, F> {
    /// Runs `check` in a table of every level, top first.
    ///
    /// The smallest page is mapped at the last VA of the table (with a growing top, of the largest range), so that there is
    /// a table of each level, and its index in each is checked to be the last one.
    pub(super) fn at_every_level(
        &mut self,
        mut check: impl FnMut(&Level<'_, F>, &mut Rng) -> TestResult,
    ) -> TestResult {
        let mut subject = self.subject()?;
        let size_lg2 = subject.smallest_lg2();
        let last = subject.range.last;
        subject.map(lg2::align_down(last, size_lg2), subject.oa(size_lg2), lg2::pow2(size_lg2))?;
        let domain = self.domain;
        let rng = &mut self.rng;
        let common = subject.common();
        subject.table.core.tree.with_top(|top| descend(top, true, common, domain, last, &mut |level| check(level, rng)))
    }
}

fn descend<F: Groups>(
    table: &Table<'_, F>,
    is_top: bool,
    common: &Common<F>,
    domain: &TestDomain,
    last: u64,
    check: &mut dyn FnMut(&Level<'_, F>) -> TestResult,
) -> TestResult {
    let (level, index) = (table.level(), table.index(last));
    let items = if is_top && common.has(Features::SIGN_EXTEND) { table.items() / 2 } else { table.items() };
    // Below a deep top not all items of a table are of the VA there are.
    let of_va = lg2::shr(lg2::low_mask(common.max_va_lg2), item_size_lg2::<F>(level)) as usize;
    ensure_eq!(
        index,
        of_va.min(items - 1),
        "level {level}: index of the last VA {last:#x} in a table of {} items",
        table.items()
    );
    let entry = table.load(common, index);
    match entry.kind {
        Kind::Leaf => check(&Level { level, table, common, memory: &domain.memory, is_top }),
        Kind::Table if level > 0 => {
            check(&Level { level, table, common, memory: &domain.memory, is_top })?;
            table.descend(common, &domain.memory, entry, |lower| descend(lower, false, common, domain, last, check))
        }
        kind => Err(Stop::Failed(format!(
            "level {level}, index {index}: expected the table or page mapped there, got {kind:?} {:#x}",
            entry.raw
        ))),
    }
}

impl<F: Groups> Level<'_, F> {
    /// All page sizes of the level.
    pub(super) fn sizes(&self) -> u64 {
        F::possible_sizes(self.common, self.level)
    }

    /// VA that the table decodes, as a power of two.
    pub(super) fn table_va_lg2(&self) -> u32 {
        item_size_lg2::<F>(self.level) + self.table.items().ilog2()
    }

    /// The first run of empty items for an entry of this size; at index 0 unless a table is in the way.
    pub(super) fn room(&self, size_lg2: u32) -> Option<Range<usize>> {
        let items = 1_usize << (size_lg2 - item_size_lg2::<F>(self.level));
        let runs = (0..self.table.items() / items).map(|n| n * items..(n + 1) * items);
        let is_empty = |index| self.table.load(self.common, index).kind == Kind::Empty;
        runs.into_iter().find(|run| run.clone().all(is_empty))
    }

    /// The output addresses to try for this size: many bits set, none, and the largest; those the format allows.
    pub(super) fn oas(&self, size_lg2: u32) -> impl Iterator<Item = u64> {
        let (common, level) = (self.common, self.level);
        let sizes = F::possible_sizes(common, level);
        let allowed = move |oa: &u64| F::sizes_for_oa(common, sizes, *oa) & lg2::pow2(size_lg2) != 0;
        // Some formats store the highest bits only for some sizes.
        let largest = move |oa_lg2: &u32| allowed(&lg2::align_down(lg2::low_mask(*oa_lg2), size_lg2));
        let oa_lg2 = (0..=common.max_oa_lg2).rev().find(largest).unwrap_or(0);
        let oas = [pattern_oa(oa_lg2, size_lg2), 0, lg2::align_down(lg2::low_mask(oa_lg2), size_lg2)];
        oas.into_iter().filter(allowed)
    }

    /// Attributes for reading and writing.
    pub(super) fn attrs(&self) -> Result<F::Attrs, Stop> {
        let attrs = F::attrs(self.common, READ_WRITE);
        attrs.map_err(|error| Stop::Failed(format!("attributes for READ | WRITE: expected success, got: {error}")))
    }

    /// The item `n` of a leaf.
    pub(super) fn leaf_item(&self, leaf: Leaf<F::Attrs>, n: usize) -> F::Item {
        let Leaf { size_lg2, oa, attrs } = leaf;
        let oa = match F::OA_STYLE {
            OaStyle::Entry => oa,
            OaStyle::Item => oa + lg2::shl(n as u64, item_size_lg2::<F>(self.level)),
        };
        F::leaf_item(self.common, LeafRequest { level: self.level, size_lg2, oa, attrs })
    }

    /// Writes a leaf.
    pub(super) fn install(&self, run: &Range<usize>, leaf: Leaf<F::Attrs>) {
        self.table.store_run(run.start, run.len(), |n| self.leaf_item(leaf, n));
    }

    /// Makes a run empty, which has to work.
    pub(super) fn clear(&self, run: &Range<usize>) -> TestResult {
        self.table.clear_run(self.common, run.start, run.len());
        for index in run.clone() {
            let (level, entry) = (self.level, self.table.load(self.common, index));
            ensure!(
                entry.kind == Kind::Empty,
                "level {level}, index {index}: expected an empty item after a clear, got {:?} {:#x}",
                entry.kind,
                entry.raw
            );
        }
        Ok(())
    }

    /// Runs `check` on every size of the level for which there is room; installs nothing.
    pub(super) fn for_each_size(&self, mut check: impl FnMut(u32, Range<usize>) -> TestResult) -> TestResult {
        for size_lg2 in super::subject::sizes_of(self.sizes()) {
            if let Some(run) = self.room(size_lg2) {
                check(size_lg2, run)?;
            }
        }
        Ok(())
    }
}
