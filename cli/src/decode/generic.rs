//! The decoder of any format.
//!
//! Which fields are *attributes* is found by trying the format's functions: a field says what or where a mapping is (present,
//! page size) if changing it makes something else of the item and not other attributes, or a page of another size; all other
//! fields are attributes.
//!
//! How pointers and leaves combine is in the description ([`Below`]): what pointers say is put into the leaf, and the leaf is
//! looked at then. Pointers that the library does not follow, because it never writes such a field, are followed here.

use super::fields::{Attributes, FieldValue, fields_of};
use super::levels::{LevelField, LevelSkip};
use super::options::{Options, table_config};
use super::permissions::{TRIED_BITS, leaf, stored};
use super::{Decoder, Inherited, Item, LevelShape, Masks, Meaning, Nearest, Refusal, Shape};
use crate::formats;
use crate::inspect::InspectError;
use crate::table::feature_names;
use generic_pt::field::{Below, FieldKind, ItemKind, Piece};
use generic_pt::format::{Common, Endian, Groups, Kind, OaStyle, item_size_lg2, items_lg2};
use generic_pt::iommu::Blueprint;
use generic_pt::item::Item as Word;
use generic_pt::{Access, Features, Prot, lg2};

/// Makes the decoder of a format.
///
/// # Errors
/// [`InspectError::Config`], [`InspectError::TopLevel`], and those of the options.
pub fn decoder<F: Groups>(
    shape: &formats::Shape<F::Config>,
    options: &Options,
) -> Result<Box<dyn Decoder>, InspectError> {
    let config = table_config::<F>(shape, options)?;
    let wrong = |cause| InspectError::Config { format: F::NAME, cause };
    let mut blueprint = Blueprint::<F>::new(&config).map_err(wrong)?;
    if let Some(level) = options.top_level {
        blueprint = blueprint.with_top_level(level).map_err(|cause| InspectError::TopLevel {
            format: F::NAME,
            level,
            cause,
        })?;
    }
    // Who does not say which features hardware has does not want to hear that it lacks some.
    let all = if options.features.is_none() { F::SUPPORTED } else { Features::empty() };
    Ok(Box::new(Generic::new(&blueprint, all)))
}

/// The decoder of format `F`.
struct Generic<F: Groups> {
    common: Common<F>,
    /// With the features by which it is judged what hardware takes.
    judged: Common<F>,
    shape: Shape,
    /// For each level, what fields of pointers do to the leaves below: their bits, and how.
    below: Vec<Vec<(u64, Below)>>,
    /// For each level, the bits of pointers that only say something about all below: without them the library follows.
    followed: Vec<u64>,
    /// For each level, the permissions of pointers: the library follows if all are there.
    permits: Vec<u64>,
    /// Attributes inside of the address field: an encryption bit. For each level.
    hidden: Vec<u64>,
    /// The field in which pointers tell their level.
    level_field: Option<LevelField>,
}

