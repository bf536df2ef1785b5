//! Tables that were unlinked and wait for an invalidation, kept in a list without side memory.
//!
//! The link lives in the page itself. Hardware may still walk the page through its walk cache until the sync, so the link
//! is written as items that stay *empty* to it: a 64-bit item holds the physical address of the next page (whose low and
//! high bits are zero) beside the bits of the format's empty item; narrower items hold 16 bits each, where the format says
//! that hardware ignores them ([`Quirks::link_lo`](crate::format::Quirks)). The bits of the empty item are not among those
//! of a link; the suite proves it.

use crate::format::{Common, Description, Groups, Tables, items_lg2};
use crate::item::Item;
use crate::lg2;
use crate::memory::{Contents, TableMemory};
use crate::table::Table;
use core::marker::PhantomData;
use core::ptr::NonNull;

/// A list of unlinked tables of one memory.
pub(crate) struct UnlinkedList<F> {
    ends: Option<Ends>,
    count: u64,
    format: PhantomData<F>,
}

#[derive(Clone, Copy)]
struct Ends {
    head: Page,
    tail: Page,
}

#[derive(Clone, Copy)]
struct Page {
    at: NonNull<u8>,
    level: u32,
}

// SAFETY: the list owns its pages: nobody else reads or writes them but hardware, until they are freed.
unsafe impl<F> Send for UnlinkedList<F> {}
// SAFETY: a shared list only tells its length.
unsafe impl<F> Sync for UnlinkedList<F> {}

impl<F: Groups> UnlinkedList<F> {
    pub(crate) const EMPTY: Self = Self { ends: None, count: 0, format: PhantomData };

    /// Number of tables in the list.
    #[inline(always)]
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Whether there is none.
    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.ends.is_none()
    }

    /// Adds the table of `level` at `at`.
    ///
    /// # Safety
    /// No reachable item points to the table any more, or will when the operation that calls this returns; nobody but
    /// hardware looks at it; all tables of the list are of the same memory.
    #[inline]
    pub(crate) unsafe fn push<M: TableMemory>(&mut self, common: &Common<F>, memory: &M, at: NonNull<u8>, level: u32) {
        let page = Page { at, level };
        match self.ends {
            None => self.ends = Some(Ends { head: page, tail: page }),
            Some(ref mut ends) => {
                // SAFETY: `page` is now the list's.
                unsafe { write_link::<F, M>(common, memory, page, ends.head) };
                ends.head = page;
            }
        }
        self.count += 1;
    }

    /// Puts all of `other` in front of this list's tables.
    #[inline]
    pub(crate) fn append<M: TableMemory>(&mut self, common: &Common<F>, memory: &M, other: Self) {
        self.count += other.count;
        match (&mut self.ends, other.ends) {
            (_, None) => {}
            (ends @ None, other) => *ends = other,
            (Some(ends), Some(other)) => {
                // SAFETY: the tail is a page of the list.
                unsafe { write_link::<F, M>(common, memory, other.tail, ends.head) };
                ends.head = other.head;
            }
        }
    }

    /// Frees all tables.
    ///
    /// # Safety
    /// Hardware has forgotten the tables; `memory` is the one they came from.
    pub(crate) unsafe fn free<M: TableMemory>(&mut self, memory: &M) {
        let Some(Ends { mut head, tail }) = self.ends.take() else { return };
        self.count = 0;
        loop {
            // The link of the last page was never written.
            let next = if head.at == tail.at {
                None
            } else {
                // SAFETY: a page of the list, with a page behind it.
                Some(unsafe { read_link::<F, M>(memory, head) })
            };
            // SAFETY: tables of `level` were allocated with this size; nobody uses this one any more.
            unsafe { memory.free(head.at, F::GEOMETRY.table_lg2(head.level), Contents::Unknown) };
            match next {
                Some(page) => head = page,
                None => return,
            }
        }
    }
}

/// Items that hold 16 bits of a 64-bit address each.
const CHUNKS: usize = 4;

