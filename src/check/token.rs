//! Checks at a token: traits whose `on_unimplemented` message is the diagnostic.
//!
//! For each there is a function that requires `Checks: SomeCheck<Token, ..>`. `Token` is a type parameter with the name
//! of the token; the others are whether the check passed, and the numbers of the message. Checks without these never
//! pass: the expansion requires them where it finds the mistake.

/// What the checks are traits of.
#[derive(Debug)]
pub struct Checks;

/// A key of a description is one of those that exist.
#[diagnostic::on_unimplemented(
    message = "`{Token}` is not a key of a format",
    label = "unknown key",
    note = "the keys are `type Item`, `type Attrs`, `const GEOMETRY: Geometry`, `const QUIRKS: Quirks`, \
            `const SUPPORTED: Features`, `const FORCED: Features`, `enum Feature`, `enum Bits`, `struct Config`, \
            `struct HwInfo`, and `impl .. for Format` of `PtFormat`, `EntryOa` or `ItemOa`, `Contiguous`, `Dirty` or `DirtyBit`, \
            `SoftwareBits`",
    note = "helper functions, structs, `use`s, constants of other types, and `pub` constants, enums and types are free"
)]
pub trait KnownKey<Token> {}
pub const fn known_key<Token>()
where
    Checks: KnownKey<Token>,
{
}

/// A key stands once in a description.
#[diagnostic::on_unimplemented(
    message = "`{Token}` is given twice",
    label = "given before",
    note = "each key of a format stands once; remove one of the two"
)]
pub trait KeyOnce<Token> {}
pub const fn key_once<Token>()
where
    Checks: KeyOnce<Token>,
{
}

/// A format has one of `EntryOa` and `ItemOa`.
#[diagnostic::on_unimplemented(
    message = "`{Token}` is the second output address trait: a format has either `EntryOa` or `ItemOa`",
    label = "the format has the other one already",
    note = "`EntryOa` if all items of a contiguous entry hold the address of its start, `ItemOa` if each holds its own \
            (without contiguous entries, either)"
)]
pub trait OneOaStyle<Token> {}
pub const fn one_oa_style<Token>()
where
    Checks: OneOaStyle<Token>,
{
}

/// There is an item word.
#[diagnostic::on_unimplemented(
    message = "the format `{Token}` has no `type Item`",
    label = "add `type Item = u64;` (or `u32`)",
    note = "keys are written without `pub`"
)]
pub trait HasItem<Token> {}
pub const fn has_item<Token>()
where
    Checks: HasItem<Token>,
{
}

/// There is a geometry.
#[diagnostic::on_unimplemented(
    message = "the format `{Token}` has no `const GEOMETRY`",
    label = "add `const GEOMETRY: Geometry = Geometry {{ .. }};`",
    note = "keys are written without `pub`"
)]
pub trait HasGeometry<Token> {}
pub const fn has_geometry<Token>()
where
    Checks: HasGeometry<Token>,
{
}

/// There is a list of supported features.
#[diagnostic::on_unimplemented(
    message = "the format `{Token}` has no `const SUPPORTED`",
    label = "add `const SUPPORTED: Features = FLUSH_RANGE | ..;`",
    note = "keys are written without `pub`"
)]
pub trait HasSupported<Token> {}
pub const fn has_supported<Token>()
where
    Checks: HasSupported<Token>,
{
}

/// There are bit fields.
#[diagnostic::on_unimplemented(
    message = "the format `{Token}` has no `enum Bits`",
    label = "add `enum Bits {{ P = bit(0), OA = address(12, 51), .. }}`",
    note = "keys are written without `pub`"
)]
pub trait HasBits<Token> {}
pub const fn has_bits<Token>()
where
    Checks: HasBits<Token>,
{
}

/// There is a configuration.
#[diagnostic::on_unimplemented(
    message = "the format `{Token}` has no `struct Config`",
    label = "add `pub struct Config {{ .. }}`, with or without fields"
)]
pub trait HasConfig<Token> {}
pub const fn has_config<Token>()
where
    Checks: HasConfig<Token>,
{
}

/// There is hardware information.
#[diagnostic::on_unimplemented(
    message = "the format `{Token}` has no `struct HwInfo`",
    label = "add `pub struct HwInfo {{ .. }}`, with or without fields"
)]
pub trait HasHwInfo<Token> {}
pub const fn has_hw_info<Token>()
where
    Checks: HasHwInfo<Token>,
{
}

