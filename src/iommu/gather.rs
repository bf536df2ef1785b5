//! The gather: what hardware has to forget, and the tables that may be freed when it has.

use super::{PtIommu, Walkers};
use crate::driver::{Driver, Host, Invalidation, LevelSet};
use crate::feature::Features;
use crate::format::{Common, Groups};
use crate::range::VaRange;
use crate::unlinked::UnlinkedList;
use core::fmt;

/// Who invalidates, and when.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum GatherMode {
    /// The caller syncs the gather: ranges are collected.
    Immediate,
    /// A full flush will follow, some time later: only unlinked tables (and levels) are collected, no range.
    Queued,
}

/// Deferred invalidation: collects what unmaps changed, until a [`sync`](Self::sync).
///
/// A gather belongs to the domain of the table that made it ([`PtIommu::gather`]) and knows it, so unlinked tables can be
/// freed only to their own memory, after a sync of their own driver. Used with a table of another domain it first syncs
/// what it holds (more invalidation than asked for is always safe). Dropped or forgotten with tables in it, it leaks
/// them; it never frees early. But hardware still translates what was unmapped until the sync: the *pages* that were mapped
/// there must not be reused before. If the driver panics in a sync, the gather still holds everything.
#[must_use = "hardware still translates what was unmapped until the gather is synced"]
pub struct Gather<F, H: Host> {
    host: H,
    mode: GatherMode,
    /// Empty while `va > last`.
    range: VaRange,
    leaf_levels: LevelSet,
    table_levels: LevelSet,
    changed: bool,
    unlinked: UnlinkedList<F>,
}

/// What one operation changed, before it joins a gather.
pub(crate) struct Changes<F> {
    pub(crate) unlinked: UnlinkedList<F>,
    pub(crate) leaf_levels: LevelSet,
    pub(crate) table_levels: LevelSet,
}

impl<F: Groups> Changes<F> {
    pub(crate) const NONE: Self =
        Self { unlinked: UnlinkedList::EMPTY, leaf_levels: LevelSet::NONE, table_levels: LevelSet::NONE };
}

/// Adds a range to a gather if the driver panics before the range is added, so that the next sync covers it. (Tables that were
/// unlinked there leak.)
pub(super) struct ExtendsOnUnwind<'g, F: Groups, H: Host> {
    pub(super) gather: &'g mut Gather<F, H>,
    pub(super) host: &'g H,
    pub(super) range: VaRange,
}

impl<F: Groups, H: Host> ExtendsOnUnwind<'_, F, H> {
    /// The driver did not panic.
    #[inline(always)]
    pub(super) fn disarm(self) {
        core::mem::forget(self);
    }
}

impl<F: Groups, H: Host> Drop for ExtendsOnUnwind<'_, F, H> {
    fn drop(&mut self) {
        self.gather.belong_to(self.host);
        if self.gather.mode == GatherMode::Immediate {
            self.gather.extend(self.range);
        }
        self.gather.changed = true;
    }
}

/// The empty range: starts after it ends.
const EMPTY: VaRange = VaRange { va: u64::MAX, last: 0 };

/// Shows that hardware has forgotten everything that was unlinked before: the invalidation finished.
///
/// Made by the crate when a [`Driver`] returns from a sync, or by a driver that invalidates by other means.
#[derive(Debug)]
pub struct Synced(());

impl Synced {
    /// Promises that an invalidation finished.
    ///
    /// # Safety
    /// For the [`Pending`] it is used with: hardware was made to drop every leaf, empty result and table pointer that it
    /// cached of the table, after the unmaps that filled the gather, and walks that were under way then have finished.
    pub const unsafe fn promise() -> Self {
        Self(())
    }
}

/// Unlinked tables taken out of a gather, for drivers that invalidate later by their own means.
///
/// Dropped, it leaks them.
#[must_use = "the tables in it leak unless they are freed"]
pub struct Pending<F, H: Host> {
    host: H,
    /// What has to be invalidated; `None` if nothing changed or the gather was queued.
    pub invalidation: Option<Invalidation>,
    /// With `DETAILED_GATHER`: the levels at which leaves were removed or made clean, also of a queued gather.
    pub leaf_levels: LevelSet,
    /// With `DETAILED_GATHER`: the levels at which items that pointed to tables were removed, also of a queued gather.
    pub table_levels: LevelSet,
    unlinked: UnlinkedList<F>,
}

