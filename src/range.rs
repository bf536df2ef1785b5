//! Layer 2: ranges of VA, and which page size fits where.

use crate::error::Error;
use crate::feature::Features;
use crate::format::{Common, PtFormat};
use crate::lg2;
use crate::table::top_va_lg2;
use core::fmt;

/// A closed range of VA: the only form that can name the last byte of the address space.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct VaRange {
    /// First byte.
    pub va: u64,
    /// Last byte, inclusive.
    pub last: u64,
}

impl VaRange {
    /// The range of `len` bytes from `va`.
    ///
    /// # Errors
    /// [`Error::ZeroLength`] and [`Error::Overflow`], in this order.
    #[inline(always)]
    pub const fn new(va: u64, len: u64) -> Result<Self, Error> {
        if len == 0 {
            return Err(Error::ZeroLength { va });
        }
        match va.checked_add(len - 1) {
            Some(last) => Ok(Self { va, last }),
            None => Err(Error::Overflow { va, len }),
        }
    }
}

impl fmt::Debug for VaRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}..={:#x}", self.va, self.last)
    }
}

/// Whether the range lies in a table that decodes `va_lg2` bits: the bits above are the prefix, or with sign extension
/// copies of the highest decoded bit, the same for both ends.
#[inline(always)]
pub(crate) fn fits<F: PtFormat>(common: &Common<F>, range: VaRange, va_lg2: u32) -> bool {
    if common.has(Features::SIGN_EXTEND) {
        lg2::sign_extend(range.va, va_lg2) == range.va
            && lg2::sign_extend(range.last, va_lg2) == range.last
            && lg2::same_block(range.va, range.last, u64::BITS - 1)
    } else {
        let prefix = F::va_prefix(common);
        lg2::shr((range.va ^ prefix) | (range.last ^ prefix), va_lg2) == 0
    }
}

/// What all VA of the table have in common: with the first number added, they have no bits but those of the second.
///
/// With dynamic top this is so for the highest; a lower top decodes less.
pub(crate) fn bounds<F: PtFormat>(common: &Common<F>) -> (u64, u64) {
    let decoded = lg2::low_mask(common.max_va_lg2);
    if common.has(Features::SIGN_EXTEND) {
        (lg2::pow2(common.max_va_lg2.saturating_sub(1)), decoded)
    } else {
        ((F::va_prefix(common) & !decoded).wrapping_neg(), decoded)
    }
}

/// The range that a top of `level` serves; with sign extension its lower half.
pub(crate) fn top_range<F: PtFormat>(common: &Common<F>, level: u32) -> VaRange {
    let va_lg2 = top_va_lg2(common, level);
    let bits = if common.has(Features::SIGN_EXTEND) { va_lg2 - 1 } else { va_lg2 };
    let first = F::va_prefix(common) & !lg2::low_mask(bits);
    VaRange { va: first, last: first | lg2::low_mask(bits) }
}

/// The largest size in the bitmap `sizes` such that `va` and `oa` are multiples of it, and that ends at or before
/// `last`; `None` if there is none. The result is a power of two's logarithm.
///
/// ```
/// use generic_pt::range::best_page_size;
/// assert_eq!(best_page_size(0x4020_1000, 0x20_0000, 0x5f_ffff, 0x4000_0000), Some(21));
/// assert_eq!(best_page_size(0x4020_1000, 0x20_0000, 0x3f_fffe, 0x4000_0000), Some(12));
/// assert_eq!(best_page_size(0x4020_1000, 0x20_0800, 0x5f_ffff, 0), None);
/// ```
#[inline(always)]
pub const fn best_page_size(sizes: u64, va: u64, last: u64, oa: u64) -> Option<u32> {
    let Some(len_minus_1) = last.checked_sub(va) else { return None };
    // Not above the lowest bit of the addresses: up to that bit. (2^64 bytes have as many sizes as one less.)
    let bits = va | oa;
    let aligned = bits ^ bits.wrapping_sub(1);
    let not_longer = u64::MAX >> (len_minus_1.saturating_add(1).leading_zeros() & 63);
    lg2::highest_set(sizes & aligned & not_longer)
}

/// How many leaves of `2^size_lg2` bytes follow each other from `va`: up to `last`, and up to where a larger size of the
/// bitmap becomes possible. At least 1 if the first one fits.
///
/// Only the next larger size matters, and only if `va` and `oa` agree modulo it.
///
/// ```
/// use generic_pt::range::count_of_size;
/// // 4 KiB pages up to the next 2 MiB boundary, where a 2 MiB page fits.
/// assert_eq!(count_of_size(0x20_1000, 0x1f_e000, 0x7f_ffff, 0x3f_e000, 12), 2);
/// ```
#[inline(always)]
pub const fn count_of_size(sizes: u64, va: u64, last: u64, oa: u64, size_lg2: u32) -> u64 {
    let Some(len_minus_1) = last.checked_sub(va) else { return 0 };
    let leaves = match len_minus_1.checked_add(1) {
        Some(len) => lg2::shr(len, size_lg2),
        None => lg2::shr(u64::MAX, size_lg2).wrapping_add(1),
    };
    let larger = sizes & !lg2::low_mask(size_lg2.saturating_add(1));
    if larger == 0 {
        return leaves;
    }
    let next_lg2 = larger.trailing_zeros();
    if !lg2::is_aligned(va ^ oa, next_lg2) {
        return leaves;
    }
    // The first VA at which the larger size is aligned, if a whole one then ends by `last`.
    let boundary_minus_1 = va | lg2::low_mask(next_lg2);
    let to_boundary = if lg2::is_aligned(va, next_lg2) { 0 } else { boundary_minus_1 - va + 1 };
    if to_boundary == 0 {
        // Aligned already, so the larger size was not taken because it does not fit before `last`.
        return leaves;
    }
    let Some(boundary) = boundary_minus_1.checked_add(1) else { return leaves };
    match boundary.checked_add(lg2::low_mask(next_lg2)) {
        Some(end) if end <= last => to_boundary >> size_lg2,
        _ => leaves,
    }
}
