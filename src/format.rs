//! Layer 1: what a format supplies.
//!
//! A format encodes and decodes items, purely: no allocation, no policy, no memory. Its description is one invocation of
//! [`define_pt_format!`](crate::define_pt_format), which implements [`Description`] (the constants), re-emits the user's
//! `impl`s of [`PtFormat`], of [`EntryOa`] or [`ItemOa`], and of the optional groups [`Contiguous`], [`Dirty`] (or [`DirtyBit`]) and
//! [`SoftwareBits`], and ties them together as [`Groups`], which is what the layers above are written against.

use crate::error::Error;
use crate::feature::{Access, Features, Prot};
use crate::field::{Field, FieldInfo, FieldKind, ItemKind};
use crate::item::Item;
use crate::lg2;
use crate::settings::Settings;
use core::fmt::Debug;
use core::hash::Hash;
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
    /// [`PtFormat::table_pa_lg2`].
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
    /// Of a leaf or a pointer, the bits that hardware faults on as they are: reserved values of fields, values that
    /// exclude each other, and bits of no field where all such hardware faults on them. By default none.
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
    /// them. By default none.
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

/// For formats whose items each say where the whole entry starts (all items of a contiguous entry are the same).
pub trait EntryOa: PtFormat {
    /// The output address of the start of the entry; bits below the entry's size (a size code) are ignored.
    fn entry_oa(common: &Common<Self>, level: u32, raw: Self::Item) -> u64;
}

/// For formats whose items each hold their own output address (it increments along a contiguous entry).
pub trait ItemOa: PtFormat {
    /// The output address of this item; bits below the item's size are ignored.
    fn item_oa(common: &Common<Self>, level: u32, raw: Self::Item) -> u64;
}

/// Optional: several items can be one leaf. [`PtFormat::possible_sizes`] then says which sizes.
pub trait Contiguous: PtFormat {
    /// Items that the entry of this leaf consists of, as a power of two; 0 for a plain one.
    fn contig_lg2(common: &Common<Self>, level: u32, raw: Self::Item) -> u32;
}

/// Optional: hardware notes writes in the leaf.
pub trait Dirty: PtFormat {
    /// Whether this table tracks writes, where the configuration decides that. By default it does.
    #[inline(always)]
    fn tracks_dirty(_common: &Common<Self>) -> bool {
        true
    }
    /// Whether this item says that the page was written.
    fn is_dirty(common: &Common<Self>, level: u32, raw: Self::Item) -> bool;
    /// The item made clean; no other bit may change.
    fn clean_item(common: &Common<Self>, level: u32, raw: Self::Item) -> Self::Item;
    /// The item made dirty; no other bit may change.
    fn dirty_item(common: &Common<Self>, level: u32, raw: Self::Item) -> Self::Item;
    /// The bits of which an item has one exactly if it is dirty, so that many are looked at together; no bits, as by default, if
    /// that is not how the format says it.
    #[inline(always)]
    fn dirty_bits(_common: &Common<Self>) -> Self::Item {
        Self::Item::ZERO
    }
}

/// The usual form of [`Dirty`]: one bit of a leaf's item, which says that the page was written.
pub trait DirtyBit: PtFormat {
    /// The bit.
    const DIRTY_BIT: Field<Self::Item>;
    /// As [`Dirty::tracks_dirty`].
    #[inline(always)]
    fn tracks_dirty(_common: &Common<Self>) -> bool {
        true
    }
}

impl<F: DirtyBit> Dirty for F {
    #[inline(always)]
    fn tracks_dirty(common: &Common<Self>) -> bool {
        <F as DirtyBit>::tracks_dirty(common)
    }
    #[inline(always)]
    fn is_dirty(_: &Common<Self>, _: u32, raw: Self::Item) -> bool {
        F::DIRTY_BIT.is_set(raw)
    }
    #[inline(always)]
    fn clean_item(_: &Common<Self>, _: u32, raw: Self::Item) -> Self::Item {
        raw & !F::DIRTY_BIT.mask()
    }
    #[inline(always)]
    fn dirty_item(_: &Common<Self>, _: u32, raw: Self::Item) -> Self::Item {
        raw | F::DIRTY_BIT.mask()
    }
    #[inline(always)]
    fn dirty_bits(_: &Common<Self>) -> Self::Item {
        F::DIRTY_BIT.mask()
    }
}

