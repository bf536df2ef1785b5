//! What each check says, and that it says nothing when nothing is wrong.

use super::*;
use crate::field::{Below, FieldInfo};
use crate::format::Geometry;

/// A format of three levels: 4 KiB, 2 MiB and 1 GiB; leaves everywhere, up to 48 VA bits.
const SHAPE: Shape = Shape {
    item_bits: 64,
    max_top_level: 2,
    leaf_levels: (0, 2),
    sizes_lg2: [12, 21, 30, 39, 48, 57, 66],
    contiguous: false,
};

const fn at(lo: u32, hi: u32, value_lo: u32) -> Piece {
    Piece { lo, hi, value_lo }
}

/// A field of one piece in all items.
const fn layout(kind: FieldKind, piece: Piece) -> Layout {
    let mut layout = Layout::EMPTY.with_piece(piece);
    layout.kind = kind;
    layout
}

const ADDRESS: Placed = Placed { name: "OA", layout: layout(FieldKind::Address, at(12, 51, 12)) };
const ACCESSED: Placed = Placed { name: "A", layout: layout(FieldKind::Attribute, at(5, 5, 0)) };

/// A new attribute with this scope.
fn scoped(change: impl FnOnce(&mut Scope)) -> Layout {
    let mut layout = Layout::EMPTY;
    change(&mut layout.scope);
    layout
}

#[track_caller]
fn assert_says(message: Option<Message>, text: &str) {
    assert_eq!(message.as_ref().map(Message::as_str), Some(text));
}

#[track_caller]
fn assert_fine(message: Option<Message>) {
    assert_eq!(message.as_ref().map(Message::as_str), None);
}

#[test]
fn message_is_text_and_numbers() {
    let message = Message::new("a ").number(0).text(" ").number(u32::MAX).text(" ").range(7, 10).name("ü");
    assert_eq!(message.as_str(), "a 0 4294967295 7..=10`ü`");
}

#[test]
fn message_stays_text_when_it_is_full() {
    let mut message = Message::new("");
    for _ in 0..Message::CAPACITY {
        message = message.text("ü");
    }
    assert_eq!(message.as_str(), "ü".repeat(Message::CAPACITY / 2));
}

#[test]
fn piece_by_itself() {
    let check = |piece| super::piece("F", &Layout::EMPTY, piece, &SHAPE);
    assert_fine(check(at(0, 63, 0)));
    assert_fine(check(at(63, 63, 63)));
    assert_says(check(at(7, 5, 0)), "the bits 7 to 5 of `F` are reversed: the lowest comes first, (5, 7)");
    assert_says(check(at(64, 64, 0)), "bit field `F` has bit 64, but an item is a `u64`, with the bits 0..=63");
    assert_says(
        check(at(60, 64, 0)),
        "bit field `F` has the bits 60..=64, but an item is a `u64`, with the bits 0..=63",
    );
    assert_says(
        check(at(u32::MAX, u32::MAX, 0)),
        "bit field `F` has bit 4294967295, but an item is a `u64`, with the bits 0..=63",
    );
    assert_says(
        check(at(12, 51, 25)),
        "the bits 12..=51 of `F` hold the bits from 25 of a value, but a value has the bits 0..=63",
    );
    assert_fine(check(at(12, 51, 24)));
    let narrow = Shape { item_bits: 32, ..SHAPE };
    assert_fine(super::piece("F", &Layout::EMPTY, at(31, 31, 0), &narrow));
    assert_says(
        super::piece("F", &Layout::EMPTY, at(32, 32, 0), &narrow),
        "bit field `F` has bit 32, but an item is a `u32`, with the bits 0..=31",
    );
}

#[test]
fn piece_beside_its_own() {
    let field = layout(FieldKind::Address, at(12, 47, 12));
    assert_fine(piece("F", &field, at(8, 9, 50), &SHAPE));
    assert_says(piece("F", &field, at(47, 48, 50), &SHAPE), "the pieces 12..=47 and 47..=48 of bit field `F` overlap");
    assert_says(
        piece("F", &field, at(8, 9, 47), &SHAPE),
        "two pieces of `F` hold the same bits of the value: 12..=47 and 47..=48",
    );
    let full = field.with_piece(at(0, 0, 0)).with_piece(at(1, 1, 1)).with_piece(at(2, 2, 2));
    assert_says(
        piece("F", &full, at(3, 3, 3), &SHAPE),
        "bit field `F` has more than 4 pieces; describe it as two fields",
    );
}

