//! Layer 2: a whole tree of tables: its top, in one word with its level, and the common part.

use crate::driver::Host;
use crate::feature::Features;
use crate::format::{Common, Description, Groups, Kind, MAX_LEVELS, item_size_lg2};
use crate::lg2;
use crate::memory::{Contents, TableMemory};
use crate::range::{self, VaRange};
use crate::seek::{At, Seeking};
use crate::table::{Entry, NewTable, Table, top_items_lg2, top_size_lg2, top_va_lg2};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

/// Bits of the top word that hold the level. Tables are aligned to at least 8.
const LEVEL_MASK: usize = 7;

/// The level of the top of four levels, as most tables have.
pub(crate) const USUAL_TOP_LEVEL: u32 = 3;

/// The tables of one table object, with what is the same for every format. Owns them: dropping frees all.
///
/// Algorithms (layer 3) are built on this; it knows none.
#[allow(missing_debug_implementations, reason = "only named by expansions")]
pub struct Tree<F: Groups, H: Host> {
    common: Common<F>,
    /// Pointer to the top table with its level in the low bits: one load gives a consistent pair.
    top: AtomicPtr<u8>,
    /// Whether a thread is changing the top.
    top_locked: AtomicBool,
    /// Its level, where it never changes.
    fixed_level: u32,
    /// Items of a top of each level, so that a walk needs not work them out.
    top_items: [usize; MAX_LEVELS],
    /// A VA with this added has no bits but these if the table decodes it.
    bias: u64,
    decoded: u64,
    /// The bits that no output address has.
    pub(crate) oa_beyond: u64,
    host: H,
}

/// The right to change the top. Given back when dropped, also if the driver panics.
pub(crate) struct TopLock<'t>(&'t AtomicBool);

impl Drop for TopLock<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// A top table: which one, and its level.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TopPtr {
    pub(crate) page: NonNull<u8>,
    pub(crate) level: u32,
}

fn join<F: Description>(page: NonNull<u8>, level: u32) -> *mut u8 {
    let level = if F::SUPPORTED.contains(Features::DYNAMIC_TOP) { level as usize } else { 0 };
    page.as_ptr().map_addr(|address| address | level)
}

impl<F: Groups, H: Host> Tree<F, H> {
    /// A tree of an empty top of `level`.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory), and [`Error::TableAddress`](crate::Error::TableAddress) if
    /// hardware cannot be pointed to the top's address.
    pub(crate) fn new(host: H, common: Common<F>, level: u32) -> Result<Self, crate::Error> {
        let domain = host.domain();
        let top = NewTable::empty_top(&common, &domain.memory, level, 0)?;
        let pa = top.pa();
        if pa & !F::GEOMETRY.top_pa_mask != 0 {
            return Err(crate::Error::TableAddress { pa, level });
        }
        if common.has(Features::DMA_INCOHERENT) {
            top.flush(&domain.driver);
        }
        let top = AtomicPtr::new(join::<F>(top.keep(), level));
        // Of the levels that this table's top can have: items of others would be too many for a word.
        let highest = if common.has(Features::DYNAMIC_TOP) { F::MAX_TOP_LEVEL } else { level };
        let mut top_items = [0; MAX_LEVELS];
        for (level, items) in (0..=highest).zip(&mut top_items).skip(level as usize) {
            if F::QUIRKS.deep_top || item_size_lg2::<F>(level) <= top_va_lg2(&common, level) {
                *items = 1 << top_items_lg2(&common, level);
            }
        }
        let (bias, decoded) = range::bounds(&common);
        let oa_beyond = !lg2::low_mask(common.max_oa_lg2);
        let top_locked = AtomicBool::new(false);
        Ok(Self { common, top, top_locked, fixed_level: level, top_items, bias, decoded, oa_beyond, host })
    }

    #[inline(always)]
    pub(crate) fn common(&self) -> &Common<F> {
        &self.common
    }

    #[inline(always)]
    pub(crate) fn host(&self) -> &H {
        &self.host
    }

    #[inline(always)]
    pub(crate) fn memory(&self) -> &H::Memory {
        &self.host.domain().memory
    }

