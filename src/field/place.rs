//! Places of fields: the calls in `enum Bits { .. }`, and what they make of each other.

use super::{Below, Field, FieldKind, Layout, Piece};
use crate::check;
use crate::feature::{Access, Features};
use crate::format::Description;
use core::marker::PhantomData;
use core::ops::RangeInclusive;

/// A field of the description that comes before the one that is being placed.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Placed {
    /// Its name.
    pub name: &'static str,
    /// Its place.
    pub layout: Layout,
}

/// What one call in a place has to know; implemented by the expansion.
///
/// Each call is made twice. A wrong place fails in a constant that nothing uses. The constant of the field must not
/// fail, or everything that uses it is reported too: there a wrong place is left out ([`CHECKED`](Self::CHECKED) is
/// false).
#[doc(hidden)]
pub trait Site {
    /// The format whose item it is.
    type Format: Description;
    /// Whether a wrong place is a compile error at the call.
    const CHECKED: bool;
    /// The name of the field.
    const NAME: &'static str;
    /// The fields before it.
    const BEFORE: &'static [Placed];
    /// Whether the format has leaves of several items.
    const CONTIGUOUS: bool;
    /// Whether one of the calls says which bits the field has.
    const HAS_BITS: bool;
    /// The place as the calls before this one made it.
    const SO_FAR: Draft;
}

/// A place that is not complete yet.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Draft(Layout);

impl Draft {
    /// No call yet.
    pub const EMPTY: Self = Self(Layout::EMPTY);

    /// The field with this place.
    pub const fn field<I>(self) -> Field<I> {
        Field { layout: self.0, mask: self.0.mask(), item: PhantomData }
    }
}

/// The result of one call of a place, for the site of that call only.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Call<S>(Draft, PhantomData<S>);

impl<S: Site> Call<S> {
    /// The place so far, with this call.
    pub const fn draft(&self) -> Draft {
        self.0
    }

    /// The place with this call if nothing is wrong with it; else the error at the call, or the place without it.
    #[track_caller]
    const fn checked(layout: Layout, wrong: Option<check::Message>) -> Self {
        if S::CHECKED {
            check::report(wrong);
        }
        Self(if wrong.is_none() { Draft(layout) } else { S::SO_FAR }, PhantomData)
    }
}

/// A further piece of `layout`.
#[track_caller]
const fn place<S: Site>(layout: Layout, piece: Piece) -> Call<S> {
    let shape = check::Shape::of::<S::Format>(S::CONTIGUOUS);
    if let Some(message) = check::piece(S::NAME, &layout, piece, &shape) {
        return Call::checked(layout, Some(message));
    }
    let overlap = check::beside(S::NAME, &layout, piece, S::BEFORE, &shape);
    Call::checked(layout.with_piece(piece), overlap)
}

/// The first piece.
#[track_caller]
const fn begin<S: Site>(kind: FieldKind, piece: Piece) -> Call<S> {
    let mut layout = S::SO_FAR.0;
    if let Some(message) = check::first(S::NAME, &layout) {
        return Call::checked(layout, Some(message));
    }
    layout.kind = kind;
    place(layout, piece)
}

/// An attribute of one bit, `n`.
#[track_caller]
pub const fn bit<S: Site>(n: u32) -> Call<S> {
    begin(FieldKind::Attribute, Piece { lo: n, hi: n, value_lo: 0 })
}

/// An attribute of the bits `lo..=hi`.
#[track_caller]
pub const fn bits<S: Site>(lo: u32, hi: u32) -> Call<S> {
    begin(FieldKind::Attribute, Piece { lo, hi, value_lo: 0 })
}

/// An address whose bits `lo..=hi` lie in the same bits of the item.
#[track_caller]
pub const fn address<S: Site>(lo: u32, hi: u32) -> Call<S> {
    begin(FieldKind::Address, Piece { lo, hi, value_lo: lo })
}

/// The lowest item bit of the piece before it holds the value's bit `value_lo`: `address(10, 53).from_bit(12)`.
#[track_caller]
pub const fn from_bit<S: Site>(value_lo: u32) -> Call<S> {
    let layout = S::SO_FAR.0;
    if let Some(message) = check::further(S::NAME, &layout, "from_bit(..)") {
        return Call::checked(layout, Some(message));
    }
    let piece = Piece { value_lo, ..layout.pieces[layout.used - 1] };
    place(layout.without_last(), piece)
}

/// A further piece: the item bits `lo..=hi` hold the value's bits from `value_lo` on: `address(12, 49).and(8, 9, 50)`.
#[track_caller]
pub const fn and<S: Site>(lo: u32, hi: u32, value_lo: u32) -> Call<S> {
    let layout = S::SO_FAR.0;
    if let Some(message) = check::further(S::NAME, &layout, "and(..)") {
        return Call::checked(layout, Some(message));
    }
    place(layout, Piece { lo, hi, value_lo })
}

