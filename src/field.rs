//! Bit fields of an item: where they lie, and typed get and set.
//!
//! A format's description lists its fields once, as `enum Bits { P = bit(0), OA = address(12, 51) }`; the expansion
//! makes a [`Field`] constant of each, a table in the docs, and [`FieldInfo`]s for tools. Nothing about a format's
//! bits is written twice.

use crate::item::Item;
use crate::lg2;
use core::marker::PhantomData;

/// What a field holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FieldKind {
    /// Attributes: the value is the field's bits, the lowest at bit 0.
    Attribute,
    /// An address: each piece holds some address bits in place of item bits.
    Address,
}

/// A run of adjacent item bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Piece {
    /// Lowest item bit.
    pub lo: u32,
    /// Highest item bit, inclusive.
    pub hi: u32,
    /// The value bit (for addresses: the address bit) that the lowest item bit holds.
    pub value_lo: u32,
}

/// The most pieces a field can have.
pub const MAX_PIECES: usize = 3;

/// One bit field of an item: one or more runs of bits.
///
/// `I` is the item type the field belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Field<I> {
    kind: FieldKind,
    pieces: [Piece; MAX_PIECES],
    used: usize,
    item: PhantomData<I>,
}

impl<I> Field<I> {
    /// A field of one piece. The checks are made in [`check`](crate::check), which knows the item and the other fields.
    pub(crate) const fn new(kind: FieldKind, piece: Piece) -> Self {
        Self { kind, pieces: [piece; MAX_PIECES], used: 1, item: PhantomData }
    }

    /// The same field with a further piece.
    pub(crate) const fn with_piece(mut self, piece: Piece) -> Self {
        self.pieces[self.used] = piece;
        self.used += 1;
        self
    }

    /// What the field holds.
    pub const fn kind(&self) -> FieldKind {
        self.kind
    }

    /// The runs of bits, lowest piece of the value first as written in the description.
    pub const fn pieces(&self) -> &[Piece] {
        self.pieces.split_at(self.used).0
    }

    /// The item bits of the field, as a 64-bit mask.
    pub const fn mask_u64(&self) -> u64 {
        let mut mask = 0;
        let mut n = 0;
        while n < self.used {
            mask |= lg2::bit_range_mask(self.pieces[n].lo, self.pieces[n].hi);
            n += 1;
        }
        mask
    }

    /// The bits of a value (an address) that the field can hold.
    pub const fn value_mask(&self) -> u64 {
        let mut mask = 0;
        let mut n = 0;
        while n < self.used {
            let piece = self.pieces[n];
            mask |= lg2::shl(lg2::low_mask(piece.hi - piece.lo + 1), piece.value_lo);
            n += 1;
        }
        mask
    }
}

impl<I: Item> Field<I> {
    /// The item bits of the field: for a one-bit field, the bit set.
    #[inline(always)]
    pub fn mask(&self) -> I {
        I::from_u64(self.mask_u64())
    }

    /// Whether any bit of the field is set in `item`.
    #[inline(always)]
    pub fn is_set(&self, item: I) -> bool {
        item & self.mask() != I::ZERO
    }

    /// The field's bits if `on`, else none.
    #[inline(always)]
    pub fn when(&self, on: bool) -> I {
        if on { self.mask() } else { I::ZERO }
    }

    /// The value in `item`: of an attribute its bits from bit 0, of an address the address.
    #[inline(always)]
    pub fn get(&self, item: I) -> u64 {
        let item = item.to_u64();
        let mut value = 0;
        let mut n = 0;
        while n < self.used {
            let piece = self.pieces[n];
            value |= ((item >> piece.lo) & lg2::low_mask(piece.hi - piece.lo + 1)) << piece.value_lo;
            n += 1;
        }
        value
    }

    /// An item with only this field, holding `value`; bits that do not fit are dropped.
    #[inline(always)]
    pub fn put(&self, value: u64) -> I {
        let mut item = 0;
        let mut n = 0;
        while n < self.used {
            let piece = self.pieces[n];
            item |= ((value >> piece.value_lo) & lg2::low_mask(piece.hi - piece.lo + 1)) << piece.lo;
            n += 1;
        }
        I::from_u64(item)
    }
}

/// A field with its name, for tools that print items.
#[derive(Clone, Copy, Debug)]
pub struct FieldInfo {
    /// The name in the description.
    pub name: &'static str,
    /// Its documentation there.
    pub doc: &'static str,
    /// The runs of bits.
    pub pieces: &'static [Piece],
    /// What it holds.
    pub kind: FieldKind,
}

impl FieldInfo {
    /// The field's value in an item (in CPU byte order, widened to 64 bits).
    pub fn get(&self, item: u64) -> u64 {
        self.pieces.iter().fold(0, |value, piece| {
            value | lg2::shl((item >> piece.lo) & lg2::low_mask(piece.hi - piece.lo + 1), piece.value_lo)
        })
    }
}

/// A field of one bit, `n`.
pub const fn bit<I>(n: u32) -> Field<I> {
    Field::new(FieldKind::Attribute, Piece { lo: n, hi: n, value_lo: 0 })
}

/// An attribute field of the bits `lo..=hi`.
pub const fn bits<I>(lo: u32, hi: u32) -> Field<I> {
    Field::new(FieldKind::Attribute, Piece { lo, hi, value_lo: 0 })
}

/// An address field whose item bits `lo..=hi` hold the same bits of the address.
pub const fn address<I>(lo: u32, hi: u32) -> Field<I> {
    Field::new(FieldKind::Address, Piece { lo, hi, value_lo: lo })
}

impl<I> Field<I> {
    /// The address bit that the (single) piece's lowest item bit holds, if it is not the same bit.
    #[must_use]
    pub const fn from_bit(mut self, value_lo: u32) -> Self {
        self.pieces[0].value_lo = value_lo;
        self
    }

    /// A further piece: item bits `lo..=hi` hold the value's bits from `value_lo` on.
    #[must_use]
    pub const fn and(self, lo: u32, hi: u32, value_lo: u32) -> Self {
        self.with_piece(Piece { lo, hi, value_lo })
    }
}
