//! Map: from arguments to items.

use super::gather::Gather;
use super::top::flush_done_bit;
use super::{Core, PtIommu, Walkers, page};
use crate::driver::{Domain, Host};
use crate::error::{Error, MapError};
use crate::feature::{Features, Prot};
use crate::format::{Common, Groups, Kind, OaStyle, item_size_lg2};
use crate::item::Item;
use crate::item::prefetch::Part;
use crate::lg2;
use crate::near::Near;
use crate::range::{Fit, Leaves, VaRange, best_fit};
use crate::table::{Entry, Table, TableOf};
use core::ops::{Deref, DerefMut};

mod args;
mod leaf;
mod pages;
mod sg;
mod tables;

use args::leaves_that_fit;
use leaf::Leaf;
pub use sg::{OneRun, Runs, Segment};
use tables::{make_lower, make_room};

/// What a map carries from level to level: the position, which moves on with every leaf written, and the rest.
#[allow(missing_debug_implementations, reason = "only named by expansions")]
pub struct Cx<'a, F: Groups, H: Host> {
    common: &'a Common<F>,
    host: &'a H,
    /// To be forgotten before a table is unlinked.
    near: &'a mut Near<F>,
    /// The next address to map.
    va: u64,
    oa: u64,
    /// Last VA to map.
    last: u64,
    attrs: F::Attrs,
    /// Page sizes that may be used.
    sizes: u64,
    /// Replaced tables; made when the first is replaced.
    replaced: Option<Gather<F, H>>,
    /// Why it stopped.
    error: Option<Error>,
}

/// A map, and where the physical runs come from that follow the one it is at.
#[allow(missing_debug_implementations, reason = "only named by expansions")]
pub struct Walk<'a, F: Groups, H: Host, S> {
    cx: Cx<'a, F, H>,
    runs: S,
}

impl<'a, F: Groups, H: Host, S> Deref for Walk<'a, F, H, S> {
    type Target = Cx<'a, F, H>;

    #[inline(always)]
    fn deref(&self) -> &Cx<'a, F, H> {
        &self.cx
    }
}

impl<F: Groups, H: Host, S> DerefMut for Walk<'_, F, H, S> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.cx
    }
}

/// A map stopped: why, it carries itself. (An error is large, and would be handed on from level to level.)
#[allow(missing_debug_implementations, reason = "only named by expansions")]
pub struct Stop(());

impl<F: Walkers, H: Host> PtIommu<F, H> {
    /// Maps `len` bytes from `iova` to physical memory from `paddr`.
    ///
    /// The range is cut into the largest pages that alignment permits at each point; tables are allocated as needed, and
    /// with `DYNAMIC_TOP` the top grows as needed. Empty tables that are in the way of a larger page are unlinked, and
    /// synced and freed before this returns.
    ///
    /// # Errors
    /// Before anything is written, in this order: [`Error::Protection`] with neither READ nor WRITE;
    /// [`Error::PaRange`] for the start; [`Error::Protection`] of the format; [`Error::ZeroLength`];
    /// [`Error::Overflow`]; [`Error::Alignment`]; [`Error::PaRange`] for the end; [`Error::VaRange`]. On the way:
    /// [`Error::InUse`], [`Error::OutOfMemory`], [`Error::TableAddress`], [`Error::Foreign`], and [`Error::LeafNotRead`] by a
    /// format whose description is wrong. What was mapped before stays mapped: [`MapError::mapped`] bytes.
    #[inline]
    pub fn map_range(&mut self, iova: u64, paddr: u64, len: u64, prot: Prot) -> Result<(), MapError> {
        self.core.map(&mut self.near, iova, paddr, len, prot)
    }
}

impl<F: Walkers, H: Host> Core<F, H> {
    /// Map by whoever holds the range, and `near`.
    #[inline(always)]
    pub(super) fn map(&self, near: &mut Near<F>, iova: u64, paddr: u64, len: u64, prot: Prot) -> Result<(), MapError> {
        match page::map_near(self, near, iova, paddr, len, prot) {
            page::Done::Yes => Ok(()),
            // One call for both: with two the arguments would be moved about for the page, too.
            page::Done::No | page::Done::NoPage => self.map_far(near, iova, paddr, len, prot),
        }
    }

