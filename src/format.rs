//! Layer 1: what a format supplies.
//!
//! A format encodes and decodes items, purely: no allocation, no policy, no memory. Its description is one invocation of
//! [`define_pt_format!`](crate::define_pt_format), which implements [`Description`] (the constants), re-emits the user's
//! `impl`s of [`PtFormat`], of [`EntryOa`] or [`ItemOa`], and of the optional groups [`Contiguous`], [`Dirty`] (or [`DirtyBit`]) and
//! [`SoftwareBits`], and ties them together as [`Groups`], which is what the layers above are written against.

mod geometry;
mod groups;

pub use geometry::{Endian, Geometry, MAX_LEVELS, Quirks, Tables, item_size_lg2, items_lg2};
pub(crate) use geometry::{address_mask, item_step, stepped_mask};
pub use groups::{Contiguous, Dirty, DirtyBit, EntryOa, Groups, ItemOa, OaStyle, SoftwareBits};

use crate::error::Error;
use crate::feature::{Access, Features, Prot};
use crate::field::FieldInfo;
use crate::item::Item;
use crate::lg2;
use crate::settings::Settings;
use core::fmt::Debug;
use core::hash::Hash;

/// What an item is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Nothing: no translation.
    Empty,
    /// A pointer to a table of the level below.
    Table,
    /// An output address.
    Leaf,
    /// What this format cannot have written here: reserved bits set, a table pointer at a level without tables, a level
    /// that is skipped. Nothing of it is followed; operations that meet it say so ([`Error::Foreign`]) or stop.
    Foreign,
}

/// The part of a table object that is the same for every format, and that a format's functions may look at.
#[derive(Clone, Copy, Debug)]
pub struct Common<F: Description> {
    /// What the table was asked to do, plus what init added.
    pub features: Features,
    /// Decoded VA bits; with dynamic top, the most the table may grow to; with sign extension, with the sign bit.
    pub max_va_lg2: u32,
    /// Output address bits: a limit at or below what the format can store.
    pub max_oa_lg2: u32,
    /// The format's own configuration.
    pub config: F::Config,
}

impl<F: Description> Common<F> {
    /// Whether `oa` is below the table's limit.
    #[inline(always)]
    pub fn holds_oa(&self, oa: u64) -> bool {
        if F::GEOMETRY.max_oa_lg2 < u64::BITS {
            // Init keeps the limit at or below the format's.
            oa >> (self.max_oa_lg2 & 63) == 0
        } else {
            lg2::shr(oa, self.max_oa_lg2) == 0
        }
    }

    /// Whether the table has `feature` (one feature). Constant where the format forces it or does not support it.
    #[inline(always)]
    pub fn has(&self, feature: Features) -> bool {
        F::FORCED.contains(feature) || (F::SUPPORTED.contains(feature) && self.features.contains(feature))
    }
}

/// The constants and types of a format; implemented by the expansion from the description.
pub trait Description: Copy + Debug + Eq + Hash + Send + Sync + 'static {
    /// The item word.
    type Item: Item;
    /// The format's own configuration.
    type Config: Copy + Debug + Default + Send + Sync + Settings;
    /// What a driver writes into its device or context entry.
    type HwInfo: Copy + Debug + PartialEq + Settings;
    /// Attribute bits ready to be put into a leaf; the item type unless the description says otherwise.
    type Attrs: Copy + Debug + PartialEq + Send + Sync;

    /// The symbol part, as in `pt_iommu_NAME_init`.
    const NAME: &'static str;
    /// What the description says of the format, as Markdown, for tools that show it.
    const DOC: &'static str;
    /// Sizes and limits.
    const GEOMETRY: Geometry;
    /// What few formats need.
    const QUIRKS: Quirks;
    /// Compiled in.
    const SUPPORTED: Features;
    /// Always on, and to be asked for.
    const FORCED: Features;
    /// Names of the format's own features.
    const OWN_FEATURES: &'static [(&'static str, Features)];
    /// What the description says of each of them, in the same order.
    const OWN_FEATURE_DOCS: &'static [&'static str];
    /// The bit fields of an item.
    const FIELDS: &'static [FieldInfo];

    /// VA covered by one item of each level, as powers of two.
    const ITEM_SIZES_LG2: [u32; MAX_LEVELS + 1] = Self::GEOMETRY.item_sizes_lg2(<Self::Item as Item>::BYTES_LG2);
    /// The highest level that can be the top.
    const MAX_TOP_LEVEL: u32 = Self::GEOMETRY.max_top_level;
    /// The lowest level that can be the top.
    const MIN_TOP_LEVEL: u32 = Self::QUIRKS.min_top_level;
    /// Whether a table can have a top of `level`.
    #[inline(always)]
    fn can_be_top(level: u32) -> bool {
        Self::MIN_TOP_LEVEL <= level && level <= Self::MAX_TOP_LEVEL
    }
}