/// There are the functions of a format.
#[diagnostic::on_unimplemented(
    message = "the format `{Token}` has no `impl PtFormat for Format`",
    label = "add `impl PtFormat for Format {{ .. }}`"
)]
pub trait HasPtFormat<Token> {}
pub const fn has_pt_format<Token>()
where
    Checks: HasPtFormat<Token>,
{
}

/// There is a place for output addresses.
#[diagnostic::on_unimplemented(
    message = "the format `{Token}` has neither `impl EntryOa for Format` nor `impl ItemOa for Format`",
    label = "add one of the two",
    note = "`EntryOa` if all items of a contiguous entry hold the address of its start, `ItemOa` if each holds its own \
            (without contiguous entries, either)"
)]
pub trait HasOa<Token> {}
pub const fn has_oa<Token>()
where
    Checks: HasOa<Token>,
{
}

/// The item word is one that exists.
#[diagnostic::on_unimplemented(
    message = "`{Token}` cannot be the item of a format: it is `u32` or `u64`",
    label = "neither `u32` nor `u64`"
)]
pub trait ItemWord<Token> {}
pub const fn item_word<Token>()
where
    Checks: ItemWord<Token>,
{
}

/// The item word is written as such.
#[diagnostic::on_unimplemented(
    message = "`type {Token}` is not written `u32` or `u64`",
    label = "write `type Item = u64;` (or `u32`)"
)]
pub trait ItemKeyword<Token> {}
pub const fn item_keyword<Token>()
where
    Checks: ItemKeyword<Token>,
{
}

/// A geometry is a plain struct literal.
#[diagnostic::on_unimplemented(
    message = "`{Token}` is not a struct literal with all fields",
    label = "write `const GEOMETRY: Geometry = Geometry {{ granule_lg2: 12, .. }};`",
    note = "the fields are `granule_lg2`, `table_lg2`, `max_va_lg2`, `max_oa_lg2`, `max_top_level`, `leaf_levels`, \
            `top_pa_mask`; their values may be any constant expressions"
)]
pub trait GeometryLiteral<Token> {}
pub const fn geometry_literal<Token>()
where
    Checks: GeometryLiteral<Token>,
{
}

/// Quirks are a plain struct literal.
#[diagnostic::on_unimplemented(
    message = "`{Token}` is not a struct literal",
    label = "write `const QUIRKS: Quirks = Quirks {{ link_lo: 8, ..Quirks::NONE }};`"
)]
pub trait QuirksLiteral<Token> {}
pub const fn quirks_literal<Token>()
where
    Checks: QuirksLiteral<Token>,
{
}

/// Features are a plain list.
#[diagnostic::on_unimplemented(
    message = "`{Token}` is not a list of features",
    label = "write `const {Token}: Features = FLUSH_RANGE | SOME_FEATURE;`",
    note = "each is the name of a common feature, of one in `enum Feature`, or of a constant; for none write \
            `Features::empty()`"
)]
pub trait FeatureList<Token> {}
pub const fn feature_list<Token>()
where
    Checks: FeatureList<Token>,
{
}

/// The format's own features are a plain enum.
#[diagnostic::on_unimplemented(
    message = "`enum {Token}` is not a list of names",
    label = "write `enum Feature {{ SOME_FEATURE, .. }}`, with a `///` comment on each"
)]
pub trait FeatureEnum<Token> {}
pub const fn feature_enum<Token>()
where
    Checks: FeatureEnum<Token>,
{
}

/// Bit fields are an enum of places.
#[diagnostic::on_unimplemented(
    message = "`enum {Token}` has no bit fields",
    label = "write `enum Bits {{ P = bit(0), OA = address(12, 51), .. }}`, with a `///` comment on each"
)]
pub trait BitsEnum<Token> {}
pub const fn bits_enum<Token>()
where
    Checks: BitsEnum<Token>,
{
}

/// A bit field has a place.
#[diagnostic::on_unimplemented(
    message = "bit field `{Token}` has no place",
    label = "write `{Token} = bit(0)`, `{Token} = bits(9, 11)` or `{Token} = address(12, 51)`",
    note = "`.from_bit(n)`, `.and(lo, hi, value_bit)`, `.at_levels(0..=1)`, `.in_tables()`, `.in_leaves()`, \
            `.in_plain_leaves()`, `.in_contiguous_leaves()`, `.with_feature(..)` or `.without_feature(..)` may follow; no attributes but `///` comments are allowed"
)]
pub trait FieldPlace<Token> {}
pub const fn field_place<Token>()
where
    Checks: FieldPlace<Token>,
{
}

