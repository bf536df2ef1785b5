//! Map: from arguments to items.

use super::gather::{Changes, Gather, GatherMode};
use super::top::flush_done_bit;
use super::unlink::{ANY_LEVEL, clear_and_unlink};
use super::{Core, PtIommu, Walkers, page};
use crate::driver::{Domain, Host};
use crate::error::{Errno, Error, MapError};
use crate::feature::{Features, Prot};
use crate::format::{Common, Groups, Kind, OaStyle, item_size_lg2, items_lg2};
use crate::item::Item;
use crate::lg2;
use crate::near::Near;
use crate::range::{VaRange, best_page_size, count_of_size};
use crate::table::{Entry, NewTable, Run, Swap, Table};
use crate::tree::TopPtr;
use core::ops::{Deref, DerefMut};

mod leaf;
mod sg;

use leaf::Leaf;
pub use sg::{OneRun, Runs, Segment};

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
    /// [`Error::InUse`], [`Error::OutOfMemory`], [`Error::TableAddress`]. What was mapped before stays mapped: [`MapError::mapped`] bytes.
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

    /// What of a map is worked out first, if the arguments are right in the usual way: checked all together, so that little
    /// is decided. `None` says nothing: [`map_checked`](Self::map_checked) knows.
    #[inline(always)]
    fn map_plain(&self, iova: u64, paddr: u64, len: u64, prot: Prot) -> Option<(VaRange, F::Attrs)> {
        let attrs = self.pages.attrs(prot)?;
        let range = VaRange::new(iova, len).ok()?;
        let ends = paddr | paddr.wrapping_add(len - 1) | len;
        self.are_plain(iova | paddr | len, ends).then_some((range, attrs))
    }

    /// Whether `bits` of starts and lengths are aligned to the smallest page; and `ends`, of starts, lengths and last bytes, say
    /// that these are addresses for which there are all page sizes.
    #[inline(always)]
    fn are_plain(&self, bits: u64, ends: u64) -> bool {
        // A sum of two numbers below 2^63 has not wrapped around.
        let beyond = if F::GEOMETRY.max_oa_lg2 < 63 { 0 } else { 1 << 63 } | self.tree.oa_beyond;
        let sizes = self.page_sizes;
        // Without a size nothing is aligned: lengths are not zero.
        let inside_smallest = sizes.wrapping_sub(1) & !sizes;
        (bits & inside_smallest) | (ends & beyond) == 0 && F::sizes_for_oa(self.common(), sizes, ends) == sizes
    }

    /// The checks, in their order.
    #[cold]
    #[inline(never)]
    fn map_checked(&self, iova: u64, paddr: u64, len: u64, prot: Prot) -> Result<(VaRange, F::Attrs), Error> {
        let common = self.common();
        let pa_range = |paddr| Err(Error::PaRange { paddr, len, max_oa_lg2: common.max_oa_lg2 });
        if !prot.intersects(Prot::READ.union(Prot::WRITE)) {
            return Err(Error::Protection { prot, valid: "READ, WRITE or both", errno: Errno::EINVAL });
        }
        if !common.holds_oa(paddr) {
            return pa_range(paddr);
        }
        let attrs = F::attrs(common, prot)?;
        let range = VaRange::new(iova, len)?;
        let sizes = self.page_sizes;
        let first_sizes = F::sizes_for_oa(common, sizes, paddr);
        // Some size fits if the smallest does.
        let smallest = |sizes: u64| sizes & sizes.wrapping_neg();
        let inside = |sizes| smallest(sizes).wrapping_sub(1);
        let misaligned = (iova | paddr) & inside(first_sizes) | len & inside(sizes);
        if misaligned != 0 || first_sizes == 0 || len < smallest(first_sizes) {
            return Err(Error::Alignment { va: iova, paddr, len, page_sizes: sizes });
        }
        match paddr.checked_add(len - 1) {
            Some(last) if common.holds_oa(last) => {}
            _ => return pa_range(paddr),
        }
        self.check_sizes_of_oas(range, paddr, len)?;
        Ok((range, attrs))
    }

    /// The top for a map of the range, whose first run is `run`, from `paddr`: grown, if it can.
    #[cold]
    #[inline(never)]
    fn top_for(&self, range: VaRange, run: VaRange, paddr: u64) -> Result<TopPtr, Error> {
        let common = self.common();
        let sizes = F::sizes_for_oa(common, self.page_sizes, paddr);
        let size_lg2 = best_page_size(sizes, run.va, run.last, paddr).unwrap_or(0);
        // A later page of a higher level lies beyond what a lower top decodes, so only the first matters.
        self.ensure_top(range, level_of_size::<F>(common, size_lg2))
    }
}

