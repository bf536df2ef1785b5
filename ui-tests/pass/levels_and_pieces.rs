//! Fields of some levels and kinds of item only, and fields of several pieces.

use generic_pt::field::{FieldKind, ItemKind, Piece};
use generic_pt::format::Description;

generic_pt::define_pt_format!(
    /// A table of two levels.
    pub mod sample {
        type Item = u64;
        const GEOMETRY: Geometry = Geometry {
            granule_lg2: 12,
            table_lg2: Tables::Uniform(12),
            max_va_lg2: 30,
            max_oa_lg2: 52,
            max_top_level: 1,
            leaf_levels: 0..=1,
            top_pa_mask: 0x000f_ffff_ffff_f000,
        };
        const SUPPORTED: Features = FLUSH_RANGE;
        enum Bits {
            /// Present.
            P = bit(0),
            /// Writable: 1 is
            /// yes.
            W = bit(1),
            /// Leaf.
            PS = bit(7).at_levels(1..=1),
            /// Page attribute table.
            PAT = bit(7).at_levels(0..=0),
            /// Output address, or the table's, in two pieces.
            OA = address(12, 49).and(9, 10, 50),
            /// Page attribute table, below the address.
            PAT_LARGE = at_levels(1..=1).in_leaves().bit(12),
            /// Domain of a table.
            DOMAIN = bits(52, 55).in_tables(),
            /// Key of a page.
            KEY = bits(54, 57).and(60, 60, 4).in_plain_leaves(),
        }

        /// Nothing to configure.
        pub struct Config {}

        /// For the device.
        pub struct HwInfo {
            /// Physical address of the top table.
            pub root: u64,
        }

        impl PtFormat for Format {
            fn kind(_: &Common<Self>, level: u32, raw: u64) -> Kind {
                if !P.is_set(raw) {
                    Kind::Empty
                } else if level == 0 || PS.is_set(raw) {
                    Kind::Leaf
                } else {
                    Kind::Table
                }
            }
            fn table_item(_: &Common<Self>, _: u32, table_pa: u64) -> u64 {
                P.mask() | W.mask() | OA.put(table_pa)
            }
            fn table_pa(_: &Common<Self>, _: u32, raw: u64) -> u64 {
                OA.get(raw)
            }
            fn leaf_item(_: &Common<Self>, leaf: LeafRequest<u64>) -> u64 {
                P.mask() | PS.when(leaf.level > 0) | OA.put(leaf.oa) | leaf.attrs
            }
            fn attrs(_: &Common<Self>, prot: Prot) -> Result<u64, Error> {
                Ok(W.when(prot.contains(Prot::WRITE)))
            }
            fn attrs_of(_: &Common<Self>, _: u32, raw: u64) -> u64 {
                raw & W.mask()
            }
            fn init(config: &TableConfig<Config>) -> Result<Limits, Error> {
                Ok(Limits {
                    top_level: 1,
                    max_va_lg2: config.hw_max_vasz_lg2,
                    max_oa_lg2: config.hw_max_oasz_lg2.min(52),
                })
            }
            fn hw_info(_: &Common<Self>, top: Top) -> HwInfo {
                HwInfo { root: top.pa }
            }
        }

        impl ItemOa for Format {
            fn item_oa(_: &Common<Self>, _: u32, raw: u64) -> u64 {
                OA.get(raw)
            }
        }
    }
);

fn main() {
    let field = |name| sample::Format::FIELDS.iter().find(|field| field.name == name).unwrap();
    assert_eq!(field("W").doc, "Writable: 1 is yes.");
    assert_eq!((field("PAT").scope.lowest_level, field("PAT").scope.highest_level), (0, 0));
    assert!(field("PS").scope.contains(1, ItemKind::Table) && !field("PS").scope.contains(0, ItemKind::PlainLeaf));
    assert!(
        field("DOMAIN").scope.contains(1, ItemKind::Table) && !field("DOMAIN").scope.contains(1, ItemKind::PlainLeaf)
    );
    assert!(field("PAT_LARGE").scope.contains(1, ItemKind::ContiguousLeaf));
    assert!(!field("KEY").scope.contains(1, ItemKind::ContiguousLeaf));
    assert!(field("P").scope.is_all());
    assert_eq!((field("OA").kind, field("P").kind), (FieldKind::Address, FieldKind::Attribute));
    assert_eq!(field("OA").pieces, [Piece { lo: 12, hi: 49, value_lo: 12 }, Piece { lo: 9, hi: 10, value_lo: 50 }]);
    assert_eq!(sample::OA.put(0x000f_ffff_ffff_f000), 0x0003_ffff_ffff_f600);
    assert_eq!(sample::OA.get(0x0003_ffff_ffff_f600), 0x000f_ffff_ffff_f000);
    assert_eq!(sample::KEY.get(1 << 60 | 1 << 54), 0b1_0001);
    assert_eq!(sample::KEY.mask(), 0b1_0011_1100 << 52);
}
