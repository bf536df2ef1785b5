//! Table memory for tests: counts, checks, fails on demand.

use crate::lg2;
use crate::memory::{Contents, PageRequest, TableMemory};
use core::ptr::NonNull;
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::format;
use std::string::String;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::vec::Vec;

/// Most memory for tables, as a power of two in bytes; only what is handed out is ever touched.
const BLOCK_LG2: u32 = 27;
/// Pages are given in multiples of this, as small tables are cut from larger pages elsewhere, too.
const MIN_LG2: u32 = 6;
/// What fresh pages of unknown contents, and freed pages, are filled with: no format takes all of these for *empty*.
const FRESH: u8 = 0xa5;
const FREED: u8 = 0xff;

/// Memory for tables that knows every page that is out.
///
/// Physical addresses are made up, from a base that the test chooses, so that formats with narrow pointers work too. Pages
/// of unknown contents are filled with noise, freed ones too, and reused late. Freeing a page twice, or with another size
/// than it was allocated with, and following an address outside of the block panic.
///
/// ```
/// use generic_pt::memory::{Contents, PageRequest, TableMemory};
/// use generic_pt::testing::TestMemory;
/// let memory = TestMemory::new(0x8_0000_0000);
/// memory.fail_after(1);
/// let request = PageRequest { size_lg2: 12, contents: Contents::Zeroed, pa_lg2: 64 };
/// let page = memory.alloc(request).unwrap();
/// assert_eq!((memory.pa_of(page), memory.live_pages()), (0x8_0000_0000, 1));
/// assert_eq!(memory.alloc(request), None);
/// // SAFETY: allocated above with this size, and not used afterwards.
/// unsafe { memory.free(page, 12, Contents::Unknown) };
/// assert_eq!(memory.live_pages(), 0);
/// ```
pub struct TestMemory {
    block: NonNull<u8>,
    block_lg2: u32,
    base_pa: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Bytes of the block that were handed out at some time.
    used: usize,
    /// Freed pages by size, as offsets, the oldest first.
    freed: BTreeMap<u32, VecDeque<usize>>,
    /// Live pages: offset and size.
    live: BTreeMap<usize, u32>,
    /// Allocations so far, failed ones not counted.
    allocations: u64,
    /// Allocations that still succeed; `None` for all.
    fail_after: Option<u64>,
    /// What was done wrong with the memory.
    faults: Vec<String>,
}

// SAFETY: the block is owned, and handed out in pages that never overlap, under the lock.
unsafe impl Send for TestMemory {}
// SAFETY: as above; everything that changes is behind the lock.
unsafe impl Sync for TestMemory {}

impl TestMemory {
    /// Memory whose physical addresses start at `base_pa`, rounded down to 128 MiB.
    pub fn new(base_pa: u64) -> Self {
        Self::with_size(lg2::align_down(base_pa, BLOCK_LG2), BLOCK_LG2)
    }

    /// Memory below `2^pa_lg2` with many address bits set: for tables whose items hold addresses of that width.
    pub fn below(pa_lg2: u32, pattern: u64) -> Self {
        let block_lg2 = BLOCK_LG2.min(pa_lg2.saturating_sub(1));
        Self::with_size(pattern & lg2::low_mask(pa_lg2) & !lg2::low_mask(block_lg2), block_lg2)
    }

    fn with_size(base_pa: u64, block_lg2: u32) -> Self {
        let layout = Self::layout(block_lg2);
        // SAFETY: the size is a power of two, so not zero.
        let Some(block) = NonNull::new(unsafe { alloc(layout) }) else { handle_alloc_error(layout) };
        Self { block, block_lg2, base_pa, state: Mutex::default() }
    }

    fn layout(block_lg2: u32) -> Layout {
        Layout::from_size_align(1 << block_lg2, 4096).expect("a power of two below the address space")
    }

    /// Pages that are out.
    pub fn live_pages(&self) -> usize {
        self.state().live.len()
    }

    /// Bytes in them.
    pub fn live_bytes(&self) -> usize {
        self.state().live.values().map(|size_lg2| 1 << size_lg2).sum()
    }

    /// Pages handed out since the beginning.
    pub fn allocations(&self) -> u64 {
        self.state().allocations
    }

    /// Lets the next `count` allocations succeed and all later ones fail.
    pub fn fail_after(&self, count: u64) {
        self.state().fail_after = Some(count);
    }

    /// Ends [`fail_after`](Self::fail_after).
    pub fn never_fail(&self) {
        self.state().fail_after = None;
    }

    /// What was done wrong with the memory so far; each was a panic, too, which may have been caught (unless it came while
    /// a panic was under way).
    pub fn faults(&self) -> Vec<String> {
        self.state().faults.clone()
    }

    fn fault(&self, message: String) -> ! {
        self.state().faults.push(message.clone());
        panic!("{message}");
    }

