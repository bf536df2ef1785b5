//! Table pages from a block of bytes that the caller gives: no allocator needed.

use super::{Contents, PageRequest, TableMemory};
use crate::lg2;
use core::cell::UnsafeCell;
use core::fmt;
use core::marker::PhantomData;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, Ordering};

/// Sizes of pages an arena can give, as powers of two: from 64 bytes to 1 MiB (the largest concatenated top).
const MIN_LG2: u32 = 6;
const MAX_LG2: u32 = 20;
const SIZES: usize = (MAX_LG2 - MIN_LG2 + 1) as usize;

/// Table pages from a fixed block of memory, whose physical base the caller gives.
///
/// Pages are cut from the block, and reused by size when freed. Needs neither `alloc` nor a global. It may be used by
/// several threads; taking and giving back a page hold a short spin lock.
///
/// ```
/// use generic_pt::memory::{Arena, TableMemory};
/// # let mut bytes = vec![0u8; 64 << 10];
/// let arena = Arena::new(&mut bytes, 0x8_0000_0000).unwrap();
/// // Tables built in it hold physical addresses from 0x8_0000_0000 on, wherever the bytes are in this program.
/// assert!(arena.free_bytes() > 56 << 10);
/// ```
pub struct Arena<'a> {
    base: NonNull<u8>,
    base_pa: u64,
    locked: AtomicBool,
    state: UnsafeCell<State>,
    bytes: PhantomData<&'a mut [u8]>,
}

struct State {
    /// The first byte never handed out, and the length of the block.
    next: usize,
    len: usize,
    /// Bytes in the lists below.
    listed: usize,
    /// Freed pages of each size, linked through their first bytes by offset.
    free: [Option<usize>; SIZES],
}

/// Why a block of bytes cannot be an [`Arena`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ArenaError {
    /// The physical addresses of the block would run past 64 bits.
    PaOverflow {
        /// The base given.
        base_pa: u64,
        /// Bytes in the block.
        len: usize,
    },
    /// The pointer and the physical base differ in their low three bits, so no page can be aligned in both.
    Misaligned {
        /// The low bits of the physical base.
        base_pa: u64,
        /// The low bits of the pointer.
        pointer: usize,
    },
}

/// What a free page holds: the offset of the next one in its list.
///
/// An integer, so that all of it is initialised: the bytes are the caller's again some day, who reads them. (An `Option<usize>`
/// has none in the place of its number if it is `None`.)
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Link(usize);

impl Link {
    /// No page: a block is never so large that a page begins there.
    const END: usize = usize::MAX;

    fn to(next: Option<usize>) -> Self {
        Self(next.unwrap_or(Self::END))
    }

    fn offset(self) -> Option<usize> {
        (self.0 != Self::END).then_some(self.0)
    }
}

impl fmt::Display for ArenaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PaOverflow { base_pa, len } => {
                write!(f, "{len:#x} bytes at physical address {base_pa:#x} run past the last 64-bit address")
            }
            Self::Misaligned { base_pa, pointer } => write!(
                f,
                "the physical base {base_pa:#x} and the bytes at {pointer:#x} have to agree modulo 8 for pages to be aligned"
            ),
        }
    }
}

impl core::error::Error for ArenaError {}

impl<'a> Arena<'a> {
    /// Makes table memory of `bytes`, which hardware sees at physical address `base_pa`.
    ///
    /// Pages are aligned by physical address; a base aligned to the largest table wastes nothing.
    ///
    /// # Errors
    /// [`ArenaError`] if the physical range overflows, or if base and bytes are not aligned alike.
    pub fn new(bytes: &'a mut [u8], base_pa: u64) -> Result<Self, ArenaError> {
        let len = bytes.len();
        if base_pa.checked_add((len as u64).saturating_sub(1)).is_none() {
            return Err(ArenaError::PaOverflow { base_pa, len });
        }
        let base = NonNull::from(bytes).cast::<u8>();
        let pointer = base.as_ptr().addr();
        if (pointer as u64 ^ base_pa) & 7 != 0 {
            return Err(ArenaError::Misaligned { base_pa, pointer });
        }
        Ok(Self {
            base,
            base_pa,
            locked: AtomicBool::new(false),
            state: UnsafeCell::new(State { next: 0, len, listed: 0, free: [None; SIZES] }),
            bytes: PhantomData,
        })
    }

    /// Bytes not handed out at the moment, in whatever pieces.
    pub fn free_bytes(&self) -> usize {
        self.with_state(|state| state.len - state.next + state.listed)
    }

    fn with_state<R>(&self, f: impl FnOnce(&mut State) -> R) -> R {
        while self.locked.compare_exchange_weak(false, true, Ordering::Acquire, Ordering::Relaxed).is_err() {
            core::hint::spin_loop();
        }
        // SAFETY: the lock is held, and `f` cannot reach this function again: it is only called with the closures below,
        // which do not.
        let result = f(unsafe { &mut *self.state.get() });
        self.locked.store(false, Ordering::Release);
        result
    }

    /// The page at `offset`, which is within the block.
    fn at_offset(&self, offset: usize) -> NonNull<u8> {
        // SAFETY: offsets come from `State`, which keeps them below `len`, or from addresses of live pages.
        unsafe { self.base.add(offset) }
    }

    /// Puts the page at `offset` into the list of its size.
    ///
    /// # Safety
    /// The page is within the block and not in use; its pointer is aligned to 8.
    unsafe fn list(&self, state: &mut State, offset: usize, size_lg2: u32) {
        let head = &mut state.free[(size_lg2 - MIN_LG2) as usize];
        // SAFETY: at least 64 bytes (`MIN_LG2`) that nobody uses, aligned to 8.
        unsafe { self.at_offset(offset).cast::<Link>().write(Link::to(*head)) };
        *head = Some(offset);
        state.listed += 1 << size_lg2;
    }

