//! Memory and driver of a table under test: they record what the table asks of them.

use generic_pt::format::Top;
use generic_pt::memory::{Contents, HeapMemory, PageRequest, TableMemory};
use generic_pt::{Domain, Driver, Invalidation};
use std::cell::{Cell, RefCell};
use std::ptr::NonNull;

/// Pages from the heap that are given back only when the scenario ends, so that a page's address names one table.
#[derive(Default)]
pub struct Memory {
    pages: RefCell<Vec<(NonNull<u8>, u32)>>,
    live: Cell<u64>,
    /// Allocations that still succeed; `None` for all.
    pub remaining: Cell<Option<u64>>,
}

impl Memory {
    /// Pages handed out and not freed.
    pub fn live_pages(&self) -> u64 {
        self.live.get()
    }
}

// SAFETY: pages are the heap's; a freed one is kept until the memory is dropped, which only delays its reuse.
unsafe impl TableMemory for Memory {
    fn alloc(&self, request: PageRequest) -> Option<NonNull<u8>> {
        if let Some(remaining) = self.remaining.get() {
            self.remaining.set(Some(remaining.checked_sub(1)?));
        }
        let page = HeapMemory.alloc(request)?;
        self.pages.borrow_mut().push((page, request.size_lg2));
        self.live.set(self.live.get() + 1);
        Some(page)
    }

    unsafe fn free(&self, _page: NonNull<u8>, _size_lg2: u32, _contents: Contents) {
        self.live.set(self.live.get() - 1);
    }

    fn pa_of(&self, page: NonNull<u8>) -> u64 {
        HeapMemory.pa_of(page)
    }

    unsafe fn at_pa(&self, pa: u64) -> NonNull<u8> {
        // SAFETY: the caller's promise, passed on; a page stays valid until this memory is dropped.
        unsafe { HeapMemory.at_pa(pa) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        for (page, size_lg2) in self.pages.get_mut().drain(..) {
            // SAFETY: from the heap with this size; the tables of the scenario are gone.
            unsafe { HeapMemory.free(page, size_lg2, Contents::Unknown) };
        }
    }
}

/// What the table told its driver during one step.
#[derive(Default)]
pub struct Heard {
    /// Range syncs.
    pub syncs: Vec<Invalidation>,
    /// Levels of new tops.
    pub tops: Vec<Top>,
    /// Cache flushes: address and bytes.
    pub flushes: Vec<(usize, usize)>,
}

/// A driver that records.
pub struct Recorder {
    /// Whether it offers top changes (`driver_ops` in the files).
    can_change_top: bool,
    /// Whether it has a device to flush for (`iommu_device` in the files).
    can_flush_cache: bool,
    heard: RefCell<Heard>,
}

impl Recorder {
    /// A driver that offers what the arguments say.
    pub fn new(can_change_top: bool, can_flush_cache: bool) -> Self {
        Self { can_change_top, can_flush_cache, heard: RefCell::default() }
    }

    /// What was heard since the last call.
    pub fn take(&self) -> Heard {
        self.heard.take()
    }
}

impl Driver for Recorder {
    fn sync(&self, invalidation: &Invalidation) {
        self.heard.borrow_mut().syncs.push(*invalidation);
    }
    /// The files have no full flushes: what a queued gather asks for, their recorder did itself.
    fn sync_all(&self) {}
    fn can_change_top(&self) -> bool {
        self.can_change_top
    }
    fn change_top(&self, top: Top) {
        self.heard.borrow_mut().tops.push(top);
    }
    fn can_flush_cache(&self) -> bool {
        self.can_flush_cache
    }
    fn flush_cache(&self, start: NonNull<u8>, bytes: usize) {
        if bytes != 0 {
            self.heard.borrow_mut().flushes.push((start.as_ptr().addr(), bytes));
        }
    }
}

/// The domain of a table under test.
pub type TestDomain = Domain<Memory, Recorder>;