#[test]
fn piece_beside_other_fields() {
    let check = |layout: &Layout, piece| beside("F", layout, piece, &[ACCESSED, ADDRESS], &SHAPE);
    let attribute = Layout::EMPTY;
    let address = layout(FieldKind::Address, at(60, 60, 60));
    assert_fine(check(&attribute, at(6, 11, 0)));
    assert_says(check(&attribute, at(5, 7, 0)), "bit field `F` (5..=7) overlaps `A` (5..=5)");
    assert_says(check(&attribute, at(50, 50, 0)), "bit field `F` (50..=50) overlaps the address `OA` (12..=51)");
    assert_says(check(&address, at(5, 5, 0)), "address `F` (5..=5) overlaps the attribute `A` (5..=5)");
    assert_says(check(&address, at(51, 52, 0)), "address `F` (51..=52) overlaps `OA` (12..=51)");
}

#[test]
fn fields_of_different_items_share_bits() {
    let low = scoped(|scope| scope.highest_level = 0);
    let other = Placed { name: "PS", layout: scoped(|scope| scope.lowest_level = 1).with_piece(at(7, 7, 0)) };
    assert_fine(beside("PAT", &low, at(7, 7, 0), &[other], &SHAPE));
    let both = scoped(|scope| scope.highest_level = 1);
    let says = "bit field `PAT` (7..=7) overlaps `PS` (7..=7) in table pointers of level 1";
    assert_says(beside("PAT", &both, at(7, 7, 0), &[other], &SHAPE), says);
    let leaves = scoped(|scope| scope.in_tables = false);
    let says = "bit field `PAT` (7..=7) overlaps `PS` (7..=7) in leaves of level 1";
    assert_says(beside("PAT", &leaves, at(7, 7, 0), &[other], &SHAPE), says);
    let tables = Placed {
        name: "NS",
        layout: scoped(|scope| (scope.in_plain_leaves, scope.in_contiguous_leaves) = (false, false))
            .with_piece(at(7, 7, 0)),
    };
    assert_fine(beside("PAT", &leaves, at(7, 7, 0), &[tables], &SHAPE));
}

#[test]
fn plain_leaf_has_no_address_below_its_size() {
    let large = scoped(|scope| (scope.lowest_level, scope.in_tables) = (1, false));
    let check = |layout: &Layout, bit, shape: &Shape| beside("PAT", layout, at(bit, bit, 0), &[ADDRESS], shape);
    assert_fine(check(&large, 12, &SHAPE));
    assert_fine(check(&large, 20, &SHAPE));
    let says = "bit field `PAT` (21..=21) overlaps the address `OA` (12..=51) in leaves of level 1";
    assert_says(check(&large, 21, &SHAPE), says);
    let with_tables = scoped(|scope| scope.lowest_level = 1);
    let says = "bit field `PAT` (12..=12) overlaps the address `OA` (12..=51) in table pointers of level 1";
    assert_says(check(&with_tables, 12, &SHAPE), says);
    // A contiguous leaf may have its size there.
    let says = "bit field `PAT` (12..=12) overlaps the address `OA` (12..=51) in contiguous leaves of level 1";
    assert_says(check(&large, 12, &Shape { contiguous: true, ..SHAPE }), says);
}

#[test]
fn fields_of_different_tables_share_bits() {
    let (a, b) = (Features::own(0), Features::own(1));
    let other = Placed { name: "S2AP", layout: scoped(|scope| scope.with = a).with_piece(at(6, 7, 0)) };
    let check = |layout: &Layout| beside("F", layout, at(7, 7, 0), &[other], &SHAPE);
    assert_fine(check(&scoped(|scope| scope.without = a)));
    assert_fine(check(&scoped(|scope| scope.without = a | b)));
    for overlapping in
        [scoped(|scope| scope.with = b), scoped(|scope| scope.with = a), scoped(|scope| scope.without = b)]
    {
        assert_says(check(&overlapping), "bit field `F` (7..=7) overlaps `S2AP` (6..=7) in leaves of level 0");
    }
}

