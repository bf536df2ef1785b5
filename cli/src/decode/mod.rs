//! Tables as bytes to what they say, for every format, from its description.
//!
//! A [`Decoder`] is one format with one configuration. It is asked for whole tables, so that a virtual call is made for each
//! table and not for each item.

mod args;
mod changes;
mod fields;
mod generic;
mod levels;
mod options;
mod permissions;

pub use args::TableArgs;
pub use changes::fewest_changes;
pub use fields::{Attributes, Inherited, PointerFields, letters};
pub use generic::decoder;
pub use levels::LevelSkip;
pub use options::{Options, table_config};
pub use permissions::leaf;

use generic_pt::field::{Below, FieldInfo, ItemKind};
use generic_pt::format::SpecRule;
use generic_pt::lg2;
use generic_pt::{Access, Features};

/// One format with one configuration.
pub trait Decoder {
    /// What its tables look like.
    fn shape(&self) -> &Shape;
    /// Decodes a table of `level`: its items that are not empty, in order, instead of what was in `items`. Returns how many
    /// are empty for hardware, but not as this format leaves them.
    fn decode(&self, level: u32, bytes: &[u8], items: &mut Vec<Item>) -> u64;
    /// One item of `level`, which has index `index` in its table.
    fn item(&self, level: u32, index: u64, raw: u64) -> Item;
    /// What holds below a pointer of `level`, where this holds above it.
    fn inherit(&self, level: u32, pointer: u64, above: Inherited) -> Inherited;
    /// The fields that a leaf or a pointer has, with what the pointers on the way say, and what they permit.
    fn attributes(&self, level: u32, item: &Item, inherited: Inherited) -> Attributes;
    /// What an item that is not understood would be with one field changed: only what hardware takes; nothing if no change of one
    /// is enough.
    fn nearest(&self, level: u32, raw: u64) -> Vec<Nearest>;
    /// Why hardware does not take an item that is understood; `None` if it does, or if it is not.
    fn refusal(&self, level: u32, raw: u64) -> Option<Refusal>;
    /// The kind of an item, also if hardware does not take it; `None` if it is empty or not understood.
    fn kind_of(&self, level: u32, raw: u64) -> Option<ItemKind>;
    /// Flags of a leaf that are clear, for which hardware with the table's features faults instead of setting them.
    fn faulting_flags(&self, level: u32, raw: u64) -> u64;
    /// A leaf without what says nothing to hardware: what hardware notes itself, that it was used and written, and what software does.
    fn unmarked(&self, level: u32, raw: u64) -> u64;
    /// What an item that is not understood says about its level, if that is what is wrong with it.
    fn level_skip(&self, level: u32, raw: u64) -> Option<LevelSkip>;
    /// Whether the address in `other`, an item behind `first` in the same entry of several, is what it has to be there.
    fn continues(&self, level: u32, first: &Item, other: &Item) -> bool;
    /// Whether a leaf says that it was written; `None` if this table does not tell.
    fn is_dirty(&self, level: u32, item: &Item) -> Option<bool>;
}

/// What an item is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Meaning {
    /// Nothing: no translation.
    Empty,
    /// A pointer to a table of the level below.
    Table,
    /// A page, or a part of one of several items.
    Leaf,
    /// What the format cannot have written here, or hardware does not take.
    Foreign,
}

/// Why hardware does not take an item.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// Values of fields that are reserved, and bits that hardware faults on.
    Value {
        /// The bits.
        bits: u64,
        /// Features of the format, each of which would make them valid.
        features: Vec<String>,
    },
    /// Bits of a page's address below its size.
    Misaligned {
        /// The bits.
        bits: u64,
        /// Size of the page, as a power of two.
        size_lg2: u32,
    },
    /// More address bits than there are.
    TooWide {
        /// The address.
        pa: u64,
    },
}

/// A pointer or page that an item would be if it had another value in one field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Nearest {
    /// The item with the change.
    pub raw: u64,
    /// The change, and what it makes of the item.
    pub text: String,
}

/// One item, decoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Item {
    /// The item as it is, in CPU byte order.
    pub raw: u64,
    /// Of a leaf the physical address that the first byte of this item goes to, of a pointer that of the table; else 0.
    pub pa: u64,
    /// Index in its table.
    pub index: u32,
    /// What it is.
    pub meaning: Meaning,
    /// VA that the whole entry covers, as a power of two: more than the item's for contiguous entries.
    pub entry_lg2: u8,
    /// Level of the table that a pointer leads to; else 0.
    pub below: u8,
}

/// Which bits of an item mean what, for one level and kind of item.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Masks {
    /// Bits of the address that are nothing but that in every item.
    pub address: u64,
    /// Bits that no field has, and that are not for software.
    pub unnamed: u64,
    /// Bits of the address below the size of a plain page, which have to be clear.
    pub low: u64,
}

/// The tables of one level.
#[derive(Clone, Debug)]
pub struct LevelShape {
    /// VA covered by an item, as a power of two.
    pub item_lg2: u32,
    /// Items of a table, as a power of two; of the top as many as it has.
    pub items_lg2: u32,
    /// Alignment of a table in bytes, as a power of two.
    pub align_lg2: u32,
    /// An empty item as the format leaves it.
    pub empty: u64,
    /// For pointers, plain leaves, and leaves of several items.
    pub masks: [Masks; 3],
}