    /// As [`fault`](Self::fault), but a thread that panics already goes on: it frees what it has, and was told why.
    fn fault_while_freeing(&self, message: String) {
        if std::thread::panicking() {
            self.state().faults.push(message);
        } else {
            self.fault(message);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A test that panicked with the lock held is reported by itself; what it left is still consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn at_offset(&self, offset: usize) -> NonNull<u8> {
        debug_assert!(offset < 1 << self.block_lg2);
        // SAFETY: offsets of pages, and those that `at_pa` checked, are inside of the block.
        unsafe { self.block.add(offset) }
    }

    fn offset_of(&self, page: NonNull<u8>) -> usize {
        page.as_ptr().addr().wrapping_sub(self.block.as_ptr().addr())
    }
}

impl Drop for TestMemory {
    fn drop(&mut self) {
        // SAFETY: allocated in `with_size` with this layout; whoever holds a page borrows the memory.
        unsafe { dealloc(self.block.as_ptr(), Self::layout(self.block_lg2)) };
    }
}

impl fmt::Debug for TestMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestMemory")
            .field("base_pa", &format_args!("{:#x}", self.base_pa))
            .field("live_pages", &self.live_pages())
            .finish_non_exhaustive()
    }
}

// Pages are cut from a block that is exclusively this memory's, at offsets that are multiples of their size, and never
// overlap: each offset is either not used yet, in the list of freed pages of one size, or live (checked at `free`). They are
// written (zero where asked for) before they are handed out. The base is aligned to the block's size, so physical addresses
// are aligned to the page's size, and the block's pointer is aligned to 4096, so pointers are to 8.
//
// SAFETY: so a page that is handed out is nobody else's, aligned and written; `at_pa` inverts `pa_of` with the provenance of
// the block.
unsafe impl TableMemory for TestMemory {
    fn alloc(&self, request: PageRequest) -> Option<NonNull<u8>> {
        let size_lg2 = request.size_lg2.max(MIN_LG2);
        let size = 1usize.checked_shl(size_lg2)?;
        let mut state = self.state();
        if state.fail_after == Some(0) {
            return None;
        }
        let fresh = state.used.next_multiple_of(size);
        let offset = if fresh + size <= 1 << self.block_lg2 && (fresh >> 20 == 0 || !state.has_freed(size_lg2)) {
            state.used = fresh + size;
            fresh
        } else {
            state.freed.get_mut(&size_lg2)?.pop_front()?
        };
        let page = self.at_offset(offset);
        if lg2::shr(self.pa_of(page) | lg2::low_mask(size_lg2), request.pa_lg2) != 0 {
            state.freed.entry(size_lg2).or_default().push_back(offset);
            return None;
        }
        let fill = if request.contents == Contents::Zeroed { 0 } else { FRESH };
        // SAFETY: the page is inside of the block, of this size, and nobody else's.
        unsafe { page.write_bytes(fill, size) };
        state.live.insert(offset, size_lg2);
        state.allocations += 1;
        state.fail_after = state.fail_after.map(|count| count - 1);
        Some(page)
    }

    unsafe fn free(&self, page: NonNull<u8>, size_lg2: u32, contents: Contents) {
        let size_lg2 = size_lg2.max(MIN_LG2);
        let offset = self.offset_of(page);
        let mut state = self.state();
        let live = state.live.remove(&offset);
        if live != Some(size_lg2) {
            drop(state);
            return self.fault_while_freeing(format!(
                "free of a page of 2^{size_lg2} bytes at offset {offset:#x}: live there is {live:?} (lg2)"
            ));
        }
        if contents == Contents::Zeroed {
            // SAFETY: the page was live with this size, its bytes were written at `alloc`, and nobody uses it any more.
            let bytes = unsafe { core::slice::from_raw_parts(page.as_ptr(), 1 << size_lg2) };
            if bytes.iter().any(|byte| *byte != 0) {
                drop(state);
                return self
                    .fault_while_freeing(format!("free of a page as zeroed at offset {offset:#x}, which is not"));
            }
        }
        // SAFETY: as above.
        unsafe { page.write_bytes(FREED, 1 << size_lg2) };
        state.freed.entry(size_lg2).or_default().push_back(offset);
    }

    #[inline]
    fn pa_of(&self, page: NonNull<u8>) -> u64 {
        self.base_pa + self.offset_of(page) as u64
    }

    #[inline]
    unsafe fn at_pa(&self, pa: u64) -> NonNull<u8> {
        let offset = pa.wrapping_sub(self.base_pa);
        if offset >= lg2::pow2(self.block_lg2) {
            self.fault(format!("physical address {pa:#x} is outside of the test memory, from {:#x} on", self.base_pa));
        }
        self.at_offset(offset as usize)
    }
}

impl State {
    fn has_freed(&self, size_lg2: u32) -> bool {
        self.freed.get(&size_lg2).is_some_and(|pages| !pages.is_empty())
    }
}
