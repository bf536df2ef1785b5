//! Arithmetic on sizes held as base-2 logarithms, right at the limits of the integer.
//!
//! Sizes, alignments and counts are powers of two in page tables; as logarithms they combine with shifts and masks, and
//! nothing ever divides by a run-time value. A shift by the full width of the integer gives the mathematically right
//! answer here (`low_mask(64)` is all ones), where the bare operator would overflow.
//!
//! ```
//! use generic_pt::lg2;
//! assert_eq!(lg2::low_mask(12), 0xfff);
//! assert_eq!(lg2::low_mask(64), u64::MAX);
//! assert_eq!(lg2::align_down(0x12345, 12), 0x12000);
//! assert!(lg2::is_aligned(0x200000, 21) && !lg2::is_aligned(0x201000, 21));
//! assert_eq!(lg2::align_of(0), 64); // zero is a multiple of everything
//! ```

/// A mask of the low `bits_lg2` bits: `2^n - 1`. Valid for 0 to 64 (and above: all ones).
#[inline(always)]
pub const fn low_mask(bits_lg2: u32) -> u64 {
    if bits_lg2 >= u64::BITS { u64::MAX } else { (1u64 << bits_lg2) - 1 }
}

/// [`low_mask`] for 32-bit values.
#[inline(always)]
pub const fn low_mask_u32(bits_lg2: u32) -> u32 {
    if bits_lg2 >= u32::BITS { u32::MAX } else { (1u32 << bits_lg2) - 1 }
}

/// `2^n`, or 0 for `n >= 64`, which is the right answer modulo 2^64.
#[inline(always)]
pub const fn pow2(n: u32) -> u64 {
    if n >= u64::BITS { 0 } else { 1u64 << n }
}

/// `value >> n`, and 0 for `n >= 64`.
#[inline(always)]
pub const fn shr(value: u64, n: u32) -> u64 {
    if n >= u64::BITS { 0 } else { value >> n }
}

/// `value << n`, and 0 for `n >= 64`.
#[inline(always)]
pub const fn shl(value: u64, n: u32) -> u64 {
    if n >= u64::BITS { 0 } else { value << n }
}

/// The bits of `lo..=hi` set; `hi` at most 63 and not below `lo`.
#[inline(always)]
pub const fn bit_range_mask(lo: u32, hi: u32) -> u64 {
    low_mask(hi.saturating_add(1)) & !low_mask(lo)
}

/// `value` with the low `n` bits cleared.
#[inline(always)]
pub const fn align_down(value: u64, n: u32) -> u64 {
    value & !low_mask(n)
}

/// Whether `value` is a multiple of `2^n`.
#[inline(always)]
pub const fn is_aligned(value: u64, n: u32) -> bool {
    value & low_mask(n) == 0
}

/// The largest `n` such that `value` is a multiple of `2^n`; 64 for zero.
#[inline(always)]
pub const fn align_of(value: u64) -> u32 {
    value.trailing_zeros()
}

/// The position of the lowest clear bit; 64 for all ones.
#[inline(always)]
pub const fn lowest_clear(value: u64) -> u32 {
    value.trailing_ones()
}

/// The position of the highest set bit; `None` for zero.
#[inline(always)]
pub const fn highest_set(value: u64) -> Option<u32> {
    value.checked_ilog2()
}

/// `low_part` for the low `n` bits, the rest from `value`: the exact address inside a page.
#[inline(always)]
pub const fn replace_low(value: u64, low_part: u64, n: u32) -> u64 {
    // Not `(value & !mask) | (low_part & mask)`: for 32-bit targets without an and-not instruction, LLVM 21 and 22 lose the
    // high half of that if `n` is one of several constants up to 32. See "Masked merges are written with exclusive or" in
    // docs/decisions.md. For 64-bit targets this is as fast.
    value ^ ((value ^ low_part) & low_mask(n))
}

/// Whether `a` and `b` agree in all bits from `n` upwards: are in the same `2^n`-sized, naturally aligned block.
#[inline(always)]
pub const fn same_block(a: u64, b: u64, n: u32) -> bool {
    shr(a ^ b, n) == 0
}

/// `value` with bit `n - 1` copied into all bits above it. `n` from 1 to 64; 0 is taken for 1, more for 64.
#[inline(always)]
pub const fn sign_extend(value: u64, n: u32) -> u64 {
    let unused = u64::BITS.saturating_sub(if n == 0 { 1 } else { n });
    (((value << unused) as i64) >> unused) as u64
}