impl<F: Groups> Generic<F> {
    fn new(blueprint: &Blueprint<F>, taken: Features) -> Self {
        let common = *blueprint.common();
        let judged = Common { features: common.features | taken, ..common };
        let top = blueprint.top_level();
        let hidden: Vec<u64> = (0..=top).map(|level| hidden_attributes::<F>(&common, level)).collect();
        let levels = (0..=top).map(|level| {
            let items_lg2 = if level == top { blueprint.top_items_lg2() } else { items_lg2::<F>(level) };
            let bytes_lg2 = items_lg2 + F::Item::BYTES_LG2;
            LevelShape {
                item_lg2: item_size_lg2::<F>(level),
                items_lg2,
                align_lg2: if level == top { blueprint.top_size_lg2() } else { bytes_lg2 },
                empty: F::empty_item(&common, level).to_u64(),
                masks: [ItemKind::Table, ItemKind::PlainLeaf, ItemKind::ContiguousLeaf].map(|kind| {
                    let masks = masks::<F>(&common, level, kind);
                    Masks { address: masks.address & !hidden[level as usize], ..masks }
                }),
            }
        });
        let below_of = |level| -> Vec<(u64, Below)> {
            let fields = fields_of::<F>(&common, level, ItemKind::Table);
            fields.filter(|info| info.below != Below::Nothing).map(|info| (info.mask(), info.below)).collect()
        };
        let below: Vec<Vec<(u64, Below)>> = (0..=top).map(below_of).collect();
        let bits_of = |wanted: fn(Below) -> bool| -> Vec<u64> {
            let of_level = |fields: &Vec<(u64, Below)>| {
                fields.iter().filter(|(_, below)| wanted(*below)).fold(0, |all, (mask, _)| all | mask)
            };
            below.iter().map(of_level).collect()
        };
        let (followed, permits) = (bits_of(|below| below != Below::And), bits_of(|below| below == Below::And));
        let stored = stored::<F>(&common, top);
        let shape = Shape {
            format: F::NAME,
            documentation: F::DOC,
            sections: F::SECTIONS,
            item_bytes_lg2: F::Item::BYTES_LG2,
            is_big_endian: F::QUIRKS.endian == Endian::Big,
            levels: levels.collect(),
            va_lg2: blueprint.top_va_lg2(),
            oa_lg2: common.max_oa_lg2,
            va_prefix: F::va_prefix(&common),
            features: common.features,
            supported_names: feature_names::<F>(F::SUPPORTED),
            fields: F::FIELDS,
            permissions: stored.permissions,
            users: stored.users,
        };
        let level_field = LevelField::of::<F>(&common);
        Self { common, judged, shape, below, followed, permits, hidden, level_field }
    }

    /// What an item is. Hardware follows more pointers than the library makes.
    #[inline(always)]
    fn known(&self, level: u32, raw: F::Item) -> Known<F> {
        let kind = F::kind(&self.common, level, raw);
        // Each pointer leads down: so every walk ends.
        if kind != Kind::Foreign && (kind != Kind::Table || level > 0) {
            return Known { kind, followed: raw, below: level.saturating_sub(1) };
        }
        self.known_to_hardware(level, raw)
    }

    #[cold]
    fn known_to_hardware(&self, level: u32, raw: F::Item) -> Known<F> {
        let permits = F::Item::from_u64(self.permits[level as usize]);
        let all = if raw & permits == F::Item::ZERO { F::Item::ZERO } else { permits };
        let followed = raw & !F::Item::from_u64(self.followed[level as usize]) | all;
        if level > 0 && F::kind(&self.common, level, followed) == Kind::Table {
            return Known { kind: Kind::Table, followed, below: level - 1 };
        }
        if let Some(below) = F::skips_to(&self.common, level, raw).filter(|below| *below < level) {
            return Known { kind: Kind::Table, followed, below };
        }
        let (empty, told) = (F::empty_item(&self.common, level), F::nonempty_bits(&self.common, level));
        let is_empty = told != F::Item::ZERO && (raw ^ empty) & told == F::Item::ZERO;
        Known { kind: if is_empty { Kind::Empty } else { Kind::Foreign }, followed: raw, below: 0 }
    }

    #[inline(always)]
    fn decoded(&self, level: u32, index: u64, raw: F::Item) -> Item {
        let known = self.known(level, raw);
        let item = self.understood(level, index, raw, known);
        let is_taken = match item.meaning {
            Meaning::Empty | Meaning::Foreign => true,
            Meaning::Leaf | Meaning::Table => {
                F::reserved_bits(&self.judged, level, raw) == F::Item::ZERO
                    && self.low_bits(level, &item) == 0
                    && lg2::shr(item.pa, self.shape.oa_lg2) == 0
            }
        };
        if is_taken { item } else { Item { pa: 0, meaning: Meaning::Foreign, below: 0, ..item } }
    }

    /// The item, whether hardware takes it or not.
    #[inline(always)]
    fn understood(&self, level: u32, index: u64, raw: F::Item, known: Known<F>) -> Item {
        let item_lg2 = item_size_lg2::<F>(level);
        let (meaning, pa, entry_lg2, below) = match known.kind {
            Kind::Empty => (Meaning::Empty, 0, item_lg2, 0),
            Kind::Table => (Meaning::Table, F::table_pa(&self.common, level, known.followed), item_lg2, known.below),
            Kind::Leaf => {
                let entry_lg2 = F::entry_size_lg2(&self.common, level, raw);
                let pa = F::exact_oa(&self.common, level, raw, lg2::shl(index, item_lg2));
                (Meaning::Leaf, pa, entry_lg2, 0)
            }
            Kind::Foreign => (Meaning::Foreign, 0, item_lg2, 0),
        };
        Item { raw: raw.to_u64(), pa, index: index as u32, meaning, entry_lg2: entry_lg2 as u8, below: below as u8 }
    }