impl<F: Walkers, H: Host> Core<F, H> {
    /// For formats whose page sizes reach differently far: that some size fits everywhere in the range, as the map will
    /// cut it.
    #[inline(always)]
    fn check_sizes_of_oas(&self, range: VaRange, paddr: u64, len: u64) -> Result<(), Error> {
        let (common, sizes) = (self.common(), self.page_sizes);
        let last_sizes = F::sizes_for_oa(common, sizes, paddr.wrapping_add(len - 1));
        if last_sizes == sizes {
            return Ok(());
        }
        let (mut va, mut oa) = (range.va, paddr);
        loop {
            let here = F::sizes_for_oa(common, sizes, oa);
            let Some(size_lg2) = best_page_size(here, va, range.last, oa) else {
                return Err(Error::Alignment {
                    va,
                    paddr: oa,
                    len: (range.last - va).wrapping_add(1),
                    page_sizes: here,
                });
            };
            let leaves = count_of_size(here, va, range.last, oa, size_lg2);
            let leaves = leaves_that_fit(common, oa, size_lg2, leaves);
            let bytes_minus_1 = lg2::shl(leaves, size_lg2).wrapping_sub(1);
            if bytes_minus_1 >= range.last - va {
                return Ok(());
            }
            va += bytes_minus_1 + 1;
            oa += bytes_minus_1 + 1;
        }
    }
}

/// Of `leaves` leaves from `oa`, of which the first fits, the number that can hold their addresses. Page sizes have upper
/// limits only.
#[inline(always)]
fn leaves_that_fit<F: Groups>(common: &Common<F>, oa: u64, size_lg2: u32, leaves: u64) -> u64 {
    let size = lg2::pow2(size_lg2);
    let fits = |n: u64| F::sizes_for_oa(common, size, oa.wrapping_add(lg2::shl(n, size_lg2))) != 0;
    // A constant for most formats.
    if leaves == 0 || fits(leaves - 1) {
        return leaves;
    }
    let (mut fitting, mut beyond) = (0, leaves - 1);
    while beyond - fitting > 1 {
        let middle = fitting + (beyond - fitting) / 2;
        if fits(middle) {
            fitting = middle;
        } else {
            beyond = middle;
        }
    }
    fitting + 1
}