/// What a leaf is to hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LeafRequest<A> {
    /// Level of its items.
    pub level: u32,
    /// VA that the whole entry covers, as a power of two: the item's size, or larger for contiguous entries.
    pub size_lg2: u32,
    /// The output address: of the entry for formats with [`EntryOa`], of this item for those with [`ItemOa`].
    pub oa: u64,
    /// Attributes from [`PtFormat::attrs`] or [`PtFormat::attrs_of`].
    pub attrs: A,
}

/// How a table is to be made: what the hardware can do, what is wanted, and the format's own configuration.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TableConfig<C> {
    /// Features wanted. All that the format forces must be asked for, and only supported ones.
    pub features: Features,
    /// VA bits of the hardware: 1 to the format's maximum. Which of them there are tables for the format's documentation
    /// says; what is not valid is refused with the values that are.
    pub hw_max_vasz_lg2: u32,
    /// OA bits of the hardware: 1 to the format's maximum. With fewer than a page has, there is no page size.
    pub hw_max_oasz_lg2: u32,
    /// The format's own configuration.
    pub format: C,
}

/// What a format's init decides from its configuration and the hardware's limits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// The level of the first top table.
    pub top_level: u32,
    /// Decoded VA bits.
    pub max_va_lg2: u32,
    /// Output address bits.
    pub max_oa_lg2: u32,
}

/// The top table, as hardware is told about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Top {
    /// Physical address of the top table.
    pub pa: u64,
    /// Its level.
    pub level: u32,
}

/// What a specification rules about items and addresses; [`PtFormat::SECTIONS`] names the sections that state it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SpecRule {
    /// Which VA there are: of those that are sign-extended the canonical ones.
    Canonical,
    /// When an item is present.
    Present,
    /// How pointers and pages are told apart, and at which levels they can be.
    Kinds,
    /// Bits and values that are reserved.
    Reserved,
    /// What a pointer says of the level it leads to.
    Levels,
    /// Where tables are, and how they are aligned.
    Tables,
    /// How pages are aligned.
    Pages,
    /// How wide addresses are.
    Width,
    /// How hardware notes that a page was used, and when it faults instead.
    Accessed,
    /// How hardware notes that a page was written.
    Dirty,
    /// How several items are one page.
    Contiguous,
    /// What the bit field of this name may hold: goes before the rule that its value breaks.
    Field(&'static str),
}

