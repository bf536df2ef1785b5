//! Sizes as logarithms, the best page size and the count of pages: against their definitions.

use crate::iommu::Walkers;
use crate::item::Item;
use crate::lg2;
use crate::range::{Fit, Leaves, best_fit, best_page_size, count_of_size};
use crate::testing::random::Rng;
use crate::testing::report::{TestResult, ensure_eq};
use crate::testing::subject::best_size_by_definition;
use crate::testing::suite::Test;

/// Random values of each kind, for each helper.
const ROUNDS: u32 = 2000;
/// Pages that are counted one by one.
const MAX_COUNT: u64 = 1024;

pub(super) fn bitops<F: Walkers>(test: &mut Test<'_, F>) -> TestResult {
    let edges = [0, 1, 2, u64::from(u32::MAX), u64::from(u32::MAX) + 1, 1 << 31, 1 << 63, u64::MAX - 1, u64::MAX];
    for value in edges {
        of_value(value)?;
    }
    for _ in 0..ROUNDS {
        let bits = test.rng.below(65) as u32;
        of_value(test.rng.bits(bits))?;
        of_value(!test.rng.bits(bits))?;
    }
    for n in 0..=80 {
        let wide = 1_u128 << n;
        ensure_eq!(lg2::low_mask(n), wide.wrapping_sub(1) as u64 | full(n, 64), "low_mask({n})");
        ensure_eq!(lg2::low_mask_u32(n), (wide.wrapping_sub(1) as u64 | full(n, 32)) as u32, "low_mask_u32({n})");
        ensure_eq!(lg2::pow2(n), wide as u64, "pow2({n})");
    }
    for (lo, hi) in (0..64).flat_map(|hi| (0..=hi).map(move |lo| (lo, hi))) {
        let expected = (lo..=hi).fold(0, |mask, bit| mask | 1_u64 << bit);
        ensure_eq!(lg2::bit_range_mask(lo, hi), expected, "bit_range_mask({lo}, {hi})");
    }
    item_words::<u32>(&mut test.rng)?;
    item_words::<u64>(&mut test.rng)
}

/// All ones where a mask of `n` bits fills a word of `width`.
fn full(n: u32, width: u32) -> u64 {
    if n >= width { u64::MAX } else { 0 }
}

fn of_value(value: u64) -> TestResult {
    let wide = u128::from(value);
    let is_set = |bit: &u32| value >> bit & 1 == 1;
    ensure_eq!(lg2::align_of(value), (0..64).find(is_set).unwrap_or(64), "align_of({value:#x})");
    ensure_eq!(lg2::lowest_clear(value), (0..64).find(|bit| !is_set(bit)).unwrap_or(64), "lowest_clear({value:#x})");
    ensure_eq!(lg2::highest_set(value), (0..64).rev().find(is_set), "highest_set({value:#x})");
    for n in 0..=64 {
        let block = 1_u128 << n;
        ensure_eq!(lg2::shr(value, n), (wide / block) as u64, "shr({value:#x}, {n})");
        ensure_eq!(lg2::shl(value, n), wide.wrapping_mul(block) as u64, "shl({value:#x}, {n})");
        ensure_eq!(lg2::align_down(value, n), (wide - wide % block) as u64, "align_down({value:#x}, {n})");
        ensure_eq!(lg2::is_aligned(value, n), wide.is_multiple_of(block), "is_aligned({value:#x}, {n})");
        let other = value.rotate_left(n) ^ value;
        let joined = wide - wide % block + u128::from(other) % block;
        ensure_eq!(lg2::replace_low(value, other, n), joined as u64, "replace_low({value:#x}, {other:#x}, {n})");
        let same = wide / block == u128::from(other) / block;
        ensure_eq!(lg2::same_block(value, other, n), same, "same_block({value:#x}, {other:#x}, {n})");
        if n > 0 {
            let low = wide % block;
            let negative = low >= block / 2;
            let extended = if negative { low.wrapping_sub(block) } else { low };
            ensure_eq!(lg2::sign_extend(value, n), extended as u64, "sign_extend({value:#x}, {n})");
        }
    }
    Ok(())
}

/// Items of both widths: conversion and byte order.
fn item_words<I: Item>(rng: &mut Rng) -> TestResult {
    let bits = I::BITS;
    ensure_eq!(1 << I::BYTES_LG2, bits / 8, "bytes of a {bits}-bit item");
    for value in [0, 1, u64::MAX, rng.next_u64(), rng.next_u64()] {
        let item = I::from_u64(value);
        let kept = value & lg2::low_mask(bits);
        ensure_eq!(item.to_u64(), kept, "{bits}-bit item of {value:#x}");
        let swapped = (0..bits / 8).fold(0, |swapped, byte| swapped << 8 | (kept >> (8 * byte) & 0xff));
        ensure_eq!(item.swap_bytes().to_u64(), swapped, "{bits}-bit item of {value:#x} with bytes swapped");
    }
    Ok(())
}

