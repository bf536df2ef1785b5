//! The AND and the OR of many items, with one instruction for each, or for 16 bytes of them.
//!
//! What a run of items has in common tells whether all are empty, or all leaves, with one test for many. Of atomic loads the
//! compiler makes a load and an operation each, since it never joins them with anything. So this is the one place with
//! instructions of its own, for x86_64; other targets get what the compiler makes. Where there are many items, and the target has
//! SSE2 (a kernel's has not), `blocks` takes 16 bytes at once.

#[cfg(all(target_arch = "x86_64", target_pointer_width = "64", target_feature = "sse2", not(miri)))]
mod blocks;

#[cfg(all(target_arch = "x86_64", target_pointer_width = "64", not(miri)))]
macro_rules! reduce {
    ($name:ident, $int:ty, $atomic:ty, $mnemonic:literal, $operator:tt, $neutral:expr, $size:literal, $bytes:literal, $register:literal) => {
        #[doc = concat!("`", stringify!($operator), "` over all items of a run: of each bit as it was at some time meanwhile.")]
        #[inline(always)]
        pub(super) fn $name(run: &[$atomic]) -> $int {
            #[allow(unused_mut, reason = "where there are no blocks")]
            let (mut sum, mut rest) = ($neutral, run);
            #[cfg(target_feature = "sse2")]
            if run.len() >= 2 * blocks::BYTES / $bytes {
                let (before, blocks, behind) = blocks::of(run);
                sum = before.iter().fold(blocks::$name(blocks), |sum, item| sum $operator item.load(Ordering::Relaxed));
                rest = behind;
            }
            let (some, rest) = rest.as_chunks::<8>();
            let eight = |items: &[$atomic; 8]| reduce!(@eight items, $int, $mnemonic, $size, $bytes, $register);
            sum = some.iter().fold(sum, |sum, items| sum $operator eight(items));
            rest.iter().fold(sum, |sum, item| sum $operator item.load(Ordering::Relaxed))
        }
    };
    // Eight items.
    (@eight $items:ident, $int:ty, $mnemonic:literal, $size:literal, $bytes:literal, $register:literal) => {{
        // SAFETY: reads the items of the array by aligned loads of the width of an item, which x86 does at once (Intel SDM volume
        // 3A, 9.1.1; AMD APM volume 2, 7.3.2): the same as a relaxed load of each. It writes registers and flags only.
        unsafe {
            let a: $int;
            core::arch::asm!(
                concat!("mov {a", $register, "}, ", $size, " ptr [{items}]"),
                concat!("mov {b", $register, "}, ", $size, " ptr [{items} + {bytes}]"),
                concat!($mnemonic, " {a", $register, "}, ", $size, " ptr [{items} + 2*{bytes}]"),
                concat!($mnemonic, " {b", $register, "}, ", $size, " ptr [{items} + 3*{bytes}]"),
                concat!($mnemonic, " {a", $register, "}, ", $size, " ptr [{items} + 4*{bytes}]"),
                concat!($mnemonic, " {b", $register, "}, ", $size, " ptr [{items} + 5*{bytes}]"),
                concat!($mnemonic, " {a", $register, "}, ", $size, " ptr [{items} + 6*{bytes}]"),
                concat!($mnemonic, " {b", $register, "}, ", $size, " ptr [{items} + 7*{bytes}]"),
                concat!($mnemonic, " {a", $register, "}, {b", $register, "}"),
                items = in(reg) $items,
                bytes = const $bytes,
                a = out(reg) a,
                b = out(reg) _,
                options(nostack, readonly),
            );
            a
        }
    }};
}

#[cfg(not(all(target_arch = "x86_64", target_pointer_width = "64", not(miri))))]
macro_rules! reduce {
    ($name:ident, $int:ty, $atomic:ty, $mnemonic:literal, $operator:tt, $neutral:expr, $size:literal, $bytes:literal, $register:literal) => {
        #[doc = concat!("`", stringify!($operator), "` over all items of a run, each loaded by itself, relaxed.")]
        #[inline(always)]
        pub(super) fn $name(run: &[$atomic]) -> $int {
            let load = |item: &$atomic| item.load(Ordering::Relaxed);
            // Several that do not wait for each other.
            let (fours, rest) = run.as_chunks::<4>();
            let mut sums: [$int; 4] = [$neutral; 4];
            for four in fours {
                for (sum, item) in sums.iter_mut().zip(four) {
                    *sum = *sum $operator load(item);
                }
            }
            sums.into_iter().chain(rest.iter().map(load)).fold($neutral, |sum, item| sum $operator item)
        }
    };
}

