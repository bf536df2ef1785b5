//! Items with other values in their fields: what bits mean is found by changing them.

use super::permissions::TRIED_BITS;
use super::{Decoder, Item, Meaning};
use generic_pt::field::{FieldInfo, FieldKind};
use generic_pt::lg2;

/// The fields of a leaf or pointer whose values are all tried: attributes of few bits in one piece.
pub fn changed_fields(decoder: &dyn Decoder, level: u32, item: &Item) -> Vec<&'static FieldInfo> {
    let shape = decoder.shape();
    let kind = shape.kind(level, item);
    let is_there = |info: &FieldInfo| info.scope.allows(shape.features) && info.scope.contains(level, kind);
    let is_small = |info: &FieldInfo| matches!(info.pieces, [piece] if piece.hi - piece.lo < TRIED_BITS);
    let is_changed = |info: &&FieldInfo| is_there(info) && info.kind == FieldKind::Attribute && is_small(info);
    shape.fields.iter().filter(is_changed).collect()
}

/// An item with each other value of a field of one piece.
pub fn changes(field: &'static FieldInfo, raw: u64) -> impl Iterator<Item = u64> {
    let pieces = field.pieces.iter().take(1);
    let values = pieces.flat_map(|piece| (0..=lg2::low_mask(piece.hi - piece.lo + 1)).map(|value| value << piece.lo));
    values.map(move |bits| raw & !field.mask() | bits).filter(move |changed| *changed != raw)
}

/// Whether the item, with these bits, still is a pointer to the same table, or the same page, and hardware takes it.
pub fn leads_to_same(decoder: &dyn Decoder, level: u32, item: &Item, changed: u64) -> bool {
    let what = |item: &Item| (item.meaning, item.pa, item.entry_lg2, item.below);
    item.meaning != Meaning::Foreign && what(&decoder.item(level, item.index.into(), changed)) == what(item)
}
