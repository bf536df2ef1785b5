//! Asking for memory before it is needed.

use core::ptr::NonNull;

/// Whether [`beginning_of`] does anything: elsewhere what has to be known for it need not be looked up.
pub(crate) const IS_THERE: bool = cfg!(all(target_arch = "x86_64", not(miri)));

/// Asks for the first two cache lines of a page. From there on hardware sees what comes next by itself; it does not look beyond a
/// page.
#[inline(always)]
pub(crate) fn beginning_of(page: NonNull<u8>) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: a hint, which every x86_64 CPU has, even where the target's code has no SSE. It reads nothing that the program could see,
    // does nothing for an address that cannot be read, and changes no register or flag (Intel SDM volume 2B, PREFETCHh; AMD APM
    // volume 3, PREFETCHlevel).
    unsafe {
        core::arch::asm!(
            "prefetcht0 [{page}]",
            "prefetcht0 [{page} + 64]",
            page = in(reg) page.as_ptr(),
            options(nostack, readonly, preserves_flags),
        );
    }
    let _ = page;
}
