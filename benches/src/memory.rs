//! Table memory for benchmarks: free lists over one arena, which know which pages are zero.

use generic_pt::memory::{Contents, PageRequest, TableMemory};
use std::cell::UnsafeCell;
use std::fmt;
use std::ptr::NonNull;

/// Bytes of the arena; memory is used only for what is touched.
const ARENA_BYTES: usize = 1 << 30;
/// Where the arena is put if that is free: within 32 bits, for formats whose table pointers have no more.
const ARENA_AT: usize = 0x8000_0000;
/// Page sizes are 2^0 to 2^31 bytes.
const SIZES: usize = 32;

/// Table pages from free lists over one large arena that is advised to use huge pages; physical addresses are the addresses
/// in this program.
///
/// Pages known to be zero are listed apart from others. So what a page costs depends on the state that it is in: in steady use
/// a request for a zeroed page zeroes a page that was used before, as a kernel does; after [`clean`](Self::clean) every page is
/// zero already, and the instructions counted for an operation are those of the operation.
///
/// For one thread.
pub struct BenchMemory {
    base: NonNull<u8>,
    state: UnsafeCell<State>,
}

struct State {
    /// Offset of the first byte not handed out since the last reset.
    next: usize,
    /// Offset up to which bytes were ever handed out; those behind are zero.
    touched: usize,
    /// Free pages by size, as offsets: those that are zero, and others.
    zero: [Vec<usize>; SIZES],
    used: [Vec<usize>; SIZES],
    /// Pages handed out.
    live: usize,
    /// Pages that had to be zeroed.
    zeroed: u64,
}

impl BenchMemory {
    /// An arena with nothing in use.
    ///
    /// # Panics
    /// Without the address space for it.
    pub fn new() -> Self {
        let map = |at: usize, flags| {
            let (prot, flags) = (
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | flags,
            );
            // SAFETY: a new mapping that replaces no other.
            let start = unsafe { libc::mmap(std::ptr::without_provenance_mut(at), ARENA_BYTES, prot, flags, -1, 0) };
            (start != libc::MAP_FAILED).then_some(start)
        };
        let start = map(ARENA_AT, libc::MAP_FIXED_NOREPLACE).or_else(|| map(0, 0));
        let base = start.and_then(|start| NonNull::new(start.cast::<u8>())).expect("address space for the arena");
        // SAFETY: the mapping that was just made. Only advice: whether it is taken does not matter.
        unsafe { libc::madvise(base.as_ptr().cast(), ARENA_BYTES, libc::MADV_HUGEPAGE) };
        base.as_ptr().expose_provenance();
        // With room, so that no list grows while an operation is counted.
        let lists = || std::array::from_fn(|_| Vec::with_capacity(1 << 10));
        let state = State { next: 0, touched: 0, zero: lists(), used: lists(), live: 0, zeroed: 0 };
        Self { base, state: UnsafeCell::new(state) }
    }

    /// Forgets the order in which pages were freed: the next ones are handed out by ascending address.
    ///
    /// # Panics
    /// While a page is in use.
    pub fn reset(&self) {
        self.with(|state| {
            assert_eq!(state.live, 0, "a table is still there");
            state.zero.iter_mut().chain(&mut state.used).for_each(Vec::clear);
            state.next = 0;
        });
    }

    /// Hands out the free pages of each size in an order in which no two neighbours follow each other.
    pub fn scatter(&self) {
        self.with(|state| {
            for list in state.zero.iter_mut().chain(&mut state.used) {
                list.sort_unstable();
                let bits = list.len().next_power_of_two().trailing_zeros();
                // Ranks with their bits reversed; those that the list is too short for are left out.
                let ranks =
                    (0..1usize << bits).map(|rank| rank.reverse_bits().checked_shr(usize::BITS - bits).unwrap_or(0));
                *list = ranks.filter_map(|rank| list.get(rank).copied()).collect();
                list.reserve(1 << 10);
            }
        });
    }

    /// Takes every page back, and makes it zero.
    ///
    /// # Safety
    /// No page is used any more, whoever has it: tables that still have some were forgotten.
    pub unsafe fn reclaim(&self) {
        self.with(|state| {
            // SAFETY: the arena's own mapping, of which nothing is used any more. It reads as zero afterwards.
            let result = unsafe { libc::madvise(self.base.as_ptr().cast(), state.touched, libc::MADV_DONTNEED) };
            assert_eq!(result, 0, "memory given back");
            state.zero.iter_mut().chain(&mut state.used).for_each(Vec::clear);
            (state.next, state.touched, state.live) = (0, 0, 0);
        });
    }

