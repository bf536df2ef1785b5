//! The AND and the OR of blocks of items, 16 bytes with one instruction.

use core::arch::x86_64::{
    __m128i, _mm_and_si128, _mm_cvtsi128_si64, _mm_or_si128, _mm_set1_epi64x, _mm_unpackhi_epi64,
};
use core::sync::atomic::{AtomicU32, AtomicU64};

/// Bytes of a block.
pub(super) const BYTES: usize = 256;

/// The items before the first multiple of 16 bytes, the blocks from there on, and the items behind.
#[inline(always)]
pub(super) fn of<A, const ITEMS: usize>(run: &[A]) -> (&[A], &[[A; ITEMS]], &[A]) {
    let (before, run) = run.split_at_checked(run.as_ptr().align_offset(16)).unwrap_or((run, &[]));
    let (blocks, behind) = run.as_chunks::<ITEMS>();
    (before, blocks, behind)
}

macro_rules! reduce_blocks {
    ($name:ident, $int:ty, $atomic:ty, $bytes:literal, $operator:tt, $neutral:expr, $vectors:ident, $instruction:literal, $both:ident) => {
        #[doc = concat!("`", stringify!($operator), "` over all items of blocks that [`of`] found.")]
        #[inline(never)]
        pub(super) fn $name(blocks: &[[$atomic; BYTES / $bytes]]) -> $int {
            // SAFETY: the target has SSE2; and `of` found the blocks.
            let sum = unsafe { $vectors(blocks) };
            // Where two items are side by side in it, that is both.
            (sum $operator sum.rotate_left(<$int>::BITS)) as $int
        }

        /// The same of words of 64 bits.
        ///
        /// # Safety
        /// Blocks are at multiples of 16 bytes.
        #[target_feature(enable = "sse2")]
        unsafe fn $vectors(blocks: &[[$atomic; BYTES / $bytes]]) -> u64 {
            // Several that do not wait for each other.
            let mut sums: [__m128i; 4] = [_mm_set1_epi64x($neutral); 4];
            for block in blocks {
                let [a, b, c, d] = &mut sums;
                seq_macro::seq!(N in 0..4 {
                    // SAFETY: reads the items of the array, at a multiple of 16. An instruction may be several accesses (Intel SDM
                    // volume 3A, 9.1.1), none of less than a byte: so this is what relaxed loads of each item give of which only some
                    // bytes are used. That no load comes before the one that led here is true of all loads of x86. Registers are all
                    // that is written.
                    unsafe {
                        core::arch::asm!(
                            #(
                                concat!($instruction, " {a}, xmmword ptr [{items} + 64*", N, "]"),
                                concat!($instruction, " {b}, xmmword ptr [{items} + 64*", N, " + 16]"),
                                concat!($instruction, " {c}, xmmword ptr [{items} + 64*", N, " + 32]"),
                                concat!($instruction, " {d}, xmmword ptr [{items} + 64*", N, " + 48]"),
                            )*
                            items = in(reg) block,
                            a = inout(xmm_reg) *a,
                            b = inout(xmm_reg) *b,
                            c = inout(xmm_reg) *c,
                            d = inout(xmm_reg) *d,
                            options(nostack, readonly, preserves_flags),
                        );
                    }
                });
            }
            let [a, b, c, d] = sums;
            let sum = $both($both(a, b), $both(c, d));
            _mm_cvtsi128_si64($both(sum, _mm_unpackhi_epi64(sum, sum))) as u64
        }
    };
}

reduce_blocks!(and_u32, u32, AtomicU32, 4, &, !0, and_u32_vectors, "pand", _mm_and_si128);
reduce_blocks!(or_u32, u32, AtomicU32, 4, |, 0, or_u32_vectors, "por", _mm_or_si128);
reduce_blocks!(and_u64, u64, AtomicU64, 8, &, !0, and_u64_vectors, "pand", _mm_and_si128);
reduce_blocks!(or_u64, u64, AtomicU64, 8, |, 0, or_u64_vectors, "por", _mm_or_si128);
