//! Asking for memory before it is needed.

use core::ptr::NonNull;

/// Whether [`of`] does anything: elsewhere what has to be known for it need not be looked up.
pub(crate) const IS_THERE: bool = cfg!(all(target_arch = "x86_64", not(miri)));

/// How much of a table is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The first two cache lines. From there on hardware sees what comes next by itself; it does not look beyond a page.
    Beginning,
    /// The first 4 KiB, into the second level of the caches. Where all of many tables is read, and little done with it, hardware asks
    /// for too little at once.
    Page,
}

/// Asks for a part of a table of at least 512 bytes.
#[inline(always)]
pub(crate) fn of(table: NonNull<u8>, bytes: usize, part: Part) {
    match part {
        Part::Beginning => {
            line::<0>(table.as_ptr());
            line::<0>(table.as_ptr().wrapping_add(LINE));
        }
        Part::Page => {
            for at in (0..bytes.min(1 << 12)).step_by(8 * LINE) {
                for n in 0..8 {
                    line::<1>(table.as_ptr().wrapping_add(at + n * LINE));
                }
            }
        }
    }
}

/// Bytes of a line of the caches.
const LINE: usize = 64;

/// Asks for one line, for the caches of a level and those behind it.
#[inline(always)]
fn line<const LEVEL: u32>(address: *const u8) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    macro_rules! ask {
        ($hint:literal) => {
            // SAFETY: a hint, which every x86_64 CPU has, even where the target's code has no SSE. It reads nothing that the program
            // could see, does nothing for an address that cannot be read, and changes no register or flag (Intel SDM volume 2B,
            // PREFETCHh; AMD APM volume 3, PREFETCHlevel).
            unsafe {
                core::arch::asm!(
                    concat!($hint, " [{}]"),
                    in(reg) address,
                    options(nostack, readonly, preserves_flags)
                )
            }
        };
    }
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    if LEVEL == 0 {
        ask!("prefetcht0")
    } else {
        ask!("prefetcht1")
    }
    let _ = address;
}
