//! Variants with configurations of their own: without names for fields, without fields, and with a field that is no number.
#![deny(missing_docs)]

generic_pt::define_pt_format!(
    /// Two sizes of one layout.
    pub mod family {
        /// Granules of 4 KiB.
        ///
        /// With two lines of documentation.
        pub mod small {
            const GRANULE_LG2: u32 = 12;
            const SUPPORTED_HERE: Features = FLUSH_RANGE;
            /// One number.
            #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
            pub struct Config(pub u32);
        }
        /// Granules of 64 KiB.
        pub mod large {
            const GRANULE_LG2: u32 = 16;
            const SUPPORTED_HERE: Features = Features::empty();
            /// How tables are walked.
            #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
            pub enum Mode {
                /// Through caches.
                #[default]
                Cached,
            }
            /// A mode and a number.
            #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
            pub struct Config {
                /// The mode.
                pub mode: Mode,
                /// The number.
                pub number: u8,
            }
        }

        type Item = u64;
        const GEOMETRY: Geometry = Geometry {
            granule_lg2: GRANULE_LG2,
            table_lg2: Tables::Uniform(12),
            max_va_lg2: 30,
            max_oa_lg2: 40 + GRANULE_LG2,
            max_top_level: 1,
            leaf_levels: 0..=1,
            top_pa_mask: 0x000f_ffff_ffff_f000,
        };
        const SUPPORTED: Features = SUPPORTED_HERE;
        enum Bits {
            /// Present.
            P = bit(0),
            /// Writable.
            W = bit(1),
            /// Leaf, at level 1.
            PS = bit(7),
            /// Output address, or the table's.
            OA = address(12, 51).from_bit(GRANULE_LG2),
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
    }
);

fn main() {
    use family::{large, small};
    use generic_pt::settings::Settings;
    assert!(small::Config::FIELDS.is_empty() && small::Config(1).setting_mut(0).is_none());
    let mut config = large::Config::default();
    let names: Vec<&str> = large::Config::FIELDS.iter().map(|field| field.name).collect();
    assert_eq!(names, ["mode", "number"]);
    // What is no number is listed, and cannot be set.
    assert!(config.setting_mut(0).is_none());
    config.setting_mut(1).unwrap().set(0, 7).unwrap();
    assert_eq!(config.number, 7);
}