/// Physical addresses of tables are below `2^n`: only so many bits of a link are an address.
#[inline(always)]
pub(crate) const fn table_pa_lg2<F: Description>() -> u32 {
    let (memory, item) = (F::QUIRKS.table_pa_lg2, F::GEOMETRY.max_oa_lg2);
    if memory < item { memory } else { item }
}

/// The bits of an item that a link uses: those of an empty item must be elsewhere.
pub(crate) fn link_mask<F: Description>() -> u64 {
    let chunk = 0xffff << F::QUIRKS.link_lo;
    if F::Item::BITS != 64 {
        return chunk;
    }
    let tables = (0..F::MAX_TOP_LEVEL).map(|level| F::GEOMETRY.table_lg2(level));
    let smallest_lg2 = tables.min().unwrap_or(u64::BITS);
    let address = lg2::low_mask(table_pa_lg2::<F>()) & !lg2::low_mask(smallest_lg2);
    address | if matches!(F::GEOMETRY.table_lg2, Tables::PerLevel(_)) { chunk } else { 0 }
}

/// The items that a link takes.
#[inline(always)]
const fn link_items<F: Description>() -> usize {
    let address = if F::Item::BITS == 64 { 1 } else { CHUNKS };
    address + matches!(F::GEOMETRY.table_lg2, Tables::PerLevel(_)) as usize
}

/// Whether every table that can be unlinked has room for a link.
const fn links_fit<F: Description>() -> bool {
    let mut level = 0;
    while level < F::MAX_TOP_LEVEL {
        if 1usize << items_lg2::<F>(level) < link_items::<F>() {
            return false;
        }
        level += 1;
    }
    true
}

/// # Safety
/// `page` is a page of the list, `next` another.
#[inline(always)]
unsafe fn write_link<F: Groups, M: TableMemory>(common: &Common<F>, memory: &M, page: Page, next: Page) {
    const { assert!(links_fit::<F>(), "a table below the top is too small to be linked while it waits to be freed") };
    // SAFETY: the page is a regular table of its level, live until the list frees it.
    let table = unsafe { Table::<F>::at(page.at, page.level, items_lg2::<F>(page.level)) };
    let empty = F::empty_item(common, page.level);
    let pa = memory.pa_of(next.at);
    let chunk = |value: u64| empty | F::Item::from_u64((value & 0xffff) << F::QUIRKS.link_lo);
    let mut used = CHUNKS;
    if F::Item::BITS == 64 {
        used = 1;
        table.store_run(0, 1, |_| empty | F::Item::from_u64(pa));
    } else {
        table.store_run(0, CHUNKS, |n| chunk(pa >> (16 * n)));
    }
    // With tables of one size the level does not matter.
    if matches!(F::GEOMETRY.table_lg2, Tables::PerLevel(_)) {
        table.store_run(used, 1, |_| chunk(u64::from(next.level)));
    }
}

/// # Safety
/// `page` is a page of the list that is not the last, so its link was written.
#[inline(always)]
unsafe fn read_link<F: Groups, M: TableMemory>(memory: &M, page: Page) -> Page {
    // SAFETY: as in `write_link`.
    let table = unsafe { Table::<F>::at(page.at, page.level, items_lg2::<F>(page.level)) };
    let item = |n: usize| table.load_raw(n).to_u64();
    let chunk = |n: usize| (item(n) >> F::QUIRKS.link_lo) & 0xffff;
    let used = if F::Item::BITS == 64 { 1 } else { CHUNKS };
    let level = if matches!(F::GEOMETRY.table_lg2, Tables::PerLevel(_)) { chunk(used) as u32 } else { page.level };
    let pa = if F::Item::BITS == 64 {
        // The bits of the empty item are below the alignment of the table, or above all addresses.
        lg2::align_down(item(0), F::GEOMETRY.table_lg2(level)) & lg2::low_mask(table_pa_lg2::<F>())
    } else {
        (0..CHUNKS).fold(0, |pa, n| pa | (chunk(n) << (16 * n)))
    };
    // SAFETY: `write_link` stored the address of a live page of this memory.
    Page { at: unsafe { memory.at_pa(pa) }, level }
}
