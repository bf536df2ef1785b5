//! Unmap: removing leaves, and the tables that the range covers whole.

use super::coherence::{Coherence, Coherent, Incoherent};
use super::gather::{Changes, ExtendsOnUnwind, Gather};
use super::unlink::clear_and_unlink;
use super::{Core, PtIommu, Run, Walkers, page};
use crate::driver::{Host, LevelSet};
use crate::feature::Features;
use crate::format::{Common, Groups, Kind, MAX_LEVELS, address_mask, item_size_lg2};
use crate::item::Item;
use crate::item::prefetch::Part;
use crate::lg2;
use crate::near::Near;
use crate::range::VaRange;
use crate::table::{Run as ItemRun, Table, TableOf};
use crate::tree::Tree;

/// What an unmap carries from level to level.
#[allow(missing_debug_implementations, reason = "only named by expansions")]
pub struct Cx<'a, F: Groups, H: Host> {
    tree: &'a Tree<F, H>,
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
        let top = || {
            let top = self.tree.top();
            if self.is_in_top(range, top) { Ok(top) } else { Err(()) }
        };
        let Ok(table) = self.start_at(near, range, top) else { return 0 };
        let (common, host) = (self.common(), self.host());
        let (covered, changes) = (Covered::Partly, Changes::NONE);
        let mut cx = Cx { tree: &self.tree, near, va: iova, last: range.last, covered, changes };
        if common.has(Features::DMA_INCOHERENT) {
            // Where the last leaf would have ended is not known.
            let range = VaRange { va: iova, last: u64::MAX };
            let flushing = ExtendsOnUnwind { gather: &mut *gather, host, range };
            F::unmap::<H, Incoherent>(&table, &mut cx);
            flushing.disarm();
        } else {
            F::unmap::<H, Coherent>(&table, &mut cx);
        }
        let removed = match cx.va.wrapping_sub(iova) {
            0 if cx.changes.leaf_levels.is_empty() => return 0,
            // All 2^64 bytes at once do not fit into the result.
            0 => u64::MAX,
            removed => removed,
        };
        let range = VaRange { va: iova, last: cx.va.wrapping_sub(1) };
        // SAFETY: the tables were linked in this table, which is of this domain.
        unsafe { gather.add(common, host, range, &mut cx.changes) };
        removed
    }
}

/// Removes what of the range lies in `table`, at `LEVEL`, with `below` for the level below.
///
/// In a table that the range covers whole nothing is cleared, and nothing below it unlinked, unless it turns out that
/// something stays in it: it is unlinked as a whole by the lowest table that stays.
#[inline(always)]
pub fn unmap_level<F: Groups, H: Host, C: Coherence, const LEVEL: u32>(
    table: TableOf<'_, F, LEVEL>,
    cx: &mut Cx<'_, F, H>,
    below: impl Fn(&Table<'_, F>, &mut Cx<'_, F, H>) -> Outcome,
    leaves_below: impl Fn(&Table<'_, F>, &mut Cx<'_, F, H>) -> Cleared,
) -> Outcome {
    let table = &table.table();
    let (common, covered) = (cx.tree.common(), cx.covered);
    let item_lg2 = item_size_lg2::<F>(LEVEL);
    if LEVEL == 0 && covered == Covered::Whole && table.is_all_leaves(common) {
        cx.changes.leaf_levels = cx.changes.leaf_levels.union(LevelSet::of(LEVEL));
        cx.va = cx.va.wrapping_add(lg2::pow2(item_size_lg2::<F>(LEVEL + 1)));
        return if cx.is_finished() { Outcome::Finished } else { Outcome::Removed };
    }
    let take = if covered == Covered::Partly { Take::Clear } else { Take::Keep };
    let first = table.index(cx.va);
    // The run of items that changed: those of leaves and of unlinked tables, which are adjacent.
    let mut changed = first..first;
    let mut index = first;
    let outcome = loop {
        let entry = table.load(common, index);
        match entry.kind {
            Kind::Empty | Kind::Foreign => break Outcome::Stopped,
            Kind::Leaf => {
                let Some(items) = remove_leaves(table, cx, table.run_from(index), entry.raw, take) else {
                    break Outcome::Stopped;
                };
                index += items;
                changed.end = index;
            }
            Kind::Table => {
                let item_last = cx.va | lg2::low_mask(item_lg2);
                let whole = lg2::is_aligned(cx.va, item_lg2) && item_last <= cx.last;
                let memory = &cx.tree.host().domain().memory;
                if LEVEL == 1 && item_last < cx.last {
                    table.prefetch_lower(common, memory, index + 1, Part::Beginning);
                }
                // Mostly there are leaves alone, which need no frame of their own. What is left is removed from where these end: that
                // they changed matters only to flushes, and to tables that go, of which there are none here.
                let are_cleared = !whole
                    && C::READS_CACHES
                    && table.descend(common, memory, entry, |lower| leaves_below(lower, cx)) == Cleared::All;
                if !are_cleared {
                    cx.covered = if whole { Covered::Whole } else { Covered::Partly };
                    if table.descend(common, memory, entry, |lower| below(lower, cx)) == Outcome::Stopped {
                        break Outcome::Stopped;
                    }
                }
                if whole {
                    if take == Take::Clear {
                        unlink::<F, H, LEVEL>(table, cx, index..index + 1);
                    }
                    index += 1;
                    changed.end = index;
                } else {
                    index += 1;
                    changed = if changed.is_empty() { index..index } else { changed };
                }
            }
        }
        if cx.is_finished() {
            break Outcome::Finished;
        }
        if index >= table.items() {
            break Outcome::Removed;
        }
    };
    if covered == Covered::Whole {
        if outcome != Outcome::Stopped || changed.is_empty() {
            return outcome;
        }
        // The table stays, with what is behind the hole.
        unlink::<F, H, LEVEL>(table, cx, changed.clone());
    }
    if !C::READS_CACHES {
        table.flush(cx.tree.host().domain(), changed.start, changed.len());
    }
    outcome
}

