//! The shape of a format: levels, sizes, limits, what is peculiar, and what follows from that for its items.

use super::Description;
use crate::field::{FieldKind, ItemKind};
use crate::lg2;
use core::ops::RangeInclusive;

/// The most levels a table can have; the highest level is one less.
pub const MAX_LEVELS: usize = 6;

/// Memory sizes of the tables of each level, as powers of two, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tables {
    /// All levels alike (the top may still be smaller or, concatenated, larger).
    Uniform(u32),
    /// Level by level, lowest first; those above the highest level are not looked at.
    PerLevel([u32; MAX_LEVELS]),
}

/// The shape of a format: sizes and limits, all as powers of two where the name says `_lg2`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Geometry {
    /// VA covered by one item of level 0.
    pub granule_lg2: u32,
    /// Memory of a table that is not the top.
    pub table_lg2: Tables,
    /// Most VA bits a table can decode, up to 64.
    pub max_va_lg2: u32,
    /// Most OA bits an item can store.
    pub max_oa_lg2: u32,
    /// The highest level that can be the top, 0 to 5.
    pub max_top_level: u32,
    /// The levels at which a leaf can be.
    pub leaf_levels: RangeInclusive<u32>,
    /// The physical address bits that the hardware's top pointer can hold; the lowest fixes the top's alignment.
    pub top_pa_mask: u64,
}

impl Geometry {
    /// Memory of a (non-top) table of `level`.
    #[inline(always)]
    pub const fn table_lg2(&self, level: u32) -> u32 {
        match self.table_lg2 {
            Tables::Uniform(lg2) => lg2,
            Tables::PerLevel(sizes) => sizes[level as usize],
        }
    }

    /// Tops are at physical addresses below `2^n`: the width of what the hardware's top pointer can hold.
    #[inline(always)]
    pub const fn top_pa_lg2(&self) -> u32 {
        u64::BITS - self.top_pa_mask.leading_zeros()
    }

    /// VA covered by one item of each level; the entry one past the highest level is what a regular top there decodes.
    pub const fn item_sizes_lg2(&self, item_bytes_lg2: u32) -> [u32; MAX_LEVELS + 1] {
        let mut sizes = [0; MAX_LEVELS + 1];
        let mut size = self.granule_lg2;
        let mut level = 0;
        while level <= MAX_LEVELS {
            sizes[level] = size;
            if level < MAX_LEVELS {
                size += self.table_lg2(level as u32).saturating_sub(item_bytes_lg2);
            }
            level += 1;
        }
        sizes
    }
}

/// Byte order of items in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Endian {
    /// Lowest byte first.
    Little,
    /// Highest byte first.
    Big,
}

/// What few formats need; [`Quirks::NONE`] for the rest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quirks {
    /// Byte order of items in memory.
    pub endian: Endian,
    /// The top may be up to `2^n` tables of its level, adjacent in memory.
    pub concat_lg2: u32,
    /// Table pages must have physical addresses below `2^n`; a configuration can lower that:
    /// [`PtFormat::table_pa_lg2`](super::PtFormat::table_pa_lg2).
    pub table_pa_lg2: u32,
    /// The VA bits above the decoded ones, for a table that serves only a part of the address space: any constant.
    /// Only the bits above the table's width are looked at, so all ones is the upper end for every width.
    pub va_prefix: u64,
    /// The lowest level that can be the top: walks need not be prepared for others.
    pub min_top_level: u32,
    /// The lowest of 16 adjacent bits that hardware ignores in an empty item; unlinked tables are listed through them.
    pub link_lo: u32,
    /// Hardware must not find a page where it may still have a pointer to a table cached: a page that replaces (empty)
    /// tables is written only after they are synced.
    pub break_before_make: bool,
    /// The level of the top does not follow from the VA width: VA can be narrower than one item of the top covers.
    pub deep_top: bool,
}

