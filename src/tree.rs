//! Layer 2: a whole tree of tables: its top, in one word with its level, and the common part.

use crate::driver::Host;
use crate::feature::Features;
use crate::format::{Common, Groups, Kind};
use crate::memory::{Contents, TableMemory};
use crate::table::{NewTable, Table, top_items_lg2, top_size_lg2};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicPtr, Ordering};

/// Bits of the top word that hold the level. Tables are aligned to at least 8.
const LEVEL_MASK: usize = 7;

/// The tables of one table object, with what is the same for every format. Owns them: dropping frees all.
///
/// Algorithms (layer 3) are built on this; it knows none.
pub(crate) struct Tree<F: Groups, H: Host> {
    common: Common<F>,
    /// Pointer to the top table with its level in the low bits: one load gives a consistent pair.
    top: AtomicPtr<u8>,
    host: H,
}

/// A top table: which one, and its level.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct TopPtr {
    pub(crate) page: NonNull<u8>,
    pub(crate) level: u32,
}

fn join(page: NonNull<u8>, level: u32) -> *mut u8 {
    page.as_ptr().map_addr(|address| address | level as usize)
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
        let top = AtomicPtr::new(join(top.keep(), level));
        Ok(Self { common, top, host })
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
        let word = self.top.load(Ordering::Acquire);
        let level = (word.addr() & LEVEL_MASK) as u32;
        let page = word.map_addr(|address| address & !LEVEL_MASK);
        // A table is never at address 0, so the fallback is never taken.
        TopPtr { page: NonNull::new(page).unwrap_or(NonNull::dangling()), level }
    }

    /// Makes `table`, which links to the old top, the top. The driver's top lock is held.
    pub(crate) fn publish_top(&self, table: NewTable<'_, F, H::Memory>) {
        let level = table.level();
        self.top.store(join(table.keep(), level), Ordering::Release);
    }

    /// Runs `visit` on the top table of this moment.
    #[inline(always)]
    pub(crate) fn with_top<R>(&self, visit: impl FnOnce(&Table<'_, F>) -> R) -> R {
        self.with(self.top(), visit)
    }

    /// Runs `visit` on `top`, which [`top`](Self::top) gave during this operation.
    #[inline(always)]
    pub(crate) fn with<R>(&self, top: TopPtr, visit: impl FnOnce(&Table<'_, F>) -> R) -> R {
        let items_lg2 = top_items_lg2(&self.common, top.level);
        // SAFETY: the word always holds a table made by `NewTable::empty_top` for that level, which has that many items.
        // Tops are only freed by `drop`; one that became a lower table is only unlinked by an operation that holds the
        // whole range it covers, so not while this one holds a part of it.
        visit(&unsafe { Table::at(top.page, top.level, items_lg2) })
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
            let page = table.lower_page(&self.common, self.memory(), entry);
            let size_lg2 = F::GEOMETRY.table_lg2(table.level() - 1);
            // SAFETY: a regular table of that level, whose lower tables are gone; nobody reaches it but through this item,
            // which is not looked at again.
            unsafe { self.memory().free(page, size_lg2, Contents::Unknown) };
        }
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
