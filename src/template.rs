//! `define_pt_format!`: expands one format description into its module.
//!
//! The invocation is one syntactically valid Rust module in parentheses (rustfmt formats it). It is parsed whole, item
//! by item, into slots, then emitted: the author's items as they are, constants from the data, the checks of
//! [`check`](crate::check), the names of [`ns`](mod@crate::ns). No algorithm is in here. What cannot be parsed yields
//! one diagnostic and nothing else.
//!
//! ```text
//! define_pt_format!       the entry
//!   __pt_parse!           template/parse.rs   the parser
//!     __pt_reject!                            the diagnostic of an item that cannot be filed
//!   __pt_emit!            template/emit.rs    the module of a variant: features, groups, checks
//!     __pt_bits!          template/bits.rs    the bit fields and their places
//!     __pt_settings!      template/emit.rs    the numbers of `Config` and `HwInfo` by name
//!     __pt_token!         template/emit.rs    a check at a token of the author's
//!     __pt_walkers! __pt_operations!  ns.rs   what has a mangled name
//! ```
//!
//! # Spans
//! A diagnostic points at the author's token only if that token arrives unchanged. So tokens that are pointed at are
//! matched as `tt`, never as `ident` (an `ident` is re-emitted with the span of the macro); whole items are matched as
//! `item` and re-emitted as such, beside a second copy of the same tokens that is taken apart; and in the places of bit
//! fields each call is an expression of the author's tokens only.
//!
//! All this works for formats in *other* crates. For a format in this crate the compiler often takes a token as written
//! by the macro; then it shows a line of the macro and, below, the invocation. The messages are the same, and name the
//! token. And what names the module of a description that cannot be parsed (`pub use`) is reported as well.

mod bits;
mod emit;
mod parse;

/// Makes a format of a description.
///
/// The description is a Rust module in parentheses. Its items are *keys*, in any order, and helpers:
///
/// | key | | what it says |
/// | --- | --- | --- |
/// | `type Item` | required | the item word, `u32` or `u64` |
/// | `const GEOMETRY: Geometry` | required | sizes and limits: a literal of [`Geometry`](crate::format::Geometry) |
/// | `const SUPPORTED: Features` | required | the features that are compiled in: names, with a `\|` between |
/// | `enum Bits` | required | the bit fields, each with its [place](crate::field#places) |
/// | `struct Config`, `struct HwInfo` | required | the format's own configuration; what a driver tells the hardware |
/// | `impl PtFormat for Format` | required | the functions: [`PtFormat`](crate::format::PtFormat) |
/// | `impl EntryOa for Format`, `impl ItemOa for Format` | one of them | where output addresses are |
/// | `impl Contiguous for Format`, the same of `Dirty` (or `DirtyBit`), `SoftwareBits` | | optional groups of functions |
/// | `const FORCED: Features` | | the features that are always on; by default none |
/// | `enum Feature` | | the format's own features, at most 16 |
/// | `const QUIRKS: Quirks` | | what few formats need: [`Quirks`](crate::format::Quirks); by default `Quirks::NONE` |
/// | `type Attrs` | | attributes of a leaf before they are put into an item; by default the item |
///
/// Helper functions, structs, `use`s, private constants of other types, and `pub` constants, enums and types are
/// emitted as they are. The names of [`format`](crate::format), of the common features and of Rust's prelude need no
/// path.
///
/// The expansion is a module with `Format`, `Item`, `Config`, `HwInfo`, `GEOMETRY`, `SUPPORTED`, `FORCED`, a constant
/// for each feature and bit field, the table type, and the operations under their mangled names ([`ns!`](crate::ns!)).
/// Its documentation has a table of the bits.
///
/// # Families
/// Formats that differ in numbers share one description. Each is a module of parameters in it, `mod name { const .. }`;
/// the rest is expanded once for each, with its parameters in scope. A variant whose `struct Config` or `struct HwInfo`
/// differs from the others' has it among its parameters, with `#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]`; then
/// all variants have.
///
/// ```text
/// define_pt_format!(
///     /// Small and large.
///     pub mod family {
///         /// With a granule of 4 KiB.
///         pub mod small { const GRANULE_LG2: u32 = 12; }
///         /// With a granule of 64 KiB.
///         pub mod large { const GRANULE_LG2: u32 = 16; }
///         type Item = u64;
///         // ...
///     }
/// );
/// ```
///
/// # Example
/// The smallest format: one level of 512 items of 4 KiB.
///
/// ```
/// generic_pt::define_pt_format!(
///     /// A flat table.
///     pub mod flat {
///         type Item = u64;
///         const GEOMETRY: Geometry = Geometry {
///             granule_lg2: 12,
///             table_lg2: Tables::Uniform(12),
///             max_va_lg2: 21,
///             max_oa_lg2: 52,
///             max_top_level: 0,
///             leaf_levels: 0..=0,
///             top_pa_mask: 0x000f_ffff_ffff_f000,
///         };
///         const SUPPORTED: Features = FLUSH_RANGE;
///         enum Bits {
///             /// Present.
///             P = bit(0),
///             /// Writable.
///             W = bit(1),
///             /// Output address.
///             OA = address(12, 51),
///         }
///
///         /// Nothing to configure.
///         pub struct Config {}
///
///         /// For the device.
///         pub struct HwInfo {
///             /// Physical address of the table.
///             pub root: u64,
///         }
///
///         impl PtFormat for Format {
///             fn kind(_: &Common<Self>, _: u32, raw: u64) -> Kind {
///                 if P.is_set(raw) { Kind::Leaf } else { Kind::Empty }
///             }
///             fn table_item(_: &Common<Self>, _: u32, table_pa: u64) -> u64 {
///                 OA.put(table_pa)
///             }
///             fn table_pa(_: &Common<Self>, _: u32, raw: u64) -> u64 {
///                 OA.get(raw)
///             }
///             fn leaf_item(_: &Common<Self>, leaf: LeafRequest<u64>) -> u64 {
///                 P.mask() | OA.put(leaf.oa) | leaf.attrs
///             }
///             fn attrs(_: &Common<Self>, prot: Prot) -> Result<u64, Error> {
///                 Ok(W.when(prot.contains(Prot::WRITE)))
///             }
///             fn attrs_of(_: &Common<Self>, _: u32, raw: u64) -> u64 {
///                 raw & W.mask()
///             }
///             fn init(_: &TableConfig<Config>) -> Result<Limits, Error> {
///                 Ok(Limits { top_level: 0, max_va_lg2: 21, max_oa_lg2: 52 })
///             }
///             fn hw_info(_: &Common<Self>, top: Top) -> HwInfo {
///                 HwInfo { root: top.pa }
///             }
///         }
///
///         impl ItemOa for Format {
///             fn item_oa(_: &Common<Self>, _: u32, raw: u64) -> u64 {
///                 OA.get(raw)
///             }
///         }
///     }
/// );
/// assert_eq!(flat::OA.get(0x1234_5003), 0x1234_5000);
/// ```
#[macro_export]
macro_rules! define_pt_format {
    ($(#[$($meta:tt)*])* $vis:vis mod $name:tt { $($body:tt)* }) => {
        $crate::__pt_parse! { @name [[$(#[$($meta)*])*] [$vis] $name] $name { $($body)* } }
    };
    ($($other:tt)*) => {
        $crate::__private::compile_error!(
            "a format is described by one module, in parentheses: define_pt_format!(/** docs */ pub mod name { .. });"
        );
    };
}
