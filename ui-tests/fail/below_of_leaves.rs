//! A field of leaves only that is said to do something to what is below.

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
            /// Writable.
            W = bit(1),
            /// Leaf, at level 1.
            PS = bit(7).in_leaves().or_below(),
            /// Output address, or the table's.
            OA = address(12, 51),
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

fn main() {}