/// What the tables of a decoder look like.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Name of the format.
    pub format: &'static str,
    /// What its description says: specification and sections.
    pub documentation: &'static str,
    /// Sections of the specification that state a rule, where the format names them.
    pub sections: &'static [(SpecRule, &'static str)],
    /// Size of an item in bytes, as a power of two.
    pub item_bytes_lg2: u32,
    /// Whether the highest byte of an item comes first in memory.
    pub is_big_endian: bool,
    /// The levels, the lowest first; the last one is the top.
    pub levels: Vec<LevelShape>,
    /// VA bits that the top decodes.
    pub va_lg2: u32,
    /// Output address bits.
    pub oa_lg2: u32,
    /// The bits above those of the VA.
    pub va_prefix: u64,
    /// Features of the table.
    pub features: Features,
    /// Features that a table could have, by name.
    pub supported_names: Vec<&'static str>,
    /// Bit fields of an item.
    pub fields: &'static [FieldInfo],
    /// Of reading, writing and executing what items of this format can forbid.
    pub permissions: Access,
    /// Whether items tell what users may do.
    pub users: Users,
}

/// Whether users may do less than others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Users {
    /// Items tell it.
    Told,
    /// They do not: users may do what all may.
    AsAll,
}

impl Shape {
    /// The level of the top.
    pub fn top_level(&self) -> u32 {
        self.levels.len() as u32 - 1
    }

    /// Bytes of a table of `level`.
    pub fn table_bytes(&self, level: u32) -> u64 {
        1 << (self.levels[level as usize].items_lg2 + self.item_bytes_lg2)
    }

    /// Whether hardware extends the highest VA bit.
    pub fn is_sign_extended(&self) -> bool {
        self.features.contains(Features::SIGN_EXTEND)
    }

    /// The VA of the item `index` of the top, or of lower tables relative to the VA where the table begins.
    pub fn va_at(&self, level: u32, table_va: u64, index: u32) -> u64 {
        let va = table_va | lg2::shl(index.into(), self.levels[level as usize].item_lg2);
        if level < self.top_level() {
            va
        } else if self.is_sign_extended() {
            lg2::sign_extend(va, self.va_lg2)
        } else {
            va | (self.va_prefix & !lg2::low_mask(self.va_lg2))
        }
    }

    /// Whether a VA is one that the top decodes.
    pub fn is_canonical(&self, va: u64) -> bool {
        if self.is_sign_extended() {
            lg2::sign_extend(va, self.va_lg2) == va
        } else {
            lg2::shr(va ^ self.va_prefix, self.va_lg2) == 0
        }
    }

    /// VA bits that the items of a table of `level` decode together.
    pub fn table_va_lg2(&self, level: u32) -> u32 {
        let shape = &self.levels[level as usize];
        shape.item_lg2 + shape.items_lg2
    }

    /// The highest index in a table of `level` up to which VA goes on without a gap from that of `index`: in the middle of a top
    /// whose highest bit is extended there is one.
    pub fn last_index_without_gap(&self, level: u32, index: u32) -> u32 {
        let half = lg2::pow2(self.levels[level as usize].items_lg2) as u32 / 2;
        let has_gap = level == self.top_level() && self.is_sign_extended();
        if has_gap && index < half { half - 1 } else { u32::MAX }
    }

    /// The index of `va` in a table of `level`.
    pub fn index(&self, level: u32, va: u64) -> u64 {
        let shape = &self.levels[level as usize];
        lg2::shr(va & lg2::low_mask(self.va_lg2), shape.item_lg2) & lg2::low_mask(shape.items_lg2)
    }

    /// What the bits of an item mean.
    pub fn masks(&self, level: u32, item: &Item) -> &Masks {
        let shape = &self.levels[level as usize];
        &shape.masks[index_of(kind_of(shape, item))]
    }

    /// Whether pages can say something in a field: leaves of some level have it, or it is one of pointers for all leaves below.
    pub fn is_of_pages(&self, info: &FieldInfo) -> bool {
        let is_of_leaves = |level: u32| {
            [ItemKind::PlainLeaf, ItemKind::ContiguousLeaf].into_iter().any(|kind| info.scope.contains(level, kind))
        };
        let levels = self.levels.len() as u32;
        info.scope.allows(self.features)
            && (matches!(info.below, Below::Limits { .. }) || (0..levels).any(is_of_leaves))
    }

    /// The kind of a pointer or a leaf, as scopes of fields tell it.
    pub fn kind(&self, level: u32, item: &Item) -> ItemKind {
        kind_of(&self.levels[level as usize], item)
    }

    /// The bits of an item in memory.
    pub fn raw(&self, bytes: &[u8]) -> u64 {
        let fold = |raw: u64, byte: &u8| raw << 8 | u64::from(*byte);
        if self.is_big_endian { bytes.iter().fold(0, fold) } else { bytes.iter().rev().fold(0, fold) }
    }

    /// Puts an item into the bytes that it has in memory.
    pub fn put_raw(&self, bytes: &mut [u8], raw: u64) {
        let low_first = (0..).zip(bytes.iter_mut());
        low_first.for_each(|(n, byte)| *byte = lg2::shr(raw, 8 * n) as u8);
        if self.is_big_endian {
            bytes.reverse();
        }
    }

    /// Field names, for messages.
    pub fn field_names(&self) -> String {
        self.fields.iter().map(|field| field.name).collect::<Vec<_>>().join(", ")
    }
}

/// Where a kind of item is in what there is one of for each.
const fn index_of(kind: ItemKind) -> usize {
    match kind {
        ItemKind::Table => 0,
        ItemKind::PlainLeaf => 1,
        ItemKind::ContiguousLeaf => 2,
    }
}

fn kind_of(shape: &LevelShape, item: &Item) -> ItemKind {
    if item.meaning == Meaning::Table {
        ItemKind::Table
    } else if u32::from(item.entry_lg2) > shape.item_lg2 {
        ItemKind::ContiguousLeaf
    } else {
        ItemKind::PlainLeaf
    }
}
