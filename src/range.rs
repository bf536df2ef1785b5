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
    // 2^64 bytes have as many sizes as one less.
    match best_fit(sizes, va, oa, len_minus_1.saturating_add(1)) {
        Some(fit) => Some(fit.size_lg2),
        None => None,
    }
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
    match to_larger(sizes & !lg2::low_mask(size_lg2.saturating_add(1)), va, oa, len_minus_1) {
        Some(bytes) => lg2::shr(bytes, size_lg2),
        None => leaves,
    }
}

/// The bytes from `va` to where the smallest of some `larger` sizes fits, which does not fit at `va`; `None` if it does nowhere.
#[inline(always)]
const fn to_larger(larger: u64, va: u64, oa: u64, len_minus_1: u64) -> Option<u64> {
    if larger == 0 {
        return None;
    }
    let inside = (larger & larger.wrapping_neg()) - 1;
    let bytes = va.wrapping_neg() & inside;
    // A whole one has to end within the length. (The sum of two numbers below 2^63 does not wrap around.)
    if bytes != 0 && (va ^ oa) & inside == 0 && bytes + inside <= len_minus_1 { Some(bytes) } else { None }
}

/// The page size to use somewhere, and the leaves of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Fit {
    pub(crate) size_lg2: u32,
    pub(crate) leaves: Leaves,
}

/// How many leaves of a size follow each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Leaves {
    /// One: there is no room for two, or the next begins at a border of a size that is twice as large, and so may be larger. (May: if
    /// that does not fit, there are more.)
    One,
    /// As many as [`count_of_size`] says.
    Many(u64),
}

/// [`best_page_size`] for `len` bytes, at least 1, and how many leaves there are.
#[inline(always)]
pub(crate) const fn best_fit(sizes: u64, va: u64, oa: u64, len: u64) -> Option<Fit> {
    // Not above the lowest bit of the addresses: up to that bit.
    let bits = va | oa;
    let aligned = bits ^ bits.wrapping_sub(1);
    let Some(aligned_lg2) = lg2::highest_set(sizes & aligned) else { return None };
    // (The lowest bit makes no difference, but that there is one.)
    let longest_lg2 = (len | 1).ilog2();
    if longest_lg2 > aligned_lg2 {
        if (va << 1) & sizes & lg2::shl(2, aligned_lg2) != 0 {
            return Some(Fit { size_lg2: aligned_lg2, leaves: Leaves::One });
        }
        let bytes = match to_larger(sizes & !aligned, va, oa, len - 1) {
            Some(bytes) => bytes,
            None => len,
        };
        return Some(Fit { size_lg2: aligned_lg2, leaves: Leaves::Many(lg2::shr(bytes, aligned_lg2)) });
    }
    // Of smaller sizes all are aligned.
    if lg2::shr(sizes, longest_lg2) & 1 != 0 {
        return Some(Fit { size_lg2: longest_lg2, leaves: Leaves::One });
    }
    match lg2::highest_set(sizes & lg2::low_mask(longest_lg2)) {
        Some(size_lg2) => Some(Fit { size_lg2, leaves: Leaves::Many(lg2::shr(len, size_lg2)) }),
        None => None,
    }
}
