//! Layer 2: tables in memory. The only module that makes references to table memory out of pointers.
//!
//! What makes that sound, for the whole crate:
//!
//! 1. **Every table item in a reachable table points to a live table of the level below.** Items become reachable only
//!    through [`Table::install_table`] and [`NewTable`], from tables that [`NewTable::alloc`] made; the top word of a
//!    table object is set from them too. The format is trusted to give back the address it was given (checked at each
//!    install) and to tell its own table items from others.
//! 2. **A table is freed only when nothing can reach it**: through an [`Unlinked`](crate::unlinked::UnlinkedList) list after
//!    its item was cleared, by whoever held the range that the item covers; or with the whole tree, which needs the
//!    table object by value or `&mut`.
//! 3. Items are only accessed as atomics of their own width, except in a [`NewTable`], which nobody else can see. (The AND and the OR
//!    of many may use of each load only a part: [`Item::and_all`].)

use crate::driver::{Domain, Driver};
use crate::error::Error;
use crate::format::{Common, Description, Groups, Kind, item_size_lg2, items_lg2};
use crate::item::Item;
use crate::item::prefetch::{self, Part};
use crate::lg2;
use crate::memory::TableMemory;
use core::ptr::NonNull;
use core::sync::atomic::Ordering;

mod new;
mod run;

pub(crate) use new::{NewTable, table_item_for};
pub(crate) use run::Run;
use run::{differing, from_memory, to_memory};

/// A reachable table: a view of its items as atomics.
#[allow(missing_debug_implementations, reason = "only named by expansions")]
pub struct Table<'t, F: Description> {
    items: &'t [<F::Item as Item>::Atomic],
    level: u32,
}

/// A reachable table of `LEVEL`: the view that functions hand on in registers.
#[allow(missing_debug_implementations, reason = "only named by expansions")]
pub struct TableOf<'t, F: Description, const LEVEL: u32>(&'t [<F::Item as Item>::Atomic]);

impl<'t, F: Groups, const LEVEL: u32> TableOf<'t, F, LEVEL> {
    /// The view with all that can be done with a table.
    #[inline(always)]
    pub(crate) fn table(self) -> Table<'t, F> {
        Table { items: self.0, level: LEVEL }.at_level::<LEVEL>()
    }
}

/// What a load found in one slot.
#[derive(Clone, Copy)]
pub(crate) struct Entry<F: Description> {
    pub(crate) raw: F::Item,
    pub(crate) kind: Kind,
}

/// Whether the items of an entry were as they had to be.
pub(crate) enum Swap<F: Description> {
    /// The item is the new one: this one.
    Done(F::Item),
    /// Another thread was first; this is what it wrote.
    Lost(Entry<F>),
}

impl<'t, F: Groups> Table<'t, F> {
    /// The view of the table at `page`.
    ///
    /// # Safety
    /// `page` is a live table of `level` with `2^items_lg2` items, and stays so for `'t`.
    #[inline(always)]
    pub(crate) unsafe fn at(page: NonNull<u8>, level: u32, items_lg2: u32) -> Self {
        // SAFETY: the caller's promise.
        unsafe { Self::of(page, level, 1 << items_lg2) }
    }

    /// The view of the table at `page`.
    ///
    /// # Safety
    /// `page` is a live table of `level` with `items` items, a power of two, and stays so for `'t`.
    #[inline(always)]
    pub(crate) unsafe fn of(page: NonNull<u8>, level: u32, items: usize) -> Self {
        // SAFETY: the caller promises a live table of that many items; tables are aligned to at least 8 bytes, which is
        // the largest alignment of an item's atomic; all access to reachable tables is atomic (rule 3).
        let items = unsafe { core::slice::from_raw_parts(page.as_ptr().cast::<<F::Item as Item>::Atomic>(), items) };
        Self { items, level }
    }

    /// The same view with the level as a constant, which it has to be already.
    ///
    /// # Panics
    /// If it is another: what lies below would be taken for something else. The expansion's walkers pass the right one.
    #[inline(always)]
    pub(crate) fn at_level<const LEVEL: u32>(&self) -> Self {
        assert!(self.level == LEVEL, "the walker of another level");
        if LEVEL < F::MIN_TOP_LEVEL {
            // SAFETY: the same table, live for `'t`; tables of a level that cannot be the top have the regular number of items.
            return unsafe { Self::at(self.page(), LEVEL, items_lg2::<F>(LEVEL)) };
        }
        Self { items: self.items, level: LEVEL }
    }

