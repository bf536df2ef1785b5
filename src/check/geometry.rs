//! The checks of a format's geometry, with the quirks and fields that belong to it.

use super::Shape;
use crate::feature::Features;
use crate::field::{FieldInfo, FieldKind, ItemKind};
use crate::format::{Description, MAX_LEVELS};
use crate::item::Item;

/// The checks of the geometry, in their order; each is reported at the token with the name in its documentation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rule {
    /// Nothing is wrong.
    None,
    /// `granule_lg2`: 1 to 63.
    Granule,
    /// `max_top_level`: at most six levels.
    Levels,
    /// `table_lg2`: each table has several items.
    TableItems,
    /// `max_va_lg2`: 1 to 64.
    VaBits,
    /// `max_va_lg2`: not more than the levels decode.
    VaReach,
    /// `max_oa_lg2`: above the granule, and at most 64.
    OaBits,
    /// `leaf_levels`: not empty.
    LeafSomewhere,
    /// `leaf_levels`: not above the highest level.
    LeafLevels,
    /// `leaf_levels`: the leaves of each have an address.
    LeafAddress,
    /// `max_oa_lg2`: some leaf can hold such an address.
    OaHeld,
    /// `top_pa_mask`: not zero.
    TopPa,
    /// `top_pa_mask`: with `DYNAMIC_TOP`, a top needs no more alignment than the lower table that it becomes.
    TopAlign,
    /// `link_lo` (of the quirks): the bits are in the item.
    LinkBits,
    /// `va_prefix` (of the quirks): not together with `DYNAMIC_TOP` or `SIGN_EXTEND`.
    Prefix,
}

/// The first check of the geometry that fails, with the numbers for its message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Verdict {
    pub(super) rule: Rule,
    /// The value that is wrong; for [`Rule::TableItems`] and [`Rule::LeafAddress`] the level.
    pub found: u32,
    /// The limit that it breaks.
    pub limit: u32,
}

impl Verdict {
    pub(super) const PASSED: Self = Self { rule: Rule::None, found: 0, limit: 0 };

    pub(super) const fn fails(rule: Rule, found: u32, limit: u32) -> Self {
        Self { rule, found, limit }
    }

    /// Whether the check passed, or was not made because an earlier one failed.
    pub const fn passes(&self, rule: Rule) -> bool {
        self.rule as u32 != rule as u32
    }
}

/// Checks the geometry, with the quirks and fields that belong to it.
pub const fn geometry<F: Description>(contiguous: bool) -> Verdict {
    let (geometry, item_bytes_lg2) = (F::GEOMETRY, <F::Item as Item>::BYTES_LG2);
    let max_top_level = geometry.max_top_level;
    if geometry.granule_lg2 == 0 || geometry.granule_lg2 > 63 {
        return Verdict::fails(Rule::Granule, geometry.granule_lg2, 63);
    }
    if max_top_level >= MAX_LEVELS as u32 {
        return Verdict::fails(Rule::Levels, max_top_level, MAX_LEVELS as u32 - 1);
    }
    let mut level = 0;
    while level <= max_top_level {
        if geometry.table_lg2(level) <= item_bytes_lg2 {
            return Verdict::fails(Rule::TableItems, level, geometry.table_lg2(level));
        }
        level += 1;
    }
    if geometry.max_va_lg2 == 0 || geometry.max_va_lg2 > 64 {
        return Verdict::fails(Rule::VaBits, geometry.max_va_lg2, 64);
    }
    let decoded = F::ITEM_SIZES_LG2[max_top_level as usize + 1] + F::QUIRKS.concat_lg2;
    if geometry.max_va_lg2 > decoded {
        return Verdict::fails(Rule::VaReach, geometry.max_va_lg2, decoded);
    }
    if geometry.max_oa_lg2 <= geometry.granule_lg2 || geometry.max_oa_lg2 > 64 {
        return Verdict::fails(Rule::OaBits, geometry.max_oa_lg2, geometry.granule_lg2);
    }
    let (lowest, highest) = (*geometry.leaf_levels.start(), *geometry.leaf_levels.end());
    if highest < lowest {
        return Verdict::fails(Rule::LeafSomewhere, lowest, highest);
    }
    if highest > max_top_level {
        return Verdict::fails(Rule::LeafLevels, highest, max_top_level);
    }
    let addresses = addresses(F::FIELDS, geometry.max_oa_lg2, &Shape::of::<F>(contiguous));
    if !matches!(addresses.rule, Rule::None) {
        // A field without bits has been reported already.
        return if all_have_bits(F::FIELDS) { addresses } else { Verdict::PASSED };
    }
    if geometry.top_pa_mask == 0 {
        return Verdict::fails(Rule::TopPa, 0, 0);
    }
    let mut level = 0;
    while level < max_top_level && F::SUPPORTED.contains(Features::DYNAMIC_TOP) {
        let align_lg2 = geometry.top_pa_mask.trailing_zeros();
        if align_lg2 > geometry.table_lg2(level) {
            return Verdict::fails(Rule::TopAlign, align_lg2, geometry.table_lg2(level));
        }
        level += 1;
    }
    if F::QUIRKS.va_prefix != 0 && F::SUPPORTED.intersects(Features::DYNAMIC_TOP.union(Features::SIGN_EXTEND)) {
        return Verdict::fails(Rule::Prefix, 0, 0);
    }
    if F::QUIRKS.link_lo > <F::Item as Item>::BITS - 16 {
        return Verdict::fails(Rule::LinkBits, F::QUIRKS.link_lo, <F::Item as Item>::BITS - 16);
    }
    Verdict::PASSED
}

const fn all_have_bits(fields: &[FieldInfo]) -> bool {
    let mut n = 0;
    while n < fields.len() && !fields[n].pieces.is_empty() {
        n += 1;
    }
    n == fields.len()
}

/// Checks that leaves hold addresses: those of each leaf level some, those of one of them all `max_oa_lg2` bits.
const fn addresses(fields: &[FieldInfo], max_oa_lg2: u32, shape: &Shape) -> Verdict {
    let mut held = 0;
    let mut level = shape.leaf_levels.0;
    while level <= shape.leaf_levels.1 {
        let size_lg2 = shape.sizes_lg2[level as usize];
        let plain = value_mask(fields, level, ItemKind::PlainLeaf) >> size_lg2;
        let mut top = size_lg2 + plain.trailing_ones();
        if shape.contiguous {
            // A leaf of several items need not have the address bits below its size, which is not known here.
            let contiguous = value_mask(fields, level, ItemKind::ContiguousLeaf) >> size_lg2;
            let lowest = contiguous.trailing_zeros();
            if lowest < 64 {
                let contiguous_top = size_lg2 + lowest + (contiguous >> lowest).trailing_ones();
                top = if top < contiguous_top { contiguous_top } else { top };
            }
        }
        if top == size_lg2 {
            return Verdict::fails(Rule::LeafAddress, level, size_lg2);
        }
        held = if held < top { top } else { held };
        level += 1;
    }
    if held < max_oa_lg2 { Verdict::fails(Rule::OaHeld, max_oa_lg2, held) } else { Verdict::PASSED }
}

/// The address bits that an item can hold.
const fn value_mask(fields: &[FieldInfo], level: u32, kind: ItemKind) -> u64 {
    let mut mask = 0;
    let mut n = 0;
    while n < fields.len() {
        let field = &fields[n];
        if matches!(field.kind, FieldKind::Address) && field.scope.contains(level, kind) {
            let mut k = 0;
            while k < field.pieces.len() {
                mask |= field.pieces[k].value_mask();
                k += 1;
            }
        }
        n += 1;
    }
    mask
}
