//! Unmap: removing leaves, and the tables that the range covers whole.

use super::gather::{Changes, Gather};
use super::unlink::clear_and_unlink;
use super::{Core, PtIommu, Run, Walkers, page};
use crate::driver::{Host, LevelSet};
use crate::feature::Features;
use crate::format::{Common, Groups, Kind, item_size_lg2};
use crate::lg2;
use crate::near::Near;
use crate::range::VaRange;
use crate::table::Table;

/// What an unmap carries from level to level.
#[allow(missing_debug_implementations, reason = "only named by expansions")]
pub struct Cx<'a, F: Groups, H: Host> {
    common: &'a Common<F>,
    host: &'a H,
    /// To be forgotten before a table is unlinked.
    near: &'a mut Near<F>,
    /// The next address to remove.
    va: u64,
    /// Last VA to remove.
    last: u64,
    /// How the table that is visited next lies in the range.
    covered: Covered,
    changes: Changes<F>,
}

/// How the items of a table lie in the range of an unmap.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Covered {
    /// Some or all; the table stays, so what is removed from it has to be cleared.
    Partly,
    /// All: if everything in it goes, the table is unlinked, and its items need no clearing.
    Whole,
}

/// How the unmap of one table ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Everything of the range that lies in the table is gone, and there may be more behind it.
    Removed,
    /// The end of the range was reached: everything up to it is gone.
    Finished,
    /// A hole, or a start inside of a leaf.
    Stopped,
}

impl<F: Walkers, H: Host> PtIommu<F, H> {
    /// Removes every leaf in the range, and returns the number of bytes removed.
    ///
    /// That may be more than `len` (the last leaf is always removed whole) or less: it stops at the first hole. A start
    /// inside a leaf, an empty range and a range outside of the table remove nothing, and then the gather is as before.
    /// A leaf is never split. Lower tables that the range covers whole are unlinked and wait in the gather for its sync;
    /// until then hardware may still translate by what it has cached. (If all 2^64 bytes were removed, the result is
    /// `u64::MAX`.)
    #[inline]
    pub fn unmap_range(&mut self, iova: u64, len: u64, gather: &mut Gather<F, H>) -> u64 {
        self.core.unmap(&mut self.near, iova, len, gather)
    }

    /// [`unmap_range`](Self::unmap_range) that tells what was mapped: shows `visit` what it removes, as maximal [runs](Run)
    /// in VA order, which together are as long as the result.
    ///
    /// Each run is shown before anything is removed. The memory is free for other use only after the gather's sync.
    ///
    /// ```
    /// # use generic_pt::fmt::x86_64::*;
    /// # use generic_pt::{Domain, GatherMode, HeapMemory, NoHardware, Prot, TableConfig};
    /// # let domain = Domain::new(HeapMemory, NoHardware);
    /// # let format = Config { top_level: 3, encryption_mask: 0 };
    /// # let config = TableConfig { features: FORCED, hw_max_vasz_lg2: 48, hw_max_oasz_lg2: 48, format };
    /// # let mut table = PtIommuX8664::new(&domain, &config).unwrap();
    /// table.map_range(0x10_0000, 0x8000_0000, 0x2000, Prot::READ).unwrap();
    /// table.map_range(0x10_2000, 0x9000_0000, 0x1000, Prot::READ).unwrap();
    /// let (mut gather, mut pinned) = (table.gather(GatherMode::Immediate), Vec::new());
    /// let removed = table.unmap_range_with(0x10_0000, 0x8000, &mut gather, |run| pinned.push((run.paddr, run.len)));
    /// gather.sync();
    /// assert_eq!(removed, 0x3000);
    /// assert_eq!(pinned, [(0x8000_0000, 0x2000), (0x9000_0000, 0x1000)]);
    /// ```
    #[inline]
    pub fn unmap_range_with(&mut self, iova: u64, len: u64, gather: &mut Gather<F, H>, visit: impl FnMut(Run)) -> u64 {
        self.core.runs_to_remove(iova, len).for_each(visit);
        self.unmap_range(iova, len, gather)
    }
}

