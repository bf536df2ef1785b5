//! Groups of functions that a format has or has not, and all of them together.

use super::{Common, PtFormat, item_size_lg2};
use crate::field::Field;
use crate::item::Item;
use crate::lg2;

/// For formats whose items each say where the whole entry starts (all items of a contiguous entry are the same).
pub trait EntryOa: PtFormat {
    /// The output address of the start of the entry; bits below the entry's size (a size code) are ignored.
    fn entry_oa(common: &Common<Self>, level: u32, raw: Self::Item) -> u64;
}

/// For formats whose items each hold their own output address (it increments along a contiguous entry).
pub trait ItemOa: PtFormat {
    /// The output address of this item; bits below the item's size are ignored.
    fn item_oa(common: &Common<Self>, level: u32, raw: Self::Item) -> u64;
}

/// Optional: several items can be one leaf. [`PtFormat::possible_sizes`] then says which sizes.
pub trait Contiguous: PtFormat {
    /// Items that the entry of this leaf consists of, as a power of two; 0 for a plain one. It is asked of leaves only; of anything else
    /// it may say what it likes, without a panic.
    fn contig_lg2(common: &Common<Self>, level: u32, raw: Self::Item) -> u32;
}

/// Optional: hardware notes writes in the leaf.
pub trait Dirty: PtFormat {
    /// Whether this table tracks writes, where the configuration decides that. By default it does.
    #[inline(always)]
    fn tracks_dirty(_common: &Common<Self>) -> bool {
        true
    }
    /// Whether this item says that the page was written.
    fn is_dirty(common: &Common<Self>, level: u32, raw: Self::Item) -> bool;
    /// The item made clean; no other bit may change.
    fn clean_item(common: &Common<Self>, level: u32, raw: Self::Item) -> Self::Item;
    /// The item made dirty; no other bit may change.
    fn dirty_item(common: &Common<Self>, level: u32, raw: Self::Item) -> Self::Item;
    /// The bits of which an item has one exactly if it is dirty, so that many are looked at together; no bits, as by default, if
    /// that is not how the format says it.
    #[inline(always)]
    fn dirty_bits(_common: &Common<Self>) -> Self::Item {
        Self::Item::ZERO
    }
}

/// The usual form of [`Dirty`]: one bit of a leaf's item, which says that the page was written.
pub trait DirtyBit: PtFormat {
    /// The bit.
    const DIRTY_BIT: Field<Self::Item>;
    /// As [`Dirty::tracks_dirty`].
    #[inline(always)]
    fn tracks_dirty(_common: &Common<Self>) -> bool {
        true
    }
}

impl<F: DirtyBit> Dirty for F {
    #[inline(always)]
    fn tracks_dirty(common: &Common<Self>) -> bool {
        <F as DirtyBit>::tracks_dirty(common)
    }
    #[inline(always)]
    fn is_dirty(_: &Common<Self>, _: u32, raw: Self::Item) -> bool {
        F::DIRTY_BIT.is_set(raw)
    }
    #[inline(always)]
    fn clean_item(_: &Common<Self>, _: u32, raw: Self::Item) -> Self::Item {
        raw & !F::DIRTY_BIT.mask()
    }
    #[inline(always)]
    fn dirty_item(_: &Common<Self>, _: u32, raw: Self::Item) -> Self::Item {
        raw | F::DIRTY_BIT.mask()
    }
    #[inline(always)]
    fn dirty_bits(_: &Common<Self>) -> Self::Item {
        F::DIRTY_BIT.mask()
    }
}

/// Optional: bits that hardware ignores. Needed for `DMA_INCOHERENT`, which notes finished flushes in bit 0 of them.
pub trait SoftwareBits: PtFormat {
    /// The item bits, in the order of their use.
    fn software_bits(common: &Common<Self>) -> &'static [u32];
}