    /// The leaf or pointer that an item is, or would be without what is reserved in it.
    fn would_be(&self, level: u32, raw: F::Item) -> Option<Item> {
        let without = raw & !F::reserved_bits(&self.judged, level, raw);
        let tried = [raw, without].map(|word| self.understood(level, 0, word, self.known(level, word)));
        tried.into_iter().find(|item| matches!(item.meaning, Meaning::Leaf | Meaning::Table))
    }

    /// Bits of a page's address below its size.
    #[inline(always)]
    fn low_bits(&self, level: u32, item: &Item) -> u64 {
        if item.meaning == Meaning::Leaf { item.raw & self.shape.masks(level, item).low } else { 0 }
    }

    /// Features of which each would make valid what is reserved in an item.
    fn features_for(&self, level: u32, raw: F::Item) -> Vec<String> {
        let makes_valid = |feature: &Features| {
            let with = Common { features: self.judged.features | *feature, ..self.judged };
            F::reserved_bits(&with, level, raw) == F::Item::ZERO
        };
        let missing = F::SUPPORTED.difference(self.judged.features);
        let found = missing.iter().filter(makes_valid).fold(Features::empty(), Features::union);
        feature_names::<F>(found).into_iter().map(str::to_owned).collect()
    }

    /// Whether a bit of a leaf or pointer says only that it is one, or its size.
    fn is_structure(&self, level: u32, raw: u64, bit: u64) -> bool {
        let of = |raw: u64| {
            let word = F::Item::from_u64(raw);
            (self.known(level, word).kind, F::contig_lg2(&self.common, level, word))
        };
        let attrs = |raw: u64| F::attrs_of(&self.common, level, F::Item::from_u64(raw));
        let (this, other) = (of(raw), of(raw ^ bit));
        let is_other_size = this.0 == Kind::Leaf && other.0 == Kind::Leaf;
        this != other && (this.0 == Kind::Table || is_other_size || attrs(raw) == attrs(raw ^ bit))
    }
}

impl<F: Groups> Decoder for Generic<F> {
    fn shape(&self) -> &Shape {
        &self.shape
    }

    fn decode(&self, level: u32, bytes: &[u8], items: &mut Vec<Item>) -> u64 {
        items.clear();
        let empty = F::empty_item(&self.common, level);
        let mut stale = 0;
        for (index, bytes) in bytes.chunks_exact(1 << F::Item::BYTES_LG2).enumerate() {
            let raw = word::<F>(bytes);
            if raw == empty {
                continue;
            }
            let item = self.decoded(level, index as u64, raw);
            if item.meaning == Meaning::Empty { stale += 1 } else { items.push(item) }
        }
        stale
    }

    fn item(&self, level: u32, index: u64, raw: u64) -> Item {
        self.decoded(level, index, F::Item::from_u64(raw))
    }

    fn inherit(&self, level: u32, pointer: u64, above: Inherited) -> Inherited {
        self.below[level as usize].iter().fold(above, |all, (mask, below)| match *below {
            Below::And => all.and(Inherited { clear: mask & !pointer, ..Inherited::default() }),
            Below::Or => all.and(Inherited { set: mask & pointer, ..Inherited::default() }),
            Below::Forces { set, clear } if pointer & mask != 0 => {
                all.and(Inherited { set, clear, ..Inherited::default() })
            }
            Below::Limits { denied } => {
                let denied = denied.when(pointer & mask != 0);
                all.and(Inherited { limits: mask & pointer, denied, ..Inherited::default() })
            }
            Below::Forces { .. } | Below::Ignored | Below::Nothing => all,
        })
    }

