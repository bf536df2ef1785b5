//! Dirty tracking: which pages were written, and making them clean again.

use super::gather::Gather;
use super::{Core, PtIommu, Walkers};
use crate::driver::Host;
use crate::error::Error;
use crate::feature::Features;
use crate::format::{Common, Groups, Kind, item_size_lg2};
use crate::item::Item;
use crate::lg2;
use crate::range::VaRange;
use crate::table::{Table, TableOf};

/// What to do with dirty entries that are found.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DirtyMode {
    /// Report them and make them clean.
    Clear,
    /// Only report them.
    Peek,
}

/// What a dirty scan carries from level to level.
#[allow(missing_debug_implementations, reason = "only named by expansions")]
pub struct Cx<'a, F: Groups, H: Host, R> {
    common: &'a Common<F>,
    host: &'a H,
    mode: DirtyMode,
    /// Adjacent entries found and not reported yet.
    found: Option<VaRange>,
    report: R,
    gather: &'a mut Gather<F, H>,
}

impl<F: Walkers, H: Host> PtIommu<F, H> {
    /// Reports every dirty entry that touches the range, and with [`DirtyMode::Clear`] makes it clean and adds it to the
    /// gather.
    ///
    /// Entries are reported whole, with their own start and length even where they begin before or end after the range;
    /// adjacent ones are joined. The gathered range is a plain union, even with `FLUSH_RANGE_NO_GAPS`.
    ///
    /// Hardware sets dirty bits from its own cache: after clearing, sync the gather, and only then read the pages.
    /// Writes between clearing and sync may go unseen by the *next* scan, but not by a read after the sync.
    ///
    /// # Errors
    /// In this order: [`Error::NotOffered`] by formats without dirty bits, [`Error::ZeroLength`], [`Error::Overflow`],
    /// [`Error::VaRange`], also beyond a top that could still grow. [`Error::Foreign`] ends the scan; what was found before it is reported. (Items of the lowest
    /// level are only looked at for that if they or their neighbours are dirty.)
    pub fn read_and_clear_dirty(
        &mut self,
        iova: u64,
        len: u64,
        mode: DirtyMode,
        gather: &mut Gather<F, H>,
        report: impl FnMut(VaRange),
    ) -> Result<(), Error> {
        self.core.dirty(iova, len, mode, gather, report)
    }
}

impl<F: Walkers, H: Host> Core<F, H> {
    /// The scan by whoever holds the range.
    pub(super) fn dirty(
        &self,
        iova: u64,
        len: u64,
        mode: DirtyMode,
        gather: &mut Gather<F, H>,
        report: impl FnMut(VaRange),
    ) -> Result<(), Error> {
        if !F::tracks_dirty(self.common()) {
            return Err(Error::NotOffered { operation: "read_and_clear_dirty", format: F::NAME });
        }
        let range = VaRange::new(iova, len)?;
        let core = self;
        let top = core.tree.top();
        if !core.is_in_top(range, top) {
            return Err(core.top_range_error(range, core.top_level()));
        }
        let mut cx = Cx { common: self.common(), host: self.host(), mode, found: None, report, gather };
        let result = core.tree.with(top, |table| F::dirty(table, &mut cx, range));
        if let Some(found) = cx.found {
            (cx.report)(found);
        }
        result
    }
}

impl<F: Groups, H: Host, R: FnMut(VaRange)> Cx<'_, F, H, R> {
    /// Notes a dirty entry: joined with the one before if they are adjacent.
    #[inline(always)]
    fn note(&mut self, entry: VaRange) {
        match &mut self.found {
            Some(found) if found.last.checked_add(1) == Some(entry.va) => found.last = entry.last,
            found => {
                if let Some(before) = found.replace(entry) {
                    (self.report)(before);
                }
            }
        }
    }
}