/// The level of the leaves of a page size: the highest whose items are not larger, and that has the size.
#[inline(always)]
fn level_of_size<F: Groups>(common: &Common<F>, size_lg2: u32) -> u32 {
    let mut level = F::MAX_TOP_LEVEL;
    while level > 0
        && (item_size_lg2::<F>(level) > size_lg2 || F::possible_sizes(common, level) & lg2::pow2(size_lg2) == 0)
    {
        level -= 1;
    }
    level
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

    /// The page size to use at the position, for leaves at `level`, that ends by `last`.
    #[inline(always)]
    fn size_at(&self, level: u32, last: u64) -> Option<u32> {
        let here = self.sizes & F::possible_sizes(self.common, level);
        if here == 0 {
            return None;
        }
        let here = F::sizes_for_oa(self.common, here, self.oa);
        let item_lg2 = item_size_lg2::<F>(level);
        if F::HAS_CONTIGUOUS && here != lg2::pow2(item_lg2) {
            return best_page_size(here, self.va, last, self.oa);
        }
        let inside = lg2::low_mask(item_lg2);
        ((self.va | self.oa) & inside == 0 && last.wrapping_sub(self.va) >= inside && here != 0).then_some(item_lg2)
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
    table: &Table<'_, F>,
    cx: &mut Walk<'_, F, H, S>,
    below: impl Fn(&Table<'_, F>, &mut Walk<'_, F, H, S>) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let table = &table.at_level::<LEVEL>();
    loop {
        let index = table.index(cx.va);
        if let Some(size_lg2) = cx.size_at(LEVEL, cx.last) {
            map_leaves::<F, H, LEVEL>(table, cx, index, size_lg2)?;
        } else if LEVEL > 0 {
            map_lower::<F, H, S, LEVEL>(table, cx, index, &below)?;
        } else {
            // The arguments were checked: some size fits everywhere in the range.
            let (va, paddr, page_sizes) = (cx.va, cx.oa, cx.sizes);
            let len = cx.last.wrapping_sub(va).wrapping_add(1);
            return Err(cx.stop(Error::Alignment { va, paddr, len, page_sizes }));
        }
        if S::MANY && cx.is_finished() {
            if LEVEL == 0 {
                sg::map_pages(table, cx);
            }
            cx.next_run()?;
        }
        if cx.is_finished() || table.index(cx.va) == 0 {
            return Ok(());
        }
    }
}

/// Writes leaves of one size from `index` on: up to the end of the table, of the range, or to where a larger page fits.
#[inline(always)]
fn map_leaves<F: Groups, H: Host, const LEVEL: u32>(
    table: &Table<'_, F>,
    cx: &mut Cx<'_, F, H>,
    index: usize,
    size_lg2: u32,
) -> Result<(), Stop> {
    let contig_lg2 = size_lg2 - item_size_lg2::<F>(LEVEL);
    let run = table.run_from(index);
    let in_table_leaves = run.items() >> contig_lg2;
    // Sizes of the levels above begin to fit where this table ends.
    let sizes = F::sizes_for_oa(cx.common, cx.sizes & F::possible_sizes(cx.common, LEVEL), cx.oa);
    let leaves = if F::HAS_CONTIGUOUS && sizes != lg2::pow2(size_lg2) {
        count_of_size(sizes, cx.va, cx.last, cx.oa, size_lg2)
    } else {
        // At least one fits.
        (cx.last.wrapping_sub(cx.va).wrapping_sub(lg2::low_mask(size_lg2)) >> (size_lg2 & 63)).saturating_add(1)
    };
    let leaves = leaves_that_fit(cx.common, cx.oa, size_lg2, leaves.min(in_table_leaves as u64)) as usize;
    if !is_read_as_leaf(cx, LEVEL, size_lg2) {
        let va = cx.va;
        return Err(cx.stop(Error::LeafNotRead { va, level: LEVEL }));
    }
    let leaf = cx.leaf(LEVEL, size_lg2);
    if contig_lg2 == 0 {
        match leaf.steps(leaves) {
            Some(steps) => write_plain::<F, H, LEVEL>(table, cx, index, run.first(leaves), steps)?,
            None => write_plain::<F, H, LEVEL>(table, cx, index, run.first(leaves), leaf.items())?,
        }
    } else {
        write_contiguous::<F, H, LEVEL>(table, cx, index, leaves, leaf)?;
    }
    written(table, cx, index, leaves, size_lg2);
    Ok(())
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
    run: Run<'_, F>,
    mut items: impl Iterator<Item = F::Item>,
) -> Result<(), Stop> {
    let leaves = run.items();
    // The iterator has no end.
    let rest = table.store_where_empty(cx.common, run, || items.next().unwrap_or(F::Item::ZERO));
    if rest.items() == 0 {
        return Ok(());
    }
    write_rest::<F, H, LEVEL>(&table.copy(), cx, index, leaves, rest.items(), items)
}

/// Writes the last `rest` of some leaves of one item each, of which the first is not where an empty item should be.
#[cold]
#[inline(never)]
fn write_rest<F: Groups, H: Host, const LEVEL: u32>(
    table: &Table<'_, F>,
    cx: &mut Cx<'_, F, H>,
    index: usize,
    leaves: usize,
    rest: usize,
    mut items: impl Iterator<Item = F::Item>,
) -> Result<(), Stop> {
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
#[inline(always)]
fn write_contiguous<F: Groups, H: Host, const LEVEL: u32>(
    table: &Table<'_, F>,
    cx: &mut Cx<'_, F, H>,
    index: usize,
    leaves: usize,
    leaf: Leaf<'_, F>,
) -> Result<(), Stop> {
    let contig_lg2 = leaf.size_lg2 - item_size_lg2::<F>(LEVEL);
    let items_per_leaf = 1usize << contig_lg2;
    for done in 0..leaves {
        let first = index + (done << contig_lg2);
        let leaf = leaf.behind(lg2::shl(done as u64, leaf.size_lg2));
        if !table.is_run_empty(cx.common, first, items_per_leaf) {
            let done_bytes = lg2::shl(done as u64, leaf.size_lg2);
            if let Err(stop) = make_room::<F, H, LEVEL>(&table.copy(), cx, first, items_per_leaf, done_bytes) {
                written(table, cx, index, done, leaf.size_lg2);
                return Err(stop);
            }
        }
        match (F::OA_STYLE, leaf.steps(items_per_leaf)) {
            (OaStyle::Entry, _) => {
                let item = leaf.item(0);
                table.store_run(first, items_per_leaf, |_| item);
            }
            (OaStyle::Item, Some(mut steps)) => {
                table.store_run(first, items_per_leaf, |_| steps.next().unwrap_or(F::Item::ZERO));
            }
            (OaStyle::Item, None) => table.store_run(first, items_per_leaf, |n| leaf.item(n as u64)),
        }
    }
    Ok(())
}

/// Whether the format reads the leaf at the position as a leaf: otherwise it might be followed as a table. A constant for
/// most formats.
#[inline(always)]
fn is_read_as_leaf<F: Groups, H: Host>(cx: &Cx<'_, F, H>, level: u32, size_lg2: u32) -> bool {
    F::kind(cx.common, level, cx.leaf(level, size_lg2).item(0)) == Kind::Leaf
}

/// Sees to it that the items of a leaf are empty: tables without leaves are unlinked, anything else is in the way.
///
/// `done_bytes` of this run were written before; the position does not count them yet.
#[cold]
#[inline(never)]
fn make_room<F: Groups, H: Host, const LEVEL: u32>(
    table: &Table<'_, F>,
    cx: &mut Cx<'_, F, H>,
    first: usize,
    items: usize,
    done_bytes: u64,
) -> Result<(), Stop> {
    for n in 0..items {
        let entry = table.load(cx.common, first + n);
        if entry.kind != Kind::Empty {
            let item_va = cx.va.wrapping_add(done_bytes).wrapping_add(lg2::shl(n as u64, item_size_lg2::<F>(LEVEL)));
            replace_table(&table.copy(), cx, first + n, entry, item_va)?;
        }
    }
    Ok(())
}

/// Unlinks the table at `index`, if there is no leaf below it.
#[cold]
#[inline(never)]
fn replace_table<F: Groups, H: Host>(
    table: &Table<'_, F>,
    cx: &mut Cx<'_, F, H>,
    index: usize,
    entry: Entry<F>,
    va: u64,
) -> Result<(), Stop> {
    let level = table.level();
    let memory = &cx.host.domain().memory;
    if entry.kind == Kind::Foreign {
        return Err(cx.stop(Error::Foreign { va, level, raw: entry.raw.to_u64() }));
    }
    if entry.kind != Kind::Table || level == 0 {
        // The item may be in the middle of a contiguous leaf.
        let va = lg2::align_down(va, F::entry_size_lg2(cx.common, level, entry.raw));
        return Err(cx.stop(Error::InUse { va, level }));
    }
    if table.descend(cx.common, memory, entry, |lower| has_leaf(lower, cx.common, memory)) {
        return Err(cx.stop(Error::InUse { va, level }));
    }
    cx.near.forget_below(level);
    let mut changes = Changes::NONE;
    clear_and_unlink::<F, ANY_LEVEL>(table, cx.common, memory, index..index + 1, &mut changes);
    if cx.common.has(Features::DMA_INCOHERENT) {
        table.flush(cx.domain(), index, 1);
    }
    let range = VaRange { va, last: va | lg2::low_mask(item_size_lg2::<F>(level)) };
    let gather = cx.replaced.get_or_insert_with(|| Gather::new(cx.host.clone(), GatherMode::Immediate));
    // SAFETY: the tables were linked below a table of this domain.
    unsafe { gather.add(cx.common, cx.host, range, changes) };
    if F::QUIRKS.break_before_make {
        gather.sync();
    }
    Ok(())
}

/// Whether there is a leaf in `table` or below it.
fn has_leaf<F: Groups>(table: &Table<'_, F>, common: &Common<F>, memory: &impl crate::memory::TableMemory) -> bool {
    (0..table.items()).any(|index| {
        let entry = table.load(common, index);
        match entry.kind {
            Kind::Empty => false,
            // What is not known is kept.
            Kind::Leaf | Kind::Foreign => true,
            Kind::Table => table.descend(common, memory, entry, |lower| has_leaf(lower, common, memory)),
        }
    })
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
        match make_lower::<F, H, LEVEL>(table, cx, index, entry)? {
            Some(raw) => raw,
            None => return Ok(()),
        }
    };
    let (common, host) = (cx.common, cx.host);
    if common.has(Features::DMA_INCOHERENT) && entry & flush_done_bit(common) == zero::<F>() {
        // Another thread installed it, and may not have finished its flush.
        table.flush(host.domain(), index, 1);
    }
    let entry = Entry { raw: entry, kind: Kind::Table };
    table.descend(common, &host.domain().memory, entry, |lower| below(lower, cx))
}

/// The error for a leaf, or a foreign item, where a table would have to be.
#[cold]
#[inline(never)]
fn in_the_way<F: Groups>(common: &Common<F>, va: u64, level: u32, entry: Entry<F>) -> Error {
    if entry.kind == Kind::Foreign {
        let va = lg2::align_down(va, item_size_lg2::<F>(level));
        return Error::Foreign { va, level, raw: entry.raw.to_u64() };
    }
    Error::InUse { va: lg2::align_down(va, F::entry_size_lg2(common, level, entry.raw)), level }
}

/// Installs a table at `index`, where `entry` is none. The item that points to it; `None` if it is full of leaves.
#[inline(always)]
fn make_lower<F: Groups, H: Host, const LEVEL: u32>(
    table: &Table<'_, F>,
    cx: &mut Cx<'_, F, H>,
    index: usize,
    mut entry: Entry<F>,
) -> Result<Option<F::Item>, Stop> {
    loop {
        match entry.kind {
            Kind::Empty => {}
            // Another thread was first.
            Kind::Table => return Ok(Some(entry.raw)),
            Kind::Leaf | Kind::Foreign => {
                let error = in_the_way(cx.common, cx.va, LEVEL, entry);
                return Err(cx.stop(error));
            }
        }
        let (lower, filled_bytes_minus_1) = match new_filled::<F, H, LEVEL>(cx) {
            Some(filled) => filled.map_err(|error| cx.stop(error))?,
            None => {
                let empty = NewTable::empty(cx.common, &cx.domain().memory, LEVEL - 1, cx.va);
                (empty.map_err(|error| cx.stop(error))?, None)
            }
        };
        let incoherent = cx.common.has(Features::DMA_INCOHERENT);
        if incoherent {
            lower.flush(&cx.domain().driver);
        }
        let item = match table.install_table(cx.common, index, entry, lower).map_err(|error| cx.stop(error))? {
            Swap::Lost(found) => {
                entry = found;
                continue;
            }
            Swap::Done(item) => item,
        };
        if incoherent {
            table.flush(cx.domain(), index, 1);
            table.set_bits(index, flush_done_bit(cx.common));
        }
        if let Some(bytes_minus_1) = filled_bytes_minus_1 {
            cx.advance(bytes_minus_1);
            return Ok(None);
        }
        return Ok(Some(item | if incoherent { flush_done_bit(cx.common) } else { zero::<F>() }));
    }
}

#[inline(always)]
fn zero<F: Groups>() -> F::Item {
    F::Item::ZERO
}

/// What [`new_filled`] made: the table, and how many bytes (less one) it maps.
type Filled<'m, F, M> = Result<(NewTable<'m, F, M>, Option<u64>), Error>;

