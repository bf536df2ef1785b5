//! Item words: the 4- or 8-byte slots of a table, and their atomic access.
//!
//! Hardware and other threads look at table items at any time, so every access to a reachable table is one atomic
//! load, store or compare-and-swap of the whole item. [`Item`] ties an integer type to its atomic.

#[allow(unsafe_code, reason = "an instruction of its own")]
pub(crate) mod prefetch;
#[allow(unsafe_code, reason = "instructions of its own")]
mod reduce;

use core::fmt::{Debug, LowerHex};
use core::ops::{BitAnd, BitOr, BitOrAssign, BitXor, Not};
#[cfg(target_has_atomic = "64")]
use core::sync::atomic::AtomicU64;
use core::sync::atomic::{AtomicU32, Ordering};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

mod sealed {
    pub trait Sealed {}
    impl Sealed for u32 {}
    impl Sealed for u64 {}
}

/// The integer that one table slot is: `u32` or `u64`, in the byte order of the CPU.
///
/// The byte order in memory is the format's ([`Endian`](crate::format::Endian)); the conversion happens where items
/// are loaded and stored, so formats only ever see CPU order.
pub trait Item:
    sealed::Sealed
    + Copy
    + Eq
    + Debug
    + LowerHex
    + Send
    + Sync
    + 'static
    + BitAnd<Output = Self>
    + BitOr<Output = Self>
    + BitXor<Output = Self>
    + BitOrAssign
    + Not<Output = Self>
    + FromBytes
    + IntoBytes
    + Immutable
    + KnownLayout
{
    /// The atomic of the same size and, on every target this crate supports, at most the alignment of the item's size.
    type Atomic: Send + Sync;
    /// All bits clear.
    const ZERO: Self;
    /// Bits in an item: 32 or 64.
    const BITS: u32;
    /// Size of an item in bytes, as a power of two: 2 or 3.
    const BYTES_LG2: u32;

    /// Keeps the low bits of `value` that fit into an item.
    fn from_u64(value: u64) -> Self;
    /// Widens with zeros.
    fn to_u64(self) -> u64;
    /// Reverses the byte order.
    fn swap_bytes(self) -> Self;
    /// The sum, modulo `2^BITS`.
    fn wrapping_add(self, other: Self) -> Self;
    /// The product with a count, modulo `2^BITS`.
    fn wrapping_times(self, count: u64) -> Self;
    /// One single-copy atomic load.
    fn load(from: &Self::Atomic, order: Ordering) -> Self;
    /// One single-copy atomic store.
    fn store(to: &Self::Atomic, value: Self, order: Ordering);
    /// One compare-and-swap; `Err` holds what was found instead of `current`.
    ///
    /// # Errors
    /// The value found, when it was not `current`.
    fn compare_exchange(
        at: &Self::Atomic,
        current: Self,
        new: Self,
        success: Ordering,
        failure: Ordering,
    ) -> Result<Self, Self>;
    /// Atomically sets the bits of `mask`; the other bits keep what hardware writes meanwhile.
    fn fetch_or(at: &Self::Atomic, mask: Self, order: Ordering) -> Self;
    /// The bits that are set in all items of a run: all bits if there are none. Of each bit that is what it was at some time
    /// during the call, whatever other bits of its item were then.
    fn and_all(run: &[Self::Atomic]) -> Self;
    /// The bits that are set in any item of a run, in the same way.
    fn or_all(run: &[Self::Atomic]) -> Self;
}

macro_rules! impl_item {
    ($int:ty, $atomic:ty, $bytes_lg2:literal, $and_all:ident, $or_all:ident) => {
        impl Item for $int {
            type Atomic = $atomic;
            const ZERO: Self = 0;
            const BITS: u32 = <$int>::BITS;
            const BYTES_LG2: u32 = $bytes_lg2;

            #[inline(always)]
            fn from_u64(value: u64) -> Self {
                value as Self
            }
            #[inline(always)]
            fn to_u64(self) -> u64 {
                u64::from(self)
            }
            #[inline(always)]
            fn swap_bytes(self) -> Self {
                <$int>::swap_bytes(self)
            }
            #[inline(always)]
            fn wrapping_add(self, other: Self) -> Self {
                <$int>::wrapping_add(self, other)
            }
            #[inline(always)]
            fn wrapping_times(self, count: u64) -> Self {
                <$int>::wrapping_mul(self, count as Self)
            }
            #[inline(always)]
            fn load(from: &$atomic, order: Ordering) -> Self {
                from.load(order)
            }
            #[inline(always)]
            fn store(to: &$atomic, value: Self, order: Ordering) {
                to.store(value, order);
            }
            #[inline(always)]
            fn compare_exchange(
                at: &$atomic,
                current: Self,
                new: Self,
                success: Ordering,
                failure: Ordering,
            ) -> Result<Self, Self> {
                at.compare_exchange(current, new, success, failure)
            }
            #[inline(always)]
            fn fetch_or(at: &$atomic, mask: Self, order: Ordering) -> Self {
                at.fetch_or(mask, order)
            }
            #[inline(always)]
            fn and_all(run: &[$atomic]) -> Self {
                reduce::$and_all(run)
            }
            #[inline(always)]
            fn or_all(run: &[$atomic]) -> Self {
                reduce::$or_all(run)
            }
        }
    };
}

impl_item!(u32, AtomicU32, 2, and_u32, or_u32);
// A CPU without 64-bit atomics cannot change 64-bit items while others look at them.
#[cfg(target_has_atomic = "64")]
impl_item!(u64, AtomicU64, 3, and_u64, or_u64);
