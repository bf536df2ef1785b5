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
        // Sixteen sums go on by themselves, in registers of two or four each: a store and an addition for each register.
        const SUMS: usize = 16;
        let mut sums = [item; SUMS];
        for n in 1..SUMS {
            sums[n] = sums[n - 1].wrapping_add(step);
        }
        let way = step.wrapping_times(SUMS as u64);
        let (many, rest) = self.items_mut().as_chunks_mut::<SUMS>();
        for slots in many {
            for (slot, sum) in slots.iter_mut().zip(&mut sums) {
                slot.write(to_memory::<F>(*sum));
                *sum = sum.wrapping_add(way);
            }
        }
        for (slot, sum) in rest.iter_mut().zip(sums) {
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