    /// Whether a page at `offset`, aligned to its size, lies below physical address `2^pa_lg2`.
    fn is_below(&self, offset: usize, size_lg2: u32, pa_lg2: u32) -> bool {
        lg2::shr(self.base_pa.wrapping_add(offset as u64) | lg2::low_mask(size_lg2), pa_lg2) == 0
    }

    /// A page out of the list of its size, the one that was put there last of those below the limit.
    fn take_listed(&self, state: &mut State, size_lg2: u32, pa_lg2: u32) -> Option<usize> {
        let head = &mut state.free[(size_lg2 - MIN_LG2) as usize];
        let (mut at, mut before) = ((*head)?, None);
        loop {
            // SAFETY: `list` wrote the link there, and nobody used the page since.
            let next = unsafe { self.at_offset(at).cast::<Link>().read() }.offset();
            if self.is_below(at, size_lg2, pa_lg2) {
                match before {
                    None => *head = next,
                    // SAFETY: another page of the list, where the link to this one is.
                    Some(before) => unsafe { self.at_offset(before).cast::<Link>().write(Link::to(next)) },
                }
                state.listed -= 1 << size_lg2;
                return Some(at);
            }
            (before, at) = (Some(at), next?);
        }
    }

    fn take(&self, state: &mut State, size_lg2: u32, pa_lg2: u32) -> Option<usize> {
        let listed = self.take_listed(state, size_lg2, pa_lg2);
        if listed.is_some() {
            return listed;
        }
        let size = 1usize << size_lg2;
        // Cut a new one, aligned by physical address; what lies before it goes to the lists of smaller sizes.
        let misaligned = (self.base_pa.wrapping_add(state.next as u64) & lg2::low_mask(size_lg2)) as usize;
        let gap = if misaligned == 0 { 0 } else { size - misaligned };
        let start = state.next.checked_add(gap)?;
        let end = start.checked_add(size)?;
        if end > state.len || !self.is_below(start, size_lg2, pa_lg2) {
            return self.split(state, size_lg2, pa_lg2);
        }
        while state.next < start {
            let at = self.base_pa.wrapping_add(state.next as u64);
            let piece_lg2 = lg2::align_of(at).min(MAX_LG2);
            let piece = 1usize << piece_lg2;
            if piece_lg2 >= MIN_LG2 && piece <= start - state.next {
                // SAFETY: between the last page handed out and the new one; aligned to its size in PA, and so to 8.
                unsafe { self.list(state, state.next, piece_lg2) };
                state.next += piece;
            } else {
                // Too small for any table: skipped for good.
                state.next += (1usize << MIN_LG2.min(piece_lg2)).min(start - state.next);
            }
        }
        state.next = end;
        Some(start)
    }

    /// A page cut out of a larger free one, when the block is used up, at least below the limit.
    fn split(&self, state: &mut State, size_lg2: u32, pa_lg2: u32) -> Option<usize> {
        if size_lg2 == MAX_LG2 {
            return None;
        }
        let listed = self.take_listed(state, size_lg2 + 1, pa_lg2);
        let larger = listed.or_else(|| self.split(state, size_lg2 + 1, pa_lg2))?;
        // SAFETY: the upper half of a page that was free; aligned to its own size.
        unsafe { self.list(state, larger + (1 << size_lg2), size_lg2) };
        Some(larger)
    }
}

impl fmt::Debug for Arena<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arena")
            .field("base_pa", &format_args!("{:#x}", self.base_pa))
            .field("free_bytes", &self.free_bytes())
            .finish_non_exhaustive()
    }
}

// SAFETY: the block is exclusively the arena's (it was `&mut`), and its state is only touched under the lock.
unsafe impl Send for Arena<'_> {}
// SAFETY: as above.
unsafe impl Sync for Arena<'_> {}

// SAFETY: pages are cut from a block that is exclusively the arena's for `'a`, never overlap, and are in a free list only
// between `free` and the next `alloc`. They are initialised (the block was `&mut [u8]`, and a `Link` has no byte without a value). They are aligned by physical
// address, and the pointer agrees with that modulo 8. `at_pa` inverts `pa_of` with the provenance of the block.
unsafe impl TableMemory for Arena<'_> {
    fn alloc(&self, request: PageRequest) -> Option<NonNull<u8>> {
        let size_lg2 = request.size_lg2.max(MIN_LG2);
        if size_lg2 > MAX_LG2 {
            return None;
        }
        let page = self.at_offset(self.with_state(|state| self.take(state, size_lg2, request.pa_lg2))?);
        if request.contents == Contents::Zeroed {
            // SAFETY: the page is ours and of this size.
            unsafe { page.write_bytes(0, 1 << size_lg2) };
        }
        Some(page)
    }

    unsafe fn free(&self, page: NonNull<u8>, size_lg2: u32, _contents: Contents) {
        let offset = page.as_ptr().addr() - self.base.as_ptr().addr();
        // SAFETY: the caller promises that the page is of this arena and not in use any more.
        self.with_state(|state| unsafe { self.list(state, offset, size_lg2.max(MIN_LG2)) });
    }

    #[inline(always)]
    fn pa_of(&self, page: NonNull<u8>) -> u64 {
        let offset = page.as_ptr().addr() - self.base.as_ptr().addr();
        self.base_pa + offset as u64
    }

    #[inline(always)]
    unsafe fn at_pa(&self, pa: u64) -> NonNull<u8> {
        self.at_offset((pa - self.base_pa) as usize)
    }
}