/// The functions every format has. All are pure; `raw` items are in CPU byte order.
///
/// A description is trusted: what [`table_pa`](Self::table_pa) says about an item that [`kind`](Self::kind) calls a
/// table is followed. The suite proves both against [`table_item`](Self::table_item).
pub trait PtFormat: Description {
    /// Sections of the specification (with its name) that state a rule, for tools that tell which one is broken. By default
    /// none: then it is what [`DOC`](Description::DOC) begins with.
    const SECTIONS: &'static [(SpecRule, &'static str)] = &[];

    /// What `raw` is, at `level`.
    fn kind(common: &Common<Self>, level: u32, raw: Self::Item) -> Kind;
    /// Whether [`kind`](Self::kind) says leaf: by default it is asked. For what only has to know that, a format can say it in
    /// fewer instructions.
    #[inline(always)]
    fn is_leaf(common: &Common<Self>, level: u32, raw: Self::Item) -> bool {
        Self::kind(common, level, raw) == Kind::Leaf
    }
    /// The item of `level` that points to a table of the level below at `table_pa`.
    fn table_item(common: &Common<Self>, level: u32, table_pa: u64) -> Self::Item;
    /// The inverse of [`table_item`](Self::table_item), whatever software or hardware bits were set since.
    fn table_pa(common: &Common<Self>, level: u32, raw: Self::Item) -> u64;
    /// The item of a leaf.
    fn leaf_item(common: &Common<Self>, leaf: LeafRequest<Self::Attrs>) -> Self::Item;
    /// Protections to attributes.
    ///
    /// # Errors
    /// [`Error::Protection`] for a combination that the format cannot store. (Neither READ nor WRITE is refused before.)
    fn attrs(common: &Common<Self>, prot: Prot) -> Result<Self::Attrs, Error>;
    /// The attributes with which [`leaf_item`](Self::leaf_item) makes this leaf again; without software bits and dirty
    /// bits that hardware sets.
    fn attrs_of(common: &Common<Self>, level: u32, raw: Self::Item) -> Self::Attrs;
    /// The limits from the configuration, whose hardware VA and OA bits are already checked to be non-zero, and the VA
    /// bits to be within the format's.
    ///
    /// # Errors
    /// [`Error::Config`], which names the field and the valid values.
    fn init(config: &TableConfig<Self::Config>) -> Result<Limits, Error>;
    /// The configuration as the other functions are to see it: what asks for a feature that is off can be taken out here,
    /// once, instead of being looked at for every item. By default as it was given.
    fn settle(config: &TableConfig<Self::Config>) -> Self::Config {
        config.format
    }
    /// What a driver writes into its device or context entry.
    fn hw_info(common: &Common<Self>, top: Top) -> Self::HwInfo;

    /// The page sizes at `level`, one bit each. By default the item's size where the geometry allows a leaf.
    #[inline(always)]
    fn possible_sizes(_common: &Common<Self>, level: u32) -> u64 {
        plain_size::<Self>(level)
    }
    /// Of the page sizes `sizes`, one bit each, those of `level`. Every one of them has to be
    /// [possible](Self::possible_sizes) at some level. By default those that are possible at this one; a format can say it
    /// without its configuration.
    #[inline(always)]
    fn sizes_at(common: &Common<Self>, level: u32, sizes: u64) -> u64 {
        sizes & Self::possible_sizes(common, level)
    }
    /// Of the page sizes `sizes`, those whose entries can hold the output address `oa`. By default all.
    #[inline(always)]
    fn sizes_for_oa(_common: &Common<Self>, sizes: u64, _oa: u64) -> u64 {
        sizes
    }
    /// What an empty item of `level` holds. By default zero.
    #[inline(always)]
    fn empty_item(_common: &Common<Self>, _level: u32) -> Self::Item {
        Self::Item::ZERO
    }
    /// Bits of which each by itself, where it is not what it is in the [empty item](Self::empty_item), says that an item of `level`
    /// is not empty: a present bit, the permissions of a format without one, or an invalid bit that empty items have set. A
    /// hint for scans, which look at many items at once; by default none.
    #[inline(always)]
    fn nonempty_bits(_common: &Common<Self>, _level: u32) -> Self::Item {
        Self::Item::ZERO
    }
    /// What a leaf permits by itself, whatever the pointers on the way to it say. By default all.
    ///
    /// For tools that show tables which others wrote, as are the four that follow: the operations never ask.
    #[inline(always)]
    fn access(_common: &Common<Self>, _level: u32, _raw: Self::Item) -> Access {
        Access::all()
    }
    /// Of a leaf or a pointer, or of a [foreign](Kind::Foreign) item that would be one without them, the bits that hardware faults
    /// on as they are: reserved values of fields, values that exclude each other, and bits of no field where all such hardware
    /// faults on them. By default none.
    #[inline(always)]
    fn reserved_bits(_common: &Common<Self>, _level: u32, _raw: Self::Item) -> Self::Item {
        Self::Item::ZERO
    }
    /// The level of the table that a pointer leads to, if it is below the next: hardware may allow to skip levels, which the
    /// operations never do. VA bits of the levels between have to be zero then. By default none.
    #[inline(always)]
    fn skips_to(_common: &Common<Self>, _level: u32, _raw: Self::Item) -> Option<u32> {
        None
    }
    /// Of a leaf, the flags that are clear and for which hardware of these features faults when it is used, instead of setting
    /// them; of a leaf that may be written also that for which it faults when it is. By default none.
    #[inline(always)]
    fn faulting_flags(_common: &Common<Self>, _level: u32, _raw: Self::Item) -> Self::Item {
        Self::Item::ZERO
    }
    /// The bits by which hardware notes that a leaf of several items was used, in any of them: the items differ there. By
    /// default none.
    #[inline(always)]
    fn accessed_bits(_common: &Common<Self>) -> Self::Item {
        Self::Item::ZERO
    }
    /// Table pages, the top too, must have physical addresses below `2^n`, where the configuration decides that. By
    /// default the limit of the quirks, which is an upper limit for this one, too.
    #[inline(always)]
    fn table_pa_lg2(_common: &Common<Self>) -> u32 {
        Self::QUIRKS.table_pa_lg2
    }
    /// The VA bits above the decoded ones, where the configuration decides them. By default the prefix of the quirks. Init
    /// refuses a table with a prefix and `DYNAMIC_TOP` or `SIGN_EXTEND`.
    #[inline(always)]
    fn va_prefix(_common: &Common<Self>) -> u64 {
        Self::QUIRKS.va_prefix
    }
}