#[cfg(target_has_atomic = "64")]
use core::sync::atomic::AtomicU64;
use core::sync::atomic::{AtomicU32, Ordering};

reduce!(and_u32, u32, AtomicU32, "and", &, !0, "dword", 4, ":e");
reduce!(or_u32, u32, AtomicU32, "or", |, 0, "dword", 4, ":e");
#[cfg(target_has_atomic = "64")]
reduce!(and_u64, u64, AtomicU64, "and", &, !0, "qword", 8, "");
#[cfg(target_has_atomic = "64")]
reduce!(or_u64, u64, AtomicU64, "or", |, 0, "qword", 8, "");

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    proptest! {
        #[test]
        fn all_items_count(words: Vec<u32>, bit in 0..32u32) {
            // One word alone has the bit, or has it not: also where all others agree.
            let sparse: Vec<u32> = words.iter().map(|word| word & 1 << bit).collect();
            for words in [&words, &sparse] {
                let items: Vec<AtomicU32> = words.iter().copied().map(AtomicU32::new).collect();
                prop_assert_eq!(or_u32(&items), words.iter().fold(0, |all, word| all | word));
                prop_assert_eq!(and_u32(&items), words.iter().fold(!0, |all, word| all & word));
            }
        }

        #[cfg(target_has_atomic = "64")]
        #[test]
        fn all_items_count_64(words: Vec<u64>) {
            let items: Vec<AtomicU64> = words.iter().copied().map(AtomicU64::new).collect();
            prop_assert_eq!(or_u64(&items), words.iter().fold(0, |all, word| all | word));
            prop_assert_eq!(and_u64(&items), words.iter().fold(!0, |all, word| all & word));
        }
    }

    /// One bit is set, or clear, before the first block, in one, or behind the last.
    #[cfg(target_has_atomic = "64")]
    #[test]
    fn each_place_counts_at_each_alignment() {
        let lens: &[usize] = if cfg!(miri) { &[9] } else { &[31, 32, 33, 63, 64, 65, 95, 96, 127, 128, 129, 193] };
        for len in lens.iter().copied() {
            for first in 0..4 {
                for place in 0..len {
                    let bit = |n: usize| u64::from(n == first + place) << (place % 64);
                    let set: Vec<AtomicU64> = (0..first + len).map(|n| AtomicU64::new(bit(n))).collect();
                    let clear: Vec<AtomicU64> = (0..first + len).map(|n| AtomicU64::new(!bit(n))).collect();
                    let expected = 1 << (place % 64);
                    assert_eq!(
                        (or_u64(&set[first..]), and_u64(&clear[first..])),
                        (expected, !expected),
                        "{place} of {len}"
                    );
                    let narrow = |wide: &[AtomicU64]| -> Vec<AtomicU32> {
                        let halves = |item: &AtomicU64| item.load(Ordering::Relaxed) as u32;
                        wide.iter().map(|item| AtomicU32::new(halves(item))).collect()
                    };
                    let (set, clear, expected) = (narrow(&set), narrow(&clear), expected as u32);
                    assert_eq!(
                        (or_u32(&set[first..]), and_u32(&clear[first..])),
                        (expected, !expected),
                        "{place} of {len}"
                    );
                }
            }
        }
    }

    #[test]
    fn each_place_counts() {
        for len in [1, 7, 8, 31, 32, 40, 75, 512] {
            for place in 0..len {
                let items: Vec<AtomicU32> = (0..len).map(|n| AtomicU32::new(u32::from(n == place))).collect();
                assert_eq!((or_u32(&items), and_u32(&items)), (1, u32::from(len == 1)), "{place} of {len}");
                let items: Vec<AtomicU32> = (0..len).map(|n| AtomicU32::new(u32::from(n != place))).collect();
                assert_eq!((or_u32(&items), and_u32(&items)), (u32::from(len > 1), 0), "{place} of {len}");
            }
        }
    }
}
