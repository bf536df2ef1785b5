//! The compile-time checks of a format's description.
//!
//! Everything that is decided is decided here, in const functions that unit tests can call; the expansion of
//! [`define_pt_format!`](crate::define_pt_format) only brings the tokens. There are two ways to report:
//!
//! * **At a call.** The places of bit fields are calls that the author of the format writes, `bit(7)`. A check that
//!   fails panics in the call, in const evaluation, and the compiler shows that call. The message is built there.
//! * **At a token.** Keys, features and the fields of the geometry are not calls. The expansion names a type parameter
//!   after the token, and requires a trait of [`Checks`](token::Checks) for it that holds only if the check passed. The
//!   compiler shows the token, and the `on_unimplemented` message of the trait. [`geometry`] says which check fails.

use crate::feature::Features;
use crate::field::{Below, FieldKind, ItemKind, Layout, MAX_PIECES, Piece, Placed, Scope};
use crate::format::{Description, Groups, MAX_LEVELS};
use crate::item::Item;
use crate::lg2;
pub use geometry::{Rule, Verdict, geometry};

mod geometry;
#[cfg(test)]
mod tests;
#[doc(hidden)]
pub mod token;

// ---------------------------------------------------------------------------------------------------------------------
// Messages.

/// A message, built in const evaluation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Message {
    bytes: [u8; Self::CAPACITY],
    len: usize,
}

impl Message {
    const CAPACITY: usize = 384;

    const fn new(start: &str) -> Self {
        Self { bytes: [0; Self::CAPACITY], len: 0 }.text(start)
    }

    /// Appends `text`, whole or (if there is no room) not at all.
    const fn text(mut self, text: &str) -> Self {
        let text = text.as_bytes();
        if self.len + text.len() <= Self::CAPACITY {
            let mut n = 0;
            while n < text.len() {
                self.bytes[self.len + n] = text[n];
                n += 1;
            }
            self.len += text.len();
        }
        self
    }

    const fn number(self, value: u32) -> Self {
        let mut digits = [0; 10];
        let (mut rest, mut at) = (value, digits.len());
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        match core::str::from_utf8(digits.split_at(at).1) {
            Ok(digits) => self.text(digits),
            Err(_) => self,
        }
    }

    const fn name(self, name: &str) -> Self {
        self.text("`").text(name).text("`")
    }

    const fn range(self, lo: u32, hi: u32) -> Self {
        self.number(lo).text("..=").number(hi)
    }

    /// The pieces of a field: `(8..=9 and 12..=47)`.
    const fn pieces(mut self, pieces: &[Piece]) -> Self {
        let mut n = 0;
        while n < pieces.len() {
            self = self.text(if n == 0 { "(" } else { " and " }).range(pieces[n].lo, pieces[n].hi);
            n += 1;
        }
        self.text(")")
    }

    /// The message.
    pub(crate) const fn as_str(&self) -> &str {
        match core::str::from_utf8(self.bytes.split_at(self.len).0) {
            Ok(text) => text,
            Err(_) => "a bit field has a wrong place",
        }
    }
}