    /// Map of what is not near: a single page by a walk, the rest in the general way.
    #[inline(never)]
    fn map_far(&self, near: &mut Near<F>, iova: u64, paddr: u64, len: u64, prot: Prot) -> Result<(), MapError> {
        match page::map_far(self, near, iova, paddr, len, prot) {
            page::Done::Yes => Ok(()),
            page::Done::No | page::Done::NoPage => self.map_many(near, iova, paddr, len, prot),
        }
    }

    /// Map of any range, with anything in the way.
    fn map_many(&self, near: &mut Near<F>, iova: u64, paddr: u64, len: u64, prot: Prot) -> Result<(), MapError> {
        let (range, attrs) = match self.map_plain(iova, paddr, len, prot) {
            Some(checked) => checked,
            None => {
                self.map_checked(iova, paddr, len, prot).map_err(|error| MapError { error, mapped: 0, va: iova })?
            }
        };
        let top = || match self.top_that_holds(range) {
            Some(top) => Ok(top),
            None => self.top_for(range, range, paddr).map_err(|error| MapError { error, mapped: 0, va: iova }),
        };
        let table = self.start_at(near, range, top)?;
        let mut cx = Walk { cx: self.start(near, range, paddr, attrs), runs: OneRun };
        let result = F::map(&table, &mut cx);
        if cx.replaced.is_none() && result.is_ok() { Ok(()) } else { cx.end(iova) }
    }

    /// The start of a map.
    #[inline(always)]
    fn start<'a>(&'a self, near: &'a mut Near<F>, range: VaRange, oa: u64, attrs: F::Attrs) -> Cx<'a, F, H> {
        let (common, host, sizes) = (self.common(), self.host(), self.page_sizes);
        Cx { common, host, near, va: range.va, oa, last: range.last, attrs, sizes, replaced: None, error: None }
    }
}

impl<'a, F: Groups, H: Host> Cx<'a, F, H> {
    #[inline(always)]
    fn domain(&self) -> &'a Domain<H::Memory, H::Driver> {
        self.host.domain()
    }

    /// Whether everything up to `last` is mapped, when something is.
    #[inline(always)]
    fn is_finished(&self) -> bool {
        self.va.wrapping_sub(1) == self.last
    }

    /// Notes why it stops.
    #[cold]
    fn stop(&mut self, error: Error) -> Stop {
        self.error = Some(error);
        Stop(())
    }

    /// The end of a map from `iova` on, where that takes more than to return.
    #[cold]
    #[inline(never)]
    fn end(&mut self, iova: u64) -> Result<(), MapError> {
        if let Some(mut replaced) = self.replaced.take() {
            replaced.sync();
        }
        let (mapped, va) = (self.va.wrapping_sub(iova), self.va);
        self.error.take().map_or(Ok(()), |error| Err(MapError { error, mapped, va }))
    }

    /// Moves on by `bytes`, which end at or before `last`.
    #[inline(always)]
    fn advance(&mut self, bytes_minus_1: u64) {
        self.va = self.va.wrapping_add(bytes_minus_1).wrapping_add(1);
        self.oa = self.oa.wrapping_add(bytes_minus_1).wrapping_add(1);
    }

    /// The page size to use at the position, for leaves at `level`, and how many there are.
    #[inline(always)]
    fn fit_at(&self, level: u32) -> Option<Fit> {
        // 2^64 bytes are no range.
        debug_assert!(self.va <= self.last && (self.va != 0 || self.last != u64::MAX));
        let len = self.last.wrapping_sub(self.va).wrapping_add(1);
        let here = self.sizes_here(level);
        let item_lg2 = item_size_lg2::<F>(level);
        if F::HAS_CONTIGUOUS && here != lg2::pow2(item_lg2) {
            return best_fit(here, self.va, self.oa, len);
        }
        let is_aligned = (self.va | self.oa) & lg2::low_mask(item_lg2) == 0;
        let leaves = lg2::shr(len, item_lg2);
        let fits = is_aligned && leaves != 0 && here != 0;
        fits.then_some(Fit { size_lg2: item_lg2, leaves: Leaves::Many(leaves) })
    }

    /// The page sizes that leaves at `level` may have at the position, whatever its alignment.
    #[inline(always)]
    fn sizes_here(&self, level: u32) -> u64 {
        F::sizes_for_oa(self.common, F::sizes_at(self.common, level, self.sizes), self.oa)
    }

    /// The leaf at the position, of pages of `size_lg2`.
    #[inline(always)]
    fn leaf(&self, level: u32, size_lg2: u32) -> Leaf<'a, F> {
        Leaf { common: self.common, level, size_lg2, oa: self.oa, attrs: self.attrs }
    }
}