#[test]
fn scope_exists() {
    let check = |change: fn(&mut Scope)| scope("F", &scoped(change).scope, &SHAPE);
    assert_fine(check(|_| ()));
    assert_fine(check(|scope| (scope.lowest_level, scope.highest_level) = (1, 2)));
    assert_says(
        check(|scope| (scope.lowest_level, scope.highest_level) = (2, 1)),
        "the levels 2..=1 of `F` are reversed: the lowest comes first",
    );
    assert_says(
        check(|scope| scope.highest_level = 3),
        "the levels 0..=3 of `F` go beyond the highest level, `max_top_level`, which is 2",
    );
    assert_says(
        check(|scope| (scope.highest_level, scope.in_plain_leaves, scope.in_contiguous_leaves) = (0, false, false)),
        "no item has the bit field `F`: at the levels 0..=0 there are no table pointers",
    );
    assert_says(
        check(|scope| (scope.with, scope.without) = (Features::own(0) | Features::own(1), Features::own(1))),
        "no item has the bit field `F`: a feature is both needed and excluded",
    );
    assert_says(
        check(|scope| (scope.in_tables, scope.in_plain_leaves) = (false, false)),
        "no item has the bit field `F`: at the levels 0..=2 there are no leaves of several items (`impl Contiguous for \
         Format`)",
    );
    let low_leaves = Shape { leaf_levels: (0, 0), ..SHAPE };
    assert_says(
        scope("F", &scoped(|scope| (scope.lowest_level, scope.in_tables) = (1, false)).scope, &low_leaves),
        "no item has the bit field `F`: at the levels 1..=2 there are no leaves (`leaf_levels`)",
    );
}

#[test]
fn place_begins_with_bits() {
    let placed = layout(FieldKind::Attribute, at(7, 7, 0));
    assert_fine(first("F", &Layout::EMPTY));
    assert_says(
        first("F", &placed),
        "bit field `F` already has a place (7..=7); a further piece is `.and(lo, hi, value_bit)`",
    );
    assert_fine(further("F", &placed, "and(..)"));
    assert_says(
        further("F", &Layout::EMPTY, "and(..)"),
        "the place of `F` begins with `and(..)`; it begins with `bit(..)`, `bits(..)` or `address(..)`",
    );
}

mod geometry {
    //! The checks of the geometry, on a format whose geometry, quirks and fields are those of a type parameter.

    use super::*;
    use crate::format::{Quirks, Tables};

    const PIECES: &[Piece] = &[at(12, 47, 12)];
    const OA: FieldInfo = FieldInfo {
        name: "OA",
        doc: "",
        pieces: PIECES,
        kind: FieldKind::Address,
        scope: Scope::ALL,
        below: Below::Nothing,
    };
    const GOOD: Geometry = Geometry {
        granule_lg2: 12,
        table_lg2: Tables::Uniform(12),
        max_va_lg2: 39,
        max_oa_lg2: 48,
        max_top_level: 2,
        leaf_levels: 0..=1,
        top_pa_mask: !0xfff,
    };