impl<F: Walkers, H: Host> Core<F, H> {
    /// Unmap by whoever holds the range, and `near`.
    #[inline(always)]
    pub(super) fn unmap(&self, near: &mut Near<F>, iova: u64, len: u64, gather: &mut Gather<F, H>) -> u64 {
        match page::unmap_near(self, near, iova, len, gather) {
            page::Done::Yes => len,
            page::Done::No => self.unmap_far(near, iova, len, gather),
            page::Done::NoPage => self.unmap_many(near, iova, len, gather),
        }
    }

    /// Unmap of a single page that is not near: by a walk, or in the general way.
    #[inline(never)]
    fn unmap_far(&self, near: &mut Near<F>, iova: u64, len: u64, gather: &mut Gather<F, H>) -> u64 {
        match page::unmap_far(self, near, iova, len, gather) {
            page::Done::Yes => len,
            page::Done::No | page::Done::NoPage => self.unmap_many(near, iova, len, gather),
        }
    }

    /// Unmap of any range, whatever is in it.
    #[inline(never)]
    fn unmap_many(&self, near: &mut Near<F>, iova: u64, len: u64, gather: &mut Gather<F, H>) -> u64 {
        let Ok(range) = VaRange::new(iova, len) else { return 0 };
        let top = self.tree.top();
        if !self.is_in_top(range, top) {
            return 0;
        }
        let mut cx = Cx {
            common: self.common(),
            host: self.host(),
            near,
            va: iova,
            last: range.last,
            covered: Covered::Partly,
            changes: Changes::NONE,
        };
        self.tree.with(top, |table| F::unmap(table, &mut cx));
        if cx.changes.leaf_levels.is_empty() {
            return 0;
        }
        let range = VaRange { va: iova, last: cx.va.wrapping_sub(1) };
        // SAFETY: the tables were linked in this table, which is of this domain.
        unsafe { gather.add(self.common(), self.host(), range, cx.changes) };
        // All 2^64 bytes at once do not fit into the result.
        match cx.va.wrapping_sub(iova) {
            0 => u64::MAX,
            removed => removed,
        }
    }
}

/// Removes what of the range lies in `table`, at `LEVEL`, with `below` for the level below.
///
/// In a table that the range covers whole nothing is cleared, and nothing below it unlinked, unless it turns out that
/// something stays in it: it is unlinked as a whole by the lowest table that stays.
#[inline(always)]
pub fn unmap_level<F: Groups, H: Host, const LEVEL: u32>(
    table: &Table<'_, F>,
    cx: &mut Cx<'_, F, H>,
    below: impl Fn(&Table<'_, F>, &mut Cx<'_, F, H>) -> Outcome,
) -> Outcome {
    let table = &table.at_level::<LEVEL>();
    let (common, covered) = (cx.common, cx.covered);
    let item_lg2 = item_size_lg2::<F>(LEVEL);
    let mut va = cx.va;
    let first = table.index(va);
    // The run of items that changed: those of leaves and of unlinked tables, which are adjacent.
    let mut changed = first..first;
    let mut below_changed = BelowChanged::Leaves;
    let mut index = first;
    if let Some(run) = leaves_at_once::<F, LEVEL>(table, common, cx, first) {
        changed.end = run.end;
        index = run.end;
        va = run.next_va;
        cx.changes.leaf_levels = cx.changes.leaf_levels.union(LevelSet::of(LEVEL));
    }
    let outcome = loop {
        if index != first {
            // The address before is the last that was removed.
            if va.wrapping_sub(1) >= cx.last {
                break Outcome::Finished;
            }
            if index >= table.items() {
                break Outcome::Removed;
            }
        }
        let entry = table.load(common, index);
        match entry.kind {
            Kind::Empty | Kind::Foreign => break Outcome::Stopped,
            Kind::Leaf => {
                let contig_lg2 = F::contig_lg2(common, LEVEL, entry.raw);
                let size_lg2 = item_lg2 + contig_lg2;
                if !lg2::is_aligned(va, size_lg2) {
                    break Outcome::Stopped;
                }
                cx.changes.leaf_levels = cx.changes.leaf_levels.union(LevelSet::of(LEVEL));
                let leaf_last = va | lg2::low_mask(size_lg2);
                index += 1 << contig_lg2;
                // Leaves of one item come in runs.
                let more = if contig_lg2 == 0 {
                    plain_leaves_behind::<F, LEVEL>(table, common, index, leaf_last, cx.last)
                } else {
                    0
                };
                index += more;
                va = leaf_last.wrapping_add(lg2::shl(more as u64, item_lg2)).wrapping_add(1);
                changed.end = index;
            }
            Kind::Table => {
                let item_last = va | lg2::low_mask(item_lg2);
                let whole = lg2::is_aligned(va, item_lg2) && item_last <= cx.last;
                cx.covered = if whole { Covered::Whole } else { Covered::Partly };
                cx.va = va;
                let memory = &cx.host.domain().memory;
                let outcome = table.descend(common, memory, entry, |lower| below(lower, cx));
                va = cx.va;
                if outcome == Outcome::Stopped {
                    break outcome;
                }
                index += 1;
                if whole {
                    changed.end = index;
                    below_changed = BelowChanged::Tables;
                } else {
                    changed = if changed.is_empty() { index..index } else { changed };
                }
                if outcome == Outcome::Finished {
                    break outcome;
                }
            }
        }
    };
    cx.va = va;
    if (covered == Covered::Partly || outcome == Outcome::Stopped) && !changed.is_empty() {
        clear_changed::<F, H, LEVEL>(table, cx, changed, below_changed);
    }
    outcome
}

