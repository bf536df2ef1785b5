//! Pointers that say at which level they are, or where they lead, in a field of their own.
//!
//! No description names such a field. It is the one whose value is another in the pointers of each level.

use crate::describe::plain;
use generic_pt::field::{FieldInfo, FieldKind, ItemKind, Piece};
use generic_pt::format::{Common, Groups};
use generic_pt::item::Item as _;
use generic_pt::lg2;

/// A field that has another value in the pointers of each level.
pub struct LevelField {
    info: &'static FieldInfo,
    /// Its lowest bit.
    lo: u32,
    /// Its bits.
    bits: u32,
    /// Its value in pointers of level 1, 2, and so on.
    values: Vec<u64>,
}

/// An item whose level field is that of another level, or of none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LevelSkip {
    /// Level of the item.
    pub level: u32,
    /// The field.
    pub field: &'static str,
    /// What the format's description says of it.
    pub documentation: String,
    /// What it holds.
    pub found: u64,
    /// What it holds in pointers of this level; none at the lowest.
    pub expected: Option<u64>,
    /// The level whose pointers have what it holds, if one has.
    pub of_level: Option<u32>,
}

impl LevelField {
    /// The field of a format, if it has one.
    pub fn of<F: Groups>(common: &Common<F>) -> Option<Self> {
        let levels = 1..=F::GEOMETRY.max_top_level;
        F::FIELDS.iter().find_map(|info| {
            let [Piece { lo, hi, .. }] = info.pieces else { return None };
            let is_there = |level: u32| info.scope.contains(level, ItemKind::Table);
            let is_level = info.kind == FieldKind::Attribute
                && info.scope.allows(common.features)
                && levels.clone().count() > 1
                && levels.clone().all(is_there);
            let value = |level: u32| info.get(F::table_item(common, level, 0).to_u64());
            let values: Vec<u64> = if is_level { levels.clone().map(value).collect() } else { return None };
            let is_new = |(n, value): (usize, &u64)| !values[..n].contains(value);
            let differ = values.iter().enumerate().all(is_new);
            differ.then_some(Self { info, lo: *lo, bits: hi - lo + 1, values })
        })
    }

    /// What an item that is not understood says about its level; nothing if no other value would make it known.
    pub fn skip(&self, level: u32, raw: u64, is_known: impl Fn(u64) -> bool) -> Option<LevelSkip> {
        let found = self.info.get(raw);
        let expected = level.checked_sub(1).and_then(|n| self.values.get(n as usize)).copied();
        let with = |value: u64| raw & !self.info.mask() | value << self.lo;
        let is_wrong = match expected {
            Some(expected) => found != expected && is_known(with(expected)),
            None => (0..=lg2::low_mask(self.bits)).any(|value| is_known(with(value))),
        };
        let of_level = self.values.iter().position(|value| *value == found);
        is_wrong.then(|| LevelSkip {
            level,
            field: self.info.name,
            documentation: plain(self.info.doc).lines().map(str::trim).collect::<Vec<_>>().join(" "),
            found,
            expected,
            of_level: of_level.map(|n| n as u32 + 1),
        })
    }
}
