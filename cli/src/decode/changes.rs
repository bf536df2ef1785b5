//! Items with other values in their fields: what bits mean is found by changing them.

use super::permissions::TRIED_BITS;
use super::{Decoder, Item, Meaning};
use generic_pt::field::{FieldInfo, FieldKind};
use generic_pt::lg2;

/// The fields of a leaf or pointer whose values are all tried: attributes of few bits in one piece.
fn changed_fields(decoder: &dyn Decoder, level: u32, item: &Item) -> Vec<&'static FieldInfo> {
    let shape = decoder.shape();
    let kind = shape.kind(level, item);
    let is_there = |info: &FieldInfo| info.scope.allows(shape.features) && info.scope.contains(level, kind);
    let is_small = |info: &FieldInfo| matches!(info.pieces, [piece] if piece.hi - piece.lo < TRIED_BITS);
    let is_changed = |info: &&FieldInfo| is_there(info) && info.kind == FieldKind::Attribute && is_small(info);
    shape.fields.iter().filter(is_changed).collect()
}

/// An item with each other value of a field of one piece, those with fewest other bits first.
fn changes(field: &'static FieldInfo, raw: u64) -> impl Iterator<Item = u64> {
    let pieces = field.pieces.iter().take(1);
    let values = pieces.flat_map(|piece| (0..=lg2::low_mask(piece.hi - piece.lo + 1)).map(|value| value << piece.lo));
    let mut changed: Vec<u64> =
        values.map(|bits| raw & !field.mask() | bits).filter(|changed| *changed != raw).collect();
    changed.sort_by_key(|changed| (changed ^ raw).count_ones());
    changed.into_iter()
}

/// Whether the item, with these bits, still is a pointer to the same table, or the same page, and hardware takes it and faults for
/// no flag that was set before.
fn leads_to_same(decoder: &dyn Decoder, level: u32, item: &Item, changed: u64) -> bool {
    let what = |item: &Item| (item.meaning, item.pa, item.entry_lg2, item.below);
    let faults = decoder.faulting_flags(level, changed) & item.raw;
    let is_same = what(&decoder.item(level, item.index.into(), changed)) == what(item);
    item.meaning != Meaning::Foreign && is_same && faults == 0
}

/// An item with other values in one field or two.
pub struct Change {
    /// The fields.
    pub fields: Vec<&'static FieldInfo>,
    /// The item.
    pub raw: u64,
}

/// Changes of one field for which an item [leads to the same](leads_to_same) and `fits`, one of each field; if there are none, the
/// first one of two fields.
pub fn fewest_changes(decoder: &dyn Decoder, level: u32, item: &Item, fits: impl Fn(u64) -> bool) -> Vec<Change> {
    let fields = changed_fields(decoder, level, item);
    let fits = |raw: &u64| leads_to_same(decoder, level, item, *raw) && fits(*raw);
    let of_one = |field: &&'static FieldInfo| {
        let raw = changes(field, item.raw).find(fits)?;
        Some(Change { fields: vec![field], raw })
    };
    let singles: Vec<Change> = fields.iter().filter_map(of_one).collect();
    if !singles.is_empty() {
        return singles;
    }
    let pairs =
        fields.iter().enumerate().flat_map(|(n, first)| fields[n + 1..].iter().map(move |second| (*first, *second)));
    let of_two = |(first, second)| {
        let raw = changes(first, item.raw).flat_map(|raw| changes(second, raw)).find(fits)?;
        Some(Change { fields: vec![first, second], raw })
    };
    pairs.filter_map(of_two).take(1).collect()
}