/// The bitmap with the plain page size of `level`, if the geometry allows a leaf there.
#[inline(always)]
pub fn plain_size<F: Description>(level: u32) -> u64 {
    let leaf_levels = F::GEOMETRY.leaf_levels;
    if *leaf_levels.start() <= level && level <= *leaf_levels.end() { lg2::pow2(item_size_lg2::<F>(level)) } else { 0 }
}

/// What a description can name without a path.
#[doc(hidden)]
pub mod prelude {
    pub use super::{
        Common, Contiguous, Dirty, DirtyBit, Endian, EntryOa, Geometry, ItemOa, Kind, LeafRequest, Limits, PtFormat,
        Quirks, SoftwareBits, SpecRule, TableConfig, Tables, Top, item_size_lg2, items_lg2, plain_size,
    };
    pub use crate::error::{Errno, Error};
    pub use crate::feature::{Access, Features, Prot};
    pub use crate::field::{
        Field, address, and, and_below, at_levels, bit, bits, clears_below, denies_below, from_bit, ignored,
        in_contiguous_leaves, in_leaves, in_plain_leaves, in_tables, limits_below, or_below, sets_below, with_feature,
        without_feature,
    };
    pub use crate::lg2;
    pub use crate::testing::TestConfig;
    pub use core::prelude::rust_2024::*;

    pub const DMA_INCOHERENT: Features = Features::DMA_INCOHERENT;
    pub const FULL_VA: Features = Features::FULL_VA;
    pub const DYNAMIC_TOP: Features = Features::DYNAMIC_TOP;
    pub const SIGN_EXTEND: Features = Features::SIGN_EXTEND;
    pub const FLUSH_RANGE: Features = Features::FLUSH_RANGE;
    pub const FLUSH_RANGE_NO_GAPS: Features = Features::FLUSH_RANGE_NO_GAPS;
    pub const DETAILED_GATHER: Features = Features::DETAILED_GATHER;
}
