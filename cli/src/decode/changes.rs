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

/// An item with other values in a few fields.
pub struct Change {
    /// The fields.
    pub fields: Vec<&'static FieldInfo>,
    /// The item.
    pub raw: u64,
}

/// Changes of one field for which an item [leads to the same](leads_to_same) and `fits`, one of each field; if there are none, the
/// first one of as few fields as there can be, up to `most`.
pub fn fewest_changes(
    decoder: &dyn Decoder,
    level: u32,
    item: &Item,
    most: usize,
    fits: impl Fn(u64) -> bool,
) -> Vec<Change> {
    let fields = changed_fields(decoder, level, item);
    let fits = |raw: u64| leads_to_same(decoder, level, item, raw) && fits(raw);
    let of_one = |field: &&'static FieldInfo| {
        let raw = changes(field, item.raw).find(|raw| fits(*raw))?;
        Some(Change { fields: vec![field], raw })
    };
    let singles: Vec<Change> = fields.iter().filter_map(of_one).collect();
    if !singles.is_empty() {
        return singles;
    }
    (2..=most).find_map(|count| first_change(&fields, count, item.raw, &fits)).into_iter().collect()
}

/// The first change of exactly so many of the fields that `fits`.
fn first_change(fields: &[&'static FieldInfo], count: usize, raw: u64, fits: &impl Fn(u64) -> bool) -> Option<Change> {
    if count == 0 {
        return fits(raw).then(|| Change { fields: Vec::new(), raw });
    }
    fields.iter().enumerate().find_map(|(n, field)| {
        let mut change = changes(field, raw).find_map(|raw| first_change(&fields[n + 1..], count - 1, raw, fits))?;
        change.fields.insert(0, field);
        Some(change)
    })
}