/// How much of the range is gone in a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cleared {
    /// All that lies in it.
    All,
    /// What lies before something that is no leaf, or before the start of a range inside of a leaf.
    Leaves,
}

/// Makes empty the leaves that the range begins with in `table`, which stays and is not to be flushed.
///
/// Not inlined, it needs few registers.
#[inline(never)]
pub fn unmap_leaves<F: Groups, H: Host, const LEVEL: u32>(
    table: TableOf<'_, F, LEVEL>,
    cx: &mut Cx<'_, F, H>,
) -> Cleared {
    let table = &table.table();
    let mut index = table.index(cx.va);
    loop {
        let Some((run, leaf)) = table.leaf_run(cx.tree.common(), index) else { return Cleared::Leaves };
        let Some(items) = remove_leaves(table, cx, run, leaf, Take::Clear) else { return Cleared::Leaves };
        index += items;
        if cx.is_finished() || index >= table.items() {
            return Cleared::All;
        }
    }
}

/// Removes the leaf that `run` begins with, whose first item is `leaf`, and those behind it that are alike, and moves on. How many
/// items that were; `None` inside of a leaf, and if the leaf has more items than are left in the table: then it is none that the
/// library wrote.
#[inline(always)]
fn remove_leaves<F: Groups, H: Host>(
    table: &Table<'_, F>,
    cx: &mut Cx<'_, F, H>,
    run: ItemRun<'_, F>,
    leaf: F::Item,
    take: Take,
) -> Option<usize> {
    let (common, level) = (cx.tree.common(), table.level());
    let item_lg2 = item_size_lg2::<F>(level);
    let contig_lg2 = F::contig_lg2(common, level, leaf);
    let items = lg2::pow2(contig_lg2);
    let bytes = lg2::shl(items, item_lg2);
    if cx.va & bytes.wrapping_sub(1) != 0 {
        return None;
    }
    if contig_lg2 != 0 {
        let items = items as usize;
        let whole = run.first_checked(items)?;
        if take == Take::Clear {
            table.clear_leaf(common, whole);
        }
        cx.changes.leaf_levels = cx.changes.leaf_levels.union(LevelSet::of(level));
        cx.va = cx.va.wrapping_add(bytes);
        return Some(items);
    }
    cx.changes.leaf_levels = cx.changes.leaf_levels.union(LevelSet::of(level));
    // The last may only begin in the range.
    let behind_first = lg2::shr(cx.last.wrapping_sub(cx.va), item_lg2);
    let begin = usize::try_from(behind_first).unwrap_or(usize::MAX).saturating_add(1);
    let count = run.items().min(begin);
    let run = run.first(count);
    let bits = kind_bits(common, level, leaf);
    let items = match take {
        Take::Keep => table.count_alike(run, leaf, bits),
        Take::Clear => table.clear_alike(common, run, leaf, bits),
    };
    debug_assert!(items != 0, "the first item is taken whatever it is");
    cx.va = cx.va.wrapping_add(lg2::shl(items as u64, item_lg2));
    Some(items)
}

/// What becomes of the items of leaves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Take {
    /// They stay: the table goes.
    Keep,
    /// They are made empty.
    Clear,
}

/// The bits that make a leaf of one item what it is: the others are those of its address, and those that hardware sets.
#[inline(always)]
fn kind_bits<F: Groups>(common: &Common<F>, level: u32, raw: F::Item) -> F::Item {
    let dirty = F::dirty_item(common, level, raw) ^ F::clean_item(common, level, raw);
    !(F::Item::from_u64(const { address_masks::<F>() }[level as usize % MAX_LEVELS]) | dirty)
}

/// By level.
const fn address_masks<F: Groups>() -> [u64; MAX_LEVELS] {
    let mut masks = [0; MAX_LEVELS];
    let mut level = 0;
    while level < MAX_LEVELS {
        masks[level] = address_mask::<F>(level as u32);
        level += 1;
    }
    masks
}

/// Clears items of a table that stays, and unlinks the tables that they pointed to.
#[inline(always)]
fn unlink<F: Groups, H: Host, const LEVEL: u32>(
    table: &Table<'_, F>,
    cx: &mut Cx<'_, F, H>,
    items: core::ops::Range<usize>,
) {
    cx.near.forget_below(LEVEL);
    let memory = &cx.tree.host().domain().memory;
    clear_and_unlink::<F, LEVEL>(table, cx.tree.common(), memory, items, &mut cx.changes);
}

impl<F: Groups, H: Host> Cx<'_, F, H> {
    /// Whether the last address that was removed is the last of the range, or behind it.
    #[inline(always)]
    fn is_finished(&self) -> bool {
        self.va.wrapping_sub(1) >= self.last
    }
}
