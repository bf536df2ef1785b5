//! Memory and driver that count what a table asks of them. The only `unsafe` code of the tool is here and in the memories that
//! the pages are from.

use generic_pt::memory::{Contents, PageRequest, TableMemory};
use generic_pt::{Domain, Driver, Invalidation};
use serde::Serialize;
use std::cell::Cell;
use std::ptr::NonNull;
use std::rc::Rc;

/// Table pages that are live (linked, or unlinked and waiting for a sync), and the most there ever were.
#[derive(Debug, Default)]
pub struct Tally {
    now: Cell<TablePages>,
    peak: Cell<TablePages>,
    /// The most since it was last asked for.
    recent: Cell<TablePages>,
}

/// A number of table pages, and their bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TablePages {
    /// Pages, whatever their size.
    pub pages: u64,
    /// Bytes of them.
    pub bytes: u64,
}

impl TablePages {
    /// The more of both, pages and bytes each for itself.
    fn max(self, other: Self) -> Self {
        Self { pages: self.pages.max(other.pages), bytes: self.bytes.max(other.bytes) }
    }
}

impl Tally {
    /// Live now.
    pub fn now(&self) -> TablePages {
        self.now.get()
    }

    /// The most there ever were: pages and bytes each for itself.
    pub fn peak(&self) -> TablePages {
        self.peak.get()
    }

    /// The most there were since this was called before.
    pub fn take_recent(&self) -> TablePages {
        self.recent.replace(self.now.get())
    }

    fn add(&self, bytes: u64) {
        let now = self.now.get();
        let now = TablePages { pages: now.pages + 1, bytes: now.bytes + bytes };
        self.now.set(now);
        self.peak.set(self.peak.get().max(now));
        self.recent.set(self.recent.get().max(now));
    }

    fn subtract(&self, bytes: u64) {
        let now = self.now.get();
        self.now.set(TablePages { pages: now.pages - 1, bytes: now.bytes - bytes });
    }
}

/// Memory that counts table pages: its own, and those of all memories with the same total. The pages are those of another
/// memory.
#[derive(Debug)]
pub struct CountingMemory<'m, M> {
    /// Of this memory.
    pub own: Tally,
    /// Of all that share it.
    pub total: Rc<Tally>,
    /// Most bytes that `total` may reach: a trace that maps petabytes in small pages gets errors, not all memory.
    most_bytes: u64,
    pages: &'m M,
}

impl<'m, M> CountingMemory<'m, M> {
    /// Memory that shares `total` with others of the same format, up to `most_bytes` in all.
    pub fn new(total: &Rc<Tally>, most_bytes: u64, pages: &'m M) -> Self {
        Self { own: Tally::default(), total: Rc::clone(total), most_bytes, pages }
    }
}

// SAFETY: forwards to a memory that keeps the promises. Counting touches no page.
unsafe impl<M: TableMemory> TableMemory for CountingMemory<'_, M> {
    fn alloc(&self, request: PageRequest) -> Option<NonNull<u8>> {
        let bytes = 1u64.checked_shl(request.size_lg2)?;
        if self.total.now().bytes.saturating_add(bytes) > self.most_bytes {
            return None;
        }
        let page = self.pages.alloc(request)?;
        self.own.add(bytes);
        self.total.add(bytes);
        Some(page)
    }

    unsafe fn free(&self, page: NonNull<u8>, size_lg2: u32, contents: Contents) {
        self.own.subtract(1 << size_lg2);
        self.total.subtract(1 << size_lg2);
        // SAFETY: the caller's promise, passed on.
        unsafe { self.pages.free(page, size_lg2, contents) }
    }

    #[inline(always)]
    fn pa_of(&self, page: NonNull<u8>) -> u64 {
        self.pages.pa_of(page)
    }

    #[inline(always)]
    unsafe fn at_pa(&self, pa: u64) -> NonNull<u8> {
        // SAFETY: the caller's promise, passed on.
        unsafe { self.pages.at_pa(pa) }
    }
}

/// Invalidations that a driver was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Invalidations {
    /// Invalidations of a range.
    pub ranges: u64,
    /// Bytes of VA that they covered.
    pub bytes: u64,
    /// Those that have to reach walk caches too, because tables were unlinked.
    pub with_tables: u64,
    /// Invalidations of everything.
    pub full_flushes: u64,
}

impl Invalidations {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            ranges: self.ranges + other.ranges,
            bytes: self.bytes.saturating_add(other.bytes),
            with_tables: self.with_tables + other.with_tables,
            full_flushes: self.full_flushes + other.full_flushes,
        }
    }
}

/// A driver without hardware that counts invalidations.
#[derive(Debug, Default)]
pub struct CountingDriver {
    ranges: Cell<u64>,
    bytes: Cell<u64>,
    with_tables: Cell<u64>,
    full_flushes: Cell<u64>,
}

impl CountingDriver {
    /// What was asked for so far.
    pub fn count(&self) -> Invalidations {
        Invalidations {
            ranges: self.ranges.get(),
            bytes: self.bytes.get(),
            with_tables: self.with_tables.get(),
            full_flushes: self.full_flushes.get(),
        }
    }

    /// Goes back to an earlier count: for work that is not the trace's.
    pub fn reset_to(&self, count: Invalidations) {
        self.ranges.set(count.ranges);
        self.bytes.set(count.bytes);
        self.with_tables.set(count.with_tables);
        self.full_flushes.set(count.full_flushes);
    }
}

impl Driver for CountingDriver {
    #[inline]
    fn sync(&self, invalidation: &Invalidation) {
        let bytes = (invalidation.last - invalidation.va).saturating_add(1);
        self.ranges.set(self.ranges.get() + 1);
        self.bytes.set(self.bytes.get().saturating_add(bytes));
        if invalidation.unlinked_tables > 0 {
            self.with_tables.set(self.with_tables.get() + 1);
        }
    }

    fn sync_all(&self) {
        self.full_flushes.set(self.full_flushes.get() + 1);
    }

    fn can_change_top(&self) -> bool {
        true
    }
}

/// The surroundings of a table that are counted.
pub type CountingHost<'m, M> = Domain<CountingMemory<'m, M>, CountingDriver>;