/// Maps what of the range lies in `table`, at `LEVEL`, with `below` for the level below.
///
/// # Errors
/// Those of [`PtIommu::map_range`] that show on the way; the position says how far it came.
#[inline(always)]
pub fn map_level<F: Groups, H: Host, S: Runs, const LEVEL: u32>(
    table: TableOf<'_, F, LEVEL>,
    cx: &mut Walk<'_, F, H, S>,
    below: impl Fn(&Table<'_, F>, &mut Walk<'_, F, H, S>) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let table = &table.table();
    if S::MANY && LEVEL == 0 && pages::map_pages_from_run(table, cx) && (cx.is_finished() || table.index(cx.va) == 0) {
        return Ok(());
    }
    let mut index = table.index(cx.va);
    loop {
        if let Some(fit) = cx.fit_at(LEVEL) {
            match fit.leaves {
                Leaves::One => map_leaf::<F, H, LEVEL>(table, cx, index, fit.size_lg2)?,
                Leaves::Many(leaves) => map_leaves::<F, H, LEVEL>(table, cx, index, fit.size_lg2, leaves)?,
            }
        } else if LEVEL > 0 {
            map_lower::<F, H, S, LEVEL>(table, cx, index, &below)?;
        } else {
            // The arguments were checked: some size fits everywhere in the range.
            let (va, paddr, page_sizes) = (cx.va, cx.oa, cx.sizes);
            let len = cx.last.wrapping_sub(va).wrapping_add(1);
            return Err(cx.stop(Error::Alignment { va, paddr, len, page_sizes }));
        }
        if S::MANY && cx.is_finished() {
            // A leaf of the level above may begin where the table ends.
            if LEVEL == 0 && table.index(cx.va) != 0 {
                pages::map_pages(table, cx);
            }
            cx.next_run();
        }
        index = table.index(cx.va);
        if cx.is_finished() || index == 0 {
            return Ok(());
        }
    }
}

/// Writes one leaf at `index`.
#[inline(always)]
fn map_leaf<F: Groups, H: Host, const LEVEL: u32>(
    table: &Table<'_, F>,
    cx: &mut Cx<'_, F, H>,
    index: usize,
    size_lg2: u32,
) -> Result<(), Stop> {
    let item_lg2 = item_size_lg2::<F>(LEVEL);
    if size_lg2 <= item_lg2 {
        let leaf = cx.leaf(LEVEL, item_lg2);
        let item = first_item(cx, leaf)?;
        if !leaf.store_all_if_empty::<1>(item, table, index) {
            write_rest::<F, H, LEVEL>(table.of_level(), cx, index, 1, 1, core::iter::once(item))?;
        }
        written(table, cx, index, 1, item_lg2);
    } else {
        let leaf = cx.leaf(LEVEL, size_lg2);
        let item = first_item(cx, leaf)?;
        let contig_lg2 = size_lg2 - item_lg2;
        let is_written = match F::OA_STYLE {
            OaStyle::Entry => leaf.store_if_empty::<LEVEL>(item, table, index, contig_lg2),
            // Handed on to what writes many it would have to lie in memory.
            OaStyle::Item => leaf.store_few_if_empty(item, table, index, contig_lg2),
        };
        if !is_written {
            write_contiguous::<F, H, LEVEL>(table.of_level(), cx, index, 1, size_lg2)?;
        }
        written(table, cx, index, 1, size_lg2);
    }
    Ok(())
}

