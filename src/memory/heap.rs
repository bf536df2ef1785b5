//! Table pages from the global allocator.

use super::{Contents, PageRequest, TableMemory};
use alloc::alloc::{Layout, alloc, alloc_zeroed, dealloc};
use core::ptr::NonNull;

/// Table pages from the global allocator; the physical address of a page is its address in this program.
///
/// For tests, tools, software walkers, and for kernels whose heap is identity mapped. Addresses of a 64-bit program are too high
/// for formats whose tables must lie below some address (those with 32-bit items or registers, DART, Mali): for these there
/// is [`Arena`](crate::memory::Arena).
///
/// ```
/// use generic_pt::memory::{Contents, HeapMemory, PageRequest, TableMemory};
/// let page = HeapMemory.alloc(PageRequest { size_lg2: 12, contents: Contents::Zeroed, pa_lg2: 64 }).unwrap();
/// assert_eq!(HeapMemory.pa_of(page) % 4096, 0);
/// // SAFETY: the page is from this memory, of this size, and not used afterwards.
/// unsafe { HeapMemory.free(page, 12, Contents::Zeroed) };
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct HeapMemory;

impl HeapMemory {
    fn layout(size_lg2: u32) -> Option<Layout> {
        let bytes = 1usize.checked_shl(size_lg2)?;
        Layout::from_size_align(bytes, bytes.max(8)).ok()
    }
}

// SAFETY: the global allocator gives memory of the layout's size and alignment (at least 8) that is exclusive until
// `dealloc`, and zeroes it when asked. `pa_of` is the address, which is aligned like the pointer, is checked
// against the limit, and exposes the provenance that `at_pa` takes up again.
unsafe impl TableMemory for HeapMemory {
    fn alloc(&self, request: PageRequest) -> Option<NonNull<u8>> {
        let layout = Self::layout(request.size_lg2)?;
        let page = match request.contents {
            // SAFETY: the layout's size is a power of two, so not zero.
            Contents::Zeroed => NonNull::new(unsafe { alloc_zeroed(layout) })?,
            // SAFETY: as above.
            Contents::Unknown => NonNull::new(unsafe { alloc(layout) })?,
        };
        if crate::lg2::shr(self.pa_of(page), request.pa_lg2) != 0 {
            // SAFETY: just allocated with this layout, and not handed out.
            unsafe { dealloc(page.as_ptr(), layout) };
            return None;
        }
        Some(page)
    }

    unsafe fn free(&self, page: NonNull<u8>, size_lg2: u32, _contents: Contents) {
        if let Some(layout) = Self::layout(size_lg2) {
            // SAFETY: the caller promises that the page came from `alloc` with this size, which used the same layout.
            unsafe { dealloc(page.as_ptr(), layout) };
        }
    }

    #[inline(always)]
    fn pa_of(&self, page: NonNull<u8>) -> u64 {
        page.as_ptr().expose_provenance() as u64
    }

    #[inline(always)]
    unsafe fn at_pa(&self, pa: u64) -> NonNull<u8> {
        let page = core::ptr::with_exposed_provenance_mut(pa as usize);
        // SAFETY: the caller promises that this is the address of a live page, which is not null.
        unsafe { NonNull::new_unchecked(page) }
    }
}
