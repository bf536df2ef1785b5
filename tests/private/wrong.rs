//! Formats that compile but are wrong: what init has to refuse.

generic_pt::define_pt_format!(
    /// A small format, wrong in one constant each.
    pub mod wrong {
        /// Init gives a top above the highest level.
        pub mod wrong_top {
            const TOP: u32 = 3;
            const EMPTY: u64 = 0;
            const PREFIX: u64 = 0;
        }
        /// An empty item has bits where the link of an unlinked table goes.
        pub mod wrong_empty {
            const TOP: u32 = 1;
            const EMPTY: u64 = 1 << 30;
            const PREFIX: u64 = 0;
        }
        /// A prefix, but not a fixed one, which would not be compiled with sign extension.
        pub mod wrong_prefix {
            const TOP: u32 = 1;
            const EMPTY: u64 = 0;
            const PREFIX: u64 = !0;
        }
        type Item = u64;
        const GEOMETRY: Geometry = Geometry {
            granule_lg2: 12,
            table_lg2: Tables::Uniform(12),
            max_va_lg2: 39,
            max_oa_lg2: 52,
            max_top_level: 2,
            leaf_levels: 0..=1,
            top_pa_mask: 0x000f_ffff_ffff_f000,
        };
        const SUPPORTED: Features = FLUSH_RANGE | SIGN_EXTEND;
        enum Bits {
            /// Present.
            P = bit(0),
            /// Leaf.
            PS = bit(7).at_levels(1..=2),
            /// Address.
            OA = address(12, 51),
        }
        /// Nothing to configure.
        pub struct Config {}
        /// Nothing to tell.
        pub struct HwInfo {}
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
                P.mask() | OA.put(table_pa)
            }
            fn table_pa(_: &Common<Self>, _: u32, raw: u64) -> u64 {
                OA.get(raw)
            }
            fn leaf_item(_: &Common<Self>, leaf: LeafRequest<u64>) -> u64 {
                P.mask() | PS.when(leaf.level > 0) | OA.put(leaf.oa)
            }
            fn attrs(_: &Common<Self>, _: Prot) -> Result<u64, Error> {
                Ok(0)
            }
            fn attrs_of(_: &Common<Self>, _: u32, _: u64) -> u64 {
                0
            }
            fn empty_item(_: &Common<Self>, _: u32) -> u64 {
                EMPTY
            }
            fn va_prefix(_: &Common<Self>) -> u64 {
                PREFIX
            }
            fn init(config: &TableConfig<Config>) -> Result<Limits, Error> {
                Ok(Limits { top_level: TOP, max_va_lg2: config.hw_max_vasz_lg2, max_oa_lg2: config.hw_max_oasz_lg2 })
            }
            fn hw_info(_: &Common<Self>, _: Top) -> HwInfo {
                HwInfo {}
            }
        }
        impl ItemOa for Format {
            fn item_oa(_: &Common<Self>, _: u32, raw: u64) -> u64 {
                OA.get(raw)
            }
        }
    }
);