/// Writes as many of `leaves` leaves of one size from `index` on as there is room for in the table.
#[inline(always)]
fn map_leaves<F: Groups, H: Host, const LEVEL: u32>(
    table: &Table<'_, F>,
    cx: &mut Cx<'_, F, H>,
    index: usize,
    size_lg2: u32,
    leaves: u64,
) -> Result<(), Stop> {
    debug_assert!(index < table.items());
    let item_lg2 = item_size_lg2::<F>(LEVEL);
    let leaves = leaves_that_fit(cx.common, cx.oa, size_lg2, leaves);
    if size_lg2 <= item_lg2 {
        let leaves = leaves.min(table.items().wrapping_sub(index) as u64) as usize;
        let leaf = cx.leaf(LEVEL, item_lg2);
        first_item(cx, leaf)?;
        match leaf.steps(leaves) {
            Some(steps) => write_plain::<F, H, LEVEL>(table, cx, index, leaves, steps)?,
            None => {
                core::hint::cold_path();
                write_plain::<F, H, LEVEL>(table, cx, index, leaves, leaf.items())?
            }
        }
        written(table, cx, index, leaves, item_lg2);
    } else {
        let in_table = table.items().wrapping_sub(index) >> ((size_lg2 - item_lg2) & 63);
        let leaves = leaves.min(in_table as u64) as usize;
        let leaf = cx.leaf(LEVEL, size_lg2);
        first_item(cx, leaf)?;
        write_contiguous::<F, H, LEVEL>(table.of_level(), cx, index, leaves, size_lg2)?;
        written(table, cx, index, leaves, size_lg2);
    }
    Ok(())
}

/// The first item of a leaf at the position.
#[inline(always)]
fn first_item<F: Groups, H: Host>(cx: &mut Cx<'_, F, H>, leaf: Leaf<'_, F>) -> Result<F::Item, Stop> {
    match leaf.read_item() {
        Some(item) => Ok(item),
        None => {
            let (va, level) = (cx.va, leaf.level);
            Err(cx.stop(Error::LeafNotRead { va, level }))
        }
    }
}

/// Flushes leaves that were written from `index` on, and moves on behind them.
#[inline(always)]
fn written<F: Groups, H: Host>(
    table: &Table<'_, F>,
    cx: &mut Cx<'_, F, H>,
    index: usize,
    leaves: usize,
    size_lg2: u32,
) {
    if cx.common.has(Features::DMA_INCOHERENT) {
        let contig_lg2 = size_lg2 - item_size_lg2::<F>(table.level());
        table.flush(cx.domain(), index, leaves << contig_lg2);
    }
    cx.advance(lg2::shl(leaves as u64, size_lg2).wrapping_sub(1));
}

/// Writes leaves of one item, as far as the items there are empty or can be made so; if not all, that is the end of the map.
#[inline(always)]
fn write_plain<F: Groups, H: Host, const LEVEL: u32>(
    table: &Table<'_, F>,
    cx: &mut Cx<'_, F, H>,
    index: usize,
    leaves: usize,
    mut items: impl Iterator<Item = F::Item>,
) -> Result<(), Stop> {
    // The index is inside, and so many leaves there is room for.
    let Some(run) = table.rest(index) else { return Ok(()) };
    let run = run.first(leaves);
    debug_assert!(run.items() == leaves);
    // The iterator has no end.
    let rest = table.store_where_empty(cx.common, run, || items.next().unwrap_or(F::Item::ZERO));
    if rest.items() == 0 {
        return Ok(());
    }
    write_rest::<F, H, LEVEL>(table.of_level(), cx, index, leaves, rest.items(), items)
}