/// Where a format keeps output addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OaStyle {
    /// [`EntryOa`].
    Entry,
    /// [`ItemOa`].
    Item,
}

/// A whole format: the functions with the groups it has; implemented by the expansion, by forwarding.
pub trait Groups: PtFormat {
    /// Which of the two output address traits the format implements.
    const OA_STYLE: OaStyle;
    /// Whether it has contiguous entries.
    const HAS_CONTIGUOUS: bool = false;
    /// Whether it has dirty tracking.
    const HAS_DIRTY: bool = false;
    /// Whether it has software bits.
    const HAS_SOFTWARE_BITS: bool = false;

    /// [`EntryOa::entry_oa`] or [`ItemOa::item_oa`].
    fn stored_oa(common: &Common<Self>, level: u32, raw: Self::Item) -> u64;
    /// [`Contiguous::contig_lg2`].
    #[inline(always)]
    fn contig_lg2(_common: &Common<Self>, _level: u32, _raw: Self::Item) -> u32 {
        0
    }
    /// [`Dirty::tracks_dirty`].
    #[inline(always)]
    fn tracks_dirty(_common: &Common<Self>) -> bool {
        false
    }
    /// [`Dirty::is_dirty`].
    #[inline(always)]
    fn is_dirty(_common: &Common<Self>, _level: u32, _raw: Self::Item) -> bool {
        false
    }
    /// [`Dirty::clean_item`].
    #[inline(always)]
    fn clean_item(_common: &Common<Self>, _level: u32, raw: Self::Item) -> Self::Item {
        raw
    }
    /// [`Dirty::dirty_item`].
    #[inline(always)]
    fn dirty_item(_common: &Common<Self>, _level: u32, raw: Self::Item) -> Self::Item {
        raw
    }
    /// [`Dirty::dirty_bits`].
    #[inline(always)]
    fn dirty_bits(_common: &Common<Self>) -> Self::Item {
        Self::Item::ZERO
    }
    /// [`SoftwareBits::software_bits`].
    #[inline(always)]
    fn software_bits(_common: &Common<Self>) -> &'static [u32] {
        &[]
    }
    /// The mask of software bit `n`; no bit if there is no such.
    #[inline(always)]
    fn software_bit(common: &Common<Self>, n: usize) -> Self::Item {
        Self::software_bits(common).get(n).map_or(Self::Item::ZERO, |bit| Self::Item::from_u64(lg2::pow2(*bit)))
    }

    /// VA that the whole entry of this leaf covers, as a power of two.
    #[inline(always)]
    fn entry_size_lg2(common: &Common<Self>, level: u32, raw: Self::Item) -> u32 {
        item_size_lg2::<Self>(level) + Self::contig_lg2(common, level, raw)
    }
    /// The output address of the start of the entry that this leaf item belongs to.
    #[inline(always)]
    fn oa_of_entry(common: &Common<Self>, level: u32, raw: Self::Item) -> u64 {
        lg2::align_down(Self::stored_oa(common, level, raw), Self::entry_size_lg2(common, level, raw))
    }
    /// The exact output address of `va`, which this leaf item covers, alone or with the others of its entry: it is the one
    /// that `va` selects.
    #[inline(always)]
    fn exact_oa(common: &Common<Self>, level: u32, raw: Self::Item, va: u64) -> u64 {
        let (stored, item_lg2) = (Self::stored_oa(common, level, raw), item_size_lg2::<Self>(level));
        // Items that hold an address of their own need no look at how many they are.
        let oa = lg2::replace_low(stored, va, item_lg2);
        let contig_lg2 = match Self::OA_STYLE {
            OaStyle::Item => 0,
            OaStyle::Entry => Self::contig_lg2(common, level, raw),
        };
        if contig_lg2 == 0 {
            return oa;
        }
        // Most leaves have one item, and then the size is a constant.
        core::hint::cold_path();
        lg2::replace_low(oa, va, item_lg2 + contig_lg2)
    }
}
