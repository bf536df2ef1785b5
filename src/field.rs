//! Bit fields of an item: where they lie, and typed get and set.
//!
//! A format's description lists its fields once; the expansion makes a [`Field`] constant of each, a table in the docs,
//! and [`FieldInfo`]s for tools. Nothing about a format's bits is written twice.
//!
//! # Places
//! The value of a field in `enum Bits { .. }` is its place, a chain of calls of the functions of this module:
//!
//! | call | meaning |
//! | --- | --- |
//! | [`bit(7)`](bit) | an attribute of one bit |
//! | [`bits(9, 11)`](bits) | an attribute of the bits 9 to 11 |
//! | [`address(12, 51)`](address) | the address bits 12 to 51, in the same bits of the item |
//! | [`.from_bit(12)`](from_bit) | the piece before it holds the value's bits from bit 12 on |
//! | [`.and(8, 9, 50)`](and) | a further piece: the bits 8 and 9 hold the value's bits from bit 50 on |
//! | [`.at_levels(1..=2)`](at_levels) | only items of levels 1 and 2 have the field |
//! | [`.in_tables()`](in_tables) | only table pointers have the field |
//! | [`.in_leaves()`](in_leaves) | only leaves have the field |
//! | [`.in_plain_leaves()`](in_plain_leaves) | only leaves of one item have the field |
//! | [`.in_contiguous_leaves()`](in_contiguous_leaves) | only leaves of several items have the field |
//! | [`.with_feature(X)`](with_feature) | only items of tables with that feature have the field |
//! | [`.without_feature(X)`](without_feature) | only items of tables without that feature have the field |
//! | [`.and_below()`](and_below) | a bit that is clear in a table pointer counts as clear in all below |
//! | [`.or_below()`](or_below) | a bit that is set in a table pointer counts as set in all below |
//! | [`.sets_below(X)`](sets_below) | set in a table pointer, the field `X` counts as set in all leaves below |
//! | [`.clears_below(X)`](clears_below) | set in a table pointer, the field `X` counts as clear in all leaves below |
//! | [`.limits_below()`](limits_below) | says something about all leaves below that they have no field for |
//! | [`.denies_below(A)`](denies_below) | the same, and set in a table pointer it takes the access `A` from all leaves below |
//! | [`.ignored()`](ignored) | hardware ignores it in a table pointer |
//!
//! The last seven tell tools how pointers and leaves combine; the library's own operations never look at that.
//!
//! An item bit belongs to one field. Two fields may share it only if no item has both, which is what the limits to
//! levels, kinds of item and features of the table are for, or if it is an address bit below the size of a plain leaf, which holds nothing:
//!
//! ```text
//! /// Leaf.
//! PS = bit(7).at_levels(1..=2),
//! /// Page attribute table, in a leaf of level 0.
//! PAT = bit(7).at_levels(0..=0),
//! /// Output address: bits 50 and 51 lie apart.
//! OA = address(12, 49).and(8, 9, 50),
//! /// Page attribute table, in a leaf of the levels above: below the address of such a page.
//! PAT_LARGE = bit(12).at_levels(1..=2).in_leaves(),
//! ```
//!
//! Each call is checked when the format is compiled, and a mistake is reported at that call.

mod place;

pub use place::*;

use crate::feature::{Access, Features};
use crate::format::MAX_LEVELS;
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

impl Piece {
    /// The item bits.
    pub(crate) const fn mask(self) -> u64 {
        lg2::bit_range_mask(self.lo, self.hi)
    }

    /// The highest value bit that the piece holds.
    pub(crate) const fn value_hi(self) -> u32 {
        self.value_lo + (self.hi - self.lo)
    }

    /// The value bits that the piece holds.
    pub(crate) const fn value_mask(self) -> u64 {
        lg2::shl(lg2::low_mask(self.hi - self.lo + 1), self.value_lo)
    }
}

/// The most pieces a field can have.
pub const MAX_PIECES: usize = 4;

/// The kinds of item that a field can be limited to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ItemKind {
    /// A pointer to a table.
    Table,
    /// A leaf of one item.
    PlainLeaf,
    /// An item of a leaf of several items.
    ContiguousLeaf,
}

/// Which items have a field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Scope {
    /// The lowest level whose items have it.
    pub lowest_level: u32,
    /// The highest level whose items have it.
    pub highest_level: u32,
    /// Whether table pointers have it.
    pub in_tables: bool,
    /// Whether leaves of one item have it.
    pub in_plain_leaves: bool,
    /// Whether the items of leaves of several items have it.
    pub in_contiguous_leaves: bool,
    /// The features that a table needs for its items to have it.
    pub with: Features,
    /// The features that a table must not have for its items to have it.
    pub without: Features,
}

impl Scope {
    /// All items that are not empty.
    pub const ALL: Self = Self {
        lowest_level: 0,
        highest_level: MAX_LEVELS as u32 - 1,
        in_tables: true,
        in_plain_leaves: true,
        in_contiguous_leaves: true,
        with: Features::empty(),
        without: Features::empty(),
    };

    /// Whether items of `kind` at `level` have the field, in tables with the right features.
    pub const fn contains(&self, level: u32, kind: ItemKind) -> bool {
        let of_kind = match kind {
            ItemKind::Table => self.in_tables,
            ItemKind::PlainLeaf => self.in_plain_leaves,
            ItemKind::ContiguousLeaf => self.in_contiguous_leaves,
        };
        of_kind && self.lowest_level <= level && level <= self.highest_level
    }