/// Optional: bits that hardware ignores. Needed for `DMA_INCOHERENT`, which notes finished flushes in bit 0 of them.
pub trait SoftwareBits: PtFormat {
    /// The item bits, in the order of their use.
    fn software_bits(common: &Common<Self>) -> &'static [u32];
}

/// Where a format keeps output addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OaStyle {
    /// [`EntryOa`].
    Entry,
    /// [`ItemOa`].
    Item,
}

/// A whole format: the functions with the groups it has; implemented by the expansion, by forwarding.
pub trait Groups: PtFormat {
    /// Which of the two output address traits the format implements.
    const OA_STYLE: OaStyle;
    /// Whether it has contiguous entries.
    const HAS_CONTIGUOUS: bool = false;
    /// Whether it has dirty tracking.
    const HAS_DIRTY: bool = false;
    /// Whether it has software bits.
    const HAS_SOFTWARE_BITS: bool = false;

    /// [`EntryOa::entry_oa`] or [`ItemOa::item_oa`].
    fn stored_oa(common: &Common<Self>, level: u32, raw: Self::Item) -> u64;
    /// [`Contiguous::contig_lg2`].
    #[inline(always)]
    fn contig_lg2(_common: &Common<Self>, _level: u32, _raw: Self::Item) -> u32 {
        0
    }
    /// [`Dirty::tracks_dirty`].
    #[inline(always)]
    fn tracks_dirty(_common: &Common<Self>) -> bool {
        false
    }
    /// [`Dirty::is_dirty`].
    #[inline(always)]
    fn is_dirty(_common: &Common<Self>, _level: u32, _raw: Self::Item) -> bool {
        false
    }
    /// [`Dirty::clean_item`].
    #[inline(always)]
    fn clean_item(_common: &Common<Self>, _level: u32, raw: Self::Item) -> Self::Item {
        raw
    }
    /// [`Dirty::dirty_item`].
    #[inline(always)]
    fn dirty_item(_common: &Common<Self>, _level: u32, raw: Self::Item) -> Self::Item {
        raw
    }
    /// [`Dirty::dirty_bits`].
    #[inline(always)]
    fn dirty_bits(_common: &Common<Self>) -> Self::Item {
        Self::Item::ZERO
    }
    /// [`SoftwareBits::software_bits`].
    #[inline(always)]
    fn software_bits(_common: &Common<Self>) -> &'static [u32] {
        &[]
    }
    /// The mask of software bit `n`; no bit if there is no such.
    #[inline(always)]
    fn software_bit(common: &Common<Self>, n: usize) -> Self::Item {
        Self::software_bits(common).get(n).map_or(Self::Item::ZERO, |bit| Self::Item::from_u64(lg2::pow2(*bit)))
    }

    /// VA that the whole entry of this leaf covers, as a power of two.
    #[inline(always)]
    fn entry_size_lg2(common: &Common<Self>, level: u32, raw: Self::Item) -> u32 {
        item_size_lg2::<Self>(level) + Self::contig_lg2(common, level, raw)
    }
    /// The output address of the start of the entry that this leaf item belongs to.
    #[inline(always)]
    fn oa_of_entry(common: &Common<Self>, level: u32, raw: Self::Item) -> u64 {
        lg2::align_down(Self::stored_oa(common, level, raw), Self::entry_size_lg2(common, level, raw))
    }
    /// The exact output address of `va`, which this leaf item covers, alone or with the others of its entry: it is the one
    /// that `va` selects.
    #[inline(always)]
    fn exact_oa(common: &Common<Self>, level: u32, raw: Self::Item, va: u64) -> u64 {
        let (stored, item_lg2) = (Self::stored_oa(common, level, raw), item_size_lg2::<Self>(level));
        // Items that hold an address of their own need no look at how many they are.
        let oa = lg2::replace_low(stored, va, item_lg2);
        let contig_lg2 = match Self::OA_STYLE {
            OaStyle::Item => 0,
            OaStyle::Entry => Self::contig_lg2(common, level, raw),
        };
        if contig_lg2 == 0 {
            return oa;
        }
        // Most leaves have one item, and then the size is a constant.
        core::hint::cold_path();
        lg2::replace_low(oa, va, item_lg2 + contig_lg2)
    }
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
        Field, address, and, and_below, at_levels, bit, bits, clears_below, from_bit, ignored, in_contiguous_leaves,
        in_leaves, in_plain_leaves, in_tables, limits_below, or_below, sets_below, with_feature, without_feature,
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
