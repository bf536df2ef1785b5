//! Tables that nobody else can see yet.

use super::{to_memory, top_size_lg2};
use crate::driver::Driver;
use crate::error::Error;
use crate::format::{Common, Groups, Kind};
use crate::item::Item;
use crate::lg2;
use crate::memory::{Contents, PageRequest, TableMemory};
use crate::unlinked::table_pa_lg2;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

/// A table that was allocated and that nobody else can see yet. Freed when dropped.
pub(crate) struct NewTable<'m, F: Groups, M: TableMemory> {
    page: NonNull<u8>,
    size_lg2: u32,
    level: u32,
    memory: &'m M,
    format: core::marker::PhantomData<F>,
}

impl<'m, F: Groups, M: TableMemory> NewTable<'m, F, M> {
    /// A regular table of `level` with every item empty, for `va` (which only errors tell).
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    #[inline]
    pub(crate) fn empty(common: &Common<F>, memory: &'m M, level: u32, va: u64) -> Result<Self, Error> {
        Self::alloc_empty(common, memory, level, F::GEOMETRY.table_lg2(level), F::table_pa_lg2(common), va)
    }

    /// A top table of `level` with every item empty, where the hardware's top pointer reaches.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub(crate) fn empty_top(common: &Common<F>, memory: &'m M, level: u32, va: u64) -> Result<Self, Error> {
        let pa_lg2 = F::table_pa_lg2(common).min(F::GEOMETRY.top_pa_lg2());
        Self::alloc_empty(common, memory, level, top_size_lg2(common, level), pa_lg2, va)
    }

    /// A regular table of `level`, each item from `item`.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    #[inline(always)]
    pub(crate) fn filled(
        common: &Common<F>,
        memory: &'m M,
        level: u32,
        va: u64,
        item: impl FnMut(usize) -> F::Item,
    ) -> Result<Self, Error> {
        let mut table = Self::alloc_to_fill(common, memory, level, va)?;
        table.fill(item);
        Ok(table)
    }

    /// A regular table of `level`, whose first item is `item`, and each other the one before plus `step`: for steps that are constants,
    /// so that the compiler makes vectors of the sums.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    #[inline(always)]
    pub(crate) fn filled_in_steps(
        common: &Common<F>,
        memory: &'m M,
        level: u32,
        va: u64,
        item: F::Item,
        step: F::Item,
    ) -> Result<Self, Error> {
        let mut table = Self::alloc_to_fill(common, memory, level, va)?;
        table.fill_in_steps(item, step);
        Ok(table)
    }

    #[inline(always)]
    fn alloc_to_fill(common: &Common<F>, memory: &'m M, level: u32, va: u64) -> Result<Self, Error> {
        let request = PageRequest {
            size_lg2: F::GEOMETRY.table_lg2(level),
            contents: Contents::Unknown,
            pa_lg2: F::table_pa_lg2(common),
        };
        Self::alloc(memory, level, va, request)
    }

    fn alloc_empty(
        common: &Common<F>,
        memory: &'m M,
        level: u32,
        size_lg2: u32,
        pa_lg2: u32,
        va: u64,
    ) -> Result<Self, Error> {
        let empty = F::empty_item(common, level);
        if empty == F::Item::ZERO {
            return Self::alloc(memory, level, va, PageRequest { size_lg2, contents: Contents::Zeroed, pa_lg2 });
        }
        let request = PageRequest { size_lg2, contents: Contents::Unknown, pa_lg2 };
        let mut table = Self::alloc(memory, level, va, request)?;
        table.fill(|_| empty);
        Ok(table)
    }

    #[inline(always)]
    fn alloc(memory: &'m M, level: u32, va: u64, request: PageRequest) -> Result<Self, Error> {
        let PageRequest { size_lg2, pa_lg2, .. } = request;
        let page = memory.alloc(request).ok_or(Error::OutOfMemory { level, va, size_lg2, pa_lg2 })?;
        Ok(Self { page, size_lg2, level, memory, format: core::marker::PhantomData })
    }

    /// The memory of all items.
    #[inline(always)]
    fn items_mut(&mut self) -> &mut [MaybeUninit<F::Item>] {
        // All of the memory: hardware may look at the items beyond those of a top that decodes fewer bits.
        let items = 1usize << (self.size_lg2 - F::Item::BYTES_LG2);
        // SAFETY: the page is of `2^size_lg2` bytes, aligned for items (8), and nobody else can see it; `MaybeUninit` makes
        // no claim about what is in it.
        unsafe { core::slice::from_raw_parts_mut(self.page.as_ptr().cast::<MaybeUninit<F::Item>>(), items) }
    }

    /// Writes all items.
    #[inline(always)]
    fn fill(&mut self, mut item: impl FnMut(usize) -> F::Item) {
        for (n, slot) in self.items_mut().iter_mut().enumerate() {
            slot.write(to_memory::<F>(item(n)));
        }
    }

    /// Writes all items: the first, and each other the one before plus `step`.
    #[inline(always)]
    fn fill_in_steps(&mut self, item: F::Item, step: F::Item) {
        if !HAS_VECTORS && !is_swapped::<F>() {
            return self.fill_in_steps_one_by_one(item, step);
        }
        // Sixteen sums go on by themselves, as they are in memory, in registers of two or four each: a store and an addition for
        // each register.
        let way = step.wrapping_times(SUMS as u64);
        let mut first = item;
        let (mut chunks, rest) = self.items_mut().as_chunks_mut::<SUMS>();
        while !chunks.is_empty() {
            let (now, later) = chunks.split_at_mut(chunks.len().min(rounds_in_memory_order::<F>(first, step)));
            let mut sums = sums(first, step).map(to_memory::<F>);
            if is_swapped::<F>() {
                // Else the compiler keeps the sum of all ways beside them, and adds it sixteen times.
                sums = core::hint::black_box(sums);
            }
            for slots in &mut *now {
                for (slot, sum) in slots.iter_mut().zip(&mut sums) {
                    slot.write(*sum);
                    *sum = sum.wrapping_add(to_memory::<F>(way));
                }
            }
            first = first.wrapping_add(way.wrapping_times(now.len() as u64));
            chunks = later;
        }
        for (slot, sum) in rest.iter_mut().zip(sums(first, step)) {
            slot.write(to_memory::<F>(sum));
        }
    }

    /// The same with one sum for sixteen items: each is it and a constant.
    #[inline(always)]
    fn fill_in_steps_one_by_one(&mut self, item: F::Item, step: F::Item) {
        let mut first = item;
        let (chunks, rest) = self.items_mut().as_chunks_mut::<SUMS>();
        for slots in chunks {
            seq_macro::seq!(N in 0..16 {
                slots[N].write(to_memory::<F>(first.wrapping_add(step.wrapping_times(N))));
            });
            first = first.wrapping_add(step.wrapping_times(SUMS as u64));
        }
        for (slot, sum) in rest.iter_mut().zip(sums(first, step)) {
            slot.write(to_memory::<F>(sum));
        }
    }

    /// Writes the first item.
    pub(crate) fn set_first(&mut self, item: F::Item) {
        // SAFETY: a table has at least one item; else as in `fill`.
        unsafe { self.page.as_ptr().cast::<F::Item>().write(to_memory::<F>(item)) };
    }

    /// The item of the level above that points to this table.
    ///
    /// # Errors
    /// [`Error::TableAddress`] if the format cannot store its address: then it must not be followed.
    #[inline(always)]
    pub(crate) fn item_for(&self, common: &Common<F>) -> Result<F::Item, Error> {
        table_item_for(common, self.level, self.pa())
    }

    pub(crate) fn level(&self) -> u32 {
        self.level
    }

    #[inline(always)]
    pub(crate) fn pa(&self) -> u64 {
        self.memory.pa_of(self.page)
    }

    /// Flushes its memory for an incoherent walker.
    #[inline(always)]
    pub(crate) fn flush<D: Driver>(&self, driver: &D) {
        driver.flush_cache(self.page, 1usize << self.size_lg2);
    }

    /// Gives up ownership to whoever reaches the table now.
    #[inline(always)]
    pub(crate) fn keep(self) -> NonNull<u8> {
        core::mem::ManuallyDrop::new(self).page
    }
}

