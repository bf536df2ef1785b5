//! The AND and the OR of blocks of items.
//!
//! Code that may use SSE takes 16 bytes with one instruction. That need not be one access to memory, so an item may be read in
//! parts: each bit as it was at some time, which is all that these sums say of items that change meanwhile. Code of kernels, which
//! may not use SSE, takes each item by itself.

use core::sync::atomic::{AtomicU32, AtomicU64};

/// Bytes of a block.
pub(super) const BYTES: usize = 256;

/// Blocks begin at multiples of it.
const ALIGNMENT: usize = if cfg!(target_feature = "sse2") { 16 } else { 1 };

/// The items before the first place of a block, the blocks, and the items behind.
#[inline(always)]
pub(super) fn of<A, const ITEMS: usize>(run: &[A]) -> (&[A], &[[A; ITEMS]], &[A]) {
    let (before, run) = run.split_at_checked(run.as_ptr().align_offset(ALIGNMENT)).unwrap_or((run, &[]));
    let (blocks, behind) = run.as_chunks::<ITEMS>();
    (before, blocks, behind)
}

#[cfg(target_feature = "sse2")]
macro_rules! reduce_blocks {
    ($name:ident, $int:ty, $atomic:ty, $operator:tt, $neutral:expr, $bytes:literal, $scalar:tt, $vector:literal, $combine:ident) => {
        #[doc = concat!("`", stringify!($operator), "` over all items of blocks that [`of`] found.")]
        #[inline(never)]
        pub(super) fn $name(blocks: &[[$atomic; BYTES / $bytes]]) -> $int {
            #[target_feature(enable = "sse2")]
            fn reduce(blocks: &[[$atomic; BYTES / $bytes]]) -> $int {
            use core::arch::x86_64::{$combine, _mm_cvtsi128_si64, _mm_set1_epi64x, _mm_unpackhi_epi64};
            // Several that do not wait for each other.
            let neutral = _mm_set1_epi64x($neutral);
            let (mut a, mut b, mut c, mut d) = (neutral, neutral, neutral, neutral);
            for block in blocks {
                // SAFETY: reads the items of the array, which is at a multiple of 16 as `of` has it, each bit once; only hardware
                // and atomic stores change them meanwhile. It writes registers only.
                seq_macro::seq!(N in 0..4 {
                    unsafe {
                        core::arch::asm!(
                            #(
                                concat!($vector, " {a}, xmmword ptr [{items} + 64*", N, "]"),
                                concat!($vector, " {b}, xmmword ptr [{items} + 64*", N, " + 16]"),
                                concat!($vector, " {c}, xmmword ptr [{items} + 64*", N, " + 32]"),
                                concat!($vector, " {d}, xmmword ptr [{items} + 64*", N, " + 48]"),
                            )*
                            items = in(reg) block,
                            a = inout(xmm_reg) a,
                            b = inout(xmm_reg) b,
                            c = inout(xmm_reg) c,
                            d = inout(xmm_reg) d,
                            options(nostack, readonly, preserves_flags),
                        );
                    }
                });
            }
            let sums = $combine($combine(a, b), $combine(c, d));
            let sum = _mm_cvtsi128_si64($combine(sums, _mm_unpackhi_epi64(sums, sums))) as u64;
            // Where two items are side by side in it, that is both.
            (sum $operator sum.rotate_left(<$int>::BITS)) as $int
            }
            // SAFETY: the target has SSE2.
            unsafe { reduce(blocks) }
        }
    };
}

#[cfg(not(target_feature = "sse2"))]
macro_rules! reduce_blocks {
    ($name:ident, $int:ty, $atomic:ty, $operator:tt, $neutral:expr, $bytes:literal, ($mnemonic:literal, $size:literal, $register:literal), $vector:literal, $combine:ident) => {
        #[doc = concat!("`", stringify!($operator), "` over all items of blocks that [`of`] found.")]
        #[inline(never)]
        pub(super) fn $name(blocks: &[[$atomic; BYTES / $bytes]]) -> $int {
            // Several that do not wait for each other.
            let neutral: $int = $neutral;
            let (mut a, mut b, mut c, mut d) = (neutral, neutral, neutral, neutral);
            for items in blocks.as_flattened().as_chunks::<32>().0 {
                // SAFETY: reads the items of the array by aligned loads of the width of an item, which x86 does at once (Intel SDM
                // volume 3A, 9.1.1; AMD APM volume 2, 7.3.2): the same as a relaxed load of each. It writes registers and flags
                // only.
                seq_macro::seq!(N in 0..8 {
                    unsafe {
                        core::arch::asm!(
                            #(
                                concat!($mnemonic, " {a", $register, "}, ", $size, " ptr [{items} + 4*", N, "*{bytes}]"),
                                concat!($mnemonic, " {b", $register, "}, ", $size, " ptr [{items} + 4*", N, "*{bytes} + {bytes}]"),
                                concat!($mnemonic, " {c", $register, "}, ", $size, " ptr [{items} + 4*", N, "*{bytes} + 2*{bytes}]"),
                                concat!($mnemonic, " {d", $register, "}, ", $size, " ptr [{items} + 4*", N, "*{bytes} + 3*{bytes}]"),
                            )*
                            items = in(reg) items,
                            bytes = const $bytes,
                            a = inout(reg) a,
                            b = inout(reg) b,
                            c = inout(reg) c,
                            d = inout(reg) d,
                            options(nostack, readonly),
                        );
                    }
                });
            }
            (a $operator b) $operator (c $operator d)
        }
    };
}

reduce_blocks!(and_u32, u32, AtomicU32, &, !0, 4, ("and", "dword", ":e"), "pand", _mm_and_si128);
reduce_blocks!(or_u32, u32, AtomicU32, |, 0, 4, ("or", "dword", ":e"), "por", _mm_or_si128);
reduce_blocks!(and_u64, u64, AtomicU64, &, !0, 8, ("and", "qword", ""), "pand", _mm_and_si128);
reduce_blocks!(or_u64, u64, AtomicU64, |, 0, 8, ("or", "qword", ""), "por", _mm_or_si128);