/// A random address: some low bits zero, and a prefix of zeros, of ones, or neither.
fn random_address(rng: &mut Rng) -> u64 {
    let prefix = lg2::shl(u64::MAX, rng.below(65) as u32);
    let value = match rng.below(3) {
        0 => rng.next_u64() & !prefix,
        1 => rng.next_u64() | prefix,
        _ => rng.next_u64(),
    };
    lg2::align_down(value, rng.below(65) as u32)
}

/// A random bitmap of sizes: empty, few, many, only above 32 bits, or the format's own.
fn random_sizes(rng: &mut Rng, own: u64) -> u64 {
    match rng.below(6) {
        0 => 0,
        1 => lg2::pow2(rng.below(64) as u32),
        2 => rng.next_u64() & rng.next_u64(),
        3 => rng.next_u64() << 32,
        4 => rng.next_u64(),
        _ => own,
    }
}

/// A random last address from `va` on: near, far, or the very last one.
fn random_last(rng: &mut Rng, va: u64) -> u64 {
    match rng.below(4) {
        0 => u64::MAX,
        1 => va,
        _ => {
            let bits = rng.below(65) as u32;
            let len_minus_1 = if rng.coin() { lg2::low_mask(bits) } else { rng.bits(bits) };
            va.saturating_add(len_minus_1)
        }
    }
}

pub(super) fn best_pgsize<F: Walkers>(test: &mut Test<'_, F>) -> TestResult {
    let own = test.subject()?.sizes;
    let rng = &mut test.rng;
    for _ in 0..20 * ROUNDS {
        let (sizes, va) = (random_sizes(rng, own), random_address(rng));
        let oa = if rng.coin() { va ^ random_address(rng) } else { random_address(rng) };
        let last = random_last(rng, va);
        let expected = best_size_by_definition(sizes, va, last, oa);
        let got = best_page_size(sizes, va, last, oa);
        ensure_eq!(got, expected, "best size of {sizes:#x} for VA {va:#x}..={last:#x}, OA {oa:#x} (lg2)");
    }
    Ok(())
}

pub(super) fn pgsz_count<F: Walkers>(test: &mut Test<'_, F>) -> TestResult {
    let own = test.subject()?.sizes;
    let rng = &mut test.rng;
    for _ in 0..10 * ROUNDS {
        let (sizes, va) = (random_sizes(rng, own), random_address(rng));
        // Often alike in their low bits, so that a larger size becomes possible further on.
        let unlike = if rng.coin() { lg2::shl(u64::MAX, rng.below(65) as u32) } else { 0 };
        let oa = va ^ (rng.next_u64() & unlike);
        let Some(first) = best_size_by_definition(sizes, va, random_last(rng, va), oa) else { continue };
        // Up to a few hundred pages of that size.
        let most = lg2::shl(rng.bits(9) + 1, first).wrapping_sub(1 + rng.bits(first.min(12)));
        let last = va.saturating_add(most);
        let Some(size_lg2) = best_size_by_definition(sizes, va, last, oa) else { continue };
        if lg2::shr(last - va, size_lg2) > MAX_COUNT {
            continue;
        }
        let expected = count_by_definition(sizes, va, last, oa, size_lg2);
        let got = count_of_size(sizes, va, last, oa, size_lg2);
        let what = "pages until a larger one is possible";
        ensure_eq!(got, expected, "{what}: sizes {sizes:#x}, VA {va:#x}..={last:#x}, OA {oa:#x}, size 2^{size_lg2}");
        // Both at once, for all ranges that there are.
        let Some(len) = (last - va).checked_add(1) else { continue };
        let fit = best_fit(sizes, va, oa, len);
        let what = "best fit";
        ensure_eq!(
            fit.map(|fit| fit.size_lg2),
            Some(size_lg2),
            "{what}: sizes {sizes:#x}, VA {va:#x}..={last:#x}, OA {oa:#x}"
        );
        let twice = sizes & lg2::shl(2, size_lg2) & (va << 1) != 0;
        let leaves = match fit {
            Some(Fit { leaves: Leaves::Many(count), .. }) => count,
            // One by itself is right where the next is another, or begins at a border of twice the size.
            Some(Fit { leaves: Leaves::One, .. }) => {
                if twice {
                    expected.max(1)
                } else {
                    1
                }
            }
            None => 0,
        };
        ensure_eq!(leaves, expected, "{what}: sizes {sizes:#x}, VA {va:#x}..={last:#x}, OA {oa:#x}, size 2^{size_lg2}");
    }
    Ok(())
}

/// One page after the other, until the end or until another size is the best.
fn count_by_definition(sizes: u64, va: u64, last: u64, oa: u64, size_lg2: u32) -> u64 {
    let mut count = 0;
    let (mut va, mut oa) = (va, oa);
    while best_size_by_definition(sizes, va, last, oa) == Some(size_lg2) {
        count += 1;
        oa = oa.wrapping_add(lg2::pow2(size_lg2));
        match va.checked_add(lg2::pow2(size_lg2)) {
            Some(next) => va = next,
            None => break,
        }
    }
    count
}