impl<F: Groups, M: TableMemory> Drop for NewTable<'_, F, M> {
    fn drop(&mut self) {
        // SAFETY: allocated in `alloc` with this size, and never seen by anybody else.
        unsafe { self.memory.free(self.page, self.size_lg2, Contents::Unknown) };
    }
}

/// Sums that [`NewTable::fill_in_steps`] writes side by side.
const SUMS: usize = 16;

/// `first`, and each other the one before plus `step`.
#[inline(always)]
fn sums<I: Item>(first: I, step: I) -> [I; SUMS] {
    let mut sums = [first; SUMS];
    for n in 1..SUMS {
        sums[n] = sums[n - 1].wrapping_add(step);
    }
    sums
}

/// Whether items have the other byte order in memory.
#[inline(always)]
fn is_swapped<F: Groups>() -> bool {
    to_memory::<F>(F::Item::from_u64(1)) != F::Item::from_u64(1)
}

/// Whether the target has registers that hold several sums. Without, sixteen sums would go through memory.
const HAS_VECTORS: bool = cfg!(any(target_feature = "sse2", target_feature = "neon", target_feature = "v"));

/// How often all sums from `first` may go on by [`SUMS`] steps as they are in memory, at least once each: the last addition is not
/// used. Bytes in the other order add up as long as no byte carries into the next. A step is one bit: that of a page's size.
#[inline(always)]
fn rounds_in_memory_order<F: Groups>(first: F::Item, step: F::Item) -> usize {
    let way = step.wrapping_times(SUMS as u64).to_u64();
    if !is_swapped::<F>() {
        return usize::MAX;
    }
    debug_assert!(step.to_u64().is_power_of_two() || way == 0);
    let low_bit = lg2::align_down(u64::from(way.trailing_zeros()), 3) as u32;
    let byte = |value: u64| lg2::shr(value, low_bit) & 0xff;
    let last = first.wrapping_add(step.wrapping_times(SUMS as u64 - 1));
    let (lowest, highest) = (byte(first.to_u64()), byte(last.to_u64()));
    if way == 0 || highest < lowest {
        return 1;
    }
    ((0xff - highest) / byte(way) + 1) as usize
}

/// The item of the level above `level` that points to the table of `level` at `pa`, checked to be one that leads there.
///
/// # Errors
/// [`Error::TableAddress`].
#[inline(always)]
pub(crate) fn table_item_for<F: Groups>(common: &Common<F>, level: u32, pa: u64) -> Result<F::Item, Error> {
    let item = F::table_item(common, level + 1, pa);
    let leads_there = F::kind(common, level + 1, item) == Kind::Table && F::table_pa(common, level + 1, item) == pa;
    if leads_there && lg2::shr(pa, table_pa_lg2::<F>().min(F::table_pa_lg2(common))) == 0 {
        Ok(item)
    } else {
        Err(Error::TableAddress { pa, level })
    }
}