/// [`Rule::Granule`](super::Rule::Granule)
#[diagnostic::on_unimplemented(
    message = "`{Token}` is {FOUND}: the size of a granule is 2^1 to 2^{LIMIT}",
    label = "must be 1 to {LIMIT}"
)]
pub trait Granule<Token, const OK: bool, const FOUND: u32, const LIMIT: u32> {}
impl<Token, const FOUND: u32, const LIMIT: u32> Granule<Token, true, FOUND, LIMIT> for Checks {}
pub const fn granule<Token, const OK: bool, const FOUND: u32, const LIMIT: u32>()
where
    Checks: Granule<Token, OK, FOUND, LIMIT>,
{
}

/// [`Rule::Levels`](super::Rule::Levels)
#[diagnostic::on_unimplemented(
    message = "`{Token}` is {FOUND}, but a table has at most six levels: the highest is 0 to {LIMIT}",
    label = "more than six levels"
)]
pub trait Levels<Token, const OK: bool, const FOUND: u32, const LIMIT: u32> {}
impl<Token, const FOUND: u32, const LIMIT: u32> Levels<Token, true, FOUND, LIMIT> for Checks {}
pub const fn levels<Token, const OK: bool, const FOUND: u32, const LIMIT: u32>()
where
    Checks: Levels<Token, OK, FOUND, LIMIT>,
{
}

/// [`Rule::TableItems`](super::Rule::TableItems)
#[diagnostic::on_unimplemented(
    message = "a table of level {LEVEL} has 2^{SIZE} bytes, which is not even two items",
    label = "`{Token}` is the size of a table in bytes, as a power of two"
)]
pub trait TableItems<Token, const OK: bool, const LEVEL: u32, const SIZE: u32> {}
impl<Token, const LEVEL: u32, const SIZE: u32> TableItems<Token, true, LEVEL, SIZE> for Checks {}
pub const fn table_items<Token, const OK: bool, const LEVEL: u32, const SIZE: u32>()
where
    Checks: TableItems<Token, OK, LEVEL, SIZE>,
{
}

/// [`Rule::VaBits`](super::Rule::VaBits)
#[diagnostic::on_unimplemented(
    message = "`{Token}` is {FOUND}: a VA has 1 to {LIMIT} bits",
    label = "must be 1 to {LIMIT}"
)]
pub trait VaBits<Token, const OK: bool, const FOUND: u32, const LIMIT: u32> {}
impl<Token, const FOUND: u32, const LIMIT: u32> VaBits<Token, true, FOUND, LIMIT> for Checks {}
pub const fn va_bits<Token, const OK: bool, const FOUND: u32, const LIMIT: u32>()
where
    Checks: VaBits<Token, OK, FOUND, LIMIT>,
{
}

/// [`Rule::VaReach`](super::Rule::VaReach)
#[diagnostic::on_unimplemented(
    message = "`{Token}` is {FOUND}, but the levels up to `max_top_level` decode only {LIMIT} VA bits",
    label = "must be at most {LIMIT}",
    note = "a level decodes as many bits as a table has items (as a power of two), on top of `granule_lg2`; \
            `concat_lg2` of the quirks adds to the highest"
)]
pub trait VaReach<Token, const OK: bool, const FOUND: u32, const LIMIT: u32> {}
impl<Token, const FOUND: u32, const LIMIT: u32> VaReach<Token, true, FOUND, LIMIT> for Checks {}
pub const fn va_reach<Token, const OK: bool, const FOUND: u32, const LIMIT: u32>()
where
    Checks: VaReach<Token, OK, FOUND, LIMIT>,
{
}

/// [`Rule::OaBits`](super::Rule::OaBits)
#[diagnostic::on_unimplemented(
    message = "`{Token}` is {FOUND}: it must be above `granule_lg2`, {GRANULE}, and at most 64",
    label = "no such address can be stored"
)]
pub trait OaBits<Token, const OK: bool, const FOUND: u32, const GRANULE: u32> {}
impl<Token, const FOUND: u32, const GRANULE: u32> OaBits<Token, true, FOUND, GRANULE> for Checks {}
pub const fn oa_bits<Token, const OK: bool, const FOUND: u32, const GRANULE: u32>()
where
    Checks: OaBits<Token, OK, FOUND, GRANULE>,
{
}

