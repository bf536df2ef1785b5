//! Table memory with low physical addresses, for formats that cannot point to where this program's heap is.

use generic_pt::format::Description;
use generic_pt::memory::{Arena, Contents, PageRequest, TableMemory};
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

/// Bits of the heap's addresses in this program.
const HEAP_LG2: u32 = 47;
/// Only what is used is ever touched. 1 GiB, as `--table-memory` has by default; a quarter where addresses are few.
const BYTES: usize = if usize::BITS < 64 { 256 << 20 } else { 1 << 30 };
const BASE_PA: u64 = 0x1000_0000;

/// Memory whose physical addresses are made up, and low.
#[derive(Debug)]
pub struct LowMemory {
    arena: ManuallyDrop<Arena<'static>>,
    block: NonNull<[u8]>,
}

/// Whether tables of the format can lie anywhere in the heap.
pub const fn fits_heap<F: Description>() -> bool {
    F::QUIRKS.table_pa_lg2 >= HEAP_LG2 && F::GEOMETRY.top_pa_lg2() >= HEAP_LG2
}

impl LowMemory {
    /// Fresh memory.
    pub fn new() -> Self {
        let block = NonNull::from(Box::leak(vec![0u8; BYTES].into_boxed_slice()));
        // SAFETY: the block was just leaked, so it is valid and nobody else's until `drop`, which drops the arena first.
        let bytes: &'static mut [u8] = unsafe { &mut *block.as_ptr() };
        let arena = Arena::new(bytes, BASE_PA).expect("an allocation this large is aligned to 8");
        Self { arena: ManuallyDrop::new(arena), block }
    }
}

impl Drop for LowMemory {
    fn drop(&mut self) {
        // SAFETY: the field is not used again.
        unsafe { ManuallyDrop::drop(&mut self.arena) };
        // SAFETY: leaked in `new` from such a box; the arena, which alone referred to it, is gone.
        drop(unsafe { Box::from_raw(self.block.as_ptr()) });
    }
}

// SAFETY: forwards to the arena, which keeps the promises.
unsafe impl TableMemory for LowMemory {
    fn alloc(&self, request: PageRequest) -> Option<NonNull<u8>> {
        self.arena.alloc(request)
    }

    unsafe fn free(&self, page: NonNull<u8>, size_lg2: u32, contents: Contents) {
        // SAFETY: the caller's promise, passed on.
        unsafe { self.arena.free(page, size_lg2, contents) }
    }

    #[inline(always)]
    fn pa_of(&self, page: NonNull<u8>) -> u64 {
        self.arena.pa_of(page)
    }

    #[inline(always)]
    unsafe fn at_pa(&self, pa: u64) -> NonNull<u8> {
        // SAFETY: the caller's promise, passed on.
        unsafe { self.arena.at_pa(pa) }
    }
}