/// What the items of a run that changed were.
#[derive(Clone, Copy, PartialEq, Eq)]
enum BelowChanged {
    /// All of them leaves.
    Leaves,
    /// Some of them tables.
    Tables,
}

/// Leaves of the lowest level that go together: up to which item, and the VA behind them.
struct LeafRun {
    end: usize,
    next_va: u64,
}

/// The leaves of one item from `index` on that begin in the range, which goes on behind `leaf_last`.
#[inline(always)]
fn plain_leaves_behind<F: Groups, const LEVEL: u32>(
    table: &Table<'_, F>,
    common: &Common<F>,
    index: usize,
    leaf_last: u64,
    last: u64,
) -> usize {
    let Some(behind) = last.checked_sub(leaf_last) else { return 0 };
    // The last may begin in the range only.
    let item_lg2 = item_size_lg2::<F>(LEVEL);
    let begin = lg2::shr(behind, item_lg2) + u64::from(!lg2::is_aligned(behind, item_lg2));
    let is_plain = |raw| F::kind(common, LEVEL, raw) == Kind::Leaf && F::contig_lg2(common, LEVEL, raw) == 0;
    table.count_while(index, usize::try_from(begin).unwrap_or(usize::MAX), is_plain)
}

/// The leaves from `first` on, up to the end of the range or the table, if a look at all of them together says that none of
/// their items is empty. Where leaves may have several items, only whole tables are looked at: no leaf reaches out of those.
#[inline(always)]
fn leaves_at_once<F: Groups, const LEVEL: u32>(
    table: &Table<'_, F>,
    common: &Common<F>,
    cx: &Cx<'_, F, impl Host>,
    first: usize,
) -> Option<LeafRun> {
    let item_lg2 = item_size_lg2::<F>(LEVEL);
    if LEVEL != 0 || !lg2::is_aligned(cx.va, item_lg2) {
        return None;
    }
    let wanted = lg2::shr(cx.last.wrapping_sub(cx.va), item_lg2);
    let items = (table.items() - first).min(usize::try_from(wanted).unwrap_or(usize::MAX).saturating_add(1));
    let is_whole = items == table.items();
    if items < 8 || (F::HAS_CONTIGUOUS && !is_whole) || !table.is_run_used(common, first, items) {
        return None;
    }
    Some(LeafRun { end: first + items, next_va: cx.va.wrapping_add(lg2::shl(items as u64, item_lg2)) })
}

/// Clears items of a table that stays, and flushes exactly those.
#[inline(always)]
fn clear_changed<F: Groups, H: Host, const LEVEL: u32>(
    table: &Table<'_, F>,
    cx: &mut Cx<'_, F, H>,
    changed: core::ops::Range<usize>,
    were: BelowChanged,
) {
    if were == BelowChanged::Leaves {
        table.clear_run(cx.common, changed.start, changed.len());
    } else {
        cx.near.forget();
        let memory = &cx.host.domain().memory;
        clear_and_unlink::<F, LEVEL>(table, cx.common, memory, changed.clone(), &mut cx.changes);
    }
    if cx.common.has(Features::DMA_INCOHERENT) {
        table.flush(cx.host.domain(), changed.start, changed.len());
    }
}