/// Scans `range`, which lies in `table`, at `LEVEL`, with `below` for the level below.
///
/// # Errors
/// [`Error::Foreign`].
#[inline(always)]
pub fn dirty_level<F: Groups, H: Host, R: FnMut(VaRange), const LEVEL: u32>(
    table: TableOf<'_, F, LEVEL>,
    cx: &mut Cx<'_, F, H, R>,
    range: VaRange,
    below: impl Fn(&Table<'_, F>, &mut Cx<'_, F, H, R>, VaRange) -> Result<(), Error>,
) -> Result<(), Error> {
    let table = &table.table();
    let common = cx.common;
    let item_lg2 = item_size_lg2::<F>(LEVEL);
    // Of the item.
    let mut va = lg2::align_down(range.va, item_lg2);
    let mut index = table.index(va);
    let mut is_first = true;
    loop {
        // The first page may begin before the range, with an item there that says that it was written.
        if LEVEL == 0 && !(F::HAS_CONTIGUOUS && is_first) {
            let clean = count_clean::<F>(table, common, index, va, range.last);
            index += clean;
            if clean != 0 {
                let clean_last = va.wrapping_add(lg2::shl(clean as u64, item_lg2)).wrapping_sub(1);
                if clean_last >= range.last || index >= table.items() {
                    return Ok(());
                }
                va = clean_last + 1;
            }
        }
        is_first = false;
        let entry = table.load(common, index);
        let mut items = 1;
        let mut entry_last = va.wrapping_add(lg2::low_mask(item_lg2));
        match entry.kind {
            Kind::Empty => {}
            Kind::Foreign => {
                return Err(Error::Foreign { va, level: LEVEL, raw: entry.raw.to_u64() });
            }
            Kind::Table => {
                let part = VaRange { va: va.max(range.va), last: entry_last.min(range.last) };
                table.descend(common, &cx.host.domain().memory, entry, |lower| below(lower, cx, part))?;
            }
            Kind::Leaf => {
                let contig_lg2 = F::contig_lg2(common, LEVEL, entry.raw);
                // Most leaves have one item, and then the size is a constant.
                if contig_lg2 == 0 {
                    if F::is_dirty(common, LEVEL, entry.raw) {
                        let whole = VaRange { va, last: entry_last };
                        found_dirty::<F, H, R, LEVEL>(table, cx, index, 1, whole);
                    }
                } else {
                    // The first may begin before the range.
                    let entry_lg2 = item_lg2 + contig_lg2;
                    entry_last = va | lg2::low_mask(entry_lg2);
                    index &= !(lg2::low_mask(contig_lg2) as usize);
                    items = 1 << contig_lg2;
                    let whole = VaRange { va: lg2::align_down(va, entry_lg2), last: entry_last };
                    scan_leaf::<F, H, R, LEVEL>(table, cx, index, items, whole);
                }
            }
        }
        index += items;
        if entry_last >= range.last || index >= table.items() {
            return Ok(());
        }
        va = entry_last + 1;
    }
}

/// The number of items of the lowest level from `index` on, up to the first that is dirty or the last of the range.
///
/// Clean leaves need no look at each; and tables there are none.
#[inline(always)]
fn count_clean<F: Groups>(table: &Table<'_, F>, common: &Common<F>, index: usize, va: u64, last: u64) -> usize {
    let wanted = lg2::shr(last - va, item_size_lg2::<F>(0));
    let run = table.run_from(index);
    let items = run.items().min(usize::try_from(wanted).unwrap_or(usize::MAX));
    run.first(items).count_until(F::dirty_bits(common), |raw| F::is_dirty(common, 0, raw))
}

/// Looks at one leaf of several items, which covers `range`.
#[inline(always)]
fn scan_leaf<F: Groups, H: Host, R: FnMut(VaRange), const LEVEL: u32>(
    table: &Table<'_, F>,
    cx: &mut Cx<'_, F, H, R>,
    first: usize,
    items: usize,
    range: VaRange,
) {
    // Hardware may set the bit in any item of the entry.
    let mut all = first..first + items;
    if all.any(|index| F::is_dirty(cx.common, LEVEL, table.load_raw(index))) {
        found_dirty::<F, H, R, LEVEL>(table, cx, first, items, range);
    }
}

/// Notes a leaf that is dirty, and makes it clean.
#[inline(always)]
fn found_dirty<F: Groups, H: Host, R: FnMut(VaRange), const LEVEL: u32>(
    table: &Table<'_, F>,
    cx: &mut Cx<'_, F, H, R>,
    first: usize,
    items: usize,
    range: VaRange,
) {
    let common = cx.common;
    cx.note(range);
    if cx.mode == DirtyMode::Clear {
        table.update_run(first, items, |raw| F::clean_item(common, LEVEL, raw));
        if common.has(Features::DMA_INCOHERENT) {
            table.flush(cx.host.domain(), first, items);
        }
        cx.gather.add_cleaned(common, cx.host, range, LEVEL);
    }
}