    /// The verdict on a geometry, quirks and fields.
    macro_rules! verdict {
        ($geometry:expr, $quirks:expr, $fields:expr, $contiguous:expr) => {{
            #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
            struct Format;
            impl Description for Format {
                type Item = u64;
                type Config = ();
                type HwInfo = ();
                type Attrs = u64;
                const NAME: &'static str = "format";
                const GEOMETRY: Geometry = $geometry;
                const QUIRKS: Quirks = $quirks;
                const SUPPORTED: Features = Features::empty();
                const FORCED: Features = Features::empty();
                const OWN_FEATURES: &'static [(&'static str, Features)] = &[];
                const OWN_FEATURE_DOCS: &'static [&'static str] = &[];
                const DOC: &'static str = "";
                const FIELDS: &'static [FieldInfo] = $fields;
            }
            super::super::geometry::<Format>($contiguous)
        }};
        ($geometry:expr) => {
            verdict!($geometry, Quirks::NONE, &[OA], false)
        };
    }

    #[test]
    fn good() {
        assert_eq!(verdict!(GOOD), Verdict::PASSED);
        for rule in [Rule::Granule, Rule::VaReach, Rule::OaHeld, Rule::LinkBits] {
            assert!(verdict!(GOOD).passes(rule));
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(verdict!(Geometry { granule_lg2: 0, ..GOOD }), Verdict::fails(Rule::Granule, 0, 63));
        assert_eq!(verdict!(Geometry { max_top_level: 6, ..GOOD }), Verdict::fails(Rule::Levels, 6, 5));
        assert_eq!(verdict!(Geometry { max_va_lg2: 40, ..GOOD }), Verdict::fails(Rule::VaReach, 40, 39));
        assert_eq!(verdict!(Geometry { max_va_lg2: 65, ..GOOD }), Verdict::fails(Rule::VaBits, 65, 64));
        assert_eq!(verdict!(Geometry { max_oa_lg2: 12, ..GOOD }), Verdict::fails(Rule::OaBits, 12, 12));
        assert_eq!(verdict!(Geometry { top_pa_mask: 0, ..GOOD }), Verdict::fails(Rule::TopPa, 0, 0));
        assert_eq!(
            verdict!(Geometry { table_lg2: Tables::PerLevel([12, 3, 12, 0, 0, 0]), ..GOOD }).rule,
            Rule::TableItems
        );
        assert!(!verdict!(Geometry { max_va_lg2: 40, ..GOOD }).passes(Rule::VaReach));
    }

    #[test]
    fn concatenated_tops_reach_further() {
        assert_eq!(
            verdict!(Geometry { max_va_lg2: 41, ..GOOD }, Quirks { concat_lg2: 2, ..Quirks::NONE }, &[OA], false),
            Verdict::PASSED
        );
    }

    #[test]
    fn leaves() {
        #[allow(clippy::reversed_empty_ranges, reason = "the mistake")]
        let nowhere = verdict!(Geometry { leaf_levels: 1..=0, ..GOOD });
        assert_eq!(nowhere, Verdict::fails(Rule::LeafSomewhere, 1, 0));
        assert_eq!(verdict!(Geometry { leaf_levels: 0..=3, ..GOOD }), Verdict::fails(Rule::LeafLevels, 3, 2));
    }

    #[test]
    fn addresses_of_leaves() {
        assert_eq!(verdict!(Geometry { max_oa_lg2: 49, ..GOOD }), Verdict::fails(Rule::OaHeld, 49, 48));
        assert_eq!(verdict!(GOOD, Quirks::NONE, &[], false), Verdict::fails(Rule::LeafAddress, 0, 12));
        const LOW: FieldInfo = FieldInfo { scope: Scope { highest_level: 0, ..Scope::ALL }, ..OA };
        assert_eq!(verdict!(GOOD, Quirks::NONE, &[LOW], false), Verdict::fails(Rule::LeafAddress, 1, 21));
        const HIGH: FieldInfo = FieldInfo { pieces: &[at(13, 47, 13)], ..OA };
        assert_eq!(verdict!(GOOD, Quirks::NONE, &[HIGH], false), Verdict::fails(Rule::LeafAddress, 0, 12));
        const GAP: FieldInfo = FieldInfo { pieces: &[at(12, 40, 12), at(42, 47, 42)], ..OA };
        assert_eq!(verdict!(GOOD, Quirks::NONE, &[GAP], false), Verdict::fails(Rule::OaHeld, 48, 41));
    }

    #[test]
    fn addresses_of_contiguous_leaves() {
        // Like the supersections of Arm: only entries of several items hold all address bits, none below their size.
        const PLAIN: FieldInfo =
            FieldInfo { scope: Scope { in_contiguous_leaves: false, ..Scope::ALL }, pieces: &[at(12, 31, 12)], ..OA };
        const RUN: FieldInfo = FieldInfo {
            scope: Scope { in_tables: false, in_plain_leaves: false, ..Scope::ALL },
            pieces: &[at(24, 31, 24), at(12, 19, 32), at(5, 8, 40)],
            ..OA
        };
        assert_eq!(verdict!(Geometry { max_oa_lg2: 44, ..GOOD }, Quirks::NONE, &[PLAIN, RUN], true), Verdict::PASSED);
        let plain = verdict!(Geometry { max_oa_lg2: 44, ..GOOD }, Quirks::NONE, &[PLAIN, RUN], false);
        assert_eq!(plain, Verdict::fails(Rule::OaHeld, 44, 32));
    }

    #[test]
    fn field_without_bits_is_reported_once() {
        const NOWHERE: FieldInfo = FieldInfo { pieces: &[], ..OA };
        assert_eq!(verdict!(GOOD, Quirks::NONE, &[NOWHERE], false), Verdict::PASSED);
    }

    #[test]
    fn links_are_in_the_item() {
        assert_eq!(verdict!(GOOD, Quirks { link_lo: 48, ..Quirks::NONE }, &[OA], false), Verdict::PASSED);
        let beyond = verdict!(GOOD, Quirks { link_lo: 49, ..Quirks::NONE }, &[OA], false);
        assert_eq!(beyond, Verdict::fails(Rule::LinkBits, 49, 48));
    }
}

#[test]
fn own_features_are_numbered() {
    assert_eq!(own_feature(&["A", "B"], "A"), Features::own(0));
    assert_eq!(own_feature(&["A", "B"], "B"), Features::own(1));
    let names = ["A"; 20];
    assert_eq!(own_feature(&names, "B"), Features::own(15));
}