/// A table for the level below `LEVEL` already filled with leaves, if the range covers all of it and they are all there.
///
/// That is so when the position and the OA allow one size of that level for the whole table: both are then aligned alike
/// everywhere in it. Filling it while it is private needs no atomics, no zeroing and no check for what is there; it is safe
/// only because the range covers the whole item, so that nobody else can install a table there.
#[inline(always)]
fn new_filled<'m, F: Groups, H: Host, const LEVEL: u32>(cx: &Cx<'m, F, H>) -> Option<Filled<'m, F, H::Memory>> {
    let item_lg2 = item_size_lg2::<F>(LEVEL);
    let bytes_minus_1 = lg2::low_mask(item_lg2);
    let end = cx.va.wrapping_add(bytes_minus_1);
    if !lg2::is_aligned(cx.va, item_lg2) || end > cx.last || end < cx.va {
        return None;
    }
    let size_lg2 = cx.size_at(LEVEL - 1, end)?;
    let same_sizes = |oa| F::sizes_for_oa(cx.common, cx.sizes, oa);
    if same_sizes(cx.oa) != same_sizes(cx.oa.wrapping_add(bytes_minus_1)) {
        return None;
    }
    debug_assert!(size_lg2 < item_lg2 && items_lg2::<F>(LEVEL - 1) < 32);
    if !is_read_as_leaf(cx, LEVEL - 1, size_lg2) {
        return Some(Err(Error::LeafNotRead { va: cx.va, level: LEVEL - 1 }));
    }
    let memory = &cx.host.domain().memory;
    let leaf = cx.leaf(LEVEL - 1, size_lg2);
    let is_plain = size_lg2 == item_size_lg2::<F>(LEVEL - 1);
    let table = match leaf.steps(1 << items_lg2::<F>(LEVEL - 1)) {
        Some(mut steps) if is_plain || F::OA_STYLE == OaStyle::Item => {
            NewTable::filled(cx.common, memory, LEVEL - 1, cx.va, |_| steps.next().unwrap_or(F::Item::ZERO))
        }
        _ => NewTable::filled(cx.common, memory, LEVEL - 1, cx.va, |n| leaf.item(n as u64)),
    };
    Some(table.map(|table| (table, Some(bytes_minus_1))))
}
