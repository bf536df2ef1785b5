//! Thirty-one bit fields, sixteen features and many helpers, with the default recursion limit.

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
        enum Feature {
            /// Number 0.
            G0,
            /// Number 1.
            G1,
            /// Number 2.
            G2,
            /// Number 3.
            G3,
            /// Number 4.
            G4,
            /// Number 5.
            G5,
            /// Number 6.
            G6,
            /// Number 7.
            G7,
            /// Number 8.
            G8,
            /// Number 9.
            G9,
            /// Number 10.
            G10,
            /// Number 11.
            G11,
            /// Number 12.
            G12,
            /// Number 13.
            G13,
            /// Number 14.
            G14,
            /// Number 15.
            G15,
        }
        const SUPPORTED: Features =
            DMA_INCOHERENT | G0 | G1 | G2 | G3 | G4 | G5 | G6 | G7 | G8 | G9 | G10 | G11 | G12 | G13 | G14 | G15;
        const FORCED: Features = G0 | G15;
        enum Bits {
            /// Present.
            P = bit(0),
            /// Writable.
            W = bit(1),
            /// Leaf, at level 1.
            PS = bit(7),
            /// Flag number 2, of which there are many:
            /// this one has several lines
            /// of documentation.
            F2 = bit(2).at_levels(0..=1).in_leaves(),
            /// Flag number 3, of which there are many:
            /// this one has several lines
            /// of documentation.
            F3 = bit(3).at_levels(0..=1).in_leaves(),
            /// Flag number 4, of which there are many:
            /// this one has several lines
            /// of documentation.
            F4 = bit(4).at_levels(0..=1).in_leaves(),
            /// Flag number 5, of which there are many:
            /// this one has several lines
            /// of documentation.
            F5 = bit(5).at_levels(0..=1).in_leaves(),
            /// Flag number 6, of which there are many:
            /// this one has several lines
            /// of documentation.
            F6 = bit(6).at_levels(0..=1).in_leaves(),
            /// Flag number 8, of which there are many:
            /// this one has several lines
            /// of documentation.
            F8 = bit(8).at_levels(0..=1).in_leaves(),
            /// Flag number 9, of which there are many:
            /// this one has several lines
            /// of documentation.
            F9 = bit(9).at_levels(0..=1).in_leaves(),
            /// Flag number 10, of which there are many:
            /// this one has several lines
            /// of documentation.
            F10 = bit(10).at_levels(0..=1).in_leaves(),
            /// Flag number 11, of which there are many:
            /// this one has several lines
            /// of documentation.
            F11 = bit(11).at_levels(0..=1).in_leaves(),
            /// Flag number 52, of which there are many:
            /// this one has several lines
            /// of documentation.
            F52 = bit(52).at_levels(0..=1).in_leaves(),
            /// Flag number 53, of which there are many:
            /// this one has several lines
            /// of documentation.
            F53 = bit(53).at_levels(0..=1).in_leaves(),
            /// Flag number 54, of which there are many:
            /// this one has several lines
            /// of documentation.
            F54 = bit(54).at_levels(0..=1).in_leaves(),
            /// Flag number 55, of which there are many:
            /// this one has several lines
            /// of documentation.
            F55 = bit(55).at_levels(0..=1).in_leaves(),
            /// Flag number 56, of which there are many:
            /// this one has several lines
            /// of documentation.
            F56 = bit(56).at_levels(0..=1).in_leaves(),
            /// Flag number 57, of which there are many:
            /// this one has several lines
            /// of documentation.
            F57 = bit(57).at_levels(0..=1).in_leaves(),
            /// Flag number 58, of which there are many:
            /// this one has several lines
            /// of documentation.
            F58 = bit(58).at_levels(0..=1).in_leaves(),
            /// Flag number 59, of which there are many:
            /// this one has several lines
            /// of documentation.
            F59 = bit(59).at_levels(0..=1).in_leaves(),
            /// Flag number 60, of which there are many:
            /// this one has several lines
            /// of documentation.
            F60 = bit(60).at_levels(0..=1).in_leaves(),
            /// Flag number 61, of which there are many:
            /// this one has several lines
            /// of documentation.
            F61 = bit(61).at_levels(0..=1).in_leaves(),
            /// Flag number 62, of which there are many:
            /// this one has several lines
            /// of documentation.
            F62 = bit(62).at_levels(0..=1).in_leaves(),
            /// Flag number 63, of which there are many:
            /// this one has several lines
            /// of documentation.
            F63 = bit(63).at_levels(0..=1).in_leaves(),
            /// Of a table: number 2.
            T2 = bit(2).in_tables(),
            /// Of a table: number 3.
            T3 = bit(3).in_tables(),
            /// Of a table: number 4.
            T4 = bit(4).in_tables(),
            /// Of a table: number 5.
            T5 = bit(5).in_tables(),
            /// Of a table: number 6.
            T6 = bit(6).in_tables(),
            /// Of a table: number 8.
            T8 = bit(8).in_tables(),
            /// Output address, or the table's.
            OA = address(12, 51),
        }

        /// One thing to configure.
        pub struct Config {
            /// The stage.
            pub stage: Stage,
        }

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
        /// Helper number 0.
        const HELPER_0: u32 = 0;
        /// Helper number 1.
        const HELPER_1: u32 = 1;
        /// Helper number 2.
        const HELPER_2: u32 = 2;
        /// Helper number 3.
        const HELPER_3: u32 = 3;
        /// Helper number 4.
        const HELPER_4: u32 = 4;
        /// Helper number 5.
        const HELPER_5: u32 = 5;
        /// A kind of table.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
        pub enum Stage {
            /// The first.
            #[default]
            One,
            /// The second.
            Two,
        }
        /// A helper type.
        pub type Alias = u64;
        /// A constant for others.
        pub const OTHERS: Features = FLUSH_RANGE;
        use core::num::NonZeroU32 as Number;
        /// A helper function.
        pub const fn helper() -> u32 {
            HELPER_0 + HELPER_1 + HELPER_2 + HELPER_3 + HELPER_4 + HELPER_5
        }
        impl Format {
            /// Another one.
            pub fn number() -> Option<Number> {
                Number::new(helper())
            }
        }
        impl core::fmt::Display for Config {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, "{:?}", self.stage)
            }
        }

        impl SoftwareBits for Format {
            fn software_bits(_: &Common<Self>) -> &'static [u32] {
                &[10]
            }
        }
    }
);

fn main() {
    use generic_pt::format::Description;
    assert_eq!(sample::Format::FIELDS.len(), 31);
    assert_eq!(sample::Format::OWN_FEATURES.len(), 16);
    assert_eq!(sample::G15, generic_pt::Features::own(15));
    assert_eq!(sample::Format::number().map(|number| number.get()), Some(sample::helper()));
    assert_eq!(sample::Config { stage: sample::Stage::Two }.to_string(), "Two");
}
