//! Asking for memory before it is needed.

use core::ptr::NonNull;

/// Whether [`beginning_of`] does anything: elsewhere what has to be known for it need not be looked up.
pub(crate) const IS_THERE: bool = cfg!(all(target_arch = "x86_64", target_feature = "sse", not(miri)));

/// Asks for the first two cache lines of a page. From there on hardware sees what comes next by itself; it does not look beyond a
/// page.
#[inline(always)]
pub(crate) fn beginning_of(page: NonNull<u8>) {
    #[cfg(all(target_arch = "x86_64", target_feature = "sse", not(miri)))]
    {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let page = page.as_ptr().cast_const().cast::<i8>();
        for line in [page, page.wrapping_add(64)] {
            // SAFETY: a hint. It reads nothing that the program could see, and does nothing for an address that cannot be read
            // (Intel SDM volume 2B, PREFETCHh; AMD APM volume 3, PREFETCHlevel). SSE is there.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(line) };
        }
    }
    let _ = page;
}