    fn attributes(&self, level: u32, item: &Item, inherited: Inherited) -> Attributes {
        let kind = self.shape.kind(level, item);
        let (own, raw) = (item.raw, inherited.applied(item.raw));
        let mut fields = Vec::new();
        for (field, info) in F::FIELDS.iter().enumerate() {
            let applies = info.scope.allows(self.common.features) && info.scope.contains(level, kind);
            if !applies || info.kind == FieldKind::Address || info.get(raw) == 0 {
                continue;
            }
            let set = bits(info.mask() & raw);
            if set.into_iter().any(|bit| own & bit == 0 || !self.is_structure(level, own, bit)) {
                fields.push(FieldValue::new(field, info, info.get(raw)));
            }
        }
        for (field, info) in F::FIELDS.iter().enumerate().filter(|(_, info)| info.kind == FieldKind::Address) {
            let value = info.mask() & own & self.hidden[level as usize];
            if value != 0 {
                fields.push(FieldValue::new(field, info, value));
            }
        }
        for (field, info) in F::FIELDS.iter().enumerate().filter(|(_, info)| matches!(info.below, Below::Limits { .. }))
        {
            let value = if info.scope.allows(self.common.features) { info.get(inherited.limits) } else { 0 };
            if value != 0 {
                fields.push(FieldValue::new(field, info, value));
            }
        }
        let access = match kind {
            // Is looked at in the leaves.
            ItemKind::Table => Access::all(),
            _ => F::access(&self.common, level, F::Item::from_u64(raw)).difference(inherited.denied),
        };
        Attributes { fields, access, way: Vec::new() }
    }

    fn nearest(&self, level: u32, raw: u64) -> Vec<Nearest> {
        // What is understood can still be refused by hardware.
        let taken = |raw: u64| {
            let item = self.decoded(level, 0, F::Item::from_u64(raw));
            matches!(item.meaning, Meaning::Leaf | Meaning::Table).then(|| self.shape.kind(level, &item))
        };
        let mut found = Vec::new();
        for info in F::FIELDS {
            let [Piece { lo, hi, .. }] = info.pieces else { continue };
            let in_level = (info.scope.lowest_level..=info.scope.highest_level).contains(&level);
            let exists = in_level && info.scope.allows(self.common.features);
            if info.kind == FieldKind::Address || hi - lo >= TRIED_BITS || !exists {
                continue;
            }
            for value in 0..=lg2::low_mask(hi - lo + 1) {
                let other = raw & !info.mask() | value << lo;
                let Some(kind) = taken(other) else { continue };
                if !info.scope.contains(level, kind) {
                    continue;
                }
                let what = if kind == ItemKind::Table { "a pointer to a table" } else { "a page" };
                let text = format!("with {} = {value:#x} instead of {:#x} it is {what}", info.name, info.get(raw));
                found.push(Nearest { raw: other, text });
            }
        }
        let tables = self.shape.levels[level as usize].masks[0].unnamed;
        let cleared = raw & !tables;
        if raw & tables != 0 && taken(cleared) == Some(ItemKind::Table) {
            let text = format!("without the bits {:#x}, which no pointer to a table has, it is one", raw & tables);
            found.push(Nearest { raw: cleared, text });
        }
        found
    }

    fn refusal(&self, level: u32, raw: u64) -> Option<Refusal> {
        let word = F::Item::from_u64(raw);
        let item = self.would_be(level, word)?;
        let (reserved, low) = (F::reserved_bits(&self.judged, level, word).to_u64(), self.low_bits(level, &item));
        if reserved != 0 {
            Some(Refusal::Value { bits: reserved, features: self.features_for(level, word) })
        } else if low != 0 {
            Some(Refusal::Misaligned { bits: low, size_lg2: item.entry_lg2.into() })
        } else {
            (lg2::shr(item.pa, self.shape.oa_lg2) != 0).then_some(Refusal::TooWide { pa: item.pa })
        }
    }

    fn kind_of(&self, level: u32, raw: u64) -> Option<ItemKind> {
        self.would_be(level, F::Item::from_u64(raw)).map(|item| self.shape.kind(level, &item))
    }

    fn faulting_flags(&self, level: u32, raw: u64) -> u64 {
        F::faulting_flags(&self.common, level, F::Item::from_u64(raw)).to_u64()
    }

    fn unmarked(&self, level: u32, raw: u64) -> u64 {
        let clean = F::clean_item(&self.common, level, F::Item::from_u64(raw)).to_u64();
        clean & !F::accessed_bits(&self.common).to_u64() & !software_bits::<F>(&self.common)
    }