/// Writes the last `rest` of some leaves of one item each, of which the first is not where an empty item should be.
#[cold]
#[inline(never)]
fn write_rest<F: Groups, H: Host, const LEVEL: u32>(
    table: TableOf<'_, F, LEVEL>,
    cx: &mut Cx<'_, F, H>,
    index: usize,
    leaves: usize,
    rest: usize,
    mut items: impl Iterator<Item = F::Item>,
) -> Result<(), Stop> {
    let table = &table.table();
    let item_lg2 = item_size_lg2::<F>(LEVEL);
    let mut done = leaves - rest;
    while done < leaves {
        // The format may take for empty what is not what it writes.
        if let Err(stop) = make_room::<F, H, LEVEL>(table, cx, index + done, 1, lg2::shl(done as u64, item_lg2)) {
            written(table, cx, index, done, item_lg2);
            return Err(stop);
        }
        table.store(index + done, items.next().unwrap_or(F::Item::ZERO));
        done += 1;
        let run = table.run_from(index + done).first(leaves - done);
        done = leaves - table.store_where_empty(cx.common, run, || items.next().unwrap_or(F::Item::ZERO)).items();
    }
    Ok(())
}

/// Writes leaves of several items: each only when all its items are empty; if not all, that is the end of the map.
#[inline(never)]
fn write_contiguous<F: Groups, H: Host, const LEVEL: u32>(
    table: TableOf<'_, F, LEVEL>,
    cx: &mut Cx<'_, F, H>,
    index: usize,
    leaves: usize,
    size_lg2: u32,
) -> Result<(), Stop> {
    let (table, first_leaf) = (&table.table(), cx.leaf(LEVEL, size_lg2));
    let contig_lg2 = size_lg2 - item_size_lg2::<F>(LEVEL);
    for done in 0..leaves {
        let first = index + (done << contig_lg2);
        let leaf = first_leaf.behind(lg2::shl(done as u64, size_lg2));
        if !leaf.store_if_empty::<LEVEL>(leaf.first_item(), table, first, contig_lg2) {
            let (items, done_bytes) = (1 << contig_lg2, lg2::shl(done as u64, leaf.size_lg2));
            if let Err(stop) = make_room::<F, H, LEVEL>(table, cx, first, items, done_bytes) {
                written(table, cx, index, done, leaf.size_lg2);
                return Err(stop);
            }
            leaf.store(table, first, contig_lg2);
        }
    }
    Ok(())
}

/// Maps the part of the range that lies below the item at `index`, making the lower table if there is none.
#[inline(always)]
fn map_lower<F: Groups, H: Host, S: Runs, const LEVEL: u32>(
    table: &Table<'_, F>,
    cx: &mut Walk<'_, F, H, S>,
    index: usize,
    below: &impl Fn(&Table<'_, F>, &mut Walk<'_, F, H, S>) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let entry = table.load(cx.common, index);
    let entry = if entry.kind == Kind::Table {
        entry.raw
    } else {
        match make_lower::<F, H, LEVEL>(&table.copy(), cx, index, entry)? {
            Some(raw) => raw,
            None => return Ok(()),
        }
    };
    let (common, host) = (cx.common, cx.host);
    if common.has(Features::DMA_INCOHERENT) && entry & flush_done_bit(common) == F::Item::ZERO {
        // Another thread installed it, and may not have finished its flush.
        table.flush(host.domain(), index, 1);
    }
    let entry = Entry { raw: entry, kind: Kind::Table };
    let memory = &host.domain().memory;
    if LEVEL == 1 && cx.va | lg2::low_mask(item_size_lg2::<F>(LEVEL)) < cx.last {
        table.prefetch_lower(common, memory, index + 1, Part::Beginning);
    }
    table.descend(common, memory, entry, |lower| below(lower, cx))
}