    /// Whether the items of a table with these features have the field, as far as features decide that.
    pub const fn allows(&self, features: Features) -> bool {
        features.contains(self.with) && !features.intersects(self.without)
    }

    /// Whether some table can have both this field and one of the scope `other`, as far as features decide that.
    pub(crate) const fn coexists(&self, other: &Self) -> bool {
        !self.with.union(other.with).intersects(self.without.union(other.without))
    }

    /// Whether all items have the field.
    pub const fn is_all(&self) -> bool {
        self.lowest_level == 0
            && self.highest_level == Self::ALL.highest_level
            && self.in_tables
            && self.in_plain_leaves
            && self.in_contiguous_leaves
            && self.with.is_empty()
            && self.without.is_empty()
    }
}

/// What a field of a table pointer does to the leaves below.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Below {
    /// Nothing: it is about the pointer or its table.
    Nothing,
    /// Bits that are clear in it count as clear in the same field below: a permission.
    And,
    /// Bits that are set in it count as set in the same field below: a prohibition.
    Or,
    /// If it is set, these item bits count as set and as clear in leaves below.
    Forces {
        /// Item bits that count as set.
        set: u64,
        /// Item bits that count as clear.
        clear: u64,
    },
    /// It says something about them that they have no field for.
    Limits {
        /// What they do not permit if it is set; often nothing that [`Access`] has a word for.
        denied: Access,
    },
    /// Nothing, whatever it holds: hardware ignores it, though the format may take the pointer for foreign.
    Ignored,
}

/// Where a field lies, in which items, and what it holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layout {
    pub(crate) kind: FieldKind,
    pub(crate) scope: Scope,
    pub(crate) below: Below,
    pieces: [Piece; MAX_PIECES],
    used: usize,
}

impl Layout {
    /// Nowhere yet, in all items.
    pub(crate) const EMPTY: Self = Self {
        kind: FieldKind::Attribute,
        scope: Scope::ALL,
        below: Below::Nothing,
        pieces: [Piece { lo: 0, hi: 0, value_lo: 0 }; MAX_PIECES],
        used: 0,
    };

    /// The runs of bits, in the order of the description.
    pub const fn pieces(&self) -> &[Piece] {
        self.pieces.split_at(self.used).0
    }

    /// The same with a further piece.
    pub(crate) const fn with_piece(mut self, piece: Piece) -> Self {
        self.pieces[self.used] = piece;
        self.used += 1;
        self
    }

    /// The same without the last piece.
    pub(crate) const fn without_last(mut self) -> Self {
        self.used -= 1;
        self
    }

    /// The item bits.
    pub(crate) const fn mask(&self) -> u64 {
        let mut mask = 0;
        let mut n = 0;
        while n < self.used {
            mask |= self.pieces[n].mask();
            n += 1;
        }
        mask
    }

    /// The value bits.
    pub(crate) const fn value_mask(&self) -> u64 {
        let mut mask = 0;
        let mut n = 0;
        while n < self.used {
            mask |= self.pieces[n].value_mask();
            n += 1;
        }
        mask
    }
}

/// One bit field of an item: one or more runs of bits.
///
/// `I` is the item type the field belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Field<I> {
    layout: Layout,
    mask: u64,
    item: PhantomData<I>,
}

impl<I> Field<I> {
    /// What the field holds.
    pub const fn kind(&self) -> FieldKind {
        self.layout.kind
    }

    /// Which items have the field.
    pub const fn scope(&self) -> Scope {
        self.layout.scope
    }

    /// What it does, in a table pointer, to the leaves below.
    pub const fn below(&self) -> Below {
        self.layout.below
    }

    /// The runs of bits, in the order of the description.
    pub const fn pieces(&self) -> &[Piece] {
        self.layout.pieces()
    }

    /// Where the field lies, in which items, and what it holds.
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The item bits of the field, as a 64-bit mask.
    #[inline(always)]
    pub const fn mask_u64(&self) -> u64 {
        self.mask
    }

    /// The bits of a value (an address) that the field can hold.
    pub const fn value_mask(&self) -> u64 {
        self.layout.value_mask()
    }
}

impl<I: Item> Field<I> {
    /// The item bits of the field: for a one-bit field, the bit set.
    #[inline(always)]
    pub fn mask(&self) -> I {
        I::from_u64(self.mask)
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
        while n < self.layout.used {
            let piece = self.layout.pieces[n];
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
        while n < self.layout.used {
            let piece = self.layout.pieces[n];
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
    /// Its documentation there, on one line.
    pub doc: &'static str,
    /// The runs of bits.
    pub pieces: &'static [Piece],
    /// What it holds.
    pub kind: FieldKind,
    /// Which items have it.
    pub scope: Scope,
    /// What it does, in a table pointer, to the leaves below.
    pub below: Below,
}

impl FieldInfo {
    /// The item bits.
    pub fn mask(&self) -> u64 {
        self.pieces.iter().fold(0, |mask, piece| mask | piece.mask())
    }

    /// The field's value in an item (in CPU byte order, widened to 64 bits).
    pub fn get(&self, item: u64) -> u64 {
        self.pieces.iter().fold(0, |value, piece| {
            value | lg2::shl((item >> piece.lo) & lg2::low_mask(piece.hi - piece.lo + 1), piece.value_lo)
        })
    }
}