/// [`Rule::LeafSomewhere`](super::Rule::LeafSomewhere)
#[diagnostic::on_unimplemented(
    message = "`{Token}` is {FIRST}..={LAST}, which is no level: a format has leaves at one level at least",
    label = "write the lowest level first, as in `0..=2`"
)]
pub trait LeafSomewhere<Token, const OK: bool, const FIRST: u32, const LAST: u32> {}
impl<Token, const FIRST: u32, const LAST: u32> LeafSomewhere<Token, true, FIRST, LAST> for Checks {}
pub const fn leaf_somewhere<Token, const OK: bool, const FIRST: u32, const LAST: u32>()
where
    Checks: LeafSomewhere<Token, OK, FIRST, LAST>,
{
}

/// [`Rule::LeafLevels`](super::Rule::LeafLevels)
#[diagnostic::on_unimplemented(
    message = "`{Token}` goes up to {FOUND}, but `max_top_level` is {LIMIT}",
    label = "must end at or below {LIMIT}"
)]
pub trait LeafLevels<Token, const OK: bool, const FOUND: u32, const LIMIT: u32> {}
impl<Token, const FOUND: u32, const LIMIT: u32> LeafLevels<Token, true, FOUND, LIMIT> for Checks {}
pub const fn leaf_levels<Token, const OK: bool, const FOUND: u32, const LIMIT: u32>()
where
    Checks: LeafLevels<Token, OK, FOUND, LIMIT>,
{
}

/// [`Rule::LeafAddress`](super::Rule::LeafAddress)
#[diagnostic::on_unimplemented(
    message = "leaves of level {LEVEL} hold no output address: no `address(..)` field has bit {SIZE} of the address",
    label = "`{Token}` includes a level whose leaves have no address",
    note = "a leaf of level {LEVEL} covers 2^{SIZE} bytes; its address has the bits from {SIZE} on"
)]
pub trait LeafAddress<Token, const OK: bool, const LEVEL: u32, const SIZE: u32> {}
impl<Token, const LEVEL: u32, const SIZE: u32> LeafAddress<Token, true, LEVEL, SIZE> for Checks {}
pub const fn leaf_address<Token, const OK: bool, const LEVEL: u32, const SIZE: u32>()
where
    Checks: LeafAddress<Token, OK, LEVEL, SIZE>,
{
}

/// [`Rule::OaHeld`](super::Rule::OaHeld)
#[diagnostic::on_unimplemented(
    message = "`{Token}` is {FOUND}, but the `address(..)` fields of leaves hold only the bits below {HELD}",
    label = "must be at most {HELD}, or the address field must be wider"
)]
pub trait OaHeld<Token, const OK: bool, const FOUND: u32, const HELD: u32> {}
impl<Token, const FOUND: u32, const HELD: u32> OaHeld<Token, true, FOUND, HELD> for Checks {}
pub const fn oa_held<Token, const OK: bool, const FOUND: u32, const HELD: u32>()
where
    Checks: OaHeld<Token, OK, FOUND, HELD>,
{
}

/// [`Rule::TopPa`](super::Rule::TopPa)
#[diagnostic::on_unimplemented(
    message = "`{Token}` is {FOUND}: it has the bits of a physical address that hardware's top pointer can hold",
    label = "no table can be a top"
)]
pub trait TopPa<Token, const OK: bool, const FOUND: u32, const LIMIT: u32> {}
impl<Token, const FOUND: u32, const LIMIT: u32> TopPa<Token, true, FOUND, LIMIT> for Checks {}
pub const fn top_pa<Token, const OK: bool, const FOUND: u32, const LIMIT: u32>()
where
    Checks: TopPa<Token, OK, FOUND, LIMIT>,
{
}