impl Quirks {
    /// Nothing special: little endian, no concatenation, tables anywhere, VA from 0.
    pub const NONE: Self = Self {
        endian: Endian::Little,
        concat_lg2: 0,
        table_pa_lg2: 64,
        va_prefix: 0,
        min_top_level: 0,
        link_lo: 16,
        break_before_make: false,
        deep_top: false,
    };
}

/// VA covered by one item of `level`, as a power of two.
///
/// # Panics
/// For a level above [`MAX_LEVELS`].
#[inline(always)]
pub const fn item_size_lg2<F: Description>(level: u32) -> u32 {
    F::ITEM_SIZES_LG2[level as usize]
}

/// Items of a (non-top) table of `level`, as a power of two.
///
/// # Panics
/// For a level of [`MAX_LEVELS`] or more.
#[inline(always)]
pub const fn items_lg2<F: Description>(level: u32) -> u32 {
    F::ITEM_SIZES_LG2[level as usize + 1] - F::ITEM_SIZES_LG2[level as usize]
}

/// What one page of `level` more adds to a leaf item there, and the bits that an address may have for that: all where it lies in
/// one piece; else those of the piece where the bit of the page's size is. Zeros if it lies in several fields.
pub(crate) const fn item_step<F: Description>(level: u32) -> (u64, u64) {
    let size_lg2 = F::ITEM_SIZES_LG2[level as usize];
    let (mut step, mut reach) = (0, u64::MAX);
    let (mut n, mut pieces) = (0, 0);
    while n < F::FIELDS.len() {
        let field = &F::FIELDS[n];
        let mut at = 0;
        while matches!(field.kind, FieldKind::Address)
            && field.scope.contains(level, ItemKind::PlainLeaf)
            && at < field.pieces.len()
        {
            let piece = field.pieces[at];
            if piece.value_lo <= size_lg2 && size_lg2 <= piece.value_hi() {
                if step != 0 {
                    return (0, 0);
                }
                step = 1 << (piece.lo + size_lg2 - piece.value_lo);
                reach = lg2::low_mask(piece.value_hi() + 1);
            }
            pieces += 1;
            at += 1;
        }
        n += 1;
    }
    match (step, pieces) {
        (0, _) => (0, 0),
        (_, 1) => (step, u64::MAX),
        _ => (step, reach),
    }
}

/// The bits of a leaf item of `level` that the address of one page more is added to: of the pieces that hold the bit of the
/// item's size, in any table.
pub(crate) const fn stepped_mask<F: Description>(level: u32) -> u64 {
    let size_lg2 = F::ITEM_SIZES_LG2[level as usize];
    let (mut mask, mut n) = (0, 0);
    while n < F::FIELDS.len() {
        let field = &F::FIELDS[n];
        let in_leaves =
            field.scope.contains(level, ItemKind::PlainLeaf) || field.scope.contains(level, ItemKind::ContiguousLeaf);
        let mut at = 0;
        while matches!(field.kind, FieldKind::Address) && in_leaves && at < field.pieces.len() {
            let piece = field.pieces[at];
            if piece.value_lo <= size_lg2 && size_lg2 <= piece.value_hi() {
                mask |= piece.mask();
            }
            at += 1;
        }
        n += 1;
    }
    mask
}

/// The bits of a leaf of one item of `level` that hold its address, whatever the features of the table are: all others of
/// it are the same in leaves of the same kind with the same attributes.
pub(crate) const fn address_mask<F: Description>(level: u32) -> u64 {
    let (mut mask, mut n) = (0, 0);
    while n < F::FIELDS.len() {
        let field = &F::FIELDS[n];
        let is_always = field.scope.with.is_empty() && field.scope.without.is_empty();
        let mut at = 0;
        while matches!(field.kind, FieldKind::Address)
            && is_always
            && field.scope.contains(level, ItemKind::PlainLeaf)
            && at < field.pieces.len()
        {
            mask |= field.pieces[at].mask();
            at += 1;
        }
        n += 1;
    }
    mask
}