    /// The top of this moment.
    #[inline(always)]
    pub(crate) fn top(&self) -> TopPtr {
        let (page, level) = if F::SUPPORTED.contains(Features::DYNAMIC_TOP) {
            let word = self.top.load(Ordering::Acquire);
            (word.map_addr(|address| address & !LEVEL_MASK), (word.addr() & LEVEL_MASK) as u32)
        } else {
            // The word is only the page. It never changes, so whoever has the tree sees it.
            (self.top.load(Ordering::Relaxed), self.fixed_level)
        };
        // SAFETY: the word was made by `join` from a page, which is not null and has no bits where the level is.
        TopPtr { page: unsafe { NonNull::new_unchecked(page) }, level }
    }

    /// Whether `top`, which [`top`](Self::top) gave, is of `LEVEL`.
    #[inline(always)]
    pub(crate) fn is_top<const LEVEL: u32>(&self, top: TopPtr) -> bool {
        if LEVEL == USUAL_TOP_LEVEL && !F::SUPPORTED.contains(Features::DYNAMIC_TOP) {
            // A top that never changes has items at its own level only: one comparison with memory, and the level is not loaded.
            self.top_items[USUAL_TOP_LEVEL as usize] != 0
        } else {
            top.level == LEVEL
        }
    }

    /// Waits until no other thread changes the top; none does while the result lives.
    pub(crate) fn lock_top(&self) -> TopLock<'_> {
        let lock = &self.top_locked;
        while lock.compare_exchange_weak(false, true, Ordering::Acquire, Ordering::Relaxed).is_err() {
            core::hint::spin_loop();
        }
        TopLock(lock)
    }

    /// Makes `table`, which links to the old top, the top. The top is locked.
    pub(crate) fn publish_top(&self, table: NewTable<'_, F, H::Memory>) {
        let level = table.level();
        self.top.store(join::<F>(table.keep(), level), Ordering::Release);
    }

    /// Whether the highest top decodes the range.
    #[inline(always)]
    pub(crate) fn decodes_range(&self, range: VaRange) -> bool {
        // With sign extension the upper half comes first: a range from one half into the other ends before it begins.
        let (first, end) = (range.va.wrapping_add(self.bias), range.last.wrapping_add(self.bias));
        first <= end && end <= self.decoded
    }

    /// Whether a top of `LEVEL` decodes `va`.
    #[inline(always)]
    fn decodes<const LEVEL: u32>(&self, va: u64) -> bool {
        // For most formats without sign extension the prefix is the constant zero.
        let is_plain = !F::SUPPORTED.contains(Features::SIGN_EXTEND) && F::va_prefix(&self.common) == 0;
        let biased = if is_plain { va } else { va.wrapping_add(self.bias) };
        let grown = !self.common.has(Features::DYNAMIC_TOP) || LEVEL >= F::MAX_TOP_LEVEL;
        biased <= self.decoded && (grown || lg2::shr(va, item_size_lg2::<F>(LEVEL + 1)) == 0)
    }

    /// Begins a walk to `va` at `top`, which [`top`](Self::top) gave, if that is of `LEVEL` and decodes it.
    #[inline(always)]
    pub(crate) fn enter<S, const LEVEL: u32>(&self, top: TopPtr, va: u64, seek: S) -> Option<At<'_, F, H::Memory, S>> {
        let items = self.top_items[const { if LEVEL < MAX_LEVELS as u32 { LEVEL as usize } else { 0 } }];
        if !self.is_top::<LEVEL>(top) || !self.decodes::<LEVEL>(va) {
            return None;
        }
        // SAFETY: as in `with`; and the view is for a walk to one VA, see `Table::lower`.
        let table = unsafe { Table::of(top.page, LEVEL, items) };
        // Without the bits above those that it decodes: copies of the sign, or the prefix.
        let index = lg2::shr(va & self.decoded, item_size_lg2::<F>(LEVEL)) as usize;
        let walk = Seeking { common: self.common, memory: self.memory(), va, index, seek };
        Some((table, walk))
    }

    /// Runs `visit` on the top table of this moment.
    #[inline(always)]
    pub(crate) fn with_top<R>(&self, visit: impl FnOnce(&Table<'_, F>) -> R) -> R {
        self.with(self.top(), visit)
    }

    /// Runs `visit` on `top`, which [`top`](Self::top) gave during this operation.
    #[inline(always)]
    pub(crate) fn with<R>(&self, top: TopPtr, visit: impl FnOnce(&Table<'_, F>) -> R) -> R {
        let items = self.top_items.get(top.level as usize).copied().unwrap_or(0);
        // SAFETY: the word always holds a table made by `NewTable::empty_top` for that level, which has that many items.
        // Tops are only freed by `drop`; one that became a lower table is only unlinked by an operation that holds the
        // whole range it covers, so not while this one holds a part of it.
        visit(&unsafe { Table::of(top.page, top.level, items) })
    }

    /// The lowest table on the way to `va`, which `top` decodes. [`top`](Self::top) gave that during this operation.
    ///
    /// For walks that hold the VA's range, and unlink nothing while they have the view.
    pub(crate) fn lowest(&self, top: TopPtr, va: u64) -> Table<'_, F> {
        let items = self.top_items.get(top.level as usize).copied().unwrap_or(0);
        // SAFETY: as in `with`; the range is held as long as there is a view: the caller's borrow of this tree, as long as
        // the view's, is of an operation that holds it.
        let mut table = unsafe { Table::of(top.page, top.level, items) };
        while table.level() > 0 {
            let entry = table.load(&self.common, table.index(va));
            if entry.kind != Kind::Table {
                break;
            }
            table = table.lower(&self.common, self.memory(), entry);
        }
        table
    }

    /// The lowest table on the way down from `top`, which decodes it, in which `range` lies, and which has more than that. The
    /// way goes only through table items that `enters` says. [`top`](Self::top) gave the top during this operation.
    ///
    /// For operations that hold the range.
    #[inline(always)]
    pub(crate) fn holding(&self, top: TopPtr, range: VaRange, enters: impl Fn(F::Item) -> bool) -> Table<'_, F> {
        let items = self.top_items.get(top.level as usize).copied().unwrap_or(0);
        // SAFETY: as in `with`; the operation unlinks only tables that its range covers whole, so none of these. It has this
        // tree for as long as it runs.
        let mut table = unsafe { Table::of(top.page, top.level, items) };
        while let Some(lower) = self.lower_holding(&table, range, &enters) {
            table = lower;
        }
        table
    }

    /// The table below `table`, if `range`, which lies in `table`, lies in one item and is not all of it, and `enters` says so of that item.
    ///
    /// For operations that hold the range: they unlink only tables that it covers whole, so not this one.
    #[inline(always)]
    pub(crate) fn lower_holding<'t>(
        &self,
        table: &Table<'t, F>,
        range: VaRange,
        enters: impl Fn(F::Item) -> bool,
    ) -> Option<Table<'t, F>> {
        let item_lg2 = item_size_lg2::<F>(table.level());
        let is_inside = lg2::same_block(range.va, range.last, item_lg2);
        if table.level() == 0 || !is_inside || range.last - range.va == lg2::low_mask(item_lg2) {
            return None;
        }
        let entry = table.load(&self.common, table.index(range.va));
        let is_entered = entry.kind == Kind::Table && enters(entry.raw);
        is_entered.then(|| table.lower(&self.common, self.memory(), entry))
    }

    /// Frees all tables below `table`, whose items are not looked at again.
    fn free_below(&self, table: &Table<'_, F>) {
        if table.level() == 0 {
            return;
        }
        for index in 0..table.items() {
            let entry = table.load(&self.common, index);
            if entry.kind != Kind::Table {
                continue;
            }
            table.descend(&self.common, self.memory(), entry, |lower| self.free_below(lower));
            // SAFETY: the lower tables are gone; nobody reaches it but through this item, which is not looked at again.
            unsafe { self.free_lower(table, entry) };
        }
    }

    /// Frees the table that an item of `table`, just loaded from it, points to.
    ///
    /// # Safety
    /// The tables below that one are gone, and nobody reaches it any more: the item is not followed again.
    pub(crate) unsafe fn free_lower(&self, table: &Table<'_, F>, entry: Entry<F>) {
        let page = table.lower_page(&self.common, self.memory(), entry);
        let size_lg2 = F::GEOMETRY.table_lg2(table.level().saturating_sub(1));
        // SAFETY: a regular table of the level below, allocated with this size; the rest is the caller's promise.
        unsafe { self.memory().free(page, size_lg2, Contents::Unknown) };
    }
}

impl<F: Groups, H: Host> Drop for Tree<F, H> {
    fn drop(&mut self) {
        let top = self.top();
        self.with_top(|table| self.free_below(table));
        // SAFETY: the top was allocated with this size, everything below it is gone, and `&mut self` is the last user.
        unsafe { self.memory().free(top.page, top_size_lg2(&self.common, top.level), Contents::Unknown) };
    }
}