/// [`Rule::TopAlign`](super::Rule::TopAlign)
#[diagnostic::on_unimplemented(
    message = "`{Token}` aligns a top to 2^{FOUND} bytes, but with `DYNAMIC_TOP` it becomes a lower table of 2^{LIMIT} bytes",
    label = "its lowest bit must be at most bit {LIMIT}"
)]
pub trait TopAlign<Token, const OK: bool, const FOUND: u32, const LIMIT: u32> {}
impl<Token, const FOUND: u32, const LIMIT: u32> TopAlign<Token, true, FOUND, LIMIT> for Checks {}
pub const fn top_align<Token, const OK: bool, const FOUND: u32, const LIMIT: u32>()
where
    Checks: TopAlign<Token, OK, FOUND, LIMIT>,
{
}

/// [`Rule::Prefix`](super::Rule::Prefix)
#[diagnostic::on_unimplemented(
    message = "`{Token}` is given, but `DYNAMIC_TOP` or `SIGN_EXTEND` is supported: such a table begins at VA 0",
    label = "a prefix is for tables with a fixed top and without sign extension"
)]
pub trait Prefix<Token, const OK: bool, const FOUND: u32, const LIMIT: u32> {}
impl<Token, const FOUND: u32, const LIMIT: u32> Prefix<Token, true, FOUND, LIMIT> for Checks {}
pub const fn prefix<Token, const OK: bool, const FOUND: u32, const LIMIT: u32>()
where
    Checks: Prefix<Token, OK, FOUND, LIMIT>,
{
}

/// [`Rule::LinkBits`](super::Rule::LinkBits)
#[diagnostic::on_unimplemented(
    message = "`{Token}` is {FOUND}: the 16 bits from there on must be bits of an item",
    label = "must be at most {LIMIT}"
)]
pub trait LinkBits<Token, const OK: bool, const FOUND: u32, const LIMIT: u32> {}
impl<Token, const FOUND: u32, const LIMIT: u32> LinkBits<Token, true, FOUND, LIMIT> for Checks {}
pub const fn link_bits<Token, const OK: bool, const FOUND: u32, const LIMIT: u32>()
where
    Checks: LinkBits<Token, OK, FOUND, LIMIT>,
{
}

/// A format has at most 16 features of its own.
#[diagnostic::on_unimplemented(
    message = "`enum {Token}` has {FOUND} features: a format has at most 16 of its own",
    label = "too many features"
)]
pub trait OwnFeatures<Token, const OK: bool, const FOUND: u32> {}
impl<Token, const FOUND: u32> OwnFeatures<Token, true, FOUND> for Checks {}
pub const fn own_features<Token, const OK: bool, const FOUND: u32>()
where
    Checks: OwnFeatures<Token, OK, FOUND>,
{
}

/// A feature that is always on is compiled in.
#[diagnostic::on_unimplemented(
    message = "`{Token}` is forced, but not supported",
    label = "add it to `SUPPORTED`, or remove it here"
)]
pub trait ForcedIsSupported<Token, const OK: bool> {}
impl<Token> ForcedIsSupported<Token, true> for Checks {}
pub const fn forced_is_supported<Token, const OK: bool>()
where
    Checks: ForcedIsSupported<Token, OK>,
{
}

/// Sign extension has a fixed top below 64 bits.
#[diagnostic::on_unimplemented(
    message = "`{Token}` is forced together with `DYNAMIC_TOP` or `FULL_VA`",
    label = "a sign-extended table has a fixed top, and fewer than 64 bits",
    note = "remove `SIGN_EXTEND`, or remove `DYNAMIC_TOP` and `FULL_VA`, from `FORCED`"
)]
pub trait SignExtendAlone<Token, const OK: bool> {}
impl<Token> SignExtendAlone<Token, true> for Checks {}
pub const fn sign_extend_alone<Token, const OK: bool>()
where
    Checks: SignExtendAlone<Token, OK>,
{
}

/// Incoherent walkers need a software bit to note finished flushes.
#[diagnostic::on_unimplemented(
    message = "`{Token}` is supported, but the format has no `impl SoftwareBits for Format`",
    label = "needs a bit of the item that hardware ignores, to note finished flushes",
    note = "add `impl SoftwareBits for Format`, or remove `DMA_INCOHERENT` from `SUPPORTED`"
)]
pub trait IncoherentHasSoftwareBits<Token, const OK: bool> {}
impl<Token> IncoherentHasSoftwareBits<Token, true> for Checks {}
pub const fn incoherent_has_software_bits<Token, const OK: bool>()
where
    Checks: IncoherentHasSoftwareBits<Token, OK>,
{
}