/// Panics with the message, if there is one: in const evaluation, the compile error at the caller's call.
#[track_caller]
pub(crate) const fn report(message: Option<Message>) {
    if let Some(message) = message {
        panic!("{}", message.as_str());
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Places of bit fields.

/// What the checks of a place have to know about the format.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    item_bits: u32,
    max_top_level: u32,
    /// Lowest and highest level of leaves; no level if reversed.
    leaf_levels: (u32, u32),
    /// VA covered by one item of each level, as powers of two.
    sizes_lg2: [u32; MAX_LEVELS + 1],
    /// Whether there are leaves of several items.
    contiguous: bool,
}

impl Shape {
    /// The shape of a format. Where its geometry is wrong (which is reported there) some shape without wrong indices.
    pub(crate) const fn of<F: Description>(contiguous: bool) -> Self {
        let max_top_level = F::GEOMETRY.max_top_level;
        Self {
            item_bits: <F::Item as Item>::BITS,
            max_top_level: if max_top_level < MAX_LEVELS as u32 { max_top_level } else { MAX_LEVELS as u32 - 1 },
            leaf_levels: (*F::GEOMETRY.leaf_levels.start(), *F::GEOMETRY.leaf_levels.end()),
            sizes_lg2: F::ITEM_SIZES_LG2,
            contiguous,
        }
    }

    /// Whether the format has items of `kind` at `level`.
    const fn has(&self, level: u32, kind: ItemKind) -> bool {
        let is_leaf_level = self.leaf_levels.0 <= level && level <= self.leaf_levels.1;
        let of_kind = match kind {
            ItemKind::Table => level > 0,
            ItemKind::PlainLeaf => is_leaf_level,
            ItemKind::ContiguousLeaf => is_leaf_level && self.contiguous,
        };
        of_kind && level <= self.max_top_level
    }

    /// The item bits that a piece takes in an item. Address bits below the size of a plain leaf hold nothing.
    const fn taken(&self, holds: FieldKind, piece: Piece, level: u32, kind: ItemKind) -> u64 {
        match (holds, kind) {
            (FieldKind::Address, ItemKind::PlainLeaf) => {
                let size_lg2 = self.sizes_lg2[level as usize];
                let unused = size_lg2.saturating_sub(piece.value_lo);
                if unused > piece.hi - piece.lo { 0 } else { piece.mask() & !lg2::low_mask(piece.lo + unused) }
            }
            _ => piece.mask(),
        }
    }
}

/// The kinds of item, to go through.
const KINDS: [ItemKind; 3] = [ItemKind::Table, ItemKind::PlainLeaf, ItemKind::ContiguousLeaf];

/// The level and kind of an item that has bits of both: of a new piece of a field like `layout`, and of `other`.
const fn shared(layout: &Layout, piece: Piece, other: &Layout, shape: &Shape) -> Option<(u32, ItemKind)> {
    if piece.mask() & other.mask() == 0 || !layout.scope.coexists(&other.scope) {
        return None;
    }
    let mut level = 0;
    while level <= shape.max_top_level {
        let mut k = 0;
        while k < KINDS.len() {
            let kind = KINDS[k];
            if shape.has(level, kind) && layout.scope.contains(level, kind) && other.scope.contains(level, kind) {
                let mut theirs = 0;
                let pieces = other.pieces();
                let mut n = 0;
                while n < pieces.len() {
                    theirs |= shape.taken(other.kind, pieces[n], level, kind);
                    n += 1;
                }
                if shape.taken(layout.kind, piece, level, kind) & theirs != 0 {
                    return Some((level, kind));
                }
            }
            k += 1;
        }
        level += 1;
    }
    None
}

/// What is wrong with a further piece of the field `name`, which so far is `layout`, by itself.
pub(crate) const fn piece(name: &str, layout: &Layout, piece: Piece, shape: &Shape) -> Option<Message> {
    let Piece { lo, hi, value_lo } = piece;
    if hi < lo {
        let message = Message::new("the bits ").number(lo).text(" to ").number(hi).text(" of ").name(name);
        return Some(
            message.text(" are reversed: the lowest comes first, (").number(hi).text(", ").number(lo).text(")"),
        );
    }
    if hi >= shape.item_bits {
        let message = Message::new("bit field ").name(name);
        let message =
            if lo == hi { message.text(" has bit ").number(hi) } else { message.text(" has the bits ").range(lo, hi) };
        let message = message.text(", but an item is a `u").number(shape.item_bits).text("`, with the bits ");
        return Some(message.range(0, shape.item_bits - 1));
    }
    if value_lo > 63 - (hi - lo) {
        let message = Message::new("the bits ").range(lo, hi).text(" of ").name(name);
        let message = message.text(" hold the bits from ").number(value_lo);
        return Some(message.text(" of a value, but a value has the bits 0..=63"));
    }
    own_pieces(name, layout, piece)
}

/// What is wrong with a further piece of the field `name`, which so far is `layout`, beside the fields before it.
pub(crate) const fn beside(
    name: &str,
    layout: &Layout,
    piece: Piece,
    before: &[Placed],
    shape: &Shape,
) -> Option<Message> {
    let mut n = 0;
    while n < before.len() {
        if let Some((level, kind)) = shared(layout, piece, &before[n].layout, shape) {
            return Some(overlap(name, layout, piece, &before[n], level, kind));
        }
        n += 1;
    }
    None
}

/// What is wrong with a piece beside the other pieces of its field.
const fn own_pieces(name: &str, layout: &Layout, piece: Piece) -> Option<Message> {
    let pieces = layout.pieces();
    if pieces.len() == MAX_PIECES {
        let message = Message::new("bit field ").name(name).text(" has more than ").number(MAX_PIECES as u32);
        return Some(message.text(" pieces; describe it as two fields"));
    }
    let mut n = 0;
    while n < pieces.len() {
        let other = pieces[n];
        if other.mask() & piece.mask() != 0 {
            let message = Message::new("the pieces ").range(other.lo, other.hi).text(" and ").range(piece.lo, piece.hi);
            return Some(message.text(" of bit field ").name(name).text(" overlap"));
        }
        if other.value_mask() & piece.value_mask() != 0 {
            let message = Message::new("two pieces of ").name(name).text(" hold the same bits of the value: ");
            let message = message.range(other.value_lo, other.value_hi()).text(" and ");
            return Some(message.range(piece.value_lo, piece.value_hi()));
        }
        n += 1;
    }
    None
}

/// Two fields that share bits.
const fn overlap(name: &str, layout: &Layout, piece: Piece, other: &Placed, level: u32, kind: ItemKind) -> Message {
    let message = Message::new(match layout.kind {
        FieldKind::Attribute => "bit field ",
        FieldKind::Address => "address ",
    });
    let message = message.name(name).text(" ").pieces(&[piece]).text(" overlaps ");
    let message = match (layout.kind, other.layout.kind) {
        (FieldKind::Attribute, FieldKind::Address) => message.text("the address "),
        (FieldKind::Address, FieldKind::Attribute) => message.text("the attribute "),
        _ => message,
    };
    let message = message.name(other.name).text(" ").pieces(other.layout.pieces());
    if layout.scope.is_all() && other.layout.scope.is_all() {
        return message;
    }
    let message = message.text(match kind {
        ItemKind::Table => " in table pointers",
        ItemKind::PlainLeaf => " in leaves",
        ItemKind::ContiguousLeaf => " in contiguous leaves",
    });
    message.text(" of level ").number(level)
}

/// What is wrong with another first piece of the field.
pub(crate) const fn first(name: &str, layout: &Layout) -> Option<Message> {
    if layout.pieces().is_empty() {
        return None;
    }
    let message = Message::new("bit field ").name(name).text(" already has a place ").pieces(layout.pieces());
    Some(message.text("; a further piece is `.and(lo, hi, value_bit)`"))
}

/// What is wrong with `call`, which follows a piece, in the place of the field.
pub(crate) const fn further(name: &str, layout: &Layout, call: &str) -> Option<Message> {
    if !layout.pieces().is_empty() {
        return None;
    }
    let message = Message::new("the place of ").name(name).text(" begins with `").text(call);
    Some(message.text("`; it begins with `bit(..)`, `bits(..)` or `address(..)`"))
}

/// What is wrong with `call`, which says how a field combines with those of leaves below.
pub(crate) const fn combination(
    name: &str,
    before: &Layout,
    layout: &Layout,
    call: &str,
    shape: &Shape,
) -> Option<Message> {
    if layout.pieces().is_empty() {
        return further(name, layout, call);
    }
    // A field can force several others, but do only one kind of thing.
    if !matches!((before.below, layout.below), (Below::Nothing, _) | (Below::Forces { .. }, Below::Forces { .. })) {
        let message =
            Message::new("the place of ").name(name).text(" says twice what the field does below, at last with ");
        return Some(message.name(call));
    }
    let mut level = layout.scope.lowest_level;
    while level <= layout.scope.highest_level && level <= shape.max_top_level {
        if shape.has(level, ItemKind::Table) && layout.scope.contains(level, ItemKind::Table) {
            return None;
        }
        level += 1;
    }
    let message = Message::new("`").text(call).text("` is for fields of table pointers, and none has the bit field ");
    Some(message.name(name))
}

/// A place with limits only.
pub(crate) const fn without_bits(name: &str) -> Message {
    let message = Message::new("bit field ").name(name).text(" has no bits; its place begins with ");
    message.text("`bit(..)`, `bits(..)` or `address(..)`")
}

/// What is wrong with the levels, kinds of item and features that the field is limited to.
pub(crate) const fn scope(name: &str, scope: &Scope, shape: &Shape) -> Option<Message> {
    if !scope.coexists(scope) {
        let message = Message::new("no item has the bit field ").name(name);
        return Some(message.text(": a feature is both needed and excluded"));
    }
    let (lowest, highest) = (scope.lowest_level, scope.highest_level);
    if highest < lowest {
        let message = Message::new("the levels ").range(lowest, highest).text(" of ").name(name);
        return Some(message.text(" are reversed: the lowest comes first"));
    }
    if highest > shape.max_top_level && highest != Scope::ALL.highest_level {
        let message = Message::new("the levels ").range(lowest, highest).text(" of ").name(name);
        let message = message.text(" go beyond the highest level, `max_top_level`, which is ");
        return Some(message.number(shape.max_top_level));
    }
    let mut level = lowest;
    while level <= highest && level <= shape.max_top_level {
        let mut k = 0;
        while k < KINDS.len() {
            if shape.has(level, KINDS[k]) && scope.contains(level, KINDS[k]) {
                return None;
            }
            k += 1;
        }
        level += 1;
    }
    let highest = if highest < shape.max_top_level { highest } else { shape.max_top_level };
    let message = Message::new("no item has the bit field ").name(name).text(": at the levels ").range(lowest, highest);
    Some(message.text(match (scope.in_tables, scope.in_plain_leaves) {
        (true, _) => " there are no table pointers",
        (false, true) => " there are no leaves (`leaf_levels`)",
        (false, false) => " there are no leaves of several items (`impl Contiguous for Format`)",
    }))
}

// ---------------------------------------------------------------------------------------------------------------------
// Features.

/// The feature with index `n` of a format's own; beyond the 16th the enum is rejected.
pub const fn own_feature(names: &[&str], name: &str) -> Features {
    let mut n = 0;
    while n < 15 && n < names.len() && !same(names[n], name) {
        n += 1;
    }
    Features::own(n as u32)
}

/// Whether the format can note finished flushes, if it supports an incoherent walker by `feature`.
pub const fn incoherent<F: Groups>(feature: Features) -> bool {
    F::HAS_SOFTWARE_BITS || !feature.contains(Features::DMA_INCOHERENT)
}

/// Whether a forced feature is supported.
pub const fn supported<F: Description>(feature: Features) -> bool {
    F::SUPPORTED.contains(feature)
}

/// Whether a forced feature is not sign extension together with what excludes it.
pub const fn sign_extend<F: Description>(feature: Features) -> bool {
    let excluded = Features::DYNAMIC_TOP.union(Features::FULL_VA);
    !feature.contains(Features::SIGN_EXTEND) || !F::FORCED.intersects(excluded)
}

const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut n = 0;
    while n < a.len() {
        if a[n] != b[n] {
            return false;
        }
        n += 1;
    }
    true
}