/// Only items of these levels have the field.
#[track_caller]
pub const fn at_levels<S: Site>(levels: RangeInclusive<u32>) -> Call<S> {
    let mut layout = S::SO_FAR.0;
    layout.scope.lowest_level = *levels.start();
    layout.scope.highest_level = *levels.end();
    limit(layout)
}

/// Only table pointers have the field.
#[track_caller]
pub const fn in_tables<S: Site>() -> Call<S> {
    let mut layout = S::SO_FAR.0;
    layout.scope.in_plain_leaves = false;
    layout.scope.in_contiguous_leaves = false;
    limit(layout)
}

/// Only leaves have the field.
#[track_caller]
pub const fn in_leaves<S: Site>() -> Call<S> {
    let mut layout = S::SO_FAR.0;
    layout.scope.in_tables = false;
    limit(layout)
}

/// Only leaves of one item have the field.
#[track_caller]
pub const fn in_plain_leaves<S: Site>() -> Call<S> {
    let mut layout = S::SO_FAR.0;
    layout.scope.in_tables = false;
    layout.scope.in_contiguous_leaves = false;
    limit(layout)
}

/// Only the items of leaves of several items ([`Contiguous`](crate::format::Contiguous)) have the field.
#[track_caller]
pub const fn in_contiguous_leaves<S: Site>() -> Call<S> {
    let mut layout = S::SO_FAR.0;
    layout.scope.in_tables = false;
    layout.scope.in_plain_leaves = false;
    limit(layout)
}

/// Only items of tables with `features` have the field.
#[track_caller]
pub const fn with_feature<S: Site>(features: Features) -> Call<S> {
    let mut layout = S::SO_FAR.0;
    layout.scope.with = layout.scope.with.union(features);
    limit(layout)
}

/// Only items of tables that have none of `features` have the field.
#[track_caller]
pub const fn without_feature<S: Site>(features: Features) -> Call<S> {
    let mut layout = S::SO_FAR.0;
    layout.scope.without = layout.scope.without.union(features);
    limit(layout)
}

/// In table pointers and in leaves: a bit that is clear in a pointer counts as clear in all below. A permission that every
/// item on the way has to give.
#[track_caller]
pub const fn and_below<S: Site>() -> Call<S> {
    combine("and_below()", Below::And)
}

/// In table pointers and in leaves: a bit that is set in a pointer counts as set in all below. A prohibition.
#[track_caller]
pub const fn or_below<S: Site>() -> Call<S> {
    combine("or_below()", Below::Or)
}

/// In table pointers: if the field is set, `field` counts as set in all leaves below. One field can do that to several, each
/// with a call.
///
/// If the format never writes it, items that have it set may be foreign to the format: tools follow them all the same.
#[track_caller]
pub const fn sets_below<S: Site>(field: Field<<S::Format as Description>::Item>) -> Call<S> {
    force("sets_below(..)", field.mask_u64(), 0)
}

/// In table pointers: if the field is set, `field` counts as clear in all leaves below; else as [`sets_below`].
#[track_caller]
pub const fn clears_below<S: Site>(field: Field<<S::Format as Description>::Item>) -> Call<S> {
    force("clears_below(..)", 0, field.mask_u64())
}

/// In table pointers: the field says something about all leaves below that they have no field for; else as
/// [`sets_below`].
#[track_caller]
pub const fn limits_below<S: Site>() -> Call<S> {
    combine("limits_below()", Below::Limits { denied: Access::empty() })
}

/// In table pointers: as [`limits_below`], and if the field is set, no leaf below permits `denied`, whatever the leaf says.
#[track_caller]
pub const fn denies_below<S: Site>(denied: Access) -> Call<S> {
    combine("denies_below(..)", Below::Limits { denied })
}

/// In table pointers: hardware ignores the field; else as [`sets_below`].
#[track_caller]
pub const fn ignored<S: Site>() -> Call<S> {
    combine("ignored()", Below::Ignored)
}

/// Further bits that count as set and as clear in the leaves below.
#[track_caller]
const fn force<S: Site>(call: &str, set: u64, clear: u64) -> Call<S> {
    let below = match S::SO_FAR.0.below {
        Below::Forces { set: already_set, clear: already_clear } => {
            Below::Forces { set: already_set | set, clear: already_clear | clear }
        }
        _ => Below::Forces { set, clear },
    };
    combine(call, below)
}

/// How the field combines with those of the leaves below.
#[track_caller]
const fn combine<S: Site>(call: &str, below: Below) -> Call<S> {
    let mut layout = S::SO_FAR.0;
    let shape = check::Shape::of::<S::Format>(S::CONTIGUOUS);
    layout.below = below;
    Call::checked(layout, check::combination(S::NAME, &S::SO_FAR.0, &layout, call, &shape))
}

/// A limit to some items.
#[track_caller]
const fn limit<S: Site>(layout: Layout) -> Call<S> {
    if !S::HAS_BITS {
        return Call::checked(layout, Some(check::without_bits(S::NAME)));
    }
    let shape = check::Shape::of::<S::Format>(S::CONTIGUOUS);
    Call::checked(layout, check::scope(S::NAME, &layout.scope, &shape))
}