    /// Makes every free page zero.
    pub fn clean(&self) {
        self.with(|state| {
            for size_lg2 in 0..SIZES {
                // In their order: the page that was freed last stays the next.
                for offset in &state.used[size_lg2] {
                    // SAFETY: a free page of this size.
                    unsafe { self.at(*offset).write_bytes(0, 1 << size_lg2) };
                }
                state.zero[size_lg2].append(&mut state.used[size_lg2]);
            }
            // SAFETY: bytes that nobody uses.
            unsafe { self.at(state.next).write_bytes(0, state.touched - state.next) };
            state.touched = state.next;
        });
    }

    /// Pages that had to be zeroed when they were asked for.
    pub fn zeroed_pages(&self) -> u64 {
        self.with(|state| state.zeroed)
    }

    /// Pages in use.
    pub fn live_pages(&self) -> usize {
        self.with(|state| state.live)
    }

    #[inline(always)]
    fn with<R>(&self, f: impl FnOnce(&mut State) -> R) -> R {
        // SAFETY: not shared between threads (it is not `Sync`), and no `f` below comes back here.
        f(unsafe { &mut *self.state.get() })
    }

    #[inline(always)]
    fn at(&self, offset: usize) -> NonNull<u8> {
        // SAFETY: offsets are within the arena.
        unsafe { self.base.add(offset) }
    }

    /// A page that was never handed out since the last reset.
    #[cold]
    #[inline(never)]
    fn cut(&self, state: &mut State, request: PageRequest) -> Option<NonNull<u8>> {
        let size = 1usize << request.size_lg2;
        let base = self.base.as_ptr().addr();
        let start = (base + state.next).next_multiple_of(size) - base;
        let end = start.checked_add(size).filter(|end| *end <= ARENA_BYTES)?;
        state.next = end;
        if request.contents == Contents::Zeroed && start < state.touched {
            return Some(self.zero(state, start, request.size_lg2));
        }
        state.touched = state.touched.max(end);
        Some(self.at(start))
    }

    #[inline(never)]
    fn zero(&self, state: &mut State, offset: usize, size_lg2: u32) -> NonNull<u8> {
        let page = self.at(offset);
        // SAFETY: a page that is in no list and not handed out.
        unsafe { page.write_bytes(0, 1 << size_lg2) };
        state.zeroed += 1;
        state.touched = state.touched.max(offset + (1 << size_lg2));
        page
    }
}

impl Default for BenchMemory {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for BenchMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BenchMemory").field("live_pages", &self.live_pages()).finish_non_exhaustive()
    }
}

// SAFETY: a page is cut from the arena once between two resets, which need that none is in use, and is in a list only between
// `free` and the next `alloc`. Its address, which is also the physical one, is a multiple of its size. Pages in `zero` were
// freed as zero or zeroed, and bytes from `touched` on were never written. The provenance that `at_pa` takes up was exposed.
unsafe impl TableMemory for BenchMemory {
    #[inline]
    fn alloc(&self, request: PageRequest) -> Option<NonNull<u8>> {
        let page = self.with(|state| {
            let lists = request.size_lg2 as usize;
            let (zero, used) = (state.zero.get_mut(lists)?, state.used.get_mut(lists)?);
            let page = match request.contents {
                Contents::Zeroed => match (zero.pop(), used.is_empty()) {
                    (Some(offset), _) => self.at(offset),
                    (None, false) => {
                        let offset = used.pop()?;
                        self.zero(state, offset, request.size_lg2)
                    }
                    (None, true) => self.cut(state, request)?,
                },
                Contents::Unknown => match used.pop().or_else(|| zero.pop()) {
                    Some(offset) => self.at(offset),
                    None => self.cut(state, request)?,
                },
            };
            state.live += 1;
            Some(page)
        })?;
        if generic_pt::lg2::shr(self.pa_of(page), request.pa_lg2) != 0 {
            // SAFETY: just taken, and not handed out.
            unsafe { self.free(page, request.size_lg2, Contents::Unknown) };
            return None;
        }
        Some(page)
    }

    #[inline]
    unsafe fn free(&self, page: NonNull<u8>, size_lg2: u32, contents: Contents) {
        let offset = page.as_ptr().addr() - self.base.as_ptr().addr();
        self.with(|state| {
            state.live -= 1;
            let lists = if contents == Contents::Zeroed { &mut state.zero } else { &mut state.used };
            lists[size_lg2 as usize % SIZES].push(offset);
        });
    }

    #[inline(always)]
    fn pa_of(&self, page: NonNull<u8>) -> u64 {
        page.as_ptr().addr() as u64
    }

    #[inline(always)]
    unsafe fn at_pa(&self, pa: u64) -> NonNull<u8> {
        let page = std::ptr::with_exposed_provenance_mut(pa as usize);
        // SAFETY: the caller promises that this is the address of a live page, which is not null.
        unsafe { NonNull::new_unchecked(page) }
    }
}
