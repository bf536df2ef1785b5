//! Where table pages come from, and how a physical address of one becomes a pointer.
//!
//! A table does not allocate by itself: it asks a [`TableMemory`]. Ready-made are [`HeapMemory`] for programs with
//! `alloc`, and [`Arena`] over bytes that the caller gives, with a physical base that the caller gives, without any
//! allocator.

mod arena;
#[cfg(feature = "alloc")]
mod heap;

pub use arena::{Arena, ArenaError};
#[cfg(feature = "alloc")]
pub use heap::HeapMemory;

use core::ptr::NonNull;

/// What is known about the bytes of a table page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Contents {
    /// All zero.
    Zeroed,
    /// Anything, possibly never written.
    Unknown,
}

/// A wish for one table page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PageRequest {
    /// Its size and alignment (of pointer and of physical address), as a power of two.
    pub size_lg2: u32,
    /// Whether it has to be zeroed; `Unknown` says that all of it will be written before it is read.
    pub contents: Contents,
    /// Its physical address has to be below `2^n`.
    pub pa_lg2: u32,
}

/// Memory for tables: pages, and the way between pointers and physical addresses.
///
/// Several threads may ask at the same time if the implementation is [`Sync`]; a table is [`Sync`] only then.
///
/// # Safety
/// An implementation promises:
/// * a page from [`alloc`](Self::alloc) is valid for reads and writes of its whole size, not used by anything else until
///   it is given to [`free`](Self::free), zero if that was asked for, and its pointer is aligned to at least 8 bytes;
/// * [`pa_of`](Self::pa_of) of a live page is aligned to the page's size and below the limit in the request;
/// * [`at_pa`](Self::at_pa) of that physical address is a pointer to that page that is as good as the one `alloc` gave.
pub unsafe trait TableMemory {
    /// A page, or `None` if there is none.
    fn alloc(&self, request: PageRequest) -> Option<NonNull<u8>>;

    /// Takes a page back.
    ///
    /// # Safety
    /// `page` came from [`alloc`](Self::alloc) of this memory with this `size_lg2`, was not freed since, and nobody
    /// uses it any more; if `contents` is `Zeroed`, all its bytes are zero.
    unsafe fn free(&self, page: NonNull<u8>, size_lg2: u32, contents: Contents);

    /// The physical address of a page, as hardware sees it. Looks at the pointer only, not at the page.
    fn pa_of(&self, page: NonNull<u8>) -> u64;

    /// The pointer to the live page at `pa`.
    ///
    /// # Safety
    /// `pa` is what [`pa_of`](Self::pa_of) gave for a page of this memory that is live.
    unsafe fn at_pa(&self, pa: u64) -> NonNull<u8>;
}

macro_rules! forward_table_memory {
    ($(#[$meta:meta])* $handle:ty) => {
        $(#[$meta])*
        // SAFETY: forwards to a memory that keeps the promises.
        unsafe impl<T: TableMemory + ?Sized> TableMemory for $handle {
            #[inline(always)]
            fn alloc(&self, request: PageRequest) -> Option<NonNull<u8>> {
                T::alloc(self, request)
            }
            #[inline(always)]
            unsafe fn free(&self, page: NonNull<u8>, size_lg2: u32, contents: Contents) {
                // SAFETY: the caller's promise, passed on.
                unsafe { T::free(self, page, size_lg2, contents) }
            }
            #[inline(always)]
            fn pa_of(&self, page: NonNull<u8>) -> u64 {
                T::pa_of(self, page)
            }
            #[inline(always)]
            unsafe fn at_pa(&self, pa: u64) -> NonNull<u8> {
                // SAFETY: the caller's promise, passed on.
                unsafe { T::at_pa(self, pa) }
            }
        }
    };
}

// One memory can serve several domains.
forward_table_memory!(&T);
forward_table_memory!(
    #[cfg(feature = "alloc")]
    alloc::sync::Arc<T>
);