    /// The same view by a type that names the level, which it has to be already.
    ///
    /// # Panics
    /// As [`at_level`](Self::at_level).
    #[inline(always)]
    pub fn of_level<const LEVEL: u32>(&self) -> TableOf<'t, F, LEVEL> {
        assert!(self.level == LEVEL, "the walker of another level");
        TableOf(self.items)
    }

    /// The same view once more: what is handed to a function that is not inlined has to lie in memory.
    #[inline(always)]
    pub(crate) fn copy(&self) -> Self {
        Self { ..*self }
    }

    #[inline(always)]
    pub(crate) fn level(&self) -> u32 {
        self.level
    }

    /// Number of items.
    #[inline(always)]
    pub(crate) fn items(&self) -> usize {
        self.items.len()
    }

    /// The index of `va` in this table. (A table has a power of two of items; the VA was checked against the top.)
    #[inline(always)]
    pub(crate) fn index(&self, va: u64) -> usize {
        lg2::shr(va, item_size_lg2::<F>(self.level)) as usize & self.items.len().wrapping_sub(1)
    }

    /// The first byte of table memory, to know a table by.
    #[inline(always)]
    pub(crate) fn page(&self) -> NonNull<u8> {
        NonNull::from(self.items).cast()
    }

    /// The first byte of the table of a regular size, of those that this one consists of, that covers `va`; `None` if it is smaller.
    #[inline(always)]
    pub(crate) fn regular_page(&self, va: u64) -> Option<NonNull<u8>> {
        let items = 1 << items_lg2::<F>(self.level);
        if self.items.len() == items {
            return Some(self.page());
        }
        core::hint::cold_path();
        let first = self.index(va) & !(items - 1);
        self.items.get(first..first + items).map(|part| NonNull::from(part).cast())
    }

    /// The item at `index` without a look at what it is; zero beyond the end.
    #[inline(always)]
    pub(crate) fn load_raw(&self, index: usize) -> F::Item {
        self.items.get(index).map_or(F::Item::ZERO, |item| from_memory::<F>(F::Item::load(item, Ordering::Acquire)))
    }

    /// The item at `index`; empty beyond the end.
    #[inline(always)]
    pub(crate) fn load(&self, common: &Common<F>, index: usize) -> Entry<F> {
        match self.items.get(index) {
            Some(item) => Entry::new(common, self.level, from_memory::<F>(F::Item::load(item, Ordering::Acquire))),
            None => Entry { raw: F::Item::ZERO, kind: Kind::Empty },
        }
    }

    /// The items from `index` on, and the first of them, if that is a leaf.
    #[inline(always)]
    pub(crate) fn leaf_run(&self, common: &Common<F>, index: usize) -> Option<(Run<'t, F>, F::Item)> {
        let run = self.rest(index)?;
        let raw = from_memory::<F>(F::Item::load(run.0.first()?, Ordering::Acquire));
        F::is_leaf(common, self.level, raw).then_some((run, raw))
    }

    /// The item at `index`.
    ///
    /// # Safety
    /// `index` is below the number of items.
    #[inline(always)]
    pub(crate) unsafe fn load_inside(&self, common: &Common<F>, index: usize) -> Entry<F> {
        // SAFETY: the caller's promise.
        let item = unsafe { self.items.get_unchecked(index) };
        Entry::new(common, self.level, from_memory::<F>(F::Item::load(item, Ordering::Acquire)))
    }

    /// Writes a run of items, one by one, in order.
    #[inline(always)]
    pub(crate) fn store_run(&self, first: usize, count: usize, mut item: impl FnMut(usize) -> F::Item) {
        if let Some(run) = self.items.get(first..first + count) {
            for (n, slot) in run.iter().enumerate() {
                F::Item::store(slot, to_memory::<F>(item(n)), Ordering::Release);
            }
        }
    }

    /// The same for a long run: more are written for each turn of the loop.
    #[inline(always)]
    pub(crate) fn store_long_run(&self, first: usize, count: usize, mut item: impl FnMut(usize) -> F::Item) {
        let Some(run) = self.items.get(first..first + count) else { return };
        let (many, rest) = run.as_chunks::<32>();
        let mut n = 0;
        let mut store = |slot| {
            F::Item::store(slot, to_memory::<F>(item(n)), Ordering::Release);
            n += 1;
        };
        many.iter().for_each(|slots| slots.iter().for_each(&mut store));
        rest.iter().for_each(&mut store);
    }

    /// `N` items from `first` on, if there are so many.
    #[inline(always)]
    pub(crate) fn items_at<const N: usize>(&self, first: usize) -> Option<&'t [<F::Item as Item>::Atomic; N]> {
        self.items.get(first..first + N)?.as_array()
    }

    /// The items from `first` on; `None` beyond the end.
    #[inline(always)]
    pub(crate) fn rest(&self, first: usize) -> Option<Run<'t, F>> {
        self.items.get(first..).map(Run)
    }

    /// The items from `first` on; none beyond the end.
    #[inline(always)]
    pub(crate) fn run_from(&self, first: usize) -> Run<'t, F> {
        self.rest(first).unwrap_or(Run(&[]))
    }

    /// Writes the items of a run as long as those there are what empty items are. What is left of it. (The format may take
    /// others for empty too.)
    ///
    /// `next` is called once for each item written, in their order.
    #[inline(always)]
    pub(crate) fn store_where_empty<'r>(
        &self,
        common: &Common<F>,
        mut run: Run<'r, F>,
        mut next: impl FnMut() -> F::Item,
    ) -> Run<'r, F> {
        // Several at a time: looked at together, then written.
        while self.store_if_empty::<16>(common, &mut run, &mut next) {}
        if run.0.is_empty() {
            return run;
        }
        self.store_if_empty::<8>(common, &mut run, &mut next);
        self.store_if_empty::<4>(common, &mut run, &mut next);
        self.store_if_empty::<2>(common, &mut run, &mut next);
        self.store_if_empty::<1>(common, &mut run, &mut next);
        run
    }

    /// Writes the first `N` items of a run, and takes them out of it, if it has so many and all are what empty items are.
    #[inline(always)]
    fn store_if_empty<const N: usize>(
        &self,
        common: &Common<F>,
        run: &mut Run<'_, F>,
        next: &mut impl FnMut() -> F::Item,
    ) -> bool {
        let Some((some, rest)) = run.0.split_first_chunk::<N>() else { return false };
        let is_empty = self.store_all_if_empty(common, some, next);
        if is_empty {
            run.0 = rest;
        }
        is_empty
    }

    /// Writes the same to many items, if all are what empty items are.
    #[inline(always)]
    pub(crate) fn fill_if_empty(&self, common: &Common<F>, run: Run<'_, F>, item: F::Item) -> bool {
        let is_empty = self.are_empty(common, run.0);
        if is_empty {
            run.fill(to_memory::<F>(item));
        }
        is_empty
    }

    /// Writes some items, if all are what empty items are.
    #[inline(always)]
    pub(crate) fn store_all_if_empty<const N: usize>(
        &self,
        common: &Common<F>,
        slots: &[<F::Item as Item>::Atomic; N],
        next: &mut impl FnMut() -> F::Item,
    ) -> bool {
        let is_empty = self.are_empty(common, slots);
        if is_empty {
            for slot in slots {
                F::Item::store(slot, to_memory::<F>(next()), Ordering::Release);
            }
        }
        is_empty
    }

    /// Makes the first item of a run empty, which was read as `like`, and those behind it up to the first that differs from that in
    /// one of `bits`. How many.
    #[inline(always)]
    pub(crate) fn clear_alike(&self, common: &Common<F>, run: Run<'_, F>, like: F::Item, bits: F::Item) -> usize {
        let empty = to_memory::<F>(F::empty_item(common, self.level));
        run.take_alike(like, bits, |slot| F::Item::store(slot, empty, Ordering::Release))
    }

    /// The number of items that [`clear_alike`](Self::clear_alike) would take.
    #[inline(always)]
    pub(crate) fn count_alike(&self, run: Run<'_, F>, like: F::Item, bits: F::Item) -> usize {
        run.take_alike(like, bits, |_| {})
    }

    /// The index of the first item from `first` on that is not what empty items are. (The format may take others for empty too.)
    #[inline(always)]
    pub(crate) fn next_differing_from_empty(&self, common: &Common<F>, first: usize) -> Option<usize> {
        let run = self.items.get(first..)?;
        let empty = to_memory::<F>(F::empty_item(common, self.level));
        let differs = |slot: &<F::Item as Item>::Atomic| F::Item::load(slot, Ordering::Relaxed) != empty;
        // Where items are dense it is the next one.
        if run.first().is_some_and(differs) {
            return Some(first);
        }
        // Most items of most tables are empty: many at a time, then fewer, all from a border of eight on.
        let border = run.as_ptr().align_offset(8 << F::Item::BYTES_LG2) & 7;
        let (before, mut rest) = run.split_at_checked(border).unwrap_or((run, &[]));
        if let Some(index) = before.iter().position(differs) {
            return Some(first + index);
        }
        Self::skip_empty::<256>(&mut rest, empty);
        Self::skip_empty::<64>(&mut rest, empty);
        Self::skip_empty::<8>(&mut rest, empty);
        rest.iter().position(differs).map(|index| self.items.len() - rest.len() + index)
    }

    /// Takes off a run what it begins with, while `N` items together are what empty ones are.
    #[inline(always)]
    fn skip_empty<const N: usize>(run: &mut &[<F::Item as Item>::Atomic], empty: F::Item) {
        while let Some((some, rest)) = run.split_first_chunk::<N>() {
            if differing::<F>(some, empty) != F::Item::ZERO {
                break;
            }
            *run = rest;
        }
    }

    /// Whether a run of items is what empty items are. (The format may take others for empty too.)
    #[inline(always)]
    pub(crate) fn is_run_empty(&self, common: &Common<F>, first: usize, count: usize) -> bool {
        self.items.get(first..first + count).is_some_and(|run| self.are_empty(common, run))
    }

    #[inline(always)]
    fn are_empty(&self, common: &Common<F>, slots: &[<F::Item as Item>::Atomic]) -> bool {
        differing::<F>(slots, to_memory::<F>(F::empty_item(common, self.level))) == F::Item::ZERO
    }

    /// The number of items from `first` on, at most `count`, of which the first is `item` and each other the one before plus
    /// `step`, whatever their `ignored` bits are.
    #[inline(always)]
    pub(crate) fn count_in_steps(
        &self,
        first: usize,
        count: usize,
        item: F::Item,
        step: F::Item,
        ignored: F::Item,
    ) -> usize {
        let Some(run) = self.items.get(first..first + count) else { return 0 };
        let mut expected = item;
        let mut differing = |slots: &[<F::Item as Item>::Atomic]| {
            let bits = slots.iter().fold(F::Item::ZERO, |bits, slot| {
                let bits = bits | (from_memory::<F>(F::Item::load(slot, Ordering::Acquire)) ^ expected);
                expected = expected.wrapping_add(step);
                bits
            });
            bits & !ignored
        };
        // Eight at a time, for one test of all; then those of the eight that are not all so.
        let (eights, _) = run.as_chunks::<8>();
        let same = eights.iter().take_while(|eight| differing(*eight) == F::Item::ZERO).count() * 8;
        expected = item.wrapping_add(step.wrapping_times(same as u64));
        let rest = run.get(same..).unwrap_or(&[]).iter();
        let is_same = |slot: &&<F::Item as Item>::Atomic| {
            let differs = (from_memory::<F>(F::Item::load(slot, Ordering::Acquire)) ^ expected) & !ignored;
            expected = expected.wrapping_add(step);
            differs == F::Item::ZERO
        };
        same + rest.take_while(is_same).count()
    }

    /// Whether all items are leaves, as far as the bits tell that they have in common: none is empty, and those bits alone make
    /// a leaf. (What a bit makes foreign that only some have is not noticed; nor, where the bits of all are looked at together, one
    /// that only some lack.)
    #[inline(always)]
    pub(crate) fn is_all_leaves(&self, common: &Common<F>) -> bool {
        let (empty, told) = (F::empty_item(common, self.level), F::nonempty_bits(common, self.level));
        // A bit that empty items have not is set in all of these, or one that they have is clear in all. A format that has both
        // kinds is asked for the second.
        let (bits, told) = if told & empty == F::Item::ZERO {
            (F::Item::and_all(self.items), told)
        } else {
            (F::Item::or_all(self.items), told & empty)
        };
        let bits = from_memory::<F>(bits);
        (bits ^ empty) & told != F::Item::ZERO && F::kind(common, self.level, bits) == Kind::Leaf
    }

    /// Writes one item, with release order.
    #[inline(always)]
    pub(crate) fn store(&self, index: usize, item: F::Item) {
        if let Some(slot) = self.items.get(index) {
            F::Item::store(slot, to_memory::<F>(item), Ordering::Release);
        }
    }

    /// Writes *empty* to a run of items.
    #[inline(always)]
    pub(crate) fn clear_run(&self, common: &Common<F>, first: usize, count: usize) {
        self.store_run(first, count, |_| F::empty_item(common, self.level));
    }

    /// Writes *empty* to the items of a leaf of several: a power of two, not 1.
    #[inline(always)]
    pub(crate) fn clear_leaf(&self, common: &Common<F>, run: Run<'_, F>) {
        let empty = to_memory::<F>(F::empty_item(common, self.level));
        debug_assert!(run.items().is_power_of_two() && run.items() > 1);
        let clear = |slots: &[<F::Item as Item>::Atomic]| {
            slots.iter().for_each(|slot| F::Item::store(slot, empty, Ordering::Release));
        };
        // Each piece is as long as what is before it.
        run.0.get(..2).map(clear);
        run.0.get(2..4).map(clear);
        run.0.get(4..8).map(clear);
        if let Some(behind) = run.0.get(8..) {
            behind.as_chunks::<8>().0.iter().for_each(|piece| clear(piece));
        }
    }

    /// Replaces one item if it is still `old`.
    #[inline(always)]
    pub(crate) fn swap(&self, common: &Common<F>, index: usize, old: Entry<F>, new: F::Item) -> Swap<F> {
        let Some(slot) = self.items.get(index) else {
            return Swap::Lost(Entry { raw: F::Item::ZERO, kind: Kind::Empty });
        };
        let (old, in_memory) = (to_memory::<F>(old.raw), to_memory::<F>(new));
        match F::Item::compare_exchange(slot, old, in_memory, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Swap::Done(new),
            Err(found) => Swap::Lost(Entry::new(common, self.level, from_memory::<F>(found))),
        }
    }

    /// Changes each item of a run by `change`, losing no concurrent write of hardware to other bits.
    #[inline(always)]
    pub(crate) fn update_run(&self, first: usize, count: usize, change: impl Fn(F::Item) -> F::Item) {
        let Some(run) = self.items.get(first..first + count) else { return };
        for slot in run {
            let mut old = F::Item::load(slot, Ordering::Acquire);
            loop {
                let new = to_memory::<F>(change(from_memory::<F>(old)));
                if new == old {
                    break;
                }
                match F::Item::compare_exchange(slot, old, new, Ordering::AcqRel, Ordering::Acquire) {
                    Ok(_) => break,
                    Err(found) => old = found,
                }
            }
        }
    }

    /// Sets bits of one item, with release order.
    #[inline(always)]
    pub(crate) fn set_bits(&self, index: usize, bits: F::Item) {
        if let Some(slot) = self.items.get(index) {
            F::Item::fetch_or(slot, to_memory::<F>(bits), Ordering::Release);
        }
    }

    /// Makes `table` reachable at `index`, in release order, if that item is still `old`.
    ///
    /// # Errors
    /// [`Error::TableAddress`] if the format cannot store the address. The table is given back with every failure.
    #[inline]
    pub(crate) fn install_table<M: TableMemory>(
        &self,
        common: &Common<F>,
        index: usize,
        old: Entry<F>,
        table: NewTable<'_, F, M>,
    ) -> Result<Swap<F>, Error> {
        let item = table.item_for(common)?;
        let swap = self.swap(common, index, old, item);
        if matches!(swap, Swap::Done(_)) {
            table.keep();
        }
        Ok(swap)
    }

    /// Runs `visit` on the table that the item `entry`, just loaded from this table, points to.
    ///
    /// The view cannot leave `visit`: the lower table may be unlinked afterwards.
    #[inline(always)]
    pub(crate) fn descend<M: TableMemory, R>(
        &self,
        common: &Common<F>,
        memory: &M,
        entry: Entry<F>,
        visit: impl FnOnce(&Table<'_, F>) -> R,
    ) -> R {
        let page = self.lower_page(common, memory, entry);
        let level = self.level.saturating_sub(1);
        // SAFETY: `entry` is a table item of this table, which is reachable, so (rule 1) it points to a live table of the
        // level below, which is a regular one. It stays live during `visit` because (rule 2) only whoever holds the
        // range that the item covers can unlink it: that is the operation that is calling this.
        visit(&unsafe { Table::at(page, level, items_lg2::<F>(level)) })
    }

    /// The table that the item `entry`, just loaded from this table, points to.
    ///
    /// For who holds a range in what the item covers, and does not unlink that table while there is the view.
    #[inline(always)]
    pub(crate) fn lower<M: TableMemory>(&self, common: &Common<F>, memory: &M, entry: Entry<F>) -> Table<'t, F> {
        let page = self.lower_page(common, memory, entry);
        let level = self.level.saturating_sub(1);
        // SAFETY: as in `descend`: `'t` is within the operation that made the view of the top.
        unsafe { Table::at(page, level, items_lg2::<F>(level)) }
    }

    /// Asks for a part of the table that the item at `index` points to, if it does.
    ///
    /// For operations that come to it next: their range has to reach into the item. So nobody else holds all of what the item covers,
    /// and could unlink the table (rule 2), and they themselves have not been there yet. Who visits all tables while nobody changes
    /// any comes to it, too.
    #[inline(always)]
    pub(crate) fn prefetch_lower<M: TableMemory>(&self, common: &Common<F>, memory: &M, index: usize, part: Part) {
        // Of a few lines the processor fetches the rest while the first are worked on.
        let lower_items_lg2 = items_lg2::<F>(self.level.saturating_sub(1));
        if !prefetch::IS_THERE || lower_items_lg2 < 7 || index >= self.items() {
            return;
        }
        let entry = self.load(common, index);
        if entry.kind == Kind::Table && self.level > 0 {
            let bytes = 1 << lower_items_lg2 << F::Item::BYTES_LG2;
            prefetch::of(self.lower_page(common, memory, entry), bytes, part);
        }
    }

    /// The page of the table that `entry` points to.
    #[inline(always)]
    pub(crate) fn lower_page<M: TableMemory>(&self, common: &Common<F>, memory: &M, entry: Entry<F>) -> NonNull<u8> {
        debug_assert!(entry.kind == Kind::Table && self.level > 0);
        // SAFETY: the item was written from the physical address of a table of this memory that is live (rules 1, 2).
        unsafe { memory.at_pa(F::table_pa(common, self.level, entry.raw)) }
    }

    /// Flushes a run of items for an incoherent walker.
    #[inline(always)]
    pub(crate) fn flush<M, D: Driver>(&self, domain: &Domain<M, D>, first: usize, count: usize) {
        if let Some(run) = self.items.get(first..first + count)
            && count != 0
        {
            domain.driver.flush_cache(NonNull::from(run).cast(), count << F::Item::BYTES_LG2);
        }
    }
}