impl<F: Groups, H: Host> Pending<F, H> {
    /// Frees the tables. Returns how many.
    pub fn free(mut self, synced: Synced) -> u64 {
        let Synced(()) = synced;
        let count = self.unlinked.count();
        // SAFETY: the tables came from this host's memory (`Gather` keeps that), and `synced` shows that hardware forgot
        // them.
        unsafe { self.unlinked.free(&self.host.domain().memory) };
        count
    }

    /// Tables waiting.
    pub fn unlinked_tables(&self) -> u64 {
        self.unlinked.count()
    }
}

impl<F: Groups, H: Host> Gather<F, H> {
    #[inline(always)]
    pub(crate) fn new(host: H, mode: GatherMode) -> Self {
        Self {
            host,
            mode,
            range: EMPTY,
            leaf_levels: LevelSet::NONE,
            table_levels: LevelSet::NONE,
            changed: false,
            unlinked: UnlinkedList::EMPTY,
        }
    }

    /// Who invalidates.
    #[inline]
    pub fn mode(&self) -> GatherMode {
        self.mode
    }

    /// Whether anything changed since the last sync, ranges or not.
    #[inline]
    pub fn changed(&self) -> bool {
        self.changed
    }

    /// The range gathered, if any. Always `None` for a queued gather.
    #[inline]
    pub fn range(&self) -> Option<VaRange> {
        (self.range.va <= self.range.last).then_some(self.range)
    }

    /// With `DETAILED_GATHER`: the levels at which leaves were removed or made clean.
    #[inline]
    pub fn leaf_levels(&self) -> LevelSet {
        self.leaf_levels
    }

    /// With `DETAILED_GATHER`: the levels at which items that pointed to tables were removed.
    #[inline]
    pub fn table_levels(&self) -> LevelSet {
        self.table_levels
    }

    /// Unlinked tables that wait for the sync.
    #[inline]
    pub fn unlinked_tables(&self) -> u64 {
        self.unlinked.count()
    }

    /// Has the driver invalidate what was gathered, then frees the unlinked tables. Nothing happens if nothing changed.
    ///
    /// A queued gather holds no range, so it asks for a full flush ([`Driver::sync_all`]).
    #[inline]
    pub fn sync(&mut self) {
        if !self.changed {
            return;
        }
        if self.mode == GatherMode::Queued {
            return self.sync_all();
        }
        if !self.unlinked.is_empty() {
            return self.sync_and_free();
        }
        if let Some(invalidation) = &self.invalidation() {
            self.host.domain().driver.sync(invalidation);
        }
        self.clear();
    }

    /// The same with tables to free.
    #[inline(never)]
    fn sync_and_free(&mut self) {
        if let Some(invalidation) = &self.invalidation() {
            self.host.domain().driver.sync(invalidation);
        }
        // The driver returned from the sync (of everything gathered: without a range there are no tables).
        self.free(Synced(()));
    }

    /// Has the driver invalidate everything of the domain, then frees the unlinked tables: what a flush queue does.
    pub fn sync_all(&mut self) {
        if self.changed {
            self.host.domain().driver.sync_all();
            self.free(Synced(()));
        }
    }

    /// Takes out what is gathered, for a driver that invalidates later by its own means; the gather is empty then.
    pub fn take_pending(&mut self) -> Pending<F, H> {
        let (leaf_levels, table_levels) = (self.leaf_levels, self.table_levels);
        let invalidation = self.invalidation();
        let unlinked = self.take();
        Pending { host: self.host.clone(), invalidation, leaf_levels, table_levels, unlinked }
    }

    /// Empties the gather and frees its tables. If the driver panicked before, everything is still in it.
    #[inline(always)]
    fn free(&mut self, synced: Synced) {
        let Synced(()) = synced;
        let mut unlinked = self.take();
        // SAFETY: the tables are of this host's memory, and `synced` shows that hardware forgot them.
        unsafe { unlinked.free(&self.host.domain().memory) };
    }