    fn level_skip(&self, level: u32, raw: u64) -> Option<LevelSkip> {
        let is_known =
            |raw: u64| matches!(F::kind(&self.common, level, F::Item::from_u64(raw)), Kind::Table | Kind::Leaf);
        self.level_field.as_ref()?.skip(level, raw, is_known)
    }

    fn continues(&self, level: u32, first: &Item, other: &Item) -> bool {
        let stored = |item: &Item| F::stored_oa(&self.common, level, F::Item::from_u64(item.raw));
        match F::OA_STYLE {
            OaStyle::Entry => stored(other) == stored(first),
            // Each has the address of its place in the entry, which is aligned to its size.
            OaStyle::Item => {
                let place = lg2::shl(other.index.into(), item_size_lg2::<F>(level));
                stored(other) == lg2::replace_low(stored(first), place, first.entry_lg2.into())
            }
        }
    }

    fn is_dirty(&self, level: u32, item: &Item) -> Option<bool> {
        let tells = F::HAS_DIRTY && F::tracks_dirty(&self.common) && item.meaning == Meaning::Leaf;
        tells.then(|| F::is_dirty(&self.common, level, F::Item::from_u64(item.raw)))
    }
}

/// What an item is.
struct Known<F: Groups> {
    kind: Kind,
    /// Of a pointer, the item as the library would have written it: the address is taken from that.
    followed: F::Item,
    /// Of a pointer, the level of the table.
    below: u32,
}

/// The item in these bytes, which are as many as an item has.
#[inline(always)]
fn word<F: Groups>(bytes: &[u8]) -> F::Item {
    // Both widths are powers of two: the compiler sees one load.
    let value = match *bytes {
        [a, b, c, d] => u64::from(u32::from_le_bytes([a, b, c, d])),
        [a, b, c, d, e, f, g, h] => u64::from_le_bytes([a, b, c, d, e, f, g, h]),
        _ => 0,
    };
    let word = F::Item::from_u64(value);
    if F::QUIRKS.endian == Endian::Big { word.swap_bytes() } else { word }
}

/// The bits of a mask, each by itself.
fn bits(mask: u64) -> Vec<u64> {
    (0..u64::BITS).map(|n| 1 << n).filter(|bit| mask & bit != 0).collect()
}

fn masks<F: Groups>(common: &Common<F>, level: u32, kind: ItemKind) -> Masks {
    let (mut address, mut attributes, mut low) = (0, 0, 0);
    for info in fields_of::<F>(common, level, kind) {
        if info.kind == FieldKind::Attribute {
            attributes |= info.mask();
            continue;
        }
        address |= info.mask();
        for piece in info.pieces {
            let value_bits = lg2::low_mask(item_size_lg2::<F>(level)) >> piece.value_lo.min(63);
            low |= (value_bits << piece.lo) & lg2::bit_range_mask(piece.lo, piece.hi);
        }
    }
    let unnamed = !(address | attributes | software_bits::<F>(common)) & lg2::low_mask(F::Item::BITS);
    // Where an attribute lies in the address, below the size of a page, it is no address. Pointers are looked at themselves.
    let low = if kind == ItemKind::PlainLeaf { low & !attributes } else { 0 };
    Masks { address: address & !attributes, unnamed, low }
}

/// The bits that software may use as it likes.
fn software_bits<F: Groups>(common: &Common<F>) -> u64 {
    F::software_bits(common).iter().fold(0, |mask, bit| mask | lg2::pow2(*bit))
}

/// Bits in the address field of leaves that are attributes.
fn hidden_attributes<F: Groups>(common: &Common<F>, level: u32) -> u64 {
    let prot = Prot::READ | Prot::WRITE | Prot::CACHE;
    let Some(raw) = leaf::<F>(common, level, prot) else { return 0 };
    let attrs = |raw: u64| F::attrs_of(common, level, F::Item::from_u64(raw));
    let address = masks::<F>(common, level, ItemKind::PlainLeaf).address;
    bits(address).into_iter().filter(|bit| attrs(raw) != attrs(raw ^ bit)).fold(0, |mask, bit| mask | bit)
}