impl<F: Groups> Entry<F> {
    #[inline(always)]
    fn new(common: &Common<F>, level: u32, raw: F::Item) -> Self {
        Self { raw, kind: F::kind(common, level, raw) }
    }
}

/// Memory of the top table of `level`, as a power of two: as many items as `max_va_lg2` leaves for it, rounded up to the
/// alignment that the top pointer needs. With dynamic top below the highest level not more than a regular table.
pub(crate) fn top_size_lg2<F: Description>(common: &Common<F>, level: u32) -> u32 {
    let bytes_lg2 = top_items_lg2(common, level) + F::Item::BYTES_LG2;
    bytes_lg2.max(F::GEOMETRY.top_pa_mask.trailing_zeros().min(63))
}

/// Items of the top table of `level`, as a power of two.
#[inline(always)]
pub(crate) fn top_items_lg2<F: Description>(common: &Common<F>, level: u32) -> u32 {
    // With a deep top one item can cover more than all.
    top_va_lg2(common, level).saturating_sub(item_size_lg2::<F>(level))
}

/// VA bits that a top of `level` decodes.
#[inline(always)]
pub(crate) fn top_va_lg2<F: Description>(common: &Common<F>, level: u32) -> u32 {
    if level < F::MAX_TOP_LEVEL && common.has(crate::feature::Features::DYNAMIC_TOP) {
        common.max_va_lg2.min(item_size_lg2::<F>(level + 1))
    } else {
        common.max_va_lg2
    }
}