    /// What has to be invalidated.
    #[inline(always)]
    fn invalidation(&self) -> Option<Invalidation> {
        self.range().map(|range| Invalidation {
            va: range.va,
            last: range.last,
            leaf_levels: self.leaf_levels,
            table_levels: self.table_levels,
            unlinked_tables: self.unlinked.count(),
        })
    }

    /// Empties the gather: the tables in it.
    #[inline(always)]
    fn take(&mut self) -> UnlinkedList<F> {
        self.clear();
        core::mem::replace(&mut self.unlinked, UnlinkedList::EMPTY)
    }

    /// Nothing has to be invalidated any more.
    #[inline(always)]
    fn clear(&mut self) {
        self.range = EMPTY;
        self.leaf_levels = LevelSet::NONE;
        self.table_levels = LevelSet::NONE;
        self.changed = false;
    }

    /// Adds what an operation on a table of `host` changed, and takes its unlinked tables.
    ///
    /// # Safety
    /// The unlinked tables in `changes` are of the memory of `host`.
    #[inline(always)]
    pub(crate) unsafe fn add(&mut self, common: &Common<F>, host: &H, range: VaRange, changes: &mut Changes<F>) {
        self.belong_to(host);
        if self.mode == GatherMode::Immediate {
            if common.has(Features::FLUSH_RANGE_NO_GAPS) && self.is_disjoint(range) {
                let gather = ExtendsOnUnwind { gather: &mut *self, host, range };
                gather.gather.sync();
                gather.disarm();
            }
            self.extend(range);
        }
        self.changed = true;
        if common.has(Features::DETAILED_GATHER) {
            self.leaf_levels = self.leaf_levels.union(changes.leaf_levels);
            self.table_levels = self.table_levels.union(changes.table_levels);
        }
        if !changes.unlinked.is_empty() {
            let memory = &self.host.domain().memory;
            self.unlinked.append(common, memory, core::mem::replace(&mut changes.unlinked, UnlinkedList::EMPTY));
        }
    }

    /// Adds a range that was made clean: a plain union, the caller flushes once at the end.
    #[inline(always)]
    pub(crate) fn add_cleaned(&mut self, common: &Common<F>, host: &H, range: VaRange, level: u32) {
        self.belong_to(host);
        if self.mode == GatherMode::Immediate {
            self.extend(range);
        }
        if common.has(Features::DETAILED_GATHER) {
            self.leaf_levels = self.leaf_levels.union(LevelSet::of(level));
        }
        self.changed = true;
    }

    /// Makes it a gather of `host`, if it is not.
    #[inline(always)]
    fn belong_to(&mut self, host: &H) {
        if !self.host.is_same(host) {
            self.move_to(host);
        }
    }

    /// Makes it a gather of another host.
    #[cold]
    #[inline(never)]
    fn move_to(&mut self, host: &H) {
        self.sync();
        self.host = host.clone();
    }

    #[inline(always)]
    fn extend(&mut self, range: VaRange) {
        self.range.va = self.range.va.min(range.va);
        self.range.last = self.range.last.max(range.last);
    }

    /// Whether there is a range, and `range` neither touches nor overlaps it.
    #[inline(always)]
    fn is_disjoint(&self, range: VaRange) -> bool {
        let gathered = self.range;
        gathered.va <= gathered.last
            && (gathered.last.checked_add(1).is_some_and(|next| range.va > next)
                || range.last.checked_add(1).is_some_and(|next| gathered.va > next))
    }
}

impl<F: Walkers, H: Host> PtIommu<F, H> {
    /// An empty gather for this table's domain.
    #[inline(always)]
    pub fn gather(&self, mode: GatherMode) -> Gather<F, H> {
        Gather::new(self.host().clone(), mode)
    }
}

impl<F: Groups, H: Host> fmt::Debug for Pending<F, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending")
            .field("invalidation", &self.invalidation)
            .field("unlinked_tables", &self.unlinked_tables())
            .finish()
    }
}

impl<F: Groups, H: Host> fmt::Debug for Gather<F, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gather")
            .field("mode", &self.mode)
            .field("range", &self.range().map(|range| range.va..=range.last))
            .field("leaf_levels", &self.leaf_levels)
            .field("table_levels", &self.table_levels)
            .field("unlinked_tables", &self.unlinked_tables())
            .finish()
    }
}
